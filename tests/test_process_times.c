/* Cases on times: when they fire, to the millisecond, and before a default. */
#include "tests/support/durable.h"
#include "tests/support/seen.h"

static int64_t ns_after, ms_from_now;

static int came(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	see("%s %u", message->arrival == TMGR_ARRIVED_TIMEOUT ? "timeout" : "default",
		message->case_index);
	return 0;
}

static int fell_back(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return came(process, state, message);
}

/* What it declares is said by its id. */
static int wait_for_time(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (tmgr_process_id(process)[0] == 'd')
		tmgr_process_default(process, fell_back);
	if (tmgr_process_id(process)[1] == 'a')
		return tmgr_process_after(process, ns_after, came);
	return tmgr_process_at(process, tmgr_process_now(process) + ms_from_now, came);
}

static const struct tmgr_process_definition timed_definition = {
	.name = "timed",
	.version = 1,
	.start = wait_for_time,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = wait_for_time },
		{ .name = "Main_Came", .function = came },
		{ .name = "Main_Fell", .function = fell_back }, { 0 } },
};

static const struct tmgr_process_definition *const timed[] = { &timed_definition, NULL };

static void a_time_fires_after_whole_milliseconds_and_never_early(void **state)
{
	static const struct {
		int64_t ns, ms;
	} rows[] = {
		{ INT64_MIN, 0 },
		{ -1, 0 },
		{ 0, 0 },
		{ 1, 1 },
		{ TMGR_MILLISECOND - 1, 1 },
		{ TMGR_MILLISECOND, 1 },
		{ TMGR_MILLISECOND + 1, 2 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct durable durable = { 0 };

		seen[0] = '\0';
		ns_after = rows[i].ns;
		durable_begin(&durable, timed);
		assert_int_equal(durable_start(&durable, &timed_definition, "wa"), 0);
		for (int64_t ms = 0; ms < rows[i].ms; ms++) {
			durable_advance(&durable, TMGR_MILLISECOND - 1);
			assert_string_equal(seen, "");
			durable_advance(&durable, 1);
		}
		assert_string_equal(seen, "timeout 0");
		durable_end(&durable);
	}
}

/* The part of a millisecond that has passed when it is declared is not counted. */
static void nor_where_a_part_of_a_millisecond_has_passed(void **state)
{
	for (int64_t part = 1; part < TMGR_MILLISECOND; part += 333333) {
		struct durable durable = { 0 };

		seen[0] = '\0';
		ns_after = TMGR_MILLISECOND;
		durable_begin(&durable, timed);
		durable_advance(&durable, part);
		assert_int_equal(durable_start(&durable, &timed_definition, "wa"), 0);
		durable_advance(&durable, TMGR_MILLISECOND - 1);
		assert_string_equal(seen, "");
		durable_advance(&durable, TMGR_MILLISECOND);
		assert_string_equal(seen, "timeout 0");
		durable_end(&durable);
	}
}

/* The default stands before it, and is the last all the same. */
static void a_time_that_is_now_or_was_fires_before_a_default_and_a_later_one_does_not(void **state)
{
	static const struct {
		const char *id;
		int64_t after_ns, at_ms;
		const char *wanted;
	} rows[] = {
		{ "da", 0, 0, "timeout 1" },
		{ "da", -TMGR_SECOND, 0, "timeout 1" },
		{ "da", 1, 0, "default 0" },
		{ "dw", 0, 0, "timeout 1" },
		{ "dw", 0, -1000, "timeout 1" },
		{ "dw", 0, 1, "default 0" },
	};

	/* The wall clock is behind the other one, or before it. */
	static const int64_t walls_ms[] = { 5000, INT64_C(2000000000000) };

	for (size_t wall = 0; wall < 2; wall++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct durable durable = { 0 };

			seen[0] = '\0';
			ns_after = rows[i].after_ns;
			ms_from_now = rows[i].at_ms;
			durable_begin(&durable, timed);
			assert_int_equal(
				tmgr_processes_set_wall(durable.processes, walls_ms[wall]), 0);
			assert_int_equal(durable_start(&durable, &timed_definition, rows[i].id), 0);
			assert_string_equal(seen, rows[i].wanted);
			durable_end(&durable);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		seen_test(a_time_fires_after_whole_milliseconds_and_never_early),
		seen_test(nor_where_a_part_of_a_millisecond_has_passed),
		seen_test(
			a_time_that_is_now_or_was_fires_before_a_default_and_a_later_one_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
