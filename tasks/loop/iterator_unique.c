/*
 * Each item once: a set of copies, a table with open addressing, at most half full.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iterator.h"

struct seen {
	uint64_t hash;
	size_t size;
	char bytes[];
};

struct unique {
	struct tmgr__over over;
	struct seen **table;
	size_t room, count;
};

/* FNV-1a, begun differently in each set, so that nobody can prepare items that collide. */
static uint64_t hash_of(const struct unique *unique, const struct tmgr_item *item)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)(uintptr_t)unique;
	const unsigned char *bytes = item->data;

	for (size_t i = 0; i < item->size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 29;
}

static bool is_item(const struct seen *seen, uint64_t hash, const struct tmgr_item *item)
{
	return seen->hash == hash && seen->size == item->size &&
	       (item->size == 0 || memcmp(seen->bytes, item->data, item->size) == 0);
}

/* Where it is, or where it would be. */
static struct seen **find(const struct unique *unique, uint64_t hash, const struct tmgr_item *item)
{
	size_t i = (size_t)hash & (unique->room - 1);

	while (unique->table[i] && !(item && is_item(unique->table[i], hash, item)))
		i = (i + 1) & (unique->room - 1);
	return &unique->table[i];
}

static int grow(struct unique *unique)
{
	struct unique larger = { .room = unique->room ? unique->room * 2 : 16 };

	if (unique->count < unique->room / 2)
		return 0;
	larger.table = calloc(larger.room, sizeof(struct seen *));
	if (!larger.table)
		return -ENOMEM;
	for (size_t i = 0; i < unique->room; i++)
		if (unique->table[i])
			*find(&larger, unique->table[i]->hash, NULL) = unique->table[i];
	free(unique->table);
	unique->table = larger.table;
	unique->room = larger.room;
	return 0;
}

/* Put an item into the set: 1, or 0 when it is there. */
static int add(struct unique *unique, const struct tmgr_item *item)
{
	uint64_t hash = hash_of(unique, item);
	struct seen **place, *seen;

	if (grow(unique) < 0)
		return -ENOMEM;
	place = find(unique, hash, item);
	if (*place)
		return 0;
	if (item->size > SIZE_MAX - sizeof(*seen))
		return -ENOMEM;
	seen = malloc(sizeof(*seen) + item->size);
	if (!seen)
		return -ENOMEM;
	seen->hash = hash;
	seen->size = item->size;
	if (item->size > 0)
		memcpy(seen->bytes, item->data, item->size);
	*place = seen;
	unique->count++;
	return 1;
}

static int unique_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct unique *unique = self;
	int r, added = 0;

	do {
		r = tmgr_iterator_next(context, &unique->over.source, ret_item);
		if (r > 0)
			added = add(unique, ret_item);
	} while (r > 0 && added == 0);
	return added < 0 ? added : r;
}

static void unique_close(void *self, struct tmgr_context *context)
{
	struct unique *unique = self;

	for (size_t i = 0; i < unique->room; i++)
		free(unique->table[i]);
	free(unique->table);
	tmgr__over_close(unique, context);
}

struct tmgr_iterator tmgr_unique(struct tmgr_iterator iterator)
{
	static const struct tmgr_iterator_ops ops = { .next = unique_next, .close = unique_close };
	struct unique *unique = tmgr__over_create(sizeof(*unique), &iterator, true);

	if (!unique)
		return iterator;
	return (struct tmgr_iterator){ .ops = &ops, .self = unique };
}
