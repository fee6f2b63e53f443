/*
 * tmgr_main() in child processes: exit codes, and what the report says.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/manager.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static int cancel_manager(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static struct tmgr_manager *manager_with(struct probe *probe)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	child_check_equal(
		tmgr_manager_add_task(manager, probe->name, probe_task(probe), TMGR_STRICT), 0);
	return manager;
}

static int end_cleanly(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = cancel_manager);

	(void)argument;
	child_check_equal(tmgr_main(manager_with(&a)), 0);
	child_check_equal(a.destroyed, 1);
	return 0;
}

static void a_clean_run_leaves_with_0(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, end_cleanly, NULL), 0);
}

static int say_ready_and_wait(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	child_say("ready");
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int wait_for_signal(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = say_ready_and_wait);

	(void)argument;
	return tmgr_main(manager_with(&a));
}

static void a_daemon_that_is_told_to_stop_leaves_with_0(void **state)
{
	int signals[] = { SIGINT, SIGTERM };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct child child;

		child_start(&child, wait_for_signal, NULL);
		assert_true(child_prints(&child, "ready"));
		child_signal(&child, signals[i]);
		assert_int_equal(child_wait(&child), 0);
	}
}

static int fail_in(void *argument)
{
	static struct probe a = PROBE(.name = "broken-pump", .fail_text = "no water left");
	static struct probe stops = PROBE(.name = "stops", .on_execute = cancel_manager);
	const char *stage = argument;
	struct tmgr_manager *manager;

	if (strcmp(stage, "initialize") == 0)
		a.initialize_result = -ENODATA;
	else if (strcmp(stage, "execute") == 0)
		a.execute_result = -ENODATA;
	else
		a.cleanup_result = -ENODATA;
	manager = manager_with(&a);
	child_check_equal(
		tmgr_manager_add_task(manager, "stops", probe_task(&stops), TMGR_STRICT), 0);
	return tmgr_main(manager);
}

static void a_failed_task_leaves_with_1_and_is_named_with_stage_error_and_text(void **state)
{
	static char initialize[] = "initialize", execute[] = "execute", cleanup[] = "cleanup";
	char *stages[] = { initialize, execute, cleanup };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct child child;

		assert_int_equal(child_run(&child, fail_in, stages[i]), 1);
		assert_non_null(strstr(child.text, "broken-pump"));
		assert_non_null(strstr(child.text, stages[i]));
		assert_non_null(strstr(child.text, "no water left"));
		assert_non_null(strstr(child.text, strerror(ENODATA)));
	}
}

static int fail_as_run_does_when_misused(void *argument)
{
	static struct probe a = PROBE(.name = "lock-keeper", .end = PROBE_RETURNS);

	a.execute_result = *(int *)argument;
	return tmgr_main(manager_with(&a));
}

static void a_task_that_fails_with_an_error_of_run_is_a_failed_task(void **state)
{
	int errors[] = { -EBUSY, -EALREADY };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct child child;

		assert_int_equal(child_run(&child, fail_as_run_does_when_misused, &errors[i]), 1);
		assert_non_null(strstr(child.text, "task \"lock-keeper\": execute"));
		assert_null(strstr(child.text, "cannot run"));
	}
}

static int add_badly(void *argument)
{
	static struct probe a = PROBE(.name = "twice"), b = PROBE(.name = "twice");
	struct tmgr_manager *manager = manager_with(&a);
	int code;

	(void)argument;
	tmgr_manager_add_task(manager, "twice", probe_task(&b), TMGR_STRICT);
	code = tmgr_main(manager);
	child_check_equal(a.initialized + b.initialized, 0);
	child_check_equal(a.destroyed, 1);
	child_check_equal(b.destroyed, 1);
	return code;
}

static int have_no_manager(void *argument)
{
	(void)argument;
	return tmgr_main(NULL);
}

static int add_a_refused_one(void *argument)
{
	static const struct tmgr_refusal refusal = { -EINVAL, "a period is above 0" };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)argument;
	tmgr_manager_add_task(manager, "ticker", tmgr_task_refused(&refusal), TMGR_STRICT);
	return tmgr_main(manager);
}

static void bad_use_leaves_with_2_and_names_the_task_and_the_rule(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, add_badly, NULL), 2);
	assert_non_null(strstr(child.text, "twice"));
	assert_non_null(strstr(child.text, strerror(EEXIST)));
	assert_int_equal(child_run(&child, have_no_manager, NULL), 2);
	assert_true(child.length > 0);
	assert_int_equal(child_run(&child, add_a_refused_one, NULL), 2);
	assert_non_null(strstr(child.text, "ticker"));
	assert_non_null(strstr(child.text, "a period is above 0"));
}

static void at_exit(void)
{
	child_say("exit handler");
}

static int get_stuck(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf-task", .hold_execute = &never);
	static struct probe below = PROBE(.name = "below-it");
	static struct probe stops = PROBE(.name = "stops", .on_execute = cancel_manager);
	struct tmgr_manager_options options = { .shutdown_ns = 200 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(&options);

	(void)argument;
	atexit(at_exit);
	child_check_equal(
		tmgr_manager_add_task(manager, "below-it", probe_task(&below), TMGR_STRICT), 0);
	child_check_equal(
		tmgr_manager_add_task(manager, "deaf-task", probe_task(&deaf), TMGR_STRICT), 0);
	child_check_equal(
		tmgr_manager_add_task(manager, "stops", probe_task(&stops), TMGR_STRICT), 0);
	tmgr_main(manager);
	child_say("it returned");
	return 0;
}

static void a_stuck_task_is_named_and_leaves_with_3_past_all_exit_handlers(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, get_stuck, NULL), 3);
	assert_non_null(strstr(child.text, "deaf-task"));
	assert_non_null(strstr(child.text, "below-it"));
	assert_null(strstr(child.text, "exit handler"));
	assert_null(strstr(child.text, "it returned"));
}

static int say_and_hang(struct probe *probe, struct tmgr_context *context)
{
	(void)context;
	child_say("hanging");
	latch_wait(probe->user);
	return 0;
}

static int hang_on_runs_thread(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe hangs = PROBE(.name = "hanging-task");
	static struct probe below = PROBE(.name = "below-it");
	struct tmgr_manager_options options = { .shutdown_ns = 200 * TMGR_MILLISECOND };
	struct tmgr_manager *manager = tmgr_manager_create(&options);

	hangs.user = &never;
	if (*(bool *)argument) {
		hangs.on_initialize = say_and_hang;
	} else {
		hangs.on_execute = say_ready_and_wait;
		hangs.on_cleanup = say_and_hang;
	}
	child_check_equal(
		tmgr_manager_add_task(manager, "below-it", probe_task(&below), TMGR_STRICT), 0);
	child_check_equal(
		tmgr_manager_add_task(manager, "hanging-task", probe_task(&hangs), TMGR_STRICT), 0);
	tmgr_main(manager);
	child_say("it returned");
	return 0;
}

static void a_hanging_initialize_or_cleanup_is_named_and_leaves_with_3_at_the_deadline(void **state)
{
	for (int i = 0; i < 2; i++) {
		bool in_initialize = i == 0;
		struct child child;

		(void)state;
		child_start(&child, hang_on_runs_thread, &in_initialize);
		assert_true(child_prints(&child, in_initialize ? "hanging" : "ready"));
		child_signal(&child, SIGTERM);
		assert_int_equal(child_wait(&child), 3);
		assert_non_null(strstr(child.text, "hanging-task"));
		assert_non_null(strstr(child.text, "not cleaned up: task \"below-it\""));
		assert_null(strstr(child.text, "it returned"));
	}
}

static int run_a_second_main(void *argument)
{
	static struct probe first = PROBE(.name = "first"), second = PROBE(.name = "second");
	struct tmgr_manager_options options = { .take_signals = true };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct tmgr_manager *other = tmgr_manager_create(NULL);
	struct runner runner;
	int exit_code;

	(void)argument;
	child_check_equal(
		tmgr_manager_add_task(manager, "first", probe_task(&first), TMGR_STRICT), 0);
	child_check_equal(
		tmgr_manager_add_task(other, "second", probe_task(&second), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&first.executing, 1));
	exit_code = tmgr_main(other);
	child_check_equal(second.initialized, 0);
	child_check_equal(second.destroyed, 1);
	child_check_equal(tmgr_manager_cancel(manager), 0);
	child_check_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	return exit_code;
}

static void a_second_main_is_bad_use_and_says_why(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, run_a_second_main, NULL), 2);
	assert_non_null(strstr(child.text, "another run in this process takes the signals"));
}

static int return_ecanceled(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	(void)context;
	return -ECANCELED;
}

static int leave_thread(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	(void)context;
	pthread_exit(NULL);
}

static int return_seven(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	(void)context;
	return 7;
}

static int end_oddly(void *argument)
{
	static probe_function *const ways[] = { return_ecanceled, leave_thread, return_seven };
	static struct probe odd = PROBE(.name = "odd");

	odd.on_execute = ways[*(int *)argument];
	return tmgr_main(manager_with(&odd));
}

static void an_odd_end_is_explained(void **state)
{
	static const char *const said[] = { "returned -ECANCELED though it was not told to stop",
		"left by pthread_exit()", "error: task \"odd\": execute: failed (returned 7)" };
	struct child child;

	(void)state;
	for (int way = 0; way < 3; way++) {
		assert_int_equal(child_run(&child, end_oddly, &way), 1);
		assert_non_null(strstr(child.text, said[way]));
	}
}

static int fail_with_control_characters(void *argument)
{
	static struct probe a = PROBE(.name = "a", .end = PROBE_RETURNS, .execute_result = -EIO,
		.fail_text = "red \x1b[31m and\nnew line");

	(void)argument;
	return tmgr_main(manager_with(&a));
}

static void control_characters_are_escaped(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, fail_with_control_characters, NULL), 1);
	assert_null(strchr(child.text, '\x1b'));
	assert_null(strstr(child.text, "and\nnew"));
	assert_non_null(strstr(child.text, "red "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_clean_run_leaves_with_0),
		leak_test(a_daemon_that_is_told_to_stop_leaves_with_0),
		leak_test(a_failed_task_leaves_with_1_and_is_named_with_stage_error_and_text),
		leak_test(a_task_that_fails_with_an_error_of_run_is_a_failed_task),
		leak_test(bad_use_leaves_with_2_and_names_the_task_and_the_rule),
		leak_test(a_stuck_task_is_named_and_leaves_with_3_past_all_exit_handlers),
		leak_test(
			a_hanging_initialize_or_cleanup_is_named_and_leaves_with_3_at_the_deadline),
		leak_test(a_second_main_is_bad_use_and_says_why),
		leak_test(an_odd_end_is_explained),
		leak_test(control_characters_are_escaped),
	};

	return cmocka_run_group_tests_name("main", tests, NULL, NULL);
}
