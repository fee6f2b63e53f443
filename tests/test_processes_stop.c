/*
 * The runtime of durable processes where it does not go well: methods that take long, stops, a store
 * that fails; and its history, which is trimmed.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/child.h"
#include "tests/support/daemon.h"
#include "tests/support/durable.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static const struct tmgr_process_definition short_definition = {
	.name = "short",
	.version = 1,
	.start = held_wait,
	.deadline_ns = 20 * TMGR_MILLISECOND,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = held_wait },
		{ 0 } },
};

/* ---- Methods that take long ------------------------------------------------------------------ */

static bool is_stuck(void *argument)
{
	struct tmgr_processes_stats stats;

	tmgr_processes_stats(argument, &stats);
	return stats.stuck == 1;
}

static void a_method_past_its_deadline_is_stuck_and_what_it_returns_late_is_refused(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;

	held_begin(false);
	daemon_begin_with(&daemon, &short_definition, 2);
	daemon_start_held(&daemon, &short_definition, "s");
	assert_true(eventually(is_stuck, daemon.processes));
	assert_int_equal(
		tmgr_processes_do(NULL, daemon.processes,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_GET, .id = "s" },
			DAEMON_SOON, &request),
		0);
	assert_true(tmgr_process_request_infos(request, NULL)->stuck);
	assert_true(tmgr_process_request_infos(request, NULL)->goroutines[0].stuck);
	assert_non_null(
		strstr(tmgr_process_request_infos(request, NULL)->goroutines[0].why, "is stuck"));
	tmgr_process_request_release(request);
	/* The next attempt has not begun, though a worker is free. */
	assert_int_equal(atomic_load(&held_calls), 1);
	latch_open(&held_latch);
	daemon_expect_result(&daemon, "s", "again");
	assert_int_equal(atomic_load(&held_calls), 2);
	assert_int_equal(daemon_events(&daemon, TMGR_PROCESS_EVENT_STUCK), 1);
	assert_int_equal(daemon_events(&daemon, TMGR_PROCESS_EVENT_LATE), 1);
	daemon_end(&daemon);
}

/* What a method may look at, again and again until it is told to end: others change what they may. */
static atomic_bool told;
static atomic_uint looked_wrong;

static void look_at_all(const struct tmgr_process *process)
{
	atomic_fetch_add(&looked_wrong, tmgr_process_attempts(process));
	atomic_fetch_add(&looked_wrong, strcmp(tmgr_process_id(process), "l") != 0);
	atomic_fetch_add(&looked_wrong, strcmp(tmgr_process_goroutine(process), "Main") != 0);
	atomic_fetch_add(&looked_wrong, tmgr_process_now(process) == 0);
	atomic_fetch_add(&looked_wrong, tmgr_process_deadline(process) == TMGR_NEVER);
}

static int pay(void *self, const char *key, struct tmgr_bytes *ret)
{
	*ret = bytes_of("paid");
	return 0;
}

/* The runtime has the effect's result, and this is not told so by its deadline. */
static int looking(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (atomic_fetch_add(&held_calls, 1) > 0)
		return tmgr_process_finish(process, bytes_of("again"));
	latch_wait(&held_latch);
	if (tmgr_process_once(process, "effect", pay, NULL, NULL) != -ETIMEDOUT)
		atomic_fetch_add(&looked_wrong, 1);
	while (!atomic_load(&told))
		look_at_all(process);
	tmgr_process_go_named(process, "Other", looking);
	return tmgr_process_once(process, "other", pay, NULL, NULL);
}

static const struct tmgr_process_definition looking_definition = {
	.name = "looking",
	.version = 1,
	.start = looking,
	.deadline_ns = 200 * TMGR_MILLISECOND,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Look",
								 .function = looking },
		{ 0 } },
};

static int do_to_l(struct daemon *daemon, struct tmgr_process_command command)
{
	command.id = "l";
	return tmgr_processes_do(NULL, daemon->processes, &command, DAEMON_SOON, NULL);
}

static void a_method_that_is_late_may_look_at_what_it_was_called_with(void **state)
{
	const struct tmgr_process_command go = {
		.kind = TMGR_PROCESS_GOTO, .goroutine = "Main", .method = "Main_Look"
	};
	const struct tmgr_process_command pause = { .kind = TMGR_PROCESS_PAUSE, .text = "why" };
	const struct tmgr_process_command resume = { .kind = TMGR_PROCESS_RESUME };
	const struct tmgr_process_command set = { .kind = TMGR_PROCESS_SET, .value = { "{}", 2 } };
	const struct tmgr_process_command cancel = { .kind = TMGR_PROCESS_CANCEL };
	struct daemon daemon;

	held_begin(false);
	atomic_store(&told, false);
	atomic_store(&looked_wrong, 0);
	daemon_begin_with(&daemon, &looking_definition, 1);
	daemon_start_held(&daemon, &looking_definition, "l");
	assert_int_equal(tmgr_store_memory_fail(daemon.store, -ENOSPC), 0);
	latch_open(&held_latch);
	assert_true(eventually(is_stuck, daemon.processes));
	assert_int_equal(tmgr_store_memory_fail(daemon.store, 0), 0);
	assert_int_equal(do_to_l(&daemon, pause), 0);
	assert_int_equal(do_to_l(&daemon, resume), 0);
	assert_int_equal(do_to_l(&daemon, resume), -EALREADY);
	assert_int_equal(do_to_l(&daemon, go), -EBUSY);
	assert_int_equal(do_to_l(&daemon, set), -EBUSY);
	assert_int_equal(do_to_l(&daemon, cancel), 0);
	atomic_store(&told, true);
	assert_int_equal(
		tmgr_processes_wait(NULL, daemon.processes, "l", DAEMON_SOON, NULL), -ECANCELED);
	assert_int_equal(atomic_load(&looked_wrong), 0);
	daemon_end(&daemon);
}

static int count_event(void *self, const struct tmgr_process_event *event)
{
	size_t *count = self;

	++*count;
	return 0;
}

/* ---- Stopping -------------------------------------------------------------------------------- */

static void on_stop_a_running_method_finishes_and_its_step_is_stored(void **state)
{
	struct daemon daemon;

	held_begin(false);
	daemon_begin(&daemon, 2);
	daemon_start_held(&daemon, &held_definition, "h");
	tmgr_manager_cancel(daemon.manager);
	latch_open(&held_latch);
	assert_int_equal(runner_join(&daemon.runner), 0);
	daemon_next(&daemon);
	daemon_expect_result(&daemon, "h", "first");
	assert_int_equal(atomic_load(&held_calls), 1);
	daemon_end(&daemon);
}

static void a_method_that_obeys_the_cancel_is_called_again_by_the_next_program(void **state)
{
	struct daemon daemon;

	held_begin(true);
	daemon_begin(&daemon, 1);
	daemon_start_held(&daemon, &held_definition, "h");
	assert_int_equal(daemon_stop(&daemon), 0);
	daemon_next(&daemon);
	daemon_expect_result(&daemon, "h", "again");
	assert_int_equal(daemon_events(&daemon, TMGR_PROCESS_EVENT_RETRY), 0);
	daemon_end(&daemon);
}

static void who_waits_when_it_stops_is_told_and_later_calls_are_refused(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;
	int error = 0;

	daemon_begin(&daemon, 1);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(
		tmgr_processes_submit(daemon.processes,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESULT, .id = "s" },
			&request),
		0);
	assert_int_equal(daemon_stop(&daemon), 0);
	assert_int_equal(tmgr_future_result(tmgr_process_request_future(request), &error, NULL), 0);
	assert_int_equal(error, -ESHUTDOWN);
	tmgr_process_request_release(request);
	assert_int_equal(daemon_start_sum(&daemon, "t", 1), -ESHUTDOWN);
	assert_int_equal(tmgr_processes_follow(NULL, daemon.processes, 0, DAEMON_SOON), -ESHUTDOWN);
	assert_int_equal(tmgr_processes_events(daemon.processes,
				 &(struct tmgr_store_query){ .count_max = 1 }, count_event, NULL),
		-ESHUTDOWN);
	daemon_release(&daemon);
}

static void before_it_is_open_calls_are_refused(void **state)
{
	struct daemon daemon;

	daemon_make(&daemon, NULL);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), -ESHUTDOWN);
	daemon_release(&daemon);
}

/* ---- A store that fails ---------------------------------------------------------------------- */

static bool is_full(void *argument)
{
	struct tmgr_processes_stats stats;

	tmgr_processes_stats(argument, &stats);
	return stats.store.error == -ENOSPC;
}

static atomic_int told_of_room[2];

static void note_log(void *self, const struct tmgr_event *event)
{
	if (event->kind != TMGR_EVENT_LOG)
		return;
	if (strstr(event->text, "steps are held until there is room: ") == event->text)
		atomic_fetch_add(&told_of_room[0], 1);
	else if (strcmp(event->text, "there is room again: steps go on") == 0)
		atomic_fetch_add(&told_of_room[1], 1);
}

static bool is_told(void *argument)
{
	return atomic_load((atomic_int *)argument) > 0;
}

static void with_a_full_disk_nothing_is_acknowledged_and_it_goes_on_when_there_is_room(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;
	int error = 1;

	daemon_make(&daemon, NULL);
	assert_int_equal(
		tmgr_manager_observe(daemon.manager, TMGR_LEVEL_WARNING, note_log, NULL), 0);
	assert_int_equal(tmgr_manager_add_task(daemon.manager, "workers",
				 tmgr_processes_workers(daemon.processes, NULL), TMGR_STRICT),
		0);
	daemon_start(&daemon);
	assert_int_equal(tmgr_store_memory_fail(daemon.store, -ENOSPC), 0);
	assert_int_equal(tmgr_processes_submit(daemon.processes,
				 &(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
					 .child = { &sum_definition, "s", &(struct sum){ 0, 1 } } },
				 &request),
		0);
	assert_true(eventually(is_full, daemon.processes));
	assert_false(tmgr_future_done(tmgr_process_request_future(request)));
	assert_true(eventually(is_told, &told_of_room[0]));
	assert_int_equal(tmgr_store_memory_fail(daemon.store, 0), 0);
	assert_int_equal(
		tmgr_future_wait(NULL, tmgr_process_request_future(request), DAEMON_SOON), 0);
	assert_int_equal(tmgr_future_result(tmgr_process_request_future(request), &error, NULL), 0);
	assert_int_equal(error, 0);
	tmgr_process_request_release(request);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 5), 0);
	daemon_expect_result(&daemon, "s", "5");
	assert_true(eventually(is_told, &told_of_room[1]));
	assert_int_equal(atomic_load(&told_of_room[0]), 1);
	assert_int_equal(atomic_load(&told_of_room[1]), 1);
	daemon_end(&daemon);
}

static void a_failed_sync_ends_it_with_eio_and_nobody_is_told_otherwise(void **state)
{
	struct daemon daemon;
	int r;

	daemon_begin(&daemon, 1);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(tmgr_store_memory_fail(daemon.store, -EIO), 0);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 5), -EIO);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	r = daemon_start_sum(&daemon, "t", 1);
	assert_true(r == -EIO || r == -ESHUTDOWN);
	daemon_next(&daemon);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 6), 0);
	daemon_expect_result(&daemon, "s", "6");
	daemon_end(&daemon);
}

/* ---- History --------------------------------------------------------------------------------- */

static size_t events_in(struct tmgr_store *store)
{
	size_t count = 0;

	assert_int_equal(
		store->ops->read_events(store, &(struct tmgr_store_query){ .count_max = SIZE_MAX },
			count_event, &count),
		0);
	return count;
}

static bool is_trimmed(void *argument)
{
	return events_in(argument) == 10;
}

/* Of a hundred events; with a limit of ten, or of an hour that is long over. */
static void trim_with(struct tmgr_processes_options options, bool (*holds)(void *argument))
{
	struct durable durable = { 0 };
	struct tmgr_processes *processes;
	struct tmgr_manager *manager;
	struct tmgr_store *store;
	struct runner runner;

	durable_begin(
		&durable, (const struct tmgr_process_definition *const[]){ &sum_definition, NULL });
	for (int i = 0; i < 50; i++) {
		char id[16];

		snprintf(id, sizeof(id), "s%d", i);
		assert_int_equal(
			durable_start_with(&durable, &sum_definition, id, &(struct sum){ 0, 1 }),
			0);
	}
	assert_int_equal(events_in(durable.store), 100);
	assert_int_equal(tmgr_store_memory_copy(durable.store, &store), 0);
	durable_end(&durable);
	assert_int_equal(tmgr_processes_create(store, &options, &processes), 0);
	assert_int_equal(tmgr_processes_define(processes, &sum_definition), 0);
	manager = tmgr_manager_create(NULL);
	tmgr_manager_add_task(manager, "processes", tmgr_processes_task(processes), TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(manager_reaches(manager, TMGR_MANAGER_RUNNING));
	assert_true(eventually(holds, store));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_processes_unref(processes);
}

static bool is_empty(void *argument)
{
	return events_in(argument) == 0;
}

static void the_history_is_trimmed_by_count_and_by_age(void **state)
{
	trim_with((struct tmgr_processes_options){ .events_max = 10,
			  .keep_events_ns = 900000 * TMGR_HOUR },
		is_trimmed);
	/* The virtual clock's events are of 2001. */
	trim_with((struct tmgr_processes_options){ .keep_events_ns = TMGR_HOUR }, is_empty);
}

/* ---- A method that never returns ------------------------------------------------------------- */

static int outlive_the_stop(void *argument)
{
	struct tmgr_store *store;
	struct daemon daemon;

	held_begin(false);
	daemon_begin(&daemon, 2);
	child_check_equal(daemon_start_process(&daemon, &held_definition, "h"), 0);
	child_check(latch_arrived(&held_latch, 1));
	child_check_equal(daemon_start_sum(&daemon, "s", 1), 0);
	child_check_equal(daemon_send_number(NULL, daemon.processes, "s", 3), 0);
	child_check_equal(tmgr_processes_wait(NULL, daemon.processes, "s", DAEMON_SOON, NULL), 0);
	/* The store is closed by the runtime's task, though the worker is stuck. */
	child_check_equal(daemon_stop(&daemon), -TMGR_ESTUCK);
	child_check_equal(tmgr_manager_report(daemon.manager)->errors, 0);
	child_check(report_entry(tmgr_manager_report(daemon.manager), TMGR_REPORT_STUCK,
			    "processes") == NULL);
	child_check_equal(tmgr_store_memory_copy(daemon.store, &store), 0);
	daemon_begin_on(&daemon, store, 1);
	child_check_equal(tmgr_processes_wait(NULL, daemon.processes, "s", DAEMON_SOON, NULL), 0);
	child_check_equal(tmgr_processes_wait(NULL, daemon.processes, "h", DAEMON_SOON, NULL), 0);
	child_check_equal(atomic_load(&held_calls), 2);
	child_check_equal(daemon_stop(&daemon), 0);
	/* Its late end is dropped. */
	latch_open(&held_latch);
	tmgr_sleep(NULL, 20 * TMGR_MILLISECOND);
	return 0;
}

static void a_method_that_outlives_the_stop_is_left_behind_and_all_else_is_stored(void **state)
{
	struct child child;

	assert_int_equal(child_run(&child, outlive_the_stop, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* A child, before there are threads: the thread sanitizer wants it so. */
		leak_test(a_method_that_outlives_the_stop_is_left_behind_and_all_else_is_stored),
		leak_test(a_method_past_its_deadline_is_stuck_and_what_it_returns_late_is_refused),
		leak_test(a_method_that_is_late_may_look_at_what_it_was_called_with),
		leak_test(on_stop_a_running_method_finishes_and_its_step_is_stored),
		leak_test(a_method_that_obeys_the_cancel_is_called_again_by_the_next_program),
		leak_test(who_waits_when_it_stops_is_told_and_later_calls_are_refused),
		leak_test(before_it_is_open_calls_are_refused),
		leak_test(
			with_a_full_disk_nothing_is_acknowledged_and_it_goes_on_when_there_is_room),
		leak_test(a_failed_sync_ends_it_with_eio_and_nobody_is_told_otherwise),
		leak_test(the_history_is_trimmed_by_count_and_by_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
