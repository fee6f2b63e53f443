/*
 * The loop as a host of a manager's tasks: adding, handles, snapshots, stopping, getting stuck.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/child.h"
#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/looped.h"
#include "tests/support/watched.h"

static struct recorder recorder = RECORDER_INIT;

static int begin_test(void **state)
{
	wrong = 0;
	recorder_clear(&recorder);
	return leak_setup(state);
}

static int end_test(void **state)
{
	return leak_teardown(state) + (wrong != 0);
}

#define host_test(function) cmocka_unit_test_setup_teardown(function, begin_test, end_test)

static int add_on(struct tmgr_manager *manager, struct tmgr_loop *loop, struct probe *probe)
{
	struct tmgr_task_options on = { .loop = loop };

	probe->recorder = &recorder;
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

/* ---- Adding --------------------------------------------------------------------------------- */

static void run_refuses_a_task_whose_loop_nobody_runs(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe a = PROBE(.name = "a");
	struct tmgr_loop *loop;

	assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
	assert_int_equal(add_on(manager, loop, &a), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EINVAL);
	assert_string_equal(tmgr_manager_report(manager)->cause->name, "a");
	tmgr_manager_destroy(manager);
	assert_int_equal(a.initialized + a.executed, 0);
	assert_int_equal(a.destroyed, 1);
	tmgr_loop_unref(loop);
}

static void a_loop_that_only_its_tasks_refer_to_is_there_to_be_named(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe a = PROBE(.name = "a");
	struct tmgr_loop *loop;

	assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
	assert_int_equal(add_on(manager, loop, &a), 0);
	tmgr_loop_unref(loop);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EINVAL);
	assert_string_equal(tmgr_manager_report(manager)->cause->name, "a");
	assert_string_equal(tmgr_manager_report(manager)->cause->text,
		"its loop is neither in this manager nor running");
	tmgr_manager_destroy(manager);
	assert_int_equal(a.destroyed, 1);
	assert_int_equal(atomic_load(&a.executed), 0);
}

static void run_refuses_a_task_whose_loop_would_have_to_run_on_another(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options on = { .loop = looped_add(manager, "outer", NULL) };
	struct probe a = PROBE(.name = "a");
	struct tmgr_loop *inner;

	assert_int_equal(tmgr_loop_create(NULL, &inner), 0);
	assert_int_equal(tmgr_manager_add_task_with(
				 manager, "inner", tmgr_loop_task(inner), TMGR_ERROR, &on),
		0);
	assert_int_equal(add_on(manager, inner, &a), 0);
	tmgr_loop_unref(inner);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EINVAL);
	assert_string_equal(tmgr_manager_report(manager)->cause->name, "a");
	assert_string_equal(
		tmgr_manager_report(manager)->cause->text, "its loop cannot run on a loop");
	assert_int_equal(tmgr_manager_report(manager)->stuck, 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(a.initialized + a.executed, 0);
	assert_int_equal(a.destroyed, 1);
}

static void run_refuses_a_task_whose_loop_had_ended(void **state)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *one = tmgr_manager_create(&options), *other;
	struct tmgr_loop_options ends = { .main = no_task };
	struct tmgr_loop *loop = tmgr_loop_ref(looped_add(one, "short", &ends));

	assert_int_equal(tmgr_manager_run(one, NULL), 0);
	tmgr_manager_destroy(one);
	for (int i = 0; i < 3; i++) {
		struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
		bool execute_task = i == 1, cancelled = i == 2;
		const struct tmgr_report *report;

		other = probe_manager(&options, &b);
		if (cancelled)
			tmgr_manager_cancel(other);
		assert_int_equal(execute_task ? add_execute_on(other, loop, &a, NULL)
					      : add_on(other, loop, &a),
			-ESHUTDOWN);
		/* After the cancel it is no mistake. */
		assert_int_equal(tmgr_manager_run(other, NULL), cancelled ? 0 : -ESHUTDOWN);
		report = tmgr_manager_report(other);
		if (!cancelled) {
			assert_string_equal(report->cause->name, "a");
			assert_string_equal(report->cause->text, "its loop has ended");
		}
		tmgr_manager_destroy(other);
		assert_int_equal(b.initialized, 0);
	}
	tmgr_loop_unref(loop);
}

static void bad_options_for_a_loop_are_refused(void **state)
{
	struct tmgr_loop *loop;
	struct tmgr_task_options bad[4];

	assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
	bad[0] = (struct tmgr_task_options){ .host = TMGR_HOST_LOOP };
	bad[1] = (struct tmgr_task_options){ .host = TMGR_HOST_THREAD, .loop = loop };
	bad[2] = (struct tmgr_task_options){ .loop = loop, .stack_size = 65536 };
	bad[3] = (struct tmgr_task_options){ .loop = loop, .interrupt_signal = 23 };
	for (int i = 0; i < 4; i++) {
		struct tmgr_manager *manager = tmgr_manager_create(NULL);

		assert_int_equal(tmgr_manager_add_task_with(manager, "a",
					 tmgr_task_function(no_task, NULL), TMGR_ERROR, &bad[i]),
			-EINVAL);
		tmgr_manager_destroy(manager);
	}
	tmgr_loop_unref(loop);
}

static void tasks_of_one_manager_run_on_a_loop_of_another(void **state)
{
	struct tmgr_manager *one = tmgr_manager_create(NULL);
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *other = tmgr_manager_create(&options);
	struct tmgr_loop *loop = looped_add(one, "loop", NULL);
	struct probe a = PROBE(.name = "a", .end = PROBE_RETURNS);
	struct probe x = PROBE(.name = "x", .end = PROBE_RETURNS);
	struct runner runner;

	runner_start(&runner, one, NULL);
	assert_true(task_reaches(one, "loop", TMGR_STATE_RUNNING));
	/* The loop says that it runs once it does. */
	while (tmgr_loop_spawn(loop, no_task, NULL, NULL, NULL) == -ESHUTDOWN)
		;
	assert_int_equal(tmgr_manager_add_task_with(other, "a", probe_task(&a), TMGR_ERROR,
				 &(struct tmgr_task_options){ .loop = loop }),
		0);
	assert_int_equal(add_execute_on(other, loop, &x, NULL), 0);
	assert_int_equal(tmgr_manager_run(other, NULL), 0);
	tmgr_manager_destroy(other);
	assert_int_equal(a.executed + x.executed, 2);
	tmgr_manager_cancel(one);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(one);
}

static void execute_tasks_come_while_it_runs_and_not_when_it_has_ended(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_loop_options ends = { .main = no_task };
	struct tmgr_loop *loop = looped_add(manager, "loop", NULL);
	struct tmgr_loop *short_loop = looped_add(manager, "short", &ends), *foreign;
	struct probe x = PROBE(.name = "x", .end = PROBE_RETURNS);
	struct probe y = PROBE(.name = "y");
	struct tmgr_handle handle;
	struct runner runner;
	int result;

	assert_int_equal(tmgr_loop_create(NULL, &foreign), 0);
	runner_start(&runner, manager, NULL);
	assert_true(task_reaches(manager, "short", TMGR_STATE_ENDED));
	assert_int_equal(add_execute_on(manager, loop, &x, &handle), 0);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_int_equal(tmgr_handle_result(handle, &result), 0);
	assert_int_equal(result, 0);
	tmgr_handle_release(handle);
	assert_int_equal(add_execute_on(manager, short_loop, &x, NULL), -ESHUTDOWN);
	assert_int_equal(add_execute_on(manager, foreign, &x, NULL), -EINVAL);
	/* One that waits is cancelled by its handle, cleanly. */
	assert_int_equal(add_execute_on(manager, loop, &y, &handle), 0);
	assert_true(task_waits(manager, "y", "sleep"));
	assert_int_equal(tmgr_handle_result(handle, &result), -EAGAIN);
	assert_int_equal(tmgr_handle_cancel(handle, 0, "enough"), 0);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_int_equal(tmgr_handle_result(handle, &result), 0);
	tmgr_handle_release(handle);
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_loop_unref(foreign);
	assert_int_equal(x.destroyed, 3);
	assert_int_equal(x.executed, 1);
}

/* ---- Looking -------------------------------------------------------------------------------- */

static void a_snapshot_shows_the_loop_and_what_is_waited_for(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_loop *loop = looped_add(manager, "loop", NULL);
	struct probe a = PROBE(.name = "a");
	struct tmgr_snapshot *snapshot;
	struct runner runner;

	assert_int_equal(add_on(manager, loop, &a), 0);
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "a", "sleep"));
	assert_int_equal(tmgr_manager_snapshot(manager, &snapshot), 0);
	assert_int_equal(snapshot->count, 2);
	assert_string_equal(snapshot->tasks[0].kind, "loop");
	assert_int_equal(snapshot->tasks[0].host, TMGR_HOST_THREAD);
	assert_true(snapshot->tasks[0].ready);
	assert_string_equal(snapshot->tasks[1].path, "a");
	assert_int_equal(snapshot->tasks[1].host, TMGR_HOST_LOOP);
	assert_int_equal(snapshot->tasks[1].state, TMGR_STATE_RUNNING);
	tmgr_snapshot_destroy(snapshot);
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
}

static int sleep_under_a_deadline(void *self, struct tmgr_context *context)
{
	struct tmgr_cause cause;

	IS(tmgr_token_set_deadline(tmgr_context_token(context), tmgr_after(2 * TMGR_MILLISECOND)),
		0);
	IS(tmgr_sleep_until(context, tmgr_after(20 * TMGR_SECOND)), -ECANCELED);
	IS(tmgr_token_cause(tmgr_context_token(context), &cause), 0);
	IS(cause.reason, TMGR_REASON_DEADLINE);
	return 0;
}

static int spawn_under_a_deadline(void *self, struct tmgr_context *context)
{
	IS(awaited(context, spawned(context, "late", sleep_under_a_deadline, NULL)), -ECANCELED);
	IS(tmgr_context_cancelled(context), false);
	return 0;
}

static void a_tokens_deadline_ends_a_coroutines_wait(void **state)
{
	assert_int_equal(looped_main(spawn_under_a_deadline, NULL), 0);
}

/* ---- Stopping ------------------------------------------------------------------------------- */

static void in_reverse_what_a_loop_hosts_stops_before_it(void **state)
{
	struct tmgr_manager_options options = { .stop_order = TMGR_STOP_REVERSE };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct probe before = PROBE(.name = "before", .recorder = &recorder);
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	struct tmgr_loop *loop;
	struct runner runner;

	assert_int_equal(
		tmgr_manager_add_task(manager, "before", probe_task(&before), TMGR_STRICT), 0);
	loop = looped_add(manager, "loop", NULL);
	assert_int_equal(add_on(manager, loop, &a), 0);
	assert_int_equal(add_on(manager, loop, &b), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&before.executing, 1));
	assert_true(task_waits(manager, "b", "sleep"));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_true(recorder_position(&recorder, "-b") < recorder_position(&recorder, "-a"));
	assert_true(recorder_position(&recorder, "-a") < recorder_position(&recorder, "-before"));
}

static int many(void)
{
	return SANITIZED || on_valgrind() ? 2000 : 100000;
}

static int sleep_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int add_many(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_task_options on = { .loop = probe->user };
	int count = many(), added = 0;

	while (added < count &&
		tmgr_manager_add_execute_task_with(tmgr_context_manager(context), "one",
			tmgr_task_function(sleep_for_ever, NULL), TMGR_STRICT, &on) == 0)
		added++;
	latch_arrive(&probe->executing);
	return added == count ? 0 : -EIO;
}

static void very_many_tasks_on_one_loop_stop_at_once(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe adder = PROBE(.name = "adder", .on_execute = add_many);
	const struct tmgr_report *report;
	struct runner runner;
	int64_t before;

	adder.user = looped_add(manager, "loop", NULL);
	assert_int_equal(
		tmgr_manager_add_task(manager, "adder", probe_task(&adder), TMGR_ERROR), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&adder.executing, 2));
	before = tmgr_now();
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	print_message("%d tasks stopped in %lld ms\n", many(),
		(long long)((tmgr_now() - before) / TMGR_MILLISECOND));
	/* Well under a second on a quiet machine; this one is shared, and may be valgrind's. */
	assert_true(tmgr_now() - before < 20 * TMGR_SECOND);
	report = tmgr_manager_report(manager);
	assert_int_equal(report->executed, many());
	assert_int_equal(report->errors + report->stuck, 0);
	tmgr_manager_destroy(manager);
}

/* ---- Stuck, in children: they leave things behind ------------------------------------------- */

static int hog(struct probe *probe, struct tmgr_context *context)
{
	latch_arrive(&probe->executing);
	while (!latch_wait(probe->user))
		;
	return 0;
}

static int deaf(struct probe *probe, struct tmgr_context *context)
{
	latch_arrive(&probe->executing);
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int spawn_deaf(void *self, struct tmgr_context *context)
{
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int parent_of_deaf(struct probe *probe, struct tmgr_context *context)
{
	spawn(context, "deaf child", spawn_deaf, NULL);
	tmgr_yield(context);
	latch_arrive(&probe->executing);
	return 0;
}

struct stuck {
	probe_function *body;
	const char *text; /* that the report says of the loop */
};

static int get_stuck(void *argument)
{
	static struct latch never = LATCH_INIT;
	struct stuck *stuck = argument;
	static struct probe base = PROBE(.name = "base"), later = PROBE(.name = "later");
	static struct probe task = PROBE(.name = "task", .end = PROBE_RETURNS, .user = &never);
	struct tmgr_manager_options options = { .shutdown_ns = 200 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	const struct tmgr_report *report;
	const struct tmgr_report_entry *entry;
	struct tmgr_loop *loop;
	struct runner runner;
	int64_t before;

	task.on_execute = stuck->body;
	tmgr_manager_add_task(manager, "base", probe_task(&base), TMGR_STRICT);
	loop = looped_add(manager, "loop", NULL);
	child_check_equal(add_on(manager, loop, &task), 0);
	tmgr_manager_add_task(manager, "later", probe_task(&later), TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&task.executing, 2));
	before = tmgr_now();
	tmgr_manager_cancel(manager);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	child_check(tmgr_now() - before < 5 * TMGR_SECOND);
	report = tmgr_manager_report(manager);
	child_check_equal(report->exit_code, 3);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "task") != NULL);
	entry = report_entry(report, TMGR_REPORT_STUCK, "loop");
	child_check(entry != NULL);
	child_say(entry->text);
	child_check(strstr(entry->text, stuck->text) != NULL);
	/* What a stuck task may use is not cleaned up, what comes after it is. */
	child_check_equal(base.cleaned_up, 0);
	child_check_equal(later.cleaned_up, 1);
	child_check_equal(task.destroyed, 0);
	return 0;
}

static void stuck_with(probe_function *body, const char *text)
{
	static struct child child;
	struct stuck stuck = { body, text };

	assert_int_equal(child_run(&child, get_stuck, &stuck), 0);
}

static void one_that_does_not_give_the_loop_back_is_named(void **state)
{
	stuck_with(hog, "'task' does not give the loop back");
}

static void one_that_is_parked_and_deaf_is_named(void **state)
{
	stuck_with(deaf, "'task' waits for sleep");
}

static void a_stuck_coroutine_makes_its_task_and_its_loop_stuck(void **state)
{
	stuck_with(parent_of_deaf, "and 1 more");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First, for to the thread sanitizer each stack that was used is a thread for ever,
		 * and who has threads may not fork. */
		host_test(one_that_does_not_give_the_loop_back_is_named),
		host_test(one_that_is_parked_and_deaf_is_named),
		host_test(a_stuck_coroutine_makes_its_task_and_its_loop_stuck),
		host_test(run_refuses_a_task_whose_loop_nobody_runs),
		host_test(a_loop_that_only_its_tasks_refer_to_is_there_to_be_named),
		host_test(run_refuses_a_task_whose_loop_would_have_to_run_on_another),
		host_test(run_refuses_a_task_whose_loop_had_ended),
		host_test(bad_options_for_a_loop_are_refused),
		host_test(tasks_of_one_manager_run_on_a_loop_of_another),
		host_test(execute_tasks_come_while_it_runs_and_not_when_it_has_ended),
		host_test(a_snapshot_shows_the_loop_and_what_is_waited_for),
		host_test(a_tokens_deadline_ends_a_coroutines_wait),
		host_test(in_reverse_what_a_loop_hosts_stops_before_it),
		host_test(very_many_tasks_on_one_loop_stop_at_once),
	};

	return cmocka_run_group_tests_name("loop as a host", tests, NULL, NULL);
}
