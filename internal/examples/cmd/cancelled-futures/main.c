/*
 * A coroutine awaits futures one after another, and is cancelled on its way: what it awaits from then
 * on is cancelled at once. It runs on until it returns.
 */
#include <stdio.h>

#include "internal/examples/pkg/onloop/onloop.h"

#define FUTURES 10

static int value_of(const void *value)
{
	return value ? *(const int *)value : 0;
}

static int await_all(void *self, struct tmgr_context *context)
{
	struct tmgr_future *futures = self;

	for (int i = 0; i < FUTURES; i++) {
		void *value = NULL;
		int r = tmgr_await(context, &futures[i], TMGR_NEVER, &value);

		printf("%d: (%d, %s)\n", i, value_of(value), tmgr_strerror(r));
	}
	return 0;
}

static int complete_all(
	struct tmgr_context *context, struct tmgr_future *futures, struct tmgr_coroutine *task)
{
	static int numbers[FUTURES];
	int r = 0;

	for (int i = 0; i < FUTURES && r == 0; i++) {
		if (i == 5)
			tmgr_coroutine_cancel(task, 0, "half is enough");
		r = tmgr_yield(context);
		numbers[i] = i;
		tmgr_future_complete(&futures[i], 0, &numbers[i]);
	}
	return r;
}

static int run(void *self, struct tmgr_context *context)
{
	static struct tmgr_future futures[FUTURES];
	struct tmgr_coroutine *task;
	void *value = NULL;
	int r = tmgr_coroutine_spawn(context, await_all, futures, NULL, &task);

	if (r < 0)
		return r;
	r = complete_all(context, futures, task);
	if (r == 0) {
		int result = tmgr_coroutine_await(context, task, TMGR_NEVER, &value);

		printf("task result: (%d, %s)\n", value_of(value), tmgr_strerror(result));
	}
	tmgr_coroutine_unref(task);
	return r;
}

int main(void)
{
	return onloop_main(run);
}
