/* The runtime's task: the engine's thread. */
#include <errno.h>
#include <stdlib.h>

#include <taskmgr/error.h>
#include <taskmgr/thread_call.h>

#include "tasks/process/runtime.h"

/* A wait is no longer than this, so that a wall clock that is set is noticed. */
#define LONGEST_NS TMGR_SECOND

/* ---- The report at the start ----------------------------------------------------------------- */

static void report_methods(struct tmgr_context *context, const struct tmgr__edefinition *definition)
{
	if (definition->user == NULL && definition->processes > 0)
		tmgr_log(context, TMGR_LEVEL_WARNING,
			"%zu processes of %s are paused: this program lacks the definition",
			definition->processes, definition->name);
	for (const struct tmgr__emethod *method = definition->missing;
		definition->user != NULL && method != NULL; method = method->next)
		tmgr_log(context, TMGR_LEVEL_WARNING,
			"goroutines of %s will pause: this program lacks the method %s",
			definition->name, method->name);
}

/* The report has the error; what the store says of it is more. */
static int fail_with(struct tmgr_processes *processes, struct tmgr_context *context, int error)
{
	struct tmgr_store_health health;

	if (processes->define_error != 0)
		return tmgr_fail(context, error, "%s", processes->define_text);
	processes->store->ops->health(processes->store, &health);
	return tmgr_fail(context, error, "%s", health.error != 0 ? health.text : "");
}

static void report_recovery(struct tmgr_processes *processes, struct tmgr_context *context)
{
	struct tmgr_store_health health;

	if (!processes->recovered)
		return;
	processes->store->ops->health(processes->store, &health);
	tmgr_log(context, TMGR_LEVEL_WARNING, "%s",
		health.text[0] != '\0' ? health.text : "the store has recovered");
}

static int processes_initialize(void *self, struct tmgr_context *context)
{
	struct tmgr_processes *processes = self;
	int r = tmgr__runtime_open(processes);

	if (r != 0)
		return fail_with(processes, context, r);
	report_recovery(processes, context);
	for (const struct tmgr__edefinition *definition = processes->engine->definitions;
		definition != NULL; definition = definition->next)
		report_methods(context, definition);
	return 0;
}

/* ---- Turns ----------------------------------------------------------------------------------- */

/* Once when it begins, and once when it is over. */
static void tell_no_room(struct tmgr_processes *processes, struct tmgr_context *context)
{
	struct tmgr_store_health health;

	if (processes->no_room == processes->told_no_room)
		return;
	processes->told_no_room = processes->no_room;
	if (!processes->no_room) {
		tmgr_log(context, TMGR_LEVEL_WARNING, "there is room again: steps go on");
		return;
	}
	processes->store->ops->health(processes->store, &health);
	tmgr_log(context, TMGR_LEVEL_WARNING, "steps are held until there is room: %s",
		health.text[0] != '\0' ? health.text : tmgr_strerror(-ENOSPC));
}

static void turn(struct tmgr_processes *processes, struct tmgr_context *context)
{
	tmgr__runtime_order_done(processes);
	tell_no_room(processes, context);
	tmgr__runtime_tell_untold(processes, false);
	if (processes->failed == 0)
		tmgr__runtime_take(processes);
	if (processes->failed == 0 && !processes->stopping)
		tmgr__runtime_tick(processes);
	if (processes->failed == 0)
		tmgr__runtime_look_for_late(processes);
	if (processes->failed == 0) {
		tmgr__runtime_dispatch(processes);
		tmgr__runtime_order(processes);
		tmgr__runtime_answer(processes);
		if (!processes->stopping)
			tmgr__runtime_back_up(processes, context);
	}
	tmgr__runtime_count(processes);
}

/* When something is to be done without being told. */
static int64_t next_turn(const struct tmgr_processes *processes)
{
	int64_t now = tmgr_now(), at = now + LONGEST_NS, passed = now - processes->base_ns;
	int64_t ms = tmgr__engine_timeout(processes->engine,
		processes->base_now_ms + passed / TMGR_MILLISECOND,
		tmgr__runtime_wall_ms(processes));

	/* Milliseconds are counted whole: to the beginning of the one that is meant. */
	if (ms > 0 && ms < LONGEST_NS / TMGR_MILLISECOND && !processes->stopping)
		at = now + ms * TMGR_MILLISECOND - passed % TMGR_MILLISECOND;
	else if (ms == 0 && !processes->stopping)
		at = now;
	/* What is due may be what is held. */
	if (processes->memory_at != 0)
		at = processes->memory_at;
	if (processes->check_at < at)
		at = processes->check_at;
	if (processes->retry_at != 0 && processes->retry_at < at)
		at = processes->retry_at;
	return at;
}

static int serve(struct tmgr_processes *processes, struct tmgr_context *context)
{
	int r;

	for (;;) {
		turn(processes, context);
		if (processes->failed != 0)
			return processes->failed;
		r = tmgr_flag_wait(context, &processes->work, next_turn(processes));
		if (r == -ECANCELED)
			return r;
		tmgr_flag_clear(&processes->work);
	}
}

/* ---- Stopping -------------------------------------------------------------------------------- */

static void begin_stop(struct tmgr_processes *processes)
{
	tmgr__lock_acquire(&processes->lock);
	processes->state = TMGR__RUNTIME_STOPPING;
	tmgr__lock_release(&processes->lock);
	processes->stopping = true;
}

static bool methods_run(struct tmgr_processes *processes)
{
	bool run;

	tmgr__lock_acquire(&processes->lock);
	run = !tmgr__list_empty(&processes->running) || !tmgr__list_empty(&processes->returned);
	tmgr__lock_release(&processes->lock);
	return run || !tmgr__list_empty(&processes->trials) ||
	       !tmgr__list_empty(&processes->trying);
}

static bool unstored(const struct tmgr_processes *processes)
{
	return processes->in_flight || processes->batches[processes->building].step_count > 0 ||
	       !tmgr__runtime_store_idle(processes);
}

/* A thread that had not begun when it was cancelled never does: its orders are done here. */
static bool take_over_store(struct tmgr_processes *processes)
{
	bool begun;

	tmgr__lock_acquire(&processes->lock);
	begun = processes->store_begun;
	processes->quit |= !begun;
	tmgr__lock_release(&processes->lock);
	return !begun;
}

/*
 * Finish what runs and store it. A part of the time is kept for closing the store. Who waits for the
 * result of a process may still get it, and is told at the closing that it will not come.
 */
static int drain(struct tmgr_processes *processes, struct tmgr_context *context)
{
	int64_t now = tmgr_now(), deadline = tmgr_context_deadline(context);
	int64_t until = deadline == TMGR_NEVER ? TMGR_NEVER : now + (deadline - now) / 4 * 3;
	bool alone = take_over_store(processes);

	begin_stop(processes);
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	for (;;) {
		int64_t at;

		turn(processes, context);
		if (alone && !tmgr__runtime_store_idle(processes))
			tmgr__runtime_obey(processes);
		if (processes->failed != 0 || (!methods_run(processes) && !unstored(processes)) ||
			tmgr_now() >= until)
			break;
		at = next_turn(processes);
		tmgr_flag_wait(context, &processes->work, at < until ? at : until);
		tmgr_flag_clear(&processes->work);
	}
	tmgr_uninterrupted_end(context);
	if (processes->failed != 0)
		return processes->failed;
	if (unstored(processes))
		return tmgr_fail(context, processes->no_room ? -ENOSPC : -ETIMEDOUT,
			"what was not stored is lost, and was not acknowledged");
	if (methods_run(processes))
		tmgr_log(context, TMGR_LEVEL_WARNING,
			"methods still run: what they return is dropped, and they are called "
			"again");
	return 0;
}

/* Afterwards the store's thread has done its order, or does nothing any more. */
static void quit_store(struct tmgr_processes *processes, struct tmgr_context *context,
	struct tmgr_thread_call *call)
{
	if (take_over_store(processes))
		return;
	tmgr__lock_acquire(&processes->lock);
	processes->quit = true;
	tmgr__lock_release(&processes->lock);
	tmgr_flag_set(&processes->store_work);
	tmgr_thread_call_wait(context, call, TMGR_NEVER, NULL);
}

static int processes_execute(void *self, struct tmgr_context *context)
{
	struct tmgr_processes *processes = self;
	struct tmgr_thread_call call;
	int r, closed;

	r = tmgr_call_in_thread(context, &call, tmgr__runtime_store_main, processes);
	if (r != 0)
		return r;
	tmgr_ready(context);
	processes->context = context;
	r = serve(processes, context);
	if (r == -ECANCELED)
		r = drain(processes, context);
	else
		begin_stop(processes);
	tmgr__runtime_tell_untold(processes, true);
	processes->context = NULL;
	tmgr__runtime_cancel_backup(processes);
	quit_store(processes, context, &call);
	tmgr__runtime_end_backup(processes, context);
	closed = tmgr__runtime_close(processes, r == 0);
	/* One that never began may be behind others on the pool still. */
	tmgr_thread_call_wait(context, &call, TMGR_NEVER, NULL);
	if (processes->failed != 0)
		return fail_with(processes, context, processes->failed);
	return r != 0 ? r : closed;
}

static int processes_cleanup(void *self, struct tmgr_context *context)
{
	return tmgr__runtime_close(self, true);
}

static void processes_destroy(void *self)
{
	tmgr_processes_unref(self);
}

static const struct tmgr_task_ops processes_ops = {
	.kind = "processes",
	.initialize = processes_initialize,
	.execute = processes_execute,
	.cleanup = processes_cleanup,
	.destroy = processes_destroy,
};

struct tmgr_task tmgr_processes_task(struct tmgr_processes *processes)
{
	static const struct tmgr_refusal missing = { -EINVAL, "there is no runtime" };
	static const struct tmgr_refusal single = { -EINVAL,
		"a single-threaded runtime has no task" };

	if (processes == NULL)
		return tmgr_task_refused(&missing);
	if (processes->options.single_threaded)
		return tmgr_task_refused(&single);
	return (struct tmgr_task){ &processes_ops, tmgr_processes_ref(processes) };
}
