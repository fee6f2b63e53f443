/*
 * Every pair of a record's states. A dot is a move that must stop the program, an x one that
 * happens.
 */
#include <signal.h>
#include <string.h>

#include "taskmgr/record.h"

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define STATES (TMGR_STATE_STUCK + 1)

/*
 * Columns in the order of enum tmgr_state: added, initializing, initialized, queued, running,
 * ended, cleaning, done, stuck.
 *
 * A task without initialize is initialized at once; an execute-task is queued, or runs at once on a
 * thread of its own. From initializing it is cleaned up where it failed and asked for that, done
 * where it failed and did not, stuck where it hangs. From ended it is stuck where a task inside it
 * is; from added, initialized and queued where the loop that is to run it never gets to it. Who is
 * done or stuck stays so.
 */
static const char moves[STATES][STATES + 1] = {
	[TMGR_STATE_ADDED] = ".xxxx..xx",
	[TMGR_STATE_INITIALIZING] = "..x...xxx",
	[TMGR_STATE_INITIALIZED] = "....x.xxx",
	[TMGR_STATE_QUEUED] = "....x..xx",
	[TMGR_STATE_RUNNING] = ".....x..x",
	[TMGR_STATE_ENDED] = "......xxx",
	[TMGR_STATE_CLEANING] = ".......xx",
	[TMGR_STATE_DONE] = ".........",
	[TMGR_STATE_STUCK] = ".........",
};

static void the_table_of_moves_is_this_one(void **state)
{
	(void)state;
	for (unsigned from = 0; from < STATES; from++) {
		unsigned expected = 0;

		for (unsigned to = 0; to < STATES; to++)
			expected |= moves[from][to] == 'x' ? 1u << to : 0;
		assert_int_equal(tmgr__record_moves((enum tmgr_state)from), expected);
	}
	assert_int_equal(tmgr__record_moves((enum tmgr_state)STATES), 0);
	assert_int_equal(tmgr__record_moves((enum tmgr_state) - 1), 0);
}

/* Bring a new record into a state by legal moves. */
static void bring_to(struct tmgr__record *record, enum tmgr_state wanted)
{
	static const enum tmgr_state before[STATES] = {
		[TMGR_STATE_INITIALIZED] = TMGR_STATE_INITIALIZING,
		[TMGR_STATE_RUNNING] = TMGR_STATE_QUEUED,
		[TMGR_STATE_ENDED] = TMGR_STATE_RUNNING,
		[TMGR_STATE_CLEANING] = TMGR_STATE_ENDED,
		[TMGR_STATE_DONE] = TMGR_STATE_CLEANING,
		[TMGR_STATE_STUCK] = TMGR_STATE_RUNNING,
	};

	if (wanted == TMGR_STATE_ADDED)
		return;
	bring_to(record, before[wanted]);
	tmgr__record_set_state(record, wanted, 1);
}

static struct tmgr__record *new_record(void)
{
	static struct probe probe = PROBE(.name = "probe");

	static struct tmgr__arena arena;
	struct tmgr__record *record;

	record = tmgr__record_create(
		&arena, "probe", probe_task(&probe), TMGR__RECORD_TASK_WITH_CLEANUP);
	tmgr__arena_fini(&arena);
	return record;
}

static void each_legal_move_happens_and_is_dated(void **state)
{
	(void)state;
	for (int from = 0; from < STATES; from++) {
		for (int to = 0; to < STATES; to++) {
			struct tmgr__record *record;

			if (moves[from][to] != 'x')
				continue;
			record = new_record();
			assert_non_null(record);
			bring_to(record, (enum tmgr_state)from);
			tmgr__record_set_state(record, (enum tmgr_state)to, 1234 + to);
			assert_int_equal(record->state, (enum tmgr_state)to);
			assert_true(record->since == 1234 + to);
			tmgr__record_unref(record);
		}
	}
}

static int move(void *argument)
{
	int *pair = argument;
	struct tmgr__record *record = new_record();

	bring_to(record, (enum tmgr_state)pair[0]);
	tmgr__record_set_state(record, (enum tmgr_state)pair[1], 1);
	return 0;
}

static void each_illegal_move_stops_the_program(void **state)
{
	(void)state;
	for (int from = 0; from < STATES; from++) {
		for (int to = 0; to <= STATES; to++) {
			int pair[2] = { from, to };
			struct child child;

			if (to < STATES && moves[from][to] == 'x')
				continue;
			if (child_run(&child, move, pair) != 1000 + SIGABRT)
				fail_msg("from %d to %d", from, to);
		}
	}
}

static void each_state_has_a_word(void **state)
{
	static const char *const words[STATES] = { "added", "initializing", "initialized", "queued",
		"running", "ended", "cleaning", "done", "stuck" };

	(void)state;
	for (int i = 0; i < STATES; i++)
		assert_string_equal(tmgr_state_name((enum tmgr_state)i), words[i]);
	assert_string_equal(tmgr_state_name((enum tmgr_state)STATES), "unknown");
	assert_string_equal(tmgr_state_name((enum tmgr_state) - 1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(the_table_of_moves_is_this_one),
		leak_test(each_legal_move_happens_and_is_dated),
		leak_test(each_illegal_move_stops_the_program),
		leak_test(each_state_has_a_word),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
