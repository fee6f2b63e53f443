/* Memory that runs out in the runtime of durable processes: what finds none is refused or held, and nothing has happened. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tasks/process/runtime.h"

#include "tests/support/durable.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/waiters.h"
#include "tests/support/world.h"

/* ---- One that does all there is to do -------------------------------------------------------- */

struct busy {
	char *text;
	int64_t count;
};

static const struct tmgr_state_field busy_fields[] = {
	TMGR_FIELD(struct busy, text),
	TMGR_FIELD(struct busy, count),
};

static const struct tmgr_process_definition busy_definition;
static tmgr_method busy_next, busy_end;

static int effect(void *self, const char *key, struct tmgr_bytes *ret)
{
	*ret = bytes_of("done");
	return 0;
}

static int other_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_receive(process, "gate", busy_end);
	tmgr_process_after(process, 2 * TMGR_HOUR, busy_end);
	return tmgr_process_at(process, tmgr_process_now(process) + INT64_C(8000000), busy_end);
}

static int busy_begin(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct busy *self = state;
	char id[TMGR_PROCESS_CHANNEL_MAX + 1];

	self->count++;
	tmgr_process_text(process, &self->text, "%s", "some text");
	tmgr_process_channel(process, 1, id);
	tmgr_process_post(process, id, bytes_of("x"));
	tmgr_process_post(process, id, bytes_of("y"));
	tmgr_process_log(process, "a line");
	tmgr_process_once(process, "effect", effect, NULL, NULL);
	tmgr_process_go_named(process, "Other", other_wait);
	tmgr_process_spawn(
		process, &(struct tmgr_process_child){ &thing_definition, "thing", NULL }, NULL);
	tmgr_process_send(process, "out", bytes_of("z"), busy_next);
	tmgr_process_receive(process, id, busy_next);
	return tmgr_process_after(process, TMGR_HOUR, busy_next);
}

static int busy_next(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct busy *self = state;

	self->count++;
	return tmgr_process_receive(process, "box", busy_end);
}

static int busy_end(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct busy *self = state;

	if (tmgr_process_goroutine(process)[0] == 'O')
		return 0;
	self->count++;
	tmgr_process_close(process, "gate");
	tmgr_process_cancel(process, "thing");
	tmgr_process_finish(process, bytes_of("the result"));
	return 0;
}

static int ask_begin(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_call(process,
		&(struct tmgr_process_child){ &busy_definition, "busy", NULL }, waiter_done);
}

static const struct tmgr_process_definition busy_definition = {
	.name = "busy",
	.version = 1,
	.state = TMGR_STATE(struct busy, busy_fields),
	.start = busy_begin,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Begin",
								 .function = busy_begin },
		{ .name = "Main_Next", .function = busy_next },
		{ .name = "Main_End", .function = busy_end },
		{ .name = "Other_Wait", .function = other_wait }, { 0 } },
};

static const struct tmgr_process_definition ask_definition = {
	.name = "ask",
	.version = 1,
	.start = ask_begin,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Begin",
								 .function = ask_begin },
		{ .name = "Main_Done", .function = waiter_done }, { 0 } },
};

static const struct tmgr_process_definition *const all[] = { &busy_definition, &ask_definition,
	&thing_definition, &waiter_definition, NULL };

/* ---- What is asked of it --------------------------------------------------------------------- */

static struct durable durable;
static const struct tmgr_store_ops *store_ops;
static bool store_is_short; /* a store that has no memory has ended */
static int held;            /* times that something was to be tried again */

static int watch_commit(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	int r = store_ops->commit(store, batch);

	store_is_short |= r == -ENOMEM;
	return r;
}

static void begin(void)
{
	static struct tmgr_store_ops ops;

	durable = (struct durable){ 0 };
	durable_begin(&durable, all);
	store_ops = durable.store->ops;
	ops = *store_ops;
	ops.commit = watch_commit;
	durable.store->ops = &ops;
	store_is_short = false;
	waiters_fail = true;
}

/* Nothing but a store ends it. */
static bool has_ended(int r)
{
	assert_int_equal(durable.processes->engine->broken, 0);
	if (store_is_short)
		return true;
	assert_int_equal(durable.processes->failed, 0);
	held += r == -ENOMEM;
	return false;
}

/* What is held goes on when there is memory, which there is again. */
static bool settles(void)
{
	int r;

	do
		r = tmgr_processes_settle(durable.processes);
	while (!has_ended(r) && r == -ENOMEM);
	assert_true(store_is_short || r == 0);
	return !store_is_short;
}

static bool advances(int64_t ns)
{
	int64_t until = durable.processes->virtual_ns + ns;
	int r;

	do
		r = tmgr_processes_advance(
			durable.processes, until - durable.processes->virtual_ns);
	while (!has_ended(r) && r == -ENOMEM);
	assert_true(store_is_short || r == 0);
	return !store_is_short;
}

/* What was refused is asked for again; then it may be so already, where only the answer found no memory. */
static bool is_done(const struct tmgr_process_command *command, int already)
{
	int r = tmgr_processes_do(NULL, durable.processes, command, TMGR_NEVER, NULL);

	if (has_ended(r) || !settles())
		return false;
	if (r == -ENOMEM) {
		r = tmgr_processes_do(NULL, durable.processes, command, TMGR_NEVER, NULL);
		if (r == already)
			r = 0;
	}
	if (r != 0)
		fail_msg("command %d gives %d", command->kind, r);
	return settles();
}

#define START(one, name)                                                               \
	(struct tmgr_process_command)                                                  \
	{                                                                              \
		.kind = TMGR_PROCESS_START, .child = { &one##_definition, name, NULL } \
	}
#define OF(what, name, ...)                                                             \
	(struct tmgr_process_command)                                                   \
	{                                                                               \
		.kind = TMGR_PROCESS_##what, .id = name, .text = "by hand", __VA_ARGS__ \
	}
#define SEND(id, number)                                                                         \
	(struct tmgr_process_command)                                                            \
	{                                                                                        \
		.kind = TMGR_PROCESS_SEND, .channel = (id), .key = (number), .value = {(id), 3 } \
	}

static bool runs(void)
{
	static const struct {
		struct tmgr_process_command command;
		int already;
	} rows[] = {
		{ START(ask, "ask"), -EEXIST },
		{ START(ask, "ask2"), -EEXIST },
		{ START(waiter, "fails"), -EEXIST },
		{ START(waiter, "receives"), -EEXIST },
		{ START(waiter, "both"), -EEXIST },
		{ SEND("busy/later", "1"), 0 },
		{ SEND("busy/later", "2"), 0 },
		{ SEND("thing/go", "1"), 0 },
		{ OF(PAUSE, "busy"), -EALREADY },
		{ OF(RESUME, "busy"), -EALREADY },
		{ OF(PAUSE, "receives"), -EALREADY },
		{ SEND("receives/box", "1"), 0 },
		{ OF(RESUME, "receives"), -ESRCH },
		{ OF(RESUME, "fails"), 0 },
		{ OF(GOTO, "both", .goroutine = "Main", .method = "Main_Wait"), 0 },
		{ OF(CANCEL, "both"), -ESRCH },
		{ { .kind = TMGR_PROCESS_CHANNEL_CREATE, .channel = "/wide", .capacity = 1 },
			-EEXIST },
		{ SEND("/wide", "1"), 0 },
		{ SEND("/wide", "2"), 0 },
		{ { .kind = TMGR_PROCESS_CLOSE, .channel = "/wide" }, -EALREADY },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!is_done(&rows[i].command, rows[i].already))
			return false;
		/* A method for which there was no memory is called again by then. */
		if (!advances(TMGR_SECOND))
			return false;
	}
	return advances(2 * TMGR_HOUR) && is_done(&SEND("busy/box", "1"), 0) &&
	       advances(2 * TMGR_HOUR);
}

/* All that is known of them. */
static const char *picture(char *buffer, size_t size, bool whole)
{
	static const char *const ids[] = { "ask", "ask2", "busy", "thing", "fails", "receives",
		"both" };
	size_t at = 0;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		const struct tmgr_process_info *info = durable_get(&durable, ids[i]);

		at += (size_t)snprintf(buffer + at, size - at, "%s %d %llu %.*s %.*s %zu\n", ids[i],
			info->status, (unsigned long long)info->steps, (int)info->state.size,
			(const char *)info->state.data, (int)info->result.size,
			(const char *)info->result.data, info->goroutine_count);
		for (size_t k = 0; whole && k < info->goroutine_count; k++)
			at += (size_t)snprintf(buffer + at, size - at, " %s %d %u %s\n",
				info->goroutines[k].name, info->goroutines[k].status,
				info->goroutines[k].attempts, info->goroutines[k].why);
	}
	return buffer;
}

static void whatever_allocation_fails_all_goes_on_and_ends_as_it_would_have(void **state)
{
	static char wanted[8192], seen[8192], stored[8192];
	int stores = 0;
	bool happened;
	long k = 0;

	do {
		begin();
		if (k > 0)
			fault_fail_allocation(k);
		if (runs()) {
			happened = k == 0 || fault_happened();
			fault_off();
			picture(seen, sizeof(seen), false);
			if (k == 0)
				strcpy(wanted, seen);
			assert_string_equal(seen, wanted);
			/* And what is in memory is what is stored. */
			picture(seen, sizeof(seen), true);
			assert_null(world_check(durable.store, true, 0));
			durable.store->ops = store_ops;
			durable_kill(&durable);
			assert_string_equal(picture(stored, sizeof(stored), true), seen);
		} else {
			happened = true;
			fault_off();
			stores++;
			durable.store->ops = store_ops;
		}
		durable_end(&durable);
		k++;
	} while (happened);
	assert_true(k > 300);
	assert_true(stores > 0);
	assert_true(held > 50);
}

/* ---- Rows of the user's ----------------------------------------------------------------------- */

/* A store that keeps, of what is written with steps, who wrote it: in its transaction, and committed. */
static char pending[256], written[256];
static int abandoned;

static int rows_try(struct tmgr_store *store, struct tmgr_store_trial *trials, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *name = trials[i].statements[0].values[0].text;

		trials[i].result = name[0] == 'c' ? -EEXIST : 0;
		trials[i].text[0] = '\0';
		if (name[0] != 'c')
			strcat(pending, name);
	}
	return 0;
}

static void rows_abandon(struct tmgr_store *store)
{
	abandoned += pending[0] != '\0';
	pending[0] = '\0';
}

static int rows_commit(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	int r = watch_commit(store, batch);

	if (r == 0)
		strcat(written, pending);
	pending[0] = '\0';
	return r;
}

static int row_write(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct tmgr_sql_value value = { .kind = TMGR_SQL_TEXT, .text = tmgr_process_id(process) };

	if (message->arrival == TMGR_ARRIVED_START)
		return tmgr_process_receive(process, "in", row_write);
	return tmgr_process_sql(process, &(struct tmgr_sql_statement){ "INSERT", &value, 1 });
}

static const struct tmgr_process_definition row_definition = {
	.name = "row",
	.version = 1,
	.start = row_write,
	.retry = { .attempts_max = 3 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Write",
								 .function = row_write },
		{ 0 } },
};

static const char *const writers[] = { "a", "b", "c", "d" };

static void begin_rows(void)
{
	static struct tmgr_store_ops ops;

	durable = (struct durable){ 0 };
	durable_begin(
		&durable, (const struct tmgr_process_definition *const[]){ &row_definition, NULL });
	store_ops = durable.store->ops;
	ops = *store_ops;
	ops.try_sql = rows_try;
	ops.abandon = rows_abandon;
	ops.commit = rows_commit;
	durable.store->ops = &ops;
	store_is_short = false;
	pending[0] = written[0] = '\0';
	for (int i = 0; i < 4; i++)
		assert_int_equal(durable_start(&durable, &row_definition, writers[i]), 0);
}

/* All at once, so that they are in one transaction; and again where the message found no memory. */
static bool sends_all(bool *ret_happened)
{
	struct tmgr_process_request *requests[4];
	int errors[4] = { -ENOMEM, -ENOMEM, -ENOMEM, -ENOMEM };
	char channel[8];

	for (int i = 0; i < 4; i++) {
		const struct tmgr_process_command send = { .kind = TMGR_PROCESS_SEND,
			.channel = channel };

		snprintf(channel, sizeof(channel), "%s/in", writers[i]);
		requests[i] = NULL;
		tmgr_processes_submit(durable.processes, &send, &requests[i]);
	}
	settles();
	*ret_happened = fault_happened();
	fault_off();
	for (int i = 0; i < 4; i++) {
		if (requests[i] != NULL)
			tmgr_future_result(
				tmgr_process_request_future(requests[i]), &errors[i], NULL);
		tmgr_process_request_release(requests[i]);
		snprintf(channel, sizeof(channel), "%s/in", writers[i]);
		if (!store_is_short && errors[i] == -ENOMEM)
			errors[i] = durable_send(&durable, channel, "");
		assert_true(store_is_short || errors[i] == 0);
	}
	return !store_is_short && advances(TMGR_MINUTE);
}

/* What was tried and could not be taken is tried again: no row without its step, no step without its row. */
static void whatever_allocation_fails_rows_are_written_with_their_steps_and_once(void **state)
{
	bool happened = true;
	int again = abandoned;

	for (long k = 1; happened; k++) {
		begin_rows();
		fault_fail_allocation(k);
		if (sends_all(&happened)) {
			assert_int_equal(strlen(written), 3);
			for (int i = 0; i < 4; i++) {
				assert_int_equal(strchr(written, writers[i][0]) != NULL, i != 2);
				assert_int_equal(durable_status(&durable, writers[i]),
					i == 2 ? TMGR_PROCESS_FAILED : TMGR_PROCESS_FINISHED);
			}
		}
		durable.store->ops = store_ops;
		durable_end(&durable);
	}
	assert_true(abandoned > again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(whatever_allocation_fails_all_goes_on_and_ends_as_it_would_have),
		leak_test(whatever_allocation_fails_rows_are_written_with_their_steps_and_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
