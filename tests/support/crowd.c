#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/coroutine.h>

#include "tests/support/crowd.h"

void crowd_start(struct crowd *crowd)
{
	*crowd = (struct crowd){ .manager = tmgr_manager_create(NULL) };
	for (int i = 0; i < 2; i++) {
		char name[] = "loop0";

		name[4] += (char)i;
		if (tmgr_loop_create(NULL, &crowd->loops[i]) < 0 ||
			tmgr_manager_add_task(crowd->manager, name, tmgr_loop_task(crowd->loops[i]),
				TMGR_STRICT) < 0)
			abort();
	}
	runner_start(&crowd->runner, crowd->manager, NULL);
	if (!manager_reaches(crowd->manager, TMGR_MANAGER_RUNNING))
		abort();
}

static int execute(void *self, struct tmgr_context *context)
{
	struct member *member = self;

	atomic_store(&member->context, context);
	atomic_store(&member->begun, true);
	member->function(member, context);
	atomic_store(&member->context, NULL);
	return 0;
}

static int execute_as_coroutine(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine;
	int r = tmgr_coroutine_spawn(context, execute, self, NULL, &coroutine);

	if (r == 0) {
		r = tmgr_coroutine_await(context, coroutine, TMGR_NEVER, NULL);
		tmgr_coroutine_unref(coroutine);
	}
	return r;
}

static void act(void *argument, struct tmgr_context *context)
{
	struct member *member = argument;

	member->function(member, context);
}

void crowd_enter(
	struct crowd *crowd, struct member *member, enum seat seat, member_function *function)
{
	struct tmgr_task_options options = { .ret_handle = &member->handle };

	member->function = function;
	member->crowd = crowd;
	member->seat = seat;
	atomic_store(&member->begun, false);
	atomic_store(&member->context, NULL);
	for (size_t i = 0; i < sizeof(member->r) / sizeof(member->r[0]); i++)
		member->r[i] = 77;
	if (seat == SEAT_PLAIN) {
		member->actor = (struct actor)ACTOR_INIT;
		actor_start(&member->actor);
		actor_begin(&member->actor, act, member);
		return;
	}
	snprintf(member->name, sizeof(member->name), "member%u", ++crowd->entered);
	options.host = seat == SEAT_THREAD ? TMGR_HOST_THREAD : TMGR_HOST_POOL;
	if (seat >= SEAT_LOOP) {
		options.host = TMGR_HOST_LOOP;
		options.loop = crowd->loops[seat == SEAT_OTHER_LOOP];
	}
	if (tmgr_manager_add_execute_task_with(crowd->manager, member->name,
		    tmgr_task_function(
			    seat == SEAT_COROUTINE ? execute_as_coroutine : execute, member),
		    TMGR_ERROR, &options) < 0)
		abort();
}

struct looked_for {
	struct member *member;
	const char *what;
};

static bool coroutine_waits(void *argument)
{
	struct looked_for *wanted = argument;
	struct tmgr_context *context = atomic_load(&wanted->member->context);

	return strcmp(tmgr_context_waiting(context), wanted->what) == 0;
}

bool member_waits(struct member *member, const char *what)
{
	struct looked_for wanted = { member, what };

	if (member->seat == SEAT_PLAIN)
		return actor_settles_blocked(&member->actor);
	/* A snapshot shows tasks only. */
	if (member->seat == SEAT_COROUTINE)
		return eventually(coroutine_waits, &wanted);
	return task_waits(member->crowd->manager, member->name, what);
}

static bool has_begun(void *argument)
{
	return atomic_load(&((struct member *)argument)->begun);
}

void member_cancel(struct member *member)
{
	if (member->seat != SEAT_PLAIN && eventually(has_begun, member))
		tmgr_handle_cancel(member->handle, 0, "the test says so");
}

bool member_leaves(struct member *member)
{
	int r;

	if (member->seat == SEAT_PLAIN) {
		r = actor_finishes(&member->actor) ? 0 : -ETIMEDOUT;
		actor_quit(&member->actor);
		return r == 0;
	}
	r = tmgr_handle_wait(NULL, member->handle, tmgr_after(LATCH_LIMIT_S * TMGR_SECOND));
	if (r == 0)
		tmgr_handle_result(member->handle, &member->result);
	tmgr_handle_release(member->handle);
	return r == 0;
}

int crowd_end(struct crowd *crowd)
{
	int r;

	tmgr_manager_cancel(crowd->manager);
	r = runner_join(&crowd->runner);
	tmgr_manager_destroy(crowd->manager);
	for (int i = 0; i < 2; i++)
		tmgr_loop_unref(crowd->loops[i]);
	return r;
}

const char *seat_name(enum seat seat)
{
	static const char *const names[SEATS] = {
		[SEAT_PLAIN] = "a plain thread",
		[SEAT_THREAD] = "a thread",
		[SEAT_POOL] = "the pool",
		[SEAT_LOOP] = "a loop",
		[SEAT_OTHER_LOOP] = "another loop",
		[SEAT_COROUTINE] = "a coroutine",
	};

	return names[seat];
}
