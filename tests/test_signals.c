#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/hosted.h"
#include "tests/support/leak.h"

static struct tmgr_channel *channel_of_ints(size_t capacity)
{
	struct tmgr_channel *channel = NULL;

	assert_int_equal(tmgr_channel_create(sizeof(int), capacity, &channel), 0);
	return channel;
}

static int next_signal(struct tmgr_channel *channel)
{
	int signo = 0;
	int r = tmgr_channel_receive(NULL, channel, &signo, tmgr_after(30 * TMGR_SECOND));

	return r == 0 ? signo : r;
}

static bool is_ready(void *argument)
{
	return hosted_look(argument).ready;
}

static bool has_one(void *argument)
{
	return tmgr_channel_count(argument) == 1;
}

static void start_watching(
	struct hosted *hosted, struct tmgr_channel *channel, const int *signals, size_t count)
{
	hosted_start(hosted, tmgr_signals(channel, signals, count));
	assert_true(eventually(is_ready, hosted));
}

static void each_signal_is_sent_on_the_channel(void **state)
{
	const int signals[] = { SIGUSR1, SIGUSR2, SIGHUP };
	struct tmgr_channel *channel = channel_of_ints(4);
	struct hosted hosted;

	(void)state;
	start_watching(&hosted, channel, signals, 3);
	for (int i = 0; i < 3; i++) {
		kill(getpid(), signals[i]);
		assert_int_equal(next_signal(channel), signals[i]);
	}
	assert_int_equal(hosted_stop(&hosted).result, 0);
	tmgr_channel_unref(channel);
}

/*
 * What was sent before a mark has been taken when the mark arrives at a task of its own: it has the
 * greater number, so it is neither delivered nor looked at before the others.
 */
static void one_that_finds_the_channel_full_stays_pending_and_more_of_it_are_one(void **state)
{
	const int signals[] = { SIGUSR1, SIGUSR2 }, mark[] = { SIGWINCH };
	struct tmgr_channel *channel = channel_of_ints(1), *marks = channel_of_ints(1);
	const struct tmgr_manager_options options = { .take_signals = true };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct runner runner;
	int none;

	(void)state;
	tmgr_manager_add_task(manager, "task", tmgr_signals(channel, signals, 2), TMGR_STRICT);
	tmgr_manager_add_task(manager, "marks", tmgr_signals(marks, mark, 1), TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "task", "sleep") && task_waits(manager, "marks", "sleep"));
	kill(getpid(), SIGUSR1);
	assert_true(eventually(has_one, channel));
	for (int i = 0; i < 5; i++)
		kill(getpid(), SIGUSR2);
	kill(getpid(), SIGWINCH);
	assert_int_equal(next_signal(marks), SIGWINCH);
	assert_int_equal(next_signal(channel), SIGUSR1);
	assert_int_equal(next_signal(channel), SIGUSR2);
	/* One more of another kind comes after all that were pending. */
	kill(getpid(), SIGUSR1);
	assert_int_equal(next_signal(channel), SIGUSR1);
	assert_int_equal(tmgr_channel_receive(NULL, channel, &none, TMGR_NOW), -ETIMEDOUT);
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(channel);
	tmgr_channel_unref(marks);
}

static void a_receiver_that_waits_gets_it_without_a_buffer(void **state)
{
	const int signals[] = { SIGUSR1 };
	struct tmgr_channel *channel = channel_of_ints(0);
	struct hosted hosted;

	(void)state;
	start_watching(&hosted, channel, signals, 1);
	kill(getpid(), SIGUSR1);
	assert_int_equal(next_signal(channel), SIGUSR1);
	assert_int_equal(hosted_stop(&hosted).result, 0);
	tmgr_channel_unref(channel);
}

static void it_runs_until_it_is_told_to_stop_and_holds_its_channel(void **state)
{
	const int signals[] = { SIGUSR1 };
	struct tmgr_channel *channel = channel_of_ints(1);
	struct hosted hosted;

	(void)state;
	start_watching(&hosted, channel, signals, 1);
	tmgr_channel_unref(channel);
	assert_true(task_waits(hosted.manager, "task", "sleep"));
	assert_int_equal(hosted_stop(&hosted).result, 0);
}

static void a_run_that_takes_no_signals_cannot_have_it(void **state)
{
	const int signals[] = { SIGUSR1 };
	struct tmgr_channel *channel = channel_of_ints(1);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	tmgr_manager_add_task(manager, "task", tmgr_signals(channel, signals, 1), TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EOPNOTSUPP);
	assert_string_equal(tmgr_manager_report(manager)->cause->text, "watching signal 10");
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(channel);
}

static void a_channel_of_something_else_is_an_error_of_execute(void **state)
{
	const int signals[] = { SIGUSR1 };
	struct tmgr_channel *channel;

	(void)state;
	assert_int_equal(tmgr_channel_create(sizeof(int) + 1, 1, &channel), 0);
	assert_int_equal(hosted_run(tmgr_signals(channel, signals, 1)).result, -EINVAL);
	tmgr_channel_unref(channel);
}

static void bad_arguments_are_refused(void **state)
{
	const int good[] = { SIGUSR1, SIGRTMIN, SIGRTMAX };
	const int bad[][2] = { { SIGUSR1, SIGUSR1 }, { SIGUSR1, SIGINT }, { SIGTERM, SIGUSR1 },
		{ SIGKILL, SIGUSR1 }, { SIGSEGV, SIGUSR1 }, { 0, SIGUSR1 }, { -1, SIGUSR1 },
		{ 65, SIGUSR1 } };
	struct tmgr_channel *channel = channel_of_ints(1);
	struct tmgr_task task;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		task = tmgr_signals(channel, bad[i], 2);
		assert_int_equal(tmgr_task_error(task), -EINVAL);
		assert_non_null(tmgr_task_rule(task));
	}
	assert_int_equal(tmgr_task_error(tmgr_signals(NULL, good, 3)), -EINVAL);
	assert_int_equal(tmgr_task_error(tmgr_signals(channel, NULL, 3)), -EINVAL);
	assert_int_equal(tmgr_task_error(tmgr_signals(channel, good, 0)), -EINVAL);
	assert_int_equal(
		tmgr_task_error(tmgr_signals(channel, good, TMGR_SIGNALS_MAX + 1)), -EINVAL);
	task = tmgr_signals(channel, good, 3);
	assert_int_equal(tmgr_task_error(task), 0);
	tmgr_task_destroy(task);
	tmgr_channel_unref(channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_signal_is_sent_on_the_channel),
		leak_test(one_that_finds_the_channel_full_stays_pending_and_more_of_it_are_one),
		leak_test(a_receiver_that_waits_gets_it_without_a_buffer),
		leak_test(it_runs_until_it_is_told_to_stop_and_holds_its_channel),
		leak_test(a_run_that_takes_no_signals_cannot_have_it),
		leak_test(a_channel_of_something_else_is_an_error_of_execute),
		leak_test(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
