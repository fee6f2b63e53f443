#include "tasks/schedule.h"

int64_t tmgr__schedule_add(int64_t at, int64_t ns)
{
	int64_t sum;

	if (!__builtin_add_overflow(at, ns, &sum))
		return sum;
	return ns > 0 ? TMGR_NEVER : INT64_MIN;
}

int64_t tmgr__schedule_tick(
	enum tmgr_interval_missed missed, int64_t period_ns, int64_t tick, int64_t now)
{
	int64_t period = period_ns > 0 ? period_ns : 1;
	int64_t next = tmgr__schedule_add(tick, period);
	uint64_t rest;

	if (next >= now || missed == TMGR_INTERVAL_BURST)
		return next;
	if (missed == TMGR_INTERVAL_DELAY)
		return now;
	/* The difference of any two fits the unsigned type. */
	rest = ((uint64_t)now - (uint64_t)tick) % (uint64_t)period;
	return rest == 0 ? now : tmgr__schedule_add(now, period - (int64_t)rest);
}

int64_t tmgr__backoff_next(const struct tmgr__backoff *backoff, int64_t previous_ns, int64_t ran_ns)
{
	int64_t wait = backoff->first_ns;

	if (wait <= 0)
		return 0;
	if (previous_ns > 0 && ran_ns < backoff->reset_ns &&
		__builtin_mul_overflow(previous_ns, (int64_t)backoff->factor, &wait))
		return backoff->max_ns;
	return wait < backoff->max_ns ? wait : backoff->max_ns;
}

int64_t tmgr__backoff_jitter(const struct tmgr__backoff *backoff, int64_t wait_ns, uint64_t *random)
{
	int64_t percent = backoff->jitter_percent;
	int64_t most = wait_ns / 100 * percent + wait_ns % 100 * percent / 100;

	return wait_ns - tmgr__random_below(random, most);
}

bool tmgr__window_admit(struct tmgr__window *window, int64_t now)
{
	if (window->limit == 0)
		return true;
	if (window->count < window->limit) {
		window->times[window->count++] = now;
		return true;
	}
	if (tmgr__schedule_add(window->times[window->oldest], window->window_ns) > now)
		return false;
	window->times[window->oldest] = now;
	window->oldest = (window->oldest + 1) % window->limit;
	return true;
}

/* splitmix64: each state is followed by another, and none is bad to begin with. */
static uint64_t random_next(uint64_t *random)
{
	uint64_t z = *random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t tmgr__random_below(uint64_t *random, int64_t max_ns)
{
	if (max_ns <= 0)
		return 0;
	return (int64_t)(random_next(random) % ((uint64_t)max_ns + 1));
}
