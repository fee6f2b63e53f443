#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include <taskmgr/future.h>

#include "tests/support/actor.h"
#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static int answer = 42;

static void all_zero_is_pending(void **state)
{
	static struct tmgr_future of_zeros;
	struct tmgr_future initialized = TMGR_FUTURE_INIT, made;
	int error = 7;
	void *value = &answer;

	(void)state;
	memset(&made, 0xff, sizeof(made));
	tmgr_future_init(&made);
	assert_false(tmgr_future_done(&of_zeros));
	assert_false(tmgr_future_done(&initialized));
	assert_false(tmgr_future_done(&made));
	assert_false(tmgr_future_done(NULL));
	assert_int_equal(tmgr_future_result(&of_zeros, &error, &value), -EAGAIN);
	assert_int_equal(error, 7);
	assert_ptr_equal(value, &answer);
	tmgr_future_fini(&made);
	tmgr_future_fini(&initialized);
	tmgr_future_fini(&of_zeros);
}

static void the_first_result_wins_and_both_parts_survive(void **state)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	int error = 0;
	void *value = NULL;

	(void)state;
	assert_int_equal(tmgr_future_complete(&future, -EIO, &answer), 0);
	assert_int_equal(tmgr_future_complete(&future, 0, NULL), -EALREADY);
	assert_true(tmgr_future_done(&future));
	assert_int_equal(tmgr_future_result(&future, &error, &value), 0);
	assert_int_equal(error, -EIO);
	assert_ptr_equal(value, &answer);
	assert_int_equal(tmgr_future_result(&future, NULL, NULL), 0);
	tmgr_future_fini(&future);
}

static void a_positive_error_is_refused(void **state)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;

	(void)state;
	assert_int_equal(tmgr_future_complete(&future, EIO, NULL), -EINVAL);
	assert_false(tmgr_future_done(&future));
	tmgr_future_fini(&future);
}

static void waiting_for_one_that_is_done_returns_at_once(void **state)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;

	(void)state;
	assert_int_equal(tmgr_future_complete(&future, -EIO, NULL), 0);
	assert_int_equal(tmgr_future_wait(NULL, &future, TMGR_NEVER), 0);
	assert_int_equal(tmgr_future_wait(NULL, &future, TMGR_NOW), 0);
	tmgr_future_fini(&future);
}

static void a_deadline_ends_the_wait(void **state)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	int64_t begin = tmgr_now(), end = tmgr_after(20 * TMGR_MILLISECOND);

	(void)state;
	assert_int_equal(tmgr_future_wait(NULL, &future, TMGR_NOW), -ETIMEDOUT);
	assert_int_equal(tmgr_future_wait(NULL, &future, begin - 1), -ETIMEDOUT);
	assert_int_equal(tmgr_future_wait(NULL, &future, end), -ETIMEDOUT);
	assert_true(tmgr_now() >= end);
	assert_true(tmgr_now() < end + 10 * TMGR_SECOND);
	tmgr_future_fini(&future);
}

struct waiting {
	struct tmgr_future *future;
	int64_t deadline;
	int result, error;
	void *value;
};

static void wait_for_future(void *argument, struct tmgr_context *context)
{
	struct waiting *waiting = argument;

	waiting->result = tmgr_future_wait(context, waiting->future, waiting->deadline);
	tmgr_future_result(waiting->future, &waiting->error, &waiting->value);
}

static void all_who_wait_are_woken(void **state)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct actor actors[3] = { ACTOR_INIT, ACTOR_INIT, ACTOR_INIT };
	struct waiting waiting[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		waiting[i] = (struct waiting){ &future, TMGR_NEVER, 1, 1, NULL };
		actor_start(&actors[i]);
		actor_begin(&actors[i], wait_for_future, &waiting[i]);
	}
	for (size_t i = 0; i < 3; i++)
		assert_true(actor_settles_blocked(&actors[i]));
	assert_int_equal(tmgr_future_complete(&future, -EPIPE, &answer), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_true(actor_finishes(&actors[i]));
		assert_int_equal(waiting[i].result, 0);
		assert_int_equal(waiting[i].error, -EPIPE);
		assert_ptr_equal(waiting[i].value, &answer);
		actor_quit(&actors[i]);
	}
	tmgr_future_fini(&future);
}

static void one_who_gave_up_is_not_touched_again(void **state)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct actor actors[2] = { ACTOR_INIT, ACTOR_INIT };
	struct waiting patient = { &future, TMGR_NEVER, 1, 1, NULL };
	struct waiting hasty = { &future, tmgr_after(20 * TMGR_MILLISECOND), 1, 1, NULL };

	(void)state;
	for (size_t i = 0; i < 2; i++)
		actor_start(&actors[i]);
	actor_begin(&actors[0], wait_for_future, &patient);
	assert_true(actor_settles_blocked(&actors[0]));
	assert_true(actor_does(&actors[1], wait_for_future, &hasty));
	assert_int_equal(hasty.result, -ETIMEDOUT);
	assert_int_equal(tmgr_future_complete(&future, 0, NULL), 0);
	assert_true(actor_finishes(&actors[0]));
	assert_int_equal(patient.result, 0);
	for (size_t i = 0; i < 2; i++)
		actor_quit(&actors[i]);
	tmgr_future_fini(&future);
}

/* A task that waits for a future as often as it is told to. */
static struct tmgr_future shared_future;
static int results[4];

static int wait_twice(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	results[0] = tmgr_future_wait(context, &shared_future, TMGR_NEVER);
	results[1] = tmgr_future_wait(context, &shared_future, TMGR_NEVER);
	results[2] = tmgr_future_wait(context, &shared_future, TMGR_NOW);
	return 0;
}

static void a_cancel_ends_the_wait(void **state)
{
	struct probe probe = PROBE(.name = "waiter", .on_execute = wait_twice);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	tmgr_future_init(&shared_future);
	memset(results, 1, sizeof(results));
	assert_int_equal(
		tmgr_manager_add_task(manager, "waiter", probe_task(&probe), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "waiter", "future"));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(results[0], -ECANCELED);
	assert_int_equal(results[1], -ECANCELED);
	assert_int_equal(results[2], -ECANCELED);
	tmgr_manager_destroy(manager);
	tmgr_future_fini(&shared_future);
}

static int wait_when_done_and_fired(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	while (!tmgr_context_cancelled(context))
		tmgr_yield(context);
	results[0] = tmgr_future_wait(context, &shared_future, TMGR_NEVER);
	return 0;
}

static void a_wait_begun_after_firing_takes_nothing_even_if_it_is_done(void **state)
{
	struct probe probe = PROBE(.name = "waiter", .on_execute = wait_when_done_and_fired);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	tmgr_future_init(&shared_future);
	results[0] = 1;
	assert_int_equal(tmgr_future_complete(&shared_future, 0, NULL), 0);
	assert_int_equal(
		tmgr_manager_add_task(manager, "waiter", probe_task(&probe), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&probe.executing, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(results[0], -ECANCELED);
	tmgr_manager_destroy(manager);
	tmgr_future_fini(&shared_future);
}

struct order {
	int count;
	int seen[8];
};

struct numbered {
	struct tmgr_future_callback callback;
	struct order *order;
	int number;
	struct tmgr_future *future;
	bool was_done;
};

static void note_number(void *self, struct tmgr_future *future)
{
	struct numbered *numbered = self;

	numbered->future = future;
	numbered->was_done = tmgr_future_done(future);
	numbered->order->seen[numbered->order->count++] = numbered->number;
}

static void callbacks_run_in_order_of_registration_on_the_completer(void **state)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct order order = { 0 };
	struct numbered numbered[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		numbered[i] = (struct numbered){ .order = &order, .number = i };
		assert_int_equal(tmgr_future_on_done(
					 &future, &numbered[i].callback, note_number, &numbered[i]),
			0);
	}
	assert_int_equal(tmgr_future_remove_callback(&future, &numbered[1].callback), 0);
	assert_int_equal(tmgr_future_remove_callback(&future, &numbered[1].callback), -ENOENT);
	assert_int_equal(order.count, 0);
	assert_int_equal(tmgr_future_complete(&future, 0, NULL), 0);
	assert_int_equal(order.count, 3);
	assert_int_equal(order.seen[0], 0);
	assert_int_equal(order.seen[1], 2);
	assert_int_equal(order.seen[2], 3);
	assert_ptr_equal(numbered[0].future, &future);
	assert_true(numbered[0].was_done);
	assert_int_equal(tmgr_future_remove_callback(&future, &numbered[0].callback), -ENOENT);
	tmgr_future_fini(&future);
}

static void the_last_callback_can_be_removed_and_another_added(void **state)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct order order = { 0 };
	struct numbered numbered[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };

	(void)state;
	for (int i = 0; i < 2; i++) {
		numbered[i].order = &order;
		assert_int_equal(tmgr_future_on_done(
					 &future, &numbered[i].callback, note_number, &numbered[i]),
			0);
	}
	numbered[2].order = &order;
	assert_int_equal(tmgr_future_remove_callback(&future, &numbered[1].callback), 0);
	assert_int_equal(
		tmgr_future_on_done(&future, &numbered[2].callback, note_number, &numbered[2]), 0);
	assert_int_equal(tmgr_future_complete(&future, 0, NULL), 0);
	assert_int_equal(order.count, 2);
	assert_int_equal(order.seen[1], 2);
	tmgr_future_fini(&future);
}

static void a_callback_on_a_done_future_is_called_at_once(void **state)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct order order = { 0 };
	struct numbered numbered = { .order = &order, .number = 5 };

	(void)state;
	assert_int_equal(tmgr_future_complete(&future, 0, NULL), 0);
	assert_int_equal(
		tmgr_future_on_done(&future, &numbered.callback, note_number, &numbered), 0);
	assert_int_equal(order.count, 1);
	assert_int_equal(tmgr_future_remove_callback(&future, &numbered.callback), -ENOENT);
	tmgr_future_fini(&future);
}

/* Many rounds of: two complete, two wait, one registers. Who waits may release the memory at once.
 */
struct race {
	struct tmgr_future future;
	pthread_barrier_t start;
	atomic_int winners, woken, called, registered;
	struct tmgr_future_callback callbacks[2]; /* may still be called when a wait has returned */
};

static void race_called(void *self, struct tmgr_future *future)
{
	(void)future;
	atomic_fetch_add((atomic_int *)self, 1);
}

static void *race_complete(void *argument)
{
	struct race *race = argument;

	pthread_barrier_wait(&race->start);
	if (tmgr_future_complete(&race->future, 0, NULL) == 0)
		atomic_fetch_add(&race->winners, 1);
	return NULL;
}

static void *race_wait(void *argument)
{
	struct race *race = argument;
	struct tmgr_future_callback *callback =
		&race->callbacks[atomic_fetch_add(&race->registered, 1)];

	pthread_barrier_wait(&race->start);
	tmgr_future_on_done(&race->future, callback, race_called, &race->called);
	if (tmgr_future_wait(NULL, &race->future, TMGR_NEVER) == 0)
		atomic_fetch_add(&race->woken, 1);
	if (tmgr_future_remove_callback(&race->future, callback) == 0)
		atomic_fetch_add(&race->called, 1);
	return NULL;
}

static void one_completer_wins_and_nobody_sleeps_on(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		struct race race = { .future = TMGR_FUTURE_INIT };
		pthread_t threads[4];

		pthread_barrier_init(&race.start, NULL, 4);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL,
						 i < 2 ? race_complete : race_wait, &race),
				0);
		for (size_t i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(race.winners, 1);
		assert_int_equal(race.woken, 2);
		assert_int_equal(race.called, 2);
		tmgr_future_fini(&race.future);
		pthread_barrier_destroy(&race.start);
	}
}

static int end_one_that_is_waited_for(void *argument)
{
	static struct tmgr_future future;
	static struct actor actor = ACTOR_INIT;
	static struct waiting waiting = { &future, TMGR_NEVER, 1, 1, NULL };

	(void)argument;
	actor_start(&actor);
	actor_begin(&actor, wait_for_future, &waiting);
	child_check(actor_settles_blocked(&actor));
	tmgr_future_fini(&future);
	return 0;
}

static void ending_one_that_is_waited_for_stops_the_program_with_a_message(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, end_one_that_is_waited_for, NULL), 1000 + SIGABRT);
	assert_non_null(strstr(child.text, "future"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(all_zero_is_pending),
		leak_test(the_first_result_wins_and_both_parts_survive),
		leak_test(a_positive_error_is_refused),
		leak_test(waiting_for_one_that_is_done_returns_at_once),
		leak_test(a_deadline_ends_the_wait),
		leak_test(all_who_wait_are_woken),
		leak_test(one_who_gave_up_is_not_touched_again),
		leak_test(a_cancel_ends_the_wait),
		leak_test(a_wait_begun_after_firing_takes_nothing_even_if_it_is_done),
		leak_test(callbacks_run_in_order_of_registration_on_the_completer),
		leak_test(the_last_callback_can_be_removed_and_another_added),
		leak_test(a_callback_on_a_done_future_is_called_at_once),
		leak_test(one_completer_wins_and_nobody_sleeps_on),
		leak_test(ending_one_that_is_waited_for_stops_the_program_with_a_message),
	};

	return cmocka_run_group_tests_name("future", tests, NULL, NULL);
}
