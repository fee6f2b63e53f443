/*
 * Mutexes. The word that is locked over a few instructions guards holder and list.
 *
 * Unlocking hands over: the mutex belongs to who waits longest before that one runs, and nobody gets
 * in between. So the order is that of the waits on every host; with barging a thread that locks
 * again and again would always be faster than a coroutine, which has to wait for its turn. The price
 * is a switch for each hand-over of a mutex that is fought over.
 */
#include <errno.h>

#include "base/check.h"
#include "wait_list.h"

void tmgr_mutex_init(struct tmgr_mutex *mutex)
{
	if (mutex)
		*mutex = (struct tmgr_mutex)TMGR_MUTEX_INIT;
}

void tmgr_mutex_fini(struct tmgr_mutex *mutex)
{
	bool used;

	if (!mutex)
		return;
	tmgr__lock_acquire(tmgr__lock_of(&mutex->lock));
	used = mutex->holder || mutex->waiting.first;
	tmgr__lock_release(tmgr__lock_of(&mutex->lock));
	if (used)
		tmgr__misuse("a mutex is destroyed while it is held or waited for", NULL);
}

int tmgr_mutex_lock(struct tmgr_context *context, struct tmgr_mutex *mutex, int64_t deadline)
{
	struct tmgr__wait wait;
	int r;

	if (!mutex)
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	tmgr__lock_acquire(tmgr__lock_of(&mutex->lock));
	if (mutex->holder && mutex->holder != wait.waiter)
		return tmgr__wait_list_wait(
			&mutex->waiting, tmgr__lock_of(&mutex->lock), &wait, NULL, "mutex");
	if (mutex->holder)
		r = -EDEADLK;
	mutex->holder = wait.waiter;
	tmgr__lock_release(tmgr__lock_of(&mutex->lock));
	return r;
}

int tmgr_mutex_unlock(struct tmgr_context *context, struct tmgr_mutex *mutex)
{
	const struct tmgr_waiter *self = tmgr__waiter_of(context);
	struct tmgr__waiting *next = NULL;
	int r = 0;

	if (!mutex)
		return -EINVAL;
	tmgr__lock_acquire(tmgr__lock_of(&mutex->lock));
	if (mutex->holder == self) {
		next = tmgr__wait_list_claim(&mutex->waiting, 0);
		mutex->holder = next ? next->waiter : NULL;
	} else {
		r = -EPERM;
	}
	tmgr__lock_release(tmgr__lock_of(&mutex->lock));
	tmgr__waiting_wake(next);
	return r;
}
