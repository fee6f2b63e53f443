/*
 * The names of a manager's long-running tasks, so that adding one looks at few of them. Under the
 * manager's lock.
 */
#ifndef TMGR__NAMES_H
#define TMGR__NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With its hash, so that others' names are not looked at in the places where they stand. */
struct tmgr__name {
	const char *name; /* borrowed from the record; NULL where free */
	uint64_t hash;
};

struct tmgr__names {
	struct tmgr__name *slots;
	size_t size, count; /* size: a power of 2, or 0 */
};

uint64_t tmgr__name_hash(const char *name, size_t length);
/* Have room for one more: 0 or -ENOMEM. */
int tmgr__names_reserve(struct tmgr__names *names);
/* Room was reserved: the slot for a name until the next is added, or NULL where there is that name. */
struct tmgr__name *tmgr__names_find_free(
	const struct tmgr__names *names, const char *name, uint64_t hash);
/* The name stays in place until tmgr__names_fini(). */
void tmgr__names_add(
	struct tmgr__names *names, struct tmgr__name *slot, const char *name, uint64_t hash);
void tmgr__names_fini(struct tmgr__names *names);

#endif
