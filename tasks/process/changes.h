/*
 * Changes for a store, gathered: what they refer to is copied, so that the engine may go on while the
 * store writes. Running out of memory is remembered, and what is added after it is lost.
 */
#ifndef TMGR__PROCESS_CHANGES_H
#define TMGR__PROCESS_CHANGES_H

#include <taskmgr/tasks/process_store.h>

struct tmgr__changes_block;

struct tmgr__changes {
	struct tmgr_store_change *changes;
	size_t count, max;
	struct tmgr_store_step *steps;
	size_t step_count, step_max;
	size_t begun;                       /* the first change of the step that is being made */
	struct tmgr__changes_block *blocks; /* the first is being filled */
	struct tmgr__changes_block *spare;
	size_t bytes;    /* copied */
	size_t troubles; /* events that somebody should be told of */
	int error;       /* 0 or -ENOMEM */
	struct tmgr_store_change lost;
};

/* All zero is an empty one. */
void tmgr__changes_fini(struct tmgr__changes *changes);
/* Empty it; memory stays for the next use. */
void tmgr__changes_clear(struct tmgr__changes *changes);

/* Have room for so many changes with so many bytes, and for the end of their step; -ENOMEM. */
int tmgr__changes_reserve(struct tmgr__changes *changes, size_t count, size_t bytes);

/* One more change, all zero but its kind. */
struct tmgr_store_change *tmgr__changes_add(
	struct tmgr__changes *changes, enum tmgr_store_op op, enum tmgr_store_kind kind);
const char *tmgr__changes_text(struct tmgr__changes *changes, const char *text);
struct tmgr_bytes tmgr__changes_bytes(struct tmgr__changes *changes, const void *data, size_t size);

/* What was added since the last one is a step. */
void tmgr__changes_end_step(struct tmgr__changes *changes, uint64_t sequence);
/* The steps, whose changes have an address from now on until the next is added. */
const struct tmgr_store_step *tmgr__changes_steps(struct tmgr__changes *changes);

#endif
