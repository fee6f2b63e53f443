/* The time that a task has for its stop is that of its children, too. In a process of its own, for what is
 * stuck stays. */
#include <errno.h>
#include <string.h>

#include <taskmgr/group.h>
#include <taskmgr/manager.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct latch never = LATCH_INIT;

static int hold(void *self, struct tmgr_context *context)
{
	latch_wait(&never);
	return 0;
}

static int spawn_and_hold(void *self, struct tmgr_context *context)
{
	tmgr_spawn(context, NULL, tmgr_task_function(hold, NULL), NULL);
	return tmgr_group_wait(context, NULL, TMGR_NEVER);
}

/* Grandchildren, and a parent that waits for them as it should. */
static int spawn_two(struct probe *probe, struct tmgr_context *context)
{
	tmgr_spawn(context, NULL, tmgr_task_function(spawn_and_hold, NULL), NULL);
	latch_arrived(&never, 1);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return tmgr_group_wait(context, NULL, TMGR_NEVER);
}

static int note_left(struct probe *probe, struct tmgr_context *context)
{
	int64_t *left = probe->user;

	tmgr_sleep(context, TMGR_NEVER);
	*left = tmgr_context_deadline(context) - tmgr_now();
	return 0;
}

static int stop_with_stuck_grandchildren(void *argument)
{
	const struct tmgr_manager_options options = { .stop_order = TMGR_STOP_REVERSE,
		.shutdown_ns = 20 * TMGR_SECOND };
	const struct tmgr_task_options short_stop = { .stop_ns = 100 * TMGR_MILLISECOND };
	static int64_t left;
	static struct probe below = PROBE(.name = "below", .on_execute = note_left, .user = &left),
			    parent = PROBE(.name = "parent", .on_execute = spawn_two);
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	const struct tmgr_report *report;

	child_check_equal(
		tmgr_manager_add_task(manager, "below", probe_task(&below), TMGR_STRICT), 0);
	child_check_equal(tmgr_manager_add_task_with(
				  manager, "parent", probe_task(&parent), TMGR_STRICT, &short_stop),
		0);
	child_check_equal(tmgr_manager_run(manager, NULL), -TMGR_ESTUCK);
	report = tmgr_manager_report(manager);
	child_check_equal(report->stuck, 3);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "parent") != NULL);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "parent#1") != NULL);
	child_check(report_entry(report, TMGR_REPORT_STUCK, "parent#1#1") != NULL);
	/* The next had most of the time. */
	child_check(left > 10 * TMGR_SECOND);
	tmgr_manager_destroy(manager);
	return 0;
}

static void those_that_are_stuck_leave_the_next_in_reverse_its_time(void **state)
{
	struct child child;

	assert_int_equal(child_run(&child, stop_with_stuck_grandchildren, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(those_that_are_stuck_leave_the_next_in_reverse_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
