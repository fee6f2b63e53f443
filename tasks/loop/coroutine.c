/*
 * Coroutines: how they begin, park, go on and end.
 *
 * Who parks or ends takes the next from the run queue and switches to it directly; only when the
 * queue is empty, or the turn's budget is used up, does it switch to the loop's own stack. So a
 * switch is between any two, and what must not be done on the stack that is left (giving it back)
 * is done by whoever runs next: after_switch().
 *
 * A wait of a coroutine has exactly one wake. The owner itself ends it only before it parks; a
 * deadline is a timer of the loop, which has to win the waiter like everybody else.
 */
#include <errno.h>
#include <execinfo.h>

#include "internal.h"
#include "taskmgr/base/check.h"

__thread struct tmgr_loop *tmgr__loop_here;

static void push_front(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = coroutine->loop;

	coroutine->state = TMGR__COROUTINE_RUNNABLE;
	coroutine->next = loop->run_first;
	if (!loop->run_first)
		loop->run_last = coroutine;
	loop->run_first = coroutine;
	loop->runnable++;
}

static struct tmgr_coroutine *pop(struct tmgr_loop *loop)
{
	struct tmgr_coroutine *coroutine = loop->run_first;

	if (coroutine) {
		loop->run_first = coroutine->next;
		if (!loop->run_first)
			loop->run_last = NULL;
		loop->runnable--;
	}
	return coroutine;
}

/* Drop the one that ended on the stack that was just left. */
static void after_switch(struct tmgr_loop *loop)
{
	struct tmgr_coroutine *ended = loop->ended;

	if (!ended)
		return;
	loop->ended = NULL;
	if (ended->hosted)
		tmgr__coroutine_unref(ended);
	else if (!ended->kept)
		tmgr_strand_unref(ended->context);
}

/* How long those took that ran since the last look at the clock. */
static __attribute__((noinline)) void look_at_clock(struct tmgr_loop *loop)
{
	uint64_t ticks = tmgr__ticks();

	if (ticks - loop->ticks > loop->slow_ticks)
		tmgr__loop_note_slow(loop, ticks - loop->ticks);
	loop->ticks = ticks;
	loop->recent_count = 0;
}

/* The next is about to run. */
static inline void note_switch(struct tmgr_loop *loop, struct tmgr_coroutine *next)
{
	if (__builtin_expect(
		    !next || loop->recent_count == TMGR__LOOP_RECENT || loop->watch_each, 0))
		look_at_clock(loop);
	__atomic_store_n(&loop->running, next, __ATOMIC_RELEASE);
	if (next) {
		loop->recent[loop->recent_count++] = next;
		next->state = TMGR__COROUTINE_RUNNING;
		loop->resumes++;
		loop->budget--;
	}
}

/*
 * The next, while those behind it are fetched: with many coroutines each is in no near cache any
 * more. What this looks at of the second was fetched the time before.
 */
static inline struct tmgr_coroutine *pick(struct tmgr_loop *loop)
{
	struct tmgr_coroutine *next, *second;

	if (__builtin_expect(loop->budget == 0, 0))
		return NULL;
	next = pop(loop);
	second = loop->run_first;
	if (second) {
		const char *sp = second->fiber.sp;

		__builtin_prefetch(second->next);
		__builtin_prefetch(sp);
		__builtin_prefetch(sp + 64);
		__builtin_prefetch(sp + 128);
	}
	return next;
}

/* Somebody has switched here only to ask where this one stands. */
static void answer_probe(struct tmgr_loop *loop, struct tmgr_coroutine *coroutine)
{
	struct tmgr__probe *probe = loop->probe;

	loop->probe = NULL;
	probe->count = backtrace(probe->addresses, probe->max);
	tmgr__fiber_switch(&coroutine->fiber, probe->asker);
}

int tmgr__coroutine_backtrace(struct tmgr_coroutine *coroutine, void **addresses, int max)
{
	struct tmgr_loop *loop = coroutine->loop;
	struct tmgr_coroutine *here = loop->running;
	struct tmgr__probe probe = { .addresses = addresses, .max = max };
	struct tmgr_context *current = *loop->current;

	if (coroutine == here)
		return backtrace(addresses, max);
	/* A new one stands nowhere yet. */
	if (!coroutine->begun)
		return 0;
	probe.asker = here ? &here->fiber : &loop->fiber;
	loop->probe = &probe;
	tmgr__fiber_switch(probe.asker, &coroutine->fiber);
	*loop->current = current;
	return probe.count;
}

/* Let the next run. Returns when this one goes on. Who goes on says whose context is current. */
static inline __attribute__((always_inline)) void suspend(
	struct tmgr_loop *loop, struct tmgr_coroutine *coroutine)
{
	struct tmgr_coroutine *next = pick(loop);
	struct tmgr_context *current = *loop->current;

	note_switch(loop, next);
	/* Woken before it parked, or alone: its saved stack pointer is an old one. */
	if (next == coroutine)
		return;
	if (next && next->begun)
		tmgr__fiber_switch_alike(&coroutine->fiber, &next->fiber);
	else
		tmgr__fiber_switch(&coroutine->fiber, next ? &next->fiber : &loop->fiber);
	after_switch(loop);
	while (__builtin_expect(loop->probe != NULL, 0)) {
		answer_probe(loop, coroutine);
		/* Now, or once more, it goes on. */
		after_switch(loop);
	}
	*loop->current = current;
}

void tmgr__coroutines_run(struct tmgr_loop *loop)
{
	struct tmgr_coroutine *next = pick(loop);

	if (!next)
		return;
	loop->ticks = tmgr__ticks();
	loop->recent_count = 0;
	note_switch(loop, next);
	tmgr__fiber_switch(&loop->fiber, &next->fiber);
	*loop->current = NULL;
	after_switch(loop);
}

/* ---- Waiting -------------------------------------------------------------------------------- */

void tmgr__coroutine_come_due(struct tmgr__timer *timer, int64_t now)
{
	struct tmgr_coroutine *coroutine = container_of(timer, struct tmgr_coroutine, timer);

	if (coroutine->deadline == TMGR_NEVER)
		return;
	/* It stood for an earlier wait. */
	if (coroutine->deadline > now)
		tmgr__timer_set(coroutine->loop, timer, coroutine->deadline);
	else if (tmgr_waiter_expire(tmgr_context_waiter(coroutine->context)))
		tmgr__coroutine_push(coroutine);
}

static void set_deadline(struct tmgr_coroutine *coroutine, int64_t deadline)
{
	struct tmgr__timer *timer = &coroutine->timer;

	coroutine->deadline = deadline;
	coroutine->loop->timer_count++;
	/* One that stands already, and comes earlier, looks again then: most deadlines are moved on
	 * and on, and never come. */
	if (timer->node.linked && timer->node.key <= deadline)
		return;
	tmgr__timer_remove(coroutine->loop, timer);
	tmgr__timer_set(coroutine->loop, timer, deadline);
}

static void broken(struct tmgr_coroutine *coroutine)
{
	if (coroutine->canary && tmgr__stack_broken(coroutine->stack))
		tmgr__overflow_broken(coroutine);
}

/* Who waits with its context is itself. */
static inline void expect_running(const struct tmgr_coroutine *coroutine)
{
	if (__builtin_expect(coroutine->loop->running != coroutine, 0))
		tmgr__misuse_context(tmgr_context_name(coroutine->context));
}

static void park(struct tmgr_waiter *waiter, unsigned state, int64_t deadline)
{
	struct tmgr_coroutine *coroutine = waiter->owner;
	struct tmgr_loop *loop = coroutine->loop;

	expect_running(coroutine);
	if (deadline != TMGR_NEVER)
		set_deadline(coroutine, deadline);
	coroutine->state = TMGR__COROUTINE_PARKED;
	coroutine->since = loop->now;
	broken(coroutine);
	suspend(loop, coroutine);
	if (deadline != TMGR_NEVER) {
		coroutine->deadline = TMGR_NEVER;
		loop->timer_count--;
	}
}

static void wake_posted(void *self)
{
	tmgr__coroutine_push(self);
}

static void wake(struct tmgr_waiter *waiter)
{
	struct tmgr_coroutine *coroutine = waiter->owner;

	if (coroutine->loop == tmgr__loop_here) {
		tmgr__coroutine_push(coroutine);
		return;
	}
	coroutine->call.function = wake_posted;
	coroutine->call.self = coroutine;
	tmgr__loop_post(coroutine->loop, &coroutine->call);
}

static void let_others_run(struct tmgr_waiter *waiter)
{
	struct tmgr_coroutine *coroutine = waiter->owner;

	expect_running(coroutine);
	broken(coroutine);
	tmgr__coroutine_push(coroutine);
	suspend(coroutine->loop, coroutine);
}

struct fd_wait {
	ev_io watcher;
	struct tmgr_coroutine *coroutine;
};

static void fd_ready(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct tmgr_coroutine *coroutine =
		container_of(watcher, struct fd_wait, watcher)->coroutine;

	tmgr__loop_unwatch(coroutine->loop, watcher);
	if (!tmgr_waiter_fire(tmgr_context_waiter(coroutine->context)))
		return;
	coroutine->revents = (events & EV_READ ? 1 : 0) | (events & EV_WRITE ? 4 : 0);
	tmgr__coroutine_push(coroutine);
}

/* The values of poll(2): POLLIN is 1, POLLOUT is 4. */
static int park_fd(struct tmgr_waiter *waiter, int fd, short events, int64_t deadline)
{
	struct tmgr_coroutine *coroutine = waiter->owner;
	struct tmgr_loop *loop = coroutine->loop;
	struct fd_wait wait = { .coroutine = coroutine };

	ev_io_init(&wait.watcher, fd_ready, fd,
		(events & 1 ? EV_READ : 0) | (events & 4 ? EV_WRITE : 0));
	tmgr__loop_watch(loop, &wait.watcher);
	coroutine->revents = 0;
	park(waiter, 0, deadline);
	tmgr__loop_unwatch(loop, &wait.watcher);
	return coroutine->revents;
}

const struct tmgr_waiter_ops tmgr__coroutine_waiter_ops = {
	.park = park,
	.wake = wake,
	.park_fd = park_fd,
	.yield = let_others_run,
	.counted = true,
};

/* ---- Beginning and ending ------------------------------------------------------------------- */

void tmgr__coroutine_run_at_once(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = coroutine->loop;
	struct tmgr_coroutine *here = loop->running;

	tmgr__coroutine_enlist(coroutine);
	push_front(here);
	push_front(coroutine);
	if (loop->budget < 2)
		loop->budget = 2;
	suspend(loop, here);
}

/* An error that its future does not tell, or nobody can read there, goes into the report. */
static bool keeps_error(const struct tmgr_coroutine *coroutine, int returned)
{
	if (returned == 0 || returned == -ECANCELED)
		return false;
	return coroutine->result == -ECANCELED || !coroutine->wanted;
}

static void leave_family(struct tmgr_coroutine *coroutine)
{
	struct tmgr__family *family = coroutine->family;

	if (--family->alive == 0 && family->joiner && tmgr_waiter_fire(family->joiner))
		family->joiner->ops->wake(family->joiner);
}

static void run_strand(struct tmgr_coroutine *coroutine)
{
	struct tmgr_context *context = coroutine->context;
	int result, r = tmgr_strand_begin(context);

	result = r;
	if (r == 0) {
		r = coroutine->function(coroutine->self, context);
		if (r > 0)
			r = -TMGR_EFAILED;
		result = tmgr_strand_end(context) ? -ECANCELED : r;
	}
	coroutine->result = result;
	tmgr__loop_give_place(coroutine->loop);
	coroutine->kept = keeps_error(coroutine, r);
	if (coroutine->kept)
		tmgr_strand_keep_error(context, r);
	tmgr_future_complete(&coroutine->future, result, result == 0 ? coroutine->value : NULL);
	if (__atomic_load_n(&coroutine->settled_wanted, __ATOMIC_SEQ_CST)) {
		if (coroutine->watched)
			tmgr_token_unregister(&coroutine->settling);
		tmgr__coroutine_settle(coroutine, result);
	}
	leave_family(coroutine);
}

void tmgr__coroutine_bury(struct tmgr_coroutine *coroutine)
{
	if (coroutine->hosted) {
		tmgr_hosted_exited(coroutine->hosted);
		return;
	}
	if (coroutine->watched)
		tmgr_token_unregister(&coroutine->settling);
	tmgr_future_complete(&coroutine->future, -TMGR_EUNEXPECTED, NULL);
	tmgr__coroutine_settle(coroutine, -TMGR_EUNEXPECTED);
}

/* From the switch to it to its end. */
static void live(struct tmgr_loop *loop, struct tmgr_coroutine *coroutine)
{
	*loop->current = NULL;
	after_switch(loop);
	coroutine->begun = true;
	if (__builtin_expect(coroutine->hosted != NULL, 0)) {
		tmgr_hosted_run(coroutine->hosted, &tmgr__coroutine_waiter_ops, coroutine);
		tmgr__loop_give_place(loop);
	} else {
		run_strand(coroutine);
	}
	broken(coroutine);
	if (coroutine->timer.node.linked)
		tmgr__timer_remove(loop, &coroutine->timer);
	tmgr__list_remove(&coroutine->all);
	__atomic_store_n(&loop->coroutines, loop->coroutines - 1, __ATOMIC_RELAXED);
	coroutine->state = TMGR__COROUTINE_ENDED;
}

_Noreturn void tmgr__coroutine_main(void *self)
{
	struct tmgr_coroutine *coroutine = self, *next;
	struct tmgr_loop *loop = coroutine->loop;

	for (;;) {
		live(loop, coroutine);
		loop->ended = coroutine;
		next = pick(loop);
		note_switch(loop, next);
		tmgr__fiber_switch(&coroutine->fiber, next ? &next->fiber : &loop->fiber);
	}
}
