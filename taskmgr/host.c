/*
 * Hosts that are not threads of the library: what they do for managers, and what they are given of
 * the core for it.
 *
 * A record that such a host is to run holds it from its adding on, with a place in which all that
 * its run needs was allocated; the place is used up by starting it, or given back. Whether a host
 * runs, and by which task, is written under the lock of that task's manager, and read without.
 */
#include <taskmgr/host.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>

#include "base/check.h"
#include "manager.h"

int tmgr__host_hold(struct tmgr__record *record)
{
	return record->on ? record->on->ops->hold(record->on, &record->place) : 0;
}

void tmgr__host_release(struct tmgr__record *record)
{
	void *place = record->on ? record->place : NULL;

	/* Most have none, and are looked at by the run's thread and their own at once. */
	if (!place)
		return;
	record->place = NULL;
	record->on->ops->release(record->on, place);
}

void tmgr__host_start(struct tmgr__record *record)
{
	void *place = record->place;

	record->place = NULL;
	record->on->ops->start(record->on, place, (struct tmgr_hosted *)(void *)record);
}

bool tmgr__host_is_served(struct tmgr_manager *manager, struct tmgr_executor *host)
{
	struct tmgr__list *node;

	if (__atomic_load_n(&host->runner, __ATOMIC_ACQUIRE))
		return true;
	/* The list of long-running tasks, and what is around a manager, stay as they are in a run. */
	for (; manager; manager = manager->outer)
		tmgr__list_for (node, &manager->tasks)
			if (tmgr_task_runs(
				    container_of(node, struct tmgr__record, node)->task, host))
				return true;
	return false;
}

/*
 * Take those off a list that come first and are on one host, as tmgr_hosted_take() wants them: until
 * they are taken there, nothing else looks at their `queue`.
 */
static struct tmgr__record *take_first_of_one(struct tmgr__list *hosted)
{
	struct tmgr__record *first = container_of(
		tmgr__list_pop(hosted), struct tmgr__record, queue);
	struct tmgr__record *last = first;
	struct tmgr__list *node;

	while ((node = tmgr__list_first(hosted))) {
		struct tmgr__record *record = container_of(node, struct tmgr__record, queue);

		if (record->on != first->on)
			break;
		tmgr__list_remove(node);
		last->queue.next = node;
		last = record;
	}
	last->queue.next = NULL;
	return first;
}

struct tmgr_hosted *tmgr_hosted_take(struct tmgr_hosted **first, void **ret_place)
{
	struct tmgr__record *record;
	struct tmgr__list *next;

	if (!first || !*first || !ret_place)
		return NULL;
	record = (struct tmgr__record *)(void *)*first;
	*ret_place = record->place;
	record->place = NULL;
	next = record->queue.next;
	tmgr__list_init(&record->queue);
	*first = NULL;
	if (next) {
		/* It is another processor's, mostly. */
		__builtin_prefetch(next);
		*first = (void *)container_of(next, struct tmgr__record, queue);
	}
	return (struct tmgr_hosted *)(void *)record;
}

void tmgr__host_open(struct tmgr_manager *manager)
{
	struct tmgr__list hosted;

	tmgr__list_init(&hosted);
	tmgr__manager_lock(manager);
	tmgr__list_splice(&hosted, &manager->pool.hosted);
	manager->hosts_open = true;
	/* The watcher passed what a host was not given. */
	if (manager->stopping)
		tmgr__manager_check_at(manager, TMGR_NOW);
	tmgr__manager_unlock(manager);
	while (!tmgr__list_empty(&hosted)) {
		struct tmgr__record *first = take_first_of_one(&hosted);
		struct tmgr_hosted *rest = (struct tmgr_hosted *)(void *)first, *one;
		struct tmgr_executor *on = first->on;
		void *place;

		if (on->ops->start_all) {
			on->ops->start_all(on, rest);
			continue;
		}
		while ((one = tmgr_hosted_take(&rest, &place)))
			on->ops->start(on, place, one);
	}
}

int tmgr_executor_enter(struct tmgr_executor *host, struct tmgr_context *context)
{
	struct tmgr__record *record;
	int r = 0;

	if (!host || !context)
		return -EINVAL;
	record = context->record;
	tmgr__manager_lock(record->manager);
	if (host->runner)
		r = -EBUSY;
	if (r == 0) {
		record->runs = host;
		__atomic_store_n(&host->runner, record, __ATOMIC_RELEASE);
	}
	tmgr__manager_unlock(record->manager);
	return r;
}

void tmgr_executor_leave(struct tmgr_executor *host)
{
	struct tmgr__record *record = host ? host->runner : NULL;

	if (!record)
		return;
	tmgr__manager_lock(record->manager);
	/* One that is called stuck already keeps what the report says of it. */
	if (record->state != TMGR_STATE_STUCK)
		record->runs = NULL;
	__atomic_store_n(&host->runner, NULL, __ATOMIC_RELEASE);
	tmgr__manager_unlock(record->manager);
}

struct tmgr_context *tmgr_hosted_context(struct tmgr_hosted *hosted)
{
	return &((struct tmgr__record *)(void *)hosted)->context;
}

/* In the manager's `hosted_ending`: the run waits for the last. */
#define ENDING_AWAITED ((uint32_t)1 << 31)

/*
 * The run does not join a loop's thread that is another manager's, and may be over once it has seen
 * the last task's end. So it waits until none is just being settled: counted under the lock before
 * the end shows, and off with the last touch of the manager.
 */
static void settle(struct tmgr_manager *manager, struct tmgr__record *record)
{
	if (record)
		tmgr__record_settle(record);
	if (__atomic_sub_fetch(&manager->hosted_ending, 1, __ATOMIC_ACQ_REL) == ENDING_AWAITED)
		tmgr__futex_wake(&manager->hosted_ending, INT_MAX);
}

void tmgr__host_join(struct tmgr_manager *manager)
{
	uint32_t count = __atomic_or_fetch(
		&manager->hosted_ending, ENDING_AWAITED, __ATOMIC_ACQ_REL);

	while (count != ENDING_AWAITED) {
		tmgr__futex_wait(&manager->hosted_ending, count, TMGR_NEVER);
		count = __atomic_load_n(&manager->hosted_ending, __ATOMIC_ACQUIRE);
	}
}

/* Begin its execute, unless it was cancelled before, or is called stuck: that is settled then. */
static bool begin(struct tmgr__record *record, const struct tmgr_waiter_ops *ops, void *owner)
{
	struct tmgr_manager *manager = record->manager;
	int64_t now = tmgr__manager_now(manager);
	bool stuck, begins;

	tmgr__manager_lock(manager);
	stuck = record->state == TMGR_STATE_STUCK;
	begins = !stuck && !tmgr_context_cancelled(&record->context);
	if (!begins)
		__atomic_add_fetch(&manager->hosted_ending, 1, __ATOMIC_RELAXED);
	if (begins) {
		record->waiter.ops = ops;
		record->waiter.owner = owner;
		record->context.host = record->on;
		record->began = record->heartbeat = now;
		tmgr__manager_set_state(manager, record, TMGR_STATE_RUNNING, now);
		if (record->ready_ns || record->heartbeat_ns)
			tmgr__manager_check_at(manager, TMGR_NOW);
	} else if (!stuck) {
		tmgr__record_skip(record, now);
	}
	tmgr__manager_unlock(manager);
	if (!begins)
		settle(manager, stuck ? NULL : record);
	return begins;
}

static void end(struct tmgr__record *record, struct tmgr__end how)
{
	struct tmgr_manager *manager = record->manager;
	bool ended;

	tmgr__manager_lock(manager);
	__atomic_add_fetch(&manager->hosted_ending, 1, __ATOMIC_RELAXED);
	ended = tmgr__record_end(record, how, tmgr__manager_now(manager));
	tmgr__manager_unlock(manager);
	settle(manager, ended ? record : NULL);
}

void tmgr_hosted_run(struct tmgr_hosted *hosted, const struct tmgr_waiter_ops *ops, void *owner)
{
	struct tmgr__record *record = (struct tmgr__record *)(void *)hosted;

	if (begin(record, ops, owner))
		end(record, tmgr__record_execute(record));
}

/*
 * Take a waiter out of its wait for ever; false: it was in none. A partner may be copying just now,
 * and will wake it, which does nothing then.
 */
static bool abandon_wait(struct tmgr_waiter *waiter)
{
	uint32_t state = __atomic_load_n(&waiter->state, __ATOMIC_ACQUIRE);

	while (state != TMGR__WAITER_IDLE) {
		if (state == TMGR__WAITER_BUSY) {
			sched_yield();
			state = __atomic_load_n(&waiter->state, __ATOMIC_ACQUIRE);
			continue;
		}
		if (__atomic_compare_exchange_n(&waiter->state, &state, TMGR__WAITER_IDLE, false,
			    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return true;
	}
	return false;
}

void tmgr_hosted_exited(struct tmgr_hosted *hosted)
{
	struct tmgr__record *record = (struct tmgr__record *)(void *)hosted;
	struct tmgr__end how = { .exited = true };
	enum tmgr_state state;

	tmgr__manager_lock(record->manager);
	state = record->state;
	tmgr__manager_unlock(record->manager);
	/* It had not begun: as an unexpected end it must have. */
	if (state != TMGR_STATE_RUNNING && state != TMGR_STATE_STUCK &&
		!begin(record, record->waiter.ops, record->waiter.owner))
		return;
	how.after = tmgr_context_cancelled(&record->context);
	/* Its stack is gone, and with it what its context knew of there. */
	record->context.groups = record->context.default_group = record->context.call_group = NULL;
	if (record->context.attached)
		tmgr_token_unregister(&record->context.callback);
	record->context.attached = false;
	/* Whoever has it in a list may look at it for ever. */
	if (abandon_wait(&record->waiter))
		tmgr__record_ref(record);
	end(record, how);
}
