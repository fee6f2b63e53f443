/*
 * The waits of the core in coroutines: descriptors, callbacks of futures, partners on other loops and
 * threads; and the library's wrappers on a loop.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/channel.h>
#include <taskmgr/sync.h>
#include <taskmgr/tasks/interval.h>
#include <taskmgr/tasks/manager.h>
#include <taskmgr/tasks/parallel.h>
#include <taskmgr/tasks/retry.h>
#include <taskmgr/tasks/sequence.h>
#include <taskmgr/tasks/timeout.h>

#include "tests/support/child.h"
#include "tests/support/looped.h"
#include "tests/support/recorded.h"

/* ---- Descriptors ---------------------------------------------------------------------------- */

static int write_later(void *self, struct tmgr_context *context)
{
	int *ends = self;

	IS(tmgr_sleep(context, TMGR_MILLISECOND), 0);
	recorder_add(&recorder, "written");
	IS(write(ends[1], "x", 1), 1);
	return 0;
}

static int wait_for_descriptors(void *self, struct tmgr_context *context)
{
	int pipe_ends[2], sockets[2], file, closed;
	char path[] = "/tmp/test_coroutine_waits.XXXXXX";

	IS(pipe(pipe_ends), 0);
	IS(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	file = mkstemp(path);
	unlink(path);
	closed = dup(file);
	close(closed);
	IS(tmgr_wait_fd(context, pipe_ends[0], TMGR_FD_READ, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_wait_fd(context, pipe_ends[0], TMGR_FD_READ, tmgr_after(TMGR_MILLISECOND)),
		-ETIMEDOUT);
	IS(tmgr_wait_fd(context, pipe_ends[1], TMGR_FD_WRITE, TMGR_NEVER), TMGR_FD_WRITE);
	spawn(context, "writer", write_later, pipe_ends);
	IS(tmgr_wait_fd(context, pipe_ends[0], TMGR_FD_READ, TMGR_NEVER), TMGR_FD_READ);
	recorder_add(&recorder, "read");
	IS(tmgr_wait_fd(context, sockets[0], TMGR_FD_READ | TMGR_FD_WRITE, TMGR_NEVER),
		TMGR_FD_WRITE);
	spawn(context, "writer", write_later, sockets);
	IS(tmgr_wait_fd(context, sockets[0], TMGR_FD_READ, TMGR_NEVER), TMGR_FD_READ);
	IS(tmgr_wait_fd(context, sockets[0], TMGR_FD_READ | TMGR_FD_WRITE, TMGR_NEVER),
		TMGR_FD_READ | TMGR_FD_WRITE);
	/* The other side goes: that is readable. */
	close(pipe_ends[1]);
	IS(tmgr_wait_fd(context, pipe_ends[0], TMGR_FD_READ, TMGR_NEVER), TMGR_FD_READ);
	IS(tmgr_wait_fd(context, file, TMGR_FD_READ, TMGR_NEVER), TMGR_FD_READ);
	IS(tmgr_wait_fd(context, closed, TMGR_FD_READ, TMGR_NEVER), -EBADF);
	IS(tmgr_wait_fd(context, -1, TMGR_FD_READ, TMGR_NEVER), -EBADF);
	IS(tmgr_wait_fd(context, file, 0, TMGR_NEVER), -EINVAL);
	close(pipe_ends[0]);
	close(sockets[0]);
	close(sockets[1]);
	close(file);
	return 0;
}

static void a_descriptor_is_waited_for_while_others_run(void **state)
{
	assert_int_equal(looped_main(wait_for_descriptors, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "written read written");
}

/* ---- Futures -------------------------------------------------------------------------------- */

struct called {
	struct tmgr_future future;
	struct tmgr_future_callback callbacks[4];
	pthread_t thread; /* of the loop */
	bool elsewhere;
	bool registered;
	struct latch registered_latch;
};

static void note_callback(void *self, struct tmgr_future *future)
{
	recorder_add(&recorder, "%s", (const char *)self);
}

static void *complete_it(void *self)
{
	struct called *called = self;

	IS(tmgr_future_complete(&called->future, 0, called), 0);
	return NULL;
}

static int register_callbacks(void *self, struct tmgr_context *context)
{
	static char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
	struct called *called = self;
	struct tmgr_loop_stats stats;
	pthread_t thread;
	void *value;

	IS(tmgr_future_on_done(&called->future, &called->callbacks[0], note_callback, a), 0);
	IS(tmgr_future_on_done(&called->future, &called->callbacks[1], note_callback, b), 0);
	IS(tmgr_future_on_done(&called->future, &called->callbacks[2], note_callback, c), 0);
	IS(tmgr_future_remove_callback(&called->future, &called->callbacks[1]), 0);
	IS(pthread_create(&thread, NULL, complete_it, called), 0);
	pthread_join(thread, NULL);
	/* They are of this loop, which has been kept, and come in its turn. */
	recorder_add(&recorder, "completed");
	IS(tmgr_await(context, &called->future, TMGR_NEVER, &value), 0);
	IS(value == called, true);
	IS(tmgr_loop_stats(tmgr_loop_current(), &stats), 0);
	settle(context);
	IS(tmgr_future_on_done(&called->future, &called->callbacks[3], note_callback, d), 0);
	recorder_add(&recorder, "over");
	return 0;
}

static void callbacks_come_in_order_on_the_loop_that_registered_them(void **state)
{
	struct called called = { .future = TMGR_FUTURE_INIT };

	assert_int_equal(looped_main(register_callbacks, &called), 0);
	assert_string_equal(recorder_text(&recorder), "completed a c d over");
}

/* ---- Deadlines ------------------------------------------------------------------------------ */

struct moved {
	struct tmgr_flag flag;
	struct tmgr_coroutine *coroutine;
};

/* The timer that stands for the first is gone on with for the second, and does not end it early. */
static int wait_twice(void *self, struct tmgr_context *context)
{
	struct moved *moved = self;
	int64_t first = tmgr_after(10 * TMGR_MILLISECOND), second;

	IS(tmgr_flag_wait(context, &moved->flag, first), 0);
	second = tmgr_after(40 * TMGR_MILLISECOND);
	IS(tmgr_flag_clear(&moved->flag), 0);
	IS(tmgr_flag_wait(context, &moved->flag, second), -ETIMEDOUT);
	IS(tmgr_now() >= second, true);
	/* And an earlier one is not late because of it. */
	IS(tmgr_flag_wait(context, &moved->flag, tmgr_after(TMGR_MILLISECOND)), -ETIMEDOUT);
	IS(tmgr_now() < second + 10 * TMGR_SECOND, true);
	return 0;
}

static int set_early(void *self, struct tmgr_context *context)
{
	struct moved *moved = self;

	moved->coroutine = spawned(context, "waits twice", wait_twice, moved);
	tmgr_yield(context);
	IS(tmgr_flag_set(&moved->flag), 0);
	IS(awaited(context, moved->coroutine), 0);
	return 0;
}

static void a_deadline_that_is_moved_on_comes_at_its_new_time(void **state)
{
	struct moved moved = { .coroutine = NULL };

	tmgr_flag_init(&moved.flag);
	assert_int_equal(looped_main(set_early, &moved), 0);
	tmgr_flag_fini(&moved.flag);
}

static int end_when_set(void *self, struct tmgr_context *context)
{
	struct moved *moved = self;
	int r = tmgr_flag_wait(context, &moved->flag, TMGR_NEVER);

	IS(r, 0);
	return r < 0 ? r : -EIO;
}

static int join_it(void *self, struct tmgr_context *context)
{
	struct moved *moved = self;

	IS(tmgr_coroutine_join(context, moved->coroutine, tmgr_after(TMGR_MILLISECOND)),
		-ETIMEDOUT);
	IS(tmgr_coroutine_join(context, moved->coroutine, TMGR_NEVER), -EIO);
	IS(tmgr_context_cancelled(context), true);
	return 0;
}

static int cancel_who_joins(void *self, struct tmgr_context *context)
{
	struct moved *moved = self;
	struct tmgr_coroutine *joins;

	moved->coroutine = spawned(context, "is joined", end_when_set, moved);
	joins = spawned(context, "joins", join_it, moved);
	tmgr_sleep(context, 20 * TMGR_MILLISECOND);
	IS(tmgr_coroutine_cancel(joins, 0, NULL), 0);
	settle(context);
	IS(tmgr_future_done(tmgr_coroutine_future(joins)), false);
	IS(tmgr_flag_set(&moved->flag), 0);
	IS(awaited(context, joins), -ECANCELED);
	IS(awaited(context, moved->coroutine), -EIO);
	return 0;
}

static void a_join_is_ended_by_its_deadline_and_by_no_cancel(void **state)
{
	struct moved moved = { .coroutine = NULL };

	tmgr_flag_init(&moved.flag);
	assert_int_equal(looped_main(cancel_who_joins, &moved), 0);
	tmgr_flag_fini(&moved.flag);
}

/* ---- Contexts ------------------------------------------------------------------------------- */

static int sleep_with_it(void *self, struct tmgr_context *context)
{
	return tmgr_sleep(self, TMGR_MINUTE);
}

static int yield_with_it(void *self, struct tmgr_context *context)
{
	return tmgr_yield(self);
}

/* What is spawned is given the context of who spawns. */
static int lend_context(void *self, struct tmgr_context *context)
{
	coroutine_function *function = *(coroutine_function **)self;

	spawn(context, "child", function, context);
	return tmgr_sleep(context, TMGR_MINUTE);
}

static int lend_context_and_yield(void *self, struct tmgr_context *context)
{
	coroutine_function *function = *(coroutine_function **)self;

	spawn(context, "child", function, context);
	while (tmgr_yield(context) == 0)
		;
	return 0;
}

struct lending {
	coroutine_function *parent, *child;
};

static int lend(void *argument)
{
	struct lending *lending = argument;

	signal(SIGABRT, SIG_DFL);
	return looped_main(lending->parent, &lending->child);
}

static void waiting_with_the_context_of_another_stops_the_program(void **state)
{
	static struct lending lendings[] = {
		{ lend_context, sleep_with_it },
		{ lend_context, yield_with_it },
		{ lend_context_and_yield, sleep_with_it },
		{ lend_context_and_yield, yield_with_it },
	};
	static struct child child;

	for (size_t i = 0; i < sizeof(lendings) / sizeof(lendings[0]); i++) {
		assert_int_not_equal(child_run(&child, lend, &lendings[i]), 0);
		if (strstr(child.text, "misuse: the context of \"main\" is used by another "
				       "function than the one it was given to") == NULL)
			fail_msg("%zu: %s", i, child.text);
	}
}

/* ---- Partners ------------------------------------------------------------------------------- */

#define ITEMS 300
#define PARTNERS 3

struct meeting {
	struct tmgr_channel *channel;
	atomic_int sent, received, sum;
	atomic_int senders;
};

static int send_items(void *self, struct tmgr_context *context)
{
	struct meeting *meeting = self;
	int r = 0;

	for (int i = 1; i <= ITEMS && r == 0; i++) {
		struct tmgr_select_case one = {
			.op = TMGR_SELECT_SEND, .channel = meeting->channel, .item = &i
		};

		if (i % 2 == 0)
			r = tmgr_channel_send(context, meeting->channel, &i, TMGR_NEVER);
		else
			r = tmgr_select(context, &one, 1, TMGR_NEVER);
		meeting->sent++;
	}
	if (--meeting->senders == 0)
		tmgr_channel_close(meeting->channel);
	return r;
}

static int receive_items(void *self, struct tmgr_context *context)
{
	struct meeting *meeting = self;
	int item, r;

	for (;;) {
		struct tmgr_select_case one = {
			.op = TMGR_SELECT_RECEIVE, .channel = meeting->channel, .item = &item
		};

		if (meeting->received % 2 == 0) {
			r = tmgr_channel_receive(context, meeting->channel, &item, TMGR_NEVER);
		} else {
			r = tmgr_select(context, &one, 1, TMGR_NEVER);
			if (r == 0)
				r = one.result;
		}
		if (r < 0)
			break;
		meeting->received++;
		meeting->sum += item;
	}
	return r == -EPIPE ? 0 : r;
}

/* Each side's partners: 0 on one loop, 1 on another, 2 on a thread. */
static void meet(int senders, int receivers, size_t capacity)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct tmgr_loop_options ends = { .main = no_task };
	struct tmgr_task_options on[3] = { { .loop = looped_add(manager, "one", &ends) },
		{ .loop = looped_add(manager, "other", &ends) }, { .host = TMGR_HOST_THREAD } };
	struct meeting meeting = { .senders = PARTNERS };
	char name[] = "s0";

	assert_int_equal(tmgr_channel_create(sizeof(int), capacity, &meeting.channel), 0);
	for (int i = 0; i < PARTNERS; i++) {
		name[0] = 's';
		name[1] = (char)('0' + i);
		tmgr_manager_add_task_with(manager, name, tmgr_task_function(send_items, &meeting),
			TMGR_ERROR, &on[senders]);
		name[0] = 'r';
		tmgr_manager_add_task_with(manager, name,
			tmgr_task_function(receive_items, &meeting), TMGR_ERROR, &on[receivers]);
	}
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(meeting.channel);
	assert_int_equal(meeting.received, PARTNERS * ITEMS);
	assert_int_equal(meeting.sum, PARTNERS * ITEMS * (ITEMS + 1) / 2);
}

static void channels_join_loops_and_threads_in_every_mix(void **state)
{
	for (int senders = 0; senders < 3; senders++)
		for (int receivers = 0; receivers < 3; receivers++)
			for (size_t capacity = 0; capacity < 3; capacity += 2)
				meet(senders, receivers, capacity);
}

/* ---- Wrappers ------------------------------------------------------------------------------- */

static int fail_twice(void *self, struct tmgr_context *context)
{
	int *count = self;

	IS(tmgr_loop_current() != NULL, true);
	IS(tmgr_yield(context), 0);
	return ++*count < 3 ? -EIO : 0;
}

static int count_ticks(void *self, struct tmgr_context *context)
{
	int *count = self;

	IS(tmgr_loop_current() != NULL, true);
	return ++*count == 3 ? -ENOSPC : 0;
}

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

/* Where what it runs beside fails, that may be before. */
static int add_up(void *self, struct tmgr_context *context)
{
	int r = tmgr_sleep(context, TMGR_MILLISECOND);

	IS(r == 0 || r == -ECANCELED, true);
	/* In the manager on a loop they are on threads of their own. */
	__atomic_fetch_add((int *)self, 1, __ATOMIC_RELAXED);
	return 0;
}

/* Run one on a loop, beside another that must go on meanwhile. */
static int run_wrapped(struct tmgr_task task)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct tmgr_loop_options ends = { .main = no_task };
	struct tmgr_task_options on = { .loop = looped_add(manager, "loop", &ends) };
	int beside = 0, r;

	tmgr_manager_add_task_with(manager, "wrapped", task, TMGR_ERROR, &on);
	tmgr_manager_add_task_with(
		manager, "beside", tmgr_task_function(add_up, &beside), TMGR_ERROR, &on);
	r = tmgr_manager_run(manager, NULL);
	tmgr_manager_destroy(manager);
	return r;
}

static void wrappers_park_and_do_not_block_the_loop(void **state)
{
	struct tmgr_retry_options retry = { .backoff_ns = TMGR_MILLISECOND };
	int count = 0;
	struct tmgr_task several[2];

	assert_int_equal(
		run_wrapped(tmgr_retry(tmgr_task_function(fail_twice, &count), &retry)), 0);
	assert_int_equal(count, 3);
	count = 0;
	assert_int_equal(run_wrapped(tmgr_interval(tmgr_task_function(count_ticks, &count),
				 2 * TMGR_MILLISECOND, NULL)),
		-ENOSPC);
	assert_int_equal(count, 3);
	assert_int_equal(run_wrapped(tmgr_timeout(
				 tmgr_task_function(wait_for_ever, NULL), 3 * TMGR_MILLISECOND)),
		-ETIMEDOUT);
	count = 0;
	several[0] = tmgr_task_function(add_up, &count);
	several[1] = tmgr_task_function(add_up, &count);
	assert_int_equal(run_wrapped(tmgr_sequence(several, 2)), 0);
	assert_int_equal(count, 2);
	several[0] = tmgr_task_function(add_up, &count);
	several[1] = tmgr_task_function(add_up, &count);
	assert_int_equal(run_wrapped(tmgr_parallel(several, 2)), 0);
	assert_int_equal(count, 4);
}

static void a_manager_on_a_loop_parks(void **state)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *inner = tmgr_manager_create(&options);
	int count = 0;

	tmgr_manager_add_task(inner, "a", tmgr_task_function(add_up, &count), TMGR_ERROR);
	tmgr_manager_add_execute_task(inner, "x", tmgr_task_function(add_up, &count), TMGR_ERROR);
	assert_int_equal(run_wrapped(tmgr_manager_task(inner)), 0);
	assert_int_equal(count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: under the thread sanitizer only a process without threads can have children. */
		recorded_test(waiting_with_the_context_of_another_stops_the_program),
		recorded_test(a_descriptor_is_waited_for_while_others_run),
		recorded_test(callbacks_come_in_order_on_the_loop_that_registered_them),
		recorded_test(a_deadline_that_is_moved_on_comes_at_its_new_time),
		recorded_test(a_join_is_ended_by_its_deadline_and_by_no_cancel),
		recorded_test(channels_join_loops_and_threads_in_every_mix),
		recorded_test(wrappers_park_and_do_not_block_the_loop),
		recorded_test(a_manager_on_a_loop_parks),
	};

	return cmocka_run_group_tests_name("waits of coroutines", tests, NULL, NULL);
}
