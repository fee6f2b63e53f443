/*
 * The store on SQLite after a sync that failed: the new file that takes the place of the one in doubt,
 * with the power cut at each write, sync and change of a name on the way; and that leaving out one of
 * its syncs would be seen.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/leak.h"
#include "tests/support/power_program.h"
#include "tests/support/seeded.h"

#define BATCHES 24
#define PROCESSES_EACH 4
#define COMMITS_MAX 10
#define LOSSES 40 /* each of them may be one that does no harm */

static struct store_file file;

/* The log has much of what was acknowledged. */
static void set_options(void)
{
	file.options = power_program_options();
	file.options.log_bytes = 1 << 20;
}

static int set_up(void **state)
{
	int r = store_file_setup(state);

	power_reset();
	set_options();
	return r;
}

static int tear_down(void **state)
{
	store_file_fini(&file);
	power_fini();
	return leak_teardown(state);
}

static void begin_anew(void)
{
	store_file_fini(&file);
	power_reset();
	assert_int_equal(store_file_init(&file), 0);
	set_options();
}

/* What a program leaves whose disk failed it: a file in doubt, and a log with it. */
static void leave_doubt(struct power_program *program)
{
	assert_int_equal(store_file_open(&file), 0);
	power_program_play(program, file.store, 12);
	power_fail_sync(1);
	power_program_play(program, file.store, BATCHES);
	assert_int_equal(store_file_close(&file), -EIO);
}

static void go_on(struct power_program *program)
{
	if (store_file_open(&file) < 0)
		return;
	assert_true(file.opened.recovered);
	if (power_program_repeat(program, file.store) == 0)
		power_program_play(program, file.store, 6);
	store_file_close(&file);
}

/* How many losses are not survived now. */
static int count_lost(struct power_program *program, unsigned *seed)
{
	int lost = 0;

	for (int loss = 0; loss < POWER_LOSSES; loss++)
		lost += !power_program_survives(program, (enum power_loss)loss, seed);
	return lost;
}

static int cut_at(long n, unsigned seed, bool no_file_syncs, bool *ret_end)
{
	struct power_program program = { .random.seed = seed };
	int lost;

	begin_anew();
	leave_doubt(&program);
	power_leave_out_file_syncs(no_file_syncs);
	power_cut_at(power_operations() + n);
	go_on(&program);
	*ret_end = !power_is_cut();
	lost = count_lost(&program, &seed);
	power_program_forget(&program);
	return lost;
}

static void nothing_acknowledged_is_lost_wherever_the_power_is_cut(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();
	const char *each = getenv("POWER_EACH");
	long step = each ? atol(each) : 3, n;
	bool end = false;

	(void)state;
	for (n = 1 + seed % step; !end; n += step)
		if (cut_at(n, seed, false, &end) > 0)
			fail_msg("cut at operation %ld: not survived", n);
	print_message("cut at every %ldth of %ld operations\n", step, n);
	assert_true(n > 40);
}

/* What is in doubt is not gone on with: a new file has to be there. */
static void while_there_is_no_room_for_the_new_file_it_is_not_opened(void **state)
{
	struct power_program program = { .random.seed = (unsigned)seed_of_this_run() };
	char new[128];

	(void)state;
	leave_doubt(&program);
	snprintf(new, sizeof(new), "%s.new", file.path);
	for (long n = 1; n <= 3; n++) {
		power_no_room(n);
		assert_int_equal(store_file_open(&file), -ENOSPC);
		assert_int_equal(access(new, F_OK), -1);
	}
	power_no_room(0);
	go_on(&program);
	assert_int_equal(store_file_open(&file), 0);
	assert_true(file.opened.sequence == program.acknowledged_sequence);
	store_file_must_have(&file, &program.acknowledged);
	power_program_forget(&program);
}

/* The n-th of its own; whether there was one. What it had is there at the next opening. */
static bool fails_with_sync(long n)
{
	struct power_program program = { .random.seed = (unsigned)seed_of_this_run() };
	int r;

	begin_anew();
	leave_doubt(&program);
	power_fail_file_sync(n);
	r = store_file_open(&file);
	power_fail_file_sync(0);
	if (r == -EIO)
		assert_int_equal(store_file_open(&file), 0);
	else
		assert_int_equal(r, 0);
	if (file.opened.sequence == program.attempted_sequence)
		store_file_must_have(&file, &program.attempted);
	else
		store_file_must_have(&file, &program.acknowledged);
	power_program_forget(&program);
	return r == -EIO;
}

/* The file's, and three of its directory. */
static void where_a_sync_fails_it_is_not_opened(void **state)
{
	(void)state;
	for (long n = 1; n <= 4; n++)
		if (!fails_with_sync(n))
			fail_msg("sync %ld: it is opened all the same", n);
	assert_false(fails_with_sync(5));
}

static void leaving_out_the_sync_of_the_new_file_is_seen(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();
	bool end = false;
	int lost = 0;

	(void)state;
	for (long n = 1; !end && lost == 0; n++)
		lost = cut_at(n, seed, true, &end);
	assert_true(lost > 0);
}

/* A commit of a few processes more, and with it what is on its way to the tables is on the disk. */
static int add_processes(struct power_program *program)
{
	static char ids[PROCESSES_EACH][16], state[300];
	struct tmgr_store_change changes[PROCESSES_EACH] = { 0 };
	struct tmgr_store_step step = { ++program->attempted_sequence, changes, PROCESSES_EACH };
	const struct tmgr_store_batch batch = { .now_ms = 1, .steps = &step, .count = 1 };
	int r;

	memset(state, 'x', sizeof(state));
	for (size_t i = 0; i < PROCESSES_EACH; i++) {
		snprintf(ids[i], sizeof(ids[i]), "p%04llu.%zu", (unsigned long long)step.sequence,
			i);
		changes[i] = (struct tmgr_store_change){ TMGR_STORE_PUT, TMGR_STORE_PROCESS,
			.row.process = { .id = ids[i],
				.definition = "d",
				.status = TMGR_PROCESS_ACTIVE,
				.text = "",
				.state = { state, sizeof(state) } } };
	}
	rows_apply_batch(&program->attempted, &batch);
	r = file.store->ops->commit(file.store, &batch);
	if (r == 0) {
		rows_apply_batch(&program->acknowledged, &batch);
		program->acknowledged_sequence = step.sequence;
	}
	return r;
}

/* Into the tables, without a sync. */
static void copy_to_tables(void)
{
	struct rows_model rows = { .rows = NULL };

	assert_int_equal(file.store->ops->load(file.store, 0, rows_visit, &rows), 0);
	rows_clear(&rows);
}

/*
 * What a program leaves whose processes were more and more, since a checkpoint so many commits ago: the
 * tables' pages have been divided, some of them in the part of the log that has no sync.
 */
static void leave_divided_pages(struct power_program *program, int commits)
{
	assert_int_equal(store_file_open(&file), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(add_processes(program), 0);
	assert_int_equal(file.store->ops->checkpoint(file.store), 0);
	for (int i = 0; i < commits; i++) {
		assert_int_equal(add_processes(program), 0);
		copy_to_tables();
	}
	power_fail_sync(1);
	assert_int_equal(add_processes(program), -EIO);
	assert_int_equal(store_file_close(&file), -EIO);
}

/* The power is cut at the next sync but the one that is left out: of what lies between some is there. */
static bool is_seen(long which)
{
	unsigned seed = (unsigned)seed_of_this_run();
	int lost = 0;

	for (int commits = 1; commits <= COMMITS_MAX && lost == 0; commits++) {
		struct power_program program = { .attempted_sequence = 0 };

		begin_anew();
		leave_divided_pages(&program, commits);
		power_leave_out_directory_sync(which, 1);
		assert_int_equal(store_file_open(&file), -EIO);
		for (int i = 0; i < LOSSES && lost == 0; i++)
			lost += !power_program_survives(&program, POWER_LOSES_ORDER, &seed);
		power_program_forget(&program);
	}
	return lost > 0;
}

/* Without it the old log may go while the new file has not its name. */
static void leaving_out_the_sync_of_the_new_files_name_is_seen(void **state)
{
	(void)state;
	assert_true(is_seen(1));
}

/* Without it the new file may come beside the old log. */
static void leaving_out_the_sync_of_the_old_logs_end_is_seen(void **state)
{
	(void)state;
	assert_true(is_seen(2));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_prestate_setup_teardown(function, set_up, tear_down, &file)
	const struct CMUnitTest tests[] = {
		TEST(nothing_acknowledged_is_lost_wherever_the_power_is_cut),
		TEST(while_there_is_no_room_for_the_new_file_it_is_not_opened),
		TEST(where_a_sync_fails_it_is_not_opened),
		TEST(leaving_out_the_sync_of_the_new_file_is_seen),
		TEST(leaving_out_the_sync_of_the_new_files_name_is_seen),
		TEST(leaving_out_the_sync_of_the_old_logs_end_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
