/*
 * The jobs of a pool of workers: numbers in a channel, and a record of what was done with each.
 */
#ifndef TESTS_SUPPORT_WORKSHOP_H
#define TESTS_SUPPORT_WORKSHOP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/latch.h"

#define JOBS_MAX 20000

/* What the jobs, which are numbers, do. */
struct workshop {
	struct tmgr_channel *channel;
	struct latch begun; /* arrived at by each job */
	struct latch *hold; /* waited for, deaf to the cancel; may be NULL */
	int held_from;      /* the first job that does */
	int64_t takes_ns;   /* then slept, with the context */
	int fails;          /* the job that fails, if above 0 */
	atomic_int done, dropped, cancelled;
	atomic_uchar times[1 + JOBS_MAX]; /* each was done */
};

#define WORKSHOP(...)                            \
	{                                        \
		.begun = LATCH_INIT, __VA_ARGS__ \
	}

/* Create its channel, which the test unrefs. */
void open_shop(struct workshop *shop, size_t capacity);

/* Do one job; the function of the pool. */
int work(void *self, struct tmgr_context *context, void *job);

/* Count a job that is dropped; the pool's option. */
void drop(void *self, void *job);

/* Send one job; gives what tmgr_channel_send() does. */
int submit(struct workshop *shop, int number, int64_t deadline);

/* Send the jobs 1 to count. */
void submit_all(struct workshop *shop, int count);

#endif
