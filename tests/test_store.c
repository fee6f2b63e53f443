/* The database of logship: batches whole or not at all, and errors that can be retried. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "internal/examples/pkg/store/store.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct fixture {
	char directory[64];
	char path[128];
	struct store *store;
	size_t descriptors;
};

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
	fixture->descriptors = open_descriptors();
	strcpy(fixture->directory, "/tmp/test_store.XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof(fixture->path), "%s/logs.db", fixture->directory);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];

	store_close(fixture->store);
	assert_int_equal(open_descriptors(), fixture->descriptors);
	snprintf(command, sizeof(command), "rm -rf %s", fixture->directory);
	assert_int_equal(system(command), 0);
	free(fixture);
	return 0;
}

static int try_open(struct fixture *fixture)
{
	struct store_options options = { .path = fixture->path, .busy_ms = 50 };

	store_close(fixture->store);
	fixture->store = NULL;
	return store_open(&options, &fixture->store);
}

static void open_store(struct fixture *fixture)
{
	int r = try_open(fixture);

	if (r < 0)
		fail_msg("%s", store_error(fixture->store));
}

/* One number from the database, by another connection. */
static int64_t ask(struct fixture *fixture, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	sqlite3 *database = NULL;
	int64_t number;

	assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(database);
	return number;
}

static struct store_line line_at(int64_t offset, const char *text, size_t length)
{
	struct logline_clock clock = { 0 };
	struct store_line line = { .raw = { .offset = offset, .text = text, .length = length } };

	logline_parse(text, length, &clock, &line.parsed);
	return line;
}

static struct store_part part_of(
	int64_t id, int64_t offset_after, const struct store_line *lines, size_t count)
{
	return (struct store_part){ .path = "/var/log/x",
		.record = { .id = id,
			.identity = { .device = 1,
				.inode = (uint64_t)id,
				.head_length = 3,
				.head_hash = UINT64_MAX - 1 },
			.offset = offset_after,
			.mtime_ns = 7 },
		.lines = lines,
		.count = count };
}

static int write_some(
	struct fixture *fixture, int64_t id, int64_t offset, struct store_result *result)
{
	struct store_line lines[] = { line_at(offset, "one", 3), line_at(offset + 4, "two", 3) };
	struct store_part part = part_of(id, offset + 8, lines, ARRAY_SIZE(lines));

	return store_write(fixture->store, &part, 1, result);
}

static void a_batch_is_there_with_its_offset_after_opening_again(void **state)
{
	struct fixture *fixture = *state;
	struct store_result result;
	const struct tail_memory *memory;
	struct tail_record *records, newest;
	size_t count;

	open_store(fixture);
	assert_int_equal(write_some(fixture, 1, 0, &result), 0);
	assert_int_equal(result.lines, 2);
	assert_int_equal(result.bytes, 6);
	open_store(fixture);
	memory = store_memory(fixture->store);
	assert_int_equal(memory->of_path(memory->self, "/var/log/x", &records, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(records[0].id, 1);
	assert_int_equal(records[0].offset, 8);
	assert_int_equal(records[0].identity.head_length, 3);
	assert_true(records[0].identity.head_hash == UINT64_MAX - 1);
	assert_int_equal(records[0].mtime_ns, 7);
	assert_false(records[0].done);
	free(records);
	assert_int_equal(memory->of_path(memory->self, "/none", &records, &count), 0);
	assert_int_equal(count, 0);
	free(records);
	assert_int_equal(memory->newest(memory->self, 1, 1, &newest), 0);
	assert_int_equal(newest.offset, 8);
	assert_int_equal(memory->newest(memory->self, 2, 1, &newest), -ENOENT);
	assert_int_equal(memory->next_id(memory->self), 2);
	assert_int_equal(memory->next_id(memory->self), 3);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM lines"), 2);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM log WHERE message = 'two'"), 1);
}

static void a_line_written_twice_is_there_once(void **state)
{
	struct fixture *fixture = *state;
	struct store_result result;

	open_store(fixture);
	assert_int_equal(write_some(fixture, 1, 0, NULL), 0);
	assert_int_equal(write_some(fixture, 1, 8, NULL), 0);
	assert_int_equal(write_some(fixture, 1, 4, &result), 0); /* one of it is new */
	assert_int_equal(result.lines, 0);
	assert_int_equal(result.doubles, 2);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM lines"), 4);
	assert_int_equal(ask(fixture, "SELECT offset FROM files"), 16); /* never back */
	assert_int_equal(write_some(fixture, 2, 4, &result), 0);        /* another file */
	assert_int_equal(result.lines, 2);
}

static void any_bytes_come_back_as_they_were(void **state)
{
	struct fixture *fixture = *state;
	char all[256];
	struct store_line lines[4];
	struct store_part part;

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	lines[0] = line_at(0, all, sizeof(all));
	lines[1] = line_at(300, "", 0);
	lines[2] = line_at(301, "h\xc3\xa9", 3);
	lines[3] = line_at(400, "half", 4);
	lines[3].raw.partial = true;
	part = part_of(1, 404, lines, 4);
	open_store(fixture);
	assert_int_equal(store_write(fixture->store, &part, 1, NULL), 0);
	assert_int_equal(
		ask(fixture, "SELECT typeof(raw) = 'blob' AND length(raw) = 256 AND "
			     "substr(hex(raw), 1, 6) = '000102' AND substr(hex(raw), -4) = 'FEFF' "
			     "FROM lines WHERE offset = 0"),
		1);
	assert_int_equal(
		ask(fixture, "SELECT instr(message, '\\x00\x01') = 1 FROM lines WHERE offset = 0"),
		1);
	assert_int_equal(
		ask(fixture,
			"SELECT substr(message, -8) = '\\xfe\\xff' FROM lines WHERE offset = 0"),
		1);
	assert_int_equal(
		ask(fixture,
			"SELECT raw = '' AND typeof(raw) = 'text' FROM lines WHERE offset = 300"),
		1);
	assert_int_equal(
		ask(fixture, "SELECT hex(raw) = '68C3A9' FROM lines WHERE offset = 301"), 1);
	assert_int_equal(ask(fixture, "SELECT sum(partial) FROM lines"), 1);
}

static void a_second_writer_is_refused_and_the_first_goes_on(void **state)
{
	struct fixture *fixture = *state;
	struct store_options options = { .path = fixture->path };
	struct store *second = NULL;

	open_store(fixture);
	assert_int_equal(store_open(&options, &second), -EBUSY);
	assert_non_null(strstr(store_error(second), "another logship"));
	store_close(second);
	assert_int_equal(write_some(fixture, 1, 0, NULL), 0);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void what_is_no_database_of_ours_is_refused_and_left_alone(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *database;

	write_file(fixture->path,
		"this is a text file, and longer than the header of a database is: "
		"a hundred bytes, so it can be told apart from one\n");
	assert_int_equal(try_open(fixture), -EINVAL);
	assert_non_null(strstr(store_error(fixture->store), fixture->path));
	unlink(fixture->path);

	assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
	sqlite3_exec(database, "CREATE TABLE theirs(x)", NULL, NULL, NULL);
	sqlite3_close(database);
	assert_int_equal(try_open(fixture), -EINVAL);
	assert_non_null(strstr(store_error(fixture->store), "not of logship"));
	assert_int_equal(ask(fixture, "SELECT count(*) FROM sqlite_schema"), 1);
	unlink(fixture->path);

	open_store(fixture);
	store_close(fixture->store);
	fixture->store = NULL;
	assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
	sqlite3_exec(database, "PRAGMA user_version = 99", NULL, NULL, NULL);
	sqlite3_close(database);
	assert_int_equal(try_open(fixture), -EINVAL);
	assert_non_null(strstr(store_error(fixture->store), "version 99"));

	snprintf(fixture->path, sizeof(fixture->path), "%s/no/logs.db", fixture->directory);
	assert_int_equal(try_open(fixture), -ENOENT);
	assert_non_null(strstr(store_error(fixture->store), fixture->path));
}

static void a_locked_database_is_an_error_that_can_be_retried(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *other;

	open_store(fixture);
	assert_int_equal(sqlite3_open(fixture->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(write_some(fixture, 1, 0, NULL), -EBUSY);
	assert_non_null(strstr(store_error(fixture->store), "locked"));
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(write_some(fixture, 1, 0, NULL), 0);
	sqlite3_close(other);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM lines"), 2);
}

/* A file that may grow no further stands for a full disk: write(2) fails in the same places. */
static void a_batch_that_does_not_fit_leaves_nothing_and_fits_later(void **state)
{
	enum { LINES = 2000 };
	struct fixture *fixture = *state;
	struct store_line *lines = calloc(LINES, sizeof(*lines));
	struct store_part part = part_of(1, 2000 * 101, lines, LINES);
	struct rlimit saved, small;
	struct store_result result;
	char text[100];
	int r;

	assert_non_null(lines);
	memset(text, 'x', sizeof(text));
	for (int64_t i = 0; i < LINES; i++)
		lines[i] = line_at(i * 101, text, sizeof(text));
	open_store(fixture);
	assert_int_equal(write_some(fixture, 2, 0, NULL), 0);

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
	small = saved;
	small.rlim_cur = 128 * 1024;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int tries = 0; tries < 3; tries++) {
		r = store_write(fixture->store, &part, 1, NULL);
		assert_true(r == -EIO || r == -ENOSPC);
		assert_true(store_error(fixture->store)[0] != '\0');
	}
	assert_int_equal(ask(fixture, "SELECT count(*) FROM lines"), 2);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM files"), 1);

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(store_write(fixture->store, &part, 1, &result), 0);
	assert_int_equal(result.lines, LINES);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM lines"), LINES + 2);
	free(lines);
}

/* Killed inside transactions over and over, what is there is always a whole number of batches. */
static void a_kill_inside_a_transaction_leaves_whole_batches(void **state)
{
	enum { KILLS = 20, LINES = 500 };
	struct fixture *fixture = *state;
	volatile unsigned char *shared = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned seed = 1;
	int inside = 0;

	assert_true(shared != MAP_FAILED);
	for (int kills = 0; kills < KILLS; kills++) {
		int64_t lines, offset;
		int status;
		pid_t pid;

		shared[0] = 0;
		shared[1] = 0;
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct store_options options = { .path = fixture->path,
				.in_transaction = shared };
			static struct store_line batch[LINES];
			struct tail_record before = { 0 };
			struct store *store;

			if (store_open(&options, &store) < 0)
				_exit(1);
			store_memory(store)->newest(store_memory(store)->self, 1, 1, &before);
			for (int64_t at = before.offset;; at += LINES * 4) {
				struct store_part part = part_of(1, at + LINES * 4, batch, LINES);

				for (int64_t i = 0; i < LINES; i++)
					batch[i] = line_at(at + i * 4, "abc", 3);
				if (store_write(store, &part, 1, NULL) < 0)
					_exit(2);
				shared[1] = 1;
			}
		}
		while (!shared[1] && waitpid(pid, &status, WNOHANG) == 0)
			;
		for (volatile int spin = rand_r(&seed) % 5000000; spin > 0; spin--)
			;
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		inside += shared[0];
		lines = ask(fixture, "SELECT count(*) FROM lines");
		offset = ask(fixture, "SELECT offset FROM files");
		assert_int_equal(lines % LINES, 0);
		assert_int_equal(offset, lines * 4);
		assert_int_equal(ask(fixture, "SELECT max(offset) FROM lines"), offset - 4);
	}
	assert_true(inside > 0);
	munmap((void *)shared, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		ON_FILES(a_batch_is_there_with_its_offset_after_opening_again),
		ON_FILES(a_line_written_twice_is_there_once),
		ON_FILES(any_bytes_come_back_as_they_were),
		ON_FILES(a_second_writer_is_refused_and_the_first_goes_on),
		ON_FILES(what_is_no_database_of_ours_is_refused_and_left_alone),
		ON_FILES(a_locked_database_is_an_error_that_can_be_retried),
		ON_FILES(a_batch_that_does_not_fit_leaves_nothing_and_fits_later),
		ON_FILES(a_kill_inside_a_transaction_leaves_whole_batches),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
