/*
 * The rows that the store in memory has, but for events. Who holds the store's lock may use them.
 */
#ifndef TMGR__PROCESS_STORE_MEMORY_ROWS_H
#define TMGR__PROCESS_STORE_MEMORY_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include <taskmgr/tasks/process_store.h>

struct tmgr__memory_row {
	struct tmgr__memory_row *next;
	uint64_t hash;
	struct tmgr_store_change change;
};

/* Begins as all zero. */
struct tmgr__memory_rows {
	struct tmgr__memory_row **heads;
	size_t count, max;
};

/* Released with free(); NULL: out of memory. */
struct tmgr__memory_row *tmgr__memory_row_copy(const struct tmgr_store_change *change);

/* Room for as many more, which comes before anything is put or deleted; -ENOMEM. */
int tmgr__memory_rows_grow(struct tmgr__memory_rows *rows, size_t more);
/* In place of one with its key. Takes the row, and cannot fail: room was made. */
void tmgr__memory_rows_put(struct tmgr__memory_rows *rows, struct tmgr__memory_row *row);
/* All that a DELETE names: with a channel, its messages. */
void tmgr__memory_rows_delete(
	struct tmgr__memory_rows *rows, const struct tmgr_store_change *change);
/* Copies of all that another has, into one that has none; -ENOMEM, with some of them. */
int tmgr__memory_rows_copy(struct tmgr__memory_rows *rows, const struct tmgr__memory_rows *from);
/* All, kind by kind, as an engine loads them, until one gives an error; -ENOMEM. */
int tmgr__memory_rows_visit(const struct tmgr__memory_rows *rows,
	int (*visit)(void *self, const struct tmgr_store_change *row), void *self);
void tmgr__memory_rows_fini(struct tmgr__memory_rows *rows);

#endif
