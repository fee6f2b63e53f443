#include <pthread.h>
#include <stdlib.h>

#include "tests/support/child.h"
#include "tests/support/exiting.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

int exiting_ways(void)
{
	return FAULT_TSAN ? EXITING_WAYS_ON_ITS_STACK : EXITING_WAYS;
}

static void hold_and_exit(void *self)
{
	struct exiting *exiting = self;

	latch_wait(&exiting->held);
	pthread_exit(NULL);
}

static int exit_as_function(void *self, struct tmgr_context *context)
{
	(void)context;
	hold_and_exit(self);
	return 0;
}

static void schedule(void *self)
{
	struct exiting *exiting = self;

	tmgr_loop_call_at(exiting->loop, &exiting->scheduled, tmgr_now(), hold_and_exit, exiting);
}

static int be_main(void *self, struct tmgr_context *context)
{
	struct exiting *exiting = self;

	latch_arrive(&exiting->runs);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int be_main_and_exit(void *self, struct tmgr_context *context)
{
	struct exiting *exiting = self;

	latch_arrive(&exiting->runs);
	return exit_as_function(exiting, context);
}

void exiting_run(struct exiting *exiting, enum exiting_way way)
{
	struct tmgr_loop_options options = {
		.main = way == EXITING_MAIN ? be_main_and_exit : be_main,
		.self = exiting,
	};

	exiting->way = way;
	latch_init(&exiting->runs);
	latch_init(&exiting->held);
	looped_start(&exiting->looped, &options);
	exiting->loop = tmgr_loop_ref(exiting->looped.loop);
	child_check(latch_arrived(&exiting->runs, 1));
}

static int start_what_exits(struct exiting *exiting)
{
	struct tmgr_task_options on = { .loop = exiting->loop };

	switch (exiting->way) {
	case EXITING_CALL:
		return tmgr_loop_post(exiting->loop, &exiting->call, hold_and_exit, exiting);
	case EXITING_SCHEDULED:
		return tmgr_loop_post(exiting->loop, &exiting->call, schedule, exiting);
	case EXITING_COROUTINE:
		return tmgr_loop_spawn(exiting->loop, exit_as_function, exiting, NULL, NULL);
	case EXITING_TASK:
		return tmgr_manager_add_execute_task_with(exiting->looped.hosted.manager, "exits",
			tmgr_task_function(exit_as_function, exiting), TMGR_ERROR, &on);
	default:
		/* Main is at it by itself. */
		return 0;
	}
}

void exiting_hold(struct exiting *exiting)
{
	child_check_equal(start_what_exits(exiting), 0);
	child_check(latch_arrived(&exiting->held, 1));
}

void exiting_begin(struct exiting *exiting, enum exiting_way way)
{
	exiting_run(exiting, way);
	exiting_hold(exiting);
}

void exiting_go(struct exiting *exiting)
{
	latch_open(&exiting->held);
}

void exiting_end(struct exiting *exiting)
{
	struct ending ending = looped_stop(&exiting->looped);

	child_check_equal(ending.result, -TMGR_EUNEXPECTED);
	child_check_equal(ending.stuck, 0);
	tmgr_loop_unref(exiting->loop);
}

void exiting_in_a_child(int (*body)(void *number), int number)
{
	static struct child child;

	if (child_run(&child, body, &number) != 0)
		fail_msg("%d: %s", number, child.text);
}

void exiting_in_each_way(int (*body)(void *way))
{
	for (int way = 0; way < exiting_ways(); way++)
		exiting_in_a_child(body, way);
}

void exiting_in_each_way_but_main(int (*body)(void *way))
{
	for (int way = 0; way < exiting_ways(); way++)
		if (way != EXITING_MAIN)
			exiting_in_a_child(body, way);
}
