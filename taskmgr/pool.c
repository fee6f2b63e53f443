/*
 * The elastic pool. All of it is guarded by the manager's lock; threads are made and woken with no
 * lock held.
 *
 * A thread takes one task at a time: what is behind a task that blocks must not wait for it. A
 * thread that was made for a task is handed it over, so that when no thread can be made the task
 * can still be refused. A woken or made thread counts as active at once, so that one is enough for
 * a burst.
 *
 * The tick goes on while something is queued behind others. Without anything queued nobody needs to
 * know which threads are blocked; the next that is added finds out by the clock. So a task that
 * comes alone wakes one thread, and not the watcher too.
 *
 * A thread that has ended goes to `left`, and is joined by whoever makes the next, or at the end.
 * One whose task is stuck is abandoned: detached, its memory left to it.
 */
#include "pool.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

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

static struct tmgr__record *pop(struct tmgr__pool *pool)
{
	struct tmgr__list *node = tmgr__list_pop(&pool->queue);

	if (!node)
		return NULL;
	pool->queued--;
	return container_of(node, struct tmgr__record, queue);
}

struct tmgr__record *tmgr__pool_take_cancelled(struct tmgr_manager *manager, bool all)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->pool.queue) {
		struct tmgr__record *record = container_of(node, struct tmgr__record, queue);

		if (!all && !tmgr_context_cancelled(&record->context))
			continue;
		tmgr__list_remove(node);
		manager->pool.queued--;
		return record;
	}
	return NULL;
}

static void set_pool_state(struct tmgr__pool_thread *thread, enum tmgr__pool_state state)
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
static void keep_ticking(struct tmgr_manager *manager)
{
	struct tmgr__pool *pool = &manager->pool;

	if (pool->ticking || manager->state == TMGR_MANAGER_ADDING)
		return;
	pool->ticking = true;
	pool->busy_until = 0;
	manager->todo |= TMGR__TODO_WAKE_WATCHER;
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
		set_pool_state(step.thread, TMGR__POOL_ACTIVE);
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

		if (thread->current && now - thread->since >= 2 * TMGR__POOL_TICK_NS)
			set_pool_state(thread, TMGR__POOL_BLOCKED);
	}
}

/* The same, if nobody is active. */
static struct tmgr__pool_step plan(struct tmgr_manager *manager)
{
	if (manager->pool.actives > 0 && !manager->pool.ticking)
		find_blocked(manager);
	if (manager->pool.actives > 0)
		return (struct tmgr__pool_step){ .what = TMGR__POOL_NOTHING };
	return plan_another(manager);
}

/* Begin the task of a record, on this thread, under the lock. False: it was cancelled before. */
static bool begin(struct tmgr__pool_thread *thread, struct tmgr__record *record, int64_t now)
{
	struct tmgr_manager *manager = thread->manager;

	if (tmgr_context_cancelled(&record->context)) {
		tmgr__record_skip(record, now);
		return false;
	}
	set_pool_state(thread, TMGR__POOL_ACTIVE);
	thread->tick = manager->pool.tick;
	thread->since = now;
	thread->current = record;
	record->pool_thread = thread;
	record->waiter.owner = thread;
	record->waiter.ops = &tmgr__pool_waiter_ops;
	record->began = record->heartbeat = now;
	tmgr__manager_set_state(manager, record, TMGR_STATE_RUNNING, now);
	if (record->ready_ns || record->heartbeat_ns)
		tmgr__manager_check_at(manager, TMGR_NOW);
	return true;
}

/*
 * Under the lock: the task of this thread has ended. False: it was stuck, and so this thread is
 * written off.
 */
static bool finish(struct tmgr__pool_thread *thread, struct tmgr__end end, int64_t now)
{
	struct tmgr__record *record = thread->current;

	if (thread->abandoned)
		return false;
	thread->current = NULL;
	record->pool_thread = NULL;
	return tmgr__record_end(record, end, now);
}

/* Under the lock, which is given back while it sleeps: wait for work. False: end. */
static bool wait_idle(struct tmgr__pool_thread *thread)
{
	struct tmgr_manager *manager = thread->manager;
	int64_t deadline = tmgr__time_add(
		tmgr__manager_now(manager), manager->options.pool_idle_ns);

	if (manager->pool.closing)
		return false;
	set_pool_state(thread, TMGR__POOL_IDLE);
	while (thread->state == TMGR__POOL_IDLE && !manager->pool.closing) {
		uint32_t word = thread->word;

		if (tmgr__manager_now(manager) >= deadline)
			return false;
		tmgr__manager_unlock(manager);
		tmgr__clock_sleep(manager->clock, &thread->word, word, deadline);
		tmgr__manager_lock(manager);
	}
	return true;
}

/* Take the next task and begin it. Under the lock; NULL: this thread is to end. */
static struct tmgr__record *next_task(struct tmgr__pool_thread *thread, int64_t now)
{
	struct tmgr_manager *manager = thread->manager;
	struct tmgr__record *record = thread->first;

	thread->first = NULL;
	for (;;) {
		if (!record && !thread->dedicated && manager->pool.open)
			record = pop(&manager->pool);
		if (record && begin(thread, record, now))
			return record;
		if (record) {
			tmgr__manager_unlock(manager);
			tmgr__record_settle(record);
			tmgr__manager_lock(manager);
			record = NULL;
			continue;
		}
		if (thread->dedicated || !wait_idle(thread))
			return NULL;
		now = tmgr__manager_now(manager);
	}
}

static void leave(struct tmgr__pool_thread *thread)
{
	if (!thread->dedicated)
		thread->manager->pool.threads--;
	set_pool_state(thread, TMGR__POOL_LEFT);
}

/* pthread_exit() in a task: that task has ended unexpectedly, and the thread with it. */
static void exit_in_task(void *self)
{
	struct tmgr__pool_thread *thread = self;
	struct tmgr_manager *manager = thread->manager;
	struct tmgr__record *record = thread->current;
	struct tmgr__end end = tmgr__record_exited(record);
	struct tmgr__pool_step step;
	bool ended;

	tmgr__manager_lock(manager);
	ended = finish(thread, end, tmgr__manager_now(manager));
	if (ended)
		leave(thread);
	tmgr__manager_unlock(manager);
	if (!ended)
		return;
	tmgr__record_settle(record);
	tmgr__manager_lock(manager);
	step.what = TMGR__POOL_NOTHING;
	if (manager->pool.queued > 0)
		step = plan(manager);
	tmgr__manager_unlock(manager);
	tmgr__pool_do(manager, step);
}

static bool run_tasks(struct tmgr__pool_thread *thread)
{
	struct tmgr_manager *manager = thread->manager;
	struct tmgr__record *record;
	int64_t now = tmgr__manager_now(manager);

	while ((record = next_task(thread, now))) {
		struct tmgr__end end;
		bool unsettled;

		tmgr__manager_unlock(manager);
		end = tmgr__record_execute(record);
		now = tmgr__manager_now(manager);
		/*
		 * Its destroy is user code; and a token that is below another is not taken from
		 * there under the lock.
		 */
		unsettled = record->task.ops->destroy || record->token.parent;
		tmgr__manager_lock(manager);
		if (!finish(thread, end, now))
			return false;
		if (unsettled || tmgr__record_unsettled(record)) {
			tmgr__manager_unlock(manager);
			tmgr__record_settle(record);
			tmgr__manager_lock(manager);
		} else {
			tmgr__record_recycle(record);
		}
	}
	return true;
}

static void *pool_main(void *self)
{
	struct tmgr__pool_thread *thread = self;
	struct tmgr_manager *manager = thread->manager;
	bool joined = true;

	tmgr__thread_enter(manager->clock, thread->dedicated ? thread->first->name : "pool",
		thread->signal_stack);
	pthread_cleanup_push(exit_in_task, thread);
	tmgr__manager_lock(manager);
	joined = run_tasks(thread);
	if (joined)
		leave(thread);
	tmgr__manager_unlock(manager);
	pthread_cleanup_pop(0);
	return NULL;
}

static void free_thread(struct tmgr__pool_thread *thread)
{
	free(thread->signal_stack);
	free(thread);
}

static struct tmgr__pool_thread *make_thread(
	struct tmgr_manager *manager, struct tmgr__record *first, bool dedicated)
{
	struct tmgr__pool_thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		return NULL;
	thread->signal_stack = malloc(tmgr__signal_stack_size());
	if (!thread->signal_stack) {
		free(thread);
		return NULL;
	}
	tmgr__list_init(&thread->node);
	thread->manager = manager;
	thread->first = first;
	thread->dedicated = dedicated;
	thread->state = TMGR__POOL_ACTIVE;
	return thread;
}

/* Join those that have ended. No lock held. */
static void join_left(struct tmgr_manager *manager)
{
	struct tmgr__list left, *node;

	tmgr__list_init(&left);
	tmgr__manager_lock(manager);
	tmgr__list_splice(&left, &manager->pool.left);
	tmgr__manager_unlock(manager);
	while ((node = tmgr__list_pop(&left))) {
		struct tmgr__pool_thread *thread = container_of(
			node, struct tmgr__pool_thread, node);

		pthread_join(thread->thread, NULL);
		free_thread(thread);
	}
}

/* Make a thread whose place in the counts was reserved, `making` too. No lock held. */
static int create(struct tmgr_manager *manager, struct tmgr__record *first, bool dedicated)
{
	struct tmgr__pool_thread *thread = make_thread(manager, first, dedicated);
	size_t stack_size = first && first->stack_size ? first->stack_size
						       : manager->options.stack_size;
	int r = -ENOMEM;

	join_left(manager);
	if (thread) {
		tmgr__manager_lock(manager);
		tmgr__list_append(&manager->pool.active, &thread->node);
		tmgr__manager_unlock(manager);
		r = tmgr__thread_create(&thread->thread, stack_size, pool_main, thread);
	}
	tmgr__manager_lock(manager);
	manager->pool.making--;
	if (r == 0) {
		/* It may have ended and been joined by now. */
		tmgr__manager_unlock(manager);
		return 0;
	}
	if (thread)
		tmgr__list_remove(&thread->node);
	if (!dedicated) {
		manager->pool.actives--;
		manager->pool.threads--;
	}
	/* What was queued meanwhile, trusting in this thread, is found by the tick. */
	if (manager->pool.queued > 0)
		keep_ticking(manager);
	tmgr__manager_unlock(manager);
	if (thread)
		free_thread(thread);
	return r;
}

int tmgr__pool_do(struct tmgr_manager *manager, struct tmgr__pool_step step)
{
	if (step.what == TMGR__POOL_WAKE)
		tmgr__futex_wake(&step.thread->word, 1);
	else if (step.what == TMGR__POOL_CREATE)
		return create(manager, NULL, false);
	return 0;
}

int tmgr__pool_submit(struct tmgr_manager *manager, struct tmgr__record *record)
{
	struct tmgr__pool *pool = &manager->pool;
	struct tmgr__pool_step step;
	bool long_queue;

	if (record->host == TMGR_HOST_THREAD && pool->open) {
		pool->making++;
		tmgr__manager_unlock(manager);
		return create(manager, record, true);
	}
	step = plan(manager);
	/*
	 * Handed over, so that it can be refused; but not past others, which the tick takes care
	 * of.
	 */
	if (step.what == TMGR__POOL_CREATE && pool->queued == 0) {
		tmgr__manager_unlock(manager);
		return create(manager, record, false);
	}
	if (step.what == TMGR__POOL_NOTHING && pool->open && pool->actives == 0 &&
		pool->queued >= manager->options.pool_queue_max) {
		tmgr__manager_unlock(manager);
		return -EAGAIN;
	}
	tmgr__pool_push(pool, record);
	if (step.what == TMGR__POOL_NOTHING || pool->queued > 1)
		keep_ticking(manager);
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
	return wanted ? create(manager, NULL, false) : 0;
}

/* Under the lock: the oldest queued record that wants a thread of its own, or NULL. */
static struct tmgr__record *pop_dedicated(struct tmgr__pool *pool)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &pool->queue) {
		struct tmgr__record *record = container_of(node, struct tmgr__record, queue);

		if (record->host != TMGR_HOST_THREAD)
			continue;
		tmgr__list_remove(node);
		pool->queued--;
		return record;
	}
	return NULL;
}

int tmgr__pool_open(struct tmgr_manager *manager)
{
	struct tmgr__pool_step step = { .what = TMGR__POOL_NOTHING };
	struct tmgr__record *record;
	int r = 0;

	for (;;) {
		tmgr__manager_lock(manager);
		record = pop_dedicated(&manager->pool);
		if (!record)
			break;
		manager->pool.making++;
		tmgr__manager_unlock(manager);
		r = create(manager, record, true);
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
		keep_ticking(manager);
		step = plan(manager);
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

		if (thread->current && pool->tick - thread->tick >= 2)
			set_pool_state(thread, TMGR__POOL_BLOCKED);
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
	set_pool_state(thread, TMGR__POOL_BLOCKED);
	if (!thread->dedicated)
		pool->threads--;
	tmgr__list_remove(&thread->node);
	pthread_detach(thread->thread);
}

static void before_park(struct tmgr__waiter *waiter)
{
	struct tmgr__pool_thread *thread = waiter->owner;
	struct tmgr_manager *manager = thread->manager;
	struct tmgr__pool_step step = { .what = TMGR__POOL_NOTHING };

	tmgr__manager_lock(manager);
	if (!thread->abandoned && thread->state != TMGR__POOL_PARKED) {
		set_pool_state(thread, TMGR__POOL_PARKED);
		if (manager->pool.queued > 0)
			step = plan(manager);
	}
	tmgr__manager_unlock(manager);
	tmgr__pool_do(manager, step);
}

static void after_park(struct tmgr__waiter *waiter)
{
	struct tmgr__pool_thread *thread = waiter->owner;
	struct tmgr_manager *manager = thread->manager;

	tmgr__manager_lock(manager);
	if (!thread->abandoned) {
		set_pool_state(thread, TMGR__POOL_ACTIVE);
		thread->tick = manager->pool.tick;
		thread->since = tmgr__manager_now(manager);
	}
	tmgr__manager_unlock(manager);
}

const struct tmgr__waiter_ops tmgr__pool_waiter_ops = {
	.park = tmgr__thread_park,
	.wake = tmgr__thread_wake,
	.park_fd = tmgr__thread_park_fd,
	.before = before_park,
	.after = after_park,
};

void tmgr__pool_close(struct tmgr_manager *manager)
{
	struct tmgr__pool *pool = &manager->pool;
	struct tmgr__list *node;

	tmgr__manager_lock(manager);
	pool->closing = true;
	tmgr__list_for (node, &pool->idle) {
		struct tmgr__pool_thread *thread = container_of(
			node, struct tmgr__pool_thread, node);

		__atomic_fetch_add(&thread->word, 1, __ATOMIC_RELEASE);
		/* Under the lock: once it is given back the thread may end and be gone. */
		tmgr__futex_wake(&thread->word, 1);
	}
	tmgr__manager_unlock(manager);
	for (;;) {
		struct tmgr__pool_thread *thread;

		join_left(manager);
		tmgr__manager_lock(manager);
		if (pool->making > 0) {
			tmgr__manager_unlock(manager);
			sched_yield();
			continue;
		}
		node = tmgr__list_first(&pool->active);
		if (!node)
			node = tmgr__list_first(&pool->blocked);
		if (!node)
			node = tmgr__list_first(&pool->idle);
		thread = node ? container_of(node, struct tmgr__pool_thread, node) : NULL;
		tmgr__manager_unlock(manager);
		if (!thread && tmgr__list_empty(&pool->left))
			return;
		if (!thread)
			continue;
		/* Its last task has ended; it is on its way, and nobody else joins it now. */
		pthread_join(thread->thread, NULL);
		tmgr__manager_lock(manager);
		tmgr__list_remove(&thread->node);
		tmgr__manager_unlock(manager);
		free_thread(thread);
	}
}
