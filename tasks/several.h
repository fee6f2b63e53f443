/*
 * What sequence and parallel have in common: they own several tasks, initialize them in order and
 * clean them up in reverse.
 */
#ifndef TMGR_TASKS_SEVERAL_INTERNAL_H
#define TMGR_TASKS_SEVERAL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include <taskmgr/context.h>

struct tmgr__several {
	size_t count;
	size_t failed; /* the one whose initialize did, where a context says that one failed */
	struct tmgr_task tasks[];
};

/* A task with these ops that owns count of them, or one that is refused; they are destroyed then.
 */
struct tmgr_task tmgr__several_create(
	const struct tmgr_task_ops *ops, const struct tmgr_task *tasks, size_t count);

/* For ops. */
int tmgr__several_initialize(void *self, struct tmgr_context *context);
int tmgr__several_cleanup(void *self, struct tmgr_context *context);
void tmgr__several_destroy(void *self);
unsigned tmgr__several_phases(const void *self);

#endif
