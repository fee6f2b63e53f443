/*
 * Mutexes, semaphores and flags: what only they do. How their waits end is in test_wait_endings.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/sync.h>

#include "tests/support/child.h"
#include "tests/support/crowd.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

#define MEMBERS 10

static void all_zero_is_free_empty_and_clear(void **state)
{
	static struct tmgr_mutex mutex;
	static struct tmgr_semaphore semaphore;
	static struct tmgr_flag flag;

	(void)state;
	assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NOW), 0);
	assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), 0);
	assert_int_equal(tmgr_semaphore_count(&semaphore), 0);
	assert_int_equal(tmgr_semaphore_acquire(NULL, &semaphore, TMGR_NOW), -ETIMEDOUT);
	assert_false(tmgr_flag_is_set(&flag));
	assert_int_equal(tmgr_flag_wait(NULL, &flag, TMGR_NOW), -ETIMEDOUT);
	tmgr_mutex_fini(&mutex);
	tmgr_semaphore_fini(&semaphore);
	tmgr_flag_fini(&flag);
}

static void they_can_be_made_of_any_memory(void **state)
{
	struct tmgr_mutex made, initialized = TMGR_MUTEX_INIT;
	struct tmgr_semaphore made_two, two = TMGR_SEMAPHORE_INIT(2);
	struct tmgr_flag made_clear, clear = TMGR_FLAG_INIT;

	(void)state;
	memset(&made, 0xff, sizeof(made));
	memset(&made_two, 0xff, sizeof(made_two));
	memset(&made_clear, 0xff, sizeof(made_clear));
	tmgr_mutex_init(&made);
	tmgr_semaphore_init(&made_two, 2);
	tmgr_flag_init(&made_clear);
	assert_int_equal(tmgr_mutex_unlock(NULL, &made), -EPERM);
	assert_int_equal(tmgr_mutex_unlock(NULL, &initialized), -EPERM);
	assert_int_equal(tmgr_mutex_lock(NULL, &made, TMGR_NOW), 0);
	assert_int_equal(tmgr_mutex_lock(NULL, &initialized, TMGR_NOW), 0);
	assert_int_equal(tmgr_mutex_unlock(NULL, &made), 0);
	assert_int_equal(tmgr_mutex_unlock(NULL, &initialized), 0);
	assert_int_equal(tmgr_semaphore_count(&made_two), 2);
	assert_int_equal(tmgr_semaphore_count(&two), 2);
	assert_false(tmgr_flag_is_set(&made_clear));
	assert_false(tmgr_flag_is_set(&clear));
	tmgr_mutex_fini(&made);
	tmgr_mutex_fini(&initialized);
	tmgr_semaphore_fini(&made_two);
	tmgr_semaphore_fini(&two);
	tmgr_flag_fini(&made_clear);
	tmgr_flag_fini(&clear);
}

static void nothing_is_an_invalid_argument_and_ends_quietly(void **state)
{
	(void)state;
	assert_int_equal(tmgr_mutex_lock(NULL, NULL, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_mutex_unlock(NULL, NULL), -EINVAL);
	assert_int_equal(tmgr_semaphore_acquire(NULL, NULL, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_semaphore_release(NULL), -EINVAL);
	assert_int_equal(tmgr_semaphore_count(NULL), 0);
	assert_int_equal(tmgr_flag_wait(NULL, NULL, TMGR_NOW), -EINVAL);
	assert_int_equal(tmgr_flag_set(NULL), -EINVAL);
	assert_int_equal(tmgr_flag_clear(NULL), -EINVAL);
	assert_false(tmgr_flag_is_set(NULL));
	tmgr_mutex_init(NULL);
	tmgr_mutex_fini(NULL);
	tmgr_semaphore_init(NULL, 1);
	tmgr_semaphore_fini(NULL);
	tmgr_flag_init(NULL);
	tmgr_flag_fini(NULL);
}

static struct tmgr_mutex mutex;
static struct tmgr_semaphore semaphore;
static struct tmgr_flag flag, go_on;
static struct recorder recorder = RECORDER_INIT;

static void fresh(void)
{
	tmgr_mutex_init(&mutex);
	tmgr_semaphore_init(&semaphore, 0);
	tmgr_flag_init(&flag);
	tmgr_flag_init(&go_on);
	recorder_clear(&recorder);
}

static void fini_all(void)
{
	tmgr_mutex_fini(&mutex);
	tmgr_semaphore_fini(&semaphore);
	tmgr_flag_fini(&flag);
	tmgr_flag_fini(&go_on);
}

static void a_mutex_cannot_be_taken_twice_nor_be_given_up_without(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), -EPERM);
	assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NEVER), 0);
	assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NEVER), -EDEADLK);
	assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NOW), -EDEADLK);
	assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), 0);
	assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), -EPERM);
	fini_all();
}

static void take_what_another_holds(struct member *member, struct tmgr_context *context)
{
	member->r[0] = tmgr_mutex_unlock(context, &mutex);
	member->r[1] = tmgr_mutex_lock(context, &mutex, TMGR_NOW);
	member->r[2] = tmgr_mutex_unlock(context, &mutex);
}

static void a_mutex_that_another_holds_cannot_be_given_up(void **state)
{
	struct member member;
	struct crowd crowd;

	(void)state;
	fresh();
	crowd_start(&crowd);
	assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NEVER), 0);
	for (enum seat seat = 0; seat < SEATS; seat++) {
		crowd_enter(&crowd, &member, seat, take_what_another_holds);
		assert_true(member_leaves(&member));
		assert_int_equal(member.r[0], -EPERM);
		assert_int_equal(member.r[1], -ETIMEDOUT);
		assert_int_equal(member.r[2], -EPERM);
	}
	assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), 0);
	assert_int_equal(crowd_end(&crowd), 0);
	fini_all();
}

static void hold_while_cancelled(struct member *member, struct tmgr_context *context)
{
	member->r[0] = tmgr_mutex_lock(context, &mutex, TMGR_NEVER);
	member->r[1] = tmgr_flag_wait(context, &go_on, TMGR_NEVER);
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	member->r[2] = tmgr_flag_wait(context, &flag, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	member->r[3] = tmgr_mutex_unlock(context, &mutex);
	member->r[4] = tmgr_mutex_lock(context, &mutex, TMGR_NEVER);
}

static void cancelling_who_holds_a_mutex_changes_nothing(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (enum seat seat = SEAT_THREAD; seat < SEATS; seat++) {
		struct member member;

		fresh();
		crowd_enter(&crowd, &member, seat, hold_while_cancelled);
		assert_true(member_waits(&member, "flag"));
		member_cancel(&member);
		assert_int_equal(
			tmgr_mutex_lock(NULL, &mutex, tmgr_after(TMGR_MILLISECOND)), -ETIMEDOUT);
		assert_int_equal(tmgr_flag_set(&flag), 0);
		assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NEVER), 0);
		assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), 0);
		assert_true(member_leaves(&member));
		assert_int_equal(member.r[0], 0);
		assert_int_equal(member.r[1], -ECANCELED);
		assert_int_equal(member.r[2], 0);
		assert_int_equal(member.r[3], 0);
		assert_int_equal(member.r[4], -ECANCELED);
		fini_all();
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

static void hold_until_told(struct member *member, struct tmgr_context *context)
{
	member->r[0] = tmgr_mutex_lock(context, &mutex, TMGR_NEVER);
	member->r[1] = tmgr_flag_wait(context, &go_on, TMGR_NEVER);
	member->r[2] = tmgr_mutex_unlock(context, &mutex);
}

static void a_mutex_is_handed_over_before_anybody_gets_in_between(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (enum seat seat = 0; seat < SEATS; seat++) {
		struct member member;

		fresh();
		assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NEVER), 0);
		crowd_enter(&crowd, &member, seat, hold_until_told);
		assert_true(member_waits(&member, "mutex"));
		assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), 0);
		/* It may not have run yet; it holds it, all the same. */
		assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NOW), -ETIMEDOUT);
		assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), -EPERM);
		tmgr_flag_set(&go_on);
		assert_true(member_leaves(&member));
		assert_int_equal(member.r[0] | member.r[1] | member.r[2], 0);
		fini_all();
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

static void lock_and_say_so(struct member *member, struct tmgr_context *context)
{
	member->r[0] = tmgr_mutex_lock(context, &mutex, TMGR_NEVER);
	recorder_add(&recorder, "%c", (char)(intptr_t)member->user);
	member->r[1] = tmgr_mutex_unlock(context, &mutex);
}

static void acquire_and_say_so(struct member *member, struct tmgr_context *context)
{
	member->r[0] = tmgr_semaphore_acquire(context, &semaphore, TMGR_NEVER);
	recorder_add(&recorder, "%c", (char)(intptr_t)member->user);
	member->r[1] = tmgr_semaphore_release(&semaphore);
}

/* Members come one after the other, each from another seat; what they said, in order. */
static const char *come_and_go(
	struct crowd *crowd, member_function *function, const char *what, void (*open)(void))
{
	struct member members[MEMBERS];

	for (int i = 0; i < MEMBERS; i++) {
		members[i].user = (void *)(intptr_t)('a' + i);
		crowd_enter(crowd, &members[i], (enum seat)(i % SEATS), function);
		assert_true(member_waits(&members[i], what));
	}
	open();
	for (int i = 0; i < MEMBERS; i++) {
		assert_true(member_leaves(&members[i]));
		assert_int_equal(members[i].r[0], 0);
		assert_int_equal(members[i].r[1], 0);
	}
	return recorder_text(&recorder);
}

static void unlock(void)
{
	assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), 0);
}

static void release(void)
{
	assert_int_equal(tmgr_semaphore_release(&semaphore), 0);
}

static void who_waits_is_served_in_order_whatever_it_runs_on(void **state)
{
	struct crowd crowd;

	(void)state;
	fresh();
	crowd_start(&crowd);
	assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NEVER), 0);
	assert_string_equal(
		come_and_go(&crowd, lock_and_say_so, "mutex", unlock), "a b c d e f g h i j");
	recorder_clear(&recorder);
	assert_string_equal(come_and_go(&crowd, acquire_and_say_so, "semaphore", release),
		"a b c d e f g h i j");
	assert_int_equal(crowd_end(&crowd), 0);
	assert_int_equal(tmgr_semaphore_count(&semaphore), 1);
	fini_all();
}

static void a_semaphore_counts_up_to_its_end(void **state)
{
	(void)state;
	fresh();
	tmgr_semaphore_init(&semaphore, 2);
	assert_int_equal(tmgr_semaphore_acquire(NULL, &semaphore, TMGR_NOW), 0);
	assert_int_equal(tmgr_semaphore_acquire(NULL, &semaphore, TMGR_NOW), 0);
	assert_int_equal(tmgr_semaphore_acquire(NULL, &semaphore, TMGR_NOW), -ETIMEDOUT);
	assert_int_equal(tmgr_semaphore_release(&semaphore), 0);
	assert_int_equal(tmgr_semaphore_count(&semaphore), 1);
	tmgr_semaphore_init(&semaphore, UINT_MAX - 1);
	assert_int_equal(tmgr_semaphore_release(&semaphore), 0);
	assert_int_equal(tmgr_semaphore_release(&semaphore), -EOVERFLOW);
	assert_int_equal(tmgr_semaphore_count(&semaphore), UINT_MAX);
	fini_all();
}

static void wait_for_flag(struct member *member, struct tmgr_context *context)
{
	member->r[0] = tmgr_flag_wait(context, &flag, TMGR_NEVER);
}

static void setting_a_flag_wakes_all_even_if_it_is_cleared_at_once(void **state)
{
	struct member members[MEMBERS];
	struct crowd crowd;

	(void)state;
	fresh();
	crowd_start(&crowd);
	for (int i = 0; i < MEMBERS; i++) {
		crowd_enter(&crowd, &members[i], (enum seat)(i % SEATS), wait_for_flag);
		assert_true(member_waits(&members[i], "flag"));
	}
	assert_int_equal(tmgr_flag_set(&flag), 0);
	assert_int_equal(tmgr_flag_clear(&flag), 0);
	for (int i = 0; i < MEMBERS; i++) {
		assert_true(member_leaves(&members[i]));
		assert_int_equal(members[i].r[0], 0);
	}
	assert_false(tmgr_flag_is_set(&flag));
	assert_int_equal(tmgr_flag_set(&flag), 0);
	assert_int_equal(tmgr_flag_set(&flag), 0);
	assert_true(tmgr_flag_is_set(&flag));
	assert_int_equal(tmgr_flag_wait(NULL, &flag, TMGR_NOW), 0);
	assert_int_equal(crowd_end(&crowd), 0);
	fini_all();
}

static void they_allocate_nothing(void **state)
{
	long before;

	(void)state;
	fresh();
	before = fault_allocations();
	tmgr_semaphore_init(&semaphore, 1);
	for (int i = 0; i < 3; i++) {
		tmgr_mutex_lock(NULL, &mutex, TMGR_NEVER);
		tmgr_mutex_unlock(NULL, &mutex);
		tmgr_semaphore_acquire(NULL, &semaphore, TMGR_NEVER);
		tmgr_semaphore_acquire(NULL, &semaphore, tmgr_after(TMGR_MILLISECOND));
		tmgr_semaphore_release(&semaphore);
		tmgr_flag_wait(NULL, &flag, tmgr_after(TMGR_MILLISECOND));
	}
	assert_int_equal(fault_allocations(), before);
	fini_all();
}

/* Stress: all of them at once, some with deadlines, some cancelled. */
enum { ROUNDS = 400 };

static struct tmgr_semaphore for_two;
static int inside; /* guarded by mutex */
static atomic_int at_once, most_at_once, entered, refused;

static void be_inside(struct tmgr_context *context, int round)
{
	int now = atomic_fetch_add(&at_once, 1) + 1, most = atomic_load(&most_at_once);

	while (now > most && !atomic_compare_exchange_weak(&most_at_once, &most, now))
		;
	if (round % 7 == 0)
		tmgr_yield(context);
	atomic_fetch_sub(&at_once, 1);
}

static void rush(struct member *member, struct tmgr_context *context)
{
	unsigned seed = (unsigned)(intptr_t)member->user;

	member->r[0] = 0;
	for (int round = 0; round < ROUNDS; round++) {
		int64_t deadline = TMGR_NEVER;

		if (rand_r(&seed) % 4 == 0)
			deadline = rand_r(&seed) % 2 ? TMGR_NOW : tmgr_after(20 * TMGR_MICROSECOND);
		if (tmgr_mutex_lock(context, &mutex, deadline) == 0) {
			int before = inside;

			if (round % 5 == 0)
				tmgr_yield(context);
			inside = before + 1;
			atomic_fetch_add(&entered, 1);
			member->r[0] |= tmgr_mutex_unlock(context, &mutex);
		} else {
			atomic_fetch_add(&refused, 1);
		}
		if (tmgr_semaphore_acquire(context, &for_two, deadline) == 0) {
			be_inside(context, round);
			member->r[0] |= tmgr_semaphore_release(&for_two);
		}
	}
}

static void many_who_give_up_break_no_rule(void **state)
{
	struct member members[MEMBERS];
	struct crowd crowd;

	(void)state;
	fresh();
	tmgr_semaphore_init(&for_two, 2);
	inside = 0;
	crowd_start(&crowd);
	for (int i = 0; i < MEMBERS; i++) {
		members[i].user = (void *)(intptr_t)(i + 1);
		crowd_enter(&crowd, &members[i], (enum seat)(i % SEATS), rush);
	}
	/* These go on without taking anything from then on. */
	for (int i = 0; i < MEMBERS; i += 3) {
		tmgr_sleep(NULL, TMGR_MILLISECOND);
		member_cancel(&members[i]);
	}
	for (int i = 0; i < MEMBERS; i++) {
		assert_true(member_leaves(&members[i]));
		assert_int_equal(members[i].r[0], 0);
	}
	assert_int_equal(crowd_end(&crowd), 0);
	assert_int_equal(inside, atomic_load(&entered));
	assert_int_equal(atomic_load(&entered) + atomic_load(&refused), MEMBERS * ROUNDS);
	assert_true(atomic_load(&most_at_once) <= 2);
	assert_int_equal(tmgr_semaphore_count(&for_two), 2);
	assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NOW), 0);
	unlock();
	tmgr_semaphore_fini(&for_two);
	fini_all();
}

static int end_a_mutex_that_is_held(void *argument)
{
	(void)argument;
	tmgr_mutex_lock(NULL, &mutex, TMGR_NOW);
	tmgr_mutex_fini(&mutex);
	return 0;
}

static void wait_on_thread(void *argument, struct tmgr_context *context)
{
	if (argument == &semaphore)
		tmgr_semaphore_acquire(context, &semaphore, TMGR_NEVER);
	else
		tmgr_flag_wait(context, &flag, TMGR_NEVER);
}

static int end_what_is_waited_for(void *argument)
{
	static struct actor actor = ACTOR_INIT;

	actor_start(&actor);
	actor_begin(&actor, wait_on_thread, argument);
	child_check(actor_settles_blocked(&actor));
	if (argument == &semaphore)
		tmgr_semaphore_fini(&semaphore);
	else
		tmgr_flag_fini(&flag);
	return 0;
}

static void ending_one_in_use_stops_the_program_with_a_message(void **state)
{
	struct child child;

	(void)state;
	fresh();
	assert_int_equal(child_run(&child, end_a_mutex_that_is_held, NULL), 1000 + SIGABRT);
	assert_non_null(strstr(child.text, "mutex"));
	assert_int_equal(child_run(&child, end_what_is_waited_for, &semaphore), 1000 + SIGABRT);
	assert_non_null(strstr(child.text, "semaphore"));
	assert_int_equal(child_run(&child, end_what_is_waited_for, &flag), 1000 + SIGABRT);
	assert_non_null(strstr(child.text, "flag"));
	fini_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: the thread sanitizer takes coroutines for threads, and dislikes forks then. */
		leak_test(ending_one_in_use_stops_the_program_with_a_message),
		leak_test(all_zero_is_free_empty_and_clear),
		leak_test(they_can_be_made_of_any_memory),
		leak_test(nothing_is_an_invalid_argument_and_ends_quietly),
		leak_test(a_mutex_cannot_be_taken_twice_nor_be_given_up_without),
		leak_test(a_mutex_that_another_holds_cannot_be_given_up),
		leak_test(cancelling_who_holds_a_mutex_changes_nothing),
		leak_test(a_mutex_is_handed_over_before_anybody_gets_in_between),
		leak_test(who_waits_is_served_in_order_whatever_it_runs_on),
		leak_test(a_semaphore_counts_up_to_its_end),
		leak_test(setting_a_flag_wakes_all_even_if_it_is_cleared_at_once),
		leak_test(they_allocate_nothing),
		leak_test(many_who_give_up_break_no_rule),
	};

	return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
