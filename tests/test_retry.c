#include <errno.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/hosted.h"
#include "tests/support/leak.h"

static const struct tmgr_retry_options quick = {
	.backoff_ns = TMGR_MILLISECOND,
	.backoff_max_ns = 2 * TMGR_MILLISECOND,
};

static const struct tmgr_retry_options never_again = {
	.backoff_ns = TMGR_HOUR,
};

/* Fails until it has been executed as often as user says. */
static int fail_until(struct probe *probe, struct tmgr_context *context)
{
	int attempt = atomic_load(&probe->executed);

	if (attempt >= *(int *)probe->user)
		return 0;
	return tmgr_fail(context, -EIO, "attempt %d", attempt);
}

static void a_task_that_fails_is_cleaned_up_initialized_and_executed_until_it_ends_well(
	void **state)
{
	struct recorder recorder = RECORDER_INIT;
	int enough = 4;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder, .end = PROBE_RETURNS,
		.on_execute = fail_until, .user = &enough);
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), &quick));

	(void)state;
	assert_int_equal(ending.result, 0);
	assert_int_equal(ending.errors, 0);
	assert_string_equal(recorder_text(&recorder), "+t t -t +t t -t +t t -t +t t -t ~t");
	assert_int_equal(ending.at.restarts, 3);
	assert_int_equal(ending.at.last_error, -EIO);
}

static void without_options_the_first_wait_is_at_most_100_ms_and_at_least_a_fifth_less(void **state)
{
	int enough = 2;
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .on_execute = fail_until,
		.user = &enough);
	int64_t begun = tmgr_now();
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), NULL));
	int64_t took = tmgr_now() - begun;

	(void)state;
	assert_int_equal(ending.result, 0);
	assert_int_equal(atomic_load(&probe.executed), 2);
	assert_true(took >= 80 * TMGR_MILLISECOND);
	assert_true(took < 10 * TMGR_SECOND);
}

static void a_task_that_ends_well_is_run_again_only_if_asked(void **state)
{
	const struct tmgr_retry_options always = {
		.when = TMGR_RETRY_ALWAYS,
		.backoff_ns = TMGR_MILLISECOND,
		.backoff_max_ns = TMGR_MILLISECOND,
		.restarts_max = 4,
	};
	struct probe once = PROBE(.name = "once", .end = PROBE_RETURNS);
	struct probe often = PROBE(.name = "often", .end = PROBE_RETURNS);

	(void)state;
	assert_int_equal(hosted_run(tmgr_retry(probe_task(&once), &quick)).result, 0);
	assert_int_equal(atomic_load(&once.executed), 1);
	assert_int_equal(hosted_run(tmgr_retry(probe_task(&often), &always)).result, 0);
	assert_int_equal(atomic_load(&often.executed), 5);
}

static void a_wait_ends_at_once_on_cancel_and_cleanup_is_not_called_twice(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder, .end = PROBE_RETURNS,
		.execute_result = -EIO, .fail_text = "no");
	struct hosted hosted;
	struct ending ending;

	(void)state;
	hosted_start(&hosted, tmgr_retry(probe_task(&probe), &never_again));
	assert_true(task_waits(hosted.manager, "task", "sleep"));
	ending = hosted_stop(&hosted);
	assert_int_equal(ending.result, 0);
	assert_int_equal(ending.errors, 0);
	assert_string_equal(recorder_text(&recorder), "+t t -t ~t");
}

static void a_task_that_waits_for_its_next_attempt_shows_why_and_when(void **state)
{
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = -EIO);
	struct tmgr_snapshot_task at;
	int64_t begun = tmgr_now();
	struct hosted hosted;

	(void)state;
	hosted_start(&hosted, tmgr_retry(probe_task(&probe), &never_again));
	assert_true(task_waits(hosted.manager, "task", "sleep"));
	at = hosted_look(&hosted);
	hosted_stop(&hosted);
	assert_string_equal(at.kind, "retry");
	assert_int_equal(at.restarts, 1);
	assert_int_equal(at.last_error, -EIO);
	assert_true(at.next_attempt > begun + TMGR_HOUR / 100 * 80);
	assert_true(at.next_attempt <= tmgr_now() + TMGR_HOUR);
}

static void at_the_limit_the_last_error_is_passed_on_with_its_text(void **state)
{
	const struct tmgr_retry_options limited = {
		.backoff_ns = TMGR_MILLISECOND,
		.restarts_max = 2,
		.window_ns = TMGR_HOUR,
	};
	int enough = 100;
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .on_execute = fail_until,
		.user = &enough);
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), &limited));

	(void)state;
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "attempt 3");
	assert_int_equal(atomic_load(&probe.executed), 3);
	assert_int_equal(atomic_load(&probe.cleaned_up), 3);
	assert_int_equal(ending.at.restarts, 2);
}

static void without_backoff_there_are_five_restarts(void **state)
{
	const struct tmgr_retry_options at_once = { .backoff_ns = TMGR_RETRY_NONE };
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = -EIO);

	(void)state;
	assert_int_equal(hosted_run(tmgr_retry(probe_task(&probe), &at_once)).result, -EIO);
	assert_int_equal(atomic_load(&probe.executed), 6);
}

static void without_backoff_and_limit_it_goes_on_for_ever(void **state)
{
	const struct tmgr_retry_options at_once = {
		.backoff_ns = TMGR_RETRY_NONE,
		.restarts_max = TMGR_RETRY_NONE,
	};
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = -EIO);
	struct hosted hosted;

	(void)state;
	hosted_start(&hosted, tmgr_retry(probe_execute_task(&probe), &at_once));
	assert_true(latch_arrived(&probe.executing, 1000));
	/* The attempt that runs when the stop comes may fail on its own. */
	assert_true(hosted_stop(&hosted).errors <= 1);
}

/* Fails the second and the third time. */
static int fail_again(struct probe *probe, struct tmgr_context *context)
{
	int attempt = atomic_load(&probe->initialized);

	return attempt == 2 || attempt == 3 ? tmgr_fail(context, -ENOLINK, "no link") : 0;
}

static void an_initialize_that_fails_in_a_restart_is_tried_again_without_cleanup(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	int enough = 2;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder, .end = PROBE_RETURNS,
		.on_initialize = fail_again, .on_execute = fail_until, .user = &enough);
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), &quick));

	(void)state;
	assert_int_equal(ending.result, 0);
	assert_string_equal(recorder_text(&recorder), "+t t -t +t +t +t t -t ~t");
	assert_int_equal(ending.at.restarts, 3);
	assert_int_equal(ending.at.last_error, -ENOLINK);
}

/* Fails the second time, after a while. */
static int fail_late(struct probe *probe, struct tmgr_context *context)
{
	if (atomic_load(&probe->initialized) != 2)
		return 0;
	tmgr_sleep(context, 20 * TMGR_MILLISECOND);
	return tmgr_fail(context, -ENOLINK, "no link");
}

static void the_time_of_an_initialize_does_not_make_an_execute_healthy(void **state)
{
	const struct tmgr_retry_options growing = {
		.backoff_ns = TMGR_MILLISECOND,
		.backoff_max_ns = TMGR_HOUR,
		.backoff_factor = 100,
		.jitter_percent = TMGR_RETRY_NONE,
		.reset_ns = 10 * TMGR_MILLISECOND,
	};
	int enough = 2;
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .on_initialize = fail_late,
		.on_execute = fail_until, .user = &enough);
	int64_t begun = tmgr_now();
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), &growing));

	(void)state;
	assert_int_equal(ending.result, 0);
	assert_int_equal(ending.at.restarts, 2);
	/* The second wait is a hundred times the first. */
	assert_true(tmgr_now() - begun >= 100 * TMGR_MILLISECOND);
}

static void an_initialize_that_fails_at_the_limit_ends_it_without_cleanup(void **state)
{
	const struct tmgr_retry_options limited = {
		.backoff_ns = TMGR_RETRY_NONE,
		.restarts_max = 2,
	};
	struct recorder recorder = RECORDER_INIT;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder, .end = PROBE_RETURNS,
		.on_initialize = fail_again, .execute_result = -EIO);
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), &limited));

	(void)state;
	assert_int_equal(ending.result, -ENOLINK);
	assert_string_equal(ending.text, "no link");
	assert_string_equal(recorder_text(&recorder), "+t t -t +t +t ~t");
}

static void the_first_initialize_is_the_runs_own(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder, .initialize_result = -EACCES,
		.fail_text = "not allowed");
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), &quick));

	(void)state;
	assert_int_equal(ending.result, -EACCES);
	assert_string_equal(ending.text, "not allowed");
	assert_string_equal(recorder_text(&recorder), "+t ~t");
}

static void a_failed_first_initialize_is_cleaned_up_where_the_task_asks_for_it(void **state)
{
	const struct tmgr_task_options also = { .cleanup_after_failed_initialize = true };
	struct recorder recorder = RECORDER_INIT;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder,
		.initialize_result = -EACCES);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	tmgr_manager_add_task_with(
		manager, "task", tmgr_retry(probe_task(&probe), &quick), TMGR_ERROR, &also);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EACCES);
	tmgr_manager_destroy(manager);
	assert_string_equal(recorder_text(&recorder), "+t -t ~t");
}

static int cleanup_badly(struct probe *probe, struct tmgr_context *context)
{
	return atomic_load(&probe->cleaned_up) == 1 ? tmgr_fail(context, -ENOSPC, "full") : 0;
}

static void a_cleanup_that_fails_in_a_restart_does_not_stop_it(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	int enough = 2;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder, .end = PROBE_RETURNS,
		.on_execute = fail_until, .on_cleanup = cleanup_badly, .user = &enough);
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), &quick));

	(void)state;
	assert_int_equal(ending.result, 0);
	assert_int_equal(ending.at.last_error, -ENOSPC);
	assert_string_equal(recorder_text(&recorder), "+t t -t +t t -t ~t");
}

static void each_execute_has_its_own_limit(void **state)
{
	const struct tmgr_retry_options once = {
		.backoff_ns = TMGR_RETRY_NONE,
		.restarts_max = 1,
	};
	const struct tmgr_retry_options twice = {
		.backoff_ns = TMGR_RETRY_NONE,
		.restarts_max = 2,
	};
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = -EIO);

	(void)state;
	assert_int_equal(
		hosted_run(tmgr_retry(tmgr_retry(probe_task(&probe), &once), &twice)).result, -EIO);
	assert_int_equal(atomic_load(&probe.executed), 6);
	assert_int_equal(atomic_load(&probe.cleaned_up), 6);
}

/* Gives a text only the first time. */
static int fail_with_one_text(struct probe *probe, struct tmgr_context *context)
{
	if (atomic_load(&probe->executed) == 1)
		return tmgr_fail(context, -EIO, "the first");
	return -EPERM;
}

static void the_text_of_an_error_gone_on_from_is_not_taken_for_that_of_the_last(void **state)
{
	const struct tmgr_retry_options once = {
		.backoff_ns = TMGR_RETRY_NONE,
		.restarts_max = 1,
	};
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS,
		.on_execute = fail_with_one_text);
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), &once));

	(void)state;
	assert_int_equal(ending.result, -EPERM);
	assert_string_equal(ending.text, "");
}

static void an_error_after_the_stop_is_passed_on(void **state)
{
	struct probe probe = PROBE(.name = "t", .execute_result = -EIO, .fail_text = "too late");
	struct hosted hosted;
	struct ending ending;

	(void)state;
	hosted_start(&hosted, tmgr_retry(probe_task(&probe), &quick));
	assert_true(latch_arrived(&probe.executing, 1));
	ending = hosted_stop(&hosted);
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "too late");
	assert_int_equal(atomic_load(&probe.executed), 1);
}

static void a_positive_result_is_an_error_too_and_kept_as_detail(void **state)
{
	const struct tmgr_retry_options once = {
		.backoff_ns = TMGR_RETRY_NONE,
		.restarts_max = 1,
	};
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = 7);
	struct ending ending = hosted_run(tmgr_retry(probe_task(&probe), &once));

	(void)state;
	assert_int_equal(ending.result, -TMGR_EFAILED);
	assert_int_equal(ending.detail, 7);
	assert_int_equal(atomic_load(&probe.executed), 2);
	assert_int_equal(ending.at.last_error, -TMGR_EFAILED);
}

static int cancelled_by_nobody(struct probe *probe, struct tmgr_context *context)
{
	(void)context;
	return atomic_load(&probe->executed) < 3 ? -ECANCELED : 0;
}

static void a_cancel_that_nobody_asked_for_is_an_error_like_any_other(void **state)
{
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS,
		.on_execute = cancelled_by_nobody);

	(void)state;
	assert_int_equal(hosted_run(tmgr_retry(probe_task(&probe), &quick)).result, 0);
	assert_int_equal(atomic_load(&probe.executed), 3);
}

/* The cleanup of a restart waits; the stop comes meanwhile. */
static int sleep_in_cleanup(struct probe *probe, struct tmgr_context *context)
{
	latch_arrive(probe->user);
	return tmgr_sleep(context, 50 * TMGR_MILLISECOND);
}

static void a_cleanup_in_a_restart_is_not_cut_short_by_the_stop(void **state)
{
	struct latch cleaning = LATCH_INIT;
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = -EIO,
		.on_cleanup = sleep_in_cleanup, .user = &cleaning);
	struct hosted hosted;
	struct ending ending;

	(void)state;
	hosted_start(&hosted, tmgr_retry(probe_task(&probe), &never_again));
	assert_true(latch_arrived(&cleaning, 1));
	ending = hosted_stop(&hosted);
	assert_int_equal(ending.result, 0);
	/* Not the -ECANCELED that its sleep would have ended with. */
	assert_int_equal(ending.at.last_error, -EIO);
	assert_int_equal(atomic_load(&probe.cleaned_up), 1);
}

static void options_out_of_range_are_refused(void **state)
{
	static const struct tmgr_retry_options bad[] = {
		{ .when = (enum tmgr_retry_when)2 },
		{ .when = (enum tmgr_retry_when) - 1 },
		{ .backoff_ns = -2 },
		{ .backoff_ns = INT64_MIN },
		{ .backoff_max_ns = -1 },
		{ .backoff_ns = 2, .backoff_max_ns = 1 },
		{ .backoff_factor = -1 },
		{ .backoff_factor = 101 },
		{ .jitter_percent = -2 },
		{ .jitter_percent = 101 },
		{ .reset_ns = -1 },
		{ .restarts_max = -2 },
		{ .restarts_max = TMGR_RETRY_RESTARTS_MAX + 1 },
		{ .window_ns = -1 },
	};
	static const struct tmgr_retry_options good[] = {
		{ .backoff_ns = TMGR_HOUR },
		{ .backoff_ns = INT64_MAX, .backoff_max_ns = INT64_MAX, .backoff_factor = 100 },
		{ .jitter_percent = 100 },
		{ .jitter_percent = TMGR_RETRY_NONE },
		{ .restarts_max = TMGR_RETRY_RESTARTS_MAX, .window_ns = INT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct probe probe = PROBE(.name = "t");
		struct tmgr_task task = tmgr_retry(probe_task(&probe), &bad[i]);

		assert_int_equal(tmgr_task_error(task), -EINVAL);
		assert_non_null(tmgr_task_rule(task));
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct probe probe = PROBE(.name = "t");
		struct tmgr_task task = tmgr_retry(probe_task(&probe), &good[i]);

		assert_int_equal(tmgr_task_error(task), 0);
		tmgr_task_destroy(task);
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(
			a_task_that_fails_is_cleaned_up_initialized_and_executed_until_it_ends_well),
		leak_test(
			without_options_the_first_wait_is_at_most_100_ms_and_at_least_a_fifth_less),
		leak_test(a_task_that_ends_well_is_run_again_only_if_asked),
		leak_test(a_wait_ends_at_once_on_cancel_and_cleanup_is_not_called_twice),
		leak_test(a_task_that_waits_for_its_next_attempt_shows_why_and_when),
		leak_test(at_the_limit_the_last_error_is_passed_on_with_its_text),
		leak_test(without_backoff_there_are_five_restarts),
		leak_test(without_backoff_and_limit_it_goes_on_for_ever),
		leak_test(an_initialize_that_fails_in_a_restart_is_tried_again_without_cleanup),
		leak_test(the_time_of_an_initialize_does_not_make_an_execute_healthy),
		leak_test(an_initialize_that_fails_at_the_limit_ends_it_without_cleanup),
		leak_test(the_first_initialize_is_the_runs_own),
		leak_test(a_failed_first_initialize_is_cleaned_up_where_the_task_asks_for_it),
		leak_test(a_cleanup_that_fails_in_a_restart_does_not_stop_it),
		leak_test(each_execute_has_its_own_limit),
		leak_test(the_text_of_an_error_gone_on_from_is_not_taken_for_that_of_the_last),
		leak_test(an_error_after_the_stop_is_passed_on),
		leak_test(a_positive_result_is_an_error_too_and_kept_as_detail),
		leak_test(a_cancel_that_nobody_asked_for_is_an_error_like_any_other),
		leak_test(a_cleanup_in_a_restart_is_not_cut_short_by_the_stop),
		leak_test(options_out_of_range_are_refused),
	};

	return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
