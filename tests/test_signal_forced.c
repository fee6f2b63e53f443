/*
 * Second and third signals: each stop that was not fast enough for whoever sends them. Each in a
 * child process.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <taskmgr/manager.h>
#include <taskmgr/signal.h>
#include <taskmgr/tasks/interruptible.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"
#include "tests/support/signalled.h"

/* Less than the 25 s that a whole stop may take. */
#define SOON (20 * TMGR_SECOND)

static void say_stop(void *self, const struct tmgr_event *event)
{
	(void)self;
	if (event->kind == TMGR_EVENT_STOP_BEGUN)
		child_say("stop begun");
	if (event->kind == TMGR_EVENT_STATE && event->code == TMGR_STATE_ENDED)
		child_say(strcmp(event->path, "after") == 0 ? "after ended" : "before ended");
}

static int be_deaf(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe deaf = PROBE(.name = "deaf", .hold_execute = &never);
	static struct probe after = PROBE(.name = "after"), before = PROBE(.name = "before");
	struct tmgr_manager *manager = probe_manager(&takes_signals, &before);
	struct runner runner;
	int64_t begin = tmgr_now();

	(void)argument;
	tmgr_manager_add_task(manager, "deaf", probe_task(&deaf), TMGR_STRICT);
	tmgr_manager_add_task(manager, "after", probe_task(&after), TMGR_STRICT);
	tmgr_manager_observe(manager, TMGR_LEVEL_DEBUG, say_stop, NULL);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&never, 1));
	child_check(latch_arrived(&after.executing, 1));
	child_say("ready");
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	/* Not by the deadline of the whole stop. */
	child_check(tmgr_now() - begin < SOON);
	child_check_equal(tmgr_manager_report(manager)->stuck, 1);
	child_check_equal(tmgr_manager_report(manager)->exit_code, 3);
	child_check_equal(deaf.cleaned_up, 0);
	/* Those not begun are skipped, added after the stuck one or not. */
	child_check_equal(before.cleaned_up, 0);
	child_check_equal(after.cleaned_up, 0);
	return 0;
}

static void a_second_calls_what_still_runs_stuck_and_skips_cleanups(void **state)
{
	struct child child;

	(void)state;
	child_start(&child, be_deaf, NULL);
	assert_true(child_prints(&child, "ready"));
	child_signal(&child, SIGTERM);
	assert_true(child_prints(&child, "stop begun"));
	assert_true(child_prints(&child, "after ended"));
	assert_true(child_prints(&child, "before ended"));
	child_signal(&child, SIGTERM);
	assert_int_equal(child_wait(&child), 0);
}

static int hang_in_cleanup_function(struct probe *probe, struct tmgr_context *context)
{
	(void)context;
	child_say("in cleanup");
	latch_wait(probe->user);
	return 0;
}

static int hang_in_cleanup(void *argument)
{
	static struct latch never = LATCH_INIT;
	static struct probe hangs = PROBE(.name = "hangs", .on_execute = say_ready_and_wait,
		.on_cleanup = hang_in_cleanup_function);

	(void)argument;
	hangs.user = &never;
	return tmgr_main(probe_manager(NULL, &hangs));
}

static void a_third_leaves_with_its_number_even_if_a_cleanup_hangs(void **state)
{
	struct child child;
	int code;

	(void)state;
	child_start(&child, hang_in_cleanup, NULL);
	assert_true(child_prints(&child, "ready"));
	child_signal(&child, SIGTERM);
	assert_true(child_prints(&child, "in cleanup"));
	/* Two different ones, since two of the same may become one. */
	child_signal(&child, SIGINT);
	child_signal(&child, SIGTERM);
	code = child_wait(&child);
	assert_true(code == 128 + SIGTERM || code == 128 + SIGINT);
	assert_non_null(strstr(child.text, "hangs"));
}

static int sleep_in_cleanup(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	child_say("in cleanup");
	return tmgr_sleep(context, TMGR_HOUR);
}

static int be_slow_to_clean_up(void *argument)
{
	static struct probe before = PROBE(.name = "before");
	static struct probe slow = PROBE(.name = "slow", .on_execute = say_ready_and_wait,
		.on_cleanup = sleep_in_cleanup);
	struct tmgr_manager *manager = probe_manager(&takes_signals, &before);
	int64_t begin = tmgr_now();

	(void)argument;
	child_check_equal(
		tmgr_manager_add_task(manager, "slow", probe_task(&slow), TMGR_STRICT), 0);
	child_check_equal(tmgr_manager_run(manager, NULL), -ECANCELED);
	child_check(tmgr_now() - begin < SOON);
	child_check_equal(tmgr_manager_report(manager)->cause->stage, TMGR_STAGE_CLEANUP);
	child_check_equal(tmgr_manager_report(manager)->not_cleaned_up, 1);
	child_check_equal(tmgr_manager_report(manager)->exit_code, 1);
	child_check_equal(before.cleaned_up, 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_second_cuts_the_cleanup_short_that_runs(void **state)
{
	struct child child;

	(void)state;
	child_start(&child, be_slow_to_clean_up, NULL);
	assert_true(child_prints(&child, "ready"));
	child_signal(&child, SIGTERM);
	assert_true(child_prints(&child, "in cleanup"));
	child_signal(&child, SIGTERM);
	assert_int_equal(child_wait(&child), 0);
}

static struct latch both_deaf = LATCH_INIT;

/* Raised by a thread that does not block them, so that each is taken by itself. */
static void *raise_three(void *argument)
{
	(void)argument;
	latch_arrived(&both_deaf, 2);
	for (int i = 0; i < 3; i++)
		raise(SIGINT);
	for (;;)
		pause();
	return NULL;
}

static int raise_three_in_a_row(void *argument)
{
	static struct probe deaf = PROBE(.name = "deaf task", .hold_execute = &both_deaf);
	static struct probe job = PROBE(.name = "deaf job", .hold_execute = &both_deaf);
	struct tmgr_manager *manager = probe_manager(NULL, &deaf);
	pthread_t foreign;

	(void)argument;
	child_check_equal(pthread_create(&foreign, NULL, raise_three, NULL), 0);
	child_check_equal(tmgr_manager_add_execute_task(
				  manager, "deaf job", probe_execute_task(&job), TMGR_ERROR),
		0);
	return tmgr_main(manager);
}

/* The third may find that the second has ended it: then it must not cut the report off. */
static void three_in_a_row_end_it_at_once_and_name_all_that_still_ran(void **state)
{
	struct child child;

	(void)state;
	for (int i = 0; i < 20; i++) {
		int64_t begin = tmgr_now();
		int code = child_run(&child, raise_three_in_a_row, NULL);

		assert_true(code == 128 + SIGINT || code == 3);
		assert_true(tmgr_now() - begin < SOON);
		assert_non_null(strstr(child.text, "stuck: task \"deaf task\": execute"));
		assert_non_null(strstr(child.text, "stuck: task \"deaf job\": execute"));
		assert_non_null(strstr(child.text, "exit code"));
	}
}

static struct tmgr_handle reloading;

/* Those who look for a reload have ended: what it asks for comes too late, and is no second stop. */
static int stop_slowly(void *self, struct tmgr_context *context)
{
	struct tmgr_signal_watch *watch;
	struct tmgr_channel *channel;
	int signo;

	(void)self;
	child_check_equal(tmgr_channel_create(sizeof(int), 1, &channel), 0);
	child_check_equal(tmgr_signal_watch_create(context, SIGUSR1, channel, &watch), 0);
	child_say("ready");
	child_check_equal(tmgr_sleep_until(context, TMGR_NEVER), -ECANCELED);
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	child_check_equal(tmgr_handle_wait(context, reloading, TMGR_NEVER), 0);
	/* The watcher, which takes both, takes the lower one first. */
	kill(getpid(), SIGHUP);
	kill(getpid(), SIGUSR1);
	child_check_equal(tmgr_channel_receive(context, channel, &signo, TMGR_NEVER), 0);
	tmgr_uninterrupted_end(context);
	tmgr_signal_watch_destroy(watch);
	tmgr_channel_unref(channel);
	return 0;
}

static int reload_too_late(void *argument)
{
	static struct probe probe = PROBE(.name = "reloading");
	struct tmgr_task_options options = { .ret_handle = &reloading };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)argument;
	child_check_equal(
		tmgr_manager_add_task_with(manager, "reloading",
			tmgr_interruptible(probe_task(&probe), SIGHUP), TMGR_STRICT, &options),
		0);
	child_check_equal(tmgr_manager_add_task(manager, "slow",
				  tmgr_task_function(stop_slowly, NULL), TMGR_STRICT),
		0);
	return tmgr_main(manager);
}

static void a_reload_that_comes_while_it_stops_is_no_second(void **state)
{
	struct child child;

	(void)state;
	child_start(&child, reload_too_late, NULL);
	assert_true(child_prints(&child, "ready\n"));
	child_signal(&child, SIGTERM);
	assert_int_equal(child_wait(&child), 0);
	assert_null(strstr(child.text, "stuck"));
	assert_null(strstr(child.text, "not cleaned up"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_second_calls_what_still_runs_stuck_and_skips_cleanups),
		leak_test(a_second_cuts_the_cleanup_short_that_runs),
		leak_test(a_third_leaves_with_its_number_even_if_a_cleanup_hangs),
		leak_test(three_in_a_row_end_it_at_once_and_name_all_that_still_ran),
		leak_test(a_reload_that_comes_while_it_stops_is_no_second),
	};

	return cmocka_run_group_tests_name("forced by signals", tests, NULL, NULL);
}
