/**
 * @file
 * Signals: a task that sends the signals it watches on a channel.
 */
#ifndef TMGR_TASKS_SIGNALS_H
#define TMGR_TASKS_SIGNALS_H

#include <taskmgr/signal.h>

/** Most signals one task watches. */
#define TMGR_SIGNALS_MAX 64

TMGR_BEGIN_DECLS

/**
 * A task that sends the number of each signal it is given on a channel, until it is told to stop.
 *
 * The signals are watched from the beginning of execute, when the task says that it is ready, to
 * its end. One that finds the channel full stays pending; more of the same meanwhile are one. The
 * channel is not closed.
 *
 * When it executes it ends with -EOPNOTSUPP where the run does not take signals, with -EINVAL where
 * the channel's items are not of an int's size, or with -ENOMEM.
 *
 * @param channel  of int; referenced until the task is destroyed
 * @param signals  count of them, each once; copied; not INT and TERM, which stop, nor one that is
 * an error of the program or cannot be caught
 * @param count    1 to TMGR_SIGNALS_MAX
 *
 * @return the task; one that is refused with -EINVAL (an argument is NULL, count is out of range,
 * or a signal is not allowed or there twice) or -ENOMEM
 *
 * @thread any thread
 * @source Go, signal.Notify
 */
TMGR_API struct tmgr_task tmgr_signals(
	struct tmgr_channel *channel, const int *signals, size_t count);

TMGR_END_DECLS

#endif
