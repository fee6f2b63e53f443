#include <errno.h>

#include <taskmgr/tasks/timeout.h>

#include "tasks/schedule.h"
#include "tasks/wrapper.h"

struct timeout {
	struct tmgr__wrapper wrapper;
	int64_t ns;
};

/* Whether it was our deadline that fired the token, and not one of the tokens above it. */
static bool timed_out(struct tmgr_token *token, int64_t deadline, struct tmgr_context *context)
{
	struct tmgr_token *parent = tmgr_context_token(context);
	struct tmgr_cause cause;

	if (tmgr_token_cause(token, &cause) != 0 || cause.reason != TMGR_REASON_DEADLINE)
		return false;
	if (tmgr_token_cause(parent, &cause) != 0 || cause.reason != TMGR_REASON_DEADLINE)
		return true;
	return deadline < tmgr_token_deadline(parent);
}

/* Have the task stuck when it has not ended long after the time it was cancelled at. */
static void set_end(struct tmgr_context *context, int64_t deadline)
{
	/* A timeout around this one may come first, and holds on when this one is over. */
	int64_t around = tmgr_context_deadline(context);

	tmgr_context_set_end_deadline(
		context, tmgr__schedule_add(deadline < around ? deadline : around,
				 tmgr_context_stop_timeout(context)));
}

static int execute_until(struct timeout *timeout, struct tmgr_context *context,
	struct tmgr_token *token, int64_t deadline)
{
	bool fired;
	int r;

	tmgr_token_set_deadline(token, deadline);
	set_end(context, deadline);
	r = tmgr_task_execute_under(timeout->wrapper.task, context, token);
	/* Read before anything else: the deadline may pass after a task has ended by itself. */
	fired = tmgr_token_fired(token);
	set_end(context, TMGR_NEVER);

	if ((r != 0 && r != -ECANCELED) || !fired || !timed_out(token, deadline, context))
		return r;
	if (tmgr_context_error_text(context)[0] != '\0')
		return -ETIMEDOUT;
	return tmgr_fail(context, -ETIMEDOUT, "cancelled after %lld ms",
		(long long)(timeout->ns / TMGR_MILLISECOND));
}

static int timeout_execute(void *self, struct tmgr_context *context)
{
	struct timeout *timeout = self;
	int64_t deadline = tmgr_after(timeout->ns);
	struct tmgr_token *token;
	int r;

	r = tmgr_token_create(tmgr_context_token(context), &token);
	if (r != 0)
		return r;
	r = execute_until(timeout, context, token, deadline);
	tmgr_token_unref(token);
	return r;
}

static const struct tmgr_task_ops timeout_ops = {
	.kind = "timeout",
	.initialize = tmgr__wrapper_initialize,
	.execute = timeout_execute,
	.cleanup = tmgr__wrapper_cleanup,
	.destroy = tmgr__wrapper_destroy,
	.phases = tmgr__wrapper_phases,
};

static const struct tmgr_refusal *refuse(struct tmgr_task task, int64_t ns)
{
	static const struct tmgr_refusal no_time = { -EINVAL, "a timeout is above 0" };

	if (ns <= 0)
		return &no_time;
	return (tmgr_task_phases(task) & TMGR_EXECUTE) != 0 ? NULL : &tmgr__refusal_no_execute;
}

struct tmgr_task tmgr_timeout(struct tmgr_task task, int64_t ns)
{
	struct timeout *timeout = tmgr__wrapper_create(sizeof(*timeout), &task, refuse(task, ns));

	if (timeout == NULL)
		return task;
	timeout->ns = ns;
	return (struct tmgr_task){ &timeout_ops, timeout };
}
