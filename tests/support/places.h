/*
 * The places where the same function runs: a thread outside of tasks, a task's thread, a coroutine, a task
 * on a loop.
 */
#ifndef TESTS_SUPPORT_PLACES_H
#define TESTS_SUPPORT_PLACES_H

#include <taskmgr/context.h>

enum place {
	PLACE_MAIN,   /* the test's thread, without a context: assertions are allowed */
	PLACE_THREAD, /* the thread of a task */
	PLACE_LOOP,   /* the main function of a loop */
	PLACE_HOSTED, /* a task that a loop hosts */
	PLACES,
};

const char *place_name(enum place place);

typedef int place_function(void *self, struct tmgr_context *context);

/* Run it there and wait for its end: what it returned, or why it could not run. */
int place_run(enum place place, place_function *function, void *self);

#endif
