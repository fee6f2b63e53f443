#include <errno.h>
#include <sched.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/child.h"
#include "tests/support/hosted.h"
#include "tests/support/leak.h"

#define SHORT (5 * TMGR_MILLISECOND)

static void a_task_that_ends_in_time_is_passed_on(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe well = PROBE(.name = "t", .recorder = &recorder, .end = PROBE_RETURNS);
	struct probe badly = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = -EIO,
		.fail_text = "gone");
	struct ending ending;

	(void)state;
	assert_int_equal(hosted_run(tmgr_timeout(probe_task(&well), TMGR_MINUTE)).result, 0);
	assert_string_equal(recorder_text(&recorder), "+t t -t ~t");
	ending = hosted_run(tmgr_timeout(probe_task(&badly), TMGR_MINUTE));
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "gone");
}

static void a_task_that_takes_too_long_is_cancelled_and_timed_out(void **state)
{
	struct probe probe = PROBE(.name = "t");
	int64_t begun = tmgr_now();
	struct ending ending = hosted_run(tmgr_timeout(probe_task(&probe), SHORT));

	(void)state;
	assert_true(tmgr_now() - begun >= SHORT);
	assert_int_equal(ending.result, -ETIMEDOUT);
	assert_string_equal(ending.text, "cancelled after 5 ms");
	assert_int_equal(atomic_load(&probe.execute_ended), 1);
	assert_int_equal(atomic_load(&probe.cleaned_up), 1);
}

static void the_text_of_the_task_is_kept(void **state)
{
	struct probe probe = PROBE(.name = "t", .execute_result = -ECANCELED,
		.fail_text = "half of it done");
	struct ending ending = hosted_run(tmgr_timeout(probe_task(&probe), SHORT));

	(void)state;
	assert_int_equal(ending.result, -ETIMEDOUT);
	assert_string_equal(ending.text, "half of it done");
}

static void another_error_after_the_timeout_is_passed_on(void **state)
{
	struct probe probe = PROBE(.name = "t", .execute_result = -EIO, .fail_text = "torn");
	struct ending ending = hosted_run(tmgr_timeout(probe_task(&probe), SHORT));

	(void)state;
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "torn");
}

static int look_only(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	while (!tmgr_context_cancelled(context))
		sched_yield();
	return 0;
}

static void a_task_that_only_looks_at_its_context_sees_the_timeout(void **state)
{
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .on_execute = look_only);

	(void)state;
	assert_int_equal(hosted_run(tmgr_timeout(probe_task(&probe), SHORT)).result, -ETIMEDOUT);
}

static int remember_cause(struct probe *probe, struct tmgr_context *context)
{
	tmgr_sleep_until(context, TMGR_NEVER);
	tmgr_token_cause(tmgr_context_token(context), probe->user);
	return -ECANCELED;
}

static void the_task_can_see_that_it_was_the_time(void **state)
{
	struct tmgr_cause cause = { TMGR_REASON_NONE, 0, "" };
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .on_execute = remember_cause,
		.user = &cause);

	(void)state;
	assert_int_equal(hosted_run(tmgr_timeout(probe_task(&probe), SHORT)).result, -ETIMEDOUT);
	assert_int_equal(cause.reason, TMGR_REASON_DEADLINE);
}

static void a_stop_is_not_a_timeout(void **state)
{
	struct probe probe = PROBE(.name = "t");
	struct hosted hosted;

	(void)state;
	hosted_start(&hosted, tmgr_timeout(probe_task(&probe), TMGR_HOUR));
	assert_true(latch_arrived(&probe.executing, 1));
	assert_int_equal(hosted_stop(&hosted).result, 0);
}

static void of_two_the_shorter_holds_wherever_it_is(void **state)
{
	struct probe one = PROBE(.name = "t"), two = PROBE(.name = "t");
	struct ending ending;

	(void)state;
	ending = hosted_run(tmgr_timeout(tmgr_timeout(probe_task(&one), SHORT), TMGR_HOUR));
	assert_int_equal(ending.result, -ETIMEDOUT);
	assert_string_equal(ending.text, "cancelled after 5 ms");
	ending = hosted_run(tmgr_timeout(tmgr_timeout(probe_task(&two), TMGR_HOUR), SHORT));
	assert_int_equal(ending.result, -ETIMEDOUT);
	assert_string_equal(ending.text, "cancelled after 5 ms");
}

static int slow_twice(struct probe *probe, struct tmgr_context *context)
{
	return atomic_load(&probe->executed) < 3 ? tmgr_sleep(context, TMGR_HOUR) : 0;
}

static void each_attempt_of_a_retry_has_its_own_time(void **state)
{
	const struct tmgr_retry_options at_once = { .backoff_ns = TMGR_RETRY_NONE };
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .on_execute = slow_twice);
	struct ending ending = hosted_run(
		tmgr_retry(tmgr_timeout(probe_task(&probe), SHORT), &at_once));

	(void)state;
	assert_int_equal(ending.result, 0);
	assert_int_equal(ending.at.last_error, -ETIMEDOUT);
	/* More, if the last was too late by itself. */
	assert_true(atomic_load(&probe.executed) >= 3);
	assert_int_equal(atomic_load(&probe.cleaned_up), atomic_load(&probe.executed));
}

static void all_attempts_of_a_retry_have_one_time(void **state)
{
	const struct tmgr_retry_options slow = { .backoff_ns = TMGR_HOUR };
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = -EIO);
	struct ending ending = hosted_run(
		tmgr_timeout(tmgr_retry(probe_task(&probe), &slow), 40 * SHORT));

	(void)state;
	assert_int_equal(ending.result, -ETIMEDOUT);
	assert_int_equal(atomic_load(&probe.executed), 1);
	assert_int_equal(atomic_load(&probe.cleaned_up), 1);
}

static void a_time_that_is_not_above_0_is_refused_and_all_time_is_none(void **state)
{
	const int64_t bad[] = { 0, -1, INT64_MIN };
	struct probe good = PROBE(.name = "t", .end = PROBE_RETURNS);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct probe probe = PROBE(.name = "t");

		assert_int_equal(
			tmgr_task_error(tmgr_timeout(probe_task(&probe), bad[i])), -EINVAL);
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
	assert_int_equal(hosted_run(tmgr_timeout(probe_task(&good), INT64_MAX)).result, 0);
}

/* The argument is the time of one more around it, inside of the short one, or NULL. */
static int leave_one_that_is_deaf(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	struct tmgr_task_options options = { .stop_ns = 50 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task task = probe_task(&deaf);
	const int64_t *inner_ns = argument;
	int64_t begun = tmgr_now();

	if (inner_ns != NULL)
		task = tmgr_timeout(task, *inner_ns);
	child_check_equal(tmgr_manager_add_task_with(
				  manager, "deaf", tmgr_timeout(task, SHORT), TMGR_ERROR, &options),
		0);
	child_check_equal(tmgr_manager_run(manager, NULL), -TMGR_ESTUCK);
	child_check(tmgr_now() - begun >= SHORT + 50 * TMGR_MILLISECOND);
	child_check_equal(tmgr_manager_report(manager)->stuck, 1);
	child_check_equal(deaf.cleaned_up, 0);
	return 0;
}

static void one_that_does_not_end_after_its_time_is_stuck_by_its_stop_deadline(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, leave_one_that_is_deaf, NULL), 0);
}

static void one_inside_that_has_more_time_does_not_put_that_off(void **state)
{
	int64_t inner_ns = TMGR_HOUR;
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, leave_one_that_is_deaf, &inner_ns), 0);
}

static int wait_in_time_then_long(struct probe *probe, struct tmgr_context *context)
{
	struct latch *told = probe->user;

	latch_arrive(told);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

/* Its end deadline is taken back: what comes after it in the same task has all its time. */
static void one_that_ended_in_time_leaves_no_deadline_behind(void **state)
{
	struct latch told = LATCH_INIT;
	struct probe quick = PROBE(.name = "quick", .end = PROBE_RETURNS);
	struct probe waits = PROBE(.name = "waits", .on_execute = wait_in_time_then_long,
		.user = &told);
	struct tmgr_task both[] = { tmgr_timeout(probe_task(&quick), TMGR_SECOND),
		probe_task(&waits) };
	struct tmgr_task_options options = { .stop_ns = 500 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_manager_add_task_with(
				 manager, "both", tmgr_sequence(both, 2), TMGR_ERROR, &options),
		0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&told, 1));
	/* Longer than the deadline that was set would have been. */
	tmgr_sleep(NULL, 1700 * TMGR_MILLISECOND);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->stuck, 0);
	tmgr_manager_destroy(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_task_that_ends_in_time_is_passed_on),
		leak_test(a_task_that_takes_too_long_is_cancelled_and_timed_out),
		leak_test(the_text_of_the_task_is_kept),
		leak_test(one_that_does_not_end_after_its_time_is_stuck_by_its_stop_deadline),
		leak_test(one_inside_that_has_more_time_does_not_put_that_off),
		leak_test(one_that_ended_in_time_leaves_no_deadline_behind),
		leak_test(another_error_after_the_timeout_is_passed_on),
		leak_test(a_task_that_only_looks_at_its_context_sees_the_timeout),
		leak_test(the_task_can_see_that_it_was_the_time),
		leak_test(a_stop_is_not_a_timeout),
		leak_test(of_two_the_shorter_holds_wherever_it_is),
		leak_test(each_attempt_of_a_retry_has_its_own_time),
		leak_test(all_attempts_of_a_retry_have_one_time),
		leak_test(a_time_that_is_not_above_0_is_refused_and_all_time_is_none),
	};

	return cmocka_run_group_tests_name("timeout", tests, NULL, NULL);
}
