/* Clocks of durable processes, a full store, a composed function; and memory that runs out. */
#include <errno.h>
#include <stdio.h>

#include "tests/support/durable.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/waiters.h"
#include "tests/support/world.h"

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

/* ---- What a method returns ------------------------------------------------------------------- */

static int main_count(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 7;
}

static const struct tmgr_process_definition count_definition = {
	.name = "count",
	.version = 1,
	.start = main_count,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Count",
								 .function = main_count },
		{ 0 } },
};

static void a_method_that_returns_above_0_has_failed_and_that_is_said(void **state)
{
	const struct tmgr_process_info *info;
	struct durable durable = { 0 };

	durable_begin(&durable,
		(const struct tmgr_process_definition *const[]){ &count_definition, NULL });
	assert_int_equal(durable_start(&durable, &count_definition, "c"), 0);
	info = durable_get(&durable, "c");
	assert_int_equal(info->status, TMGR_PROCESS_FAILED);
	assert_int_equal(info->error, -EINVAL);
	assert_string_equal(info->text, "Main_Count: it returned 7, which is above 0");
	durable_end(&durable);
}

/* Two mistakes, and what it makes of them. */
static int main_mistake(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_receive(process, NULL, main_mistake);
	tmgr_process_go(process, main_mistake);
	return tmgr_process_id(process)[0] == 'o' ? -EIO : 0;
}

static const struct tmgr_process_definition mistake_definition = {
	.name = "mistake",
	.version = 1,
	.start = main_mistake,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Mistake",
								 .function = main_mistake },
		{ 0 } },
};

static void a_method_fails_with_its_first_mistake_whatever_it_returns(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable,
		(const struct tmgr_process_definition *const[]){ &mistake_definition, NULL });
	assert_int_equal(durable_start(&durable, &mistake_definition, "m"), 0);
	assert_int_equal(durable_status(&durable, "m"), TMGR_PROCESS_FAILED);
	assert_int_equal(durable_get(&durable, "m")->error, -EINVAL);
	assert_int_equal(durable_start(&durable, &mistake_definition, "own"), 0);
	assert_int_equal(durable_status(&durable, "own"), TMGR_PROCESS_FAILED);
	assert_int_equal(durable_get(&durable, "own")->error, -EINVAL);
	durable_end(&durable);
}

/* ---- A full store ---------------------------------------------------------------------------- */

static void without_room_steps_are_held_and_go_on_when_there_is(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, things);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
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

static void without_room_so_much_is_held_and_then_requests_are_refused(void **state)
{
	struct durable durable = { .options.unsaved_max = 4096 };
	int r = -ETIMEDOUT, held = 0;

	durable_begin(&durable, things);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	assert_int_equal(tmgr_store_memory_fail(durable.store, -ENOSPC), 0);
	for (; r == -ETIMEDOUT; held++)
		r = tmgr_processes_send(NULL, durable.processes,
			&(struct tmgr_process_outside){ "t/later", bytes_of("x"), NULL },
			TMGR_NEVER);
	assert_int_equal(r, -ENOSPC);
	assert_in_range(held, 5, 100);
	assert_int_equal(tmgr_store_memory_fail(durable.store, 0), 0);
	durable_advance(&durable, 2 * TMGR_SECOND);
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
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

struct work {
	char *text;
	int64_t limit;
};

static const struct tmgr_state_field work_fields[] = {
	TMGR_FIELD(struct work, text),
	TMGR_FIELD_MISSING(struct work, limit, "7"),
};

static int effect(void *self, const char *key, struct tmgr_bytes *ret)
{
	*ret = bytes_of("done");
	return 0;
}

static int work(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct work *self = state;
	char id[TMGR_PROCESS_CHANNEL_MAX + 1];

	tmgr_process_text(process, &self->text, "%s", "some text");
	tmgr_process_channel(process, 2, id);
	tmgr_process_post(process, id, bytes_of("x"));
	tmgr_process_log(process, "a line");
	tmgr_process_once(process, "effect", effect, NULL, NULL);
	tmgr_process_spawn(
		process, &(struct tmgr_process_child){ &thing_definition, "child", NULL }, NULL);
	tmgr_process_receive(process, id, waiter_done);
	return tmgr_process_after(process, TMGR_HOUR, waiter_done);
}

static const struct tmgr_process_definition work_definition = {
	.name = "work",
	.version = 1,
	.state = TMGR_STATE(struct work, work_fields),
	.start = work,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Work", .function = work },
		{ .name = "Main_Done", .function = waiter_done }, { 0 } },
};

static const struct tmgr_process_definition *const works[] = { &work_definition, &thing_definition,
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
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	assert_int_equal(durable_send(&durable, "t/other", "x"), 0);
	assert_int_equal(durable_send(&durable, "t/other", "y"), 0);
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
		leak_test(after_heeds_no_wall_clock_and_at_follows_it),
		leak_test(a_time_that_passed_while_it_was_down_fires_late_and_is_not_skipped),
		leak_test(a_wall_clock_that_was_set_back_while_it_was_down_starves_nothing),
		leak_test(a_method_that_returns_above_0_has_failed_and_that_is_said),
		leak_test(a_method_fails_with_its_first_mistake_whatever_it_returns),
		leak_test(without_room_steps_are_held_and_go_on_when_there_is),
		leak_test(without_room_so_much_is_held_and_then_requests_are_refused),
		leak_test(a_composed_function_declares_in_the_callers_step_and_a_reply_finds_it),
		leak_test(when_any_allocation_fails_what_is_stored_is_whole_and_goes_on),
		leak_test(
			when_any_allocation_fails_while_it_opens_that_is_enomem_and_harms_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
