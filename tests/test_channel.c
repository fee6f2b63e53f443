#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/channel.h>

#include "tests/support/actor.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct tmgr_channel *channel_of_ints(size_t capacity)
{
	struct tmgr_channel *channel = NULL;

	assert_int_equal(tmgr_channel_create(sizeof(int), capacity, &channel), 0);
	assert_non_null(channel);
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

/* What an actor is told to do with a channel. */
struct transfer {
	struct tmgr_channel *channel;
	int item;
	int64_t deadline;
	int result;
};

static void do_send(void *argument, struct tmgr_context *context)
{
	struct transfer *transfer = argument;

	transfer->result = tmgr_channel_send(
		context, transfer->channel, &transfer->item, transfer->deadline);
}

static void do_receive(void *argument, struct tmgr_context *context)
{
	struct transfer *transfer = argument;

	transfer->result = tmgr_channel_receive(
		context, transfer->channel, &transfer->item, transfer->deadline);
}

static void a_buffer_is_first_in_first_out_and_bounded(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(3);
	int item = -1;

	(void)state;
	assert_int_equal(receive_int(channel, &item), -ETIMEDOUT);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 3; i++) {
			assert_int_equal(tmgr_channel_count(channel), i);
			assert_int_equal(send_int(channel, 10 * round + i), 0);
		}
		assert_int_equal(send_int(channel, 99), -ETIMEDOUT);
		assert_int_equal(tmgr_channel_count(channel), 3);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(receive_int(channel, &item), 0);
			assert_int_equal(item, 10 * round + i);
		}
	}
	assert_int_equal(receive_int(channel, &item), -ETIMEDOUT);
	tmgr_channel_unref(channel);
}

static void an_unbuffered_one_needs_both_sides(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(0);
	int item = 5;

	(void)state;
	assert_int_equal(send_int(channel, 1), -ETIMEDOUT);
	assert_int_equal(receive_int(channel, &item), -ETIMEDOUT);
	assert_int_equal(item, 5);
	assert_int_equal(tmgr_channel_count(channel), 0);
	tmgr_channel_unref(channel);
}

static void a_blocked_receiver_gets_the_item(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(0);
	struct actor actor = ACTOR_INIT;
	struct transfer transfer = { channel, -1, TMGR_NEVER, 1 };

	(void)state;
	actor_start(&actor);
	actor_begin(&actor, do_receive, &transfer);
	assert_true(actor_settles_blocked(&actor));
	assert_int_equal(send_int(channel, 17), 0);
	assert_true(actor_finishes(&actor));
	assert_int_equal(transfer.result, 0);
	assert_int_equal(transfer.item, 17);
	actor_quit(&actor);
	tmgr_channel_unref(channel);
}

static void a_blocked_sender_gives_the_item(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(0);
	struct actor actor = ACTOR_INIT;
	struct transfer transfer = { channel, 23, TMGR_NEVER, 1 };
	int item = -1;

	(void)state;
	actor_start(&actor);
	actor_begin(&actor, do_send, &transfer);
	assert_true(actor_settles_blocked(&actor));
	assert_int_equal(receive_int(channel, &item), 0);
	assert_int_equal(item, 23);
	assert_true(actor_finishes(&actor));
	assert_int_equal(transfer.result, 0);
	actor_quit(&actor);
	tmgr_channel_unref(channel);
}

static void the_oldest_who_waits_is_served_first(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(0);
	struct actor actors[3] = { ACTOR_INIT, ACTOR_INIT, ACTOR_INIT };
	struct transfer transfers[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		transfers[i] = (struct transfer){ channel, -1, TMGR_NEVER, 1 };
		actor_start(&actors[i]);
		actor_begin(&actors[i], do_receive, &transfers[i]);
		assert_true(actor_settles_blocked(&actors[i]));
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(send_int(channel, i), 0);
		assert_true(actor_finishes(&actors[i]));
		assert_int_equal(transfers[i].item, i);
		actor_quit(&actors[i]);
	}
	tmgr_channel_unref(channel);
}

static void a_receive_from_a_full_buffer_lets_the_oldest_sender_in(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(1);
	struct actor actors[2] = { ACTOR_INIT, ACTOR_INIT };
	struct transfer transfers[2];
	int item = -1;

	(void)state;
	assert_int_equal(send_int(channel, 0), 0);
	for (int i = 0; i < 2; i++) {
		transfers[i] = (struct transfer){ channel, i + 1, TMGR_NEVER, 1 };
		actor_start(&actors[i]);
		actor_begin(&actors[i], do_send, &transfers[i]);
		assert_true(actor_settles_blocked(&actors[i]));
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(receive_int(channel, &item), 0);
		assert_int_equal(item, i);
	}
	for (int i = 0; i < 2; i++) {
		assert_true(actor_finishes(&actors[i]));
		assert_int_equal(transfers[i].result, 0);
		actor_quit(&actors[i]);
	}
	tmgr_channel_unref(channel);
}

static void a_closed_one_drains_then_gives_epipe(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(2);
	int item = -1;

	(void)state;
	assert_int_equal(send_int(channel, 1), 0);
	assert_int_equal(send_int(channel, 2), 0);
	assert_int_equal(tmgr_channel_close(channel), 0);
	assert_int_equal(tmgr_channel_close(channel), -EALREADY);
	assert_int_equal(send_int(channel, 3), -EPIPE);
	assert_int_equal(receive_int(channel, &item), 0);
	assert_int_equal(item, 1);
	assert_int_equal(receive_int(channel, &item), 0);
	assert_int_equal(item, 2);
	assert_int_equal(receive_int(channel, &item), -EPIPE);
	assert_int_equal(item, 2);
	tmgr_channel_unref(channel);
}

static void closing_ends_blocked_receivers(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(0);
	struct actor actors[2] = { ACTOR_INIT, ACTOR_INIT };
	struct transfer transfers[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		transfers[i] = (struct transfer){ channel, -7, TMGR_NEVER, 1 };
		actor_start(&actors[i]);
		actor_begin(&actors[i], do_receive, &transfers[i]);
		assert_true(actor_settles_blocked(&actors[i]));
	}
	assert_int_equal(tmgr_channel_close(channel), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(actor_finishes(&actors[i]));
		assert_int_equal(transfers[i].result, -EPIPE);
		assert_int_equal(transfers[i].item, -7);
		actor_quit(&actors[i]);
	}
	tmgr_channel_unref(channel);
}

static void closing_ends_blocked_senders_and_takes_no_item(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(1);
	struct actor actor = ACTOR_INIT;
	struct transfer transfer = { channel, 2, TMGR_NEVER, 1 };
	int item = -1;

	(void)state;
	assert_int_equal(send_int(channel, 1), 0);
	actor_start(&actor);
	actor_begin(&actor, do_send, &transfer);
	assert_true(actor_settles_blocked(&actor));
	assert_int_equal(tmgr_channel_close(channel), 0);
	assert_true(actor_finishes(&actor));
	assert_int_equal(transfer.result, -EPIPE);
	assert_int_equal(receive_int(channel, &item), 0);
	assert_int_equal(item, 1);
	assert_int_equal(receive_int(channel, &item), -EPIPE);
	actor_quit(&actor);
	tmgr_channel_unref(channel);
}

static void a_deadline_ends_the_wait_and_takes_no_item(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(0);
	int64_t end = tmgr_after(20 * TMGR_MILLISECOND);
	int item = 3;

	(void)state;
	assert_int_equal(tmgr_channel_send(NULL, channel, &item, end), -ETIMEDOUT);
	assert_true(tmgr_now() >= end);
	assert_int_equal(receive_int(channel, &item), -ETIMEDOUT);
	end = tmgr_after(20 * TMGR_MILLISECOND);
	assert_int_equal(tmgr_channel_receive(NULL, channel, &item, end), -ETIMEDOUT);
	assert_true(tmgr_now() >= end);
	assert_int_equal(send_int(channel, 4), -ETIMEDOUT);
	assert_int_equal(item, 3);
	tmgr_channel_unref(channel);
}

static void a_deadline_in_the_past_still_tries_once(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(1);
	int item = 8;

	(void)state;
	assert_int_equal(tmgr_channel_send(NULL, channel, &item, 1), 0);
	assert_int_equal(tmgr_channel_send(NULL, channel, &item, -1), -ETIMEDOUT);
	item = 0;
	assert_int_equal(tmgr_channel_receive(NULL, channel, &item, -1), 0);
	assert_int_equal(item, 8);
	tmgr_channel_unref(channel);
}

static void items_have_any_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 4096, TMGR_CHANNEL_ITEM_MAX };
	static unsigned char sent[TMGR_CHANNEL_ITEM_MAX], received[TMGR_CHANNEL_ITEM_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (unsigned char)(i * 7 + 1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct tmgr_channel *channel;
		void *out = sizes[i] == 0 ? NULL : sent, *in = sizes[i] == 0 ? NULL : received;

		assert_int_equal(tmgr_channel_create(sizes[i], 2, &channel), 0);
		memset(received, 0, sizeof(received));
		assert_int_equal(tmgr_channel_send(NULL, channel, out, TMGR_NOW), 0);
		assert_int_equal(tmgr_channel_send(NULL, channel, out, TMGR_NOW), 0);
		assert_int_equal(tmgr_channel_count(channel), 2);
		assert_int_equal(tmgr_channel_receive(NULL, channel, in, TMGR_NOW), 0);
		if (sizes[i] > 0)
			assert_memory_equal(sent, received, sizes[i]);
		if (sizes[i] < sizeof(received))
			assert_int_equal(received[sizes[i]], 0);
		tmgr_channel_unref(channel);
	}
}

static void the_last_reference_drops_what_is_buffered(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(4);

	(void)state;
	assert_int_equal(send_int(channel, 1), 0);
	assert_ptr_equal(tmgr_channel_ref(channel), channel);
	tmgr_channel_unref(channel);
	assert_int_equal(send_int(channel, 2), 0);
	tmgr_channel_unref(channel);
	tmgr_channel_unref(NULL);
	assert_null(tmgr_channel_ref(NULL));
}

static void who_waits_keeps_it(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(0);
	struct actor actor = ACTOR_INIT;
	struct transfer transfer = { channel, -1, tmgr_after(TMGR_SECOND), 1 };

	(void)state;
	actor_start(&actor);
	actor_begin(&actor, do_receive, &transfer);
	assert_true(actor_settles_blocked(&actor));
	tmgr_channel_unref(channel);
	assert_true(actor_finishes(&actor));
	assert_int_equal(transfer.result, -ETIMEDOUT);
	actor_quit(&actor);
}

static void do_select_receive(void *argument, struct tmgr_context *context)
{
	struct transfer *transfer = argument;
	struct tmgr_select_case cases[2] = {
		{ .op = TMGR_SELECT_RECEIVE,
			.channel = transfer->channel,
			.item = &transfer->item },
		{ .op = TMGR_SELECT_RECEIVE,
			.channel = transfer->channel,
			.item = &transfer->item },
	};

	transfer->result = tmgr_select(context, cases, 2, transfer->deadline);
}

static void do_close(void *argument, struct tmgr_context *context)
{
	tmgr_channel_close(argument);
	tmgr_channel_unref(argument);
}

/* Several wait, in a receive and in a select, when the last user lets go; each leaves by itself. */
static void who_leaves_last_releases_what_has_no_user_any_more(void **state)
{
	struct tmgr_channel *channel = channel_of_ints(0);
	struct actor actors[3] = { ACTOR_INIT, ACTOR_INIT, ACTOR_INIT };
	struct transfer transfers[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		int64_t deadline = tmgr_after((i + 1) * 100 * TMGR_MILLISECOND);

		transfers[i] = (struct transfer){ channel, -1, deadline, 1 };
		actor_start(&actors[i]);
		actor_begin(&actors[i], i == 1 ? do_select_receive : do_receive, &transfers[i]);
		assert_true(actor_settles_blocked(&actors[i]));
	}
	tmgr_channel_unref(channel);
	for (int i = 0; i < 3; i++) {
		assert_true(actor_finishes(&actors[i]));
		assert_int_equal(transfers[i].result, -ETIMEDOUT);
		actor_quit(&actors[i]);
	}
}

/* Who was claimed has the result with it: the channel may be gone before it runs again. */
static void who_was_told_of_the_end_needs_the_channel_no_more(void **state)
{
	for (int round = 0; round < 50; round++) {
		struct tmgr_channel *channel = channel_of_ints(0);
		struct actor waiter = ACTOR_INIT, closer = ACTOR_INIT;
		struct transfer transfer = { channel, -1, TMGR_NEVER, 1 };

		(void)state;
		actor_start(&waiter);
		actor_start(&closer);
		actor_begin(&waiter, round % 2 ? do_select_receive : do_receive, &transfer);
		assert_true(actor_settles_blocked(&waiter));
		assert_true(actor_does(&closer, do_close, channel));
		assert_true(actor_finishes(&waiter));
		assert_int_equal(transfer.result, round % 2 ? 0 : -EPIPE);
		actor_quit(&waiter);
		actor_quit(&closer);
	}
}

static void a_failed_allocation_makes_no_channel(void **state)
{
	struct tmgr_channel *channel = NULL;
	long k = 1;

	(void)state;
	for (;; k++) {
		int r;

		fault_fail_allocation(k);
		r = tmgr_channel_create(4, 16, &channel);
		if (!fault_happened()) {
			assert_int_equal(r, 0);
			break;
		}
		assert_int_equal(r, -ENOMEM);
		assert_null(channel);
	}
	assert_true(k > 1);
	tmgr_channel_unref(channel);
}

/* Tasks that transfer, to be cancelled. */
static struct tmgr_channel *shared;
static int results[4];

static int receive_twice(struct probe *probe, struct tmgr_context *context)
{
	int item;

	(void)probe;
	results[0] = tmgr_channel_receive(context, shared, &item, TMGR_NEVER);
	results[1] = tmgr_channel_receive(context, shared, &item, TMGR_NOW);
	results[2] = tmgr_channel_send(context, shared, &item, TMGR_NOW);
	return 0;
}

static int send_until_cancelled(struct probe *probe, struct tmgr_context *context)
{
	int r, item = 1;

	(void)probe;
	do {
		r = tmgr_channel_send(context, shared, &item, TMGR_NEVER);
	} while (r == 0);
	results[0] = r;
	return r;
}

static int run_cancelled_in(probe_function *function, const char *waiting)
{
	struct probe probe = PROBE(.name = "task", .on_execute = function);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;
	int r;

	memset(results, 1, sizeof(results));
	assert_int_equal(
		tmgr_manager_add_task(manager, "task", probe_task(&probe), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "task", waiting));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	r = runner_join(&runner);
	tmgr_manager_destroy(manager);
	return r;
}

static void a_cancel_ends_a_receive_and_later_ones_take_nothing(void **state)
{
	(void)state;
	shared = channel_of_ints(0);
	assert_int_equal(run_cancelled_in(receive_twice, "channel"), 0);
	assert_int_equal(results[0], -ECANCELED);
	assert_int_equal(results[1], -ECANCELED);
	assert_int_equal(results[2], -ECANCELED);
	tmgr_channel_unref(shared);
}

static void a_cancel_ends_a_send_and_its_item_is_not_taken(void **state)
{
	int item;

	(void)state;
	shared = channel_of_ints(2);
	assert_int_equal(run_cancelled_in(send_until_cancelled, "channel"), 0);
	assert_int_equal(results[0], -ECANCELED);
	assert_int_equal(tmgr_channel_count(shared), 2);
	assert_int_equal(receive_int(shared, &item), 0);
	assert_int_equal(receive_int(shared, &item), 0);
	assert_int_equal(receive_int(shared, &item), -ETIMEDOUT);
	tmgr_channel_unref(shared);
}

/* Several send and several receive, some with deadlines; each item arrives once and in its sender's
 * order. */
#define SENDERS 3
#define RECEIVERS 3
#define ITEMS 3000

struct crowd {
	struct tmgr_channel *channel;
	atomic_int senders_left;
	atomic_uchar seen[SENDERS][ITEMS];
	atomic_int out_of_order;
};

struct crowd_sender {
	struct crowd *crowd;
	int number;
};

static void *crowd_send(void *argument)
{
	struct crowd_sender *sender = argument;

	for (int i = 0; i < ITEMS;) {
		int item = sender->number * ITEMS + i;
		int64_t deadline = i % 5 == 0 ? tmgr_after(TMGR_MICROSECOND) : TMGR_NEVER;

		if (tmgr_channel_send(NULL, sender->crowd->channel, &item, deadline) == 0)
			i++;
	}
	if (atomic_fetch_sub(&sender->crowd->senders_left, 1) == 1)
		tmgr_channel_close(sender->crowd->channel);
	return NULL;
}

static void *crowd_receive(void *argument)
{
	struct crowd *crowd = argument;
	int last[SENDERS], item, r;

	memset(last, 0xff, sizeof(last));
	for (int i = 0;; i++) {
		int64_t deadline = i % 3 == 0 ? tmgr_after(TMGR_MICROSECOND) : TMGR_NEVER;

		r = tmgr_channel_receive(NULL, crowd->channel, &item, deadline);
		if (r == -ETIMEDOUT)
			continue;
		if (r != 0)
			return NULL;
		atomic_fetch_add(&crowd->seen[item / ITEMS][item % ITEMS], 1);
		if (item % ITEMS <= last[item / ITEMS])
			atomic_fetch_add(&crowd->out_of_order, 1);
		last[item / ITEMS] = item % ITEMS;
	}
}

static void each_item_arrives_once_in_its_senders_order(void **state)
{
	static const size_t capacities[] = { 0, 1, 16 };

	(void)state;
	for (size_t c = 0; c < 3; c++) {
		struct crowd *crowd = calloc(1, sizeof(*crowd));
		struct crowd_sender senders[SENDERS];
		pthread_t threads[SENDERS + RECEIVERS];
		int wrong = 0;

		crowd->channel = channel_of_ints(capacities[c]);
		crowd->senders_left = SENDERS;
		for (int i = 0; i < SENDERS; i++) {
			senders[i] = (struct crowd_sender){ crowd, i };
			pthread_create(&threads[i], NULL, crowd_send, &senders[i]);
		}
		for (int i = 0; i < RECEIVERS; i++)
			pthread_create(&threads[SENDERS + i], NULL, crowd_receive, crowd);
		for (int i = 0; i < SENDERS + RECEIVERS; i++)
			pthread_join(threads[i], NULL);
		for (int i = 0; i < SENDERS * ITEMS; i++)
			wrong += crowd->seen[i / ITEMS][i % ITEMS] != 1;
		assert_int_equal(wrong, 0);
		assert_int_equal(crowd->out_of_order, 0);
		tmgr_channel_unref(crowd->channel);
		free(crowd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_buffer_is_first_in_first_out_and_bounded),
		leak_test(an_unbuffered_one_needs_both_sides),
		leak_test(a_blocked_receiver_gets_the_item),
		leak_test(a_blocked_sender_gives_the_item),
		leak_test(the_oldest_who_waits_is_served_first),
		leak_test(a_receive_from_a_full_buffer_lets_the_oldest_sender_in),
		leak_test(a_closed_one_drains_then_gives_epipe),
		leak_test(closing_ends_blocked_receivers),
		leak_test(closing_ends_blocked_senders_and_takes_no_item),
		leak_test(a_deadline_ends_the_wait_and_takes_no_item),
		leak_test(a_deadline_in_the_past_still_tries_once),
		leak_test(items_have_any_size),
		leak_test(the_last_reference_drops_what_is_buffered),
		leak_test(who_waits_keeps_it),
		leak_test(who_leaves_last_releases_what_has_no_user_any_more),
		leak_test(who_was_told_of_the_end_needs_the_channel_no_more),
		leak_test(a_failed_allocation_makes_no_channel),
		leak_test(a_cancel_ends_a_receive_and_later_ones_take_nothing),
		leak_test(a_cancel_ends_a_send_and_its_item_is_not_taken),
		leak_test(each_item_arrives_once_in_its_senders_order),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
