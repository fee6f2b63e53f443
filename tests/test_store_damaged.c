/*
 * A store on SQLite of which a page is damaged or missing, also one that is only come to when most was read:
 * what was read until then is not taken for all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/leak.h"
#include "tests/support/steps.h"
#include "tests/support/store_file.h"

#define PROCESSES 500

static struct store_file file;

static void commit_all(void)
{
	struct steps steps;

	assert_int_equal(steps_init(&steps, PROCESSES), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.store->ops->commit(file.store, steps_next(&steps, PROCESSES)), 0);
	steps_fini(&steps);
}

/* The last leaf of a table; nothing but the file itself has it. */
static void damage(struct store_file *damaged, const char *table)
{
	char sql[128], noise[64];
	FILE *raw;
	long page;

	snprintf(sql, sizeof(sql),
		"SELECT max(pageno) FROM dbstat WHERE name = '%s' AND pagetype = 'leaf'", table);
	page = atol(store_file_sql(damaged, sql));
	assert_true(page > 1);
	raw = fopen(damaged->path, "r+e");
	assert_non_null(raw);
	memset(noise, 0x5a, sizeof(noise));
	assert_int_equal(fseek(raw, (page - 1) * 4096, SEEK_SET), 0);
	assert_int_equal(fwrite(noise, 1, sizeof(noise), raw), sizeof(noise));
	fclose(raw);
}

static int count_row(void *self, const struct tmgr_store_change *row)
{
	++*(int *)self;
	return 0;
}

static void rows_of_a_table_with_a_page_that_cannot_be_read_are_not_loaded(void **state)
{
	int rows = 0;

	(void)state;
	commit_all();
	assert_int_equal(store_file_close(&file), 0);
	damage(&file, "tmgr_processes");
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.store->ops->load(file.store, 0, count_row, &rows), -EBADMSG);
	assert_in_range(rows, 1, PROCESSES - 1);
}

static int count_event(void *self, const struct tmgr_process_event *event)
{
	++*(int *)self;
	return 0;
}

static void events_after_a_page_that_cannot_be_read_are_an_error(void **state)
{
	const struct tmgr_store_query all = { .count_max = SIZE_MAX };
	int events = 0;

	(void)state;
	commit_all();
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&file), 0);
	damage(&file, "tmgr_events");
	assert_int_equal(
		file.store->ops->read_events(file.store, &all, count_event, &events), -EBADMSG);
	/* Nor is it opened again. */
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&file), -EBADMSG);
}

/* As a kill leaves it: nothing is in the tables. */
static void a_journal_with_a_page_that_cannot_be_read_is_not_replayed_in_part(void **state)
{
	struct store_file copy;

	(void)state;
	commit_all();
	assert_int_equal(store_file_copy(&copy, &file), 0);
	assert_string_equal(store_file_sql(&copy, "PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0");
	damage(&copy, "tmgr_journal");
	assert_int_equal(store_file_open(&copy), -EBADMSG);
	store_file_fini(&copy);
}

/* A power cut may leave it so; what is there has all. */
static void a_file_that_has_lost_its_first_page_is_a_store_where_a_new_one_is_ready(void **state)
{
	char command[512];

	(void)state;
	commit_all();
	assert_int_equal(store_file_close(&file), 0);
	snprintf(command, sizeof(command),
		"mv %s %s.ready && rm %s.lock && head -c 4096 /dev/zero >%s", file.path, file.path,
		file.path, file.path);
	assert_int_equal(system(command), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_true(file.opened.recovered);
	assert_int_equal(file.opened.sequence, PROCESSES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		store_file_test(
			rows_of_a_table_with_a_page_that_cannot_be_read_are_not_loaded, &file),
		store_file_test(events_after_a_page_that_cannot_be_read_are_an_error, &file),
		store_file_test(
			a_journal_with_a_page_that_cannot_be_read_is_not_replayed_in_part, &file),
		store_file_test(
			a_file_that_has_lost_its_first_page_is_a_store_where_a_new_one_is_ready,
			&file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
