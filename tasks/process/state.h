/*
 * What decoding and encoding share: the memory of a step, and the path of the field at hand, kept on
 * the stack and written down when something is wrong.
 */
#ifndef TMGR__PROCESS_STATE_H
#define TMGR__PROCESS_STATE_H

#include <taskmgr/tasks/state.h>

#include "json.h"

struct tmgr__state_block;

struct tmgr_state_memory {
	struct tmgr__state_block *blocks; /* the first is being cut */
	struct tmgr__json_out out;        /* for encoding */
	/* What was decoded last, for the keys that its table does not know. */
	const struct tmgr_state_table *decoded_state;
	const void *decoded;
	const struct tmgr__json *document;
	char error[256];
};

struct tmgr__path {
	const struct tmgr__path *above;
	const char *name; /* of a field; NULL: an element */
	size_t index;
};

struct tmgr_state_old {
	struct tmgr_state_memory *memory;
	const struct tmgr__json *object;
};

/* Keep a text, with the path before it; returns error. */
int tmgr__state_fail(struct tmgr_state_memory *memory, const struct tmgr__path *path, int error,
	const char *why);

/* A field by its key, beginning the search where it was found in most cases; NULL: unknown. */
const struct tmgr_state_field *tmgr__state_find(
	const struct tmgr_state_table *state, const char *key, size_t length, size_t hint);

/* Fields of a struct that were seen. */
struct tmgr__state_marks {
	uint64_t bits[TMGR_STATE_FIELDS_MAX / 64];
};

static inline bool tmgr__state_marked(const struct tmgr__state_marks *marks, size_t i)
{
	return marks->bits[i / 64] >> (i % 64) & 1;
}

static inline void tmgr__state_mark(struct tmgr__state_marks *marks, size_t i)
{
	marks->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Decode one field from a value; the struct's field is as before, or zero, if this fails. */
int tmgr__state_decode_field(struct tmgr_state_memory *memory, const struct tmgr_state_field *field,
	const struct tmgr__json *value, void *object, const struct tmgr__path *path);

#endif
