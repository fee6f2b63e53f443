#include "tasks/process/row.h"

#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/check.h"

#define FIELD(name, field) offsetof(struct tmgr_store_change, row.name.field)
#define END 0 /* no field is at the beginning */

static const struct layout {
	size_t texts[8];
	size_t bytes[3];
} layouts[] = {
	[TMGR_STORE_PROCESS] = {
		{ FIELD(process, id), FIELD(process, definition), FIELD(process, text), END },
		{ FIELD(process, state), FIELD(process, result), END },
	},
	[TMGR_STORE_GOROUTINE] = {
		{ FIELD(goroutine, process), FIELD(goroutine, name), FIELD(goroutine, method),
			FIELD(goroutine, text), FIELD(goroutine, from), END },
		{ FIELD(goroutine, value), END },
	},
	[TMGR_STORE_WAIT] = {
		{ FIELD(wait, process), FIELD(wait, goroutine), FIELD(wait, target),
			FIELD(wait, method), END },
		{ FIELD(wait, value), END },
	},
	[TMGR_STORE_CHANNEL] = { { FIELD(channel, id), END }, { END } },
	[TMGR_STORE_MESSAGE] = { { FIELD(message, channel), END }, { FIELD(message, value), END } },
	[TMGR_STORE_ONCE] = {
		{ FIELD(once, process), FIELD(once, goroutine), FIELD(once, name), END },
		{ FIELD(once, value), END },
	},
	[TMGR_STORE_KEY] = { { FIELD(key, key), END }, { END } },
	[TMGR_STORE_EVENT] = {
		{ FIELD(event, process), FIELD(event, goroutine), FIELD(event, method),
			FIELD(event, text), END },
		{ END },
	},
};

static const char *text_at(const struct tmgr_store_change *change, size_t offset)
{
	return *(const char *const *)(const void *)((const char *)change + offset);
}

static const struct tmgr_bytes *bytes_at(const struct tmgr_store_change *change, size_t offset)
{
	return (const struct tmgr_bytes *)(const void *)((const char *)change + offset);
}

static size_t size_of(const struct tmgr_store_change *change)
{
	const struct layout *layout = &layouts[change->kind];
	size_t size = 0;

	for (const size_t *at = layout->texts; *at != END; at++)
		size += strlen(text_at(change, *at)) + 1;
	for (const size_t *at = layout->bytes; *at != END; at++)
		size += bytes_at(change, *at)->size;
	return size;
}

void *tmgr__row_copy(const struct tmgr_store_change *change, size_t before)
{
	const struct layout *layout = &layouts[change->kind];
	char *memory = malloc(before + sizeof(*change) + size_of(change)), *to;
	struct tmgr_store_change *copy;

	if (memory == NULL)
		return NULL;
	copy = (struct tmgr_store_change *)(void *)(memory + before);
	memcpy(copy, change, sizeof(*copy));
	to = (char *)(copy + 1);
	for (const size_t *at = layout->texts; *at != END; at++) {
		size_t size = strlen(text_at(change, *at)) + 1;

		memcpy(to, text_at(change, *at), size);
		*(const char **)(void *)((char *)copy + *at) = to;
		to += size;
	}
	for (const size_t *at = layout->bytes; *at != END; at++) {
		struct tmgr_bytes bytes = *bytes_at(change, *at);

		if (bytes.size > 0)
			memcpy(to, bytes.data, bytes.size);
		*(struct tmgr_bytes *)(void *)((char *)copy + *at) = (struct tmgr_bytes){
			bytes.size > 0 ? to : NULL, bytes.size
		};
		to += bytes.size;
	}
	return memory;
}
