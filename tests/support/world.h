/*
 * What must hold of the rows in a store of durable processes, whatever has happened: a reference that knows only the rows.
 */
#ifndef TESTS_SUPPORT_WORLD_H
#define TESTS_SUPPORT_WORLD_H

#include <stdbool.h>
#include <stddef.h>

#include <taskmgr/tasks/process_store.h>

/* NULL when all holds; else what does not, in static memory. With settled no timer is due at now_ms either. */
const char *world_check(struct tmgr_store *store, bool settled, long long now_ms);

#endif
