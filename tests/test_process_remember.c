/* What is remembered for a time: processes that are over, keys of messages, and for how long where nothing is said. */
#include <errno.h>
#include <stdio.h>

#include "tasks/process/runtime.h"

#include "tests/support/durable.h"
#include "tests/support/leak.h"
#include "tests/support/waiters.h"

#define DAY (24 * TMGR_HOUR)

static const struct tmgr_process_definition *const both[] = { &waiter_definition, &thing_definition,
	NULL };

static void over_is(struct durable *durable, const char *id, bool remembered)
{
	assert_int_equal(durable_status(durable, id), remembered ? TMGR_PROCESS_FINISHED : 0);
}

static int send_with_key(struct durable *durable, const char *key)
{
	return durable_do(
		durable, &(struct tmgr_process_command){
				 .kind = TMGR_PROCESS_SEND, .channel = "t/go", .key = key });
}

static void where_nothing_is_said_it_is_30_days_for_processes_and_7_for_keys(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &waiter_definition, "over"), 0);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	assert_int_equal(send_with_key(&durable, "k"), 0);
	durable_advance(&durable, 7 * DAY - TMGR_SECOND);
	assert_int_equal(send_with_key(&durable, "k"), 0);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":2}");
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(send_with_key(&durable, "k"), 0);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":3}");
	durable_advance(&durable, 23 * DAY - TMGR_SECOND);
	over_is(&durable, "over", true);
	durable_advance(&durable, TMGR_SECOND);
	over_is(&durable, "over", false);
	/* The others, by what they are set to. */
	assert_int_equal(durable.processes->options.keep_events_ns, 30 * DAY);
	assert_int_equal(durable.processes->options.events_max, 1000000);
	assert_int_equal(durable.processes->options.line_max, 10000);
	assert_int_equal(durable.processes->options.unsaved_max, 64 << 20);
	durable_end(&durable);
}

/* Each an hour after the one before; a store gives them in any order. */
static void each_is_forgotten_in_its_time_also_after_a_kill(void **state)
{
	struct durable durable = {
		.options = { .keep_finished_ns = DAY, .keep_keys_ns = DAY },
	};
	char id[16];

	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	for (int i = 0; i < 10; i++) {
		snprintf(id, sizeof(id), "%d", (7 * i + 3) % 10);
		assert_int_equal(durable_start(&durable, &waiter_definition, id), 0);
		assert_int_equal(send_with_key(&durable, id), 0);
		durable_advance(&durable, TMGR_HOUR);
	}
	durable.options.wall_ms = INT64_C(1000000000000) + 10 * 3600000;
	durable_kill(&durable);
	durable_advance(&durable, 14 * TMGR_HOUR - TMGR_SECOND);
	for (int i = 0; i < 10; i++) {
		char state_then[32];

		snprintf(id, sizeof(id), "%d", (7 * i + 3) % 10);
		over_is(&durable, id, true);
		assert_int_equal(send_with_key(&durable, id), 0);
		durable_advance(&durable, TMGR_SECOND);
		over_is(&durable, id, false);
		assert_int_equal(send_with_key(&durable, id), 0);
		/* All were counted once, and each again that was forgotten. */
		snprintf(state_then, sizeof(state_then), "{\"count\":%d}", 12 + i);
		assert_string_equal(durable_state(&durable, "t"), state_then);
		durable_advance(&durable, TMGR_HOUR - TMGR_SECOND);
	}
	durable_end(&durable);
}

/* More than go in one commit. */
static void many_are_forgotten_at_once(void **state)
{
	enum { OVER = 250, KEYS = 2500 };
	struct durable durable = {
		.options = { .keep_finished_ns = DAY, .keep_keys_ns = DAY },
	};
	struct tmgr_processes_stats stats;
	char id[16];

	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	for (int i = 0; i < KEYS; i++) {
		snprintf(id, sizeof(id), "k%d", i);
		assert_int_equal(send_with_key(&durable, id), 0);
	}
	for (int i = 0; i < OVER; i++) {
		snprintf(id, sizeof(id), "%d", i);
		assert_int_equal(durable_start(&durable, &waiter_definition, id), 0);
	}
	assert_int_equal(tmgr_processes_stats(durable.processes, &stats), 0);
	assert_int_equal(stats.processes, 1 + OVER);
	assert_int_equal(durable.processes->engine->keys.count, KEYS);
	durable_advance(&durable, DAY);
	assert_int_equal(tmgr_processes_stats(durable.processes, &stats), 0);
	assert_int_equal(stats.processes, 1);
	assert_int_equal(durable.processes->engine->keys.count, 0);
	durable_kill(&durable);
	assert_int_equal(tmgr_processes_stats(durable.processes, &stats), 0);
	assert_int_equal(stats.processes, 1);
	assert_int_equal(durable.processes->engine->keys.count, 0);
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(where_nothing_is_said_it_is_30_days_for_processes_and_7_for_keys),
		leak_test(each_is_forgotten_in_its_time_also_after_a_kill),
		leak_test(many_are_forgotten_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
