/*
 * Cancel at each moment of each phase, from inside the function that runs then and from outside
 * while it is held. Whatever the moment: who was initialized is cleaned up, once; who was not is
 * neither executed nor cleaned up; run returns 0.
 */
#include <errno.h>
#include <stdio.h>

#include <taskmgr/manager.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define TASKS 3

enum moment { IN_INITIALIZE, IN_EXECUTE, IN_CLEANUP };

static struct recorder recorder = RECORDER_INIT;
static const char *const names[TASKS] = { "a", "b", "c" };
static int cancel_result;

static int cancel_inside(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	cancel_result = tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static void check_calls(struct probe *probes, enum moment moment, int k, const char *how)
{
	for (int i = 0; i < TASKS; i++) {
		bool initialized = moment != IN_INITIALIZE || i <= k;
		bool executed = moment != IN_INITIALIZE;

		if (probes[i].initialized != (int)initialized ||
			probes[i].executed != (int)executed ||
			probes[i].cleaned_up != (int)initialized || probes[i].destroyed != 1)
			fail_msg("%s, phase %d, cancelled in task %d: task %d was initialized %d, "
				 "executed %d, "
				 "cleaned up %d, destroyed %d times",
				how, (int)moment, k, i, probes[i].initialized, probes[i].executed,
				probes[i].cleaned_up, probes[i].destroyed);
	}
}

static struct tmgr_manager *three_tasks(struct probe *probes)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	recorder_clear(&recorder);
	for (int i = 0; i < TASKS; i++) {
		probes[i].name = names[i];
		probes[i].recorder = &recorder;
		latch_init(&probes[i].executing);
		assert_int_equal(tmgr_manager_add_task(
					 manager, names[i], probe_task(&probes[i]), TMGR_STRICT),
			0);
	}
	return manager;
}

static void cancel_from_inside(enum moment moment, int k)
{
	struct probe probes[TASKS] = { 0 };
	struct tmgr_manager *manager = three_tasks(probes);
	struct runner runner;

	cancel_result = 1;
	if (moment == IN_INITIALIZE)
		probes[k].on_initialize = cancel_inside;
	else if (moment == IN_EXECUTE)
		probes[k].on_execute = cancel_inside;
	else
		probes[k].on_cleanup = cancel_inside;
	runner_start(&runner, manager, NULL);
	if (moment == IN_CLEANUP) {
		assert_true(latch_arrived(&probes[0].executing, 1));
		assert_int_equal(tmgr_manager_cancel(manager), 0);
	}
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(cancel_result, moment == IN_CLEANUP ? -EALREADY : 0);
	check_calls(probes, moment, k, "from inside");
}

static void cancel_from_outside(enum moment moment, int k)
{
	struct latch hold = LATCH_INIT;
	struct probe probes[TASKS] = { 0 };
	struct tmgr_manager *manager = three_tasks(probes);
	struct runner runner;

	if (moment == IN_INITIALIZE)
		probes[k].hold_initialize = &hold;
	else if (moment == IN_EXECUTE)
		probes[k].hold_execute = &hold;
	else
		probes[k].hold_cleanup = &hold;
	runner_start(&runner, manager, NULL);
	if (moment == IN_CLEANUP) {
		assert_true(latch_arrived(&probes[0].executing, 1));
		assert_int_equal(tmgr_manager_cancel(manager), 0);
	}
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_manager_cancel(manager), moment == IN_CLEANUP ? -EALREADY : 0);
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	check_calls(probes, moment, k, "from outside");
}

static void at_each_moment_from_inside(void **state)
{
	(void)state;
	for (int moment = IN_INITIALIZE; moment <= IN_CLEANUP; moment++) {
		for (int k = 0; k < TASKS; k++)
			cancel_from_inside((enum moment)moment, k);
	}
}

static void at_each_moment_from_outside(void **state)
{
	(void)state;
	for (int moment = IN_INITIALIZE; moment <= IN_CLEANUP; moment++) {
		for (int k = 0; k < TASKS; k++)
			cancel_from_outside((enum moment)moment, k);
	}
}

static int wait_in_initialize(struct probe *probe, struct tmgr_context *context)
{
	int r = tmgr_sleep(context, TMGR_HOUR);

	probe->user = tmgr_context_cancelled(context) ? probe : NULL;
	return r;
}

static void an_initialize_that_waits_is_cut_short_and_that_is_no_error(void **state)
{
	struct probe probes[TASKS] = { 0 };
	struct tmgr_manager *manager = three_tasks(probes);
	struct runner runner;

	(void)state;
	probes[1].on_initialize = wait_in_initialize;
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "b", "sleep"));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_ptr_equal(probes[1].user, &probes[1]);
	assert_int_equal(probes[0].cleaned_up, 1);
	assert_int_equal(probes[1].cleaned_up, 0);
	assert_int_equal(probes[2].initialized, 0);
}

static int cancel_own_initialize(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_handle *handle = probe->user;
	int r = handle != NULL ? tmgr_handle_cancel(*handle, 0, NULL) : 0;

	return r < 0 ? r : tmgr_sleep_until(context, TMGR_NEVER);
}

struct cut {
	bool before_run;
	enum tmgr_stop_order order;
	enum tmgr_host host;
};

static struct tmgr_handle add_cut(struct tmgr_manager *manager, struct probe *cut,
	enum tmgr_host host, struct tmgr_loop *loop)
{
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = { .host = host, .ret_handle = &handle };

	if (host == TMGR_HOST_LOOP)
		options.loop = loop;
	assert_int_equal(tmgr_manager_add_task_with(
				 manager, "cut", probe_task(cut), TMGR_STOP_GROUP, &options),
		0);
	return handle;
}

/* Before run, or while it initializes: the task is done, and all others are set up and execute. */
static void cut_initialize_short(struct cut how)
{
	struct tmgr_manager_options in_order = { .stop_order = how.order };
	struct tmgr_manager *manager = tmgr_manager_create(&in_order);
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b", .end = PROBE_RETURNS);
	struct probe cut = PROBE(.name = "cut", .on_initialize = cancel_own_initialize);
	struct latch hold = LATCH_INIT;
	struct tmgr_handle handle;
	struct tmgr_loop *loop;
	struct runner runner;
	int result = 1;

	b.hold_execute = &hold;
	assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
	assert_int_equal(
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	handle = add_cut(manager, &cut, how.host, loop);
	assert_int_equal(tmgr_manager_add_task(manager, "b", probe_task(&b), TMGR_STOP_GROUP), 0);
	tmgr_loop_unref(loop);
	if (how.before_run)
		assert_int_equal(tmgr_handle_cancel(handle, 0, NULL), 0);
	else
		cut.user = &handle;
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&a.executing, 1));
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_int_equal(tmgr_handle_result(handle, &result), 0);
	assert_int_equal(result, -ECANCELED);
	assert_int_equal(tmgr_handle_release(handle), 0);
	assert_false(tmgr_token_fired(tmgr_manager_token(manager)));
	/* It has left its stop group, and b is the last of it. */
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_GROUP_DONE);
	tmgr_manager_destroy(manager);
	assert_int_equal(cut.executed + cut.cleaned_up, 0);
	assert_int_equal(a.cleaned_up + b.cleaned_up, 2);
}

static void an_initialize_cut_short_by_a_handle_takes_nobody_with_it(void **state)
{
	static const enum tmgr_host hosts[] = { TMGR_HOST_THREAD, TMGR_HOST_POOL, TMGR_HOST_LOOP };

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		cut_initialize_short((struct cut){ true, TMGR_STOP_AT_ONCE, hosts[i] });
		cut_initialize_short((struct cut){ false, TMGR_STOP_AT_ONCE, hosts[i] });
		cut_initialize_short((struct cut){ true, TMGR_STOP_REVERSE, hosts[i] });
		cut_initialize_short((struct cut){ false, TMGR_STOP_REVERSE, hosts[i] });
	}
}

/* It is above all of the run, so nobody but the run would look at the clock for it. */
static void a_token_with_a_deadline_stops_the_run_when_it_comes(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe deaf = PROBE(.name = "deaf", .hold_execute = &hold);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	int64_t deadline = tmgr_after(TMGR_SECOND);
	struct tmgr_token *token;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_token_create(NULL, &token), 0);
	assert_int_equal(tmgr_token_set_deadline(token, deadline), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "deaf", probe_task(&deaf), TMGR_STRICT), 0);
	runner_start(&runner, manager, token);
	assert_true(manager_reaches(manager, TMGR_MANAGER_STOPPING));
	assert_true(tmgr_now() >= deadline);
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_DEADLINE);
	tmgr_manager_destroy(manager);
	tmgr_token_unref(token);
}

static int set_own_deadline(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_token_set_deadline(tmgr_context_token(context), tmgr_after(TMGR_MILLISECOND));
	return tmgr_sleep_until(context, TMGR_NEVER);
}

/* Nobody asked it to stop: what it was to set up is not there. */
static void an_initialize_that_its_own_deadline_ends_has_failed(void **state)
{
	struct probe a = PROBE(.name = "a"), c = PROBE(.name = "c");
	struct probe b = PROBE(.name = "b", .on_initialize = set_own_deadline);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	const struct tmgr_report *report;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "b", probe_task(&b), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "c", probe_task(&c), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -ECANCELED);
	report = tmgr_manager_report(manager);
	assert_string_equal(report->cause->name, "b");
	assert_int_equal(report->cause->stage, TMGR_STAGE_INITIALIZE);
	assert_int_equal(report->exit_code, 1);
	tmgr_manager_destroy(manager);
	assert_int_equal(a.cleaned_up, 1);
	assert_int_equal(b.cleaned_up + c.initialized + a.executed + c.executed, 0);
}

static void an_error_of_an_initialize_that_was_cut_short_is_reported(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe probes[TASKS] = { 0 };
	struct tmgr_manager *manager = three_tasks(probes);
	struct runner runner;

	(void)state;
	probes[1].hold_initialize = &hold;
	probes[1].initialize_result = -EIO;
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), -EIO);
	tmgr_manager_destroy(manager);
	assert_int_equal(probes[0].cleaned_up, 1);
	assert_int_equal(probes[1].cleaned_up, 0);
}

/* Nobody knows where these cancels fall: between phases too. */
static void at_any_moment_whatsoever(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++) {
		struct probe probes[TASKS] = { 0 };
		struct tmgr_manager *manager = three_tasks(probes);
		struct runner runner;

		runner_start(&runner, manager, NULL);
		for (volatile int spin = 0; spin < round * 40; spin++)
			;
		tmgr_manager_cancel(manager);
		assert_int_equal(runner_join(&runner), 0);
		tmgr_manager_destroy(manager);
		for (int i = 0; i < TASKS; i++) {
			assert_true(probes[i].initialized <= 1);
			assert_true(probes[i].executed <= probes[i].initialized);
			assert_int_equal(probes[i].cleaned_up, probes[i].initialized);
			assert_int_equal(probes[i].destroyed, 1);
		}
	}
}

static void an_execute_task_that_was_queued_is_destroyed_and_not_executed(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe slow = PROBE(.name = "slow", .hold_initialize = &hold);
	struct probe queued = PROBE(.name = "queued");
	struct tmgr_task_options options = { .ret_handle = &(struct tmgr_handle){ 0 } };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;
	int result = 1;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "slow", probe_task(&slow), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_manager_add_execute_task_with(manager, "queued",
				 probe_execute_task(&queued), TMGR_STRICT, &options),
		0);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(tmgr_manager_add_execute_task(
				 manager, "late", probe_execute_task(&queued), TMGR_ERROR),
		-ESHUTDOWN);
	assert_int_equal(queued.destroyed >= 1, 1);
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_handle_result(*options.ret_handle, &result), 0);
	assert_int_equal(result, -ECANCELED);
	assert_int_equal(tmgr_handle_release(*options.ret_handle), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(queued.executed, 0);
	assert_int_equal(queued.destroyed, 2);
}

static bool has_ended(void *handle)
{
	int result;

	return tmgr_handle_result(*(struct tmgr_handle *)handle, &result) == 0;
}

/* All threads that the pool may have are blocked in what does not hear of the stop. */
static void what_is_queued_behind_a_blocked_one_is_dropped_at_once(void **state)
{
	struct tmgr_manager_options one = { .pool_threads_max = 1, .pool_queue_max = 10 };
	struct latch hold = LATCH_INIT;
	struct probe deaf = PROBE(.name = "deaf", .hold_execute = &hold);
	struct probe queued = PROBE(.name = "queued");
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = { .ret_handle = &handle };
	struct tmgr_manager *manager = tmgr_manager_create(&one);
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_manager_add_execute_task(
				 manager, "deaf", probe_execute_task(&deaf), TMGR_ERROR),
		0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_manager_add_execute_task_with(manager, "queued",
				 probe_execute_task(&queued), TMGR_ERROR, &options),
		0);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_true(eventually(has_ended, &handle));
	assert_int_equal(queued.destroyed, 1);
	assert_int_equal(queued.executed, 0);
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_handle_release(handle), 0);
	tmgr_manager_destroy(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(at_each_moment_from_inside),
		leak_test(at_each_moment_from_outside),
		leak_test(an_initialize_that_waits_is_cut_short_and_that_is_no_error),
		leak_test(a_token_with_a_deadline_stops_the_run_when_it_comes),
		leak_test(an_initialize_cut_short_by_a_handle_takes_nobody_with_it),
		leak_test(an_initialize_that_its_own_deadline_ends_has_failed),
		leak_test(an_error_of_an_initialize_that_was_cut_short_is_reported),
		leak_test(at_any_moment_whatsoever),
		leak_test(an_execute_task_that_was_queued_is_destroyed_and_not_executed),
		leak_test(what_is_queued_behind_a_blocked_one_is_dropped_at_once),
	};

	return cmocka_run_group_tests_name("cancel", tests, NULL, NULL);
}
