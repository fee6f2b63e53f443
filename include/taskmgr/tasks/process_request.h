/**
 * @file
 * What can be asked of the runtime of durable processes from outside, without waiting or with it, and
 * how it says processes and channels stand.
 *
 *     struct tmgr_process_command look = { .kind = TMGR_PROCESS_GET, .id = "order-17" };
 *     struct tmgr_process_request *request;
 *
 *     r = tmgr_processes_do(context, processes, &look, tmgr_after(TMGR_SECOND), &request);
 *     if (r == 0)
 *             printf("%s", tmgr_process_request_infos(request, NULL)->text);
 *     ...
 *     tmgr_process_request_release(request);
 */
#ifndef TMGR_TASKS_PROCESS_REQUEST_H
#define TMGR_TASKS_PROCESS_REQUEST_H

#include <taskmgr/future.h>
#include <taskmgr/tasks/process.h>

struct tmgr_processes;
struct tmgr_process_request;

/** What is asked of the runtime. */
enum tmgr_process_command_kind {
	TMGR_PROCESS_START = 1,      /**< child */
	TMGR_PROCESS_SEND,           /**< channel, value, key */
	TMGR_PROCESS_CLOSE,          /**< channel */
	TMGR_PROCESS_CHANNEL_CREATE, /**< channel, capacity */
	TMGR_PROCESS_CHANNEL_DELETE, /**< channel */
	TMGR_PROCESS_RESULT,         /**< id: done when the process is over */
	TMGR_PROCESS_CANCEL,         /**< id */
	/**
	 * id, text: the reason, not empty, kept as tmgr_process_log() does. One that has failed can be
	 * paused too.
	 */
	TMGR_PROCESS_PAUSE,
	/**
	 * id: a paused one goes on, and methods that have failed are called again, at once; with
	 * filter.status only one that stands so
	 */
	TMGR_PROCESS_RESUME,
	TMGR_PROCESS_GOTO,       /**< id, goroutine, method */
	TMGR_PROCESS_SET,        /**< id, revision, value: the whole state, JSON */
	TMGR_PROCESS_GET,        /**< id */
	TMGR_PROCESS_LIST,       /**< filter */
	TMGR_PROCESS_CHANNELS,   /**< id: those of a process; "" the runtime-wide; NULL: all */
	TMGR_PROCESS_CHECKPOINT, /**< the store does the work that can wait */
	TMGR_PROCESS_BACKUP,     /**< text: the path of a new file */
};

/** Which processes are listed. */
struct tmgr_process_filter {
	const char *definition;          /**< NULL: all */
	enum tmgr_process_status status; /**< 0: all */
	const char *after; /**< with ids above this, in the order of bytes; NULL: from the first */
	size_t count_max;  /**< at most so many; 0: 1000 */
};

/** Something asked of the runtime; the fields that its kind names. All is copied. */
struct tmgr_process_command {
	enum tmgr_process_command_kind kind;
	struct tmgr_process_child child;
	const char *id;
	const char *channel; /**< an id: "process/name" or "/name" */
	struct tmgr_bytes value;
	const char *key; /**< the same message a second time is taken and dropped; NULL: none */
	const char *goroutine;
	const char *method;
	const char *text;
	uint64_t revision;
	uint32_t capacity;
	struct tmgr_process_filter filter;
};

/** A case that waits. */
struct tmgr_process_wait_info {
	enum tmgr_process_wait_kind kind;
	uint32_t index;
	const char *target; /**< the channel or process; "" */
	const char *method;
	int64_t at_ms;   /**< for a time: when, on the wall clock */
	const char *why; /**< a sentence: what it waits for, and who could wake it */
};

/** How a goroutine stands. */
struct tmgr_process_goroutine_info {
	const char *name;
	const char *method; /**< next; "" of a blocked one */
	enum tmgr_goroutine_status status;
	bool running;     /**< its method is being called */
	bool stuck;       /**< and past its deadline */
	int64_t since_ms; /**< wall clock: ready or blocked */
	unsigned attempts;
	int error;
	const char *text; /**< of the error, or the reason */
	const char *why;  /**< a sentence: what happens next with it, and what that waits for */
	const struct tmgr_process_wait_info *waits;
	size_t wait_count;
};

/** How a process stands. */
struct tmgr_process_info {
	const char *id;
	const char *definition;
	uint32_t version;
	enum tmgr_process_status status;
	bool cancelled; /**< cancel was asked for */
	bool stuck;     /**< a method has not returned by its deadline */
	bool has_result;
	int error;        /**< of a failed one; or of a paused one whose goroutine has failed */
	const char *text; /**< why it is paused, or what failed; "" */
	uint64_t revision, steps;
	int64_t created_ms; /**< wall clock */
	int64_t changed_ms; /**< the runtime's time, which is the wall clock's but never runs back */
	struct tmgr_bytes state; /**< JSON; only of GET */
	struct tmgr_bytes result;
	/** only of GET */
	const struct tmgr_process_goroutine_info *goroutines;
	size_t goroutine_count;
};

/** How a channel stands. */
struct tmgr_process_channel_info {
	const char *id;
	uint32_t capacity;
	bool closed;
	size_t buffered, senders, receivers; /**< messages; cases that wait */
};

TMGR_BEGIN_DECLS

/**
 * Ask for something, without waiting.
 *
 * The request's future is done with 0 when what was asked for is durable, and else with the error that
 * tmgr_processes_do() has for it.
 *
 * @param processes    a runtime
 * @param command      copied
 * @param ret_request  returned, release with tmgr_process_request_release()
 *
 * @retval 0           asked
 * @retval -EINVAL     an argument is NULL, or a field that the kind needs is missing, no name, or out of
 *                     range
 * @retval -ENOENT     the definition of a start is not defined
 * @retval -EMSGSIZE   send: the value is longer than TMGR_PROCESS_VALUE_MAX
 * @retval -ENOMEM     out of memory
 * @retval -ESHUTDOWN  it was told to stop, or is not open
 * @retval -EIO        the store has ended
 * @retval other       of a start: what tmgr_state_encode() says of the state; of a set: what
 *                     tmgr_state_decode() says of one that is no object of JSON
 *
 * @thread any thread; never blocks
 */
TMGR_API int tmgr_processes_submit(struct tmgr_processes *processes,
	const struct tmgr_process_command *command, struct tmgr_process_request **ret_request);

/**
 * The future of a request, for waiting with tmgr_future_wait() or tmgr_wait_several(). It cannot be
 * cancelled: what was asked for happens.
 *
 * @param request  NULL gives NULL
 *
 * @return borrowed until the request is released
 *
 * @thread any thread
 */
TMGR_API struct tmgr_future *tmgr_process_request_future(struct tmgr_process_request *request);

/**
 * What a request gave, when its future is done: the result of a process, what SEND says of its key.
 *
 * @param request  NULL gives no bytes
 *
 * @return of RESULT: the result, a NUL follows it; of others no bytes; borrowed until the request is
 * released
 *
 * @thread any thread
 */
TMGR_API struct tmgr_bytes tmgr_process_request_value(const struct tmgr_process_request *request);

/**
 * What GET and LIST gave, when the future is done.
 *
 * @param request    NULL has none
 * @param ret_count  written: how many; may be NULL
 *
 * @return the first, borrowed until the request is released; NULL: none
 *
 * @thread any thread
 */
TMGR_API const struct tmgr_process_info *tmgr_process_request_infos(
	const struct tmgr_process_request *request, size_t *ret_count);

/**
 * What CHANNELS gave, when the future is done.
 *
 * @param request    NULL has none
 * @param ret_count  written: how many; may be NULL
 *
 * @return the first, borrowed until the request is released; NULL: none
 *
 * @thread any thread
 */
TMGR_API const struct tmgr_process_channel_info *tmgr_process_request_channels(
	const struct tmgr_process_request *request, size_t *ret_count);

/**
 * Let go of a request, done or not: what was asked for happens all the same.
 *
 * @param request  taken; NULL does nothing. Nobody waits for its future
 *
 * @thread any thread
 */
TMGR_API void tmgr_process_request_release(struct tmgr_process_request *request);

/**
 * Ask for anything, and wait for it.
 *
 * @param context      the task's, or NULL
 * @param processes    a runtime
 * @param command      copied
 * @param deadline     absolute, monotonic, nanoseconds
 * @param ret_request  returned with 0, release with tmgr_process_request_release(); may be NULL
 *
 * @retval 0           done
 * @retval -ENOENT     there is no such process, channel, goroutine or method
 * @retval -EEXIST     the id of a start, a channel's or a backup's file is there
 * @retval -EALREADY   cancel, pause, resume, close: it is so already
 * @retval -ESRCH      the process is over
 * @retval -ESTALE     set: the state's revision is another; resume: the status is
 * @retval -EBUSY      set, goto: its method runs at this moment; or delete: messages or waits are left
 * @retval -ENOTSUP    backup: the store cannot
 * @retval -EPIPE      send: the channel is closed
 * @retval -EAGAIN     send: too many stand in its line; backup: no thread could be made for it
 * @retval -ENODATA    result: it gave none
 * @retval -EINVAL     an argument is NULL, or a field that the kind needs is missing, no name, or out of
 *                     range
 * @retval -EBADMSG    set: the state is not one object of JSON
 * @retval -EILSEQ     set: it is not UTF-8
 * @retval -EMSGSIZE   set: it is too deep; send: the value is longer than TMGR_PROCESS_VALUE_MAX
 * @retval -ENOSPC     the store is full, and too much waits for it
 * @retval -ECANCELED  the token fired first; result: it was cancelled
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -ESHUTDOWN  it was told to stop, or is not open
 * @retval -EIO        the store has ended; or backup: it could not be written, or what
 *                     opening a new file there gives
 * @retval -ENOMEM     out of memory: nothing has happened
 * @retval other       start: what tmgr_state_encode() says of the state
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_processes_do(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_command *command, int64_t deadline,
	struct tmgr_process_request **ret_request);

TMGR_END_DECLS

#endif
