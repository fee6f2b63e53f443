/* States files: what they mean, and what is wrong with them, by line and column. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tasks/inspector/taskctl_states.h"
#include "tests/support/fault.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static int parse(struct states_file *file, const char *text)
{
	return states_parse(file, text, strlen(text));
}

/* A state and its relations as one line of text. */
static const char *described(const struct states_file *file, size_t number)
{
	static char text[512];
	const struct states_state *state = &file->states[number];
	int n = snprintf(text, sizeof(text), "%s%s%s", state->name.text,
		state->is_auto ? " auto" : "", state->is_multi ? " multi" : "");

	for (unsigned k = 0; k < STATES_RELATIONS; k++) {
		const struct states_targets *targets = &state->lists[k].targets;

		if (targets->count > 0)
			n += snprintf(
				text + n, sizeof(text) - (size_t)n, " %s:", tmgr_relation_name(k));
		for (size_t i = 0; i < targets->count; i++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", i > 0 ? "," : "",
				states_state_name(file, targets->at[i].state));
	}
	return text;
}

static void relations_are_lists_in_the_order_they_are_written(void **state)
{
	struct states_file file;

	assert_int_equal(parse(&file, "# about files\n"
				      "machine file_processor # its name\n"
				      "\n"
				      "state Processing multi auto\n"
				      "\tadd C A\n"
				      "  remove Exception B\n"
				      "\tadd B\r\n"
				      "require A\n"
				      "after C A\n"
				      "state A\n"
				      "state B auto\n"
				      "state C multi"),
		0);
	assert_string_equal(file.machine.text, "file_processor");
	assert_int_equal((int)file.state_count, 4);
	assert_string_equal(described(&file, 0),
		"Processing auto multi add:C,A,B remove:Exception,B require:A after:C,A");
	assert_string_equal(described(&file, 1), "A");
	assert_string_equal(described(&file, 2), "B auto");
	assert_string_equal(described(&file, 3), "C multi");
	assert_int_equal((int)file.states[0].lists[TMGR_RELATION_ADD].targets.at[2].name.line, 7);
	assert_int_equal((int)file.states[0].lists[TMGR_RELATION_ADD].targets.at[2].name.column, 6);
	states_fini(&file);
}

static void a_timeout_is_a_time_and_what_then_is_done(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} times[] = {
		{ "1ns", 1 },
		{ "20us", 20000 },
		{ "500ms", 500000000 },
		{ "30s", INT64_C(30000000000) },
		{ "2min", INT64_C(120000000000) },
		{ "1h", INT64_C(3600000000000) },
		{ "9223372036s", INT64_C(9223372036000000000) },
		{ "9223372036854775807ns", INT64_MAX },
	};
	struct states_file file;
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		snprintf(text, sizeof(text), "machine m\nstate A\n timeout %s\n", times[i].text);
		assert_int_equal(parse(&file, text), 0);
		assert_int_equal(file.states[0].timeout_ns, times[i].ns);
		assert_int_equal((int)file.states[0].timeout.targets.count, 0);
		states_fini(&file);
	}
	assert_int_equal(parse(&file, "machine m\nstate A\n timeout 1s set B G\n"
				      "state B\n timeout 1s toggle Exception\ngroup G = A B\n"),
		0);
	assert_int_equal((int)file.states[0].timeout_kind, TMGR_MUTATION_SET);
	assert_int_equal((int)file.states[0].timeout.targets.count, 2);
	assert_int_equal((int)file.states[0].timeout.targets.at[0].state, 1);
	assert_int_equal((int)file.states[0].timeout.targets.at[1].state, 0);
	assert_int_equal((int)file.states[1].timeout_kind, TMGR_MUTATION_TOGGLE);
	assert_int_equal((int)file.states[1].timeout.targets.at[0].state, 2);
	states_fini(&file);
}

static void exception_may_be_given_relations(void **state)
{
	struct states_file file;

	assert_int_equal(parse(&file, "machine m\nstate A\n remove Exception\n"
				      "state Exception multi\n remove A\n"),
		0);
	assert_int_equal((int)file.state_count, 2);
	assert_string_equal(described(&file, 0), "A remove:Exception");
	assert_string_equal(described(&file, 1), "Exception multi remove:A");
	assert_int_equal((int)states_exception(&file), 1);
	states_fini(&file);
	assert_int_equal(parse(&file, "machine m\nstate A\n"), 0);
	assert_int_equal((int)states_exception(&file), 1);
	states_fini(&file);
}

static void a_group_stands_for_its_other_members(void **state)
{
	struct states_file file;

	assert_int_equal(parse(&file, "machine m\n"
				      "group All=A B C Exception\n"
				      "group Some = C A\n"
				      "state A\n"
				      " remove All\n"
				      "state B\n"
				      " remove C All Some\n"
				      "state C\n"
				      " remove Some B\n"
				      "state D\n"
				      " remove Some All\n"),
		0);
	assert_string_equal(described(&file, 0), "A remove:B,C,Exception");
	assert_string_equal(described(&file, 1), "B remove:C,A,Exception");
	assert_string_equal(described(&file, 2), "C remove:A,B");
	assert_string_equal(described(&file, 3), "D remove:C,A,B,Exception");
	assert_int_equal((int)file.groups[0].list.targets.count, 4);
	assert_int_equal((int)file.groups[1].list.targets.at[0].state, 2);
	states_fini(&file);
}

/* Each has one fault; what is right beside it stands in the tests above and below. */
static const struct {
	const char *text;
	unsigned line, column;
	const char *error;
} faults[] = {
	{ "", 0, 0, "it has no state" },
	{ "machine m\n# nothing\n", 0, 0, "it has no state" },
	{ "state A\n", 1, 1, "the first statement is \"machine NAME\"" },
	{ "machine m\nmachine n\nstate A\n", 2, 1, "a second \"machine\"" },
	{ "machine\nstate A\n", 1, 1, "after \"machine\" stands its name, and nothing else" },
	{ "machine m n\nstate A\n", 1, 1, "after \"machine\" stands its name, and nothing else" },
	{ "machine M\nstate A\n", 1, 9,
		"a machine's name is in lower case: C names begin with it" },
	{ "machine 1\nstate A\n", 1, 9,
		"\"1\" is no name: a letter, then letters, digits, _ and -" },
	{ "machine m\nfoo A\n", 2, 1,
		"there is no statement \"foo\"; there are machine, group, state, add, remove, "
		"require, after, timeout" },
	{ "machine m\nstate\n", 2, 1, "after \"state\" stands its name" },
	{ "machine m\nstate A=\n", 2, 8, "there is no flag \"=\"; there are auto and multi" },
	{ "machine m\nstate A often\n", 2, 9,
		"there is no flag \"often\"; there are auto and multi" },
	{ "machine m\nstate A auto multi auto\n", 2, 20, "\"auto\" twice" },
	{ "machine m\nstate A/B\n", 2, 7,
		"\"A/B\" is no name: a letter, then letters, digits, _ and -" },
	{ "machine m\nstate _A\n", 2, 7,
		"\"_A\" is no name: a letter, then letters, digits, _ and -" },
	{ "machine m\nstate A\033[2J\n", 2, 7,
		"\"A\\x1b[2J\" is no name: a letter, then letters, digits, _ and -" },
	{ "machine m\nstate "
	  "A123456789012345678901234567890123456789012345678901234567890123\n",
		2, 7, "a name has at most 63 bytes" },
	{ "machine m\nstate A\nstate B\n\nstate A\n", 5, 7,
		"the state A was defined as a state in line 2 already" },
	{ "machine m\nstate A\ngroup A = A\n", 3, 7,
		"the group A was defined as a state in line 2 already" },
	{ "machine m\ngroup A = B\nstate A\nstate B\n", 3, 7,
		"the state A was defined as a group in line 2 already" },
	{ "machine m\nstate Exception\nstate Exception\n", 3, 7,
		"the state Exception was defined as a state in line 2 already" },
	{ "machine m\nstate A\ngroup Exception = A\n", 3, 7,
		"Exception is the state that is always there" },
	{ "machine m\nstate FooBar\nstate Foo_Bar\n", 3, 7,
		"Foo_Bar has the same name in C as FooBar, foo_bar" },
	{ "machine m\nstate EXCEPTION\n", 2, 7,
		"EXCEPTION has the same name in C as Exception, exception" },
	{ "machine m\nstate NotReady\nstate Ready\n", 2, 7,
		"in C wait_not_ready would be for NotReady and for the end of Ready" },
	{ "machine m\nstate A\nstate not_exception\n", 3, 7,
		"in C wait_not_exception would be for not_exception and for the end of Exception" },
	{ "machine m\nadd A\nstate A\n", 2, 1, "\"add\" belongs below a state" },
	{ "machine m\nstate A\ngroup G = A\nafter A\n", 4, 1, "\"after\" belongs below a state" },
	{ "machine m\nstate A\n require\n", 3, 2, "\"require\" names no state" },
	{ "machine m\nstate A\n add B\n", 3, 6, "there is no state or group B" },
	{ "machine m\nstate A\n remove a\n", 3, 9, "there is no state or group a" },
	{ "machine m\nstate A\nstate B\n add A, B\n", 4, 6,
		"names have spaces between them, no \",\"" },
	{ "machine m\nstate A\nstate B\n add A\n add A\n", 5, 6,
		"A is in this list already, from line 4" },
	{ "machine m\nstate A\n add =\n", 3, 6,
		"\"=\" is no name: a letter, then letters, digits, _ and -" },
	{ "machine m\ntimeout 1s\nstate A\n", 2, 1, "\"timeout\" belongs below a state" },
	{ "machine m\nstate A\n timeout\n", 3, 2, "a timeout is \"timeout TIME [KIND STATE...]\"" },
	{ "machine m\nstate A\n timeout 1s add\n", 3, 2,
		"a timeout is \"timeout TIME [KIND STATE...]\"" },
	{ "machine m\nstate A\n timeout 10\n", 3, 10,
		"\"10\" is no time: a whole number from 1 and ns, us, ms, s, min or h" },
	{ "machine m\nstate A\n timeout 0s\n", 3, 10,
		"\"0s\" is no time: a whole number from 1 and ns, us, ms, s, min or h" },
	{ "machine m\nstate A\n timeout -1s\n", 3, 10,
		"\"-1s\" is no time: a whole number from 1 and ns, us, ms, s, min or h" },
	{ "machine m\nstate A\n timeout 1.5s\n", 3, 10,
		"\"1.5s\" is no time: a whole number from 1 and ns, us, ms, s, min or h" },
	{ "machine m\nstate A\n timeout 9223372037s\n", 3, 10,
		"\"9223372037s\" is too long: 292 years" },
	{ "machine m\nstate A\n timeout 99999999999999999999ns\n", 3, 10,
		"\"99999999999999999999ns\" is too long: 292 years" },
	{ "machine m\nstate A\n timeout 1s drop A\n", 3, 13,
		"there is no kind \"drop\"; there are add, remove, set and toggle" },
	{ "machine m\nstate A\n timeout 1s add B\n", 3, 17, "there is no state or group B" },
	{ "machine m\nstate A\n timeout 1s\n timeout 2s\n", 4, 2,
		"a second timeout, after that in line 3" },
	{ "machine m\nstate A\ngroup G A\n", 3, 1, "a group is \"group NAME = STATE...\"" },
	{ "machine m\nstate A\ngroup G =\n", 3, 1, "a group is \"group NAME = STATE...\"" },
	{ "machine m\nstate A\ngroup G = B\n", 3, 11, "there is no state B" },
	{ "machine m\nstate A\ngroup G = A\ngroup H = G\n", 4, 11,
		"G is a group, and a group is a list of states" },
	{ "machine m\nstate A\ngroup G = A A\n", 3, 13, "A is in this list already, from line 3" },
};

static void each_fault_is_told_with_its_place(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct states_file file;

		assert_int_equal(parse(&file, faults[i].text), -EBADMSG);
		assert_int_equal((int)file.error_count, 1);
		assert_string_equal(file.errors[0].text, faults[i].error);
		assert_int_equal((int)file.errors[0].line, (int)faults[i].line);
		assert_int_equal((int)file.errors[0].column, (int)faults[i].column);
		states_fini(&file);
	}
}

/* Of 63 bytes. */
#define LONGEST_NAME \
	"machine m\nstate A12345678901234567890123456789012345678901234567890123456789012\n"

static void what_is_nearest_to_a_fault_is_none(void **state)
{
	static const char *const right[] = {
		"machine m\nstate A\nstate B\n add A B\n",
		LONGEST_NAME,
		"machine m_2\nstate FooBar\nstate Foo_Ba\n",
		"machine m\nstate A auto multi\n",
		"machine m\nstate NotA\ngroup A = NotA\nstate Not\nstate B\n",
		"machine m\nstate A\n add Exception\n",
		"machine m\nstate a\nstate b\ngroup c=a b\n",
		"machine m\nstate A\nstate B\n remove A\n add A\n",
		"  machine m # \xc3\xa4\n\t\tstate A#\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		struct states_file file;

		assert_int_equal(parse(&file, right[i]), 0);
		assert_int_equal((int)file.error_count, 0);
		states_fini(&file);
	}
}

static void all_errors_are_told_in_order_of_lines(void **state)
{
	struct states_file file;

	assert_int_equal(
		parse(&file, "machine m\nstate A\n add Y X\nstate A\nstate B\n add Z\n"), -EBADMSG);
	assert_int_equal((int)file.error_count, 4);
	for (int i = 0; i < 4; i++) {
		static const int places[][2] = { { 3, 6 }, { 3, 8 }, { 4, 7 }, { 6, 6 } };

		assert_int_equal((int)file.errors[i].line, places[i][0]);
		assert_int_equal((int)file.errors[i].column, places[i][1]);
	}
	states_fini(&file);
}

/* A text, then another many times, with a number and a third behind it. */
static char *repeated(const char *before, const char *word, const char *after, unsigned times)
{
	size_t size = strlen(before) + (strlen(word) + strlen(after) + 10) * times + 1;
	char *text = malloc(size), *at = text;

	assert_non_null(text);
	at += sprintf(at, "%s", before);
	for (unsigned i = 0; i < times; i++)
		at += sprintf(at, "%s%u%s", word, i, after);
	return text;
}

static void expect_first_error(const char *text, size_t size, int r, const char *error)
{
	struct states_file file;

	assert_int_equal(states_parse(&file, text, size), r);
	if (error)
		assert_string_equal(file.errors[0].text, error);
	states_fini(&file);
}

static void there_is_a_limit_on_everything(void **state)
{
	char *text = repeated("machine m\n", "state S", "\n", STATES_MAX);
	char *more = repeated("machine m\n", "state S", "\n", STATES_MAX + 1);
	char *groups = repeated("machine m\nstate S\n", "group G", " = S\n", STATES_GROUPS_MAX + 1);
	char *errors = repeated("machine m\nstate S\nadd", " A", "", 200);
	char *line = repeated("machine m\nstate S #", "", "", STATES_LINE_MAX);
	const size_t longest = strlen("machine m\n") + STATES_LINE_MAX;
	struct states_file file;

	expect_first_error(text, strlen(text), 0, NULL);
	expect_first_error(more, strlen(more), -EBADMSG, "more than 4095 states");
	expect_first_error(groups, strlen(groups), -EBADMSG, "more than 250 groups");
	expect_first_error(line, longest, 0, NULL);
	expect_first_error(line, longest + 1, -EBADMSG, "a line has at most 4096 bytes");
	expect_first_error(
		"machine m\nsta\0te S\n", 19, -EBADMSG, "a NUL byte; this is not a text");

	assert_int_equal(parse(&file, errors), -EBADMSG);
	assert_int_equal((int)file.error_count, 200);
	states_fini(&file);

	free(text);
	free(more);
	free(groups);
	free(line);
	free(errors);
}

static void a_line_may_be_of_nothing_but_words_of_one_byte(void **state)
{
	char *text = repeated("machine m\n", "", "", STATES_LINE_MAX);
	const size_t begin = strlen("machine m\n");

	memset(text + begin, '=', STATES_LINE_MAX);
	expect_first_error(text, begin + STATES_LINE_MAX, -EBADMSG,
		"there is no statement \"=\"; there are machine, group, state, add, "
		"remove, require, after, timeout");
	free(text);
}

static void names_are_words_in_c(void **state)
{
	static const char *const names[][2] = {
		{ "Foo", "foo" },
		{ "FooBar", "foo_bar" },
		{ "fooBar", "foo_bar" },
		{ "HTTPServer", "http_server" },
		{ "ServerHTTP", "server_http" },
		{ "ABTest", "ab_test" },
		{ "Phase2Begun", "phase2_begun" },
		{ "ready_now", "ready_now" },
		{ "READY", "ready" },
		{ "A", "a" },
		{ "A_B", "a_b" },
		{ "aBcD", "a_bc_d" },
		{ "ready-Now", "ready_now" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char c_name[STATES_C_NAME_SIZE];

		states_c_name(c_name, names[i][0]);
		assert_string_equal(c_name, names[i][1]);
	}
}

static const char whole[] = "machine m\n"
			    "group G = A B C\n"
			    "state A\n remove G\n add D E F H I J K L M\n"
			    "state B\n remove G\n"
			    "state C\n remove G\n"
			    "state D\nstate E\nstate F\nstate H\nstate I\nstate J\nstate K\n"
			    "state L\nstate M\n";

static void without_memory_it_says_so_and_leaks_nothing(void **state)
{
	int r = -ENOMEM;

	for (long k = 1; r; k++) {
		struct states_file file;

		assert_true(k < 100);
		fault_count_begin();
		fault_fail_allocation(k);
		r = parse(&file, whole);
		/* One that only gave memory back may have failed. */
		if (fault_happened() && r == 0)
			r = 1;
		else if (fault_happened())
			assert_int_equal(r, -ENOMEM);
		else
			assert_int_equal(r, 0);
		fault_off();
		states_fini(&file);
		assert_int_equal(fault_live(), 0);
		fault_count_end();
	}
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
	char path[] = "/tmp/test_states_file.XXXXXX";
	int fd = mkstemp(path);
	struct states_file file;

	assert_true(fd >= 0);
	assert_int_equal(states_load(&file, "/nonexistent/file.states"), -ENOENT);
	states_fini(&file);
	assert_int_equal(states_load(&file, "/"), -EISDIR);
	states_fini(&file);
	assert_int_equal(states_load(&file, path), -EBADMSG);
	states_fini(&file);
	assert_int_equal(write(fd, whole, strlen(whole)), (int)strlen(whole));
	assert_int_equal(states_load(&file, path), 0);
	assert_int_equal((int)file.state_count, 12);
	states_fini(&file);
	assert_int_equal(ftruncate(fd, STATES_FILE_MAX + 1), 0);
	assert_int_equal(states_load(&file, path), -EFBIG);
	states_fini(&file);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relations_are_lists_in_the_order_they_are_written),
		cmocka_unit_test(a_timeout_is_a_time_and_what_then_is_done),
		cmocka_unit_test(exception_may_be_given_relations),
		cmocka_unit_test(a_group_stands_for_its_other_members),
		cmocka_unit_test(each_fault_is_told_with_its_place),
		cmocka_unit_test(what_is_nearest_to_a_fault_is_none),
		cmocka_unit_test(all_errors_are_told_in_order_of_lines),
		cmocka_unit_test(there_is_a_limit_on_everything),
		cmocka_unit_test(a_line_may_be_of_nothing_but_words_of_one_byte),
		cmocka_unit_test(names_are_words_in_c),
		cmocka_unit_test(without_memory_it_says_so_and_leaks_nothing),
		cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
