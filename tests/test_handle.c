#include <errno.h>
#include <string.h>
#include <time.h>

#include <taskmgr/manager.h>

#include "tests/support/actor.h"
#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct tmgr_handle add_with_handle(
	struct tmgr_manager *manager, struct probe *probe, enum tmgr_policy policy)
{
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = { .ret_handle = &handle };

	assert_int_equal(tmgr_manager_add_task_with(
				 manager, probe->name, probe_task(probe), policy, &options),
		0);
	assert_ptr_equal(handle.manager, manager);
	return handle;
}

static struct tmgr_handle add_execute_with_handle(
	struct tmgr_manager *manager, struct probe *probe, enum tmgr_policy policy)
{
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = { .ret_handle = &handle };

	assert_int_equal(tmgr_manager_add_execute_task_with(
				 manager, probe->name, probe_execute_task(probe), policy, &options),
		0);
	return handle;
}

static void finish(struct tmgr_manager *manager, struct runner *runner)
{
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(runner), 0);
	tmgr_manager_destroy(manager);
}

static void a_task_cancelled_by_its_handle_ended_cleanly_and_alone(void **state)
{
	struct probe a = PROBE(.name = "a", .execute_result = -ECANCELED), b = PROBE(.name = "b");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle = add_with_handle(manager, &a, TMGR_STRICT);
	struct runner runner;
	int result = 1;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "b", probe_task(&b), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&a.executing, 1));
	assert_true(latch_arrived(&b.executing, 1));
	assert_int_equal(tmgr_handle_result(handle, &result), -EAGAIN);
	assert_int_equal(tmgr_handle_cancel(handle, -EIO, "not needed"), 0);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_int_equal(tmgr_handle_result(handle, &result), 0);
	assert_int_equal(result, -ECANCELED);
	assert_int_equal(tmgr_handle_cancel(handle, 0, NULL), -EALREADY);
	assert_int_equal(b.execute_ended, 0);
	assert_int_equal(tmgr_handle_release(handle), 0);
	finish(manager, &runner);
	assert_int_equal(a.cleaned_up, 1);
}

static void an_error_of_a_task_cancelled_by_its_handle_is_recorded_and_stops_nobody(void **state)
{
	struct probe a = PROBE(.name = "a", .execute_result = -EIO), b = PROBE(.name = "b");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle = add_with_handle(manager, &a, TMGR_STRICT);
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "b", probe_task(&b), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&b.executing, 1));
	assert_int_equal(tmgr_handle_cancel(handle, 0, NULL), 0);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_false(tmgr_token_fired(tmgr_manager_token(manager)));
	assert_int_equal(tmgr_handle_release(handle), 0);
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), -EIO);
	assert_string_equal(tmgr_manager_report(manager)->cause->name, "a");
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_CANCELLED);
	tmgr_manager_destroy(manager);
}

static struct tmgr_cause seen_cause;

static int note_cause(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_sleep_until(context, TMGR_NEVER);
	tmgr_token_cause(tmgr_context_token(context), &seen_cause);
	return 0;
}

static void the_task_sees_the_cause_its_canceller_gave(void **state)
{
	struct probe a = PROBE(.name = "a", .on_execute = note_cause, .end = PROBE_RETURNS);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle = add_with_handle(manager, &a, TMGR_STRICT);
	struct runner runner;

	(void)state;
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&a.executing, 1));
	assert_int_equal(tmgr_handle_cancel(handle, -ESTALE, "moved away"), 0);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_int_equal(seen_cause.reason, TMGR_REASON_CANCELLED);
	assert_int_equal(seen_cause.code, -ESTALE);
	assert_string_equal(seen_cause.text, "moved away");
	assert_int_equal(tmgr_handle_release(handle), 0);
	finish(manager, &runner);
}

static void a_cancelled_member_leaves_its_stop_group(void **state)
{
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b", .end = PROBE_RETURNS);
	struct latch hold = LATCH_INIT;
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle = add_with_handle(manager, &a, TMGR_STOP_GROUP);
	struct runner runner;

	(void)state;
	b.hold_execute = &hold;
	assert_int_equal(tmgr_manager_add_task(manager, "b", probe_task(&b), TMGR_STOP_GROUP), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&a.executing, 1));
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_handle_cancel(handle, 0, NULL), 0);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_false(tmgr_token_fired(tmgr_manager_token(manager)));
	/* Now b is the last. */
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_GROUP_DONE);
	assert_int_equal(tmgr_handle_release(handle), 0);
	tmgr_manager_destroy(manager);
}

static void the_result_is_what_the_task_returned(void **state)
{
	struct probe fails = PROBE(.name = "fails", .end = PROBE_RETURNS, .execute_result = -EIO);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle = add_execute_with_handle(manager, &fails, TMGR_ERROR);
	int result = 1;

	(void)state;
	assert_int_equal(tmgr_manager_run(manager, NULL), -EIO);
	assert_int_equal(tmgr_handle_result(handle, &result), 0);
	assert_int_equal(result, -EIO);
	assert_int_equal(tmgr_handle_result(handle, NULL), -EINVAL);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NOW), 0);
	assert_int_equal(tmgr_handle_cancel(handle, 0, NULL), -EALREADY);
	assert_int_equal(tmgr_handle_release(handle), 0);
	tmgr_manager_destroy(manager);
}

static void one_that_never_ran_has_the_result_ecanceled(void **state)
{
	struct probe a = PROBE(.name = "a"), x = PROBE(.name = "x");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle of_task = add_with_handle(manager, &a, TMGR_STRICT);
	struct tmgr_handle of_execute = add_execute_with_handle(manager, &x, TMGR_STRICT);
	int result = 1;

	(void)state;
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(tmgr_handle_wait(NULL, of_task, TMGR_NOW), 0);
	assert_int_equal(tmgr_handle_result(of_task, &result), 0);
	assert_int_equal(result, -ECANCELED);
	result = 1;
	assert_int_equal(tmgr_handle_result(of_execute, &result), 0);
	assert_int_equal(result, -ECANCELED);
	assert_int_equal(tmgr_handle_release(of_task), 0);
	assert_int_equal(tmgr_handle_release(of_execute), 0);
	tmgr_manager_destroy(manager);
}

static void one_cancelled_before_it_began_does_not_begin(void **state)
{
	struct probe a = PROBE(.name = "a"), x = PROBE(.name = "x");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle = add_execute_with_handle(manager, &x, TMGR_STRICT);
	struct runner runner;
	int result = 1;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	assert_int_equal(tmgr_handle_cancel(handle, 0, NULL), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&a.executing, 1));
	assert_int_equal(tmgr_handle_wait(NULL, handle, tmgr_after(20 * TMGR_SECOND)), 0);
	assert_int_equal(tmgr_handle_result(handle, &result), 0);
	assert_int_equal(result, -ECANCELED);
	assert_int_equal(tmgr_handle_release(handle), 0);
	finish(manager, &runner);
	assert_int_equal(x.executed, 0);
	assert_int_equal(x.destroyed, 1);
}

static void a_released_handle_and_none_are_stale_everywhere(void **state)
{
	struct probe a = PROBE(.name = "a");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle released = add_with_handle(manager, &a, TMGR_STRICT);
	struct tmgr_handle stale[4] = { { 0 } };
	int result = 1;

	(void)state;
	assert_int_equal(tmgr_handle_release(released), 0);
	stale[1] = released;
	stale[2] = (struct tmgr_handle){ manager, released.id + 1000003 };
	stale[3] = (struct tmgr_handle){ manager, 0 };
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(tmgr_handle_cancel(stale[i], 0, NULL), -ENOENT);
		assert_int_equal(tmgr_handle_wait(NULL, stale[i], TMGR_NOW), -ENOENT);
		assert_int_equal(tmgr_handle_result(stale[i], &result), -ENOENT);
		assert_int_equal(tmgr_handle_release(stale[i]), -ENOENT);
	}
	assert_int_equal(result, 1);
	tmgr_manager_destroy(manager);
}

static void a_new_handle_is_not_taken_for_an_old_one(void **state)
{
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle old = add_with_handle(manager, &a, TMGR_STRICT), now;

	(void)state;
	assert_int_equal(tmgr_handle_release(old), 0);
	now = add_with_handle(manager, &b, TMGR_STRICT);
	assert_int_equal(tmgr_handle_cancel(old, 0, NULL), -ENOENT);
	assert_int_equal(tmgr_handle_release(old), -ENOENT);
	assert_int_equal(tmgr_handle_release(now), 0);
	tmgr_manager_destroy(manager);
}

static void a_wait_ends_at_its_deadline(void **state)
{
	struct probe a = PROBE(.name = "a");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle = add_with_handle(manager, &a, TMGR_STRICT);
	int64_t end = tmgr_after(20 * TMGR_MILLISECOND);

	(void)state;
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NOW), -ETIMEDOUT);
	assert_int_equal(tmgr_handle_wait(NULL, handle, end), -ETIMEDOUT);
	assert_true(tmgr_now() >= end);
	assert_int_equal(tmgr_handle_release(handle), 0);
	tmgr_manager_destroy(manager);
}

static struct tmgr_handle waited_for;
static int wait_result;

static int wait_for_other(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	wait_result = tmgr_handle_wait(context, waited_for, TMGR_NEVER);
	return wait_result;
}

static void a_cancel_of_who_waits_ends_the_wait(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe held = PROBE(.name = "held", .hold_execute = &hold);
	struct probe waiter = PROBE(.name = "waiter", .on_execute = wait_for_other);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	wait_result = 1;
	waited_for = add_with_handle(manager, &held, TMGR_STRICT);
	assert_int_equal(
		tmgr_manager_add_task(manager, "waiter", probe_task(&waiter), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&waiter.executing, 1));
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_true(task_reaches(manager, "waiter", TMGR_STATE_ENDED));
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(wait_result, -ECANCELED);
	assert_int_equal(tmgr_handle_release(waited_for), 0);
	tmgr_manager_destroy(manager);
}

static int wait_after_the_stop(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_sleep_until(context, TMGR_NEVER);
	wait_result = tmgr_handle_wait(context, waited_for, TMGR_NEVER);
	return 0;
}

/* One begun after the cancel takes nothing, even if it is there. */
static void a_wait_after_the_stop_is_cancelled_though_the_task_has_ended(void **state)
{
	struct probe ended = PROBE(.name = "ended", .end = PROBE_RETURNS);
	struct probe waiter = PROBE(.name = "waiter", .on_execute = wait_after_the_stop);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	wait_result = 1;
	waited_for = add_with_handle(manager, &ended, TMGR_ERROR);
	assert_int_equal(
		tmgr_manager_add_task(manager, "waiter", probe_task(&waiter), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&waiter.executing, 1));
	assert_int_equal(tmgr_handle_wait(NULL, waited_for, TMGR_NEVER), 0);
	finish(manager, &runner);
	assert_int_equal(wait_result, -ECANCELED);
}

static void a_task_is_found_by_its_path_as_long_as_it_or_a_handle_is_there(void **state)
{
	struct probe a = PROBE(.name = "a"), x = PROBE(.name = "x", .end = PROBE_RETURNS);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle of_x = add_execute_with_handle(manager, &x, TMGR_ERROR), found, other;
	struct runner runner;
	int result = 1;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_find(manager, "a", &found), 0);
	assert_int_equal(tmgr_manager_find(manager, "b", &other), -ENOENT);
	assert_int_equal(tmgr_manager_find(manager, "a/b", &other), -ENOENT);
	assert_int_equal(tmgr_manager_find(manager, "", &other), -ENOENT);
	runner_start(&runner, manager, NULL);
	assert_int_equal(tmgr_handle_wait(NULL, of_x, TMGR_NEVER), 0);
	assert_int_equal(tmgr_manager_find(manager, "x", &other), 0);
	assert_int_equal(tmgr_handle_result(other, &result), 0);
	assert_int_equal(result, 0);
	tmgr_handle_release(of_x);
	tmgr_handle_release(other);
	assert_int_equal(tmgr_manager_find(manager, "x", &other), -ENOENT);
	assert_int_equal(tmgr_handle_cancel(found, 0, NULL), 0);
	assert_int_equal(tmgr_handle_wait(NULL, found, TMGR_NEVER), 0);
	assert_int_equal(tmgr_handle_release(found), 0);
	finish(manager, &runner);
}

static int look_at_a_stuck_one(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = { .stop_ns = 50 * TMGR_MILLISECOND,
		.ret_handle = &handle };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;
	int result = 1;

	(void)argument;
	child_check_equal(tmgr_manager_add_task_with(
				  manager, "deaf", probe_task(&deaf), TMGR_STRICT, &options),
		0);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never, 1));
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	child_check_equal(tmgr_handle_wait(NULL, handle, TMGR_NOW), 0);
	child_check_equal(tmgr_handle_result(handle, &result), 0);
	child_check_equal(result, -TMGR_ESTUCK);
	child_check_equal(tmgr_handle_release(handle), 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_stuck_one_has_the_result_estuck(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, look_at_a_stuck_one, NULL), 0);
}

static struct tmgr_handle released_in_destroy[2];
static int released_with[2];

static void release_in_destroy(void *self)
{
	size_t i = self == &released_with[1];

	released_with[i] = tmgr_handle_release(released_in_destroy[i]);
}

static int return_at_once(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	return 0;
}

/* One releases its own handle as it ends, one that of a task that has ended, as the manager does. */
static void a_handle_may_be_released_while_a_task_is_destroyed(void **state)
{
	static const struct tmgr_task_ops ops = { .execute = return_at_once,
		.destroy = release_in_destroy };
	struct tmgr_manager_options quiet = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&quiet);
	struct tmgr_task_options options = { .ret_handle = &released_in_destroy[0] };
	struct probe x = PROBE(.name = "x", .end = PROBE_RETURNS);

	(void)state;
	released_with[0] = released_with[1] = 1;
	assert_int_equal(
		tmgr_manager_add_execute_task_with(manager, "own",
			(struct tmgr_task){ &ops, &released_with[0] }, TMGR_ERROR, &options),
		0);
	assert_int_equal(tmgr_manager_add_task(manager, "last",
				 (struct tmgr_task){ &ops, &released_with[1] }, TMGR_ERROR),
		0);
	released_in_destroy[1] = add_execute_with_handle(manager, &x, TMGR_ERROR);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(released_with[0], 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(released_with[1], 0);
}

/* Without anything that would have it settled slowly: no wait of ours, no destroy. */
static int wait_outside(void *self, struct tmgr_context *context)
{
	(void)context;
	latch_wait(self);
	return 0;
}

static void wait_by_handle(void *handle, struct tmgr_context *context)
{
	tmgr_handle_wait(context, *(struct tmgr_handle *)handle, TMGR_NEVER);
}

static void a_wait_by_a_handle_that_is_released_meanwhile_ends_with_the_task(void **state)
{
	static const struct tmgr_task_ops ops = { .kind = "outside", .execute = wait_outside };
	struct tmgr_manager_options reverse = { .stop_order = TMGR_STOP_REVERSE };
	struct tmgr_manager *manager = tmgr_manager_create(&reverse);
	struct latch latch = LATCH_INIT;
	struct tmgr_handle handle;
	struct tmgr_task_options options = { .ret_handle = &handle };
	struct actor waiter = ACTOR_INIT;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_manager_add_execute_task_with(manager, "outside",
				 (struct tmgr_task){ &ops, &latch }, TMGR_ERROR, &options),
		0);
	actor_start(&waiter);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&latch, 1));
	actor_begin(&waiter, wait_by_handle, &handle);
	assert_true(actor_settles_blocked(&waiter));
	assert_int_equal(tmgr_handle_release(handle), 0);
	latch_open(&latch);
	assert_true(actor_finishes(&waiter));
	actor_quit(&waiter);
	finish(manager, &runner);
}

static int wind_down(struct probe *probe, struct tmgr_context *context)
{
	const struct timespec a_little = { 0, 20000000 };

	(void)probe;
	/* The watcher looks at it now. */
	tmgr_context_set_stop_timeout(context, 500 * TMGR_MILLISECOND);
	nanosleep(&a_little, NULL);
	return 0;
}

static void one_cancelled_before_it_began_has_its_stop_time_from_then(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe a = PROBE(.name = "a", .hold_initialize = &hold);
	struct probe b = PROBE(.name = "b", .on_execute = wind_down);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = { .ret_handle = &handle,
		.stop_ns = 500 * TMGR_MILLISECOND };
	struct runner runner;

	(void)state;
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "b", probe_task(&b), TMGR_ERROR, &options), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_handle_cancel(handle, 0, NULL), 0);
	tmgr_sleep(NULL, 600 * TMGR_MILLISECOND);
	latch_open(&hold);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_true(latch_arrived(&a.executing, 1));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->stuck, 0);
	assert_int_equal(tmgr_handle_release(handle), 0);
	tmgr_manager_destroy(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_task_cancelled_by_its_handle_ended_cleanly_and_alone),
		leak_test(an_error_of_a_task_cancelled_by_its_handle_is_recorded_and_stops_nobody),
		leak_test(the_task_sees_the_cause_its_canceller_gave),
		leak_test(a_cancelled_member_leaves_its_stop_group),
		leak_test(the_result_is_what_the_task_returned),
		leak_test(one_that_never_ran_has_the_result_ecanceled),
		leak_test(one_cancelled_before_it_began_does_not_begin),
		leak_test(a_released_handle_and_none_are_stale_everywhere),
		leak_test(a_new_handle_is_not_taken_for_an_old_one),
		leak_test(a_wait_ends_at_its_deadline),
		leak_test(a_cancel_of_who_waits_ends_the_wait),
		leak_test(a_wait_after_the_stop_is_cancelled_though_the_task_has_ended),
		leak_test(a_task_is_found_by_its_path_as_long_as_it_or_a_handle_is_there),
		leak_test(a_stuck_one_has_the_result_estuck),
		leak_test(a_handle_may_be_released_while_a_task_is_destroyed),
		leak_test(a_wait_by_a_handle_that_is_released_meanwhile_ends_with_the_task),
		leak_test(one_cancelled_before_it_began_has_its_stop_time_from_then),
	};

	return cmocka_run_group_tests_name("handle", tests, NULL, NULL);
}
