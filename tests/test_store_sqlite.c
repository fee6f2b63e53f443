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

static int set_up(void **state)
{
	int r = leak_setup(state);

	return r ? r : store_file_init(&file);
}

static int tear_down(void **state)
{
	store_file_fini(&file);
	return leak_teardown(state);
}

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
		char command[512];

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
		assert_int_equal(store_file_init(&copy), 0);
		snprintf(command, sizeof(command), "cp %s* %s", file.path, copy.directory);
		assert_int_equal(system(command), 0);
		assert_int_equal(store_file_open(&copy), 0);
		assert_true(copy.opened.sequence == random.sequence);
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

static void a_second_daemon_is_refused(void **state)
{
	struct store_file second = { .store = NULL };

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	memcpy(second.path, file.path, sizeof(second.path));
	assert_int_equal(store_file_open(&second), -EBUSY);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&second), 0);
	assert_int_equal(store_file_close(&second), 0);
}

/* The lock stands beside the file, not beside a link to it. */
static void a_second_daemon_that_comes_by_a_link_is_refused(void **state)
{
	struct store_file second = { .store = NULL };
	char link[128], lock[160];

	(void)state;
	snprintf(link, sizeof(link), "%s/link", file.directory);
	snprintf(second.path, sizeof(second.path), "%s/again", file.directory);
	assert_int_equal(symlink(strrchr(file.path, '/') + 1, link), 0);
	assert_int_equal(symlink(link, second.path), 0);
	/* It makes the file where the links point to. */
	assert_int_equal(store_file_open(&second), 0);
	assert_int_equal(store_file_open(&file), -EBUSY);
	assert_int_equal(store_file_close(&second), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_open(&second), -EBUSY);
	assert_int_equal(store_file_close(&file), 0);
	snprintf(lock, sizeof(lock), "%s.lock", link);
	assert_int_equal(access(lock, F_OK), -1);
	snprintf(lock, sizeof(lock), "%s.lock", second.path);
	assert_int_equal(access(lock, F_OK), -1);
	assert_int_equal(unlink(link), 0);
	/* One that points to itself is none. */
	assert_int_equal(symlink(link, link), 0);
	assert_int_equal(store_file_open(&second), -ELOOP);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(second.path), 0);
}

static void nothing_is_left_beside_a_file_that_was_closed_but_the_lock(void **state)
{
	struct steps steps;
	struct stat about;
	char path[128];

	(void)state;
	assert_int_equal(steps_init(&steps, 2), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(steps_next(&steps, 4)), 0);
	snprintf(path, sizeof(path), "%s-wal", file.path);
	assert_int_equal(stat(path, &about), 0);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(stat(path, &about), -1);
	assert_int_equal(stat(file.path, &about), 0);
	assert_int_equal(about.st_mode & 077, 0);
	steps_fini(&steps);
}

static void what_is_no_store_or_a_later_one_is_refused_and_left_as_it_is(void **state)
{
	static const struct {
		const char *sql;
		int error;
	} rows[] = {
		{ "PRAGMA user_version = 2", -EPROTO },
		{ "PRAGMA user_version = 0", -EBADMSG },
		{ "PRAGMA user_version = 1; PRAGMA application_id = 5", -EBADMSG },
		{ "PRAGMA application_id = 0; PRAGMA user_version = 0", -EBADMSG },
	};
	struct stat before, after;
	FILE *text;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		store_file_sql(&file, rows[i].sql);
		assert_int_equal(chmod(file.path, 0640), 0);
		assert_int_equal(stat(file.path, &before), 0);
		/* Again: what was refused is not in doubt, and a program may have it open. */
		for (int k = 0; k < 3; k++)
			assert_int_equal(store_file_open(&file), rows[i].error);
		assert_int_equal(stat(file.path, &after), 0);
		assert_int_equal(after.st_ino, before.st_ino);
		assert_int_equal(after.st_mode, before.st_mode);
		assert_int_equal(tmgr_store_sqlite_check(file.path, NULL, NULL), rows[i].error);
	}
	store_file_sql(&file, "PRAGMA application_id = 1414350674; PRAGMA user_version = 1");
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);

	text = fopen(file.path, "we");
	assert_non_null(text);
	for (int i = 0; i < 1000; i++)
		fputs("not a database at all\n", text);
	fclose(text);
	assert_int_equal(store_file_open(&file), -EBADMSG);
	assert_int_equal(tmgr_store_sqlite_check(file.path, NULL, NULL), -EBADMSG);
	assert_int_equal(unlink(file.path), 0);
	assert_int_equal(tmgr_store_sqlite_check(file.path, NULL, NULL), -ENOENT);
	strcat(file.path, "/below");
	assert_int_equal(store_file_open(&file), -ENOENT);
}

static void write_file(const void *data, size_t size)
{
	FILE *to = fopen(file.path, "we");

	assert_non_null(to);
	assert_int_equal(fwrite(data, 1, size, to), size);
	fclose(to);
}

/* Nor a file of another program that is SQLite's. */
static void nothing_is_left_beside_what_is_no_store(void **state)
{
	char lock[128], noise[200] = "root:x:0:0:root:/root:/bin/sh\n";

	(void)state;
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	for (size_t size = 1; size <= sizeof(noise); size += 13) {
		write_file(noise, size);
		assert_int_equal(store_file_open(&file), -EBADMSG);
		assert_int_equal(access(lock, F_OK), -1);
	}
	memset(noise, 0, sizeof(noise));
	write_file(noise, sizeof(noise));
	assert_int_equal(store_file_open(&file), -EBADMSG);
	assert_int_equal(access(lock, F_OK), -1);
	assert_int_equal(unlink(file.path), 0);
	assert_string_equal(
		store_file_sql(&file, "PRAGMA application_id = 5; CREATE TABLE a (b)"), "");
	assert_int_equal(store_file_open(&file), -EBADMSG);
	assert_int_equal(access(lock, F_OK), -1);
	assert_int_equal(unlink(file.path), 0);
	assert_int_equal(mkdir(file.path, 0700), 0);
	assert_int_equal(store_file_open(&file), -EBADMSG);
	assert_int_equal(access(lock, F_OK), -1);
	assert_int_equal(rmdir(file.path), 0);
	/* An empty one becomes a store. */
	write_file(noise, 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
}

static int commit_and_leave(void *unused)
{
	struct steps steps;

	(void)unused;
	child_check_equal(steps_init(&steps, 2), 0);
	child_check_equal(store_file_open(&file), 0);
	child_check_equal(commit(steps_next(&steps, 4)), 0);
	return 0;
}

/* As after a power cut that has taken names, and the first sector of the file. */
static void a_store_whose_first_page_is_only_in_the_log_is_opened(void **state)
{
	static struct child child;
	char zeros[512] = { 0 }, lock[128];
	FILE *to;

	(void)state;
	assert_int_equal(child_run(&child, commit_and_leave, NULL), 0);
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	assert_int_equal(unlink(lock), 0);
	to = fopen(file.path, "r+e");
	assert_non_null(to);
	assert_int_equal(fwrite(zeros, 1, sizeof(zeros), to), sizeof(zeros));
	fclose(to);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.opened.sequence, 4);
	assert_int_equal(store_file_close(&file), 0);
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
	child_check_equal(commit(batch), -ENOSPC);
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
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
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
		char command[512];

		assert_int_equal(store_file_init(&copy), 0);
		snprintf(command, sizeof(command), "cp %s* %s", file.path, copy.directory);
		assert_int_equal(system(command), 0);
		assert_int_equal(store_file_open(&copy), -EBADMSG);
		store_file_fini(&copy);
	}
	steps_fini(&steps);
}

static int note_event(void *self, const struct tmgr_process_event *event)
{
	char *text = self;

	snprintf(text + strlen(text), 32, "%d ", (int)event->sequence);
	return event->sequence == 99 ? -EPIPE : 0;
}

static const char *events(uint64_t after, const char *process, size_t count)
{
	static char text[4096];
	struct tmgr_store_query query = { after, process, count };

	text[0] = '\0';
	assert_int_equal(file.store->ops->read_events(file.store, &query, note_event, text), 0);
	return text;
}

static void events_are_read_from_the_tables_and_from_what_waits(void **state)
{
	struct steps steps;
	char text[64] = "";

	(void)state;
	assert_int_equal(steps_init(&steps, 2), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(steps_next(&steps, 4)), 0);
	assert_string_equal(events(0, NULL, 100), "1 2 3 4 ");
	assert_int_equal(file.store->ops->maintain(file.store, TMGR_SECOND, true), 0);
	assert_string_equal(events(0, NULL, 100), "1 2 3 4 ");
	assert_int_equal(commit(steps_next(&steps, 4)), 0);
	assert_string_equal(events(0, NULL, 100), "1 2 3 4 5 6 7 8 ");
	assert_string_equal(events(2, NULL, 4), "3 4 5 6 ");
	assert_string_equal(events(6, NULL, SIZE_MAX), "7 8 ");
	assert_string_equal(events(8, NULL, 4), "");
	assert_string_equal(events(0, NULL, 0), "");
	assert_string_equal(events(0, "process-000001", 100), "1 3 5 7 ");
	assert_string_equal(events(0, "nobody", 100), "");
	assert_int_equal(commit(steps_next(&steps, 91)), 0);
	assert_int_equal(commit(steps_next(&steps, 1)), 0);
	assert_int_equal(file.store->ops->read_events(file.store,
				 &(struct tmgr_store_query){ 97, NULL, 10 }, note_event, text),
		-EPIPE);
	assert_string_equal(text, "98 99 ");
	steps_fini(&steps);
}

static void the_history_is_cut_by_count_and_by_age_a_part_at_a_time(void **state)
{
	struct steps steps;
	int64_t first_ms = 1700000000000;

	(void)state;
	assert_int_equal(steps_init(&steps, 1), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(steps_next(&steps, 20)), 0);
	assert_int_equal(file.store->ops->maintain(file.store, TMGR_SECOND, true), 0);
	assert_int_equal(
		file.store->ops->trim(file.store, &(struct tmgr_store_trim){ 0, 15, 3 }), 1);
	assert_string_equal(events(0, NULL, 3), "4 5 6 ");
	assert_int_equal(
		file.store->ops->trim(file.store, &(struct tmgr_store_trim){ 0, 15, 3 }), 0);
	assert_string_equal(events(0, NULL, 2), "6 7 ");
	assert_int_equal(
		file.store->ops->trim(file.store, &(struct tmgr_store_trim){ 0, 15, 3 }), 0);
	assert_int_equal(
		file.store->ops->trim(file.store, &(struct tmgr_store_trim){ first_ms + 10, 0, 3 }),
		1);
	assert_int_equal(
		file.store->ops->trim(file.store, &(struct tmgr_store_trim){ first_ms + 10, 0, 3 }),
		0);
	assert_string_equal(events(0, NULL, 100), "10 11 12 13 14 15 16 17 18 19 20 ");
	/* The count is known after opening too. */
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(
		file.store->ops->trim(file.store, &(struct tmgr_store_trim){ 0, 2, 100 }), 0);
	assert_string_equal(events(0, NULL, 100), "19 20 ");
	steps_fini(&steps);
}

/* As a kill leaves it between a transaction that copies and the one that ends its generation. */
static void events_that_are_in_the_table_and_in_the_journal_count_once(void **state)
{
	struct steps steps;

	(void)state;
	assert_int_equal(steps_init(&steps, 1), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(steps_next(&steps, 20)), 0);
	assert_string_equal(
		store_file_sql(&file, "CREATE TABLE kept AS SELECT * FROM tmgr_journal"), "");
	assert_int_equal(file.store->ops->checkpoint(file.store), 0);
	assert_int_equal(store_file_close(&file), 0);
	assert_string_equal(
		store_file_sql(&file, "INSERT INTO tmgr_journal SELECT * FROM kept;"
				      "UPDATE tmgr_store SET value = 0 WHERE name = 'copied'"),
		"");
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(
		file.store->ops->trim(file.store, &(struct tmgr_store_trim){ 0, 15, 100 }), 0);
	assert_string_equal(events(0, NULL, 100), "6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 ");
	steps_fini(&steps);
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
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_was_committed_is_there_however_it_was_copied),
		TEST(what_was_committed_is_there_when_nothing_was_closed),
		TEST(a_step_that_is_there_is_skipped),
		TEST(the_tables_can_be_read_by_people),
		TEST(a_few_steps_are_left_in_the_journal_for_a_second_for_others_to_join_them),
		TEST(a_second_daemon_is_refused),
		TEST(a_second_daemon_that_comes_by_a_link_is_refused),
		TEST(nothing_is_left_beside_a_file_that_was_closed_but_the_lock),
		TEST(what_is_no_store_or_a_later_one_is_refused_and_left_as_it_is),
		TEST(nothing_is_left_beside_what_is_no_store),
		TEST(a_store_whose_first_page_is_only_in_the_log_is_opened),
		TEST(a_limit_on_the_size_of_files_holds_steps_as_a_full_disk_does),
		TEST(a_step_whose_checksum_is_wrong_is_not_replayed),
		TEST(events_are_read_from_the_tables_and_from_what_waits),
		TEST(the_history_is_cut_by_count_and_by_age_a_part_at_a_time),
		TEST(events_that_are_in_the_table_and_in_the_journal_count_once),
		TEST(each_error_of_sqlite_is_one_of_ours),
		TEST(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
