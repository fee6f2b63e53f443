/* Requests of the Redis protocol, and replies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "internal/examples/pkg/resp/resp.h"

#include "tests/support/fault.h"
#include "tests/support/leak.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ARGUMENTS_MAX 4

static const struct resp_limits limits = {
	.line = 20, .arguments = ARGUMENTS_MAX, .bulk = 16, .request = 60
};

struct parsing {
	struct resp_argument arguments[ARGUMENTS_MAX];
	struct resp_parser parser;
	struct resp_request request;
};

static void begin(struct parsing *parsing)
{
	*parsing = (struct parsing){ .parser.limits = &limits };
	parsing->request.arguments = parsing->arguments;
}

static enum resp_result parse(struct parsing *parsing, const char *text)
{
	return resp_parse(&parsing->parser, text, strlen(text), &parsing->request);
}

static void assert_argument(const struct parsing *parsing, size_t index, const char *expected)
{
	const struct resp_argument *argument = &parsing->arguments[index];

	assert_int_equal(argument->length, strlen(expected));
	assert_memory_equal(argument->at, expected, argument->length);
}

static void a_request_is_found_and_the_next_left(void **state)
{
	const char *text = "*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n*1\r\n";
	struct parsing parsing;

	begin(&parsing);
	assert_int_equal(parse(&parsing, text), RESP_REQUEST);
	assert_int_equal(parsing.request.count, 2);
	assert_int_equal(parsing.request.used, strlen(text) - 4);
	assert_argument(&parsing, 0, "ECHO");
	assert_argument(&parsing, 1, "hi");
	assert_ptr_equal(parsing.arguments[1].at, text + 18);
	assert_int_equal(parse(&parsing, text + parsing.request.used), RESP_MORE);
}

static void bytes_may_come_one_by_one_and_move(void **state)
{
	const char *text = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n";
	struct parsing parsing;
	char copy[64];

	begin(&parsing);
	for (size_t size = 1; size < strlen(text); size++) {
		memcpy(copy, text, size);
		assert_int_equal(
			resp_parse(&parsing.parser, copy, size, &parsing.request), RESP_MORE);
		memset(copy, 0, sizeof(copy));
	}
	assert_int_equal(parse(&parsing, text), RESP_REQUEST);
	assert_int_equal(parsing.request.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(parsing.arguments[i].at > text &&
			    parsing.arguments[i].at < text + strlen(text));
	assert_argument(&parsing, 0, "SET");
	assert_argument(&parsing, 1, "k");
	assert_argument(&parsing, 2, "");
}

static void a_line_is_a_request(void **state)
{
	struct parsing parsing;

	begin(&parsing);
	assert_int_equal(parse(&parsing, " set\tkey \"two words\"\r\n"), RESP_REQUEST);
	assert_int_equal(parsing.request.count, 3);
	assert_argument(&parsing, 1, "key");
	assert_argument(&parsing, 2, "two words");
	assert_int_equal(parse(&parsing, "GET key\n"), RESP_REQUEST);
	assert_argument(&parsing, 1, "key");
	assert_int_equal(parse(&parsing, "echo '' \"\"\n"), RESP_REQUEST);
	assert_int_equal(parsing.request.count, 3);
	assert_argument(&parsing, 2, "");
}

static void nothing_is_a_request_without_arguments(void **state)
{
	static const char *const texts[] = { "\r\n", "\n", "  \n", "*0\r\n", "*-1\r\n" };
	struct parsing parsing;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		begin(&parsing);
		assert_int_equal(parse(&parsing, texts[i]), RESP_REQUEST);
		assert_int_equal(parsing.request.count, 0);
		assert_int_equal(parsing.request.used, strlen(texts[i]));
	}
}

/* clang-format off */
static const struct { const char *text, *error; } bads[] = {
	{ "*x\r\n", "invalid multibulk length" },
	{ "*\r\n", "invalid multibulk length" },
	{ "*1\n", "invalid multibulk length" },
	{ "*1\rx", "invalid multibulk length" },
	{ "*-0\r\n", "invalid multibulk length" },
	{ "*01\r\n", "invalid multibulk length" },
	{ "*5\r\n", "invalid multibulk length" },
	{ "*99999999999", "invalid multibulk length" },
	{ "*1\r\nPING", "expected '$'" },
	{ "*1\r\n$x\r\n", "invalid bulk length" },
	{ "*1\r\n$-1\r\n", "invalid bulk length" },
	{ "*1\r\n$17\r\n", "invalid bulk length" },
	{ "*1\r\n$4\r\nPINGS", "longer than its length" },
	{ "*1\r\n$4\r\nPING\rS", "longer than its length" },
	{ "*4\r\n$16\r\n0123456789abcdef\r\n$16\r\n0123456789abcdef\r\n$16\r\n", "too big request" },
	{ "123456789012345678901\r\n", "too big inline request" },
	{ "1234567890123456789012", "too big inline request" },
	{ "a b c d e\n", "too many arguments" },
	{ "a \"b\n", "unbalanced quotes" },
	{ "a \"b\"c\n", "unbalanced quotes" },
	{ "a b\"c\"\n", "unbalanced quotes" },
	{ "a \"\\x41\"\n", "no escapes" },
};
/* clang-format on */

static void what_is_no_request_has_an_error(void **state)
{
	struct parsing parsing;

	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		begin(&parsing);
		assert_int_equal(parse(&parsing, bads[i].text), RESP_BAD);
		assert_non_null(strstr(parsing.parser.error, bads[i].error));
		/* and stays one */
		assert_int_equal(parse(&parsing, "PING\r\n"), RESP_BAD);
	}
}

static void a_line_of_the_longest_is_taken(void **state)
{
	struct parsing parsing;

	begin(&parsing);
	assert_int_equal(parse(&parsing, "12345678901234567890\r\n"), RESP_REQUEST);
	assert_int_equal(parse(&parsing, "12345678901234567890\n"), RESP_REQUEST);
	assert_int_equal(parse(&parsing, "12345678901234567890\r"), RESP_MORE);
}

static void what_is_needed_is_told(void **state)
{
	const char *text = "*2\r\n$4\r\nECHO\r\n$10\r\n01";
	struct parsing parsing;

	begin(&parsing);
	assert_int_equal(parse(&parsing, text), RESP_MORE);
	assert_int_equal(resp_needed(&parsing.parser, text, strlen(text)), strlen(text) + 10);
	begin(&parsing);
	assert_int_equal(parse(&parsing, "*2\r"), RESP_MORE);
	assert_int_equal(resp_needed(&parsing.parser, "*2\r", 3), 4);
	begin(&parsing);
	assert_int_equal(parse(&parsing, "*1\r\n$4"), RESP_MORE);
	assert_int_equal(resp_needed(&parsing.parser, "*1\r\n$4", 6), 7);
}

static void replies_stand_one_behind_the_other(void **state)
{
	static const char expected[] = "+OK\r\n-ERR no  good\r\n:-9223372036854775808\r\n"
				       ":0\r\n$3\r\na\0b\r\n$0\r\n\r\n$4\r\ntext\r\n$-1\r\n*12\r\n";
	struct resp_reply reply = { .max = 1000 };

	resp_add_simple(&reply, "OK");
	resp_add_error(&reply, "ERR %s\r\ngood", "no");
	resp_add_integer(&reply, INT64_MIN);
	resp_add_integer(&reply, 0);
	resp_add_bulk(&reply, "a\0b", 3);
	resp_add_bulk(&reply, NULL, 0);
	resp_add_text(&reply, "text");
	resp_add_null(&reply);
	resp_add_array(&reply, 12);
	assert_int_equal(reply.error, 0);
	assert_int_equal(reply.size, sizeof(expected) - 1);
	assert_memory_equal(reply.data, expected, reply.size);
	resp_reply_clear(&reply, 1000);
	assert_int_equal(reply.size, 0);
	assert_non_null(reply.data);
	resp_reply_clear(&reply, 100);
	assert_null(reply.data);
	resp_reply_fini(&reply);
}

static void replies_have_a_limit(void **state)
{
	struct resp_reply reply = { .max = 8 };

	resp_add_simple(&reply, "12345");
	assert_int_equal(reply.error, 0);
	resp_add_simple(&reply, "");
	assert_int_equal(reply.error, -ENOBUFS);
	assert_null(resp_reserve(&reply, 0));
	assert_int_equal(reply.size, 8);
	resp_add_error(&reply, "ERR");
	resp_add_bulk(&reply, "x", 1);
	assert_int_equal(reply.size, 8);
	resp_reply_fini(&reply);
	assert_int_equal(reply.max, 8);
}

static void a_reply_without_memory_says_so(void **state)
{
	struct resp_reply reply = { .max = 4096 };
	char text[600] = { 0 };

	fault_fail_allocation(1);
	resp_add_simple(&reply, "OK");
	assert_int_equal(reply.error, -ENOMEM);
	resp_reply_clear(&reply, 0);
	resp_add_simple(&reply, "OK");
	fault_fail_allocation(1);
	resp_add_bulk(&reply, text, sizeof(text));
	fault_off();
	assert_int_equal(reply.error, -ENOMEM);
	assert_int_equal(reply.size, 5);
	assert_memory_equal(reply.data, "+OK\r\n", 5);
	resp_reply_fini(&reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_request_is_found_and_the_next_left),
		leak_test(bytes_may_come_one_by_one_and_move),
		leak_test(a_line_is_a_request),
		leak_test(nothing_is_a_request_without_arguments),
		leak_test(what_is_no_request_has_an_error),
		leak_test(a_line_of_the_longest_is_taken),
		leak_test(what_is_needed_is_told),
		leak_test(replies_stand_one_behind_the_other),
		leak_test(replies_have_a_limit),
		leak_test(a_reply_without_memory_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
