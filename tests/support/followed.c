#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/followed.h"

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

void commit(struct fixture *fixture)
{
	memcpy(fixture->records, fixture->taken, sizeof(fixture->records));
	fixture->record_count = fixture->taken_count;
	fixture->durable_length = fixture->length;
}

void open_tail(struct fixture *fixture, bool once)
{
	struct tail_options options = { .once = once, .note = count_note, .note_self = fixture };

	tail_close(fixture->tail);
	fixture->tail = NULL;
	assert_int_equal(tail_open(fixture->path, &fixture->memory, &options, &fixture->tail), 0);
}

void restart(struct fixture *fixture)
{
	commit(fixture);
	open_tail(fixture, false);
}

void kill_and_restart(struct fixture *fixture)
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

int take(struct fixture *fixture, int64_t later_ns)
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

void drain_later(struct fixture *fixture, int64_t later_ns)
{
	int r;

	do
		r = take(fixture, later_ns);
	while (r > 0);
	assert_int_equal(r, 0);
}

void drain(struct fixture *fixture)
{
	drain_later(fixture, 0);
	commit(fixture);
}

void expect_lines(struct fixture *fixture, const char *expected)
{
	drain(fixture);
	assert_string_equal(fixture->text, expected);
	fixture->length = 0;
	fixture->durable_length = 0;
	fixture->text[0] = '\0';
}

const char *beside(struct fixture *fixture, const char *suffix)
{
	static char paths[2][256]; /* two, for rename */
	static unsigned turn;
	char *path = paths[turn++ % 2];

	snprintf(path, sizeof(paths[0]), "%s%s", fixture->path, suffix);
	return path;
}

void append_to(const char *path, const char *text)
{
	FILE *file = fopen(path, "a");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

void append(struct fixture *fixture, const char *text)
{
	append_to(fixture->path, text);
}

void rotate(struct fixture *fixture, const char *suffix)
{
	assert_int_equal(rename(fixture->path, beside(fixture, suffix)), 0);
}

void copy_truncate(struct fixture *fixture, const char *suffix)
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

int set_up(void **state)
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

int tear_down(void **state)
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
