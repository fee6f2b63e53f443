/* Channels: buffers, who waits, closing, deadlines, references. */
#include <errno.h>
#include <string.h>

#include <taskmgr/channel.h>

#include "tests/support/actor.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

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
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
