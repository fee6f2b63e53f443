/* An execute-task that is refused when it was counted already, since no thread could be made for it. */
#include <errno.h>

#include <taskmgr/manager.h>

#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct {
	struct tmgr_handle member;
	struct latch leave;
} group;

static int wait_to_leave(void *self, struct tmgr_context *context)
{
	latch_wait(&group.leave);
	return 0;
}

static void have_the_other_end(void)
{
	latch_open(&group.leave);
	assert_int_equal(tmgr_handle_wait(NULL, group.member, tmgr_after(30 * TMGR_SECOND)), 0);
}

/* Its group's other member ends after it was counted and before it is refused. */
static void one_that_is_refused_as_the_last_of_its_group_ends_the_group(void **state)
{
	const struct tmgr_task_options options = { .ret_handle = &group.member };
	const struct tmgr_task_options own = { .host = TMGR_HOST_THREAD };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe stays = PROBE(.name = "stays");
	struct runner runner;

	latch_init(&group.leave);
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "member",
			tmgr_task_function(wait_to_leave, NULL), TMGR_STOP_GROUP, &options),
		0);
	assert_int_equal(
		tmgr_manager_add_task(manager, "stays", probe_task(&stays), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(manager_reaches(manager, TMGR_MANAGER_RUNNING));
	/* Once the pool has one, it is open, and what wants a thread has it made at once. */
	assert_int_equal(tmgr_manager_add_execute_task(manager, "pooled",
				 tmgr_task_function(wait_to_leave, NULL), TMGR_ERROR),
		0);
	assert_true(latch_arrived(&group.leave, 2) && latch_arrived(&stays.executing, 1));
	fault_fail_thread_after(have_the_other_end);
	assert_int_equal(tmgr_manager_add_execute_task_with(manager, "late",
				 tmgr_task_function(wait_to_leave, NULL), TMGR_STOP_GROUP, &own),
		-EAGAIN);
	assert_true(fault_happened());
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_GROUP_DONE);
	tmgr_handle_release(group.member);
	tmgr_manager_destroy(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(one_that_is_refused_as_the_last_of_its_group_ends_the_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
