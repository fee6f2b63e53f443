/* Metrics of machines, as they are scraped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <taskmgr/taskmgr.h>

#include "taskmgr/base/check.h"

#include "tests/support/turnstile.h"

static const char *metrics_text(struct tmgr_machine_metrics *const *metrics, size_t count)
{
	static char text[32768];
	size_t length = tmgr_machine_metrics_format(metrics, count, text, sizeof(text));

	assert_in_range(length, 1, sizeof(text) - 1);
	assert_int_equal(length, strlen(text));
	assert_int_equal(tmgr_machine_metrics_format(metrics, count, NULL, 0), length);
	return text;
}

static void expect_sample(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	if (!at || (at != text && at[-1] != '\n') || at[strlen(line)] != '\n')
		fail_msg("there is no line \"%s\" in:\n%s", line, text);
}

static void metrics_count_what_happened(void **state)
{
	struct handling handling = { .refuse = TMGR_STATES_END, .fail = TMGR_STATES_END };
	struct tmgr_machine *one = turnstile_make("one", &handling);
	struct tmgr_machine *two = turnstile_make("t\"w\\o\n\xff", NULL);
	struct tmgr_machine_metrics *metrics[3] = { NULL };
	const char *text;

	assert_int_equal(tmgr_machine_metrics_create(one, &metrics[0]), 0);
	assert_int_equal(tmgr_machine_metrics_create(two, &metrics[2]), 0);
	tmgr_machine_add(one, TURNSTILE_LOCKED, NULL);
	tmgr_machine_add(one, TURNSTILE_COIN, NULL);
	tmgr_machine_remove(one, TURNSTILE_COIN, NULL);
	handling.refuse = TURNSTILE_LOCKED;
	tmgr_machine_set(one, TURNSTILE_LOCKED, NULL);
	handling.refuse = TMGR_STATES_END;
	handling.fail = TURNSTILE_COIN;
	tmgr_machine_toggle(one, TURNSTILE_COIN, NULL);

	text = metrics_text(metrics, 3);
#define T "taskmgr_machine_"
	expect_sample(text, "# TYPE " T "transitions_total counter");
	expect_sample(
		text, T "transitions_total{machine=\"one\",kind=\"add\",result=\"executed\"} 3");
	expect_sample(
		text, T "transitions_total{machine=\"one\",kind=\"add\",result=\"failed\"} 1");
	expect_sample(
		text, T "transitions_total{machine=\"one\",kind=\"remove\",result=\"executed\"} 1");
	expect_sample(
		text, T "transitions_total{machine=\"one\",kind=\"set\",result=\"cancelled\"} 1");
	expect_sample(
		text, T "transitions_total{machine=\"one\",kind=\"set\",result=\"executed\"} 0");
	expect_sample(text, T "transition_duration_seconds_bucket{machine=\"one\",le=\"+Inf\"} 6");
	expect_sample(text, T "transition_duration_seconds_count{machine=\"one\"} 6");
	expect_sample(text, T "errors_total{machine=\"one\"} 1");
	expect_sample(text, T "slow_handlers_total{machine=\"one\"} 0");
	expect_sample(text, T "dropped_mutations_total{machine=\"one\"} 0");
	expect_sample(text, T "queued_mutations{machine=\"one\"} 0");
	expect_sample(text, T "waits{machine=\"one\"} 0");
	expect_sample(text, T "state_active{machine=\"one\",state=\"Exception\"} 1");
	expect_sample(text, T "state_active{machine=\"one\",state=\"Coin\"} 0");
	expect_sample(text, T "state_ticks_total{machine=\"one\",state=\"Coin\"} 4");
	expect_sample(
		text, T "state_active{machine=\"t\\\"w\\\\o\\n\xef\xbf\xbd\",state=\"Locked\"} 0");
	/* One head for the samples of all machines. */
	assert_null(strstr(strstr(text, "# TYPE " T "waits") + 1, "# TYPE " T "waits"));
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++)
		tmgr_machine_metrics_destroy(metrics[i]);
	tmgr_machine_unref(one);
	tmgr_machine_unref(two);
}

static void the_histogram_only_grows(void **state)
{
	static const char *const bounds[] = { "0.000001", "0.00001", "0.0001", "0.001", "0.01",
		"0.1", "1", "+Inf" };
	struct tmgr_machine *machine = turnstile_make("m", NULL);
	struct tmgr_machine_metrics *metrics;
	unsigned long long last = 0;
	const char *text;

	assert_int_equal(tmgr_machine_metrics_create(machine, &metrics), 0);
	for (int i = 0; i < 1000; i++)
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
	text = metrics_text(&metrics, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		unsigned long long counted;
		char line[128];
		const char *at;

		snprintf(line, sizeof(line),
			T "transition_duration_seconds_bucket{machine=\"m\",le=\"%s\"} ",
			bounds[i]);
		at = strstr(text, line);
		assert_non_null(at);
		counted = strtoull(at + strlen(line), NULL, 10);
		assert_true(counted >= last);
		last = counted;
	}
	assert_int_equal(last, 1000);
	tmgr_machine_metrics_destroy(metrics);
	tmgr_machine_unref(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_count_what_happened),
		cmocka_unit_test(the_histogram_only_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
