/*
 * A task that does not respect the shutdown, and a daemon that ends all the same.
 *
 * A thread cannot be killed, so the manager leaves it behind: it is named on standard error 2
 * seconds after the stop, and the exit code is 3.
 */
#include <taskmgr/taskmgr.h>

#include "../../pkg/forceshutdown/task.h"

int main(void)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	tmgr_manager_add_task(
		manager, "forever", tmgr_force_stop(forever_task(), 2 * TMGR_SECOND), TMGR_STRICT);
	return tmgr_main(manager);
}
