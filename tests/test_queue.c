/*
 * Queues: what only they do. How their waits end is in test_wait_endings.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/queue.h>

#include "tests/support/crowd.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

#define MEMBERS 10

static struct tmgr_queue *queue;

static void make(size_t count_max)
{
	assert_int_equal(tmgr_queue_create(sizeof(int), count_max, &queue), 0);
}

static int put(int item)
{
	return tmgr_queue_put(NULL, queue, &item, TMGR_NOW);
}

/* What comes out, or the negative errno. */
static int get(void)
{
	int item = -1, r = tmgr_queue_get(NULL, queue, &item, TMGR_NOW);

	return r < 0 ? r : item;
}

static void what_is_wrong_is_refused(void **state)
{
	struct tmgr_queue *none = NULL;
	int item = 0;

	(void)state;
	assert_int_equal(tmgr_queue_create(1, 0, NULL), -EINVAL);
	assert_int_equal(tmgr_queue_create(0, 0, &none), -EINVAL);
	assert_int_equal(tmgr_queue_create(TMGR_QUEUE_ITEM_MAX + 1, 0, &none), -EINVAL);
	assert_int_equal(tmgr_queue_create(1, TMGR_QUEUE_COUNT_MAX + 1, &none), -EINVAL);
	assert_null(none);
	assert_int_equal(tmgr_queue_put(NULL, NULL, &item, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_queue_get(NULL, NULL, &item, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_queue_close(NULL), -EINVAL);
	assert_int_equal(tmgr_queue_done(NULL), -EINVAL);
	assert_int_equal(tmgr_queue_join(NULL, NULL, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_queue_count(NULL), 0);
	assert_null(tmgr_queue_ref(NULL));
	tmgr_queue_unref(NULL);
	make(0);
	assert_int_equal(tmgr_queue_put(NULL, queue, NULL, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_queue_get(NULL, queue, NULL, TMGR_NOW), -EINVAL);
	tmgr_queue_unref(queue);
}

static void items_come_out_as_they_went_in(void **state)
{
	const size_t maxima[] = { 0, 1, 7, 5000 };

	(void)state;
	for (size_t m = 0; m < 4; m++) {
		int in = 0, out = 0;

		make(maxima[m]);
		/* Ever more, and then fewer: over the ends of rings and chunks. */
		for (int round = 0; round < 3000; round++) {
			for (int i = 0; i < (round < 1500 ? 3 : 1); i++)
				if (put(in) == 0)
					in++;
			for (int i = 0; i < (round < 1500 ? 1 : 2) && in > out; i++)
				assert_int_equal(get(), out++);
			assert_int_equal(tmgr_queue_count(queue), in - out);
			assert_true(maxima[m] == 0 || (size_t)(in - out) <= maxima[m]);
		}
		while (in > out)
			assert_int_equal(get(), out++);
		assert_int_equal(get(), -ETIMEDOUT);
		tmgr_queue_unref(queue);
	}
}

static void items_of_all_sizes_survive(void **state)
{
	const size_t sizes[] = { 1, 3, 4095, 4096, 4097, TMGR_QUEUE_ITEM_MAX };
	unsigned char *in = malloc(TMGR_QUEUE_ITEM_MAX), *out = malloc(TMGR_QUEUE_ITEM_MAX);

	(void)state;
	assert_non_null(in);
	assert_non_null(out);
	for (size_t s = 0; s < 12; s++) {
		assert_int_equal(tmgr_queue_create(sizes[s / 2], s % 2 ? 3 : 0, &queue), 0);
		for (int i = 1; i <= 3; i++) {
			memset(in, i, sizes[s / 2]);
			assert_int_equal(tmgr_queue_put(NULL, queue, in, TMGR_NOW), 0);
		}
		for (int i = 1; i <= 3; i++) {
			memset(in, i, sizes[s / 2]);
			memset(out, 0, sizes[s / 2]);
			assert_int_equal(tmgr_queue_get(NULL, queue, out, TMGR_NOW), 0);
			assert_memory_equal(in, out, sizes[s / 2]);
		}
		tmgr_queue_unref(queue);
	}
	free(in);
	free(out);
}

static void a_bounded_one_holds_so_many_and_an_unbounded_one_all(void **state)
{
	(void)state;
	make(2);
	assert_int_equal(put(1), 0);
	assert_int_equal(put(2), 0);
	assert_int_equal(put(3), -ETIMEDOUT);
	assert_int_equal(get(), 1);
	assert_int_equal(put(3), 0);
	tmgr_queue_unref(queue);
	make(0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(put(i), 0);
	assert_int_equal(tmgr_queue_count(queue), 100000);
	tmgr_queue_unref(queue);
}

static void a_closed_one_takes_nothing_and_drains(void **state)
{
	(void)state;
	for (size_t count_max = 0; count_max < 4; count_max += 3) {
		make(count_max);
		put(1);
		put(2);
		assert_int_equal(tmgr_queue_close(queue), 0);
		assert_int_equal(tmgr_queue_close(queue), -EALREADY);
		assert_int_equal(put(3), -EPIPE);
		assert_int_equal(get(), 1);
		assert_int_equal(get(), 2);
		assert_int_equal(get(), -EPIPE);
		assert_int_equal(get(), -EPIPE);
		tmgr_queue_unref(queue);
	}
}

static void get_one(struct member *member, struct tmgr_context *context)
{
	member->r[1] = -1;
	member->r[0] = tmgr_queue_get(context, queue, &member->r[1], TMGR_NEVER);
}

static void put_one(struct member *member, struct tmgr_context *context)
{
	int item = (int)(intptr_t)member->user;

	member->r[0] = tmgr_queue_put(context, queue, &item, TMGR_NEVER);
}

static void come(struct crowd *crowd, struct member *members, member_function *function)
{
	for (int i = 0; i < MEMBERS; i++) {
		members[i].user = (void *)(intptr_t)(100 + i);
		crowd_enter(crowd, &members[i], (enum seat)(i % SEATS), function);
		assert_true(member_waits(&members[i], "queue"));
	}
}

static void closing_ends_all_waits(void **state)
{
	struct member members[MEMBERS];
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (int full = 0; full < 2; full++) {
		make(1);
		if (full)
			assert_int_equal(put(1), 0);
		come(&crowd, members, full ? put_one : get_one);
		/* Who waits holds it. */
		assert_ptr_equal(tmgr_queue_ref(queue), queue);
		tmgr_queue_unref(queue);
		assert_int_equal(tmgr_queue_close(queue), 0);
		for (int i = 0; i < MEMBERS; i++) {
			assert_true(member_leaves(&members[i]));
			assert_int_equal(members[i].r[0], -EPIPE);
		}
		assert_int_equal(tmgr_queue_count(queue), full);
		tmgr_queue_unref(queue);
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

static void getters_are_served_in_order(void **state)
{
	struct member members[MEMBERS];
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	make(0);
	come(&crowd, members, get_one);
	for (int i = 0; i < MEMBERS; i++) {
		assert_int_equal(put(i), 0);
		/* It went past those who come now. */
		assert_int_equal(get(), -ETIMEDOUT);
	}
	for (int i = 0; i < MEMBERS; i++) {
		assert_true(member_leaves(&members[i]));
		assert_int_equal(members[i].r[0], 0);
		assert_int_equal(members[i].r[1], i);
	}
	assert_int_equal(crowd_end(&crowd), 0);
	tmgr_queue_unref(queue);
}

static void putters_are_served_in_order(void **state)
{
	struct member members[MEMBERS];
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	make(1);
	assert_int_equal(put(99), 0);
	come(&crowd, members, put_one);
	for (int i = 0; i <= MEMBERS; i++) {
		assert_int_equal(get(), 99 + i);
		/* The place went to who waited. */
		assert_int_equal(put(0), i < MEMBERS ? -ETIMEDOUT : 0);
	}
	for (int i = 0; i < MEMBERS; i++) {
		assert_true(member_leaves(&members[i]));
		assert_int_equal(members[i].r[0], 0);
	}
	assert_int_equal(crowd_end(&crowd), 0);
	tmgr_queue_unref(queue);
}

static void joining_waits_until_all_that_was_put_is_done(void **state)
{
	(void)state;
	make(0);
	assert_int_equal(tmgr_queue_join(NULL, queue, TMGR_NEVER), 0);
	assert_int_equal(tmgr_queue_done(queue), -ENOENT);
	put(1);
	put(2);
	assert_int_equal(tmgr_queue_done(queue), -ENOENT);
	assert_int_equal(tmgr_queue_join(NULL, queue, TMGR_NOW), -ETIMEDOUT);
	get();
	assert_int_equal(tmgr_queue_done(queue), 0);
	assert_int_equal(tmgr_queue_done(queue), -ENOENT);
	assert_int_equal(tmgr_queue_join(NULL, queue, TMGR_NOW), -ETIMEDOUT);
	get();
	assert_int_equal(tmgr_queue_join(NULL, queue, TMGR_NOW), -ETIMEDOUT);
	assert_int_equal(tmgr_queue_done(queue), 0);
	assert_int_equal(tmgr_queue_join(NULL, queue, TMGR_NEVER), 0);
	tmgr_queue_unref(queue);
}

static void join_it(struct member *member, struct tmgr_context *context)
{
	member->r[0] = tmgr_queue_join(context, queue, TMGR_NEVER);
}

static void an_item_handed_to_who_waits_counts_for_joining_too(void **state)
{
	struct member getter, joiner;
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (enum seat seat = 0; seat < SEATS; seat++) {
		make(0);
		crowd_enter(&crowd, &getter, seat, get_one);
		assert_true(member_waits(&getter, "queue"));
		assert_int_equal(put(1), 0);
		assert_true(member_leaves(&getter));
		crowd_enter(&crowd, &joiner, seat, join_it);
		assert_true(member_waits(&joiner, "queue"));
		assert_int_equal(tmgr_queue_done(queue), 0);
		assert_true(member_leaves(&joiner));
		assert_int_equal(joiner.r[0], 0);
		tmgr_queue_unref(queue);
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

static void without_memory_nothing_changes(void **state)
{
	int in = 0, out = 0;

	(void)state;
	for (long k = 1; k <= 2; k++) {
		queue = NULL;
		fault_fail_allocation(k);
		assert_int_equal(tmgr_queue_create(sizeof(int), 5, &queue), -ENOMEM);
		assert_true(fault_happened());
		fault_off();
		assert_null(queue);
	}
	make(0);
	for (int i = 0; i < 5000; i++) {
		int r;

		fault_fail_all_allocations(true);
		r = put(in);
		fault_off();
		if (r == -ENOMEM)
			r = put(in);
		else
			out++;
		assert_int_equal(r, 0);
		in++;
	}
	/* Most puts needed none. */
	assert_true(out > 4900 && out < 5000);
	for (int i = 0; i < in; i++)
		assert_int_equal(get(), i);
	tmgr_queue_unref(queue);
}

static void only_growing_allocates(void **state)
{
	long before;

	(void)state;
	for (size_t count_max = 0; count_max < 3000; count_max += 2500) {
		make(count_max);
		/* One chunk to begin with, and one to go on. */
		for (int i = 0; i < 2000; i++)
			assert_int_equal(put(i), 0);
		for (int i = 0; i < 2000; i++)
			assert_int_equal(get(), i);
		before = fault_allocations();
		for (int i = 0; i < 20000; i++) {
			assert_int_equal(put(i), 0);
			assert_int_equal(put(i), 0);
			assert_int_equal(get(), i);
			assert_int_equal(get(), i);
		}
		assert_int_equal(fault_allocations(), before);
		tmgr_queue_unref(queue);
	}
}

/* Producers and consumers everywhere, some of whom give up now and then. */
enum { ITEMS = 500, PRODUCERS = 5 };

static atomic_uchar seen[PRODUCERS * ITEMS];
static atomic_int disorder;

static int64_t now_and_then(unsigned *seed)
{
	int dice = rand_r(seed) % 6;

	return dice == 0 ? TMGR_NOW : dice == 1 ? tmgr_after(20 * TMGR_MICROSECOND) : TMGR_NEVER;
}

static void produce(struct member *member, struct tmgr_context *context)
{
	int first = (int)(intptr_t)member->user * ITEMS, i = 0;
	unsigned seed = (unsigned)first + 1;

	while (i < ITEMS) {
		int item = first + i;

		member->r[0] = tmgr_queue_put(context, queue, &item, now_and_then(&seed));
		if (member->r[0] == 0)
			i++;
		else if (member->r[0] != -ETIMEDOUT)
			break;
	}
}

static void consume(struct member *member, struct tmgr_context *context)
{
	unsigned seed = (unsigned)(intptr_t)member->user + 77;
	int last[PRODUCERS];

	memset(last, 0xff, sizeof(last));
	for (;;) {
		int item, r = tmgr_queue_get(context, queue, &item, now_and_then(&seed));

		if (r == -ETIMEDOUT)
			continue;
		member->r[0] = r;
		if (r < 0)
			return;
		atomic_fetch_add(&seen[item], 1);
		/* Each sees each producer's items in their order. */
		if (last[item / ITEMS] >= item)
			atomic_fetch_add(&disorder, 1);
		last[item / ITEMS] = item;
		tmgr_queue_done(queue);
	}
}

static void no_item_is_lost_or_doubled_whoever_gives_up(void **state)
{
	const size_t maxima[] = { 0, 1, 3 };
	struct member producers[PRODUCERS], consumers[PRODUCERS];
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (size_t m = 0; m < 3; m++) {
		make(maxima[m]);
		memset((void *)seen, 0, sizeof(seen));
		for (int i = 0; i < PRODUCERS; i++) {
			producers[i].user = consumers[i].user = (void *)(intptr_t)i;
			crowd_enter(&crowd, &consumers[i], (enum seat)(i % SEATS), consume);
			crowd_enter(&crowd, &producers[i], (enum seat)((i + m) % SEATS), produce);
		}
		/* One of them gives up for good; the others take over. */
		member_cancel(&consumers[1]);
		for (int i = 0; i < PRODUCERS; i++) {
			assert_true(member_leaves(&producers[i]));
			assert_int_equal(producers[i].r[0], 0);
		}
		assert_int_equal(tmgr_queue_join(NULL, queue, tmgr_after(30 * TMGR_SECOND)), 0);
		assert_int_equal(tmgr_queue_close(queue), 0);
		for (int i = 0; i < PRODUCERS; i++) {
			assert_true(member_leaves(&consumers[i]));
			assert_int_equal(consumers[i].r[0], i == 1 ? -ECANCELED : -EPIPE);
		}
		for (int i = 0; i < PRODUCERS * ITEMS; i++)
			assert_int_equal(seen[i], 1);
		tmgr_queue_unref(queue);
	}
	assert_int_equal(atomic_load(&disorder), 0);
	assert_int_equal(crowd_end(&crowd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(what_is_wrong_is_refused),
		leak_test(items_come_out_as_they_went_in),
		leak_test(items_of_all_sizes_survive),
		leak_test(a_bounded_one_holds_so_many_and_an_unbounded_one_all),
		leak_test(a_closed_one_takes_nothing_and_drains),
		leak_test(closing_ends_all_waits),
		leak_test(getters_are_served_in_order),
		leak_test(putters_are_served_in_order),
		leak_test(joining_waits_until_all_that_was_put_is_done),
		leak_test(an_item_handed_to_who_waits_counts_for_joining_too),
		leak_test(without_memory_nothing_changes),
		leak_test(only_growing_allocates),
		leak_test(no_item_is_lost_or_doubled_whoever_gives_up),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
