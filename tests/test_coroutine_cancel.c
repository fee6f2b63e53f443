/*
 * Cancelling coroutines: whom it reaches, what it leaves alone, and who hears of it when.
 */
#include <errno.h>
#include <unistd.h>

#include <taskmgr/channel.h>

#include "tests/support/looped.h"
#include "tests/support/recorded.h"

static int record(void *self, struct tmgr_context *context)
{
	recorder_add(&recorder, "%s", (const char *)self);
	return 0;
}

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	int r = tmgr_sleep_until(context, TMGR_NEVER);

	recorder_add(&recorder, "%s:%d", (const char *)self, r);
	return r;
}

/* ---- One ------------------------------------------------------------------------------------ */

static int cancel_new_ones(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *a = spawned(context, "a", record, "a");
	struct tmgr_coroutine *b = spawned(context, "b", record, "b");

	IS(tmgr_coroutine_cancel(a, 0, NULL), 0);
	IS(tmgr_future_done(tmgr_coroutine_future(a)), false);
	IS(awaited(context, a), -ECANCELED);
	IS(awaited(context, b), 0);
	return 0;
}

static void one_that_is_cancelled_before_it_began_never_runs(void **state)
{
	assert_int_equal(looped_main(cancel_new_ones, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "b");
}

/* Each kind of wait, in a coroutine that has been cancelled. */
static int wait_after_the_cancel(void *self, struct tmgr_context *context)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct tmgr_channel *channel = self;
	struct tmgr_cause cause;
	int item = 0;

	IS(tmgr_sleep_until(context, TMGR_NEVER), -ECANCELED);
	IS(tmgr_token_cause(tmgr_context_token(context), &cause), 0);
	IS(cause.code, -EPIPE);
	IS(cause.reason, TMGR_REASON_CANCELLED);
	IS_TEXT(cause.text, "enough");
	IS(tmgr_context_cancelled(context), true);
	IS(tmgr_sleep(context, 0), -ECANCELED);
	IS(tmgr_yield(context), -ECANCELED);
	IS(tmgr_future_wait(context, &future, TMGR_NEVER), -ECANCELED);
	IS(tmgr_await(context, &future, TMGR_NEVER, NULL), -ECANCELED);
	IS(tmgr_future_done(&future), false);
	/* There is room, but who was cancelled takes nothing. */
	IS(tmgr_channel_send(context, channel, &item, TMGR_NEVER), -ECANCELED);
	IS(tmgr_wait_fd(context, STDERR_FILENO, TMGR_FD_WRITE, TMGR_NEVER), -ECANCELED);
	IS(tmgr_loop_wait_idle(context, TMGR_NEVER), -ECANCELED);
	IS(tmgr_coroutine_spawn(context, record, NULL, NULL, NULL), -ECANCELED);
	recorder_add(&recorder, "over");
	return 0;
}

static int cancel_with_a_cause(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine = spawned(context, "c", wait_after_the_cancel, self);

	tmgr_yield(context);
	IS(tmgr_coroutine_cancel(coroutine, -EPIPE, "enough"), 0);
	IS(tmgr_coroutine_cancel(coroutine, -EIO, "again"), -EALREADY);
	IS(tmgr_future_done(tmgr_coroutine_future(coroutine)), false);
	recorder_add(&recorder, "cancelled");
	IS(awaited(context, coroutine), -ECANCELED);
	return 0;
}

static void a_cancelled_one_runs_on_and_none_of_its_waits_does(void **state)
{
	struct tmgr_channel *channel;

	assert_int_equal(tmgr_channel_create(sizeof(int), 1, &channel), 0);
	assert_int_equal(looped_main(cancel_with_a_cause, channel), 0);
	assert_int_equal(tmgr_channel_count(channel), 0);
	tmgr_channel_unref(channel);
	assert_string_equal(recorder_text(&recorder), "cancelled over");
}

static int fail_when_cancelled(void *self, struct tmgr_context *context)
{
	tmgr_sleep_until(context, TMGR_NEVER);
	return tmgr_fail(context, -ENOSPC, "no room to save");
}

static int cancel_one_that_fails(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine = spawned(context, "saver", fail_when_cancelled, NULL);

	tmgr_yield(context);
	tmgr_coroutine_cancel(coroutine, 0, NULL);
	IS(awaited(context, coroutine), -ECANCELED);
	return 0;
}

static void another_error_of_a_cancelled_one_stands_in_the_report(void **state)
{
	struct tmgr_loop_options options = { .main = cancel_one_that_fails };
	struct ending ending = looped_run(&options);

	assert_int_equal(ending.result, -ENOSPC);
	assert_int_equal(ending.errors, 1);
	assert_string_equal(ending.text, "no room to save");
}

static int take_long_to_end(void *self, struct tmgr_context *context)
{
	IS(tmgr_sleep_until(context, TMGR_NEVER), -ECANCELED);
	recorder_add(&recorder, "cancelled");
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	IS(tmgr_sleep(context, 2 * TMGR_MILLISECOND), 0);
	tmgr_uninterrupted_end(context);
	recorder_add(&recorder, "over");
	return 0;
}

static int await_result(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine = self;

	IS(tmgr_await(context, tmgr_coroutine_result(coroutine), TMGR_NEVER, NULL), -ECANCELED);
	recorder_add(&recorder, "settled");
	return 0;
}

static int cancel_and_look(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine = spawned(context, "slow", take_long_to_end, NULL);

	spawn(context, "looker", await_result, coroutine);
	tmgr_yield(context);
	tmgr_coroutine_cancel(coroutine, 0, NULL);
	/* Also for one who asks only now. */
	IS(tmgr_future_done(tmgr_coroutine_result(coroutine)), true);
	IS(tmgr_future_done(tmgr_coroutine_future(coroutine)), false);
	IS(awaited(context, coroutine), -ECANCELED);
	recorder_add(&recorder, "awaited");
	return 0;
}

static void a_result_settles_at_the_cancel_and_the_future_at_the_end(void **state)
{
	assert_int_equal(looped_main(cancel_and_look, NULL), 0);
	assert_true(recorder_position(&recorder, "settled") < recorder_position(&recorder, "over"));
	assert_true(recorder_position(&recorder, "awaited") > recorder_position(&recorder, "over"));
}

/* ---- What it awaits ------------------------------------------------------------------------- */

static int await_a_slow_one(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine = spawned(context, "slow", take_long_to_end, NULL);

	IS(awaited(context, coroutine), -ECANCELED);
	recorder_add(&recorder, "awaited");
	return 0;
}

static int cancel_who_awaits(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine = spawned(context, "awaiter", await_a_slow_one, NULL);

	tmgr_yield(context);
	tmgr_yield(context);
	tmgr_coroutine_cancel(coroutine, 0, NULL);
	IS(awaited(context, coroutine), -ECANCELED);
	recorder_add(&recorder, "main");
	return 0;
}

static void a_cancel_passes_on_and_awaiting_returns_when_the_awaited_function_has(void **state)
{
	assert_int_equal(looped_main(cancel_who_awaits, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "cancelled over awaited main");
}

struct sibling {
	struct tmgr_coroutine *coroutine;
	bool shielded;
};

static int await_sibling(void *self, struct tmgr_context *context)
{
	struct sibling *sibling = self;

	if (sibling->shielded)
		return tmgr_future_wait(
			context, tmgr_coroutine_future(sibling->coroutine), TMGR_NEVER);
	return tmgr_coroutine_await(context, sibling->coroutine, TMGR_NEVER, NULL);
}

static int cancel_who_awaits_a_sibling(void *self, struct tmgr_context *context)
{
	struct sibling *sibling = self;
	struct tmgr_coroutine *awaiter;

	sibling->coroutine = spawned(context, "sibling", wait_for_ever, "sibling");
	awaiter = spawned(context, "awaiter", await_sibling, sibling);
	tmgr_yield(context);
	tmgr_coroutine_cancel(awaiter, 0, NULL);
	IS(awaited(context, awaiter), -ECANCELED);
	IS(tmgr_future_done(tmgr_coroutine_future(sibling->coroutine)), !sibling->shielded);
	tmgr_coroutine_cancel(sibling->coroutine, 0, NULL);
	IS(awaited(context, sibling->coroutine), -ECANCELED);
	return 0;
}

static void a_cancel_reaches_what_is_awaited_wherever_it_hangs(void **state)
{
	struct sibling sibling = { .shielded = false };

	assert_int_equal(looped_main(cancel_who_awaits_a_sibling, &sibling), 0);
}

static void waiting_without_awaiting_leaves_the_other_alone(void **state)
{
	struct sibling sibling = { .shielded = true };

	assert_int_equal(looped_main(cancel_who_awaits_a_sibling, &sibling), 0);
}

static int await_future(void *self, struct tmgr_context *context)
{
	IS(tmgr_await(context, self, TMGR_NEVER, NULL), -ECANCELED);
	return 0;
}

static int wait_future(void *self, struct tmgr_context *context)
{
	IS(tmgr_future_wait(context, self, TMGR_NEVER), -ECANCELED);
	return 0;
}

static int cancel_who_await_futures(void *self, struct tmgr_context *context)
{
	struct tmgr_future awaited_one = TMGR_FUTURE_INIT, waited_for = TMGR_FUTURE_INIT;
	struct tmgr_coroutine *a, *b;
	int error;

	a = spawned(context, "a", await_future, &awaited_one);
	b = spawned(context, "b", wait_future, &waited_for);
	tmgr_yield(context);
	tmgr_coroutine_cancel(a, 0, NULL);
	tmgr_coroutine_cancel(b, 0, NULL);
	IS(awaited(context, a), -ECANCELED);
	IS(awaited(context, b), -ECANCELED);
	IS(tmgr_future_result(&awaited_one, &error, NULL), 0);
	IS(error, -ECANCELED);
	IS(tmgr_future_done(&waited_for), false);
	return 0;
}

static void an_awaited_future_is_cancelled_and_one_waited_for_is_not(void **state)
{
	assert_int_equal(looped_main(cancel_who_await_futures, NULL), 0);
}

static int be_shielded(void *self, struct tmgr_context *context)
{
	struct tmgr_future *cancelled = self;

	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	recorder_add(&recorder, "begun");
	IS(tmgr_future_wait(context, cancelled, TMGR_NEVER), 0);
	IS(tmgr_context_cancelled(context), true);
	IS(tmgr_yield(context), 0);
	tmgr_uninterrupted_end(context);
	IS(tmgr_yield(context), -ECANCELED);
	/* Its own deadline ends a wait in it. */
	tmgr_uninterrupted_begin(context, tmgr_after(TMGR_MILLISECOND));
	IS(tmgr_sleep_until(context, TMGR_NEVER), -ETIMEDOUT);
	tmgr_uninterrupted_end(context);
	recorder_add(&recorder, "over");
	return 0;
}

static int cancel_a_shielded_one(void *self, struct tmgr_context *context)
{
	struct tmgr_future cancelled;
	struct tmgr_coroutine *coroutine;

	tmgr_future_init(&cancelled);
	coroutine = spawned(context, "shielded", be_shielded, &cancelled);
	tmgr_yield(context);
	tmgr_coroutine_cancel(coroutine, 0, NULL);
	tmgr_yield(context);
	tmgr_future_complete(&cancelled, 0, NULL);
	IS(awaited(context, coroutine), -ECANCELED);
	tmgr_future_fini(&cancelled);
	return 0;
}

static void an_uninterrupted_scope_is_not_cut_short(void **state)
{
	assert_int_equal(looped_main(cancel_a_shielded_one, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "begun over");
}

/* ---- Others of the same ---------------------------------------------------------------------- */

struct shared {
	struct tmgr_future future;
	struct tmgr_channel *channel;
	int ends[2];
	int which, woken;
};

static int wait_with_others(void *self, struct tmgr_context *context)
{
	struct shared *shared = self;
	int item, r;

	if (shared->which == 0)
		r = tmgr_future_wait(context, &shared->future, TMGR_NEVER);
	else if (shared->which == 1)
		r = tmgr_channel_receive(context, shared->channel, &item, TMGR_NEVER);
	else
		r = tmgr_wait_fd(context, shared->ends[0], TMGR_FD_READ, TMGR_NEVER);
	shared->woken += r >= 0;
	return r < 0 ? r : 0;
}

static int cancel_the_middle_one(void *self, struct tmgr_context *context)
{
	struct shared *shared = self;
	struct tmgr_coroutine *three[3];
	int item = 0;

	for (int i = 0; i < 3; i++)
		three[i] = spawned(context, "one of three", wait_with_others, shared);
	tmgr_yield(context);
	tmgr_coroutine_cancel(three[1], 0, NULL);
	IS(awaited(context, three[1]), -ECANCELED);
	IS(tmgr_future_done(tmgr_coroutine_future(three[0])), false);
	IS(tmgr_future_done(tmgr_coroutine_future(three[2])), false);
	tmgr_future_complete(&shared->future, 0, NULL);
	if (shared->which == 1)
		for (int i = 0; i < 2; i++)
			IS(tmgr_channel_send(context, shared->channel, &item, TMGR_NEVER), 0);
	IS(write(shared->ends[1], "x", 1), 1);
	IS(awaited(context, three[0]), 0);
	IS(awaited(context, three[2]), 0);
	IS(shared->woken, 2);
	return 0;
}

static void cancelling_one_waiter_touches_no_other_of_the_same_thing(void **state)
{
	for (int which = 0; which < 3; which++) {
		struct shared shared = { .which = which };

		assert_int_equal(tmgr_channel_create(sizeof(int), 0, &shared.channel), 0);
		assert_int_equal(pipe(shared.ends), 0);
		assert_int_equal(looped_main(cancel_the_middle_one, &shared), 0);
		tmgr_channel_unref(shared.channel);
		close(shared.ends[0]);
		close(shared.ends[1]);
	}
}

/* ---- The context above ---------------------------------------------------------------------- */

static int spawn_and_wait(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_coroutine **ret = probe->user;

	ret[0] = spawned(context, "child", wait_for_ever, "child");
	ret[1] = spawned(context, "slow", take_long_to_end, NULL);
	tmgr_coroutine_result(ret[1]);
	tmgr_yield(context);
	latch_arrive(&probe->executing);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static bool is_settled(void *future)
{
	return tmgr_future_done(future);
}

static void cancelling_the_context_cancels_what_was_spawned_with_it(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_coroutine *children[2];
	struct probe parent = PROBE(.name = "parent", .end = PROBE_RETURNS,
		.on_execute = spawn_and_wait, .user = children);
	struct tmgr_handle handle;
	struct tmgr_task_options on = { .loop = looped_add(manager, "loop", NULL),
		.ret_handle = &handle };
	struct runner runner;
	int error;

	assert_int_equal(
		tmgr_manager_add_task_with(manager, "parent", probe_task(&parent), TMGR_ERROR, &on),
		0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&parent.executing, 2));
	assert_int_equal(tmgr_handle_cancel(handle, 0, NULL), 0);
	/* Here, where nobody has cancelled the coroutine itself, its result settles too. */
	assert_true(eventually(is_settled, tmgr_coroutine_result(children[1])));
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_true(tmgr_future_done(tmgr_coroutine_future(children[0])));
	assert_true(tmgr_future_done(tmgr_coroutine_future(children[1])));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			tmgr_future_result(tmgr_coroutine_future(children[i]), &error, NULL), 0);
		assert_int_equal(error, -ECANCELED);
		tmgr_coroutine_unref(children[i]);
	}
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_handle_release(handle);
	tmgr_manager_destroy(manager);
	assert_true(recorder_has(&recorder, "child:-125"));
}

/* In an uninterrupted scope until told: its result must settle before. */
static int deaf(void *self, struct tmgr_context *context)
{
	struct tmgr_future *go = self;

	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	IS(tmgr_future_wait(context, go, TMGR_NEVER), 0);
	tmgr_uninterrupted_end(context);
	return 0;
}

struct deafness {
	struct tmgr_future go;
	struct tmgr_coroutine *coroutine;
};

static int spawn_a_deaf_one(void *self, struct tmgr_context *context)
{
	struct deafness *deafness = self;

	deafness->coroutine = spawned(context, "deaf", deaf, &deafness->go);
	tmgr_yield(context);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int cancel_above(void *self, struct tmgr_context *context)
{
	struct deafness *deafness = self;
	struct tmgr_coroutine *parent = spawned(context, "parent", spawn_a_deaf_one, deafness);
	struct tmgr_future *result;
	int error;

	tmgr_yield(context);
	tmgr_yield(context);
	result = tmgr_coroutine_result(deafness->coroutine);
	IS(tmgr_future_done(result), false);
	tmgr_coroutine_cancel(parent, 0, NULL);
	IS(tmgr_future_wait(context, result, tmgr_after(5 * TMGR_SECOND)), 0);
	IS(tmgr_future_result(result, &error, NULL), 0);
	IS(error, -ECANCELED);
	IS(tmgr_future_done(tmgr_coroutine_future(deafness->coroutine)), false);
	tmgr_future_complete(&deafness->go, 0, NULL);
	IS(awaited(context, parent), -ECANCELED);
	IS(awaited(context, deafness->coroutine), -ECANCELED);
	return 0;
}

static void a_result_settles_when_the_context_above_is_cancelled(void **state)
{
	struct deafness deafness = { .go = TMGR_FUTURE_INIT };

	assert_int_equal(looped_main(cancel_above, &deafness), 0);
}

static int spawn_one_and_leave(void *self, struct tmgr_context *context)
{
	spawn(context, "left", record, "left");
	return 0;
}

static int cancel_the_next_in_its_place(void *self, struct tmgr_context *context)
{
	const struct tmgr_coroutine_options options = { .name = "parent", .at_once = true };
	struct tmgr_coroutine *next;

	/* What it spawned has not begun when it ends, and its memory would be the next one's. */
	IS(tmgr_coroutine_spawn(context, spawn_one_and_leave, NULL, &options, NULL), 0);
	next = spawned(context, "next", record, "next");
	IS(tmgr_coroutine_cancel(next, 0, NULL), 0);
	IS(awaited(context, next), -ECANCELED);
	return 0;
}

static void who_outlives_the_one_above_is_below_nobody_else(void **state)
{
	assert_int_equal(looped_main(cancel_the_next_in_its_place, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "left");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(one_that_is_cancelled_before_it_began_never_runs),
		recorded_test(a_cancelled_one_runs_on_and_none_of_its_waits_does),
		recorded_test(another_error_of_a_cancelled_one_stands_in_the_report),
		recorded_test(a_result_settles_at_the_cancel_and_the_future_at_the_end),
		recorded_test(
			a_cancel_passes_on_and_awaiting_returns_when_the_awaited_function_has),
		recorded_test(a_cancel_reaches_what_is_awaited_wherever_it_hangs),
		recorded_test(waiting_without_awaiting_leaves_the_other_alone),
		recorded_test(an_awaited_future_is_cancelled_and_one_waited_for_is_not),
		recorded_test(an_uninterrupted_scope_is_not_cut_short),
		recorded_test(cancelling_one_waiter_touches_no_other_of_the_same_thing),
		recorded_test(cancelling_the_context_cancels_what_was_spawned_with_it),
		recorded_test(a_result_settles_when_the_context_above_is_cancelled),
		recorded_test(who_outlives_the_one_above_is_below_nobody_else),
	};

	return cmocka_run_group_tests_name("cancelling coroutines", tests, NULL, NULL);
}
