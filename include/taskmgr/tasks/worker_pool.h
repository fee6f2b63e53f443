/**
 * @file
 * Worker pool: some workers that take jobs from one bounded channel.
 */
#ifndef TMGR_TASKS_WORKER_POOL_H
#define TMGR_TASKS_WORKER_POOL_H

#include <taskmgr/channel.h>

/** Most workers of one pool. */
#define TMGR_WORKER_POOL_WORKERS_MAX 1000

/** What becomes of the jobs that are in the channel when the pool is told to stop. */
enum tmgr_worker_pool_stop {
	TMGR_WORKER_POOL_DRAIN, /**< they are done: a job whose sending succeeded is not lost */
	TMGR_WORKER_POOL_DROP,  /**< they are taken from the channel and dropped */
};

/** How a pool works; all zero is the default. */
struct tmgr_worker_pool_options {
	/** 1 to TMGR_WORKER_POOL_WORKERS_MAX: one for each processor. */
	size_t workers;
	enum tmgr_worker_pool_stop on_stop;
	/** With DRAIN, nanoseconds from the stop: waits of jobs then end with -ETIMEDOUT, what is
	 * left in the channel is dropped, and the pool ends with -ETIMEDOUT. 0: only the task's
	 * stop deadline. */
	int64_t drain_ns;
	/** An error of a job is counted and the pool goes on; else it ends with it. */
	bool keep_going;
	/** Do not close the channel at the stop, for a pool that is run again (under interruptible,
	 * say). */
	bool keep_open;
	/** Called, with the pool's self, for each job that is dropped: to release what it holds.
	 * May be NULL. */
	void (*drop)(void *self, void *job);
};

TMGR_BEGIN_DECLS

/**
 * A task that takes jobs from a channel, as they come, and calls a function for each, on some
 * workers at a time.
 *
 * To submit a job is to send it on the channel, with tmgr_channel_send(): from any thread, with a
 * deadline, waiting while the channel is full. Closing the channel says that no more will come: the
 * pool does what is in it and ends with 0.
 *
 * When the pool is told to stop it closes the channel, so that sending gives -EPIPE from then on,
 * and does or drops what is in it. With TMGR_WORKER_POOL_DRAIN cancel does not cut short the waits
 * of a job: it is done to its end (tmgr_context_cancelled() tells it, and drain_ns bounds those
 * begun after the stop); with TMGR_WORKER_POOL_DROP it does.
 *
 * An error of a job, unless it is counted, cancels the other workers and is what the pool ends
 * with, with its text; the channel stays open and keeps the jobs not begun, so that tmgr_retry()
 * goes on with them. While the pool drains an error does not stop it, and the first is what it ends
 * with.
 *
 * When it executes it can end with -EAGAIN (no thread could be made) or -ENOMEM.
 *
 * @param channel  of jobs, its items; referenced until the task is destroyed
 * @param work     called with self, a context of the worker, and a copy of the job that is its own
 * until it returns; returns 0 or a negative errno
 * @param self     for work; borrowed until the task ends
 * @param options  copied; NULL for the default
 *
 * @return the task; one that is refused with -EINVAL (channel or work is NULL, or an option is
 * unknown or out of range) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_worker_pool(struct tmgr_channel *channel,
	int (*work)(void *self, struct tmgr_context *context, void *job), void *self,
	const struct tmgr_worker_pool_options *options);

TMGR_END_DECLS

#endif
