/*
 * The manager: its making, adding, cancelling and its end. What happens while it runs is in run.c,
 * what the end of a task means in end.c.
 *
 * A stop begins once, under the lock (tmgr__manager_begin_stop()), and from then on every add is
 * refused; so adding and cancelling are in one order. The token is fired after the lock is given
 * back; a token above that fires comes back here through token_callback. Who fires may be at another
 * callback for long: whoever acts on the token begins the stop itself (tmgr__manager_heed_token()).
 */
#include "manager.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "fork.h"

/* Memory of ended execute-tasks that is kept for the next. */
#define SPARES_MAX 1024

static int64_t or_default(int64_t value, int64_t otherwise)
{
	return value > 0 ? value : otherwise;
}

static bool options_valid(const struct tmgr_manager_options *options)
{
	return options->shutdown_ns >= 0 && options->stop_ns >= 0 && options->cleanup_ns >= 0 &&
	       options->ready_ns >= 0 && options->pool_idle_ns >= 0 &&
	       (options->stack_size == 0 || options->stack_size >= TMGR__STACK_MIN) &&
	       options->stack_size <= SSIZE_MAX && options->pool_threads_max <= 1000000 &&
	       options->events_max <= 16777216 &&
	       (unsigned)options->when_quiet <= TMGR_QUIET_ERROR &&
	       (unsigned)options->stop_order <= TMGR_STOP_REVERSE;
}

void tmgr__manager_refuse(
	struct tmgr_manager *manager, const char *name, int error, const char *rule)
{
	struct tmgr__refused *refused = &manager->first_refused;

	if (!tmgr__list_empty(&manager->refused))
		refused = malloc(sizeof(*refused));
	if (!refused)
		return;
	tmgr__text_copy(refused->name, sizeof(refused->name), name);
	refused->entry = (struct tmgr_report_entry){
		.kind = TMGR_REPORT_ERROR,
		.stage = TMGR_STAGE_ADD,
		.error = error,
		.name = refused->name,
		.text = rule ? rule : "",
	};
	tmgr__list_append(&manager->refused, &refused->node);
}

static void free_refused(struct tmgr_manager *manager)
{
	struct tmgr__list *node, *following;

	tmgr__list_for_safe (node, following, &manager->refused) {
		struct tmgr__refused *refused = container_of(node, struct tmgr__refused, node);

		if (refused != &manager->first_refused)
			free(refused);
	}
}

static void set_options(struct tmgr_manager *manager, const struct tmgr_manager_options *options)
{
	struct tmgr_manager_options *own = &manager->options;

	if (options && options_valid(options)) {
		*own = *options;
	} else if (options) {
		tmgr__manager_refuse(
			manager, "", -EINVAL, "an option of the manager is out of range");
	}
	own->shutdown_ns = or_default(own->shutdown_ns, 25 * TMGR_SECOND);
	own->pool_idle_ns = or_default(own->pool_idle_ns, 10 * TMGR_SECOND);
	if (own->pool_threads_max == 0)
		own->pool_threads_max = 1000;
	if (own->events_max == 0)
		own->events_max = 1024;
}

/* The token fired: by somebody above it, by its deadline, or by us. */
static void token_fired(void *self)
{
	struct tmgr_manager *manager = self;
	struct tmgr_cause cause;

	tmgr_token_cause(manager->token, &cause);
	tmgr__manager_lock(manager);
	tmgr__manager_begin_stop(manager, &cause);
	/* It has been fired just now. */
	manager->deferred &= ~(unsigned)TMGR__DEFER_FIRE;
	tmgr__manager_unlock(manager);
}

struct tmgr_manager *tmgr_manager_create(const struct tmgr_manager_options *options)
{
	struct tmgr_manager *manager = calloc(1, sizeof(*manager));

	if (!manager)
		return NULL;
	manager->refs = 1;
	tmgr__list_init(&manager->tasks);
	tmgr__list_init(&manager->executes);
	tmgr__list_init(&manager->failed);
	tmgr__list_init(&manager->stuck);
	tmgr__list_init(&manager->refused);
	tmgr__list_init(&manager->groups);
	tmgr__pool_init(&manager->pool);
	tmgr__reload_init(&manager->reload);
	manager->clock = tmgr__clock_current();
	manager->check_at = manager->shutdown_deadline = TMGR_NEVER;
	manager->entries_last = &manager->report.entries;
	set_options(manager, options);
	manager->events = tmgr__events_create(manager->options.events_max);
	if (!manager->events || tmgr_token_create(NULL, &manager->token) < 0) {
		tmgr__events_unref(manager->events);
		free(manager);
		return NULL;
	}
	tmgr_token_register(manager->token, &manager->token_callback, token_fired, manager);
	return manager;
}

struct tmgr_manager *tmgr_manager_ref(struct tmgr_manager *manager)
{
	if (manager)
		check(__atomic_fetch_add(&manager->refs, 1, __ATOMIC_RELAXED) > 0);
	return manager;
}

void tmgr_manager_unref(struct tmgr_manager *manager)
{
	struct tmgr__record *record;
	uint32_t refs;

	if (!manager)
		return;
	refs = __atomic_fetch_sub(&manager->refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs > 1)
		return;
	while ((record = manager->spare)) {
		manager->spare = record->added_by;
		tmgr__record_unref(record);
	}
	free_refused(manager);
	tmgr__arena_fini(&manager->records);
	tmgr_token_unref(manager->token);
	tmgr__timers_unref(manager->timers);
	tmgr__events_unref(manager->events);
	free(manager->handles);
	free(manager->path_prefix);
	free(manager);
}

static void destroy_records(struct tmgr__list *list)
{
	while (!tmgr__list_empty(list)) {
		struct tmgr__record *record = container_of(
			list->previous, struct tmgr__record, node);

		tmgr__list_remove(&record->node);
		/* A stuck thread may still use it, and what was added before it. */
		if (record->leaked)
			continue;
		tmgr__host_release(record);
		tmgr_task_destroy(record->task);
		record->task = (struct tmgr_task){ NULL, NULL };
		tmgr__record_unref(record);
	}
}

static void release_handles(struct tmgr_manager *manager)
{
	for (size_t i = 0; i < manager->handle_slots; i++) {
		struct tmgr__record *record = manager->handles[i].record;

		manager->handles[i].record = NULL;
		manager->handles[i].generation++;
		if (record)
			tmgr__record_unref(record);
	}
}

void tmgr_manager_destroy(struct tmgr_manager *manager)
{
	struct tmgr__list *node, *following;
	enum tmgr_manager_state state;

	if (!manager)
		return;
	/* In a forked child all of it may be half changed for ever: it is left alone. */
	if (tmgr__manager_check_fork(manager) < 0)
		return;
	tmgr__manager_lock(manager);
	state = manager->state;
	if (state == TMGR_MANAGER_ADDING)
		manager->state = state = TMGR_MANAGER_ENDED;
	manager->stopping = true;
	tmgr__manager_unlock(manager);
	if (state != TMGR_MANAGER_ENDED)
		tmgr__misuse("a manager is destroyed while it runs",
			tmgr_context_name(tmgr_context_current()));
	tmgr_token_unregister(&manager->token_callback);
	/* Of tasks that were added and never run. */
	if (manager->interrupts)
		tmgr__interrupts_give_back(manager);
	/* In reverse order of adding: execute-tasks that never ran came last. */
	destroy_records(&manager->executes);
	destroy_records(&manager->failed);
	tmgr__names_fini(&manager->names);
	destroy_records(&manager->tasks);
	tmgr__strands_destroy(manager);
	release_handles(manager);
	tmgr__list_for_safe (node, following, &manager->groups) {
		tmgr__list_remove(node);
		free(container_of(node, struct tmgr__stop_group, node));
	}
	tmgr_manager_unref(manager);
}

void tmgr__manager_unlock_deferred(struct tmgr_manager *manager)
{
	unsigned deferred = manager->deferred;
	struct tmgr__events *events = manager->events;
	struct tmgr__record *phase_record = NULL;
	struct tmgr__record *unbegun = NULL;
	struct tmgr__list stuck;
	struct tmgr_cause cause;
	bool parked = false;

	manager->deferred = 0;
	if (deferred & (TMGR__DEFER_FIRE | TMGR__DEFER_FIRE_PHASE))
		cause = manager->stop_cause;
	if (deferred & TMGR__DEFER_FIRE_PHASE)
		phase_record = tmgr__record_ref(manager->phase_record);
	tmgr__list_init(&stuck);
	if (deferred & TMGR__DEFER_SETTLE) {
		tmgr__list_splice(&stuck, &manager->stuck);
		unbegun = manager->stuck_unbegun;
		manager->stuck_unbegun = NULL;
	}
	if (deferred & TMGR__DEFER_WAKE_RUN) {
		__atomic_fetch_add(&manager->run_word, 1, __ATOMIC_RELEASE);
		parked = manager->run_parked;
		manager->run_parked = false;
	}
	tmgr__lock_release(&manager->lock);
	if (deferred & TMGR__DEFER_FIRE)
		tmgr_token_fire(manager->token, &cause);
	while (!tmgr__list_empty(&stuck)) {
		struct tmgr__list *node = tmgr__list_pop(&stuck);

		tmgr_future_complete(
			&container_of(node, struct tmgr__record, queue)->done, 0, NULL);
	}
	for (; unbegun; unbegun = unbegun->next_stuck)
		tmgr_future_complete(&unbegun->done, 0, NULL);
	if (phase_record) {
		tmgr_token_fire(&phase_record->token, &cause);
		tmgr__record_unref(phase_record);
	}
	if (deferred & TMGR__DEFER_WAKE_EVENTS)
		tmgr__events_wake(events);
	if (deferred & TMGR__DEFER_WAKE_WATCHER)
		tmgr__watcher_wake(manager);
	/* Last: it may be the end of this manager's run. */
	if (parked)
		tmgr_future_complete(&manager->run_changed, 0, NULL);
	else if (deferred & TMGR__DEFER_WAKE_RUN)
		tmgr__futex_wake(&manager->run_word, INT_MAX);
}

int tmgr__manager_check_fork(const struct tmgr_manager *manager)
{
	unsigned generation = __atomic_load_n(&manager->fork_generation, __ATOMIC_RELAXED);

	return generation != 0 && generation != tmgr__fork_generation() ? -ECHILD : 0;
}

void tmgr__manager_check_at(struct tmgr_manager *manager, int64_t at)
{
	if (at >= manager->check_at)
		return;
	manager->check_at = at;
	manager->deferred |= TMGR__DEFER_WAKE_WATCHER;
}

void tmgr__manager_add_entry(struct tmgr_manager *manager, struct tmgr_report_entry *entry)
{
	struct tmgr_report *report = &manager->report;

	entry->next = NULL;
	*manager->entries_last = entry;
	manager->entries_last = &entry->next;
	switch (entry->kind) {
	case TMGR_REPORT_ERROR:
		report->errors++;
		break;
	case TMGR_REPORT_STUCK:
		report->stuck++;
		break;
	case TMGR_REPORT_NOT_CLEANED_UP:
		report->not_cleaned_up++;
		return;
	}
	if (!report->cause)
		report->cause = entry;
}

void tmgr__manager_begin_stop(struct tmgr_manager *manager, const struct tmgr_cause *cause)
{
	if (manager->stopping)
		return;
	manager->stopping = true;
	manager->stop_cause = *cause;
	manager->stop_began = tmgr__manager_now(manager);
	manager->shutdown_deadline = tmgr__time_add(
		manager->stop_began, manager->options.shutdown_ns);
	if (manager->state == TMGR_MANAGER_RUNNING)
		manager->state = TMGR_MANAGER_STOPPING;
	tmgr__manager_tell_stop(manager, cause);
	manager->check_at = TMGR_NOW;
	manager->deferred |= TMGR__DEFER_FIRE;
	/* Else it has nothing to do before the last that executes has ended, which wakes it. */
	if (manager->executing == 0 || tmgr__pool_has_waiting(&manager->pool) ||
		manager->options.stop_order == TMGR_STOP_REVERSE)
		manager->deferred |= TMGR__DEFER_WAKE_RUN;
	if (manager->state != TMGR_MANAGER_ADDING)
		manager->deferred |= TMGR__DEFER_WAKE_WATCHER;
	/*
	 * Stopping in reverse, tasks are not below the manager's token; but one that initializes is
	 * to see the stop.
	 */
	if (manager->options.stop_order == TMGR_STOP_REVERSE && manager->phase_record &&
		manager->phase_record->state == TMGR_STATE_INITIALIZING)
		manager->deferred |= TMGR__DEFER_FIRE_PHASE;
}

void tmgr__manager_heed_token(struct tmgr_manager *manager)
{
	struct tmgr_cause cause;

	if (manager->stopping || tmgr_token_cause(manager->token, &cause) < 0)
		return;
	tmgr__manager_begin_stop(manager, &cause);
	/* It has been fired already. */
	manager->deferred &= ~(unsigned)TMGR__DEFER_FIRE;
}

void tmgr__manager_look_quiet(struct tmgr_manager *manager)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_LIMIT,
		.text = "nothing left to execute" };

	if (manager->executing > 0)
		return;
	manager->deferred |= TMGR__DEFER_WAKE_RUN;
	tmgr__manager_heed_token(manager);
	if (manager->stopping || manager->state != TMGR_MANAGER_RUNNING ||
		manager->options.when_quiet == TMGR_QUIET_WAIT)
		return;
	if (manager->options.when_quiet == TMGR_QUIET_ERROR) {
		manager->start_entry = (struct tmgr_report_entry){
			.kind = TMGR_REPORT_ERROR,
			.stage = TMGR_STAGE_EXECUTE,
			.error = -TMGR_EUNEXPECTED,
			.name = "",
			.text = "nothing left to execute",
		};
		tmgr__manager_add_entry(manager, &manager->start_entry);
		cause.code = -TMGR_EUNEXPECTED;
	}
	tmgr__manager_begin_stop(manager, &cause);
}

int tmgr_manager_cancel(struct tmgr_manager *manager)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_CANCELLED };
	int r;

	if (!manager)
		return -EINVAL;
	r = tmgr__manager_check_fork(manager);
	if (r < 0)
		return r;
	tmgr__manager_lock(manager);
	if (manager->state == TMGR_MANAGER_ENDED)
		r = -ESHUTDOWN;
	else if (manager->stopping)
		r = -EALREADY;
	else
		tmgr__manager_begin_stop(manager, &cause);
	tmgr__manager_unlock(manager);
	return r;
}

void tmgr_manager_cancel_from_signal(struct tmgr_manager *manager, int signo)
{
	if (!manager || tmgr__manager_check_fork(manager) < 0)
		return;
	__atomic_store_n(&manager->cancel_signal, signo + 1, __ATOMIC_RELEASE);
	tmgr__watcher_wake(manager);
}

struct tmgr_token *tmgr_manager_token(struct tmgr_manager *manager)
{
	return manager ? manager->token : NULL;
}

const struct tmgr_report *tmgr_manager_report(const struct tmgr_manager *manager)
{
	return manager && __atomic_load_n(&manager->reported, __ATOMIC_ACQUIRE) ? &manager->report
										: NULL;
}

struct tmgr__record *tmgr__manager_take_spare(struct tmgr_manager *manager)
{
	struct tmgr__record *record = manager->spare;

	if (record) {
		manager->spare = record->added_by;
		manager->spares--;
	}
	return record;
}

bool tmgr__manager_keep_spare(struct tmgr_manager *manager, struct tmgr__record *record)
{
	if (manager->spares >= SPARES_MAX)
		return false;
	record->added_by = manager->spare;
	manager->spare = record;
	manager->spares++;
	return true;
}
