/*
 * A coroutine that calls pthread_exit() ends the thread, and with it the loop and all that is on it,
 * unexpectedly and at once. Nothing of that goes on, but others may refer to what stands on its
 * stacks: partners on channels, a late wake that is posted. So stacks and loop stay for ever.
 *
 * A task may be posted to the loop just then. Who posts pushes and then looks whether the loop has
 * exited, the loop says so and then empties its inbox: one of both finds the task.
 */
#include "internal.h"

/* With those that were to be started after it. */
static void bury_started(struct tmgr_coroutine *coroutine)
{
	struct tmgr_hosted *others = coroutine->others;
	struct tmgr_loop *loop = coroutine->loop;

	do {
		tmgr__coroutine_bury(coroutine);
	} while ((coroutine = tmgr__hosted_make_next(loop, &others)));
}

static void bury_calls(struct tmgr_executor_call *call)
{
	while (call) {
		struct tmgr_executor_call *next = call->next;

		/* Others were wakes of those who are gone, or calls that are made no more. */
		if (call->function == tmgr__coroutine_start_posted)
			bury_started(call->self);
		call = next;
	}
}

void tmgr__loop_bury_posts(struct tmgr_loop *loop)
{
	bury_calls(__atomic_exchange_n(&loop->inbox, NULL, __ATOMIC_SEQ_CST));
}

static void bury_all(struct tmgr_loop *loop)
{
	struct tmgr__list *node;

	/* The last first: so children come before their parents. */
	while (!tmgr__list_empty(&loop->all)) {
		node = loop->all.previous;
		tmgr__list_remove(node);
		tmgr__coroutine_bury(container_of(node, struct tmgr_coroutine, all));
	}
}

void tmgr__loop_exited(void *self)
{
	struct tmgr_loop *loop = tmgr_loop_ref(self);
	struct tmgr_executor_call *calls = loop->calls;

	tmgr__fiber_jumped(&loop->fiber);
	tmgr_context_switch(NULL);
	tmgr__loop_here = NULL;
	__atomic_store_n(&loop->running, NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&loop->state, TMGR__LOOP_ENDED, __ATOMIC_RELEASE);
	__atomic_fetch_or(&loop->holds, TMGR__LOOP_CLOSED, __ATOMIC_ACQ_REL);
	__atomic_store_n(&loop->exited, true, __ATOMIC_SEQ_CST);
	tmgr_token_unregister(&loop->token_callback);
	tmgr_executor_leave(&loop->host);
	tmgr__overflow_unwatch();
	loop->calls = NULL;
	bury_calls(calls);
	bury_all(loop);
	tmgr__loop_bury_posts(loop);
}
