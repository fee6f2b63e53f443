/*
 * Futures. The future's lock guards all of it. Completing takes nodes and callbacks off it; its
 * unlock is the completer's last touch, so the owner may release the memory as soon as a wait or a
 * look under the lock has seen it done.
 */
#include "future.h"

#include <errno.h>

#include "base/check.h"
#include "context.h"
#include "waiter.h"

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
	tmgr__lock_acquire(tmgr__future_lock(future));
	waited = future->nodes != NULL;
	tmgr__lock_release(tmgr__future_lock(future));
	if (waited)
		tmgr__misuse("a future is destroyed while it is waited for", NULL);
}

void tmgr__future_append(struct tmgr_future *future, struct tmgr_future_node *node)
{
	struct tmgr_future_node *first = future->nodes;

	/* The first knows the last; only one that is in no list has nobody before it. */
	node->next = NULL;
	node->previous = first ? first->previous : node;
	if (first) {
		first->previous->next = node;
		first->previous = node;
	} else {
		future->nodes = node;
	}
}

bool tmgr__future_withdraw(struct tmgr_future *future, struct tmgr_future_node *node)
{
	bool listed;

	tmgr__lock_acquire(tmgr__future_lock(future));
	listed = node->previous != NULL;
	if (listed) {
		struct tmgr_future_node *first = future->nodes;

		if (node->next)
			node->next->previous = node->previous;
		else
			first->previous = node->previous;
		if (node == first)
			future->nodes = node->next;
		else
			node->previous->next = node->next;
		node->next = node->previous = NULL;
	}
	tmgr__lock_release(tmgr__future_lock(future));
	return listed;
}

void tmgr__told_won(struct tmgr__told *told, struct tmgr_future_node *node)
{
	node->next = NULL;
	*told->won_last = node;
	told->won_last = &node->next;
}

static void tell(struct tmgr_future *future, struct tmgr_future_node *node, struct tmgr__told *told)
{
	if (!node->waiter)
		node->tell(node, future, told);
	else if (tmgr__waiter_claim(node->waiter))
		tmgr__told_won(told, node);
}

void tmgr__future_complete(
	struct tmgr_future *future, int error, void *value, struct tmgr__told *told)
{
	struct tmgr_future_node *node = future->nodes;

	future->error = error;
	future->value = value;
	__atomic_store_n(&future->done, 1, __ATOMIC_RELEASE);
	while (node) {
		struct tmgr_future_node *next = node->next;

		node->next = node->previous = NULL;
		tell(future, node, told);
		node = next;
	}
	if (future->callbacks) {
		*told->callbacks_last = future->callbacks;
		told->callbacks_last =
			&((struct tmgr_future_callback *)future->callbacks_last)->next;
	}
	future->nodes = NULL;
	future->callbacks = future->callbacks_last = NULL;
}

static void wake_all(struct tmgr_future_node *node)
{
	while (node) {
		struct tmgr_future_node *next = node->next;
		struct tmgr_waiter *waiter = node->waiter;

		tmgr__waiter_complete(waiter)->wake(waiter);
		node = next;
	}
}

static void call_all(struct tmgr_future_callback *callback)
{
	while (callback) {
		struct tmgr_future_callback *next = callback->next;

		if (callback->host)
			callback->host->ops->post(callback->host, &callback->call);
		else
			callback->function(callback->self, callback->future);
		callback = next;
	}
}

/* Under the lock, which it gives back: with one who waits, or nobody, there is less to do. */
static void complete_simply(struct tmgr_future *future, int error, void *value)
{
	struct tmgr_future_node *node = future->nodes;
	struct tmgr_waiter *won = NULL;

	future->error = error;
	future->value = value;
	future->nodes = NULL;
	__atomic_store_n(&future->done, 1, __ATOMIC_RELEASE);
	if (node) {
		node->previous = NULL;
		if (tmgr__waiter_claim(node->waiter))
			won = node->waiter;
	}
	tmgr__lock_release(tmgr__future_lock(future));
	if (won)
		tmgr__waiter_complete(won)->wake(won);
}

/* Likewise, with several, callbacks, or part of a wait for several. */
static __attribute__((noinline)) void complete_fully(
	struct tmgr_future *future, int error, void *value)
{
	struct tmgr__told told;

	told.won = NULL;
	told.won_last = &told.won;
	told.callbacks = NULL;
	told.callbacks_last = &told.callbacks;
	tmgr__future_complete(future, error, value, &told);
	tmgr__lock_release(tmgr__future_lock(future));
	wake_all(told.won);
	call_all(told.callbacks);
}

int tmgr_future_complete(struct tmgr_future *future, int error, void *value)
{
	struct tmgr_future_node *first;

	if (!future || error > 0)
		return -EINVAL;
	tmgr__lock_acquire(tmgr__future_lock(future));
	if (future->done) {
		tmgr__lock_release(tmgr__future_lock(future));
		return -EALREADY;
	}
	first = future->nodes;
	if (!future->callbacks && (!first || (first->waiter && !first->next)))
		complete_simply(future, error, value);
	else
		complete_fully(future, error, value);
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
	tmgr__lock_acquire(tmgr__future_lock(future));
	if (future->done) {
		r = 0;
		if (ret_error)
			*ret_error = future->error;
		if (ret_value)
			*ret_value = future->value;
	}
	tmgr__lock_release(tmgr__future_lock(future));
	return r;
}

static inline int wait_begun(struct tmgr__wait *wait, struct tmgr_future *future, const char *what)
{
	struct tmgr_future_node node = { .waiter = wait->waiter };
	int r;

	tmgr__lock_acquire(tmgr__future_lock(future));
	if (future->done) {
		tmgr__lock_release(tmgr__future_lock(future));
		return 0;
	}
	if (__builtin_expect(wait->limit <= 0, 0)) {
		tmgr__lock_release(tmgr__future_lock(future));
		return tmgr__wait_late(wait);
	}
	tmgr__future_append(future, &node);
	tmgr__wait_arm_locked(wait);
	tmgr__lock_release(tmgr__future_lock(future));
	r = tmgr__wait_park(wait, what);
	if (__builtin_expect(r < 0, 0))
		tmgr__future_withdraw(future, &node);
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

/* Whose wait for a future was cut short. */
static __attribute__((noinline)) int cut_short(
	struct tmgr_context *context, struct tmgr_future *future, int64_t deadline, int error)
{
	if (error == -ECANCELED) {
		tmgr_future_cancel(future, 0, "who awaited it was cancelled");
		tmgr__future_wait_shielded(context, future, deadline, "future");
	}
	return error;
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
	if (__builtin_expect(r < 0, 0))
		return cut_short(context, future, deadline, r);
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
	tmgr__lock_acquire(tmgr__future_lock(future));
	done = future->done;
	if (!done) {
		struct tmgr_future_callback *last = future->callbacks_last;

		if (last)
			last->next = callback;
		else
			future->callbacks = callback;
		future->callbacks_last = callback;
	}
	tmgr__lock_release(tmgr__future_lock(future));
	if (done)
		function(self, future);
	return 0;
}

int tmgr_future_remove_callback(struct tmgr_future *future, struct tmgr_future_callback *callback)
{
	struct tmgr_future_callback *before = NULL, *other;

	if (!future || !callback)
		return -EINVAL;
	tmgr__lock_acquire(tmgr__future_lock(future));
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
	tmgr__lock_release(tmgr__future_lock(future));
	return other ? 0 : -ENOENT;
}
