/*
 * Running a function on a loop, in a manager, as a daemon does.
 */
#ifndef TESTS_BENCH_IN_LOOP_H
#define TESTS_BENCH_IN_LOOP_H

#include <taskmgr/tasks/coroutine.h>
#include <taskmgr/tasks/loop.h>

/* What runs as the first coroutine of a loop; gives back what it measured. */
typedef double (*measured_in_loop)(void *self, struct tmgr_context *context);

double run_in_loop(measured_in_loop function, void *self);
/* The same on a loop with options, of which main and self are set here. */
double run_in_loop_with(
	measured_in_loop function, void *self, const struct tmgr_loop_options *options);
/* Add a loop that runs a function as its first coroutine to a manager. */
void add_loop(struct tmgr_manager *manager, const char *name,
	int (*function)(void *self, struct tmgr_context *context), void *self);

#endif
