#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/manager.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define EVENTS_MAX 512

/* What an observer got; read after run has returned, when its thread has ended. */
static struct tmgr_event events[EVENTS_MAX];
static size_t event_count;
static struct latch *observer_held;
static struct latch heartbeat_late = LATCH_INIT;

static void keep(void *self, const struct tmgr_event *event)
{
	(void)self;
	if (observer_held != NULL)
		latch_wait(observer_held);
	if (event_count < EVENTS_MAX)
		events[event_count++] = *event;
	if (event->kind == TMGR_EVENT_LATE_HEARTBEAT)
		latch_arrive(&heartbeat_late);
}

static struct tmgr_manager *observed(const struct tmgr_manager_options *options)
{
	struct tmgr_manager *manager = tmgr_manager_create(options);

	event_count = 0;
	observer_held = NULL;
	child_check_equal(tmgr_manager_observe(manager, TMGR_LEVEL_DEBUG, keep, NULL), 0);
	return manager;
}

static void add(struct tmgr_manager *manager, struct probe *probe, enum tmgr_policy policy)
{
	child_check_equal(
		tmgr_manager_add_task(manager, probe->name, probe_task(probe), policy), 0);
}

/* The index of the next event like this from a place on, or -1. code is not looked at when it is
 * -1. */
static int find(size_t from, enum tmgr_event_kind kind, const char *path, int code)
{
	for (size_t i = from; i < event_count; i++) {
		if (events[i].kind == kind && strcmp(events[i].path, path) == 0 &&
			(code == -1 || events[i].code == code))
			return (int)i;
	}
	return -1;
}

static int do_all(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_log(context, TMGR_LEVEL_WARNING, "number %d", 42);
	tmgr_ready(context);
	tmgr_ready(context);
	tmgr_context_note_restart(context, -EIO, 0);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return -ENOSPC;
}

static void a_run_is_told_in_order(void **state)
{
	static const enum tmgr_state order[] = { TMGR_STATE_INITIALIZING, TMGR_STATE_INITIALIZED,
		TMGR_STATE_RUNNING, TMGR_STATE_ENDED, TMGR_STATE_CLEANING, TMGR_STATE_DONE };
	struct probe a = PROBE(.name = "a", .on_execute = do_all, .end = PROBE_RETURNS);
	struct tmgr_manager *manager = observed(NULL);
	int at, last = -1;

	(void)state;
	add(manager, &a, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), -ENOSPC);
	at = find(0, TMGR_EVENT_ADDED, "a", -1);
	assert_true(at >= 0);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		at = find((size_t)at, TMGR_EVENT_STATE, "a", (int)order[i]);
		if (at < 0)
			fail_msg("no event for the state %s in its place",
				tmgr_state_name(order[i]));
	}
	at = find(0, TMGR_EVENT_LOG, "a", -1);
	assert_true(at >= 0);
	assert_int_equal(events[at].level, TMGR_LEVEL_WARNING);
	assert_string_equal(events[at].text, "number 42");
	at = find((size_t)at, TMGR_EVENT_READY, "a", -1);
	assert_true(at >= 0);
	assert_int_equal(find((size_t)at + 1, TMGR_EVENT_READY, "a", -1), -1);
	at = find((size_t)at, TMGR_EVENT_RESTARTING, "a", -EIO);
	assert_true(at >= 0);
	assert_true(find(0, TMGR_EVENT_STOP_BEGUN, "", -1) > at);
	assert_true(find(0, TMGR_EVENT_FAILED, "a", -ENOSPC) > at);
	assert_int_equal(events[event_count - 1].kind, TMGR_EVENT_RUN_ENDED);
	assert_int_equal(events[event_count - 1].code, -ENOSPC);
	assert_string_equal(events[event_count - 1].path, "");
	for (size_t i = 0; i < event_count; i++) {
		assert_true((int)events[i].sequence > last);
		assert_true(i == 0 || events[i].time >= events[i - 1].time);
		last = (int)events[i].sequence;
	}
	assert_true(events[0].sequence >= 1);
	tmgr_manager_destroy(manager);
}

static void count_call(void *self, const struct tmgr_event *event)
{
	(void)event;
	++*(int *)self;
}

static void keep_levels(void *self, const struct tmgr_event *event)
{
	unsigned *levels = self;

	*levels |= 1u << event->level;
}

static int log_all_levels(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	for (int level = TMGR_LEVEL_ERROR; level <= TMGR_LEVEL_DEBUG; level++)
		tmgr_log(context, (enum tmgr_level)level, "level %d", level);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static void an_observer_gets_its_level_and_what_is_more_important(void **state)
{
	struct probe a = PROBE(.name = "a", .on_execute = log_all_levels);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	unsigned errors = 0, notices = 0, all = 0;

	(void)state;
	assert_int_equal(tmgr_manager_observe(manager, TMGR_LEVEL_ERROR, keep_levels, &errors), 0);
	assert_int_equal(
		tmgr_manager_observe(manager, TMGR_LEVEL_NOTICE, keep_levels, &notices), 0);
	assert_int_equal(tmgr_manager_observe(manager, TMGR_LEVEL_DEBUG, keep_levels, &all), 0);
	add(manager, &a, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(errors, 1u << 3);
	assert_int_equal(notices, 1u << 3 | 1u << 4 | 1u << 5);
	assert_int_equal(all, 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7);
	tmgr_manager_destroy(manager);
}

static void a_level_that_is_unknown_is_refused(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	int calls = 0;

	(void)state;
	assert_int_equal(
		tmgr_manager_observe(manager, (enum tmgr_level)99, count_call, &calls), -EINVAL);
	assert_int_equal(
		tmgr_manager_observe(manager, (enum tmgr_level) - 1, count_call, &calls), -EINVAL);
	assert_int_equal(tmgr_manager_observe(manager, TMGR_LEVEL_DEBUG, NULL, NULL), -EINVAL);
	assert_int_equal(tmgr_manager_observe(NULL, TMGR_LEVEL_DEBUG, count_call, &calls), -EINVAL);
	tmgr_manager_destroy(manager);
	assert_int_equal(calls, 0);
}

static int log_many(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	for (int i = 0; i < 200; i++)
		tmgr_log(context, TMGR_LEVEL_INFO, "line %d", i);
	return 0;
}

static void a_blocked_observer_stops_nobody_and_what_it_misses_is_counted(void **state)
{
	static struct latch hold;
	struct probe a = PROBE(.name = "a", .on_execute = log_many);
	struct tmgr_manager_options options = { .events_max = 16 };
	struct tmgr_manager *manager = observed(&options);
	uint64_t missed = 0, last = 0;
	struct runner runner;
	struct tmgr_snapshot *snapshot;

	(void)state;
	latch_init(&hold);
	observer_held = &hold;
	add(manager, &a, TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	/* All lines are logged though the observer is held in its first event. */
	assert_true(task_waits(manager, "a", "sleep"));
	assert_int_equal(tmgr_manager_snapshot(manager, &snapshot), 0);
	assert_true(snapshot->events_dropped >= 150);
	tmgr_snapshot_destroy(snapshot);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	/* It is held until all is over, and has its place kept for the last one. */
	assert_true(manager_reaches(manager, TMGR_MANAGER_ENDED));
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(events[event_count - 1].kind, TMGR_EVENT_RUN_ENDED);
	for (size_t i = 0; i < event_count; i++) {
		missed += events[i].sequence - last - 1;
		last = events[i].sequence;
	}
	assert_true(missed >= 150);
	assert_true(tmgr_manager_report(manager)->events_dropped >= missed);
	tmgr_manager_destroy(manager);
}

static struct tmgr_manager *of_observer;
static int observer_results[3];

static void call_back(void *self, const struct tmgr_event *event)
{
	struct tmgr_snapshot *snapshot = NULL;

	(void)self;
	if (event->kind != TMGR_EVENT_LOG)
		return;
	observer_results[0] = tmgr_manager_snapshot(of_observer, &snapshot);
	tmgr_snapshot_destroy(snapshot);
	observer_results[1] = tmgr_context_current() == NULL;
	observer_results[2] = tmgr_manager_cancel(of_observer);
}

static int log_once(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_log(context, TMGR_LEVEL_INFO, "hello");
	return 0;
}

static struct latch for_ever = LATCH_INIT;

static void hang(void *self, const struct tmgr_event *event)
{
	(void)event;
	latch_wait(self);
}

static void end_thread(void *self, const struct tmgr_event *event)
{
	(void)self;
	(void)event;
	pthread_exit(NULL);
}

static int leave_an_observer_behind(void *argument)
{
	struct probe a = PROBE(.name = "a", .on_execute = do_all, .end = PROBE_RETURNS);
	struct tmgr_manager_options options = { .shutdown_ns = 200 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	int64_t begin = tmgr_now();

	(void)argument;
	child_check_equal(tmgr_manager_observe(manager, TMGR_LEVEL_DEBUG, hang, &for_ever), 0);
	add(manager, &a, TMGR_STRICT);
	child_check_equal(tmgr_manager_run(manager, NULL), -ENOSPC);
	/* It had its time, and all it was not told is counted. */
	child_check(tmgr_now() - begin >= 200 * TMGR_MILLISECOND);
	child_check(tmgr_now() - begin < 5 * TMGR_SECOND);
	child_check(tmgr_manager_report(manager)->events_dropped >= 5);
	tmgr_manager_destroy(manager);
	/* Should it come back, what it looks at is still there. */
	latch_open(&for_ever);
	tmgr_sleep(NULL, 20 * TMGR_MILLISECOND);
	return 0;
}

static void an_observer_that_hangs_is_left_behind_at_the_deadline(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, leave_an_observer_behind, NULL), 0);
}

static int exit_in_an_observer(void *argument)
{
	struct probe a = PROBE(.name = "a", .on_execute = do_all, .end = PROBE_RETURNS);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	int64_t begin = tmgr_now();

	(void)argument;
	child_check_equal(tmgr_manager_observe(manager, TMGR_LEVEL_DEBUG, end_thread, NULL), 0);
	add(manager, &a, TMGR_STRICT);
	child_check_equal(tmgr_manager_run(manager, NULL), -ENOSPC);
	child_check(tmgr_now() - begin < 20 * TMGR_SECOND);
	tmgr_manager_destroy(manager);
	return 0;
}

static void an_observer_that_ends_its_thread_holds_up_nobody(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, exit_in_an_observer, NULL), 0);
}

static void an_observer_may_call_the_manager(void **state)
{
	struct probe a = PROBE(.name = "a", .on_execute = log_once);

	(void)state;
	of_observer = tmgr_manager_create(NULL);
	memset(observer_results, 0x55, sizeof(observer_results));
	assert_int_equal(tmgr_manager_observe(of_observer, TMGR_LEVEL_INFO, call_back, NULL), 0);
	add(of_observer, &a, TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(of_observer, NULL), 0);
	assert_int_equal(observer_results[0], 0);
	assert_int_equal(observer_results[1], 1);
	assert_int_equal(observer_results[2], 0);
	tmgr_manager_destroy(of_observer);
}

static void a_late_heartbeat_is_told(void **state)
{
	struct probe a = PROBE(.name = "a");
	struct tmgr_task_options task_options = { .heartbeat_ns = 20 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = observed(NULL);
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_manager_add_task_with(
				 manager, "a", probe_task(&a), TMGR_STRICT, &task_options),
		0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&a.executing, 1));
	assert_true(latch_arrived(&heartbeat_late, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_true(find(0, TMGR_EVENT_LATE_HEARTBEAT, "a", -1) >= 0);
	tmgr_manager_destroy(manager);
}

static int be_deaf(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	struct tmgr_manager_options options = { .shutdown_ns = 1500 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = observed(&options);
	struct runner runner;
	int waiting, stuck, begun;

	(void)argument;
	add(manager, &deaf, TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never, 1));
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	begun = find(0, TMGR_EVENT_STOP_BEGUN, "", -1);
	waiting = find(0, TMGR_EVENT_WAITING, "deaf", -1);
	stuck = find(0, TMGR_EVENT_STUCK, "deaf", -1);
	child_check(begun >= 0 && waiting > begun && stuck > waiting);
	child_check(events[waiting].time - events[begun].time >= 490 * TMGR_MILLISECOND);
	child_check(events[waiting].time - events[begun].time < 1490 * TMGR_MILLISECOND);
	child_check_equal(find((size_t)waiting + 1, TMGR_EVENT_WAITING, "deaf", -1), -1);
	tmgr_manager_destroy(manager);
	return 0;
}

static void who_is_waited_for_is_named_at_a_third_of_the_deadline(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, be_deaf, NULL), 0);
}

static void a_line_has_no_control_characters_and_tells_its_whole_length(void **state)
{
	struct tmgr_event event = { .kind = TMGR_EVENT_LOG,
		.level = TMGR_LEVEL_ERROR,
		.path = "outer/inner",
		.text = "a\nb\x1b[31mc\x7f" };
	char line[1024], cut[10];
	size_t length = tmgr_event_format(&event, line, sizeof(line));

	(void)state;
	assert_int_equal(length, strlen(line));
	assert_non_null(strstr(line, "outer/inner"));
	for (const char *at = line; *at != '\0'; at++)
		assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
	assert_int_equal(tmgr_event_format(&event, cut, sizeof(cut)), length);
	assert_int_equal(strlen(cut), sizeof(cut) - 1);
	assert_memory_equal(cut, line, sizeof(cut) - 1);
	assert_int_equal(tmgr_event_format(&event, NULL, 0), length);
	assert_int_equal(tmgr_event_format(NULL, line, sizeof(line)), 0);
}

static void a_terminal_obeys_nothing_of_a_line(void **state)
{
	struct tmgr_event event = { .kind = TMGR_EVENT_LOG,
		.text = "a\xc2\x9b"
			"2Jb\xc3\xa9" };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	char line[64];

	(void)state;
	tmgr_event_format(&event, line, sizeof(line));
	assert_string_equal(line, "a\\xc2\\x9b2Jb\xc3\xa9");
	assert_int_equal(
		tmgr_manager_add_task(manager, "a\xc2\x9b", tmgr_task_failed(-EIO), TMGR_STRICT),
		-EINVAL);
	tmgr_manager_destroy(manager);
}

static void a_failure_names_the_rule_that_was_broken(void **state)
{
	struct probe late = PROBE(.name = "late");
	struct probe odd[] = { PROBE(.name = "odd", .end = PROBE_RETURNS, .execute_result = 7),
		PROBE(.name = "odd", .end = PROBE_RETURNS) };
	static const char *const said[] = { "returned 7", "STRICT" };
	const struct tmgr_task_options options = { .ready_ns = TMGR_MILLISECOND };
	struct tmgr_manager *manager;
	int at;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		manager = observed(NULL);
		add(manager, &odd[i], TMGR_STRICT);
		assert_true(tmgr_manager_run(manager, NULL) < 0);
		at = find(0, TMGR_EVENT_FAILED, "odd", -1);
		assert_true(at >= 0);
		assert_non_null(strstr(events[at].text, said[i]));
		tmgr_manager_destroy(manager);
	}
	manager = observed(NULL);
	tmgr_manager_add_task_with(manager, "late", probe_task(&late), TMGR_STRICT, &options);
	assert_int_equal(tmgr_manager_run(manager, NULL), -ETIMEDOUT);
	at = find(0, TMGR_EVENT_FAILED, "late", -ETIMEDOUT);
	assert_true(at >= 0);
	assert_non_null(strstr(events[at].text, "not ready in time"));
	tmgr_manager_destroy(manager);
}

static int print_one(void *argument)
{
	struct tmgr_event event = { .kind = TMGR_EVENT_LOG,
		.level = TMGR_LEVEL_INFO,
		.path = "task",
		.text = "two\nlines" };
	static char program[] = "pr\nog";

	(void)argument;
	tmgr_event_print(program, &event);
	tmgr_event_print(NULL, &event);
	return 0;
}

static void the_printing_observer_writes_a_line_an_event(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, print_one, NULL), 0);
	assert_int_equal(child_count(&child, "\n"), 2);
	assert_int_equal(strncmp(child.text, "pr\\nog: ", 8), 0);
	assert_int_equal(child_count(&child, "task"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_run_is_told_in_order),
		leak_test(an_observer_gets_its_level_and_what_is_more_important),
		leak_test(a_level_that_is_unknown_is_refused),
		leak_test(a_blocked_observer_stops_nobody_and_what_it_misses_is_counted),
		leak_test(an_observer_that_hangs_is_left_behind_at_the_deadline),
		leak_test(an_observer_that_ends_its_thread_holds_up_nobody),
		leak_test(an_observer_may_call_the_manager),
		leak_test(a_late_heartbeat_is_told),
		leak_test(who_is_waited_for_is_named_at_a_third_of_the_deadline),
		leak_test(a_line_has_no_control_characters_and_tells_its_whole_length),
		leak_test(a_terminal_obeys_nothing_of_a_line),
		leak_test(a_failure_names_the_rule_that_was_broken),
		leak_test(the_printing_observer_writes_a_line_an_event),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
