/*
 * Reloads: what HUP means where a task looks for it. Each scenario in a child process.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <taskmgr/channel.h>
#include <taskmgr/manager.h>
#include <taskmgr/signal.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"
#include "tests/support/signalled.h"

static int count_reloads(struct probe *probe, struct tmgr_context *context)
{
	int reloads = 0;

	(void)probe;
	child_check(!tmgr_reload_requested(context));
	child_say("ready");
	while (tmgr_sleep(context, TMGR_MILLISECOND) == 0) {
		if (tmgr_reload_requested(context)) {
			child_check(!tmgr_reload_requested(context));
			reloads++;
			child_say(reloads == 1 ? "reload 1" : "reload 2");
		}
	}
	return reloads == 2 ? 0 : -EIO;
}

static int run_with_reload_by_asking(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = count_reloads);
	struct tmgr_manager *manager = probe_manager(&takes_signals, &a);

	(void)argument;
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	child_check_equal(tmgr_manager_report(manager)->stop.code, SIGTERM);
	tmgr_manager_destroy(manager);
	return 0;
}

static int select_reloads(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_select_case cases[] = { { .op = TMGR_SELECT_RELOAD } };
	int reloads = 0;

	(void)probe;
	child_check_equal(tmgr_select(context, cases, 1, TMGR_NOW), -ETIMEDOUT);
	child_say("ready");
	while (tmgr_select(context, cases, 1, TMGR_NEVER) == 0) {
		child_check(!tmgr_reload_requested(context));
		reloads++;
		child_say(reloads == 1 ? "reload 1" : "reload 2");
	}
	return reloads == 2 ? 0 : -EIO;
}

static int run_with_reload_by_select(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = select_reloads);
	struct tmgr_manager *manager = probe_manager(&takes_signals, &a);

	(void)argument;
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void each_hup_reloads_where_a_task_looks_for_it(void **state)
{
	int (*const bodies[])(void *) = { run_with_reload_by_asking, run_with_reload_by_select };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct child child;

		child_start(&child, bodies[i], NULL);
		assert_true(child_prints(&child, "ready"));
		child_signal(&child, SIGHUP);
		assert_true(child_prints(&child, "reload 1"));
		child_signal(&child, SIGHUP);
		assert_true(child_prints(&child, "reload 2"));
		child_signal(&child, SIGTERM);
		assert_int_equal(child_wait(&child), 0);
	}
}

/* An item is there each time it looks, before the case of the reload is come to. */
static int select_while_busy(struct probe *probe, struct tmgr_context *context)
{
	char item = 0;
	struct tmgr_signal_watch *watch;
	struct tmgr_channel *channel, *taken;
	struct tmgr_select_case cases[] = { { .op = TMGR_SELECT_RECEIVE, .item = &item },
		{ .op = TMGR_SELECT_RELOAD } };

	(void)probe;
	child_check_equal(tmgr_channel_create(1, 1, &channel), 0);
	cases[0].channel = channel;
	child_check_equal(tmgr_channel_send(context, channel, &item, TMGR_NOW), 0);
	child_check_equal(tmgr_select(context, cases, 2, TMGR_NEVER), 0);
	/* What comes first is taken first. */
	child_check_equal(tmgr_channel_create(sizeof(int), 1, &taken), 0);
	child_check_equal(tmgr_signal_watch_create(context, SIGUSR1, taken, &watch), 0);
	kill(getpid(), SIGHUP);
	have_taken(context, SIGUSR1, taken);
	child_check_equal(tmgr_select(context, cases, 2, TMGR_NOW), 1);
	tmgr_signal_watch_destroy(watch);
	tmgr_channel_unref(taken);
	tmgr_channel_unref(channel);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static int run_busy(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = select_while_busy);
	struct tmgr_manager *manager = probe_manager(&takes_signals, &a);

	(void)argument;
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	child_check_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_CANCELLED);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_select_with_a_reload_asks_for_it_though_another_case_is_ready(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, run_busy, NULL), 0);
}

static int look_late(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_select_case cases[] = { { .op = TMGR_SELECT_RELOAD } };
	struct tmgr_signal_watch *watch;
	struct tmgr_channel *taken;

	(void)probe;
	child_check_equal(tmgr_channel_create(sizeof(int), 1, &taken), 0);
	child_check_equal(tmgr_signal_watch_create(context, SIGHUP, taken, &watch), 0);
	child_check(!tmgr_reload_requested(context));
	have_taken(context, SIGHUP, taken);
	have_taken(context, SIGHUP, taken);
	/* Nobody looked meanwhile; it is still set, once. */
	child_check_equal(tmgr_select(context, cases, 1, TMGR_NEVER), 0);
	child_check(!tmgr_reload_requested(context));
	child_check_equal(tmgr_select(context, cases, 1, TMGR_NOW), -ETIMEDOUT);
	tmgr_signal_watch_destroy(watch);
	tmgr_channel_unref(taken);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static int run_and_look_late(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = look_late);
	struct tmgr_manager *manager = probe_manager(&takes_signals, &a);

	(void)argument;
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_reload_is_set_until_it_is_read_and_several_are_one(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, run_and_look_late, NULL), 0);
}

static int run_under_nohup(void *argument)
{
	struct probe a = PROBE(.name = "a", .on_execute = say_ready_and_wait);
	struct tmgr_manager *manager = probe_manager(&takes_signals, &a);

	(void)argument;
	signal(SIGHUP, SIG_IGN);
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	child_check_equal(tmgr_manager_report(manager)->stop.code, SIGTERM);
	tmgr_manager_destroy(manager);
	return 0;
}

/* The terminal is gone, and the daemon was told before not to mind. */
static void one_that_was_ignored_before_stops_nothing(void **state)
{
	struct child child;

	(void)state;
	child_start(&child, run_under_nohup, NULL);
	assert_true(child_prints(&child, "ready"));
	child_signal(&child, SIGHUP);
	/* Both may come at once: then what came first is looked at first. */
	child_signal(&child, SIGTERM);
	assert_int_equal(child_wait(&child), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_hup_reloads_where_a_task_looks_for_it),
		leak_test(a_select_with_a_reload_asks_for_it_though_another_case_is_ready),
		leak_test(a_reload_is_set_until_it_is_read_and_several_are_one),
		leak_test(one_that_was_ignored_before_stops_nothing),
	};

	return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
