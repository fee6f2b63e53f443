#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tasks/schedule.h"

#define MAX INT64_MAX
#define MIN INT64_MIN
#define SKIP TMGR_INTERVAL_SKIP
#define BURST TMGR_INTERVAL_BURST
#define DELAY TMGR_INTERVAL_DELAY

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* cmocka compares as unsigned numbers and prints them so. */
static void check_time(size_t row, int64_t is, int64_t expected)
{
	if (is != expected)
		print_error("row %zu: %" PRId64 " instead of %" PRId64 "\n", row, is, expected);
	assert_true(is == expected);
}

static void the_next_tick_follows_the_table(void **state)
{
	/* clang-format off */
	static const struct {
		enum tmgr_interval_missed missed;
		int64_t period, tick, now, next;
	} rows[] = {
		/* In time: the grid, whatever is done about missed ones. */
		{ SKIP,  100, 1000, 1000, 1100 },
		{ SKIP,  100, 1000, 1099, 1100 },
		{ SKIP,  100, 1000, 1100, 1100 },
		{ BURST, 100, 1000, 1100, 1100 },
		{ DELAY, 100, 1000, 1100, 1100 },
		{ BURST, 100, 1000, 1050, 1100 },
		{ DELAY, 100, 1000, 1050, 1100 },
		/* Late. */
		{ SKIP,  100, 1000, 1101, 1200 },
		{ SKIP,  100, 1000, 1199, 1200 },
		{ SKIP,  100, 1000, 1200, 1200 },
		{ SKIP,  100, 1000, 1201, 1300 },
		{ SKIP,  100, 1000, 9950, 10000 },
		{ BURST, 100, 1000, 1101, 1100 },
		{ BURST, 100, 1000, 9950, 1100 },
		{ DELAY, 100, 1000, 1101, 1101 },
		{ DELAY, 100, 1000, 9950, 9950 },
		/* A period that is nothing to the lateness, and the other way round. */
		{ SKIP,  1, 1, MAX - 1, MAX - 1 },
		{ SKIP,  2, 1, MAX - 1, MAX },
		{ SKIP,  MAX, 1, 5, MAX },
		{ BURST, MAX, 1, 5, MAX },
		{ DELAY, MAX, 1, 5, MAX },
		/* Out of range. */
		{ SKIP,  100, MAX - 10, MAX - 5, MAX },
		{ SKIP,  100, MAX, MAX, MAX },
		{ BURST, 100, MAX, MAX, MAX },
		{ DELAY, 100, MAX, MAX, MAX },
		{ SKIP,  3, MAX - 4, MAX, MAX },
		/* Hostile. */
		{ SKIP,  0, 10, 20, 20 },
		{ SKIP,  -5, 10, 20, 20 },
		{ SKIP,  MIN, 10, 20, 20 },
		{ BURST, MIN, 10, 20, 11 },
		{ DELAY, MIN, 10, 20, 20 },
		{ SKIP,  1, MIN, MAX, MAX },
		{ SKIP,  MAX, MIN, MAX, MAX },
		{ SKIP,  100, MAX, MIN, MAX },
		{ SKIP,  100, MIN, MIN, MIN + 100 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++)
		check_time(i,
			tmgr__schedule_tick(
				rows[i].missed, rows[i].period, rows[i].tick, rows[i].now),
			rows[i].next);
}

static void the_next_tick_of_a_skip_is_on_the_grid_and_not_in_the_past(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		int64_t period = 1 + tmgr__random_below(&random, 1000);
		int64_t tick = 1 + tmgr__random_below(&random, 1000000);
		int64_t now = tick + tmgr__random_below(&random, 100000);
		int64_t next = tmgr__schedule_tick(SKIP, period, tick, now);

		assert_true(next > tick && next >= now);
		assert_true((next - tick) % period == 0);
		assert_true(next - now < period || next == tick + period);
	}
}

static void the_next_wait_follows_the_table(void **state)
{
	/* clang-format off */
	static const struct {
		struct tmgr__backoff backoff;
		int64_t previous, ran, next;
	} rows[] = {
		/* first, max, reset, factor, jitter */
		{ { 100, 30000, 10000, 2, 20 }, 0, 0, 100 },
		{ { 100, 30000, 10000, 2, 20 }, 100, 0, 200 },
		{ { 100, 30000, 10000, 2, 20 }, 200, 9999, 400 },
		{ { 100, 30000, 10000, 2, 20 }, 200, 10000, 100 },
		{ { 100, 30000, 10000, 2, 20 }, 25600, 0, 30000 },
		{ { 100, 30000, 10000, 2, 20 }, 30000, 0, 30000 },
		{ { 100, 30000, 10000, 2, 20 }, 30000, MAX, 100 },
		{ { 100, 30000, 10000, 1, 20 }, 100, 0, 100 },
		/* None at all. */
		{ { 0, 30000, 10000, 2, 20 }, 0, 0, 0 },
		{ { 0, 30000, 10000, 2, 20 }, 100, 0, 0 },
		/* Out of range. */
		{ { 100, MAX, 10000, 100, 0 }, MAX / 100 + 1, 0, MAX },
		{ { 100, MAX, 10000, 100, 0 }, MAX, 0, MAX },
		{ { MAX, MAX, MAX, 100, 100 }, MAX, MAX - 1, MAX },
		{ { MAX, 5, MAX, 100, 100 }, 0, 0, 5 },
		/* Hostile. */
		{ { -1, 30000, 10000, 2, 20 }, 100, 0, 0 },
		{ { MIN, 30000, 10000, 2, 20 }, 100, 0, 0 },
		{ { 100, 30000, 10000, 2, 20 }, MIN, MIN, 100 },
		{ { 100, 30000, 10000, 2, 20 }, 100, MIN, 200 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++)
		check_time(i, tmgr__backoff_next(&rows[i].backoff, rows[i].previous, rows[i].ran),
			rows[i].next);
}

static void jitter_shortens_a_wait_by_at_most_its_share(void **state)
{
	static const int64_t waits[] = { 0, 1, 99, 100, 101, 100 * TMGR_MILLISECOND, MAX - 1, MAX };
	uint64_t random = 7;

	(void)state;
	for (int percent = 0; percent <= 100; percent += 20) {
		struct tmgr__backoff backoff = { .jitter_percent = percent };

		for (size_t i = 0; i < ROWS(waits); i++) {
			int64_t most = waits[i] / 100 * percent + waits[i] % 100 * percent / 100;
			int64_t shortest = waits[i], longest = 0;

			for (int n = 0; n < 2000; n++) {
				int64_t wait = tmgr__backoff_jitter(&backoff, waits[i], &random);

				assert_true(wait <= waits[i] && wait >= waits[i] - most);
				shortest = wait < shortest ? wait : shortest;
				longest = wait > longest ? wait : longest;
			}
			/* It uses what it may, from end to end. */
			assert_true(shortest <= waits[i] - most + most / 50);
			assert_true(longest >= waits[i] - most / 50);
		}
	}
}

static void a_window_admits_so_many_in_any_span_of_its_length(void **state)
{
	int64_t times[3];
	struct tmgr__window window = { .window_ns = 100, .limit = 3, .times = times };

	(void)state;
	assert_true(tmgr__window_admit(&window, 1000));
	assert_true(tmgr__window_admit(&window, 1000));
	assert_true(tmgr__window_admit(&window, 1050));
	assert_false(tmgr__window_admit(&window, 1050));
	assert_false(tmgr__window_admit(&window, 1099));
	assert_true(tmgr__window_admit(&window, 1100));
	assert_true(tmgr__window_admit(&window, 1149));
	assert_false(tmgr__window_admit(&window, 1149));
	assert_true(tmgr__window_admit(&window, 1150));
	assert_false(tmgr__window_admit(&window, 1199));
	assert_true(tmgr__window_admit(&window, 5000));
}

static void a_window_agrees_with_counting_all_that_it_admitted(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		int64_t times[7], admitted[500];
		size_t limit = 1 + seed % 7, count = 0;
		struct tmgr__window window = { .window_ns = 50, .limit = limit, .times = times };
		uint64_t random = seed;
		int64_t now = 1;

		for (int i = 0; i < 500; i++) {
			size_t recent = 0;

			now += tmgr__random_below(&random, 20);
			for (size_t j = 0; j < count; j++)
				recent += now - admitted[j] < 50;
			assert_int_equal(tmgr__window_admit(&window, now), recent < limit);
			if (recent < limit)
				admitted[count++] = now;
		}
	}
}

static void a_window_without_limit_and_one_that_never_ends_are_what_they_say(void **state)
{
	int64_t times[1];
	struct tmgr__window none = { .window_ns = 100 };
	struct tmgr__window endless = { .window_ns = MAX, .limit = 1, .times = times };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(tmgr__window_admit(&none, 1));
	assert_true(tmgr__window_admit(&endless, 1));
	assert_false(tmgr__window_admit(&endless, 2));
	assert_false(tmgr__window_admit(&endless, MAX - 1));
}

static void sums_stay_in_range(void **state)
{
	(void)state;
	check_time(0, tmgr__schedule_add(1, 2), 3);
	check_time(1, tmgr__schedule_add(MAX, 0), MAX);
	check_time(2, tmgr__schedule_add(MAX, 1), MAX);
	check_time(3, tmgr__schedule_add(1, MAX), MAX);
	check_time(4, tmgr__schedule_add(MAX, MAX), MAX);
	check_time(5, tmgr__schedule_add(MIN, -1), MIN);
	check_time(6, tmgr__schedule_add(MIN, MAX), -1);
}

static void random_numbers_repeat_and_stay_in_range(void **state)
{
	uint64_t a = 42, b = 42;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(tmgr__random_below(&a, MAX) == tmgr__random_below(&b, MAX));
	for (int i = 0; i < 1000; i++) {
		int64_t n = tmgr__random_below(&a, 3);

		assert_true(n >= 0 && n <= 3);
		assert_true(tmgr__random_below(&a, MAX) >= 0);
	}
	check_time(0, tmgr__random_below(&a, 0), 0);
	check_time(1, tmgr__random_below(&a, -1), 0);
	check_time(2, tmgr__random_below(&a, MIN), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_tick_follows_the_table),
		cmocka_unit_test(the_next_tick_of_a_skip_is_on_the_grid_and_not_in_the_past),
		cmocka_unit_test(the_next_wait_follows_the_table),
		cmocka_unit_test(jitter_shortens_a_wait_by_at_most_its_share),
		cmocka_unit_test(a_window_admits_so_many_in_any_span_of_its_length),
		cmocka_unit_test(a_window_agrees_with_counting_all_that_it_admitted),
		cmocka_unit_test(a_window_without_limit_and_one_that_never_ends_are_what_they_say),
		cmocka_unit_test(sums_stay_in_range),
		cmocka_unit_test(random_numbers_repeat_and_stay_in_range),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
