/*
 * What the end of a task means, from outside: policies and stop groups in real runs, and adding
 * while it runs.
 */
#include <errno.h>
#include <string.h>

#include <taskmgr/manager.h>

#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct tmgr_manager *new_manager(void)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	assert_non_null(manager);
	return manager;
}

static void add(struct tmgr_manager *manager, struct probe *probe, enum tmgr_policy policy)
{
	assert_int_equal(tmgr_manager_add_task(manager, probe->name, probe_task(probe), policy), 0);
}

static const enum tmgr_policy policies[] = { TMGR_STRICT, TMGR_ERROR, TMGR_STOP_GROUP };

/* Ends before the stop: what run says. The probe beside it stops the run when the end did not. */
static int run_with_end_before(enum tmgr_policy policy, int result, bool *ret_stopped)
{
	struct probe ends = PROBE(.name = "ends", .end = PROBE_RETURNS, .execute_result = result);
	struct probe beside = PROBE(.name = "beside");
	struct tmgr_manager *manager = new_manager();
	struct runner runner;
	int r;

	add(manager, &beside, TMGR_ERROR);
	add(manager, &ends, policy);
	runner_start(&runner, manager, NULL);
	assert_true(task_reaches(manager, "ends", TMGR_STATE_ENDED));
	*ret_stopped = tmgr_manager_cancel(manager) != 0;
	r = runner_join(&runner);
	tmgr_manager_destroy(manager);
	return r;
}

static void ends_before_the_stop_mean_what_the_table_says(void **state)
{
	static const struct {
		enum tmgr_policy policy;
		int result, of_run;
		bool stops;
	} rows[] = {
		{ TMGR_STRICT, 0, -TMGR_EUNEXPECTED, true },
		{ TMGR_STRICT, -EIO, -EIO, true },
		{ TMGR_STRICT, -ECANCELED, -ECANCELED, true },
		{ TMGR_STRICT, 7, -TMGR_EFAILED, true },
		{ TMGR_ERROR, 0, 0, false },
		{ TMGR_ERROR, -EIO, -EIO, true },
		{ TMGR_ERROR, -ECANCELED, -ECANCELED, true },
		{ TMGR_ERROR, 7, -TMGR_EFAILED, true },
		{ TMGR_STOP_GROUP, 0, 0, true }, /* it was the only member */
		{ TMGR_STOP_GROUP, -EIO, -EIO, true },
		{ TMGR_STOP_GROUP, -ECANCELED, -ECANCELED, true },
		{ TMGR_STOP_GROUP, 7, -TMGR_EFAILED, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool stopped;
		int r = run_with_end_before(rows[i].policy, rows[i].result, &stopped);

		if (r != rows[i].of_run || (rows[i].stops && !stopped && r == 0))
			fail_msg("row %zu: run gave %d", i, r);
		/* A run that nothing stopped took our cancel. */
		if (!rows[i].stops)
			assert_false(stopped);
	}
}

static void ends_after_the_stop_are_clean_unless_they_are_errors(void **state)
{
	static const struct {
		int result, of_run;
	} rows[] = { { 0, 0 }, { -ECANCELED, 0 }, { -EIO, -EIO }, { 7, -TMGR_EFAILED } };

	(void)state;
	for (size_t p = 0; p < 3; p++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct probe probe = PROBE(.name = "ends",
				.execute_result = rows[i].result);
			struct tmgr_manager *manager = new_manager();
			struct runner runner;

			add(manager, &probe, policies[p]);
			runner_start(&runner, manager, NULL);
			assert_true(latch_arrived(&probe.executing, 1));
			assert_int_equal(tmgr_manager_cancel(manager), 0);
			assert_int_equal(runner_join(&runner), rows[i].of_run);
			assert_int_equal(tmgr_manager_report(manager)->errors,
				(size_t)(rows[i].of_run != 0));
			tmgr_manager_destroy(manager);
		}
	}
}

static void a_positive_result_is_kept_as_detail(void **state)
{
	struct probe probe = PROBE(.name = "ends", .end = PROBE_RETURNS, .execute_result = 42);
	struct tmgr_manager *manager = new_manager();

	(void)state;
	add(manager, &probe, TMGR_ERROR);
	assert_int_equal(tmgr_manager_run(manager, NULL), -TMGR_EFAILED);
	assert_int_equal(tmgr_manager_report(manager)->cause->error, -TMGR_EFAILED);
	assert_int_equal(tmgr_manager_report(manager)->cause->detail, 42);
	tmgr_manager_destroy(manager);
}

static void positive_results_of_initialize_and_cleanup_are_errors_too(void **state)
{
	struct probe fails = PROBE(.name = "fails", .initialize_result = 3);
	struct probe untidy = PROBE(.name = "untidy", .cleanup_result = 4);
	struct tmgr_manager *manager = new_manager();
	const struct tmgr_report *report;

	(void)state;
	add(manager, &untidy, TMGR_STRICT);
	add(manager, &fails, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), -TMGR_EFAILED);
	report = tmgr_manager_report(manager);
	assert_int_equal(report->errors, 2);
	assert_int_equal(report->entries->detail, 3);
	assert_int_equal(report->entries->next->detail, 4);
	tmgr_manager_destroy(manager);
}

/* As one that tried twice. */
static int say_and_go_on(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_fail(context, -ENOENT, "the first attempt failed");
	return 0;
}

static void what_an_initialize_said_that_went_well_is_not_why_execute_failed(void **state)
{
	struct probe a = PROBE(.name = "a", .on_initialize = say_and_go_on, .end = PROBE_RETURNS,
		.execute_result = -EIO);
	struct probe b = PROBE(.name = "b", .on_initialize = say_and_go_on, .end = PROBE_RETURNS);
	struct probe *probes[] = { &a, &b };
	const char *texts[] = { "",
		"returned 0 before it was told to stop, with the policy STRICT" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct tmgr_manager *manager = new_manager();

		add(manager, probes[i], TMGR_STRICT);
		assert_int_equal(
			tmgr_manager_run(manager, NULL), i == 0 ? -EIO : -TMGR_EUNEXPECTED);
		assert_string_equal(tmgr_manager_report(manager)->cause->text, texts[i]);
		tmgr_manager_destroy(manager);
	}
}

static void the_error_recorded_first_is_the_cause(void **state)
{
	struct probe first = PROBE(.name = "first", .end = PROBE_RETURNS, .execute_result = -EPERM);
	struct probe second = PROBE(.name = "second", .execute_result = -EIO);
	struct probe third = PROBE(.name = "third", .cleanup_result = -ENOSPC);
	struct tmgr_manager *manager = new_manager();
	const struct tmgr_report *report;

	(void)state;
	add(manager, &third, TMGR_STRICT);
	add(manager, &second, TMGR_STRICT);
	add(manager, &first, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EPERM);
	report = tmgr_manager_report(manager);
	assert_int_equal(report->errors, 3);
	assert_string_equal(report->cause->name, "first");
	assert_string_equal(report->entries->name, "first");
	assert_string_equal(report->entries->next->name, "second");
	assert_string_equal(report->entries->next->next->name, "third");
	tmgr_manager_destroy(manager);
}

static void an_error_after_the_stop_is_the_cause_only_if_there_was_none_before(void **state)
{
	struct probe late = PROBE(.name = "late", .execute_result = -EIO);
	struct tmgr_manager *manager = new_manager();
	struct runner runner;

	(void)state;
	add(manager, &late, TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&late.executing, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), -EIO);
	assert_string_equal(tmgr_manager_report(manager)->cause->name, "late");
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_CANCELLED);
	tmgr_manager_destroy(manager);
}

static void a_stop_group_stops_all_when_its_last_member_has_ended(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe a = PROBE(.name = "a", .end = PROBE_RETURNS);
	struct probe b = PROBE(.name = "b", .end = PROBE_RETURNS, .hold_execute = &hold);
	struct probe other = PROBE(.name = "other");
	struct tmgr_manager *manager = new_manager();
	struct runner runner;
	struct tmgr_snapshot *snapshot;

	(void)state;
	add(manager, &a, TMGR_STOP_GROUP);
	add(manager, &b, TMGR_STOP_GROUP);
	add(manager, &other, TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(task_reaches(manager, "a", TMGR_STATE_ENDED));
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_manager_snapshot(manager, &snapshot), 0);
	assert_int_equal(snapshot->state, TMGR_MANAGER_RUNNING);
	tmgr_snapshot_destroy(snapshot);
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_GROUP_DONE);
	assert_int_equal(tmgr_manager_report(manager)->exit_code, 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(other.execute_ended, 1);
}

static void stop_groups_have_names_and_count_apart(void **state)
{
	struct tmgr_task_options left = { .stop_group = "left" }, right = { .stop_group = "right" };
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b", .end = PROBE_RETURNS);
	struct probe c = PROBE(.name = "c");
	struct tmgr_manager *manager = new_manager();

	(void)state;
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "a", probe_task(&a), TMGR_STOP_GROUP, &left),
		0);
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "b", probe_task(&b), TMGR_STOP_GROUP, &right),
		0);
	add(manager, &c, TMGR_STOP_GROUP);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_GROUP_DONE);
	assert_string_equal(tmgr_manager_report(manager)->stop.text, "right");
	tmgr_manager_destroy(manager);
	assert_int_equal(a.execute_ended + b.execute_ended + c.execute_ended, 3);
}

static void an_execute_task_joins_only_a_group_that_has_a_living_member(void **state)
{
	struct tmgr_task_options named = { .stop_group = "workers" };
	struct probe nobody = PROBE(.name = "nobody", .end = PROBE_RETURNS);
	struct probe member = PROBE(.name = "member", .end = PROBE_RETURNS);
	struct probe joins = PROBE(.name = "joins", .end = PROBE_RETURNS);
	struct latch hold = LATCH_INIT;
	struct tmgr_manager *manager = new_manager();

	(void)state;
	member.hold_execute = &hold;
	assert_int_equal(tmgr_manager_add_task_with(
				 manager, "member", probe_task(&member), TMGR_STOP_GROUP, &named),
		0);
	assert_int_equal(tmgr_manager_add_execute_task_with(manager, "joins",
				 probe_execute_task(&joins), TMGR_STOP_GROUP, &named),
		0);
	latch_open(&hold);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(joins.executed, 1);

	manager = new_manager();
	assert_int_equal(tmgr_manager_add_execute_task_with(manager, "nobody",
				 probe_execute_task(&nobody), TMGR_STOP_GROUP, NULL),
		-ENOENT);
	assert_int_equal(nobody.destroyed, 1);
	tmgr_manager_destroy(manager);
}

static struct probe added[4];
static int add_results[4];

static int add_one(struct probe *probe, struct tmgr_context *context, size_t which)
{
	static const char *const names[] = { "from-initialize", "from-execute", "from-cleanup" };

	(void)probe;
	added[which] = (struct probe)PROBE(.name = names[which], .end = PROBE_RETURNS);
	add_results[which] = tmgr_manager_add_execute_task(tmgr_context_manager(context),
		names[which], probe_execute_task(&added[which]), TMGR_ERROR);
	return 0;
}

static int add_from_initialize(struct probe *probe, struct tmgr_context *context)
{
	add_one(probe, context, 0);
	add_results[3] = added[0].executed;
	return 0;
}

static int add_from_execute(struct probe *probe, struct tmgr_context *context)
{
	add_one(probe, context, 1);
	if (!latch_arrived(&added[1].executing, 1) || !latch_arrived(&added[0].executing, 1))
		return -EIO;
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static int add_from_cleanup(struct probe *probe, struct tmgr_context *context)
{
	return add_one(probe, context, 2);
}

static void tasks_add_from_initialize_and_execute_and_are_refused_in_cleanup(void **state)
{
	struct probe adder = PROBE(.name = "adder", .on_initialize = add_from_initialize,
		.on_execute = add_from_execute, .on_cleanup = add_from_cleanup);
	struct tmgr_manager *manager = new_manager();

	(void)state;
	memset(add_results, 1, sizeof(add_results));
	add(manager, &adder, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(add_results[0], 0);
	assert_int_equal(add_results[1], 0);
	assert_int_equal(add_results[2], -ESHUTDOWN);
	assert_int_equal(added[0].executed, 1);
	assert_int_equal(added[1].executed, 1);
	assert_int_equal(added[2].executed, 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(added[i].destroyed, 1);
}

static void an_add_during_initialize_queues_until_all_are_initialized(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe slow = PROBE(.name = "slow", .hold_initialize = &hold);
	struct probe queued = PROBE(.name = "queued", .end = PROBE_RETURNS);
	struct tmgr_manager *manager = new_manager();
	struct runner runner;

	(void)state;
	add(manager, &slow, TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_manager_add_execute_task(
				 manager, "queued", probe_execute_task(&queued), TMGR_ERROR),
		0);
	assert_int_equal(
		tmgr_manager_add_task(manager, "late", probe_task(&queued), TMGR_ERROR), -EBUSY);
	assert_int_equal(queued.destroyed, 1);
	assert_int_equal(queued.executed, 0);
	latch_open(&hold);
	assert_true(latch_arrived(&queued.executing, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(queued.destroyed, 2);
	assert_int_equal(queued.executed, 1);
}

static void a_task_with_more_than_execute_is_refused_as_an_execute_task(void **state)
{
	struct probe probe = PROBE(.name = "whole");
	struct tmgr_manager *manager = new_manager();

	(void)state;
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "a", probe_task(&probe), TMGR_ERROR),
		-EINVAL);
	assert_int_equal(tmgr_manager_add_execute_task(
				 manager, "b", probe_initialize_only(&probe), TMGR_ERROR),
		-EINVAL);
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "c", probe_cleanup_only(&probe), TMGR_ERROR),
		-EINVAL);
	assert_int_equal(probe.destroyed, 3);
	tmgr_manager_destroy(manager);
}

static void execute_tasks_may_share_a_name(void **state)
{
	struct probe a = PROBE(.name = "same", .end = PROBE_RETURNS);
	struct probe b = PROBE(.name = "same", .end = PROBE_RETURNS);
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);

	(void)state;
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "same", probe_execute_task(&a), TMGR_ERROR),
		0);
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "same", probe_execute_task(&b), TMGR_ERROR),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(tmgr_manager_report(manager)->executed, 2);
	assert_int_equal(tmgr_manager_report(manager)->long_running, 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(a.executed + b.executed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(ends_before_the_stop_mean_what_the_table_says),
		leak_test(ends_after_the_stop_are_clean_unless_they_are_errors),
		leak_test(a_positive_result_is_kept_as_detail),
		leak_test(positive_results_of_initialize_and_cleanup_are_errors_too),
		leak_test(what_an_initialize_said_that_went_well_is_not_why_execute_failed),
		leak_test(the_error_recorded_first_is_the_cause),
		leak_test(an_error_after_the_stop_is_the_cause_only_if_there_was_none_before),
		leak_test(a_stop_group_stops_all_when_its_last_member_has_ended),
		leak_test(stop_groups_have_names_and_count_apart),
		leak_test(an_execute_task_joins_only_a_group_that_has_a_living_member),
		leak_test(tasks_add_from_initialize_and_execute_and_are_refused_in_cleanup),
		leak_test(an_add_during_initialize_queues_until_all_are_initialized),
		leak_test(a_task_with_more_than_execute_is_refused_as_an_execute_task),
		leak_test(execute_tasks_may_share_a_name),
	};

	return cmocka_run_group_tests_name("ends", tests, NULL, NULL);
}
