#include <errno.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/fault.h"
#include "tests/support/hosted.h"
#include "tests/support/leak.h"
#include "tests/support/looped.h"

static struct tmgr_manager *manager_of(
	struct probe *one, struct probe *two, enum tmgr_policy policy)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	tmgr_manager_add_task(manager, one->name, probe_task(one), policy);
	tmgr_manager_add_task(manager, two->name, probe_task(two), policy);
	return manager;
}

static void a_manager_runs_as_a_task_of_another(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe before = PROBE(.name = "before", .recorder = &recorder);
	struct probe one = PROBE(.name = "one", .recorder = &recorder);
	struct probe two = PROBE(.name = "two", .recorder = &recorder);
	struct tmgr_manager *outer = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	tmgr_manager_add_task(outer, "before", probe_task(&before), TMGR_STRICT);
	tmgr_manager_add_task(outer, "inner",
		tmgr_manager_task(manager_of(&one, &two, TMGR_STRICT)), TMGR_STRICT);
	runner_start(&runner, outer, NULL);
	assert_true(latch_arrived(&before.executing, 1));
	assert_true(latch_arrived(&one.executing, 1) && latch_arrived(&two.executing, 1));
	tmgr_manager_cancel(outer);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(outer);

	assert_int_equal(recorder_position(&recorder, "+before"), 0);
	assert_int_equal(recorder_position(&recorder, "+one"), 1);
	assert_int_equal(recorder_position(&recorder, "+two"), 2);
	assert_int_equal(recorder_position(&recorder, "-two"), 6);
	assert_int_equal(recorder_position(&recorder, "-one"), 7);
	assert_int_equal(recorder_position(&recorder, "-before"), 8);
	assert_int_equal(atomic_load(&one.destroyed), 1);
	assert_int_equal(atomic_load(&two.destroyed), 1);
}

static int remember_path(struct probe *probe, struct tmgr_context *context)
{
	tmgr_context_path(context, probe->user, 64);
	return 0;
}

static void paths_begin_with_the_outer_tasks(void **state)
{
	char path[64] = "";
	struct probe one = PROBE(.name = "one", .on_execute = remember_path, .user = path);
	struct probe two = PROBE(.name = "two");
	struct hosted hosted;

	(void)state;
	hosted_start(&hosted, tmgr_manager_task(manager_of(&one, &two, TMGR_STRICT)));
	assert_true(latch_arrived(&one.executing, 1));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_string_equal(path, "task/one");
}

static void an_error_inside_ends_both_and_is_in_the_outer_report(void **state)
{
	struct probe one = PROBE(.name = "one");
	struct probe two = PROBE(.name = "two", .end = PROBE_RETURNS, .execute_result = -EIO,
		.fail_text = "gone");
	struct tmgr_manager *outer = tmgr_manager_create(NULL);
	const struct tmgr_report_entry *cause;

	(void)state;
	tmgr_manager_add_task(
		outer, "inner", tmgr_manager_task(manager_of(&one, &two, TMGR_ERROR)), TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(outer, NULL), -EIO);
	cause = tmgr_manager_report(outer)->cause;
	assert_non_null(cause);
	assert_string_equal(cause->name, "inner");
	assert_int_equal(cause->error, -EIO);
	assert_string_equal(cause->text, "two: execute: gone");
	assert_non_null(cause->inner);
	assert_non_null(cause->inner->cause);
	assert_string_equal(cause->inner->cause->name, "two");
	assert_string_equal(cause->inner->cause->text, "gone");
	tmgr_manager_destroy(outer);
	assert_int_equal(atomic_load(&one.cleaned_up), 1);
	assert_int_equal(atomic_load(&two.cleaned_up), 1);
}

static void an_initialize_that_fails_inside_fails_the_outer_one(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe one = PROBE(.name = "one", .recorder = &recorder);
	struct probe two = PROBE(.name = "two", .recorder = &recorder, .initialize_result = -EACCES,
		.fail_text = "not ours");
	struct ending end;

	(void)state;
	end = hosted_run(tmgr_manager_task(manager_of(&one, &two, TMGR_STRICT)));
	assert_int_equal(end.result, -EACCES);
	assert_string_equal(end.text, "two: initialize: not ours");
	assert_true(recorder_position(&recorder, "-one") > recorder_position(&recorder, "+two"));
	assert_false(recorder_has(&recorder, "-two"));
	assert_int_equal(atomic_load(&one.executed), 0);
}

static void the_same_where_the_task_asks_for_cleanup_after_it(void **state)
{
	const struct tmgr_task_options also = { .cleanup_after_failed_initialize = true };
	struct probe one = PROBE(.name = "one");
	struct probe two = PROBE(.name = "two", .initialize_result = -EACCES);
	struct tmgr_manager *outer = tmgr_manager_create(NULL);

	(void)state;
	tmgr_manager_add_task_with(outer, "inner",
		tmgr_manager_task(manager_of(&one, &two, TMGR_STRICT)), TMGR_STRICT, &also);
	assert_int_equal(tmgr_manager_run(outer, NULL), -EACCES);
	assert_int_equal(tmgr_manager_report(outer)->errors, 1);
	tmgr_manager_destroy(outer);
	assert_int_equal(atomic_load(&one.cleaned_up), 1);
	assert_int_equal(atomic_load(&two.cleaned_up), 0);
}

static void a_manager_that_is_added_to_while_it_runs_executes_inside(void **state)
{
	struct probe one = PROBE(.name = "one"), two = PROBE(.name = "two");
	struct probe job = PROBE(.name = "job", .end = PROBE_RETURNS);
	struct tmgr_manager *inner = manager_of(&one, &two, TMGR_STRICT);
	struct hosted hosted;

	(void)state;
	tmgr_manager_ref(inner);
	hosted_start(&hosted, tmgr_manager_task(inner));
	assert_true(latch_arrived(&one.executing, 1));
	assert_int_equal(
		tmgr_manager_add_execute_task(inner, "job", probe_execute_task(&job), TMGR_ERROR),
		0);
	assert_true(latch_arrived(&job.executing, 1));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_int_equal(
		tmgr_manager_add_execute_task(inner, "job", probe_execute_task(&job), TMGR_ERROR),
		-ESHUTDOWN);
	tmgr_manager_unref(inner);
	assert_int_equal(atomic_load(&job.destroyed), 2);
}

static void a_failed_add_inside_is_the_outer_runs_error(void **state)
{
	struct tmgr_manager *inner = tmgr_manager_create(NULL);

	(void)state;
	assert_int_equal(
		tmgr_manager_add_task(inner, "bad", tmgr_task_failed(-EINVAL), TMGR_STRICT),
		-EINVAL);
	assert_int_equal(hosted_run(tmgr_manager_task(inner)).result, -EINVAL);
}

static void a_manager_that_never_runs_is_destroyed_with_its_tasks(void **state)
{
	struct probe one = PROBE(.name = "one"), two = PROBE(.name = "two");
	struct tmgr_manager *outer = tmgr_manager_create(NULL);

	(void)state;
	tmgr_manager_add_task(outer, "inner",
		tmgr_manager_task(manager_of(&one, &two, TMGR_STRICT)), TMGR_STRICT);
	tmgr_manager_destroy(outer);
	assert_int_equal(atomic_load(&one.destroyed), 1);
	assert_int_equal(atomic_load(&two.destroyed), 1);
	tmgr_task_destroy(tmgr_manager_task(tmgr_manager_create(NULL)));
}

static void a_manager_has_initialize_and_is_no_execute_task(void **state)
{
	struct tmgr_manager *outer = tmgr_manager_create(NULL);

	(void)state;
	assert_int_equal(tmgr_manager_add_execute_task(outer, "inner",
				 tmgr_manager_task(tmgr_manager_create(NULL)), TMGR_ERROR),
		-EINVAL);
	tmgr_manager_destroy(outer);
}

static void a_manager_that_could_not_be_created_is_out_of_memory(void **state)
{
	struct tmgr_task task;

	(void)state;
	fault_fail_allocation(1);
	task = tmgr_manager_task(tmgr_manager_create(NULL));
	fault_off();
	assert_int_equal(tmgr_task_error(task), -ENOMEM);
	assert_non_null(tmgr_task_rule(task));
}

static void a_manager_runs_once_so_a_retry_of_it_ends_with_an_error(void **state)
{
	const struct tmgr_retry_options at_once = {
		.backoff_ns = TMGR_RETRY_NONE,
		.restarts_max = 1,
	};
	struct probe one = PROBE(.name = "one");
	struct probe two = PROBE(.name = "two", .end = PROBE_RETURNS, .execute_result = -EIO);

	(void)state;
	assert_int_equal(
		hosted_run(
			tmgr_retry(tmgr_manager_task(manager_of(&one, &two, TMGR_ERROR)), &at_once))
			.result,
		-EALREADY);
	assert_int_equal(atomic_load(&one.executed), 1);
	assert_int_equal(atomic_load(&one.cleaned_up), 1);
}

static int run_two_inside(void *self, struct tmgr_context *context)
{
	int r = 0;

	(void)self;
	for (int i = 0; i < 2 && r == 0; i++) {
		struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
		struct tmgr_manager *inner = tmgr_manager_create(&options);

		r = tmgr_manager_start(inner, context);
		if (r == 0)
			r = tmgr_manager_wait(inner, context);
		if (r == 0)
			r = tmgr_manager_finish(inner, context);
		tmgr_manager_destroy(inner);
	}
	return r;
}

static void a_task_that_runs_one_after_another_keeps_none_of_them(void **state)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *outer = tmgr_manager_create(&options);

	(void)state;
	assert_int_equal(tmgr_manager_add_task(outer, "long",
				 tmgr_task_function(run_two_inside, NULL), TMGR_ERROR),
		0);
	assert_int_equal(tmgr_manager_add_execute_task(outer, "short",
				 tmgr_task_function(run_two_inside, NULL), TMGR_ERROR),
		0);
	assert_int_equal(tmgr_manager_run(outer, NULL), 0);
	tmgr_manager_destroy(outer);
}

static void record_stops_and_ends(void *self, const struct tmgr_event *event)
{
	if (event->kind == TMGR_EVENT_STOP_BEGUN)
		recorder_add(self, "%s:stops", event->path);
	if (event->kind == TMGR_EVENT_RUN_ENDED)
		recorder_add(self, "%s:ended", event->path);
}

static void events_tell_the_inner_manager_from_the_outer_one(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe one = PROBE(.name = "one"), two = PROBE(.name = "two");
	struct tmgr_manager *outer = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	tmgr_manager_add_task(outer, "inner",
		tmgr_manager_task(manager_of(&one, &two, TMGR_STRICT)), TMGR_STRICT);
	tmgr_manager_observe(outer, TMGR_LEVEL_NOTICE, record_stops_and_ends, &recorder);
	runner_start(&runner, outer, NULL);
	assert_true(latch_arrived(&one.executing, 1) && latch_arrived(&two.executing, 1));
	tmgr_manager_cancel(outer);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(outer);
	assert_string_equal(recorder_text(&recorder), ":stops inner:stops inner:ended :ended");
}

/* A task that hosts a manager and, once it is told to stop, asks for its execute, or does not. */
struct late_host {
	struct tmgr_manager *manager;
	bool waits;
	struct latch executing;
};

static int start_inner(void *self, struct tmgr_context *context)
{
	return tmgr_manager_start(((struct late_host *)self)->manager, context);
}

static int wait_late(void *self, struct tmgr_context *context)
{
	struct late_host *host = self;
	int r;

	latch_arrive(&host->executing);
	r = tmgr_sleep_until(context, TMGR_NEVER);
	return host->waits ? tmgr_manager_wait(host->manager, context) : r;
}

static int finish_inner(void *self, struct tmgr_context *context)
{
	return tmgr_manager_finish(((struct late_host *)self)->manager, context);
}

static const struct tmgr_task_ops late_ops = {
	.initialize = start_inner,
	.execute = wait_late,
	.cleanup = finish_inner,
};

/* The loop that the inner manager's tasks would have been on runs in the outer one. */
static void stop_before_inner_executes(bool waits)
{
	struct probe task = PROBE(.name = "task"), job = PROBE(.name = "job");
	struct tmgr_manager_options options = { .shutdown_ns = 10 * TMGR_SECOND };
	struct tmgr_manager *outer = tmgr_manager_create(&options);
	struct late_host host = { tmgr_manager_create(NULL), waits, LATCH_INIT };
	struct tmgr_task_options on = { .loop = looped_add(outer, "loop", NULL) };
	struct runner runner;

	assert_int_equal(tmgr_manager_add_task_with(
				 host.manager, "task", probe_task(&task), TMGR_STRICT, &on),
		0);
	assert_int_equal(tmgr_manager_add_execute_task_with(
				 host.manager, "job", probe_execute_task(&job), TMGR_ERROR, &on),
		0);
	assert_int_equal(tmgr_manager_add_task(outer, "inner",
				 (struct tmgr_task){ &late_ops, &host }, TMGR_STRICT),
		0);
	runner_start(&runner, outer, NULL);
	assert_true(latch_arrived(&host.executing, 1));
	assert_true(task_reaches(outer, "loop", TMGR_STATE_RUNNING));
	tmgr_manager_cancel(outer);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(host.manager);
	tmgr_manager_destroy(outer);
	assert_int_equal(task.executed + job.executed, 0);
	assert_int_equal(task.cleaned_up, 1);
	assert_int_equal(task.destroyed + job.destroyed, 2);
}

static void a_loop_outside_does_not_wait_for_tasks_that_the_stop_keeps_from_executing(void **state)
{
	(void)state;
	stop_before_inner_executes(true);
	stop_before_inner_executes(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_manager_runs_as_a_task_of_another),
		leak_test(paths_begin_with_the_outer_tasks),
		leak_test(an_error_inside_ends_both_and_is_in_the_outer_report),
		leak_test(an_initialize_that_fails_inside_fails_the_outer_one),
		leak_test(the_same_where_the_task_asks_for_cleanup_after_it),
		leak_test(a_manager_that_is_added_to_while_it_runs_executes_inside),
		leak_test(a_failed_add_inside_is_the_outer_runs_error),
		leak_test(a_manager_that_never_runs_is_destroyed_with_its_tasks),
		leak_test(a_manager_has_initialize_and_is_no_execute_task),
		leak_test(a_manager_that_could_not_be_created_is_out_of_memory),
		leak_test(a_manager_runs_once_so_a_retry_of_it_ends_with_an_error),
		leak_test(a_task_that_runs_one_after_another_keeps_none_of_them),
		leak_test(events_tell_the_inner_manager_from_the_outer_one),
		leak_test(
			a_loop_outside_does_not_wait_for_tasks_that_the_stop_keeps_from_executing),
	};

	return cmocka_run_group_tests_name("nested manager", tests, NULL, NULL);
}
