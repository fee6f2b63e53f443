#include "power_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include <taskmgr/time.h>

#include "tests/support/leak.h"

struct tmgr_store_sqlite_options power_program_options(void)
{
	return (struct tmgr_store_sqlite_options){
		.vfs = POWER_VFS, .journal_max = 16, .log_bytes = 65536
	};
}

static int commit(struct power_program *program, struct tmgr_store *store,
	const struct tmgr_store_batch *batch)
{
	int r = store->ops->commit(store, batch);

	if (r < 0)
		return r;
	program->acknowledged_sequence = program->attempted_sequence;
	rows_apply_batch(&program->acknowledged, batch);
	return 0;
}

int power_program_setup(void **state)
{
	struct store_file *file = *state;
	int r = store_file_setup(state);

	power_reset();
	file->options = power_program_options();
	return r;
}

int power_program_teardown(void **state)
{
	store_file_fini(*state);
	power_fini();
	return leak_teardown(state);
}

void power_program_play(struct power_program *program, struct tmgr_store *store, int batches)
{
	for (int i = 0; i < batches && !power_is_cut(); i++) {
		const struct tmgr_store_batch *batch = random_steps_next(&program->random);

		program->attempted_sequence = batch->steps[batch->count - 1].sequence;
		rows_apply_batch(&program->attempted, batch);
		if (commit(program, store, batch) < 0)
			return;
		if (store->ops->maintain(store, TMGR_MILLISECOND, i % 3 == 0) < 0)
			return;
		if (i % 11 == 10 && store->ops->checkpoint(store) < 0)
			return;
	}
}

int power_program_repeat(struct power_program *program, struct tmgr_store *store)
{
	if (program->acknowledged_sequence == program->attempted_sequence)
		return 0;
	return commit(program, store, &program->random.batch);
}

void power_program_forget(struct power_program *program)
{
	rows_clear(&program->acknowledged);
	rows_clear(&program->attempted);
}

static bool has(struct store_file *survivor, struct rows_model *model)
{
	char difference[1200];

	return store_file_has(survivor, model, difference, sizeof(difference));
}

/* As SQLite sees it: each page belongs somewhere, each row is where it is looked for. */
static bool is_whole(const struct store_file *survivor)
{
	sqlite3_stmt *check = NULL;
	sqlite3 *db = NULL;
	bool whole = sqlite3_open(survivor->path, &db) == SQLITE_OK &&
		     sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &check, NULL) ==
			     SQLITE_OK &&
		     sqlite3_step(check) == SQLITE_ROW &&
		     strcmp((const char *)sqlite3_column_text(check, 0), "ok") == 0;

	sqlite3_finalize(check);
	sqlite3_close(db);
	return whole;
}

static void leave_mark(const struct store_file *survivor)
{
	char path[sizeof(survivor->path) + 8], page[4096] = { 1 };
	FILE *file;

	snprintf(path, sizeof(path), "%s.lock", survivor->path);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(page, 1, sizeof(page), file), sizeof(page));
	fclose(file);
}

bool power_program_survives(struct power_program *program, enum power_loss loss, unsigned *seed)
{
	struct store_file survivor;
	bool good = false;

	assert_int_equal(store_file_init(&survivor), 0);
	power_survivors(survivor.directory, loss, seed);
	if (rand_r(seed) % 2)
		leave_mark(&survivor);
	if (store_file_open(&survivor) == 0) {
		if (survivor.opened.sequence == program->attempted_sequence)
			good = has(&survivor, &program->attempted);
		else if (survivor.opened.sequence == program->acknowledged_sequence)
			good = has(&survivor, &program->acknowledged);
	} else if (program->acknowledged_sequence == 0) {
		/* It was never opened: the file may be half made. */
		good = true;
	}
	if (good && survivor.store)
		good = is_whole(&survivor);
	store_file_fini(&survivor);
	return good;
}
