/* What following a path is made of: the decision, rotated names, blocks of lines, identity. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal/examples/pkg/tail/beside.h"
#include "internal/examples/pkg/tail/decide.h"

#include "tests/support/followed.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The decision: every input there is. */
static void every_view_has_the_verdict_that_the_rules_give(void **state)
{
	unsigned seen[TAIL_VERDICTS] = { 0 };

	(void)state;
	for (unsigned bits = 0; bits < 64; bits++) {
		struct tail_view view = {
			.known = bits & 1,
			.open = bits & 2,
			.exists = bits & 4,
			.same_inode = bits & 8,
			.head_matches = bits & 16,
			.size = 100,
			.offset = bits & 32 ? 101 : 100,
		};
		enum tail_verdict verdict = tail_decide(&view);
		enum tail_verdict expected;

		if (!view.known && !view.exists)
			expected = TAIL_WAIT;
		else if (!view.known)
			expected = TAIL_BEGIN;
		else if (!view.open && (!view.exists || !view.same_inode))
			expected = TAIL_SEARCH;
		else if (!view.head_matches || view.offset > view.size)
			expected = TAIL_RESTART;
		else if (view.exists && !view.same_inode)
			expected = TAIL_REOPEN;
		else
			expected = TAIL_CONTINUE;
		assert_string_equal(tail_verdict_name(verdict), tail_verdict_name(expected));
		seen[verdict]++;
	}
	for (size_t i = 0; i < TAIL_VERDICTS; i++)
		assert_true(seen[i] > 0);
	assert_string_equal(tail_verdict_name(TAIL_VERDICTS), "unknown");
}

static void rotated_names_are_those_that_logrotate_gives(void **state)
{
	static const struct {
		const char *base, *name;
		bool rotated;
	} cases[] = {
		{ "app.log", "app.log.1", true },
		{ "app.log", "app.log.10", true },
		{ "app.log", "app.log-20260101", true },
		{ "app.log", "app.log-20260101-1767225600", true },
		{ "app.log", "app.log.2026-01-01T10:00:00Z", true },
		{ "app.log", "app.log", false },
		{ "app.log", "app.log.", false },
		{ "app.log", "app.log.old", false },
		{ "app.log", "app.log.1.gz", false },
		{ "app.log", "app.log1", false },
		{ "app.log", "app.lo", false },
		{ "syslog", "syslog-ng.log", false },
		{ "syslog", "syslog.1", true },
		{ "syslog", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(tail_rotated_name(cases[i].base, cases[i].name), cases[i].rotated);
}

static void a_block_is_cut_after_its_last_line(void **state)
{
	static char big[2 * TAIL_LINE_MAX + 10];
	static const struct {
		size_t length, newline; /* newline: its place, 0 for none */
		bool final;
		size_t cut;
	} cases[] = {
		{ 0, 0, false, 0 },
		{ 0, 0, true, 0 },
		{ 10, 0, false, 0 },
		{ 10, 0, true, 10 },
		{ 10, 4, false, 5 },
		{ 10, 4, true, 5 },
		{ 10, 9, false, 10 },
		{ TAIL_LINE_MAX, 0, false, 0 },
		{ TAIL_LINE_MAX + 1, 0, false, TAIL_LINE_MAX },
		{ TAIL_LINE_MAX + 1, TAIL_LINE_MAX, false, TAIL_LINE_MAX + 1 },
		{ 2 * TAIL_LINE_MAX, 0, false, TAIL_LINE_MAX },
		{ 2 * TAIL_LINE_MAX + 1, 0, false, 2 * TAIL_LINE_MAX },
		{ 2 * TAIL_LINE_MAX + 1, 0, true, 2 * TAIL_LINE_MAX + 1 },
		{ 2 * TAIL_LINE_MAX + 1, 3, false, 4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(big, 'x', sizeof(big));
		if (cases[i].newline)
			big[cases[i].newline] = '\n';
		assert_int_equal(
			tail_block_cut(big, cases[i].length, cases[i].final), cases[i].cut);
	}
}

static void a_line_of_the_maximum_is_whole_and_a_longer_one_is_split(void **state)
{
	static const struct {
		size_t length, pieces;
	} cases[] = {
		{ 0, 1 },
		{ 1, 1 },
		{ TAIL_LINE_MAX - 1, 1 },
		{ TAIL_LINE_MAX, 1 },
		{ TAIL_LINE_MAX + 1, 2 },
		{ 2 * TAIL_LINE_MAX, 2 },
		{ 2 * TAIL_LINE_MAX + 1, 3 },
	};
	char *bytes = malloc(3 * TAIL_LINE_MAX);

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tail_line line;
		size_t cursor = 0, pieces = 0, length = 0;

		memset(bytes, 'x', cases[i].length);
		bytes[cases[i].length] = '\n';
		while (tail_block_next(bytes, cases[i].length + 1, 1000, &cursor, &line)) {
			pieces++;
			assert_int_equal(line.offset, 1000 + (int64_t)length);
			length += line.length;
			assert_int_equal(line.partial, pieces < cases[i].pieces);
			assert_true(line.length <= TAIL_LINE_MAX);
		}
		assert_int_equal(pieces, cases[i].pieces);
		assert_int_equal(length, cases[i].length);
		assert_int_equal(cursor, cases[i].length + 1);
	}
	free(bytes);
}

static void a_grown_file_is_the_same_file_and_a_changed_head_is_not(void **state)
{
	struct fixture *fixture = *state;
	struct tail_identity identity = { 0 }, before;
	char filler[2048];
	int fd;

	append(fixture, "short");
	fd = open(fixture->path, O_RDWR);
	assert_int_equal(tail_identity_read(fd, &identity, NULL), 0);
	assert_int_equal(identity.head_length, 5);
	assert_int_equal(tail_head_matches(fd, &identity), 1);
	memset(filler, 'y', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	append(fixture, filler);
	assert_int_equal(tail_head_matches(fd, &identity), 1);
	assert_int_equal(tail_identity_extend(fd, &identity), 1);
	assert_int_equal(identity.head_length, TAIL_HEAD_MAX);
	append(fixture, filler);
	before = identity;
	assert_int_equal(tail_identity_extend(fd, &identity), 1);
	assert_memory_equal(&before, &identity, sizeof(before));
	assert_int_equal(pwrite(fd, "z", 1, TAIL_HEAD_MAX), 1);
	assert_int_equal(tail_head_matches(fd, &identity), 1);
	assert_int_equal(pwrite(fd, "z", 1, TAIL_HEAD_MAX - 1), 1);
	assert_int_equal(tail_head_matches(fd, &identity), 0);
	assert_int_equal(tail_identity_extend(fd, &identity), 0);
	assert_int_equal(ftruncate(fd, 3), 0);
	assert_int_equal(tail_head_matches(fd, &before), 0);
	close(fd);
	assert_true(tail_head_hash("a", 1) != tail_head_hash("a\0", 2));
	assert_true(tail_head_hash("", 0) != tail_head_hash("\0", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_view_has_the_verdict_that_the_rules_give),
		cmocka_unit_test(rotated_names_are_those_that_logrotate_gives),
		cmocka_unit_test(a_block_is_cut_after_its_last_line),
		cmocka_unit_test(a_line_of_the_maximum_is_whole_and_a_longer_one_is_split),
		ON_FILES(a_grown_file_is_the_same_file_and_a_changed_head_is_not),
	};

	return cmocka_run_group_tests_name("tail", tests, NULL, NULL);
}
