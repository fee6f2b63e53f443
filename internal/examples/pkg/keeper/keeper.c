#include <errno.h>
#include <stdlib.h>

#include "keeper.h"

#include "internal/examples/pkg/keeper/keeper_machine.h"

#define DOUBLINGS 5

struct keeper {
	const struct keeper_ops *ops;
	void *self;
	int64_t delay_ns;
	unsigned failures; /* since it was ready; of the handlers */
	struct tmgr_machine *machine;
	struct tmgr_machine_log log;
	/* Of who uses the connection: a task that was cancelled may not have returned yet. */
	struct tmgr_mutex mutex;
};

/* ---- Tasks, each of a state ------------------------------------------------------------------ */

typedef int step_function(void *self, struct tmgr_context *context);

static int make_step(struct keeper *keeper, struct tmgr_context *context, step_function *step)
{
	int r = tmgr_mutex_lock(context, &keeper->mutex, TMGR_NEVER);

	if (r < 0)
		return r;
	r = step(keeper->self, context);
	tmgr_mutex_unlock(context, &keeper->mutex);
	return r;
}

static int connect_task(void *self, struct tmgr_context *context)
{
	struct keeper *keeper = self;
	int r = make_step(keeper, context, keeper->ops->connect);

	/* Of a state that has ended meanwhile this would be a connection too many. */
	if (r == 0 && !tmgr_context_cancelled(context))
		tmgr_machine_change(keeper->machine, TMGR_MUTATION_ADD,
			TMGR_STATES(KEEPER_CONNECTED, KEEPER_AUTHENTICATING), NULL);
	return r;
}

static int authenticate_task(void *self, struct tmgr_context *context)
{
	struct keeper *keeper = self;
	int r = make_step(keeper, context, keeper->ops->authenticate);

	if (r == 0)
		keeper_add_ready(keeper->machine, NULL);
	return r;
}

static int watch_task(void *self, struct tmgr_context *context)
{
	struct keeper *keeper = self;

	return make_step(keeper, context, keeper->ops->watch);
}

static int back_off_task(void *self, struct tmgr_context *context)
{
	struct keeper *keeper = self;
	unsigned doublings = keeper->failures < DOUBLINGS ? keeper->failures : DOUBLINGS;
	int r = tmgr_sleep(context, keeper->delay_ns << doublings);

	if (r == 0)
		keeper_add_connecting(keeper->machine, NULL);
	return r;
}

/* ---- Handlers -------------------------------------------------------------------------------- */

static void start(struct tmgr_machine_event *event, step_function *function, void *self)
{
	int r = tmgr_state_task(event, tmgr_task_function(function, self), NULL);

	if (r < 0 && r != -ESHUTDOWN)
		tmgr_machine_fail(event, r, "a task could not be started");
}

static void connecting_state(void *self, struct tmgr_machine_event *event)
{
	start(event, connect_task, self);
}

static void authenticating_state(void *self, struct tmgr_machine_event *event)
{
	start(event, authenticate_task, self);
}

static void ready_state(void *self, struct tmgr_machine_event *event)
{
	struct keeper *keeper = self;

	keeper->failures = 0;
	start(event, watch_task, self);
}

static void backing_off_state(void *self, struct tmgr_machine_event *event)
{
	start(event, back_off_task, self);
}

static void backing_off_end(void *self, struct tmgr_machine_event *event)
{
	struct keeper *keeper = self;

	keeper->failures++;
}

/* Whatever was wrong: a task has failed, or a state was active for too long. */
static void exception_state(void *self, struct tmgr_machine_event *event)
{
	keeper_add_backing_off(event->machine, NULL);
	keeper_remove_exception(event->machine, NULL);
}

static const struct tmgr_state_handlers rows[KEEPER__STATES] = {
	[KEEPER_CONNECTING] = { .state = connecting_state },
	[KEEPER_AUTHENTICATING] = { .state = authenticating_state },
	[KEEPER_READY] = { .state = ready_state },
	[KEEPER_BACKING_OFF] = { .state = backing_off_state, .end = backing_off_end },
	[KEEPER_EXCEPTION] = { .state = exception_state },
};

static const struct tmgr_machine_handlers handlers = {
	.states = rows,
	.state_count = KEEPER__STATES,
};

/* ---- Making and using it --------------------------------------------------------------------- */

static int make_machine(struct keeper *keeper, const struct keeper_options *options)
{
	struct tmgr_machine_options machine_options = { .name = options->name };
	struct tmgr_schema *schema;
	int r = keeper_compile(&schema);

	if (r < 0)
		return r;
	r = tmgr_machine_create(schema, &machine_options, &keeper->machine);
	tmgr_schema_unref(schema);
	if (r == 0)
		r = tmgr_machine_bind(keeper->machine, &handlers, keeper);
	if (r == 0 && options->log != NULL)
		r = tmgr_machine_log(keeper->machine, &keeper->log, TMGR_MACHINE_LOG_CHANGES,
			options->log, keeper->self);
	return r;
}

int keeper_create(const struct keeper_ops *ops, void *self, const struct keeper_options *options,
	struct keeper **ret_keeper)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int r;

	if (keeper == NULL)
		return -ENOMEM;
	keeper->ops = ops;
	keeper->self = self;
	keeper->delay_ns = options->delay_ns;
	r = make_machine(keeper, options);
	if (r < 0)
		keeper_destroy(keeper);
	else
		*ret_keeper = keeper;
	return r;
}

void keeper_destroy(struct keeper *keeper)
{
	if (keeper == NULL)
		return;
	tmgr_machine_unref(keeper->machine);
	tmgr_mutex_fini(&keeper->mutex);
	free(keeper);
}

struct tmgr_task keeper_task(struct keeper *keeper)
{
	struct tmgr_machine_task_options options = {
		.start = TMGR_STATES(KEEPER_CONNECTING),
		.stop = TMGR_STATES(KEEPER_STOPPED),
		.stopped = TMGR_STATES(KEEPER_STOPPED),
	};

	return tmgr_machine_task(tmgr_machine_ref(keeper->machine), &options);
}

int keeper_wait_until_ready(struct keeper *keeper, struct tmgr_context *context, int64_t deadline)
{
	return keeper_wait_ready(context, keeper->machine, deadline);
}

int keeper_wait_until_broken(struct keeper *keeper, struct tmgr_context *context, int64_t deadline)
{
	return keeper_wait_not_ready(context, keeper->machine, deadline);
}

uint64_t keeper_times_ready(const struct keeper *keeper)
{
	return (keeper_tick_ready(keeper->machine) + 1) / 2;
}
