/*
 * A store on SQLite in a directory of its own, for a test: gone with all it has when the test is over.
 */
#ifndef TESTS_SUPPORT_STORE_FILE_H
#define TESTS_SUPPORT_STORE_FILE_H

#include <taskmgr/tasks/process_sqlite.h>

#include "tests/support/leak.h"
#include "tests/support/rows.h"

struct store_file {
	char directory[64];
	char path[96];
	struct tmgr_store_sqlite_options options;
	struct tmgr_store *store;
	struct tmgr_store_opened opened;
};

/* Where directories are made: /tmp. */
extern const char *store_file_base;

/* Make the directory. 0 or -1. */
int store_file_init(struct store_file *file);
/* Close and destroy the store, if there is one; remove the directory. */
void store_file_fini(struct store_file *file);
/*
 * The fixture of a test that stands on one (leak.h): *state is the file. A program that needs more of its
 * fixture calls them from it.
 */
int store_file_setup(void **state);
int store_file_teardown(void **state);
/* Make and open the store: what open() gives. */
int store_file_open(struct store_file *file);
/* Close and destroy it: what close() gives. */
int store_file_close(struct store_file *file);
/*
 * Whether load() gives these rows, and if not, how they differ. Events in the model are not looked at;
 * and the same, where it must.
 */
bool store_file_has(
	struct store_file *file, struct rows_model *model, char *difference, size_t size);
void store_file_must_have(struct store_file *file, struct rows_model *model);
/* Make another of what stands on the disk now, as if the program had been killed. */
int store_file_copy(struct store_file *copy, const struct store_file *file);
/* Whether its lock has the mark of a commit, or of the checkpoint thread, that waits for the disk. */
bool store_file_in_doubt(const struct store_file *file);
/* What the checker says: how many findings; each is printed. */
int store_file_check(struct store_file *file);
/* Execute with the command line tool; its output. */
const char *store_file_sql(struct store_file *file, const char *text);

/* A row in the table of its program, of one test on such a file. */
#define store_file_test(function, file)           \
	cmocka_unit_test_prestate_setup_teardown( \
		function, store_file_setup, store_file_teardown, file)

#endif
