/*
 * Two coroutines that take turns, and the result of one of them.
 */
#include <stdio.h>

#include "internal/examples/pkg/onloop/onloop.h"

static int count(struct tmgr_context *context, const char *who)
{
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		printf("in %s: %d\n", who, i);
		r = tmgr_sleep(context, 100 * TMGR_MILLISECOND);
	}
	return r;
}

static int subtask(void *self, struct tmgr_context *context)
{
	static int answer = 42;
	int r = count(context, "subtask");

	return r < 0 ? r : tmgr_coroutine_set_value(context, &answer);
}

static int run(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *task;
	void *result;
	int r = tmgr_coroutine_spawn(context, subtask, NULL, NULL, &task);

	if (r < 0)
		return r;
	r = count(context, "main task");
	if (r == 0)
		r = tmgr_coroutine_await(context, task, TMGR_NEVER, &result);
	if (r == 0)
		printf("task result: %d\n", *(int *)result);
	tmgr_coroutine_unref(task);
	return r;
}

int main(void)
{
	return onloop_main(run);
}
