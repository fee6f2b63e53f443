/*
 * A store on SQLite in a directory of its own, for a test: gone with all it has when the test is over.
 */
#ifndef TESTS_SUPPORT_STORE_FILE_H
#define TESTS_SUPPORT_STORE_FILE_H

#include <taskmgr/tasks/process_sqlite.h>

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
/* What the checker says: how many findings; each is printed. */
int store_file_check(struct store_file *file);
/* Execute with the command line tool; its output. */
const char *store_file_sql(struct store_file *file, const char *text);

#endif
