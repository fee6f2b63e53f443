/*
 * Tokens.
 *
 * Each token's lock guards its children, callbacks, parent and cause. Order of locks: parent before
 * child; a timers' lock (token_deadline.c) is innermost. No lock is held over a callback.
 *
 * Firing marks a token and its subtree, each level under the lock of the one above, and collects
 * those that have something to be called, with a reference, on a list through the tokens
 * themselves. Only then are callbacks called. A token is marked once, by whoever gets its lock
 * first; that thread calls its callbacks.
 *
 * A child holds its parent. The last reference to a token is given back without its lock; from then
 * on only its parent's list knows it, so firing the parent takes a reference only if the count is
 * not 0.
 */
#include "token_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"

static void release_heap(struct tmgr_token *token)
{
	free(token);
}

void tmgr__token_init(struct tmgr_token *token, void (*release)(struct tmgr_token *token))
{
	token->fired = 0;
	token->lock.word = 0;
	token->refs = 1;
	token->depth = 0;
	token->linked = false;
	token->parent = NULL;
	tmgr__list_init(&token->siblings);
	tmgr__list_init(&token->children);
	token->callbacks = token->callbacks_last = NULL;
	token->running = NULL;
	token->running_thread = 0;
	token->running_count = 0;
	token->running_waited = false;
	token->fd = -1;
	token->deadline = token->limit = TMGR_NEVER;
	token->timers = NULL;
	token->timer.linked = false;
	token->fire_next = NULL;
	token->release = release;
	token->source = NULL;
}

int tmgr_token_create(struct tmgr_token *parent, struct tmgr_token **ret_token)
{
	struct tmgr_token *token;

	if (!ret_token)
		return -EINVAL;
	if (parent && parent->depth >= TMGR_TOKEN_DEPTH_MAX)
		return -ELOOP;
	token = malloc(sizeof(*token));
	if (!token)
		return -ENOMEM;
	tmgr__token_init(token, release_heap);
	if (parent)
		tmgr__token_attach(token, parent);
	*ret_token = token;
	return 0;
}

struct tmgr_token *tmgr_token_ref(struct tmgr_token *token)
{
	if (token)
		check(__atomic_fetch_add(&token->refs, 1, __ATOMIC_RELAXED) > 0);
	return token;
}

/*
 * Leave the parent's list and the timers. Nobody can find the token afterwards but who refers to it,
 * or has what its memory is in, as who holds a coroutine has: that one may be firing it just now.
 */
static void leave(struct tmgr_token *token)
{
	check(tmgr__list_empty(&token->children));
	if (token->linked) {
		tmgr__lock_acquire(&token->parent->lock);
		tmgr__list_remove(&token->siblings);
		tmgr__lock_release(&token->parent->lock);
		token->linked = false;
	}
	if (tmgr__token_timers(token)) {
		tmgr__lock_acquire(&token->lock);
		tmgr__token_stop_timer(token);
		tmgr__lock_release(&token->lock);
	}
}

/* Give up what it has. Its parent's reference is returned. */
static struct tmgr_token *close_token(struct tmgr_token *token)
{
	struct tmgr_token *parent = token->parent;

	check(!token->running);
	__atomic_store_n(&token->parent, NULL, __ATOMIC_RELAXED);
	if (tmgr__token_timers(token) || token->fd >= 0) {
		struct tmgr__timers *timers;

		tmgr__lock_acquire(&token->lock);
		timers = tmgr__token_timers(token);
		__atomic_store_n(&token->timers, NULL, __ATOMIC_RELAXED);
		if (token->fd >= 0)
			close(token->fd);
		token->fd = -1;
		tmgr__lock_release(&token->lock);
		tmgr__timers_unref(timers);
	}
	return parent;
}

bool tmgr__token_detach(struct tmgr_token *token)
{
	leave(token);
	/*
	 * Who is just firing it may hold it for a moment more, and the parent with it: the timers look
	 * upwards from what they hold.
	 */
	if (!tmgr__token_alone(token))
		return false;
	tmgr_token_unref(close_token(token));
	return true;
}

/* The last reference is gone: nobody but the parent's list and the timers know it. */
static struct tmgr_token *end_token(struct tmgr_token *token)
{
	struct tmgr_token *parent;

	leave(token);
	parent = close_token(token);
	token->release(token);
	return parent;
}

void tmgr_token_unref(struct tmgr_token *token)
{
	/* A loop, not a recursion: the parent's last reference may go with its child. */
	while (token) {
		uint32_t refs = __atomic_fetch_sub(&token->refs, 1, __ATOMIC_ACQ_REL);

		check(refs > 0);
		if (refs > 1)
			return;
		token = end_token(token);
	}
}

/*
 * Mark a token and what is below it, each under the lock of its parent; so at most
 * TMGR_TOKEN_DEPTH_MAX locks are held. False when it was marked already.
 */
static bool mark(struct tmgr_token *token, const struct tmgr_token *source,
	const struct tmgr_cause *cause, struct tmgr_token ***last)
{
	struct tmgr__list *node;

	tmgr__lock_acquire(&token->lock);
	if (token->fired) {
		tmgr__lock_release(&token->lock);
		return false;
	}
	if (cause) {
		tmgr__token_stop_timer(token);
		token->cause = *cause;
	}
	token->source = source;
	__atomic_store_n(&token->fired, 1, __ATOMIC_SEQ_CST);
	if ((token->callbacks || token->fd >= 0) && tmgr__token_ref_unless_ending(token)) {
		token->fire_next = NULL;
		**last = token;
		*last = &token->fire_next;
	}
	tmgr__list_for (node, &token->children)
		mark(container_of(node, struct tmgr_token, siblings), source, NULL, last);
	tmgr__lock_release(&token->lock);
	return true;
}

void tmgr__token_have_marked(struct tmgr_token *token)
{
	tmgr__lock_acquire(&token->lock);
	tmgr__lock_release(&token->lock);
}

static struct tmgr_token_callback *pop_callback(struct tmgr_token *token)
{
	struct tmgr_token_callback *callback = token->callbacks;

	if (!callback)
		return NULL;
	token->callbacks = callback->next;
	if (callback->next)
		callback->next->previous = NULL;
	else
		token->callbacks_last = NULL;
	callback->next = callback->previous = NULL;
	return callback;
}

static void call_callbacks(struct tmgr_token *token)
{
	struct tmgr_token_callback *callback;
	uint64_t one = 1;

	tmgr__lock_acquire(&token->lock);
	if (token->fd >= 0) {
		ssize_t written = write(token->fd, &one, sizeof(one));

		check(written == sizeof(one));
	}
	while ((callback = pop_callback(token))) {
		void (*function)(void *self) = callback->function;
		void *self = callback->self;

		token->running = callback;
		token->running_thread = tmgr__thread_id();
		tmgr__lock_release(&token->lock);
		function(self);
		tmgr__lock_acquire(&token->lock);
		token->running = NULL;
		if (token->running_waited) {
			token->running_waited = false;
			__atomic_fetch_add(&token->running_count, 1, __ATOMIC_RELEASE);
			tmgr__futex_wake(&token->running_count, INT32_MAX);
		}
	}
	tmgr__lock_release(&token->lock);
}

/* Call the callbacks of all on a list of marked tokens, and give the list's references back. */
static void call_marked(struct tmgr_token *first)
{
	while (first) {
		struct tmgr_token *next = first->fire_next;

		call_callbacks(first);
		tmgr_token_unref(first);
		first = next;
	}
}

static int fire(struct tmgr_token *token, const struct tmgr_cause *cause)
{
	struct tmgr_token *first = NULL, **last = &first;

	if (tmgr_token_fired(token)) {
		/* Who fired it may be at it still. */
		tmgr__token_have_marked(token);
		return -EALREADY;
	}
	if (!mark(token, token, cause, &last))
		return -EALREADY;
	call_marked(first);
	return 0;
}

int tmgr_token_fire(struct tmgr_token *token, const struct tmgr_cause *cause)
{
	struct tmgr_cause copy;

	if (!token || !cause || cause->reason <= TMGR_REASON_NONE ||
		cause->reason > TMGR_REASON_LIMIT)
		return -EINVAL;
	copy.reason = cause->reason;
	copy.code = cause->code;
	tmgr__text_copy(copy.text, sizeof(copy.text), cause->text);
	return fire(token, &copy);
}

int tmgr_token_cancel(struct tmgr_token *token, int code, const char *text)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_CANCELLED, .code = code };

	if (!token)
		return -EINVAL;
	tmgr__text_copy(cause.text, sizeof(cause.text), text);
	return fire(token, &cause);
}

int tmgr_token_cause(const struct tmgr_token *token, struct tmgr_cause *ret_cause)
{
	if (!token || !ret_cause)
		return -EINVAL;
	if (!tmgr_token_fired(token))
		return -EAGAIN;
	*ret_cause = token->source->cause;
	return 0;
}

void tmgr__token_attach(struct tmgr_token *token, struct tmgr_token *parent)
{
	tmgr_token_ref(parent);
	token->depth = (uint16_t)(parent->depth + 1);
	__atomic_store_n(&token->parent, parent, __ATOMIC_RELEASE);
	tmgr__token_link(token);
}

void tmgr__token_link(struct tmgr_token *token)
{
	struct tmgr_token *parent = token->parent, *first = NULL, **last = &first;

	token->linked = true;
	tmgr__lock_acquire(&parent->lock);
	/* Whoever makes the parent's earlier finds this one in its list. */
	if (tmgr__token_lower_limit(token, parent->limit)) {
		tmgr__lock_acquire(&token->lock);
		tmgr__token_lower_below(token, parent->limit);
		tmgr__lock_release(&token->lock);
	}
	tmgr__list_append(&parent->children, &token->siblings);
	if (parent->fired)
		mark(token, parent->source, NULL, &last);
	tmgr__lock_release(&parent->lock);
	call_marked(first);
}

int tmgr_token_register(struct tmgr_token *token, struct tmgr_token_callback *callback,
	void (*function)(void *self), void *self)
{
	if (!token || !callback || !function)
		return -EINVAL;
	*callback = (struct tmgr_token_callback){
		.token = token, .function = function, .self = self
	};
	tmgr__lock_acquire(&token->lock);
	if (token->fired) {
		callback->token = NULL;
		tmgr__lock_release(&token->lock);
		function(self);
		return 0;
	}
	callback->previous = token->callbacks_last;
	if (token->callbacks_last)
		token->callbacks_last->next = callback;
	else
		token->callbacks = callback;
	token->callbacks_last = callback;
	tmgr__lock_release(&token->lock);
	return 0;
}

static bool unlink_callback(struct tmgr_token *token, struct tmgr_token_callback *callback)
{
	if (!callback->previous && token->callbacks != callback)
		return false;
	if (callback->previous)
		callback->previous->next = callback->next;
	else
		token->callbacks = callback->next;
	if (callback->next)
		callback->next->previous = callback->previous;
	else
		token->callbacks_last = callback->previous;
	callback->next = callback->previous = NULL;
	return true;
}

bool tmgr_token_unregister(struct tmgr_token_callback *callback)
{
	struct tmgr_token *token = callback ? callback->token : NULL;
	bool taken;

	if (!token)
		return false;
	tmgr__lock_acquire(&token->lock);
	taken = unlink_callback(token, callback);
	while (!taken && token->running == callback && token->running_thread != tmgr__thread_id()) {
		uint32_t count = token->running_count;

		token->running_waited = true;
		tmgr__lock_release(&token->lock);
		tmgr__futex_wait(&token->running_count, count, TMGR_NEVER);
		tmgr__lock_acquire(&token->lock);
	}
	tmgr__lock_release(&token->lock);
	callback->token = NULL;
	return taken;
}

int tmgr_token_fd(struct tmgr_token *token)
{
	int fd;

	if (!token)
		return -EINVAL;
	tmgr__lock_acquire(&token->lock);
	fd = token->fd;
	if (fd < 0) {
		fd = eventfd(token->fired ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fd < 0)
			fd = -errno;
		else
			token->fd = fd;
	}
	tmgr__lock_release(&token->lock);
	return fd;
}
