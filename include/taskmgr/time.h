/**
 * @file
 * Times: int64_t nanoseconds; durations, and absolute deadlines on the monotonic clock.
 */
#ifndef TMGR_TIME_H
#define TMGR_TIME_H

#include <stdint.h>

#include <taskmgr/version.h>

#define TMGR_MICROSECOND INT64_C(1000)
#define TMGR_MILLISECOND INT64_C(1000000)
#define TMGR_SECOND INT64_C(1000000000)
#define TMGR_MINUTE (60 * TMGR_SECOND)
#define TMGR_HOUR (60 * TMGR_MINUTE)

/** The deadline that never comes. */
#define TMGR_NEVER INT64_MAX
/** A deadline that has passed: a wait tries once and does not block. */
#define TMGR_NOW INT64_C(0)

TMGR_BEGIN_DECLS

/**
 * The time now: of the clock that the calling task's host has, else CLOCK_MONOTONIC.
 *
 * @return nanoseconds since an arbitrary moment, above 0
 *
 * @thread any thread
 */
TMGR_API int64_t tmgr_now(void);

/**
 * The deadline that is a duration from now.
 *
 * @param ns  nanoseconds; negative counts as 0
 *
 * @return tmgr_now() + ns, or TMGR_NEVER where that is out of range
 *
 * @thread any thread
 */
TMGR_API int64_t tmgr_after(int64_t ns);

TMGR_END_DECLS

#endif
