/*
 * Threads of the pool: what each does from its making to its end.
 *
 * A thread takes one task at a time: what is behind a task that blocks must not wait for it. One
 * that was made for a task is handed it over, so that when no thread can be made the task can still
 * be refused. One that has ended goes to `left`, and is joined by whoever makes the next, or at the
 * end.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/check.h"
#include "manager.h"
#include "pool.h"

/* Begin the task of a record, on this thread, under the lock. False: it was cancelled before. */
static bool begin(struct tmgr__pool_thread *thread, struct tmgr__record *record, int64_t now)
{
	struct tmgr_manager *manager = thread->manager;

	tmgr__pool_set_state(thread, TMGR__POOL_ACTIVE);
	thread->busy = true;
	thread->tick = manager->pool.tick;
	thread->since = now;
	if (tmgr_context_cancelled(&record->context)) {
		tmgr__record_skip(record, now);
		return false;
	}
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
	thread->busy = false;
	tmgr__pool_set_state(thread, TMGR__POOL_IDLE);
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
			record = tmgr__pool_pop(&manager->pool);
		/* One that waited behind running_max for the last. */
		if (!record && thread->early)
			record = tmgr__pool_pop_child(&manager->pool);
		if (record && begin(thread, record, now))
			return record;
		if (record) {
			tmgr__manager_unlock(manager);
			tmgr__record_settle(record);
			now = tmgr__manager_now(manager);
			tmgr__manager_lock(manager);
			record = NULL;
			continue;
		}
		if (thread->dedicated || !wait_idle(thread))
			return NULL;
		now = tmgr__manager_now(manager);
	}
}

/* It takes no further task. */
static void stop_counting(struct tmgr__pool_thread *thread)
{
	if (!thread->dedicated)
		thread->manager->pool.threads--;
	tmgr__pool_set_state(thread, TMGR__POOL_BLOCKED);
}

static void leave(struct tmgr__pool_thread *thread)
{
	stop_counting(thread);
	tmgr__pool_set_state(thread, TMGR__POOL_LEFT);
}

/* A thread for each child that waits for this one, which ends. No lock held. */
static void hand_children_on(struct tmgr_manager *manager)
{
	struct tmgr__record *record;
	int r;

	for (;;) {
		tmgr__manager_lock(manager);
		record = tmgr__pool_pop_child(&manager->pool);
		manager->pool.making += record != NULL;
		tmgr__manager_unlock(manager);
		if (!record)
			return;
		r = tmgr__pool_create(manager, record, true);
		if (r == 0)
			continue;
		tmgr__manager_lock(manager);
		tmgr__child_end(record, (struct tmgr__end){ .result = r });
		tmgr__record_skip(record, tmgr__manager_now(manager));
		record->result = r;
		tmgr__manager_unlock(manager);
		tmgr__record_settle(record);
	}
}

/*
 * pthread_exit() in a task: that task has ended unexpectedly, and the thread with it. It makes
 * another where one is wanted, and may be joined only after that.
 */
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
		stop_counting(thread);
	tmgr__manager_unlock(manager);
	if (!ended)
		return;
	tmgr__record_settle(record);
	if (thread->early)
		hand_children_on(manager);
	tmgr__manager_lock(manager);
	step.what = TMGR__POOL_NOTHING;
	if (manager->pool.queued > 0)
		step = tmgr__pool_plan(manager);
	tmgr__manager_unlock(manager);
	tmgr__pool_do(manager, step);
	tmgr__manager_lock(manager);
	tmgr__pool_set_state(thread, TMGR__POOL_LEFT);
	tmgr__manager_unlock(manager);
}

static bool run_tasks(struct tmgr__pool_thread *thread)
{
	struct tmgr_manager *manager = thread->manager;
	struct tmgr__record *record;
	int64_t now = tmgr__manager_now(manager);

	while ((record = next_task(thread, now))) {
		struct tmgr__end end;
		bool destroys, unsettled;

		tmgr__manager_unlock(manager);
		end = tmgr__record_execute(record);
		now = tmgr__manager_now(manager);
		/*
		 * Its destroy is user code; and a token that is below another is not taken from
		 * there under the lock.
		 */
		destroys = record->task.ops->destroy != NULL;
		unsettled = destroys || record->token.parent;
		tmgr__manager_lock(manager);
		if (!finish(thread, end, now))
			return false;
		if (unsettled || tmgr__record_unsettled(record)) {
			tmgr__manager_unlock(manager);
			tmgr__record_settle(record);
			/* The next begins now. */
			if (destroys)
				now = tmgr__manager_now(manager);
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
	thread->early = dedicated && first->task_group;
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
int tmgr__pool_create(struct tmgr_manager *manager, struct tmgr__record *first, bool dedicated)
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
		tmgr__pool_keep_ticking(manager);
	tmgr__manager_unlock(manager);
	if (thread)
		free_thread(thread);
	return r;
}

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
