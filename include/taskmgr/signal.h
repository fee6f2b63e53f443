/**
 * @file
 * Signals of a run that takes them: reload requests, watches, and what a program to be started
 * needs.
 */
#ifndef TMGR_SIGNAL_H
#define TMGR_SIGNAL_H

#include <taskmgr/channel.h>

struct tmgr_signal_watch;

TMGR_BEGIN_DECLS

/**
 * Whether a reload was requested by SIGHUP since this was last asked, and take the request. Set
 * until read, so it cannot be lost; requests that come meanwhile are one. From the first call on
 * SIGHUP no longer stops the daemon.
 *
 * @param context  the task's; NULL is never asked
 *
 * @return true once for each request and task
 *
 * @thread the task's
 */
TMGR_API bool tmgr_reload_requested(struct tmgr_context *context);

/**
 * Have a signal taken for this task, from now until tmgr_signal_watch_destroy(). One that nobody
 * consumed yet stays pending; more of the same meanwhile are one.
 *
 * @param context    the task's; borrowed until the watch is destroyed
 * @param signo      a signal; not INT and TERM, which stop, nor one that is an error of the program
 *                   or cannot be caught
 * @param channel    of int: is sent the number, which stays pending while it is full; NULL: use
 *                   tmgr_signal_watch_arm()
 * @param ret_watch  returned, release with tmgr_signal_watch_destroy()
 *
 * @retval 0            watched
 * @retval -EINVAL      context or ret_watch is NULL, the signal is not allowed, or the channel's
 *                      items are not of an int's size
 * @retval -EOPNOTSUPP  the run does not take signals
 * @retval -ENOMEM      out of memory
 *
 * @thread the task's
 */
TMGR_API int tmgr_signal_watch_create(struct tmgr_context *context, int signo,
	struct tmgr_channel *channel, struct tmgr_signal_watch **ret_watch);

/**
 * Fire a token, with the signal as cause, at the next signal; at once if one is pending. Firing
 * consumes the signal and disarms.
 *
 * @param watch  a watch without channel
 * @param token  referenced until it fired or is disarmed; NULL disarms
 *
 * @retval 0        armed, fired or disarmed
 * @retval -EINVAL  watch is NULL or has a channel
 *
 * @thread the task's
 */
TMGR_API int tmgr_signal_watch_arm(struct tmgr_signal_watch *watch, struct tmgr_token *token);

/**
 * End a watch; afterwards it fires nothing and sends nothing.
 *
 * @param watch  NULL does nothing
 *
 * @thread the task's
 */
TMGR_API void tmgr_signal_watch_destroy(struct tmgr_signal_watch *watch);

/**
 * Give a program that is to be started the signals as they were before the library took them: mask
 * and dispositions. Call it in the child, between fork and exec.
 *
 * @retval 0  restored, or nothing had been taken
 *
 * @thread the forked child's only thread, async-signal-safe
 */
TMGR_API int tmgr_child_signals(void);

TMGR_END_DECLS

#endif
