/*
 * The most coroutines that a loop may have: counted from their spawn, from whatever thread, until their
 * function has returned.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <taskmgr/sync.h>

#include "tests/support/crew.h"
#include "tests/support/expect.h"
#include "tests/support/fault.h"
#include "tests/support/latch.h"
#include "tests/support/leak.h"
#include "tests/support/looped.h"

/* A loop whose main keeps its thread until the latch is open, and then waits until it may end. */
struct limited {
	struct looped looped;
	struct latch latch;
	struct tmgr_flag end;
	atomic_int alive, most, ran;
};

static int keep_the_loop(void *self, struct tmgr_context *context)
{
	struct limited *limited = self;

	latch_wait(&limited->latch);
	return tmgr_flag_wait(context, &limited->end, TMGR_NEVER);
}

static void begin(struct limited *limited, size_t max, size_t stack_size)
{
	struct tmgr_loop_options options = {
		.main = keep_the_loop,
		.self = limited,
		.coroutines_max = max,
		.stack_size = stack_size,
	};

	*limited = (struct limited){ .end = TMGR_FLAG_INIT };
	latch_init(&limited->latch);
	looped_start(&limited->looped, &options);
	assert_true(latch_arrived(&limited->latch, 1));
}

static void end(struct limited *limited)
{
	latch_open(&limited->latch);
	tmgr_flag_set(&limited->end);
	assert_int_equal(looped_end(&limited->looped).result, 0);
}

static int wait_for_end(void *self, struct tmgr_context *context)
{
	struct limited *limited = self;

	return tmgr_flag_wait(context, &limited->end, TMGR_NEVER);
}

static int be_alive(void *self, struct tmgr_context *context)
{
	struct limited *limited = self;
	int alive = atomic_fetch_add(&limited->alive, 1) + 1, most = atomic_load(&limited->most);

	while (alive > most && !atomic_compare_exchange_weak(&limited->most, &most, alive))
		;
	tmgr_yield(context);
	atomic_fetch_sub(&limited->alive, 1);
	atomic_fetch_add(&limited->ran, 1);
	return 0;
}

static int spawn_on(struct limited *limited, int (*function)(void *, struct tmgr_context *))
{
	return tmgr_loop_spawn(limited->looped.loop, function, limited, NULL, NULL);
}

static void those_on_their_way_from_other_threads_count(void **state)
{
	struct limited limited;

	begin(&limited, 3, 0);
	assert_int_equal(spawn_on(&limited, wait_for_end), 0);
	assert_int_equal(spawn_on(&limited, wait_for_end), 0);
	assert_int_equal(spawn_on(&limited, wait_for_end), -EAGAIN);
	end(&limited);
}

static void one_that_could_not_be_made_takes_no_place(void **state)
{
	struct limited limited;
	int r;

	/* Stacks of this size were not used before. */
	begin(&limited, 2, 16384);
	fault_fail_mapping(1);
	r = spawn_on(&limited, wait_for_end);
	if (fault_happened()) {
		assert_int_equal(r, -ENOMEM);
		r = spawn_on(&limited, wait_for_end);
	}
	fault_off();
	assert_int_equal(r, 0);
	assert_int_equal(spawn_on(&limited, wait_for_end), -EAGAIN);
	end(&limited);
}

static void who_has_awaited_one_may_spawn_another(void **state)
{
	struct tmgr_coroutine *coroutine;
	struct limited limited;

	begin(&limited, 2, 0);
	latch_open(&limited.latch);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(
			tmgr_loop_spawn(limited.looped.loop, be_alive, &limited, NULL, &coroutine),
			0);
		assert_int_equal(tmgr_coroutine_await(NULL, coroutine, TMGR_NEVER, NULL), 0);
		tmgr_coroutine_unref(coroutine);
	}
	end(&limited);
}

#define THREADS 3
#define EACH 300

static void *spawn_many(void *argument)
{
	struct limited *limited = argument;

	for (int done = 0; done < EACH;) {
		int r = spawn_on(limited, be_alive);

		IS(r == 0 || r == -EAGAIN, true);
		done += r == 0;
		if (r < 0)
			sched_yield();
	}
	return NULL;
}

static void many_threads_make_no_more_than_the_maximum(void **state)
{
	pthread_t threads[THREADS];
	struct limited limited;

	wrong = 0;
	begin(&limited, 5, 0);
	latch_open(&limited.latch);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, spawn_many, &limited), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	end(&limited);
	assert_int_equal(wrong, 0);
	assert_int_equal(atomic_load(&limited.ran), THREADS * EACH);
	/* Main is one of the five. */
	assert_true(atomic_load(&limited.most) <= 4);
}

static int return_0(void *self, struct tmgr_context *context)
{
	return 0;
}

static void *spawn_as_soon_as_it_runs(void *argument)
{
	struct tmgr_loop *loop = argument;

	while (tmgr_loop_spawn(loop, return_0, NULL, NULL, NULL) == -ESHUTDOWN)
		;
	return NULL;
}

/* Whoever comes first. */
static void main_has_its_place(void **state)
{
	for (int i = 0; i < 50; i++) {
		struct latch latch = LATCH_INIT;
		struct limited limited = { .latch = latch, .end = TMGR_FLAG_INIT };
		struct tmgr_loop_options options = {
			.main = keep_the_loop,
			.self = &limited,
			.coroutines_max = 1,
		};
		pthread_t thread;

		assert_int_equal(tmgr_loop_create(&options, &limited.looped.loop), 0);
		assert_int_equal(pthread_create(&thread, NULL, spawn_as_soon_as_it_runs,
					 limited.looped.loop),
			0);
		hosted_start(&limited.looped.hosted, tmgr_loop_task(limited.looped.loop));
		pthread_join(thread, NULL);
		end(&limited);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(those_on_their_way_from_other_threads_count),
		leak_test(one_that_could_not_be_made_takes_no_place),
		leak_test(who_has_awaited_one_may_spawn_another),
		leak_test(many_threads_make_no_more_than_the_maximum),
		leak_test(main_has_its_place),
	};

	return cmocka_run_group_tests(tests, crew_warm_up, NULL);
}
