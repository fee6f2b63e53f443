/*
 * The task of a loop inside of wrappers: tasks name the loop all the same.
 */
#include <taskmgr/taskmgr.h>

#include "tests/support/leak.h"
#include "tests/support/looped.h"

static struct tmgr_task in_retry(struct tmgr_task task)
{
	return tmgr_retry(task, NULL);
}

static struct tmgr_task in_force_stop(struct tmgr_task task)
{
	return tmgr_force_stop(task, TMGR_MINUTE);
}

static struct tmgr_task in_both(struct tmgr_task task)
{
	return in_force_stop(in_retry(task));
}

static struct tmgr_task (*const wraps[])(struct tmgr_task task) = {
	in_retry,
	in_force_stop,
	in_both,
};

static void a_loop_that_is_wrapped_hosts_tasks(void **state)
{
	const struct tmgr_manager_options reverse = { .stop_order = TMGR_STOP_REVERSE };

	(void)state;
	for (size_t i = 0; i < sizeof(wraps) / sizeof(wraps[0]); i++) {
		struct tmgr_manager *manager = tmgr_manager_create(&reverse);
		struct probe probe = PROBE(.name = "hosted");
		struct tmgr_task_options on = { 0 };
		struct tmgr_loop *loop;
		struct runner runner;

		assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
		on.loop = loop;
		assert_int_equal(tmgr_manager_add_task(manager, "loop",
					 wraps[i](tmgr_loop_task(loop)), TMGR_STRICT),
			0);
		assert_int_equal(tmgr_manager_add_task_with(
					 manager, "hosted", probe_task(&probe), TMGR_STRICT, &on),
			0);
		tmgr_loop_unref(loop);
		runner_start(&runner, manager, NULL);
		assert_true(task_waits(manager, "hosted", "sleep"));
		tmgr_manager_cancel(manager);
		assert_int_equal(runner_join(&runner), 0);
		tmgr_manager_destroy(manager);
		assert_int_equal(atomic_load(&probe.executed), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_loop_that_is_wrapped_hosts_tasks),
	};

	return cmocka_run_group_tests_name("loop wrapped", tests, NULL, NULL);
}
