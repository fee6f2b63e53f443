/**
 * @file
 * Contexts: what a running task is given. Its token, its name, and every way of waiting.
 *
 * A context belongs to one thread of control and is valid until the function that was given it
 * returns. The waits take NULL as well: they then block the calling thread and are never cancelled.
 *
 * Every wait ends with 0 (or what it says) when what it waits for happened, -ECANCELED when the
 * context's token fired, -ETIMEDOUT at the deadline. A deadline in the past tries once. A wait that
 * was satisfied before the token fired returns its success, and the next one -ECANCELED; one begun
 * after firing takes nothing.
 */
#ifndef TMGR_CONTEXT_H
#define TMGR_CONTEXT_H

#include <stddef.h>

#include <taskmgr/task.h>

struct tmgr_manager;

/** How important a line of the log is; as in syslog. */
enum tmgr_level {
	TMGR_LEVEL_ERROR = 3,
	TMGR_LEVEL_WARNING = 4,
	TMGR_LEVEL_NOTICE = 5,
	TMGR_LEVEL_INFO = 6,
	TMGR_LEVEL_DEBUG = 7,
};

/** What to wait for on a descriptor, as bits. */
enum tmgr_fd_event {
	TMGR_FD_READ = 1,
	TMGR_FD_WRITE = 2,
};

TMGR_BEGIN_DECLS

/**
 * The context of the task that this thread or coroutine runs, for libraries that are not given one.
 *
 * @return borrowed until the task's function returns; NULL outside of tasks
 *
 * @thread any thread
 */
TMGR_API struct tmgr_context *tmgr_context_current(void);

/**
 * The task's token: fires when the task is to stop.
 *
 * @param context  NULL gives NULL
 *
 * @return borrowed until the function returns; take a reference to keep it
 *
 * @thread the task's
 */
TMGR_API struct tmgr_token *tmgr_context_token(struct tmgr_context *context);

/**
 * Whether the task is to stop: what tmgr_token_fired() says of its token, without making one.
 *
 * @param context  NULL is never cancelled
 *
 * @return true from the moment the task's token fired; then its waits end with -ECANCELED, too
 *
 * @thread any thread
 */
TMGR_API bool tmgr_context_cancelled(const struct tmgr_context *context);

/**
 * The manager that runs the task, for adding execute-tasks from inside.
 *
 * @param context  NULL gives NULL
 *
 * @return borrowed until the function returns
 *
 * @thread any thread
 */
TMGR_API struct tmgr_manager *tmgr_context_manager(const struct tmgr_context *context);

/**
 * The task's name.
 *
 * @param context  NULL gives ""
 *
 * @return borrowed until the function returns
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_context_name(const struct tmgr_context *context);

/**
 * The task's path: the names of the tasks it is in and its own, "outer/inner/task".
 *
 * @param context  NULL gives ""
 * @param buffer   written, NUL-terminated, cut where it is too short; may be NULL when size is 0
 * @param size     of buffer, bytes
 *
 * @return the length of the whole path in bytes, without NUL
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_context_path(const struct tmgr_context *context, char *buffer, size_t size);

/**
 * When the present phase must have ended: the earliest of the token's deadlines and the phase's
 * own.
 *
 * @param context  NULL gives TMGR_NEVER
 *
 * @return absolute, monotonic, nanoseconds, or TMGR_NEVER
 *
 * @thread any thread
 */
TMGR_API int64_t tmgr_context_deadline(const struct tmgr_context *context);

/**
 * In cleanup: whether it is called for an initialize that failed (cleanup_after_failed_initialize).
 *
 * @param context  NULL gives false
 *
 * @return true only in that cleanup
 *
 * @thread any thread
 */
TMGR_API bool tmgr_context_initialize_failed(const struct tmgr_context *context);

/**
 * Keep a value for the task's own use; the same in all of its phases.
 *
 * @param context  the task's
 * @param value    borrowed; the library never looks at it
 *
 * @retval 0        kept
 * @retval -EINVAL  context is NULL
 *
 * @thread the task's
 */
TMGR_API int tmgr_context_set_value(struct tmgr_context *context, void *value);

/**
 * The value kept for the task.
 *
 * @param context  the task's
 *
 * @return what tmgr_context_set_value() was given last, or NULL
 *
 * @thread the task's
 */
TMGR_API void *tmgr_context_value(const struct tmgr_context *context);

/**
 * Set how long this task may take from the moment it is told to stop until execute has returned.
 * Past it the task is stuck. The manager's total shutdown deadline still holds.
 *
 * @param context  the task's
 * @param ns       nanoseconds, above 0
 *
 * @retval 0        set
 * @retval -EINVAL  context is NULL or ns is not above 0
 *
 * @thread the task's
 * @source goasync, ForceStop
 */
TMGR_API int tmgr_context_set_stop_timeout(struct tmgr_context *context, int64_t ns);

/**
 * How long this task may take from the moment it is told to stop: its own stop deadline, else the
 * manager's for the whole shutdown.
 *
 * @param context  NULL gives 0
 *
 * @return nanoseconds
 *
 * @thread the task's
 */
TMGR_API int64_t tmgr_context_stop_timeout(const struct tmgr_context *context);

/**
 * Set the moment by which execute must have returned, told to stop or not. Past it the task is
 * stuck.
 *
 * @param context   the task's
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NEVER takes it back
 *
 * @retval 0        set
 * @retval -EINVAL  context is NULL
 *
 * @thread the task's
 */
TMGR_API int tmgr_context_set_end_deadline(struct tmgr_context *context, int64_t deadline);

/**
 * Say that this task is being run again by what wraps it: counted and shown in the snapshot, and an
 * event.
 *
 * @param context       the task's
 * @param error         what the last attempt ended with: 0 or a negative errno, kept as the task's
 *                      last error
 * @param next_attempt  when it is tried again: absolute, monotonic, nanoseconds; 0: now
 *
 * @retval 0        noted
 * @retval -EINVAL  context is NULL
 *
 * @thread the task's
 */
TMGR_API int tmgr_context_note_restart(
	struct tmgr_context *context, int error, int64_t next_attempt);

/**
 * Say that an error was seen and went on from: kept as the task's last error, not a failure of it.
 *
 * @param context  the task's
 * @param error    a negative errno
 *
 * @retval 0        noted
 * @retval -EINVAL  context is NULL or error is not below 0
 *
 * @thread any thread, while the function runs
 */
TMGR_API int tmgr_context_note_error(struct tmgr_context *context, int error);

/**
 * Say that the task does its work now. Later calls do nothing.
 *
 * @param context  NULL does nothing
 *
 * @thread the task's
 */
TMGR_API void tmgr_ready(struct tmgr_context *context);

/**
 * Say that the task is alive, for tasks with a heartbeat deadline.
 *
 * @param context  NULL does nothing
 *
 * @thread the task's
 */
TMGR_API void tmgr_heartbeat(struct tmgr_context *context);

/**
 * Keep an error's text, and return its code: `return tmgr_fail(context, -EIO, "reading %s", path);`
 *
 * The text is formatted into memory the task already owns, cut to what it holds (127 bytes). The
 * last call before the function returns counts.
 *
 * @param context  NULL keeps nothing
 * @param code     negative errno
 * @param format   as printf
 *
 * @return code
 * @retval code  always
 *
 * @thread the task's
 */
TMGR_API int tmgr_fail(struct tmgr_context *context, int code, const char *format, ...)
	TMGR_PRINTF(3, 4);

/**
 * The text last kept with tmgr_fail() in this phase, for wrappers that pass it on.
 *
 * @param context  NULL gives ""
 *
 * @return borrowed until the next tmgr_fail() or the end of the function; never NULL
 *
 * @thread the task's
 */
TMGR_API const char *tmgr_context_error_text(const struct tmgr_context *context);

/**
 * Give a line to the log: an event, delivered to the observers, never waited for.
 *
 * @param context  NULL does nothing
 * @param level    how important
 * @param format   as printf; cut to 191 bytes
 *
 * @thread the task's
 */
TMGR_API void tmgr_log(struct tmgr_context *context, enum tmgr_level level, const char *format, ...)
	TMGR_PRINTF(3, 4);

/**
 * Sleep for a duration.
 *
 * @param context  the task's, or NULL
 * @param ns       nanoseconds; 0 or less does not sleep
 *
 * @retval 0           slept
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  in an uninterrupted scope: its deadline came first
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_sleep(struct tmgr_context *context, int64_t ns);

/**
 * Sleep until a moment.
 *
 * @param context   the task's, or NULL
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NEVER waits for the cancel
 *
 * @retval 0           the moment has come
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  in an uninterrupted scope: its deadline came first
 * @retval -EINVAL     context is NULL and deadline TMGR_NEVER: this would sleep for ever
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_sleep_until(struct tmgr_context *context, int64_t deadline);

/**
 * Let others run.
 *
 * @param context  the task's, or NULL
 *
 * @retval 0           others had their turn
 * @retval -ECANCELED  the token has fired
 *
 * @thread the task's; cancellation point
 */
TMGR_API int tmgr_yield(struct tmgr_context *context);

/**
 * Wait until a descriptor can be read or written. Errors and hang-ups count as both.
 *
 * A thread's first such wait makes one eventfd, which is closed when the task ends. A regular file
 * is ready at once.
 *
 * @param context   the task's, or NULL
 * @param fd        an open descriptor
 * @param events    bits of enum tmgr_fd_event
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @return those of events that are ready, above 0, or
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EBADF      fd is not open
 * @retval -EINVAL     events is 0 or has unknown bits
 * @retval -EMFILE     no descriptor was left for the eventfd (also -ENFILE, -ENOMEM)
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_wait_fd(struct tmgr_context *context, int fd, int events, int64_t deadline);

/**
 * Begin a scope in which cancel does not cut waits short, for orderly closing: only the scope's own
 * deadline does, with -ETIMEDOUT. Scopes nest: the outermost's deadline holds for all.
 *
 * @param context   the task's
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @retval 0        begun; end it with tmgr_uninterrupted_end()
 * @retval -EINVAL  context is NULL
 *
 * @thread the task's
 */
TMGR_API int tmgr_uninterrupted_begin(struct tmgr_context *context, int64_t deadline);

/**
 * End the innermost scope begun.
 *
 * @param context  the task's
 *
 * @retval 0        ended
 * @retval -EINVAL  context is NULL, or no scope was begun
 *
 * @thread the task's
 */
TMGR_API int tmgr_uninterrupted_end(struct tmgr_context *context);

TMGR_END_DECLS

#endif
