/*
 * A task that never ends.
 */
#ifndef FORCESHUTDOWN_TASK_H
#define FORCESHUTDOWN_TASK_H

#include <taskmgr/task.h>

/* Prints a line each second, for ever, and never looks whether it is to stop. */
struct tmgr_task forever_task(void);

#endif
