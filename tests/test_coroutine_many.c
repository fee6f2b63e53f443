/*
 * Very many coroutines: long chains, bursts, other threads that spawn them.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "tests/support/looped.h"
#include "tests/support/recorded.h"

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

/* ---- Many ----------------------------------------------------------------------------------- */

struct chain {
	int left;
	size_t stacks;
};

static int spawn_next(void *self, struct tmgr_context *context)
{
	struct chain *chain = self;
	struct tmgr_loop_stats stats;

	tmgr_loop_stats(tmgr_loop_current(), &stats);
	if (stats.stacks > chain->stacks)
		chain->stacks = stats.stacks;
	/* Their tokens hang below each other. */
	IS(tmgr_context_cancelled(context), false);
	if (chain->left-- > 0)
		spawn(context, "next", spawn_next, chain);
	return 0;
}

static void a_chain_of_10000_spawns_needs_no_more_memory_than_a_few(void **state)
{
	struct chain chain = { .left = 10000 };
	struct tmgr_loop_stats stats;
	struct tmgr_loop *loop;

	assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
	tmgr_loop_stats(loop, &stats);
	tmgr_loop_unref(loop);
	assert_int_equal(looped_main(spawn_next, &chain), 0);
	assert_int_equal(chain.left, -1);
	assert_true(chain.stacks <= stats.stacks + 64);
}

static int await_next(void *self, struct tmgr_context *context)
{
	int *left = self;

	if (*left == 0)
		return -ENOSPC;
	(*left)--;
	return awaited(context, spawned(context, "next", await_next, left));
}

static void a_result_comes_up_through_a_thousand_that_await_each_other(void **state)
{
	int left = 1000;

	assert_int_equal(looped_main(await_next, &left), -ENOSPC);
}

static int add_one(void *self, struct tmgr_context *context)
{
	int *count = self;

	tmgr_yield(context);
	(*count)++;
	return 0;
}

static int spawn_bursts(void *self, struct tmgr_context *context)
{
	int *count = self;

	for (int burst = 0; burst < 5; burst++) {
		for (int i = 0; i < 2000; i++)
			spawn(context, NULL, add_one, count);
		settle(context);
		IS(*count, 2000 * (burst + 1));
	}
	return 0;
}

static void bursts_of_thousands_all_run(void **state)
{
	int count = 0;

	assert_int_equal(looped_main(spawn_bursts, &count), 0);
	assert_int_equal(count, 10000);
}

#define THREADS 4
#define SPAWNS 500

struct foreign {
	struct tmgr_loop *loop;
	struct tmgr_coroutine *kept[THREADS][SPAWNS];
	int number;
	int next[THREADS], count, refused;
};

struct foreigner {
	struct foreign *foreign;
	int number;
};

static struct foreign *foreign_now;

/* self is a thread's number and the spawn's, in one. */
static int note_foreign(void *self, struct tmgr_context *context)
{
	size_t which = (size_t)self;

	IS(foreign_now->next[which / SPAWNS]++, which % SPAWNS);
	foreign_now->count++;
	return 0;
}

static void *spawn_from_outside(void *self)
{
	struct foreigner *foreigner = self;
	struct foreign *foreign = foreigner->foreign;

	for (size_t i = 0; i < SPAWNS; i++) {
		struct tmgr_coroutine **kept = &foreign->kept[foreigner->number][i];
		size_t which = (size_t)foreigner->number * SPAWNS + i;

		IS(tmgr_loop_spawn(foreign->loop, note_foreign, (void *)which, NULL,
			   i % 2 == 0 ? kept : NULL),
			0);
		/* Some are given back while they run, or before. */
		if (i % 4 == 0)
			tmgr_coroutine_unref(*kept);
	}
	for (size_t i = 2; i < SPAWNS; i += 4) {
		IS(tmgr_coroutine_await(
			   NULL, foreign->kept[foreigner->number][i], TMGR_NEVER, NULL),
			0);
		tmgr_coroutine_unref(foreign->kept[foreigner->number][i]);
	}
	return NULL;
}

static void threads_spawn_await_and_give_handles_back(void **state)
{
	static struct foreign foreign;
	struct foreigner foreigners[THREADS];
	pthread_t threads[THREADS];
	struct tmgr_coroutine *late;
	struct looped looped;

	memset(&foreign, 0, sizeof(foreign));
	foreign_now = &foreign;
	looped_start(&looped, NULL);
	assert_true(task_reaches(looped.hosted.manager, "task", TMGR_STATE_RUNNING));
	while (tmgr_loop_spawn(looped.loop, wait_for_ever, NULL, NULL, &late) == -ESHUTDOWN)
		sched_yield();
	tmgr_coroutine_cancel(late, 0, NULL);
	tmgr_coroutine_unref(late);
	foreign.loop = looped.loop;
	for (int i = 0; i < THREADS; i++) {
		foreigners[i] = (struct foreigner){ &foreign, i };
		assert_int_equal(
			pthread_create(&threads[i], NULL, spawn_from_outside, &foreigners[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	tmgr_manager_cancel(looped.hosted.manager);
	assert_int_equal(runner_join(&looped.hosted.runner), 0);
	assert_int_equal(tmgr_loop_spawn(looped.loop, wait_for_ever, NULL, NULL, NULL), -ESHUTDOWN);
	tmgr_manager_destroy(looped.hosted.manager);
	tmgr_loop_unref(looped.loop);
	/* Those at the end may have been cancelled before they began. */
	assert_true(foreign.count <= THREADS * SPAWNS);
	assert_true(foreign.count >= THREADS * SPAWNS - THREADS);
}

/* ---- The thread below ----------------------------------------------------------------------- */

static __thread int of_thread;

static int use_thread_local(void *self, struct tmgr_context *context)
{
	pthread_t thread = pthread_self();
	int *at = &of_thread;

	for (int i = 0; i < 100; i++) {
		of_thread++;
		tmgr_yield(context);
	}
	IS(at == &of_thread, true);
	IS(pthread_equal(thread, pthread_self()) != 0, true);
	return 0;
}

static int share_thread_local(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *a = spawned(context, "a", use_thread_local, NULL);
	struct tmgr_coroutine *b = spawned(context, "b", use_thread_local, NULL);

	IS(awaited(context, a), 0);
	IS(awaited(context, b), 0);
	IS(of_thread, 200);
	return 0;
}

static void coroutines_of_a_loop_share_its_threads_variables(void **state)
{
	assert_int_equal(looped_main(share_thread_local, NULL), 0);
	assert_int_equal(of_thread, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(a_chain_of_10000_spawns_needs_no_more_memory_than_a_few),
		recorded_test(a_result_comes_up_through_a_thousand_that_await_each_other),
		recorded_test(bursts_of_thousands_all_run),
		recorded_test(threads_spawn_await_and_give_handles_back),
		recorded_test(coroutines_of_a_loop_share_its_threads_variables),
	};

	return cmocka_run_group_tests_name("many coroutines", tests, NULL, NULL);
}
