#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/context.h>
#include <taskmgr/token.h>

#include "tests/support/fault.h"
#include "tests/support/latch.h"
#include "tests/support/leak.h"

static struct tmgr_token *token_below(struct tmgr_token *parent)
{
	struct tmgr_token *token = NULL;

	assert_int_equal(tmgr_token_create(parent, &token), 0);
	assert_non_null(token);
	return token;
}

static enum tmgr_reason reason_of(struct tmgr_token *token)
{
	struct tmgr_cause cause;

	assert_int_equal(tmgr_token_cause(token, &cause), 0);
	return cause.reason;
}

struct called {
	atomic_int count;
	struct tmgr_token *all[8]; /* looked at from inside */
	size_t all_count;
	bool all_fired;
	struct tmgr_token_callback *itself;
	int taken_back; /* what unregistering from inside said */
};

static void count_call(void *self)
{
	struct called *called = self;

	atomic_fetch_add(&called->count, 1);
}

static void a_callback_is_called_once(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct tmgr_token_callback callback = { 0 };
	struct called called = { 0 };

	(void)state;
	assert_int_equal(tmgr_token_register(token, &callback, count_call, &called), 0);
	assert_int_equal(called.count, 0);
	assert_int_equal(tmgr_token_cancel(token, 0, NULL), 0);
	assert_int_equal(called.count, 1);
	assert_int_equal(tmgr_token_cancel(token, 0, NULL), -EALREADY);
	assert_int_equal(called.count, 1);
	assert_false(tmgr_token_unregister(&callback));
	tmgr_token_unref(token);
}

static void a_callback_registered_on_a_fired_token_is_called_at_once(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct tmgr_token_callback callback = { 0 };
	struct called called = { 0 };

	(void)state;
	assert_int_equal(tmgr_token_cancel(token, 0, NULL), 0);
	assert_int_equal(tmgr_token_register(token, &callback, count_call, &called), 0);
	assert_int_equal(called.count, 1);
	assert_false(tmgr_token_unregister(&callback));
	tmgr_token_unref(token);
}

static void a_callback_taken_back_is_not_called(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct tmgr_token_callback callback[3] = { 0 };
	struct called called = { 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(tmgr_token_register(token, &callback[i], count_call, &called), 0);
	assert_true(tmgr_token_unregister(&callback[1]));
	assert_false(tmgr_token_unregister(&callback[1]));
	assert_int_equal(tmgr_token_cancel(token, 0, NULL), 0);
	assert_int_equal(called.count, 2);
	tmgr_token_unref(token);
}

static void unregistering_nothing_is_allowed(void **state)
{
	struct tmgr_token_callback callback = { 0 };

	(void)state;
	assert_false(tmgr_token_unregister(NULL));
	assert_false(tmgr_token_unregister(&callback));
}

static void a_token_may_end_while_a_callback_is_registered_below_it(void **state)
{
	struct tmgr_token *root = token_below(NULL), *child = token_below(root);
	struct tmgr_token_callback callback = { 0 };
	struct called called = { 0 };

	(void)state;
	assert_int_equal(tmgr_token_register(child, &callback, count_call, &called), 0);
	tmgr_token_unref(root);
	assert_int_equal(tmgr_token_cancel(child, 0, NULL), 0);
	assert_int_equal(called.count, 1);
	tmgr_token_unref(child);
}

static void look_at_all(void *self)
{
	struct called *called = self;

	if (atomic_fetch_add(&called->count, 1) == 0)
		called->all_fired = true;
	for (size_t i = 0; i < called->all_count; i++)
		called->all_fired = called->all_fired && tmgr_token_fired(called->all[i]);
}

static void the_whole_subtree_is_marked_before_the_first_callback(void **state)
{
	struct tmgr_token *root = token_below(NULL), *a = token_below(root), *b = token_below(root);
	struct tmgr_token *leaf = token_below(b);
	struct tmgr_token_callback callback[3] = { 0 };
	struct called called = { .all = { root, a, b, leaf }, .all_count = 4 };

	(void)state;
	assert_int_equal(tmgr_token_register(a, &callback[0], look_at_all, &called), 0);
	assert_int_equal(tmgr_token_register(leaf, &callback[1], look_at_all, &called), 0);
	assert_int_equal(tmgr_token_register(root, &callback[2], look_at_all, &called), 0);
	assert_int_equal(tmgr_token_cancel(root, 0, NULL), 0);
	assert_int_equal(called.count, 3);
	assert_true(called.all_fired);
	tmgr_token_unref(leaf);
	tmgr_token_unref(b);
	tmgr_token_unref(a);
	tmgr_token_unref(root);
}

static void unregister_itself(void *self)
{
	struct called *called = self;

	atomic_fetch_add(&called->count, 1);
	called->taken_back = tmgr_token_unregister(called->itself);
	/* As a caller whose memory it is may do from then on. */
	free(called->itself);
}

static void a_callback_may_unregister_and_release_itself(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct tmgr_token_callback *callback = calloc(1, sizeof(*callback)), other = { 0 };
	struct called called = { .itself = callback, .taken_back = -1 }, second = { 0 };

	(void)state;
	assert_int_equal(tmgr_token_register(token, callback, unregister_itself, &called), 0);
	assert_int_equal(tmgr_token_register(token, &other, count_call, &second), 0);
	assert_int_equal(tmgr_token_cancel(token, 0, NULL), 0);
	assert_int_equal(called.count, 1);
	assert_int_equal(called.taken_back, 0);
	assert_int_equal(second.count, 1);
	tmgr_token_unref(token);
}

static void unregister_other(void *self)
{
	struct called *called = self;

	atomic_fetch_add(&called->count, 1);
	called->taken_back = tmgr_token_unregister(called->itself);
}

static void a_callback_may_unregister_another(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct tmgr_token_callback a = { 0 }, b = { 0 };
	struct called of_a = { .itself = &b }, of_b = { .itself = &a };

	(void)state;
	assert_int_equal(tmgr_token_register(token, &a, unregister_other, &of_a), 0);
	assert_int_equal(tmgr_token_register(token, &b, unregister_other, &of_b), 0);
	assert_int_equal(tmgr_token_cancel(token, 0, NULL), 0);
	/* Whichever came first took the other back. */
	assert_int_equal(of_a.count + of_b.count, 1);
	assert_int_equal(of_a.taken_back + of_b.taken_back, 1);
	tmgr_token_unref(token);
}

static void drop_token(void *self)
{
	tmgr_token_unref(self);
}

static void a_callback_may_drop_the_last_reference(void **state)
{
	struct tmgr_token *root = token_below(NULL), *token = token_below(root);
	struct tmgr_token_callback callback = { 0 }, other = { 0 };
	struct called called = { 0 };

	(void)state;
	assert_int_equal(tmgr_token_register(token, &callback, drop_token, token), 0);
	assert_int_equal(tmgr_token_register(token, &other, count_call, &called), 0);
	assert_int_equal(tmgr_token_cancel(root, 0, NULL), 0);
	assert_int_equal(called.count, 1);
	tmgr_token_unref(root);
}

struct held {
	struct latch latch;
	struct tmgr_token *token;
	struct tmgr_token_callback callback;
	atomic_bool ended, about_to_unregister, unregistered;
	bool seen_ended, taken_back;
};

static void hold(void *self)
{
	struct held *held = self;

	latch_wait(&held->latch);
	atomic_store(&held->ended, true);
}

static void *fire(void *argument)
{
	struct held *held = argument;

	tmgr_token_cancel(held->token, 0, NULL);
	return NULL;
}

static void *unregister(void *argument)
{
	struct held *held = argument;

	atomic_store(&held->about_to_unregister, true);
	held->taken_back = tmgr_token_unregister(&held->callback);
	held->seen_ended = atomic_load(&held->ended);
	atomic_store(&held->unregistered, true);
	return NULL;
}

static bool about_to_unregister(void *argument)
{
	return atomic_load(&((struct held *)argument)->about_to_unregister);
}

static void unregistering_waits_for_a_callback_that_runs_elsewhere(void **state)
{
	struct held held = { .token = token_below(NULL) };
	pthread_t firing, unregistering;

	(void)state;
	latch_init(&held.latch);
	assert_int_equal(tmgr_token_register(held.token, &held.callback, hold, &held), 0);
	assert_int_equal(pthread_create(&firing, NULL, fire, &held), 0);
	assert_true(latch_arrived(&held.latch, 1));
	assert_int_equal(pthread_create(&unregistering, NULL, unregister, &held), 0);
	assert_true(eventually(about_to_unregister, &held));
	assert_int_equal(tmgr_sleep(NULL, 5 * TMGR_MILLISECOND), 0); /* for it to be wrong in */
	assert_false(atomic_load(&held.unregistered));
	latch_open(&held.latch);
	pthread_join(unregistering, NULL);
	pthread_join(firing, NULL);
	assert_true(held.seen_ended);
	assert_false(held.taken_back);
	tmgr_token_unref(held.token);
}

static void firing_is_visible_while_a_callback_runs(void **state)
{
	struct held held = { .token = token_below(NULL) };
	struct tmgr_token_callback late = { 0 };
	struct called called = { 0 };
	pthread_t firing;

	(void)state;
	latch_init(&held.latch);
	assert_int_equal(tmgr_token_register(held.token, &held.callback, hold, &held), 0);
	assert_int_equal(pthread_create(&firing, NULL, fire, &held), 0);
	assert_true(latch_arrived(&held.latch, 1));
	assert_true(tmgr_token_fired(held.token));
	assert_int_equal(reason_of(held.token), TMGR_REASON_CANCELLED);
	assert_int_equal(tmgr_token_cancel(held.token, 0, NULL), -EALREADY);
	assert_int_equal(tmgr_token_register(held.token, &late, count_call, &called), 0);
	assert_int_equal(called.count, 1);
	latch_open(&held.latch);
	pthread_join(firing, NULL);
	tmgr_token_unref(held.token);
}

#define MANY 10000

static void ten_thousand_children_fire_without_allocating(void **state)
{
	static struct tmgr_token *children[MANY];
	static struct tmgr_token_callback callbacks[MANY];
	struct tmgr_token *root = token_below(NULL);
	struct called called = { 0 };
	long before;

	(void)state;
	memset(callbacks, 0, sizeof(callbacks));
	for (size_t i = 0; i < MANY; i++) {
		children[i] = token_below(root);
		assert_int_equal(
			tmgr_token_register(children[i], &callbacks[i], count_call, &called), 0);
	}
	before = fault_allocations();
	fault_fail_all_allocations(true);
	assert_int_equal(tmgr_token_cancel(root, 0, NULL), 0);
	fault_off();
	assert_true(fault_allocations() == before);
	assert_int_equal(called.count, MANY);
	for (size_t i = 0; i < MANY; i++) {
		assert_true(tmgr_token_fired(children[i]));
		tmgr_token_unref(children[i]);
	}
	tmgr_token_unref(root);
}

/* Threads that make, register, unregister and drop tokens below one that another thread fires. */
struct race {
	struct tmgr_token *root;
	pthread_barrier_t start;
	atomic_int called, expected, rounds_left;
};

static void race_called(void *self)
{
	atomic_fetch_add((atomic_int *)self, 1);
}

static void *race_children(void *argument)
{
	struct race *race = argument;

	pthread_barrier_wait(&race->start);
	for (int i = 0; i < 50; i++) {
		struct tmgr_token *child, *leaf;
		struct tmgr_token_callback callback = { 0 };
		atomic_int called = 0;
		bool taken_back;

		if (tmgr_token_create(race->root, &child) != 0)
			continue;
		if (tmgr_token_create(child, &leaf) != 0) {
			tmgr_token_unref(child);
			continue;
		}
		tmgr_token_register(leaf, &callback, race_called, &called);
		tmgr_token_unref(child);
		taken_back = tmgr_token_unregister(&callback);
		/* Called, or taken back; never both, never neither. */
		atomic_fetch_add(&race->expected, 1);
		atomic_fetch_add(&race->called, atomic_load(&called) + taken_back);
		tmgr_token_unref(leaf);
	}
	return NULL;
}

static void *race_fire(void *argument)
{
	struct race *race = argument;

	pthread_barrier_wait(&race->start);
	sched_yield();
	tmgr_token_cancel(race->root, 0, NULL);
	return NULL;
}

static void each_callback_is_called_or_taken_back_in_every_race(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		struct race race = { .root = token_below(NULL) };
		pthread_t threads[4];

		pthread_barrier_init(&race.start, NULL, 4);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL,
						 i < 3 ? race_children : race_fire, &race),
				0);
		for (size_t i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(race.called, race.expected);
		assert_int_equal(race.expected, 150);
		pthread_barrier_destroy(&race.start);
		tmgr_token_unref(race.root);
	}
}

static void *fire_with_number(void *argument)
{
	struct race *race = argument;
	int number = atomic_fetch_add(&race->expected, 1);

	pthread_barrier_wait(&race->start);
	if (tmgr_token_cancel(race->root, -number, NULL) == 0)
		atomic_store(&race->called, number + 1000);
	return NULL;
}

static void one_of_several_who_fire_wins_and_its_cause_stays(void **state)
{
	(void)state;
	for (int round = 0; round < 100; round++) {
		struct race race = { .root = token_below(NULL) };
		struct tmgr_cause cause;
		pthread_t threads[3];

		pthread_barrier_init(&race.start, NULL, 3);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, fire_with_number, &race), 0);
		for (size_t i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(tmgr_token_cause(race.root, &cause), 0);
		assert_int_equal(race.called, 1000 - cause.code);
		pthread_barrier_destroy(&race.start);
		tmgr_token_unref(race.root);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_callback_is_called_once),
		leak_test(a_callback_registered_on_a_fired_token_is_called_at_once),
		leak_test(a_callback_taken_back_is_not_called),
		leak_test(unregistering_nothing_is_allowed),
		leak_test(a_token_may_end_while_a_callback_is_registered_below_it),
		leak_test(the_whole_subtree_is_marked_before_the_first_callback),
		leak_test(a_callback_may_unregister_and_release_itself),
		leak_test(a_callback_may_unregister_another),
		leak_test(a_callback_may_drop_the_last_reference),
		leak_test(unregistering_waits_for_a_callback_that_runs_elsewhere),
		leak_test(firing_is_visible_while_a_callback_runs),
		leak_test(ten_thousand_children_fire_without_allocating),
		leak_test(each_callback_is_called_or_taken_back_in_every_race),
		leak_test(one_of_several_who_fire_wins_and_its_cause_stays),
	};

	return cmocka_run_group_tests_name("token_callback", tests, NULL, NULL);
}
