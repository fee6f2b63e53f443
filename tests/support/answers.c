#include "tests/support/answers.h"

#include <errno.h>
#include <string.h>

#include "tests/support/leak.h"

/* ---- Who is asked about ---------------------------------------------------------------------- */

static const struct tmgr_state_field asked_fields[] = {
	TMGR_FIELD(struct asked_state, name),
	TMGR_FIELD(struct asked_state, number),
};

static tmgr_method main_begin, send_wait, receive_wait, after_wait, at_wait, call_wait, two_wait,
	done, main_fail;

static const struct tmgr_process_method waiter_methods[] = {
	{ .name = "Main_Begin", .function = main_begin },
	{ .name = "Send_Wait", .function = send_wait },
	{ .name = "Receive_Wait", .function = receive_wait },
	{ .name = "After_Wait", .function = after_wait },
	{ .name = "At_Wait", .function = at_wait },
	{ .name = "Call_Wait", .function = call_wait },
	{ .name = "Two_Wait", .function = two_wait },
	{ .name = "Main_Done", .function = done },
	{ 0 },
};

const struct tmgr_process_definition asked_waiter = {
	.name = "waiter",
	.version = 1,
	.state = TMGR_STATE(struct asked_state, asked_fields),
	.start = main_begin,
	.methods = waiter_methods,
};

static const struct tmgr_process_method failing_methods[] = {
	{ .name = "Main_Fail", .function = main_fail },
	{ 0 },
};

const struct tmgr_process_definition asked_failing = {
	.name = "failing",
	.version = 1,
	.start = main_fail,
	.retry = { .attempts_max = 2, .first_ns = TMGR_SECOND },
	.methods = failing_methods,
};

const struct tmgr_process_definition *const asked[] = { &asked_waiter, &asked_failing, NULL };

bool asked_fail;

static int main_begin(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_go(process, send_wait);
	tmgr_process_go(process, receive_wait);
	tmgr_process_go(process, after_wait);
	tmgr_process_go(process, at_wait);
	tmgr_process_go(process, call_wait);
	return tmgr_process_go(process, two_wait);
}

static int send_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_send(process, "out", bytes_of("x"), done);
}

static int receive_wait(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_receive(process, "in", done);
}

static int after_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_after(process, TMGR_HOUR, done);
}

static int at_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_at(process, INT64_C(1000000060000), done);
}

static int call_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct tmgr_process_child child = { &asked_failing, "child", NULL };

	return tmgr_process_call(process, &child, done);
}

static int two_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_receive(process, "two", done);
	return tmgr_process_after(process, TMGR_MINUTE, done);
}

static int done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

static int main_fail(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (asked_fail)
		return tmgr_process_fail(process, -EIO, "the other side is away");
	return tmgr_process_receive(process, "never", main_fail);
}

/* ---- Asking --------------------------------------------------------------------------------- */

static int take_line(void *self, const char *text, size_t size)
{
	struct answers *answers = self;
	struct tmgr_state_memory *memory = NULL;
	void *record = NULL;
	int r;

	if (answers->count + 1 == answers->refuse_at || answers->count == ANSWERS_MAX)
		return -EPIPE;
	r = tmgr_state_memory_create(&memory);
	if (r == 0)
		r = tmgr_state_decode(memory, &tmgr__process_record_state, text, size, &record);
	if (r < 0) {
		tmgr_state_memory_destroy(memory);
		return r;
	}
	answers->memory[answers->count] = memory;
	answers->records[answers->count++] = record;
	return 0;
}

void answers_drop(struct answers *answers)
{
	for (size_t i = 0; i < answers->count; i++)
		tmgr_state_memory_destroy(answers->memory[i]);
	answers->count = 0;
}

int answers_ask_line(
	struct durable *durable, struct answers *answers, const char *line, size_t size)
{
	const struct tmgr__process_out out = {
		.line = take_line, .self = answers, .request_ns = TMGR_SECOND
	};

	answers_drop(answers);
	return tmgr__process_answer(NULL, durable->processes, line, size, &out);
}

int answers_ask(struct durable *durable, struct answers *answers, const char *line)
{
	int r = answers_ask_line(durable, answers, line, strlen(line));

	assert_int_equal(r, 0);
	assert_true(answers->count > 0);
	assert_string_equal(answers->records[answers->count - 1]->kind, "end");
	return answers->records[answers->count - 1]->error;
}

const char *answers_text(const struct answers *answers)
{
	return answers->records[answers->count - 1]->text;
}

const struct tmgr__process_record *answers_record(
	const struct answers *answers, const char *kind, const char *goroutine)
{
	for (size_t i = 0; i < answers->count; i++) {
		const struct tmgr__process_record *record = answers->records[i];

		if (strcmp(record->kind, kind) == 0 &&
			(!goroutine || strcmp(record->goroutine, goroutine) == 0))
			return record;
	}
	fail_msg("no %s of %s", kind, goroutine ? goroutine : "any");
	return NULL;
}
