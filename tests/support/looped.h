/*
 * A loop in a manager of its own, which returns when the loop has ended: what the tests of loops and
 * coroutines look at.
 */
#ifndef TESTS_SUPPORT_LOOPED_H
#define TESTS_SUPPORT_LOOPED_H

#include <taskmgr/tasks/coroutine.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/hosted.h"

typedef int coroutine_function(void *self, struct tmgr_context *context);

struct looped {
	struct tmgr_loop *loop; /* until the end */
	struct hosted hosted;
};

/* Start it. */
void looped_start(struct looped *looped, const struct tmgr_loop_options *options);

/* Wait for its end. */
struct ending looped_end(struct looped *looped);

/* Stop it, then the same. */
struct ending looped_stop(struct looped *looped);

/* All of it, for one that ends by itself. */
struct ending looped_run(const struct tmgr_loop_options *options);

/* The same for a main function alone; gives the result of run. */
int looped_main(coroutine_function *main, void *self);

/* Add a loop to a manager, whose task is strict where it has no main function; borrowed from the
 * manager. */
struct tmgr_loop *looped_add(
	struct tmgr_manager *manager, const char *name, const struct tmgr_loop_options *options);

/* Spawn with a name and a handle, or without; stops the program when that fails. self may be a
 * text. */
struct tmgr_coroutine *spawned(struct tmgr_context *context, const char *name,
	coroutine_function *function, const void *self);
void spawn(struct tmgr_context *context, const char *name, coroutine_function *function,
	const void *self);

/* Await and give the handle back. */
int awaited(struct tmgr_context *context, struct tmgr_coroutine *coroutine);

/* Let the others run until nothing can any more. */
void settle(struct tmgr_context *context);

#endif
