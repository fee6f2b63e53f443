#include "tasks/process/changes.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 65536

struct tmgr__changes_block {
	struct tmgr__changes_block *next;
	size_t used, size;
	char data[];
};

static void free_blocks(struct tmgr__changes_block *block)
{
	while (block != NULL) {
		struct tmgr__changes_block *next = block->next;

		free(block);
		block = next;
	}
}

void tmgr__changes_fini(struct tmgr__changes *changes)
{
	free(changes->changes);
	free(changes->steps);
	free_blocks(changes->blocks);
	free_blocks(changes->spare);
	*changes = (struct tmgr__changes){ 0 };
}

void tmgr__changes_clear(struct tmgr__changes *changes)
{
	while (changes->blocks != NULL) {
		struct tmgr__changes_block *block = changes->blocks;

		changes->blocks = block->next;
		if (block->size != BLOCK_SIZE) {
			free(block);
			continue;
		}
		block->used = 0;
		block->next = changes->spare;
		changes->spare = block;
	}
	changes->count = changes->step_count = changes->begun = changes->bytes = 0;
	changes->error = 0;
}

static void *copy(struct tmgr__changes *changes, const void *data, size_t size)
{
	struct tmgr__changes_block *block = changes->blocks;
	char *to;

	if (block == NULL || block->size - block->used < size) {
		size_t wanted = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = changes->spare;
		if (block != NULL && wanted == BLOCK_SIZE)
			changes->spare = block->next;
		else
			block = malloc(sizeof(*block) + wanted);
		if (block == NULL) {
			changes->error = -ENOMEM;
			return NULL;
		}
		block->used = 0;
		block->size = wanted;
		block->next = changes->blocks;
		changes->blocks = block;
	}
	to = block->data + block->used;
	block->used += size;
	changes->bytes += size;
	memcpy(to, data, size);
	return to;
}

const char *tmgr__changes_text(struct tmgr__changes *changes, const char *text)
{
	const char *copied;

	if (text == NULL || text[0] == '\0')
		return "";
	copied = copy(changes, text, strlen(text) + 1);
	return copied != NULL ? copied : "";
}

struct tmgr_bytes tmgr__changes_bytes(struct tmgr__changes *changes, const void *data, size_t size)
{
	struct tmgr_bytes bytes = { NULL, 0 };

	if (size == 0)
		return bytes;
	bytes.data = copy(changes, data, size);
	if (bytes.data != NULL)
		bytes.size = size;
	return bytes;
}

struct tmgr_store_change *tmgr__changes_add(
	struct tmgr__changes *changes, enum tmgr_store_op op, enum tmgr_store_kind kind)
{
	struct tmgr_store_change *change = &changes->lost;

	if (changes->count == changes->max) {
		size_t max = changes->max > 0 ? 2 * changes->max : 256;
		struct tmgr_store_change *more = reallocarray(changes->changes, max, sizeof(*more));

		if (more == NULL) {
			changes->error = -ENOMEM;
		} else {
			changes->changes = more;
			changes->max = max;
		}
	}
	if (changes->count < changes->max)
		change = &changes->changes[changes->count++];
	memset(change, 0, sizeof(*change));
	change->op = op;
	change->kind = kind;
	changes->bytes += sizeof(*change);
	return change;
}

void tmgr__changes_end_step(struct tmgr__changes *changes, uint64_t sequence)
{
	if (changes->step_count == changes->step_max) {
		size_t max = changes->step_max > 0 ? 2 * changes->step_max : 64;
		struct tmgr_store_step *more = reallocarray(changes->steps, max, sizeof(*more));

		if (more == NULL) {
			changes->error = -ENOMEM;
			return;
		}
		changes->steps = more;
		changes->step_max = max;
	}
	changes->steps[changes->step_count++] = (struct tmgr_store_step){
		.sequence = sequence,
		.count = changes->count - changes->begun,
	};
	changes->begun = changes->count;
}

const struct tmgr_store_step *tmgr__changes_steps(struct tmgr__changes *changes)
{
	size_t first = 0;

	for (size_t i = 0; i < changes->step_count; i++) {
		changes->steps[i].changes = changes->changes + first;
		first += changes->steps[i].count;
	}
	return changes->steps;
}
