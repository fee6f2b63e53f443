/*
 * Blocking calls that are not the library's: what docs/blocking.md promises of them.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/manager.h>

#include "tests/support/leak.h"
#include "tests/support/recorder.h"

/* A signal that nobody uses. */
#define SIGNAL SIGURG
#define TIMES 3

struct blocked {
	int ends[2]; /* what it blocks on, and what nobody writes to */
	int interrupted;
	int early; /* interrupted before it was told to stop */
	struct latch begun;
};

/* Goes on after each interruption, as code does that knows nothing of it, but not for ever. */
static int read_again(struct probe *probe, struct tmgr_context *context)
{
	struct blocked *blocked = probe->user;
	char byte;

	latch_arrive(&blocked->begun);
	while (blocked->interrupted < TIMES) {
		if (read(blocked->ends[0], &byte, 1) >= 0 || errno != EINTR)
			return -EIO;
		blocked->interrupted++;
		blocked->early += !tmgr_context_cancelled(context);
	}
	return -ECANCELED;
}

static void open_pipe(struct blocked *blocked)
{
	*blocked = (struct blocked){ .begun = LATCH_INIT };
	assert_int_equal(pipe(blocked->ends), 0);
}

static void close_pipe(struct blocked *blocked)
{
	close(blocked->ends[0]);
	close(blocked->ends[1]);
}

static void the_signal_is_sent_until_execute_has_returned(void **state)
{
	static const enum tmgr_host hosts[] = { TMGR_HOST_THREAD, TMGR_HOST_POOL };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct tmgr_task_options options = { .host = hosts[i % 2],
			.interrupt_signal = SIGNAL };
		struct tmgr_manager *manager = tmgr_manager_create(NULL);
		struct blocked blocked;
		struct probe reader = PROBE(.name = "reader", .end = PROBE_RETURNS,
			.on_execute = read_again, .user = &blocked);
		struct runner runner;
		int r;

		open_pipe(&blocked);
		r = i < 2 ? tmgr_manager_add_task_with(
				    manager, "reader", probe_task(&reader), TMGR_STRICT, &options)
			  : tmgr_manager_add_execute_task_with(manager, "reader",
				    probe_execute_task(&reader), TMGR_STRICT, &options);
		assert_int_equal(r, 0);
		runner_start(&runner, manager, NULL);
		assert_true(latch_arrived(&blocked.begun, 1));
		assert_int_equal(tmgr_manager_cancel(manager), 0);
		assert_int_equal(runner_join(&runner), 0);
		tmgr_manager_destroy(manager);
		assert_int_equal(blocked.interrupted, TIMES);
		assert_int_equal(blocked.early, 0);
		close_pipe(&blocked);
	}
}

static void it_is_sent_to_a_task_cancelled_by_its_handle(void **state)
{
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = { .interrupt_signal = SIGNAL, .ret_handle = &handle };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct blocked blocked;
	struct probe reader = PROBE(.name = "reader", .end = PROBE_RETURNS,
		.on_execute = read_again, .user = &blocked);
	struct runner runner;

	(void)state;
	open_pipe(&blocked);
	assert_int_equal(tmgr_manager_add_task_with(
				 manager, "reader", probe_task(&reader), TMGR_STRICT, &options),
		0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&blocked.begun, 1));
	assert_int_equal(tmgr_handle_cancel(handle, 0, NULL), 0);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	assert_int_equal(tmgr_handle_release(handle), 0);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(blocked.interrupted, TIMES);
	close_pipe(&blocked);
}

static void own_handler(int signo)
{
	(void)signo;
}

static void *handler_of(int signo)
{
	struct sigaction action;

	assert_int_equal(sigaction(signo, NULL, &action), 0);
	return (void *)(uintptr_t)action.sa_handler;
}

static void what_the_signal_did_before_it_does_afterwards(void **state)
{
	struct sigaction own = { .sa_handler = own_handler, .sa_flags = SA_RESTART }, before;
	struct tmgr_task_options options = { .interrupt_signal = SIGNAL };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe task = PROBE(.name = "task");
	struct runner runner;

	(void)state;
	assert_int_equal(sigaction(SIGNAL, &own, &before), 0);
	assert_int_equal(tmgr_manager_add_task_with(
				 manager, "task", probe_task(&task), TMGR_STRICT, &options),
		0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&task.executing, 1));
	assert_true(handler_of(SIGNAL) != (void *)(uintptr_t)own_handler);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_true(handler_of(SIGNAL) == (void *)(uintptr_t)own_handler);
	tmgr_manager_destroy(manager);
	assert_int_equal(sigaction(SIGNAL, &before, NULL), 0);
}

static void shut(void *self)
{
	shutdown(*(const int *)self, SHUT_RDWR);
}

static int receive(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_token_callback callback = { 0 };
	struct blocked *blocked = probe->user;
	char buffer[16];
	ssize_t n;

	if (tmgr_token_register(tmgr_context_token(context), &callback, shut, blocked->ends) < 0)
		return -EIO;
	latch_arrive(&blocked->begun);
	n = recv(blocked->ends[0], buffer, sizeof(buffer), 0);
	tmgr_token_unregister(&callback);
	return n == 0 ? -ECANCELED : -EIO;
}

static void a_callback_that_shuts_the_descriptor_down_ends_the_call(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct tmgr_manager *manager = tmgr_manager_create(NULL);
		struct blocked blocked = { .begun = LATCH_INIT };
		struct probe receiver = PROBE(.name = "receiver", .end = PROBE_RETURNS,
			.on_execute = receive, .user = &blocked);
		struct runner runner;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, blocked.ends), 0);
		assert_int_equal(tmgr_manager_add_task(
					 manager, "receiver", probe_task(&receiver), TMGR_STRICT),
			0);
		runner_start(&runner, manager, NULL);
		/* Mostly it is about to call; now and then it is in the call. */
		assert_true(latch_arrived(&blocked.begun, 1));
		assert_int_equal(tmgr_manager_cancel(manager), 0);
		assert_int_equal(runner_join(&runner), 0);
		tmgr_manager_destroy(manager);
		close_pipe(&blocked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(the_signal_is_sent_until_execute_has_returned),
		leak_test(it_is_sent_to_a_task_cancelled_by_its_handle),
		leak_test(what_the_signal_did_before_it_does_afterwards),
		leak_test(a_callback_that_shuts_the_descriptor_down_ends_the_call),
	};

	return cmocka_run_group_tests_name("blocking", tests, NULL, NULL);
}
