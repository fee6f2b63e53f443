/*
 * Executing: letting all executes start, waiting until they have ended, and telling them to stop
 * layer by layer where that is asked for. The thread that runs sleeps on run_word, which grows with
 * everything it may wait for.
 */
#include <errno.h>

#include "future.h"
#include "run.h"

/* Tasks that are told to stop for one look at all of them. */
#define TELL_AT_ONCE 64

/*
 * Tasks that will not execute: whoever waits for their end need not. Before any other may have
 * begun.
 */
void tmgr__execute_settle_unexecuted(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = tmgr__record_of(node);
		bool never;

		tmgr__manager_lock(manager);
		never = !record->executing && record->state != TMGR_STATE_STUCK;
		tmgr__manager_unlock(manager);
		if (never)
			tmgr_future_complete(&record->done, 0, NULL);
	}
}

/* The same where all others are about to execute. */
static void settle_without_execute(struct tmgr_manager *manager)
{
	size_t left = manager->without_execute;
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		if (left == 0)
			break;
		if (tmgr__record_of(node)->phases & TMGR_EXECUTE)
			continue;
		tmgr_future_complete(&tmgr__record_of(node)->done, 0, NULL);
		left--;
	}
}

/* Let all executes start, long-running ones first. */
static void start_executes(struct tmgr_manager *manager)
{
	struct tmgr__list *node, hosted;
	int64_t now = tmgr__manager_now(manager);

	tmgr__list_init(&hosted);
	tmgr__manager_lock(manager);
	manager->phase_record = NULL;
	manager->state = TMGR_MANAGER_RUNNING;
	if (manager->stopping)
		manager->state = TMGR_MANAGER_STOPPING;
	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = tmgr__record_of(node);

		if (!(record->phases & TMGR_EXECUTE) || record->left_out)
			continue;
		record->executing = true;
		manager->executing++;
		if (record->host == TMGR_HOST_POOL) {
			tmgr__pool_push(&manager->pool, record);
			continue;
		}
		if (record->on) {
			tmgr__list_append(&hosted, &record->queue);
			continue;
		}
		record->began = record->heartbeat = now;
		tmgr__manager_set_state(manager, record, TMGR_STATE_RUNNING, now);
		if (record->ready_ns || record->heartbeat_ns)
			tmgr__manager_check_at(manager, TMGR_NOW);
	}
	/* Long-running tasks come before the execute-tasks that were added meanwhile. */
	tmgr__list_splice(&hosted, &manager->pool.hosted);
	tmgr__list_splice(&manager->pool.hosted, &hosted);
	tmgr__manager_look_quiet(manager);
	tmgr__manager_unlock(manager);
	settle_without_execute(manager);
	tmgr__run_set_gate(manager, TMGR__GATE_OPEN);
	tmgr__pool_open(manager);
	tmgr__host_open(manager);
}

/* Execute-tasks that wait for a thread and are cancelled, or all, never begin. */
void tmgr__execute_drop_queued(struct tmgr_manager *manager, bool all)
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

/* The same in a coroutine, whose loop must not be blocked. Cancel comes as a change, too. */
static void park_for_change(struct tmgr_manager *manager, uint32_t word)
{
	bool parks;

	tmgr__manager_lock(manager);
	parks = manager->run_word == word;
	manager->run_parked = parks;
	tmgr_future_init(&manager->run_changed);
	tmgr__manager_unlock(manager);
	if (parks)
		tmgr__future_wait_shielded(
			manager->run_context, &manager->run_changed, TMGR_NEVER, "manager");
}

/* Sleep until something that run waits for has changed since `word`. */
static void wait_for_change(struct tmgr_manager *manager, uint32_t word)
{
	if (manager->run_context) {
		park_for_change(manager, word);
		return;
	}
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
		/* All of them are cancelled, or just about to be. */
		if (stopping && manager->pool.open)
			tmgr__execute_drop_queued(manager, true);
		wait_for_change(manager, word);
	}
}

static void wait_for_stop(struct tmgr_manager *manager)
{
	while (!tmgr__run_is_stopping(manager)) {
		uint32_t word = run_word(manager);

		if (!tmgr__run_is_stopping(manager))
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
		struct tmgr__record *record = tmgr__record_of(node);

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

/* Under the lock: those that execute and have not been told to stop, referenced. */
static size_t take_untold(
	struct tmgr_manager *manager, struct tmgr__list *list, struct tmgr__record **batch)
{
	struct tmgr__list *node;
	size_t count = 0;

	tmgr__list_for (node, list) {
		struct tmgr__record *record = tmgr__record_of(node);

		if (!record->executing || record->stop_since)
			continue;
		record->stop_since = tmgr__manager_now(manager);
		batch[count++] = tmgr__record_ref(record);
		if (count == TELL_AT_ONCE)
			break;
	}
	return count;
}

void tmgr__execute_tell_all(struct tmgr_manager *manager)
{
	struct tmgr__record *batch[TELL_AT_ONCE];
	struct tmgr_cause cause;
	size_t count;

	do {
		tmgr__manager_lock(manager);
		cause = manager->stop_cause;
		count = take_untold(manager, &manager->tasks, batch);
		if (count == 0)
			count = take_untold(manager, &manager->executes, batch);
		tmgr__manager_check_at(manager, TMGR_NOW);
		tmgr__manager_unlock(manager);
		for (size_t i = 0; i < count; i++)
			cancel_record(batch[i], &cause);
	} while (count > 0);
}

static bool layer_runs(struct tmgr_manager *manager, struct tmgr__record *adder)
{
	struct tmgr__list *node;
	bool runs;

	tmgr__manager_lock(manager);
	runs = adder && adder->executing;
	tmgr__list_for (node, &manager->executes) {
		struct tmgr__record *record = tmgr__record_of(node);

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

		tmgr__execute_drop_queued(manager, false);
		if (!layer_runs(manager, adder))
			return;
		wait_for_change(manager, word);
	}
}

/* Stop and clean up: all at once and then in reverse, or layer by layer. */
static void wait_reverse(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	wait_for_stop(manager);
	stop_layer(manager, NULL);
	tmgr__list_for_reverse(node, &manager->tasks)
	{
		stop_layer(manager, tmgr__record_of(node));
		tmgr__phase_clean_up(tmgr__record_of(node));
	}
}

void tmgr__execute_all(struct tmgr_manager *manager)
{
	tmgr__manager_lock(manager);
	manager->waited = true;
	tmgr__manager_unlock(manager);
	if (tmgr__run_is_stopping(manager)) {
		tmgr__execute_settle_unexecuted(manager);
		tmgr__run_release_hosts(manager);
		tmgr__run_set_gate(manager, TMGR__GATE_ABORT);
		return;
	}
	start_executes(manager);
	if (manager->options.stop_order == TMGR_STOP_REVERSE)
		wait_reverse(manager);
	else
		wait_for_all(manager);
}
