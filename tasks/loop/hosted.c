/*
 * A loop as a host: what managers ask of it for their tasks.
 */
#include <errno.h>

#include "internal.h"

static struct tmgr_loop *loop_of(struct tmgr_executor *host)
{
	return container_of(host, struct tmgr_loop, host);
}

static int hold(struct tmgr_executor *host, void **ret_place)
{
	struct tmgr_loop *loop = loop_of(host);
	struct tmgr__stack *stack;

	if (!tmgr__loop_hold(loop))
		return -ESHUTDOWN;
	stack = tmgr__coroutine_reserve(loop);
	if (!stack) {
		tmgr__loop_release(loop);
		return -ENOMEM;
	}
	*ret_place = stack;
	return 0;
}

static struct tmgr_coroutine *make(
	struct tmgr_loop *loop, struct tmgr__stack *stack, struct tmgr_hosted *hosted)
{
	struct tmgr_coroutine *coroutine = tmgr__coroutine_make_on(loop, stack);

	coroutine->hosted = hosted;
	coroutine->context = tmgr_hosted_context(hosted);
	tmgr__coroutine_set_name(coroutine, tmgr_context_name(coroutine->context));
	return coroutine;
}

static void start(struct tmgr_executor *host, void *place, struct tmgr_hosted *hosted)
{
	tmgr__coroutine_start_anywhere(make(loop_of(host), place, hosted));
}

/*
 * One call for all: the first of them carries it, and the others are made where they will run, so
 * that their stacks are not touched here.
 */
static void start_all(struct tmgr_executor *host, struct tmgr_hosted *first)
{
	struct tmgr_coroutine *coroutine;
	void *place;
	struct tmgr_hosted *hosted = tmgr_hosted_take(&first, &place);

	coroutine = make(loop_of(host), place, hosted);
	coroutine->others = first;
	tmgr__coroutine_start_anywhere(coroutine);
}

struct tmgr_coroutine *tmgr__hosted_make_next(struct tmgr_loop *loop, struct tmgr_hosted **others)
{
	void *place;
	struct tmgr_hosted *hosted = tmgr_hosted_take(others, &place);

	return hosted ? make(loop, place, hosted) : NULL;
}

static void release(struct tmgr_executor *host, void *place)
{
	tmgr__stack_give(place);
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
	.start_all = start_all,
	.release = release,
	.post = post,
	.join = join,
	.describe = tmgr__loop_describe,
};
