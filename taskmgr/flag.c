/*
 * Flags. Setting one claims all who wait, so that clearing it again takes nothing from them.
 */
#include <errno.h>

#include "base/check.h"
#include "wait_list.h"

void tmgr_flag_init(struct tmgr_flag *flag)
{
	if (flag)
		*flag = (struct tmgr_flag)TMGR_FLAG_INIT;
}

void tmgr_flag_fini(struct tmgr_flag *flag)
{
	bool waited;

	if (!flag)
		return;
	tmgr__lock_acquire(tmgr__lock_of(&flag->lock));
	waited = flag->waiting.first != NULL;
	tmgr__lock_release(tmgr__lock_of(&flag->lock));
	if (waited)
		tmgr__misuse("a flag is destroyed while it is waited for", NULL);
}

int tmgr_flag_set(struct tmgr_flag *flag)
{
	struct tmgr__waiting *won;

	if (!flag)
		return -EINVAL;
	tmgr__lock_acquire(tmgr__lock_of(&flag->lock));
	__atomic_store_n(&flag->set, 1, __ATOMIC_RELEASE);
	won = tmgr__wait_list_claim_all(&flag->waiting, 0);
	tmgr__lock_release(tmgr__lock_of(&flag->lock));
	tmgr__waiting_wake(won);
	return 0;
}

int tmgr_flag_clear(struct tmgr_flag *flag)
{
	if (!flag)
		return -EINVAL;
	tmgr__lock_acquire(tmgr__lock_of(&flag->lock));
	__atomic_store_n(&flag->set, 0, __ATOMIC_RELAXED);
	tmgr__lock_release(tmgr__lock_of(&flag->lock));
	return 0;
}

bool tmgr_flag_is_set(const struct tmgr_flag *flag)
{
	return flag && __atomic_load_n(&flag->set, __ATOMIC_ACQUIRE);
}

int tmgr_flag_wait(struct tmgr_context *context, struct tmgr_flag *flag, int64_t deadline)
{
	struct tmgr__wait wait;
	int r;

	if (!flag)
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	tmgr__lock_acquire(tmgr__lock_of(&flag->lock));
	if (!flag->set)
		return tmgr__wait_list_wait(
			&flag->waiting, tmgr__lock_of(&flag->lock), &wait, NULL, "flag");
	tmgr__lock_release(tmgr__lock_of(&flag->lock));
	return 0;
}
