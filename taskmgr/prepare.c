/*
 * The beginning of a run: taking it, and making all that it needs before anything is initialized,
 * so that a lack of threads or memory leaves nothing half done.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fork.h"
#include "run.h"

static bool has_thread(const struct tmgr__record *record)
{
	return (record->phases & TMGR_EXECUTE) && record->host == TMGR_HOST_THREAD;
}

static void timers_changed(void *self)
{
	tmgr__watcher_wake(self);
}

/* Take the run, or say why not. */
int tmgr__run_begin(struct tmgr_manager *manager)
{
	int r = tmgr__manager_check_fork(manager);

	if (r < 0)
		return r;
	tmgr__manager_lock(manager);
	if (manager->state == TMGR_MANAGER_ENDED)
		r = -EALREADY;
	else if (manager->state != TMGR_MANAGER_ADDING)
		r = -EBUSY;
	if (r == -EBUSY)
		tmgr__manager_tell_misuse(manager, tmgr_context_name(tmgr_context_current()), "run",
			(struct tmgr__told_error){ r, "a manager is run once" });
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
	}
	manager->stopping = true;
	tmgr__manager_unlock(manager);
	return manager->report.cause->error;
}

/*
 * A lack of memory or threads before anything was initialized. `name` and `text` stay where they
 * are.
 */
void tmgr__run_note_start_error(
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
	tmgr__manager_tell_misuse(manager, name, tmgr_stage_name(TMGR_STAGE_START),
		(struct tmgr__told_error){ error, text });
	manager->stopping = true;
	tmgr__manager_unlock(manager);
}

static int start_threads(struct tmgr_manager *manager)
{
	size_t size = tmgr__signal_stack_size(), count = manager->with_thread;
	struct tmgr__list *node;
	int r;

	/* One piece that is never touched but by a handler: it costs address space only. */
	if (count > 0) {
		manager->signal_stacks = malloc(count * size);
		if (!manager->signal_stacks)
			return -ENOMEM;
	}
	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = tmgr__record_of(node);

		if (manager->threads == count)
			break;
		if (!has_thread(record))
			continue;
		r = tmgr__thread_start(record, manager->signal_stacks + manager->threads * size);
		if (r < 0) {
			tmgr__run_note_start_error(manager, record->name, r,
				"no thread could be made: see the limits of threads and memory");
			return r;
		}
		record->thread_made = true;
		manager->threads++;
	}
	return 0;
}

/* Of two tasks in a manager, whether `first` was added before. */
static bool is_before(const struct tmgr_manager *manager, struct tmgr_executor *host,
	const struct tmgr__record *record)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		if (tmgr__record_of(node) == record)
			return false;
		if (tmgr_task_runs(tmgr__record_of(node)->task, host))
			return true;
	}
	return false;
}

/* Whether the task that is to run a host is on one itself, where it fails at once. */
static bool is_run_on_another(struct tmgr_manager *manager, const struct tmgr_executor *host)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		const struct tmgr__record *record = tmgr__record_of(node);

		if (record->on && tmgr_task_runs(record->task, host))
			return true;
	}
	return false;
}

/*
 * The rule that a long-running task on a host breaks, or NULL. Many tasks in a row are on one host,
 * which is looked for once.
 */
static const char *host_rule(struct tmgr_manager *manager, const struct tmgr__record *record,
	const struct tmgr_executor *served)
{
	if (!record->on)
		return NULL;
	/* A host that never runs would let its tasks wait for ever. */
	if (record->on != served && !tmgr__host_is_served(manager, record->on))
		return "its loop is neither in this manager nor running";
	if (record->on != served && is_run_on_another(manager, record->on))
		return "its loop cannot run on a loop";
	if (manager->options.stop_order == TMGR_STOP_REVERSE &&
		!__atomic_load_n(&record->on->runner, __ATOMIC_ACQUIRE) &&
		!is_before(manager, record->on, record))
		return "to stop in reverse order a loop is added before what it runs";
	return NULL;
}

/* Execute-tasks may be added just now; those that come later are looked at there. */
static bool executes_are_served(struct tmgr_manager *manager)
{
	const struct tmgr_executor *known = NULL;
	struct tmgr__list *node;
	bool served = true;

	tmgr__manager_lock(manager);
	tmgr__list_for (node, &manager->executes) {
		const struct tmgr__record *record = tmgr__record_of(node);

		if (!record->on || record->on == known)
			continue;
		served = served && tmgr__host_is_served(manager, record->on);
		known = record->on;
	}
	tmgr__manager_unlock(manager);
	return served;
}

static int check_hosts(struct tmgr_manager *manager)
{
	const struct tmgr_executor *served = NULL;
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = tmgr__record_of(node);
		const char *rule = host_rule(manager, record, served);

		served = record->on ? record->on : served;
		if (!rule)
			continue;
		tmgr__run_note_start_error(manager, record->name, -EINVAL, rule);
		return -EINVAL;
	}
	if (executes_are_served(manager))
		return 0;
	tmgr__run_note_start_error(manager, "", -EINVAL,
		"the loop of an execute-task is neither in this manager nor running");
	return -EINVAL;
}

static void take_interrupts(struct tmgr_manager *manager)
{
	size_t left = manager->with_signal;
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		int signo = tmgr__record_of(node)->interrupt_signal;

		if (left == 0)
			break;
		if (signo == 0)
			continue;
		tmgr__interrupt_take(manager, signo);
		left--;
	}
}

int tmgr__run_prepare(struct tmgr_manager *manager)
{
	int r;

	if (!tmgr__list_empty(&manager->refused))
		return note_refused(manager);
	manager->timers = tmgr__timers_create(timers_changed, manager);
	if (!manager->timers)
		return -ENOMEM;
	tmgr__token_set_timers(manager->token, manager->timers);
	take_interrupts(manager);
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
		r = check_hosts(manager);
	if (r == 0)
		r = start_threads(manager);
	if (r == 0)
		r = tmgr__pool_prepare(manager);
	return r;
}

/* Open the gate, or send the threads home. */
void tmgr__run_set_gate(struct tmgr_manager *manager, uint32_t gate)
{
	__atomic_store_n(&manager->gate, gate, __ATOMIC_RELEASE);
	tmgr__futex_wake(&manager->gate, INT32_MAX);
}

bool tmgr__run_is_stopping(struct tmgr_manager *manager)
{
	bool stopping;

	tmgr__manager_lock(manager);
	tmgr__manager_heed_token(manager);
	stopping = manager->stopping;
	tmgr__manager_unlock(manager);
	return stopping;
}
