/* How processes end, by themselves or cancelled from wherever, and what those are told who wait for it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/durable.h"
#include "tests/support/seen.h"
#include "tests/support/world.h"

/* ---- Processes that end in each way ---------------------------------------------------------- */

static bool failing;

static int mortal_undo(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	see("[undo %d]", message->arrival == TMGR_ARRIVED_CANCEL);
	return tmgr_process_finish(process, bytes_of("undone"));
}

static int mortal_end(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (failing)
		return -EIO;
	return message->value.size > 0 ? tmgr_process_finish(process, message->value) : 0;
}

/* Ends with what it is sent on "end" as its result; without one, if that is nothing. */
static int mortal_live(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_receive(process, "end", mortal_end);
}

static const struct tmgr_process_definition mortal_definition = {
	.name = "mortal",
	.version = 1,
	.start = mortal_live,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Live",
								 .function = mortal_live },
		{ .name = "Main_End", .function = mortal_end }, { 0 } },
};

/* The same, which undoes what it did. */
static const struct tmgr_process_definition careful_definition = {
	.name = "careful",
	.version = 1,
	.start = mortal_live,
	.cancel = mortal_undo,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Live",
								 .function = mortal_live },
		{ .name = "Main_End", .function = mortal_end },
		{ .name = "Undo_All", .function = mortal_undo }, { 0 } },
};

static int caller_told(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	see("[%s %d %s]", tmgr_process_id(process), message->error,
		(const char *)message->value.data);
	return 0;
}

/* Its id begins with that of the process it calls. */
static int caller_call(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	char id[TMGR_PROCESS_ID_MAX + 1];

	snprintf(id, sizeof(id), "%.*s", (int)strcspn(tmgr_process_id(process), "-"),
		tmgr_process_id(process));
	return tmgr_process_call(
		process, &(struct tmgr_process_child){ &mortal_definition, id, NULL }, caller_told);
}

static const struct tmgr_process_definition calling_definition = {
	.name = "calling",
	.version = 1,
	.start = caller_call,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Call",
								 .function = caller_call },
		{ .name = "Main_Told", .function = caller_told }, { 0 } },
};

static int killer_kill(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	char id[TMGR_PROCESS_ID_MAX + 1];

	if (message->arrival == TMGR_ARRIVED_MESSAGE) {
		snprintf(id, sizeof(id), "%s", (const char *)message->value.data);
		tmgr_process_cancel(process, id);
	}
	return tmgr_process_receive(process, "kill", killer_kill);
}

static const struct tmgr_process_definition killer_definition = {
	.name = "killer",
	.version = 1,
	.start = killer_kill,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Kill",
								 .function = killer_kill },
		{ 0 } },
};

static const struct tmgr_process_definition *const all[] = { &mortal_definition,
	&careful_definition, &calling_definition, &killer_definition, NULL };

static void begin(struct durable *durable)
{
	failing = false;
	durable_begin(durable, all);
	assert_int_equal(durable_start(durable, &mortal_definition, "m"), 0);
	assert_int_equal(durable_start(durable, &careful_definition, "c"), 0);
}

static void end(struct durable *durable)
{
	assert_null(world_check(durable->store, true, 0));
	durable_end(durable);
}

static int do_to(struct durable *durable, enum tmgr_process_command_kind kind, const char *id)
{
	return durable_do(durable,
		&(struct tmgr_process_command){ .kind = kind, .id = id, .text = "why not" });
}

static int result_of(struct durable *durable, const char *id)
{
	return tmgr_processes_do(NULL, durable->processes,
		&(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESULT, .id = id }, TMGR_NEVER,
		NULL);
}

/* ---- Who waits ------------------------------------------------------------------------------- */

/* One that waits, one that comes when it is over, and one after a kill. */
static void expect_told(
	struct durable *durable, const char *id, int (*end_it)(struct durable *), const char *what)
{
	static const char *const callers[] = { "waits", "late", "later" };
	char name[32], wanted[96];

	for (int i = 0; i < 3; i++) {
		seen[0] = '\0';
		snprintf(name, sizeof(name), "%s-%s", id, callers[i]);
		if (i == 2)
			durable_kill(durable);
		assert_int_equal(durable_start(durable, &calling_definition, name), 0);
		if (i == 0) {
			assert_string_equal(seen, "");
			durable_kill(durable);
			assert_int_equal(end_it(durable), 0);
		}
		snprintf(wanted, sizeof(wanted), "[%s %s]", name, what);
		assert_non_null(strstr(seen, wanted));
	}
}

static int end_with_result(struct durable *durable)
{
	return durable_send(durable, "m/end", "ok");
}

static int end_without_result(struct durable *durable)
{
	return durable_send(durable, "m/end", "");
}

static int cancel_mortal(struct durable *durable)
{
	return do_to(durable, TMGR_PROCESS_CANCEL, "m");
}

static int cancel_careful(struct durable *durable)
{
	return do_to(durable, TMGR_PROCESS_CANCEL, "c");
}

static void who_calls_is_told_how_it_ended_whether_it_waited_or_comes_later(void **state)
{
	static const struct {
		const char *id;
		int (*end_it)(struct durable *durable);
		const char *value;
		int error;
		enum tmgr_process_status status;
	} rows[] = {
		{ "m", end_with_result, "ok", 0, TMGR_PROCESS_FINISHED },
		{ "m", end_without_result, "", -ENODATA, TMGR_PROCESS_FINISHED },
		{ "m", cancel_mortal, "", -ECANCELED, TMGR_PROCESS_CANCELLED },
		/* What its cancel method gives is its result, and it is cancelled all the same. */
		{ "c", cancel_careful, "undone", -ECANCELED, TMGR_PROCESS_CANCELLED },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct durable durable = { 0 };
		char what[32];

		begin(&durable);
		snprintf(what, sizeof(what), "%d %s", rows[i].error, rows[i].value);
		expect_told(&durable, rows[i].id, rows[i].end_it, what);
		assert_int_equal(durable_status(&durable, rows[i].id), rows[i].status);
		assert_string_equal(durable_result(&durable, rows[i].id), rows[i].value);
		assert_int_equal(result_of(&durable, rows[i].id), rows[i].error);
		end(&durable);
	}
}

/* ---- Cancelled ------------------------------------------------------------------------------- */

static void what_is_paused_or_has_failed_is_cancelled_with_its_cancel_method(void **state)
{
	struct durable durable = { 0 };

	begin(&durable);
	assert_int_equal(do_to(&durable, TMGR_PROCESS_PAUSE, "c"), 0);
	durable_kill(&durable);
	assert_int_equal(do_to(&durable, TMGR_PROCESS_CANCEL, "c"), 0);
	assert_string_equal(seen, "[undo 1]");
	assert_int_equal(durable_status(&durable, "c"), TMGR_PROCESS_CANCELLED);
	assert_int_equal(durable_start(&durable, &careful_definition, "f"), 0);
	failing = true;
	assert_int_equal(durable_send(&durable, "f/end", "ok"), 0);
	assert_int_equal(durable_status(&durable, "f"), TMGR_PROCESS_FAILED);
	durable_kill(&durable);
	assert_int_equal(do_to(&durable, TMGR_PROCESS_CANCEL, "f"), 0);
	assert_string_equal(seen, "[undo 1][undo 1]");
	assert_int_equal(durable_status(&durable, "f"), TMGR_PROCESS_CANCELLED);
	assert_int_equal(durable_get(&durable, "f")->error, 0);
	assert_string_equal(durable_get(&durable, "f")->text, "");
	end(&durable);
}

/* Its cancel method waits. */
static int undo_later(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_CANCEL)
		return tmgr_process_receive(process, "undone", undo_later);
	return 0;
}

static int give_in(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (tmgr_process_id(process)[0] == 'f')
		return tmgr_process_fail(process, -EIO, "no upstream");
	return tmgr_process_receive(process, "box", give_in);
}

static const struct tmgr_process_definition slow_definition = {
	.name = "slow",
	.version = 1,
	.start = give_in,
	.cancel = undo_later,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Give",
								 .function = give_in },
		{ .name = "Cancel_Later", .function = undo_later }, { 0 } },
};

static void expect_no_reason(struct durable *durable, const char *id)
{
	assert_int_equal(durable_status(durable, id), TMGR_PROCESS_ACTIVE);
	assert_int_equal(durable_get(durable, id)->error, 0);
	assert_string_equal(durable_get(durable, id)->text, "");
}

static void what_is_being_cancelled_has_no_reason_and_no_error_any_more(void **state)
{
	static const struct tmgr_process_definition *const slow[] = { &slow_definition, NULL };
	static const char *const ids[] = { "paused", "failed" };
	struct durable durable = { 0 };

	durable_begin(&durable, slow);
	for (int i = 0; i < 2; i++)
		assert_int_equal(durable_start(&durable, &slow_definition, ids[i]), 0);
	assert_int_equal(do_to(&durable, TMGR_PROCESS_PAUSE, "paused"), 0);
	assert_int_equal(durable_status(&durable, "paused"), TMGR_PROCESS_PAUSED);
	assert_int_equal(durable_status(&durable, "failed"), TMGR_PROCESS_FAILED);
	for (int i = 0; i < 2; i++) {
		assert_string_not_equal(durable_get(&durable, ids[i])->text, "");
		assert_int_equal(do_to(&durable, TMGR_PROCESS_CANCEL, ids[i]), 0);
		expect_no_reason(&durable, ids[i]);
	}
	durable_kill(&durable);
	for (int i = 0; i < 2; i++)
		expect_no_reason(&durable, ids[i]);
	end(&durable);
}

static void a_process_can_cancel_another_and_itself(void **state)
{
	struct durable durable = { 0 };

	begin(&durable);
	assert_int_equal(durable_start(&durable, &killer_definition, "k"), 0);
	assert_int_equal(durable_send(&durable, "k/kill", "m"), 0);
	assert_int_equal(durable_status(&durable, "m"), TMGR_PROCESS_CANCELLED);
	assert_int_equal(durable_send(&durable, "k/kill", "c"), 0);
	assert_string_equal(seen, "[undo 1]");
	assert_int_equal(durable_status(&durable, "c"), TMGR_PROCESS_CANCELLED);
	/* Of one that is over, or never was, it is nothing. */
	assert_int_equal(durable_send(&durable, "k/kill", "c"), 0);
	assert_int_equal(durable_send(&durable, "k/kill", "nobody"), 0);
	assert_int_equal(durable_status(&durable, "k"), TMGR_PROCESS_ACTIVE);
	assert_int_equal(durable_events(&durable, "c", TMGR_PROCESS_EVENT_CANCEL), 1);
	assert_int_equal(durable_send(&durable, "k/kill", "k"), 0);
	assert_int_equal(durable_status(&durable, "k"), TMGR_PROCESS_CANCELLED);
	/* Its step was taken first. */
	assert_int_equal(durable_events(&durable, "k", TMGR_PROCESS_EVENT_STEP), 6);
	end(&durable);
}

static void a_cancel_without_the_definition_is_done_by_the_next_program_that_has_it(void **state)
{
	static const struct tmgr_process_definition *const none[] = { NULL };
	struct durable durable = { 0 };

	begin(&durable);
	durable_replace(&durable, none);
	assert_int_equal(do_to(&durable, TMGR_PROCESS_CANCEL, "m"), 0);
	assert_int_equal(do_to(&durable, TMGR_PROCESS_CANCEL, "c"), 0);
	assert_int_equal(durable_status(&durable, "m"), TMGR_PROCESS_ACTIVE);
	durable_kill(&durable);
	assert_int_equal(do_to(&durable, TMGR_PROCESS_CANCEL, "c"), -EALREADY);
	durable_replace(&durable, all);
	durable_settle(&durable);
	assert_int_equal(durable_status(&durable, "m"), TMGR_PROCESS_CANCELLED);
	assert_int_equal(durable_status(&durable, "c"), TMGR_PROCESS_CANCELLED);
	assert_string_equal(seen, "[undo 1]");
	end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		seen_test(who_calls_is_told_how_it_ended_whether_it_waited_or_comes_later),
		seen_test(what_is_paused_or_has_failed_is_cancelled_with_its_cancel_method),
		seen_test(what_is_being_cancelled_has_no_reason_and_no_error_any_more),
		seen_test(a_process_can_cancel_another_and_itself),
		seen_test(a_cancel_without_the_definition_is_done_by_the_next_program_that_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
