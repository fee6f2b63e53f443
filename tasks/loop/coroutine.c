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
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "taskmgr/base/check.h"

__thread struct tmgr_loop *tmgr__loop_here;

static void release_memory(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = tmgr__loop_here;
	struct tmgr__stack *stack = coroutine->stack;

	/* A loop that only gives back would keep more and more. */
	if (!loop || coroutine->loop != loop || tmgr__stack_kind(stack) != loop->stack_kind) {
		tmgr__stack_give(stack);
		return;
	}
	stack->warm = coroutine->begun ? coroutine : NULL;
	stack->next = loop->stacks;
	loop->stacks = stack;
	if (++loop->stack_count > TMGR__LOOP_STACKS_MAX) {
		struct tmgr__stack *last = stack;

		for (int i = 1; i < TMGR__LOOP_STACKS_STEP; i++)
			last = last->next;
		loop->stacks = last->next;
		loop->stack_count -= TMGR__LOOP_STACKS_STEP;
		tmgr__stacks_give(stack, last, TMGR__LOOP_STACKS_STEP);
	}
}

static void unref(struct tmgr_coroutine *coroutine)
{
	uint32_t refs = __atomic_load_n(&coroutine->refs, __ATOMIC_ACQUIRE);

	/* Alone with it nobody can take another. */
	if (refs > 1)
		refs = __atomic_fetch_sub(&coroutine->refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs == 1)
		release_memory(coroutine);
}

void tmgr__coroutine_unmake(struct tmgr_coroutine *coroutine)
{
	unref(coroutine);
}

/* Nobody refers to its strand any more. */
static void release_strand(void *owner)
{
	unref(owner);
}

void tmgr__coroutine_push(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = coroutine->loop;

	coroutine->state = TMGR__COROUTINE_RUNNABLE;
	coroutine->next = NULL;
	if (loop->run_last)
		loop->run_last->next = coroutine;
	else
		loop->run_first = coroutine;
	loop->run_last = coroutine;
	loop->runnable++;
}

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
		unref(ended);
	else if (!ended->kept)
		tmgr_strand_unref(ended->context);
}

/* How long those took that ran since the last look at the clock. */
static void look_at_clock(struct tmgr_loop *loop)
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
	if (!next || loop->recent_count == TMGR__LOOP_RECENT || loop->watch_each)
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

	if (loop->budget == 0)
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
	struct tmgr_context *current;

	if (coroutine == here)
		return backtrace(addresses, max);
	/* A new one stands nowhere yet. */
	if (!coroutine->begun)
		return 0;
	probe.asker = here ? &here->fiber : &loop->fiber;
	loop->probe = &probe;
	current = tmgr_context_switch(NULL);
	tmgr__fiber_switch(probe.asker, &coroutine->fiber);
	tmgr_context_switch(current);
	return probe.count;
}

/* Let the next run. Returns when this one goes on. */
static inline __attribute__((always_inline)) void suspend(
	struct tmgr_loop *loop, struct tmgr_coroutine *coroutine)
{
	struct tmgr_coroutine *next = pick(loop);
	struct tmgr_context *current;

	note_switch(loop, next);
	/* Woken before it parked, or alone: its saved stack pointer is an old one. */
	if (next == coroutine)
		return;
	current = tmgr_context_switch(NULL);
	if (next && next->begun)
		tmgr__fiber_switch_alike(&coroutine->fiber, &next->fiber);
	else
		tmgr__fiber_switch(&coroutine->fiber, next ? &next->fiber : &loop->fiber);
	tmgr_context_switch(current);
	after_switch(loop);
	while (__builtin_expect(loop->probe != NULL, 0)) {
		answer_probe(loop, coroutine);
		/* Now, or once more, it goes on. */
		tmgr_context_switch(current);
		after_switch(loop);
	}
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
	after_switch(loop);
}

/* ---- Waiting -------------------------------------------------------------------------------- */

static struct tmgr_coroutine *of_timer(struct tmgr__timer *timer)
{
	return container_of(timer, struct tmgr_coroutine, timer);
}

static void come_due(struct tmgr__timer *timer, int64_t now)
{
	struct tmgr_coroutine *coroutine = of_timer(timer);

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

static void park(struct tmgr_waiter *waiter, unsigned state, int64_t deadline)
{
	struct tmgr_coroutine *coroutine = waiter->owner;
	struct tmgr_loop *loop = coroutine->loop;

	check(loop->running == coroutine);
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

	check(coroutine->loop->running == coroutine);
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

	ev_io_stop(ev, watcher);
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
	ev_io_start(loop->ev, &wait.watcher);
	coroutine->revents = 0;
	park(waiter, 0, deadline);
	ev_io_stop(loop->ev, &wait.watcher);
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

static void *strand_memory(struct tmgr_coroutine *coroutine)
{
	return coroutine + 1;
}

static size_t memory_size(void)
{
	static size_t size;
	size_t known = __atomic_load_n(&size, __ATOMIC_RELAXED);

	if (known == 0) {
		known = (sizeof(struct tmgr_coroutine) + tmgr_strand_size() + 63) & ~(size_t)63;
		__atomic_store_n(&size, known, __ATOMIC_RELAXED);
	}
	return known;
}

/* A cancel through its future. */
static void cancel_future(struct tmgr_future *future, int code, const char *text)
{
	tmgr_coroutine_cancel(container_of(future, struct tmgr_coroutine, future), code, text);
}

static struct tmgr__stack *take_stack(struct tmgr_loop *loop)
{
	struct tmgr__stack *stack;
	bool canary = loop->options.stack_guard == TMGR_STACK_GUARD_CANARY;

	if (loop != tmgr__loop_here)
		return tmgr__stack_take(loop->size_class, canary);
	if (!loop->stacks) {
		loop->stacks = tmgr__stack_take_used(
			loop->size_class, canary, TMGR__LOOP_STACKS_STEP);
		for (stack = loop->stacks; stack; stack = stack->next)
			loop->stack_count++;
	}
	stack = loop->stacks;
	if (!stack)
		return tmgr__stack_take(loop->size_class, canary);
	loop->stacks = stack->next;
	loop->stack_count--;
	return stack;
}

static _Noreturn void coroutine_main(void *self);

/* Of memory in which nothing is known. */
static struct tmgr_coroutine *make_cold(struct tmgr_loop *loop, struct tmgr__stack *stack)
{
	uintptr_t at = ((uintptr_t)stack - memory_size()) & ~(uintptr_t)63;
	struct tmgr_coroutine *coroutine = (struct tmgr_coroutine *)at;

	memset(coroutine, 0, sizeof(*coroutine));
	coroutine->future.cancel = cancel_future;
	coroutine->loop = loop;
	coroutine->stack = stack;
	coroutine->canary = stack->canary;
	coroutine->deadline = TMGR_NEVER;
	coroutine->timer.due = come_due;
	coroutine->refs = 1;
	tmgr_waiter_init(&coroutine->waiter, &tmgr__coroutine_waiter_ops, coroutine);
	tmgr__fiber_set_sanitizer(&coroutine->fiber, stack->sanitizer);
	tmgr__fiber_init(&coroutine->fiber, stack->bottom, coroutine, coroutine_main, coroutine);
	stack->sanitizer = tmgr__fiber_sanitizer(&coroutine->fiber);
	return coroutine;
}

/* Of one that has ended on this loop: its stack is where the next begins. */
static void make_warm(struct tmgr_coroutine *coroutine)
{
	coroutine->refs = 1;
	coroutine->future.done = 0;
	coroutine->value = NULL;
	coroutine->hosted = NULL;
	coroutine->begun = coroutine->wanted = coroutine->kept = false;
	if (coroutine->settled_wanted) {
		coroutine->settled_wanted = coroutine->watched = false;
		tmgr_future_init(&coroutine->settled);
	}
}

struct tmgr_coroutine *tmgr__coroutine_make(struct tmgr_loop *loop)
{
	struct tmgr__stack *stack = take_stack(loop);
	struct tmgr_coroutine *coroutine;

	if (!stack)
		return NULL;
	coroutine = stack->warm;
	stack->warm = NULL;
	if (!coroutine)
		return make_cold(loop, stack);
	make_warm(coroutine);
	return coroutine;
}

void tmgr__coroutine_start(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = coroutine->loop;

	tmgr__list_append(&loop->all, &coroutine->all);
	__atomic_store_n(&loop->coroutines, loop->coroutines + 1, __ATOMIC_RELAXED);
	coroutine->since = loop->now;
	tmgr__coroutine_push(coroutine);
}

static void settle(struct tmgr_coroutine *coroutine, int error)
{
	tmgr_future_complete(&coroutine->settled, error, error == 0 ? coroutine->value : NULL);
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
		/* Read once, right after it returned. */
		result = tmgr_context_cancelled(context) ? -ECANCELED : r;
		tmgr_strand_end(context);
	}
	coroutine->result = result;
	coroutine->kept = keeps_error(coroutine, r);
	if (coroutine->kept)
		tmgr_strand_keep_error(context, r);
	tmgr_future_complete(&coroutine->future, result, result == 0 ? coroutine->value : NULL);
	if (__atomic_load_n(&coroutine->settled_wanted, __ATOMIC_SEQ_CST)) {
		if (coroutine->watched)
			tmgr_token_unregister(&coroutine->settling);
		settle(coroutine, result);
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
	settle(coroutine, -TMGR_EUNEXPECTED);
}

static void release_hold(struct tmgr_coroutine *coroutine)
{
	__atomic_fetch_sub(&coroutine->loop->holds, 1, __ATOMIC_ACQ_REL);
	coroutine->held = false;
}

/* From the switch to it to its end. */
static void live(struct tmgr_loop *loop, struct tmgr_coroutine *coroutine)
{
	tmgr_context_switch(NULL);
	after_switch(loop);
	coroutine->begun = true;
	if (coroutine->hosted)
		tmgr_hosted_run(coroutine->hosted, &tmgr__coroutine_waiter_ops, coroutine);
	else
		run_strand(coroutine);
	if (coroutine->held)
		release_hold(coroutine);
	broken(coroutine);
	if (coroutine->timer.node.linked)
		tmgr__timer_remove(loop, &coroutine->timer);
	tmgr__list_remove(&coroutine->all);
	__atomic_store_n(&loop->coroutines, loop->coroutines - 1, __ATOMIC_RELAXED);
	coroutine->state = TMGR__COROUTINE_ENDED;
	tmgr_context_switch(NULL);
}

/* What a stack runs: one coroutine after another, as long as a loop keeps it. */
static _Noreturn void coroutine_main(void *self)
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

void tmgr__family_cancel(
	struct tmgr_loop *loop, const struct tmgr__family *family, const char *text)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &loop->all) {
		struct tmgr_coroutine *coroutine = container_of(node, struct tmgr_coroutine, all);

		if (!coroutine->hosted && coroutine->family == family)
			tmgr_token_cancel(tmgr_strand_token(coroutine->context), 0, text);
	}
}

void tmgr__family_join(struct tmgr_loop *loop, struct tmgr__family *family,
	struct tmgr_context *context, int result)
{
	if (family->alive == 0)
		return;
	if (result != 0)
		tmgr__family_cancel(loop, family, "the task that spawned it failed");
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	while (family->alive > 0)
		tmgr_wait_announced(context, &family->joiner, "coroutines", TMGR_NEVER);
	tmgr_uninterrupted_end(context);
}

/* ---- Public --------------------------------------------------------------------------------- */

static void set_name(struct tmgr_coroutine *coroutine, const char *name)
{
	size_t length;

	/* Most have none, and so has who was here before. */
	if (!name && !coroutine->named && coroutine->own_name[0])
		return;
	coroutine->named = name != NULL;
	if (!name)
		name = "coroutine";
	length = strnlen(name, TMGR_COROUTINE_NAME_MAX);
	memcpy(coroutine->own_name, name, length);
	coroutine->own_name[length] = '\0';
}

/* The coroutine that a context is of, or NULL. */
static struct tmgr_coroutine *owner_of(const struct tmgr_context *context)
{
	struct tmgr_waiter *waiter = tmgr_context_waiter(context);

	return waiter && waiter->ops == &tmgr__coroutine_waiter_ops ? waiter->owner : NULL;
}

/* A coroutine below `parent`, to be started or unmade. */
static int make(struct tmgr_loop *loop, struct tmgr_context *parent, struct tmgr__family *family,
	const struct tmgr_coroutine_options *options, struct tmgr_coroutine **ret_coroutine)
{
	size_t max = loop->options.coroutines_max;
	struct tmgr_coroutine *coroutine;

	if (max > 0 && __atomic_load_n(&loop->coroutines, __ATOMIC_RELAXED) >= max)
		return -EAGAIN;
	coroutine = tmgr__coroutine_make(loop);
	if (!coroutine)
		return -ENOMEM;
	set_name(coroutine, options ? options->name : NULL);
	coroutine->family = family;
	if (coroutine->strand) {
		coroutine->context = coroutine->strand;
		tmgr_strand_init_again(coroutine->strand, parent);
		*ret_coroutine = coroutine;
		return 0;
	}
	coroutine->context = coroutine->strand = tmgr_strand_init(
		strand_memory(coroutine), &(struct tmgr_strand_setup){
						  .parent = parent,
						  .waiter = &coroutine->waiter,
						  .host = &loop->host,
						  .name = coroutine->own_name,
						  .release = release_strand,
						  .owner = coroutine,
					  });
	*ret_coroutine = coroutine;
	return 0;
}

static void give_handle(struct tmgr_coroutine *coroutine, struct tmgr_coroutine **ret_coroutine)
{
	if (!ret_coroutine)
		return;
	coroutine->refs++;
	coroutine->wanted = true;
	*ret_coroutine = coroutine;
}

/* Start it before the caller, which goes on when it waits or has ended. */
static void run_at_once(struct tmgr_loop *loop, struct tmgr_coroutine *coroutine)
{
	struct tmgr_coroutine *here = loop->running;

	tmgr__coroutine_start(coroutine);
	/* Take it from the end of the queue, where it was just put. */
	if (loop->run_first == coroutine) {
		loop->run_first = loop->run_last = NULL;
	} else {
		struct tmgr_coroutine *before = loop->run_first;

		while (before->next != coroutine)
			before = before->next;
		before->next = NULL;
		loop->run_last = before;
	}
	loop->runnable--;
	push_front(here);
	push_front(coroutine);
	if (loop->budget < 2)
		loop->budget = 2;
	suspend(loop, here);
}

int tmgr_coroutine_spawn(struct tmgr_context *context,
	int (*function)(void *self, struct tmgr_context *context), void *self,
	const struct tmgr_coroutine_options *options, struct tmgr_coroutine **ret_coroutine)
{
	struct tmgr_coroutine *spawner = owner_of(context), *coroutine;
	struct tmgr_loop *loop = tmgr__loop_here;
	int r;

	if (!spawner || spawner->loop != loop || !function)
		return -EINVAL;
	if (tmgr_context_cancelled(context))
		return -ECANCELED;
	r = make(loop, context, spawner->hosted ? &spawner->own : spawner->family, options,
		&coroutine);
	if (r < 0)
		return r;
	coroutine->function = function;
	coroutine->self = self;
	coroutine->family->alive++;
	give_handle(coroutine, ret_coroutine);
	if (options && options->at_once)
		run_at_once(loop, coroutine);
	else
		tmgr__coroutine_start(coroutine);
	return 0;
}

void tmgr__coroutine_start_posted(void *self)
{
	struct tmgr_coroutine *coroutine = self;

	if (!coroutine->hosted)
		coroutine->family->alive++;
	tmgr__coroutine_start(coroutine);
}

/* Start it from any thread; its loop is held. */
static void start_from_anywhere(struct tmgr_coroutine *coroutine)
{
	coroutine->held = true;
	if (coroutine->loop == tmgr__loop_here) {
		tmgr__coroutine_start_posted(coroutine);
		return;
	}
	coroutine->call.function = tmgr__coroutine_start_posted;
	coroutine->call.self = coroutine;
	tmgr__loop_post(coroutine->loop, &coroutine->call);
}

int tmgr_loop_spawn(struct tmgr_loop *loop,
	int (*function)(void *self, struct tmgr_context *context), void *self,
	const struct tmgr_coroutine_options *options, struct tmgr_coroutine **ret_coroutine)
{
	struct tmgr_coroutine *coroutine;
	int r;

	if (!loop || !function || (options && options->at_once))
		return -EINVAL;
	if (!tmgr__loop_hold(loop))
		return -ESHUTDOWN;
	if (__atomic_load_n(&loop->state, __ATOMIC_ACQUIRE) != TMGR__LOOP_RUNNING)
		r = -ESHUTDOWN;
	else
		r = make(loop, loop->context, &loop->family, options, &coroutine);
	if (r < 0) {
		tmgr__loop_release(loop);
		return r;
	}
	coroutine->function = function;
	coroutine->self = self;
	give_handle(coroutine, ret_coroutine);
	start_from_anywhere(coroutine);
	return 0;
}

struct tmgr_coroutine *tmgr_coroutine_ref(struct tmgr_coroutine *coroutine)
{
	if (coroutine)
		check(__atomic_fetch_add(&coroutine->refs, 1, __ATOMIC_RELAXED) > 0);
	return coroutine;
}

void tmgr_coroutine_unref(struct tmgr_coroutine *coroutine)
{
	if (coroutine)
		unref(coroutine);
}

struct tmgr_future *tmgr_coroutine_future(struct tmgr_coroutine *coroutine)
{
	return coroutine ? &coroutine->future : NULL;
}

static void token_fired(void *self)
{
	settle(self, -ECANCELED);
}

/* On the loop's thread: a cancel of what is above it settles its result, too. */
static void watch_token(struct tmgr_coroutine *coroutine)
{
	if (tmgr_future_done(&coroutine->future))
		return;
	coroutine->watched = true;
	tmgr_strand_link(coroutine->context);
	tmgr_token_register(tmgr_strand_token(coroutine->context), &coroutine->settling,
		token_fired, coroutine);
}

static void watch_posted(void *self)
{
	watch_token(self);
	unref(self);
}

/* Once it has ended its loop may be gone; and it does not end while its future is locked. */
static bool hold_its_loop(struct tmgr_coroutine *coroutine)
{
	struct tmgr__lock *lock = (struct tmgr__lock *)(void *)&coroutine->future.lock;
	bool held;

	tmgr__lock_acquire(lock);
	held = !tmgr_future_done(&coroutine->future) && tmgr__loop_hold(coroutine->loop);
	tmgr__lock_release(lock);
	return held;
}

static void have_watched(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = coroutine->loop;

	if (loop == tmgr__loop_here) {
		watch_token(coroutine);
	} else if (hold_its_loop(coroutine)) {
		coroutine->settle_call.function = watch_posted;
		coroutine->settle_call.self = tmgr_coroutine_ref(coroutine);
		tmgr__loop_post(loop, &coroutine->settle_call);
		tmgr__loop_release(loop);
	}
}

struct tmgr_future *tmgr_coroutine_result(struct tmgr_coroutine *coroutine)
{
	int error;
	void *value;

	if (!coroutine)
		return NULL;
	if (!__atomic_exchange_n(&coroutine->settled_wanted, true, __ATOMIC_SEQ_CST))
		have_watched(coroutine);
	/* It may have ended, or have been cancelled, just before. */
	if (tmgr_future_result(&coroutine->future, &error, &value) == 0)
		tmgr_future_complete(&coroutine->settled, error, value);
	else if (tmgr_token_fired(tmgr_strand_token(coroutine->context)))
		settle(coroutine, -ECANCELED);
	return &coroutine->settled;
}

int tmgr_coroutine_await(struct tmgr_context *context, struct tmgr_coroutine *coroutine,
	int64_t deadline, void **ret_value)
{
	return coroutine ? tmgr_await(context, &coroutine->future, deadline, ret_value) : -EINVAL;
}

int tmgr_coroutine_join(
	struct tmgr_context *context, struct tmgr_coroutine *coroutine, int64_t deadline)
{
	int r, error;

	if (!coroutine)
		return -EINVAL;
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	r = tmgr_future_wait(context, &coroutine->future, deadline);
	tmgr_uninterrupted_end(context);
	return r == 0 && tmgr_future_result(&coroutine->future, &error, NULL) == 0 ? error : r;
}

int tmgr_coroutine_cancel(struct tmgr_coroutine *coroutine, int code, const char *text)
{
	int r;

	if (!coroutine)
		return -EINVAL;
	if (tmgr_future_done(&coroutine->future))
		return -EALREADY;
	r = tmgr_token_cancel(tmgr_strand_token(coroutine->context), code, text);
	if (r == 0 && __atomic_load_n(&coroutine->settled_wanted, __ATOMIC_SEQ_CST))
		settle(coroutine, -ECANCELED);
	return r;
}

int tmgr_coroutine_set_value(struct tmgr_context *context, void *value)
{
	struct tmgr_coroutine *coroutine = owner_of(context);

	if (!coroutine || coroutine->hosted)
		return -EINVAL;
	coroutine->value = value;
	return 0;
}

/* ---- For managers --------------------------------------------------------------------------- */

static struct tmgr_loop *loop_of(struct tmgr_executor *host)
{
	return container_of(host, struct tmgr_loop, host);
}

static int hold(struct tmgr_executor *host, void **ret_place)
{
	struct tmgr_loop *loop = loop_of(host);
	struct tmgr_coroutine *coroutine;

	if (!tmgr__loop_hold(loop))
		return -ESHUTDOWN;
	coroutine = tmgr__coroutine_make(loop);
	if (!coroutine) {
		tmgr__loop_release(loop);
		return -ENOMEM;
	}
	*ret_place = coroutine;
	return 0;
}

static void start(struct tmgr_executor *host, void *place, struct tmgr_hosted *hosted)
{
	struct tmgr_coroutine *coroutine = place;

	coroutine->hosted = hosted;
	coroutine->context = tmgr_hosted_context(hosted);
	set_name(coroutine, tmgr_context_name(coroutine->context));
	start_from_anywhere(coroutine);
}

static void release(struct tmgr_executor *host, void *place)
{
	unref(place);
	tmgr__loop_release(loop_of(host));
}

static void post(struct tmgr_executor *host, struct tmgr_executor_call *call)
{
	tmgr__loop_post(loop_of(host), call);
}

static void join(struct tmgr_executor *host, void *owner, int result)
{
	struct tmgr_coroutine *coroutine = owner;

	tmgr__family_join(loop_of(host), &coroutine->own, coroutine->context, result);
}

const struct tmgr_executor_ops tmgr__loop_executor_ops = {
	.hold = hold,
	.start = start,
	.release = release,
	.post = post,
	.join = join,
	.describe = tmgr__loop_describe,
};
