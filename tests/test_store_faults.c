/*
 * The store on SQLite where the k-th allocation fails, for every k, SQLite's own among them: an error,
 * or none, and all that was acknowledged is there afterwards.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/random_steps.h"
#include "tests/support/store_file.h"

#define ALLOCATIONS_MAX 20000

/* ---- SQLite's allocations, as this program's ---- */

static int round_up(int size)
{
	return (size + 7) & ~7;
}

static void *take(int size)
{
	return malloc((size_t)size);
}

static void *take_again(void *piece, int size)
{
	return realloc(piece, (size_t)size);
}

static int size_of(void *piece)
{
	return piece ? (int)malloc_usable_size(piece) : 0;
}

static int begin(void *user)
{
	(void)user;
	return SQLITE_OK;
}

static void end(void *user)
{
	(void)user;
}

/* ---- */

static struct store_file file;

static int tear_down(void **state)
{
	store_file_fini(&file);
	sqlite3_shutdown();
	return leak_teardown(state);
}

#define BATCHES 3
#define STEPS_SEED 11

/* What is there after so many batches; made before, for it allocates too. */
static struct {
	struct rows_model model;
	uint64_t sequence;
} after[BATCHES + 1];

static void make_models(void)
{
	for (size_t n = 0; n <= BATCHES; n++) {
		struct random_steps random = { .seed = STEPS_SEED };

		for (size_t i = 0; i < n; i++)
			rows_apply_batch(&after[n].model, random_steps_next(&random));
		after[n].sequence = random.sequence;
	}
}

static void clear_models(void)
{
	for (size_t n = 0; n <= BATCHES; n++)
		rows_clear(&after[n].model);
}

struct played {
	struct random_steps random;
	size_t acknowledged, attempted; /* batches */
};

static int ignore_event(void *self, const struct tmgr_process_event *event)
{
	return 0;
}

static int ignore_row(void *self, const struct tmgr_store_change *row)
{
	return 0;
}

static int commit_next(struct played *played)
{
	const struct tmgr_store_batch *batch = random_steps_next(&played->random);
	struct tmgr_sql_statement statement = { "INSERT INTO user VALUES (1)", NULL, 0 };
	struct tmgr_store_trial trial = { &statement, 1, 0, "" };
	int r = 0;

	played->attempted++;
	r = file.store->ops->try_sql(file.store, &trial, 1);
	if (r == 0)
		r = file.store->ops->commit(file.store, batch);
	if (r < 0)
		return r;
	played->acknowledged++;
	return 0;
}

static int play(struct played *played)
{
	const struct tmgr_store_query all = { 0, NULL, 100 };
	const struct tmgr_store_trim trim = { 0, 3, 100 };
	const struct tmgr_store_ops *ops;
	int r = store_file_open(&file);

	if (r < 0)
		return r;
	ops = file.store->ops;
	for (int i = 0; i < BATCHES && r >= 0; i++) {
		r = commit_next(played);
		if (r == 0 && i == 1)
			r = ops->maintain(file.store, TMGR_SECOND, true);
	}
	if (r >= 0)
		r = ops->read_events(file.store, &all, ignore_event, NULL);
	if (r == 0)
		r = ops->load(file.store, 0, ignore_row, NULL);
	if (r == 0)
		r = ops->trim(file.store, &trim);
	if (r >= 0)
		r = ops->checkpoint(file.store);
	return r;
}

static void must_have_what_was_acknowledged(struct played *played, long k)
{
	assert_int_equal(store_file_open(&file), 0);
	if (file.opened.sequence == after[played->attempted].sequence)
		store_file_must_have(&file, &after[played->attempted].model);
	else if (file.opened.sequence == after[played->acknowledged].sequence)
		store_file_must_have(&file, &after[played->acknowledged].model);
	else
		fail_msg("allocation %ld: step %llu is the last", k,
			(unsigned long long)file.opened.sequence);
	assert_int_equal(store_file_close(&file), 0);
}

static void each_allocation_may_fail(void **state)
{
	const char *given = getenv("FAULT_EACH");
	long each = given ? atol(given) : 67, k = 1, failed = 0;
	bool happened = true;

	(void)state;
	make_models();
	for (; happened && k < ALLOCATIONS_MAX; k += each) {
		struct played played = { .random.seed = STEPS_SEED };
		int r, closed = 0;

		store_file_fini(&file);
		assert_int_equal(store_file_init(&file), 0);
		fault_fail_allocation(k);
		r = play(&played);
		if (file.store)
			closed = store_file_close(&file);
		happened = fault_happened();
		fault_off();
		if (r < 0 && r != -ENOMEM && r != -EIO)
			fail_msg("allocation %ld: %d", k, r);
		if (!happened && (r < 0 || closed < 0))
			fail_msg("%d and %d without a fault", r, closed);
		failed += r < 0;
		must_have_what_was_acknowledged(&played, k);
	}
	clear_models();
	print_message("every %ldth of %ld allocations, %ld were errors\n", each, k, failed);
	assert_true(failed > 10 && k < ALLOCATIONS_MAX);
}

int main(void)
{
	static const sqlite3_mem_methods methods = { take, free, take_again, size_of, round_up,
		begin, end, NULL };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(
			each_allocation_may_fail, store_file_setup, tear_down, &file),
	};
	struct stat about;

	sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
	/* Nothing here is about the disk. */
	if (stat("/dev/shm", &about) == 0 && (about.st_mode & S_IWOTH))
		store_file_base = "/dev/shm";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
