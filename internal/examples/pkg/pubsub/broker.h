/*
 * A broker between publishers and subscribers, each a task of its own.
 *
 *     publisher --.               .-- channel --> subscriber
 *     publisher ---- inbox --> broker -- channel --> subscriber
 *
 * On a stop only the publishers are cut short. The end then travels down the channels: the last
 * publisher closes the inbox, the broker drains it and closes the subscribers' channels, the
 * subscribers drain those. So whatever was sent is delivered.
 *
 * The broker's memory is the caller's of broker_create(), and borrowed by all these tasks until the
 * manager is destroyed.
 */
#ifndef PUBSUB_BROKER_H
#define PUBSUB_BROKER_H

#include <stdatomic.h>

#include <taskmgr/taskmgr.h>

#define SUBSCRIBERS_MAX 8
#define INBOX_ITEMS 4
/* What a slow subscriber may fall behind before it slows the publishers down. */
#define SUBSCRIBER_ITEMS 5

struct message {
	const char *publisher; /* static */
	unsigned number;
};

struct subscription {
	struct tmgr_channel *channel;
	unsigned delivered; /* written by the subscriber, read in the broker's cleanup */
};

struct broker {
	struct tmgr_channel *inbox;
	struct subscription subscriptions[SUBSCRIBERS_MAX];
	size_t subscriptions_count; /* grows in initialize only, on one thread */
	atomic_uint publishing;     /* publishers that have not ended */
	atomic_uint published;
};

/* NULL when out of memory. */
struct broker *broker_create(void);

void broker_destroy(struct broker *broker);

struct tmgr_task broker_task(struct broker *broker);

/* Called in a publisher's initialize, and at the end of its execute. */
void broker_publisher_begin(struct broker *broker);
void broker_publisher_end(struct broker *broker);

/* 0 when the message will be delivered; else the error of tmgr_channel_send(), and it will not. */
int broker_publish(
	struct broker *broker, struct tmgr_context *context, const struct message *message);

/* Called in a subscriber's initialize. 0, or -ENOSPC or -ENOMEM. */
int broker_subscribe(struct broker *broker, struct subscription **ret_subscription);

#endif
