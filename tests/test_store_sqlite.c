/* The store on SQLite: what is given to it is there, again and again, and what it refuses. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tasks/process/store_sqlite.h"

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/random_steps.h"
#include "tests/support/seeded.h"
#include "tests/support/steps.h"
#include "tests/support/store_file.h"

static struct store_file file;

static int commit(const struct tmgr_store_batch *batch)
{
	return file.store->ops->commit(file.store, batch);
}

static struct tmgr_store_health health(void)
{
	struct tmgr_store_health health;

	file.store->ops->health(file.store, &health);
	return health;
}

static void what_was_committed_is_there_however_it_was_copied(void **state)
{
	struct random_steps random = { .seed = (unsigned)seed_of_this_run() };
	struct rows_model model = { .rows = NULL };

	(void)state;
	file.options.journal_max = 20;
	assert_int_equal(store_file_open(&file), 0);
	for (int i = 0; i < 400; i++) {
		const struct tmgr_store_batch *batch = random_steps_next(&random);

		assert_int_equal(commit(batch), 0);
		rows_apply_batch(&model, batch);
		if (rand_r(&random.seed) % 3 == 0)
			assert_true(file.store->ops->maintain(file.store,
					    rand_r(&random.seed) % 2 ? 1 : TMGR_SECOND,
					    rand_r(&random.seed) % 2) >= 0);
		if (rand_r(&random.seed) % 20 == 0)
			store_file_must_have(&file, &model);
		if (rand_r(&random.seed) % 20)
			continue;
		assert_int_equal(store_file_close(&file), 0);
		assert_int_equal(store_file_open(&file), 0);
		assert_true(file.opened.sequence == random.sequence);
		assert_true(file.opened.now_ms == (int64_t)random.sequence * 10);
		assert_false(file.opened.recovered);
	}
	store_file_must_have(&file, &model);
	rows_clear(&model);
}

/* As a kill -9 leaves it: no close(). */
static void what_was_committed_is_there_when_nothing_was_closed(void **state)
{
	struct random_steps random = { .seed = (unsigned)seed_of_this_run() };
	struct rows_model model = { .rows = NULL };

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct store_file copy;

		if (!file.store)
			assert_int_equal(store_file_open(&file), 0);
		for (int j = 0; j < 20; j++) {
			const struct tmgr_store_batch *batch = random_steps_next(&random);

			assert_int_equal(commit(batch), 0);
			rows_apply_batch(&model, batch);
			if (rand_r(&random.seed) % 2)
				assert_true(file.store->ops->maintain(
						    file.store, 1, rand_r(&random.seed) % 2) >= 0);
		}
		assert_int_equal(store_file_copy(&copy, &file), 0);
		assert_int_equal(store_file_open(&copy), 0);
		assert_true(copy.opened.sequence == random.sequence);
		/* Time goes on from there. */
		assert_true(copy.opened.now_ms == (int64_t)random.sequence * 10);
		store_file_must_have(&copy, &model);
		store_file_fini(&copy);
	}
	rows_clear(&model);
}

static void a_step_that_is_there_is_skipped(void **state)
{
	struct random_steps random = { .seed = 7 };
	struct rows_model model = { .rows = NULL };
	const struct tmgr_store_batch *batch = random_steps_next(&random);

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(batch), 0);
	rows_apply_batch(&model, batch);
	assert_int_equal(commit(batch), 0);
	assert_int_equal(health().steps, batch->count);
	assert_int_equal(health().journal_steps, batch->count);
	store_file_must_have(&file, &model);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(batch), 0);
	assert_int_equal(health().steps, 0);
	store_file_must_have(&file, &model);
	rows_clear(&model);
}

static void the_tables_can_be_read_by_people(void **state)
{
	struct steps steps;

	(void)state;
	assert_int_equal(steps_init(&steps, 2), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(steps_next(&steps, 4)), 0);
	/* In the journal first. */
	assert_string_equal(store_file_sql(&file, "SELECT count(*) FROM tmgr_processes"), "0");
	assert_string_equal(store_file_sql(&file, "SELECT count(*) FROM tmgr_journal"), "4");
	assert_int_equal(file.store->ops->maintain(file.store, TMGR_SECOND, true), 0);
	assert_string_equal(store_file_sql(&file, "SELECT id, definition, status, state ->> 'count'"
						  " FROM tmgr_processes ORDER BY id"),
		"process-000000|counter|active|2\nprocess-000001|counter|active|2");
	assert_string_equal(
		store_file_sql(&file, "SELECT goroutine, kind, target, at_ms > 0 FROM tmgr_waits"
				      " WHERE process = 'process-000001'"),
		"Main|receive|process-000001/count|0\nMain|after||1");
	assert_string_equal(
		store_file_sql(&file, "SELECT count(*), kind FROM tmgr_events"), "4|step");
	assert_string_equal(store_file_sql(&file, "SELECT count(*) FROM tmgr_journal"), "0");
	assert_int_equal(health().journal_steps, 0);
	assert_int_equal(store_file_check(&file), 0);
	steps_fini(&steps);
}

static void a_few_steps_are_left_in_the_journal_for_a_second_for_others_to_join_them(void **state)
{
	struct steps steps;
	int64_t began;
	int r;

	(void)state;
	assert_int_equal(steps_init(&steps, 5), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(steps_next(&steps, 1)), 0);
	began = tmgr_now();
	assert_int_equal(file.store->ops->maintain(file.store, TMGR_SECOND, true), 0);
	assert_int_equal(health().journal_steps, 0);
	assert_int_equal(commit(steps_next(&steps, 1)), 0);
	r = file.store->ops->maintain(file.store, TMGR_SECOND, true);
	/* Unless this machine took a second for that. */
	assert_true(r == TMGR_STORE_LATER || tmgr_now() - began > TMGR_SECOND);
	assert_true(health().journal_steps == (r == TMGR_STORE_LATER));
	/* Many are not left, nor is anything for longer. */
	assert_int_equal(commit(steps_next(&steps, 300)), 0);
	assert_int_equal(file.store->ops->maintain(file.store, TMGR_MINUTE, true), 0);
	assert_int_equal(health().journal_steps, 0);
	assert_int_equal(commit(steps_next(&steps, 1)), 0);
	while ((r = file.store->ops->maintain(file.store, TMGR_SECOND, true)) == TMGR_STORE_LATER)
		tmgr_sleep(NULL, 50 * TMGR_MILLISECOND);
	assert_int_equal(r, 0);
	assert_int_equal(health().journal_steps, 0);
	steps_fini(&steps);
}

struct limit {
	size_t processes, steps; /* steps of a batch */
	uint64_t log_bytes;
	rlim_t bytes;
};

static void set_limit(rlim_t bytes)
{
	struct rlimit limit;

	child_check_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	child_check_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int run_into_limit(void *argument)
{
	const struct limit *limit = argument;
	const struct tmgr_store_batch *batch;
	struct steps steps;
	int r = 0;

	signal(SIGXFSZ, SIG_IGN);
	child_check_equal(steps_init(&steps, limit->processes), 0);
	file.options.log_bytes = limit->log_bytes;
	child_check_equal(store_file_open(&file), 0);
	set_limit(limit->bytes);
	while (r == 0) {
		batch = steps_next(&steps, limit->steps);
		r = commit(batch);
		child_check(file.store->ops->maintain(file.store, TMGR_SECOND, true) >= 0);
	}
	child_check_equal(r, -ENOSPC);
	child_check_equal(health().error, -ENOSPC);
	child_check(strncmp(health().text, "database or disk is full", 24) == 0);
	/* A log that was copied into the file meanwhile is begun anew, and has room. */
	r = commit(batch);
	child_check(r == 0 || r == -ENOSPC);
	set_limit(RLIM_INFINITY);
	child_check_equal(commit(batch), 0);
	child_check_equal(health().error, 0);
	child_check_equal(store_file_close(&file), 0);
	child_check_equal(store_file_open(&file), 0);
	child_check_equal(file.opened.sequence, steps.sequence);
	child_check_equal(store_file_close(&file), 0);
	child_check_equal(store_file_check(&file), 0);
	steps_fini(&steps);
	return 0;
}

/* In a commit, and in a transaction that copies or a checkpoint. */
static void a_limit_on_the_size_of_files_holds_steps_as_a_full_disk_does(void **state)
{
	static struct limit limits[] = {
		{ 3, 8, 0, 40000 },
		{ 500, 200, 0, 200000 },
		{ 500, 100, 65536, 300000 },
		{ 500, 8, 65536, 500000 },
	};
	static struct child child;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (child_run(&child, run_into_limit, &limits[i]) != 0)
			fail_msg("%zu: %s", i, child.text);
		assert_int_equal(store_file_teardown(state), 0);
		assert_int_equal(store_file_setup(state), 0);
	}
}

static void a_step_whose_checksum_is_wrong_is_not_replayed(void **state)
{
	struct steps steps;

	(void)state;
	assert_int_equal(steps_init(&steps, 2), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(steps_next(&steps, 4)), 0);
	store_file_sql(
		&file, "UPDATE tmgr_journal SET changes = changes || x'00' WHERE sequence = 3");
	assert_int_equal(store_file_check(&file), 1);
	/* Not closed: what waits in memory would be copied. */
	{
		struct store_file copy;

		assert_int_equal(store_file_copy(&copy, &file), 0);
		assert_int_equal(store_file_open(&copy), -EBADMSG);
		store_file_fini(&copy);
	}
	steps_fini(&steps);
}

/* Files are read by later versions: it is the sum that others give. */
static void the_checksum_is_crc_32c(void **state)
{
	(void)state;
	assert_int_equal(tmgr__sqlite_checksum(0, "", 0), 0);
	assert_int_equal(tmgr__sqlite_checksum(0, "123456789", 9), 0xe3069283);
}

static void each_error_of_sqlite_is_one_of_ours(void **state)
{
	static const struct {
		int code, error;
	} rows[] = {
		{ SQLITE_OK, 0 },
		{ SQLITE_ROW, 0 },
		{ SQLITE_DONE, 0 },
		{ SQLITE_NOMEM, -ENOMEM },
		{ SQLITE_IOERR_NOMEM, -ENOMEM },
		{ SQLITE_FULL, -ENOSPC },
		{ SQLITE_BUSY, -EBUSY },
		{ SQLITE_BUSY_SNAPSHOT, -EBUSY },
		{ SQLITE_LOCKED, -EBUSY },
		{ SQLITE_CORRUPT, -EBADMSG },
		{ SQLITE_NOTADB, -EBADMSG },
		{ SQLITE_IOERR, -EIO },
		{ SQLITE_IOERR_FSYNC, -EIO },
		{ SQLITE_CANTOPEN, -EIO },
		{ SQLITE_PERM, -EACCES },
		{ SQLITE_READONLY, -EACCES },
		{ SQLITE_MISUSE, -EIO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(tmgr__sqlite_error(NULL, rows[i].code), rows[i].error);
}

static void a_sync_that_fails_for_want_of_room_has_failed(void **state)
{
	static const int writes[] = { SQLITE_IOERR_WRITE, SQLITE_IOERR_TRUNCATE,
		SQLITE_IOERR_SHMSIZE };
	static const int room[] = { ENOSPC, EDQUOT, EFBIG };

	(void)state;
	for (size_t i = 0; i < sizeof(room) / sizeof(room[0]); i++) {
		for (size_t j = 0; j < sizeof(writes) / sizeof(writes[0]); j++)
			assert_true(tmgr__sqlite_no_room(writes[j], room[i]));
		assert_false(tmgr__sqlite_no_room(SQLITE_IOERR_FSYNC, room[i]));
		assert_false(tmgr__sqlite_no_room(SQLITE_IOERR_DIR_FSYNC, room[i]));
		assert_false(tmgr__sqlite_no_room(SQLITE_BUSY, room[i]));
	}
	assert_false(tmgr__sqlite_no_room(SQLITE_IOERR_WRITE, EIO));
	assert_false(tmgr__sqlite_no_room(SQLITE_IOERR_WRITE, 0));
}

/* Nor is the statement that was tried for it there, or in anybody's way. */
static void a_batch_that_is_not_valid_ends_the_store_and_leaves_nothing(void **state)
{
	struct tmgr_sql_statement statement = { "CREATE TABLE t (a)", NULL, 0 };
	struct tmgr_store_trial trial = { &statement, 1, 0, "" };
	struct tmgr_store_change change = { TMGR_STORE_PUT, TMGR_STORE_EVENT,
		.row.event = { .sequence = 1,
			.kind = 999,
			.process = "",
			.goroutine = "",
			.method = "",
			.text = "" } };
	const struct tmgr_store_step step = { 1, &change, 1 };
	const struct tmgr_store_batch batch = { .now_ms = 1, .steps = &step, .count = 1 };

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.store->ops->try_sql(file.store, &trial, 1), 0);
	assert_int_equal(commit(&batch), -EINVAL);
	assert_int_equal(health().error, -EINVAL);
	assert_string_equal(health().text, "a change is not valid");
	change.row.event.kind = TMGR_PROCESS_EVENT_STEP;
	assert_int_equal(commit(&batch), -EIO);
	assert_string_equal(store_file_sql(&file, "CREATE TABLE t (a)"), "");
	assert_int_equal(store_file_close(&file), -EINVAL);
}

static void bad_arguments_are_refused(void **state)
{
	static const struct tmgr_store_sqlite_options bad[] = {
		{ .busy_ns = -1 },
		{ .busy_ns = 2 * TMGR_HOUR },
		{ .sql_ns = -1 },
		{ .sql_ns = 2 * TMGR_HOUR },
		{ .journal_max = SIZE_MAX },
		{ .log_bytes = 1 },
		{ .log_bytes = UINT64_MAX },
		{ .log_max_bytes = UINT64_MAX },
	};
	struct tmgr_store *store;
	char *path;

	(void)state;
	assert_int_equal(tmgr_store_sqlite_create(NULL, NULL, &store), -EINVAL);
	assert_int_equal(tmgr_store_sqlite_create("", NULL, &store), -EINVAL);
	assert_int_equal(tmgr_store_sqlite_create("x", NULL, NULL), -EINVAL);
	assert_int_equal(tmgr_store_sqlite_check(NULL, NULL, NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tmgr_store_sqlite_create("x", &bad[i], &store), -EINVAL);
	path = calloc(1, 4002);
	assert_non_null(path);
	memset(path, 'x', 4001);
	assert_int_equal(tmgr_store_sqlite_create(path, NULL, &store), -EINVAL);
	free(path);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.store->ops->load(file.store, 1, rows_visit, NULL), -EINVAL);
}

int main(void)
{
#define TEST(function) store_file_test(function, &file)
	const struct CMUnitTest tests[] = {
		TEST(what_was_committed_is_there_however_it_was_copied),
		TEST(what_was_committed_is_there_when_nothing_was_closed),
		TEST(a_step_that_is_there_is_skipped),
		TEST(the_tables_can_be_read_by_people),
		TEST(a_few_steps_are_left_in_the_journal_for_a_second_for_others_to_join_them),
		TEST(a_limit_on_the_size_of_files_holds_steps_as_a_full_disk_does),
		TEST(a_step_whose_checksum_is_wrong_is_not_replayed),
		TEST(the_checksum_is_crc_32c),
		TEST(each_error_of_sqlite_is_one_of_ours),
		TEST(a_sync_that_fails_for_want_of_room_has_failed),
		TEST(a_batch_that_is_not_valid_ends_the_store_and_leaves_nothing),
		TEST(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
