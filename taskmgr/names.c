#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define SIZE_MIN 16
/* Odd, and without a pattern: the golden ratio of 2^64. */
#define FACTOR UINT64_C(0x9e3779b97f4a7c15)

/* Twice, for a product's low bits know nothing of the word's high ones. */
static uint64_t mix(uint64_t value, uint64_t word)
{
	value = (value ^ word) * FACTOR;
	value = (value ^ value >> 32) * FACTOR;
	return value ^ value >> 32;
}

/* Eight bytes at a time; most names differ in the last few. */
uint64_t tmgr__name_hash(const char *name, size_t length)
{
	uint64_t value = length, word;

	for (; length > sizeof(word); name += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, name, sizeof(word));
		value = mix(value, word);
	}
	word = 0;
	memcpy(&word, name, length);
	return mix(value, word);
}

/* Where a name is, or the free slot it would take: never more than half are taken. */
static struct tmgr__name *find(const struct tmgr__names *names, const char *name, uint64_t hash)
{
	size_t i = hash & (names->size - 1);
	struct tmgr__name *slot = &names->slots[i];

	while (slot->name && !(slot->hash == hash && strcmp(slot->name, name) == 0)) {
		i = (i + 1) & (names->size - 1);
		slot = &names->slots[i];
	}
	return slot;
}

struct tmgr__name *tmgr__names_find_free(
	const struct tmgr__names *names, const char *name, uint64_t hash)
{
	struct tmgr__name *slot = find(names, name, hash);

	return slot->name ? NULL : slot;
}

/* All that are in it differ. */
static void copy(const struct tmgr__names *names, const struct tmgr__name *from)
{
	size_t i = from->hash & (names->size - 1);

	while (names->slots[i].name)
		i = (i + 1) & (names->size - 1);
	names->slots[i] = *from;
}

int tmgr__names_reserve(struct tmgr__names *names)
{
	struct tmgr__names larger = { .size = names->size ? names->size * 2 : SIZE_MIN };

	if (names->count < names->size / 2)
		return 0;
	larger.slots = calloc(larger.size, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < names->size; i++)
		if (names->slots[i].name)
			copy(&larger, &names->slots[i]);
	larger.count = names->count;
	free(names->slots);
	*names = larger;
	return 0;
}

void tmgr__names_add(
	struct tmgr__names *names, struct tmgr__name *slot, const char *name, uint64_t hash)
{
	check(!slot->name);
	*slot = (struct tmgr__name){ name, hash };
	names->count++;
}

void tmgr__names_fini(struct tmgr__names *names)
{
	free(names->slots);
	*names = (struct tmgr__names){ NULL, 0, 0 };
}
