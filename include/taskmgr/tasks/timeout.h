/**
 * @file
 * Timeout: a task whose execute is cancelled after some time.
 */
#ifndef TMGR_TASKS_TIMEOUT_H
#define TMGR_TASKS_TIMEOUT_H

#include <taskmgr/task.h>

TMGR_BEGIN_DECLS

/**
 * A task that has so long for one execute. Then it is cancelled, and when it has ended this ends
 * with -ETIMEDOUT.
 *
 * What the task returned is passed on where it ended by itself, or with an error other than
 * -ECANCELED. A text given with tmgr_fail() is kept. One that has not ended within the task's stop
 * deadline after that cancel is stuck.
 *
 * @param task  taken, always
 * @param ns    nanoseconds, above 0, from the beginning of execute
 *
 * @return the task; one that is refused with -EINVAL (task has no execute, or ns is not above 0) or
 * -ENOMEM
 *
 * @thread any thread
 * @source Go, context.WithTimeout
 */
TMGR_API struct tmgr_task tmgr_timeout(struct tmgr_task task, int64_t ns);

TMGR_END_DECLS

#endif
