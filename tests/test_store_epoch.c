/*
 * The store on SQLite whose lock was removed while it was held, so that another daemon has opened the
 * file: of two the one that came later writes, and nothing of the other is in the file after that.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/leak.h"
#include "tests/support/random_steps.h"
#include "tests/support/store_file.h"

static struct store_file file, second;
static struct random_steps steps, second_steps;
static struct rows_model model;

static int set_up(void **state)
{
	int r = leak_setup(state);

	steps = (struct random_steps){ .seed = 7 };
	model = (struct rows_model){ .rows = NULL };
	return r == 0 ? store_file_init(&file) : r;
}

static int tear_down(void **state)
{
	store_file_fini(&file);
	rows_clear(&model);
	return leak_teardown(state);
}

static int commit_next(struct store_file *to, struct random_steps *from)
{
	const struct tmgr_store_batch *batch = random_steps_next(from);
	int r = to->store->ops->commit(to->store, batch);

	if (r == 0)
		rows_apply_batch(&model, batch);
	return r;
}

static int copy_all(struct store_file *from)
{
	int r;

	do
		r = from->store->ops->maintain(from->store, TMGR_SECOND, true);
	while (r > 0);
	return r;
}

/*
 * Both have opened the file, and the first has written to it. What it did not copy into the tables is
 * copied when the second opens.
 */
static void open_both(bool copied)
{
	char lock[128];

	assert_int_equal(store_file_open(&file), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(commit_next(&file, &steps), 0);
	if (copied)
		assert_int_equal(copy_all(&file), 0);
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	assert_int_equal(unlink(lock), 0);
	second = (struct store_file){ .store = NULL };
	memcpy(second.path, file.path, sizeof(second.path));
	assert_int_equal(store_file_open(&second), 0);
	second_steps = steps;
}

static void has_ended(struct store_file *ended)
{
	struct tmgr_store_health health;

	ended->store->ops->health(ended->store, &health);
	assert_int_equal(health.error, -ESTALE);
	assert_string_equal(health.text, "another daemon has opened the file, and writes to it");
	assert_int_equal(
		ended->store->ops->commit(ended->store, random_steps_next(&steps)), -ESTALE);
}

static void of_two_daemons_the_one_that_came_later_writes(void **state)
{
	(void)state;
	open_both(true);
	assert_int_equal(commit_next(&second, &second_steps), 0);
	assert_int_equal(commit_next(&file, &steps), -ESTALE);
	has_ended(&file);
	/* It holds nothing that the other would wait for, nor does its end change the file. */
	assert_int_equal(commit_next(&second, &second_steps), 0);
	assert_int_equal(store_file_close(&file), -ESTALE);
	assert_int_equal(commit_next(&second, &second_steps), 0);
	assert_int_equal(store_file_close(&second), 0);
	assert_int_equal(store_file_open(&file), 0);
	store_file_must_have(&file, &model);
	assert_int_equal(store_file_close(&file), 0);
}

/* What it looked at when it was opened is not what is there. */
static void one_that_has_not_written_since_the_other_did_may_not_begin(void **state)
{
	(void)state;
	for (int copied = 0; copied < 2; copied++) {
		open_both(true);
		assert_int_equal(commit_next(&file, &steps), 0);
		if (copied)
			assert_int_equal(copy_all(&file), 0);
		assert_int_equal(commit_next(&second, &second_steps), -ESTALE);
		has_ended(&second);
		assert_int_equal(store_file_close(&second), -ESTALE);
		assert_int_equal(commit_next(&file, &steps), 0);
		assert_int_equal(store_file_close(&file), 0);
		assert_int_equal(store_file_open(&file), 0);
		store_file_must_have(&file, &model);
		assert_int_equal(store_file_close(&file), 0);
		store_file_fini(&file);
		rows_clear(&model);
		steps = (struct random_steps){ .seed = 7 };
		assert_int_equal(store_file_init(&file), 0);
	}
}

static void copying_trials_and_trimming_end_it_too(void **state)
{
	const struct tmgr_store_trim trim = { .before_ms = INT64_MAX, .rows_max = 1 };
	struct tmgr_store_trial trial = { .count = 0 };

	(void)state;
	for (int what = 0; what < 3; what++) {
		struct tmgr_store *store;
		int r = 0;

		open_both(false);
		assert_int_equal(commit_next(&second, &second_steps), 0);
		store = file.store;
		if (what == 0)
			r = copy_all(&file);
		else if (what == 1)
			r = store->ops->try_sql(store, &trial, 1);
		else
			r = store->ops->trim(store, &trim);
		assert_int_equal(r, -ESTALE);
		has_ended(&file);
		assert_int_equal(commit_next(&second, &second_steps), 0);
		assert_int_equal(store_file_close(&file), -ESTALE);
		assert_int_equal(store_file_close(&second), 0);
		store_file_fini(&file);
		rows_clear(&model);
		steps = (struct random_steps){ .seed = 7 };
		assert_int_equal(store_file_init(&file), 0);
	}
}

/* Looking at a file, as for a repair, changes nothing for who writes. */
static void one_that_only_looks_ends_nobody(void **state)
{
	(void)state;
	open_both(true);
	assert_int_equal(store_file_close(&second), 0);
	assert_int_equal(commit_next(&file, &steps), 0);
	assert_int_equal(store_file_close(&file), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(of_two_daemons_the_one_that_came_later_writes),
		TEST(one_that_has_not_written_since_the_other_did_may_not_begin),
		TEST(copying_trials_and_trimming_end_it_too),
		TEST(one_that_only_looks_ends_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
