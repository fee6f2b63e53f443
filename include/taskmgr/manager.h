/**
 * @file
 * The manager: initializes long-running tasks one after another, executes them in parallel under
 * one token, takes execute-tasks while it runs, and cleans up in reverse order when it is told to
 * stop or a task fails.
 *
 * No call but run and destroy waits for another task's code. Any thread may call any function
 * unless it says otherwise; a thread that calls into a manager that another may destroy holds a
 * reference.
 */
#ifndef TMGR_MANAGER_H
#define TMGR_MANAGER_H

#include <taskmgr/handle.h>
#include <taskmgr/snapshot.h>

/** Most bytes of a task's name. */
#define TMGR_NAME_MAX 63

struct tmgr_manager;
struct tmgr_loop;

/** What run does when no task is left that executes. */
enum tmgr_when_quiet {
	TMGR_QUIET_WAIT,   /**< wait for cancel (as goasync) */
	TMGR_QUIET_RETURN, /**< stop, cleanly */
	TMGR_QUIET_ERROR,  /**< stop, with -TMGR_EUNEXPECTED */
};

/** In which order tasks are told to stop. */
enum tmgr_stop_order {
	TMGR_STOP_AT_ONCE, /**< all executes at once, then cleanups in reverse (as goasync) */
	/** layer by layer: execute-tasks, then the last long-running task is cancelled, ended,
	 * cleaned up, ... */
	TMGR_STOP_REVERSE,
};

/**
 * How a manager behaves; all zero is the default. Durations are nanoseconds; 0 means the default
 * given here.
 */
struct tmgr_manager_options {
	enum tmgr_when_quiet when_quiet;
	enum tmgr_stop_order stop_order;
	/** From the stop to the end of run: 25 s, shared by all tasks. */
	int64_t shutdown_ns;
	/** Default for each task's stop: none but the total. */
	int64_t stop_ns;
	/** Default for each task's cleanup: none but the total. */
	int64_t cleanup_ns;
	/** Default for each task to say tmgr_ready() after execute has begun: none. */
	int64_t ready_ns;
	/** Stack of each thread, bytes: the system's default; at least 64 KiB. */
	size_t stack_size;
	/** Threads of the pool: 1000. */
	size_t pool_threads_max;
	/**
	 * Execute-tasks that may wait while all pool_threads_max threads are blocked: 0, adding
	 * then gives -EAGAIN.
	 */
	size_t pool_queue_max;
	/** How long an idle thread of the pool stays: 10 s. */
	int64_t pool_idle_ns;
	/** Events that wait for the observers: 1024. */
	size_t events_max;
	/** Take INT, TERM and HUP while it runs; tmgr_main() always does. */
	bool take_signals;
};

/** What else can be said when adding a task; all zero is the default. */
struct tmgr_task_options {
	/** The stop group of a STOP_GROUP task, as a name; NULL: the default group. Copied. */
	const char *stop_group;
	enum tmgr_host host;
	/** With TMGR_HOST_LOOP, which it implies; referred to until the task has ended. */
	struct tmgr_loop *loop;
	/** Stack of its own thread, bytes; 0: the manager's. */
	size_t stack_size;
	/** Deadlines of this task, nanoseconds; 0: the manager's. That of its stop is its children's, too. */
	int64_t ready_ns, stop_ns, cleanup_ns;
	/**
	 * Longest time between two tmgr_heartbeat(), nanoseconds; 0: none is expected. A late one
	 * is an event.
	 */
	int64_t heartbeat_ns;
	/** Sent to the task's thread every 10 ms from its cancel until execute has returned, to end
	 * blocking calls that are not ours;
	 * a signal nobody else uses, such as SIGURG. Its handler does nothing and has no
	 * SA_RESTART. 0: none. */
	int interrupt_signal;
	/** Call cleanup also when initialize failed (as goasync). */
	bool cleanup_after_failed_initialize;
	/**
	 * Cleanup is safe beside tasks that still run: call it also when a task added later is
	 * stuck.
	 */
	bool cleanup_beside_users;
	/** Returned on success, release with tmgr_handle_release(). */
	struct tmgr_handle *ret_handle;
};

TMGR_BEGIN_DECLS

/**
 * Make a manager.
 *
 * Bad options are remembered like a failed add: run then starts nothing and says so.
 *
 * @param options  copied; NULL for the default
 *
 * @return the manager, release with tmgr_manager_destroy(); NULL when out of memory
 *
 * @thread any thread
 * @source goasync, NewTaskManager
 */
TMGR_API struct tmgr_manager *tmgr_manager_create(const struct tmgr_manager_options *options);

/**
 * Destroy a manager: all tasks that are left, in reverse order of adding, and the report. While it
 * runs this is a bug of the caller, which gets a message and stops the program.
 *
 * @param manager  NULL does nothing; its memory stays until the last reference is given back
 *
 * @thread any thread, not from a task of it
 */
TMGR_API void tmgr_manager_destroy(struct tmgr_manager *manager);

/**
 * Take a reference: the memory stays, so that calls after destroy give -ESHUTDOWN.
 *
 * @param manager  NULL is allowed
 *
 * @return manager
 *
 * @thread any thread
 */
TMGR_API struct tmgr_manager *tmgr_manager_ref(struct tmgr_manager *manager);

/**
 * Give a reference back that tmgr_manager_ref() took.
 *
 * @param manager  NULL is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_manager_unref(struct tmgr_manager *manager);

/**
 * Add a long-running task.
 *
 * Tasks are initialized in the order they were added and cleaned up in reverse order. A failed add
 * is remembered: run then starts nothing and reports it.
 *
 * @param manager  not yet running
 * @param name     1 to 63 bytes, no control characters, unique in this manager; copied
 * @param task     taken, always: destroyed even if this fails
 * @param policy   what the end of execute means
 *
 * @retval 0           added
 * @retval -EINVAL     manager is NULL, the functions or the name are missing or not as above, the
 *                     policy is unknown, or the task was built from bad arguments
 * @retval -EEXIST     a long-running task has this name
 * @retval -EBUSY      the manager is running
 * @retval -ESHUTDOWN  it has run
 * @retval -ENOMEM     out of memory; the manager is as before
 * @retval -ECHILD     this is a forked child, and the manager ran in its parent
 *
 * @thread any thread; never blocks on a task
 * @source goasync, AddTask
 */
TMGR_API int tmgr_manager_add_task(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy);

/**
 * Add a long-running task, with options.
 *
 * @param manager  as tmgr_manager_add_task()
 * @param name     likewise
 * @param task     likewise
 * @param policy   likewise
 * @param options  copied; NULL for the default
 *
 * @retval 0            added
 * @retval -EINVAL      as tmgr_manager_add_task(); or an option is out of range: a negative
 *                      duration, a stack below 64 KiB, an unknown host, a host that is a loop but no loop
 *                      or the reverse, a stack or an interrupt signal for a task on a loop, a
 *                      signal that cannot be used, a stop group with another policy or a bad name
 * @retval -EEXIST      a long-running task has this name
 * @retval -EBUSY       the manager is running
 * @retval -ESHUTDOWN   it has run, or the loop has ended
 * @retval -ENOMEM      out of memory; the manager is as before
 * @retval -ECHILD      this is a forked child, and the manager ran in its parent
 *
 * @thread any thread; never blocks on a task
 */
TMGR_API int tmgr_manager_add_task_with(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy, const struct tmgr_task_options *options);

/**
 * Add an execute-task: before run, from inside any task, or from any other thread. Before all tasks
 * are initialized it waits; then it starts at once, on the pool.
 *
 * @param manager  not yet stopped
 * @param name     1 to 63 bytes, no control characters; copied; several may share it
 * @param task     taken, always: destroyed even if this fails
 * @param policy   TMGR_STRICT, TMGR_ERROR, or TMGR_STOP_GROUP where the default group has a living
 *                 member
 *
 * @retval 0           added; it executes, or, if the manager stops before it begins, is destroyed
 * @retval -EINVAL     as tmgr_manager_add_task(), or it has initialize or cleanup, its own or
 *                     wrapped
 * @retval -ENOENT     STOP_GROUP, and the group has no living member
 * @retval -ESHUTDOWN  the manager was cancelled or has ended
 * @retval -EAGAIN     no thread could be made, or all the pool may have are blocked
 * @retval -ENOMEM     out of memory; the manager is as before
 * @retval -ECHILD     this is a forked child, and the manager ran in its parent
 *
 * @thread any thread; never blocks on a task
 * @source goasync, AddExecuteTask
 */
TMGR_API int tmgr_manager_add_execute_task(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy);

/**
 * Add an execute-task, with options.
 *
 * @param manager  as tmgr_manager_add_execute_task()
 * @param name     likewise
 * @param task     likewise
 * @param policy   likewise
 * @param options  copied; NULL for the default
 *
 * @retval 0            added
 * @retval -EINVAL      as tmgr_manager_add_execute_task(), or an option is out of range; or, while the
 *                      manager runs, the loop is neither in it nor running
 * @retval -ENOENT      STOP_GROUP, and the group has no living member
 * @retval -ESHUTDOWN   the manager was cancelled or has ended, or the loop has
 * @retval -EAGAIN      no thread could be made, or all the pool may have are blocked
 * @retval -ENOMEM      out of memory; the manager is as before
 * @retval -ECHILD      this is a forked child, and the manager ran in its parent
 *
 * @thread any thread; never blocks on a task
 */
TMGR_API int tmgr_manager_add_execute_task_with(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy, const struct tmgr_task_options *options);

/**
 * Have all events of a level or more important given to a function, in order, on a thread for
 * observers only.
 *
 * @param manager   not yet running
 * @param level     the least important level
 * @param function  called with self; may block (events are then dropped and counted), must not stop
 *                  or destroy the manager; one that has not come back when the time of the whole
 *                  stop is up is left behind, with self
 * @param self      for function; borrowed until the manager is destroyed
 *
 * @retval 0           added
 * @retval -EINVAL     manager or function is NULL, or the level is unknown
 * @retval -EBUSY      the manager is running
 * @retval -ESHUTDOWN  it has run
 * @retval -ENOMEM     out of memory
 * @retval -ECHILD     this is a forked child, and the manager ran in its parent
 *
 * @thread any thread; never blocks on a task
 */
TMGR_API int tmgr_manager_observe(struct tmgr_manager *manager, enum tmgr_level level,
	void (*function)(void *self, const struct tmgr_event *event), void *self);

/**
 * Run: initialize all tasks, execute them, wait until they have ended, clean up.
 *
 * @param manager  one that has not run
 * @param token    stops it when it fires; NULL: only tmgr_manager_cancel() and its tasks do;
 *                 borrowed until run has returned
 *
 * @return 0 when it ended cleanly, else the cause: the error recorded first, -TMGR_ESTUCK where
 *         only tasks got stuck
 * @retval -EBUSY     it is running
 * @retval -EALREADY  it has run
 * @retval -EINVAL    manager is NULL, or an add before was refused so
 * @retval -EAGAIN    the threads could not be made; nothing was initialized
 * @retval -ENOMEM    out of memory before anything was initialized
 * @retval -ECHILD    this is a forked child, and the manager ran in its parent
 *
 * @thread any thread, which becomes the manager's; may block
 * @source goasync, Run
 */
TMGR_API int tmgr_manager_run(struct tmgr_manager *manager, struct tmgr_token *token);

/**
 * Run in three parts, for what hosts a manager inside a task: first, initialize all.
 *
 * The manager's token becomes a child of the context's, its tasks' paths begin with the context's,
 * its signals are those of the run the context is in, and its report becomes part of that run's.
 * When this fails everything is already cleaned up again and the manager has ended.
 *
 * @param manager  one that has not run
 * @param context  of the task that hosts it, in initialize (or in execute, for all three)
 *
 * @return 0, or the cause, as tmgr_manager_run()
 * @retval -EINVAL    manager or context is NULL, or an add before was refused so
 * @retval -EBUSY     it is running
 * @retval -EALREADY  it has run
 * @retval -EAGAIN    the threads could not be made; nothing was initialized
 * @retval -ENOMEM    out of memory before anything was initialized
 *
 * @thread the task's; may block
 */
TMGR_API int tmgr_manager_start(struct tmgr_manager *manager, struct tmgr_context *context);

/**
 * Second, execute all, and wait until they have ended. Where one got stuck the cleanups that are
 * safe are done here, and the hosting task counts as stuck.
 *
 * @param manager  one whose tmgr_manager_start() returned 0
 * @param context  of the task that hosts it, in execute
 *
 * @return 0 when all ended cleanly, else the cause
 * @retval -EINVAL  manager or context is NULL, or it was not started, or waited for already
 *
 * @thread the task's; may block
 */
TMGR_API int tmgr_manager_wait(struct tmgr_manager *manager, struct tmgr_context *context);

/**
 * Third, clean up in reverse order, and end. Also for a manager that was started and never waited
 * for.
 *
 * @param manager  one whose tmgr_manager_start() returned 0
 * @param context  of the task that hosts it, in cleanup
 *
 * @return 0 when all cleanups succeeded, else the first error of them
 * @retval -EINVAL    manager or context is NULL, or it was not started
 * @retval -EALREADY  it has ended
 *
 * @thread the task's; may block
 */
TMGR_API int tmgr_manager_finish(struct tmgr_manager *manager, struct tmgr_context *context);

/**
 * Ask a manager to stop. Once the first call has returned no add succeeds. Before run: run then
 * initializes nothing.
 *
 * @param manager  a manager
 *
 * @retval 0           asked
 * @retval -EALREADY   it was stopping
 * @retval -ESHUTDOWN  it has ended
 * @retval -EINVAL     manager is NULL
 * @retval -ECHILD     this is a forked child, and the manager ran in its parent
 *
 * @thread any thread; never blocks on a task; not from a signal handler
 */
TMGR_API int tmgr_manager_cancel(struct tmgr_manager *manager);

/**
 * The same from a signal handler: noted, and done by the watcher at once while the manager runs,
 * else when it begins to.
 *
 * @param manager  NULL does nothing
 * @param signo    the signal, for the cause; 0 for none
 *
 * @thread any thread, async-signal-safe
 */
TMGR_API void tmgr_manager_cancel_from_signal(struct tmgr_manager *manager, int signo);

/**
 * The token of a manager: fires when it stops. For threads of the user's own that are to stop with
 * it.
 *
 * @param manager  NULL gives NULL
 *
 * @return borrowed until the manager is destroyed; take a reference to keep it
 *
 * @thread any thread
 */
TMGR_API struct tmgr_token *tmgr_manager_token(struct tmgr_manager *manager);

/**
 * A handle of a task that is in the manager, by its path: "task" or "outer/inner/task".
 *
 * @param manager     a manager
 * @param path        names with / between them; of several with one name the oldest is found
 * @param ret_handle  returned, release with tmgr_handle_release()
 *
 * @retval 0        found
 * @retval -ENOENT  there is none, or it has ended and nobody holds a handle of it
 * @retval -EINVAL  an argument is NULL
 * @retval -ENOMEM  out of memory
 * @retval -ECHILD  this is a forked child, and the manager ran in its parent
 *
 * @thread any thread; never blocks on a task
 */
TMGR_API int tmgr_manager_find(
	struct tmgr_manager *manager, const char *path, struct tmgr_handle *ret_handle);

/**
 * How the run ended.
 *
 * @param manager  a manager
 *
 * @return borrowed until the manager is destroyed; NULL before the end of run
 *
 * @thread any thread
 */
TMGR_API const struct tmgr_report *tmgr_manager_report(const struct tmgr_manager *manager);

/**
 * What a daemon calls: take signals, run, print events and the report to standard error, destroy
 * the manager.
 *
 * INT and TERM stop gracefully, a second one calls what still runs stuck, a third leaves at once.
 * HUP asks for a reload where a task looks for it, and stops like TERM where none does; while it stops
 * it is nothing where one has looked for it.
 *
 * @param manager  taken; NULL: creating it failed, out of memory
 *
 * @return the exit code: 128+n forced by signal n, 2 bad use, 3 a task got stuck, 1 a task failed,
 *         0 clean. After a stuck task it does not return but leaves by _exit(), so that no exit
 *         handler runs beside it
 * @retval 0  clean
 *
 * @thread the main thread; may block
 */
TMGR_API int tmgr_main(struct tmgr_manager *manager);

TMGR_END_DECLS

#endif
