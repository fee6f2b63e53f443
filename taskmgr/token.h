/*
 * Tokens from inside: their memory, which a record embeds, and the timers that fire them.
 */
#ifndef TMGR__TOKEN_H
#define TMGR__TOKEN_H

#include <taskmgr/token.h>

#include "base/check.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/sync.h"

struct tmgr__clock;

/*
 * Deadlines of tokens below one run, fired by its watcher. Counted: tokens with a deadline refer to
 * it, and it may outlive the run, which closes it.
 */
struct tmgr__timers {
	struct tmgr__lock lock;
	uint32_t refs;
	bool closed;
	struct tmgr__heap heap;
	/* the earliest deadline has become earlier; called under the lock, short */
	void (*changed)(void *self);
	void *self;
};

/*
 * Most are made, waited with and given back, and never fire or have a deadline of their own: they
 * touch the first line of the cache. Firing needs the second.
 */
struct tmgr_token {
	int fired; /* first: the inline check of the public header reads it */
	struct tmgr__lock lock;
	uint32_t refs;
	uint16_t depth;
	bool linked; /* among its parent's children */
	bool running_waited;
	struct tmgr_token *parent; /* referenced; set once, under lock */
	struct tmgr__list siblings;
	struct tmgr_token_callback *callbacks, *callbacks_last;
	int64_t limit; /* the earliest deadline of it and of all above it, once linked; atomic */

	struct tmgr__list children;
	struct tmgr_token_callback *running; /* being called */
	int running_thread;
	uint32_t running_count; /* a futex for who waits for the end of a call */
	int fd;                 /* -1 until asked for */
	struct tmgr_token *fire_next;
	const struct tmgr_token *source;           /* whose cause it is: itself or an ancestor */
	void (*release)(struct tmgr_token *token); /* memory, when the last reference goes */

	int64_t deadline;
	struct tmgr__timers *timers;
	union {
		struct tmgr__heap_node timer; /* of these, until it is the source of a cause */
		struct tmgr_cause cause;      /* once it is its own source */
	};
};

/* A token in memory of the caller, with one reference, not yet below a parent. */
void tmgr__token_init(struct tmgr_token *token, void (*release)(struct tmgr_token *token));
/* The same for memory of one that was detached, or released. */
static inline void tmgr__token_init_again(struct tmgr_token *token)
{
	token->fired = 0;
	token->refs = 1;
	token->linked = false;
	token->deadline = token->limit = TMGR_NEVER;
	token->source = NULL;
	token->timer.linked = false;
}
/* Put it below a parent, once; it fires at once where the parent has fired. */
void tmgr__token_attach(struct tmgr_token *token, struct tmgr_token *parent);
/*
 * The same in two steps: first, with a reference to the parent or something that stands for it, it
 * only knows it, which costs next to nothing; later, once, and with a reference, it is fired with it.
 * Both by its owner.
 */
static inline void tmgr__token_adopt(struct tmgr_token *token, struct tmgr_token *parent)
{
	token->depth = parent->depth + 1;
	/* It has no deadline of its own, and nobody else knows it yet. */
	token->limit = __atomic_load_n(&parent->limit, __ATOMIC_ACQUIRE);
	__atomic_store_n(&token->parent, parent, __ATOMIC_RELEASE);
}
void tmgr__token_link(struct tmgr_token *token);
/* Undo adopting, of one that nobody else knows. False: it is more than that. */
static inline bool tmgr__token_leave_adopted(
	struct tmgr_token *token, struct tmgr_token **ret_parent)
{
	if (__atomic_load_n(&token->refs, __ATOMIC_ACQUIRE) != 1 || token->linked ||
		token->timers || token->fd >= 0)
		return false;
	*ret_parent = token->parent;
	token->parent = NULL;
	return true;
}
/* Give a reference back that is hardly ever the last. */
static inline void tmgr__token_let_go(struct tmgr_token *token)
{
	uint32_t refs = __atomic_load_n(&token->refs, __ATOMIC_RELAXED);

	/* Only a reference can be taken or given back meanwhile; the last goes the long way. */
	while (refs > 1)
		if (__atomic_compare_exchange_n(&token->refs, &refs, refs - 1, true,
			    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return;
	tmgr_token_unref(token);
}
/*
 * The reverse. True: nobody else refers to it, and its memory may be used again; false: give the
 * reference back as usual.
 */
bool tmgr__token_detach(struct tmgr_token *token);
/* Whether only the caller's reference is left. */
static inline bool tmgr__token_alone(const struct tmgr_token *token)
{
	return __atomic_load_n(&token->refs, __ATOMIC_ACQUIRE) == 1;
}
/* Of a token that has fired: have all that is linked below it fired, too. */
void tmgr__token_have_marked(struct tmgr_token *token);
/* Fire it if its deadline, or an ancestor's, has passed at `now`. */
bool tmgr__token_expire(struct tmgr_token *token, int64_t now);

/* Set once, by its run, its first wait or its first deadline, while others may look. */
static inline struct tmgr__timers *tmgr__token_timers(const struct tmgr_token *token)
{
	return __atomic_load_n(&token->timers, __ATOMIC_ACQUIRE);
}
/* Tokens at and below this one have these timers. */
void tmgr__token_set_timers(struct tmgr_token *token, struct tmgr__timers *timers);
struct tmgr__timers *tmgr__timers_create(void (*changed)(void *self), void *self);
/* No more `changed` afterwards, and no more firing. */
void tmgr__timers_close(struct tmgr__timers *timers);
void tmgr__timers_unref(struct tmgr__timers *timers);
/* Fire what is due at `now`; returns the next deadline. Callbacks run on this thread. */
int64_t tmgr__timers_run(struct tmgr__timers *timers, int64_t now);

#endif
