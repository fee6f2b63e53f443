/*
 * Clocks: where the library reads the time and sleeps. Each thread uses one, the monotonic clock
 * unless it was given another; a manager gives its own to every thread it makes, so a test can take
 * time over.
 */
#ifndef TMGR__CLOCK_H
#define TMGR__CLOCK_H

#include <taskmgr/time.h>

#include "base/list.h"
#include "base/sync.h"

struct tmgr__clock;

struct tmgr__clock_ops {
	int64_t (*now)(struct tmgr__clock *clock);
	/*
	 * Sleep while *word is value, until woken or the deadline; may return early for no reason.
	 */
	void (*sleep)(
		struct tmgr__clock *clock, const uint32_t *word, uint32_t value, int64_t deadline);
};

struct tmgr__clock {
	const struct tmgr__clock_ops *ops;
};

/* The calling thread's clock. */
struct tmgr__clock *tmgr__clock_current(void);
/*
 * Adopt a clock for the calling thread, borrowed until it adopts another; NULL: the monotonic one.
 */
void tmgr__clock_use(struct tmgr__clock *clock);

static inline int64_t tmgr__clock_now(struct tmgr__clock *clock)
{
	return clock->ops->now(clock);
}

static inline void tmgr__clock_sleep(
	struct tmgr__clock *clock, const uint32_t *word, uint32_t value, int64_t deadline)
{
	clock->ops->sleep(clock, word, value, deadline);
}

/* now + ns, TMGR_NEVER when that is out of range; ns below 0 counts as 0. */
static inline int64_t tmgr__time_add(int64_t now, int64_t ns)
{
	if (ns <= 0)
		return now;
	return now > TMGR_NEVER - ns ? TMGR_NEVER : now + ns;
}

/*
 * A clock that only moves when it is told to. Sleepers with a deadline are woken when it is
 * reached.
 */
struct tmgr__virtual_clock {
	struct tmgr__clock clock;
	struct tmgr__lock lock;
	int64_t now;
	struct tmgr__list sleepers;
};

void tmgr__virtual_clock_init(struct tmgr__virtual_clock *clock, int64_t now);
void tmgr__virtual_clock_set(struct tmgr__virtual_clock *clock, int64_t now);

#endif
