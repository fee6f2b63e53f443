/*
 * Rows as plain memory: what is text in them, what is bytes, and a copy in one piece.
 */
#ifndef TMGR__PROCESS_ROW_H
#define TMGR__PROCESS_ROW_H

#include <taskmgr/tasks/process_store.h>

/* A copy with all it refers to, released with free(), `before` bytes into its memory; NULL: out of memory. */
void *tmgr__row_copy(const struct tmgr_store_change *change, size_t before);

#endif
