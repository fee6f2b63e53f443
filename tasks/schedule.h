/*
 * When to run again: the rules of retry and interval as pure functions. They take any numbers, and
 * a result out of range is the nearest in it.
 */
#ifndef TMGR_TASKS_SCHEDULE_INTERNAL_H
#define TMGR_TASKS_SCHEDULE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/tasks/interval.h>

/* A moment and a duration: the moment after it, or TMGR_NEVER. */
int64_t tmgr__schedule_add(int64_t at, int64_t ns);

/* The tick after `tick`, whose run ended at `now`. */
int64_t tmgr__schedule_tick(
	enum tmgr_interval_missed missed, int64_t period_ns, int64_t tick, int64_t now);

/* How waits grow. */
struct tmgr__backoff {
	int64_t first_ns; /* 0: never wait */
	int64_t max_ns;
	int64_t reset_ns;
	int factor;
	int jitter_percent;
};

/* The wait after an attempt that took ran_ns, when the last wait was previous_ns (0: there was
 * none); jitter is not in either. */
int64_t tmgr__backoff_next(
	const struct tmgr__backoff *backoff, int64_t previous_ns, int64_t ran_ns);

/* The wait, shortened at random. */
int64_t tmgr__backoff_jitter(
	const struct tmgr__backoff *backoff, int64_t wait_ns, uint64_t *random);

/* Restarts in a sliding window: memory of the caller for limit times. */
struct tmgr__window {
	int64_t window_ns;
	size_t limit; /* 0: none */
	size_t count; /* of times that are set */
	size_t oldest;
	int64_t *times;
};

/* Whether one more may happen now; if so it is counted. */
bool tmgr__window_admit(struct tmgr__window *window, int64_t now);

/* A number from 0 to max_ns; 0 where that is negative. Always the same for the same state, which it
 * moves on. */
int64_t tmgr__random_below(uint64_t *random, int64_t max_ns);

#endif
