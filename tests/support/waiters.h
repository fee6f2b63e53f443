/*
 * Definitions of durable processes that wait: each kind of wait, by the first letter of the process's
 * id; and a thing that counts what it is sent.
 */
#ifndef TESTS_SUPPORT_WAITERS_H
#define TESTS_SUPPORT_WAITERS_H

#include <taskmgr/tasks/process_runtime.h>

/*
 * Its goroutine receives from its channel "box" (r), sends to it (s), waits a minute (a), until five
 * seconds from now by the wall clock (w), for the box or a minute (b), or fails (f). Another letter:
 * it ends at once.
 */
extern const struct tmgr_process_definition waiter_definition;
/* Calls the waiter "receiver". */
extern const struct tmgr_process_definition caller_definition;
/* Both, NULL at the end. */
extern const struct tmgr_process_definition *const waiters[];

/* Whether one whose letter is f fails; set by the test. */
extern bool waiters_fail;

/* The method in which they end, with what they were given. */
tmgr_method waiter_done;

/* Counts its steps: the first, and one for each message on its channel "go". */
struct thing {
	int64_t count;
};

extern const struct tmgr_state_field thing_fields[1];
extern const struct tmgr_process_definition thing_definition;
extern const struct tmgr_process_definition *const things[];

tmgr_method thing_wait;

#endif
