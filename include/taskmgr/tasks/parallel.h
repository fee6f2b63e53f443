/**
 * @file
 * Parallel: several tasks as one, side by side.
 */
#ifndef TMGR_TASKS_PARALLEL_H
#define TMGR_TASKS_PARALLEL_H

#include <taskmgr/task.h>

TMGR_BEGIN_DECLS

/**
 * A task that executes several at the same time, as children of its own, and ends when all have.
 *
 * The first that fails cancels the others, and its error, with its text, is what this ends with.
 * Initialize and cleanup are as in tmgr_sequence(): in order, in reverse, with the context they
 * share.
 *
 * When it executes it can end with -EAGAIN (no thread could be made) or -ENOMEM.
 *
 * @param tasks  count of them, taken, always; the array is copied
 * @param count  above 0
 *
 * @return the task; one that is refused with -EINVAL (tasks is NULL or count 0, or what the first
 * refused one of tasks was refused with) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_parallel(const struct tmgr_task *tasks, size_t count);

TMGR_END_DECLS

#endif
