/* Rows that a runtime begins with: those that fit together are taken, and one that cannot be is not opened around. */
#include <errno.h>

#include <taskmgr/tasks/process_store.h>

#include "tests/support/leak.h"
#include "tests/support/waiters.h"

/* clang-format off */
#define ROW(kind, of, ...) { TMGR_STORE_PUT, TMGR_STORE_##kind, { .of = { __VA_ARGS__ } } }
/* clang-format on */

#define LIVE(name, of)                                                                            \
	ROW(PROCESS, process, .id = (name), .definition = "waiter", .status = (of), .version = 1, \
		.text = "", .state = { "{}", 2 })
#define ONE(of, named, stands, number, then)                                          \
	ROW(GOROUTINE, goroutine, .process = (of), .name = (named), .method = (then), \
		.status = (stands), .sequence = (number), .text = "", .from = "",     \
		.arrival = (stands) == TMGR_GOROUTINE_BLOCKED ? 0 : TMGR_ARRIVED_START)
#define CASE(of, named, number, nth, what, on)                                                 \
	ROW(WAIT, wait, .sequence = (number), .index = (nth), .kind = (what), .process = (of), \
		.goroutine = (named), .target = (on), .method = "Main_Done")

/* One that is blocked on two cases, one that is ready with an effect, one that is over, and channels. */
static const struct tmgr_store_change good[] = {
	LIVE("b", TMGR_PROCESS_ACTIVE),
	LIVE("r", TMGR_PROCESS_PAUSED),
	LIVE("over", TMGR_PROCESS_FINISHED),
	ONE("b", "Main", TMGR_GOROUTINE_BLOCKED, 5, ""),
	ONE("r", "Main", TMGR_GOROUTINE_READY, 6, "Main_Done"),
	CASE("b", "Main", 5, 0, TMGR_PROCESS_WAIT_RECEIVE, "b/box"),
	CASE("b", "Main", 5, 1, TMGR_PROCESS_WAIT_CALL, "r"),
	CASE("", "", 7, 0, TMGR_PROCESS_WAIT_SEND, "/wide"),
	ROW(CHANNEL, channel, .id = "/wide", .capacity = 1, .created = true),
	ROW(MESSAGE, message, .channel = "/wide", .sequence = 4, .value = { "x", 1 }),
	ROW(ONCE, once, .process = "r", .goroutine = "Main", .sequence = 6, .name = "effect"),
};

#define GOOD (sizeof(good) / sizeof(good[0]))

/* Each beside the good ones, or in the place of the one with its key. */
static const struct tmgr_store_change bad[] = {
	LIVE("b", 0),
	LIVE("b", TMGR_PROCESS_CANCELLED + 1),
	/* It is over, and has a goroutine; it is not, and has none. */
	LIVE("b", TMGR_PROCESS_FINISHED),
	LIVE("new", TMGR_PROCESS_ACTIVE),
	ONE("b", "Main", 0, 5, "Main_Done"),
	ONE("b", "Main", TMGR_GOROUTINE_FAILED + 1, 5, "Main_Done"),
	ONE("nobody", "Main", TMGR_GOROUTINE_READY, 8, "Main_Done"),
	ONE("over", "Main", TMGR_GOROUTINE_READY, 8, "Main_Done"),
	/* Blocked on nothing, or ready and with waits. */
	ONE("b", "Other", TMGR_GOROUTINE_BLOCKED, 8, ""),
	ONE("b", "Main", TMGR_GOROUTINE_BLOCKED, 8, ""),
	ONE("b", "Main", TMGR_GOROUTINE_READY, 5, "Main_Done"),
	CASE("nobody", "Main", 8, 0, TMGR_PROCESS_WAIT_RECEIVE, "b/box"),
	CASE("b", "Other", 8, 0, TMGR_PROCESS_WAIT_RECEIVE, "b/box"),
	CASE("b", "Main", 8, 0, TMGR_PROCESS_WAIT_RECEIVE, "b/box"),
	CASE("b", "Main", 5, 3, TMGR_PROCESS_WAIT_RECEIVE, "b/box"),
	CASE("b", "Main", 5, 2, 0, ""),
	CASE("b", "Main", 5, 2, TMGR_PROCESS_WAIT_RECEIVE, "box"),
	CASE("b", "Main", 5, 2, TMGR_PROCESS_WAIT_SEND, "/none"),
	CASE("b", "Main", 5, 2, TMGR_PROCESS_WAIT_RECEIVE, "nobody/box"),
	CASE("b", "Main", 5, 2, TMGR_PROCESS_WAIT_CALL, "nobody"),
	CASE("", "", 8, 0, TMGR_PROCESS_WAIT_RECEIVE, "/wide"),
	CASE("", "", 8, 0, TMGR_PROCESS_WAIT_SEND, "/none"),
	ROW(CHANNEL, channel, .id = "wide", .capacity = 1, .created = true),
	ROW(CHANNEL, channel, .id = "nobody/box", .capacity = 1, .created = true),
	ROW(MESSAGE, message, .channel = "/none", .sequence = 8, .value = { "x", 1 }),
	ROW(ONCE, once, .process = "nobody", .goroutine = "Main", .sequence = 6, .name = "effect"),
	ROW(ONCE, once, .process = "r", .goroutine = "Other", .sequence = 6, .name = "effect"),
	ROW(ONCE, once, .process = "r", .goroutine = "Main", .sequence = 5, .name = "effect"),
	/* Of a step that is still to come: its number would be given to another. */
	ONE("r", "Other", TMGR_GOROUTINE_READY, 11, "Main_Done"),
	CASE("", "", 11, 0, TMGR_PROCESS_WAIT_SEND, "/wide"),
	ROW(MESSAGE, message, .channel = "/wide", .sequence = 11, .value = { "x", 1 }),
	/* What is added to a time must fit. */
	ROW(PROCESS, process, .id = "over", .definition = "waiter", .status = TMGR_PROCESS_FINISHED,
		.version = 1, .text = "", .changed_ms = INT64_MAX),
	ROW(PROCESS, process, .id = "over", .definition = "waiter", .status = TMGR_PROCESS_FINISHED,
		.version = 1, .text = "", .changed_ms = INT64_MIN),
	ROW(KEY, key, .key = "k", .at_ms = INT64_MAX),
	ROW(KEY, key, .key = "k", .at_ms = INT64_MIN),
	ROW(GOROUTINE, goroutine, .process = "r", .name = "Other", .method = "Main_Done",
		.status = TMGR_GOROUTINE_READY, .sequence = 8, .text = "", .from = "",
		.arrival = TMGR_ARRIVED_START, .attempts = 1, .retry_at_ms = INT64_MAX),
};

/* The good ones, and one more with a step that has this number and time. */
static int open_at(const struct tmgr_store_change *more, uint64_t sequence, int64_t now_ms)
{
	const struct tmgr_processes_options options = { .single_threaded = true };
	struct tmgr_store_step steps[2] = { { 9, good, GOOD }, { sequence, more, 1 } };
	struct tmgr_processes *processes;
	struct tmgr_store_opened opened;
	struct tmgr_store *store;
	int r;

	assert_int_equal(tmgr_store_memory_create(&store), 0);
	assert_int_equal(store->ops->open(store, &opened), 0);
	assert_int_equal(store->ops->commit(store, &(struct tmgr_store_batch){ .now_ms = now_ms,
							   .steps = steps,
							   .count = more != NULL ? 2 : 1 }),
		0);
	assert_int_equal(store->ops->close(store), 0);
	assert_int_equal(tmgr_processes_create(store, &options, &processes), 0);
	for (size_t i = 0; waiters[i] != NULL; i++)
		assert_int_equal(tmgr_processes_define(processes, waiters[i]), 0);
	r = tmgr_processes_open(processes);
	if (r == 0)
		assert_int_equal(tmgr_processes_settle(processes), 0);
	tmgr_processes_unref(processes);
	return r;
}

static int open_with(const struct tmgr_store_change *more)
{
	return open_at(more, 10, 1);
}

static void rows_that_fit_are_taken_and_with_one_that_does_not_it_is_not_opened(void **state)
{
	assert_int_equal(open_with(NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int r = open_with(&bad[i]);

		if (r != -EBADMSG)
			fail_msg("row %zu: %d", i, r);
	}
}

static void a_position_behind_which_nothing_fits_is_not_gone_on_from(void **state)
{
	static const struct tmgr_store_change key = ROW(KEY, key, .key = "k", .at_ms = 1);

	assert_int_equal(open_at(&key, 10, 1), 0);
	assert_int_equal(open_at(&key, (uint64_t)INT64_MAX, 1), -EBADMSG);
	assert_int_equal(open_at(&key, UINT64_MAX, 1), -EBADMSG);
	assert_int_equal(open_at(&key, 10, INT64_MAX), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(rows_that_fit_are_taken_and_with_one_that_does_not_it_is_not_opened),
		leak_test(a_position_behind_which_nothing_fits_is_not_gone_on_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
