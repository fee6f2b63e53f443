/**
 * @file
 * Interruptible: a task that begins anew at a signal.
 */
#ifndef TMGR_TASKS_INTERRUPTIBLE_H
#define TMGR_TASKS_INTERRUPTIBLE_H

#include <taskmgr/task.h>

TMGR_BEGIN_DECLS

/**
 * A task that is cancelled at each signal, and when it has ended is cleaned up, initialized and
 * executed again.
 *
 * The signal is watched from the beginning of execute to its end. One that comes while the task
 * ends, is cleaned up or initialized interrupts it again as soon as it executes; more of them
 * meanwhile are one. Cleanup and initialize between two executes run on the thread of execute; an
 * error of either is the task's end. So is one of an execute that was interrupted, other than
 * -ECANCELED. An interruption is counted and shown like a restart.
 *
 * The task is meant to run until it is told to stop: if it ends without, with 0, this ends with
 * -TMGR_EUNEXPECTED; an error is passed on.
 *
 * When it executes it ends with -EOPNOTSUPP where the run does not take signals.
 *
 * @param task   taken, always
 * @param signo  a signal; not INT and TERM, which stop, nor one that is an error of the program or
 * cannot be caught
 *
 * @return the task; one that is refused with -EINVAL (task has no execute, or the signal is not
 * allowed) or -ENOMEM
 *
 * @thread any thread
 * @source goasync, Interruptible
 */
TMGR_API struct tmgr_task tmgr_interruptible(struct tmgr_task task, int signo);

TMGR_END_DECLS

#endif
