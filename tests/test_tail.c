/* Following a path: what a file is, what happened to it, and the lines it holds. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/examples/pkg/tail/beside.h"
#include "internal/examples/pkg/tail/decide.h"
#include "internal/examples/pkg/tail/follow.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RECORDS_MAX 128

/*
 * A memory of one path in an array, as the store keeps it in a table. What is taken is durable only
 * after commit(): until then the memory does not tell of it, and a kill takes it back.
 */
struct fixture {
	char directory[64];
	char path[128];
	struct tail_memory memory;
	struct tail_record records[RECORDS_MAX]; /* durable */
	size_t record_count;
	struct tail_record taken[RECORDS_MAX];
	size_t taken_count;
	size_t durable_length; /* of the text */
	int64_t last_id;
	struct tail *tail;
	struct tail_block block;
	unsigned notes[5];
	char *text; /* the lines given since they were last expected, each with its newline */
	size_t length;
	size_t descriptors; /* open before the test */
};

#define TEXT_MAX (8 * 1024 * 1024)

static int of_path(
	void *self, const char *path, struct tail_record **ret_records, size_t *ret_count)
{
	struct fixture *fixture = self;
	struct tail_record *copy = calloc(RECORDS_MAX, sizeof(*copy));

	(void)path;
	if (!copy)
		return -ENOMEM;
	memcpy(copy, fixture->records, sizeof(fixture->records));
	*ret_records = copy;
	*ret_count = fixture->record_count;
	return 0;
}

static int newest(void *self, uint64_t device, uint64_t inode, struct tail_record *ret_record)
{
	struct fixture *fixture = self;

	for (size_t i = fixture->record_count; i-- > 0;) {
		struct tail_record *record = &fixture->records[i];

		if (record->identity.device == device && record->identity.inode == inode) {
			*ret_record = *record;
			return 0;
		}
	}
	return -ENOENT;
}

static int64_t next_id(void *self)
{
	struct fixture *fixture = self;

	return ++fixture->last_id;
}

static void count_note(void *self, enum tail_note note, const char *text)
{
	struct fixture *fixture = self;

	assert_non_null(text);
	fixture->notes[note]++;
}

static void remember(struct fixture *fixture, const struct tail_record *record)
{
	for (size_t i = 0; i < fixture->taken_count; i++) {
		if (fixture->taken[i].id == record->id) {
			fixture->taken[i] = *record;
			return;
		}
	}
	assert_true(fixture->taken_count < RECORDS_MAX);
	fixture->taken[fixture->taken_count++] = *record;
}

static void commit(struct fixture *fixture)
{
	memcpy(fixture->records, fixture->taken, sizeof(fixture->records));
	fixture->record_count = fixture->taken_count;
	fixture->durable_length = fixture->length;
}

static void open_tail(struct fixture *fixture, bool once)
{
	struct tail_options options = { .once = once, .note = count_note, .note_self = fixture };

	tail_close(fixture->tail);
	fixture->tail = NULL;
	assert_int_equal(tail_open(fixture->path, &fixture->memory, &options, &fixture->tail), 0);
}

static void restart(struct fixture *fixture)
{
	commit(fixture);
	open_tail(fixture, false);
}

static void kill_and_restart(struct fixture *fixture)
{
	memcpy(fixture->taken, fixture->records, sizeof(fixture->records));
	fixture->taken_count = fixture->record_count;
	fixture->length = fixture->durable_length;
	fixture->text[fixture->length] = '\0';
	open_tail(fixture, false);
}

static int64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void add_text(struct fixture *fixture, const char *text, size_t length)
{
	assert_true(fixture->length + length < TEXT_MAX);
	memcpy(fixture->text + fixture->length, text, length);
	fixture->length += length;
	fixture->text[fixture->length] = '\0';
}

/* Take one block: its lines, and the record with them. */
static int take(struct fixture *fixture, int64_t later_ns)
{
	struct tail_line line;
	size_t cursor = 0;
	int r = tail_next(fixture->tail, realtime_ns() + later_ns, &fixture->block);

	if (r <= 0)
		return r;
	while (tail_block_next(fixture->block.bytes, fixture->block.length, fixture->block.offset,
		&cursor, &line)) {
		add_text(fixture, line.text, line.length);
		add_text(fixture, line.partial ? "~\n" : "\n", 1 + line.partial);
	}
	remember(fixture, &fixture->block.record);
	return r;
}

static void drain_later(struct fixture *fixture, int64_t later_ns)
{
	int r;

	do
		r = take(fixture, later_ns);
	while (r > 0);
	assert_int_equal(r, 0);
}

static void drain(struct fixture *fixture)
{
	drain_later(fixture, 0);
	commit(fixture);
}

/* What came since the last call, whole. */
static void expect_lines(struct fixture *fixture, const char *expected)
{
	drain(fixture);
	assert_string_equal(fixture->text, expected);
	fixture->length = 0;
	fixture->durable_length = 0;
	fixture->text[0] = '\0';
}

static const char *beside(struct fixture *fixture, const char *suffix)
{
	static char paths[2][256]; /* two, for rename */
	static unsigned turn;
	char *path = paths[turn++ % 2];

	snprintf(path, sizeof(paths[0]), "%s%s", fixture->path, suffix);
	return path;
}

static void append_to(const char *path, const char *text)
{
	FILE *file = fopen(path, "a");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void append(struct fixture *fixture, const char *text)
{
	append_to(fixture->path, text);
}

static void rotate(struct fixture *fixture, const char *suffix)
{
	assert_int_equal(rename(fixture->path, beside(fixture, suffix)), 0);
}

/* copytruncate, as logrotate does it. */
static void copy_truncate(struct fixture *fixture, const char *suffix)
{
	char bytes[4096];
	size_t n;
	FILE *from = fopen(fixture->path, "r");
	FILE *to = fopen(beside(fixture, suffix), "w");

	assert_non_null(from);
	assert_non_null(to);
	while ((n = fread(bytes, 1, sizeof(bytes), from)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, to), n);
	fclose(from);
	assert_int_equal(fclose(to), 0);
	assert_int_equal(truncate(fixture->path, 0), 0);
}

static size_t open_descriptors(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	strcpy(fixture->directory, "/tmp/test_tail.XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof(fixture->path), "%s/app.log", fixture->directory);
	fixture->memory = (struct tail_memory){ fixture, of_path, newest, next_id };
	fixture->block.bytes = malloc(TAIL_BLOCK_MAX);
	fixture->text = calloc(1, TEXT_MAX);
	assert_non_null(fixture->block.bytes);
	assert_non_null(fixture->text);
	fixture->descriptors = open_descriptors();
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];

	tail_close(fixture->tail);
	assert_int_equal(open_descriptors(), fixture->descriptors);
	free(fixture->text);
	free(fixture->block.bytes);
	snprintf(command, sizeof(command), "rm -rf %s", fixture->directory);
	assert_int_equal(system(command), 0);
	free(fixture);
	return 0;
}

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

static void lines_come_once_and_only_when_they_are_whole(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\ntwo\nthr");
	open_tail(fixture, false);
	expect_lines(fixture, "one\ntwo\n");
	expect_lines(fixture, "");
	append(fixture, "ee\n\nfive");
	expect_lines(fixture, "three\n\n");
	append(fixture, "\n");
	expect_lines(fixture, "five\n");
	assert_int_equal(fixture->record_count, 1);
	assert_int_equal(fixture->records[0].offset, 20);
}

static void a_file_that_appears_later_is_read_from_its_start(void **state)
{
	struct fixture *fixture = *state;

	open_tail(fixture, false);
	expect_lines(fixture, "");
	assert_false(tail_found(fixture->tail));
	append(fixture, "one\n");
	expect_lines(fixture, "one\n");
	assert_true(tail_found(fixture->tail));
}

static void a_path_that_is_no_regular_file_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct tail *tail = NULL;

	assert_int_equal(tail_open(fixture->directory, &fixture->memory, NULL, &tail), -ENOTSUP);
	assert_int_equal(tail_open("/dev/null", &fixture->memory, NULL, &tail), -ENOTSUP);
	assert_null(tail);
}

static void once_gives_the_unterminated_rest_and_the_next_run_goes_on_behind_it(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\ntw");
	open_tail(fixture, true);
	expect_lines(fixture, "one\ntw~\n");
	expect_lines(fixture, "");
	append(fixture, "o\nthree\n");
	open_tail(fixture, true);
	expect_lines(fixture, "o\nthree\n");
}

static void a_restart_goes_on_where_it_was(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	append(fixture, "two\n");
	restart(fixture);
	expect_lines(fixture, "two\n");
	restart(fixture);
	expect_lines(fixture, "");
	assert_int_equal(fixture->record_count, 1);
}

static void a_renamed_file_is_finished_before_the_new_one(void **state)
{
	struct fixture *fixture = *state;
	FILE *writer;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	writer = fopen(fixture->path, "a");
	rotate(fixture, ".1");
	expect_lines(fixture, "");
	fputs("two\n", writer);
	fflush(writer);
	append(fixture, "three\n");
	expect_lines(fixture, "two\nthree\n");
	fputs("late\n", writer); /* the writer has not been told yet */
	fclose(writer);
	append(fixture, "four\n");
	expect_lines(fixture, "late\nfour\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_ROTATED], 1);
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
}

static void a_rotated_file_is_done_when_quiet_and_rotated_once_more(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	drain(fixture);
	rotate(fixture, ".1");
	append(fixture, "two\n");
	drain_later(fixture, 2 * TAIL_LINGER_NS);
	commit(fixture);
	assert_false(fixture->records[0].done);
	assert_int_equal(rename(beside(fixture, ".1"), beside(fixture, ".2")), 0);
	rotate(fixture, ".1");
	append(fixture, "three\n");
	append_to(beside(fixture, ".2"), "rest"); /* never to be ended */
	drain(fixture);
	assert_false(fixture->records[0].done);
	drain_later(fixture, 2 * TAIL_LINGER_NS);
	commit(fixture);
	assert_true(fixture->records[0].done);
	assert_false(fixture->records[1].done);
	assert_false(fixture->records[2].done);
	expect_lines(fixture, "one\ntwo\nthree\nrest~\n");
}

static void files_rotated_between_two_looks_are_found(void **state)
{
	struct fixture *fixture = *state;

	append_to(beside(fixture, ".2"), "from before the first start\n");
	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	append(fixture, "two\n");
	rotate(fixture, ".3");
	append(fixture, "three\n");
	rotate(fixture, ".1");
	append_to(beside(fixture, ".1.gz"), "three, but compressed\n");
	append_to(beside(fixture, ".old"), "not by logrotate\n");
	append(fixture, "four\n");
	expect_lines(fixture, "two\nthree\nfour\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_RECOVERED], 1);
}

static void files_rotated_while_nobody_ran_are_found_in_order(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	tail_close(fixture->tail);
	fixture->tail = NULL;
	append(fixture, "two\n");
	rotate(fixture, "-20260101");
	append(fixture, "three\n");
	rotate(fixture, "-20260102");
	append(fixture, "four\n");
	rotate(fixture, "-20260103");
	append(fixture, "five\n");
	restart(fixture);
	expect_lines(fixture, "two\nthree\nfour\nfive\n");
	restart(fixture);
	expect_lines(fixture, "");
	assert_int_equal(fixture->record_count, 4);
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
}

static void a_rotated_file_is_found_though_nothing_took_its_place(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	drain(fixture);
	append(fixture, "two\n");
	rotate(fixture, ".1");
	restart(fixture);
	expect_lines(fixture, "one\ntwo\n");
	append(fixture, "three\n");
	expect_lines(fixture, "three\n");
}

static void a_rotated_file_that_is_gone_is_reported_and_not_sought_again(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	rotate(fixture, ".1");
	append(fixture, "two\n");
	unlink(beside(fixture, ".1"));
	restart(fixture);
	expect_lines(fixture, "two\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 1);
	restart(fixture);
	expect_lines(fixture, "");
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 1);
}

static void a_file_renamed_back_is_not_read_twice(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	rotate(fixture, ".1");
	append(fixture, "two\n");
	expect_lines(fixture, "two\n");
	assert_int_equal(rename(beside(fixture, ".1"), fixture->path), 0);
	expect_lines(fixture, "");
	append(fixture, "three\n");
	expect_lines(fixture, "three\n");
	restart(fixture);
	expect_lines(fixture, "");
}

static void a_truncated_file_is_read_again_from_its_start(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\ntwo\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\ntwo\n");
	assert_int_equal(truncate(fixture->path, 0), 0);
	expect_lines(fixture, "");
	append(fixture, "three\n");
	expect_lines(fixture, "three\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_TRUNCATED], 1);
	assert_true(fixture->records[0].done);
	assert_true(fixture->records[0].id != fixture->records[1].id);
}

static void truncation_is_seen_though_the_file_has_grown_beyond_the_offset(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	assert_int_equal(truncate(fixture->path, 0), 0);
	append(fixture, "three\nfour\n");
	expect_lines(fixture, "three\nfour\n");
	assert_int_equal(truncate(fixture->path, 0), 0);
	append(fixture, "five\nsix\nseven\n");
	restart(fixture);
	expect_lines(fixture, "five\nsix\nseven\n");
}

static void copytruncate_loses_nothing_that_was_copied(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	append(fixture, "two\n");
	copy_truncate(fixture, ".1");
	append(fixture, "three\n");
	expect_lines(fixture, "two\nthree\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
	/* and again, the copies moving on */
	append(fixture, "four\n");
	assert_int_equal(rename(beside(fixture, ".1"), beside(fixture, ".2")), 0);
	copy_truncate(fixture, ".1");
	expect_lines(fixture, "four\n");
	append(fixture, "five\n");
	expect_lines(fixture, "five\n");
}

static void copytruncate_while_nobody_ran_loses_nothing_that_was_copied(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	append(fixture, "two\n");
	copy_truncate(fixture, ".2");
	append(fixture, "three\n");
	copy_truncate(fixture, ".1");
	append(fixture, "four\n");
	restart(fixture);
	expect_lines(fixture, "two\nthree\nfour\n");
	restart(fixture);
	expect_lines(fixture, "");
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
}

static void a_file_cut_and_then_renamed_between_two_looks_loses_nothing_that_was_copied(
	void **state)
{
	struct fixture *fixture = *state;

	for (int killed = 0; killed < 2; killed++) {
		append(fixture, "one\n");
		open_tail(fixture, false);
		expect_lines(fixture, "one\n");
		append(fixture, "two\n");
		copy_truncate(fixture, killed ? ".4" : ".2");
		append(fixture, "three, and longer than what was there before\n");
		rotate(fixture, killed ? ".3" : ".1");
		append(fixture, "four\n");
		if (killed)
			restart(fixture);
		expect_lines(fixture, "two\nthree, and longer than what was there before\nfour\n");
		assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
	}
}

static void an_empty_file_filled_copied_and_cut_between_two_looks_loses_nothing(void **state)
{
	struct fixture *fixture = *state;

	for (int killed = 0; killed < 2; killed++) {
		append(fixture, "");
		open_tail(fixture, false);
		expect_lines(fixture, "");
		append(fixture, "one\n");
		copy_truncate(fixture, killed ? ".2" : ".1");
		append(fixture, "two\n");
		if (killed)
			restart(fixture);
		expect_lines(fixture, "one\ntwo\n");
		unlink(fixture->path);
		expect_lines(fixture, "");
	}
}

struct history {
	unsigned seed;
	unsigned written;
	unsigned rotated;
	FILE *writer; /* may hold a file that has been rotated */
};

static void reopen(struct fixture *fixture, struct history *history)
{
	if (history->writer)
		fclose(history->writer);
	history->writer = fopen(fixture->path, "a");
	assert_non_null(history->writer);
}

static void write_lines(struct history *history, unsigned count)
{
	for (; count > 0; count--)
		fprintf(history->writer, "line %06u\n", history->written++);
	fflush(history->writer);
}

/* One thing that may happen to a log, or to who reads it. */
static void happen(struct fixture *fixture, struct history *history)
{
	char suffix[32];

	snprintf(suffix, sizeof(suffix), ".%u", 1000 - history->rotated);
	switch (rand_r(&history->seed) % 13) {
	case 0:
		rotate(fixture, suffix);
		history->rotated++;
		write_lines(history, (unsigned)rand_r(&history->seed) % 3); /* not told yet */
		reopen(fixture, history);
		break;
	case 1:
		copy_truncate(fixture, suffix);
		history->rotated++;
		break;
	case 2:
		restart(fixture);
		break;
	case 3:
		kill_and_restart(fixture);
		break;
	case 4:
		drain_later(fixture, 2 * TAIL_LINGER_NS);
		break;
	case 5:
	case 6:
		take(fixture, 0);
		break;
	case 7:
		take(fixture, 0);
		commit(fixture);
		break;
	default:
		write_lines(history, (unsigned)rand_r(&history->seed) % 200);
	}
}

/* Each line that was ever written has come once. */
static void expect_each_once(struct fixture *fixture, unsigned written)
{
	unsigned char *seen = calloc(written + 1, 1);
	unsigned lines = 0;

	assert_non_null(seen);
	for (const char *at = fixture->text; *at; at = strchr(at, '\n') + 1) {
		unsigned long number = strtoul(at + 5, NULL, 10);

		assert_int_equal(strncmp(at, "line ", 5), 0);
		assert_true(number < written);
		assert_int_equal(seen[number], 0);
		seen[number] = 1;
		lines++;
	}
	free(seen);
	assert_int_equal(lines, written);
}

static void whatever_happens_each_line_comes_once(void **state)
{
	struct fixture *fixture = *state;
	struct history history = { .seed = (unsigned)time(NULL) };
	const char *given = getenv("SEED");

	if (given)
		history.seed = (unsigned)strtoul(given, NULL, 0);
	print_message("SEED=%u\n", history.seed);
	for (int round = 0; round < 20; round++) {
		if (!history.writer) {
			reopen(fixture, &history);
			write_lines(&history, 1);
			open_tail(fixture, false);
			drain(fixture);
		}
		for (int i = 0; i < 30; i++)
			happen(fixture, &history);
		drain(fixture);
		expect_each_once(fixture, history.written);
		/* The memory of the test is small; the next round begins anew. */
		tail_close(fixture->tail);
		fixture->tail = NULL;
		fclose(history.writer);
		history.writer = NULL;
		fixture->length = 0;
		fixture->taken_count = 0;
		fixture->text[0] = '\0';
		commit(fixture);
		history.written = 0;
		for (; history.rotated > 0; history.rotated--) {
			char suffix[32];

			snprintf(suffix, sizeof(suffix), ".%u", 1001 - history.rotated);
			unlink(beside(fixture, suffix));
		}
		unlink(fixture->path);
	}
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
}

/* Kill before each remembering: the lines since then come again, and only those. */
static void a_kill_at_any_block_repeats_only_what_was_not_remembered(void **state)
{
	struct fixture *fixture = *state;

	for (int kill_at = 1; kill_at < 7; kill_at++) {
		struct tail_record before;

		append(fixture, "a\n");
		restart(fixture);
		for (int i = 0; i < kill_at; i++)
			take(fixture, 0);
		rotate(fixture, kill_at % 2 ? ".1" : ".2");
		append(fixture, "b\n");
		before = fixture->taken[fixture->taken_count - 1];
		commit(fixture);
		if (take(fixture, 0) > 0)
			kill_and_restart(fixture);
		drain(fixture);
		assert_true(fixture->records[fixture->record_count - 1].id >= before.id);
	}
	expect_lines(fixture, "a\nb\na\nb\na\nb\na\nb\na\nb\na\nb\n");
}

static void a_large_file_comes_whole_in_blocks(void **state)
{
	struct fixture *fixture = *state;
	FILE *file = fopen(fixture->path, "w");
	size_t lines = 0;

	assert_non_null(file);
	for (unsigned i = 0; i < 100000; i++)
		fprintf(file, "line %u of a file that is larger than a block\n", i);
	fclose(file);
	open_tail(fixture, false);
	drain(fixture);
	for (const char *at = fixture->text; *at; at = strchr(at, '\n') + 1) {
		char *end;

		assert_int_equal(strncmp(at, "line ", 5), 0);
		assert_int_equal(strtoul(at + 5, &end, 10), lines);
		lines++;
	}
	assert_int_equal(lines, 100000);
	assert_int_equal(tail_behind(fixture->tail), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_view_has_the_verdict_that_the_rules_give),
		cmocka_unit_test(rotated_names_are_those_that_logrotate_gives),
		cmocka_unit_test(a_block_is_cut_after_its_last_line),
		cmocka_unit_test(a_line_of_the_maximum_is_whole_and_a_longer_one_is_split),
#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		ON_FILES(a_grown_file_is_the_same_file_and_a_changed_head_is_not),
		ON_FILES(lines_come_once_and_only_when_they_are_whole),
		ON_FILES(a_file_that_appears_later_is_read_from_its_start),
		ON_FILES(a_path_that_is_no_regular_file_is_refused),
		ON_FILES(once_gives_the_unterminated_rest_and_the_next_run_goes_on_behind_it),
		ON_FILES(a_restart_goes_on_where_it_was),
		ON_FILES(a_renamed_file_is_finished_before_the_new_one),
		ON_FILES(a_rotated_file_is_done_when_quiet_and_rotated_once_more),
		ON_FILES(files_rotated_between_two_looks_are_found),
		ON_FILES(files_rotated_while_nobody_ran_are_found_in_order),
		ON_FILES(a_rotated_file_is_found_though_nothing_took_its_place),
		ON_FILES(a_rotated_file_that_is_gone_is_reported_and_not_sought_again),
		ON_FILES(a_file_renamed_back_is_not_read_twice),
		ON_FILES(a_truncated_file_is_read_again_from_its_start),
		ON_FILES(truncation_is_seen_though_the_file_has_grown_beyond_the_offset),
		ON_FILES(copytruncate_loses_nothing_that_was_copied),
		ON_FILES(copytruncate_while_nobody_ran_loses_nothing_that_was_copied),
		ON_FILES(
			a_file_cut_and_then_renamed_between_two_looks_loses_nothing_that_was_copied),
		ON_FILES(an_empty_file_filled_copied_and_cut_between_two_looks_loses_nothing),
		ON_FILES(whatever_happens_each_line_comes_once),
		ON_FILES(a_kill_at_any_block_repeats_only_what_was_not_remembered),
		ON_FILES(a_large_file_comes_whole_in_blocks),
	};

	return cmocka_run_group_tests_name("tail", tests, NULL, NULL);
}
