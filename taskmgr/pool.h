/*
 * The elastic pool: threads for execute-tasks, which may block for ever.
 *
 * A thread is active while it has been less than a tick in its task, with the destroy of that, and
 * is not parked in one of our waits. Whenever work is queued and nobody is active, one is woken or
 * made: by add, by a thread that parks, and by the watcher's tick.
 */
#ifndef TMGR__POOL_H
#define TMGR__POOL_H

#include <pthread.h>

#include "base/list.h"
#include "record.h"

#define TMGR__POOL_TICK_NS (200 * TMGR_MICROSECOND)

enum tmgr__pool_state {
	TMGR__POOL_ACTIVE,
	TMGR__POOL_BLOCKED, /* a tick or longer in its task */
	TMGR__POOL_PARKED,  /* in a wait of ours */
	TMGR__POOL_IDLE,
	TMGR__POOL_LEFT, /* ended, or written off with a stuck task */
};

struct tmgr__pool_thread {
	struct tmgr__list node; /* of active, blocked (and parked), idle or left */
	struct tmgr_manager *manager;
	struct tmgr__record *first; /* handed over by who made the thread */
	struct tmgr__record *current;
	enum tmgr__pool_state state;
	uint64_t tick;  /* when its task began, or came back from a wait */
	int64_t since;  /* the same, by the clock */
	uint32_t word;  /* futex of an idle one */
	bool dedicated; /* for one task only, and not counted among the pool's threads */
	bool busy;      /* from a task's begin until it waits for work: in its destroy, too */
	bool abandoned; /* with a stuck task */
	bool early;     /* dedicated, for a child while the pool is not open: then for the next */
	pthread_t thread;
	unsigned char *signal_stack;
};

/* Part of the manager, under its lock. */
struct tmgr__pool {
	struct tmgr__list queue;
	struct tmgr__list hosted; /* what is to be run by another host, once the pool is open */
	size_t queued;
	struct tmgr__list active, blocked, idle, left;
	size_t threads, actives;
	size_t making; /* threads that somebody is about to make: nobody joins one before */
	bool open;     /* queued work may start */
	bool closing;  /* threads end */
	bool ticking;
	uint64_t tick;
	int64_t busy_until; /* the tick goes on until then */
	size_t burst;       /* threads made by the last tick that had to */
};

/* Whether something waits for a thread, or for the run to begin. */
static inline bool tmgr__pool_has_waiting(const struct tmgr__pool *pool)
{
	return !tmgr__list_empty(&pool->queue) || !tmgr__list_empty(&pool->hosted);
}

/* What to do once the lock is released. */
struct tmgr__pool_step {
	enum { TMGR__POOL_NOTHING, TMGR__POOL_WAKE, TMGR__POOL_CREATE } what;
	struct tmgr__pool_thread *thread; /* to wake */
};

void tmgr__pool_init(struct tmgr__pool *pool);

/* Between pool.c and pool_thread.c, under the lock. The oldest queued record, or NULL. */
struct tmgr__record *tmgr__pool_pop(struct tmgr__pool *pool);
/* The oldest that is a child, or NULL. */
struct tmgr__record *tmgr__pool_pop_child(struct tmgr__pool *pool);
void tmgr__pool_set_state(struct tmgr__pool_thread *thread, enum tmgr__pool_state state);
/* Have the watcher look at the pool each tick for a while. */
void tmgr__pool_keep_ticking(struct tmgr_manager *manager);
/* Wake a thread for queued work, or reserve the making of one, if nobody is active. */
struct tmgr__pool_step tmgr__pool_plan(struct tmgr_manager *manager);
/* No lock held: make a thread whose place in the counts was reserved. */
int tmgr__pool_create(struct tmgr_manager *manager, struct tmgr__record *first, bool dedicated);

/*
 * Give a record to the pool, under the manager's lock, which is given back. On failure (-EAGAIN,
 * -ENOMEM) the record is as before.
 */
int tmgr__pool_submit(struct tmgr_manager *manager, struct tmgr__record *record);
/* Let queued work start; and make a thread for it before, so that a lack of threads is known. */
int tmgr__pool_prepare(struct tmgr_manager *manager);
int tmgr__pool_open(struct tmgr_manager *manager);
/* Do what was planned, with no lock held; fails when a thread cannot be made. */
int tmgr__pool_do(struct tmgr_manager *manager, struct tmgr__pool_step step);
extern const struct tmgr_waiter_ops tmgr__pool_waiter_ops;
/* Under the lock: put a record behind the others, without care for who takes it. */
void tmgr__pool_push(struct tmgr__pool *pool, struct tmgr__record *record);
/* Under the lock: take out one queued record, of all or of those whose token has fired, or NULL. */
struct tmgr__record *tmgr__pool_take_cancelled(struct tmgr_manager *manager, bool all);
/* From the watcher, no lock held: the next time it wants to be called, or TMGR_NEVER. */
int64_t tmgr__pool_run_tick(struct tmgr_manager *manager, int64_t now);
/* Under the lock: the task of this thread is stuck, go on without it. */
void tmgr__pool_abandon(struct tmgr_manager *manager, struct tmgr__pool_thread *thread);
/* End and join all threads that are not abandoned. */
void tmgr__pool_close(struct tmgr_manager *manager);

#endif
