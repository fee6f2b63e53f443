/*
 * A destroy that takes its time on a thread of the pool: what is added behind it does not wait.
 */
#include <taskmgr/manager.h>

#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct latch held;

static int begin_test(void **state)
{
	latch_init(&held);
	return leak_setup(state);
}

#define destroy_test(function) cmocka_unit_test_setup_teardown(function, begin_test, leak_teardown)

static int return_at_once(void *self, struct tmgr_context *context)
{
	return 0;
}

static void hold_in_destroy(void *self)
{
	latch_wait(&held);
}

static const struct tmgr_task_ops slow_to_destroy = {
	.kind = "slow", .execute = return_at_once, .destroy = hold_in_destroy
};

/* With a destroy that is held begun, or about to. */
static void add_behind_and_end(struct tmgr_manager *manager)
{
	struct probe next = PROBE(.name = "next", .end = PROBE_RETURNS);
	struct runner runner;

	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&held, 1));
	assert_int_equal(tmgr_manager_add_execute_task(
				 manager, "next", probe_execute_task(&next), TMGR_ERROR),
		0);
	assert_true(latch_arrived(&next.executing, 1));
	latch_open(&held);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(next.destroyed, 1);
}

static void the_destroy_of_one_that_ended_does_not_hold_up_the_next(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	assert_int_equal(tmgr_manager_add_execute_task(manager, "slow",
				 (struct tmgr_task){ &slow_to_destroy, NULL }, TMGR_ERROR),
		0);
	add_behind_and_end(manager);
}

static void nor_does_that_of_one_that_never_began(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle;
	struct tmgr_task_options options = { .ret_handle = &handle };

	assert_int_equal(
		tmgr_manager_add_execute_task_with(manager, "slow",
			(struct tmgr_task){ &slow_to_destroy, NULL }, TMGR_ERROR, &options),
		0);
	assert_int_equal(tmgr_handle_cancel(handle, 0, "not wanted"), 0);
	tmgr_handle_release(handle);
	add_behind_and_end(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		destroy_test(the_destroy_of_one_that_ended_does_not_hold_up_the_next),
		destroy_test(nor_does_that_of_one_that_never_began),
	};

	return cmocka_run_group_tests_name("pool, destroy", tests, NULL, NULL);
}
