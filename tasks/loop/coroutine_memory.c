/*
 * The memory of coroutines: a stack, with the coroutine at its top, and its strand behind that.
 *
 * Who ends on its own loop leaves all as it is for the next there, which begins where that one
 * stands: then nothing is made. The loop keeps some, the depot the rest.
 */
#include "internal.h"
#include "taskmgr/base/check.h"
#include "taskmgr/base/clear.h"

void tmgr__coroutine_release(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = tmgr__loop_here;
	struct tmgr__stack *stack = coroutine->stack;

	/* A loop that only gives back would keep more and more. */
	if (!loop || coroutine->loop != loop || stack->kind != loop->stack_kind) {
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
		if (tmgr__stacks_give(stack, last, TMGR__LOOP_STACKS_STEP))
			tmgr__loop_trim_later(loop);
	}
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

/* Of memory in which nothing is known. */
static struct tmgr_coroutine *make_cold(struct tmgr_loop *loop, struct tmgr__stack *stack)
{
	uintptr_t at = ((uintptr_t)stack - memory_size()) & ~(uintptr_t)63;
	struct tmgr_coroutine *coroutine = (struct tmgr_coroutine *)at;

	tmgr__clear(coroutine, offsetof(struct tmgr_coroutine, settling));
	coroutine->future.cancel = cancel_future;
	coroutine->loop = loop;
	coroutine->stack = stack;
	coroutine->canary = stack->canary;
	coroutine->deadline = TMGR_NEVER;
	coroutine->timer.due = tmgr__coroutine_come_due;
	coroutine->refs = 1;
	tmgr_waiter_init(&coroutine->waiter, &tmgr__coroutine_waiter_ops, coroutine);
	tmgr__fiber_set_sanitizer(&coroutine->fiber, stack->sanitizer);
	tmgr__fiber_init(
		&coroutine->fiber, stack->bottom, coroutine, tmgr__coroutine_main, coroutine);
	stack->sanitizer = tmgr__fiber_sanitizer(&coroutine->fiber);
	return coroutine;
}

struct tmgr__stack *tmgr__coroutine_reserve(struct tmgr_loop *loop)
{
	return take_stack(loop);
}

struct tmgr_coroutine *tmgr__coroutine_make_on(struct tmgr_loop *loop, struct tmgr__stack *stack)
{
	struct tmgr_coroutine *coroutine = stack->warm;

	if (!coroutine)
		return make_cold(loop, stack);
	tmgr__coroutine_make_again(coroutine);
	return coroutine;
}

struct tmgr_coroutine *tmgr__coroutine_make(struct tmgr_loop *loop)
{
	struct tmgr__stack *stack = take_stack(loop);

	return stack ? tmgr__coroutine_make_on(loop, stack) : NULL;
}
