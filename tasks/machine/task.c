/*
 * A machine as a task: it sees to timeouts, and ends when it is told to, or what its options say has
 * come. One flag wakes it, whatever there is to look at.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

struct machine_task {
	struct tmgr_machine *machine;
	struct tmgr_machine_task_options options; /* lists are its own */
	bool ran;
	/* Atomic: what has come. */
	bool started, refused, done, failed, stopped, disposed;
};

/* What is waited for meanwhile. */
struct watching {
	struct machine_task *task;
	struct tmgr_machine_when when;
	bool *flag;
	bool begun;
};

/* ---- Watching -------------------------------------------------------------------------------- */

static void has_come(void *self, int result)
{
	struct watching *watching = self;

	if (result == 0) {
		__atomic_store_n(watching->flag, true, __ATOMIC_RELEASE);
		tmgr_flag_set(watching->task->machine->alarm);
	}
}

static void watch(struct watching *watching, struct machine_task *task,
	const struct tmgr_machine_condition *condition, bool *flag)
{
	watching->task = task;
	watching->flag = flag;
	tmgr__when_register(task->machine, condition, &watching->when, has_come, watching);
	watching->begun = true;
}

static void start_has_ended(void *self, int result)
{
	struct watching *watching = self;

	if (result != TMGR_MUTATION_EXECUTED)
		__atomic_store_n(&watching->task->refused, true, __ATOMIC_RELEASE);
	has_come(watching, 0);
}

/* Make the start's mutation; where it has to wait its end is watched. */
static int watch_start(struct watching *watching, struct machine_task *task)
{
	struct tmgr_mutation mutation = { .states = task->options.start, .no_wait = true };
	struct tmgr__cause cause = { .origin = TMGR_ORIGIN_CALL, .when = &watching->when };

	watching->task = task;
	watching->flag = &task->started;
	tmgr__when_init(&watching->when, task->machine, start_has_ended, watching);
	watching->begun = true;
	return tmgr__machine_mutate(task->machine, &mutation, &cause, NULL);
}

static void watch_no_more(struct watching *watching)
{
	if (watching->begun)
		tmgr_machine_when_cancel(&watching->when);
}

static bool is_set(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

/* Flags, ended by NULL. */
static bool one_is_set(const bool *const *flags)
{
	while (*flags && !is_set(*flags))
		flags++;
	return *flags != NULL;
}

/* Until one of them has come, or the machine's end: 0; see to timeouts meanwhile. */
static int serve(struct machine_task *task, struct tmgr_context *context, const bool *const *flags)
{
	struct tmgr_machine *machine = task->machine;

	for (;;) {
		int64_t next;
		int r;

		tmgr_flag_clear(machine->alarm);
		if (one_is_set(flags) || is_set(&task->disposed))
			return 0;
		next = tmgr_machine_next_timeout(machine);
		r = tmgr_flag_wait(context, machine->alarm, next);
		/* It is cancelled, or the scope that it is in has come to its deadline. */
		if (r == -ECANCELED || (r == -ETIMEDOUT && tmgr_now() < next))
			return r;
		if (r == -ETIMEDOUT)
			tmgr_machine_expire(machine);
	}
}

/* ---- Execute --------------------------------------------------------------------------------- */

static void attach(struct machine_task *task, struct tmgr_context *context)
{
	struct tmgr_manager *manager = tmgr_manager_ref(tmgr_context_manager(context));
	struct tmgr_manager *before;

	tmgr__lock_acquire(&task->machine->lock);
	before = task->machine->manager;
	task->machine->manager = manager;
	tmgr__lock_release(&task->machine->lock);
	tmgr_manager_unref(before);
}

static void detach(struct machine_task *task)
{
	struct tmgr_manager *manager;

	tmgr__lock_acquire(&task->machine->lock);
	manager = task->machine->manager;
	task->machine->manager = NULL;
	tmgr__lock_release(&task->machine->lock);
	tmgr_manager_unref(manager);
}

static int initialize(void *self, struct tmgr_context *context)
{
	struct machine_task *task = self;

	if (task->ran)
		return -EALREADY;
	attach(task, context);
	return 0;
}

static int cleanup(void *self, struct tmgr_context *context)
{
	detach(self);
	return 0;
}

/* Told to stop. */
static int stop(struct machine_task *task, struct tmgr_context *context)
{
	const struct tmgr_machine_task_options *options = &task->options;
	/* Before it is given up as stuck. */
	int64_t deadline = tmgr_after(tmgr_context_stop_timeout(context) / 4 * 3);
	struct watching stopped = { .begun = false };
	const bool *const flags[] = { &task->stopped, NULL };
	int r = 0;

	if (!options->stop && !options->stopped)
		return -ECANCELED;
	tmgr_uninterrupted_begin(context, deadline);
	if (options->stop)
		tmgr_machine_change(task->machine, TMGR_MUTATION_ADD, options->stop, NULL);
	if (options->stopped) {
		watch(&stopped, task,
			&(struct tmgr_machine_condition){
				.kind = TMGR_CONDITION_ACTIVE,
				.states = options->stopped,
			},
			&task->stopped);
		r = serve(task, context, flags);
		watch_no_more(&stopped);
	}
	tmgr_uninterrupted_end(context);
	if (r < 0)
		return tmgr_fail(context, -ETIMEDOUT, "%s does not come to its stop",
			tmgr_machine_name(task->machine));
	return -ECANCELED;
}

static void pass_by(void *self, struct tmgr_machine *machine)
{
	(void)self;
	(void)machine;
}

static int how_it_ended(struct machine_task *task, struct tmgr_context *context, int r)
{
	bool refused = is_set(&task->refused) && !is_set(&task->done);
	struct tmgr_machine_error error;

	if (r < 0)
		return stop(task, context);
	/* Where a handler of it failed Exception is added before anything else is made. */
	if (refused)
		tmgr_machine_evaluate(context, task->machine, pass_by, NULL, TMGR_NEVER);
	if (refused && !is_set(&task->failed))
		return tmgr_fail(
			context, -EPERM, "%s refuses to start", tmgr_machine_name(task->machine));
	if (!is_set(&task->failed))
		return 0;
	tmgr_machine_error(task->machine, &error);
	return tmgr_fail(context, error.code, "%s", error.text);
}

static int run(struct machine_task *task, struct tmgr_context *context)
{
	const struct tmgr_machine_task_options *options = &task->options;
	struct tmgr_machine *machine = task->machine;
	/* Borrowed by the wait: it lasts as long as this function. */
	const unsigned exception[] = { tmgr_machine_exception(machine), TMGR_STATES_END };
	const bool *const flags[] = { &task->done, &task->failed, &task->refused, NULL };
	const bool *const started[] = { &task->started, &task->done, &task->failed, NULL };
	struct watching done = { .begun = false }, failed = { .begun = false };
	struct watching disposed = { .begun = false }, start = { .begun = false };
	int r = 0;

	watch(&disposed, task, &TMGR_WHEN_DISPOSED, &task->disposed);
	if (options->done)
		watch(&done, task,
			&(struct tmgr_machine_condition){
				.kind = TMGR_CONDITION_ACTIVE,
				.states = options->done,
			},
			&task->done);
	if (options->fail_on_error)
		watch(&failed, task,
			&(struct tmgr_machine_condition){
				.kind = TMGR_CONDITION_ACTIVE,
				.states = exception,
			},
			&task->failed);
	if (options->start)
		r = watch_start(&start, task);
	if (r == TMGR_MUTATION_CANCELLED)
		start_has_ended(&start, r);
	/* Its loop makes it soon; what postpones it may end by a timeout. */
	if (r == TMGR_MUTATION_QUEUED && tmgr__machine_elsewhere(machine))
		serve(task, context, started);
	tmgr_ready(context);
	if (r >= 0)
		r = how_it_ended(task, context, serve(task, context, flags));
	watch_no_more(&start);
	watch_no_more(&done);
	watch_no_more(&failed);
	watch_no_more(&disposed);
	return r;
}

static int execute(void *self, struct tmgr_context *context)
{
	struct machine_task *task = self;
	int r;

	if (task->ran)
		return -EALREADY;
	task->ran = true;
	attach(task, context);
	r = run(task, context);
	tmgr_machine_dispose(task->machine);
	return r;
}

/* ---- Making it ------------------------------------------------------------------------------- */

static void destroy(void *self)
{
	struct machine_task *task = self;

	if (task->machine) {
		detach(task);
		tmgr_machine_dispose(task->machine);
	}
	tmgr_machine_unref(task->machine);
	free((void *)task->options.start);
	free((void *)task->options.done);
	free((void *)task->options.stop);
	free((void *)task->options.stopped);
	free(task);
}

static const struct tmgr_task_ops machine_ops = {
	.kind = "machine",
	.initialize = initialize,
	.execute = execute,
	.cleanup = cleanup,
	.destroy = destroy,
};

/* Copy a list, in its place. */
static int copy_list(const struct tmgr_machine *machine, const unsigned **list)
{
	const unsigned *from = *list;
	size_t size = sizeof(*from);
	unsigned *copy;

	*list = NULL;
	if (!from)
		return 0;
	if (!tmgr__machine_knows(machine, from))
		return -EINVAL;
	for (const unsigned *at = from; *at != TMGR_STATES_END; at++)
		size += sizeof(*at);
	copy = malloc(size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, from, size);
	*list = copy;
	return 0;
}

static int copy_lists(struct machine_task *task)
{
	const unsigned **const lists[] = { &task->options.start, &task->options.done,
		&task->options.stop, &task->options.stopped };
	int r = 0;

	/* All of them, so that none is left that is not its own. */
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		int one = copy_list(task->machine, lists[i]);

		r = r < 0 ? r : one;
	}
	if (r == 0 && !task->machine->alarm) {
		task->machine->alarm = calloc(1, sizeof(*task->machine->alarm));
		r = task->machine->alarm ? 0 : -ENOMEM;
	}
	return r;
}

struct tmgr_task tmgr_machine_task(
	struct tmgr_machine *machine, const struct tmgr_machine_task_options *options)
{
	static const struct tmgr_refusal no_machine = { -EINVAL, "a machine's task has a machine" };
	static const struct tmgr_refusal bad_list = { -EINVAL,
		"a machine's task names states that are there" };
	struct machine_task *task;
	int r;

	if (!machine)
		return tmgr_task_refused(&no_machine);
	task = calloc(1, sizeof(*task));
	if (!task) {
		tmgr_machine_unref(machine);
		return tmgr_task_failed(-ENOMEM);
	}
	task->machine = machine;
	if (options)
		task->options = *options;
	r = copy_lists(task);
	if (r == 0)
		return (struct tmgr_task){ &machine_ops, task };
	destroy(task);
	return r == -EINVAL ? tmgr_task_refused(&bad_list) : tmgr_task_failed(r);
}
