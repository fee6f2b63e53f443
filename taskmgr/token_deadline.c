/*
 * Deadlines of tokens, and the timers that fire them: a heap for each run, which its watcher looks at.
 *
 * A token's lock guards its deadline; the timers' lock, which is innermost, the heap and the place of
 * each token in it. What is due is taken out with a reference and fired with no lock held. A token
 * leaves its timers before its memory goes, so that what stands in the heap can be looked at.
 *
 * The limit of a token is the earliest deadline of it and of all above it, so that who waits reads one
 * number; an earlier one is told downwards, under the parent's lock and then the child's.
 */
#include "token_inside.h"

#include <errno.h>
#include <stdlib.h>

void tmgr__token_stop_timer(struct tmgr_token *token)
{
	struct tmgr__timers *timers = tmgr__token_timers(token);

	if (!timers || token->source == token)
		return;
	tmgr__lock_acquire(&timers->lock);
	tmgr__heap_remove(&timers->heap, &token->timer);
	tmgr__lock_release(&timers->lock);
}

/* The timers of the run a token is below, referenced, or NULL. */
static struct tmgr__timers *find_timers(struct tmgr_token *token)
{
	/* Parents are set once, and held by what is below them. */
	for (; token; token = __atomic_load_n(&token->parent, __ATOMIC_ACQUIRE)) {
		struct tmgr__timers *timers = tmgr__token_timers(token);

		if (timers) {
			__atomic_fetch_add(&timers->refs, 1, __ATOMIC_RELAXED);
			return timers;
		}
	}
	return NULL;
}

static void start_timer(struct tmgr__timers *timers, struct tmgr_token *token, int64_t deadline)
{
	tmgr__lock_acquire(&timers->lock);
	if (!timers->closed) {
		tmgr__heap_remove(&timers->heap, &token->timer);
		tmgr__heap_insert(&timers->heap, &token->timer, deadline);
		/* Under the lock, so that nobody calls it once the timers are closed. */
		if (tmgr__heap_first(&timers->heap) == &token->timer)
			timers->changed(timers->self);
	}
	tmgr__lock_release(&timers->lock);
}

/* Under the token's lock: have these timers fire it at that time. */
static void start_with(struct tmgr_token *token, struct tmgr__timers *timers, int64_t at)
{
	if (!tmgr__token_timers(token)) {
		__atomic_fetch_add(&timers->refs, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&token->timers, timers, __ATOMIC_RELEASE);
	}
	if (at != TMGR_NEVER)
		start_timer(tmgr__token_timers(token), token, at);
}

/* Those below that were given a deadline when there was nobody to watch it. */
static void start_below(struct tmgr_token *token, struct tmgr__timers *timers)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &token->children) {
		struct tmgr_token *child = container_of(node, struct tmgr_token, siblings);

		tmgr__lock_acquire(&child->lock);
		if (!child->fired && child->deadline != TMGR_NEVER && !tmgr__token_timers(child))
			start_with(child, timers, child->deadline);
		start_below(child, timers);
		tmgr__lock_release(&child->lock);
	}
}

void tmgr__token_set_timers(struct tmgr_token *token, struct tmgr__timers *timers)
{
	tmgr__lock_acquire(&token->lock);
	/* Of one that has fired the cause stands where the timer was. */
	start_with(token, timers,
		token->fired ? TMGR_NEVER : __atomic_load_n(&token->limit, __ATOMIC_ACQUIRE));
	start_below(token, timers);
	tmgr__lock_release(&token->lock);
}

void tmgr__token_lower_below(struct tmgr_token *token, int64_t limit)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &token->children) {
		struct tmgr_token *child = container_of(node, struct tmgr_token, siblings);

		tmgr__lock_acquire(&child->lock);
		if (tmgr__token_lower_limit(child, limit)) {
			/* Nobody may watch those above: who does it for this one looks upwards then. */
			if (!child->fired && tmgr__token_timers(child))
				start_timer(tmgr__token_timers(child), child, limit);
			tmgr__token_lower_below(child, limit);
		}
		tmgr__lock_release(&child->lock);
	}
}

int tmgr_token_set_deadline(struct tmgr_token *token, int64_t deadline)
{
	struct tmgr__timers *timers, *given_back = NULL;

	if (!token)
		return -EINVAL;
	timers = find_timers(token);
	tmgr__lock_acquire(&token->lock);
	if (token->fired) {
		tmgr__lock_release(&token->lock);
		tmgr__timers_unref(timers);
		return -EALREADY;
	}
	if (deadline < token->deadline) {
		__atomic_store_n(&token->deadline, deadline, __ATOMIC_RELEASE);
		if (tmgr__token_lower_limit(token, deadline))
			tmgr__token_lower_below(token, deadline);
		if (timers && !tmgr__token_timers(token))
			__atomic_store_n(&token->timers, timers, __ATOMIC_RELEASE);
		else
			given_back = timers;
		if (tmgr__token_timers(token))
			start_timer(tmgr__token_timers(token), token, deadline);
	} else {
		given_back = timers;
	}
	tmgr__lock_release(&token->lock);
	tmgr__timers_unref(given_back);
	return 0;
}

int64_t tmgr_token_deadline(const struct tmgr_token *token)
{
	return token ? __atomic_load_n(&token->limit, __ATOMIC_ACQUIRE) : TMGR_NEVER;
}

bool tmgr__token_expire(struct tmgr_token *token, int64_t now)
{
	static const struct tmgr_cause cause = { TMGR_REASON_DEADLINE, -ETIMEDOUT, "deadline" };
	struct tmgr_token *oldest = NULL;

	for (; token; token = __atomic_load_n(&token->parent, __ATOMIC_ACQUIRE))
		if (__atomic_load_n(&token->deadline, __ATOMIC_ACQUIRE) <= now)
			oldest = token;
	if (!oldest)
		return false;
	tmgr_token_fire(oldest, &cause);
	return true;
}

struct tmgr__timers *tmgr__timers_create(void (*changed)(void *self), void *self)
{
	struct tmgr__timers *timers = calloc(1, sizeof(*timers));

	if (timers) {
		timers->refs = 1;
		timers->changed = changed;
		timers->self = self;
	}
	return timers;
}

void tmgr__timers_close(struct tmgr__timers *timers)
{
	struct tmgr__heap_node *node;

	tmgr__lock_acquire(&timers->lock);
	timers->closed = true;
	while ((node = tmgr__heap_first(&timers->heap)))
		tmgr__heap_remove(&timers->heap, node);
	tmgr__lock_release(&timers->lock);
}

void tmgr__timers_unref(struct tmgr__timers *timers)
{
	if (timers && __atomic_fetch_sub(&timers->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(timers);
}

int64_t tmgr__timers_run(struct tmgr__timers *timers, int64_t now)
{
	int64_t next = TMGR_NEVER;

	for (;;) {
		struct tmgr__heap_node *node;
		struct tmgr_token *token = NULL;

		tmgr__lock_acquire(&timers->lock);
		node = tmgr__heap_first(&timers->heap);
		if (node && node->key <= now) {
			tmgr__heap_remove(&timers->heap, node);
			token = container_of(node, struct tmgr_token, timer);
			if (!tmgr__token_ref_unless_ending(token))
				token = NULL;
		} else if (node) {
			next = node->key;
		}
		tmgr__lock_release(&timers->lock);
		if (next != TMGR_NEVER || !node)
			return next;
		if (token) {
			tmgr__token_expire(token, now);
			tmgr_token_unref(token);
		}
	}
}
