#include <errno.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/child.h"
#include "tests/support/hosted.h"
#include "tests/support/leak.h"

static void the_end_is_passed_on_as_it_is(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe well = PROBE(.name = "t", .recorder = &recorder, .end = PROBE_RETURNS);
	struct probe badly = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = -EIO,
		.fail_text = "gone");
	struct ending ending;

	(void)state;
	assert_int_equal(hosted_run(tmgr_force_stop(probe_task(&well), 1)).result, 0);
	assert_string_equal(recorder_text(&recorder), "+t t -t ~t");
	ending = hosted_run(tmgr_force_stop(probe_task(&badly), 1));
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "gone");
}

static void a_task_that_stops_in_time_has_stopped_cleanly(void **state)
{
	struct probe probe = PROBE(.name = "t");
	struct hosted hosted;
	struct ending ending;

	(void)state;
	hosted_start(&hosted, tmgr_force_stop(probe_task(&probe), TMGR_MINUTE));
	assert_true(latch_arrived(&probe.executing, 1));
	ending = hosted_stop(&hosted);
	assert_int_equal(ending.result, 0);
	assert_int_equal(ending.stuck, 0);
}

/* What a stuck task holds is left alone, on purpose: so in a process of its own. */
static int be_stuck(void *argument)
{
	struct latch hold = LATCH_INIT;
	struct probe probe = PROBE(.name = "t", .hold_execute = &hold);
	struct hosted hosted;
	struct ending ending;
	int64_t begun;

	(void)argument;
	hosted_start(&hosted, tmgr_force_stop(probe_task(&probe), 20 * TMGR_MILLISECOND));
	child_check(latch_arrived(&probe.executing, 1));
	begun = tmgr_now();
	ending = hosted_stop(&hosted);
	child_check(tmgr_now() - begun >= 20 * TMGR_MILLISECOND);
	/* Far below the total of 25 s. */
	child_check(tmgr_now() - begun < 10 * TMGR_SECOND);
	child_check_equal(ending.result, -TMGR_ESTUCK);
	child_check_equal(ending.stuck, 1);
	child_check_equal(atomic_load(&probe.cleaned_up), 0);
	child_check_equal(atomic_load(&probe.destroyed), 0);
	return 0;
}

static void a_task_that_does_not_stop_in_time_is_stuck(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, be_stuck, NULL), 0);
}

static void a_time_that_is_not_above_0_is_refused(void **state)
{
	const int64_t bad[] = { 0, -1, INT64_MIN };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct probe probe = PROBE(.name = "t");

		assert_int_equal(
			tmgr_task_error(tmgr_force_stop(probe_task(&probe), bad[i])), -EINVAL);
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
}

static void an_execute_task_can_be_forced_too(void **state)
{
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS);
	struct tmgr_manager *manager = tmgr_manager_create(
		&(struct tmgr_manager_options){ .when_quiet = TMGR_QUIET_RETURN });

	(void)state;
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "job",
			tmgr_force_stop(probe_execute_task(&probe), TMGR_SECOND), TMGR_ERROR),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(atomic_load(&probe.executed), 1);
	assert_int_equal(atomic_load(&probe.destroyed), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(the_end_is_passed_on_as_it_is),
		leak_test(a_task_that_stops_in_time_has_stopped_cleanly),
		leak_test(a_task_that_does_not_stop_in_time_is_stuck),
		leak_test(a_time_that_is_not_above_0_is_refused),
		leak_test(an_execute_task_can_be_forced_too),
	};

	return cmocka_run_group_tests_name("force stop", tests, NULL, NULL);
}
