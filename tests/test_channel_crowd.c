/* A channel between threads: some send and some receive, each now and then with a deadline. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/channel.h>

#include "tests/support/leak.h"

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

		assert_int_equal(
			tmgr_channel_create(sizeof(int), capacities[c], &crowd->channel), 0);
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
		leak_test(each_item_arrives_once_in_its_senders_order),
	};

	return cmocka_run_group_tests_name("channel crowd", tests, NULL, NULL);
}
