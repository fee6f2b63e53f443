/* The write-ahead log of a store on SQLite: its growth, its bound, and programs that read meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include <taskmgr/taskmgr.h>

#include "tasks/process/store_sqlite.h"

#include "taskmgr/base/check.h"

#include "tests/support/leak.h"
#include "tests/support/stepped.h"

static struct stepped stepped;
static struct store_file *const file = &stepped.file;

static int commit(void)
{
	return stepped_commit(&stepped);
}

static struct tmgr_store_health health(void)
{
	struct tmgr_store_health health;

	file->store->ops->health(file->store, &health);
	return health;
}

static uint64_t size_of_log(void)
{
	char path[128];
	struct stat about;

	snprintf(path, sizeof(path), "%s-wal", file->path);
	assert_int_equal(stat(path, &about), 0);
	return (uint64_t)about.st_size;
}

/* Each page with 24 bytes in front of it is what the log grows by, while it is not begun anew. */
static void bytes_that_are_written_to_the_log_are_counted_once(void **state)
{
	uint64_t log, bytes;

	(void)state;
	assert_int_equal(commit(), 0);
	log = size_of_log();
	bytes = health().bytes;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(commit(), 0);
		assert_true(file->store->ops->maintain(file->store, TMGR_SECOND, false) >= 0);
	}
	/* These are copied into the tables. */
	while (file->store->ops->maintain(file->store, TMGR_SECOND, true) != 0)
		tmgr_sleep(NULL, TMGR_MILLISECOND);
	assert_int_equal(health().journal_steps, 0);
	assert_int_equal(commit(), 0);
	log = size_of_log() - log;
	assert_int_equal(health().bytes - bytes, log / (4096 + 24) * 4096);
	assert_true(log > 20 * (4096 + 24));
}

/* The salts in its header are others each time. */
static uint64_t salts_of_log(void)
{
	char path[128];
	uint64_t salts = 0;
	FILE *log;

	snprintf(path, sizeof(path), "%s-wal", file->path);
	log = fopen(path, "re");
	assert_non_null(log);
	assert_int_equal(fseek(log, 16, SEEK_SET), 0);
	assert_int_equal(fread(&salts, sizeof(salts), 1, log), 1);
	fclose(log);
	return salts;
}

static void the_log_is_begun_anew_above_its_size_and_long_before_its_limit(void **state)
{
	int64_t until = tmgr_after(30 * TMGR_SECOND);
	uint64_t first;

	(void)state;
	assert_int_equal(store_file_close(file), 0);
	file->options.log_bytes = 65536;
	assert_int_equal(store_file_open(file), 0);
	assert_int_equal(commit(), 0);
	first = salts_of_log();
	while (salts_of_log() == first && tmgr_now() < until) {
		assert_int_equal(commit(), 0);
		assert_true(file->store->ops->maintain(file->store, TMGR_SECOND, true) >= 0);
	}
	assert_true(salts_of_log() != first);
}

static void a_program_that_reads_for_long_lets_the_log_grow_to_its_limit_and_no_further(
	void **state)
{
	sqlite3 *other;
	uint64_t log = 0;
	int64_t until;
	int r = 0;

	(void)state;
	assert_int_equal(store_file_close(file), 0);
	file->options.log_bytes = 65536;
	file->options.log_max_bytes = 1 << 20;
	assert_int_equal(store_file_open(file), 0);
	/* Without one the log is begun anew, by a commit where the checkpoint thread is slow. */
	for (int i = 0; i < 400; i++) {
		assert_int_equal(commit(), 0);
		assert_true(file->store->ops->maintain(file->store, TMGR_SECOND, true) >= 0);
		log = health().log_bytes > log ? health().log_bytes : log;
	}
	assert_true(log < 2 << 20);
	assert_int_equal(sqlite3_open(file->path, &other), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(other, "BEGIN; SELECT * FROM tmgr_processes", NULL, NULL, NULL),
		SQLITE_OK);
	for (int i = 0; i < 2000 && r == 0; i++) {
		r = commit();
		assert_true(file->store->ops->maintain(file->store, TMGR_SECOND, true) >= 0);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(health().error, -ENOSPC);
	assert_non_null(strstr(health().text, "another program has been reading for long"));
	assert_true(health().log_bytes >= 1 << 20 && health().log_bytes < 3 << 20);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	/* The checkpoint thread may be at its round, for as long as it takes. */
	for (until = tmgr_after(30 * TMGR_SECOND); r < 0 && tmgr_now() < until;) {
		r = file->store->ops->commit(file->store, &stepped.steps.batch);
		assert_true(file->store->ops->maintain(file->store, TMGR_SECOND, true) >= 0);
	}
	assert_int_equal(r, 0);
	assert_int_equal(health().error, 0);
}

/* One that reads is in the way of nothing but a log that is begun anew, and that is done above two of them. */
static void a_limit_that_is_less_than_two_logs_is_two(void **state)
{
	sqlite3 *other;

	(void)state;
	assert_int_equal(store_file_close(file), 0);
	file->options.log_bytes = 1 << 20;
	file->options.log_max_bytes = 1;
	assert_int_equal(store_file_open(file), 0);
	assert_int_equal(commit(), 0);
	assert_int_equal(sqlite3_open(file->path, &other), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(other, "BEGIN; SELECT * FROM tmgr_processes", NULL, NULL, NULL),
		SQLITE_OK);
	for (int i = 0; i < 5; i++)
		assert_int_equal(commit(), 0);
	sqlite3_close(other);
}

static int64_t busy_ms(void)
{
	struct sqlite_store *self = container_of(file->store, struct sqlite_store, store);
	int64_t ms = -1;

	assert_int_equal(tmgr__sqlite_integer(self->main, "PRAGMA busy_timeout", &ms), 0);
	return ms;
}

/* Which that does not wait for, or not for long. */
static void after_a_checkpoint_commits_wait_for_programs_as_before(void **state)
{
	struct sqlite_store *self;

	(void)state;
	assert_int_equal(store_file_close(file), 0);
	file->options.busy_ns = 7 * TMGR_SECOND;
	assert_int_equal(store_file_open(file), 0);
	assert_int_equal(busy_ms(), 7000);
	assert_int_equal(commit(), 0);
	assert_int_equal(file->store->ops->checkpoint(file->store), 0);
	assert_int_equal(busy_ms(), 7000);
	self = container_of(file->store, struct sqlite_store, store);
	assert_int_equal(tmgr__sqlite_begin_log(self), 0);
	assert_int_equal(busy_ms(), 7000);
}

static void a_program_that_reads_does_not_hold_up_the_end(void **state)
{
	int64_t began;
	sqlite3 *other;

	(void)state;
	assert_int_equal(commit(), 0);
	assert_int_equal(sqlite3_open(file->path, &other), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(other, "BEGIN; SELECT * FROM tmgr_processes", NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(commit(), 0);
	began = tmgr_now();
	assert_int_equal(store_file_close(file), 0);
	/* Not the five seconds that a commit would wait for one that writes. */
	assert_true(tmgr_now() - began < 4 * TMGR_SECOND);
	sqlite3_close(other);
	assert_int_equal(store_file_open(file), 0);
	assert_true(file->opened.sequence == 4);
	assert_false(file->opened.recovered);
}

int main(void)
{
#define TEST(function) stepped_test(function, &stepped)
	const struct CMUnitTest tests[] = {
		TEST(bytes_that_are_written_to_the_log_are_counted_once),
		TEST(the_log_is_begun_anew_above_its_size_and_long_before_its_limit),
		TEST(a_program_that_reads_for_long_lets_the_log_grow_to_its_limit_and_no_further),
		TEST(a_program_that_reads_does_not_hold_up_the_end),
		TEST(a_limit_that_is_less_than_two_logs_is_two),
		TEST(after_a_checkpoint_commits_wait_for_programs_as_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
