/*
 * Events on their way to observers: a bounded ring, and the thread that calls them. One for a run
 * and the managers inside it. Its lock is innermost: it may be taken with a manager's lock held,
 * and nothing is taken inside it.
 */
#ifndef TMGR__EVENTS_H
#define TMGR__EVENTS_H

#include <pthread.h>

#include <taskmgr/event.h>

#include "base/sync.h"
#include "clock.h"

struct tmgr__observer {
	struct tmgr__observer *next;
	enum tmgr_level level;
	void (*function)(void *self, const struct tmgr_event *event);
	void *self;
};

struct tmgr__events {
	struct tmgr__lock lock;
	uint32_t refs;
	int level; /* the least important that anybody wants; -1: nobody. Atomic */
	bool started, closing;
	uint32_t word;  /* futex of the thread: grows with each event */
	uint32_t ended; /* futex: the thread is at its end, and refers to this no more */
	uint64_t sequence, dropped;
	size_t max, count, head;
	struct tmgr_event *ring;
	struct tmgr__observer *observers;
	pthread_t thread;
};

struct tmgr__events *tmgr__events_create(size_t max);
void tmgr__events_unref(struct tmgr__events *events);
int tmgr__events_observe(struct tmgr__events *events, enum tmgr_level level,
	void (*function)(void *self, const struct tmgr_event *event), void *self);
/* Make the thread, if there are observers. */
int tmgr__events_start(struct tmgr__events *events);
/*
 * Deliver what is left, and join the thread; or, where an observer has not come back by the
 * deadline, leave it behind, and count what is left as dropped.
 */
void tmgr__events_stop(struct tmgr__events *events, struct tmgr__clock *clock, int64_t deadline);

static inline bool tmgr__events_wanted(const struct tmgr__events *events, enum tmgr_level level)
{
	return (int)level <= __atomic_load_n(&events->level, __ATOMIC_RELAXED);
}

/*
 * Queue an event, or count it as dropped. It does not wake the observers: see tmgr__events_wake().
 */
void tmgr__events_put(struct tmgr__events *events, struct tmgr_event *event);
void tmgr__events_wake(struct tmgr__events *events);

#endif
