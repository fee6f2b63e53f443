/*
 * What belongs to an activation of a state: tokens, and tasks that are cancelled with them.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

/* ---- Tokens --------------------------------------------------------------------------------- */

struct state_token {
	struct tmgr_machine_when when;
	struct tmgr_token *token;
};

static void end_token(void *self, int result)
{
	struct state_token *state_token = self;

	/* It goes with its parent, too; then it has fired already. */
	tmgr_token_cancel(state_token->token, result < 0 ? result : 0, "its state has ended");
	tmgr_token_unref(state_token->token);
	free(state_token);
}

int tmgr_machine_state_token(struct tmgr_machine *machine, unsigned state,
	struct tmgr_token *parent, struct tmgr_token **ret_token)
{
	struct tmgr_machine_condition condition;
	struct state_token *state_token;
	uint64_t tick;
	int r;

	if (!machine || !ret_token || state >= machine->schema->count)
		return -EINVAL;
	state_token = calloc(1, sizeof(*state_token));
	if (!state_token)
		return -ENOMEM;
	r = tmgr_token_create(parent, &state_token->token);
	if (r < 0) {
		free(state_token);
		return r;
	}
	*ret_token = tmgr_token_ref(state_token->token);
	/* An inactive one has ended: its tick is not that of any activation. */
	tick = tmgr_machine_tick(machine, state);
	condition = TMGR_WHEN_CHANGED(state, tick & 1 ? tick : tick + 1);
	condition.token = parent;
	tmgr_machine_when(machine, &condition, &state_token->when, end_token, state_token);
	return 0;
}

/* ---- Tasks ---------------------------------------------------------------------------------- */

struct state_task {
	struct tmgr_task task;
	struct tmgr_machine *machine;
	unsigned state;
	uint64_t tick;
};

static void end_task(void *self, int result)
{
	tmgr_token_cancel(self, result < 0 ? result : 0, "its state has ended");
}

static bool lasts(const struct state_task *task)
{
	return tmgr_machine_tick(task->machine, task->state) == task->tick;
}

/* What it returned is the machine's. */
static void report(struct state_task *task, struct tmgr_context *context, int r)
{
	const char *text = tmgr_context_error_text(context);
	int code = r > 0 ? -TMGR_EFAILED : r;

	if (code == 0 || (code == -ECANCELED && (!lasts(task) || tmgr_context_cancelled(context))))
		return;
	tmgr_machine_add_error(
		task->machine, code, "%s", *text ? text : tmgr_context_name(context));
}

static int execute(void *self, struct tmgr_context *context)
{
	struct state_task *task = self;
	struct tmgr_machine_when when;
	struct tmgr_token *token;
	int r;

	if (!lasts(task))
		return 0;
	r = tmgr_token_create(tmgr_context_token(context), &token);
	if (r < 0) {
		report(task, context, r);
		return 0;
	}
	tmgr_machine_when(
		task->machine, &TMGR_WHEN_CHANGED(task->state, task->tick), &when, end_task, token);
	r = tmgr_task_execute_under(task->task, context, token);
	tmgr_machine_when_cancel(&when);
	tmgr_token_unref(token);
	report(task, context, r);
	return 0;
}

static void destroy(void *self)
{
	struct state_task *task = self;

	tmgr_task_destroy(task->task);
	tmgr_machine_unref(task->machine);
	free(task);
}

static const struct tmgr_task_ops state_task_ops = {
	.kind = "state",
	.execute = execute,
	.destroy = destroy,
};

/* Takes the task, also where it fails. */
static int add(struct tmgr_manager *manager, struct state_task *task,
	const struct tmgr_state_task_options *options)
{
	struct tmgr_machine *machine = task->machine;
	struct tmgr_task_options host = { .host = TMGR_HOST_DEFAULT };
	const char *name = options && options->name ? options->name
						    : machine->schema->names[task->state];

	if (options && options->on_pool)
		host.host = TMGR_HOST_POOL;
	else
		host.loop = options && options->loop ? options->loop : machine->loop;
	return tmgr_manager_add_execute_task_with(
		manager, name, (struct tmgr_task){ &state_task_ops, task }, TMGR_ERROR, &host);
}

int tmgr_state_task(struct tmgr_machine_event *event, struct tmgr_task task,
	const struct tmgr_state_task_options *options)
{
	unsigned phases = tmgr_task_phases(task);
	struct tmgr_manager *manager;
	struct state_task *made;
	int r = tmgr_task_error(task);

	if (r == 0 && (!event || event->kind != TMGR_HANDLER_STATE || phases != TMGR_EXECUTE))
		r = -EINVAL;
	made = r == 0 ? calloc(1, sizeof(*made)) : NULL;
	if (!made) {
		tmgr_task_destroy(task);
		return r < 0 ? r : -ENOMEM;
	}
	*made = (struct state_task){
		.task = task,
		.machine = tmgr_machine_ref(event->machine),
		.state = event->state,
		.tick = event->machine->ticks[event->state],
	};
	tmgr__lock_acquire(&event->machine->lock);
	manager = tmgr_manager_ref(event->machine->manager);
	tmgr__lock_release(&event->machine->lock);
	if (!manager) {
		destroy(made);
		return -ESHUTDOWN;
	}
	r = add(manager, made, options);
	tmgr_manager_unref(manager);
	return r;
}
