/* What a line of a log says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "internal/examples/pkg/logline/logline.h"

#include "tests/support/seeded.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* 2026-11-21 04:00:00 UTC */
#define NOW INT64_C(1795233600)

struct expected {
	const char *line;
	const char *time; /* UTC with nanoseconds; NULL: none */
	const char *level, *host, *program;
	int64_t pid;
	const char *message;
};

static void parse(const char *text, size_t length, struct logline *line)
{
	struct logline_clock clock = { .now_ns = NOW * 1000000000 };

	logline_parse(text, length, &clock, line);
}

static void time_text(const struct logline *line, char *text, size_t size)
{
	time_t seconds = line->time_ns / 1000000000;
	char whole[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(whole, sizeof(whole), "%F %T", &tm);
	snprintf(text, size, "%s.%09lld", whole, (long long)(line->time_ns % 1000000000));
}

static void expect_text(const struct logline_text *text, const char *expected)
{
	char copy[512];

	snprintf(copy, sizeof(copy), "%.*s", (int)text->length, text->length ? text->at : "");
	assert_string_equal(copy, expected ? expected : "");
}

static void expect(const struct expected *expected)
{
	const char *level;
	struct logline line;
	char text[64];

	parse(expected->line, strlen(expected->line), &line);
	assert_int_equal(line.has_time, expected->time != NULL);
	if (expected->time) {
		time_text(&line, text, sizeof(text));
		assert_string_equal(text, expected->time);
	}
	level = logline_level_name(line.level);
	assert_string_equal(level ? level : "", expected->level ? expected->level : "");
	expect_text(&line.host, expected->host);
	expect_text(&line.program, expected->program);
	assert_int_equal(line.pid, expected->pid);
	expect_text(&line.message, expected->message);
}

/* clang-format off */
static const struct expected formats[] = {
	/* dpkg.log */
	{ "2026-11-21 03:12:01 status installed libc6:amd64 2.36", "2026-11-21 03:12:01.000000000",
		NULL, NULL, NULL, -1, "status installed libc6:amd64 2.36" },
	/* alternatives.log */
	{ "update-alternatives 2026-10-15 21:36:36: run with --quiet", "2026-10-15 21:36:36.000000000",
		NULL, NULL, "update-alternatives", -1, "run with --quiet" },
	/* syslog, old and new */
	{ "Nov 21 03:12:01 box sshd[812]: Accepted publickey", "2026-11-21 03:12:01.000000000",
		NULL, "box", "sshd", 812, "Accepted publickey" },
	{ "Nov  1 03:12:01 box cron: started", "2026-11-01 03:12:01.000000000",
		NULL, "box", "cron", -1, "started" },
	{ "2026-11-21T03:12:01.123456+01:00 box systemd[1]: Started x.", "2026-11-21 02:12:01.123456000",
		NULL, "box", "systemd", 1, "Started x." },
	{ "<11>Nov 21 03:12:01 box app: error: none", "2026-11-21 03:12:01.000000000",
		"error", "box", "app", -1, "error: none" },
	{ "<34>1 2026-11-21T03:12:01.003Z box su 77 ID47 - failed", "2026-11-21 03:12:01.003000000",
		"critical", "box", "su", 77, "ID47 - failed" },
	{ "<34>1 2026-11-21T03:12:01Z box su - ID47 - failed", "2026-11-21 03:12:01.000000000",
		"critical", "box", "su", -1, "ID47 - failed" },
	{ "<34>1 2026-11-21T03:12:01Z box su worker - - failed", "2026-11-21 03:12:01.000000000",
		"critical", "box", "su", -1, "worker - - failed" },
	{ "<34>1 2026-11-21T03:12:01Z box su - - - failed", "2026-11-21 03:12:01.000000000",
		"critical", "box", "su", -1, "- failed" },
	/* RFC 3339 */
	{ "2026-11-21T03:12:01Z starting", "2026-11-21 03:12:01.000000000",
		NULL, NULL, NULL, -1, "starting" },
	{ "2026-11-21T03:12:01-0730 starting", "2026-11-21 10:42:01.000000000",
		NULL, NULL, NULL, -1, "starting" },
	/* apache and nginx */
	{ "10.0.0.7 - bob [21/Nov/2026:03:12:01 +0100] \"GET / HTTP/1.1\" 200 5",
		"2026-11-21 02:12:01.000000000", NULL, "10.0.0.7", NULL, -1,
		"10.0.0.7 - bob [21/Nov/2026:03:12:01 +0100] \"GET / HTTP/1.1\" 200 5" },
	{ "2026/11/21 03:12:01 [error] 12#12: *1 open() failed", "2026-11-21 03:12:01.000000000",
		"error", NULL, NULL, -1, "[error] 12#12: *1 open() failed" },
	{ "[Sat Nov 21 03:12:01.5 2026] [core:warn] [pid 5] late", "2026-11-21 03:12:01.500000000",
		"warning", NULL, NULL, -1, "[core:warn] [pid 5] late" },
	/* redis, postgresql */
	{ "812:M 21 Nov 2026 03:12:01.123 * Ready", "2026-11-21 03:12:01.123000000",
		NULL, NULL, NULL, 812, "* Ready" },
	{ "2026-11-21 03:12:01.123 UTC [99] LOG:  started", "2026-11-21 03:12:01.123000000",
		"info", NULL, NULL, -1, "[99] LOG:  started" },
	/* programs of all kinds */
	{ "2026-11-21 03:12:01,250 - ERROR - no space", "2026-11-21 03:12:01.250000000",
		"error", NULL, NULL, -1, "- ERROR - no space" },
	{ "2026-11-21 03:12:01 worker[5] done", "2026-11-21 03:12:01.000000000",
		NULL, NULL, "worker", 5, "done" },
	{ "2026-11-21 03:12:01 WARNING: low", "2026-11-21 03:12:01.000000000",
		"warning", NULL, NULL, -1, "WARNING: low" },
	{ "2026-11-21 03:12:01 box WARNING: low", "2026-11-21 03:12:01.000000000",
		"warning", NULL, NULL, -1, "box WARNING: low" },
	{ "[2026-11-21 03:12:01] <debug> x", "2026-11-21 03:12:01.000000000",
		"debug", NULL, NULL, -1, "<debug> x" },
	{ "info: hello", NULL, "info", NULL, NULL, -1, "info: hello" },
	{ "an error-handler was installed", NULL, NULL, NULL, NULL, -1,
		"an error-handler was installed" },
	{ "the error is here", NULL, NULL, NULL, NULL, -1, "the error is here" },
	/* unknown, odd, wrong */
	{ "", NULL, NULL, NULL, NULL, -1, "" },
	{ " ", NULL, NULL, NULL, NULL, -1, " " },
	{ "just text", NULL, NULL, NULL, NULL, -1, "just text" },
	{ "windows\r", NULL, NULL, NULL, NULL, -1, "windows" },
	{ "2026-13-21 03:12:01 x", NULL, NULL, NULL, NULL, -1, "2026-13-21 03:12:01 x" },
	{ "2026-02-29 03:12:01 x", NULL, NULL, NULL, NULL, -1, "2026-02-29 03:12:01 x" },
	{ "2024-02-29 03:12:01 x", "2024-02-29 03:12:01.000000000", NULL, NULL, NULL, -1, "x" },
	{ "2026-11-21 24:12:01 x", NULL, NULL, NULL, NULL, -1, "2026-11-21 24:12:01 x" },
	{ "2026-11-21 03:12:01", "2026-11-21 03:12:01.000000000", NULL, NULL, NULL, -1, "" },
	{ "2026-11-21 03:12", NULL, NULL, NULL, NULL, -1, "2026-11-21 03:12" },
	{ "9999-11-21 03:12:01 x", NULL, NULL, NULL, NULL, -1, "9999-11-21 03:12:01 x" },
	{ "Nov 31 03:12:01 x", NULL, NULL, NULL, NULL, -1, "Nov 31 03:12:01 x" },
	{ "Nov 21 03:12:01 box a[99999999999999999999]: x", "2026-11-21 03:12:01.000000000",
		NULL, NULL, NULL, -1, "box a[99999999999999999999]: x" },
	{ "<999>x", NULL, NULL, NULL, NULL, -1, "<999>x" },
	/* no year: not after tomorrow */
	{ "Nov 22 03:12:01 x", "2026-11-22 03:12:01.000000000", NULL, NULL, NULL, -1, "x" },
	{ "Dec 31 03:12:01 x", "2025-12-31 03:12:01.000000000", NULL, NULL, NULL, -1, "x" },
	{ "Feb 29 03:12:01 x", "2024-02-29 03:12:01.000000000", NULL, NULL, NULL, -1, "x" },
};
/* clang-format on */

static void each_format_gives_what_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		expect(&formats[i]);
}

static void local_time_is_that_of_the_machine(void **state)
{
	static const struct {
		const char *line;
		int64_t seconds;
	} cases[] = {
		{ "2026-11-21 03:12:01 x", 1795230721 - 3600 },
		{ "2026-11-21 03:59:59 x", 1795233599 - 3600 },
		{ "2026-11-21 04:00:00 x", 1795233600 - 3600 },
		{ "2026-07-01 12:00:00 x", 1782907200 - 7200 },
		{ "2026-11-21 03:12:01Z x", 1795230721 },
	};
	struct logline_clock clock = { .now_ns = NOW * 1000000000 };
	struct logline line;

	(void)state;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		logline_parse(cases[i].line, strlen(cases[i].line), &clock, &line);
		assert_int_equal(line.time_ns / 1000000000, cases[i].seconds);
	}
	setenv("TZ", "UTC", 1);
	tzset();
}

static void text_is_utf8_without_nul(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		bool text;
		const char *escaped;
	} cases[] = {
		{ "", 0, true, "" },
		{ "plain \t\x1b", 8, true, "plain \t\x1b" },
		{ "\xc3\xa9", 2, true, "\xc3\xa9" },
		{ "\xe2\x82\xac", 3, true, "\xe2\x82\xac" },
		{ "\xf0\x9f\x98\x80", 4, true, "\xf0\x9f\x98\x80" },
		{ "a\0b", 3, false, "a\\x00b" },
		{ "\xc3", 1, false, "\\xc3" },
		{ "\xc0\x80", 2, false, "\\xc0\\x80" },
		{ "\xe0\x9f\xbf", 3, false, "\\xe0\\x9f\\xbf" },
		{ "\xed\xa0\x80", 3, false, "\\xed\\xa0\\x80" },
		{ "\xf4\x90\x80\x80", 4, false, "\\xf4\\x90\\x80\\x80" },
		{ "\xf0\x8f\x80\x80", 4, false, "\\xf0\\x8f\\x80\\x80" },
		{ "\xff\xfe", 2, false, "\\xff\\xfe" },
		{ "\xe2\x82", 2, false, "\\xe2\\x82" },
		{ "\xe2\x82z", 3, false, "\\xe2\\x82z" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[64];
		size_t n = logline_escape(cases[i].bytes, cases[i].length, text);

		assert_int_equal(logline_is_text(cases[i].bytes, cases[i].length), cases[i].text);
		assert_int_equal(n, strlen(cases[i].escaped));
		assert_memory_equal(text, cases[i].escaped, n);
		assert_true(logline_is_text(text, n));
	}
}

/* Lines made of the known formats by cutting, joining and spoiling, in memory of exactly their
 * size. */
static void any_bytes_are_parsed_within_their_bounds(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();

	(void)state;
	for (int round = 0; round < 100000; round++) {
		const char *from = formats[(size_t)rand_r(&seed) % ARRAY_SIZE(formats)].line;
		size_t length = strlen(from);
		size_t start = length ? (size_t)rand_r(&seed) % length : 0;
		struct logline line;
		char *bytes;

		if (rand_r(&seed) % 2)
			start = 0;
		length -= start;
		length = length ? (size_t)rand_r(&seed) % (length + 1) : 0;
		bytes = malloc(length ? length : 1);
		assert_non_null(bytes);
		memcpy(bytes, from + start, length);
		for (int spoil = rand_r(&seed) % 3; spoil > 0 && length > 0; spoil--)
			bytes[(size_t)rand_r(&seed) % length] = (char)rand_r(&seed);
		parse(bytes, length, &line);
		assert_true(line.message.at >= bytes);
		assert_true(line.message.at + line.message.length <= bytes + length);
		assert_true(line.level >= LOGLINE_NO_LEVEL && line.level < LOGLINE_LEVELS);
		free(bytes);
	}
}

static int in_utc(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_format_gives_what_it_says),
		cmocka_unit_test(local_time_is_that_of_the_machine),
		cmocka_unit_test(text_is_utf8_without_nul),
		cmocka_unit_test(any_bytes_are_parsed_within_their_bounds),
	};

	return cmocka_run_group_tests_name("logline", tests, in_utc, NULL);
}
