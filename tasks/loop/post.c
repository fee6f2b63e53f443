/*
 * Calls posted to a loop. Its own thread puts them behind those that are waiting. Others push them
 * on the inbox, a stack that the loop takes as a whole and turns round; only who finds it empty wakes
 * the loop, so a burst costs one wakeup.
 *
 * A call may be the last thing that keeps the loop from ending: from the push on, the loop can run
 * it, end and be freed. So a poster counts itself before, and the loop, when it goes, waits until
 * nobody is at it any more.
 */
#include <errno.h>
#include <sched.h>

#include "internal.h"

/* The poster is counted. */
static void push(struct tmgr_loop *loop, struct tmgr_executor_call *call)
{
	struct tmgr_executor_call *first = __atomic_load_n(&loop->inbox, __ATOMIC_RELAXED);

	do {
		call->next = first;
	} while (!__atomic_compare_exchange_n(
		&loop->inbox, &first, call, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	if (!first)
		tmgr__loop_wake(loop);
	if (__builtin_expect(__atomic_load_n(&loop->exited, __ATOMIC_SEQ_CST), 0))
		tmgr__loop_bury_posts(loop);
}

static void append(struct tmgr_loop *loop, struct tmgr_executor_call *call)
{
	call->next = NULL;
	*loop->calls_last = call;
	loop->calls_last = &call->next;
}

void tmgr__loop_post(struct tmgr_loop *loop, struct tmgr_executor_call *call)
{
	if (loop == tmgr__loop_here) {
		append(loop, call);
		return;
	}
	__atomic_fetch_add(&loop->posters, 1, __ATOMIC_SEQ_CST);
	push(loop, call);
	__atomic_fetch_sub(&loop->posters, 1, __ATOMIC_RELEASE);
}

void tmgr__loop_await_posters(const struct tmgr_loop *loop)
{
	while (__atomic_load_n(&loop->posters, __ATOMIC_SEQ_CST) > 0)
		sched_yield();
}

bool tmgr__loop_has_posts(const struct tmgr_loop *loop)
{
	return loop->calls || __atomic_load_n(&loop->inbox, __ATOMIC_SEQ_CST);
}

/* What came from other threads, in its order, behind our own. */
void tmgr__loop_gather_posts(struct tmgr_loop *loop)
{
	struct tmgr_executor_call *call, *turned = NULL;

	if (!__atomic_load_n(&loop->inbox, __ATOMIC_RELAXED))
		return;
	call = __atomic_exchange_n(&loop->inbox, NULL, __ATOMIC_SEQ_CST);
	while (call) {
		struct tmgr_executor_call *next = call->next;

		call->next = turned;
		turned = call;
		call = next;
	}
	*loop->calls_last = turned;
	while (*loop->calls_last)
		loop->calls_last = &(*loop->calls_last)->next;
}

void tmgr__loop_take_posts(struct tmgr_loop *loop)
{
	struct tmgr_executor_call *call;

	tmgr__loop_gather_posts(loop);
	/* What is left where one has exited comes first, what these post is for the next turn. */
	if (!loop->making) {
		loop->making = loop->calls;
		loop->calls = NULL;
		loop->calls_last = &loop->calls;
	}
	while ((call = loop->making)) {
		loop->making = call->next;
		call->function(call->self);
	}
}

static void make_call(void *self)
{
	struct tmgr_loop_call *call = self;

	call->function(call->self);
}

void tmgr__loop_drop_posts(struct tmgr_loop *loop)
{
	struct tmgr_executor_call *posted;

	tmgr__loop_gather_posts(loop);
	while ((posted = loop->calls)) {
		struct tmgr_loop_call *call = posted->self;

		loop->calls = posted->next;
		if (posted->function == make_call && call->instead)
			call->instead(call->self);
	}
	loop->calls_last = &loop->calls;
}

static int post(
	struct tmgr_loop *loop, struct tmgr_loop_call *call, const struct tmgr_loop_call *as)
{
	int r = 0;

	*call = *as;
	call->call.function = make_call;
	call->call.self = call;
	call->loop = loop;
	if (loop == tmgr__loop_here) {
		/* It makes what was posted before: what posts itself again would keep it for ever. */
		if (loop->state == TMGR__LOOP_ENDED)
			return -ESHUTDOWN;
		append(loop, &call->call);
		return 0;
	}
	/*
	 * A loop that goes closes itself first, and then waits for those who are counted: either it
	 * is seen closed here, or this is seen there, and the call is made.
	 */
	__atomic_fetch_add(&loop->posters, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&loop->holds, __ATOMIC_SEQ_CST) & TMGR__LOOP_CLOSED)
		r = -ESHUTDOWN;
	else
		push(loop, &call->call);
	__atomic_fetch_sub(&loop->posters, 1, __ATOMIC_RELEASE);
	return r;
}

int tmgr_loop_post(struct tmgr_loop *loop, struct tmgr_loop_call *call,
	void (*function)(void *self), void *self)
{
	if (!loop || !call || !function)
		return -EINVAL;
	return post(loop, call,
		&(struct tmgr_loop_call){
			.function = function,
			.self = self,
		});
}

int tmgr_loop_post_or(struct tmgr_loop *loop, struct tmgr_loop_call *call,
	void (*function)(void *self), void (*instead)(void *self), void *self)
{
	if (!loop || !call || !function || !instead)
		return -EINVAL;
	return post(loop, call,
		&(struct tmgr_loop_call){
			.function = function,
			.instead = instead,
			.self = self,
		});
}
