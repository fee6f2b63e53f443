/*
 * Waiting for several futures, and races about them.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include <taskmgr/several.h>
#include <taskmgr/shield.h>

#include "tests/support/child.h"
#include "tests/support/crowd.h"
#include "tests/support/fault.h"
#include "tests/support/futures.h"
#include "tests/support/leak.h"

/* ---- Several -------------------------------------------------------------------------------- */

static struct tmgr_several wait_for(struct tmgr_several_case *cases, enum tmgr_several_mode mode,
	struct tmgr_context *context, int64_t deadline, int *ret)
{
	struct tmgr_several several = { .cases = cases, .count = FUTURES, .index = 99 };

	for (int i = 0; i < FUTURES; i++)
		cases[i].future = &futures[i];
	*ret = tmgr_wait_several(context, &several, mode, deadline);
	return several;
}

/* What is done before is taken in order of the index: all that can be, against a model. */
static void several_that_are_done_count_in_order_of_their_index(void **state)
{
	struct tmgr_several_case cases[FUTURES];

	(void)state;
	/* Each of four is pending, done, or done with an error of its own; for each mode. */
	for (int n = 0; n < 81 * 3; n++) {
		enum tmgr_several_mode mode = (enum tmgr_several_mode)(n / 81);
		size_t index = FUTURES, error_index = FUTURES, done = 0;
		struct tmgr_several several;
		int kinds = n % 81, error = 0, r, kind[FUTURES];

		futures_fresh();
		for (size_t i = 0; i < FUTURES; i++, kinds /= 3) {
			kind[i] = kinds % 3;
			if (kind[i] > 0)
				futures_complete((int)i, kind[i] == 1 ? 0 : -100 - (int)i);
		}
		for (size_t i = 0; i < FUTURES && index == FUTURES; i++) {
			if (kind[i] == 0)
				continue;
			done++;
			if (kind[i] == 2) {
				error = -100 - (int)i;
				error_index = i;
			}
			if (done == FUTURES || mode == TMGR_SEVERAL_FIRST ||
				(mode == TMGR_SEVERAL_FIRST_ERROR && kind[i] == 2))
				index = i;
		}
		several = wait_for(cases, mode, NULL, TMGR_NOW, &r);
		if (index == FUTURES) {
			assert_int_equal(r, -ETIMEDOUT);
			assert_int_equal(several.index, 99);
		} else {
			assert_int_equal(r, 0);
			assert_int_equal(several.index, index);
			assert_int_equal(several.error, error);
			assert_int_equal(several.error_index, error_index);
		}
		futures_fini();
	}
}

static void none_given_return_at_once(void **state)
{
	struct tmgr_several several = { .index = 99, .error = 99, .error_index = 99 };
	struct tmgr_several_case case_of_none = { .future = NULL };

	(void)state;
	for (int mode = TMGR_SEVERAL_ALL; mode <= TMGR_SEVERAL_FIRST; mode++) {
		assert_int_equal(
			tmgr_wait_several(NULL, &several, (enum tmgr_several_mode)mode, TMGR_NEVER),
			0);
		assert_int_equal(several.index, 0);
		assert_int_equal(several.error, 0);
		assert_int_equal(several.error_index, 0);
	}
	assert_int_equal(
		tmgr_wait_several(NULL, &several, (enum tmgr_several_mode)3, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_wait_several(NULL, NULL, TMGR_SEVERAL_ALL, TMGR_NOW), -EINVAL);
	several.count = 1;
	assert_int_equal(tmgr_wait_several(NULL, &several, TMGR_SEVERAL_ALL, TMGR_NOW), -EINVAL);
	several.cases = &case_of_none;
	assert_int_equal(tmgr_wait_several(NULL, &several, TMGR_SEVERAL_ALL, TMGR_NOW), -EINVAL);
}

static void wait_for_mode(struct member *member, struct tmgr_context *context)
{
	struct tmgr_several_case cases[FUTURES];
	struct tmgr_several several = wait_for(cases,
		(enum tmgr_several_mode)(intptr_t)member->user, context, TMGR_NEVER, &member->r[0]);

	member->r[1] = (int)several.index;
	member->r[2] = several.error;
	member->r[3] = (int)several.error_index;
}

/* What is done while it waits, in which order, and what comes of it. */
static const struct {
	enum tmgr_several_mode mode;
	int order[FUTURES], errors[FUTURES], count;
	int index, error, error_index;
} waits[] = {
	{ TMGR_SEVERAL_ALL, { 2, 0, 3, 1 }, { 0 }, 4, 1, 0, FUTURES },
	{ TMGR_SEVERAL_ALL, { 2, 0, 3, 1 }, { -EIO, -EPIPE, 0, 0 }, 4, 1, -EPIPE, 0 },
	{ TMGR_SEVERAL_ALL, { 3, 2, 1, 0 }, { 0, 0, 0, -EIO }, 4, 0, -EIO, 0 },
	{ TMGR_SEVERAL_FIRST_ERROR, { 2, 0 }, { 0, -EIO }, 2, 0, -EIO, 0 },
	{ TMGR_SEVERAL_FIRST_ERROR, { 3 }, { -EIO }, 1, 3, -EIO, 3 },
	{ TMGR_SEVERAL_FIRST_ERROR, { 1, 2, 3, 0 }, { 0 }, 4, 0, 0, FUTURES },
	{ TMGR_SEVERAL_FIRST, { 3 }, { 0 }, 1, 3, 0, FUTURES },
	{ TMGR_SEVERAL_FIRST, { 1 }, { -EIO }, 1, 1, -EIO, 1 },
};

static void several_end_the_wait_as_their_mode_says(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (size_t n = 0; n < sizeof(waits) / sizeof(waits[0]); n++) {
		for (enum seat seat = 0; seat < SEATS; seat++) {
			struct member member = { .user = (void *)(intptr_t)waits[n].mode };

			futures_fresh();
			crowd_enter(&crowd, &member, seat, wait_for_mode);
			for (int i = 0; i < waits[n].count; i++) {
				assert_true(member_waits(&member, "futures"));
				futures_complete(waits[n].order[i], waits[n].errors[i]);
			}
			assert_true(member_leaves(&member));
			assert_int_equal(member.r[0], 0);
			assert_int_equal(member.r[1], waits[n].index);
			assert_int_equal(member.r[2], waits[n].error);
			assert_int_equal(member.r[3], waits[n].error_index);
			/* None of the others was cancelled; nobody waits for them. */
			for (int i = 0, done = 0; i < FUTURES; i++) {
				done += tmgr_future_done(&futures[i]);
				assert_true(done <= waits[n].count);
			}
			futures_fini();
		}
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

static void one_future_may_be_given_twice(void **state)
{
	struct tmgr_several_case cases[2] = { { .future = &futures[0] },
		{ .future = &futures[0] } };
	struct tmgr_several several = { .cases = cases, .count = 2 };

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_wait_several(NULL, &several, TMGR_SEVERAL_ALL, TMGR_NOW), -ETIMEDOUT);
	futures_complete(0, -EIO);
	assert_int_equal(tmgr_wait_several(NULL, &several, TMGR_SEVERAL_ALL, TMGR_NOW), 0);
	assert_int_equal(several.error_index, 1);
	futures_fini();
}

/* ---- Races ---------------------------------------------------------------------------------- */

/* Many futures are completed by one thread while members wait for them in all ways, give up, and
 * take shields and copies back. What they wait with is on their stacks. */
enum { ROUNDS = 300, RACERS = 10 };

static struct tmgr_future race[ROUNDS];
static atomic_int wrong, through, gave_up;

static int64_t soon(unsigned *seed)
{
	int dice = rand_r(seed) % 5;

	return dice == 0 ? TMGR_NOW : dice == 1 ? tmgr_after(10 * TMGR_MICROSECOND) : TMGR_NEVER;
}

static void race_once(struct tmgr_context *context, int round, unsigned *seed)
{
	struct tmgr_several_case cases[3];
	struct tmgr_several several = { .cases = cases, .count = 3 };
	enum tmgr_several_mode mode = (enum tmgr_several_mode)(rand_r(seed) % 3);
	struct tmgr_future_write write;
	struct tmgr_shield shield;
	int copy = 0, r;

	tmgr_future_write_to(&race[round], &write, &copy, sizeof(copy));
	tmgr_shield_init(&shield, &race[round]);
	cases[0].future = &shield.future;
	cases[1].future = &race[(round + 1) % ROUNDS];
	cases[2].future = &race[round];
	r = tmgr_wait_several(context, &several, mode, soon(seed));
	if (r == 0 && !tmgr_future_done(cases[several.index].future))
		atomic_fetch_add(&wrong, 1);
	r = tmgr_await(context, &shield.future, soon(seed), NULL);
	/* It was copied before anybody went on. */
	if (r == 0 && copy != futures_answer)
		atomic_fetch_add(&wrong, 1);
	atomic_fetch_add(r == 0 ? &through : &gave_up, 1);
	tmgr_future_remove_write(&race[round], &write);
	tmgr_shield_fini(&shield);
}

static void race_all(struct member *member, struct tmgr_context *context)
{
	unsigned seed = (unsigned)(intptr_t)member->user;

	for (int round = 0; round < ROUNDS; round++)
		race_once(context, round, &seed);
	member->r[0] = 0;
}

static void nobody_is_forgotten_or_touched_too_late(void **state)
{
	struct member members[RACERS];
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	atomic_store(&through, 0);
	atomic_store(&gave_up, 0);
	for (int i = 0; i < ROUNDS; i++)
		tmgr_future_init(&race[i]);
	for (int i = 0; i < RACERS; i++) {
		members[i].user = (void *)(intptr_t)(i + 1);
		crowd_enter(&crowd, &members[i], (enum seat)(i % SEATS), race_all);
	}
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(tmgr_future_complete(&race[i], 0, &futures_answer), 0);
		if (i % 10 == 0)
			tmgr_sleep(NULL, 100 * TMGR_MICROSECOND);
		if (i == ROUNDS / 2)
			member_cancel(&members[RACERS - 1]);
	}
	for (int i = 0; i < RACERS; i++) {
		assert_true(member_leaves(&members[i]));
		assert_int_equal(members[i].r[0], 0);
	}
	assert_int_equal(crowd_end(&crowd), 0);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_int_equal(atomic_load(&through) + atomic_load(&gave_up), ROUNDS * RACERS);
	for (int i = 0; i < ROUNDS; i++)
		tmgr_future_fini(&race[i]);
}

static void they_allocate_nothing(void **state)
{
	struct tmgr_several_case cases[FUTURES];
	struct tmgr_future_write write;
	struct tmgr_shield shield;
	long before = fault_allocations();
	int r, copy;

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_shield_init(&shield, &futures[0]), 0);
	assert_int_equal(tmgr_future_write_to(&futures[0], &write, &copy, sizeof(copy)), 0);
	wait_for(cases, TMGR_SEVERAL_ALL, NULL, tmgr_after(TMGR_MILLISECOND), &r);
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(
		tmgr_await(NULL, &shield.future, tmgr_after(TMGR_MILLISECOND), NULL), -ETIMEDOUT);
	futures_complete(0, 0);
	tmgr_shield_fini(&shield);
	assert_int_equal(fault_allocations(), before);
	futures_fini();
}

static void await_on_thread(void *argument, struct tmgr_context *context)
{
	struct tmgr_shield *shield = argument;

	tmgr_await(context, &shield->future, TMGR_NEVER, NULL);
}

static int end_a_shield_that_is_awaited(void *argument)
{
	static struct actor actor = ACTOR_INIT;
	static struct tmgr_shield shield;

	(void)argument;
	tmgr_shield_init(&shield, &futures[0]);
	actor_start(&actor);
	actor_begin(&actor, await_on_thread, &shield);
	child_check(actor_settles_blocked(&actor));
	tmgr_shield_fini(&shield);
	return 0;
}

static void ending_a_shield_that_is_awaited_stops_the_program(void **state)
{
	struct child child;

	(void)state;
	futures_fresh();
	assert_int_equal(child_run(&child, end_a_shield_that_is_awaited, NULL), 1000 + SIGABRT);
	assert_non_null(strstr(child.text, "future"));
	futures_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: the thread sanitizer takes coroutines for threads, and dislikes forks then. */
		leak_test(ending_a_shield_that_is_awaited_stops_the_program),
		leak_test(several_that_are_done_count_in_order_of_their_index),
		leak_test(none_given_return_at_once),
		leak_test(several_end_the_wait_as_their_mode_says),
		leak_test(one_future_may_be_given_twice),
		leak_test(nobody_is_forgotten_or_touched_too_late),
		leak_test(they_allocate_nothing),
	};

	return cmocka_run_group_tests_name("several", tests, NULL, NULL);
}
