#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

#include "taskmgr/base/check.h"
#include "taskmgr/base/text.h"

#define ALIGNMENT ((size_t)16)
#define BLOCK_MIN ((size_t)4096)
#define BLOCK_MAX ((size_t)64 * 1024)
#define KEPT_MAX BLOCK_MAX
#define PATH_SIZE ((size_t)TMGR_STATE_DEPTH_MAX * (TMGR_STATE_KEY_MAX + 2) + 64)
#define SHOWN_MAX ((size_t)160)

struct tmgr__state_block {
	struct tmgr__state_block *next;
	size_t used, size;
	_Alignas(16) unsigned char memory[];
};

int tmgr_state_memory_create(struct tmgr_state_memory **ret)
{
	struct tmgr_state_memory *memory;

	if (!ret)
		return -EINVAL;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	*ret = memory;
	return 0;
}

static void free_blocks(struct tmgr__state_block *block)
{
	while (block) {
		struct tmgr__state_block *next = block->next;

		free(block);
		block = next;
	}
}

void tmgr_state_memory_destroy(struct tmgr_state_memory *memory)
{
	if (!memory)
		return;
	free_blocks(memory->blocks);
	free(memory->out.text);
	free(memory);
}

void tmgr_state_memory_clear(struct tmgr_state_memory *memory)
{
	struct tmgr__state_block *block = memory->blocks;

	memory->decoded = NULL;
	memory->document = NULL;
	memory->error[0] = '\0';
	if (memory->out.size > KEPT_MAX) {
		free(memory->out.text);
		memory->out = (struct tmgr__json_out){ NULL, 0, 0, 0 };
	}
	if (!block)
		return;
#if defined(__SANITIZE_ADDRESS__)
	/* None is used again, so that the sanitizer sees what is used after its end. */
	free_blocks(block);
	memory->blocks = NULL;
#else
	/* The newest is the largest of those that are cut into pieces. */
	free_blocks(block->next);
	block->next = NULL;
	block->used = 0;
	if (block->size > KEPT_MAX) {
		free(block);
		memory->blocks = NULL;
	}
#endif
}

static struct tmgr__state_block *make_block(const struct tmgr_state_memory *memory, size_t least)
{
	size_t size = memory->blocks ? memory->blocks->size * 2 : BLOCK_MIN;
	struct tmgr__state_block *block;

	if (size > BLOCK_MAX)
		size = BLOCK_MAX;
#if defined(__SANITIZE_ADDRESS__)
	size = 0;
#endif
	if (size < least)
		size = least;
	block = malloc(sizeof(*block) + size);
	if (block)
		*block = (struct tmgr__state_block){ NULL, 0, size };
	return block;
}

/* A piece as it comes. */
static void *cut(struct tmgr_state_memory *memory, size_t size)
{
	struct tmgr__state_block *block = memory->blocks;
	void *piece;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = size ? (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1) : ALIGNMENT;
	if (!block || block->size - block->used < size) {
		block = make_block(memory, size);
		if (!block)
			return NULL;
		block->next = memory->blocks;
		memory->blocks = block;
	}
	piece = block->memory + block->used;
	block->used += size;
	return piece;
}

static void *or_fail(struct tmgr_state_memory *memory, void *piece)
{
	if (!piece)
		tmgr__state_fail(memory, NULL, -ENOMEM, "out of memory");
	return piece;
}

void *tmgr_state_take(struct tmgr_state_memory *memory, size_t size)
{
	void *piece = cut(memory, size);

	if (piece)
		memset(piece, 0, size);
	return or_fail(memory, piece);
}

void *tmgr_state_copy(struct tmgr_state_memory *memory, const void *data, size_t size)
{
	unsigned char *piece = cut(memory, size < SIZE_MAX ? size + 1 : size);

	if (piece) {
		if (size > 0)
			memcpy(piece, data, size);
		piece[size] = '\0';
	}
	return or_fail(memory, piece);
}

const char *tmgr_state_error(const struct tmgr_state_memory *memory)
{
	return memory->error;
}

static void add_path(struct tmgr__text *text, const struct tmgr__path *path)
{
	if (!path)
		return;
	add_path(text, path->above);
	if (path->name) {
		if (text->length > 0)
			tmgr__text_add(text, ".");
		tmgr__text_add_escaped(text, path->name);
	} else {
		tmgr__text_format(text, "[%zu]", path->index);
	}
}

int tmgr__state_fail(
	struct tmgr_state_memory *memory, const struct tmgr__path *path, int error, const char *why)
{
	char whole[PATH_SIZE], *shown = whole;
	struct tmgr__text text;

	/* What the innermost said stays. */
	if (memory->error[0])
		return error;
	tmgr__text_init(&text, whole, sizeof(whole));
	add_path(&text, path);
	if (text.length > SHOWN_MAX && text.length < sizeof(whole)) {
		/* The end says more than the beginning. */
		shown = whole + text.length - SHOWN_MAX;
		while (((unsigned char)*shown & 0xc0) == 0x80)
			shown++;
	}
	tmgr__text_init(&text, memory->error, sizeof(memory->error));
	tmgr__text_add(&text, shown == whole ? "" : "...");
	tmgr__text_add(&text, shown);
	tmgr__text_add(&text, *shown ? ": " : "");
	tmgr__text_add(&text, why);
	return error;
}

const struct tmgr_state_field *tmgr__state_find(
	const struct tmgr_state_table *state, const char *key, size_t length, size_t hint)
{
	for (size_t n = 0; n < state->count; n++) {
		const struct tmgr_state_field *field = &state->fields[(hint + n) % state->count];

		if (strlen(field->name) == length && memcmp(field->name, key, length) == 0)
			return field;
	}
	return NULL;
}
