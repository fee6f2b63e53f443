#include "names.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define SIZE_MIN 16

/* FNV-1a. */
static size_t hash(const char *name)
{
	uint32_t value = 2166136261u;

	for (; *name; name++)
		value = (value ^ (unsigned char)*name) * 16777619u;
	return value;
}

/* Where a name is, or the free slot it would take: never more than half are taken. */
static const char **find(const struct tmgr__names *names, const char *name)
{
	size_t i = hash(name) & (names->size - 1);

	while (names->slots[i] && strcmp(names->slots[i], name) != 0)
		i = (i + 1) & (names->size - 1);
	return &names->slots[i];
}

bool tmgr__names_has(const struct tmgr__names *names, const char *name)
{
	return names->size > 0 && *find(names, name);
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
		if (names->slots[i])
			tmgr__names_add(&larger, names->slots[i]);
	free(names->slots);
	*names = larger;
	return 0;
}

void tmgr__names_add(struct tmgr__names *names, const char *name)
{
	const char **slot = find(names, name);

	check(!*slot);
	*slot = name;
	names->count++;
}

void tmgr__names_fini(struct tmgr__names *names)
{
	free(names->slots);
	*names = (struct tmgr__names){ NULL, 0, 0 };
}
