/*
 * Deadlines of tokens that nobody waits with: given before the run that is to watch them, to tokens
 * above it, and where the stop goes in reverse.
 */
#include <errno.h>

#include <taskmgr/tasks/timeout.h>

#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define SOON (10 * TMGR_MILLISECOND)

static bool is_cancelled(void *context)
{
	return tmgr_context_cancelled(context);
}

/* Makes no wait of ours, which would look at the clock itself. */
static int poll_its_token(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return eventually(is_cancelled, context) ? 0 : -EIO;
}

static void stops_by_its_deadline(struct runner *runner)
{
	const struct tmgr_report *report;

	assert_int_equal(runner_join(runner), 0);
	report = tmgr_manager_report(runner->manager);
	assert_int_equal(report->stop.reason, TMGR_REASON_DEADLINE);
	tmgr_manager_destroy(runner->manager);
}

static void one_given_to_the_managers_token_before_run_is_watched(void **state)
{
	struct probe probe = PROBE(.name = "polls", .on_execute = poll_its_token);
	struct tmgr_manager *manager = probe_manager(NULL, &probe);
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_token_set_deadline(tmgr_manager_token(manager), tmgr_after(SOON)), 0);
	runner_start(&runner, manager, NULL);
	stops_by_its_deadline(&runner);
}

static void one_given_to_a_token_above_while_it_runs_is_watched(void **state)
{
	struct probe probe = PROBE(.name = "polls", .on_execute = poll_its_token);
	struct tmgr_manager *manager = probe_manager(NULL, &probe);
	struct tmgr_token *token;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_token_create(NULL, &token), 0);
	runner_start(&runner, manager, token);
	assert_true(latch_arrived(&probe.executing, 1));
	assert_int_equal(tmgr_token_set_deadline(token, tmgr_after(TMGR_HOUR)), 0);
	assert_int_equal(tmgr_token_set_deadline(token, tmgr_after(SOON)), 0);
	stops_by_its_deadline(&runner);
	assert_true(tmgr_token_fired(token));
	tmgr_token_unref(token);
}

static void note_fired(void *latch)
{
	latch_arrive(latch);
}

static void those_below_the_managers_token_that_had_one_before_run_are_watched(void **state)
{
	struct probe probe = PROBE(.name = "a");
	struct tmgr_manager *manager = probe_manager(NULL, &probe);
	struct tmgr_token *middle, *token;
	struct tmgr_token_callback callback;
	struct latch fired = LATCH_INIT;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_token_create(tmgr_manager_token(manager), &middle), 0);
	assert_int_equal(tmgr_token_create(middle, &token), 0);
	assert_int_equal(tmgr_token_register(token, &callback, note_fired, &fired), 0);
	assert_int_equal(tmgr_token_set_deadline(token, tmgr_after(SOON)), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&fired, 1));
	assert_false(tmgr_token_fired(middle));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_token_unref(token);
	tmgr_token_unref(middle);
}

static void those_below_know_the_deadline_of_the_token_a_run_is_given(void **state)
{
	struct probe probe = PROBE(.name = "a");
	struct tmgr_manager *manager = probe_manager(NULL, &probe);
	struct tmgr_token *above, *below;
	struct runner runner;
	int64_t deadline = tmgr_after(TMGR_HOUR);

	(void)state;
	assert_int_equal(tmgr_token_create(NULL, &above), 0);
	assert_int_equal(tmgr_token_set_deadline(above, deadline), 0);
	assert_int_equal(tmgr_token_create(tmgr_manager_token(manager), &below), 0);
	runner_start(&runner, manager, above);
	assert_true(latch_arrived(&probe.executing, 1));
	assert_true(tmgr_token_deadline(below) == deadline);
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_token_unref(below);
	tmgr_token_unref(above);
}

static void one_of_a_task_is_watched_where_the_stop_goes_in_reverse(void **state)
{
	struct tmgr_manager_options options = { .stop_order = TMGR_STOP_REVERSE };
	struct probe probe = PROBE(.name = "polls", .on_execute = poll_its_token,
		.end = PROBE_RETURNS);
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	const struct tmgr_report *report;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "polls",
				 tmgr_timeout(probe_task(&probe), SOON), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -ETIMEDOUT);
	report = tmgr_manager_report(manager);
	assert_int_equal(report->stuck, 0);
	tmgr_manager_destroy(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(one_given_to_the_managers_token_before_run_is_watched),
		leak_test(one_given_to_a_token_above_while_it_runs_is_watched),
		leak_test(those_below_the_managers_token_that_had_one_before_run_are_watched),
		leak_test(those_below_know_the_deadline_of_the_token_a_run_is_given),
		leak_test(one_of_a_task_is_watched_where_the_stop_goes_in_reverse),
	};

	return cmocka_run_group_tests_name("token timers", tests, NULL, NULL);
}
