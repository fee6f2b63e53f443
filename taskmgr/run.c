/*
 * Run, in three parts: start (prepare, initialize), wait (execute), finish (clean up, end).
 * tmgr_manager_run() is the three in a row; a task that hosts a manager calls each from its own
 * phase (nested.c).
 *
 * The thread that runs does all that calls initialize and cleanup, and all waiting. What it needs
 * was allocated by prepare; nothing is allocated afterwards.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "run.h"

/* What observers have when the time of all is up. */
#define OBSERVERS_NS (40 * TMGR_MILLISECOND)

static void join_threads(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = tmgr__record_of(node);

		if (manager->threads == 0)
			break;
		if (!record->thread_made)
			continue;
		record->thread_made = false;
		manager->threads--;
		if (record->state == TMGR_STATE_STUCK && !record->came_back &&
			record->entry.stage == TMGR_STAGE_EXECUTE)
			pthread_detach(record->thread);
		else
			pthread_join(record->thread, NULL);
	}
}

/* Of an execute-task that waits for the run: it keeps its host no more. False: there is none. */
static bool release_queued(struct tmgr_manager *manager)
{
	struct tmgr__record *record = NULL;
	struct tmgr_executor *on;
	struct tmgr__list *node;
	void *place = NULL;

	tmgr__manager_lock(manager);
	node = tmgr__list_pop(&manager->pool.hosted);
	if (node) {
		/* Whoever has been here is behind those who have not. */
		tmgr__list_append(&manager->pool.hosted, node);
		record = container_of(node, struct tmgr__record, queue);
		on = record->on;
		place = record->place;
		record->place = NULL;
	}
	tmgr__manager_unlock(manager);
	if (place)
		on->ops->release(on, place);
	return place != NULL;
}

void tmgr__run_release_hosts(struct tmgr_manager *manager)
{
	struct tmgr__list *node;
	bool released;

	tmgr__manager_lock(manager);
	released = manager->hosts_open || manager->hosts_released;
	manager->hosts_released = true;
	tmgr__manager_unlock(manager);
	if (released)
		return;
	tmgr__list_for (node, &manager->tasks)
		tmgr__host_release(tmgr__record_of(node));
	while (release_queued(manager))
		;
}

/* Observers have the time of all, too, and a little more to be told of the end. */
static int64_t observers_deadline(struct tmgr_manager *manager)
{
	int64_t now = tmgr__manager_now(manager), deadline;

	tmgr__manager_lock(manager);
	deadline = manager->shutdown_deadline;
	tmgr__manager_unlock(manager);
	if (deadline == TMGR_NEVER)
		deadline = tmgr__time_add(now, manager->options.shutdown_ns);
	return deadline > now + OBSERVERS_NS ? deadline : now + OBSERVERS_NS;
}

/*
 * The threads go home; the report is made. Nothing of this run is left afterwards but what is
 * stuck.
 */
int tmgr__run_end(struct tmgr_manager *manager)
{
	if (manager->gate == TMGR__GATE_SHUT)
		tmgr__run_set_gate(manager, TMGR__GATE_ABORT);
	tmgr__manager_lock(manager);
	manager->stopping = true;
	manager->pool.open = true;
	manager->state = TMGR_MANAGER_CLEANING;
	tmgr__manager_unlock(manager);
	/* What was added and never began: it is cancelled by the stop. */
	tmgr_token_cancel(manager->token, 0, "run ended");
	tmgr__execute_drop_queued(manager, true);
	tmgr__run_release_hosts(manager);
	tmgr__host_join(manager);
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
	if (!manager->outer || manager->own_events) {
		/* A run that did not begin says why, too. */
		if (!manager->events->started)
			tmgr__events_start(manager->events);
		tmgr__events_stop(manager->events, manager->clock, observers_deadline(manager));
	}
	manager->report.events_dropped = __atomic_load_n(
		&manager->events->dropped, __ATOMIC_RELAXED);
	__atomic_store_n(&manager->reported, true, __ATOMIC_RELEASE);
	if (manager->report.stuck == 0 && manager->signal_stacks) {
		free(manager->signal_stacks);
		manager->signal_stacks = NULL;
	}
	return manager->report.result;
}

int tmgr__run_abort(struct tmgr_manager *manager, int error)
{
	if (manager->report.errors == 0)
		tmgr__run_note_start_error(manager, "", error,
			error == -EAGAIN
				? "no thread could be made: see the limits of threads and memory"
				: "");
	tmgr__execute_settle_unexecuted(manager);
	tmgr__run_end(manager);
	return manager->report.result;
}

/* Prepare and initialize; an error means that the run has ended. */
int tmgr__run_start(struct tmgr_manager *manager, struct tmgr_token *parent)
{
	int r = tmgr__run_prepare(manager);

	if (r < 0)
		return tmgr__run_abort(manager, r);
	if (parent) {
		tmgr__token_attach(manager->token, parent);
		/* The tokens above may be nobody's to watch. */
		if (tmgr_token_deadline(parent) != TMGR_NEVER)
			tmgr_token_set_deadline(manager->token, tmgr_token_deadline(parent));
	}
	tmgr__phase_initialize_all(manager);
	return 0;
}

int tmgr_manager_run(struct tmgr_manager *manager, struct tmgr_token *token)
{
	int r;

	if (!manager)
		return -EINVAL;
	r = tmgr__run_begin(manager);
	if (r < 0)
		return r;
	if (manager->options.take_signals) {
		r = tmgr__signals_start(manager);
		if (r < 0) {
			tmgr__run_note_start_error(
				manager, "", r, "another run in this process takes the signals");
			return tmgr__run_abort(manager, r);
		}
	}
	r = tmgr__run_start(manager, token);
	if (r == 0) {
		tmgr__execute_all(manager);
		tmgr__phase_clean_up_all(manager);
		r = tmgr__run_end(manager);
	}
	/* Under tmgr_main() one that comes now must not cut the report off. */
	if (manager->signals && !manager->is_main)
		tmgr__signals_stop(manager);
	return r;
}
