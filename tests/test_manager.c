#include <errno.h>
#include <signal.h>
#include <string.h>

#include <taskmgr/manager.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct recorder recorder = RECORDER_INIT;

static struct tmgr_manager *manager_with(const struct tmgr_manager_options *options)
{
	struct tmgr_manager *manager = tmgr_manager_create(options);

	recorder_clear(&recorder);
	assert_non_null(manager);
	return manager;
}

static struct tmgr_manager *quiet_manager(enum tmgr_when_quiet when_quiet)
{
	struct tmgr_manager_options options = { .when_quiet = when_quiet };

	return manager_with(&options);
}

static void add(struct tmgr_manager *manager, struct probe *probe, enum tmgr_policy policy)
{
	probe->recorder = &recorder;
	assert_int_equal(tmgr_manager_add_task(manager, probe->name, probe_task(probe), policy), 0);
}

static void add_execute(struct tmgr_manager *manager, struct probe *probe, enum tmgr_policy policy)
{
	probe->recorder = &recorder;
	assert_int_equal(tmgr_manager_add_execute_task(
				 manager, probe->name, probe_execute_task(probe), policy),
		0);
}

static int cancel_manager(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static void assert_before(const char *first, const char *second)
{
	assert_true(recorder_has(&recorder, first));
	assert_true(recorder_has(&recorder, second));
	assert_true(recorder_position(&recorder, first) < recorder_position(&recorder, second));
}

static void assert_calls(struct probe *probe, int initialized, int executed, int cleaned_up)
{
	assert_int_equal(probe->initialized, initialized);
	assert_int_equal(probe->executed, executed);
	assert_int_equal(probe->cleaned_up, cleaned_up);
}

static void tasks_initialize_in_order_execute_in_parallel_and_clean_up_in_reverse(void **state)
{
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	struct probe c = PROBE(.name = "c");
	struct tmgr_manager *manager = manager_with(NULL);
	struct runner runner;

	(void)state;
	add(manager, &a, TMGR_STRICT);
	add(manager, &b, TMGR_STRICT);
	add(manager, &c, TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	/* All three execute at the same time, or this would not end. */
	assert_true(latch_arrived(&a.executing, 1));
	assert_true(latch_arrived(&b.executing, 1));
	assert_true(latch_arrived(&c.executing, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);

	assert_before("+a", "+b");
	assert_before("+b", "+c");
	assert_before("+c", "a");
	assert_before("+c", "b");
	assert_before("+c", "c");
	assert_before("a", "-c");
	assert_before("-c", "-b");
	assert_before("-b", "-a");
	assert_calls(&a, 1, 1, 1);
	assert_int_equal(a.destroyed, 1);
	assert_int_equal(b.destroyed, 1);
	assert_int_equal(c.destroyed, 1);
}

static void a_token_that_fires_stops_the_run(void **state)
{
	struct probe a = PROBE(.name = "a");
	struct tmgr_manager *manager = manager_with(NULL);
	struct tmgr_token *token;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_token_create(NULL, &token), 0);
	add(manager, &a, TMGR_STRICT);
	runner_start(&runner, manager, token);
	assert_true(latch_arrived(&a.executing, 1));
	assert_int_equal(tmgr_token_cancel(token, -EIO, "enough"), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_CANCELLED);
	assert_int_equal(tmgr_manager_report(manager)->stop.code, -EIO);
	assert_string_equal(tmgr_manager_report(manager)->stop.text, "enough");
	assert_true(tmgr_token_fired(tmgr_manager_token(manager)));
	tmgr_manager_destroy(manager);
	tmgr_token_unref(token);
	assert_calls(&a, 1, 1, 1);
}

static void a_token_that_fired_before_run_lets_nothing_be_initialized(void **state)
{
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	struct tmgr_manager *manager = manager_with(NULL);
	struct tmgr_token *token;

	(void)state;
	assert_int_equal(tmgr_token_create(NULL, &token), 0);
	assert_int_equal(tmgr_token_cancel(token, 0, NULL), 0);
	add(manager, &a, TMGR_STRICT);
	add_execute(manager, &b, TMGR_ERROR);
	assert_int_equal(tmgr_manager_run(manager, token), 0);
	assert_int_equal(tmgr_manager_report(manager)->exit_code, 0);
	tmgr_manager_destroy(manager);
	tmgr_token_unref(token);
	assert_calls(&a, 0, 0, 0);
	assert_calls(&b, 0, 0, 0);
	assert_int_equal(a.destroyed + b.destroyed, 2);
}

static void a_cancel_before_run_lets_nothing_be_initialized(void **state)
{
	struct probe a = PROBE(.name = "a");
	struct tmgr_manager *manager = manager_with(NULL);

	(void)state;
	add(manager, &a, TMGR_STRICT);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(tmgr_manager_cancel(manager), -EALREADY);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EALREADY);
	tmgr_manager_destroy(manager);
	assert_calls(&a, 0, 0, 0);
	assert_int_equal(a.destroyed, 1);
}

static void a_failed_initialize_skips_the_rest_and_cleans_up_those_before(void **state)
{
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	struct probe c = PROBE(.name = "c", .initialize_result = -EADDRINUSE,
		.fail_text = "port 80");
	struct probe d = PROBE(.name = "d");
	struct tmgr_manager *manager = manager_with(NULL);
	const struct tmgr_report *report;

	(void)state;
	add(manager, &a, TMGR_STRICT);
	add(manager, &b, TMGR_STRICT);
	add(manager, &c, TMGR_STRICT);
	add(manager, &d, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EADDRINUSE);
	report = tmgr_manager_report(manager);
	assert_int_equal(report->result, -EADDRINUSE);
	assert_int_equal(report->exit_code, 1);
	assert_int_equal(report->errors, 1);
	assert_non_null(report->cause);
	assert_ptr_equal(report->cause, report->entries);
	assert_null(report->entries->next);
	assert_int_equal(report->cause->kind, TMGR_REPORT_ERROR);
	assert_int_equal(report->cause->stage, TMGR_STAGE_INITIALIZE);
	assert_int_equal(report->cause->error, -EADDRINUSE);
	assert_string_equal(report->cause->name, "c");
	assert_string_equal(report->cause->text, "port 80");
	tmgr_manager_destroy(manager);
	assert_calls(&a, 1, 0, 1);
	assert_calls(&b, 1, 0, 1);
	assert_calls(&c, 1, 0, 0);
	assert_calls(&d, 0, 0, 0);
	assert_before("-b", "-a");
	assert_int_equal(a.destroyed + b.destroyed + c.destroyed + d.destroyed, 4);
}

static bool failed_seen[3];

static int note_failed(struct probe *probe, struct tmgr_context *context)
{
	failed_seen[probe->name[0] - 'a'] = tmgr_context_initialize_failed(context);
	return 0;
}

static void an_option_calls_the_failed_ones_cleanup_and_its_context_says_so(void **state)
{
	struct probe a = PROBE(.name = "a", .on_cleanup = note_failed);
	struct probe b = PROBE(.name = "b", .recorder = &recorder, .initialize_result = -EIO,
		.on_cleanup = note_failed);
	struct tmgr_task_options options = { .cleanup_after_failed_initialize = true };
	struct tmgr_manager *manager = manager_with(NULL);

	(void)state;
	memset(failed_seen, 0, sizeof(failed_seen));
	add(manager, &a, TMGR_STRICT);
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "b", probe_task(&b), TMGR_STRICT, &options), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EIO);
	tmgr_manager_destroy(manager);
	assert_calls(&a, 1, 0, 1);
	assert_calls(&b, 1, 0, 1);
	assert_before("-b", "-a");
	assert_false(failed_seen[0]);
	assert_true(failed_seen[1]);
}

static void a_failed_execute_stops_all_and_all_are_cleaned_up(void **state)
{
	struct probe a = PROBE(.name = "a");
	struct probe b = PROBE(.name = "b", .end = PROBE_RETURNS, .execute_result = -ENOSPC,
		.fail_text = "disk full");
	struct tmgr_manager *manager = manager_with(NULL);
	const struct tmgr_report *report;

	(void)state;
	add(manager, &a, TMGR_STRICT);
	add(manager, &b, TMGR_ERROR);
	assert_int_equal(tmgr_manager_run(manager, NULL), -ENOSPC);
	report = tmgr_manager_report(manager);
	assert_int_equal(report->stop.reason, TMGR_REASON_TASK_FAILED);
	assert_int_equal(report->stop.code, -ENOSPC);
	assert_string_equal(report->stop.text, "b");
	assert_int_equal(report->errors, 1);
	assert_string_equal(report->cause->name, "b");
	assert_string_equal(report->cause->text, "disk full");
	assert_int_equal(report->cause->stage, TMGR_STAGE_EXECUTE);
	assert_int_equal(report->exit_code, 1);
	tmgr_manager_destroy(manager);
	assert_calls(&a, 1, 1, 1);
	assert_calls(&b, 1, 1, 1);
	assert_before("-b", "-a");
}

static void a_failed_cleanup_does_not_stop_the_others_and_is_reported(void **state)
{
	struct probe a = PROBE(.name = "a", .cleanup_result = -EACCES);
	struct probe b = PROBE(.name = "b", .on_execute = cancel_manager, .cleanup_result = -EIO);
	struct tmgr_manager *manager = manager_with(NULL);
	const struct tmgr_report *report;

	(void)state;
	add(manager, &a, TMGR_STRICT);
	add(manager, &b, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EIO);
	report = tmgr_manager_report(manager);
	assert_int_equal(report->errors, 2);
	assert_string_equal(report->entries->name, "b");
	assert_int_equal(report->entries->stage, TMGR_STAGE_CLEANUP);
	assert_string_equal(report->entries->next->name, "a");
	assert_int_equal(report->entries->next->error, -EACCES);
	tmgr_manager_destroy(manager);
	assert_calls(&a, 1, 1, 1);
	assert_calls(&b, 1, 1, 1);
}

static int errors_in_a_row[4];

static int note_token(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	errors_in_a_row[0] = tmgr_token_fired(tmgr_context_token(context));
	errors_in_a_row[1] = tmgr_sleep(context, TMGR_MILLISECOND);
	errors_in_a_row[2] = tmgr_context_deadline(context) != TMGR_NEVER;
	return 0;
}

static void cleanup_gets_a_token_that_has_not_fired_and_a_deadline(void **state)
{
	struct probe a = PROBE(.name = "a", .on_execute = cancel_manager, .on_cleanup = note_token);
	struct tmgr_manager *manager = manager_with(NULL);

	(void)state;
	memset(errors_in_a_row, 1, sizeof(errors_in_a_row));
	add(manager, &a, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(errors_in_a_row[0], 0);
	assert_int_equal(errors_in_a_row[1], 0);
	assert_int_equal(errors_in_a_row[2], 1);
}

static void a_run_without_tasks_waits_for_cancel_returns_or_fails_as_told(void **state)
{
	struct tmgr_manager *manager = quiet_manager(TMGR_QUIET_WAIT);
	struct runner runner;

	(void)state;
	runner_start(&runner, manager, NULL);
	assert_true(manager_reaches(manager, TMGR_MANAGER_RUNNING));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);

	manager = quiet_manager(TMGR_QUIET_RETURN);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(tmgr_manager_report(manager)->exit_code, 0);
	tmgr_manager_destroy(manager);

	manager = quiet_manager(TMGR_QUIET_ERROR);
	assert_int_equal(tmgr_manager_run(manager, NULL), -TMGR_EUNEXPECTED);
	assert_int_equal(tmgr_manager_report(manager)->exit_code, 1);
	tmgr_manager_destroy(manager);
}

static void when_the_last_task_has_ended_the_run_is_quiet(void **state)
{
	struct probe a = PROBE(.name = "a", .end = PROBE_RETURNS);
	struct probe b = PROBE(.name = "b", .end = PROBE_RETURNS);
	struct tmgr_manager *manager = quiet_manager(TMGR_QUIET_RETURN);

	(void)state;
	add(manager, &a, TMGR_ERROR);
	add_execute(manager, &b, TMGR_ERROR);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_calls(&a, 1, 1, 1);
	assert_calls(&b, 0, 1, 0);
}

static void tasks_without_execute_are_set_up_and_cleaned_up(void **state)
{
	struct probe a = PROBE(.name = "a", .recorder = &recorder);
	struct probe b = PROBE(.name = "b", .recorder = &recorder);
	struct tmgr_manager *manager = quiet_manager(TMGR_QUIET_RETURN);

	(void)state;
	assert_int_equal(
		tmgr_manager_add_task(manager, "a", probe_initialize_only(&a), TMGR_STRICT), 0);
	assert_int_equal(
		tmgr_manager_add_task(manager, "b", probe_cleanup_only(&b), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_calls(&a, 1, 0, 0);
	assert_calls(&b, 0, 0, 1);
	assert_int_equal(a.destroyed + b.destroyed, 2);
}

static void a_second_run_is_refused_while_running_and_afterwards(void **state)
{
	struct probe a = PROBE(.name = "a");
	struct tmgr_manager *manager = manager_with(NULL);
	struct runner runner;

	(void)state;
	add(manager, &a, TMGR_STRICT);
	assert_null(tmgr_manager_report(manager));
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&a.executing, 1));
	assert_int_equal(tmgr_manager_run(manager, NULL), -EBUSY);
	assert_null(tmgr_manager_report(manager));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EALREADY);
	assert_non_null(tmgr_manager_report(manager));
	tmgr_manager_destroy(manager);
	assert_calls(&a, 1, 1, 1);
}

static void observe_nothing(void *self, const struct tmgr_event *event)
{
	(void)self;
	(void)event;
}

static void after_the_end_every_change_is_refused_and_the_task_destroyed(void **state)
{
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	struct tmgr_manager *manager = quiet_manager(TMGR_QUIET_RETURN);
	struct tmgr_snapshot *snapshot;

	(void)state;
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_ref(manager);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT),
			-ESHUTDOWN);
		assert_int_equal(tmgr_manager_add_execute_task(
					 manager, "b", probe_execute_task(&b), TMGR_ERROR),
			-ESHUTDOWN);
		assert_int_equal(tmgr_manager_cancel(manager), -ESHUTDOWN);
		assert_int_equal(
			tmgr_manager_observe(manager, TMGR_LEVEL_DEBUG, observe_nothing, NULL),
			-ESHUTDOWN);
		if (round == 0) {
			assert_int_equal(tmgr_manager_snapshot(manager, &snapshot), 0);
			assert_int_equal(snapshot->state, TMGR_MANAGER_ENDED);
			tmgr_snapshot_destroy(snapshot);
			tmgr_manager_destroy(manager);
		}
	}
	tmgr_manager_unref(manager);
	assert_int_equal(a.destroyed, 2);
	assert_int_equal(b.destroyed, 2);
}

static void destroy_before_run_destroys_all_tasks_in_reverse(void **state)
{
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b"), c = PROBE(.name = "c");
	struct tmgr_manager *manager = manager_with(NULL);

	(void)state;
	tmgr_manager_destroy(NULL);
	add(manager, &a, TMGR_STRICT);
	add(manager, &b, TMGR_ERROR);
	add(manager, &c, TMGR_STRICT);
	tmgr_manager_destroy(manager);
	assert_string_equal(recorder_text(&recorder), "~c ~b ~a");
}

static int destroy_while_it_runs(void *argument)
{
	static struct probe a = PROBE(.name = "a");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	(void)argument;
	tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&a.executing, 1));
	tmgr_manager_destroy(manager);
	return 0;
}

static void destroy_during_run_stops_the_program_with_a_message(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, destroy_while_it_runs, NULL), 1000 + SIGABRT);
	assert_true(child.length > 0);
	assert_non_null(strstr(child.text, "manager"));
}

static void a_refused_add_is_remembered_and_run_starts_nothing(void **state)
{
	struct probe a = PROBE(.name = "a"), again = PROBE(.name = "a", .recorder = &recorder);
	struct probe c = PROBE(.name = "c");
	struct tmgr_manager *manager = manager_with(NULL);
	const struct tmgr_report *report;

	(void)state;
	add(manager, &a, TMGR_STRICT);
	assert_int_equal(
		tmgr_manager_add_task(manager, "a", probe_task(&again), TMGR_STRICT), -EEXIST);
	assert_int_equal(again.destroyed, 1);
	add(manager, &c, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EEXIST);
	report = tmgr_manager_report(manager);
	assert_int_equal(report->result, -EEXIST);
	assert_int_equal(report->exit_code, 2);
	assert_int_equal(report->cause->stage, TMGR_STAGE_ADD);
	assert_int_equal(report->cause->error, -EEXIST);
	assert_string_equal(report->cause->name, "a");
	assert_int_equal(tmgr_manager_run(manager, NULL), -EALREADY);
	assert_int_equal(tmgr_manager_cancel(manager), -ESHUTDOWN);
	tmgr_manager_destroy(manager);
	assert_calls(&a, 0, 0, 0);
	assert_calls(&c, 0, 0, 0);
	assert_int_equal(again.destroyed, 1);
	assert_int_equal(a.destroyed + c.destroyed, 2);
}

static void the_first_of_several_refusals_is_the_result(void **state)
{
	struct tmgr_manager *manager = manager_with(NULL);

	(void)state;
	assert_int_equal(
		tmgr_manager_add_task(manager, "x", tmgr_task_failed(-ENOMEM), TMGR_STRICT),
		-ENOMEM);
	assert_int_equal(
		tmgr_manager_add_task(manager, "y", tmgr_task_function(NULL, NULL), TMGR_STRICT),
		-EINVAL);
	assert_int_equal(tmgr_manager_run(manager, NULL), -ENOMEM);
	assert_string_equal(tmgr_manager_report(manager)->cause->name, "x");
	assert_true(tmgr_manager_report(manager)->errors >= 1);
	tmgr_manager_destroy(manager);
}

static void bad_options_are_remembered_like_a_refused_add(void **state)
{
	static const struct tmgr_manager_options bad[] = {
		{ .when_quiet = (enum tmgr_when_quiet)9 },
		{ .stop_order = (enum tmgr_stop_order)9 },
		{ .shutdown_ns = -1 },
		{ .stop_ns = -1 },
		{ .cleanup_ns = -1 },
		{ .ready_ns = -1 },
		{ .stack_size = 1000 },
		{ .pool_idle_ns = -1 },
	};
	struct probe a = PROBE(.name = "a");

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tmgr_manager *manager = manager_with(&bad[i]);

		tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT);
		assert_int_equal(tmgr_manager_run(manager, NULL), -EINVAL);
		assert_int_equal(tmgr_manager_report(manager)->exit_code, 2);
		tmgr_manager_destroy(manager);
		assert_int_equal(a.destroyed, (int)i + 1);
	}
	assert_calls(&a, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(tasks_initialize_in_order_execute_in_parallel_and_clean_up_in_reverse),
		leak_test(a_token_that_fires_stops_the_run),
		leak_test(a_token_that_fired_before_run_lets_nothing_be_initialized),
		leak_test(a_cancel_before_run_lets_nothing_be_initialized),
		leak_test(a_failed_initialize_skips_the_rest_and_cleans_up_those_before),
		leak_test(an_option_calls_the_failed_ones_cleanup_and_its_context_says_so),
		leak_test(a_failed_execute_stops_all_and_all_are_cleaned_up),
		leak_test(a_failed_cleanup_does_not_stop_the_others_and_is_reported),
		leak_test(cleanup_gets_a_token_that_has_not_fired_and_a_deadline),
		leak_test(a_run_without_tasks_waits_for_cancel_returns_or_fails_as_told),
		leak_test(when_the_last_task_has_ended_the_run_is_quiet),
		leak_test(tasks_without_execute_are_set_up_and_cleaned_up),
		leak_test(a_second_run_is_refused_while_running_and_afterwards),
		leak_test(after_the_end_every_change_is_refused_and_the_task_destroyed),
		leak_test(destroy_before_run_destroys_all_tasks_in_reverse),
		leak_test(destroy_during_run_stops_the_program_with_a_message),
		leak_test(a_refused_add_is_remembered_and_run_starts_nothing),
		leak_test(the_first_of_several_refusals_is_the_result),
		leak_test(bad_options_are_remembered_like_a_refused_add),
	};

	return cmocka_run_group_tests_name("manager", tests, NULL, NULL);
}
