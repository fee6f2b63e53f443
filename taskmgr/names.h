/*
 * The names of a manager's long-running tasks, so that adding one looks at few of them. Under the
 * manager's lock.
 */
#ifndef TMGR__NAMES_H
#define TMGR__NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct tmgr__names {
	const char **slots; /* borrowed from the records; NULL where free */
	size_t size, count; /* size: a power of 2, or 0 */
};

bool tmgr__names_has(const struct tmgr__names *names, const char *name);
/* Have room for one more: 0 or -ENOMEM. */
int tmgr__names_reserve(struct tmgr__names *names);
/* Room was reserved. The name stays in place until tmgr__names_fini(). */
void tmgr__names_add(struct tmgr__names *names, const char *name);
void tmgr__names_fini(struct tmgr__names *names);

#endif
