#include "arena.h"

#include <stdlib.h>

#include "check.h"

#define BLOCK_MIN ((size_t)4096)
#define BLOCK_MAX ((size_t)16 * 1024 * 1024)
/*
 * Half a line of the cache: what stands together in a piece is fetched together, mostly, and little
 * is left unused. Pieces a power of two apart would share few sets of the near cache.
 */
#define ALIGNMENT ((size_t)32)
#define APART ((size_t)1024)
/*
 * The last block is most of the memory: what the C library keeps is twice the largest piece that was
 * given back to it (mallopt(3), M_TRIM_THRESHOLD). What is not used of a block is not resident.
 */
#define GROWTH 4
/* More than a block has pieces: who gives one back while it is cut does not free it. */
#define WHILE_CUT ((uint32_t)1 << 31)

struct tmgr__arena_block {
	uint32_t refs;     /* atomic: pieces that are out, and, while it is cut, WHILE_CUT */
	uint32_t pieces;   /* cut of it so far */
	size_t used, size; /* of memory, whose first bytes are skipped where it is not aligned */
	unsigned char memory[];
};

static size_t misaligned(const struct tmgr__arena_block *block)
{
	return -(uintptr_t)block->memory & (ALIGNMENT - 1);
}

static struct tmgr__arena_block *make_block(const struct tmgr__arena *arena, size_t least)
{
	size_t size = arena->block ? arena->block->size * GROWTH : BLOCK_MIN;
	struct tmgr__arena_block *block;

	if (size > BLOCK_MAX)
		size = BLOCK_MAX;
#if defined(__SANITIZE_ADDRESS__)
	/* Each alone, so that the sanitizer sees what is used after its end. */
	size = 0;
#endif
	least += ALIGNMENT - 1;
	if (size < least)
		size = least;
	block = malloc(sizeof(*block) + size);
	if (block) {
		block->refs = WHILE_CUT;
		block->pieces = 0;
		block->used = misaligned(block);
		block->size = size;
	}
	return block;
}

static void drop(struct tmgr__arena_block *block, uint32_t count)
{
	uint32_t refs = __atomic_fetch_sub(&block->refs, count, __ATOMIC_ACQ_REL);

	check(refs >= count);
	if (refs == count)
		free(block);
}

/* No more is cut of it: from now on its pieces count. */
static void let_go(struct tmgr__arena_block *block)
{
	drop(block, WHILE_CUT - block->pieces);
}

void *tmgr__arena_take(struct tmgr__arena *arena, size_t size, struct tmgr__arena_block **ret_block)
{
	struct tmgr__arena_block *block;
	void *piece = NULL;

	size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	if (size % APART == 0)
		size += ALIGNMENT;
	tmgr__lock_acquire(&arena->lock);
	block = arena->block;
	if (!block || block->size - block->used < size) {
		block = make_block(arena, size);
		if (block && arena->block)
			let_go(arena->block);
		if (block)
			arena->block = block;
	}
	if (block) {
		piece = block->memory + block->used;
		block->used += size;
		block->pieces++;
	}
	tmgr__lock_release(&arena->lock);
	*ret_block = block;
	return piece;
}

void tmgr__arena_give(struct tmgr__arena_block *block)
{
	drop(block, 1);
}

void tmgr__arena_fini(struct tmgr__arena *arena)
{
	if (arena->block)
		let_go(arena->block);
	arena->block = NULL;
}
