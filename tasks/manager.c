#include <errno.h>

#include <taskmgr/tasks/manager.h>

static int manager_initialize(void *self, struct tmgr_context *context)
{
	return tmgr_manager_start(self, context);
}

static int manager_execute(void *self, struct tmgr_context *context)
{
	return tmgr_manager_wait(self, context);
}

static int manager_cleanup(void *self, struct tmgr_context *context)
{
	/* A start that fails has cleaned up. */
	if (tmgr_context_initialize_failed(context))
		return 0;
	return tmgr_manager_finish(self, context);
}

static void manager_destroy(void *self)
{
	tmgr_manager_destroy(self);
}

static const struct tmgr_task_ops manager_ops = {
	.kind = "manager",
	.initialize = manager_initialize,
	.execute = manager_execute,
	.cleanup = manager_cleanup,
	.destroy = manager_destroy,
};

struct tmgr_task tmgr_manager_task(struct tmgr_manager *manager)
{
	static const struct tmgr_refusal none = { -ENOMEM, "the manager could not be created" };

	if (manager == NULL)
		return tmgr_task_refused(&none);
	return (struct tmgr_task){ &manager_ops, manager };
}
