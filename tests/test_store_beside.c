/* The store on SQLite while others look at its file, write to it, and while what waits in its journal is copied. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <sqlite3.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/leak.h"
#include "tests/support/steps.h"
#include "tests/support/store_file.h"

static struct store_file file;
static struct steps steps;

static int tear_down(void **state)
{
	steps_fini(&steps);
	return store_file_teardown(state);
}

static int commit(size_t count)
{
	return file.store->ops->commit(file.store, steps_next(&steps, count));
}

/* ---- Another program that writes ------------------------------------------------------------- */

static sqlite3 *writer_begin(void)
{
	sqlite3 *other;

	assert_int_equal(sqlite3_open(file.path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	return other;
}

static void *writer_end(void *other)
{
	tmgr_sleep(NULL, 50 * TMGR_MILLISECOND);
	sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(other);
	return NULL;
}

static void a_commit_waits_for_a_program_that_writes_to_the_file(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(steps_init(&steps, 2), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(pthread_create(&thread, NULL, writer_end, writer_begin()), 0);
	assert_int_equal(commit(4), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_string_equal(store_file_sql(&file, "SELECT count(*) FROM tmgr_journal"), "4");
}

/* A shell with a transaction that somebody forgot: what was committed is in the log. */
static void closing_does_not_wait_for_a_program_that_writes(void **state)
{
	sqlite3 *other;
	int64_t began;

	(void)state;
	file.options.busy_ns = 20 * TMGR_SECOND;
	assert_int_equal(steps_init(&steps, 2), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(4), 0);
	other = writer_begin();
	began = tmgr_now();
	assert_int_equal(store_file_close(&file), 0);
	assert_true(tmgr_now() - began < 10 * TMGR_SECOND);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.opened.sequence, 4);
}

/* ---- Events while they are copied ------------------------------------------------------------ */

static int next_event(void *self, const struct tmgr_process_event *event)
{
	uint64_t *last = self;

	return event->sequence == ++*last ? 0 : -EPROTO;
}

static atomic_uint_fast64_t committed;
static atomic_bool over;
static atomic_size_t reads, wrong;

/* Those of the last few steps; more may have come meanwhile. */
static void *read_events(void *unused)
{
	while (!atomic_load(&over)) {
		uint64_t until = atomic_load(&committed), after = until > 200 ? until - 200 : 0;
		const struct tmgr_store_query query = { .after = after, .count_max = SIZE_MAX };
		uint64_t last = after;
		int r = file.store->ops->read_events(file.store, &query, next_event, &last);

		atomic_fetch_add(&wrong, r != 0 || last < until);
		atomic_fetch_add(&reads, 1);
	}
	return NULL;
}

/* In the journal, then in the table, and for a moment in both. */
static void an_event_is_read_once_while_the_journal_is_copied(void **state)
{
	pthread_t thread;

	(void)state;
	atomic_store(&committed, 0);
	atomic_store(&over, false);
	atomic_store(&reads, 0);
	atomic_store(&wrong, 0);
	file.options.journal_max = 20;
	assert_int_equal(steps_init(&steps, 100), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_events, NULL), 0);
	for (int i = 1; i <= 400 || atomic_load(&reads) < 1000; i++) {
		assert_int_equal(commit(20), 0);
		atomic_store(&committed, (uint64_t)i * 20);
		assert_true(file.store->ops->maintain(file.store, TMGR_SECOND, true) >= 0);
	}
	atomic_store(&over, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&wrong), 0);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_prestate_setup_teardown(function, store_file_setup, tear_down, &file)
	const struct CMUnitTest tests[] = {
		TEST(a_commit_waits_for_a_program_that_writes_to_the_file),
		TEST(closing_does_not_wait_for_a_program_that_writes),
		TEST(an_event_is_read_once_while_the_journal_is_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
