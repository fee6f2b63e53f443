/*
 * Functions that are called in threads, from tasks and coroutines everywhere.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <taskmgr/thread_call.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/crowd.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

static int answer = 42;
static struct latch hold;
static atomic_int calls, ended;

/* Each seat that has a context. */
static void play_everywhere(member_function *function, void (*look)(struct member *member))
{
	struct crowd crowd;

	crowd_start(&crowd);
	for (enum seat seat = SEAT_THREAD; seat < SEATS; seat++) {
		struct member member = { .user = NULL };

		latch_init(&hold);
		atomic_store(&calls, 0);
		atomic_store(&ended, 0);
		crowd_enter(&crowd, &member, seat, function);
		look(&member);
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

static int block_and_answer(void *self, struct tmgr_context *context, void **ret_value)
{
	atomic_fetch_add(&calls, 1);
	/* A thread of its own may block without asking us, and is on no loop. */
	if (tmgr_loop_current() || tmgr_context_current() != context || !latch_wait(&hold))
		return -EBADF;
	*ret_value = &answer;
	atomic_fetch_add(&ended, 1);
	return *(int *)self;
}

static void call_and_await(struct member *member, struct tmgr_context *context)
{
	struct tmgr_thread_call call;
	int result = 0;
	void *value = NULL;

	member->r[0] = tmgr_call_in_thread(context, &call, block_and_answer, &result);
	member->r[1] = tmgr_await(context, &call.future, TMGR_NEVER, &value);
	member->r[2] = value == &answer;
	result = -EIO;
	member->r[3] = tmgr_call_in_thread(context, &call, block_and_answer, &result);
	member->r[4] = tmgr_await(context, &call.future, TMGR_NEVER, &value);
	result = 5;
	tmgr_call_in_thread(context, &call, block_and_answer, &result);
	member->r[5] = tmgr_thread_call_wait(context, &call, TMGR_NEVER, &value);
	/* Again, and the value. */
	result = 0;
	value = NULL;
	tmgr_call_in_thread(context, &call, block_and_answer, &result);
	member->r[6] = tmgr_thread_call_wait(context, &call, TMGR_NEVER, NULL);
	member->r[6] |= tmgr_thread_call_wait(context, &call, TMGR_NOW, &value);
	member->r[7] = value == &answer;
}

static void look_at_results(struct member *member)
{
	assert_true(latch_arrived(&hold, 1));
	assert_true(member_waits(member, "future"));
	latch_open(&hold);
	assert_true(member_leaves(member));
	assert_int_equal(member->r[0], 0);
	assert_int_equal(member->r[1], 0);
	assert_int_equal(member->r[2], true);
	assert_int_equal(member->r[3], 0);
	assert_int_equal(member->r[4], -EIO);
	assert_int_equal(member->r[5], -TMGR_EFAILED);
	assert_int_equal(member->r[6], 0);
	assert_int_equal(member->r[7], true);
	assert_int_equal(calls, 4);
}

static void a_function_may_block_and_its_result_is_awaited(void **state)
{
	(void)state;
	play_everywhere(call_and_await, look_at_results);
}

static bool has_begun(void *argument)
{
	(void)argument;
	return atomic_load(&calls) > 0;
}

static int wait_for_cancel(void *self, struct tmgr_context *context, void **ret_value)
{
	int r;

	(void)ret_value;
	atomic_fetch_add(&calls, 1);
	r = tmgr_sleep_until(context, TMGR_NEVER);
	/* It takes its time to end. */
	latch_wait(&hold);
	*(int *)self = r;
	atomic_fetch_add(&ended, 1);
	return r;
}

static void call_and_be_cancelled(struct member *member, struct tmgr_context *context)
{
	struct tmgr_thread_call call;

	member->r[0] = tmgr_call_in_thread(context, &call, wait_for_cancel, &member->r[1]);
	member->r[2] = tmgr_thread_call_wait(context, &call, TMGR_NEVER, NULL);
	member->r[3] = atomic_load(&ended);
}

static void cancel_and_look(struct member *member)
{
	assert_true(eventually(has_begun, NULL));
	member_cancel(member);
	assert_true(latch_arrived(&hold, 1));
	/* The function still uses its frame. */
	assert_true(member_waits(member, "call"));
	latch_open(&hold);
	assert_true(member_leaves(member));
	assert_int_equal(member->r[0], 0);
	assert_int_equal(member->r[1], -ECANCELED);
	assert_int_equal(member->r[2], -ECANCELED);
	assert_int_equal(member->r[3], 1);
}

static void cancelling_the_caller_cancels_the_function_and_waits_for_it(void **state)
{
	(void)state;
	play_everywhere(call_and_be_cancelled, cancel_and_look);
}

static void call_and_cancel(struct member *member, struct tmgr_context *context)
{
	struct tmgr_thread_call call;
	int seen = 0;

	latch_open(&hold);
	member->r[0] = tmgr_call_in_thread(context, &call, wait_for_cancel, &seen);
	while (!has_begun(NULL))
		tmgr_yield(context);
	member->r[1] = tmgr_future_cancel(&call.future, -EIO, "not needed");
	member->r[2] = tmgr_await(context, &call.future, TMGR_NEVER, NULL);
	member->r[3] = seen;
	member->r[4] = tmgr_future_cancel(&call.future, 0, NULL);
	/* Only that was cancelled. */
	member->r[5] = tmgr_yield(context);
}

static void look_at_the_cancelled(struct member *member)
{
	assert_true(member_leaves(member));
	assert_int_equal(member->r[0], 0);
	assert_int_equal(member->r[1], 0);
	assert_int_equal(member->r[2], -ECANCELED);
	assert_int_equal(member->r[3], -ECANCELED);
	assert_int_equal(member->r[4], -EALREADY);
	assert_int_equal(member->r[5], 0);
}

static void cancelling_the_future_cancels_the_function(void **state)
{
	(void)state;
	play_everywhere(call_and_cancel, look_at_the_cancelled);
}

static void call_and_be_late(struct member *member, struct tmgr_context *context)
{
	struct tmgr_thread_call call;
	int result = 0;

	member->r[0] = tmgr_call_in_thread(context, &call, block_and_answer, &result);
	member->r[1] = tmgr_thread_call_wait(context, &call, TMGR_NOW, NULL);
	member->r[2] = tmgr_thread_call_wait(context, &call, tmgr_after(TMGR_MILLISECOND), NULL);
	latch_open(&hold);
	member->r[3] = tmgr_thread_call_wait(context, &call, TMGR_NEVER, NULL);
}

static void look_when_late(struct member *member)
{
	assert_true(member_leaves(member));
	assert_int_equal(member->r[0], 0);
	assert_int_equal(member->r[1], -ETIMEDOUT);
	assert_int_equal(member->r[2], -ETIMEDOUT);
	assert_int_equal(member->r[3], 0);
}

static void at_a_deadline_the_function_goes_on(void **state)
{
	(void)state;
	play_everywhere(call_and_be_late, look_when_late);
}

static void call_and_leave(struct member *member, struct tmgr_context *context)
{
	/* Of the member, since this frame goes before the function ends. */
	static struct tmgr_thread_call call;

	latch_open(&hold);
	member->r[0] = tmgr_call_in_thread(context, &call, wait_for_cancel, &member->r[1]);
	while (!has_begun(NULL))
		tmgr_yield(context);
}

static void look_after_leaving(struct member *member)
{
	assert_true(member_leaves(member));
	assert_int_equal(member->r[0], 0);
	assert_int_equal(member->r[1], -ECANCELED);
	assert_int_equal(ended, 1);
}

static void a_call_that_is_not_awaited_ends_before_its_caller(void **state)
{
	(void)state;
	play_everywhere(call_and_leave, look_after_leaving);
}

static void call_when_cancelled(struct member *member, struct tmgr_context *context)
{
	struct tmgr_thread_call call;

	tmgr_sleep_until(context, TMGR_NEVER);
	member->r[0] = tmgr_call_in_thread(context, &call, wait_for_cancel, &member->r[1]);
	member->r[1] = tmgr_call_in_thread(NULL, &call, wait_for_cancel, NULL);
	member->r[2] = tmgr_call_in_thread(context, NULL, wait_for_cancel, NULL);
	member->r[3] = tmgr_call_in_thread(context, &call, NULL, NULL);
	member->r[4] = tmgr_thread_call_wait(NULL, &call, TMGR_NOW, NULL);
	member->r[5] = tmgr_thread_call_wait(context, NULL, TMGR_NOW, NULL);
}

static void cancel_and_look_at_refusals(struct member *member)
{
	assert_true(member_waits(member, "sleep"));
	member_cancel(member);
	assert_true(member_leaves(member));
	assert_int_equal(member->r[0], -ECANCELED);
	for (int i = 1; i < 6; i++)
		assert_int_equal(member->r[i], -EINVAL);
	assert_int_equal(calls, 0);
}

static void what_is_wrong_or_too_late_is_refused(void **state)
{
	(void)state;
	play_everywhere(call_when_cancelled, cancel_and_look_at_refusals);
}

static int leave_the_thread(void *self, struct tmgr_context *context, void **ret_value)
{
	(void)self;
	(void)context;
	(void)ret_value;
	pthread_exit(NULL);
}

static void call_what_does_not_return(struct member *member, struct tmgr_context *context)
{
	struct tmgr_thread_call call;

	member->r[0] = tmgr_call_in_thread(context, &call, leave_the_thread, NULL);
	member->r[1] = tmgr_await(context, &call.future, TMGR_NEVER, NULL);
}

static void look_at_the_unexpected(struct member *member)
{
	assert_true(member_leaves(member));
	assert_int_equal(member->r[0], 0);
	assert_int_equal(member->r[1], -TMGR_EUNEXPECTED);
}

static void a_function_that_ends_its_thread_ends_the_future(void **state)
{
	(void)state;
	play_everywhere(call_what_does_not_return, look_at_the_unexpected);
}

static int count(void *self, struct tmgr_context *context, void **ret_value)
{
	(void)self;
	(void)context;
	(void)ret_value;
	atomic_fetch_add(&calls, 1);
	return 0;
}

/* Without memory it is refused, and nothing is called; the same call can be made again. */
static void call_without_memory(struct member *member, struct tmgr_context *context)
{
	struct tmgr_thread_call call;

	member->r[0] = 0;
	for (long k = 1; k < 20; k++) {
		bool happened;
		int r;

		fault_fail_allocation(k);
		r = tmgr_call_in_thread(context, &call, count, NULL);
		happened = fault_happened();
		fault_off();
		if (r == 0)
			r = tmgr_await(context, &call.future, TMGR_NEVER, NULL);
		if (r != 0 && r != -ENOMEM)
			member->r[0] = r;
		if (r == 0 && !happened)
			break;
		member->r[1] = (int)k;
	}
}

static void look_at_calls(struct member *member)
{
	assert_true(member_leaves(member));
	assert_int_equal(member->r[0], 0);
	assert_true(member->r[1] >= 1 && member->r[1] < 19);
	assert_true(calls >= 1);
}

static void without_memory_nothing_is_called(void **state)
{
	(void)state;
	play_everywhere(call_without_memory, look_at_calls);
}

/* Many calls at once, some cancelled at any moment of theirs. */
enum { CALLS = 40 };

static int work_a_little(void *self, struct tmgr_context *context, void **ret_value)
{
	int n = (int)(intptr_t)self, r;

	*ret_value = self;
	r = tmgr_sleep(context, n % 5 * 50 * TMGR_MICROSECOND);
	atomic_fetch_add(&calls, 1);
	return r;
}

static void call_many(struct member *member, struct tmgr_context *context)
{
	struct tmgr_thread_call many[CALLS];

	member->r[0] = member->r[1] = 0;
	for (int i = 0; i < CALLS; i++)
		member->r[0] |= tmgr_call_in_thread(
			context, &many[i], work_a_little, (void *)(intptr_t)i);
	for (int i = 0; i < CALLS; i += 3)
		tmgr_future_cancel(&many[i].future, 0, NULL);
	for (int i = 0; i < CALLS; i++) {
		void *value = NULL;
		int r = tmgr_await(context, &many[i].future, TMGR_NEVER, &value);

		if (r == 0 ? (intptr_t)value != i : r != -ECANCELED || i % 3)
			member->r[1]++;
	}
}

static void look_at_many(struct member *member)
{
	assert_true(member_leaves(member));
	assert_int_equal(member->r[0], 0);
	assert_int_equal(member->r[1], 0);
	assert_true(calls >= CALLS - (CALLS + 2) / 3);
}

static void many_calls_end_as_they_should(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		play_everywhere(call_many, look_at_many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_function_may_block_and_its_result_is_awaited),
		leak_test(cancelling_the_caller_cancels_the_function_and_waits_for_it),
		leak_test(cancelling_the_future_cancels_the_function),
		leak_test(at_a_deadline_the_function_goes_on),
		leak_test(a_call_that_is_not_awaited_ends_before_its_caller),
		leak_test(what_is_wrong_or_too_late_is_refused),
		leak_test(a_function_that_ends_its_thread_ends_the_future),
		leak_test(without_memory_nothing_is_called),
		leak_test(many_calls_end_as_they_should),
	};

	return cmocka_run_group_tests_name("thread call", tests, NULL, NULL);
}
