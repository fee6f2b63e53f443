/**
 * @file
 * Futures: pending, then done, once, with an error and a value. They join threads and loops.
 *
 * Caller's memory: all zero (TMGR_FUTURE_INIT, static storage) is a pending future. It must stay in
 * place until all waits on it have returned; destroying one that is waited for is a bug of the
 * caller and stops the program.
 */
#ifndef TMGR_FUTURE_H
#define TMGR_FUTURE_H

#include <taskmgr/host.h>

struct tmgr_future;
struct tmgr__told;

/** A place among those whom a future tells that it is done; all fields are the library's. */
struct tmgr_future_node {
	struct tmgr_future_node *next, *previous;
	struct tmgr_waiter *waiter; /**< who waits; NULL: it is told by a call */
	void (*tell)(
		struct tmgr_future_node *node, struct tmgr_future *future, struct tmgr__told *told);
};

/** Memory of a future; all fields are the library's. */
struct tmgr_future {
	unsigned lock;
	int done;
	int error;
	void *value;
	struct tmgr_future_node *nodes;
	void *callbacks, *callbacks_last;
	/** of a future with something behind it that can be told to stop; else NULL */
	void (*cancel)(struct tmgr_future *future, int code, const char *text);
};

#define TMGR_FUTURE_INIT                              \
	{                                             \
		0, 0, 0, NULL, NULL, NULL, NULL, NULL \
	}

/** A copy to be made of a future's value: memory of the caller; all fields are the library's. */
struct tmgr_future_write {
	struct tmgr_future_node node;
	void *destination;
	size_t size;
};

/** A callback on a future: memory of the caller; all fields are the library's. */
struct tmgr_future_callback {
	struct tmgr_future_callback *next;
	void (*function)(void *self, struct tmgr_future *future);
	void *self;
	struct tmgr_future *future;
	struct tmgr_executor *host; /**< that makes the call; NULL: who completes does */
	struct tmgr_executor_call call;
};

TMGR_BEGIN_DECLS

/**
 * Make a pending future of any memory.
 *
 * @param future  written; NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_future_init(struct tmgr_future *future);

/**
 * End a future. Nobody may be waiting for it (else the program is stopped, with a message). The
 * memory is the caller's again.
 *
 * @param future  NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_future_fini(struct tmgr_future *future);

/**
 * Complete a future: the first result wins, waits return, callbacks run in order of registration on
 * this thread.
 *
 * @param future  a future
 * @param error   0 or a negative errno
 * @param value   kept; borrowed or owned as the users of this future agree
 *
 * @retval 0          completed
 * @retval -EALREADY  it was done; this result is ignored
 * @retval -EINVAL    future is NULL, or error is above 0
 *
 * @thread any thread
 */
TMGR_API int tmgr_future_complete(struct tmgr_future *future, int error, void *value);

/**
 * Whether a future is done. For reading: the memory may be released only after a wait or result has
 * seen it done.
 *
 * @param future  NULL is not
 *
 * @return true for ever from its completion on
 *
 * @thread any thread
 */
TMGR_API bool tmgr_future_done(const struct tmgr_future *future);

/**
 * The result of a future.
 *
 * @param future     a future
 * @param ret_error  written when it is done; may be NULL
 * @param ret_value  written when it is done; may be NULL
 *
 * @retval 0        it is done
 * @retval -EAGAIN  it is pending
 * @retval -EINVAL  future is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_future_result(struct tmgr_future *future, int *ret_error, void **ret_value);

/**
 * Wait until a future is done; tmgr_future_result() then tells its result.
 *
 * @param context   the task's, or NULL
 * @param future    a future
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @retval 0           it is done, whatever its error is
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     future is NULL
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_future_wait(
	struct tmgr_context *context, struct tmgr_future *future, int64_t deadline);

/**
 * Wait for a future as for something that is done for the caller: its error becomes the result, and
 * a cancel is passed on to it.
 *
 * When the context is cancelled while it waits, the future is cancelled too (tmgr_future_cancel()),
 * and this returns when it is done: at once for a plain future, for a coroutine when its function
 * has returned. A context that was cancelled before touches nothing. To leave the future alone wait
 * with tmgr_future_wait(), or for a shield of it.
 *
 * @param context    the task's, or NULL
 * @param future     a future
 * @param deadline   absolute, monotonic, nanoseconds; when it comes the future is left alone
 * @param ret_value  written on success; may be NULL
 *
 * @return the future's error once it is done, or
 * @retval 0           it is done, without error
 * @retval -ECANCELED  the token fired first, or the future was cancelled
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     future is NULL
 *
 * @thread the task's; may block; cancellation point
 * @source asyncigo, Await
 */
TMGR_API int tmgr_await(struct tmgr_context *context, struct tmgr_future *future, int64_t deadline,
	void **ret_value);

/**
 * Cancel a future: a plain one is completed with -ECANCELED; what stands behind another is told to
 * stop, and completes it when it has.
 *
 * @param future  a future
 * @param code    of the cause, for what stands behind it
 * @param text    likewise; copied; may be NULL
 *
 * @retval 0          cancelled, or told to stop
 * @retval -EALREADY  it is done
 * @retval -EINVAL    future is NULL
 *
 * @thread any thread
 * @source asyncigo, Cancel
 */
TMGR_API int tmgr_future_cancel(struct tmgr_future *future, int code, const char *text);

/**
 * Have a function called when the future is done; at once, by this thread, if it is. It is short
 * and does not wait. Callbacks of one future are called in order of registration. One that a
 * coroutine registers is called by its loop, in its turn, and never once that loop has ended: it is
 * called or removed before the loop is released; others are called by the thread that completes.
 *
 * @param future    a future
 * @param callback  borrowed until it was called or is removed
 * @param function  called once with self and the future
 * @param self      for function
 *
 * @retval 0        registered, or called
 * @retval -EINVAL  future, callback or function is NULL
 *
 * @thread any thread; the function runs where it says above
 */
TMGR_API int tmgr_future_on_done(struct tmgr_future *future, struct tmgr_future_callback *callback,
	void (*function)(void *self, struct tmgr_future *future), void *self);

/**
 * Take a callback back.
 *
 * @param future    a future
 * @param callback  one that was registered with it
 *
 * @retval 0        taken back: it will not be called
 * @retval -ENOENT  it was not registered, or the completer has taken it already to call it
 * @retval -EINVAL  future or callback is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_future_remove_callback(
	struct tmgr_future *future, struct tmgr_future_callback *callback);

/**
 * Have what a future's value points to copied when it is done without error; at once if it is. The
 * copy is made by who completes, before any wait on the future returns and before
 * tmgr_future_complete() does, so the value may stand on the completer's stack.
 *
 * @param future       a future whose value, where it is not NULL, points to size bytes
 * @param write        borrowed until the future is done or the write is taken back
 * @param destination  likewise; not written where the future ends with an error or without a value
 * @param size         bytes
 *
 * @retval 0        it will be, or was, copied
 * @retval -EINVAL  future, write or destination is NULL
 *
 * @thread any thread
 * @source asyncigo, WriteResultTo
 */
TMGR_API int tmgr_future_write_to(struct tmgr_future *future, struct tmgr_future_write *write,
	void *destination, size_t size);

/**
 * Take a copy back that was asked for.
 *
 * @param future  a future
 * @param write   as given to tmgr_future_write_to() for this future
 *
 * @retval 0        taken back: the destination will not be written
 * @retval -ENOENT  the future is done
 * @retval -EINVAL  future or write is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_future_remove_write(struct tmgr_future *future, struct tmgr_future_write *write);

TMGR_END_DECLS

#endif
