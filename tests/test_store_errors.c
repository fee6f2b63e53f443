/* The store on SQLite where the disk fails: at a write, a sync, a read; and what it says then. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tasks/process/store_sqlite.h"

#include "taskmgr/base/check.h"

#include "tests/support/leak.h"
#include "tests/support/power_program.h"
#include "tests/support/seeded.h"

static struct store_file file;

/* The n-th write or sync fails: nothing is acknowledged after it, all that was is there again. */
static bool fail_at(long n, unsigned seed, void (*inject)(long n))
{
	struct power_program program = { .random.seed = seed };
	const struct tmgr_store_trim trim = { .events_max = 1, .rows_max = 1 };
	struct tmgr_store_health health;
	bool ended;
	int closed;

	power_reset();
	assert_int_equal(store_file_open(&file), 0);
	inject(n);
	power_program_play(&program, file.store, 24);
	file.store->ops->health(file.store, &health);
	ended = health.error != 0;
	if (ended) {
		assert_int_equal(health.error, -EIO);
		assert_int_equal(
			file.store->ops->commit(file.store, random_steps_next(&program.random)),
			-EIO);
		assert_int_equal(file.store->ops->maintain(file.store, 0, true), -EIO);
		assert_int_equal(file.store->ops->checkpoint(file.store), -EIO);
		assert_int_equal(file.store->ops->trim(file.store, &trim), -EIO);
		assert_int_equal(file.store->ops->backup(file.store, "/nowhere", NULL, NULL), -EIO);
	}
	inject(0);
	/* The last checkpoint may have met it on its own thread. */
	closed = store_file_close(&file);
	assert_true(closed == -EIO || (closed == 0 && !ended));
	ended = closed == -EIO;
	assert_int_equal(store_file_open(&file), 0);
	/* What was in doubt stands in a new file. */
	assert_int_equal(file.opened.recovered, ended);
	if (file.opened.sequence == program.acknowledged_sequence)
		store_file_must_have(&file, &program.acknowledged);
	else
		store_file_must_have(&file, &program.attempted);
	assert_true(file.opened.sequence == program.acknowledged_sequence ||
		    (ended && file.opened.sequence == program.attempted_sequence));
	assert_int_equal(store_file_close(&file), 0);
	power_program_forget(&program);
	store_file_fini(&file);
	assert_int_equal(store_file_init(&file), 0);
	file.options = power_program_options();
	return ended;
}

static void after_a_sync_that_failed_all_is_copied_to_a_new_file_before_anything_else(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();
	long n = 1;

	(void)state;
	while (fail_at(n, seed, power_fail_sync))
		n++;
	print_message("%ld syncs\n", n - 1);
	assert_true(n > 20);
}

/* What the last call left in errno is not what this write failed for. */
static void a_write_that_fails_is_not_taken_for_one_that_found_no_room_before(void **state)
{
	struct random_steps steps = { .seed = 1 };

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.store->ops->commit(file.store, random_steps_next(&steps)), 0);
	power_fail_write(1);
	errno = ENOSPC;
	assert_int_equal(file.store->ops->commit(file.store, random_steps_next(&steps)), -EIO);
	assert_int_equal(store_file_close(&file), -EIO);
}

/* Other errors than want of room, of the log that a commit begins anew: it says which. */
static void a_log_that_cannot_be_begun_anew_ends_the_store(void **state)
{
	struct random_steps steps = { .seed = 1 };
	struct tmgr_store_health health;
	struct sqlite_store *self;

	(void)state;
	file.options.log_max_bytes = 2 * file.options.log_bytes;
	assert_int_equal(store_file_open(&file), 0);
	self = container_of(file.store, struct sqlite_store, store);
	while (self->log_pages * self->page_bytes < self->options.log_max_bytes)
		assert_int_equal(file.store->ops->commit(file.store, random_steps_next(&steps)), 0);
	power_fail_sync(1);
	assert_int_equal(file.store->ops->commit(file.store, random_steps_next(&steps)), -EIO);
	file.store->ops->health(file.store, &health);
	assert_int_equal(health.error, -EIO);
	assert_string_equal(health.text, "the write-ahead log could not be copied into the file");
	assert_int_equal(store_file_close(&file), -EIO);
}

/* At an opening; the n-th: it is an error, or all is there. */
static bool is_opened_but_for_read(
	struct power_program *program, const struct store_file *left, long n)
{
	struct store_file copy;
	int r;

	power_reset();
	assert_int_equal(store_file_copy(&copy, left), 0);
	copy.options = file.options;
	power_fail_read(n);
	r = store_file_open(&copy);
	power_fail_read(0);
	if (r == 0) {
		assert_true(copy.opened.sequence == program->acknowledged_sequence);
		store_file_must_have(&copy, &program->acknowledged);
	} else {
		assert_int_equal(r, -EIO);
	}
	store_file_fini(&copy);
	return r == 0;
}

static void where_a_read_fails_what_was_read_until_then_is_not_taken_for_all(void **state)
{
	struct power_program program = { .random.seed = (unsigned)seed_of_this_run() };
	struct store_file left;
	long failed = 0;

	(void)state;
	file.options.log_bytes = 1 << 30;
	assert_int_equal(store_file_open(&file), 0);
	for (int i = 0; i < 100; i++) {
		const struct tmgr_store_batch *batch = random_steps_next(&program.random);

		assert_int_equal(file.store->ops->commit(file.store, batch), 0);
		rows_apply_batch(&program.acknowledged, batch);
		program.acknowledged_sequence = batch->steps[batch->count - 1].sequence;
	}
	assert_int_equal(store_file_copy(&left, &file), 0);
	assert_int_equal(store_file_close(&file), 0);
	for (long n = 1; n < failed + 20; n++)
		failed += !is_opened_but_for_read(&program, &left, n);
	assert_true(failed > 10);
	store_file_fini(&left);
	power_program_forget(&program);
}

/* Nor does an opening that fails say anything else than what has failed. */
static void an_opening_that_finds_no_room_says_so(void **state)
{
	struct tmgr_store_health health;
	struct tmgr_store_opened opened;
	struct tmgr_store *store;
	struct random_steps steps = { .seed = 1 };
	struct store_file copy;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.store->ops->commit(file.store, random_steps_next(&steps)), 0);
	assert_int_equal(store_file_copy(&copy, &file), 0);
	assert_int_equal(store_file_close(&file), 0);
	power_reset();
	assert_int_equal(tmgr_store_sqlite_create(copy.path, &file.options, &store), 0);
	power_no_room(1);
	assert_int_equal(store->ops->open(store, &opened), -ENOSPC);
	store->ops->health(store, &health);
	assert_int_equal(health.error, -ENOSPC);
	assert_non_null(strstr(health.text, "database or disk is full"));
	power_no_room(0);
	assert_int_equal(store->ops->open(store, &opened), 0);
	assert_int_equal(opened.sequence, steps.sequence);
	assert_int_equal(store->ops->close(store), 0);
	tmgr_store_destroy(store);
	store_file_fini(&copy);
}

/* The file is in doubt from then on, not only when the next commit is told. */
static void a_sync_that_failed_on_the_checkpoint_thread_leaves_its_mark(void **state)
{
	struct power_program program = { .random.seed = 1 };
	struct sqlite_checkpointer *checkpointer;
	bool ready = false;
	int error = 0;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	checkpointer = &container_of(file.store, struct sqlite_store, store)->checkpointer;
	while (!ready) {
		const struct tmgr_store_batch *batch = random_steps_next(&program.random);

		assert_int_equal(file.store->ops->commit(file.store, batch), 0);
		power_fail_sync(1);
		assert_true(file.store->ops->maintain(file.store, 0, false) >= 0);
		pthread_mutex_lock(&checkpointer->lock);
		while (checkpointer->wanted) {
			pthread_mutex_unlock(&checkpointer->lock);
			tmgr_sleep(NULL, TMGR_MILLISECOND);
			pthread_mutex_lock(&checkpointer->lock);
		}
		ready = checkpointer->ready;
		error = checkpointer->error;
		pthread_mutex_unlock(&checkpointer->lock);
		power_fail_sync(0);
	}
	assert_int_equal(error, -EIO);
	assert_true(store_file_in_doubt(&file));
	assert_int_equal(store_file_close(&file), -EIO);
}

static void a_write_that_fails_ends_the_store(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();
	long n = 1;

	(void)state;
	while (fail_at(n, seed, power_fail_write))
		n += 7;
	print_message("%ld writes\n", n - 1);
	assert_true(n > 50);
}

int main(void)
{
#define TEST(function) power_program_test(function, &file)
	const struct CMUnitTest tests[] = {
		TEST(after_a_sync_that_failed_all_is_copied_to_a_new_file_before_anything_else),
		TEST(a_write_that_fails_is_not_taken_for_one_that_found_no_room_before),
		TEST(a_log_that_cannot_be_begun_anew_ends_the_store),
		TEST(where_a_read_fails_what_was_read_until_then_is_not_taken_for_all),
		TEST(an_opening_that_finds_no_room_says_so),
		TEST(a_sync_that_failed_on_the_checkpoint_thread_leaves_its_mark),
		TEST(a_write_that_fails_ends_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
