/* What a step of a machine looks like, as a line for people and as JSON. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <taskmgr/taskmgr.h>

static const char *const names[] = { "A", "B", "Exception" };
static const struct tmgr_step_machine step_machine = { "m", "s", names, 3 };
static const unsigned numbers[] = { 0, 1, 2 };
static const uint64_t ticks[] = { 7, 8, 9 };

static void a_step_is_a_line_for_people(void **state)
{
	struct tmgr_machine_step step = {
		.machine = &step_machine,
		.number = 12,
		.time = 1234567890123,
		.time_of_day = INT64_C(1795233600123456789),
		.duration_ns = 1250,
		.kind = TMGR_MUTATION_SET,
		.called = { numbers, 2 },
		.exits = { numbers, 1 },
		.enters = { numbers + 1, 1 },
		.active = { numbers + 1, 1 },
		.exit_ticks = ticks + 1,
		.enter_ticks = ticks,
		.error = { .state = TMGR_STATES_END, .handler = TMGR_HANDLER_KINDS },
	};
	char text[256];

	tmgr_step_format(&step, text, sizeof(text));
	assert_string_equal(
		text, "12 2026-11-21T04:00:00.123456Z set A, B: -A:8 +B:7; active: B; 1.2 us");
	step.time_of_day = 0;
	step.duration_ns = 0;
	step.exits.count = step.enters.count = step.active.count = 0;
	step.origin = TMGR_ORIGIN_TIMEOUT;
	tmgr_step_format(&step, text, sizeof(text));
	assert_string_equal(
		text, "12 1234.567890 set A, B (timeout): nothing changes; active: none");
	step.result = TMGR_STEP_CANCELLED;
	step.active.count = 1;
	step.exits.count = 1;
	step.error = (struct tmgr_machine_error){ -EIO, TMGR_HANDLER_ANY_ENTER, 0, "\033[m" };
	tmgr_step_format(&step, text, sizeof(text));
	assert_string_equal(text, "12 1234.567890 set A, B (timeout): cancelled; active: B; "
				  "error: Input/output error, of A, in any-enter: \\x1b[m");
	for (size_t size = 0; size < sizeof(text); size++) {
		char cut[256];

		memset(cut, 'x', sizeof(cut));
		assert_int_equal(tmgr_step_format(&step, cut, size), strlen(text));
		for (size_t i = 0; i + 1 < size && i < strlen(text); i++)
			assert_int_equal(cut[i], text[i]);
		if (size > 0)
			assert_non_null(memchr(cut, '\0', size));
		assert_int_equal(cut[size], 'x');
	}
}

static void json_is_valid_whatever_the_text(void **state)
{
	struct tmgr_machine_step step = {
		.machine = &step_machine,
		.error = { .code = -EIO, .state = TMGR_STATES_END, .handler = TMGR_HANDLER_KINDS },
	};
	unsigned random = 1;

	for (int round = 0; round < 20000; round++) {
		char text[2048];
		size_t length;
		json_t *json;

		for (size_t i = 0; i < sizeof(step.error.text); i++) {
			static const unsigned char some[] = { 0xc2, 0xa0, 0xe0, 0x9f, 0xed, 0xbf,
				0xf0, 0x90, 0xf4, 0x8f, 0x80, '"', '\\', 1, 0x7f, 'x' };

			random = random * 1103515245 + 12345;
			step.error.text[i] = (char)(round % 2 ? some[random >> 16 & 15]
							      : random >> 16);
		}
		step.error.text[random >> 16 & 63] = '\0';
		length = tmgr_step_json(&step, text, sizeof(text));
		json = json_loadb(text, length, 0, NULL);
		if (!json)
			fail_msg("round %d: %s", round, text);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_is_a_line_for_people),
		cmocka_unit_test(json_is_valid_whatever_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
