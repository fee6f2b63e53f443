/* Requests about processes and their answers, line by line, by a runtime with one thread and a virtual clock. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/inspector/process_protocol.h"
#include "tests/support/durable.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

/* ---- Definitions ---------------------------------------------------------------------------- */

struct thing {
	char *name;
	int64_t number;
};

static const struct tmgr_state_field thing_fields[] = {
	TMGR_FIELD(struct thing, name),
	TMGR_FIELD(struct thing, number),
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

static const struct tmgr_process_definition waiter = {
	.name = "waiter",
	.version = 1,
	.state = TMGR_STATE(struct thing, thing_fields),
	.start = main_begin,
	.methods = waiter_methods,
};

static const struct tmgr_process_method failing_methods[] = {
	{ .name = "Main_Fail", .function = main_fail },
	{ 0 },
};

static const struct tmgr_process_definition failing = {
	.name = "failing",
	.version = 1,
	.start = main_fail,
	.retry = { .attempts_max = 2, .first_ns = TMGR_SECOND },
	.methods = failing_methods,
};

static const struct tmgr_process_definition *const both[] = { &waiter, &failing, NULL };
static const struct tmgr_process_definition *const none[] = { NULL };

static bool fails;

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
	const struct tmgr_process_child child = { &failing, "child", NULL };

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
	if (fails)
		return tmgr_process_fail(process, -EIO, "the other side is away");
	return tmgr_process_receive(process, "never", main_fail);
}

/* ---- Asking --------------------------------------------------------------------------------- */

#define RECORDS_MAX 64

struct answers {
	struct tmgr_state_memory *memory[RECORDS_MAX];
	struct tmgr__process_record *records[RECORDS_MAX];
	size_t count, refuse_at; /* the line that is not taken, from 1; 0: none */
};

static int take_line(void *self, const char *text, size_t size)
{
	struct answers *answers = self;
	struct tmgr_state_memory *memory = NULL;
	void *record = NULL;
	int r;

	if (answers->count + 1 == answers->refuse_at || answers->count == RECORDS_MAX)
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

static void drop(struct answers *answers)
{
	for (size_t i = 0; i < answers->count; i++)
		tmgr_state_memory_destroy(answers->memory[i]);
	answers->count = 0;
}

static int ask_line(struct durable *durable, struct answers *answers, const char *line, size_t size)
{
	const struct tmgr__process_out out = {
		.line = take_line, .self = answers, .request_ns = TMGR_SECOND
	};

	drop(answers);
	return tmgr__process_answer(NULL, durable->processes, line, size, &out);
}

/* The error of the end. */
static int ask(struct durable *durable, struct answers *answers, const char *line)
{
	int r = ask_line(durable, answers, line, strlen(line));

	assert_int_equal(r, 0);
	assert_true(answers->count > 0);
	assert_string_equal(answers->records[answers->count - 1]->kind, "end");
	return answers->records[answers->count - 1]->error;
}

static const char *text_of_end(const struct answers *answers)
{
	return answers->records[answers->count - 1]->text;
}

static const struct tmgr__process_record *record_of(
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

static void why_is(const struct answers *answers, const char *goroutine, const char *sentence)
{
	assert_string_equal(record_of(answers, "goroutine", goroutine)->why, sentence);
}

/* ---- Looking -------------------------------------------------------------------------------- */

static void each_kind_of_wait_is_a_sentence_that_names_who_could_wake_it(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	fails = false;
	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &waiter, "w"), 0);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"w\"}"), 0);
	why_is(&answers, "Send",
		"waits to send on w/out, whose buffer of 0 has no room; who receives from it or "
		"closes it wakes it");
	why_is(&answers, "Receive",
		"waits for a message on w/in; who sends on it or closes it wakes it, a process or "
		"somebody outside");
	why_is(&answers, "After",
		"waits until 2001-09-09 02:46:40 UTC, in 3600000 ms; the runtime's clock wakes it");
	why_is(&answers, "At",
		"waits until 2001-09-09 01:47:40 UTC, in 60000 ms; the wall clock wakes it");
	why_is(&answers, "Call",
		"waits for the end of process child, which is active; its end wakes it, finished "
		"or cancelled");
	why_is(&answers, "Two", "waits for the first of 2 cases");
	assert_string_equal(record_of(&answers, "wait", "Two")->why,
		"waits for a message on w/two; who sends on it or closes it wakes it, a process or "
		"somebody outside");
	assert_string_equal(record_of(&answers, "wait", "Call")->target, "child");
	assert_string_equal(record_of(&answers, "wait", "Send")->status, "send");
	drop(&answers);
	durable_end(&durable);
}

static void what_failed_or_is_paused_is_a_sentence_too(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	fails = true;
	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &failing, "f"), 0);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"f\"}"), 0);
	why_is(&answers, "Main",
		"its method Main_Fail has failed 1 times (the other side is away); the runtime's "
		"clock has it called again in 1000 ms, and resuming the process at once");
	durable_advance(&durable, TMGR_MINUTE);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"f\"}"), 0);
	assert_string_equal(record_of(&answers, "process", NULL)->status, "failed");
	why_is(&answers, "Main",
		"has failed: its method Main_Fail, 2 times (the other side is away); resuming the "
		"process has it called again");
	fails = false;
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"resume\",\"id\":\"f\"}"), 0);
	durable_settle(&durable);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"send\",\"channel\":\"f/never\"}"), 0);
	durable_settle(&durable);
	assert_int_equal(
		ask(&durable, &answers, "{\"ask\":\"pause\",\"id\":\"f\",\"text\":\"lunch\"}"), 0);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"f\"}"), 0);
	assert_string_equal(record_of(&answers, "process", NULL)->status, "paused");
	assert_string_equal(record_of(&answers, "process", NULL)->text, "lunch");
	drop(&answers);
	durable_end(&durable);
}

static void a_method_that_the_program_lacks_is_said(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	fails = true;
	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &failing, "f"), 0);
	durable_replace(&durable, none);
	durable_settle(&durable);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"f\"}"), 0);
	assert_string_equal(record_of(&answers, "goroutine", "Main")->status, "paused");
	why_is(&answers, "Main",
		"is paused: this program lacks the definition failing; a program that can goes on "
		"with it");
	drop(&answers);
	durable_end(&durable);
}

static void list_has_its_filters(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	fails = false;
	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &waiter, "b"), 0);
	assert_int_equal(durable_start(&durable, &failing, "a"), 0);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"list\"}"), 0);
	assert_int_equal(answers.count, 4); /* and the child, and the end */
	assert_string_equal(answers.records[0]->id, "a");
	assert_int_equal(
		ask(&durable, &answers, "{\"ask\":\"list\",\"definition\":\"waiter\"}"), 0);
	assert_int_equal(answers.count, 2);
	assert_int_equal(
		ask(&durable, &answers, "{\"ask\":\"list\",\"after\":\"a\",\"max\":1}"), 0);
	assert_int_equal(answers.count, 2);
	assert_string_equal(answers.records[0]->id, "b");
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"list\",\"status\":\"failed\"}"), 0);
	assert_int_equal(answers.count, 1);
	assert_int_equal(
		ask(&durable, &answers, "{\"ask\":\"list\",\"status\":\"nothing\"}"), -EINVAL);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"channels\",\"id\":\"b\"}"), 0);
	assert_int_equal(record_of(&answers, "channel", NULL)->capacity, 0);
	drop(&answers);
	durable_end(&durable);
}

static void a_long_state_comes_in_parts_of_whole_characters(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };
	size_t size = 3 * TMGR__PROCESS_PART, length = 0;
	char *name = malloc(size + 1), *joined = malloc(2 * size), *wanted = malloc(2 * size);
	struct thing thing = { .name = name };

	/* Two bytes a character, and one before them: a cut would fall into the middle. */
	memset(name, 'x', size);
	for (size_t i = 1; i + 1 < size; i += 2)
		memcpy(name + i, "\xc3\xa4", 2);
	name[size] = '\0';
	durable_begin(&durable, both);
	assert_int_equal(durable_start_with(&durable, &waiter, "w", &thing), 0);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"w\"}"), 0);
	for (size_t i = 0; i < answers.count; i++) {
		if (strcmp(answers.records[i]->kind, "part") == 0) {
			assert_true(strlen(answers.records[i]->text) <= TMGR__PROCESS_PART);
			strcpy(joined + length, answers.records[i]->text);
			length += strlen(answers.records[i]->text);
		}
	}
	snprintf(wanted, 2 * size, "{\"name\":\"%s\",\"number\":0}", name);
	assert_string_equal(joined, wanted);
	drop(&answers);
	durable_end(&durable);
	free(name);
	free(joined);
	free(wanted);
}

/* ---- Changing ------------------------------------------------------------------------------- */

static void one_is_started_by_the_name_of_its_definition(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, both);
	assert_int_equal(ask(&durable, &answers,
				 "{\"ask\":\"start\",\"definition\":\"waiter\",\"id\":\"w\","
				 "\"state\":\"{\\\"name\\\":\\\"n\\\"}\"}"),
		0);
	durable_settle(&durable);
	assert_string_equal(durable_state(&durable, "w"), "{\"name\":\"n\",\"number\":0}");
	assert_int_equal(ask(&durable, &answers,
				 "{\"ask\":\"start\",\"definition\":\"waiter\",\"id\":\"w\"}"),
		-EEXIST);
	assert_int_equal(ask(&durable, &answers,
				 "{\"ask\":\"start\",\"definition\":\"other\",\"id\":\"o\"}"),
		-ENOENT);
	assert_string_equal(text_of_end(&answers), "the program has no definition of that name");
	assert_int_equal(ask(&durable, &answers,
				 "{\"ask\":\"start\",\"definition\":\"waiter\",\"id\":\"v\","
				 "\"state\":\"{\\\"number\\\":true}\"}"),
		-EPROTO);
	assert_non_null(strstr(text_of_end(&answers), "number"));
	assert_null(durable_get(&durable, "v"));
	drop(&answers);
	durable_end(&durable);
}

static void a_definition_is_found_by_its_name(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, both);
	assert_ptr_equal(tmgr_processes_definition(durable.processes, "waiter"), &waiter);
	assert_null(tmgr_processes_definition(durable.processes, "wait"));
	assert_null(tmgr_processes_definition(durable.processes, NULL));
	assert_null(tmgr_processes_definition(NULL, "waiter"));
	durable_end(&durable);
	/* One that stored processes ask for is none. */
	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &failing, "f"), 0);
	durable_replace(&durable, none);
	assert_null(tmgr_processes_definition(durable.processes, "failing"));
	durable_end(&durable);
}

static void what_has_no_word_is_a_question_mark(void **state)
{
	assert_string_equal(tmgr__process_status_word(0), "?");
	assert_string_equal(tmgr__process_status_word(99), "?");
	assert_string_equal(tmgr__process_goroutine_word(99), "?");
	assert_string_equal(tmgr__process_wait_word(99), "?");
	assert_string_equal(tmgr__process_event_word(99), "?");
	assert_null(tmgr__process_record_of("nothing"));
	for (int i = TMGR_PROCESS_EVENT_STARTED; i <= TMGR_PROCESS_EVENT_LOG; i++)
		assert_string_not_equal(tmgr__process_event_word(i), "?");
	for (int i = TMGR_PROCESS_ACTIVE; i <= TMGR_PROCESS_CANCELLED; i++)
		assert_int_equal(tmgr__process_status_of(tmgr__process_status_word(i)), i);
}

static void a_state_is_set_only_at_the_revision_that_was_seen(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };
	char line[200];
	uint64_t revision;

	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &waiter, "w"), 0);
	revision = durable_get(&durable, "w")->revision;
	snprintf(line, sizeof(line),
		"{\"ask\":\"set\",\"id\":\"w\",\"revision\":%llu,\"state\":\"{\\\"number\\\":7}\"}",
		(unsigned long long)revision);
	assert_int_equal(ask(&durable, &answers, line), 0);
	assert_non_null(strstr(durable_state(&durable, "w"), "\"number\":7"));
	assert_int_equal(ask(&durable, &answers, line), -ESTALE);
	assert_string_equal(
		text_of_end(&answers), "the state has another revision: look at it again");
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"set\",\"id\":\"w\"}"), -EINVAL);
	snprintf(line, sizeof(line),
		"{\"ask\":\"set\",\"id\":\"w\",\"revision\":%llu,\"state\":\"{\\\"number\\\":true}"
		"\"}",
		(unsigned long long)revision + 1);
	assert_int_equal(ask(&durable, &answers, line), -EPROTO);
	assert_non_null(strstr(text_of_end(&answers), "number"));
	assert_non_null(strstr(durable_state(&durable, "w"), "\"number\":7"));
	drop(&answers);
	durable_end(&durable);
}

static void a_goroutine_is_sent_to_a_method(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &waiter, "w"), 0);
	assert_int_equal(ask(&durable, &answers,
				 "{\"ask\":\"goto\",\"id\":\"w\",\"goroutine\":\"Send\","
				 "\"method\":\"Receive_Wait\"}"),
		0);
	durable_settle(&durable);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"w\"}"), 0);
	assert_string_equal(record_of(&answers, "wait", "Send")->target, "w/in");
	assert_int_equal(ask(&durable, &answers,
				 "{\"ask\":\"goto\",\"id\":\"w\",\"goroutine\":\"Send\","
				 "\"method\":\"Nothing_There\"}"),
		-ENOENT);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"cancel\",\"id\":\"w\"}"), 0);
	durable_settle(&durable);
	assert_int_equal(durable_status(&durable, "w"), TMGR_PROCESS_CANCELLED);
	assert_int_equal(
		ask(&durable, &answers, "{\"ask\":\"cancel\",\"id\":\"nobody\"}"), -ENOENT);
	drop(&answers);
	durable_end(&durable);
}

static void events_are_read_from_a_sequence_on(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };
	char line[100];
	uint64_t last;

	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &failing, "f"), 0);
	assert_int_equal(ask(&durable, &answers, "{\"ask\":\"events\",\"id\":\"f\"}"), 0);
	assert_string_equal(record_of(&answers, "event", NULL)->status, "started");
	last = answers.records[answers.count - 1]->sequence;
	assert_true(last == answers.records[answers.count - 2]->sequence);
	snprintf(line, sizeof(line), "{\"ask\":\"events\",\"sequence\":%llu}",
		(unsigned long long)last);
	assert_int_equal(ask(&durable, &answers, line), 0);
	assert_int_equal(answers.count, 1);
	assert_true(answers.records[0]->sequence == last);
	drop(&answers);
	durable_end(&durable);
}

/* ---- Mistakes ------------------------------------------------------------------------------- */

static void a_line_that_is_no_request_is_answered_with_an_error(void **state)
{
	static const struct {
		const char *line;
		int error;
	} rows[] = {
		{ "", -EOPNOTSUPP },
		{ "[]", -EBADMSG },
		{ "{", -EBADMSG },
		{ "{}", -EOPNOTSUPP },
		{ "{\"ask\":null}", -EOPNOTSUPP },
		{ "{\"ask\":\"nothing\"}", -EOPNOTSUPP },
		{ "{\"ask\":7}", -EPROTO },
		{ "{\"ask\":\"list\",\"max\":-1}", -ERANGE },
		{ "{\"ask\":\"list\",\"ask\":\"get\"}", -EBADMSG },
		{ "{\"ask\":\"get\"}", -EINVAL },
		{ "{\"ask\":\"send\"}", -EINVAL },
		{ "{\"ask\":\"start\"}", -EINVAL },
		{ "{\"ask\":\"goto\",\"id\":\"w\"}", -EINVAL },
		{ "{\"ask\":\"get\",\"id\":\"nobody\"}", -ENOENT },
		{ "{\"ask\":\"get\",\"id\":\"\xff\"}", -EILSEQ },
	};
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, both);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int error = ask(&durable, &answers, rows[i].line);

		if (error != rows[i].error)
			fail_msg("%s: %d, not %d", rows[i].line, error, rows[i].error);
		assert_true(text_of_end(&answers)[0] != '\0');
		assert_int_equal(answers.count, 1);
	}
	drop(&answers);
	durable_end(&durable);
}

static void an_answer_ends_where_nobody_takes_it(void **state)
{
	static const char line[] = "{\"ask\":\"get\",\"id\":\"w\"}";
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &waiter, "w"), 0);
	for (size_t k = 1;; k++) {
		int r;

		answers.refuse_at = k;
		r = ask_line(&durable, &answers, line, strlen(line));
		if (r == 0)
			break;
		assert_int_equal(r, -EPIPE);
		assert_int_equal(answers.count, k - 1);
	}
	drop(&answers);
	durable_end(&durable);
}

static void out_of_memory_is_said_at_every_allocation(void **state)
{
	static const char line[] = "{\"ask\":\"get\",\"id\":\"w\"}";
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, both);
	assert_int_equal(durable_start(&durable, &waiter, "w"), 0);
	for (long k = 1;; k++) {
		bool happened;
		int r;

		drop(&answers);
		fault_fail_allocation(k);
		r = ask_line(&durable, &answers, line, strlen(line));
		happened = fault_happened();
		fault_off();
		if (!happened)
			break;
		/* It is an error of the call, or of the end. */
		if (r == 0)
			assert_int_equal(answers.records[answers.count - 1]->error, -ENOMEM);
		else
			assert_int_equal(r, -ENOMEM);
	}
	drop(&answers);
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_kind_of_wait_is_a_sentence_that_names_who_could_wake_it),
		leak_test(what_failed_or_is_paused_is_a_sentence_too),
		leak_test(a_method_that_the_program_lacks_is_said),
		leak_test(list_has_its_filters),
		leak_test(a_long_state_comes_in_parts_of_whole_characters),
		leak_test(one_is_started_by_the_name_of_its_definition),
		leak_test(a_definition_is_found_by_its_name),
		leak_test(what_has_no_word_is_a_question_mark),
		leak_test(a_state_is_set_only_at_the_revision_that_was_seen),
		leak_test(a_goroutine_is_sent_to_a_method),
		leak_test(events_are_read_from_a_sequence_on),
		leak_test(a_line_that_is_no_request_is_answered_with_an_error),
		leak_test(an_answer_ends_where_nobody_takes_it),
		leak_test(out_of_memory_is_said_at_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
