/**
 * @file
 * Mutexes, semaphores and flags between any threads and coroutines, in memory of the caller.
 *
 * All zero, and so static storage, is valid: a mutex that is free, a semaphore with a count of 0, a
 * flag that is clear. One that was used stays in place until all calls on it have returned; ending
 * one that is waited for is a bug of the caller and stops the program.
 *
 * Who waits is served first in, first out, and what is given up goes straight to who waits longest:
 * nobody who comes later gets in before. A wait that is cancelled or late leaves all others alone.
 */
#ifndef TMGR_SYNC_H
#define TMGR_SYNC_H

#include <taskmgr/context.h>

struct tmgr_waiter;
struct tmgr__waiting;

/** Those who wait for something, in order: all fields are the library's. */
struct tmgr_wait_list {
	struct tmgr__waiting *first, *last;
};

/** Memory of a mutex; all fields are the library's. */
struct tmgr_mutex {
	unsigned lock;
	struct tmgr_waiter *holder;
	struct tmgr_wait_list waiting;
};

/** Memory of a semaphore; all fields are the library's. */
struct tmgr_semaphore {
	unsigned lock;
	unsigned count;
	struct tmgr_wait_list waiting;
};

/** Memory of a flag; all fields are the library's. */
struct tmgr_flag {
	unsigned lock;
	int set;
	struct tmgr_wait_list waiting;
};

#define TMGR_WAIT_LIST_INIT \
	{                   \
		NULL, NULL  \
	}
#define TMGR_MUTEX_INIT                      \
	{                                    \
		0, NULL, TMGR_WAIT_LIST_INIT \
	}
#define TMGR_SEMAPHORE_INIT(count)              \
	{                                       \
		0, (count), TMGR_WAIT_LIST_INIT \
	}
#define TMGR_FLAG_INIT                    \
	{                                 \
		0, 0, TMGR_WAIT_LIST_INIT \
	}

TMGR_BEGIN_DECLS

/**
 * Make a mutex of any memory: free.
 *
 * @param mutex  written; NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_mutex_init(struct tmgr_mutex *mutex);

/**
 * End a mutex. Nobody may hold it or wait for it (else the program is stopped, with a message). The
 * memory is the caller's again.
 *
 * @param mutex  NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_mutex_fini(struct tmgr_mutex *mutex);

/**
 * Take a mutex. It may be held over waits, unlike one of the system; the holder is the task or
 * coroutine, or without a context the thread.
 *
 * @param context   the task's, or NULL
 * @param mutex     a mutex
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NOW tries once
 *
 * @retval 0           held, until tmgr_mutex_unlock(); that the holder is cancelled changes nothing
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EDEADLK    the caller holds it
 * @retval -EINVAL     mutex is NULL
 *
 * @thread the task's; may block; cancellation point
 * @source asyncio, Lock.acquire
 */
TMGR_API int tmgr_mutex_lock(
	struct tmgr_context *context, struct tmgr_mutex *mutex, int64_t deadline);

/**
 * Give a mutex to who waits longest for it, or free it.
 *
 * @param context  the one it was taken with, or NULL
 * @param mutex    a mutex
 *
 * @retval 0        given up
 * @retval -EPERM   the caller does not hold it
 * @retval -EINVAL  mutex is NULL
 *
 * @thread the task's
 */
TMGR_API int tmgr_mutex_unlock(struct tmgr_context *context, struct tmgr_mutex *mutex);

/**
 * Make a semaphore of any memory.
 *
 * @param semaphore  written; NULL does nothing
 * @param count      how many may be acquired before one is released
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_semaphore_init(struct tmgr_semaphore *semaphore, unsigned count);

/**
 * End a semaphore. Nobody may be waiting for it (else the program is stopped, with a message). The
 * memory is the caller's again.
 *
 * @param semaphore  NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_semaphore_fini(struct tmgr_semaphore *semaphore);

/**
 * Take one of what a semaphore counts.
 *
 * @param context    the task's, or NULL
 * @param semaphore  a semaphore
 * @param deadline   absolute, monotonic, nanoseconds; TMGR_NOW tries once
 *
 * @retval 0           acquired
 * @retval -ECANCELED  the token fired first; nothing was taken
 * @retval -ETIMEDOUT  the deadline came first; nothing was taken
 * @retval -EINVAL     semaphore is NULL
 *
 * @thread the task's; may block; cancellation point
 * @source asyncio, Semaphore.acquire
 */
TMGR_API int tmgr_semaphore_acquire(
	struct tmgr_context *context, struct tmgr_semaphore *semaphore, int64_t deadline);

/**
 * Give one to who waits longest, or count it.
 *
 * @param semaphore  a semaphore; who releases need not be who acquired
 *
 * @retval 0           released
 * @retval -EOVERFLOW  it counts no further
 * @retval -EINVAL     semaphore is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_semaphore_release(struct tmgr_semaphore *semaphore);

/**
 * What could be acquired at this moment without waiting.
 *
 * @param semaphore  NULL has none
 *
 * @return a number, stale as soon as it is read
 *
 * @thread any thread
 */
TMGR_API unsigned tmgr_semaphore_count(const struct tmgr_semaphore *semaphore);

/**
 * Make a flag of any memory: clear.
 *
 * @param flag  written; NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_flag_init(struct tmgr_flag *flag);

/**
 * End a flag. Nobody may be waiting for it (else the program is stopped, with a message). The memory
 * is the caller's again.
 *
 * @param flag  NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_flag_fini(struct tmgr_flag *flag);

/**
 * Set a flag: all who wait for it go on, even if it is cleared before they run.
 *
 * @param flag  a flag, set or clear
 *
 * @retval 0        it is set
 * @retval -EINVAL  flag is NULL
 *
 * @thread any thread
 * @source asyncio, Event.set
 */
TMGR_API int tmgr_flag_set(struct tmgr_flag *flag);

/**
 * Clear a flag: who comes from now on waits.
 *
 * @param flag  a flag, set or clear
 *
 * @retval 0        it is clear
 * @retval -EINVAL  flag is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_flag_clear(struct tmgr_flag *flag);

/**
 * Whether a flag is set.
 *
 * @param flag  NULL is not
 *
 * @return stale as soon as it is read
 *
 * @thread any thread
 */
TMGR_API bool tmgr_flag_is_set(const struct tmgr_flag *flag);

/**
 * Wait until a flag is set.
 *
 * @param context   the task's, or NULL
 * @param flag      a flag
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NOW tries once
 *
 * @retval 0           it was set
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     flag is NULL
 *
 * @thread the task's; may block; cancellation point
 * @source asyncio, Event.wait
 */
TMGR_API int tmgr_flag_wait(struct tmgr_context *context, struct tmgr_flag *flag, int64_t deadline);

TMGR_END_DECLS

#endif
