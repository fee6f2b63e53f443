/**
 * @file
 * Force stop: a task that has so long to stop.
 */
#ifndef TMGR_TASKS_FORCE_STOP_H
#define TMGR_TASKS_FORCE_STOP_H

#include <taskmgr/task.h>

TMGR_BEGIN_DECLS

/**
 * A task that is stuck if it has not ended some time after it was told to stop: named, and left
 * behind.
 *
 * Its end is passed on as it is. The time begins when the task is told to stop by its manager or
 * its handle, not when a wrapper between ends it. It is set when execute begins; of several the
 * innermost holds.
 *
 * @param task  taken, always
 * @param ns    nanoseconds, above 0
 *
 * @return the task; one that is refused with -EINVAL (ns is not above 0) or -ENOMEM
 *
 * @thread any thread
 * @source goasync, ForceStop
 */
TMGR_API struct tmgr_task tmgr_force_stop(struct tmgr_task task, int64_t ns);

TMGR_END_DECLS

#endif
