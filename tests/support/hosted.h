/*
 * One task in a manager of its own, named "task": what the tests of provided tasks look at.
 */
#ifndef TESTS_SUPPORT_HOSTED_H
#define TESTS_SUPPORT_HOSTED_H

#include <taskmgr/manager.h>

#include "tests/support/recorder.h"

/* How it ended. */
struct ending {
	int result;                   /* of run */
	int detail;                   /* of the cause */
	size_t errors, stuck;         /* entries of the report */
	char text[160];               /* of the cause, or "" */
	struct tmgr_snapshot_task at; /* the task, when all was over */
};

struct hosted {
	struct tmgr_manager *manager;
	struct runner runner;
};

/* Add it, with policy TMGR_ERROR, to a manager that takes signals and returns when it is quiet, and
 * run that on a thread of its own. */
void hosted_start(struct hosted *hosted, struct tmgr_task task);

/* Wait for its end, and destroy the manager. */
struct ending hosted_end(struct hosted *hosted);

/* Stop it, then the same. */
struct ending hosted_stop(struct hosted *hosted);

/* All of it, for one that ends by itself. */
struct ending hosted_run(struct tmgr_task task);

/* How the task stands now. */
struct tmgr_snapshot_task hosted_look(struct hosted *hosted);

#endif
