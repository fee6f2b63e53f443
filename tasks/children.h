/*
 * Children of a task that are in memory it already has: starting them and waiting for all.
 */
#ifndef TMGR_TASKS_CHILDREN_INTERNAL_H
#define TMGR_TASKS_CHILDREN_INTERNAL_H

#include <stdatomic.h>
#include <stddef.h>

#include <taskmgr/context.h>

/* An array in memory that outlives the execution. */
struct tmgr__children {
	const struct tmgr_task_ops *ops; /* with execute only, called with each element */
	void *elements;
	size_t size; /* of an element, bytes */
	size_t count;
	/* or NULL: set when one cannot be started, before the others are cancelled for it */
	atomic_bool *failed;
};

/*
 * Execute all of them side by side. The first that fails cancels the others. Returns when all have
 * ended: 0, or that error with its text, or that of starting one.
 */
int tmgr__children_run(struct tmgr_context *context, const struct tmgr__children *children);

#endif
