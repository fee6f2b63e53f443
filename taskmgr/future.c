/*
 * Futures. The future's lock guards all of it. Completing takes the waiters and callbacks off it;
 * its unlock is the completer's last touch, so the owner may release the memory as soon as a wait
 * or a look under the lock has seen it done.
 */
#include "future.h"

#include <errno.h>

#include "base/check.h"
#include "waiter.h"

struct wait_node {
	struct wait_node *next;
	struct tmgr_waiter *waiter;
};

static struct tmgr__lock *lock_of(struct tmgr_future *future)
{
	return (struct tmgr__lock *)(void *)&future->lock;
}

void tmgr_future_init(struct tmgr_future *future)
{
	if (future)
		*future = (struct tmgr_future)TMGR_FUTURE_INIT;
}

void tmgr_future_fini(struct tmgr_future *future)
{
	bool waited;

	if (!future)
		return;
	tmgr__lock_acquire(lock_of(future));
	waited = future->waiters != NULL;
	tmgr__lock_release(lock_of(future));
	if (waited)
		tmgr__misuse("a future is destroyed while it is waited for", NULL);
}

static void wake_all(struct wait_node *node)
{
	while (node) {
		struct wait_node *next = node->next;
		struct tmgr_waiter *waiter = node->waiter;

		tmgr__waiter_complete(waiter)->wake(waiter);
		node = next;
	}
}

/* Of the nodes given, those whose waiter was won. */
static struct wait_node *claim_all(struct wait_node *node)
{
	struct wait_node *first = NULL, **last = &first;

	while (node) {
		struct wait_node *next = node->next;

		if (tmgr__waiter_claim(node->waiter)) {
			*last = node;
			last = &node->next;
		}
		node = next;
	}
	*last = NULL;
	return first;
}

int tmgr_future_complete(struct tmgr_future *future, int error, void *value)
{
	struct tmgr_future_callback *callback;
	struct wait_node *won;

	if (!future || error > 0)
		return -EINVAL;
	tmgr__lock_acquire(lock_of(future));
	if (future->done) {
		tmgr__lock_release(lock_of(future));
		return -EALREADY;
	}
	future->error = error;
	future->value = value;
	__atomic_store_n(&future->done, 1, __ATOMIC_RELEASE);
	won = claim_all(future->waiters);
	callback = future->callbacks;
	future->waiters = future->callbacks = future->callbacks_last = NULL;
	tmgr__lock_release(lock_of(future));
	wake_all(won);
	while (callback) {
		struct tmgr_future_callback *next = callback->next;

		if (callback->host)
			callback->host->ops->post(callback->host, &callback->call);
		else
			callback->function(callback->self, future);
		callback = next;
	}
	return 0;
}

bool tmgr_future_done(const struct tmgr_future *future)
{
	return future && __atomic_load_n(&future->done, __ATOMIC_ACQUIRE);
}

int tmgr_future_result(struct tmgr_future *future, int *ret_error, void **ret_value)
{
	int r = -EAGAIN;

	if (!future)
		return -EINVAL;
	tmgr__lock_acquire(lock_of(future));
	if (future->done) {
		r = 0;
		if (ret_error)
			*ret_error = future->error;
		if (ret_value)
			*ret_value = future->value;
	}
	tmgr__lock_release(lock_of(future));
	return r;
}

static void withdraw(struct tmgr_future *future, struct wait_node *node)
{
	struct wait_node *other;

	tmgr__lock_acquire(lock_of(future));
	other = future->waiters;
	if (other == node) {
		future->waiters = node->next;
	} else {
		while (other && other->next != node)
			other = other->next;
		if (other)
			other->next = node->next;
	}
	tmgr__lock_release(lock_of(future));
}

static int wait_begun(struct tmgr__wait *wait, struct tmgr_future *future, const char *what)
{
	struct wait_node node = { .waiter = wait->waiter };
	int r;

	tmgr__lock_acquire(lock_of(future));
	if (future->done) {
		tmgr__lock_release(lock_of(future));
		return 0;
	}
	if (wait->limit <= 0) {
		tmgr__lock_release(lock_of(future));
		return tmgr__wait_late(wait);
	}
	node.next = future->waiters;
	future->waiters = &node;
	tmgr__wait_arm(wait);
	tmgr__lock_release(lock_of(future));
	r = tmgr__wait_park(wait, what);
	if (r < 0)
		withdraw(future, &node);
	return r;
}

int tmgr_future_wait(struct tmgr_context *context, struct tmgr_future *future, int64_t deadline)
{
	struct tmgr__wait wait;
	int r;

	if (!future)
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	return r < 0 ? r : wait_begun(&wait, future, "future");
}

int tmgr_future_cancel(struct tmgr_future *future, int code, const char *text)
{
	if (!future)
		return -EINVAL;
	if (!future->cancel)
		return tmgr_future_complete(future, -ECANCELED, NULL);
	if (tmgr_future_done(future))
		return -EALREADY;
	future->cancel(future, code, text);
	return 0;
}

int tmgr_await(struct tmgr_context *context, struct tmgr_future *future, int64_t deadline,
	void **ret_value)
{
	struct tmgr__wait wait;
	int r;

	if (!future)
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	r = wait_begun(&wait, future, "future");
	if (r == -ECANCELED) {
		tmgr_future_cancel(future, 0, "who awaited it was cancelled");
		tmgr__future_wait_shielded(context, future, deadline, "future");
	}
	if (r < 0)
		return r;
	/* Both ends of the wait came after the completer's unlocking: it writes no more. */
	if (ret_value && future->error == 0)
		*ret_value = future->value;
	return future->error;
}

int tmgr__future_wait_shielded(struct tmgr_context *context, struct tmgr_future *future,
	int64_t deadline, const char *what)
{
	struct tmgr__wait wait;

	tmgr__wait_begin_shielded(&wait, context, deadline);
	return wait_begun(&wait, future, what);
}

/* On the host that registered it. */
static void call_posted(void *self)
{
	struct tmgr_future_callback *callback = self;

	callback->function(callback->self, callback->future);
}

int tmgr_future_on_done(struct tmgr_future *future, struct tmgr_future_callback *callback,
	void (*function)(void *self, struct tmgr_future *future), void *self)
{
	bool done;

	if (!future || !callback || !function)
		return -EINVAL;
	*callback = (struct tmgr_future_callback){
		.function = function,
		.self = self,
		.future = future,
		.host = tmgr_context_executor(tmgr_context_current()),
		.call = { .function = call_posted, .self = callback },
	};
	tmgr__lock_acquire(lock_of(future));
	done = future->done;
	if (!done) {
		struct tmgr_future_callback *last = future->callbacks_last;

		if (last)
			last->next = callback;
		else
			future->callbacks = callback;
		future->callbacks_last = callback;
	}
	tmgr__lock_release(lock_of(future));
	if (done)
		function(self, future);
	return 0;
}

int tmgr_future_remove_callback(struct tmgr_future *future, struct tmgr_future_callback *callback)
{
	struct tmgr_future_callback *before = NULL, *other;

	if (!future || !callback)
		return -EINVAL;
	tmgr__lock_acquire(lock_of(future));
	for (other = future->callbacks; other && other != callback; other = other->next)
		before = other;
	if (other) {
		if (before)
			before->next = callback->next;
		else
			future->callbacks = callback->next;
		if (future->callbacks_last == callback)
			future->callbacks_last = before;
	}
	tmgr__lock_release(lock_of(future));
	return other ? 0 : -ENOENT;
}
