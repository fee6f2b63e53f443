/* How often a method that fails is called, and when; and how long a call may take: its own word, its definition's, or ours. */
#include <errno.h>

#include "tasks/process/runtime.h"

#include "tests/support/durable.h"
#include "tests/support/seen.h"

/* What is declared as fits the row of a table. */
struct declared {
	struct tmgr_process_method methods[2];
	struct tmgr_process_definition definition;
	const struct tmgr_process_definition *both[2];
};

static void declare(struct declared *declared, tmgr_method *method)
{
	*declared = (struct declared){
		.methods = { { .name = "Main_Try", .function = method } },
		.definition = { .name = "tough", .version = 1, .start = method },
	};
	declared->definition.methods = declared->methods;
	declared->both[0] = &declared->definition;
}

/* ---- Attempts -------------------------------------------------------------------------------- */

static int64_t began_ms;

static int fail_always(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (tmgr_process_attempts(process) == 0)
		began_ms = tmgr_process_now(process);
	see("%lld ", (long long)(tmgr_process_now(process) - began_ms));
	return -EIO;
}

static void a_method_is_tried_as_it_says_or_else_its_definition_or_else_the_default(void **state)
{
	static const struct {
		struct tmgr_process_retry own, general;
		const char *calls; /* milliseconds */
	} rows[] = {
		{ { 0 }, { 0 }, "0 100 300 700 1500 3100 6300 12700 25500 51100 " },
		/* No wait is longer than half a minute. */
		{ { 0 }, { .attempts_max = 12 },
			"0 100 300 700 1500 3100 6300 12700 25500 51100 81100 111100 " },
		{ { 0 }, { 3, TMGR_SECOND, 0 }, "0 1000 3000 " },
		{ { 0 }, { 4, TMGR_SECOND, 3 * TMGR_SECOND }, "0 1000 3000 6000 " },
		{ { .attempts_max = 1 }, { 0 }, "0 " },
		{ { .attempts_max = 2 }, { 5, TMGR_SECOND, 0 }, "0 1000 " },
		{ { .first_ns = TMGR_SECOND }, { 3, 5 * TMGR_SECOND, 0 }, "0 1000 3000 " },
		{ { .longest_ns = 30 * TMGR_MILLISECOND }, { 4, 20 * TMGR_MILLISECOND, TMGR_HOUR },
			"0 20 50 80 " },
		/* The first one too. */
		{ { 3, TMGR_HOUR, TMGR_SECOND }, { 0 }, "0 1000 2000 " },
		/* Times are whole milliseconds, and a retry is never at once. */
		{ { 3, 1, 0 }, { 0 }, "0 1 2 " },
		{ { 3, TMGR_MILLISECOND + 1, 0 }, { 0 }, "0 2 5 " },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct durable durable = { 0 };
		struct declared declared;

		seen[0] = '\0';
		declare(&declared, fail_always);
		declared.methods[0].retry = rows[i].own;
		declared.definition.retry = rows[i].general;
		durable_begin(&durable, declared.both);
		assert_int_equal(durable_start(&durable, &declared.definition, "t"), 0);
		durable_advance(&durable, TMGR_HOUR);
		assert_string_equal(seen, rows[i].calls);
		assert_int_equal(durable_status(&durable, "t"), TMGR_PROCESS_FAILED);
		durable_end(&durable);
	}
}

/* Nearly 300 years and twice that: only a clock that is set comes so far. */
static void the_longest_wait_for_an_attempt_is_no_overflow(void **state)
{
	struct durable durable = { .options.wall_ms = 1000 };
	struct declared declared;

	declare(&declared, fail_always);
	declared.methods[0].retry = (struct tmgr_process_retry){ 4, INT64_MAX - 1, INT64_MAX };
	durable_begin(&durable, declared.both);
	assert_int_equal(durable_start(&durable, &declared.definition, "t"), 0);
	durable_advance(&durable, TMGR_HOUR);
	assert_string_equal(seen, "0 ");
	durable.options.wall_ms += INT64_MAX / TMGR_MILLISECOND;
	durable_kill(&durable);
	durable_settle(&durable);
	assert_string_equal(seen, "0 ");
	durable_advance(&durable, TMGR_MILLISECOND);
	assert_string_equal(seen, "0 9223372036855 ");
	durable_advance(&durable, TMGR_HOUR);
	assert_string_equal(seen, "0 9223372036855 ");
	durable_end(&durable);
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

static int64_t deadline_seen;

static int look_at_deadline(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	deadline_seen = tmgr_process_deadline(process);
	return 0;
}

static void a_call_may_take_as_long_as_its_method_says_or_its_definition_or_a_minute(void **state)
{
	static const struct {
		int64_t own, general, allowed;
	} rows[] = {
		{ 0, 0, TMGR_MINUTE },
		{ 0, TMGR_HOUR, TMGR_HOUR },
		{ TMGR_SECOND, TMGR_HOUR, TMGR_SECOND },
		{ TMGR_SECOND, 0, TMGR_SECOND },
		{ 1, 0, 1 },
		{ 0, 1, 1 },
		{ TMGR_NEVER, TMGR_HOUR, 0 },
		{ TMGR_NEVER - 1, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct durable durable = { 0 };
		struct declared declared;

		declare(&declared, look_at_deadline);
		declared.methods[0].deadline_ns = rows[i].own;
		declared.definition.deadline_ns = rows[i].general;
		durable_begin(&durable, declared.both);
		assert_int_equal(durable_start(&durable, &declared.definition, "t"), 0);
		assert_true(deadline_seen == (rows[i].allowed == 0 ? TMGR_NEVER
								   : durable.processes->virtual_ns +
									     rows[i].allowed));
		durable_end(&durable);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		seen_test(a_method_is_tried_as_it_says_or_else_its_definition_or_else_the_default),
		seen_test(the_longest_wait_for_an_attempt_is_no_overflow),
		seen_test(a_call_may_take_as_long_as_its_method_says_or_its_definition_or_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
