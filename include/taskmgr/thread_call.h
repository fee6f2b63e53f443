/**
 * @file
 * Calling a function in a thread: for what blocks, from a coroutine, whose loop must not.
 *
 *     struct tmgr_thread_call call;
 *
 *     r = tmgr_call_in_thread(context, &call, look_up, name);
 *     if (r == 0)
 *         r = tmgr_thread_call_wait(context, &call, TMGR_NEVER, &value);
 */
#ifndef TMGR_THREAD_CALL_H
#define TMGR_THREAD_CALL_H

#include <taskmgr/future.h>

/** Memory of a call. */
struct tmgr_thread_call {
	/** done when the function has returned, or will not run; the rest is the library's */
	struct tmgr_future future;
	int (*function)(void *self, struct tmgr_context *context, void **ret_value);
	void *self;
	void *value;
	int result;
	unsigned lock;
	int cancelled;
	struct tmgr_token *token; /* while it runs */
};

TMGR_BEGIN_DECLS

/**
 * Have a function called on a thread of the manager's pool.
 *
 * Its future has what the function returned, and the value it gave. Cancelling the future fires the
 * token of the function's own context, and so does cancelling the caller; one that has not begun
 * then never does, and its future ends with -ECANCELED. One that is not waited for is cancelled
 * when the function of the caller's task or coroutine has returned, which ends after it.
 *
 * @param context   the caller's
 * @param call      written; stays in place until its future is done: in a frame of the caller's wait
 *                  with tmgr_thread_call_wait() before that goes
 * @param function  called once with self, a context of its own, and where to put a value; returns 0
 *                  or a negative errno
 * @param self      for function; borrowed until the future is done
 *
 * @retval 0           it will be called
 * @retval -ECANCELED  the caller is cancelled
 * @retval -EAGAIN     no thread could be made, or all the pool may have are blocked
 * @retval -ENOMEM     out of memory
 * @retval -EINVAL     context, call or function is NULL, or the context's function has returned
 * @retval -ELOOP      it is too deep as for tmgr_group_create()
 * @retval -ECHILD     this is a forked child, and the manager ran in its parent
 *
 * @thread the task's
 * @source asyncio, to_thread
 */
TMGR_API int tmgr_call_in_thread(struct tmgr_context *context, struct tmgr_thread_call *call,
	int (*function)(void *self, struct tmgr_context *context, void **ret_value), void *self);

/**
 * Wait for the end of a call, as for that of a child: a cancel does not end this wait. It has
 * reached the function, too, and this returns when that has.
 *
 * @param context    the one it was called with
 * @param call       a call that was made
 * @param deadline   absolute, monotonic, nanoseconds; when it comes the function goes on
 * @param ret_value  written when it returned 0: the value it gave, or NULL; may be NULL
 *
 * @return what the function returned, or
 * @retval 0           it returned 0
 * @retval -ECANCELED  it was cancelled before it began (or returned that)
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     context or call is NULL
 *
 * @thread the task's; may block
 */
TMGR_API int tmgr_thread_call_wait(struct tmgr_context *context, struct tmgr_thread_call *call,
	int64_t deadline, void **ret_value);

TMGR_END_DECLS

#endif
