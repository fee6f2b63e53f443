/*
 * Semaphores. What is released goes to who waits longest and is not counted, so where the count is
 * above 0 nobody waits, and who finds it so is not before anybody.
 */
#include <errno.h>
#include <limits.h>

#include "base/check.h"
#include "wait_list.h"

void tmgr_semaphore_init(struct tmgr_semaphore *semaphore, unsigned count)
{
	if (semaphore)
		*semaphore = (struct tmgr_semaphore)TMGR_SEMAPHORE_INIT(count);
}

void tmgr_semaphore_fini(struct tmgr_semaphore *semaphore)
{
	bool waited;

	if (!semaphore)
		return;
	tmgr__lock_acquire(tmgr__lock_of(&semaphore->lock));
	waited = semaphore->waiting.first != NULL;
	tmgr__lock_release(tmgr__lock_of(&semaphore->lock));
	if (waited)
		tmgr__misuse("a semaphore is destroyed while it is waited for", NULL);
}

static void set_count(struct tmgr_semaphore *semaphore, unsigned count)
{
	__atomic_store_n(&semaphore->count, count, __ATOMIC_RELAXED);
}

int tmgr_semaphore_acquire(
	struct tmgr_context *context, struct tmgr_semaphore *semaphore, int64_t deadline)
{
	struct tmgr__wait wait;
	int r;

	if (!semaphore)
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	tmgr__lock_acquire(tmgr__lock_of(&semaphore->lock));
	if (semaphore->count == 0)
		return tmgr__wait_list_wait(&semaphore->waiting, tmgr__lock_of(&semaphore->lock),
			&wait, NULL, "semaphore");
	set_count(semaphore, semaphore->count - 1);
	tmgr__lock_release(tmgr__lock_of(&semaphore->lock));
	return 0;
}

int tmgr_semaphore_release(struct tmgr_semaphore *semaphore)
{
	struct tmgr__waiting *next;
	int r = 0;

	if (!semaphore)
		return -EINVAL;
	tmgr__lock_acquire(tmgr__lock_of(&semaphore->lock));
	next = tmgr__wait_list_claim(&semaphore->waiting, 0);
	if (!next && semaphore->count == UINT_MAX)
		r = -EOVERFLOW;
	else if (!next)
		set_count(semaphore, semaphore->count + 1);
	tmgr__lock_release(tmgr__lock_of(&semaphore->lock));
	tmgr__waiting_wake(next);
	return r;
}

unsigned tmgr_semaphore_count(const struct tmgr_semaphore *semaphore)
{
	return semaphore ? __atomic_load_n(&semaphore->count, __ATOMIC_RELAXED) : 0;
}
