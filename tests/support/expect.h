/*
 * A test that is written like a script: each line is a call and what it must give. All that are
 * wrong are printed and counted, on whatever thread.
 */
#ifndef TESTS_SUPPORT_EXPECT_H
#define TESTS_SUPPORT_EXPECT_H

#include <string.h>

#include <taskmgr/event.h>
#include <taskmgr/task.h>

/* How many were; set to 0 and looked at by the test. */
extern int wrong;

void look(long got, long expected, const char *call, int line);

#define IS(call, expected) look((long)(call), (long)(expected), #call, __LINE__)
#define IS_TEXT(call, expected) look(strcmp((call), (expected)), 0, #call, __LINE__)

/* An observer and a task that do nothing. */
void no_event(void *self, const struct tmgr_event *event);
int no_task(void *self, struct tmgr_context *context);

#endif
