/*
 * A task that has only initialize: it becomes an ordinary user, for good. Add it behind the tasks
 * that need root in their initialize, and before those that talk to the world.
 */
#ifndef PRIVILEGES_DROP_H
#define PRIVILEGES_DROP_H

#include <sys/types.h>

#include <taskmgr/task.h>

/* Not root: logs that there is nothing to drop. */
struct tmgr_task drop_task(uid_t user, gid_t group);

#endif
