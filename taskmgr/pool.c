/*
 * The elastic pool. All of it is guarded by the manager's lock; threads are made and woken with no
 * lock held.
 *
 * A woken or made thread counts as active at once, so that one is enough for a burst. What a thread
 * does is in pool_thread.c.
 *
 * The tick goes on while something is queued behind others. Without anything queued nobody needs to
 * know which threads are blocked; the next that is added finds out by the clock. So a task that
 * comes alone wakes one thread, and not the watcher too.
 *
 * A thread whose task is stuck is abandoned: detached, its memory left to it.
 */
#include "pool.h"

#include <errno.h>
#include <sched.h>

#include "base/check.h"
#include "manager.h"

/* The tick goes on for this long after there was something to watch. */
#define QUIET_NS (10 * TMGR_MILLISECOND)
/* In a longer queue every so many adders let others run; spare memory is kept for more than that. */
#define LONG_QUEUE 512
#define YIELD_EVERY 32
#define MADE_AT_ONCE_MAX 128

void tmgr__pool_init(struct tmgr__pool *pool)
{
	tmgr__list_init(&pool->queue);
	tmgr__list_init(&pool->hosted);
	tmgr__list_init(&pool->active);
	tmgr__list_init(&pool->blocked);
	tmgr__list_init(&pool->idle);
	tmgr__list_init(&pool->left);
}

void tmgr__pool_push(struct tmgr__pool *pool, struct tmgr__record *record)
{
	tmgr__list_append(&pool->queue, &record->queue);
	pool->queued++;
}

struct tmgr__record *tmgr__pool_pop(struct tmgr__pool *pool)
{
	struct tmgr__list *node = tmgr__list_pop(&pool->queue);

	if (!node)
		return NULL;
	pool->queued--;
	return container_of(node, struct tmgr__record, queue);
}

struct tmgr__record *tmgr__pool_take_cancelled(struct tmgr_manager *manager, bool all)
{
	struct tmgr__list *lists[] = { &manager->pool.queue, &manager->pool.hosted }, *node;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		tmgr__list_for (node, lists[i]) {
			struct tmgr__record *record = container_of(
				node, struct tmgr__record, queue);

			if (!all && !tmgr_context_cancelled(&record->context))
				continue;
			tmgr__list_remove(node);
			manager->pool.queued -= i == 0;
			return record;
		}
	}
	return NULL;
}

void tmgr__pool_set_state(struct tmgr__pool_thread *thread, enum tmgr__pool_state state)
{
	struct tmgr__pool *pool = &thread->manager->pool;
	struct tmgr__list *lists[] = {
		[TMGR__POOL_ACTIVE] = &pool->active,
		[TMGR__POOL_BLOCKED] = &pool->blocked,
		[TMGR__POOL_PARKED] = &pool->blocked,
		[TMGR__POOL_IDLE] = &pool->idle,
		[TMGR__POOL_LEFT] = &pool->left,
	};

	if (thread->state == state)
		return;
	if (!thread->dedicated) {
		pool->actives -= thread->state == TMGR__POOL_ACTIVE;
		pool->actives += state == TMGR__POOL_ACTIVE;
	}
	thread->state = state;
	tmgr__list_remove(&thread->node);
	tmgr__list_append(lists[state], &thread->node);
}

/* Have the watcher look at the pool each tick for a while. */
void tmgr__pool_keep_ticking(struct tmgr_manager *manager)
{
	struct tmgr__pool *pool = &manager->pool;

	if (pool->ticking || manager->state == TMGR_MANAGER_ADDING)
		return;
	pool->ticking = true;
	pool->busy_until = 0;
	manager->deferred |= TMGR__DEFER_WAKE_WATCHER;
}

/* Wake a thread for queued work, or reserve the making of one. */
static struct tmgr__pool_step plan_another(struct tmgr_manager *manager)
{
	struct tmgr__pool *pool = &manager->pool;
	struct tmgr__pool_step step = { .what = TMGR__POOL_NOTHING };

	if (!pool->open || pool->closing)
		return step;
	/* Last in, first out: the others' stacks may go cold, and their threads end. */
	if (!tmgr__list_empty(&pool->idle)) {
		step.what = TMGR__POOL_WAKE;
		step.thread = container_of(pool->idle.previous, struct tmgr__pool_thread, node);
		tmgr__pool_set_state(step.thread, TMGR__POOL_ACTIVE);
		__atomic_fetch_add(&step.thread->word, 1, __ATOMIC_RELEASE);
	} else if (pool->threads < manager->options.pool_threads_max) {
		step.what = TMGR__POOL_CREATE;
		pool->threads++;
		pool->actives++;
		pool->making++;
	}
	return step;
}

/*
 * Under the lock: threads that have been in their task for long no longer count, though no tick has
 * noticed.
 */
static void find_blocked(struct tmgr_manager *manager)
{
	struct tmgr__list *node, *following;
	int64_t now = tmgr__manager_now(manager);

	tmgr__list_for_safe (node, following, &manager->pool.active) {
		struct tmgr__pool_thread *thread = container_of(
			node, struct tmgr__pool_thread, node);

		if (thread->busy && now - thread->since >= 2 * TMGR__POOL_TICK_NS)
			tmgr__pool_set_state(thread, TMGR__POOL_BLOCKED);
	}
}

/* The same, if nobody is active. */
struct tmgr__pool_step tmgr__pool_plan(struct tmgr_manager *manager)
{
	if (manager->pool.actives > 0 && !manager->pool.ticking)
		find_blocked(manager);
	if (manager->pool.actives > 0)
		return (struct tmgr__pool_step){ .what = TMGR__POOL_NOTHING };
	return plan_another(manager);
}

int tmgr__pool_do(struct tmgr_manager *manager, struct tmgr__pool_step step)
{
	if (step.what == TMGR__POOL_WAKE)
		tmgr__futex_wake(&step.thread->word, 1);
	else if (step.what == TMGR__POOL_CREATE)
		return tmgr__pool_create(manager, NULL, false);
	return 0;
}

int tmgr__pool_submit(struct tmgr_manager *manager, struct tmgr__record *record)
{
	struct tmgr__pool *pool = &manager->pool;
	struct tmgr__pool_step step;
	bool long_queue;

	if (record->on) {
		if (pool->open) {
			tmgr__manager_unlock(manager);
			tmgr__host_start(record);
			return 0;
		}
		tmgr__list_append(&pool->hosted, &record->queue);
		tmgr__manager_unlock(manager);
		return 0;
	}
	/* A child is waited for by who spawned it, which initializes, so that the pool opens later. */
	if (pool->open ? record->host == TMGR_HOST_THREAD : record->task_group != NULL) {
		pool->making++;
		tmgr__manager_unlock(manager);
		return tmgr__pool_create(manager, record, true);
	}
	step = tmgr__pool_plan(manager);
	/*
	 * Handed over, so that it can be refused; but not past others, which the tick takes care
	 * of.
	 */
	if (step.what == TMGR__POOL_CREATE && pool->queued == 0) {
		tmgr__manager_unlock(manager);
		return tmgr__pool_create(manager, record, false);
	}
	if (step.what == TMGR__POOL_NOTHING && pool->open && pool->actives == 0 &&
		pool->queued >= manager->options.pool_queue_max) {
		tmgr__manager_unlock(manager);
		return -EAGAIN;
	}
	tmgr__pool_push(pool, record);
	if (step.what == TMGR__POOL_NOTHING || pool->queued > 1)
		tmgr__pool_keep_ticking(manager);
	long_queue = pool->open && pool->queued > LONG_QUEUE && pool->queued % YIELD_EVERY == 0;
	tmgr__manager_unlock(manager);
	tmgr__pool_do(manager, step);
	/* Else, with more adders than processors, the pool's turn comes late, and each task costs
	 * fresh memory. */
	if (long_queue)
		sched_yield();
	return 0;
}

int tmgr__pool_prepare(struct tmgr_manager *manager)
{
	bool wanted;

	tmgr__manager_lock(manager);
	wanted = manager->pool.queued > 0 && manager->pool.threads == 0;
	if (wanted) {
		manager->pool.threads++;
		manager->pool.actives++;
		manager->pool.making++;
	}
	tmgr__manager_unlock(manager);
	return wanted ? tmgr__pool_create(manager, NULL, false) : 0;
}

/* Under the lock: the oldest queued record that wants a thread of its own, or child, or NULL. */
static struct tmgr__record *pop_special(struct tmgr__pool *pool, bool child)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &pool->queue) {
		struct tmgr__record *record = container_of(node, struct tmgr__record, queue);

		if (child ? !record->task_group : record->host != TMGR_HOST_THREAD)
			continue;
		tmgr__list_remove(node);
		pool->queued--;
		return record;
	}
	return NULL;
}

struct tmgr__record *tmgr__pool_pop_child(struct tmgr__pool *pool)
{
	return pop_special(pool, true);
}

int tmgr__pool_open(struct tmgr_manager *manager)
{
	struct tmgr__pool_step step = { .what = TMGR__POOL_NOTHING };
	struct tmgr__record *record;
	int r = 0;

	for (;;) {
		tmgr__manager_lock(manager);
		record = pop_special(&manager->pool, false);
		if (!record)
			break;
		manager->pool.making++;
		tmgr__manager_unlock(manager);
		r = tmgr__pool_create(manager, record, true);
		if (r < 0) {
			/*
			 * It has been promised, so it gets a thread of the pool, when there is one.
			 */
			tmgr__manager_lock(manager);
			record->host = TMGR_HOST_POOL;
			tmgr__pool_push(&manager->pool, record);
			tmgr__manager_unlock(manager);
		}
	}
	manager->pool.open = true;
	if (manager->pool.queued > 0) {
		tmgr__pool_keep_ticking(manager);
		step = tmgr__pool_plan(manager);
	}
	tmgr__manager_unlock(manager);
	return tmgr__pool_do(manager, step);
}

/* Under the lock: threads that have been in their task for a tick no longer count. */
static void look_at_active(struct tmgr__pool *pool)
{
	struct tmgr__list *node, *following;

	tmgr__list_for_safe (node, following, &pool->active) {
		struct tmgr__pool_thread *thread = container_of(
			node, struct tmgr__pool_thread, node);

		if (thread->busy && pool->tick - thread->tick >= 2)
			tmgr__pool_set_state(thread, TMGR__POOL_BLOCKED);
	}
}

int64_t tmgr__pool_run_tick(struct tmgr_manager *manager, int64_t now)
{
	struct tmgr__pool *pool = &manager->pool;
	size_t wanted = 0;
	bool ticking;

	tmgr__manager_lock(manager);
	if (!pool->ticking || !pool->open) {
		pool->ticking = false;
		tmgr__manager_unlock(manager);
		return TMGR_NEVER;
	}
	pool->tick++;
	look_at_active(pool);
	if (pool->queued > 0 || pool->busy_until == 0)
		pool->busy_until = now + QUIET_NS;
	if (pool->queued > 0 && pool->actives == 0) {
		wanted = pool->burst ? pool->burst * 2 : 1;
		if (wanted > MADE_AT_ONCE_MAX)
			wanted = MADE_AT_ONCE_MAX;
		if (wanted > pool->queued)
			wanted = pool->queued;
		pool->burst = wanted;
	} else if (pool->queued == 0) {
		pool->burst = 0;
	}
	if (now >= pool->busy_until)
		pool->ticking = false;
	ticking = pool->ticking;
	tmgr__manager_unlock(manager);
	while (wanted-- > 0) {
		struct tmgr__pool_step step;

		tmgr__manager_lock(manager);
		/* Each is to come, though those before it count as active already. */
		step = plan_another(manager);
		tmgr__manager_unlock(manager);
		if (step.what == TMGR__POOL_NOTHING || tmgr__pool_do(manager, step) < 0)
			break;
	}
	return ticking ? now + TMGR__POOL_TICK_NS : TMGR_NEVER;
}

void tmgr__pool_abandon(struct tmgr_manager *manager, struct tmgr__pool_thread *thread)
{
	struct tmgr__pool *pool = &manager->pool;

	thread->abandoned = true;
	tmgr__pool_set_state(thread, TMGR__POOL_BLOCKED);
	if (!thread->dedicated)
		pool->threads--;
	tmgr__list_remove(&thread->node);
	pthread_detach(thread->thread);
}

static void before_park(struct tmgr_waiter *waiter)
{
	struct tmgr__pool_thread *thread = waiter->owner;
	struct tmgr_manager *manager = thread->manager;
	struct tmgr__pool_step step = { .what = TMGR__POOL_NOTHING };

	tmgr__manager_lock(manager);
	if (!thread->abandoned && thread->state != TMGR__POOL_PARKED) {
		tmgr__pool_set_state(thread, TMGR__POOL_PARKED);
		if (manager->pool.queued > 0)
			step = tmgr__pool_plan(manager);
	}
	tmgr__manager_unlock(manager);
	tmgr__pool_do(manager, step);
}

static void after_park(struct tmgr_waiter *waiter)
{
	struct tmgr__pool_thread *thread = waiter->owner;
	struct tmgr_manager *manager = thread->manager;

	tmgr__manager_lock(manager);
	if (!thread->abandoned) {
		tmgr__pool_set_state(thread, TMGR__POOL_ACTIVE);
		thread->tick = manager->pool.tick;
		thread->since = tmgr__manager_now(manager);
	}
	tmgr__manager_unlock(manager);
}

const struct tmgr_waiter_ops tmgr__pool_waiter_ops = {
	.park = tmgr__thread_park,
	.wake = tmgr__thread_wake,
	.park_fd = tmgr__thread_park_fd,
	.before = before_park,
	.after = after_park,
};
