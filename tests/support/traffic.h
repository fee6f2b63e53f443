/*
 * What actors that send to each other must have seen, whatever the schedule was: a reference that knows nothing of the library.
 */
#ifndef TESTS_SUPPORT_TRAFFIC_H
#define TESTS_SUPPORT_TRAFFIC_H

#include <stddef.h>

#define TRAFFIC_OPERATIONS_MAX 256

/* One item that went into a channel or came out; values are the sender's number times this plus a
 * count from 1. */
#define TRAFFIC_VALUES 65536

struct traffic_item {
	int channel, value;
};

struct traffic_actor {
	int ran;          /* how often its function was called */
	int began, ended; /* it was spawned; its end was seen by who awaited it */
	int returned;     /* what its function returned */
	int awaited;      /* what awaiting it gave */
	int cancelled;    /* somebody may have cancelled it, or one above it */
	size_t sent_count, received_count;
	struct traffic_item sent[TRAFFIC_OPERATIONS_MAX], received[TRAFFIC_OPERATIONS_MAX];
};

/* NULL when it can have been so; else what cannot be. `left` is what the channels held in the end;
 * `cancel` the result that a cancelled actor has. */
const char *traffic_check(const struct traffic_actor *actors, size_t count,
	const struct traffic_item *left, size_t left_count, int cancel);

#endif
