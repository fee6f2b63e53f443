/*
 * What is asked of a loop on its own thread: scheduled calls, waiting until it has nothing to do,
 * what it counts.
 */
#include <errno.h>

#include "internal.h"

_Static_assert(sizeof(struct tmgr__timer) <= sizeof(((struct tmgr_loop_call *)0)->timer),
	"a scheduled call has room for its timer");

struct tmgr_loop *tmgr_loop_current(void)
{
	return tmgr__loop_here;
}

static struct tmgr__timer *timer_of(struct tmgr_loop_call *call)
{
	return (struct tmgr__timer *)(void *)call->timer;
}

static void call_due(struct tmgr__timer *timer, int64_t now)
{
	struct tmgr_loop_call *call = container_of((void **)timer, struct tmgr_loop_call, timer[0]);

	call->scheduled = false;
	call->loop->timer_count--;
	call->function(call->self);
}

int tmgr_loop_call_at(struct tmgr_loop *loop, struct tmgr_loop_call *call, int64_t at,
	void (*function)(void *self), void *self)
{
	struct tmgr__timer *timer;

	if (!loop || !call || !function)
		return -EINVAL;
	/* For whoever takes it back all the same. */
	if (__atomic_load_n(&loop->state, __ATOMIC_ACQUIRE) == TMGR__LOOP_ENDED) {
		call->scheduled = false;
		return -ESHUTDOWN;
	}
	*call = (struct tmgr_loop_call){
		.loop = loop, .function = function, .self = self, .scheduled = true
	};
	timer = timer_of(call);
	timer->due = call_due;
	loop->timer_count++;
	tmgr__timer_set(loop, timer, at);
	return 0;
}

int tmgr_loop_call_cancel(struct tmgr_loop_call *call)
{
	if (!call)
		return -EINVAL;
	if (!call->scheduled)
		return -ENOENT;
	call->scheduled = false;
	call->loop->timer_count--;
	tmgr__timer_remove(call->loop, timer_of(call));
	return 0;
}

void tmgr__loop_drop_calls(struct tmgr_loop *loop)
{
	struct tmgr__heap_node *node;

	while ((node = tmgr__heap_first(&loop->timers))) {
		struct tmgr__timer *timer = container_of(node, struct tmgr__timer, node);

		tmgr__heap_remove(&loop->timers, node);
		if (timer->due != call_due)
			continue;
		container_of((void **)timer, struct tmgr_loop_call, timer[0])->scheduled = false;
		loop->timer_count--;
	}
}

/* Deadlines of those who wait for idle, their own or their tokens'. */
static size_t deadlines_of_idlers(const struct tmgr_loop *loop)
{
	struct tmgr__list *node;
	size_t count = 0;

	tmgr__list_for (node, &loop->idlers) {
		struct tmgr_waiter *waiter = container_of(node, struct tmgr__idler, node)->waiter;
		const struct tmgr_coroutine *coroutine = waiter ? waiter->owner : NULL;

		count += coroutine && coroutine->deadline != TMGR_NEVER;
	}
	return count;
}

void tmgr__loop_wake_idlers(struct tmgr_loop *loop)
{
	struct tmgr__list *node;

	if (tmgr__list_empty(&loop->idlers) || loop->timer_count > deadlines_of_idlers(loop))
		return;
	tmgr__list_for (node, &loop->idlers) {
		struct tmgr_waiter *waiter = container_of(node, struct tmgr__idler, node)->waiter;

		if (waiter && tmgr_waiter_fire(waiter))
			waiter->ops->wake(waiter);
	}
}

int tmgr_loop_wait_idle(struct tmgr_context *context, int64_t deadline)
{
	struct tmgr_loop *loop = tmgr__loop_here;
	struct tmgr__idler idler = { .waiter = NULL };
	int r;

	if (!loop || tmgr_context_executor(context) != &loop->host)
		return -EINVAL;
	tmgr__list_append(&loop->idlers, &idler.node);
	r = tmgr_wait_announced(context, &idler.waiter, "idle", deadline);
	tmgr__list_remove(&idler.node);
	return r;
}

int tmgr_loop_stats(struct tmgr_loop *loop, struct tmgr_loop_stats *ret_stats)
{
	if (!loop || !ret_stats)
		return -EINVAL;
	*ret_stats = (struct tmgr_loop_stats){
		.coroutines = loop->coroutines,
		.runnable = loop->runnable,
		.timers = loop->timer_count,
		.stacks = tmgr__stacks_count(),
		.turns = loop->turns,
		.resumes = loop->resumes,
		.slow = loop->slow,
		.slowest_ns = loop->slowest_ns,
	};
	return 0;
}
