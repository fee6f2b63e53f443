#include <stdint.h>
#include <stdlib.h>

#include "tests/support/looped.h"

void looped_start(struct looped *looped, const struct tmgr_loop_options *options)
{
	if (tmgr_loop_create(options, &looped->loop) != 0)
		abort();
	hosted_start(&looped->hosted, tmgr_loop_task(looped->loop));
}

struct ending looped_end(struct looped *looped)
{
	struct ending ending = hosted_end(&looped->hosted);

	tmgr_loop_unref(looped->loop);
	return ending;
}

struct ending looped_stop(struct looped *looped)
{
	struct ending ending = hosted_stop(&looped->hosted);

	tmgr_loop_unref(looped->loop);
	return ending;
}

struct ending looped_run(const struct tmgr_loop_options *options)
{
	struct looped looped;

	looped_start(&looped, options);
	return looped_end(&looped);
}

int looped_main(coroutine_function *main, void *self)
{
	struct tmgr_loop_options options = { .main = main, .self = self };

	return looped_run(&options).result;
}

struct tmgr_loop *looped_add(
	struct tmgr_manager *manager, const char *name, const struct tmgr_loop_options *options)
{
	bool with_main = options != NULL && options->main != NULL;
	struct tmgr_loop *loop;

	if (tmgr_loop_create(options, &loop) != 0 ||
		tmgr_manager_add_task(manager, name, tmgr_loop_task(loop),
			with_main ? TMGR_ERROR : TMGR_STRICT) != 0)
		abort();
	tmgr_loop_unref(loop);
	return loop;
}

struct tmgr_coroutine *spawned(struct tmgr_context *context, const char *name,
	coroutine_function *function, const void *self)
{
	struct tmgr_coroutine_options options = { .name = name };
	struct tmgr_coroutine *coroutine;

	if (tmgr_coroutine_spawn(
		    context, function, (void *)(uintptr_t)self, &options, &coroutine) != 0)
		abort();
	return coroutine;
}

void spawn(struct tmgr_context *context, const char *name, coroutine_function *function,
	const void *self)
{
	struct tmgr_coroutine_options options = { .name = name };

	if (tmgr_coroutine_spawn(context, function, (void *)(uintptr_t)self, &options, NULL) != 0)
		abort();
}

int awaited(struct tmgr_context *context, struct tmgr_coroutine *coroutine)
{
	int r = tmgr_coroutine_await(context, coroutine, TMGR_NEVER, NULL);

	tmgr_coroutine_unref(coroutine);
	return r;
}

void settle(struct tmgr_context *context)
{
	if (tmgr_loop_wait_idle(context, TMGR_NEVER) != 0)
		abort();
}
