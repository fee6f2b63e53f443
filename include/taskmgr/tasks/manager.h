/**
 * @file
 * Nested manager: a manager as a task in another.
 */
#ifndef TMGR_TASKS_MANAGER_H
#define TMGR_TASKS_MANAGER_H

#include <taskmgr/manager.h>

TMGR_BEGIN_DECLS

/**
 * A task that is a manager: it starts, runs and cleans up with the task, and stops when the task is
 * told to.
 *
 * Its tasks' paths begin with the task's, "outer/inner/task", and its report is part of the
 * outer's. It can be added to as long as it runs; a thread that may do so later than that holds a
 * reference (tmgr_manager_ref()).
 *
 * A manager runs once: under a wrapper that calls initialize or execute again the second ends with
 * an error.
 *
 * @param manager  taken, always, and destroyed with the task; one that has not run
 *
 * @return the task; one that is refused with -ENOMEM (manager is NULL, so creating it failed)
 *
 * @thread any thread
 * @source goasync: a task manager is a task
 */
TMGR_API struct tmgr_task tmgr_manager_task(struct tmgr_manager *manager);

TMGR_END_DECLS

#endif
