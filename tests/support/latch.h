/*
 * A latch holds user code in a known place until the test lets it go. Both sides wait for the
 * event, never for a time, and both give up after LATCH_LIMIT_S, so that a mistake fails instead of
 * hanging.
 */
#ifndef TESTS_SUPPORT_LATCH_H
#define TESTS_SUPPORT_LATCH_H

#include <pthread.h>
#include <stdbool.h>

#define LATCH_LIMIT_S 30

struct latch {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	unsigned arrived; /* how many came, in all */
};

#define LATCH_INIT                                                            \
	{                                                                     \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0 \
	}

/* Close a latch and forget who came; for memory that is not static. */
void latch_init(struct latch *latch);

/* Arrive, and wait until it is open; false when it took too long. */
bool latch_wait(struct latch *latch);

/* Arrive and go on: an event to be waited for. */
void latch_arrive(struct latch *latch);

/* Wait until count have arrived; false when it took too long. */
bool latch_arrived(struct latch *latch, unsigned count);

/* Let all go that wait and that will come. */
void latch_open(struct latch *latch);

/* Wait for something that has no event of its own to become true: looked at every 100 us, bounded
 * as above. */
bool eventually(bool (*holds)(void *argument), void *argument);

#endif
