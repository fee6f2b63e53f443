/*
 * The engine's memory. What a command needs is put aside before it does anything: blocks for what is small,
 * which are touched only when there is no other memory, and so stay for the next command; and blocks for
 * what is the user's, or large, which are what it then uses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/process/engine_inside.h"

/* All objects with their texts are smaller: the longest is that of a key. */
#define SMALL_SIZE 512
/* So many stay between commands. */
#define SPARE_KEPT 256

_Static_assert(
	sizeof(struct tmgr__ekey) + TMGR_PROCESS_CHANNEL_MAX + 1 + TMGR_PROCESS_KEY_MAX + 1 <=
		SMALL_SIZE,
	"a key fits");
_Static_assert(
	sizeof(struct tmgr__channel) + TMGR_PROCESS_CHANNEL_MAX + 1 <= SMALL_SIZE, "a channel");
_Static_assert(sizeof(struct tmgr__eprocess) + TMGR_PROCESS_ID_MAX + 1 <= SMALL_SIZE, "a process");
_Static_assert(
	sizeof(struct tmgr__arrival) + TMGR_PROCESS_CHANNEL_MAX + 1 <= SMALL_SIZE, "an arrival");
_Static_assert(sizeof(struct tmgr__once) + TMGR_PROCESS_KEY_MAX + 1 <= SMALL_SIZE, "an effect");
_Static_assert(sizeof(struct tmgr__trouble) <= SMALL_SIZE, "trouble");
_Static_assert(sizeof(struct tmgr__ending) <= SMALL_SIZE, "an ending");

/* Those of one size are alike; they are used in about the order in which they were prepared. */
static void *take_prepared(struct tmgr__engine *engine, size_t size)
{
	for (struct tmgr__spare **link = &engine->prepared; *link != NULL; link = &(*link)->next) {
		struct tmgr__spare *found = *link;

		if (found->size != size)
			continue;
		*link = found->next;
		if (engine->prepared_last == &found->next)
			engine->prepared_last = link;
		return found;
	}
	return NULL;
}

static void *take_spare(struct tmgr__engine *engine, size_t size)
{
	struct tmgr__spare *found = engine->spare;

	if (size > SMALL_SIZE || found == NULL)
		return NULL;
	engine->spare = found->next;
	engine->spare_count--;
	return found;
}

void *tmgr__engine_memory(struct tmgr__engine *engine, size_t size)
{
	void *memory = size > SMALL_SIZE ? take_prepared(engine, size) : NULL;

	if (memory == NULL) {
		memory = calloc(1, size);
		if (memory != NULL)
			return memory;
		memory = take_spare(engine, size);
	}
	if (memory == NULL)
		engine->broken = -ENOMEM;
	else
		memset(memory, 0, size);
	return memory;
}

static size_t blob_size(size_t size)
{
	return sizeof(struct tmgr__blob) + size + 1;
}

struct tmgr__blob *tmgr__blob(struct tmgr__engine *engine, struct tmgr_bytes bytes)
{
	struct tmgr__blob *blob = take_prepared(engine, blob_size(bytes.size));

	if (blob == NULL)
		blob = malloc(blob_size(bytes.size));
	if (blob == NULL)
		blob = take_spare(engine, blob_size(bytes.size));
	if (blob == NULL) {
		engine->broken = -ENOMEM;
		return NULL;
	}
	blob->size = (uint32_t)bytes.size;
	if (bytes.size > 0)
		memcpy(blob->data, bytes.data, bytes.size);
	blob->data[bytes.size] = '\0';
	return blob;
}

int tmgr__spare_reserve(struct tmgr__engine *engine, size_t count)
{
	while (engine->spare_count < count) {
		struct tmgr__spare *one = malloc(SMALL_SIZE);

		if (one == NULL)
			return -ENOMEM;
		one->next = engine->spare;
		one->size = SMALL_SIZE;
		engine->spare = one;
		engine->spare_count++;
	}
	return 0;
}

int tmgr__prepare(struct tmgr__engine *engine, size_t size)
{
	struct tmgr__spare *one = malloc(size > sizeof(*one) ? size : sizeof(*one));

	if (one == NULL)
		return -ENOMEM;
	one->next = NULL;
	one->size = size;
	*engine->prepared_last = one;
	engine->prepared_last = &one->next;
	return 0;
}

int tmgr__prepare_blob(struct tmgr__engine *engine, size_t size)
{
	return tmgr__prepare(engine, blob_size(size));
}

void tmgr__spare_release(struct tmgr__engine *engine, bool all)
{
	while (engine->prepared != NULL) {
		struct tmgr__spare *one = engine->prepared;

		engine->prepared = one->next;
		free(one);
	}
	engine->prepared_last = &engine->prepared;
	while (engine->spare_count > (all ? 0 : SPARE_KEPT)) {
		struct tmgr__spare *one = engine->spare;

		engine->spare = one->next;
		engine->spare_count--;
		free(one);
	}
}
