/**
 * @file
 * The first of several functions that succeeds: addresses to connect to, servers to ask.
 */
#ifndef TMGR_FIRST_SUCCESS_H
#define TMGR_FIRST_SUCCESS_H

#include <taskmgr/context.h>

struct tmgr__attempts;

/** One of the functions. */
struct tmgr_attempt {
	/** Called with self and a context of its own; returns 0, or a negative errno. */
	int (*function)(void *self, struct tmgr_context *context);
	void *self;
	/**
	 * Written: what it returned; -ECANCELED if it was not called. 0 in others than the first: it
	 * succeeded too late, and what it made is to be given back.
	 */
	int result;
	struct tmgr__attempts *of; /**< the library's */
};

/** Several functions, and what came of them. */
struct tmgr_first_success {
	struct tmgr_attempt *attempts; /**< count of them */
	size_t count;
	/** How many are tried at once; the next begins when one has failed. 0: all. */
	size_t running_max;
	/** Written: the index of the first that succeeded; count where none did. */
	size_t index;
};

TMGR_BEGIN_DECLS

/**
 * Call several functions, each as a child of the caller (a coroutine where the caller is on a loop,
 * on the pool elsewhere), until one succeeds. The others are cancelled then, and those that have not
 * begun never do. All have ended when this returns, whatever it returns.
 *
 * @param context   the caller's
 * @param first     attempts, count and running_max set; the rest is written, also on failure
 * @param deadline  absolute, monotonic, nanoseconds; then all are cancelled
 *
 * @return the error of the function that failed last, its text kept for the caller's tmgr_fail(); or
 * @retval 0           one has succeeded
 * @retval -ECANCELED  the token fired, and none has succeeded; a token that had fired before lets
 *                     none begin
 * @retval -ETIMEDOUT  the deadline came, and none has succeeded
 * @retval -EAGAIN     no thread could be made, and none has succeeded
 * @retval -ENOMEM     out of memory, and none has succeeded
 * @retval -EINVAL     context or first is NULL, the context's function has returned, there are no
 *                     attempts, or one has no function
 * @retval -ELOOP      it is too deep as for tmgr_group_create()
 * @retval -ECHILD     this is a forked child, and the manager ran in its parent
 *
 * @thread the task's; may block; cancellation point
 * @source asyncigo, FirstSuccess
 */
TMGR_API int tmgr_first_success(
	struct tmgr_context *context, struct tmgr_first_success *first, int64_t deadline);

TMGR_END_DECLS

#endif
