/**
 * @file
 * Retry: a task that is run again after an error, later each time.
 */
#ifndef TMGR_TASKS_RETRY_H
#define TMGR_TASKS_RETRY_H

#include <taskmgr/task.h>

/** In an option whose 0 is a default: none at all. */
#define TMGR_RETRY_NONE (-1)
/** Most restarts a limit can allow in its window. */
#define TMGR_RETRY_RESTARTS_MAX 1000

/** After which ends of execute a task is run again. Never once it was told to stop. */
enum tmgr_retry_when {
	TMGR_RETRY_ON_ERROR, /**< after anything but 0; 0 is passed on as its end */
	TMGR_RETRY_ALWAYS,   /**< after 0 as well */
};

/**
 * How a task is run again; all zero is the default.
 *
 * The first wait is backoff_ns; each that follows is backoff_factor times as long as the one
 * before, up to backoff_max_ns; one after an execute that lasted reset_ns is the first again. Each
 * is then shortened by up to jitter_percent, at random.
 */
struct tmgr_retry_options {
	enum tmgr_retry_when when;
	/** First wait, nanoseconds: 100 ms. TMGR_RETRY_NONE: never wait. */
	int64_t backoff_ns;
	/** Longest wait, nanoseconds: 30 s, or backoff_ns where that is longer. */
	int64_t backoff_max_ns;
	/** 1 to 100: 2. */
	int backoff_factor;
	/** 1 to 100: 20. TMGR_RETRY_NONE: waits are exact. */
	int jitter_percent;
	/** An execute that lasted so long was healthy, nanoseconds: 10 s. */
	int64_t reset_ns;
	/** Restarts within window_ns after which the next error is the task's: no limit, or 5
	 * without backoff; at most TMGR_RETRY_RESTARTS_MAX. TMGR_RETRY_NONE: no limit. */
	int restarts_max;
	/** With restarts_max, nanoseconds: 30 s. */
	int64_t window_ns;
};

TMGR_BEGIN_DECLS

/**
 * A task that runs another again after an error, until it is told to stop.
 *
 * A restart is cleanup, initialize, execute: cleanup at once, the other two after the wait, all on
 * the thread of execute. An initialize that fails then is an error to retry like one of execute,
 * and its cleanup is not called. The first initialize is the run's own: what it returns is passed
 * on. Cancel ends the wait at once.
 *
 * Errors that are retried are counted, and the last is shown, with the time of the next attempt, in
 * the snapshot and as events. The one that is not, because the limit was reached or the task was
 * told to stop, is passed on with its text.
 *
 * @param task     taken, always
 * @param options  copied; NULL for the default
 *
 * @return the task; one that is refused with -EINVAL (task has no execute, or an option is unknown
 * or out of range) or -ENOMEM
 *
 * @thread any thread
 * @source goasync, Repeatable
 */
TMGR_API struct tmgr_task tmgr_retry(
	struct tmgr_task task, const struct tmgr_retry_options *options);

TMGR_END_DECLS

#endif
