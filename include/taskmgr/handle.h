/**
 * @file
 * Handles: a value that stands for one task from outside. It never dangles: a released one gives
 * -ENOENT.
 *
 * A handle is valid as long as its manager is. The result stays readable until the handle is
 * released.
 */
#ifndef TMGR_HANDLE_H
#define TMGR_HANDLE_H

#include <taskmgr/context.h>

/** A task from outside: pass it by value. All zero stands for nothing. */
struct tmgr_handle {
	struct tmgr_manager *manager;
	uint64_t id;
};

TMGR_BEGIN_DECLS

/**
 * Ask one task to stop. It has then ended cleanly, and leaves its stop group. Where its initialize
 * obeys, with -ECANCELED, it is done, and takes nobody with it: those after it are initialized.
 *
 * @param handle  the task
 * @param code    detail for its token: 0 or a negative errno
 * @param text    detail, copied, cut; may be NULL
 *
 * @retval 0          asked; an execute-task that had not begun will not
 * @retval -EALREADY  it was asked before, or has ended
 * @retval -ENOENT    the handle was released or never was one
 * @retval -ECHILD    this is a forked child, and the manager ran in its parent
 *
 * @thread any thread; never blocks on a task
 */
TMGR_API int tmgr_handle_cancel(struct tmgr_handle handle, int code, const char *text);

/**
 * Wait until execute of a task has ended (or never will begin).
 *
 * @param context   the waiting task's, or NULL
 * @param handle    the task waited for
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @retval 0           it has ended; tmgr_handle_result() tells how
 * @retval -ECANCELED  the waiting task's token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -ENOENT     the handle was released or never was one
 * @retval -ECHILD     this is a forked child, and the manager ran in its parent
 *
 * @thread the waiting task's; may block; cancellation point
 */
TMGR_API int tmgr_handle_wait(
	struct tmgr_context *context, struct tmgr_handle handle, int64_t deadline);

/**
 * How a task ended.
 *
 * @param handle      the task
 * @param ret_result  written when it has ended: 0, what it returned, -ECANCELED if it never ran, or
 *                    -TMGR_ESTUCK
 *
 * @retval 0        it has ended
 * @retval -EAGAIN  it has not
 * @retval -ENOENT  the handle was released or never was one
 * @retval -ECHILD  this is a forked child, and the manager ran in its parent
 * @retval -EINVAL  ret_result is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_handle_result(struct tmgr_handle handle, int *ret_result);

/**
 * Give a handle back. The task is not affected.
 *
 * @param handle  the handle; every copy of it is stale afterwards
 *
 * @retval 0        released
 * @retval -ENOENT  it was released or never was one
 *
 * @thread any thread
 */
TMGR_API int tmgr_handle_release(struct tmgr_handle handle);

TMGR_END_DECLS

#endif
