/**
 * @file
 * A runtime of durable processes in one thread, for tests: made with single_threaded, it does nothing
 * but in these functions and in the waits of the thread that uses it. Time is a virtual clock, and the
 * order in which things happen is made from a seed: the same seed repeats it.
 *
 * Those waits have no use for their deadlines: they end with -ETIMEDOUT when nothing more happens before
 * time passes, or there is room in the store.
 */
#ifndef TMGR_TASKS_PROCESS_SINGLE_H
#define TMGR_TASKS_PROCESS_SINGLE_H

#include <stdint.h>

#include <taskmgr/version.h>

struct tmgr_processes;

TMGR_BEGIN_DECLS

/**
 * Open the store and read it.
 *
 * @param processes  a runtime made with single_threaded
 *
 * @retval 0        open
 * @retval -EINVAL  processes is NULL or of the other kind
 * @retval -EBUSY   it is open, or was; or the store is held by another program
 * @retval other    what the store's open gives, or what a definition was refused with
 *
 * @thread one thread at a time
 */
TMGR_API int tmgr_processes_open(struct tmgr_processes *processes);

/**
 * Do one thing of those that could happen next, chosen by the seed: take what was
 * asked for, call a method, begin or end a batch of the store. Time does not pass.
 *
 * @param processes  open
 *
 * @retval 1        done
 * @retval 0        there is nothing to do before time passes or something is asked for
 * @retval -EINVAL  processes is NULL, of the other kind, or not open
 * @retval -EIO     the store has ended
 * @retval -ENOMEM  out of memory: what found none is held, and tried again by the next call; it has ended
 *                  only where the store has
 *
 * @thread one thread at a time
 */
TMGR_API int tmgr_processes_drive(struct tmgr_processes *processes);

/**
 * Drive until there is nothing to do.
 *
 * @param processes  open
 *
 * @retval 0        there is nothing
 * @retval -EINVAL  processes is NULL, of the other kind, or not open
 * @retval -ENOSPC  the store is full
 * @retval -EIO     the store has ended
 * @retval -ENOMEM  out of memory: what found none is held, and tried again by the next call; it has ended
 *                  only where the store has
 *
 * @thread one thread at a time
 */
TMGR_API int tmgr_processes_settle(struct tmgr_processes *processes);

/**
 * Let time pass, and settle at each moment at which a timer fires.
 *
 * @param processes  open
 * @param ns         nanoseconds, 0 or above
 *
 * @retval 0        passed
 * @retval -EINVAL  processes is NULL, of the other kind, or not open, or ns is below 0, or so much that
 *                  all that has passed would be more than 200 years
 * @retval -ENOSPC  the store is full
 * @retval -EIO     the store has ended
 * @retval -ENOMEM  out of memory: what found none is held, and tried again by the next call; it has ended
 *                  only where the store has
 *
 * @thread one thread at a time
 */
TMGR_API int tmgr_processes_advance(struct tmgr_processes *processes, int64_t ns);

/**
 * Set the wall clock, forward or back.
 *
 * @param processes  open
 * @param wall_ms    milliseconds since 1970, 0 or above
 *
 * @retval 0        set
 * @retval -EINVAL  processes is NULL, of the other kind, or not open, or wall_ms is below 0
 *
 * @thread one thread at a time
 */
TMGR_API int tmgr_processes_set_wall(struct tmgr_processes *processes, int64_t wall_ms);

/**
 * Close the store. What was not settled is lost, as when the program is killed, except
 * that the store was told.
 *
 * @param processes  open
 *
 * @retval 0        closed
 * @retval -EINVAL  processes is NULL, of the other kind, or not open
 * @retval other    what the store's close gives
 *
 * @thread one thread at a time
 */
TMGR_API int tmgr_processes_close(struct tmgr_processes *processes);

TMGR_END_DECLS

#endif
