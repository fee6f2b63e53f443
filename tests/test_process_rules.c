/* Upgrades of durable processes, what they wait for, repair from outside, clocks, limits; and memory that runs out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/durable.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/world.h"

static int done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_finish(process, message->value);
}

/* ---- Upgrades -------------------------------------------------------------------------------- */

struct old {
	int64_t count;
};

struct new
{
	char *count; /* was a number */
	int64_t limit;
};

static const struct tmgr_state_field old_fields[] = { TMGR_FIELD(struct old, count) };
static const struct tmgr_state_field new_fields[] = {
	TMGR_FIELD(struct new, count),
	TMGR_FIELD_MISSING(struct new, limit, "7"),
};

static int migrate(struct tmgr_state_old *old, const char *name, void *object)
{
	struct new *self = object;
	int64_t count;
	char text[32];
	int r = tmgr_state_old_integer(old, name, &count);

	if (r != 0)
		return r;
	snprintf(text, sizeof(text), "#%lld", (long long)count);
	self->count = tmgr_state_copy(tmgr_state_old_memory(old), text, strlen(text));
	return self->count != NULL ? 0 : -ENOMEM;
}

static int old_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct old *self = state;

	self->count++;
	return tmgr_process_receive(process, "go", old_wait);
}

static int new_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_receive(process, "go", new_wait);
}

static const struct tmgr_process_definition old_definition = {
	.name = "thing",
	.version = 1,
	.state = TMGR_STATE(struct old, old_fields),
	.start = old_wait,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = old_wait },
		{ 0 } },
};

static const struct tmgr_process_definition new_definition = {
	.name = "thing",
	.version = 2,
	.state = TMGR_STATE_MIGRATED(struct new, new_fields, migrate),
	.start = new_wait,
	.methods =
		(const struct tmgr_process_method[]){
			{ .name = "Main_Await",
				.function = new_wait,
				.aliases = (const char *const[]){ "Main_Wait", NULL } },
			{ 0 } },
};

/* The same name, and none of the methods. */
static const struct tmgr_process_definition lacking_definition = {
	.name = "thing",
	.version = 1,
	.start = done,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Other", .function = done },
		{ 0 } },
};

static const struct tmgr_process_definition *const olds[] = { &old_definition, NULL };
static const struct tmgr_process_definition *const news[] = { &new_definition, NULL };
static const struct tmgr_process_definition *const lackings[] = { &lacking_definition, NULL };
static const struct tmgr_process_definition *const nothing[] = { NULL };

static void state_is_upgraded_at_the_next_step_with_defaults_and_migrate(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, olds);
	assert_int_equal(durable_start(&durable, &old_definition, "t"), 0);
	durable_replace(&durable, news);
	durable_settle(&durable);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":1}");
	assert_int_equal(durable_get(&durable, "t")->version, 1);
	/* The method's old name is an alias. */
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":\"#1\",\"limit\":7}");
	assert_int_equal(durable_get(&durable, "t")->version, 2);
	assert_int_equal(durable_events(&durable, "t", TMGR_PROCESS_EVENT_UPGRADED), 1);
	assert_string_equal(durable_event_text(&durable, "t", TMGR_PROCESS_EVENT_UPGRADED), "2");
	durable_end(&durable);
}

static void an_older_program_pauses_what_it_cannot_read_and_the_next_goes_on(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_info *info;

	durable_begin(&durable, news);
	assert_int_equal(durable_start(&durable, &new_definition, "t"), 0);
	/* "#1" is no number for the old table, which has no migrate. */
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_SET,
					     .id = "t",
					     .revision = 1,
					     .value = bytes_of("{\"count\":\"#1\",\"limit\":7}") }),
		0);
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
	durable_replace(&durable,
		(const struct tmgr_process_definition *const[]){
			&((struct tmgr_process_definition){ .name = "thing",
				.version = 1,
				.state = TMGR_STATE(struct old, old_fields),
				.start = old_wait,
				.methods =
					(const struct tmgr_process_method[]){
						{ .name = "Main_Await", .function = old_wait },
						{ 0 } } }),
			NULL });
	assert_int_equal(durable_send(&durable, "t/go", "y"), 0);
	info = durable_get(&durable, "t");
	assert_int_equal(info->status, TMGR_PROCESS_ACTIVE);
	assert_int_equal(info->goroutines[0].status, TMGR_GOROUTINE_PAUSED);
	assert_non_null(strstr(info->goroutines[0].text, "count"));
	assert_non_null(strstr(info->goroutines[0].why, "is paused"));
	assert_int_equal(info->goroutines[0].attempts, 0);
	durable_replace(&durable, news);
	durable_settle(&durable);
	info = durable_get(&durable, "t");
	assert_int_equal(info->goroutines[0].status, TMGR_GOROUTINE_BLOCKED);
	assert_int_equal(info->version, 2);
	durable_end(&durable);
}

/* A goroutine that is ready when a program begins that cannot run it. */
static void leave_ready(struct durable *durable)
{
	struct tmgr_process_request *request;

	durable_begin(durable, olds);
	assert_int_equal(durable_start(durable, &old_definition, "t"), 0);
	assert_int_equal(tmgr_processes_submit(durable->processes,
				 &(struct tmgr_process_command){
					 .kind = TMGR_PROCESS_SEND, .channel = "t/go" },
				 &request),
		0);
	while (!tmgr_future_done(tmgr_process_request_future(request)))
		assert_int_equal(tmgr_processes_drive(durable->processes), 1);
	tmgr_process_request_release(request);
}

static void pauses_with(
	const struct tmgr_process_definition *const *definitions, const char *reason)
{
	struct durable durable = { 0 };
	const struct tmgr_process_info *info;

	leave_ready(&durable);
	durable_replace(&durable, definitions);
	durable_settle(&durable);
	info = durable_get(&durable, "t");
	assert_int_equal(info->goroutines[0].status, TMGR_GOROUTINE_PAUSED);
	assert_string_equal(info->goroutines[0].text, reason);
	assert_int_equal(durable_events(&durable, "t", TMGR_PROCESS_EVENT_PAUSED), 1);
	durable_kill(&durable);
	durable_settle(&durable);
	assert_int_equal(durable_events(&durable, "t", TMGR_PROCESS_EVENT_PAUSED), 1);
	durable_replace(&durable, olds);
	durable_settle(&durable);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":2}");
	assert_int_equal(durable_get(&durable, "t")->goroutines[0].status, TMGR_GOROUTINE_BLOCKED);
	durable_end(&durable);
}

static void a_method_that_the_program_lacks_pauses_its_goroutine_until_one_has_it(void **state)
{
	pauses_with(lackings, "this program lacks the method Main_Wait of thing");
}

static void so_does_a_definition(void **state)
{
	pauses_with(nothing, "this program lacks the definition thing");
}

static void a_goroutine_that_fires_into_a_missing_method_is_paused_then(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, olds);
	assert_int_equal(durable_start(&durable, &old_definition, "t"), 0);
	durable_replace(&durable, lackings);
	durable_settle(&durable);
	assert_int_equal(durable_get(&durable, "t")->goroutines[0].status, TMGR_GOROUTINE_BLOCKED);
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
	assert_int_equal(durable_get(&durable, "t")->goroutines[0].status, TMGR_GOROUTINE_PAUSED);
	durable_replace(&durable, olds);
	durable_settle(&durable);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":2}");
	durable_end(&durable);
}

/* ---- Why ------------------------------------------------------------------------------------- */

static int fails;

static int flaky(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (fails > 0)
		return tmgr_process_fail(process, -EIO, "no upstream");
	return 0;
}

/* What it waits for is its id's first letter. */
static int wait_for(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	switch (tmgr_process_id(process)[0]) {
	case 'r':
		return tmgr_process_receive(process, "box", done);
	case 's':
		return tmgr_process_send(process, "box", bytes_of("x"), done);
	case 'a':
		return tmgr_process_after(process, TMGR_MINUTE, done);
	case 'w':
		return tmgr_process_at(process, tmgr_process_now(process) + 5000, done);
	case 'b':
		tmgr_process_receive(process, "box", done);
		return tmgr_process_after(process, TMGR_MINUTE, done);
	case 'f':
		return tmgr_process_default(process, flaky);
	default:
		return 0;
	}
}

static const struct tmgr_process_definition waiter_definition;

static int call(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_call(process,
		&(struct tmgr_process_child){ &waiter_definition, "receiver", NULL }, done);
}

static const struct tmgr_process_method waiter_methods[] = {
	{ .name = "Main_Wait", .function = wait_for },
	{ .name = "Main_Done", .function = done },
	{ .name = "Main_Flaky", .function = flaky },
	{ 0 },
};

static const struct tmgr_process_definition waiter_definition = {
	.name = "waiter",
	.version = 1,
	.start = wait_for,
	.retry = { .attempts_max = 2 },
	.methods = waiter_methods,
};

static const struct tmgr_process_definition caller_definition = {
	.name = "caller",
	.version = 1,
	.start = call,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Call", .function = call },
		{ .name = "Main_Done", .function = done }, { 0 } },
};

static const struct tmgr_process_definition *const waiters[] = { &waiter_definition,
	&caller_definition, NULL };

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
	fails = 1;
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
	assert_int_equal(durable_do(&durable, &pause), 0);
	assert_int_equal(durable_do(&durable, &pause), -EALREADY);
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

	fails = 1;
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

static void the_state_is_set_only_if_its_revision_is_the_one_that_was_seen(void **state)
{
	struct durable durable = { 0 };
	struct tmgr_process_command set = {
		.kind = TMGR_PROCESS_SET, .id = "t", .value = bytes_of("{\"count\":40}")
	};

	durable_begin(&durable, olds);
	assert_int_equal(durable_start(&durable, &old_definition, "t"), 0);
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

	durable_begin(&durable, olds);
	assert_int_equal(durable_start(&durable, &old_definition, "t"), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(durable_do(&durable, &send), 0);
		assert_string_equal(durable_state(&durable, "t"), "{\"count\":2}");
		durable_kill(&durable);
	}
	/* Forgotten with a tick, which something else brings. */
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

/* ---- Clocks ---------------------------------------------------------------------------------- */

static void after_heeds_no_wall_clock_and_at_follows_it(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "after"), 0);
	assert_int_equal(durable_start(&durable, &waiter_definition, "wall"), 0);
	assert_int_equal(tmgr_processes_set_wall(durable.processes, 1), 0);
	durable_advance(&durable, 59 * TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "after"), TMGR_PROCESS_ACTIVE);
	assert_int_equal(durable_status(&durable, "wall"), TMGR_PROCESS_ACTIVE);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "after"), TMGR_PROCESS_FINISHED);
	assert_int_equal(durable_status(&durable, "wall"), TMGR_PROCESS_ACTIVE);
	assert_int_equal(tmgr_processes_set_wall(durable.processes, INT64_C(1000000005000)), 0);
	durable_settle(&durable);
	assert_int_equal(durable_status(&durable, "wall"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

static void a_time_that_passed_while_it_was_down_fires_late_and_is_not_skipped(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "after"), 0);
	assert_int_equal(durable_start(&durable, &waiter_definition, "wall"), 0);
	durable.options.wall_ms = INT64_C(1000000000000) + 3600000;
	durable_kill(&durable);
	durable_settle(&durable);
	assert_int_equal(durable_status(&durable, "after"), TMGR_PROCESS_FINISHED);
	assert_int_equal(durable_status(&durable, "wall"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

static void a_wall_clock_that_was_set_back_while_it_was_down_starves_nothing(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, waiters);
	assert_int_equal(durable_start(&durable, &waiter_definition, "after"), 0);
	durable.options.wall_ms = 1000;
	durable_kill(&durable);
	durable_advance(&durable, TMGR_MINUTE);
	assert_int_equal(durable_status(&durable, "after"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

/* ---- A full store ---------------------------------------------------------------------------- */

static void without_room_steps_are_held_and_go_on_when_there_is(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, olds);
	assert_int_equal(durable_start(&durable, &old_definition, "t"), 0);
	assert_int_equal(tmgr_store_memory_fail(durable.store, -ENOSPC), 0);
	assert_int_equal(
		tmgr_processes_send(NULL, durable.processes,
			&(struct tmgr_process_outside){ "t/go", bytes_of("x"), NULL }, TMGR_NEVER),
		-ETIMEDOUT);
	assert_int_equal(tmgr_processes_settle(durable.processes), -ENOSPC);
	assert_int_equal(tmgr_processes_advance(durable.processes, TMGR_MINUTE), -ENOSPC);
	assert_int_equal(tmgr_store_memory_fail(durable.store, 0), 0);
	durable_advance(&durable, TMGR_SECOND);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":2}");
	durable_end(&durable);
}

/* ---- A composed function --------------------------------------------------------------------- */

/* Asks somebody, and goes on in the caller's method: with the answer, or when it took too long. */
static int ask(struct tmgr_process *process, const char *question, tmgr_method *then)
{
	char reply[TMGR_PROCESS_CHANNEL_MAX + 1], text[TMGR_PROCESS_CHANNEL_MAX + 64];

	tmgr_process_channel(process, 1, reply);
	snprintf(text, sizeof(text), "%s %s", reply, question);
	tmgr_process_post(process, "/questions", bytes_of(text));
	tmgr_process_receive(process, reply, then);
	return tmgr_process_after(process, TMGR_HOUR, then);
}

static int ask_answer(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_TIMEOUT)
		return tmgr_process_finish(process, bytes_of("nobody answered"));
	return tmgr_process_finish(process, message->value);
}

static int ask_start(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return ask(process, "may I?", ask_answer);
}

static int boss_hear(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	char reply[TMGR_PROCESS_CHANNEL_MAX + 1];

	if (message->arrival == TMGR_ARRIVED_MESSAGE &&
		sscanf(message->value.data, "%191s", reply) == 1)
		tmgr_process_post(process, reply, bytes_of("you may"));
	return tmgr_process_receive(process, "/questions", boss_hear);
}

static const struct tmgr_process_definition ask_definition = {
	.name = "ask",
	.version = 1,
	.start = ask_start,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Start",
								 .function = ask_start },
		{ .name = "Main_Answer", .function = ask_answer }, { 0 } },
};

static const struct tmgr_process_definition boss_definition = {
	.name = "boss",
	.version = 1,
	.start = boss_hear,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Hear",
								 .function = boss_hear },
		{ 0 } },
};

static void a_composed_function_declares_in_the_callers_step_and_a_reply_finds_it(void **state)
{
	const struct tmgr_process_definition *const both[] = { &ask_definition, &boss_definition,
		NULL };
	struct durable durable = { 0 };

	durable_begin(&durable, both);
	assert_int_equal(
		durable_do(&durable,
			&(struct tmgr_process_command){
				.kind = TMGR_PROCESS_CHANNEL_CREATE, .channel = "/questions" }),
		0);
	assert_int_equal(durable_start(&durable, &ask_definition, "late"), 0);
	durable_kill(&durable);
	durable_advance(&durable, TMGR_HOUR);
	assert_string_equal(durable_result(&durable, "late"), "nobody answered");
	assert_int_equal(durable_start(&durable, &ask_definition, "soon"), 0);
	/* The first reply goes to a channel that is gone with its process. */
	assert_int_equal(durable_start(&durable, &boss_definition, "boss"), 0);
	assert_string_equal(durable_result(&durable, "soon"), "you may");
	assert_int_equal(durable_status(&durable, "boss"), TMGR_PROCESS_ACTIVE);
	assert_null(world_check(durable.store, true, 0));
	durable_end(&durable);
}

/* ---- Memory that runs out -------------------------------------------------------------------- */

static int work(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct new *self = state;
	char id[TMGR_PROCESS_CHANNEL_MAX + 1];

	tmgr_process_text(process, &self->count, "%s", "some text");
	tmgr_process_channel(process, 2, id);
	tmgr_process_post(process, id, bytes_of("x"));
	tmgr_process_log(process, "a line");
	tmgr_process_spawn(
		process, &(struct tmgr_process_child){ &old_definition, "child", NULL }, NULL);
	tmgr_process_receive(process, id, done);
	return tmgr_process_after(process, TMGR_HOUR, done);
}

static const struct tmgr_process_definition work_definition = {
	.name = "work",
	.version = 1,
	.state = TMGR_STATE(struct new, new_fields),
	.start = work,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Work", .function = work },
		{ .name = "Main_Done", .function = done }, { 0 } },
};

static const struct tmgr_process_definition *const works[] = { &work_definition, &old_definition,
	NULL };

/* Whatever fails, the store has whole steps only, and the next program brings it to the same end. */
static void when_any_allocation_fails_what_is_stored_is_whole_and_goes_on(void **state)
{
	bool happened = true;
	int ended = 0;

	for (long k = 1; happened; k++) {
		struct durable durable = { 0 };
		struct tmgr_process_request *request = NULL;
		int r;

		durable_begin(&durable, works);
		fault_fail_allocation(k);
		r = tmgr_processes_submit(durable.processes,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
				.child = { &work_definition, "w", NULL } },
			&request);
		if (r == 0)
			r = tmgr_processes_settle(durable.processes);
		happened = fault_happened();
		fault_off();
		tmgr_process_request_release(request);
		assert_true(r == 0 || r == -ENOMEM);
		ended += r == -ENOMEM;
		if (r == 0 && request == NULL)
			fail_msg("k = %ld", k);
		assert_null(world_check(durable.store, false, 0));
		durable_kill(&durable);
		r = durable_start(&durable, &work_definition, "w");
		assert_true(r == 0 || r == -EEXIST);
		durable_advance(&durable, TMGR_SECOND);
		assert_string_equal(durable_result(&durable, "w"), "x");
		assert_string_equal(durable_state(&durable, "child"), "{\"count\":1}");
		durable_end(&durable);
	}
	assert_true(ended > 10);
}

static void when_any_allocation_fails_while_it_opens_that_is_enomem_and_harms_nothing(void **state)
{
	struct tmgr_store *kept;
	struct durable durable = { 0 };
	bool happened = true;
	int refused = 0;

	durable_begin(&durable, works);
	assert_int_equal(durable_start(&durable, &work_definition, "w"), 0);
	assert_int_equal(durable_start(&durable, &old_definition, "t"), 0);
	assert_int_equal(durable_send(&durable, "t/other", "x"), 0);
	assert_int_equal(tmgr_store_memory_copy(durable.store, &kept), 0);
	durable_end(&durable);
	for (long k = 1; happened; k++) {
		const struct tmgr_processes_options options = { .single_threaded = true };
		struct tmgr_processes *processes = NULL;
		struct tmgr_store *copy = NULL;
		int r;

		fault_fail_allocation(k);
		r = tmgr_store_memory_copy(kept, &copy);
		if (r == 0)
			r = tmgr_processes_create(copy, &options, &processes);
		for (size_t i = 0; r == 0 && works[i] != NULL; i++)
			r = tmgr_processes_define(processes, works[i]);
		if (r == 0)
			r = tmgr_processes_open(processes);
		happened = fault_happened();
		fault_off();
		/* A table that cannot grow does without. */
		assert_true(r == 0 || (happened && r == -ENOMEM));
		refused += r != 0;
		tmgr_processes_unref(processes);
	}
	assert_true(refused > 10);
	tmgr_store_destroy(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(state_is_upgraded_at_the_next_step_with_defaults_and_migrate),
		leak_test(an_older_program_pauses_what_it_cannot_read_and_the_next_goes_on),
		leak_test(a_method_that_the_program_lacks_pauses_its_goroutine_until_one_has_it),
		leak_test(so_does_a_definition),
		leak_test(a_goroutine_that_fires_into_a_missing_method_is_paused_then),
		leak_test(why_says_for_each_kind_of_wait_what_it_is_for_and_who_could_end_it),
		leak_test(a_paused_process_keeps_its_reason_and_goes_on_when_it_is_resumed),
		leak_test(a_goroutine_can_be_sent_to_a_method),
		leak_test(a_failed_goroutine_that_is_sent_elsewhere_makes_its_process_active),
		leak_test(the_state_is_set_only_if_its_revision_is_the_one_that_was_seen),
		leak_test(closing_from_outside_wakes_who_waits_once_and_twice_is_ealready),
		leak_test(messages_from_outside_stand_in_line_durably_and_only_so_many),
		leak_test(a_key_is_remembered_for_its_time_also_over_a_kill),
		leak_test(what_is_over_is_forgotten_after_its_time),
		leak_test(after_heeds_no_wall_clock_and_at_follows_it),
		leak_test(a_time_that_passed_while_it_was_down_fires_late_and_is_not_skipped),
		leak_test(a_wall_clock_that_was_set_back_while_it_was_down_starves_nothing),
		leak_test(without_room_steps_are_held_and_go_on_when_there_is),
		leak_test(a_composed_function_declares_in_the_callers_step_and_a_reply_finds_it),
		leak_test(when_any_allocation_fails_what_is_stored_is_whole_and_goes_on),
		leak_test(
			when_any_allocation_fails_while_it_opens_that_is_enomem_and_harms_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
