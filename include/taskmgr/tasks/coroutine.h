/**
 * @file
 * Coroutines: threads of control of a loop, each with a stack of its own, one running at a time.
 *
 * A coroutine is spawned from another one, or from any thread onto a loop. It has a context below
 * the one it was spawned with, and so is cancelled with it. It ends when its function returns; its
 * handle is a future, done from then on.
 */
#ifndef TMGR_TASKS_COROUTINE_H
#define TMGR_TASKS_COROUTINE_H

#include <taskmgr/future.h>
#include <taskmgr/tasks/loop.h>

/** Most bytes of a coroutine's name. */
#define TMGR_COROUTINE_NAME_MAX 31

struct tmgr_coroutine;

/** How a coroutine is spawned; all zero is the default. */
struct tmgr_coroutine_options {
	/** For dumps and messages, up to 31 bytes, cut if longer; copied. NULL: "coroutine". */
	const char *name;
	/** Run it up to its first wait before spawn returns. Only from a coroutine of the loop. */
	bool at_once;
};

TMGR_BEGIN_DECLS

/**
 * Spawn a coroutine on the loop of the caller. It starts in its turn, in order of spawning; one that
 * is cancelled before never runs.
 *
 * When no handle is asked for, an error it returns stands in the report of the manager.
 *
 * @param context        of a coroutine, or of a task on a loop, that has not ended
 * @param function       called with self and a context of its own; returns 0 or a negative errno
 * @param self           for function; borrowed until it has ended
 * @param options        NULL for the default
 * @param ret_coroutine  returned, release with tmgr_coroutine_unref(); may be NULL
 *
 * @retval 0           spawned
 * @retval -EINVAL     context is not on a loop, or function is NULL, or at_once is asked for outside
 *                     of coroutines, as in a function that was posted
 * @retval -ECANCELED  the context is cancelled
 * @retval -EAGAIN     the loop has as many coroutines as its options allow
 * @retval -ENOMEM     no memory for a stack, or no mapping to guard it
 *
 * @thread the loop's thread
 * @source asyncigo, SpawnTask
 */
TMGR_API int tmgr_coroutine_spawn(struct tmgr_context *context,
	int (*function)(void *self, struct tmgr_context *context), void *self,
	const struct tmgr_coroutine_options *options, struct tmgr_coroutine **ret_coroutine);

/**
 * Spawn a coroutine on a loop, below the loop's own task.
 *
 * @param loop           a loop whose task executes
 * @param function       as for tmgr_coroutine_spawn()
 * @param self           likewise
 * @param options        likewise; at_once is not for this
 * @param ret_coroutine  likewise
 *
 * @retval 0           spawned
 * @retval -EINVAL     loop or function is NULL, or at_once is asked for
 * @retval -ESHUTDOWN  the loop does not run, or has been told to stop, or its main function failed
 * @retval -EAGAIN     the loop has as many coroutines as its options allow
 * @retval -ENOMEM     no memory for a stack, or no mapping to guard it
 *
 * @thread any thread; never blocks
 */
TMGR_API int tmgr_loop_spawn(struct tmgr_loop *loop,
	int (*function)(void *self, struct tmgr_context *context), void *self,
	const struct tmgr_coroutine_options *options, struct tmgr_coroutine **ret_coroutine);

/**
 * Take a reference. As long as there is one the stack is not used again.
 *
 * @param coroutine  NULL is allowed
 *
 * @return coroutine
 *
 * @thread any thread
 */
TMGR_API struct tmgr_coroutine *tmgr_coroutine_ref(struct tmgr_coroutine *coroutine);

/**
 * Give a reference back. The coroutine goes on without.
 *
 * @param coroutine  NULL is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_coroutine_unref(struct tmgr_coroutine *coroutine);

/**
 * The future of a coroutine: done when its function has returned, with what it returned (-ECANCELED
 * where it was cancelled) and the value it set.
 *
 * @param coroutine  NULL gives NULL
 *
 * @return borrowed as long as the coroutine is referred to
 *
 * @thread any thread
 */
TMGR_API struct tmgr_future *tmgr_coroutine_future(struct tmgr_coroutine *coroutine);

/**
 * A future that settles earlier: when the coroutine is cancelled, or has ended. For those whose
 * memory the coroutine does not use.
 *
 * @param coroutine  NULL gives NULL
 *
 * @return borrowed as long as the coroutine is referred to
 *
 * @thread any thread
 */
TMGR_API struct tmgr_future *tmgr_coroutine_result(struct tmgr_coroutine *coroutine);

/**
 * Wait for a coroutine's end, and pass a cancel on to it: tmgr_await() of its future.
 *
 * @param context    the task's or coroutine's, of any host, or NULL
 * @param coroutine  a coroutine
 * @param deadline   absolute, monotonic, nanoseconds; when it comes the coroutine goes on
 * @param ret_value  written when it returned 0: the value it set, or NULL; may be NULL
 *
 * @return what its function returned, or
 * @retval 0           it returned 0
 * @retval -ECANCELED  the token fired first, or the coroutine was cancelled
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EDEADLK    the caller is this coroutine
 * @retval -EINVAL     coroutine is NULL
 *
 * @thread the task's; may block; cancellation point
 * @source asyncigo, Task.Await
 */
TMGR_API int tmgr_coroutine_await(struct tmgr_context *context, struct tmgr_coroutine *coroutine,
	int64_t deadline, void **ret_value);

/**
 * Wait for a coroutine's end, whatever happens to the caller: a cancel does not end this wait, for
 * the coroutine may be using the caller's memory. It is told of a cancel by itself where it was
 * spawned below the caller.
 *
 * @param context    the task's or coroutine's, of any host, or NULL
 * @param coroutine  a coroutine
 * @param deadline   absolute, monotonic, nanoseconds
 *
 * @return what its function returned, or
 * @retval 0           it returned 0
 * @retval -ECANCELED  it was cancelled
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EDEADLK    the caller is this coroutine
 * @retval -EINVAL     coroutine is NULL
 *
 * @thread the task's; may block
 */
TMGR_API int tmgr_coroutine_join(
	struct tmgr_context *context, struct tmgr_coroutine *coroutine, int64_t deadline);

/**
 * Cancel a coroutine: what it awaits is cancelled too, its waits return -ECANCELED from now on, and
 * it ends when its function returns. An error other than that stands in the report.
 *
 * @param coroutine  a coroutine
 * @param code       of the cause
 * @param text       of the cause; copied; may be NULL
 *
 * @retval 0          cancelled
 * @retval -EALREADY  it was cancelled before, or has ended
 * @retval -EINVAL    coroutine is NULL
 *
 * @thread any thread
 * @source asyncigo, Task.Cancel
 */
TMGR_API int tmgr_coroutine_cancel(struct tmgr_coroutine *coroutine, int code, const char *text);

/**
 * Set the value that who awaits this coroutine gets when it returns 0.
 *
 * @param context  the coroutine's own
 * @param value    borrowed or owned as both sides agree
 *
 * @retval 0        set
 * @retval -EINVAL  context is not that of a coroutine that was spawned
 *
 * @thread the coroutine's
 */
TMGR_API int tmgr_coroutine_set_value(struct tmgr_context *context, void *value);

TMGR_END_DECLS

#endif
