#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <taskmgr/group.h>
#include <taskmgr/manager.h>
#include <taskmgr/signal.h>
#include <taskmgr/thread_call.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static void no_event(void *self, const struct tmgr_event *event)
{
	(void)self;
	(void)event;
}

static int never_called(void *self, struct tmgr_context *context, void **ret_value)
{
	(void)self;
	(void)context;
	(void)ret_value;
	return 0;
}

/* In the forked child: the number of the first call that does not say -ECHILD, 0 for none. */
static int use_the_parents(struct tmgr_manager *manager, struct tmgr_context *context)
{
	static struct probe probe = PROBE(.name = "probe");
	struct tmgr_snapshot *snapshot;
	struct tmgr_thread_call call;
	struct tmgr_handle handle;

	if (tmgr_manager_add_task(manager, "p", probe_task(&probe), TMGR_STRICT) != -ECHILD)
		return 1;
	if (tmgr_manager_add_execute_task(manager, "p", probe_execute_task(&probe), TMGR_ERROR) !=
		-ECHILD)
		return 2;
	if (tmgr_manager_cancel(manager) != -ECHILD)
		return 3;
	if (tmgr_manager_observe(manager, TMGR_LEVEL_INFO, no_event, NULL) != -ECHILD)
		return 4;
	if (tmgr_manager_run(manager, NULL) != -ECHILD)
		return 5;
	if (tmgr_manager_find(manager, "a", &handle) != -ECHILD)
		return 6;
	if (tmgr_manager_snapshot(manager, &snapshot) != -ECHILD)
		return 7;
	if (tmgr_token_fired(tmgr_manager_token(manager)))
		return 8;
	if (tmgr_spawn(context, NULL, probe_execute_task(&probe), NULL) != -ECHILD)
		return 9;
	if (tmgr_group_wait(context, NULL, TMGR_NOW) != -ECHILD)
		return 10;
	if (tmgr_call_in_thread(context, &call, never_called, NULL) != -ECHILD)
		return 11;
	return probe.destroyed == 3 ? 0 : 12;
}

static int fork_in_task(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_manager *manager = tmgr_context_manager(context);
	pid_t pid = fork();
	int status = -1;

	(void)probe;
	if (pid == 0)
		_exit(use_the_parents(manager, context));
	waitpid(pid, &status, 0);
	tmgr_manager_cancel(manager);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -999;
}

static int fork_while_running(void *argument)
{
	static struct probe a = PROBE(.name = "a", .on_execute = fork_in_task);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)argument;
	child_check_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void calls_on_a_manager_that_ran_in_the_parent_give_echild(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, fork_while_running, NULL), 0);
}

static int cancel_manager(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static int run_in_child(void *argument)
{
	struct tmgr_manager *manager = argument;

	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	child_check_equal(tmgr_manager_report(manager)->exit_code, 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_manager_that_has_not_run_may_be_run_in_the_child(void **state)
{
	struct probe a = PROBE(.name = "a", .on_execute = cancel_manager);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct child child;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	assert_int_equal(child_run(&child, run_in_child, manager), 0);
	/* And still in the parent: it has not run here. */
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
}

static int not_close_on_exec;

static int look_at_descriptors(struct probe *probe, struct tmgr_context *context)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	(void)probe;
	tmgr_token_fd(tmgr_context_token(context));
	while ((entry = readdir(directory)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd > 2 && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			not_close_on_exec++;
	}
	closedir(directory);
	return 0;
}

static int wait_for_descriptor(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return tmgr_wait_fd(context, *(int *)probe->user, TMGR_FD_READ, TMGR_NEVER);
}

static void every_descriptor_of_ours_is_close_on_exec(void **state)
{
	int ends[2], before;
	struct probe waits = PROBE(.name = "waits", .on_execute = wait_for_descriptor);
	struct probe looks = PROBE(.name = "looks", .on_execute = look_at_descriptors,
		.end = PROBE_RETURNS);
	struct tmgr_manager_options options = { .take_signals = true };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct runner runner;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	waits.user = &ends[0];
	not_close_on_exec = 0;
	look_at_descriptors(&looks, NULL);
	before = not_close_on_exec; /* what the program was started with */
	not_close_on_exec = 0;
	assert_int_equal(
		tmgr_manager_add_task(manager, "waits", probe_task(&waits), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_observe(manager, TMGR_LEVEL_DEBUG, no_event, NULL), 0);
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "waits", "descriptor"));
	assert_int_equal(tmgr_manager_add_execute_task(
				 manager, "looks", probe_execute_task(&looks), TMGR_ERROR),
		0);
	assert_true(latch_arrived(&looks.executing, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(not_close_on_exec, before);
}

/* 0 when what a program started now would begin with blocks USR2 and nothing else. */
static int look_at_mask_of_programs(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		sigset_t mask;

		if (tmgr_child_signals() != 0)
			_exit(1);
		sigprocmask(SIG_SETMASK, NULL, &mask);
		for (int signo = 1; signo < 32; signo++)
			if (sigismember(&mask, signo) != (signo == SIGUSR2))
				_exit(2);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

/* The thread is one of ours, where nearly all is blocked. */
static int run_one_inside(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_manager_options options = { .take_signals = *(bool *)probe->user };
	struct probe inner = PROBE(.name = "inner", .end = PROBE_RETURNS);
	struct tmgr_manager *manager = tmgr_manager_create(&options);

	child_check_equal(
		tmgr_manager_add_task(manager, "inner", probe_task(&inner), TMGR_STOP_GROUP), 0);
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	child_check_equal(look_at_mask_of_programs(), 0);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static int run_one_that_runs_one(void *argument)
{
	struct probe outer = PROBE(.name = "outer", .on_execute = run_one_inside, .user = argument);
	struct tmgr_manager *manager = probe_manager(NULL, &outer);
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &blocked, NULL);
	child_check_equal(tmgr_manager_run(manager, NULL), 0);
	child_check_equal(look_at_mask_of_programs(), 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void a_program_gets_the_mask_from_before_also_with_a_run_in_a_task(void **state)
{
	bool takes_signals[] = { false, true };
	struct child child;

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(child_run(&child, run_one_that_runs_one, &takes_signals[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(calls_on_a_manager_that_ran_in_the_parent_give_echild),
		leak_test(a_manager_that_has_not_run_may_be_run_in_the_child),
		leak_test(every_descriptor_of_ours_is_close_on_exec),
		leak_test(a_program_gets_the_mask_from_before_also_with_a_run_in_a_task),
	};

	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
