/*
 * The phases that run on the run's own thread, one task after another: initialize in order of
 * adding, cleanup in reverse. Which cleanups are called, and how long they may take, is decided here.
 */
#include <errno.h>
#include <pthread.h>

#include "base/check.h"
#include "base/text.h"
#include "run.h"

/* What cleanups still get when the total deadline has passed. */
#define CLEANUP_GRACE (40 * TMGR_MILLISECOND)
/* The watcher looks at a cleanup that is not done after this. */
#define LOOK_NS (10 * TMGR_MILLISECOND)

/* Tasks that are passed under one lock, where there is nothing to call. */
#define BATCH 64

static void exit_in_initialize(void *self)
{
	tmgr__misuse("pthread_exit() in initialize", self);
}

static void exit_in_cleanup(void *self)
{
	tmgr__misuse("pthread_exit() in cleanup", self);
}

static int call(struct tmgr__record *record, enum tmgr_phase phase)
{
	if (phase == TMGR_INITIALIZE)
		return tmgr_task_initialize(record->task, &record->context);
	return tmgr_task_cleanup(record->task, &record->context);
}

/* The thread is whoever's called run, and run would never end. */
static int call_on_thread(struct tmgr__record *record, enum tmgr_phase phase)
{
	int r;

	pthread_cleanup_push(
		phase == TMGR_INITIALIZE ? exit_in_initialize : exit_in_cleanup, record->name);
	r = call(record, phase);
	pthread_cleanup_pop(0);
	return r;
}

/* The phases that run on this thread. */
static int call_phase(struct tmgr__record *record, enum tmgr_phase phase)
{
	struct tmgr_context *context = &record->context;
	int r;

	tmgr__context_enter(context);
	/* What is to be called at a thread's exit is one list a thread, which coroutines would mix
	 * up. */
	if (context->outer && context->outer->host)
		r = call(record, phase);
	else
		r = call_on_thread(record, phase);
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
	/* The stop may have begun just before, when no task initialized. */
	if (manager->stopping && state == TMGR_STATE_INITIALIZING &&
		manager->options.stop_order == TMGR_STOP_REVERSE)
		manager->deferred |= TMGR__DEFER_FIRE_PHASE;
	tmgr__manager_unlock(manager);
}

/* Whether a stuck task that was added later may still use what this one set up. */
static bool used_by_stuck(const struct tmgr__record *record)
{
	const struct tmgr_manager *manager = record->manager;
	struct tmgr__list *node;

	if (manager->report.stuck == 0)
		return false;
	for (node = record->node.next; node != &manager->tasks; node = node->next)
		if (tmgr__record_of(node)->state == TMGR_STATE_STUCK)
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

void tmgr__phase_skip_cleanups(struct tmgr_manager *manager)
{
	struct tmgr__list *node;

	tmgr__list_for_reverse(node, &manager->tasks)
	{
		struct tmgr__record *record = tmgr__record_of(node);

		if (record->cleanup && (record->state == TMGR_STATE_INITIALIZED ||
					       record->state == TMGR_STATE_ENDED))
			tmgr__record_fail(
				record, TMGR_REPORT_NOT_CLEANED_UP, TMGR_STAGE_CLEANUP, 0, 0);
	}
}

static int64_t cleanup_deadline(
	struct tmgr_manager *manager, const struct tmgr__record *record, int64_t now)
{
	int64_t deadline, limit = record->cleanup->limit_ns;

	/* The watcher brings it forward when an outer manager stops. */
	tmgr__manager_lock(manager);
	deadline = manager->shutdown_deadline;
	tmgr__manager_unlock(manager);
	/* A total deadline that has passed leaves a little, which all of them share. */
	if (deadline <= now)
		deadline = now + CLEANUP_GRACE / (int64_t)(manager->report.long_running + 8);
	if (limit > 0 && tmgr__time_add(now, limit) < deadline)
		deadline = tmgr__time_add(now, limit);
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
		record->cleanup->took_ns = now - record->began;
		record->began = 0;
		if (error < 0)
			tmgr__record_fail(
				record, TMGR_REPORT_ERROR, TMGR_STAGE_CLEANUP, error, detail);
		tmgr__manager_set_state(manager, record, TMGR_STATE_DONE, now);
	}
	tmgr__manager_unlock(manager);
}

void tmgr__phase_clean_up(struct tmgr__record *record)
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

/*
 * Under the lock: those before a node, in reverse, that have no cleanup are done at once. Returns the
 * first that has one, or the end. Many daemons have thousands of small tasks, and few cleanups.
 */
static struct tmgr__list *pass_without_cleanup(
	struct tmgr_manager *manager, struct tmgr__list *node, int64_t now)
{
	for (int i = 0; i < BATCH && node != &manager->tasks; i++, node = node->previous) {
		if (tmgr__record_of(node)->phases & TMGR_CLEANUP)
			break;
		check(!decide_cleanup(tmgr__record_of(node), now));
	}
	return node;
}

void tmgr__phase_clean_up_all(struct tmgr_manager *manager)
{
	struct tmgr__list *node = manager->tasks.previous;

	while (node != &manager->tasks) {
		if (tmgr__record_of(node)->phases & TMGR_CLEANUP) {
			tmgr__phase_clean_up(tmgr__record_of(node));
			node = node->previous;
			continue;
		}
		tmgr__manager_lock(manager);
		manager->state = TMGR_MANAGER_CLEANING;
		node = pass_without_cleanup(manager, node, tmgr__manager_now(manager));
		tmgr__manager_unlock(manager);
	}
}

/*
 * Under the lock: whether an initialize only obeyed: the stop of all, or the cancel of its task by
 * a handle, which takes nobody with it. A token that fired for any other reason did not ask for it.
 */
static bool has_obeyed(const struct tmgr__record *record, int error)
{
	const struct tmgr_manager *manager = record->manager;

	if (error != -ECANCELED || !tmgr_context_cancelled(&record->context))
		return false;
	return record->by_handle || manager->stopping || tmgr_token_fired(manager->token);
}

/* Under the lock: note that initialize failed. */
static void initialize_failed(struct tmgr__record *record, int error, int detail)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_TASK_FAILED, .code = error };

	tmgr__record_fail(record, TMGR_REPORT_ERROR, TMGR_STAGE_INITIALIZE, error, detail);
	tmgr__text_copy(cause.text, sizeof(cause.text), record->name);
	tmgr__manager_begin_stop(record->manager, &cause);
}

/* It was not initialized, without being at fault: it is done, and the others go on. No lock held. */
static void leave_out(struct tmgr__record *record)
{
	tmgr__manager_lock(record->manager);
	tmgr__record_leave_group(record);
	tmgr__manager_unlock(record->manager);
	record->left_out = true;
	tmgr__host_release(record);
	tmgr_future_complete(&record->done, 0, NULL);
}

/* When it fails all stop: then no further one is initialized. */
static void initialize(struct tmgr__record *record)
{
	struct tmgr_manager *manager = record->manager;
	int detail, error;
	bool obeyed;
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
		return;
	}
	record->initialize_ns = now - record->began;
	record->began = 0;
	obeyed = has_obeyed(record, error);
	if (error < 0 && !obeyed)
		initialize_failed(record, error, detail);
	if (error == 0) {
		/* What it said on its way is not why execute will fail. */
		record->text[0] = '\0';
		tmgr__manager_set_state(manager, record, TMGR_STATE_INITIALIZED, now);
	} else if (!record->cleanup_after_failed_initialize || !(record->phases & TMGR_CLEANUP)) {
		tmgr__manager_set_state(manager, record, TMGR_STATE_DONE, now);
	}
	tmgr__manager_unlock(manager);
	if (error < 0 && record->cleanup_after_failed_initialize && (record->phases & TMGR_CLEANUP))
		clean_up(record, true);
	if (error < 0 && obeyed)
		leave_out(record);
}

/* Those from a node on that have no initialize. Returns the first that has one, or the end. */
static struct tmgr__list *pass_without_initialize(
	struct tmgr_manager *manager, struct tmgr__list *node)
{
	int64_t now = tmgr__manager_now(manager);

	tmgr__manager_lock(manager);
	for (int i = 0; i < BATCH && node != &manager->tasks; i++, node = node->next) {
		struct tmgr__record *record = tmgr__record_of(node);

		if (record->phases & TMGR_INITIALIZE)
			break;
		tmgr__manager_set_state(manager, record, TMGR_STATE_INITIALIZED, now);
	}
	tmgr__manager_unlock(manager);
	return node;
}

void tmgr__phase_initialize_all(struct tmgr_manager *manager)
{
	struct tmgr__list *node = manager->tasks.next;

	while (node != &manager->tasks && !tmgr__run_is_stopping(manager)) {
		struct tmgr__record *record = tmgr__record_of(node);

		if (!(record->phases & TMGR_INITIALIZE)) {
			node = pass_without_initialize(manager, node);
			continue;
		}
		initialize(record);
		node = node->next;
	}
}
