/*
 * Futures from inside.
 *
 * Whoever is to be told that a future is done has a node in its list. Completing takes all nodes off
 * under the lock and tells each there: who waits is claimed, a shield is completed too (so locks are
 * taken from a future to what mirrors it), a wait for several notes it. What must not be done under
 * a lock, waking and calling, is gathered and done after the last was given back. So a node is not
 * touched any more once it was seen off the list under the lock, but by who won its waiter.
 */
#ifndef TMGR__FUTURE_H
#define TMGR__FUTURE_H

#include <taskmgr/future.h>

#include "base/sync.h"

/* What is left to be done once all locks are given back. */
struct tmgr__told {
	struct tmgr_future_node *won, **won_last; /* their waiters were claimed */
	struct tmgr_future_callback *callbacks, **callbacks_last;
};

static inline struct tmgr__lock *tmgr__future_lock(struct tmgr_future *future)
{
	return (struct tmgr__lock *)(void *)&future->lock;
}

/* Under its lock: complete one that is pending. */
void tmgr__future_complete(
	struct tmgr_future *future, int error, void *value, struct tmgr__told *told);
/* A waiter was claimed: it will be woken. */
void tmgr__told_won(struct tmgr__told *told, struct tmgr_future_node *node);
/* Under the lock of one that is pending: it will tell the node. */
void tmgr__future_append(struct tmgr_future *future, struct tmgr_future_node *node);
/* Under no lock of its: false when it has told the node already. */
bool tmgr__future_withdraw(struct tmgr_future *future, struct tmgr_future_node *node);

/* As tmgr_future_wait(), but cancel does not end it; `what` is for snapshots. */
int tmgr__future_wait_shielded(struct tmgr_context *context, struct tmgr_future *future,
	int64_t deadline, const char *what);

#endif
