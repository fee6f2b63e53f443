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
	struct tmgr_coroutine *coroutine;

	if (!tmgr__loop_hold(loop))
		return -ESHUTDOWN;
	coroutine = tmgr__coroutine_make(loop);
	if (!coroutine) {
		tmgr__loop_release(loop);
		return -ENOMEM;
	}
	/* Who added the task may let go of the loop. */
	tmgr_loop_ref(loop);
	*ret_place = coroutine;
	return 0;
}

static void start(struct tmgr_executor *host, void *place, struct tmgr_hosted *hosted)
{
	struct tmgr_coroutine *coroutine = place;

	coroutine->hosted = hosted;
	coroutine->context = tmgr_hosted_context(hosted);
	tmgr__coroutine_set_name(coroutine, tmgr_context_name(coroutine->context));
	tmgr__coroutine_start_anywhere(coroutine);
}

static void release(struct tmgr_executor *host, void *place)
{
	tmgr__coroutine_unref(place);
	tmgr__loop_release(loop_of(host));
	tmgr_loop_unref(loop_of(host));
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
