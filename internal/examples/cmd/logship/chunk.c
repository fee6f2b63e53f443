/* Chunks: whoever has one holds a reference, and the last gives its memory back. */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

struct chunk *chunk_create(const char *path)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk));

	if (!chunk)
		return NULL;
	atomic_init(&chunk->refs, 1);
	tmgr_future_init(&chunk->parsed);
	tmgr_future_init(&chunk->written);
	chunk->path = path ? strdup(path) : NULL;
	chunk->block.bytes = malloc(TAIL_BLOCK_MAX);
	if (!chunk->block.bytes || (path && !chunk->path)) {
		chunk_unref(chunk);
		return NULL;
	}
	return chunk;
}

struct chunk *chunk_ref(struct chunk *chunk)
{
	atomic_fetch_add(&chunk->refs, 1);
	return chunk;
}

void chunk_unref(struct chunk *chunk)
{
	if (!chunk || atomic_fetch_sub(&chunk->refs, 1) > 1)
		return;
	tmgr_future_fini(&chunk->parsed);
	tmgr_future_fini(&chunk->written);
	free(chunk->lines);
	free(chunk->path);
	free(chunk->block.bytes);
	free(chunk);
}

void chunk_parsed(struct chunk *chunk, int result)
{
	tmgr_future_complete(&chunk->parsed, result, NULL);
	chunk_unref(chunk);
}
