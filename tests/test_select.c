#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/channel.h>

#include "tests/support/actor.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define SEND(c, i)                                                                \
	{                                                                         \
		.op = TMGR_SELECT_SEND, .channel = (c), .item = (i), .result = 99 \
	}
#define RECEIVE(c, i)                                                                \
	{                                                                            \
		.op = TMGR_SELECT_RECEIVE, .channel = (c), .item = (i), .result = 99 \
	}
#define AFTER(t)                                                 \
	{                                                        \
		.op = TMGR_SELECT_AFTER, .at = (t), .result = 99 \
	}
#define DEFAULT                                         \
	{                                               \
		.op = TMGR_SELECT_DEFAULT, .result = 99 \
	}

static struct tmgr_channel *channel_of_ints(size_t capacity)
{
	struct tmgr_channel *channel = NULL;

	assert_int_equal(tmgr_channel_create(sizeof(int), capacity, &channel), 0);
	return channel;
}

static int send_int(struct tmgr_channel *channel, int item)
{
	return tmgr_channel_send(NULL, channel, &item, TMGR_NOW);
}

static int receive_int(struct tmgr_channel *channel, int *ret_item)
{
	return tmgr_channel_receive(NULL, channel, ret_item, TMGR_NOW);
}

struct selecting {
	struct tmgr_select_case *cases;
	size_t count;
	int64_t deadline;
	int result;
};

static void do_select(void *argument, struct tmgr_context *context)
{
	struct selecting *selecting = argument;

	selecting->result = tmgr_select(
		context, selecting->cases, selecting->count, selecting->deadline);
}

static void the_first_case_that_can_fire_does(void **state)
{
	struct tmgr_channel *a = channel_of_ints(1), *b = channel_of_ints(1),
			    *c = channel_of_ints(1);
	int from_a = -1, from_b = -1, to_c = 5, item;
	struct tmgr_select_case cases[] = { RECEIVE(a, &from_a), RECEIVE(b, &from_b),
		SEND(c, &to_c) };

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(send_int(b, i), 0);
		assert_int_equal(tmgr_select(NULL, cases, 3, TMGR_NEVER), 1);
		assert_int_equal(from_b, i);
		assert_int_equal(cases[1].result, 0);
		assert_int_equal(tmgr_channel_count(c), 0);
	}
	assert_int_equal(from_a, -1);
	assert_int_equal(cases[0].result, 99);
	assert_int_equal(tmgr_select(NULL, cases, 3, TMGR_NEVER), 2);
	assert_int_equal(receive_int(c, &item), 0);
	assert_int_equal(item, 5);
	tmgr_channel_unref(a);
	tmgr_channel_unref(b);
	tmgr_channel_unref(c);
}

static void default_fires_only_when_nothing_else_can_wherever_it_stands(void **state)
{
	struct tmgr_channel *a = channel_of_ints(1);
	int item = -1;
	struct tmgr_select_case cases[] = { DEFAULT, RECEIVE(a, &item) };

	(void)state;
	assert_int_equal(tmgr_select(NULL, cases, 2, TMGR_NEVER), 0);
	assert_int_equal(cases[0].result, 0);
	assert_int_equal(send_int(a, 3), 0);
	assert_int_equal(tmgr_select(NULL, cases, 2, TMGR_NEVER), 1);
	assert_int_equal(item, 3);
	tmgr_channel_unref(a);
}

static void after_fires_when_it_is_due_and_a_late_one_is_not_skipped(void **state)
{
	struct tmgr_channel *a = channel_of_ints(0);
	int64_t soon = tmgr_after(20 * TMGR_MILLISECOND);
	int item;
	struct tmgr_select_case past[] = { RECEIVE(a, &item), AFTER(tmgr_now() - TMGR_SECOND) };
	struct tmgr_select_case future[] = { RECEIVE(a, &item), AFTER(tmgr_after(TMGR_HOUR)),
		AFTER(soon) };
	struct tmgr_select_case with_default[] = { AFTER(1), DEFAULT };

	(void)state;
	assert_int_equal(tmgr_select(NULL, past, 2, TMGR_NEVER), 1);
	assert_int_equal(past[1].result, 0);
	assert_int_equal(tmgr_select(NULL, future, 3, TMGR_NEVER), 2);
	assert_true(tmgr_now() >= soon);
	assert_int_equal(tmgr_select(NULL, with_default, 2, TMGR_NEVER), 0);
	tmgr_channel_unref(a);
}

static void order_counts_for_after_too(void **state)
{
	struct tmgr_channel *a = channel_of_ints(1);
	int item = -1;
	struct tmgr_select_case cases[] = { AFTER(1), RECEIVE(a, &item) };

	(void)state;
	assert_int_equal(send_int(a, 1), 0);
	assert_int_equal(tmgr_select(NULL, cases, 2, TMGR_NEVER), 0);
	assert_int_equal(item, -1);
	assert_int_equal(tmgr_channel_count(a), 1);
	tmgr_channel_unref(a);
}

static void a_case_on_a_closed_channel_fires_with_epipe(void **state)
{
	struct tmgr_channel *a = channel_of_ints(2), *b = channel_of_ints(2);
	int in = -1, out = 4;
	struct tmgr_select_case receive[] = { RECEIVE(a, &in), DEFAULT };
	struct tmgr_select_case send[] = { SEND(b, &out), SEND(a, &out) };

	(void)state;
	assert_int_equal(send_int(a, 1), 0);
	assert_int_equal(tmgr_channel_close(a), 0);
	assert_int_equal(tmgr_select(NULL, receive, 2, TMGR_NEVER), 0);
	assert_int_equal(receive[0].result, 0);
	assert_int_equal(in, 1);
	assert_int_equal(tmgr_select(NULL, receive, 2, TMGR_NEVER), 0);
	assert_int_equal(receive[0].result, -EPIPE);
	assert_int_equal(in, 1);
	assert_int_equal(tmgr_select(NULL, send + 1, 1, TMGR_NEVER), 0);
	assert_int_equal(send[1].result, -EPIPE);
	assert_int_equal(tmgr_select(NULL, send, 2, TMGR_NEVER), 0);
	assert_int_equal(send[0].result, 0);
	tmgr_channel_unref(a);
	tmgr_channel_unref(b);
}

static void closing_fires_a_blocked_select_once_through_its_first_case(void **state)
{
	struct tmgr_channel *a = channel_of_ints(0), *b = channel_of_ints(0);
	struct actor actor = ACTOR_INIT;
	int x = 1, y = -1, z = -1;
	struct tmgr_select_case cases[] = { RECEIVE(b, &y), SEND(a, &x), RECEIVE(a, &z) };
	struct selecting selecting = { cases, 3, TMGR_NEVER, -1 };

	(void)state;
	actor_start(&actor);
	actor_begin(&actor, do_select, &selecting);
	assert_true(actor_settles_blocked(&actor));
	assert_int_equal(tmgr_channel_close(a), 0);
	assert_true(actor_finishes(&actor));
	assert_int_equal(selecting.result, 1);
	assert_int_equal(cases[1].result, -EPIPE);
	assert_int_equal(cases[0].result, 99);
	assert_int_equal(cases[2].result, 99);
	assert_int_equal(send_int(b, 1), -ETIMEDOUT);
	actor_quit(&actor);
	tmgr_channel_unref(a);
	tmgr_channel_unref(b);
}

static void the_first_event_takes_a_blocked_select_and_the_others_have_no_effect(void **state)
{
	struct tmgr_channel *a = channel_of_ints(0), *b = channel_of_ints(0);
	struct actor actor = ACTOR_INIT;
	int in = -1, out = 6, item = -1;
	struct tmgr_select_case cases[] = { RECEIVE(a, &in), SEND(b, &out) };
	struct selecting selecting = { cases, 2, TMGR_NEVER, -1 };

	(void)state;
	actor_start(&actor);
	actor_begin(&actor, do_select, &selecting);
	assert_true(actor_settles_blocked(&actor));
	assert_int_equal(receive_int(b, &item), 0);
	assert_int_equal(item, 6);
	assert_int_equal(send_int(a, 1), -ETIMEDOUT);
	assert_true(actor_finishes(&actor));
	assert_int_equal(selecting.result, 1);
	assert_int_equal(cases[1].result, 0);
	assert_int_equal(in, -1);
	actor_quit(&actor);
	tmgr_channel_unref(a);
	tmgr_channel_unref(b);
}

static void two_selects_meet(void **state)
{
	struct tmgr_channel *a = channel_of_ints(0), *b = channel_of_ints(0);
	struct actor actor = ACTOR_INIT;
	int in = -1, out = 6, unused = -1;
	struct tmgr_select_case theirs[] = { RECEIVE(a, &unused), SEND(b, &out) };
	struct tmgr_select_case ours[] = { RECEIVE(b, &in), SEND(a, &out) };
	struct selecting selecting = { theirs, 2, TMGR_NEVER, -1 };

	(void)state;
	actor_start(&actor);
	actor_begin(&actor, do_select, &selecting);
	assert_true(actor_settles_blocked(&actor));
	assert_int_equal(tmgr_select(NULL, ours, 2, TMGR_NEVER), 0);
	assert_int_equal(in, 6);
	assert_true(actor_finishes(&actor));
	assert_int_equal(selecting.result, 1);
	assert_int_equal(unused, -1);
	actor_quit(&actor);
	tmgr_channel_unref(a);
	tmgr_channel_unref(b);
}

static void a_select_is_not_paired_with_itself(void **state)
{
	struct tmgr_channel *a = channel_of_ints(0);
	int in = -1, out = 6;
	struct tmgr_select_case cases[] = { SEND(a, &out), RECEIVE(a, &in) };

	(void)state;
	assert_int_equal(tmgr_select(NULL, cases, 2, TMGR_NOW), -ETIMEDOUT);
	assert_int_equal(tmgr_select(NULL, cases, 2, tmgr_after(5 * TMGR_MILLISECOND)), -ETIMEDOUT);
	assert_int_equal(in, -1);
	assert_int_equal(cases[0].result, 99);
	assert_int_equal(cases[1].result, 99);
	tmgr_channel_unref(a);
}

static void a_channel_may_stand_in_several_cases(void **state)
{
	struct tmgr_channel *a = channel_of_ints(0);
	struct actor actor = ACTOR_INIT;
	int first = -1, second = -1;
	struct tmgr_select_case cases[] = { RECEIVE(a, &first), RECEIVE(a, &second) };
	struct selecting selecting = { cases, 2, TMGR_NEVER, -1 };

	(void)state;
	actor_start(&actor);
	actor_begin(&actor, do_select, &selecting);
	assert_true(actor_settles_blocked(&actor));
	assert_int_equal(send_int(a, 1), 0);
	assert_int_equal(send_int(a, 2), -ETIMEDOUT);
	assert_true(actor_finishes(&actor));
	assert_int_equal(selecting.result, 0);
	assert_int_equal(first, 1);
	assert_int_equal(second, -1);
	actor_quit(&actor);
	tmgr_channel_unref(a);
}

static void a_deadline_fires_no_case(void **state)
{
	struct tmgr_channel *a = channel_of_ints(0);
	int64_t end = tmgr_after(20 * TMGR_MILLISECOND);
	int in = -1;
	struct tmgr_select_case cases[] = { RECEIVE(a, &in), AFTER(TMGR_NEVER) };

	(void)state;
	assert_int_equal(tmgr_select(NULL, cases, 2, end), -ETIMEDOUT);
	assert_true(tmgr_now() >= end);
	assert_int_equal(tmgr_select(NULL, cases, 2, TMGR_NOW), -ETIMEDOUT);
	assert_int_equal(cases[0].result, 99);
	assert_int_equal(cases[1].result, 99);
	tmgr_channel_unref(a);
}

static void sixty_four_cases_are_allowed_and_no_more(void **state)
{
	struct tmgr_channel *channels[TMGR_SELECT_MAX];
	struct tmgr_select_case cases[TMGR_SELECT_MAX + 1];
	int in[TMGR_SELECT_MAX];

	(void)state;
	for (int i = 0; i < TMGR_SELECT_MAX; i++) {
		channels[i] = channel_of_ints(1);
		cases[i] = (struct tmgr_select_case)RECEIVE(channels[i], &in[i]);
	}
	cases[TMGR_SELECT_MAX] = (struct tmgr_select_case)DEFAULT;
	assert_int_equal(tmgr_select(NULL, cases, TMGR_SELECT_MAX + 1, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_select(NULL, cases, 0, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_select(NULL, NULL, 1, TMGR_NOW), -EINVAL);
	for (int i = TMGR_SELECT_MAX - 1; i >= 0; i--) {
		assert_int_equal(send_int(channels[i], i), 0);
		assert_int_equal(tmgr_select(NULL, cases, TMGR_SELECT_MAX, TMGR_NEVER), i);
		assert_int_equal(in[i], i);
	}
	for (int i = 0; i < TMGR_SELECT_MAX; i++)
		tmgr_channel_unref(channels[i]);
}

static void a_case_that_is_not_whole_is_refused_and_none_fires(void **state)
{
	struct tmgr_channel *a = channel_of_ints(1);
	int item = 1;
	struct tmgr_select_case bad[] = { SEND(NULL, &item), SEND(a, NULL), RECEIVE(NULL, &item),
		RECEIVE(a, NULL), { .op = (enum tmgr_select_op)0 },
		{ .op = (enum tmgr_select_op)77 }, { .op = TMGR_SELECT_RELOAD } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tmgr_select_case cases[] = { SEND(a, &item), bad[i] };

		assert_int_equal(tmgr_select(NULL, cases, 2, TMGR_NOW), -EINVAL);
		assert_int_equal(tmgr_channel_count(a), 0);
		assert_int_equal(cases[0].result, 99);
	}
	tmgr_channel_unref(a);
}

static struct tmgr_channel *shared;
static int results[4];

static int select_and_again(struct probe *probe, struct tmgr_context *context)
{
	int in = -1;
	struct tmgr_select_case blocked[] = { RECEIVE(shared, &in) };
	struct tmgr_select_case ready[] = { RECEIVE(shared, &in), AFTER(1), DEFAULT };

	(void)probe;
	results[0] = tmgr_select(context, blocked, 1, TMGR_NEVER);
	results[1] = tmgr_select(context, ready, 3, TMGR_NEVER);
	results[2] = ready[0].result + ready[1].result + ready[2].result;
	return 0;
}

static void a_cancel_fires_no_case_and_a_later_select_takes_nothing(void **state)
{
	struct probe probe = PROBE(.name = "task", .on_execute = select_and_again);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	shared = channel_of_ints(0);
	memset(results, 1, sizeof(results));
	assert_int_equal(
		tmgr_manager_add_task(manager, "task", probe_task(&probe), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "task", "select"));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(results[0], -ECANCELED);
	assert_int_equal(results[1], -ECANCELED);
	assert_int_equal(results[2], 3 * 99);
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(shared);
}

/* Every thread sends and receives on all channels by select, so that selects meet selects. */
#define THREADS 4
#define ROUNDS 2000

struct crowd {
	struct tmgr_channel *channels[3];
	atomic_long sent, received;
	atomic_int sends, receives, threads_left;
};

static void *crowd_member(void *argument)
{
	struct crowd *crowd = argument;
	unsigned turn = (unsigned)(uintptr_t)pthread_self() >> 12;

	for (int i = 0; i < ROUNDS; i++) {
		int out = i, in[2] = { 0 }, which;
		size_t at = (turn + (unsigned)i) % 3;
		struct tmgr_select_case cases[] = { RECEIVE(crowd->channels[at], &in[0]),
			SEND(crowd->channels[(at + 1) % 3], &out),
			RECEIVE(crowd->channels[(at + 2) % 3], &in[1]) };

		which = tmgr_select(NULL, cases, 3, tmgr_after(TMGR_MILLISECOND));
		if (which == 1) {
			atomic_fetch_add(&crowd->sent, out);
			atomic_fetch_add(&crowd->sends, 1);
		} else if (which >= 0) {
			atomic_fetch_add(&crowd->received, in[which / 2]);
			atomic_fetch_add(&crowd->receives, 1);
		}
	}
	return NULL;
}

static void selects_that_meet_selects_lose_and_double_nothing(void **state)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));
	pthread_t threads[THREADS];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		crowd->channels[i] = channel_of_ints(i == 2 ? 1 : 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, crowd_member, crowd);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int item; receive_int(crowd->channels[2], &item) == 0;) {
		crowd->received += item;
		crowd->receives++;
	}
	assert_true(crowd->sends > 0);
	assert_int_equal(crowd->sends, crowd->receives);
	assert_true(crowd->sent == crowd->received);
	for (size_t i = 0; i < 3; i++)
		tmgr_channel_unref(crowd->channels[i]);
	free(crowd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(the_first_case_that_can_fire_does),
		leak_test(default_fires_only_when_nothing_else_can_wherever_it_stands),
		leak_test(after_fires_when_it_is_due_and_a_late_one_is_not_skipped),
		leak_test(order_counts_for_after_too),
		leak_test(a_case_on_a_closed_channel_fires_with_epipe),
		leak_test(closing_fires_a_blocked_select_once_through_its_first_case),
		leak_test(the_first_event_takes_a_blocked_select_and_the_others_have_no_effect),
		leak_test(two_selects_meet),
		leak_test(a_select_is_not_paired_with_itself),
		leak_test(a_channel_may_stand_in_several_cases),
		leak_test(a_deadline_fires_no_case),
		leak_test(sixty_four_cases_are_allowed_and_no_more),
		leak_test(a_case_that_is_not_whole_is_refused_and_none_fires),
		leak_test(a_cancel_fires_no_case_and_a_later_select_takes_nothing),
		leak_test(selects_that_meet_selects_lose_and_double_nothing),
	};

	return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
