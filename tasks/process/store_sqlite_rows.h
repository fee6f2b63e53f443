/*
 * Rows, described once: how a change stands in the journal, and how a row stands in its table.
 */
#ifndef TMGR__PROCESS_STORE_SQLITE_ROWS_H
#define TMGR__PROCESS_STORE_SQLITE_ROWS_H

#include "store_sqlite.h"

enum column_type {
	COLUMN_U64,
	COLUMN_I64,
	COLUMN_U32,
	COLUMN_INT,
	COLUMN_BOOL,
	COLUMN_NAME, /* an enum, by its names in tables */
	COLUMN_TEXT,
	COLUMN_BYTES,
	COLUMN_JSON, /* bytes that are text in tables */
};

struct column {
	const char *name;
	size_t offset;
	enum column_type type;
	bool key; /* a DELETE has it */
	const char *const *names;
	size_t names_count;
};

struct rows {
	const char *table;
	const char *key;  /* columns that are together unique */
	const char *form; /* how the table's statement ends */
	const struct column *columns;
	size_t count;
};

/* By kind; the first is none. */
extern const struct rows tmgr__sqlite_rows[SQLITE_STORE_KINDS];

/* A number, bool or enum of a row. */
uint64_t tmgr__sqlite_load_column(const void *row, const struct column *column);
/* False: it does not fit. */
bool tmgr__sqlite_store_column(void *row, const struct column *column, uint64_t value);
/* Whether an enum has this value. */
bool tmgr__sqlite_is_name(const struct column *column, uint64_t value);
const char *tmgr__sqlite_text_column(const void *row, const struct column *column);
struct tmgr_bytes *tmgr__sqlite_bytes_column(const void *row, const struct column *column);

#endif
