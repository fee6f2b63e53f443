/*
 * Children of a task that are in memory it already has: starting them and waiting for all.
 */
#ifndef TMGR_TASKS_CHILDREN_INTERNAL_H
#define TMGR_TASKS_CHILDREN_INTERNAL_H

#include <stddef.h>

#include <taskmgr/context.h>

/*
 * Execute count children side by side: ops->execute is called with each of them, an element
 * of children, which are size bytes large and outlive this. The first that fails cancels the
 * others. Returns when all have ended: 0, or that error with its text, or that of starting one.
 */
int tmgr__children_run(struct tmgr_context *context, const struct tmgr_task_ops *ops,
	void *children, size_t size, size_t count);

#endif
