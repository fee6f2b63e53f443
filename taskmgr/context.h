/*
 * Contexts from inside. A task's context stands in its record; tmgr_task_execute_under() puts
 * others over it on the stack of the same thread of control, which share its waiter.
 */
#ifndef TMGR__CONTEXT_H
#define TMGR__CONTEXT_H

#include <errno.h>

#include <taskmgr/context.h>

#include "base/check.h"
#include "token.h"
#include "waiter.h"

struct tmgr__record;
struct tmgr_group;

/* Bytes of a text kept by tmgr_fail(), NUL included. */
#define TMGR__ERROR_TEXT_SIZE 128

struct tmgr_context {
	/* What each wait looks at is one line of the cache. */
	struct tmgr_context *base; /* the task's own; itself where it is that */
	struct tmgr_token *token;  /* its own: of the record, or given */
	/* fires for this context even before its own is attached */
	struct tmgr_token *parent_token;
	struct tmgr_waiter *waiter;
	const char *waiting; /* static, or NULL; read by snapshots */
	int shield_depth;
	/* token is below parent_token, callback is registered */
	bool attached;
	bool open;        /* its function runs */
	bool lent_shield; /* one of shield_depth is that of the context a strand goes on in */
	bool initialize_failed;
	struct tmgr_executor *host; /* that runs it, or NULL on a thread */
	struct tmgr_context *outer; /* current before this one, on this thread */

	/* What beginning and ending also look at is the next. */
	struct tmgr_token_callback callback; /* on token: cancels the waiter */
	struct tmgr_group *groups;           /* opened below it and not yet destroyed */
	struct tmgr_group *default_group;
	struct tmgr_group *call_group; /* of what it has called in threads */

	struct tmgr__record *record;
	void *value;
	int waiting_fd;
	const char *name; /* of a strand; NULL: the record's */
	char *text;       /* of tmgr_fail(): TMGR__ERROR_TEXT_SIZE bytes */
	int64_t shield_deadline;
};

/* The one that is current on this thread. */
extern __thread struct tmgr_context *tmgr__context_here __attribute__((tls_model("initial-exec")));
/*
 * Make the context current on this thread. `token` is not yet below `parent_token`, or, when
 * attached, needs not to be.
 */
static inline void tmgr__context_enter(struct tmgr_context *context)
{
	context->outer = tmgr__context_here;
	context->open = true;
	context->attached = false;
	context->shield_depth = 0;
	context->groups = context->default_group = context->call_group = NULL;
	tmgr__context_here = context;
}
/* Undo enter: groups left open are cancelled and waited for, the callback is taken back. */
void tmgr__context_leave_open(struct tmgr_context *context);
static inline void tmgr__context_leave(struct tmgr_context *context)
{
	/* Scopes that the task forgot to end do not outlive its function. */
	context->shield_depth = 0;
	if (context->groups || context->attached)
		tmgr__context_leave_open(context);
	context->open = false;
	tmgr__context_here = context->outer;
}
/*
 * Make sure that the token's firing ends waits; returns the token. Of a context whose function has
 * returned nobody would take that back: it stops the program.
 */
struct tmgr_token *tmgr__context_attach(struct tmgr_context *context);
static inline void tmgr__context_set_waiting(struct tmgr_context *context, const char *what)
{
	__atomic_store_n(&context->base->waiting, what, __ATOMIC_RELEASE);
}

/* Whether nothing about a wait is special: mostly the token is attached, and nothing is shielded. */
static inline bool tmgr__wait_is_plain(const struct tmgr_context *context)
{
	return context && context->attached && context->shield_depth == 0;
}

/*
 * Whether a wait may begin: 0, or -ECANCELED when the token has fired. Attaches the context's token,
 * so no lock of an object may be held.
 */
static inline int tmgr__wait_may_begin(struct tmgr_context *context)
{
	if (!tmgr__wait_is_plain(context))
		return tmgr__wait_may_begin_slowly(context);
	tmgr__waiter_count(context->waiter);
	return tmgr_token_fired(context->token) ? -ECANCELED : 0;
}

static inline void tmgr__wait_set_plainly(
	struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline)
{
	int64_t limit;

	wait->context = context;
	wait->waiter = context->waiter;
	wait->token = context->token;
	wait->deadline = deadline;
	wait->shielded = false;
	tmgr__wait_look(wait);
	limit = __atomic_load_n(&wait->token->limit, __ATOMIC_ACQUIRE);
	wait->limit = limit < deadline ? limit : deadline;
}

/* Where tmgr__wait_may_begin() gave 0, what parking needs. Takes no lock. */
static inline void tmgr__wait_set(
	struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline)
{
	if (tmgr__wait_is_plain(context))
		tmgr__wait_set_plainly(wait, context, deadline);
	else
		tmgr__wait_set_slowly(wait, context, deadline);
}

/* Both at once. */
static inline int tmgr__wait_begin(
	struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline)
{
	int r;

	if (__builtin_expect(tmgr__wait_is_plain(context), 1)) {
		tmgr__waiter_count(context->waiter);
		tmgr__wait_set_plainly(wait, context, deadline);
		return tmgr_token_fired(context->token) ? -ECANCELED : 0;
	}
	r = tmgr__wait_may_begin_slowly(context);
	tmgr__wait_set_slowly(wait, context, deadline);
	return r;
}

#endif
