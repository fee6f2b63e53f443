/*
 * What follows a future: shields, which are completed with it, and copies of its value. Both are
 * done under the future's lock, by who completes it, before anybody who waits goes on; so taking one
 * back under that lock is all that is needed before its memory goes.
 */
#include <taskmgr/shield.h>

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "context.h"
#include "future.h"

/* Only to know a shield by: it is a future with nothing behind it. */
static void cancel_shield(struct tmgr_future *future, int code, const char *text)
{
	tmgr_future_complete(future, -ECANCELED, NULL);
}

static void tell_shield(
	struct tmgr_future_node *node, struct tmgr_future *future, struct tmgr__told *told)
{
	struct tmgr_future *mirror = &container_of(node, struct tmgr_shield, node)->future;

	tmgr__lock_acquire(tmgr__future_lock(mirror));
	if (!mirror->done)
		tmgr__future_complete(mirror, future->error, future->value, told);
	tmgr__lock_release(tmgr__future_lock(mirror));
}

int tmgr_shield_init(struct tmgr_shield *shield, struct tmgr_future *future)
{
	unsigned depth = 1;
	bool done;

	if (!shield || !future)
		return -EINVAL;
	/* Completing goes down from shield to shield on one stack, with the lock of each. */
	if (future->cancel == cancel_shield)
		depth = container_of(future, struct tmgr_shield, future)->depth + 1;
	if (depth > TMGR_SHIELD_DEPTH_MAX)
		return -ELOOP;
	*shield = (struct tmgr_shield){ .of = future, .depth = depth };
	shield->future.cancel = cancel_shield;
	shield->node.tell = tell_shield;
	tmgr__lock_acquire(tmgr__future_lock(future));
	done = future->done;
	if (!done)
		tmgr__future_append(future, &shield->node);
	tmgr__lock_release(tmgr__future_lock(future));
	if (done)
		tmgr_future_complete(&shield->future, future->error, future->value);
	return 0;
}

void tmgr_shield_fini(struct tmgr_shield *shield)
{
	if (!shield)
		return;
	tmgr__future_withdraw(shield->of, &shield->node);
	tmgr_future_fini(&shield->future);
}

static void copy(const struct tmgr_future_write *write, const struct tmgr_future *future)
{
	if (future->error == 0 && future->value && write->size > 0)
		memcpy(write->destination, future->value, write->size);
}

static void tell_write(
	struct tmgr_future_node *node, struct tmgr_future *future, struct tmgr__told *told)
{
	copy(container_of(node, struct tmgr_future_write, node), future);
}

int tmgr_future_write_to(
	struct tmgr_future *future, struct tmgr_future_write *write, void *destination, size_t size)
{
	if (!future || !write || !destination)
		return -EINVAL;
	*write = (struct tmgr_future_write){
		.node.tell = tell_write, .destination = destination, .size = size
	};
	tmgr__lock_acquire(tmgr__future_lock(future));
	if (future->done)
		copy(write, future);
	else
		tmgr__future_append(future, &write->node);
	tmgr__lock_release(tmgr__future_lock(future));
	return 0;
}

int tmgr_future_remove_write(struct tmgr_future *future, struct tmgr_future_write *write)
{
	if (!future || !write)
		return -EINVAL;
	return tmgr__future_withdraw(future, &write->node) ? 0 : -ENOENT;
}
