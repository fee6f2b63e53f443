#include "clock.h"

#include <time.h>

static int64_t monotonic_now(struct tmgr__clock *clock)
{
	struct timespec now;

	(void)clock;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * TMGR_SECOND + now.tv_nsec;
}

static void monotonic_sleep(
	struct tmgr__clock *clock, const uint32_t *word, uint32_t value, int64_t deadline)
{
	(void)clock;
	tmgr__futex_wait(word, value, deadline);
}

static const struct tmgr__clock_ops monotonic_ops = {
	.now = monotonic_now,
	.sleep = monotonic_sleep,
};

static struct tmgr__clock monotonic = { &monotonic_ops };
static __thread struct tmgr__clock *current;

struct tmgr__clock *tmgr__clock_current(void)
{
	return current ? current : &monotonic;
}

void tmgr__clock_use(struct tmgr__clock *clock)
{
	current = clock;
}

int64_t tmgr_now(void)
{
	return tmgr__clock_now(tmgr__clock_current());
}

int64_t tmgr_after(int64_t ns)
{
	return tmgr__time_add(tmgr_now(), ns);
}

struct sleeper {
	struct tmgr__list node;
	const uint32_t *word;
	int64_t deadline;
};

static int64_t virtual_now(struct tmgr__clock *base)
{
	struct tmgr__virtual_clock *clock = container_of(base, struct tmgr__virtual_clock, clock);

	return __atomic_load_n(&clock->now, __ATOMIC_ACQUIRE);
}

static void virtual_sleep(
	struct tmgr__clock *base, const uint32_t *word, uint32_t value, int64_t deadline)
{
	struct tmgr__virtual_clock *clock = container_of(base, struct tmgr__virtual_clock, clock);
	struct sleeper sleeper = { .word = word, .deadline = deadline };
	bool due;

	tmgr__lock_acquire(&clock->lock);
	due = clock->now >= deadline;
	tmgr__list_append(&clock->sleepers, &sleeper.node);
	tmgr__lock_release(&clock->lock);
	/*
	 * The wake of a clock that moves before the next line would be lost; so it is looked for
	 * now and then.
	 */
	while (!due && __atomic_load_n(word, __ATOMIC_ACQUIRE) == value) {
		struct tmgr__clock *real = &monotonic;

		tmgr__futex_wait(word, value, monotonic_now(real) + TMGR_MILLISECOND);
		due = virtual_now(base) >= deadline;
	}
	tmgr__lock_acquire(&clock->lock);
	tmgr__list_remove(&sleeper.node);
	tmgr__lock_release(&clock->lock);
}

static const struct tmgr__clock_ops virtual_ops = {
	.now = virtual_now,
	.sleep = virtual_sleep,
};

void tmgr__virtual_clock_init(struct tmgr__virtual_clock *clock, int64_t now)
{
	*clock = (struct tmgr__virtual_clock){ .clock = { &virtual_ops }, .now = now };
	tmgr__list_init(&clock->sleepers);
}

void tmgr__virtual_clock_set(struct tmgr__virtual_clock *clock, int64_t now)
{
	struct tmgr__list *node;

	tmgr__lock_acquire(&clock->lock);
	if (now > clock->now)
		__atomic_store_n(&clock->now, now, __ATOMIC_RELEASE);
	tmgr__list_for (node, &clock->sleepers) {
		struct sleeper *sleeper = container_of(node, struct sleeper, node);

		/* Under the lock: the sleeper's word is there for as long as it is in the list. */
		if (sleeper->deadline <= clock->now)
			tmgr__futex_wake(sleeper->word, INT32_MAX);
	}
	tmgr__lock_release(&clock->lock);
}
