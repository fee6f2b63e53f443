#include <errno.h>

#include <taskmgr/tasks/sequence.h>

#include "tasks/several.h"

static int sequence_execute(void *self, struct tmgr_context *context)
{
	struct tmgr__several *several = self;
	int r = 0;

	for (size_t i = 0; r == 0 && i < several->count; i++)
		r = tmgr_context_cancelled(context) ? -ECANCELED
						    : tmgr_task_execute(several->tasks[i], context);
	return r;
}

static const struct tmgr_task_ops sequence_ops = {
	.kind = "sequence",
	.initialize = tmgr__several_initialize,
	.execute = sequence_execute,
	.cleanup = tmgr__several_cleanup,
	.destroy = tmgr__several_destroy,
	.phases = tmgr__several_phases,
};

struct tmgr_task tmgr_sequence(const struct tmgr_task *tasks, size_t count)
{
	return tmgr__several_create(&sequence_ops, tasks, count);
}
