#include <errno.h>
#include <time.h>

#include "tests/support/latch.h"

static struct timespec limit(clockid_t clock)
{
	struct timespec end;

	clock_gettime(clock, &end);
	end.tv_sec += LATCH_LIMIT_S;
	return end;
}

void latch_init(struct latch *latch)
{
	pthread_mutex_init(&latch->lock, NULL);
	pthread_cond_init(&latch->changed, NULL);
	latch->open = false;
	latch->arrived = 0;
}

void latch_arrive(struct latch *latch)
{
	pthread_mutex_lock(&latch->lock);
	latch->arrived++;
	pthread_cond_broadcast(&latch->changed);
	pthread_mutex_unlock(&latch->lock);
}

bool latch_wait(struct latch *latch)
{
	struct timespec end = limit(CLOCK_REALTIME);
	bool open;

	pthread_mutex_lock(&latch->lock);
	latch->arrived++;
	pthread_cond_broadcast(&latch->changed);
	while (!latch->open &&
		pthread_cond_timedwait(&latch->changed, &latch->lock, &end) != ETIMEDOUT)
		;
	open = latch->open;
	pthread_mutex_unlock(&latch->lock);
	return open;
}

bool latch_arrived(struct latch *latch, unsigned count)
{
	struct timespec end = limit(CLOCK_REALTIME);
	bool came;

	pthread_mutex_lock(&latch->lock);
	while (latch->arrived < count &&
		pthread_cond_timedwait(&latch->changed, &latch->lock, &end) != ETIMEDOUT)
		;
	came = latch->arrived >= count;
	pthread_mutex_unlock(&latch->lock);
	return came;
}

void latch_open(struct latch *latch)
{
	pthread_mutex_lock(&latch->lock);
	latch->open = true;
	pthread_cond_broadcast(&latch->changed);
	pthread_mutex_unlock(&latch->lock);
}

bool eventually(bool (*holds)(void *argument), void *argument)
{
	struct timespec end = limit(CLOCK_MONOTONIC), now, moment = { 0, 100000 };

	do {
		if (holds(argument))
			return true;
		nanosleep(&moment, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	return false;
}
