/**
 * @file
 * Interval: a task whose execute is called now and then every period.
 */
#ifndef TMGR_TASKS_INTERVAL_H
#define TMGR_TASKS_INTERVAL_H

#include <taskmgr/task.h>

/** What becomes of the ticks that came while execute was still running. It never overlaps itself.
 */
enum tmgr_interval_missed {
	TMGR_INTERVAL_SKIP,  /**< they are left out: the next run is at the next tick */
	TMGR_INTERVAL_BURST, /**< each is made up for, one after another, until none is left */
	TMGR_INTERVAL_DELAY, /**< one run at once, from which the ticks are counted anew */
};

/** How a task is repeated; all zero is the default. Durations are nanoseconds. */
struct tmgr_interval_options {
	enum tmgr_interval_missed missed;
	/** An error of execute is counted and the task goes on; else it ends with it. */
	bool keep_going;
	/** From the beginning of execute to the first tick: 0, it is now. */
	int64_t first_delay_ns;
	/** Each run begins up to this much after its tick, at random, at most a period: 0. The
	 * ticks stay where they are. */
	int64_t jitter_ns;
};

TMGR_BEGIN_DECLS

/**
 * A task that calls the execute of another now and then every period, until it is told to stop.
 *
 * Ticks are moments, a period apart, so that they do not drift. Initialize and cleanup are called
 * once, around all. An error that is counted is kept as the task's last error.
 *
 * @param task       taken, always
 * @param period_ns  nanoseconds, above 0
 * @param options    copied; NULL for the default
 *
 * @return the task; one that is refused with -EINVAL (task has no execute, period_ns is not above
 * 0, or an option is unknown or out of range) or -ENOMEM
 *
 * @thread any thread
 * @source goasync, RepeatTimer; the words for missed ticks are tokio's
 */
TMGR_API struct tmgr_task tmgr_interval(
	struct tmgr_task task, int64_t period_ns, const struct tmgr_interval_options *options);

TMGR_END_DECLS

#endif
