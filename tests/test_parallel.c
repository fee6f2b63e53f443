#include <errno.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/fault.h"
#include "tests/support/hosted.h"
#include "tests/support/leak.h"

static struct tmgr_task parallel_of(struct probe *one, struct probe *two)
{
	const struct tmgr_task tasks[] = { probe_task(one), probe_task(two) };

	return tmgr_parallel(tasks, 2);
}

/* Waits until the other one executes as well. */
static int meet(struct probe *probe, struct tmgr_context *context)
{
	struct probe *other = probe->user;

	(void)context;
	return latch_arrived(&other->executing, 1) ? 0 : -ETIME;
}

static void tasks_execute_at_the_same_time_between_initialize_and_cleanup(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe one = PROBE(.name = "1", .recorder = &recorder, .end = PROBE_RETURNS,
		.on_execute = meet);
	struct probe two = PROBE(.name = "2", .recorder = &recorder, .end = PROBE_RETURNS,
		.on_execute = meet);

	(void)state;
	one.user = &two;
	two.user = &one;
	assert_int_equal(hosted_run(parallel_of(&one, &two)).result, 0);
	assert_int_equal(recorder_position(&recorder, "+1"), 0);
	assert_int_equal(recorder_position(&recorder, "+2"), 1);
	assert_int_equal(recorder_position(&recorder, "-2"), 4);
	assert_int_equal(recorder_position(&recorder, "-1"), 5);
	assert_int_equal(recorder_position(&recorder, "~2"), 6);
	assert_int_equal(recorder_position(&recorder, "~1"), 7);
}

static void the_first_that_fails_cancels_the_others_and_is_what_it_ends_with(void **state)
{
	struct probe waits = PROBE(.name = "1");
	struct probe fails = PROBE(.name = "2", .end = PROBE_RETURNS, .on_execute = meet,
		.execute_result = -EIO, .fail_text = "gone");
	struct ending ending;

	(void)state;
	fails.user = &waits;
	ending = hosted_run(parallel_of(&waits, &fails));
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "gone");
	assert_int_equal(ending.errors, 1);
	assert_int_equal(atomic_load(&waits.execute_ended), 1);
	assert_int_equal(atomic_load(&waits.cleaned_up), 1);
	assert_int_equal(atomic_load(&fails.cleaned_up), 1);
}

static void what_the_others_fail_with_because_of_it_does_not_hide_the_first_error(void **state)
{
	(void)state;
	for (int round = 0; round < 500; round++) {
		struct probe waits = PROBE(.name = "1", .execute_result = -EPERM,
			.fail_text = "torn away");
		struct probe fails = PROBE(.name = "2", .end = PROBE_RETURNS, .on_execute = meet,
			.execute_result = -EIO, .fail_text = "gone");
		struct ending ending;

		fails.user = &waits;
		ending = hosted_run(parallel_of(&waits, &fails));
		assert_int_equal(ending.result, -EIO);
		assert_string_equal(ending.text, "gone");
	}
}

static void it_ends_when_all_have(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe early = PROBE(.name = "1", .end = PROBE_RETURNS);
	struct probe late = PROBE(.name = "2", .end = PROBE_RETURNS, .hold_execute = &hold);
	struct hosted hosted;

	(void)state;
	hosted_start(&hosted, parallel_of(&early, &late));
	assert_true(latch_arrived(&hold, 1));
	assert_true(latch_arrived(&early.executing, 1));
	assert_int_equal(hosted_look(&hosted).state, TMGR_STATE_RUNNING);
	latch_open(&hold);
	assert_int_equal(hosted_end(&hosted).result, 0);
}

static void a_stop_ends_all(void **state)
{
	struct probe one = PROBE(.name = "1"), two = PROBE(.name = "2");
	struct hosted hosted;

	(void)state;
	hosted_start(&hosted, parallel_of(&one, &two));
	assert_true(latch_arrived(&one.executing, 1) && latch_arrived(&two.executing, 1));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_int_equal(atomic_load(&one.execute_ended), 1);
	assert_int_equal(atomic_load(&two.execute_ended), 1);
	assert_int_equal(atomic_load(&one.cleaned_up), 1);
	assert_int_equal(atomic_load(&two.cleaned_up), 1);
}

static void a_positive_result_of_one_is_a_failure(void **state)
{
	struct probe one = PROBE(.name = "1", .end = PROBE_RETURNS, .execute_result = 3);
	struct probe two = PROBE(.name = "2");

	(void)state;
	assert_int_equal(hosted_run(parallel_of(&one, &two)).result, -TMGR_EFAILED);
}

static void a_hundred_are_no_more_trouble(void **state)
{
	struct probe probes[100];
	struct tmgr_task tasks[100];

	(void)state;
	for (int i = 0; i < 100; i++) {
		probes[i] = (struct probe)PROBE(.name = "t", .end = PROBE_RETURNS);
		tasks[i] = probe_task(&probes[i]);
	}
	assert_int_equal(hosted_run(tmgr_parallel(tasks, 100)).result, 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(atomic_load(&probes[i].executed), 1);
		assert_int_equal(atomic_load(&probes[i].cleaned_up), 1);
		assert_int_equal(atomic_load(&probes[i].destroyed), 1);
	}
}

static bool ended_or_waits(void *argument)
{
	struct tmgr_snapshot *snapshot;
	bool so;

	if (tmgr_manager_snapshot(argument, &snapshot) != 0)
		return false;
	so = snapshot->state == TMGR_MANAGER_ENDED ||
	     (snapshot->count > 0 && strcmp(snapshot->tasks[0].waiting, "group") == 0);
	tmgr_snapshot_destroy(snapshot);
	return so;
}

/* What children of a full pool wait for, and how many were cancelled meanwhile. */
struct crowd {
	struct tmgr_future release;
	atomic_int executed, cancelled;
};

static int wait_in_crowd(void *self, struct tmgr_context *context)
{
	struct crowd *crowd = self;
	int r = tmgr_future_wait(context, &crowd->release, TMGR_NEVER);

	atomic_fetch_add(&crowd->executed, 1);
	atomic_fetch_add(&crowd->cancelled, r == -ECANCELED);
	return r;
}

static int run_in_full_pool(struct crowd *crowd, size_t count)
{
	const struct tmgr_manager_options options = {
		.when_quiet = TMGR_QUIET_RETURN,
		.pool_threads_max = 1,
	};
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct tmgr_task tasks[400];
	struct runner runner;
	int result;

	for (size_t i = 0; i < count; i++)
		tasks[i] = tmgr_task_function(wait_in_crowd, crowd);
	tmgr_manager_add_task(manager, "task", tmgr_parallel(tasks, count), TMGR_ERROR);
	runner_start(&runner, manager, NULL);
	eventually(ended_or_waits, manager);
	tmgr_future_complete(&crowd->release, 0, NULL);
	result = runner_join(&runner);
	tmgr_manager_destroy(manager);
	return result;
}

static void when_the_pool_is_full_those_that_run_are_cancelled_and_it_ends_with_that(void **state)
{
	int result = 0;

	(void)state;
	/* It is full from when the first child waits; all may have been queued before that. */
	for (int round = 0; round < 50 && result == 0; round++) {
		struct crowd crowd = { .release = TMGR_FUTURE_INIT };

		result = run_in_full_pool(&crowd, 400);
		if (result == 0)
			assert_int_equal(atomic_load(&crowd.executed), 400);
		else
			assert_int_equal(
				atomic_load(&crowd.cancelled), atomic_load(&crowd.executed));
		tmgr_future_fini(&crowd.release);
	}
	assert_int_equal(result, -EAGAIN);
}

static void when_no_thread_can_be_made_those_that_run_are_cancelled_and_it_ends_with_that(
	void **state)
{
	bool failed = false;

	(void)state;
	for (long k = 1; k < 100; k++) {
		struct probe waits = PROBE(.name = "1");
		struct probe fails = PROBE(.name = "2", .end = PROBE_RETURNS,
			.execute_result = -EIO);
		struct ending ending;

		fault_fail_thread(k);
		ending = hosted_run(parallel_of(&waits, &fails));
		failed = fault_happened();
		fault_off();
		assert_true(ending.result == -EIO || (failed && ending.result == -EAGAIN));
		assert_int_equal(atomic_load(&waits.cleaned_up), atomic_load(&waits.initialized));
		assert_int_equal(atomic_load(&waits.destroyed), 1);
		assert_int_equal(atomic_load(&fails.destroyed), 1);
		if (!failed)
			break;
	}
	assert_false(failed);
}

static void nothing_is_refused_and_a_refused_one_is_passed_on(void **state)
{
	struct probe a = PROBE(.name = "a");
	const struct tmgr_task tasks[] = { probe_task(&a), tmgr_task_failed(-ENODEV) };

	(void)state;
	assert_int_equal(tmgr_task_error(tmgr_parallel(tasks, 2)), -ENODEV);
	assert_int_equal(atomic_load(&a.destroyed), 1);
	assert_int_equal(tmgr_task_error(tmgr_parallel(NULL, 3)), -EINVAL);
	assert_int_equal(tmgr_task_error(tmgr_parallel(tasks, 0)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(tasks_execute_at_the_same_time_between_initialize_and_cleanup),
		leak_test(the_first_that_fails_cancels_the_others_and_is_what_it_ends_with),
		leak_test(what_the_others_fail_with_because_of_it_does_not_hide_the_first_error),
		leak_test(it_ends_when_all_have),
		leak_test(a_stop_ends_all),
		leak_test(a_positive_result_of_one_is_a_failure),
		leak_test(a_hundred_are_no_more_trouble),
		leak_test(when_the_pool_is_full_those_that_run_are_cancelled_and_it_ends_with_that),
		leak_test(
			when_no_thread_can_be_made_those_that_run_are_cancelled_and_it_ends_with_that),
		leak_test(nothing_is_refused_and_a_refused_one_is_passed_on),
	};

	return cmocka_run_group_tests_name("parallel", tests, NULL, NULL);
}
