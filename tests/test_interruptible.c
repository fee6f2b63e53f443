#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/hosted.h"
#include "tests/support/leak.h"

static void send_signal(int signo)
{
	kill(getpid(), signo);
}

static void start_and_interrupt(struct hosted *hosted, struct probe *probe, int signo)
{
	hosted_start(hosted, tmgr_interruptible(probe_task(probe), signo));
	assert_true(latch_arrived(&probe->executing, 1));
	send_signal(signo);
}

static void a_signal_ends_cleans_up_initializes_and_executes_again(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder);
	struct hosted hosted;
	struct ending ending;

	(void)state;
	start_and_interrupt(&hosted, &probe, SIGUSR1);
	assert_true(latch_arrived(&probe.executing, 2));
	send_signal(SIGUSR1);
	assert_true(latch_arrived(&probe.executing, 3));
	ending = hosted_stop(&hosted);
	assert_int_equal(ending.result, 0);
	assert_int_equal(ending.at.restarts, 2);
	assert_int_equal(ending.at.last_error, 0);
	assert_string_equal(recorder_text(&recorder), "+t t -t +t t -t +t t -t ~t");
}

static void hup_interrupts_instead_of_stopping(void **state)
{
	struct probe probe = PROBE(.name = "t");
	struct hosted hosted;

	(void)state;
	start_and_interrupt(&hosted, &probe, SIGHUP);
	assert_true(latch_arrived(&probe.executing, 2));
	assert_int_equal(hosted_stop(&hosted).result, 0);
}

/* Watches the same signal: what has come out of its channel has been noted for all watches. */
static int watch_too(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_signal_watch *watch;
	int r = tmgr_signal_watch_create(context, SIGUSR1, probe->user, &watch);

	if (r != 0)
		return r;
	tmgr_sleep_until(context, TMGR_NEVER);
	tmgr_signal_watch_destroy(watch);
	return 0;
}

/* Send it and wait until the run has taken it, so that the next one is another. */
static bool signal_is_taken(struct tmgr_channel *taken)
{
	int signo = 0;

	send_signal(SIGUSR1);
	return tmgr_channel_receive(NULL, taken, &signo, tmgr_after(LATCH_LIMIT_S * TMGR_SECOND)) ==
		       0 &&
	       signo == SIGUSR1;
}

static void signals_while_it_begins_anew_are_not_lost_and_are_one(void **state)
{
	const struct tmgr_manager_options options = { .take_signals = true };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct latch hold = LATCH_INIT;
	struct probe probe = PROBE(.name = "t", .hold_cleanup = &hold);
	struct probe witness = PROBE(.name = "witness", .on_execute = watch_too);
	struct tmgr_channel *taken;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_channel_create(sizeof(int), 1, &taken), 0);
	witness.user = taken;
	tmgr_manager_add_task(manager, "witness", probe_task(&witness), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "task", tmgr_interruptible(probe_task(&probe), SIGUSR1), TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "witness", "sleep"));
	assert_true(task_waits(manager, "task", "sleep"));
	assert_true(signal_is_taken(taken));
	assert_true(latch_arrived(&hold, 1));
	for (int i = 0; i < 3; i++)
		assert_true(signal_is_taken(taken));
	latch_open(&hold);
	/* The second execute is interrupted as it begins, the third is not. */
	assert_true(latch_arrived(&probe.executing, 3));
	assert_true(task_waits(manager, "task", "sleep"));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(taken);
	assert_int_equal(atomic_load(&probe.executed), 3);
	assert_int_equal(atomic_load(&probe.initialized), 3);
	assert_int_equal(atomic_load(&probe.cleaned_up), 3);
}

static void a_task_that_ends_by_itself_ended_unexpectedly(void **state)
{
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS);

	(void)state;
	assert_int_equal(hosted_run(tmgr_interruptible(probe_task(&probe), SIGUSR1)).result,
		-TMGR_EUNEXPECTED);
	assert_int_equal(atomic_load(&probe.executed), 1);
	assert_int_equal(atomic_load(&probe.cleaned_up), 1);
}

static void an_error_is_passed_on_with_its_text(void **state)
{
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .execute_result = -EIO,
		.fail_text = "gone");
	struct ending ending = hosted_run(tmgr_interruptible(probe_task(&probe), SIGUSR1));

	(void)state;
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "gone");
}

static void an_error_of_an_execute_that_was_interrupted_is_passed_on(void **state)
{
	struct probe probe = PROBE(.name = "t", .execute_result = -EIO, .fail_text = "broke");
	struct hosted hosted;
	struct ending ending;

	(void)state;
	start_and_interrupt(&hosted, &probe, SIGUSR1);
	ending = hosted_end(&hosted);
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "broke");
	assert_int_equal(atomic_load(&probe.cleaned_up), 1);
}

static int fail_second(struct probe *probe, struct tmgr_context *context)
{
	if (atomic_load(&probe->initialized) == 2)
		return tmgr_fail(context, -ENOENT, "no configuration");
	return 0;
}

static void an_initialize_that_fails_in_between_ends_it_without_cleanup(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder,
		.on_initialize = fail_second);
	struct hosted hosted;
	struct ending ending;

	(void)state;
	start_and_interrupt(&hosted, &probe, SIGUSR1);
	ending = hosted_end(&hosted);
	assert_int_equal(ending.result, -ENOENT);
	assert_string_equal(ending.text, "no configuration");
	assert_string_equal(recorder_text(&recorder), "+t t -t +t ~t");
}

static void a_stop_while_it_begins_anew_ends_it_cleanly_and_cleaned_up_once(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct latch hold = LATCH_INIT;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder, .hold_cleanup = &hold);
	struct hosted hosted;

	(void)state;
	start_and_interrupt(&hosted, &probe, SIGUSR1);
	assert_true(latch_arrived(&hold, 1));
	tmgr_manager_cancel(hosted.manager);
	latch_open(&hold);
	assert_int_equal(hosted_end(&hosted).result, 0);
	assert_string_equal(recorder_text(&recorder), "+t t -t ~t");
}

static int remember_cause(struct probe *probe, struct tmgr_context *context)
{
	tmgr_sleep_until(context, TMGR_NEVER);
	if (atomic_load(&probe->executed) == 1)
		tmgr_token_cause(tmgr_context_token(context), probe->user);
	return 0;
}

static void the_task_can_see_which_signal_it_was(void **state)
{
	struct tmgr_cause cause = { TMGR_REASON_NONE, 0, "" };
	struct probe probe = PROBE(.name = "t", .end = PROBE_UNTIL_CANCELLED,
		.on_execute = remember_cause, .user = &cause);
	struct hosted hosted;

	(void)state;
	start_and_interrupt(&hosted, &probe, SIGUSR2);
	assert_true(latch_arrived(&probe.executing, 2));
	hosted_stop(&hosted);
	assert_int_equal(cause.reason, TMGR_REASON_SIGNAL);
	assert_int_equal(cause.code, SIGUSR2);
}

static void two_tasks_with_one_signal_are_both_interrupted(void **state)
{
	struct probe one = PROBE(.name = "one"), two = PROBE(.name = "two");
	const struct tmgr_manager_options options = { .take_signals = true };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct runner runner;

	(void)state;
	tmgr_manager_add_task(
		manager, "one", tmgr_interruptible(probe_task(&one), SIGHUP), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "two", tmgr_interruptible(probe_task(&two), SIGHUP), TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&one.executing, 1) && latch_arrived(&two.executing, 1));
	send_signal(SIGHUP);
	assert_true(latch_arrived(&one.executing, 2) && latch_arrived(&two.executing, 2));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
}

static void a_run_that_takes_no_signals_cannot_have_it(void **state)
{
	struct probe probe = PROBE(.name = "t");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	tmgr_manager_add_task(
		manager, "task", tmgr_interruptible(probe_task(&probe), SIGUSR1), TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EOPNOTSUPP);
	assert_string_equal(tmgr_manager_report(manager)->cause->text, "watching signal 10");
	tmgr_manager_destroy(manager);
	assert_int_equal(atomic_load(&probe.executed), 0);
	assert_int_equal(atomic_load(&probe.cleaned_up), 1);
}

static void signals_that_are_not_for_tasks_are_refused(void **state)
{
	const int bad[] = { 0, -1, 65, 1000, INT32_MIN, SIGINT, SIGTERM, SIGKILL, SIGSTOP, SIGSEGV,
		SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, 32, 33 };
	const int good[] = { SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGWINCH, SIGURG, SIGQUIT,
		SIGRTMIN, SIGRTMAX };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct probe probe = PROBE(.name = "t");

		assert_int_equal(
			tmgr_task_error(tmgr_interruptible(probe_task(&probe), bad[i])), -EINVAL);
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct probe probe = PROBE(.name = "t");
		struct tmgr_task task = tmgr_interruptible(probe_task(&probe), good[i]);

		assert_int_equal(tmgr_task_error(task), 0);
		tmgr_task_destroy(task);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_signal_ends_cleans_up_initializes_and_executes_again),
		leak_test(hup_interrupts_instead_of_stopping),
		leak_test(signals_while_it_begins_anew_are_not_lost_and_are_one),
		leak_test(a_task_that_ends_by_itself_ended_unexpectedly),
		leak_test(an_error_is_passed_on_with_its_text),
		leak_test(an_error_of_an_execute_that_was_interrupted_is_passed_on),
		leak_test(an_initialize_that_fails_in_between_ends_it_without_cleanup),
		leak_test(a_stop_while_it_begins_anew_ends_it_cleanly_and_cleaned_up_once),
		leak_test(the_task_can_see_which_signal_it_was),
		leak_test(two_tasks_with_one_signal_are_both_interrupted),
		leak_test(a_run_that_takes_no_signals_cannot_have_it),
		leak_test(signals_that_are_not_for_tasks_are_refused),
	};

	return cmocka_run_group_tests_name("interruptible", tests, NULL, NULL);
}
