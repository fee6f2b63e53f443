#include <errno.h>

#include <taskmgr/signal.h>
#include <taskmgr/tasks/interruptible.h>

#include "tasks/signal_rule.h"
#include "tasks/wrapper.h"

struct interruptible {
	struct tmgr__wrapper wrapper;
	int signo;
};

/* Execute until the signal comes. Returns 0 when it was interrupted, and is to begin anew. */
static int execute_until_signal(struct interruptible *self, struct tmgr_context *context,
	struct tmgr_signal_watch *watch, struct tmgr_token *token)
{
	bool fired;
	int r;

	r = tmgr_signal_watch_arm(watch, token);
	if (r != 0)
		return r;
	r = tmgr_task_execute_under(self->wrapper.task, context, token);
	/* Read before anything else: the signal may come after a task has ended by itself. */
	fired = tmgr_token_fired(token);
	tmgr_signal_watch_arm(watch, NULL);

	if (!fired && r == 0)
		return tmgr_fail(context, -TMGR_EUNEXPECTED, "ended without being interrupted");
	if (r != 0 && !(fired && r == -ECANCELED))
		return r;
	return tmgr_context_cancelled(context) ? -ECANCELED : 0;
}

/* One execute with a token of its own, and, when it was interrupted, cleanup and initialize. */
static int turn(
	struct interruptible *self, struct tmgr_context *context, struct tmgr_signal_watch *watch)
{
	struct tmgr_token *token;
	int r;

	r = tmgr_token_create(tmgr_context_token(context), &token);
	if (r != 0)
		return r;
	r = execute_until_signal(self, context, watch, token);
	tmgr_token_unref(token);
	if (r != 0)
		return r;

	tmgr_context_note_restart(context, 0, 0);
	tmgr__forget_text(context);
	r = tmgr__wrapper_take_down(&self->wrapper, context);
	if (r != 0)
		return r;
	if (tmgr_context_cancelled(context))
		return -ECANCELED;
	return tmgr__wrapper_set_up(&self->wrapper, context);
}

static int interruptible_execute(void *self, struct tmgr_context *context)
{
	struct interruptible *interruptible = self;
	struct tmgr_signal_watch *watch;
	int r;

	r = tmgr_signal_watch_create(context, interruptible->signo, NULL, &watch);
	if (r != 0)
		return tmgr_fail(context, r, "watching signal %d", interruptible->signo);
	do
		r = turn(interruptible, context, watch);
	while (r == 0);
	tmgr_signal_watch_destroy(watch);
	return r;
}

static const struct tmgr_task_ops interruptible_ops = {
	.kind = "interruptible",
	.initialize = tmgr__wrapper_initialize,
	.execute = interruptible_execute,
	.cleanup = tmgr__wrapper_cleanup,
	.destroy = tmgr__wrapper_destroy,
	.phases = tmgr__wrapper_phases,
};

static const struct tmgr_refusal *refuse(struct tmgr_task task, int signo)
{
	static const struct tmgr_refusal bad_signal = { -EINVAL,
		"a task cannot be interrupted by this signal" };

	if (!tmgr__signal_can_be_watched(signo))
		return &bad_signal;
	return (tmgr_task_phases(task) & TMGR_EXECUTE) != 0 ? NULL : &tmgr__refusal_no_execute;
}

struct tmgr_task tmgr_interruptible(struct tmgr_task task, int signo)
{
	struct interruptible *self = tmgr__wrapper_create(
		sizeof(*self), &task, refuse(task, signo));

	if (self == NULL)
		return task;
	self->signo = signo;
	return (struct tmgr_task){ &interruptible_ops, self };
}
