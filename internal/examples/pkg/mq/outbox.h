/*
 * What is to be written to a client, in order: pushed by any loop, taken by the client's writer. It
 * has limits; one that is full is the end of a client that reads too slowly, so nobody else waits
 * for it.
 */
#ifndef MQ_OUTBOX_H
#define MQ_OUTBOX_H

#include <pthread.h>
#include <stdbool.h>

#include "blob.h"

/** One message, or some replies. */
struct mq_item {
	struct mq_blob *head, *body; /* written one behind the other; body may be NULL */
	bool message;                /* to be counted */
};

struct mq_outbox_limits {
	size_t items, bytes;
};

enum mq_push {
	MQ_PUSHED,
	MQ_PUSHED_WAKE, /* the writer waits, and the caller is the one to wake it */
	MQ_FULL,        /* refused, and the caller is the one to end the client */
	MQ_REFUSED,     /* closed, or full before */
};

struct mq_outbox {
	pthread_mutex_t lock; /* of all below */
	const struct mq_outbox_limits *limits;
	struct mq_item *items; /* a ring */
	size_t first, count, capacity;
	size_t bytes; /* in the ring, or taken and not released */
	bool waiting, closed, full;
};

void mq_outbox_init(struct mq_outbox *outbox, const struct mq_outbox_limits *limits);

/** Releases what is left. */
void mq_outbox_fini(struct mq_outbox *outbox);

/** References are taken of what was pushed. */
enum mq_push mq_outbox_push(struct mq_outbox *outbox, const struct mq_item *item);

/** Nothing is pushed from now on. Whether the writer waits, to be woken by the caller. */
bool mq_outbox_close(struct mq_outbox *outbox);

/**
 * Take the first items.
 *
 * @return how many; 0: there are none, and the writer is noted as waiting, to be woken by whoever
 *         pushes or closes; -EPIPE: closed and empty; -ENOBUFS: it was full
 */
int mq_outbox_take(struct mq_outbox *outbox, struct mq_item *ret_items, int max);

/** The writer waits no more. False: somebody is about to wake it. */
bool mq_outbox_unwait(struct mq_outbox *outbox);

/** Items that were taken are written, or never will be. Gives how many were messages. */
size_t mq_outbox_release(struct mq_outbox *outbox, struct mq_item *items, int count);

/** Bytes that wait, or are being written. */
size_t mq_outbox_bytes(struct mq_outbox *outbox);

/** Drop what is there. Gives how many were messages. */
size_t mq_outbox_drop(struct mq_outbox *outbox);

#endif
