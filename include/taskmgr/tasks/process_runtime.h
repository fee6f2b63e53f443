/**
 * @file
 * The runtime of durable processes: its tasks; starting processes, sending to them, waiting for their
 * ends; and its history.
 *
 *     tmgr_store_sqlite_create("orders.db", NULL, &store);
 *     tmgr_processes_create(store, NULL, &processes);
 *     tmgr_processes_define(processes, &order_definition);
 *     tmgr_manager_add_task(manager, "processes", tmgr_processes_task(processes), TMGR_STRICT);
 *     tmgr_manager_add_task(manager, "workers", tmgr_processes_workers(processes, NULL), TMGR_STRICT);
 *     ...
 *     r = tmgr_processes_start(context, processes, &(struct tmgr_process_child){ &order_definition, "order-17" },
 *             TMGR_NEVER);
 *
 * The first task opens the store and reads it when it is initialized, and closes it in its cleanup.
 * Workers are tasks added after it, each some threads that call methods; there may be several such, and
 * on several loops.
 *
 * Everything else that can be asked of it is in process_request.h, and what a single-threaded one has
 * besides in process_single.h; both come with this.
 *
 * Whatever returns 0 here is durable: it survives a power cut. Deadlines end the wait, not what was
 * asked for, which may happen all the same.
 */
#ifndef TMGR_TASKS_PROCESS_RUNTIME_H
#define TMGR_TASKS_PROCESS_RUNTIME_H

#include <taskmgr/task.h>
#include <taskmgr/tasks/process.h>
#include <taskmgr/tasks/process_request.h>
#include <taskmgr/tasks/process_single.h>
#include <taskmgr/tasks/process_store.h>

/** Most workers of one task. */
#define TMGR_PROCESSES_WORKERS_MAX 1000

/** How a runtime works; all zero is the default. Durations are nanoseconds, rounded up to a millisecond. */
struct tmgr_processes_options {
	/** How long a process that is over is remembered, with its id and result: 30 days. */
	int64_t keep_finished_ns;
	/**
	 * How long keys of messages are remembered: 7 days. They are those of the channel's id: where ids of
	 * processes are used again, no longer than keep_finished_ns, or a message to the later one counts as
	 * sent when one to the earlier had its key.
	 */
	int64_t keep_keys_ns;
	/**
	 * How long the history goes back: 30 days; and how many events: 1,000,000. It is cut once a
	 * minute, and by and by while there is much else to do, so it is longer at times.
	 */
	int64_t keep_events_ns;
	uint64_t events_max;
	/** Messages from outside that may stand in one channel's line: 10,000. */
	uint32_t line_max;
	/** Bytes that may wait for the store before it refuses what comes from outside: 64 MiB. */
	size_t unsaved_max;
	/** Which part of a store that several daemons share: 0. */
	uint32_t partition;
	/**
	 * No tasks: everything happens in tmgr_processes_drive() and in the waits of the one thread that
	 * uses it, under a virtual clock, in an order that is made from the seed.
	 */
	bool single_threaded;
	uint64_t seed;
	/** Of the virtual wall clock, milliseconds since 1970: 1,000,000,000,000. */
	int64_t wall_ms;
};

/** Workers; all zero is the default. */
struct tmgr_processes_workers_options {
	/** Methods that run at a time, 1 to TMGR_PROCESSES_WORKERS_MAX: one for each processor. */
	size_t workers;
	/** Only of this definition; NULL: of all that no other workers are for. Copied. */
	const char *definition;
};

/** How a runtime stands. Counts are since it was opened. */
struct tmgr_processes_stats {
	size_t processes;  /**< remembered, over or not */
	size_t live;       /**< of these, not over */
	size_t runnable;   /**< with a method to be called now */
	size_t running;    /**< methods that are being called */
	size_t stuck;      /**< of these, past their deadlines */
	size_t timers;     /**< armed */
	size_t unsaved;    /**< bytes that wait for the store */
	uint64_t steps;    /**< that took effect */
	uint64_t sequence; /**< the greatest that is durable */
	uint64_t
		trace; /**< of a single-threaded one: a hash of all it has done; the same from the same seed */
	struct tmgr_store_health store;
};

TMGR_BEGIN_DECLS

/**
 * Make a runtime.
 *
 * @param store          taken, always: closed and destroyed with the runtime
 * @param options        copied; NULL for the default
 * @param ret_processes  returned, release with tmgr_processes_unref()
 *
 * @retval 0        made
 * @retval -EINVAL  store or ret_processes is NULL, or an option is out of range
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_processes_create(struct tmgr_store *store,
	const struct tmgr_processes_options *options, struct tmgr_processes **ret_processes);

/**
 * Take a reference.
 *
 * @param processes  NULL is allowed
 *
 * @return processes
 *
 * @thread any thread
 */
TMGR_API struct tmgr_processes *tmgr_processes_ref(struct tmgr_processes *processes);

/**
 * Give a reference back; with the last the runtime is gone. Its tasks hold one each.
 *
 * @param processes  NULL is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_processes_unref(struct tmgr_processes *processes);

/**
 * Say what a kind of process is, before the runtime's task is initialized (or, single-threaded, opened).
 *
 * One that is refused is remembered: the runtime is not opened, its task fails with this error, and says
 * what is wrong. So results need not be looked at.
 *
 * @param processes   a runtime that was not opened
 * @param definition  borrowed as long as the runtime
 *
 * @retval 0        defined
 * @retval -EINVAL  an argument is NULL; a name, the version, a method or an alias is none, or there
 *                  twice; start is missing, or it or cancel is not in the table; or the state's table is
 *                  wrong
 * @retval -EEXIST  one of that name is defined
 * @retval -EBUSY   the runtime was opened
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 * @source async, ManageDefs
 */
TMGR_API int tmgr_processes_define(
	struct tmgr_processes *processes, const struct tmgr_process_definition *definition);

/**
 * A definition by its name: for starting what somebody else has named.
 *
 * @param processes  a runtime
 * @param name       of the definition
 *
 * @return what was given to tmgr_processes_define(); NULL: there is none of that name, or an argument
 * is NULL
 *
 * @thread any thread
 */
TMGR_API const struct tmgr_process_definition *tmgr_processes_definition(
	struct tmgr_processes *processes, const char *name);

/**
 * The runtime's task, which keeps the processes and has them stored. It can run once.
 *
 * Initialize opens the store and reads it, with the errors that the store's open gives; it says in the
 * log which methods the program lacks. While it executes the log has a warning for each method that has
 * failed for the last time, or has not returned by its deadline; of more than twenty in a second only how
 * many there were. Told to stop, it refuses what comes from outside, waits for
 * the methods that run until its deadline, and has everything stored; cleanup closes the store. It ends
 * with -EIO when the store has ended, with -ENOSPC when there was no room until its time was up, and
 * with -ETIMEDOUT when it was up for another reason; what was not stored then was not acknowledged.
 *
 * @param processes  a reference is taken, and given back with the task
 *
 * @return the task; one that is refused with -EINVAL (processes is NULL, or single-threaded) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_processes_task(struct tmgr_processes *processes);

/**
 * A task that calls methods, on some workers at a time: threads, or coroutines where it runs on a loop.
 * Add it after the runtime's.
 *
 * @param processes  a reference is taken, and given back with the task
 * @param options    copied; NULL for the default
 *
 * @return the task; one that is refused with -EINVAL (processes is NULL or single-threaded, or an option
 * is out of range), -EBUSY (the runtime was opened, and had no workers for this definition then) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_processes_workers(
	struct tmgr_processes *processes, const struct tmgr_processes_workers_options *options);

/**
 * Start a process.
 *
 * @param context    the task's, or NULL
 * @param processes  a runtime
 * @param child      what to start; its id is the key: once is once
 * @param deadline   absolute, monotonic, nanoseconds
 *
 * @retval 0           started
 * @retval -EEXIST     the id is in use: started before, or over and remembered
 * @retval -EINVAL     an argument is NULL, or the id is none
 * @retval -ENOENT     the definition is not defined
 * @retval -ENOSPC     the store is full, and too much waits for it
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -ESHUTDOWN  it was told to stop, or is not open
 * @retval -EIO        the store has ended
 * @retval -ENOMEM     out of memory
 * @retval other       what tmgr_state_encode() says of the state
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_processes_start(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_child *child, int64_t deadline);

/** A message from outside. */
struct tmgr_process_outside {
	const char *channel;     /**< an id: "process/name", or "/name" */
	struct tmgr_bytes value; /**< copied */
	const char *
		key; /**< at most TMGR_PROCESS_KEY_MAX bytes; of this channel: twice is once. NULL: none */
};

/**
 * Send a message. It is received, or in the buffer, or stands in the channel's line, durably.
 *
 * @param context    the task's, or NULL
 * @param processes  a runtime
 * @param message    what to send
 * @param deadline   absolute, monotonic, nanoseconds
 *
 * @retval 0           sent, now or before with this key
 * @retval -ENOENT     there is no such process or channel
 * @retval -EPIPE      the channel is closed, or its process over
 * @retval -EAGAIN     too many stand in its line
 * @retval -EINVAL     an argument is NULL, channel is no id, or the key is empty, too long or not UTF-8
 * @retval -EMSGSIZE   the value is longer than TMGR_PROCESS_VALUE_MAX
 * @retval -ENOSPC     the store is full, and too much waits for it
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -ESHUTDOWN  it was told to stop, or is not open
 * @retval -EIO        the store has ended
 * @retval -ENOMEM     out of memory
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_processes_send(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_outside *message, int64_t deadline);

/**
 * Wait until a process is over.
 *
 * @param context      the task's, or NULL
 * @param processes    a runtime
 * @param id           of the process
 * @param deadline     absolute, monotonic, nanoseconds
 * @param ret_request  returned with 0 and -ECANCELED of the process, for
 *                     tmgr_process_request_value(); release with tmgr_process_request_release(); may be
 *                     NULL
 *
 * @retval 0           it finished
 * @retval -ENODATA    it finished without a result
 * @retval -ECANCELED  it was cancelled; or the token fired first
 * @retval -ENOENT     there is no such process
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     an argument is NULL, or the id is none
 * @retval -ESHUTDOWN  the runtime was told to stop, or is not open
 * @retval -EIO        the store has ended
 * @retval -ENOMEM     out of memory
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_processes_wait(struct tmgr_context *context, struct tmgr_processes *processes,
	const char *id, int64_t deadline, struct tmgr_process_request **ret_request);

/**
 * Visit events of the history, in order: those that are durable.
 *
 * @param processes  a runtime that is open
 * @param query      which
 * @param visit      called with self and each event, borrowed until it returns; what it returns, when
 *                   it is not 0, ends the visit
 * @param self       for visit
 *
 * @return what visit returned, or
 * @retval 0           visited all
 * @retval -EINVAL     an argument is NULL
 * @retval -ESHUTDOWN  it is not open
 * @retval -EBADMSG    what is stored of one cannot be read
 * @retval -EIO        the store cannot be read
 * @retval -ENOMEM     out of memory
 *
 * @thread any thread; may block on the store
 */
TMGR_API int tmgr_processes_events(struct tmgr_processes *processes,
	const struct tmgr_store_query *query,
	int (*visit)(void *self, const struct tmgr_process_event *event), void *self);

/**
 * Wait until something above a sequence is durable, for following the events.
 *
 * Not each step has an event, and those of others are not visited. So a follower goes on from the
 * sequence that tmgr_processes_stats() had before its last tmgr_processes_events(): above that of an
 * event there may be something at once, again and again.
 *
 * @param context    the task's, or NULL
 * @param processes  a runtime
 * @param after      a sequence
 * @param deadline   absolute, monotonic, nanoseconds
 *
 * @retval 0           there is
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     processes is NULL
 * @retval -ESHUTDOWN  it is not open, or was closed
 * @retval -EIO        the store has ended
 * @retval -ENOMEM     out of memory
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_processes_follow(struct tmgr_context *context, struct tmgr_processes *processes,
	uint64_t after, int64_t deadline);

/**
 * How a runtime stands.
 *
 * @param processes  a runtime
 * @param ret_stats  written
 *
 * @retval 0        written
 * @retval -EINVAL  an argument is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_processes_stats(
	struct tmgr_processes *processes, struct tmgr_processes_stats *ret_stats);

TMGR_END_DECLS

#endif
