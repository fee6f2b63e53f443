/*
 * What the examples of durable processes share: a runtime on a file, and its tasks.
 */
#ifndef EXAMPLES_ONFILE_H
#define EXAMPLES_ONFILE_H

#include <limits.h>

#include <taskmgr/taskmgr.h>
#include <taskmgr/tasks/process_runtime.h>

struct onfile {
	struct tmgr_processes *processes;
	char path[PATH_MAX];
	char directory
		[PATH_MAX]; /* made for the file, removed at the end; "" when the file was named */
};

/*
 * Make a runtime on the file `path`; NULL: on a new one in a directory of its own, which
 * onfile_fini() removes. 0, or a negative errno, which it has said on standard error.
 */
int onfile_init(struct onfile *onfile, const char *path);
void onfile_fini(struct onfile *onfile);

/* Add the task of the runtime, and one of workers. */
void onfile_add_tasks(struct onfile *onfile, struct tmgr_manager *manager);

/* A text as a message. */
struct tmgr_bytes onfile_text(const char *text);

/* Send a text to a channel. */
int onfile_send(struct tmgr_context *context, struct tmgr_processes *processes, const char *channel,
	const char *text);

/* Start a process, or find that it was started before: both are 0. */
int onfile_start(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_child *child);

/* Wait until a process has made as many steps. */
int onfile_wait_steps(struct tmgr_context *context, struct tmgr_processes *processes,
	const char *id, uint64_t steps);

#endif
