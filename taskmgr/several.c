/*
 * Waiting for several futures. Each tells its node under its own lock, and that notes it under the
 * lock of the wait; what satisfies the wait claims its waiter, once that is armed. The lock of the
 * wait comes after those of futures. When the waiter goes on it takes its nodes off all futures, so
 * nobody looks at its stack any more.
 */
#include <taskmgr/several.h>

#include <errno.h>

#include "base/check.h"
#include "context.h"
#include "future.h"
#include "waiter.h"

struct several_wait {
	struct tmgr__lock lock; /* guards the rest, until all nodes are taken back */
	struct tmgr_several *several;
	enum tmgr_several_mode mode;
	size_t pending;
	bool over;  /* satisfied: what ends later does not count */
	bool armed; /* it can be claimed */
	size_t index, error_index;
	int error;
	struct tmgr_future_node wake; /* its waiter's */
};

/* Under the lock: one is done. True: that satisfies the wait. */
static bool note(struct several_wait *self, size_t index, int error)
{
	if (self->over)
		return false;
	self->pending--;
	if (error != 0) {
		self->error = error;
		self->error_index = index;
	}
	self->over = self->pending == 0 || self->mode == TMGR_SEVERAL_FIRST ||
		     (self->mode == TMGR_SEVERAL_FIRST_ERROR && error != 0);
	if (self->over)
		self->index = index;
	return self->over;
}

static void tell(struct tmgr_future_node *node, struct tmgr_future *future, struct tmgr__told *told)
{
	struct tmgr_several_case *one = container_of(node, struct tmgr_several_case, node);
	struct several_wait *self = one->wait;

	tmgr__lock_acquire(&self->lock);
	if (note(self, (size_t)(one - self->several->cases), future->error) && self->armed &&
		tmgr__waiter_claim(self->wake.waiter))
		tmgr__told_won(told, &self->wake);
	tmgr__lock_release(&self->lock);
}

/* With each future until it is satisfied; how many were looked at. */
static size_t enrol(struct several_wait *self)
{
	struct tmgr_several *several = self->several;
	bool over = several->count == 0;
	size_t i;

	for (i = 0; i < several->count && !over; i++) {
		struct tmgr_several_case *one = &several->cases[i];
		struct tmgr__lock *lock = tmgr__future_lock(one->future);

		one->node = (struct tmgr_future_node){ .tell = tell };
		one->wait = self;
		tmgr__lock_acquire(lock);
		tmgr__lock_acquire(&self->lock);
		if (one->future->done)
			note(self, i, one->future->error);
		else if (!self->over)
			tmgr__future_append(one->future, &one->node);
		over = self->over;
		tmgr__lock_release(&self->lock);
		tmgr__lock_release(lock);
	}
	return i;
}

/* Wait until it is satisfied. */
static int park(struct several_wait *self, struct tmgr__wait *wait)
{
	bool over;

	tmgr__lock_acquire(&self->lock);
	over = self->over;
	if (!over && wait->limit > 0) {
		self->armed = true;
		tmgr__wait_arm(wait);
	}
	tmgr__lock_release(&self->lock);
	if (over)
		return 0;
	return self->armed ? tmgr__wait_park(wait, "futures") : tmgr__wait_late(wait);
}

static bool is_valid(const struct tmgr_several *several, enum tmgr_several_mode mode)
{
	if (!several || (unsigned)mode > TMGR_SEVERAL_FIRST || (several->count && !several->cases))
		return false;
	for (size_t i = 0; i < several->count; i++)
		if (!several->cases[i].future)
			return false;
	return true;
}

int tmgr_wait_several(struct tmgr_context *context, struct tmgr_several *several,
	enum tmgr_several_mode mode, int64_t deadline)
{
	struct several_wait self = { .several = several, .mode = mode };
	struct tmgr__wait wait;
	size_t enrolled;
	int r;

	if (!is_valid(several, mode))
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	self.pending = self.index = self.error_index = several->count;
	self.over = several->count == 0;
	self.wake.waiter = wait.waiter;
	enrolled = enrol(&self);
	r = park(&self, &wait);
	for (size_t i = 0; i < enrolled; i++)
		tmgr__future_withdraw(several->cases[i].future, &several->cases[i].node);
	if (r < 0)
		return r;
	several->index = self.index;
	several->error = self.error;
	several->error_index = self.error_index;
	return 0;
}
