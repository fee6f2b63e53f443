/*
 * Coroutines: how they begin, what their handles tell, whom they end before. Cancelling them is in
 * test_coroutine_cancel.c.
 */
#include <errno.h>

#include "tests/support/looped.h"
#include "tests/support/recorded.h"

static int record(void *self, struct tmgr_context *context)
{
	recorder_add(&recorder, "%s", (const char *)self);
	return 0;
}

static int return_it(void *self, struct tmgr_context *context)
{
	return *(const int *)self;
}

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

/* ---- Beginning ------------------------------------------------------------------------------ */

static int begin_and_wait(void *self, struct tmgr_context *context)
{
	recorder_add(&recorder, "%s", (const char *)self);
	IS(tmgr_context_current() == context, true);
	tmgr_yield(context);
	recorder_add(&recorder, "%s'", (const char *)self);
	return 0;
}

static int spawn_at_once(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine_options options = { .name = "at once", .at_once = true };
	static char b[] = "b", c[] = "c";

	spawn(context, "a", begin_and_wait, "a");
	IS(tmgr_coroutine_spawn(context, begin_and_wait, b, &options, NULL), 0);
	recorder_add(&recorder, "back");
	IS(tmgr_context_current() == context, true);
	/* One that never waits, though nothing else can run. */
	IS(tmgr_coroutine_spawn(context, record, c, &options, NULL), 0);
	recorder_add(&recorder, "back");
	tmgr_yield(context);
	return 0;
}

static void one_spawned_at_once_runs_up_to_its_first_wait(void **state)
{
	assert_int_equal(looped_main(spawn_at_once, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "b back c back a b' a'");
}

struct outside {
	struct tmgr_context *context;
	struct tmgr_loop_call call;
	struct tmgr_future called;
	int at_once, in_turn;
};

/* On the loop's own stack. */
static void spawn_in_a_call(void *self)
{
	struct tmgr_coroutine_options options = { .name = "at once", .at_once = true };
	struct outside *outside = self;
	static char a[] = "a", b[] = "b";

	outside->at_once = tmgr_coroutine_spawn(outside->context, record, a, &options, NULL);
	outside->in_turn = tmgr_coroutine_spawn(outside->context, record, b, NULL, NULL);
	tmgr_future_complete(&outside->called, 0, NULL);
}

static int have_a_call_spawn(void *self, struct tmgr_context *context)
{
	struct outside *outside = self;

	outside->context = context;
	IS(tmgr_loop_post(tmgr_loop_current(), &outside->call, spawn_in_a_call, outside), 0);
	return tmgr_await(context, &outside->called, TMGR_NEVER, NULL);
}

static void a_call_of_the_loop_spawns_nothing_at_once(void **state)
{
	struct outside outside = { .at_once = 1, .in_turn = 1 };

	assert_int_equal(looped_main(have_a_call_spawn, &outside), 0);
	assert_int_equal(outside.at_once, -EINVAL);
	assert_int_equal(outside.in_turn, 0);
	assert_string_equal(recorder_text(&recorder), "b");
}

static int leave_a_call_that_spawns(void *self, struct tmgr_context *context)
{
	struct outside *outside = self;

	outside->context = context;
	return tmgr_loop_post(tmgr_loop_current(), &outside->call, spawn_in_a_call, outside);
}

static void with_the_context_of_one_that_has_ended_nothing_is_spawned(void **state)
{
	struct outside outside = { .at_once = 1, .in_turn = 1 };

	assert_int_equal(looped_main(leave_a_call_that_spawns, &outside), 0);
	assert_int_equal(outside.at_once, -EINVAL);
	assert_int_equal(outside.in_turn, -EINVAL);
	assert_string_equal(recorder_text(&recorder), "");
}

static int spawn_next_at_once(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine_options options = { .at_once = true };
	int *left = self;

	if (*left > 0) {
		(*left)--;
		IS(tmgr_coroutine_spawn(context, spawn_next_at_once, left, &options, NULL), 0);
	}
	recorder_add(&recorder, "%d", *left);
	return 0;
}

static void at_once_nests(void **state)
{
	int left = 200;

	assert_int_equal(looped_main(spawn_next_at_once, &left), 0);
	assert_int_equal(left, 0);
}

static int spawn_badly(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine_options at_once = { .at_once = true };
	struct tmgr_loop *loop = tmgr_loop_current();
	struct tmgr_coroutine *coroutine;

	IS(tmgr_coroutine_spawn(NULL, record, NULL, NULL, NULL), -EINVAL);
	IS(tmgr_coroutine_spawn(context, NULL, NULL, NULL, NULL), -EINVAL);
	IS(tmgr_loop_spawn(NULL, record, NULL, NULL, NULL), -EINVAL);
	IS(tmgr_loop_spawn(loop, NULL, NULL, NULL, NULL), -EINVAL);
	IS(tmgr_loop_spawn(loop, record, NULL, &at_once, NULL), -EINVAL);
	IS(tmgr_coroutine_await(context, NULL, TMGR_NEVER, NULL), -EINVAL);
	IS(tmgr_coroutine_cancel(NULL, 0, NULL), -EINVAL);
	IS(tmgr_coroutine_future(NULL) == NULL, true);
	IS(tmgr_coroutine_result(NULL) == NULL, true);
	IS(tmgr_coroutine_ref(NULL) == NULL, true);
	IS(tmgr_coroutine_set_value(NULL, NULL), -EINVAL);
	tmgr_coroutine_unref(NULL);
	coroutine = spawned(context, "a name that is much longer than what is kept of names",
		wait_for_ever, NULL);
	tmgr_coroutine_cancel(coroutine, 0, NULL);
	IS(awaited(context, coroutine), -ECANCELED);
	return 0;
}

static int spawn_on_a_thread(void *self, struct tmgr_context *context)
{
	IS(tmgr_coroutine_spawn(context, record, NULL, NULL, NULL), -EINVAL);
	IS(tmgr_coroutine_set_value(context, NULL), -EINVAL);
	return 0;
}

static void bad_arguments_are_refused(void **state)
{
	struct tmgr_loop *loop;

	assert_int_equal(looped_main(spawn_badly, NULL), 0);
	assert_int_equal(hosted_run(tmgr_task_function(spawn_on_a_thread, NULL)).result, 0);
	assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
	assert_int_equal(tmgr_loop_spawn(loop, record, NULL, NULL, NULL), -ESHUTDOWN);
	tmgr_loop_unref(loop);
}

static int spawn_up_to_the_limit(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutines[3], *other;

	for (int i = 0; i < 3; i++)
		coroutines[i] = spawned(context, NULL, wait_for_ever, NULL);
	IS(tmgr_coroutine_spawn(context, wait_for_ever, NULL, NULL, &other), -EAGAIN);
	IS(tmgr_loop_spawn(tmgr_loop_current(), wait_for_ever, NULL, NULL, &other), -EAGAIN);
	tmgr_coroutine_cancel(coroutines[0], 0, NULL);
	IS(awaited(context, coroutines[0]), -ECANCELED);
	coroutines[0] = spawned(context, NULL, wait_for_ever, NULL);
	for (int i = 0; i < 3; i++) {
		tmgr_coroutine_cancel(coroutines[i], 0, NULL);
		IS(awaited(context, coroutines[i]), -ECANCELED);
	}
	return 0;
}

static void a_loop_has_no_more_coroutines_than_its_options_allow(void **state)
{
	struct tmgr_loop_options options = { .main = spawn_up_to_the_limit, .coroutines_max = 4 };

	assert_int_equal(looped_run(&options).result, 0);
}

/* ---- Handles -------------------------------------------------------------------------------- */

static int set_a_value(void *self, struct tmgr_context *context)
{
	IS(tmgr_coroutine_set_value(context, &recorder), 0);
	IS(tmgr_coroutine_set_value(context, self), 0);
	tmgr_yield(context);
	return 0;
}

static int await_values(void *self, struct tmgr_context *context)
{
	static const int failure = -EIO, positive = 3;
	struct tmgr_coroutine *coroutine = spawned(context, "value", set_a_value, self);
	void *value = NULL;
	int error = 1;

	IS(tmgr_future_result(tmgr_coroutine_future(coroutine), &error, &value), -EAGAIN);
	IS(tmgr_coroutine_await(context, coroutine, TMGR_NOW, &value), -ETIMEDOUT);
	IS(value == NULL, true);
	IS(tmgr_coroutine_await(context, coroutine, TMGR_NEVER, &value), 0);
	IS(value == self, true);
	/* Once more, and when it has long ended. */
	value = NULL;
	IS(tmgr_coroutine_await(context, coroutine, TMGR_NOW, &value), 0);
	IS(value == self, true);
	IS(tmgr_future_result(tmgr_coroutine_future(coroutine), &error, &value), 0);
	IS(error, 0);
	IS(tmgr_future_result(tmgr_coroutine_result(coroutine), &error, &value), 0);
	IS(error, 0);
	IS(value == self, true);
	IS(tmgr_coroutine_cancel(coroutine, 0, NULL), -EALREADY);
	IS(tmgr_coroutine_await(context, coroutine, TMGR_NOW, NULL), 0);
	tmgr_coroutine_unref(coroutine);
	IS(awaited(context, spawned(context, "failure", return_it, &failure)), -EIO);
	IS(awaited(context, spawned(context, "positive", return_it, &positive)), -TMGR_EFAILED);
	return 0;
}

static void awaiting_gives_what_the_function_returned_and_its_value(void **state)
{
	int value;

	assert_int_equal(looped_main(await_values, &value), 0);
}

static int join_late(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine = spawned(context, "late", wait_for_ever, NULL);

	IS(tmgr_coroutine_await(context, coroutine, tmgr_after(2 * TMGR_MILLISECOND), NULL),
		-ETIMEDOUT);
	IS(tmgr_future_done(tmgr_coroutine_future(coroutine)), false);
	IS(tmgr_token_fired(tmgr_context_token(context)), false);
	IS(tmgr_coroutine_cancel(coroutine, 0, NULL), 0);
	IS(awaited(context, coroutine), -ECANCELED);
	return 0;
}

static void a_join_with_a_deadline_lets_the_coroutine_go_on(void **state)
{
	assert_int_equal(looped_main(join_late, NULL), 0);
}

static int keep_handles(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *first = spawned(context, "first", record, "first"), *other;

	IS(tmgr_coroutine_ref(first) == first, true);
	settle(context);
	/* Its memory is not used again while there is a handle. */
	other = spawned(context, "other", record, "other");
	IS(other != first, true);
	settle(context);
	IS(tmgr_future_done(tmgr_coroutine_future(first)), true);
	tmgr_coroutine_unref(first);
	IS(awaited(context, first), 0);
	IS(awaited(context, other), 0);
	return 0;
}

static struct tmgr_coroutine *itself;

static int wait_for_its_own_end(void *self, struct tmgr_context *context)
{
	IS(tmgr_coroutine_join(context, itself, tmgr_after(TMGR_MILLISECOND)), -EDEADLK);
	IS(tmgr_coroutine_await(context, itself, tmgr_after(TMGR_MILLISECOND), NULL), -EDEADLK);
	IS(tmgr_coroutine_join(NULL, itself, tmgr_after(TMGR_MILLISECOND)), -EDEADLK);
	return 0;
}

static int have_one_wait_for_itself(void *self, struct tmgr_context *context)
{
	itself = spawned(context, "itself", wait_for_its_own_end, NULL);
	return awaited(context, itself);
}

static void one_that_waits_for_its_own_end_is_told(void **state)
{
	assert_int_equal(looped_main(have_one_wait_for_itself, NULL), 0);
}

static void a_handle_is_good_after_the_end(void **state)
{
	assert_int_equal(looped_main(keep_handles, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "first other");
}

static int await_one(void *self, struct tmgr_context *context)
{
	IS(tmgr_coroutine_await(context, self, TMGR_NEVER, NULL), -EIO);
	recorder_add(&recorder, "%s", tmgr_context_name(context));
	return 0;
}

static int await_thrice(void *self, struct tmgr_context *context)
{
	static const int failure = -EIO;
	struct tmgr_coroutine *one = spawned(context, "one", return_it, &failure);

	spawn(context, "a", await_one, one);
	spawn(context, "b", await_one, one);
	spawn(context, "c", await_one, one);
	settle(context);
	tmgr_coroutine_unref(one);
	return 0;
}

static void several_may_await_one(void **state)
{
	assert_int_equal(looped_main(await_thrice, NULL), 0);
	assert_true(recorder_has(&recorder, "loop/a") || recorder_has(&recorder, "a"));
	assert_true(recorder_has(&recorder, "b"));
	assert_true(recorder_has(&recorder, "c"));
}

/* ---- Errors --------------------------------------------------------------------------------- */

static int fail_with_text(void *self, struct tmgr_context *context)
{
	return tmgr_fail(context, -ENOSPC, "%s is full", (const char *)self);
}

static int have_others_fail(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *owned = spawned(context, "owned", fail_with_text, "owned");

	spawn(context, "nobody's", fail_with_text, "the disk");
	IS(awaited(context, owned), -ENOSPC);
	return 0;
}

static void the_error_of_one_that_nobody_owns_stands_in_the_report(void **state)
{
	struct tmgr_loop_options options = { .main = have_others_fail };
	const struct tmgr_report *report;
	struct looped looped;

	looped_start(&looped, &options);
	assert_int_equal(runner_join(&looped.hosted.runner), -ENOSPC);
	report = tmgr_manager_report(looped.hosted.manager);
	assert_int_equal(report->errors, 1);
	assert_int_equal(report->exit_code, 1);
	assert_int_equal(report->cause->error, -ENOSPC);
	assert_string_equal(report->cause->name, "nobody's");
	assert_string_equal(report->cause->text, "the disk is full");
	assert_int_equal(report->cause->stage, TMGR_STAGE_EXECUTE);
	tmgr_manager_destroy(looped.hosted.manager);
	tmgr_loop_unref(looped.loop);
}

/* ---- Families ------------------------------------------------------------------------------- */

static int64_t later_ns;

static int end_later(void *self, struct tmgr_context *context)
{
	int r = tmgr_sleep(context, later_ns);

	recorder_add(&recorder, "child:%d", r);
	return r;
}

static int grandparent(void *self, struct tmgr_context *context)
{
	spawn(context, "grandchild", end_later, NULL);
	return 0;
}

static int leave_children(struct probe *probe, struct tmgr_context *context)
{
	spawn(context, "child", end_later, NULL);
	spawn(context, "parent", grandparent, NULL);
	/* The child has begun, and then the grandchild. */
	tmgr_yield(context);
	tmgr_yield(context);
	return 0;
}

static void run_parent(struct probe *parent, int result)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct tmgr_handle handle;
	struct tmgr_task_options on = { .loop = looped_add(manager, "loop", NULL),
		.ret_handle = &handle };
	struct runner runner;

	assert_int_equal(
		tmgr_manager_add_task_with(manager, "parent", probe_task(parent), TMGR_ERROR, &on),
		0);
	runner_start(&runner, manager, NULL);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	recorder_add(&recorder, "ended");
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), result);
	tmgr_handle_release(handle);
	tmgr_manager_destroy(manager);
}

static void what_a_hosted_task_spawned_ends_before_it(void **state)
{
	struct probe parent = PROBE(.name = "parent", .end = PROBE_RETURNS,
		.on_execute = leave_children);

	later_ns = 3 * TMGR_MILLISECOND;
	run_parent(&parent, 0);
	assert_string_equal(recorder_text(&recorder), "child:0 child:0 ended");
}

static void a_hosted_task_that_fails_cancels_what_it_spawned(void **state)
{
	struct probe parent = PROBE(.name = "parent", .end = PROBE_RETURNS,
		.on_execute = leave_children, .execute_result = -EIO, .fail_text = "bad");

	later_ns = TMGR_HOUR;
	run_parent(&parent, -EIO);
	assert_string_equal(recorder_text(&recorder), "child:-125 child:-125 ended");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(one_spawned_at_once_runs_up_to_its_first_wait),
		recorded_test(a_call_of_the_loop_spawns_nothing_at_once),
		recorded_test(with_the_context_of_one_that_has_ended_nothing_is_spawned),
		recorded_test(at_once_nests),
		recorded_test(bad_arguments_are_refused),
		recorded_test(a_loop_has_no_more_coroutines_than_its_options_allow),
		recorded_test(awaiting_gives_what_the_function_returned_and_its_value),
		recorded_test(a_join_with_a_deadline_lets_the_coroutine_go_on),
		recorded_test(one_that_waits_for_its_own_end_is_told),
		recorded_test(a_handle_is_good_after_the_end),
		recorded_test(several_may_await_one),
		recorded_test(the_error_of_one_that_nobody_owns_stands_in_the_report),
		recorded_test(what_a_hosted_task_spawned_ends_before_it),
		recorded_test(a_hosted_task_that_fails_cancels_what_it_spawned),
	};

	return cmocka_run_group_tests_name("coroutine", tests, NULL, NULL);
}
