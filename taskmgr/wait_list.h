/*
 * Those who wait for a mutex, a semaphore, a flag or a queue, first in first out. A list is guarded
 * by the lock of what it belongs to; all zero is empty. Its nodes stand on the stacks of who waits.
 *
 * Of two who end a wait only one wins its waiter, so who is claimed gets what it waited for, and one
 * that is cancelled or late meanwhile is passed over.
 */
#ifndef TMGR__WAIT_LIST_H
#define TMGR__WAIT_LIST_H

#include <taskmgr/sync.h>

#include "context.h"
#include "waiter.h"

struct tmgr__waiting {
	struct tmgr__waiting *next, *previous;
	struct tmgr_waiter *waiter;
	void *item; /* to be copied to or from while claimed */
	int result; /* of a wait that was claimed */
	bool listed;
};

/* The lock of an object in memory of the caller. */
static inline struct tmgr__lock *tmgr__lock_of(unsigned *word)
{
	return (struct tmgr__lock *)(void *)word;
}

/*
 * Under the lock, which it gives back: wait to be claimed. The result of who claimed it, -ECANCELED
 * or -ETIMEDOUT; at once where the deadline is TMGR_NOW.
 */
int tmgr__wait_list_wait(struct tmgr_wait_list *list, struct tmgr__lock *lock,
	struct tmgr__wait *wait, void *item, const char *what);
/* Under the lock: take the first whose waiter can be won off the list, or NULL when there is none. */
struct tmgr__waiting *tmgr__wait_list_claim(struct tmgr_wait_list *list, int result);
/* The same with all: linked by next. */
struct tmgr__waiting *tmgr__wait_list_claim_all(struct tmgr_wait_list *list, int result);
/* With no lock held: let those go on that were claimed. */
void tmgr__waiting_wake(struct tmgr__waiting *node);

#endif
