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
	changes->troubles = 0;
	changes->error = 0;
}

/* A block with so much room is the first. */
static int make_room(struct tmgr__changes *changes, size_t size)
{
	struct tmgr__changes_block *block = changes->blocks;
	size_t wanted = size > BLOCK_SIZE ? size : BLOCK_SIZE;

	if (block != NULL && block->size - block->used >= size)
		return 0;
	block = changes->spare;
	if (block != NULL && wanted == BLOCK_SIZE)
		changes->spare = block->next;
	else
		block = malloc(sizeof(*block) + wanted);
	if (block == NULL)
		return -ENOMEM;
	block->used = 0;
	block->size = wanted;
	block->next = changes->blocks;
	changes->blocks = block;
	return 0;
}

static void *copy(struct tmgr__changes *changes, const void *data, size_t size)
{
	struct tmgr__changes_block *block;
	char *to;

	if (make_room(changes, size) != 0) {
		changes->error = -ENOMEM;
		return NULL;
	}
	block = changes->blocks;
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

static int reserve_changes(struct tmgr__changes *changes, size_t count)
{
	size_t max = changes->max > 0 ? changes->max : 256;
	struct tmgr_store_change *more;

	if (changes->max - changes->count >= count)
		return 0;
	while (max - changes->count < count)
		max *= 2;
	more = reallocarray(changes->changes, max, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	changes->changes = more;
	changes->max = max;
	return 0;
}

static int reserve_step(struct tmgr__changes *changes)
{
	size_t max = changes->step_max > 0 ? 2 * changes->step_max : 64;
	struct tmgr_store_step *more;

	if (changes->step_count < changes->step_max)
		return 0;
	more = reallocarray(changes->steps, max, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	changes->steps = more;
	changes->step_max = max;
	return 0;
}

int tmgr__changes_reserve(struct tmgr__changes *changes, size_t count, size_t bytes)
{
	int r = reserve_changes(changes, count);

	if (r == 0)
		r = reserve_step(changes);
	return r != 0 || bytes == 0 ? r : make_room(changes, bytes);
}

struct tmgr_store_change *tmgr__changes_add(
	struct tmgr__changes *changes, enum tmgr_store_op op, enum tmgr_store_kind kind)
{
	struct tmgr_store_change *change = &changes->lost;

	if (reserve_changes(changes, 1) != 0)
		changes->error = -ENOMEM;
	else
		change = &changes->changes[changes->count++];
	memset(change, 0, sizeof(*change));
	change->op = op;
	change->kind = kind;
	changes->bytes += sizeof(*change);
	return change;
}

void tmgr__changes_end_step(struct tmgr__changes *changes, uint64_t sequence)
{
	if (reserve_step(changes) != 0) {
		changes->error = -ENOMEM;
		return;
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
