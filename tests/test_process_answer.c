/* Requests that look at processes, and mistakes, and their answers, line by line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

static const struct tmgr_process_definition *const none[] = { NULL };

static void why_is(const struct answers *answers, const char *goroutine, const char *sentence)
{
	assert_string_equal(answers_record(answers, "goroutine", goroutine)->why, sentence);
}

/* ---- Looking -------------------------------------------------------------------------------- */

static void each_kind_of_wait_is_a_sentence_that_names_who_could_wake_it(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	asked_fail = false;
	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_waiter, "w"), 0);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"w\"}"), 0);
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
	assert_string_equal(answers_record(&answers, "wait", "Two")->why,
		"waits for a message on w/two; who sends on it or closes it wakes it, a process or "
		"somebody outside");
	assert_string_equal(answers_record(&answers, "wait", "Call")->target, "child");
	assert_string_equal(answers_record(&answers, "wait", "Send")->status, "send");
	answers_drop(&answers);
	durable_end(&durable);
}

static void what_failed_or_is_paused_is_a_sentence_too(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	asked_fail = true;
	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_failing, "f"), 0);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"f\"}"), 0);
	why_is(&answers, "Main",
		"its method Main_Fail has failed 1 times (the other side is away); the runtime's "
		"clock has it called again in 1000 ms, and resuming the process at once");
	durable_advance(&durable, TMGR_MINUTE);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"f\"}"), 0);
	assert_string_equal(answers_record(&answers, "process", NULL)->status, "failed");
	why_is(&answers, "Main",
		"has failed: its method Main_Fail, 2 times (the other side is away); resuming the "
		"process has it called again");
	asked_fail = false;
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"resume\",\"id\":\"f\"}"), 0);
	durable_settle(&durable);
	assert_int_equal(
		answers_ask(&durable, &answers, "{\"ask\":\"send\",\"channel\":\"f/never\"}"), 0);
	durable_settle(&durable);
	assert_int_equal(answers_ask(&durable, &answers,
				 "{\"ask\":\"pause\",\"id\":\"f\",\"text\":\"lunch\"}"),
		0);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"f\"}"), 0);
	assert_string_equal(answers_record(&answers, "process", NULL)->status, "paused");
	assert_string_equal(answers_record(&answers, "process", NULL)->text, "lunch");
	answers_drop(&answers);
	durable_end(&durable);
}

static void a_method_that_the_program_lacks_is_said(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	asked_fail = true;
	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_failing, "f"), 0);
	durable_replace(&durable, none);
	durable_settle(&durable);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"f\"}"), 0);
	assert_string_equal(answers_record(&answers, "goroutine", "Main")->status, "paused");
	why_is(&answers, "Main",
		"is paused: this program lacks the definition failing; a program that can goes on "
		"with it");
	answers_drop(&answers);
	durable_end(&durable);
}

static void list_has_its_filters(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	asked_fail = false;
	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_waiter, "b"), 0);
	assert_int_equal(durable_start(&durable, &asked_failing, "a"), 0);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"list\"}"), 0);
	assert_int_equal(answers.count, 4); /* and the child, and the end */
	assert_string_equal(answers.records[0]->id, "a");
	assert_int_equal(
		answers_ask(&durable, &answers, "{\"ask\":\"list\",\"definition\":\"waiter\"}"), 0);
	assert_int_equal(answers.count, 2);
	assert_int_equal(
		answers_ask(&durable, &answers, "{\"ask\":\"list\",\"after\":\"a\",\"max\":1}"), 0);
	assert_int_equal(answers.count, 2);
	assert_string_equal(answers.records[0]->id, "b");
	assert_int_equal(
		answers_ask(&durable, &answers, "{\"ask\":\"list\",\"status\":\"failed\"}"), 0);
	assert_int_equal(answers.count, 1);
	assert_int_equal(
		answers_ask(&durable, &answers, "{\"ask\":\"list\",\"status\":\"nothing\"}"),
		-EINVAL);
	assert_int_equal(
		answers_ask(&durable, &answers, "{\"ask\":\"channels\",\"id\":\"n\"}"), -ENOENT);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"channels\",\"id\":\"b\"}"), 0);
	assert_int_equal(answers_record(&answers, "channel", NULL)->capacity, 0);
	answers_drop(&answers);
	durable_end(&durable);
}

static void a_long_state_comes_in_parts_of_whole_characters(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };
	size_t size = 3 * TMGR__PROCESS_PART, length = 0;
	char *name = malloc(size + 1), *joined = malloc(2 * size), *wanted = malloc(2 * size);
	struct asked_state thing = { .name = name };

	/* Two bytes a character, and one before them: a cut would fall into the middle. */
	memset(name, 'x', size);
	for (size_t i = 1; i + 1 < size; i += 2)
		memcpy(name + i, "\xc3\xa4", 2);
	name[size] = '\0';
	durable_begin(&durable, asked);
	assert_int_equal(durable_start_with(&durable, &asked_waiter, "w", &thing), 0);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"w\"}"), 0);
	for (size_t i = 0; i < answers.count; i++) {
		if (strcmp(answers.records[i]->kind, "part") == 0) {
			assert_true(strlen(answers.records[i]->text) <= TMGR__PROCESS_PART);
			strcpy(joined + length, answers.records[i]->text);
			length += strlen(answers.records[i]->text);
		}
	}
	snprintf(wanted, 2 * size, "{\"name\":\"%s\",\"number\":0}", name);
	assert_string_equal(joined, wanted);
	answers_drop(&answers);
	durable_end(&durable);
	free(name);
	free(joined);
	free(wanted);
}

static void a_definition_is_found_by_its_name(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, asked);
	assert_ptr_equal(tmgr_processes_definition(durable.processes, "waiter"), &asked_waiter);
	assert_null(tmgr_processes_definition(durable.processes, "wait"));
	assert_null(tmgr_processes_definition(durable.processes, NULL));
	assert_null(tmgr_processes_definition(NULL, "waiter"));
	durable_end(&durable);
	/* One that stored processes ask for is none. */
	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_failing, "f"), 0);
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

static void events_are_read_from_a_sequence_on(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };
	char line[100];
	uint64_t last;

	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_failing, "f"), 0);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"events\",\"id\":\"f\"}"), 0);
	assert_string_equal(answers_record(&answers, "event", NULL)->status, "started");
	last = answers.records[answers.count - 1]->sequence;
	assert_true(last == answers.records[answers.count - 2]->sequence);
	snprintf(line, sizeof(line), "{\"ask\":\"events\",\"sequence\":%llu}",
		(unsigned long long)last);
	assert_int_equal(answers_ask(&durable, &answers, line), 0);
	assert_int_equal(answers.count, 1);
	assert_true(answers.records[0]->sequence == last);
	answers_drop(&answers);
	durable_end(&durable);
}

/* Steps without events, and those of others, are behind it: it does not ask for them again and again. */
static void who_follows_goes_on_from_all_that_is_durable(void **state)
{
	static const char *const requests[] = {
		"{\"ask\":\"events\",\"id\":\"nobody\",\"follow\":true}",
		"{\"ask\":\"events\",\"follow\":true}",
	};
	struct durable durable = { 0 };
	struct answers answers = { 0 };
	struct tmgr_processes_stats stats;

	asked_fail = false;
	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_waiter, "w"), 0);
	durable_settle(&durable);
	assert_int_equal(tmgr_processes_stats(durable.processes, &stats), 0);
	assert_true(stats.sequence > 0);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		assert_int_equal(answers_ask(&durable, &answers, requests[i]), 0);
		assert_int_equal(answers_record(&answers, "end", NULL)->sequence, stats.sequence);
	}
	/* As many as were asked for: the rest is to come. */
	assert_int_equal(
		answers_ask(&durable, &answers, "{\"ask\":\"events\",\"max\":1,\"follow\":true}"),
		0);
	assert_int_equal(answers_record(&answers, "end", NULL)->sequence,
		answers_record(&answers, "event", NULL)->sequence);
	answers_drop(&answers);
	durable_end(&durable);
}

/* ---- Mistakes ------------------------------------------------------------------------------- */

struct refused {
	const char *line;
	int error;
};

static void are_answered_with_errors(const struct refused *rows, size_t count)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_waiter, "w"), 0);
	for (size_t i = 0; i < count; i++) {
		int error = answers_ask(&durable, &answers, rows[i].line);

		if (error != rows[i].error)
			fail_msg("%s: %d, not %d", rows[i].line, error, rows[i].error);
		assert_true(answers_text(&answers)[0] != '\0');
		assert_int_equal(answers.count, 1);
	}
	answers_drop(&answers);
	durable_end(&durable);
}

static void a_line_that_is_no_request_is_answered_with_an_error(void **state)
{
	static const struct refused rows[] = {
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

	are_answered_with_errors(rows, sizeof(rows) / sizeof(rows[0]));
}

/* Each a line that would be a request without it. */
static void what_is_not_utf8_in_a_line_is_answered_with_an_error(void **state)
{
	static const struct refused rows[] = {
		{ "{\"ask\":\"list\",\"\xff\":1}", -EILSEQ },
		{ "{\"ask\":\"list\",\"definition\":\"a\xc3\"}", -EILSEQ },
		{ "{\"ask\":\"list\",\"after\":\"\xc0\xaf\"}", -EILSEQ },
		{ "{\"ask\":\"list\xed\xa0\x80\"}", -EILSEQ },
		{ "{\"ask\":\"list\"}\xff", -EBADMSG },
		{ "\xff", -EBADMSG },
		{ "\xef\xbb\xbf{\"ask\":\"list\"}", -EBADMSG }, /* a byte order mark */
		/* What an escape sequence stands for is a character too. */
		{ "{\"ask\":\"get\",\"id\":\"\\ud800\"}", -EBADMSG },
		{ "{\"ask\":\"get\",\"id\":\"\\udc00\\ud800\"}", -EBADMSG },
		{ "{\"ask\":\"get\",\"id\":\"w\\u0000\"}", -EILSEQ },
		{ "{\"ask\":\"get\",\"id\":\"w\\u0085\"}", -EINVAL },
		{ "{\"ask\":\"send\",\"channel\":\"w/\\u007f\"}", -EINVAL },
	};

	are_answered_with_errors(rows, sizeof(rows) / sizeof(rows[0]));
}

static void an_answer_ends_where_nobody_takes_it(void **state)
{
	static const char line[] = "{\"ask\":\"get\",\"id\":\"w\"}";
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_waiter, "w"), 0);
	for (size_t k = 1;; k++) {
		int r;

		answers.refuse_at = k;
		r = answers_ask_line(&durable, &answers, line, strlen(line));
		if (r == 0)
			break;
		assert_int_equal(r, -EPIPE);
		assert_int_equal(answers.count, k - 1);
	}
	answers_drop(&answers);
	durable_end(&durable);
}

static void out_of_memory_is_said_at_every_allocation(void **state)
{
	static const char line[] = "{\"ask\":\"get\",\"id\":\"w\"}";
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_waiter, "w"), 0);
	for (long k = 1;; k++) {
		bool happened;
		int r;

		answers_drop(&answers);
		fault_fail_allocation(k);
		r = answers_ask_line(&durable, &answers, line, strlen(line));
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
	answers_drop(&answers);
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
		leak_test(a_definition_is_found_by_its_name),
		leak_test(what_has_no_word_is_a_question_mark),
		leak_test(events_are_read_from_a_sequence_on),
		leak_test(who_follows_goes_on_from_all_that_is_durable),
		leak_test(a_line_that_is_no_request_is_answered_with_an_error),
		leak_test(what_is_not_utf8_in_a_line_is_answered_with_an_error),
		leak_test(an_answer_ends_where_nobody_takes_it),
		leak_test(out_of_memory_is_said_at_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
