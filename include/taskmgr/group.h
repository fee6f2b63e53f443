/**
 * @file
 * Task groups: children of a running task, all ended before their parent.
 *
 * Children run on the manager's pool, or, where the parent is on a loop, on that as coroutines; under
 * tokens below the group's, below the parent's. The first that fails cancels the others. A group
 * still open when its task's or coroutine's function returns is cancelled and waited for by the
 * library. A child of an initialize, for which no pool works yet, has a thread of its own.
 */
#ifndef TMGR_GROUP_H
#define TMGR_GROUP_H

#include <taskmgr/handle.h>

struct tmgr_group;

/** How a group behaves; all zero is the default. */
struct tmgr_group_options {
	/** Children that execute at once; more are queued. 0: no limit. */
	size_t running_max;
	/** Do not cancel the others when one fails. */
	bool keep_going;
	/** Run children on the manager's pool, where they may block, even if the parent is on a loop. */
	bool on_pool;
};

TMGR_BEGIN_DECLS

/**
 * Open a group below a task.
 *
 * @param context    the task's; borrowed until the group is destroyed or its function returns
 * @param options    NULL for the default
 * @param ret_group  returned, release with tmgr_group_destroy(), at the latest done by the end of
 *                   the task's function
 *
 * @retval 0        opened
 * @retval -EINVAL  context or ret_group is NULL, or the context's function has returned
 * @retval -ELOOP   the context's token has TMGR_TOKEN_DEPTH_MAX ancestors: children of children are
 *                  too deep, each two below the other
 * @retval -ENOMEM  out of memory
 *
 * @thread the task's
 * @source Python asyncio.TaskGroup
 */
TMGR_API int tmgr_group_create(struct tmgr_context *context,
	const struct tmgr_group_options *options, struct tmgr_group **ret_group);

/**
 * Start a child.
 *
 * @param context     the task's that opened the group
 * @param group       a group, or NULL for the one every task has
 * @param task        taken, always; only its execute is called, so one with initialize or cleanup
 *                    is refused
 * @param ret_handle  returned, release with tmgr_handle_release(); may be NULL
 *
 * @retval 0           started, or queued behind running_max
 * @retval -ECANCELED  the group's token has fired
 * @retval -EINVAL     context is NULL or its function has returned, the group is not this task's, or
 *                     the task has no execute, or has initialize or cleanup
 * @retval -EAGAIN     no thread could be made
 * @retval -ENOMEM     out of memory (or the error a refused task carries)
 * @retval -ELOOP      group is NULL, and it is too deep as for tmgr_group_create()
 * @retval -ECHILD     this is a forked child, and the manager ran in its parent
 *
 * @thread the task's
 */
TMGR_API int tmgr_spawn(struct tmgr_context *context, struct tmgr_group *group,
	struct tmgr_task task, struct tmgr_handle *ret_handle);

/**
 * Ask all children to stop, and refuse new ones.
 *
 * @param group  a group
 *
 * @retval 0          asked
 * @retval -EALREADY  it was asked before
 * @retval -EINVAL    group is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_group_cancel(struct tmgr_group *group);

/**
 * Wait until all children have ended. Once the parent's token has fired this still waits for them,
 * since they end before it: they have been cancelled, too.
 *
 * @param context   the task's that opened the group
 * @param group     a group, or NULL for the one every task has
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @return 0, or the error of the first child that failed
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     context is NULL or the group is not this task's
 * @retval -ECHILD     this is a forked child, and the manager ran in its parent
 *
 * @thread the task's; may block
 */
TMGR_API int tmgr_group_wait(
	struct tmgr_context *context, struct tmgr_group *group, int64_t deadline);

/**
 * The errors of children that failed, in the order they were recorded.
 *
 * @param group      a group
 * @param index      0 for the first
 * @param ret_error  written: a negative errno
 * @param ret_text   written: what the child gave with tmgr_fail(), or ""; borrowed until the group
 *                   is destroyed; may be NULL
 *
 * @retval 0        there is such an error
 * @retval -ENOENT  there are no more
 * @retval -EINVAL  group or ret_error is NULL
 *
 * @thread the task's
 */
TMGR_API int tmgr_group_error(
	struct tmgr_group *group, size_t index, int *ret_error, const char **ret_text);

/**
 * End a group: cancel what runs, wait for it, release it. Another function than the one that opened it,
 * one of its children, say, would wait in its place: that stops the program, with a message.
 *
 * @param group  taken; NULL does nothing
 *
 * @thread the task's; may block
 */
TMGR_API void tmgr_group_destroy(struct tmgr_group *group);

TMGR_END_DECLS

#endif
