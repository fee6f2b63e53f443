#include <taskmgr/task.h>

#include <errno.h>
#include <stdlib.h>

#include <taskmgr/context.h>

/*
 * Refused tasks need no memory: their ops are one of these two, and self is the error's number or
 * the refusal.
 */
static const struct tmgr_task_ops failed_ops = { .kind = "refused" };
static const struct tmgr_task_ops refused_ops = { .kind = "refused" };

struct function_task {
	int (*function)(void *self, struct tmgr_context *context);
	void *self;
};

static int call_function(void *self, struct tmgr_context *context)
{
	struct function_task *task = self;

	return task->function(task->self, context);
}

static const struct tmgr_task_ops function_ops = {
	.kind = "function",
	.execute = call_function,
	.destroy = free,
};

struct tmgr_task tmgr_task_function(
	int (*function)(void *self, struct tmgr_context *context), void *self)
{
	static const struct tmgr_refusal no_function = { -EINVAL, "a task needs a function" };
	struct function_task *task;

	if (!function)
		return tmgr_task_refused(&no_function);
	task = malloc(sizeof(*task));
	if (!task)
		return tmgr_task_failed(-ENOMEM);
	*task = (struct function_task){ function, self };
	return (struct tmgr_task){ &function_ops, task };
}

struct tmgr_task tmgr_task_failed(int error)
{
	intptr_t value = error < 0 ? error : -EINVAL;

	return (struct tmgr_task){ &failed_ops, (void *)value };
}

struct tmgr_task tmgr_task_refused(const struct tmgr_refusal *refusal)
{
	if (!refusal || refusal->error >= 0)
		return tmgr_task_failed(-EINVAL);
	return (struct tmgr_task){ &refused_ops, (void *)(uintptr_t)refusal };
}

int tmgr_task_error(struct tmgr_task task)
{
	if (!task.ops)
		return -EINVAL;
	if (task.ops == &failed_ops)
		return (int)(intptr_t)task.self;
	if (task.ops == &refused_ops)
		return ((const struct tmgr_refusal *)task.self)->error;
	if (!task.ops->initialize && !task.ops->execute && !task.ops->cleanup)
		return -EINVAL;
	return 0;
}

const char *tmgr_task_rule(struct tmgr_task task)
{
	if (task.ops == &refused_ops)
		return ((const struct tmgr_refusal *)task.self)->rule;
	if (task.ops == &failed_ops)
		return NULL;
	return tmgr_task_error(task) < 0 ? "a task needs at least one function" : NULL;
}

const char *tmgr_task_kind(struct tmgr_task task)
{
	return task.ops && task.ops->kind ? task.ops->kind : "task";
}

unsigned tmgr_task_phases(struct tmgr_task task)
{
	if (tmgr_task_error(task) < 0)
		return 0;
	if (task.ops->phases)
		return task.ops->phases(task.self);
	return (task.ops->initialize ? TMGR_INITIALIZE : 0u) |
	       (task.ops->execute ? TMGR_EXECUTE : 0u) | (task.ops->cleanup ? TMGR_CLEANUP : 0u);
}

bool tmgr_task_runs(struct tmgr_task task, const struct tmgr_executor *host)
{
	return task.ops && task.ops->runs && task.ops->runs(task.self, host);
}

int tmgr_task_initialize(struct tmgr_task task, struct tmgr_context *context)
{
	if (tmgr_task_error(task) < 0)
		return -EINVAL;
	return task.ops->initialize ? task.ops->initialize(task.self, context) : 0;
}

int tmgr_task_execute(struct tmgr_task task, struct tmgr_context *context)
{
	if (tmgr_task_error(task) < 0)
		return -EINVAL;
	return task.ops->execute ? task.ops->execute(task.self, context) : 0;
}

int tmgr_task_cleanup(struct tmgr_task task, struct tmgr_context *context)
{
	if (tmgr_task_error(task) < 0)
		return -EINVAL;
	return task.ops->cleanup ? task.ops->cleanup(task.self, context) : 0;
}

void tmgr_task_destroy(struct tmgr_task task)
{
	/*
	 * A refused task has no destroy, one with only destroy is not valid but has something to
	 * release.
	 */
	if (task.ops && task.ops->destroy)
		task.ops->destroy(task.self);
}
