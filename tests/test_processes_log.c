/* What the runtime of durable processes tells in the daemon's log while it runs. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/event.h>
#include <taskmgr/manager.h>

#include "tests/support/daemon.h"
#include "tests/support/leak.h"

/* On the thread that tells observers. */
static struct {
	char first[TMGR_EVENT_TEXT_SIZE];
	atomic_size_t lines, told;
} seen;

static void note(void *self, const struct tmgr_event *event)
{
	size_t more = 1;

	(void)self;
	if (event->kind != TMGR_EVENT_LOG)
		return;
	if (strncmp(event->text, "process ", 8) == 0) {
		if (atomic_fetch_add(&seen.lines, 1) == 0)
			snprintf(seen.first, sizeof(seen.first), "%s", event->text);
	} else if (sscanf(event->text, "%zu more methods", &more) != 1) {
		return;
	}
	atomic_fetch_add(&seen.told, more);
}

static bool are_told(size_t count)
{
	int64_t limit = DAEMON_SOON;

	while (atomic_load(&seen.told) < count && tmgr_now() < limit)
		tmgr_sleep(NULL, TMGR_MILLISECOND);
	return atomic_load(&seen.told) == count;
}

static void begin(struct daemon *daemon, const struct tmgr_process_definition *definition)
{
	memset(&seen, 0, sizeof(seen));
	daemon_make(daemon, NULL);
	assert_int_equal(tmgr_processes_define(daemon->processes, definition), 0);
	assert_int_equal(tmgr_manager_add_task(daemon->manager, "workers",
				 tmgr_processes_workers(daemon->processes, NULL), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_observe(daemon->manager, TMGR_LEVEL_WARNING, note, NULL), 0);
	daemon_start(daemon);
}

static int main_fail(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_fail(process, -EIO, "no upstream");
}

static const struct tmgr_process_definition failing_definition = {
	.name = "failing",
	.version = 1,
	.start = main_fail,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Fail",
								 .function = main_fail },
		{ 0 } },
};

static void a_method_that_has_failed_for_the_last_time_is_a_warning(void **state)
{
	struct daemon daemon;

	begin(&daemon, &failing_definition);
	assert_int_equal(daemon_start_process(&daemon, &failing_definition, "f"), 0);
	assert_true(are_told(1));
	daemon_end(&daemon);
	assert_string_equal(seen.first, "process f: its method Main_Fail has failed: no upstream");
	assert_int_equal(seen.lines, 1);
}

static const struct tmgr_process_definition late_definition = {
	.name = "late",
	.version = 1,
	.start = held_wait,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = held_wait,
								 .deadline_ns = 20 *
										TMGR_MILLISECOND },
		{ 0 } },
};

static void one_that_has_not_returned_by_its_deadline_is_a_warning(void **state)
{
	struct daemon daemon;

	held_begin(false);
	begin(&daemon, &late_definition);
	daemon_start_held(&daemon, &late_definition, "l");
	assert_true(are_told(1));
	latch_open(&held_latch);
	daemon_expect_result(&daemon, "l", "again");
	daemon_end(&daemon);
	assert_string_equal(
		seen.first, "process l: its method Main_Wait has not returned by its deadline");
	assert_int_equal(seen.lines, 1);
}

#define MANY 500

static void of_many_at_once_some_have_a_line_and_the_others_are_counted(void **state)
{
	struct daemon daemon;
	int64_t began;

	begin(&daemon, &failing_definition);
	began = tmgr_now();
	for (int i = 0; i < MANY; i++) {
		char id[16];

		snprintf(id, sizeof(id), "f%d", i);
		assert_int_equal(daemon_start_process(&daemon, &failing_definition, id), 0);
	}
	assert_true(are_told(MANY));
	daemon_end(&daemon);
	/* Twenty a second, of those that have begun. */
	assert_in_range(seen.lines, 20, 20 + 20 * (tmgr_now() - began) / TMGR_SECOND + 20);
}

static void what_is_not_told_yet_is_told_at_the_stop(void **state)
{
	struct daemon daemon;

	begin(&daemon, &failing_definition);
	for (int i = 0; i < MANY; i++) {
		char id[16];

		snprintf(id, sizeof(id), "f%d", i);
		assert_int_equal(daemon_start_process(&daemon, &failing_definition, id), 0);
	}
	while (daemon_events(&daemon, TMGR_PROCESS_EVENT_FAILED) < MANY)
		tmgr_sleep(NULL, TMGR_MILLISECOND);
	assert_int_equal(daemon_stop(&daemon), 0);
	assert_int_equal(seen.told, MANY);
	daemon_release(&daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_method_that_has_failed_for_the_last_time_is_a_warning),
		leak_test(one_that_has_not_returned_by_its_deadline_is_a_warning),
		leak_test(of_many_at_once_some_have_a_line_and_the_others_are_counted),
		leak_test(what_is_not_told_yet_is_told_at_the_stop),
	};

	return cmocka_run_group_tests_name("processes in the log", tests, NULL, NULL);
}
