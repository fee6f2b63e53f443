/*
 * What the examples of durable processes share: a runtime on a file, and its tasks.
 */
#ifndef EXAMPLES_DURABLE_H
#define EXAMPLES_DURABLE_H

#include <limits.h>

#include <taskmgr/taskmgr.h>
#include <taskmgr/tasks/process_runtime.h>

struct durable {
	struct tmgr_processes *processes;
	char path[PATH_MAX];
	char directory
		[PATH_MAX]; /* made for the file, removed at the end; "" when the file was named */
};

/*
 * Make a runtime on the file `path`; NULL: on a new one in a directory of its own, which
 * durable_fini() removes. 0, or a negative errno, which it has said on standard error.
 */
int durable_init(struct durable *durable, const char *path);
void durable_fini(struct durable *durable);

/* Add the task of the runtime, and one of workers. */
void durable_add_tasks(struct durable *durable, struct tmgr_manager *manager);

/* A text as a message. */
struct tmgr_bytes durable_text(const char *text);

/* Send a text to a channel. */
int durable_send(struct tmgr_context *context, struct tmgr_processes *processes,
	const char *channel, const char *text);

/* Start a process, or find that it was started before: both are 0. */
int durable_start(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_child *child);

/* Wait until a process has made as many steps. */
int durable_wait_steps(struct tmgr_context *context, struct tmgr_processes *processes,
	const char *id, uint64_t steps);

#endif
