/**
 * @file
 * Snapshots: how a manager and its tasks stand, consistent, in one copy.
 */
#ifndef TMGR_SNAPSHOT_H
#define TMGR_SNAPSHOT_H

#include <taskmgr/event.h>

/** How far a manager is. */
enum tmgr_manager_state {
	TMGR_MANAGER_ADDING, /**< before run */
	TMGR_MANAGER_INITIALIZING,
	TMGR_MANAGER_RUNNING,
	TMGR_MANAGER_STOPPING, /**< the token has fired; executes end */
	TMGR_MANAGER_CLEANING,
	TMGR_MANAGER_ENDED,
};

/** How far a task is. */
enum tmgr_state {
	TMGR_STATE_ADDED,
	TMGR_STATE_INITIALIZING,
	TMGR_STATE_INITIALIZED, /**< waits for the others to be initialized */
	TMGR_STATE_QUEUED,      /**< an execute-task that waits for a thread */
	TMGR_STATE_RUNNING,
	TMGR_STATE_ENDED, /**< execute has returned, cleanup is to come */
	TMGR_STATE_CLEANING,
	TMGR_STATE_DONE,
	TMGR_STATE_STUCK,
};

/** What the end of execute means. 0 is none, so that a forgotten one is noticed. */
enum tmgr_policy {
	/** runs until told to stop: any end before is an error, and stops all */
	TMGR_STRICT = 1,
	TMGR_ERROR = 2, /**< may end; an error stops all */
	/** when the last of its group has ended all stop; an error stops all */
	TMGR_STOP_GROUP = 3,
};

/** Where execute runs. */
enum tmgr_host {
	TMGR_HOST_DEFAULT, /**< a thread for long-running tasks, the pool for execute-tasks */
	TMGR_HOST_THREAD,  /**< a thread of its own */
	TMGR_HOST_POOL,    /**< the manager's elastic pool */
	TMGR_HOST_LOOP,    /**< a coroutine of a loop */
};

/** How one task stands. */
struct tmgr_snapshot_task {
	char path[TMGR_EVENT_PATH_SIZE];
	const char *kind; /**< static */
	/** static, what kind of wait it is in: "sleep", "channel", "select", "descriptor",
	 * "future", "group", "mutex", "queue", "coroutines" and others; "" when it is in none */
	const char *waiting;
	/** of STOP_GROUP; "" for the default one; valid as long as the manager is */
	const char *group;
	enum tmgr_host host;
	enum tmgr_policy policy;
	enum tmgr_state state;
	bool long_running;
	bool ready;
	bool cancelled;       /**< its token has fired */
	int waiting_fd;       /**< with "descriptor", else -1 */
	int last_error;       /**< 0 or negative: also those that a retry has swallowed */
	unsigned restarts;    /**< by retry and its like */
	int64_t since;        /**< when it came into its state; monotonic, nanoseconds */
	int64_t next_attempt; /**< of a retry that waits, else 0 */
	/** durations, so far where the phase runs; 0 where it has not begun */
	int64_t initialize_ns;
	int64_t execute_ns;
	int64_t cleanup_ns;
};

/** How a manager stands. */
struct tmgr_snapshot {
	enum tmgr_manager_state state;
	int64_t time;        /**< when it was taken; monotonic, nanoseconds */
	size_t pool_threads; /**< threads of the pool */
	size_t pool_blocked; /**< of these, parked in a wait or busy for longer than a tick */
	size_t pool_queued;  /**< execute-tasks that wait for a thread */
	uint64_t events_dropped;
	size_t count;
	/** count of them: long-running tasks in order of adding, then the others */
	const struct tmgr_snapshot_task *tasks;
};

TMGR_BEGIN_DECLS

/**
 * Take a snapshot. Execute-tasks are in it from being added until they end, or until their handle
 * is released; those that failed stay in it, as they do in the report.
 *
 * @param manager       a manager
 * @param ret_snapshot  returned, release with tmgr_snapshot_destroy()
 *
 * @retval 0        taken
 * @retval -EINVAL  manager or ret_snapshot is NULL
 * @retval -ENOMEM  out of memory
 * @retval -ECHILD  this is a forked child, and the manager ran in its parent
 *
 * @thread any thread; never blocks on a task
 */
TMGR_API int tmgr_manager_snapshot(
	struct tmgr_manager *manager, struct tmgr_snapshot **ret_snapshot);

/**
 * Release a snapshot.
 *
 * @param snapshot  NULL does nothing
 *
 * @thread any thread
 */
TMGR_API void tmgr_snapshot_destroy(struct tmgr_snapshot *snapshot);

/**
 * The word for a task's state: "running".
 *
 * @param state  a state
 *
 * @return a static text, "unknown" for others
 *
 * @thread any thread, async-signal-safe
 */
TMGR_API const char *tmgr_state_name(enum tmgr_state state);

TMGR_END_DECLS

#endif
