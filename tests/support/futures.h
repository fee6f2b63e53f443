/*
 * Futures for a test, none of which is done in the beginning.
 */
#ifndef TESTS_SUPPORT_FUTURES_H
#define TESTS_SUPPORT_FUTURES_H

#include <taskmgr/future.h>

#define FUTURES 4

extern struct tmgr_future futures[FUTURES];
/* The value of those that are completed. */
extern int futures_answer;

void futures_fresh(void);
void futures_fini(void);

/* With an error, or with the answer. */
void futures_complete(int i, int error);

#endif
