/*
 * Real signals, each scenario in a child process.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <taskmgr/manager.h>
#include <taskmgr/signal.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"
#include "tests/support/signalled.h"

static int run_until_signalled(void *argument)
{
	int signo = *(int *)argument;
	struct probe a = PROBE(.name = "a", .on_execute = say_ready_and_wait);
	struct tmgr_manager *manager = probe_manager(&takes_signals, &a);

	/* Whoever runs the tests may ignore it. */
	signal(SIGHUP, SIG_DFL);
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	child_check_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_SIGNAL);
	child_check_equal(tmgr_manager_report(manager)->stop.code, signo);
	child_check_equal(tmgr_manager_report(manager)->exit_code, 0);
	child_check_equal(a.cleaned_up, 1);
	tmgr_manager_destroy(manager);
	return 0;
}

static void one_stops_gracefully_hup_too_where_nobody_looks_for_it(void **state)
{
	int signals[] = { SIGTERM, SIGINT, SIGHUP };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct child child;

		child_start(&child, run_until_signalled, &signals[i]);
		assert_true(child_prints(&child, "ready"));
		child_signal(&child, signals[i]);
		assert_int_equal(child_wait(&child), 0);
	}
}

static void *wait_for_ever(void *argument)
{
	latch_arrive(argument);
	for (;;)
		pause();
	return NULL;
}

static int run_beside_a_foreign_thread(void *argument)
{
	static struct latch there = LATCH_INIT;
	static struct probe a = PROBE(.name = "a");
	struct tmgr_manager *manager = probe_manager(&takes_signals, &a);
	struct runner runner;
	pthread_t foreign;

	(void)argument;
	/* It blocks nothing, and was there before anything of ours. */
	child_check_equal(pthread_create(&foreign, NULL, wait_for_ever, &there), 0);
	child_check(latch_arrived(&there, 1));
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&a.executing, 1));
	/* It is caught: NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread,cert-pos44-c) */
	pthread_kill(foreign, SIGTERM);
	child_check_equal(runner_join(&runner), 0);
	child_check_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_SIGNAL);
	child_check_equal(tmgr_manager_report(manager)->stop.code, SIGTERM);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_signal_that_a_foreign_thread_takes_stops_too(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, run_beside_a_foreign_thread, NULL), 0);
}

static void own_handler(int signo)
{
	(void)signo;
}

static int compare_before_and_after(void *argument)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGCHLD };
	struct sigaction own = { .sa_handler = own_handler, .sa_flags = SA_NODEFER }, before[6],
			 after[6];
	struct probe a = PROBE(.name = "a", .on_execute = say_ready_and_wait);
	struct tmgr_manager *manager;
	sigset_t mask_before, mask_after, blocked;

	(void)argument;
	sigaction(SIGTERM, &own, NULL);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
	for (size_t i = 0; i < 6; i++)
		sigaction(signals[i], NULL, &before[i]);
	manager = probe_manager(&takes_signals, &a);
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
	for (int signo = 1; signo < 32; signo++)
		child_check_equal(
			sigismember(&mask_before, signo), sigismember(&mask_after, signo));
	for (size_t i = 0; i < 6; i++) {
		sigaction(signals[i], NULL, &after[i]);
		child_check(before[i].sa_handler == after[i].sa_handler);
		/* The C library adds one of its own, SA_RESTORER, to those that it sets. */
		child_check_equal((before[i].sa_flags ^ after[i].sa_flags) & ~0x04000000, 0);
	}
	return 0;
}

static void masks_and_dispositions_are_restored(void **state)
{
	struct child child;

	(void)state;
	child_start(&child, compare_before_and_after, NULL);
	assert_true(child_prints(&child, "ready"));
	child_signal(&child, SIGTERM);
	assert_int_equal(child_wait(&child), 0);
}

static int add_interrupted(struct tmgr_manager *manager, struct probe *probe)
{
	const struct tmgr_task_options options = { .interrupt_signal = SIGUSR1 };

	return tmgr_manager_add_execute_task_with(
		manager, "interrupted", probe_execute_task(probe), TMGR_ERROR, &options);
}

static void check_own_handler(void)
{
	struct sigaction action;

	sigaction(SIGUSR1, NULL, &action);
	child_check(action.sa_handler == own_handler);
}

static int interrupt_outside_a_run(void *argument)
{
	static struct probe a = PROBE(.name = "a");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)argument;
	signal(SIGUSR1, own_handler);
	/* Never run. */
	child_check_equal(add_interrupted(manager, &a), 0);
	tmgr_manager_destroy(manager);
	check_own_handler();
	/* Refused, since the run is over. */
	manager = tmgr_manager_create(NULL);
	child_check_equal(add_interrupted(manager, &a), 0);
	tmgr_manager_cancel(manager);
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	check_own_handler();
	child_check_equal(add_interrupted(manager, &a), -ESHUTDOWN);
	check_own_handler();
	tmgr_manager_destroy(manager);
	check_own_handler();
	return 0;
}

static void a_signal_that_interrupts_is_given_back_without_a_run_too(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, interrupt_outside_a_run, NULL), 0);
}

static int run_two(void *argument)
{
	static struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	struct tmgr_manager *first = probe_manager(&takes_signals, &a);
	struct tmgr_manager *second = probe_manager(&takes_signals, &b);
	struct runner runner;

	(void)argument;
	runner_start(&runner, first, NULL);
	child_check(latch_arrived(&a.executing, 1));
	child_check_equal(tmgr_manager_run(second, NULL), -EBUSY);
	child_check_equal(b.initialized, 0);
	tmgr_manager_cancel(first);
	child_check_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(second);
	tmgr_manager_destroy(first);
	/* Afterwards another may take them. */
	first = probe_manager(&takes_signals, &a);
	tmgr_manager_cancel(first);
	child_check_equal(tmgr_manager_run(first, NULL), 0);
	tmgr_manager_destroy(first);
	return 0;
}

static void one_run_in_a_process_takes_signals(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, run_two, NULL), 0);
}

static int fork_and_look(struct probe *probe, struct tmgr_context *context)
{
	int status = 0;
	pid_t pid;

	(void)probe;
	pid = fork();
	if (pid == 0) {
		struct sigaction action;
		sigset_t mask;

		if (tmgr_child_signals() != 0)
			_exit(10);
		sigprocmask(SIG_SETMASK, NULL, &mask);
		if (sigismember(&mask, SIGTERM) || sigismember(&mask, SIGPIPE) ||
			!sigismember(&mask, SIGUSR2))
			_exit(11);
		sigaction(SIGTERM, NULL, &action);
		if (action.sa_handler != SIG_DFL)
			_exit(12);
		sigaction(SIGHUP, NULL, &action);
		_exit(action.sa_handler == SIG_IGN ? 0 : 13);
	}
	waitpid(pid, &status, 0);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return -WEXITSTATUS(status);
}

static int start_a_program(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = fork_and_look);
	struct tmgr_manager *manager;
	sigset_t blocked;

	(void)argument;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	signal(SIGHUP, SIG_IGN);
	manager = probe_manager(&takes_signals, &a);
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_program_to_be_started_gets_the_signals_as_they_were(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, start_a_program, NULL), 0);
}

static struct tmgr_manager *of_handler;

static void cancel_in_handler(int signo)
{
	tmgr_manager_cancel_from_signal(of_handler, signo);
}

static int cancel_by_handler(void *argument)
{
	bool before_run = *(bool *)argument;
	static struct probe a = PROBE(.name = "a", .on_execute = say_ready_and_wait);
	struct sigaction action = { .sa_handler = cancel_in_handler };

	/* A run that takes no signals itself. */
	of_handler = probe_manager(NULL, &a);
	sigaction(SIGUSR1, &action, NULL);
	if (before_run)
		kill(getpid(), SIGUSR1);
	child_check_equal(tmgr_manager_run(of_handler, NULL), 0);
	child_check_equal(tmgr_manager_report(of_handler)->stop.reason, TMGR_REASON_SIGNAL);
	child_check_equal(tmgr_manager_report(of_handler)->stop.code, SIGUSR1);
	child_check_equal(a.initialized, before_run ? 0 : 1);
	tmgr_manager_destroy(of_handler);
	return 0;
}

static void a_signal_handler_may_cancel_while_it_runs_and_before(void **state)
{
	bool before_run = false;
	struct child child;

	(void)state;
	child_start(&child, cancel_by_handler, &before_run);
	assert_true(child_prints(&child, "ready"));
	child_signal(&child, SIGUSR1);
	assert_int_equal(child_wait(&child), 0);
	before_run = true;
	/* It is taken before the first initialize, however late the watcher is. */
	for (int i = 0; i < 50; i++)
		assert_int_equal(child_run(&child, cancel_by_handler, &before_run), 0);
}

static int watch_signals(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_signal_watch *by_channel, *by_token, *beside;
	struct tmgr_channel *channel, *of_bytes;
	struct tmgr_token *token;
	struct tmgr_cause cause;

	(void)probe;
	child_check_equal(tmgr_channel_create(sizeof(int), 1, &channel), 0);
	child_check_equal(tmgr_channel_create(1, 1, &of_bytes), 0);
	child_check_equal(
		tmgr_signal_watch_create(context, SIGUSR1, of_bytes, &by_channel), -EINVAL);
	child_check_equal(tmgr_signal_watch_create(context, SIGUSR1, channel, &by_channel), 0);
	child_check_equal(tmgr_signal_watch_create(context, SIGUSR2, NULL, &by_token), 0);
	child_check_equal(tmgr_signal_watch_create(context, SIGUSR2, channel, &beside), 0);
	have_taken(context, SIGUSR1, channel);
	child_check_equal(tmgr_signal_watch_arm(by_channel, NULL), -EINVAL);

	/* One that comes before the watch is armed stays pending. */
	have_taken(context, SIGUSR2, channel);
	child_check_equal(tmgr_token_create(tmgr_context_token(context), &token), 0);
	child_check_equal(tmgr_signal_watch_arm(by_token, token), 0);
	child_check(tmgr_token_fired(token));
	child_check_equal(tmgr_token_cause(token, &cause), 0);
	child_check_equal(cause.reason, TMGR_REASON_SIGNAL);
	child_check_equal(cause.code, SIGUSR2);
	tmgr_token_unref(token);

	/* It was consumed: the next needs another. */
	child_check_equal(tmgr_token_create(tmgr_context_token(context), &token), 0);
	child_check_equal(tmgr_signal_watch_arm(by_token, token), 0);
	child_check(!tmgr_token_fired(token));
	kill(getpid(), SIGUSR2);
	while (!tmgr_token_fired(token))
		tmgr_sleep(context, TMGR_MILLISECOND);
	tmgr_token_unref(token);
	tmgr_signal_watch_destroy(by_token);
	tmgr_signal_watch_destroy(beside);
	tmgr_signal_watch_destroy(by_channel);
	tmgr_channel_unref(channel);
	tmgr_channel_unref(of_bytes);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static int run_with_watches(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = watch_signals);
	struct tmgr_manager *manager = probe_manager(&takes_signals, &a);

	(void)argument;
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_watch_gives_a_signal_to_a_channel_or_a_token(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, run_with_watches, NULL), 0);
}

/* Holds the watcher while it acts on the first of two watches. */
static void hold_watcher(void *hold)
{
	latch_wait(hold);
}

static bool has_fired(void *token)
{
	return tmgr_token_fired(token);
}

static int destroy_one_in_the_pass(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_signal_watch *earlier, *watches[2];
	struct tmgr_token *tokens[2];
	struct tmgr_token_callback callback;
	struct latch hold = LATCH_INIT;

	(void)probe;
	child_check_equal(tmgr_signal_watch_create(context, SIGUSR2, NULL, &earlier), 0);
	for (size_t i = 0; i < 2; i++) {
		child_check_equal(tmgr_signal_watch_create(context, SIGUSR1, NULL, &watches[i]), 0);
		child_check_equal(tmgr_token_create(NULL, &tokens[i]), 0);
		child_check_equal(tmgr_signal_watch_arm(watches[i], tokens[i]), 0);
	}
	tmgr_token_register(tokens[0], &callback, hold_watcher, &hold);
	kill(getpid(), SIGUSR1);
	child_check(latch_arrived(&hold, 1));
	tmgr_signal_watch_destroy(earlier);
	latch_open(&hold);
	child_check(eventually(has_fired, tokens[1]));
	for (size_t i = 0; i < 2; i++) {
		tmgr_signal_watch_destroy(watches[i]);
		tmgr_token_unref(tokens[i]);
	}
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static int run_and_destroy_one(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = destroy_one_in_the_pass);
	struct tmgr_manager *manager = probe_manager(&takes_signals, &a);

	(void)argument;
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_watch_is_not_passed_over_when_another_is_destroyed(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, run_and_destroy_one, NULL), 0);
}

static void say_handled(int signo)
{
	static const char text[] = "handled\n";

	(void)signo;
	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
}

static int run_with_own_handler(void *argument)
{
	const struct rlimit no_core = { 0, 0 };
	struct probe a = PROBE(.name = "a", .on_execute = say_ready_and_wait);

	(void)argument;
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGUSR1, say_handled);
	return tmgr_main(probe_manager(NULL, &a));
}

/* The program's own handlers run, and what is sent to a daemon that hangs still ends it. */
static void signals_that_are_not_taken_do_what_they_did(void **state)
{
	struct child child;

	(void)state;
	child_start(&child, run_with_own_handler, NULL);
	assert_true(child_prints(&child, "ready"));
	child_signal(&child, SIGUSR1);
	assert_true(child_prints(&child, "handled"));
	child_signal(&child, SIGQUIT);
	assert_int_equal(child_wait(&child), 1000 + SIGQUIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(one_stops_gracefully_hup_too_where_nobody_looks_for_it),
		leak_test(a_signal_that_a_foreign_thread_takes_stops_too),
		leak_test(signals_that_are_not_taken_do_what_they_did),
		leak_test(masks_and_dispositions_are_restored),
		leak_test(a_signal_that_interrupts_is_given_back_without_a_run_too),
		leak_test(one_run_in_a_process_takes_signals),
		leak_test(a_program_to_be_started_gets_the_signals_as_they_were),
		leak_test(a_signal_handler_may_cancel_while_it_runs_and_before),
		leak_test(a_watch_gives_a_signal_to_a_channel_or_a_token),
		leak_test(a_watch_is_not_passed_over_when_another_is_destroyed),
	};

	return cmocka_run_group_tests_name("signal", tests, NULL, NULL);
}
