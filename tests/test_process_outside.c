/* Durable processes from outside: what each waits for, repair, and their channels. */
#include <errno.h>

#include "tasks/process/runtime.h"

#include "tests/support/durable.h"
#include "tests/support/leak.h"
#include "tests/support/waiters.h"
#include "tests/support/world.h"

/* ---- Why ------------------------------------------------------------------------------------- */

static void expect_why(struct durable *durable, const char *id, const char *sentence)
{
	assert_int_equal(durable_start(durable, &waiter_definition, id), 0);
	assert_string_equal(durable_why(durable, id), sentence);
}

static void why_says_for_each_kind_of_wait_what_it_is_for_and_who_could_end_it(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_command pause = {
		.kind = TMGR_PROCESS_PAUSE, .id = "flaky", .text = "by hand"
	};

	durable_begin(&durable, waiters);
	expect_why(&durable, "receiver",
		"waits for a message on receiver/box; who sends on it or closes it wakes it, a "
		"process "
		"or somebody outside");
	expect_why(&durable, "sender",
		"waits to send on sender/box, whose buffer of 0 has no room; who receives from it "
		"or "
		"closes it wakes it");
	expect_why(&durable, "after",
		"waits until 2001-09-09 01:47:40 UTC, in 60000 ms; the runtime's clock wakes it");
	expect_why(&durable, "wall",
		"waits until 2001-09-09 01:46:45 UTC, in 5000 ms; the wall clock wakes it");
	expect_why(&durable, "both", "waits for the first of 2 cases");
	assert_string_equal(durable_get(&durable, "both")->goroutines[0].waits[1].why,
		"waits until 2001-09-09 01:47:40 UTC, in 60000 ms; the runtime's clock wakes it");
	assert_int_equal(durable_start(&durable, &caller_definition, "caller"), 0);
	assert_string_equal(durable_why(&durable, "caller"),
		"waits for the end of process receiver, which is active; its end wakes it, "
		"finished or "
		"cancelled");
	waiters_fail = true;
	expect_why(&durable, "flaky",
		"its method Main_Flaky has failed 1 times (no upstream); the runtime's clock has "
		"it "
		"called again in 100 ms, and resuming the process at once");
	assert_int_equal(durable_do(&durable, &pause), 0);
	assert_string_equal(durable_why(&durable, "flaky"),
		"is ready for its method Main_Flaky; the process is paused: resuming it wakes it");
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESUME,
					     .id = "flaky" }),
		0);
	durable_advance(&durable, TMGR_SECOND);
	assert_string_equal(durable_why(&durable, "flaky"),
		"has failed: its method Main_Flaky, 2 times (no upstream); resuming the process "
		"has it "
		"called again");
	durable_end(&durable);
}

/* ---- Repair ---------------------------------------------------------------------------------- */

static void a_paused_process_keeps_its_reason_and_goes_on_when_it_is_resumed(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_command pause = {
		.kind = TMGR_PROCESS_PAUSE, .id = "receiver", .text = "to be looked at"
	};
	const struct tmgr_process_command resume = { .kind = TMGR_PROCESS_RESUME,
		.id = "receiver" };

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "receiver"), 0);
	assert_int_equal(durable_do(&durable, &resume), -EALREADY);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_do(&durable, &pause), 0);
	assert_int_equal(durable_do(&durable, &pause), -EALREADY);
	assert_int_equal(durable_get(&durable, "receiver")->created_ms, INT64_C(1000000000000));
	assert_int_equal(durable_get(&durable, "receiver")->changed_ms, INT64_C(1000000001000));
	assert_int_equal(durable_send(&durable, "receiver/box", "hello"), 0);
	durable_kill(&durable);
	durable_advance(&durable, TMGR_HOUR);
	assert_int_equal(durable_status(&durable, "receiver"), TMGR_PROCESS_PAUSED);
	assert_string_equal(durable_get(&durable, "receiver")->text, "to be looked at");
	assert_int_equal(durable_do(&durable, &resume), 0);
	assert_int_equal(durable_status(&durable, "receiver"), TMGR_PROCESS_FINISHED);
	assert_string_equal(durable_result(&durable, "receiver"), "hello");
	assert_int_equal(durable_do(&durable, &resume), -ESRCH);
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESUME,
					     .id = "unknown" }),
		-ENOENT);
	durable_end(&durable);
}

static void a_goroutine_can_be_sent_to_a_method(void **state)
{
	struct durable durable = { 0 };
	struct tmgr_process_command go = { .kind = TMGR_PROCESS_GOTO,
		.id = "receiver",
		.goroutine = "Main",
		.method = "Main_Unknown" };

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "receiver"), 0);
	assert_int_equal(durable_do(&durable, &go), -ENOENT);
	go.method = "Main_Done";
	go.goroutine = "Other";
	assert_int_equal(durable_do(&durable, &go), -ENOENT);
	go.goroutine = "Main";
	assert_int_equal(durable_do(&durable, &go), 0);
	assert_int_equal(durable_status(&durable, "receiver"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

static void a_failed_goroutine_that_is_sent_elsewhere_makes_its_process_active(void **state)
{
	struct durable durable = { 0 };

	waiters_fail = true;
	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "flaky"), 0);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "flaky"), TMGR_PROCESS_FAILED);
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_GOTO,
					     .id = "flaky",
					     .goroutine = "Main",
					     .method = "Main_Done" }),
		0);
	assert_int_equal(durable_status(&durable, "flaky"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

/* One fails by itself, and one that it has started. */
static int fail_alone(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (tmgr_process_attempts(process) == 0 && message->arrival == TMGR_ARRIVED_START &&
		tmgr_process_goroutine(process)[0] == 'M' && tmgr_process_id(process)[0] == 't') {
		tmgr_process_go_named(process, "Other", fail_alone);
		return tmgr_process_receive(process, "go", fail_alone);
	}
	return -EPERM;
}

static const struct tmgr_process_definition failing_definition = {
	.name = "failing",
	.version = 1,
	.start = fail_alone,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Fail",
								 .function = fail_alone },
		{ .name = "Main_Done", .function = waiter_done }, { 0 } },
};

static void a_process_is_failed_until_none_of_its_goroutines_is(void **state)
{
	static const struct tmgr_process_definition *const failings[] = { &failing_definition,
		NULL };
	struct tmgr_process_command go = {
		.kind = TMGR_PROCESS_GOTO, .id = "two", .goroutine = "Main", .method = "Main_Done"
	};
	struct durable durable = { 0 };
	const struct tmgr_process_info *info;

	durable_begin(&durable, failings);
	/* Where nothing is said of an error, its name is. */
	assert_int_equal(durable_start(&durable, &failing_definition, "one"), 0);
	assert_string_equal(
		durable_get(&durable, "one")->text, "Main_Fail: Operation not permitted");
	assert_int_equal(durable_start(&durable, &failing_definition, "two"), 0);
	info = durable_get(&durable, "two");
	assert_int_equal(info->status, TMGR_PROCESS_FAILED);
	assert_int_equal(info->goroutine_count, 2);
	/* The one that has not failed does not run meanwhile. */
	assert_int_equal(durable_do(&durable, &go), 0);
	assert_int_equal(durable_status(&durable, "two"), TMGR_PROCESS_FAILED);
	go.goroutine = "Other";
	assert_int_equal(durable_do(&durable, &go), 0);
	assert_int_equal(durable_status(&durable, "two"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

static void what_is_resumed_has_no_reason_and_no_error_any_more(void **state)
{
	const struct tmgr_process_command pause = {
		.kind = TMGR_PROCESS_PAUSE, .id = "receiver", .text = "why"
	};
	struct durable durable = { 0 };

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "receiver"), 0);
	assert_int_equal(durable_do(&durable, &pause), 0);
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESUME,
					     .id = "receiver" }),
		0);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(durable_get(&durable, "receiver")->text, "");
		assert_int_equal(durable_get(&durable, "receiver")->error, 0);
		durable_kill(&durable);
	}
	durable_end(&durable);
}

static void a_goroutine_that_is_sent_to_a_method_has_all_its_attempts_again(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_command go = { .kind = TMGR_PROCESS_GOTO,
		.id = "flaky",
		.goroutine = "Main",
		.method = "Main_Flaky" };

	waiters_fail = true;
	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "flaky"), 0);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_get(&durable, "flaky")->goroutines[0].attempts, 2);
	assert_int_equal(durable_do(&durable, &go), 0);
	assert_int_equal(durable_get(&durable, "flaky")->goroutines[0].attempts, 1);
	assert_int_equal(durable_status(&durable, "flaky"), TMGR_PROCESS_ACTIVE);
	/* While it waits for the next one too. */
	assert_int_equal(durable_do(&durable, &go), 0);
	durable_kill(&durable);
	assert_int_equal(durable_get(&durable, "flaky")->goroutines[0].attempts, 1);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "flaky"), TMGR_PROCESS_FAILED);
	assert_int_equal(durable_events(&durable, "flaky", TMGR_PROCESS_EVENT_RETRY), 3);
	assert_null(world_check(durable.store, true, 0));
	durable_end(&durable);
}

static void the_state_is_set_only_if_its_revision_is_the_one_that_was_seen(void **state)
{
	struct durable durable = { 0 };
	struct tmgr_process_command set = {
		.kind = TMGR_PROCESS_SET, .id = "t", .value = bytes_of("{\"count\":40}")
	};

	durable_begin(&durable, things);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	set.revision = durable_get(&durable, "t")->revision + 1;
	assert_int_equal(durable_do(&durable, &set), -ESTALE);
	set.revision--;
	assert_int_equal(durable_do(&durable, &set), 0);
	assert_int_equal(durable_do(&durable, &set), -ESTALE);
	durable_kill(&durable);
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":41}");
	durable_end(&durable);
}

static void a_state_is_set_only_to_an_object_of_json(void **state)
{
	static const struct {
		const char *json;
		int error;
	} rows[] = {
		{ "", -EINVAL },
		{ "garbage\n", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{} {}", -EBADMSG },
		{ "{\"count\":NaN}", -EBADMSG },
		{ "{\"later\":\"\xff\"}", -EILSEQ },
		/* Whether its table can read it is found by its next method. */
		{ "{\"count\":\"many\"}", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct durable durable = { 0 };
		struct tmgr_process_command set = {
			.kind = TMGR_PROCESS_SET, .id = "t", .value = bytes_of(rows[i].json)
		};

		durable_begin(&durable, things);
		assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
		set.revision = durable_get(&durable, "t")->revision;
		assert_int_equal(durable_do(&durable, &set), rows[i].error);
		assert_string_equal(durable_state(&durable, "t"),
			rows[i].error != 0 ? "{\"count\":1}" : rows[i].json);
		durable_end(&durable);
	}
}

/* ---- Channels from outside ------------------------------------------------------------------- */

static void closing_from_outside_wakes_who_waits_once_and_twice_is_ealready(void **state)
{
	struct durable durable = { 0 };
	struct tmgr_process_command close = { .kind = TMGR_PROCESS_CLOSE,
		.channel = "receiver/box" };

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "receiver"), 0);
	assert_int_equal(durable_do(&durable, &close), 0);
	assert_int_equal(durable_status(&durable, "receiver"), TMGR_PROCESS_FINISHED);
	assert_int_equal(durable_do(&durable, &close), -EALREADY);
	assert_int_equal(durable_start(&durable, &waiter_definition, "both"), 0);
	close.channel = "both/other";
	assert_int_equal(durable_do(&durable, &close), 0);
	assert_int_equal(durable_do(&durable, &close), -EALREADY);
	assert_int_equal(durable_send(&durable, "both/other", "x"), -EPIPE);
	close.channel = "unknown/box";
	assert_int_equal(durable_do(&durable, &close), -ENOENT);
	close.channel = "/unknown";
	assert_int_equal(durable_do(&durable, &close), -ENOENT);
	close.channel = "both/@1.1";
	assert_int_equal(durable_do(&durable, &close), -ENOENT);
	durable_end(&durable);
}

static void messages_from_outside_stand_in_line_durably_and_only_so_many(void **state)
{
	struct durable durable = { .options.line_max = 2 };

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "both"), 0);
	assert_int_equal(durable_send(&durable, "both/later", "1"), 0);
	assert_int_equal(durable_send(&durable, "both/later", "2"), 0);
	assert_int_equal(durable_send(&durable, "both/later", "3"), -EAGAIN);
	durable_kill(&durable);
	assert_int_equal(durable_send(&durable, "both/later", "3"), -EAGAIN);
	assert_int_equal(durable_send(&durable, "both/box", "go"), 0);
	assert_string_equal(durable_result(&durable, "both"), "go");
	/* They went with the process. */
	assert_null(world_check(durable.store, true, 0));
	durable_end(&durable);
}

static void a_key_is_remembered_for_its_time_also_over_a_kill(void **state)
{
	struct durable durable = { .options.keep_keys_ns = TMGR_HOUR };
	const struct tmgr_process_command send = {
		.kind = TMGR_PROCESS_SEND, .channel = "t/go", .key = "k"
	};

	durable_begin(&durable, things);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(durable_do(&durable, &send), 0);
		assert_string_equal(durable_state(&durable, "t"), "{\"count\":2}");
		durable_kill(&durable);
	}
	durable_end(&durable);
}

/* Names may have spaces, and keys anything. */
static void keys_of_one_channel_are_not_those_of_another(void **state)
{
	static const struct tmgr_process_command channels[] = {
		{ .kind = TMGR_PROCESS_CHANNEL_CREATE, .channel = "/b", .capacity = 9 },
		{ .kind = TMGR_PROCESS_CHANNEL_CREATE, .channel = "/b c", .capacity = 9 },
	};
	static const struct tmgr_process_command sends[] = {
		{ .kind = TMGR_PROCESS_SEND, .channel = "/b", .key = "c d" },
		{ .kind = TMGR_PROCESS_SEND, .channel = "/b c", .key = "d" },
		{ .kind = TMGR_PROCESS_SEND, .channel = "/b", .key = "c/d" },
	};
	struct durable durable = { .options.keep_keys_ns = TMGR_HOUR };

	durable_begin(&durable, things);
	for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++)
		assert_int_equal(durable_do(&durable, &channels[i]), 0);
	for (size_t i = 0; i < 2 * (sizeof(sends) / sizeof(sends[0])); i++)
		assert_int_equal(durable_do(&durable, &sends[i / 2]), 0);
	assert_int_equal(durable_events(&durable, NULL, TMGR_PROCESS_EVENT_SENT), 3);
	durable_end(&durable);
}

static void what_is_over_is_forgotten_after_its_time(void **state)
{
	struct durable durable = { .options.keep_finished_ns = TMGR_HOUR };

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "over"), 0);
	assert_int_equal(durable_status(&durable, "over"), TMGR_PROCESS_FINISHED);
	/* A wall clock that is set does not make it older. */
	assert_int_equal(tmgr_processes_set_wall(durable.processes, INT64_C(2000000000000)), 0);
	assert_int_equal(durable_start(&durable, &waiter_definition, "after"), 0);
	durable_advance(&durable, TMGR_HOUR - TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "over"), TMGR_PROCESS_FINISHED);
	assert_int_equal(durable_start(&durable, &waiter_definition, "after2"), 0);
	durable_advance(&durable, TMGR_HOUR);
	assert_int_equal(durable_status(&durable, "over"), 0);
	assert_int_equal(durable_start(&durable, &waiter_definition, "over"), 0);
	durable_end(&durable);
}

static void what_is_over_and_keys_are_forgotten_without_any_timer(void **state)
{
	struct durable durable = {
		.options = { .keep_finished_ns = TMGR_HOUR, .keep_keys_ns = TMGR_HOUR },
	};
	const struct tmgr_process_command send = {
		.kind = TMGR_PROCESS_SEND, .channel = "t/go", .key = "k"
	};

	durable_begin(&durable, (const struct tmgr_process_definition *const[]){
					&waiter_definition, &thing_definition, NULL });
	assert_int_equal(durable_start(&durable, &waiter_definition, "r"), 0);
	assert_int_equal(durable_send(&durable, "r/box", "x"), 0);
	assert_int_equal(durable_status(&durable, "r"), TMGR_PROCESS_FINISHED);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	assert_int_equal(durable_do(&durable, &send), 0);
	durable_advance(&durable, 2 * TMGR_HOUR);
	assert_null(durable_get(&durable, "r"));
	assert_int_equal(durable_do(&durable, &send), 0);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":3}");
	durable_end(&durable);
}

static void a_time_to_remember_of_less_than_a_millisecond_is_one(void **state)
{
	struct durable durable = {
		.options = { .keep_finished_ns = 1, .keep_keys_ns = TMGR_MILLISECOND - 1 },
	};
	const struct tmgr_process_command send = {
		.kind = TMGR_PROCESS_SEND, .channel = "t/go", .key = "k"
	};

	durable_begin(&durable, (const struct tmgr_process_definition *const[]){
					&waiter_definition, &thing_definition, NULL });
	assert_int_equal(durable_start(&durable, &waiter_definition, "over"), 0);
	assert_int_equal(durable_status(&durable, "over"), TMGR_PROCESS_FINISHED);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	assert_int_equal(durable_do(&durable, &send), 0);
	assert_int_equal(durable_do(&durable, &send), 0);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":2}");
	durable_advance(&durable, TMGR_MILLISECOND);
	assert_null(durable_get(&durable, "over"));
	assert_int_equal(durable_do(&durable, &send), 0);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":3}");
	durable_end(&durable);
	/* The history is cut by a store, and only where there are threads. */
	durable = (struct durable){ .options = { .keep_events_ns = 1 } };
	durable_begin(&durable, waiters);
	assert_int_equal(durable.processes->options.keep_events_ns, TMGR_MILLISECOND);
	durable_end(&durable);
}

/* It only grows, also where there is no greater one. */
static void the_longest_time_to_remember_is_no_overflow(void **state)
{
	struct durable durable = {
		.options = { .keep_finished_ns = INT64_MAX,
			.keep_keys_ns = INT64_MAX,
			.keep_events_ns = INT64_MAX },
	};

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "over"), 0);
	durable_advance(&durable, 1000 * TMGR_HOUR);
	assert_int_equal(durable_status(&durable, "over"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(why_says_for_each_kind_of_wait_what_it_is_for_and_who_could_end_it),
		leak_test(a_paused_process_keeps_its_reason_and_goes_on_when_it_is_resumed),
		leak_test(a_goroutine_can_be_sent_to_a_method),
		leak_test(a_failed_goroutine_that_is_sent_elsewhere_makes_its_process_active),
		leak_test(a_process_is_failed_until_none_of_its_goroutines_is),
		leak_test(what_is_resumed_has_no_reason_and_no_error_any_more),
		leak_test(a_goroutine_that_is_sent_to_a_method_has_all_its_attempts_again),
		leak_test(the_state_is_set_only_if_its_revision_is_the_one_that_was_seen),
		leak_test(a_state_is_set_only_to_an_object_of_json),
		leak_test(closing_from_outside_wakes_who_waits_once_and_twice_is_ealready),
		leak_test(messages_from_outside_stand_in_line_durably_and_only_so_many),
		leak_test(a_key_is_remembered_for_its_time_also_over_a_kill),
		leak_test(keys_of_one_channel_are_not_those_of_another),
		leak_test(what_is_over_is_forgotten_after_its_time),
		leak_test(what_is_over_and_keys_are_forgotten_without_any_timer),
		leak_test(a_time_to_remember_of_less_than_a_millisecond_is_one),
		leak_test(the_longest_time_to_remember_is_no_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
