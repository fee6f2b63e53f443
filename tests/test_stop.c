#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/group.h>
#include <taskmgr/manager.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

/* How much later than its deadline run may return on a machine that is shared. */
#define SLACK (4 * TMGR_SECOND)

static struct recorder recorder = RECORDER_INIT;

static struct tmgr_manager *manager_with(const struct tmgr_manager_options *options)
{
	recorder_clear(&recorder);
	return tmgr_manager_create(options);
}

static void add(struct tmgr_manager *manager, struct probe *probe, enum tmgr_policy policy)
{
	probe->recorder = &recorder;
	child_check_equal(
		tmgr_manager_add_task(manager, probe->name, probe_task(probe), policy), 0);
}

static int cancel_manager(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static bool is_not_cleaned_up(const struct tmgr_report *report, const char *name)
{
	for (const struct tmgr_report_entry *entry = report->entries; entry != NULL;
		entry = entry->next) {
		if (entry->kind == TMGR_REPORT_NOT_CLEANED_UP && strcmp(entry->name, name) == 0)
			return true;
	}
	return false;
}

static bool is_stuck(const struct tmgr_report *report, const char *name)
{
	for (const struct tmgr_report_entry *entry = report->entries; entry != NULL;
		entry = entry->next) {
		if (entry->kind == TMGR_REPORT_STUCK && strcmp(entry->name, name) == 0)
			return true;
	}
	return false;
}

/* Four tasks; the third is deaf. In a child, since it leaves a thread and its memory behind. */
static int leave_one_stuck(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	static struct probe c = PROBE(.name = "c", .hold_execute = &never);
	static struct probe d = PROBE(.name = "d");
	struct tmgr_manager_options options = { .shutdown_ns = 300 * TMGR_MILLISECOND };
	struct tmgr_task_options beside = { .cleanup_beside_users = true };
	struct tmgr_manager *manager = manager_with(&options);
	const struct tmgr_report *report;
	struct runner runner;
	int64_t begin;

	(void)argument;
	add(manager, &a, TMGR_STRICT);
	b.recorder = &recorder;
	child_check_equal(
		tmgr_manager_add_task_with(manager, "b", probe_task(&b), TMGR_STRICT, &beside), 0);
	add(manager, &c, TMGR_STRICT);
	add(manager, &d, TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never, 1));
	begin = tmgr_now();
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	child_check(tmgr_now() - begin >= 300 * TMGR_MILLISECOND);
	child_check(tmgr_now() - begin < 300 * TMGR_MILLISECOND + SLACK);

	report = tmgr_manager_report(manager);
	child_check_equal(report->exit_code, 3);
	if (report->stuck > 1)
		return CHILD_HELD_UP;
	child_check(report->stop_duration_ns >= 300 * TMGR_MILLISECOND);
	child_check(report->duration_ns >= report->stop_duration_ns);
	child_check_equal(report->stuck, 1);
	child_check_equal(report->errors, 0);
	child_check_equal(report->not_cleaned_up, 1);
	child_check(is_stuck(report, "c"));
	child_check(is_not_cleaned_up(report, "a"));
	child_check(!is_not_cleaned_up(report, "d"));
	child_check_equal(d.cleaned_up, 1); /* added after it */
	child_check_equal(c.cleaned_up, 0); /* itself */
	child_check_equal(b.cleaned_up, 1); /* says that it is safe */
	child_check_equal(a.cleaned_up, 0); /* it may still use this */
	tmgr_manager_destroy(manager);
	child_check_equal(c.destroyed, 0);
	child_check_equal(d.destroyed, 1);
	child_check_equal(a.destroyed, 0);

	/* Its late end is thrown away. */
	latch_open(&never);
	while (c.execute_ended == 0)
		sched_yield();
	tmgr_sleep(NULL, 20 * TMGR_MILLISECOND);
	child_check_equal(c.destroyed, 0);
	child_check_equal(c.cleaned_up, 0);
	child_check_equal(a.cleaned_up, 0);
	return 0;
}

static void a_stuck_task_is_named_and_nothing_it_may_use_is_cleaned_up(void **state)
{
	static struct child child;

	(void)state;
	assert_int_equal(child_run_unless_held_up(&child, leave_one_stuck, NULL), 0);
}

static int leave_a_stuck_one_after_an_error(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	static struct probe fails = PROBE(.name = "fails", .end = PROBE_RETURNS,
		.execute_result = -EIO);
	struct tmgr_manager_options options = { .stop_ns = 100 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = manager_with(&options);

	(void)argument;
	add(manager, &deaf, TMGR_STRICT);
	add(manager, &fails, TMGR_STRICT);
	child_check_equal(tmgr_manager_run(manager, NULL), -EIO);
	child_check_equal(tmgr_manager_report(manager)->exit_code, 3);
	child_check_equal(tmgr_manager_report(manager)->stuck, 1);
	child_check_equal(tmgr_manager_report(manager)->errors, 1);
	tmgr_manager_destroy(manager);
	return 0;
}

static void an_error_stays_the_cause_beside_a_stuck_task(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, leave_a_stuck_one_after_an_error, NULL), 0);
}

/* The deadlines of all of them would be far more than what a slow machine takes. */
#define MANY 20

static int leave_many_stuck(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf[MANY];
	struct tmgr_manager_options options = { .shutdown_ns = 400 * TMGR_MILLISECOND,
		.stop_ns = 300 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = manager_with(&options);
	struct runner runner;
	static char names[MANY][8];
	int64_t begin;

	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "t%d", i);
		deaf[i] = (struct probe)PROBE(.name = names[i], .hold_execute = &never);
		add(manager, &deaf[i], TMGR_STRICT);
	}
	(void)argument;
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never, MANY));
	begin = tmgr_now();
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	child_check(tmgr_now() - begin < 400 * TMGR_MILLISECOND + SLACK);
	child_check_equal(tmgr_manager_report(manager)->stuck, MANY);
	tmgr_manager_destroy(manager);
	return 0;
}

static void deadlines_of_stuck_tasks_do_not_add_up(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, leave_many_stuck, NULL), 0);
}

static int sleep_long(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return tmgr_sleep(context, TMGR_HOUR);
}

static int stop_slow_cleanups(void *argument)
{
	static struct probe slow[MANY];
	static struct probe stops = PROBE(.name = "stops", .on_execute = cancel_manager);
	struct tmgr_manager_options options = { .shutdown_ns = 300 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = manager_with(&options);
	static char names[MANY][8];
	int64_t begin;

	(void)argument;
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "t%d", i);
		slow[i] = (struct probe)PROBE(.name = names[i], .on_cleanup = sleep_long);
		add(manager, &slow[i], TMGR_STRICT);
	}
	add(manager, &stops, TMGR_STRICT);
	begin = tmgr_now();
	tmgr_manager_run(manager, NULL);
	child_check(tmgr_now() - begin < 300 * TMGR_MILLISECOND + SLACK);
	if (tmgr_manager_report(manager)->stuck > 0)
		return CHILD_HELD_UP;
	tmgr_manager_destroy(manager);
	for (int i = 0; i < MANY; i++)
		child_check_equal(slow[i].cleaned_up, 1);
	return 0;
}

/* One that a slow machine holds up when its time is over is stuck. */
static void deadlines_of_slow_cleanups_do_not_add_up(void **state)
{
	static struct child child;

	(void)state;
	assert_int_equal(child_run_unless_held_up(&child, stop_slow_cleanups, NULL), 0);
}

static struct tmgr_cause cleanup_cause;

static int sleep_and_ask_why(struct probe *probe, struct tmgr_context *context)
{
	int r = tmgr_sleep(context, TMGR_HOUR);

	(void)probe;
	tmgr_token_cause(tmgr_context_token(context), &cleanup_cause);
	return r == -ECANCELED ? 0 : -EPROTO;
}

static void a_cleanup_ends_at_its_own_deadline(void **state)
{
	struct probe a = PROBE(.name = "a", .on_cleanup = sleep_and_ask_why);
	struct probe b = PROBE(.name = "b", .on_execute = cancel_manager);
	struct tmgr_manager_options options = { .cleanup_ns = 50 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = manager_with(&options);
	int64_t begin = tmgr_now();

	(void)state;
	memset(&cleanup_cause, 0, sizeof(cleanup_cause));
	add(manager, &a, TMGR_STRICT);
	add(manager, &b, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_true(tmgr_now() - begin >= 50 * TMGR_MILLISECOND);
	assert_true(tmgr_now() - begin < 50 * TMGR_MILLISECOND + SLACK);
	assert_int_equal(cleanup_cause.reason, TMGR_REASON_DEADLINE);
	tmgr_manager_destroy(manager);
}

static int tell_the_end(struct probe *probe, struct tmgr_context *context)
{
	int r = tmgr_sleep_until(context, TMGR_NEVER);

	recorder_add(&recorder, "%s!", probe->name);
	return r;
}

static int add_helper(struct probe *probe, struct tmgr_context *context)
{
	struct probe *helper = probe->user;
	int r = tmgr_manager_add_execute_task(tmgr_context_manager(context), helper->name,
		probe_execute_task(helper), TMGR_STRICT);

	return r < 0 ? r : tell_the_end(probe, context);
}

static void stopping_in_reverse_ends_each_layer_before_the_next(void **state)
{
	struct probe its = PROBE(.name = "its", .recorder = &recorder, .on_execute = tell_the_end);
	struct probe helper = PROBE(.name = "helper", .recorder = &recorder,
		.on_execute = add_helper, .user = &its);
	struct probe a = PROBE(.name = "a", .on_execute = tell_the_end);
	struct probe b = PROBE(.name = "b", .on_execute = add_helper, .user = &helper);
	struct probe c = PROBE(.name = "c", .on_execute = tell_the_end);
	struct probe x = PROBE(.name = "x", .recorder = &recorder, .on_execute = tell_the_end);
	struct tmgr_manager_options options = { .stop_order = TMGR_STOP_REVERSE };
	struct tmgr_manager *manager = manager_with(&options);
	struct runner runner;

	(void)state;
	add(manager, &a, TMGR_STRICT);
	add(manager, &b, TMGR_STRICT);
	add(manager, &c, TMGR_STRICT);
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "x", probe_execute_task(&x), TMGR_STRICT),
		0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&a.executing, 1) && latch_arrived(&b.executing, 1) &&
		    latch_arrived(&c.executing, 1) && latch_arrived(&x.executing, 1));
	assert_true(latch_arrived(&helper.executing, 1) && latch_arrived(&its.executing, 1));
	recorder_clear(&recorder);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_true(recorder_position(&recorder, "x!") < recorder_position(&recorder, "c!"));
	assert_true(recorder_position(&recorder, "c!") < recorder_position(&recorder, "-c"));
	assert_true(recorder_position(&recorder, "-c") < recorder_position(&recorder, "b!"));
	assert_true(recorder_position(&recorder, "-c") < recorder_position(&recorder, "helper!"));
	assert_true(recorder_position(&recorder, "helper!") < recorder_position(&recorder, "-b"));
	/* What its helper has added is still its own. */
	assert_true(recorder_position(&recorder, "-c") < recorder_position(&recorder, "its!"));
	assert_true(recorder_position(&recorder, "its!") < recorder_position(&recorder, "-b"));
	assert_true(recorder_position(&recorder, "b!") < recorder_position(&recorder, "-b"));
	assert_true(recorder_position(&recorder, "-b") < recorder_position(&recorder, "a!"));
	assert_true(recorder_position(&recorder, "a!") < recorder_position(&recorder, "-a"));
	assert_true(recorder_has(&recorder, "x!") && recorder_has(&recorder, "helper!"));
	tmgr_manager_destroy(manager);
	assert_int_equal(x.destroyed, 1);
	assert_int_equal(helper.destroyed + its.destroyed, 2);
}

static struct {
	struct tmgr_token *parent;
	struct latch waiting;
	bool parent_first;
} family;

static void look_at_parent(void *self)
{
	(void)self;
	family.parent_first = tmgr_token_fired(family.parent);
}

static int watch_parent(void *self, struct tmgr_context *context)
{
	struct tmgr_token_callback callback = { 0 };
	int r;

	(void)self;
	r = tmgr_token_register(tmgr_context_token(context), &callback, look_at_parent, NULL);
	latch_arrive(&family.waiting);
	if (r == 0)
		r = tmgr_sleep_until(context, TMGR_NEVER);
	/* The whole subtree is marked before any callback is called: the sleep may end first. */
	if (tmgr_token_unregister(&callback))
		look_at_parent(NULL);
	return r;
}

/* As a worker pool does: its end is that of its children. */
static int live_by_children(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	family.parent = tmgr_context_token(context);
	tmgr_spawn(context, NULL, tmgr_task_function(watch_parent, NULL), NULL);
	return tmgr_group_wait(context, NULL, TMGR_NEVER);
}

/* Children were told before their parent, which then had ended unexpectedly. */
static void stopping_in_reverse_tells_a_task_before_its_children(void **state)
{
	struct probe a = PROBE(.name = "a", .on_execute = live_by_children);
	struct tmgr_manager_options options = { .stop_order = TMGR_STOP_REVERSE };
	struct tmgr_manager *manager = manager_with(&options);
	struct runner runner;

	(void)state;
	latch_init(&family.waiting);
	add(manager, &a, TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&family.waiting, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_true(family.parent_first);
	tmgr_manager_destroy(manager);
}

static int set_stop_timeout(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return tmgr_context_set_stop_timeout(context, 100 * TMGR_MILLISECOND);
}

static int set_end_deadline(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return tmgr_context_set_end_deadline(context, tmgr_after(100 * TMGR_MILLISECOND));
}

static int pass_own_stop_timeout(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf", .on_initialize = set_stop_timeout);
	struct tmgr_manager *manager = manager_with(NULL);
	struct runner runner;

	(void)argument;
	deaf.hold_execute = &never;
	add(manager, &deaf, TMGR_ERROR);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never, 1));
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	child_check(is_stuck(tmgr_manager_report(manager), "deaf"));
	child_check_equal(deaf.cleaned_up, 0);
	tmgr_manager_destroy(manager);
	return 0;
}

/* Past it a task is stuck though nobody told it to stop. */
static int hold_after_deadline(struct probe *probe, struct tmgr_context *context)
{
	int r = set_end_deadline(probe, context);

	latch_wait(probe->user);
	return r;
}

static int pass_own_end_deadline(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf", .on_execute = hold_after_deadline);
	struct tmgr_manager *manager = manager_with(NULL);

	(void)argument;
	deaf.user = &never;
	add(manager, &deaf, TMGR_ERROR);
	child_check_equal(tmgr_manager_run(manager, NULL), -TMGR_ESTUCK);
	child_check(is_stuck(tmgr_manager_report(manager), "deaf"));
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_task_that_passes_a_deadline_it_set_is_stuck(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, pass_own_stop_timeout, NULL), 0);
	assert_int_equal(child_run(&child, pass_own_end_deadline, NULL), 0);
}

/* What it has left: before it is told, and after. */
static int note_deadlines(struct probe *probe, struct tmgr_context *context)
{
	int64_t *left = probe->user;

	left[0] = tmgr_context_deadline(context);
	cancel_manager(probe, context);
	tmgr_sleep(context, TMGR_NEVER);
	left[1] = tmgr_context_deadline(context) - tmgr_now();
	return 0;
}

static void see_deadline(struct tmgr_manager_options *options, int64_t wanted_ns)
{
	int64_t left[2] = { 0, 0 };
	struct probe a = PROBE(.name = "a", .on_execute = note_deadlines, .user = left);
	struct tmgr_manager *manager = tmgr_manager_create(options);

	add(manager, &a, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_true(left[0] == TMGR_NEVER);
	assert_true(left[1] > wanted_ns / 2 && left[1] <= wanted_ns);
	tmgr_manager_destroy(manager);
}

static void a_task_that_was_told_to_stop_sees_its_deadline(void **state)
{
	struct tmgr_manager_options options = { .shutdown_ns = 20 * TMGR_SECOND };

	(void)state;
	see_deadline(&options, 20 * TMGR_SECOND);
	options.stop_ns = 5 * TMGR_SECOND;
	see_deadline(&options, 5 * TMGR_SECOND);
	options.stop_order = TMGR_STOP_REVERSE;
	see_deadline(&options, 5 * TMGR_SECOND);
	options.stop_ns = 0;
	see_deadline(&options, 20 * TMGR_SECOND);
}

static void a_loop_does_not_wait_for_a_task_that_never_executes(void **state)
{
	struct probe set_up = PROBE(.name = "set up"),
		     last = PROBE(.name = "last", .on_execute = cancel_manager);
	struct tmgr_manager_options in_time = { .shutdown_ns = 5 * TMGR_SECOND };
	struct tmgr_manager *manager = tmgr_manager_create(&in_time);
	struct tmgr_task_options on_loop = { .host = TMGR_HOST_LOOP };

	(void)state;
	assert_int_equal(tmgr_loop_create(NULL, &on_loop.loop), 0);
	assert_int_equal(
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(on_loop.loop), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_add_task_with(manager, "set up",
				 probe_initialize_only(&set_up), TMGR_ERROR, &on_loop),
		0);
	assert_int_equal(tmgr_manager_add_task(manager, "last", probe_task(&last), TMGR_STRICT), 0);
	tmgr_loop_unref(on_loop.loop);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(set_up.initialized, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_stuck_task_is_named_and_nothing_it_may_use_is_cleaned_up),
		leak_test(an_error_stays_the_cause_beside_a_stuck_task),
		leak_test(deadlines_of_stuck_tasks_do_not_add_up),
		leak_test(deadlines_of_slow_cleanups_do_not_add_up),
		leak_test(a_cleanup_ends_at_its_own_deadline),
		leak_test(stopping_in_reverse_ends_each_layer_before_the_next),
		leak_test(stopping_in_reverse_tells_a_task_before_its_children),
		leak_test(a_task_that_passes_a_deadline_it_set_is_stuck),
		leak_test(a_task_that_was_told_to_stop_sees_its_deadline),
		leak_test(a_loop_does_not_wait_for_a_task_that_never_executes),
	};

	return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
