#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/channel.h>
#include <taskmgr/tasks/generator.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/counting.h"
#include "tests/support/fault.h"
#include "tests/support/items.h"
#include "tests/support/leak.h"
#include "tests/support/latch.h"
#include "tests/support/places.h"
#include "tests/support/recorder.h"

/* What a body records, to be looked at when it has ended. */
struct result {
	struct items_read read;
	struct numbers numbers;
	int at; /* how many items, or which case */
	bool current_kept;
	char text[128];
};

static int read_all(void *self, struct tmgr_context *context)
{
	struct result *result = self;
	struct tmgr_context *current = tmgr_context_current();

	result->read = items_read_all(context, numbers_iterator(&result->numbers), items_int);
	result->current_kept = tmgr_context_current() == current;
	strncpy(result->text, tmgr_context_error_text(context), sizeof(result->text) - 1);
	return 0;
}

static void it_yields_its_items_and_ends_everywhere(void **state)
{
	const int64_t pauses[] = { 0, -1, 10 * TMGR_MICROSECOND };

	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		for (int i = 0; i < 3; i++) {
			struct result result = { .numbers = NUMBERS(.count = 5,
							 .sleep_ns = pauses[i]) };

			assert_int_equal(place_run(place, read_all, &result), 0);
			assert_string_equal(result.read.text, "1 2 3 4 5");
			assert_int_equal(result.read.result, 0);
			assert_int_equal(result.numbers.begun, 1);
			assert_int_equal(result.numbers.ended, 1);
			assert_true(result.numbers.current && result.current_kept);
		}
	}
}

static void its_error_comes_after_its_items_with_its_text(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		struct result result = { .numbers = NUMBERS(.count = 2, .end = -EIO,
						 .fail_text = "gone", .sleep_ns = 1000) };
		struct result positive = { .numbers = NUMBERS(.count = 1, .end = 7) };

		assert_int_equal(place_run(place, read_all, &result), 0);
		assert_string_equal(result.read.text, "1 2");
		assert_int_equal(result.read.result, -EIO);
		assert_string_equal(result.text, place == PLACE_MAIN ? "" : "gone");
		assert_int_equal(place_run(place, read_all, &positive), 0);
		assert_int_equal(positive.read.result, -TMGR_EFAILED);
	}
}

static int read_some(void *self, struct tmgr_context *context)
{
	struct result *result = self;

	result->read = items_read_some(
		context, numbers_iterator(&result->numbers), items_int, result->at);
	result->current_kept = tmgr_context_current() == context;
	return 0;
}

static void closed_at_any_place_it_runs_to_its_end(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		for (int at = 0; at <= 5; at++) {
			struct result result = { .numbers = NUMBERS(.count = 4, .sleep_ns = 1000),
				.at = at };

			assert_int_equal(place_run(place, read_some, &result), 0);
			assert_int_equal(result.read.count, at < 4 ? at : 4);
			assert_int_equal(result.numbers.begun, at > 0);
			assert_int_equal(result.numbers.ended, at > 0);
			assert_int_equal(result.numbers.yielded, at > 0 && at < 5 ? -ECANCELED : 0);
			assert_true(result.current_kept && result.numbers.current);
		}
	}
}

static void after_a_close_every_yield_and_wait_returns_at_once(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		struct result result = {
			.numbers = NUMBERS(.count = 1000, .sleep_ns = 1000, .ignore = true), .at = 3
		};

		/* Without a context there is nothing to cut its waits short with. */
		result.numbers.sleep_ns = place == PLACE_MAIN ? 0 : TMGR_MILLISECOND;
		assert_int_equal(place_run(place, read_some, &result), 0);
		assert_int_equal(result.read.count, 3);
		assert_int_equal(result.numbers.ended, 1);
		assert_int_equal(result.numbers.yielded, -ECANCELED);
		assert_int_equal(result.numbers.slept, place == PLACE_MAIN ? 0 : -ECANCELED);
	}
}

static void what_it_waits_for_uninterrupted_at_its_end_is_not_cut_short(void **state)
{
	(void)state;
	for (enum place place = PLACE_THREAD; place < PLACES; place++) {
		struct result result = {
			.numbers = NUMBERS(.count = 9, .flush = true, .flushed = 9), .at = 2
		};

		assert_int_equal(place_run(place, read_some, &result), 0);
		assert_int_equal(result.numbers.yielded, -ECANCELED);
		assert_int_equal(result.numbers.flushed, 0);
	}
}

static void without_a_function_or_with_a_stack_of_another_size_it_fails(void **state)
{
	struct tmgr_generator_options odd = { .stack_size = 12345 };

	(void)state;
	assert_int_equal(
		items_read_all(NULL, tmgr_generator(NULL, NULL), items_int).result, -EINVAL);
	assert_int_equal(
		items_read_all(NULL, tmgr_generator_with(numbers_count_up, NULL, &odd), items_int)
			.result,
		-EINVAL);
	assert_int_equal(tmgr_yield_item(NULL, "", 1), -EINVAL);
	assert_int_equal(tmgr_yield_all(NULL, tmgr_range(0, 2, 1)), -EINVAL);
}

static int deep(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	volatile char room[150000];
	size_t size = *(size_t *)self / 2;

	(void)context;
	for (size_t i = 0; i < size; i += 512)
		room[i] = 1;
	return tmgr_yield_item(generator, (const void *)&room[0], 1);
}

static void a_larger_stack_can_be_had(void **state)
{
	size_t size = 262144;
	struct tmgr_generator_options options = { .stack_size = size };

	(void)state;
	assert_int_equal(
		items_read_all(NULL, tmgr_generator_with(deep, &size, &options), items_text).count,
		1);
}

static void count_release(void *self)
{
	++*(int *)self;
}

static int yield_once(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	(void)context;
	return tmgr_yield_item(generator, self, sizeof(int));
}

static void what_it_owns_is_released_once_in_any_case(void **state)
{
	struct tmgr_generator_options options = { .release = count_release }, odd = options;

	(void)state;
	odd.stack_size = 1;
	for (int at = 0; at < 4; at++) {
		int released = 0;
		struct items_read read = items_read_some(
			NULL, tmgr_generator_with(yield_once, &released, &options), items_int, at);

		assert_int_equal(read.count, at > 0);
		assert_int_equal(released, 1);
		items_read_all(NULL, tmgr_generator_with(yield_once, &released, &odd), items_int);
		assert_int_equal(released, 2);
		fault_fail_allocation(1);
		items_read_all(
			NULL, tmgr_generator_with(yield_once, &released, &options), items_int);
		fault_off();
		assert_int_equal(released, 3);
	}
}

static void each_allocation_may_fail(void **state)
{
	bool happened = true;

	(void)state;
	for (long k = 1; happened; k++) {
		struct numbers numbers = NUMBERS(.count = 3);
		struct items_read read;

		fault_fail_allocation(k);
		read = items_read_all(NULL, numbers_iterator(&numbers), items_int);
		happened = fault_happened();
		fault_off();
		assert_int_equal(read.result, happened ? -ENOMEM : 0);
		assert_int_equal(numbers.begun, !happened);
	}
}

static int yields_are_free(void *self, struct tmgr_context *context)
{
	struct numbers numbers = NUMBERS(.count = 50, .sleep_ns = 1);
	struct tmgr_iterator iterator = numbers_iterator(&numbers);
	struct tmgr_item item;
	int r = tmgr_iterator_next(context, &iterator, &item);

	fault_fail_all_allocations(true);
	while (r > 0)
		r = tmgr_iterator_next(context, &iterator, &item);
	*(bool *)self = fault_happened();
	fault_off();
	tmgr_iterator_close(context, &iterator);
	return r;
}

static void going_on_and_waiting_allocate_nothing(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		bool allocated = true;

		assert_int_equal(place_run(place, yields_are_free, &allocated), 0);
		assert_false(allocated);
	}
}

/* ---- Cancel ---------------------------------------------------------------------------------- */

struct endless {
	struct latch waiting;
	struct tmgr_channel *channel;
	int waited, after, got;
	bool fired_after;
};

static int receive_and_yield(
	void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	struct endless *endless = self;
	int number, r;

	do {
		latch_arrive(&endless->waiting);
		r = tmgr_channel_receive(context, endless->channel, &number, TMGR_NEVER);
		if (r == 0)
			r = tmgr_yield_item(generator, &number, sizeof(number));
	} while (r == 0);
	endless->waited = r;
	/* And every wait afterwards. */
	endless->after = tmgr_sleep(context, TMGR_SECOND);
	return r;
}

static int consume(void *self, struct tmgr_context *context)
{
	struct endless *endless = self;
	int r;

	TMGR_FOR_EACH (item, context, tmgr_generator(receive_and_yield, endless), &r)
		endless->got += TMGR_VALUE(int, item);
	endless->fired_after = tmgr_context_cancelled(context);
	return r;
}

static void run_and_cancel(struct tmgr_task task, struct endless *endless)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;
	int seven = 7;

	latch_init(&endless->waiting);
	assert_int_equal(tmgr_channel_create(sizeof(int), 0, &endless->channel), 0);
	tmgr_manager_add_task(manager, "consumer", task, TMGR_ERROR);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&endless->waiting, 1));
	assert_int_equal(tmgr_channel_send(NULL, endless->channel, &seven, TMGR_NEVER), 0);
	assert_true(latch_arrived(&endless->waiting, 2));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(endless->channel);
	assert_int_equal(endless->got, 7);
	assert_int_equal(endless->waited, -ECANCELED);
	assert_int_equal(endless->after, -ECANCELED);
	assert_true(endless->fired_after);
}

static void a_cancel_ends_its_wait_with_that_of_who_asks(void **state)
{
	struct endless thread = { .got = 0 }, coroutine = { .got = 0 };
	struct tmgr_loop_options options = { .main = consume, .self = &coroutine };
	struct tmgr_loop *loop;

	(void)state;
	run_and_cancel(tmgr_task_function(consume, &thread), &thread);
	assert_int_equal(tmgr_loop_create(&options, &loop), 0);
	run_and_cancel(tmgr_loop_task(loop), &coroutine);
	tmgr_loop_unref(loop);
}

static int read_cancelled(void *self, struct tmgr_context *context)
{
	struct result *result = self;

	tmgr_token_cancel(tmgr_context_token(context), -EPERM, "test");
	return read_all(result, context);
}

static void under_a_token_that_has_fired_it_does_not_begin(void **state)
{
	(void)state;
	for (enum place place = PLACE_THREAD; place < PLACES; place++) {
		struct result result = { .numbers = NUMBERS(.count = 5) };

		place_run(place, read_cancelled, &result);
		assert_int_equal(result.read.result, -ECANCELED);
		assert_int_equal(result.numbers.begun, 0);
	}
}

static int read_uninterrupted(void *self, struct tmgr_context *context)
{
	struct result *result = self;
	struct tmgr_iterator iterator = numbers_iterator(&result->numbers);
	struct tmgr_item item;

	result->at = 0;
	result->read.count += tmgr_iterator_next(context, &iterator, &item) > 0;
	tmgr_token_cancel(tmgr_context_token(context), -EPERM, "test");
	tmgr_uninterrupted_begin(context, tmgr_after(30 * TMGR_SECOND));
	result->read.count += tmgr_iterator_next(context, &iterator, &item) > 0;
	tmgr_uninterrupted_end(context);
	result->read.result = tmgr_iterator_next(context, &iterator, &item);
	tmgr_iterator_close(context, &iterator);
	return 0;
}

static void in_an_uninterrupted_scope_of_who_asks_its_waits_are_not_cut_short(void **state)
{
	(void)state;
	for (enum place place = PLACE_THREAD; place < PLACES; place++) {
		struct result result = { .numbers = NUMBERS(.count = 5, .sleep_ns = 1000) };

		place_run(place, read_uninterrupted, &result);
		assert_int_equal(result.read.count, 2);
		assert_int_equal(result.read.result, -ECANCELED);
		assert_int_equal(result.numbers.slept, -ECANCELED);
		assert_int_equal(result.numbers.ended, 1);
	}
}

/* Who cancels the generator's own token while it is not running must not hit its consumer. */
static int token_of(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	struct tmgr_token **token = self;
	int r = tmgr_sleep(context, 1000);

	*token = tmgr_token_ref(tmgr_context_token(context));
	if (r == 0)
		r = tmgr_yield_item(generator, "x", 1);
	return r < 0 ? r : tmgr_sleep(context, 1000);
}

static int cancel_generator_only(void *self, struct tmgr_context *context)
{
	struct tmgr_token *token = NULL;
	struct tmgr_iterator iterator = tmgr_generator(token_of, &token);
	struct tmgr_item item;
	int *results = self;

	results[0] = tmgr_iterator_next(context, &iterator, &item);
	tmgr_token_cancel(token, -EPERM, "test");
	results[1] = tmgr_sleep(context, 1000);
	results[2] = tmgr_iterator_next(context, &iterator, &item);
	results[3] = tmgr_sleep(context, 1000);
	tmgr_iterator_close(context, &iterator);
	/* It may be referred to for longer than the generator is there. */
	results[4] = tmgr_token_fired(token);
	tmgr_token_unref(token);
	return 0;
}

static void a_cancel_of_its_own_token_is_not_one_of_who_asks(void **state)
{
	(void)state;
	for (enum place place = PLACE_THREAD; place < PLACES; place++) {
		int results[5] = { 9, 9, 9, 9, 9 };

		assert_int_equal(place_run(place, cancel_generator_only, results), 0);
		assert_int_equal(results[0], 1);
		assert_int_equal(results[1], 0);
		assert_int_equal(results[2], -ECANCELED);
		assert_int_equal(results[3], 0);
		assert_int_equal(results[4], 1);
	}
}

static int ask_from_elsewhere(void *self, struct tmgr_context *context)
{
	struct numbers numbers = NUMBERS(.count = 5);
	struct tmgr_iterator iterator = numbers_iterator(&numbers);
	struct tmgr_item item;
	int *results = self;

	results[0] = tmgr_iterator_next(context, &iterator, &item);
	results[1] = tmgr_iterator_next(NULL, &iterator, &item);
	tmgr_iterator_close(NULL, &iterator);
	results[2] = numbers.yielded;
	results[3] = numbers.ended;
	return 0;
}

static void it_gives_items_to_one_context_only_but_is_closed_with_any(void **state)
{
	(void)state;
	for (enum place place = PLACE_THREAD; place < PLACES; place++) {
		int results[4] = { 9, 9, 9, 9 };

		assert_int_equal(place_run(place, ask_from_elsewhere, results), 0);
		assert_int_equal(results[0], 1);
		assert_int_equal(results[1], -EINVAL);
		assert_int_equal(results[2], -ECANCELED);
		assert_int_equal(results[3], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(it_yields_its_items_and_ends_everywhere),
		leak_test(its_error_comes_after_its_items_with_its_text),
		leak_test(closed_at_any_place_it_runs_to_its_end),
		leak_test(after_a_close_every_yield_and_wait_returns_at_once),
		leak_test(what_it_waits_for_uninterrupted_at_its_end_is_not_cut_short),
		leak_test(without_a_function_or_with_a_stack_of_another_size_it_fails),
		leak_test(a_larger_stack_can_be_had),
		leak_test(what_it_owns_is_released_once_in_any_case),
		leak_test(each_allocation_may_fail),
		leak_test(going_on_and_waiting_allocate_nothing),
		leak_test(a_cancel_ends_its_wait_with_that_of_who_asks),
		leak_test(under_a_token_that_has_fired_it_does_not_begin),
		leak_test(in_an_uninterrupted_scope_of_who_asks_its_waits_are_not_cut_short),
		leak_test(a_cancel_of_its_own_token_is_not_one_of_who_asks),
		leak_test(it_gives_items_to_one_context_only_but_is_closed_with_any),
	};
	struct numbers numbers = NUMBERS(.count = 1);
	size_t size = 262144;
	struct tmgr_generator_options options = { .stack_size = size };

	/* Stacks stay, so they are made before anything is counted. */
	items_read_all(NULL, numbers_iterator(&numbers), items_int);
	items_read_all(NULL, tmgr_generator_with(deep, &size, &options), items_text);
	return cmocka_run_group_tests_name("generators", tests, NULL, NULL);
}
