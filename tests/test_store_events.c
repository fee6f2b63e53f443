/* The history in a store on SQLite: read from the tables and from what waits for them, and cut. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/leak.h"
#include "tests/support/steps.h"
#include "tests/support/store_file.h"

static struct store_file file;

static int commit(const struct tmgr_store_batch *batch)
{
	return file.store->ops->commit(file.store, batch);
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
	assert_string_equal(events(UINT64_MAX, NULL, 4), "");
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

int main(void)
{
#define TEST(function) store_file_test(function, &file)
	const struct CMUnitTest tests[] = {
		TEST(events_are_read_from_the_tables_and_from_what_waits),
		TEST(the_history_is_cut_by_count_and_by_age_a_part_at_a_time),
		TEST(events_that_are_in_the_table_and_in_the_journal_count_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
