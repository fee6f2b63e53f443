#include <errno.h>

#include <taskmgr/tasks/force_stop.h>

#include "tasks/wrapper.h"

struct force_stop {
	struct tmgr__wrapper wrapper;
	int64_t ns;
};

static int force_stop_execute(void *self, struct tmgr_context *context)
{
	struct force_stop *stop = self;
	int r = tmgr_context_set_stop_timeout(context, stop->ns);

	return r != 0 ? r : tmgr_task_execute(stop->wrapper.task, context);
}

static const struct tmgr_task_ops force_stop_ops = {
	.kind = "force stop",
	.initialize = tmgr__wrapper_initialize,
	.execute = force_stop_execute,
	.cleanup = tmgr__wrapper_cleanup,
	.destroy = tmgr__wrapper_destroy,
	.phases = tmgr__wrapper_phases,
	.runs = tmgr__wrapper_runs,
};

struct tmgr_task tmgr_force_stop(struct tmgr_task task, int64_t ns)
{
	static const struct tmgr_refusal no_time = { -EINVAL, "the time to stop is above 0" };
	struct force_stop *stop = tmgr__wrapper_create(
		sizeof(*stop), &task, ns > 0 ? NULL : &no_time);

	if (stop == NULL)
		return task;
	stop->ns = ns;
	return (struct tmgr_task){ &force_stop_ops, stop };
}
