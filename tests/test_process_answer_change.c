/* Requests that change processes, and their answers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

static void one_is_started_by_the_name_of_its_definition(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, asked);
	assert_int_equal(answers_ask(&durable, &answers,
				 "{\"ask\":\"start\",\"definition\":\"waiter\",\"id\":\"w\","
				 "\"state\":\"{\\\"name\\\":\\\"n\\\"}\"}"),
		0);
	durable_settle(&durable);
	assert_string_equal(durable_state(&durable, "w"), "{\"name\":\"n\",\"number\":0}");
	assert_int_equal(answers_ask(&durable, &answers,
				 "{\"ask\":\"start\",\"definition\":\"waiter\",\"id\":\"w\"}"),
		-EEXIST);
	assert_int_equal(answers_ask(&durable, &answers,
				 "{\"ask\":\"start\",\"definition\":\"other\",\"id\":\"o\"}"),
		-ENOENT);
	assert_string_equal(answers_text(&answers), "the program has no definition of that name");
	assert_int_equal(answers_ask(&durable, &answers,
				 "{\"ask\":\"start\",\"definition\":\"waiter\",\"id\":\"v\","
				 "\"state\":\"{\\\"number\\\":true}\"}"),
		-EPROTO);
	assert_non_null(strstr(answers_text(&answers), "number"));
	assert_null(durable_get(&durable, "v"));
	answers_drop(&answers);
	durable_end(&durable);
}

static void a_state_is_set_only_at_the_revision_that_was_seen(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };
	char line[200];
	uint64_t revision;

	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_waiter, "w"), 0);
	revision = durable_get(&durable, "w")->revision;
	snprintf(line, sizeof(line),
		"{\"ask\":\"set\",\"id\":\"w\",\"revision\":%llu,\"state\":\"{\\\"number\\\":7}\"}",
		(unsigned long long)revision);
	assert_int_equal(answers_ask(&durable, &answers, line), 0);
	assert_non_null(strstr(durable_state(&durable, "w"), "\"number\":7"));
	assert_int_equal(answers_ask(&durable, &answers, line), -ESTALE);
	assert_string_equal(
		answers_text(&answers), "the state has another revision: look at it again");
	assert_int_equal(
		answers_ask(&durable, &answers, "{\"ask\":\"set\",\"id\":\"w\"}"), -EINVAL);
	snprintf(line, sizeof(line),
		"{\"ask\":\"set\",\"id\":\"w\",\"revision\":%llu,\"state\":\"{\\\"number\\\":true}"
		"\"}",
		(unsigned long long)revision + 1);
	assert_int_equal(answers_ask(&durable, &answers, line), -EPROTO);
	assert_non_null(strstr(answers_text(&answers), "number"));
	assert_non_null(strstr(durable_state(&durable, "w"), "\"number\":7"));
	answers_drop(&answers);
	durable_end(&durable);
}

static void a_state_is_json_also_where_the_program_lacks_the_definition(void **state)
{
	static const char *const bad[] = { "nonsense", "[]", "{\\\"number\\\":", "7" };
	const struct tmgr_process_definition *const none[] = { NULL };
	struct durable durable = { 0 };
	struct answers answers = { 0 };
	char line[200];

	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_waiter, "w"), 0);
	durable_replace(&durable, none);
	for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		bool good = i == sizeof(bad) / sizeof(bad[0]);

		snprintf(line, sizeof(line),
			"{\"ask\":\"set\",\"id\":\"w\",\"revision\":%llu,\"state\":\"%s\"}",
			(unsigned long long)durable_get(&durable, "w")->revision,
			good ? "{\\\"number\\\":7}" : bad[i]);
		assert_int_equal(answers_ask(&durable, &answers, line), good ? 0 : -EBADMSG);
	}
	assert_string_equal(durable_state(&durable, "w"), "{\"number\":7}");
	answers_drop(&answers);
	durable_end(&durable);
}

static void a_goroutine_is_sent_to_a_method(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_waiter, "w"), 0);
	assert_int_equal(answers_ask(&durable, &answers,
				 "{\"ask\":\"goto\",\"id\":\"w\",\"goroutine\":\"Send\","
				 "\"method\":\"Receive_Wait\"}"),
		0);
	durable_settle(&durable);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"w\"}"), 0);
	assert_string_equal(answers_record(&answers, "wait", "Send")->target, "w/in");
	assert_int_equal(answers_ask(&durable, &answers,
				 "{\"ask\":\"goto\",\"id\":\"w\",\"goroutine\":\"Send\","
				 "\"method\":\"Nothing_There\"}"),
		-ENOENT);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"cancel\",\"id\":\"w\"}"), 0);
	durable_settle(&durable);
	assert_int_equal(durable_status(&durable, "w"), TMGR_PROCESS_CANCELLED);
	assert_int_equal(
		answers_ask(&durable, &answers, "{\"ask\":\"cancel\",\"id\":\"nobody\"}"), -ENOENT);
	answers_drop(&answers);
	durable_end(&durable);
}

static void one_is_resumed_only_with_the_status_that_was_seen(void **state)
{
	static const char retry[] = "{\"ask\":\"resume\",\"id\":\"f\",\"status\":\"failed\"}";
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	asked_fail = true;
	durable_begin(&durable, asked);
	assert_int_equal(durable_start(&durable, &asked_failing, "f"), 0);
	durable_advance(&durable, TMGR_MINUTE);
	assert_int_equal(answers_ask(&durable, &answers,
				 "{\"ask\":\"pause\",\"id\":\"f\",\"text\":\"lunch\"}"),
		0);
	assert_int_equal(answers_ask(&durable, &answers, retry), -ESTALE);
	assert_string_equal(
		answers_text(&answers), "the process has another status: look at it again");
	assert_int_equal(answers_ask(&durable, &answers,
				 "{\"ask\":\"resume\",\"id\":\"f\",\"status\":\"asleep\"}"),
		-EINVAL);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"f\"}"), 0);
	assert_string_equal(answers_record(&answers, "process", NULL)->status, "paused");
	assert_string_equal(answers_record(&answers, "process", NULL)->text, "lunch");
	assert_string_equal(answers_record(&answers, "goroutine", "Main")->status, "failed");
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"resume\",\"id\":\"f\"}"), 0);
	durable_advance(&durable, TMGR_MINUTE);
	assert_int_equal(durable_status(&durable, "f"), TMGR_PROCESS_FAILED);
	assert_int_equal(answers_ask(&durable, &answers, retry), 0);
	answers_drop(&answers);
	durable_end(&durable);
}

static void a_start_without_memory_is_enomem_at_every_allocation(void **state)
{
	static const char line[] = "{\"ask\":\"start\",\"definition\":\"waiter\",\"id\":\"w\","
				   "\"state\":\"{\\\"name\\\":\\\"n\\\"}\"}";
	bool happened = true;

	for (long k = 1; happened; k++) {
		struct durable durable = { 0 };
		struct answers answers = { 0 };
		int r;

		durable_begin(&durable, asked);
		fault_fail_allocation(k);
		r = answers_ask_line(&durable, &answers, line, strlen(line));
		happened = fault_happened();
		fault_off();
		/* It is an error of the call, or of the end; a table that cannot grow does without. */
		if (r == 0)
			r = answers.records[answers.count - 1]->error;
		assert_true(r == -ENOMEM || r == 0);
		answers_drop(&answers);
		durable_end(&durable);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(one_is_started_by_the_name_of_its_definition),
		leak_test(a_state_is_set_only_at_the_revision_that_was_seen),
		leak_test(a_state_is_json_also_where_the_program_lacks_the_definition),
		leak_test(a_goroutine_is_sent_to_a_method),
		leak_test(one_is_resumed_only_with_the_status_that_was_seen),
		leak_test(a_start_without_memory_is_enomem_at_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
