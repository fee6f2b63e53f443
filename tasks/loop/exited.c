/*
 * Who calls pthread_exit() on a loop, in a coroutine or in a call, ends the thread, and with it the
 * loop and all that is on it, unexpectedly and at once. No coroutine of it goes on, but others may
 * refer to what stands on its stacks: partners on channels, a late wake that is posted. So stacks and
 * loop stay for ever.
 *
 * The calls that were posted are made, as when a loop ends by itself, for others wait for them; before
 * the coroutines are told of as ended, since then what these calls refer to may go. Should one of them
 * exit, too, then all this is called once more, and goes on with the rest. What is posted because of
 * those ends is not made: they have left nothing of what they were in, as a callback would believe.
 *
 * A task may be posted to the loop just then. Who posts pushes and then looks whether the loop has
 * exited, the loop says so and then empties its inbox: one of both finds the task.
 */
#include "internal.h"

void tmgr__loop_bury_started(struct tmgr_coroutine *coroutine)
{
	struct tmgr_hosted *others = coroutine->others;
	struct tmgr_loop *loop = coroutine->loop;

	do {
		tmgr__coroutine_bury(coroutine);
	} while ((coroutine = tmgr__hosted_make_next(loop, &others)));
}

void tmgr__loop_bury_posts(struct tmgr_loop *loop)
{
	struct tmgr_executor_call *call = __atomic_exchange_n(&loop->inbox, NULL, __ATOMIC_SEQ_CST);

	while (call) {
		struct tmgr_executor_call *next = call->next;

		/* Others are wakes of those who are gone, or come later than the loop's end. */
		if (call->function == tmgr__coroutine_start_posted)
			tmgr__loop_bury_started(call->self);
		call = next;
	}
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

static void close_for_ever(struct tmgr_loop *loop)
{
	tmgr_loop_ref(loop);
	__atomic_store_n(&loop->state, TMGR__LOOP_ENDED, __ATOMIC_RELEASE);
	__atomic_fetch_or(&loop->holds, TMGR__LOOP_CLOSED, __ATOMIC_SEQ_CST);
	tmgr_token_unregister(&loop->token_callback);
	tmgr_executor_leave(&loop->host);
	tmgr__overflow_unwatch();
	/* From here on who posts a call is refused, and others look after what they push. */
	tmgr__loop_await_posters(loop);
	tmgr__loop_gather_posts(loop);
	__atomic_store_n(&loop->exited, true, __ATOMIC_SEQ_CST);
}

void tmgr__loop_exited(void *self)
{
	struct tmgr_loop *loop = self;

	tmgr__fiber_jumped(&loop->fiber);
	tmgr_context_switch(NULL);
	__atomic_store_n(&loop->running, NULL, __ATOMIC_RELEASE);
	if (!loop->exited)
		close_for_ever(loop);
	do
		tmgr__loop_take_posts(loop);
	while (tmgr__loop_has_posts(loop));
	tmgr__loop_drop_calls(loop);
	/* Its own posts come as others' from here on. */
	tmgr__loop_here = NULL;
	bury_all(loop);
	tmgr__loop_bury_posts(loop);
}
