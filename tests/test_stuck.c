/*
 * What a stuck task takes with it: whoever waits for it inside, and the cleanups of all it may still
 * use. Each in a process of its own, for what is stuck stays.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/group.h>
#include <taskmgr/manager.h>
#include <taskmgr/tasks/manager.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static void run_in_child_with(int (*body)(void *argument), bool how)
{
	struct child child;

	assert_int_equal(child_run(&child, body, &how), 0);
}

static void run_in_child(int (*body)(void *argument))
{
	run_in_child_with(body, false);
}

static void add(struct tmgr_manager *manager, struct probe *probe)
{
	child_check_equal(
		tmgr_manager_add_task(manager, probe->name, probe_task(probe), TMGR_STRICT), 0);
}

static int leave_an_execute_task_stuck(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe a = PROBE(.name = "a"), safe = PROBE(.name = "safe"),
			    b = PROBE(.name = "b");
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	struct tmgr_manager_options options = { .shutdown_ns = 200 * TMGR_MILLISECOND };
	struct tmgr_task_options beside = { .cleanup_beside_users = true };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	const struct tmgr_report *report;
	struct runner runner;

	(void)argument;
	add(manager, &a);
	child_check_equal(tmgr_manager_add_task_with(
				  manager, "safe", probe_task(&safe), TMGR_STRICT, &beside),
		0);
	add(manager, &b);
	child_check_equal(tmgr_manager_add_execute_task(
				  manager, "deaf", probe_execute_task(&deaf), TMGR_ERROR),
		0);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never, 1));
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	report = tmgr_manager_report(manager);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "deaf") != NULL);
	child_check(report_entry(report, TMGR_REPORT_NOT_CLEANED_UP, "a") != NULL);
	child_check(report_entry(report, TMGR_REPORT_NOT_CLEANED_UP, "b") != NULL);
	child_check_equal(report->not_cleaned_up, 2);
	tmgr_manager_destroy(manager);
	child_check_equal(a.cleaned_up + b.cleaned_up, 0);
	child_check_equal(a.destroyed + b.destroyed + deaf.destroyed, 0);
	child_check_equal(safe.cleaned_up, 1);
	return 0;
}

/* It came after all long-running ones. */
static void an_execute_task_that_is_stuck_may_use_all_long_running_ones(void **state)
{
	(void)state;
	run_in_child(leave_an_execute_task_stuck);
}

/* How long its cleanup may take, as it was when it began. */
static int note_time_left(struct probe *probe, struct tmgr_context *context)
{
	int64_t *left = probe->user;
	struct tmgr_snapshot *snapshot;

	if (tmgr_manager_snapshot(tmgr_context_manager(context), &snapshot) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < snapshot->count; i++)
		if (strcmp(snapshot->tasks[i].path, probe->name) == 0)
			*left = tmgr_context_deadline(context) - snapshot->tasks[i].since;
	tmgr_snapshot_destroy(snapshot);
	return 0;
}

static int clean_up_after_the_deadline(void *argument)
{
	static struct latch never = LATCH_INIT;
	static int64_t left[2];
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	static struct probe b = PROBE(.name = "b", .on_cleanup = note_time_left, .user = &left[0]);
	static struct probe c = PROBE(.name = "c", .on_cleanup = note_time_left, .user = &left[1]);
	struct tmgr_manager_options options = { .shutdown_ns = 100 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct runner runner;

	(void)argument;
	add(manager, &deaf);
	add(manager, &b);
	add(manager, &c);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never, 1));
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	child_check_equal(b.cleaned_up + c.cleaned_up, 2);
	tmgr_manager_destroy(manager);
	return left[0] > TMGR_MILLISECOND && left[1] > TMGR_MILLISECOND ? 0 : CHILD_HELD_UP;
}

/* Their token is fresh even then. A thread that is held up for longer than that sees less. */
static void cleanups_after_the_total_deadline_still_have_a_little_time(void **state)
{
	static struct child child;

	(void)state;
	assert_int_equal(child_run_unless_held_up(&child, clean_up_after_the_deadline, NULL), 0);
}

static struct latch child_holds = LATCH_INIT;

/* As a timeout does for what it wraps: it has to end by a moment of its own. */
static int hold_past_own_deadline(void *self, struct tmgr_context *context)
{
	(void)self;
	tmgr_context_set_end_deadline(context, tmgr_after(50 * TMGR_MILLISECOND));
	latch_wait(&child_holds);
	return 0;
}

static int spawn_one(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_spawn(context, NULL, tmgr_task_function(hold_past_own_deadline, NULL), NULL);
	return tmgr_group_wait(context, NULL, TMGR_NEVER);
}

static int leave_a_child_stuck(void *argument)
{
	static struct probe a = PROBE(.name = "a");
	static struct probe parent = PROBE(.name = "parent", .on_execute = spawn_one);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	const struct tmgr_report *report;
	int64_t begin = tmgr_now();

	(void)argument;
	add(manager, &a);
	add(manager, &parent);
	child_check_equal(tmgr_manager_run(manager, NULL), -TMGR_ESTUCK);
	/* Not by the deadline of the whole stop, which is 25 s. */
	child_check(tmgr_now() - begin < 20 * TMGR_SECOND);
	report = tmgr_manager_report(manager);
	child_check_equal(report->stuck, 2);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "parent#1") != NULL);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "parent") != NULL);
	child_check(report_entry(report, TMGR_REPORT_NOT_CLEANED_UP, "a") != NULL);
	child_check_equal(parent.cleaned_up + a.cleaned_up, 0);
	tmgr_manager_destroy(manager);
	child_check_equal(parent.destroyed, 0);
	return 0;
}

static void a_stuck_child_makes_its_parent_stuck(void **state)
{
	(void)state;
	run_in_child(leave_a_child_stuck);
}

static struct latch never_given = LATCH_INIT;

static int hold_for_ever(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	latch_wait(&never_given);
	return 0;
}

static int note_begin(void *self, struct tmgr_context *context)
{
	(void)context;
	*(atomic_int *)self += 1;
	return 0;
}

static int spawn_one_at_a_time(struct probe *probe, struct tmgr_context *context)
{
	const struct tmgr_group_options one = { .running_max = 1 };
	struct tmgr_group *group;

	child_check_equal(tmgr_group_create(context, &one, &group), 0);
	child_check_equal(
		tmgr_spawn(context, group, tmgr_task_function(hold_for_ever, NULL), NULL), 0);
	for (int i = 0; i < 2; i++)
		child_check_equal(tmgr_spawn(context, group,
					  tmgr_task_function(note_begin, probe->user), NULL),
			0);
	return tmgr_group_wait(context, group, TMGR_NEVER);
}

static int leave_children_behind_a_stuck_one(void *argument)
{
	static atomic_int begun;
	static struct probe parent = PROBE(.name = "parent", .on_execute = spawn_one_at_a_time,
		.user = &begun);
	struct tmgr_manager_options options = { .shutdown_ns = 200 * TMGR_MILLISECOND };
	struct tmgr_manager *manager;
	const struct tmgr_report *report;
	struct runner runner;

	if (*(const bool *)argument)
		options.stop_order = TMGR_STOP_REVERSE;
	manager = tmgr_manager_create(&options);
	add(manager, &parent);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never_given, 1));
	child_check(task_waits(manager, "parent", "group"));
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	report = tmgr_manager_report(manager);
	child_check_equal(report->stuck, 2);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "parent#1") != NULL);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "parent") != NULL);
	tmgr_manager_destroy(manager);
	child_check_equal(begun, 0);
	return 0;
}

static void children_behind_a_stuck_one_do_not_keep_run(void **state)
{
	(void)state;
	run_in_child_with(leave_children_behind_a_stuck_one, false);
	run_in_child_with(leave_children_behind_a_stuck_one, true);
}

static int leave_one_inside_stuck(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	static struct probe in = PROBE(.name = "in"),
			    deaf = PROBE(.name = "deaf", .hold_execute = &never);
	bool by_outer = *(const bool *)argument;
	/* The inner one has a tenth less, which must do on a busy machine. */
	struct tmgr_manager_options soon = { .shutdown_ns = (by_outer ? 2000 : 300) *
							    TMGR_MILLISECOND };
	struct tmgr_manager *inner = tmgr_manager_create(by_outer ? NULL : &soon);
	struct tmgr_manager *outer = tmgr_manager_create(by_outer ? &soon : NULL);
	const struct tmgr_report_entry *entry;
	const struct tmgr_report *report;
	struct runner runner;

	add(inner, &in);
	add(inner, &deaf);
	add(outer, &a);
	child_check_equal(
		tmgr_manager_add_task(outer, "inner", tmgr_manager_task(inner), TMGR_STRICT), 0);
	add(outer, &b);
	runner_start(&runner, outer, NULL);
	child_check(latch_arrived(&never, 1));
	child_check_equal(tmgr_manager_cancel(outer), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	entry = report_entry(tmgr_manager_report(outer), TMGR_REPORT_STUCK, "inner");
	report = entry != NULL ? entry->inner : NULL;
	child_check(report_entry(report, TMGR_REPORT_STUCK, "deaf") != NULL);
	child_check(report_entry(report, TMGR_REPORT_NOT_CLEANED_UP, "in") != NULL);
	child_check(
		report_entry(tmgr_manager_report(outer), TMGR_REPORT_NOT_CLEANED_UP, "a") != NULL);
	child_check_equal(tmgr_manager_report(outer)->exit_code, 3);
	child_check_equal(b.cleaned_up, 1);
	child_check_equal(a.cleaned_up + in.cleaned_up + deaf.cleaned_up, 0);
	tmgr_manager_destroy(outer);
	child_check_equal(a.destroyed + in.destroyed + deaf.destroyed, 0);
	return 0;
}

static void a_task_stuck_in_a_manager_makes_the_task_around_it_stuck(void **state)
{
	(void)state;
	run_in_child_with(leave_one_inside_stuck, false);
}

/* Else the outer one would call it stuck before it could say what is stuck in it. */
static void a_manager_in_another_is_done_a_little_before_the_outer_deadline(void **state)
{
	(void)state;
	run_in_child_with(leave_one_inside_stuck, true);
}

/* The inner one stops by itself, and has its own time; then the outer one stops, with less. */
static int stop_outer_later(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe in = PROBE(.name = "in");
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	struct tmgr_manager_options soon = { .shutdown_ns = 2000 * TMGR_MILLISECOND };
	struct tmgr_manager *inner = tmgr_manager_create(NULL);
	struct tmgr_manager *outer = tmgr_manager_create(&soon);
	const struct tmgr_report_entry *entry;
	struct runner runner;

	(void)argument;
	add(inner, &in);
	add(inner, &deaf);
	child_check_equal(
		tmgr_manager_add_task(outer, "inner", tmgr_manager_task(inner), TMGR_STRICT), 0);
	runner_start(&runner, outer, NULL);
	child_check(latch_arrived(&never, 1));
	child_check_equal(tmgr_manager_cancel(inner), 0);
	child_check(manager_reaches(inner, TMGR_MANAGER_STOPPING));
	tmgr_sleep(NULL, 100 * TMGR_MILLISECOND);
	child_check_equal(tmgr_manager_cancel(outer), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	entry = report_entry(tmgr_manager_report(outer), TMGR_REPORT_STUCK, "inner");
	child_check(entry != NULL && entry->inner != NULL);
	child_check(report_entry(entry->inner, TMGR_REPORT_STUCK, "deaf") != NULL);
	tmgr_manager_destroy(outer);
	return 0;
}

static void a_stop_of_the_outer_manager_that_comes_later_is_heeded(void **state)
{
	(void)state;
	run_in_child(stop_outer_later);
}

static int wait_and_stay(void *self, struct tmgr_context *context)
{
	struct tmgr_manager *inner = self;

	child_check_equal(tmgr_manager_start(inner, context), 0);
	child_check_equal(tmgr_manager_wait(inner, context), -TMGR_ESTUCK);
	while (pause() < 0)
		;
	return 0;
}

static int stay_after_a_stuck_one_inside(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	struct tmgr_manager_options soon = { .shutdown_ns = 300 * TMGR_MILLISECOND };
	struct tmgr_manager *inner = tmgr_manager_create(&soon);
	struct tmgr_manager *outer = tmgr_manager_create(&soon);
	struct runner runner;

	(void)argument;
	add(inner, &deaf);
	child_check_equal(tmgr_manager_add_task(outer, "stays",
				  tmgr_task_function(wait_and_stay, inner), TMGR_STRICT),
		0);
	runner_start(&runner, outer, NULL);
	child_check(latch_arrived(&never, 1));
	child_check_equal(tmgr_manager_cancel(inner), 0);
	tmgr_sleep(NULL, 600 * TMGR_MILLISECOND);
	child_check_equal(tmgr_manager_cancel(outer), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	tmgr_manager_destroy(outer);
	return 0;
}

static void one_that_stays_after_a_stuck_one_inside_is_not_waited_for(void **state)
{
	(void)state;
	run_in_child(stay_after_a_stuck_one_inside);
}

static bool have_all_ended(void *argument)
{
	struct probe **probes = argument;

	return probes[0]->execute_ended + probes[1]->execute_ended + probes[2]->execute_ended == 3;
}

static int leave_the_last_of_three_stuck(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	static struct probe in = PROBE(.name = "in");
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	struct tmgr_manager_options options = { .stop_order = TMGR_STOP_REVERSE,
		.shutdown_ns = 300 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct tmgr_manager *inner = probe_manager(NULL, &in);
	const struct tmgr_report *report;
	struct runner runner;

	(void)argument;
	add(manager, &a);
	child_check_equal(
		tmgr_manager_add_task(manager, "inner", tmgr_manager_task(inner), TMGR_STRICT), 0);
	add(manager, &b);
	add(manager, &deaf);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never, 1));
	child_check(latch_arrived(&a.executing, 1) && latch_arrived(&b.executing, 1));
	child_check(latch_arrived(&in.executing, 1));
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	report = tmgr_manager_report(manager);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "deaf") != NULL);
	/* They have 40 ms each, which may be too little on a busy machine. */
	child_check_equal(report->not_cleaned_up + report->stuck, 4);
	child_check(eventually(have_all_ended, (struct probe *[]){ &a, &b, &in }));
	tmgr_manager_destroy(manager);
	return 0;
}

/* It has used up the time of all; they were not told to stop before, and are then. */
static void in_reverse_those_before_a_stuck_one_are_still_told_to_stop(void **state)
{
	(void)state;
	run_in_child(leave_the_last_of_three_stuck);
}

static int hold_after_the_stop(struct probe *probe, struct tmgr_context *context)
{
	tmgr_sleep_until(context, TMGR_NEVER);
	/* The watcher has most likely looked by then, and would not look for long. */
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	tmgr_sleep(context, 20 * TMGR_MILLISECOND);
	tmgr_uninterrupted_end(context);
	tmgr_context_set_stop_timeout(context, 50 * TMGR_MILLISECOND);
	latch_wait(probe->user);
	return 0;
}

static int shorten_its_stop(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf", .on_execute = hold_after_the_stop,
		.user = &never);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	int64_t begin = tmgr_now();
	struct runner runner;

	(void)argument;
	add(manager, &deaf);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&deaf.executing, 1));
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	/* Not when who is waited for is named, at a third of the whole. */
	child_check(tmgr_now() - begin < 7 * TMGR_SECOND);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_stop_deadline_that_is_set_after_the_stop_holds(void **state)
{
	(void)state;
	run_in_child(shorten_its_stop);
}

static int be_late_and_stuck(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe late = PROBE(.name = "late", .hold_execute = &never);
	struct tmgr_task_options options = { .ready_ns = TMGR_MILLISECOND,
		.stop_ns = 50 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	const struct tmgr_report *report;

	(void)argument;
	child_check_equal(tmgr_manager_add_task_with(
				  manager, "late", probe_task(&late), TMGR_STRICT, &options),
		0);
	child_check_equal(tmgr_manager_run(manager, NULL), -TMGR_ESTUCK);
	report = tmgr_manager_report(manager);
	child_check_equal(report->stuck, 1);
	child_check_equal(report->errors, 0);
	child_check_equal(report->exit_code, 3);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "late") != NULL);
	child_check_equal(report->entries->next != NULL, 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void one_that_is_late_to_be_ready_and_then_stuck_counts_as_stuck(void **state)
{
	(void)state;
	run_in_child(be_late_and_stuck);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(an_execute_task_that_is_stuck_may_use_all_long_running_ones),
		leak_test(cleanups_after_the_total_deadline_still_have_a_little_time),
		leak_test(a_stuck_child_makes_its_parent_stuck),
		leak_test(children_behind_a_stuck_one_do_not_keep_run),
		leak_test(a_task_stuck_in_a_manager_makes_the_task_around_it_stuck),
		leak_test(a_manager_in_another_is_done_a_little_before_the_outer_deadline),
		leak_test(a_stop_of_the_outer_manager_that_comes_later_is_heeded),
		leak_test(one_that_stays_after_a_stuck_one_inside_is_not_waited_for),
		leak_test(in_reverse_those_before_a_stuck_one_are_still_told_to_stop),
		leak_test(a_stop_deadline_that_is_set_after_the_stop_holds),
		leak_test(one_that_is_late_to_be_ready_and_then_stuck_counts_as_stuck),
	};

	return cmocka_run_group_tests_name("stuck", tests, NULL, NULL);
}
