/**
 * @file
 * A socket for `taskctl process`: how the processes of a daemon stand, why they wait, and repairs.
 *
 *     tmgr_manager_add_task(manager, "control",
 *             tmgr_process_control(processes, "/run/orders/control", NULL), TMGR_ERROR);
 *
 * A request is a line of JSON, an answer is some such lines; taskctl(1) is what speaks it.
 */
#ifndef TMGR_TASKS_PROCESS_CONTROL_H
#define TMGR_TASKS_PROCESS_CONTROL_H

#include <taskmgr/tasks/process_runtime.h>

/** Limits of the socket; all zero is the default. */
struct tmgr_process_control_options {
	/** Programs that are served at a time: 16; more are told so and closed. */
	size_t connections_max;
	/** How long one may say nothing, or not take what it is told, nanoseconds: 1 minute. */
	int64_t idle_ns;
	/** How long a request may take, nanoseconds: 10 s. */
	int64_t request_ns;
};

TMGR_BEGIN_DECLS

/**
 * A task that serves a unix socket for looking at processes and for repairing them.
 *
 * Initialize makes the socket with mode 0600, and takes the place of one that nobody listens on;
 * cleanup removes it. Only programs of the user that runs the daemon, and of root, are served. Add it
 * after the task of the runtime.
 *
 * Initialize fails with -EADDRINUSE (another program listens on it, or it is no socket), -ENOENT, -EACCES
 * and whatever else bind(2) has.
 *
 * @param processes  a reference is taken, and given back with the task
 * @param path       of the socket, 1 to 107 bytes; copied
 * @param options    copied; NULL for the default
 *
 * @return the task; one that is refused with -EINVAL (processes or path is NULL, the path is empty or
 * too long, or a limit is negative) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_process_control(struct tmgr_processes *processes, const char *path,
	const struct tmgr_process_control_options *options);

TMGR_END_DECLS

#endif
