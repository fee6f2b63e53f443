/*
 * The smallest daemon: says "tick" each second until it is told to stop.
 */
#include <stdio.h>

#include <taskmgr/taskmgr.h>

static int tick(void *self, struct tmgr_context *context)
{
	puts("tick");
	return 0;
}

int main(void)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	tmgr_manager_add_task(manager, "ticker",
		tmgr_interval(tmgr_task_function(tick, NULL), TMGR_SECOND, NULL), TMGR_STRICT);
	return tmgr_main(manager);
}
