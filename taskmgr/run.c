/*
 * Run, in three parts: start (prepare, initialize), wait (execute), finish (clean up, end).
 * tmgr_manager_run() is the three in a row; a task that hosts a manager calls each from its own
 * phase.
 *
 * The thread that runs does all that calls initialize and cleanup, and all waiting; it sleeps on
 * run_word, which grows with everything it may wait for. What it needs was allocated by prepare;
 * nothing is allocated afterwards.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "fork.h"
#include "manager.h"

/* What cleanups still get when the total deadline has passed. */
#define CLEANUP_GRACE (40 * TMGR_MILLISECOND)
/* The watcher looks at a cleanup that is not done after this. */
#define LOOK_NS (10 * TMGR_MILLISECOND)

static struct tmgr__record *record_of(struct tmgr__list *node)
{
	return container_of(node, struct tmgr__record, node);
}

static bool has_thread(const struct tmgr__record *record)
{
	return (record->phases & TMGR_EXECUTE) && record->host == TMGR_HOST_THREAD;
}

static void timers_changed(void *self)
{
	tmgr__watcher_wake(self);
}

/* Take the run, or say why not. */
static int begin_run(struct tmgr_manager *manager)
{
	int r = tmgr__manager_check_fork(manager);

	if (r < 0)
		return r;
	tmgr__manager_lock(manager);
	if (manager->state == TMGR_MANAGER_ENDED)
		r = -EALREADY;
	else if (manager->state != TMGR_MANAGER_ADDING)
		r = -EBUSY;
	if (r == 0) {
		manager->state = TMGR_MANAGER_INITIALIZING;
		__atomic_store_n(&manager->clock, tmgr__clock_current(), __ATOMIC_RELEASE);
		manager->began = tmgr__manager_now(manager);
		__atomic_store_n(
			&manager->fork_generation, tmgr__fork_generation(), __ATOMIC_RELAXED);
	}
	tmgr__manager_unlock(manager);
	if (r == 0)
		tmgr__signals_note_mask();
	return r;
}

/* Nothing starts when an add was refused: all that were stand in the report. */
static int note_refused(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	tmgr__manager_lock(manager);
	tmgr__list_for (node, &manager->refused) {
		struct tmgr__refused *refused = container_of(node, struct tmgr__refused, node);

		tmgr__manager_add_entry(manager, &refused->entry);
		tmgr__manager_event(manager, TMGR_EVENT_FAILED, NULL, refused->entry.error,
			refused->entry.text);
	}
	manager->stopping = true;
	tmgr__manager_unlock(manager);
	return manager->report.cause->error;
}

/*
 * A lack of memory or threads before anything was initialized. `name` and `text` stay where they
 * are.
 */
static void note_start_error(
	struct tmgr_manager *manager, const char *name, int error, const char *text)
{
	tmgr__manager_lock(manager);
	manager->start_entry = (struct tmgr_report_entry){
		.kind = TMGR_REPORT_ERROR,
		.stage = TMGR_STAGE_START,
		.error = error,
		.name = name,
		.text = text,
	};
	tmgr__manager_add_entry(manager, &manager->start_entry);
	tmgr__manager_event(manager, TMGR_EVENT_FAILED, NULL, error, text);
	manager->stopping = true;
	tmgr__manager_unlock(manager);
}

static int start_threads(struct tmgr_manager *manager)
{
	size_t size = tmgr__signal_stack_size(), count = 0;
	struct tmgr__list *node;
	int r;

	tmgr__list_for (node, &manager->tasks)
		count += has_thread(record_of(node));
	/* One piece that is never touched but by a handler: it costs address space only. */
	if (count > 0) {
		manager->signal_stacks = malloc(count * size);
		if (!manager->signal_stacks)
			return -ENOMEM;
	}
	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = record_of(node);

		if (!has_thread(record))
			continue;
		r = tmgr__thread_start(record, manager->signal_stacks + manager->threads * size);
		if (r < 0) {
			note_start_error(manager, record->name, r, "no thread");
			return r;
		}
		record->thread_made = true;
		manager->threads++;
	}
	return 0;
}

static int prepare(struct tmgr_manager *manager)
{
	struct tmgr__list *node;
	int r;

	if (!tmgr__list_empty(&manager->refused))
		return note_refused(manager);
	manager->timers = tmgr__timers_create(timers_changed, manager);
	if (!manager->timers)
		return -ENOMEM;
	tmgr__token_set_timers(manager->token, manager->timers);
	tmgr__list_for (node, &manager->tasks)
		if (record_of(node)->interrupt_signal)
			tmgr__interrupt_take(manager, record_of(node)->interrupt_signal);
	r = manager->outer && !manager->own_events ? 0 : tmgr__events_start(manager->events);
	if (r == 0) {
		/*
		 * What came before run counts before the first initialize, not when the watcher
		 * gets to it.
		 */
		tmgr__watcher_take_cancel(manager);
		r = tmgr__watcher_start(manager);
	}
	if (r == 0)
		r = start_threads(manager);
	if (r == 0)
		r = tmgr__pool_prepare(manager);
	return r;
}

/* Open the gate, or send the threads home. */
static void set_gate(struct tmgr_manager *manager, uint32_t gate)
{
	__atomic_store_n(&manager->gate, gate, __ATOMIC_RELEASE);
	tmgr__futex_wake(&manager->gate, INT32_MAX);
}

static bool is_stopping(struct tmgr_manager *manager)
{
	bool stopping;

	tmgr__manager_lock(manager);
	stopping = manager->stopping;
	tmgr__manager_unlock(manager);
	return stopping || tmgr_token_fired(manager->token);
}

/* The phases that run on this thread. */
static int call_phase(struct tmgr__record *record, enum tmgr_phase phase)
{
	struct tmgr_context *context = &record->context;
	int r;

	tmgr__context_enter(context);
	if (phase == TMGR_INITIALIZE)
		r = tmgr_task_initialize(record->task, context);
	else
		r = tmgr_task_cleanup(record->task, context);
	tmgr__context_leave(context);
	return r;
}

static void set_phase(struct tmgr__record *record, enum tmgr_state state)
{
	struct tmgr_manager *manager = record->manager;
	int64_t now = tmgr__manager_now(manager);

	tmgr__manager_lock(manager);
	tmgr__manager_set_state(manager, record, state, now);
	record->began = now;
	manager->phase_record = record;
	/* The watcher may have looked just before, and seen nothing to wait for. */
	if (manager->stopping)
		tmgr__manager_check_at(manager, now + LOOK_NS);
	tmgr__manager_unlock(manager);
}

static void clean_up(struct tmgr__record *record, bool initialize_failed);

/* Under the lock: note that initialize failed; one that only obeyed the stop has not. */
static void initialize_failed(struct tmgr__record *record, int error, int detail)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_TASK_FAILED, .code = error };

	if (error == -ECANCELED && tmgr_context_cancelled(&record->context))
		return;
	tmgr__record_fail(record, TMGR_REPORT_ERROR, TMGR_STAGE_INITIALIZE, error, detail);
	tmgr__text_copy(cause.text, sizeof(cause.text), record->name);
	tmgr__manager_begin_stop(record->manager, &cause);
}

static int initialize(struct tmgr__record *record)
{
	struct tmgr_manager *manager = record->manager;
	int detail, error;
	int64_t now;

	set_phase(record, TMGR_STATE_INITIALIZING);
	error = tmgr__policy_error(call_phase(record, TMGR_INITIALIZE), &detail);
	now = tmgr__manager_now(manager);
	tmgr__manager_lock(manager);
	manager->phase_record = NULL;
	if (record->state == TMGR_STATE_STUCK) {
		/*
		 * It was named as stuck, and has come back after all; too late to be initialized.
		 */
		tmgr__manager_unlock(manager);
		return -TMGR_ESTUCK;
	}
	record->initialize_ns = now - record->began;
	record->began = 0;
	if (error < 0)
		initialize_failed(record, error, detail);
	if (error == 0)
		tmgr__manager_set_state(manager, record, TMGR_STATE_INITIALIZED, now);
	else if (!record->cleanup_after_failed_initialize || !(record->phases & TMGR_CLEANUP))
		tmgr__manager_set_state(manager, record, TMGR_STATE_DONE, now);
	tmgr__manager_unlock(manager);
	if (error < 0 && record->cleanup_after_failed_initialize && (record->phases & TMGR_CLEANUP))
		clean_up(record, true);
	return error;
}

static void skip_initialize(struct tmgr__record *record)
{
	struct tmgr_manager *manager = record->manager;

	tmgr__manager_lock(manager);
	tmgr__manager_set_state(
		manager, record, TMGR_STATE_INITIALIZED, tmgr__manager_now(manager));
	tmgr__manager_unlock(manager);
}

static void initialize_all(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = record_of(node);

		if (is_stopping(manager))
			return;
		if (!(record->phases & TMGR_INITIALIZE))
			skip_initialize(record);
		else if (initialize(record) < 0)
			return;
	}
}

/*
 * Tasks that will not execute: whoever waits for their end need not. Before any other may have
 * begun.
 */
static void settle_unexecuted(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = record_of(node);
		bool never;

		tmgr__manager_lock(manager);
		never = !record->executing && record->state != TMGR_STATE_STUCK;
		tmgr__manager_unlock(manager);
		if (never)
			tmgr_future_complete(&record->done, 0, NULL);
	}
}

/* Let all executes start, long-running ones first. */
static void start_executes(struct tmgr_manager *manager)
{
	struct tmgr__list *node;
	int64_t now = tmgr__manager_now(manager);

	tmgr__manager_lock(manager);
	manager->phase_record = NULL;
	manager->state = TMGR_MANAGER_RUNNING;
	if (manager->stopping)
		manager->state = TMGR_MANAGER_STOPPING;
	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = record_of(node);

		if (!(record->phases & TMGR_EXECUTE))
			continue;
		record->executing = true;
		manager->executing++;
		if (record->host == TMGR_HOST_POOL) {
			tmgr__pool_push(&manager->pool, record);
			continue;
		}
		record->began = record->heartbeat = now;
		tmgr__manager_set_state(manager, record, TMGR_STATE_RUNNING, now);
		if (record->ready_ns || record->heartbeat_ns)
			tmgr__manager_check_at(manager, TMGR_NOW);
	}
	tmgr__manager_look_quiet(manager);
	tmgr__manager_unlock(manager);
	settle_unexecuted(manager);
	set_gate(manager, TMGR__GATE_OPEN);
	tmgr__pool_open(manager);
}

/* Execute-tasks that wait for a thread and are cancelled, or all, never begin. */
static void drop_queued(struct tmgr_manager *manager, bool all)
{
	struct tmgr__record *record;

	for (;;) {
		tmgr__manager_lock(manager);
		record = tmgr__pool_take_cancelled(manager, all);
		if (record)
			tmgr__record_skip(record, tmgr__manager_now(manager));
		tmgr__manager_unlock(manager);
		if (!record)
			return;
		tmgr__record_settle(record);
	}
}

/* Sleep until something that run waits for has changed since `word`. */
static void wait_for_change(struct tmgr_manager *manager, uint32_t word)
{
	tmgr__clock_sleep(manager->clock, &manager->run_word, word, TMGR_NEVER);
}

static uint32_t run_word(struct tmgr_manager *manager)
{
	return __atomic_load_n(&manager->run_word, __ATOMIC_ACQUIRE);
}

/* Wait until the manager is told to stop, and all that executes has ended. */
static void wait_for_all(struct tmgr_manager *manager)
{
	for (;;) {
		uint32_t word = run_word(manager);
		bool stopping, over;

		tmgr__manager_lock(manager);
		stopping = manager->stopping;
		over = stopping && manager->executing == 0;
		tmgr__manager_unlock(manager);
		if (over)
			return;
		if (stopping && manager->pool.open)
			drop_queued(manager, false);
		wait_for_change(manager, word);
	}
}

static void wait_for_stop(struct tmgr_manager *manager)
{
	while (!is_stopping(manager)) {
		uint32_t word = run_word(manager);

		if (!is_stopping(manager))
			wait_for_change(manager, word);
	}
}

/*
 * In reverse order of stopping: tell one task, or one layer of execute-tasks, to stop. No lock
 * held.
 */
static void cancel_record(struct tmgr__record *record, const struct tmgr_cause *cause)
{
	tmgr_token_fire(&record->token, cause);
	tmgr__record_unref(record);
}

/* The next execute-task of a layer that has not been told to stop, referenced, or NULL. */
static struct tmgr__record *take_running(struct tmgr_manager *manager, struct tmgr__record *adder)
{
	struct tmgr__record *found = NULL;
	struct tmgr__list *node;

	tmgr__manager_lock(manager);
	tmgr__list_for (node, &manager->executes) {
		struct tmgr__record *record = record_of(node);

		if (record->added_by != adder || !record->executing || record->stop_since)
			continue;
		record->stop_since = tmgr__manager_now(manager);
		found = tmgr__record_ref(record);
		break;
	}
	if (found)
		tmgr__manager_check_at(manager, TMGR_NOW);
	tmgr__manager_unlock(manager);
	return found;
}

static bool layer_runs(struct tmgr_manager *manager, struct tmgr__record *adder)
{
	struct tmgr__list *node;
	bool runs;

	tmgr__manager_lock(manager);
	runs = adder && adder->executing;
	tmgr__list_for (node, &manager->executes) {
		struct tmgr__record *record = record_of(node);

		runs = runs || (record->executing && record->added_by == adder);
	}
	tmgr__manager_unlock(manager);
	return runs;
}

/*
 * Stop a task and the execute-tasks that it added; NULL: those that no task added. The task comes
 * first: its children are below its token, and if they ended before it fired a task that ends with
 * them would have ended unexpectedly.
 */
static void stop_layer(struct tmgr_manager *manager, struct tmgr__record *adder)
{
	struct tmgr_cause cause = manager->stop_cause;
	struct tmgr__record *record;

	if (adder) {
		tmgr__manager_lock(manager);
		if (!adder->stop_since)
			adder->stop_since = tmgr__manager_now(manager);
		tmgr__manager_check_at(manager, TMGR_NOW);
		tmgr__manager_unlock(manager);
		cancel_record(tmgr__record_ref(adder), &cause);
	}
	while ((record = take_running(manager, adder)))
		cancel_record(record, &cause);
	for (;;) {
		uint32_t word = run_word(manager);

		drop_queued(manager, false);
		if (!layer_runs(manager, adder))
			return;
		wait_for_change(manager, word);
	}
}

/* Whether a stuck task that was added later may still use what this one set up. */
static bool used_by_stuck(const struct tmgr__record *record)
{
	const struct tmgr_manager *manager = record->manager;
	struct tmgr__list *node;

	if (manager->report.stuck == 0)
		return false;
	for (node = record->node.next; node != &manager->tasks; node = node->next)
		if (record_of(node)->state == TMGR_STATE_STUCK)
			return true;
	/* Execute-tasks come after all long-running ones. */
	return manager->stuck_executes > 0;
}

/* Under the lock: what becomes of a task's cleanup. */
static bool decide_cleanup(struct tmgr__record *record, int64_t now)
{
	struct tmgr_manager *manager = record->manager;
	bool used = used_by_stuck(record);
	bool wanted = (record->phases & TMGR_CLEANUP) && (record->state == TMGR_STATE_INITIALIZED ||
								 record->state == TMGR_STATE_ENDED);

	if (record->state == TMGR_STATE_STUCK || record->state == TMGR_STATE_DONE)
		return false;
	record->leaked = record->leaked || (used && !record->cleanup_beside_users);
	if (wanted && (!used || record->cleanup_beside_users) && !manager->second_signal)
		return true;
	if (wanted && record->cleanup)
		tmgr__record_fail(record, TMGR_REPORT_NOT_CLEANED_UP, TMGR_STAGE_CLEANUP, 0, 0);
	tmgr__manager_set_state(manager, record, TMGR_STATE_DONE, now);
	return false;
}

void tmgr__run_skip_cleanups(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	tmgr__list_for_reverse(node, &manager->tasks)
	{
		struct tmgr__record *record = record_of(node);

		if (record->cleanup && (record->state == TMGR_STATE_INITIALIZED ||
					       record->state == TMGR_STATE_ENDED))
			tmgr__record_fail(
				record, TMGR_REPORT_NOT_CLEANED_UP, TMGR_STAGE_CLEANUP, 0, 0);
	}
}

static int64_t cleanup_deadline(
	struct tmgr_manager *manager, struct tmgr__record *record, int64_t now)
{
	int64_t deadline;

	/* The watcher brings it forward when an outer manager stops. */
	tmgr__manager_lock(manager);
	deadline = manager->shutdown_deadline;
	tmgr__manager_unlock(manager);
	/* A total deadline that has passed leaves a little, which all of them share. */
	if (deadline <= now)
		deadline = now + CLEANUP_GRACE / (int64_t)(manager->report.long_running + 8);
	if (record->cleanup_ns > 0 && tmgr__time_add(now, record->cleanup_ns) < deadline)
		deadline = tmgr__time_add(now, record->cleanup_ns);
	return deadline;
}

static void clean_up(struct tmgr__record *record, bool initialize_failed)
{
	struct tmgr_manager *manager = record->manager;
	struct tmgr_context *context = &record->context;
	int64_t now = tmgr__manager_now(manager);
	int detail, error;

	check(record->cleanup);
	tmgr__token_set_timers(record->cleanup->token, manager->timers);
	set_phase(record, TMGR_STATE_CLEANING);
	/* A snapshot may be looking at its context just now. */
	tmgr__manager_lock(manager);
	context->parent_token = NULL;
	context->token = record->cleanup->token;
	context->text = record->cleanup->text;
	context->initialize_failed = initialize_failed;
	tmgr__manager_unlock(manager);
	tmgr_token_set_deadline(record->cleanup->token, cleanup_deadline(manager, record, now));
	error = tmgr__policy_error(call_phase(record, TMGR_CLEANUP), &detail);
	now = tmgr__manager_now(manager);
	tmgr__manager_lock(manager);
	manager->phase_record = NULL;
	if (record->state != TMGR_STATE_STUCK) {
		record->cleanup_took_ns = now - record->began;
		record->began = 0;
		if (error < 0)
			tmgr__record_fail(
				record, TMGR_REPORT_ERROR, TMGR_STAGE_CLEANUP, error, detail);
		tmgr__manager_set_state(manager, record, TMGR_STATE_DONE, now);
	}
	tmgr__manager_unlock(manager);
}

static void clean_up_one(struct tmgr__record *record)
{
	struct tmgr_manager *manager = record->manager;
	bool wanted;

	tmgr__manager_lock(manager);
	manager->state = TMGR_MANAGER_CLEANING;
	wanted = decide_cleanup(record, tmgr__manager_now(manager));
	tmgr__manager_unlock(manager);
	if (wanted)
		clean_up(record, false);
}

/* Stop and clean up: all at once and then in reverse, or layer by layer. */
static void wait_reverse(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	wait_for_stop(manager);
	stop_layer(manager, NULL);
	tmgr__list_for_reverse(node, &manager->tasks)
	{
		stop_layer(manager, record_of(node));
		clean_up_one(record_of(node));
	}
}

static void clean_up_all(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	tmgr__list_for_reverse(node, &manager->tasks) clean_up_one(record_of(node));
}

static void join_threads(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = record_of(node);

		if (!record->thread_made)
			continue;
		record->thread_made = false;
		if (record->state == TMGR_STATE_STUCK && !record->inner_stuck &&
			record->entry.stage == TMGR_STAGE_EXECUTE)
			pthread_detach(record->thread);
		else
			pthread_join(record->thread, NULL);
	}
}

/*
 * The threads go home; the report is made. Nothing of this run is left afterwards but what is
 * stuck.
 */
static int end_run(struct tmgr_manager *manager)
{
	if (manager->gate == TMGR__GATE_SHUT)
		set_gate(manager, TMGR__GATE_ABORT);
	tmgr__manager_lock(manager);
	manager->stopping = true;
	manager->pool.open = true;
	manager->state = TMGR_MANAGER_CLEANING;
	tmgr__manager_unlock(manager);
	/* What was added and never began: it is cancelled by the stop. */
	tmgr_token_cancel(manager->token, 0, "run ended");
	drop_queued(manager, true);
	join_threads(manager);
	tmgr__pool_close(manager);
	tmgr__watcher_stop(manager);
	tmgr__interrupts_give_back(manager);
	if (manager->timers)
		tmgr__timers_close(manager->timers);
	tmgr__manager_lock(manager);
	tmgr__report_build(manager);
	manager->state = TMGR_MANAGER_ENDED;
	tmgr__manager_event(manager, TMGR_EVENT_RUN_ENDED, NULL, manager->report.result, "");
	tmgr__manager_unlock(manager);
	if (!manager->outer || manager->own_events)
		tmgr__events_stop(manager->events);
	manager->report.events_dropped = __atomic_load_n(
		&manager->events->dropped, __ATOMIC_RELAXED);
	__atomic_store_n(&manager->reported, true, __ATOMIC_RELEASE);
	if (manager->report.stuck == 0 && manager->signal_stacks) {
		free(manager->signal_stacks);
		manager->signal_stacks = NULL;
	}
	return manager->report.result;
}

static int abort_start(struct tmgr_manager *manager, int error)
{
	if (manager->report.errors == 0)
		note_start_error(manager, "", error, error == -EAGAIN ? "no thread" : "");
	settle_unexecuted(manager);
	end_run(manager);
	return manager->report.result;
}

/* Prepare and initialize; an error means that the run has ended. */
static int start(struct tmgr_manager *manager, struct tmgr_token *parent)
{
	int r = prepare(manager);

	if (r < 0)
		return abort_start(manager, r);
	if (parent) {
		tmgr__token_attach(manager->token, parent);
		/* The tokens above may be nobody's to watch. */
		if (tmgr_token_deadline(parent) != TMGR_NEVER)
			tmgr_token_set_deadline(manager->token, tmgr_token_deadline(parent));
	}
	initialize_all(manager);
	return 0;
}

static void execute_all(struct tmgr_manager *manager)
{
	manager->waited = true;
	if (is_stopping(manager)) {
		settle_unexecuted(manager);
		set_gate(manager, TMGR__GATE_ABORT);
		return;
	}
	start_executes(manager);
	if (manager->options.stop_order == TMGR_STOP_REVERSE)
		wait_reverse(manager);
	else
		wait_for_all(manager);
}

int tmgr_manager_run(struct tmgr_manager *manager, struct tmgr_token *token)
{
	int r;

	if (!manager)
		return -EINVAL;
	r = begin_run(manager);
	if (r < 0)
		return r;
	if (manager->options.take_signals) {
		r = tmgr__signals_start(manager);
		if (r < 0) {
			note_start_error(
				manager, "", r, "another run in this process takes the signals");
			return abort_start(manager, r);
		}
	}
	r = start(manager, token);
	if (r == 0) {
		execute_all(manager);
		clean_up_all(manager);
		r = end_run(manager);
	}
	if (manager->signals)
		tmgr__signals_stop(manager);
	return r;
}

/* Tie an inner manager to the task that hosts it. */
static int set_outer(struct tmgr_manager *manager, struct tmgr_context *context)
{
	struct tmgr__record *record = context->record;
	size_t length = tmgr_context_path(context, NULL, 0);
	char *prefix = malloc(length + 2);

	if (!prefix)
		return -ENOMEM;
	tmgr_context_path(context, prefix, length + 1);
	memcpy(prefix + length, "/", 2);
	tmgr__manager_lock(manager);
	manager->path_prefix = prefix;
	manager->outer = record->manager;
	manager->outer_record = record;
	/* Observers of its own keep their events; without any they go to those outside. */
	manager->own_events = manager->events->observers != NULL;
	if (!manager->own_events) {
		tmgr__events_unref(manager->events);
		manager->events = record->manager->events;
		__atomic_fetch_add(&manager->events->refs, 1, __ATOMIC_RELAXED);
	}
	tmgr__manager_unlock(manager);
	tmgr__manager_lock(record->manager);
	record->inner = tmgr_manager_ref(manager);
	tmgr__manager_unlock(record->manager);
	return 0;
}

/*
 * The first error from an entry on, told to the hosting task with its text; 0 when there is none.
 */
static int tell_error(struct tmgr_context *context, const struct tmgr_report_entry *entry)
{
	while (entry && entry->kind == TMGR_REPORT_NOT_CLEANED_UP)
		entry = entry->next;
	if (!entry)
		return 0;
	return tmgr_fail(context, entry->error, "%s: %s%s%s", entry->name,
		tmgr_stage_name(entry->stage), entry->text[0] ? ": " : "", entry->text);
}

/* The inner run has ended: what it left behind makes the hosting task stuck. */
static int tell_outer(struct tmgr_manager *manager, struct tmgr_context *context)
{
	if (manager->report.stuck > 0) {
		tmgr__manager_lock(context->record->manager);
		context->record->inner_stuck = true;
		tmgr__manager_unlock(context->record->manager);
	}
	tell_error(context, manager->report.cause);
	return manager->report.result;
}

int tmgr_manager_start(struct tmgr_manager *manager, struct tmgr_context *context)
{
	int r;

	if (!manager || !context)
		return -EINVAL;
	r = begin_run(manager);
	if (r < 0)
		return r;
	r = set_outer(manager, context);
	if (r < 0)
		return abort_start(manager, r);
	r = start(manager, tmgr_context_token(context));
	if (r < 0)
		return tell_outer(manager, context);
	manager->started = true;
	if (!is_stopping(manager))
		return 0;
	/* An initialize has failed, or the stop came: it is all undone here. */
	execute_all(manager);
	clean_up_all(manager);
	r = end_run(manager);
	manager->started = false;
	tell_outer(manager, context);
	return r < 0 ? r : -ECANCELED;
}

int tmgr_manager_wait(struct tmgr_manager *manager, struct tmgr_context *context)
{
	const struct tmgr_report_entry *cause;
	bool stuck;

	if (!manager || !context || !manager->started || manager->waited)
		return -EINVAL;
	execute_all(manager);
	tmgr__manager_lock(manager);
	stuck = manager->report.stuck > 0;
	cause = manager->report.cause;
	tmgr__manager_unlock(manager);
	if (!stuck)
		return tell_error(context, cause);
	clean_up_all(manager);
	end_run(manager);
	return tell_outer(manager, context);
}

int tmgr_manager_finish(struct tmgr_manager *manager, struct tmgr_context *context)
{
	const struct tmgr_report_entry **before;

	if (!manager || !context || !manager->started)
		return -EINVAL;
	if (manager->reported)
		return -EALREADY;
	if (!manager->waited) {
		tmgr_manager_cancel(manager);
		execute_all(manager);
	}
	before = manager->entries_last;
	clean_up_all(manager);
	end_run(manager);
	return tell_error(context, *before);
}
