/*
 * The store on SQLite where the power is cut or the program killed at each write and sync, and where there is
 * no room; and that leaving out a sync would be seen.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/power_program.h"
#include "tests/support/seeded.h"

static struct store_file file;

/* Cut at the n-th operation; the number of losses that were not survived. 0 past the end: *ret_end. */
static int cut_at(long n, unsigned seed, bool no_log, bool no_database, bool *ret_end)
{
	struct power_program program = { .random.seed = seed };
	int lost = 0;

	power_reset();
	power_leave_out_syncs(no_log, no_database);
	power_cut_at(n);
	if (store_file_open(&file) == 0) {
		power_program_play(&program, file.store, 24);
		*ret_end = !power_is_cut();
		for (int loss = 0; loss < POWER_LOSSES; loss++)
			lost += !power_program_survives(&program, (enum power_loss)loss, &seed);
		store_file_close(&file);
	}
	power_program_forget(&program);
	store_file_fini(&file);
	assert_int_equal(store_file_init(&file), 0);
	file.options = power_program_options();
	return lost;
}

static void nothing_acknowledged_is_lost_wherever_the_power_is_cut(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();
	const char *each = getenv("POWER_EACH");
	long step = each ? atol(each) : 9, n;
	bool end = false;

	(void)state;
	for (n = 1 + seed % step; !end; n += step)
		if (cut_at(n, seed, false, false, &end) > 0)
			fail_msg("cut at operation %ld: not survived", n);
	print_message("cut at every %ldth of %ld operations\n", step, n);
	assert_true(n > 100);
}

static void leaving_out_the_sync_of_the_log_is_seen(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();
	bool end = false;
	int lost = 0;

	(void)state;
	for (long n = 40; !end && lost == 0; n += 7)
		lost = cut_at(n, seed, true, false, &end);
	assert_true(lost > 0);
}

static void leaving_out_the_sync_of_the_database_is_seen(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();
	bool end = false;
	int lost = 0;

	(void)state;
	for (long n = 60; !end && lost == 0; n += 7)
		lost = cut_at(n, seed, false, true, &end);
	assert_true(lost > 0);
}

/* ---- Killed ---- */

static int play_until_killed(void *moment)
{
	struct power_program program = { .random.seed = 1 };

	power_kill_at(*(long *)moment);
	child_check_equal(store_file_open(&file), 0);
	power_program_play(&program, file.store, 24);
	power_program_forget(&program);
	return 0;
}

static void set_limit_of_log(uint64_t bytes)
{
	file.options = power_program_options();
	file.options.log_max_bytes = bytes;
}

static void kill_at_each(uint64_t log_max_bytes, unsigned seed)
{
	const char *each = getenv("KILL_EACH");
	long step = each ? atol(each) : 5, n;
	static struct child child;
	int r = 1000 + SIGKILL;

	set_limit_of_log(log_max_bytes);
	/* The first makes the file, in which there is nothing. */
	for (n = 2 + seed % step; r != 0; n += step) {
		r = child_run(&child, play_until_killed, &n);
		if (r != 0 && r != 1000 + SIGKILL)
			fail_msg("%d: %s", r, child.text);
		if (r != 0 && !store_file_in_doubt(&file))
			fail_msg("killed at operation %ld: it is in no doubt", n);
		store_file_fini(&file);
		assert_int_equal(store_file_init(&file), 0);
		set_limit_of_log(log_max_bytes);
	}
	print_message("killed at every %ldth of %ld operations\n", step, n);
	assert_true(n > 50);
}

/* The kernel may have dropped it, and show it all the same: see store_sqlite_file.c. */
static void what_is_written_or_synced_when_a_program_is_killed_is_in_doubt(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();

	(void)state;
	kill_at_each(0, seed);
	/* A commit begins the log anew. */
	kill_at_each(2 * file.options.log_bytes, seed);
}

/* ---- No room ---- */

static void a_batch_for_which_there_is_no_room_is_not_there_and_goes_on_later(void **state)
{
	struct power_program program = { .random.seed = (unsigned)seed_of_this_run() };
	int refused = 0;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	for (int i = 0; i < 60; i++) {
		const struct tmgr_store_batch *batch = random_steps_next(&program.random);
		struct tmgr_store_health health;
		int r;

		if (i % 2)
			power_no_room(1 + rand_r(&program.random.seed) % 4);
		r = file.store->ops->commit(file.store, batch);
		if (r == -ENOSPC) {
			refused++;
			file.store->ops->health(file.store, &health);
			assert_int_equal(health.error, -ENOSPC);
			assert_string_not_equal(health.text, "");
			power_no_room(0);
			store_file_must_have(&file, &program.acknowledged);
			r = file.store->ops->commit(file.store, batch);
			file.store->ops->health(file.store, &health);
			assert_int_equal(health.error, 0);
		}
		assert_int_equal(r, 0);
		rows_apply_batch(&program.acknowledged, batch);
		assert_true(file.store->ops->maintain(file.store, TMGR_SECOND, i % 4 == 1) >= 0);
		power_no_room(0);
	}
	assert_true(refused > 5);
	store_file_must_have(&file, &program.acknowledged);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&file), 0);
	store_file_must_have(&file, &program.acknowledged);
	power_program_forget(&program);
}

/* Nothing of it waits for the disk any more: the file is in no doubt. */
static void what_there_was_no_room_to_copy_is_copied_later_and_lost_by_no_end(void **state)
{
	struct power_program program = { .random.seed = (unsigned)seed_of_this_run() };
	const struct tmgr_store_batch *batch;

	(void)state;
	file.options.log_bytes = 1 << 30; /* or the checkpoint thread may be at work */
	assert_int_equal(store_file_open(&file), 0);
	for (int i = 0; i < 20; i++) {
		batch = random_steps_next(&program.random);
		power_no_room(1);
		assert_int_equal(file.store->ops->commit(file.store, batch), -ENOSPC);
		assert_false(store_file_in_doubt(&file));
		power_no_room(0);
		assert_int_equal(file.store->ops->commit(file.store, batch), 0);
		rows_apply_batch(&program.acknowledged, batch);
	}
	power_no_room(1);
	assert_int_equal(file.store->ops->maintain(file.store, TMGR_MINUTE, true), 0);
	assert_false(store_file_in_doubt(&file));
	power_no_room(0);
	assert_int_equal(file.store->ops->maintain(file.store, TMGR_MINUTE, true), 0);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_false(file.opened.recovered);
	store_file_must_have(&file, &program.acknowledged);
	power_program_forget(&program);
}

/* More than is kept in memory, so that it is written before the transaction ends. */
static void a_steps_statement_for_which_there_is_no_room_holds_steps_and_fails_none(void **state)
{
	struct tmgr_sql_statement statements[] = { { "CREATE TABLE much (text)", NULL, 0 },
		{ "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)"
		  " INSERT INTO much SELECT zeroblob(1 << 20) FROM n",
			NULL, 0 } };
	struct tmgr_store_trial trial = { statements, 2, 0, "" };
	struct random_steps steps = { .seed = 1 };
	struct tmgr_store_health health;

	(void)state;
	file.options.sql_ns = TMGR_HOUR;
	file.options.log_bytes = 1 << 30;
	assert_int_equal(store_file_open(&file), 0);
	power_no_room(1);
	assert_int_equal(file.store->ops->try_sql(file.store, &trial, 1), -ENOSPC);
	file.store->ops->health(file.store, &health);
	assert_int_equal(health.error, -ENOSPC);
	assert_false(store_file_in_doubt(&file));
	power_no_room(0);
	assert_int_equal(file.store->ops->try_sql(file.store, &trial, 1), 0);
	assert_int_equal(trial.result, 0);
	assert_int_equal(file.store->ops->commit(file.store, random_steps_next(&steps)), 0);
	file.store->ops->health(file.store, &health);
	assert_int_equal(health.error, 0);
	assert_string_equal(store_file_sql(&file, "SELECT count(*) FROM much"), "24");
}

/* ---- Backups ---- */

static void a_backup_that_was_made_is_there_after_the_power_was_cut(void **state)
{
	struct power_program program = { .random.seed = (unsigned)seed_of_this_run() };
	struct store_file survivor;
	char path[128];
	unsigned seed = 1;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	power_program_play(&program, file.store, 12);
	snprintf(path, sizeof(path), "%s/backup.db", file.directory);
	assert_int_equal(file.store->ops->backup(file.store, path, NULL, NULL), 0);
	assert_int_equal(store_file_init(&survivor), 0);
	power_survivors(survivor.directory, POWER_LOSES_ALL, &seed);
	snprintf(survivor.path, sizeof(survivor.path), "%s/backup.db", survivor.directory);
	assert_int_equal(access(survivor.path, F_OK), 0);
	assert_int_equal(store_file_open(&survivor), 0);
	store_file_must_have(&survivor, &program.acknowledged);
	store_file_fini(&survivor);
	power_program_forget(&program);
}

int main(void)
{
#define TEST(function) power_program_test(function, &file)
	const struct CMUnitTest tests[] = {
		TEST(nothing_acknowledged_is_lost_wherever_the_power_is_cut),
		TEST(leaving_out_the_sync_of_the_log_is_seen),
		TEST(leaving_out_the_sync_of_the_database_is_seen),
		TEST(what_is_written_or_synced_when_a_program_is_killed_is_in_doubt),
		TEST(a_batch_for_which_there_is_no_room_is_not_there_and_goes_on_later),
		TEST(what_there_was_no_room_to_copy_is_copied_later_and_lost_by_no_end),
		TEST(a_steps_statement_for_which_there_is_no_room_holds_steps_and_fails_none),
		TEST(a_backup_that_was_made_is_there_after_the_power_was_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
