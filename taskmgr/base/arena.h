/*
 * Memory for many things of about one lifetime: pieces are cut from blocks, and a block is freed when
 * all its pieces were given back. One allocation for many, and memory that the next arena finds
 * again: the C library gives small pieces at the top of its heap back to the system one by one.
 */
#ifndef TMGR__ARENA_H
#define TMGR__ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "sync.h"

struct tmgr__arena_block;

/* All zero is an empty one. */
struct tmgr__arena {
	struct tmgr__lock lock;
	struct tmgr__arena_block *block; /* that is being cut, or NULL */
};

/* A piece, aligned to 32 bytes, and its block; NULL: out of memory. Any thread. */
void *tmgr__arena_take(
	struct tmgr__arena *arena, size_t size, struct tmgr__arena_block **ret_block);
/* Give a piece of a block back. Any thread, also after the arena's end. */
void tmgr__arena_give(struct tmgr__arena_block *block);
/* No more is taken. Pieces that are out stay. */
void tmgr__arena_fini(struct tmgr__arena *arena);

#endif
