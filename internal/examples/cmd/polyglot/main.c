/*
 * One function for both: on a thread it blocks the thread, in a coroutine it lets the others run.
 */
#include <stdio.h>

#include "internal/examples/pkg/onloop/onloop.h"

static int nap(const char *who, int64_t ns)
{
	printf("%s sleeps %s\n", who, tmgr_loop_current() ? "on a loop" : "on a thread");
	return tmgr_sleep(tmgr_context_current(), ns);
}

static int subtask(void *self, struct tmgr_context *context)
{
	int r = nap("subtask", 50 * TMGR_MILLISECOND);

	puts("subtask has slept");
	return r;
}

static int run(void *self, struct tmgr_context *context)
{
	int r = tmgr_coroutine_spawn(context, subtask, NULL, NULL, NULL);

	if (r == 0)
		r = nap("main task", 100 * TMGR_MILLISECOND);
	puts("main task has slept");
	return r;
}

int main(void)
{
	nap("main()", 50 * TMGR_MILLISECOND);
	puts("main() has slept");
	return onloop_main(run);
}
