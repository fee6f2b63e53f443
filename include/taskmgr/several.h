/**
 * @file
 * Waiting for several futures at once: for all, for the first that is done, for the first that
 * fails.
 *
 * The caller gives an array with a place for each, so any number can be waited for and nothing is
 * allocated. None of the futures is cancelled, whatever ends the wait.
 *
 *     struct tmgr_several_case cases[] = { { .future = &one }, { .future = &two } };
 *     struct tmgr_several several = { .cases = cases, .count = 2 };
 *     r = tmgr_wait_several(context, &several, TMGR_SEVERAL_FIRST, deadline);
 */
#ifndef TMGR_SEVERAL_H
#define TMGR_SEVERAL_H

#include <taskmgr/future.h>

/** What to wait for. */
enum tmgr_several_mode {
	TMGR_SEVERAL_ALL,         /**< until all are done */
	TMGR_SEVERAL_FIRST_ERROR, /**< until one is done with an error, or all are done */
	TMGR_SEVERAL_FIRST,       /**< until one is done */
};

/** One of those waited for. */
struct tmgr_several_case {
	struct tmgr_future *future; /**< set by the caller; the rest is the library's */
	struct tmgr_future_node node;
	void *wait;
};

/** Those waited for, and what came of it. */
struct tmgr_several {
	struct tmgr_several_case *cases; /**< count of them, used until the wait returns */
	size_t count;
	/** Written: the index of the one whose end ended the wait; count where there was none. */
	size_t index;
	/** Written: the last error, in order of their ends up to then; 0: none. */
	int error;
	/** Written: the index of the one that had this error; count where there was none. */
	size_t error_index;
};

TMGR_BEGIN_DECLS

/**
 * Wait for several futures. Those that are done already count as done in order of their index.
 *
 * @param context   the task's, or NULL
 * @param several   cases and count set; the rest is written on success
 * @param mode      what to wait for
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NOW tries once
 *
 * @retval 0           what was waited for has come, whatever the errors are; at once where there
 *                     are no cases
 * @retval -ECANCELED  the token fired first; the futures are left alone
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     several or the future of a case is NULL, or the mode is unknown
 *
 * @thread the task's; may block; cancellation point
 * @source asyncigo, Wait
 */
TMGR_API int tmgr_wait_several(struct tmgr_context *context, struct tmgr_several *several,
	enum tmgr_several_mode mode, int64_t deadline);

TMGR_END_DECLS

#endif
