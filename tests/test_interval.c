#include <errno.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/hosted.h"
#include "tests/support/leak.h"

#define PERIOD (20 * TMGR_MILLISECOND)

/* A task that ends its interval, with an error, after so many runs. */
struct ticks {
	int runs_max;
	int64_t first_takes_ns;
	int runs;
	int64_t begun[64], ended[64];
};

static int tick(void *self, struct tmgr_context *context)
{
	struct ticks *ticks = self;
	int run = ticks->runs++;

	ticks->begun[run] = tmgr_now();
	if (run == 0)
		tmgr_sleep(context, ticks->first_takes_ns);
	ticks->ended[run] = tmgr_now();
	return ticks->runs < ticks->runs_max ? 0 : tmgr_fail(context, -ECONNABORTED, "enough");
}

static struct ending run_ticks(
	struct ticks *ticks, int64_t period_ns, const struct tmgr_interval_options *options)
{
	return hosted_run(tmgr_interval(tmgr_task_function(tick, ticks), period_ns, options));
}

static void execute_is_called_now_and_then_every_period(void **state)
{
	struct ticks ticks = { .runs_max = 6 };
	int64_t before = tmgr_now();
	struct ending ending = run_ticks(&ticks, 5 * TMGR_MILLISECOND, NULL);

	(void)state;
	assert_int_equal(ticks.runs, 6);
	for (int i = 0; i < 6; i++)
		assert_true(ticks.begun[i] >= before + i * 5 * TMGR_MILLISECOND);
	/* The first error ends it, by default. */
	assert_int_equal(ending.result, -ECONNABORTED);
	assert_string_equal(ending.text, "enough");
}

static void missed_ticks_are_skipped_by_default_and_the_next_is_on_the_grid(void **state)
{
	struct ticks ticks = { .runs_max = 3, .first_takes_ns = 7 * PERIOD / 2 };
	int64_t before = tmgr_now();

	(void)state;
	run_ticks(&ticks, PERIOD, NULL);
	/* Of 0, 1, 2, 3, 4, 5 the second run has 4 at the earliest. */
	assert_true(ticks.begun[1] >= before + 4 * PERIOD);
	assert_true(ticks.begun[2] >= before + 5 * PERIOD);
}

static void missed_ticks_of_a_burst_are_all_made_up_for(void **state)
{
	const struct tmgr_interval_options burst = { .missed = TMGR_INTERVAL_BURST };
	bool seen = false;

	(void)state;
	/* On a busy machine the runs may be late for other reasons; not in all of many rounds. */
	for (int round = 0; round < 50 && !seen; round++) {
		struct ticks ticks = { .runs_max = 5, .first_takes_ns = 7 * PERIOD / 2 };

		run_ticks(&ticks, PERIOD, &burst);
		assert_true(ticks.begun[4] >= ticks.begun[0] + 3 * PERIOD);
		seen = ticks.begun[3] - ticks.ended[0] < PERIOD / 2;
	}
	assert_true(seen);
}

static void with_delay_the_ticks_are_counted_from_the_late_run(void **state)
{
	const struct tmgr_interval_options delay = { .missed = TMGR_INTERVAL_DELAY };
	bool seen = false;

	(void)state;
	for (int round = 0; round < 50 && !seen; round++) {
		struct ticks ticks = { .runs_max = 4, .first_takes_ns = 13 * PERIOD / 4 };

		run_ticks(&ticks, PERIOD, &delay);
		assert_true(ticks.begun[2] >= ticks.ended[0] + PERIOD);
		assert_true(ticks.begun[3] >= ticks.ended[0] + 2 * PERIOD);
		seen = ticks.begun[1] - ticks.ended[0] < PERIOD / 4;
	}
	assert_true(seen);
}

static void runs_never_overlap(void **state)
{
	const struct tmgr_interval_options burst = { .missed = TMGR_INTERVAL_BURST };
	struct ticks ticks = { .runs_max = 20, .first_takes_ns = 5 * TMGR_MILLISECOND };

	(void)state;
	run_ticks(&ticks, 1, &burst);
	for (int i = 1; i < 20; i++)
		assert_true(ticks.begun[i] >= ticks.ended[i - 1]);
}

static int count_and_fail(struct probe *probe, struct tmgr_context *context)
{
	return tmgr_fail(context, -EIO, "run %d", atomic_load(&probe->executed));
}

static void errors_are_counted_where_it_keeps_going(void **state)
{
	const struct tmgr_interval_options keep_going = { .keep_going = true };
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .on_execute = count_and_fail);
	struct tmgr_snapshot_task at;
	struct hosted hosted;
	struct ending ending;

	(void)state;
	hosted_start(&hosted, tmgr_interval(probe_task(&probe), TMGR_MILLISECOND, &keep_going));
	assert_true(latch_arrived(&probe.executing, 5));
	at = hosted_look(&hosted);
	ending = hosted_stop(&hosted);
	assert_int_equal(at.last_error, -EIO);
	assert_int_equal(at.state, TMGR_STATE_RUNNING);
	/* The run during which the stop came may end it with its own error. */
	assert_true(ending.errors <= 1);
}

static int one_failure(struct probe *probe, struct tmgr_context *context)
{
	if (atomic_load(&probe->executed) == 1)
		return tmgr_fail(context, -EIO, "the first");
	tmgr_sleep_until(context, TMGR_NEVER);
	return -EPERM;
}

static void the_text_of_a_counted_error_is_not_taken_for_that_of_a_later_one(void **state)
{
	const struct tmgr_interval_options keep_going = { .keep_going = true };
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .on_execute = one_failure);
	struct hosted hosted;
	struct ending ending;

	(void)state;
	hosted_start(&hosted, tmgr_interval(probe_task(&probe), 1, &keep_going));
	assert_true(latch_arrived(&probe.executing, 2));
	ending = hosted_stop(&hosted);
	assert_int_equal(ending.result, -EPERM);
	assert_string_equal(ending.text, "");
}

static void a_first_delay_is_waited_for_and_ends_at_once_on_cancel(void **state)
{
	const struct tmgr_interval_options late = { .first_delay_ns = TMGR_HOUR };
	struct probe probe = PROBE(.name = "t");
	struct hosted hosted;

	(void)state;
	hosted_start(&hosted, tmgr_interval(probe_task(&probe), 1, &late));
	assert_true(task_waits(hosted.manager, "task", "sleep"));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_int_equal(atomic_load(&probe.executed), 0);
	assert_int_equal(atomic_load(&probe.cleaned_up), 1);
}

static void a_first_delay_moves_all_ticks(void **state)
{
	const struct tmgr_interval_options late = { .first_delay_ns = PERIOD };
	struct ticks ticks = { .runs_max = 2 };
	int64_t before = tmgr_now();

	(void)state;
	run_ticks(&ticks, PERIOD, &late);
	assert_true(ticks.begun[0] >= before + PERIOD);
	assert_true(ticks.begun[1] >= before + 2 * PERIOD);
}

static void jitter_delays_runs_but_not_the_ticks(void **state)
{
	const struct tmgr_interval_options jitter = { .jitter_ns = PERIOD };
	struct ticks ticks = { .runs_max = 40 };
	int64_t before = tmgr_now(), late_ns = 0;

	(void)state;
	run_ticks(&ticks, PERIOD, &jitter);
	for (int i = 0; i < 40; i++) {
		assert_true(ticks.begun[i] >= before + i * PERIOD);
		late_ns += ticks.begun[i] - before - i * PERIOD;
	}
	/* Half a period each, on the average. */
	assert_true(late_ns / 40 > PERIOD / 5);
}

static void the_wait_for_a_tick_ends_at_once_on_cancel_and_cleanly(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder, .end = PROBE_RETURNS);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	tmgr_manager_add_task(
		manager, "ticker", tmgr_interval(probe_task(&probe), TMGR_HOUR, NULL), TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&probe.executing, 1));
	assert_true(task_waits(manager, "ticker", "sleep"));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_string_equal(recorder_text(&recorder), "+t t -t ~t");
}

static void a_task_that_never_waits_is_stopped_between_runs(void **state)
{
	const struct tmgr_interval_options hurry = {
		.missed = TMGR_INTERVAL_BURST,
		.keep_going = true,
	};
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS);
	struct hosted hosted;

	(void)state;
	hosted_start(&hosted, tmgr_interval(probe_task(&probe), 1, &hurry));
	assert_true(latch_arrived(&probe.executing, 1000));
	assert_int_equal(hosted_stop(&hosted).result, 0);
}

static void bad_arguments_are_refused(void **state)
{
	static const struct {
		int64_t period_ns;
		struct tmgr_interval_options options;
	} bad[] = {
		{ 0, { 0 } },
		{ -1, { 0 } },
		{ INT64_MIN, { 0 } },
		{ 10, { .missed = (enum tmgr_interval_missed)3 } },
		{ 10, { .missed = (enum tmgr_interval_missed) - 1 } },
		{ 10, { .first_delay_ns = -1 } },
		{ 10, { .jitter_ns = -1 } },
		{ 10, { .jitter_ns = 11 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct probe probe = PROBE(.name = "t");
		struct tmgr_task task = tmgr_interval(
			probe_task(&probe), bad[i].period_ns, &bad[i].options);

		assert_int_equal(tmgr_task_error(task), -EINVAL);
		assert_non_null(tmgr_task_rule(task));
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
}

static void a_period_of_all_time_is_one_run(void **state)
{
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS);
	struct hosted hosted;

	(void)state;
	hosted_start(&hosted, tmgr_interval(probe_task(&probe), INT64_MAX, NULL));
	assert_true(latch_arrived(&probe.executing, 1));
	assert_true(task_waits(hosted.manager, "task", "sleep"));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_int_equal(atomic_load(&probe.executed), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(execute_is_called_now_and_then_every_period),
		leak_test(missed_ticks_are_skipped_by_default_and_the_next_is_on_the_grid),
		leak_test(missed_ticks_of_a_burst_are_all_made_up_for),
		leak_test(with_delay_the_ticks_are_counted_from_the_late_run),
		leak_test(runs_never_overlap),
		leak_test(errors_are_counted_where_it_keeps_going),
		leak_test(the_text_of_a_counted_error_is_not_taken_for_that_of_a_later_one),
		leak_test(a_first_delay_is_waited_for_and_ends_at_once_on_cancel),
		leak_test(a_first_delay_moves_all_ticks),
		leak_test(jitter_delays_runs_but_not_the_ticks),
		leak_test(the_wait_for_a_tick_ends_at_once_on_cancel_and_cleanly),
		leak_test(a_task_that_never_waits_is_stopped_between_runs),
		leak_test(bad_arguments_are_refused),
		leak_test(a_period_of_all_time_is_one_run),
	};

	return cmocka_run_group_tests_name("interval", tests, NULL, NULL);
}
