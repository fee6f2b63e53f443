/*
 * What stands behind a stuck task on a loop, and so never begins: run does not wait for it. Each in a
 * process of its own, for what is stuck stays.
 */
#include <string.h>
#include <unistd.h>

#include <taskmgr/group.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/looped.h"
#include "tests/support/recorder.h"

static int add_on(struct tmgr_manager *manager, struct tmgr_loop *loop, struct probe *probe)
{
	struct tmgr_task_options on = { .loop = loop };

	return tmgr_manager_add_task_with(
		manager, probe->name, probe_task(probe), TMGR_STRICT, &on);
}

static int add_execute_on(struct tmgr_manager *manager, struct tmgr_loop *loop, struct probe *probe,
	struct tmgr_handle *ret_handle)
{
	struct tmgr_task_options on = { .loop = loop, .ret_handle = ret_handle };

	return tmgr_manager_add_execute_task_with(
		manager, probe->name, probe_execute_task(probe), TMGR_ERROR, &on);
}

static int hog(struct probe *probe, struct tmgr_context *context)
{
	latch_arrive(&probe->executing);
	while (!latch_wait(probe->user))
		;
	return 0;
}

static void tell_passed(void *self)
{
	latch_arrive(self);
}

static int leave_some_behind(void *argument)
{
	static struct latch never = LATCH_INIT, passed = LATCH_INIT;
	static struct tmgr_loop_call call;
	static struct probe base = PROBE(.name = "base"), behind = PROBE(.name = "behind");
	static struct probe early = PROBE(.name = "early"), late = PROBE(.name = "late");
	static struct probe task = PROBE(.name = "task", .on_execute = hog, .user = &never);
	struct tmgr_manager_options options = { .shutdown_ns = 500 * TMGR_MILLISECOND,
		.stop_order = *(const enum tmgr_stop_order *)argument };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	const struct tmgr_report *report;
	struct tmgr_loop *loop;
	struct runner runner;
	struct tmgr_handle handle;
	int result;

	tmgr_manager_add_task(manager, "base", probe_task(&base), TMGR_STRICT);
	loop = looped_add(manager, "loop", NULL);
	child_check_equal(add_on(manager, loop, &task), 0);
	child_check_equal(add_on(manager, loop, &behind), 0);
	child_check_equal(add_execute_on(manager, loop, &early, NULL), 0);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&task.executing, 2));
	child_check_equal(add_execute_on(manager, loop, &late, &handle), 0);
	tmgr_manager_cancel(manager);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	report = tmgr_manager_report(manager);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "task") != NULL &&
		    report_entry(report, TMGR_REPORT_STUCK, "loop") != NULL);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "behind") != NULL);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "early") != NULL &&
		    report_entry(report, TMGR_REPORT_STUCK, "late") != NULL);
	child_check_equal(report->stuck, 5);
	/* Whoever waits for one is told. */
	child_check_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	child_check_equal(tmgr_handle_result(handle, &result), 0);
	child_check_equal(result, -TMGR_ESTUCK);
	tmgr_handle_release(handle);
	/* The loop comes back after all, and passes them: what is posted behind them is made. */
	child_check_equal(tmgr_loop_post(loop, &call, tell_passed, &passed), 0);
	tmgr_manager_destroy(manager);
	latch_open(&never);
	child_check(latch_arrived(&passed, 1));
	child_check_equal(behind.executed + early.executed + late.executed, 0);
	child_check_equal(behind.cleaned_up + base.cleaned_up, 0);
	child_check_equal(behind.destroyed + early.destroyed + late.destroyed, 0);
	return 0;
}

static void what_a_loop_that_is_not_given_back_never_began_does_not_keep_run(void **state)
{
	enum tmgr_stop_order order = TMGR_STOP_AT_ONCE;
	static struct child child;

	assert_int_equal(child_run(&child, leave_some_behind, &order), 0);
	order = TMGR_STOP_REVERSE;
	assert_int_equal(child_run(&child, leave_some_behind, &order), 0);
}

static int leave_all_behind_elsewhere(void *argument)
{
	static struct latch held = LATCH_INIT;
	static struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	static struct probe task = PROBE(.name = "task", .on_execute = hog, .user = &held);
	struct tmgr_manager_options options = { .shutdown_ns = 100 * TMGR_MILLISECOND };
	struct tmgr_manager *one = tmgr_manager_create(NULL);
	struct tmgr_manager *other = tmgr_manager_create(&options);
	struct tmgr_loop *loop = looped_add(one, "loop", NULL);
	struct runner runner, other_runner;

	child_check_equal(add_on(one, loop, &task), 0);
	runner_start(&runner, one, NULL);
	child_check(latch_arrived(&task.executing, 2));
	child_check_equal(add_on(other, loop, &a), 0);
	child_check_equal(add_on(other, loop, &b), 0);
	runner_start(&other_runner, other, NULL);
	child_check(manager_reaches(other, TMGR_MANAGER_RUNNING));
	tmgr_manager_cancel(other);
	child_check_equal(runner_join(&other_runner), -TMGR_ESTUCK);
	child_check_equal(tmgr_manager_report(other)->stuck, 2);
	tmgr_manager_destroy(other);
	tmgr_manager_cancel(one);
	latch_open(&held);
	child_check_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(one);
	child_check_equal(a.executed + b.executed + a.destroyed + b.destroyed, 0);
	return 0;
}

static void nor_does_what_a_loop_of_another_manager_never_began(void **state)
{
	static struct child child;

	assert_int_equal(child_run(&child, leave_all_behind_elsewhere, NULL), 0);
}

static int spawn_deaf(void *self, struct tmgr_context *context)
{
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int one_deaf_at_a_time(struct probe *probe, struct tmgr_context *context)
{
	const struct tmgr_group_options one = { .running_max = 1 };
	struct tmgr_group *group;

	child_check_equal(tmgr_group_create(context, &one, &group), 0);
	for (int i = 0; i < 3; i++)
		child_check_equal(
			tmgr_spawn(context, group, tmgr_task_function(spawn_deaf, NULL), NULL), 0);
	tmgr_yield(context);
	latch_arrive(&probe->executing);
	return tmgr_group_wait(context, group, TMGR_NEVER);
}

static int leave_children_behind(void *argument)
{
	static struct probe task = PROBE(.name = "task", .on_execute = one_deaf_at_a_time);
	struct tmgr_manager_options options = { .shutdown_ns = 200 * TMGR_MILLISECOND,
		.stop_order = *(const enum tmgr_stop_order *)argument };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	const struct tmgr_report *report;
	struct tmgr_loop *loop = looped_add(manager, "loop", NULL);
	struct runner runner;

	child_check_equal(add_on(manager, loop, &task), 0);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&task.executing, 2));
	tmgr_manager_cancel(manager);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	report = tmgr_manager_report(manager);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "task") != NULL &&
		    report_entry(report, TMGR_REPORT_STUCK, "loop") != NULL);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "task#1") != NULL);
	child_check_equal(report->stuck, 3);
	tmgr_manager_destroy(manager);
	return 0;
}

static void nor_do_children_behind_a_stuck_one(void **state)
{
	enum tmgr_stop_order order = TMGR_STOP_AT_ONCE;
	static struct child child;

	assert_int_equal(child_run(&child, leave_children_behind, &order), 0);
	order = TMGR_STOP_REVERSE;
	assert_int_equal(child_run(&child, leave_children_behind, &order), 0);
}

/* Its manager never runs, and so never lets go of the loop. */
static int leave_one_unrun(void *argument)
{
	static struct probe task = PROBE(.name = "task");
	struct tmgr_manager_options options = { .shutdown_ns = 500 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct tmgr_manager *other = tmgr_manager_create(NULL);
	struct tmgr_loop *loop = looped_add(manager, "loop", NULL);
	struct runner runner;

	child_check_equal(add_on(other, loop, &task), 0);
	runner_start(&runner, manager, NULL);
	child_check(task_reaches(manager, "loop", TMGR_STATE_RUNNING));
	tmgr_manager_cancel(manager);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	return tmgr_report_print(tmgr_manager_report(manager), "test", STDERR_FILENO);
}

static void a_report_says_what_a_stuck_loop_waited_for(void **state)
{
	static struct child child;

	assert_int_equal(child_run(&child, leave_one_unrun, NULL), 0);
	assert_non_null(strstr(child.text,
		"test: stuck: task \"loop\": execute did not end by its deadline and was left "
		"behind: tasks that were to run on it and have not begun: 1\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(what_a_loop_that_is_not_given_back_never_began_does_not_keep_run),
		leak_test(nor_does_what_a_loop_of_another_manager_never_began),
		leak_test(nor_do_children_behind_a_stuck_one),
		leak_test(a_report_says_what_a_stuck_loop_waited_for),
	};

	return cmocka_run_group_tests_name("behind on a loop", tests, NULL, NULL);
}
