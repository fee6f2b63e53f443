#include <taskmgr/tasks/parallel.h>

#include "tasks/children.h"
#include "tasks/several.h"

static int child_execute(void *self, struct tmgr_context *context)
{
	const struct tmgr_task *task = self;

	return tmgr_task_execute(*task, context);
}

static const struct tmgr_task_ops child_ops = {
	.kind = "parallel child",
	.execute = child_execute,
};

static int parallel_execute(void *self, struct tmgr_context *context)
{
	struct tmgr__several *several = self;

	return tmgr__children_run(context, &(struct tmgr__children){
						   .ops = &child_ops,
						   .elements = several->tasks,
						   .size = sizeof(several->tasks[0]),
						   .count = several->count,
					   });
}

static const struct tmgr_task_ops parallel_ops = {
	.kind = "parallel",
	.initialize = tmgr__several_initialize,
	.execute = parallel_execute,
	.cleanup = tmgr__several_cleanup,
	.destroy = tmgr__several_destroy,
	.phases = tmgr__several_phases,
};

struct tmgr_task tmgr_parallel(const struct tmgr_task *tasks, size_t count)
{
	return tmgr__several_create(&parallel_ops, tasks, count);
}
