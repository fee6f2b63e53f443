/**
 * @file
 * Sequence: several tasks as one, one after another.
 */
#ifndef TMGR_TASKS_SEQUENCE_H
#define TMGR_TASKS_SEQUENCE_H

#include <taskmgr/task.h>

TMGR_BEGIN_DECLS

/**
 * A task that executes several, one after another, and ends with the first error, or with 0 after
 * the last.
 *
 * All are initialized before the first executes, in order, and cleaned up after the last, in
 * reverse. When an initialize fails those before it are cleaned up. A cleanup that fails does not
 * stop the others; the first error is returned. They share one context, so one value
 * (tmgr_context_set_value()) and one readiness.
 *
 * @param tasks  count of them, taken, always; the array is copied
 * @param count  above 0
 *
 * @return the task; one that is refused with -EINVAL (tasks is NULL or count 0, or what the first
 * refused one of tasks was refused with) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_sequence(const struct tmgr_task *tasks, size_t count);

TMGR_END_DECLS

#endif
