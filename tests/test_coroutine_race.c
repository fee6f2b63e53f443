/*
 * Other threads that cancel coroutines and wait for them while these end.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/support/looped.h"
#include "tests/support/recorded.h"

#define ROUNDS 300

struct race {
	struct tmgr_loop *loop;
	struct tmgr_coroutine *coroutine[ROUNDS];
	int settled, cancelled;
};

static int end_soon(void *self, struct tmgr_context *context)
{
	tmgr_yield(context);
	tmgr_sleep(context, (int64_t)(size_t)self % 7 * 5 * TMGR_MICROSECOND);
	return 0;
}

static void *cancel_from_outside(void *self)
{
	struct race *race = self;

	for (int i = 0; i < ROUNDS; i++) {
		struct tmgr_coroutine *coroutine = race->coroutine[i];
		struct tmgr_future *result = tmgr_coroutine_result(coroutine);

		if (i % 3 == 0)
			tmgr_coroutine_cancel(coroutine, 0, "raced");
		IS(tmgr_future_wait(NULL, result, TMGR_NEVER), 0);
		race->settled++;
		IS(tmgr_future_wait(NULL, tmgr_coroutine_future(coroutine), TMGR_NEVER), 0);
		tmgr_coroutine_unref(coroutine);
	}
	return NULL;
}

static int spawn_and_race(void *self, struct tmgr_context *context)
{
	struct race *race = self;
	pthread_t thread;

	for (int i = 0; i < ROUNDS; i++)
		race->coroutine[i] = spawned(context, "raced", end_soon, (void *)(size_t)i);
	IS(pthread_create(&thread, NULL, cancel_from_outside, race), 0);
	settle(context);
	/* Joining it would block the loop; all it waits for has come. */
	pthread_join(thread, NULL);
	return 0;
}

static void threads_cancel_and_wait_for_results_as_coroutines_end(void **state)
{
	static struct race race;

	memset(&race, 0, sizeof(race));
	assert_int_equal(looped_main(spawn_and_race, &race), 0);
	assert_int_equal(race.settled, ROUNDS);
}

/* With deadlines they are in the timers of the run too; who cancels takes them out, and so does the end. */
struct end_race {
	struct tmgr_coroutine *coroutine[ROUNDS];
	int ending; /* that many have come to their end */
	int cancels;
};

static int end_with_a_deadline(void *self, struct tmgr_context *context)
{
	struct end_race *race = self;

	tmgr_token_set_deadline(tmgr_context_token(context), tmgr_after(60 * TMGR_SECOND));
	__atomic_fetch_add(&race->ending, 1, __ATOMIC_RELEASE);
	return 0;
}

static void *cancel_at_the_end(void *self)
{
	struct end_race *race = self;

	for (int i = 0; i < ROUNDS; i++) {
		while (__atomic_load_n(&race->ending, __ATOMIC_RELAXED) <= i)
			sched_yield();
		tmgr_coroutine_cancel(race->coroutine[i], 0, "at its end");
		race->cancels++;
		tmgr_coroutine_unref(race->coroutine[i]);
	}
	return NULL;
}

static int spawn_and_cancel_at_the_end(void *self, struct tmgr_context *context)
{
	struct end_race *race = self;
	pthread_t thread;

	for (int i = 0; i < ROUNDS; i++)
		race->coroutine[i] = spawned(context, "ending", end_with_a_deadline, race);
	IS(pthread_create(&thread, NULL, cancel_at_the_end, race), 0);
	settle(context);
	pthread_join(thread, NULL);
	return 0;
}

static void a_cancel_from_a_thread_as_one_with_a_deadline_ends(void **state)
{
	static struct end_race race;

	memset(&race, 0, sizeof(race));
	assert_int_equal(looped_main(spawn_and_cancel_at_the_end, &race), 0);
	assert_int_equal(race.cancels, ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(threads_cancel_and_wait_for_results_as_coroutines_end),
		recorded_test(a_cancel_from_a_thread_as_one_with_a_deadline_ends),
	};

	return cmocka_run_group_tests_name("cancelling from threads", tests, NULL, NULL);
}
