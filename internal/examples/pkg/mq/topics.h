/*
 * Who is subscribed to what, shared by all loops: channels in shards with a lock each, patterns in
 * one list. A lock is held while a message's references are pushed to the outboxes of those who
 * want it, never over a wait or a wake.
 *
 * So a message is in every outbox when publishing returns, and its number is exact. Messages of one
 * publisher reach each subscriber in order.
 */
#ifndef MQ_TOPICS_H
#define MQ_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mq_client;
struct mq_topics;
struct mq_subscription;

enum mq_kind {
	MQ_CHANNEL,
	MQ_PATTERN,
};

struct mq_bytes {
	const char *at;
	size_t length;
};

struct mq_topics *mq_topics_create(size_t patterns_max); /* NULL: out of memory */
void mq_topics_destroy(struct mq_topics *topics);        /* nobody may be subscribed */

/** What a client is subscribed to, by its name. NULL: it is not. */
struct mq_subscription *mq_subscription_find(
	const struct mq_client *client, enum mq_kind kind, struct mq_bytes name);
struct mq_subscription *mq_subscription_any(const struct mq_client *client, enum mq_kind kind);
struct mq_bytes mq_subscription_name(const struct mq_subscription *subscription);

/**
 * Prepare a subscription. It takes effect with mq_subscribe(), which cannot fail: in between goes
 * the answer that says so.
 *
 * @return 0; -ENOMEM; -ENOSPC: there are too many patterns
 */
int mq_subscription_create(struct mq_client *client, enum mq_kind kind, struct mq_bytes name,
	struct mq_subscription **ret_subscription);
void mq_subscribe(struct mq_subscription *subscription);
void mq_unsubscribe(struct mq_subscription *subscription);

/** How many subscribers it was pushed to; -ENOMEM: to none. */
int64_t mq_publish(struct mq_client *publisher, struct mq_bytes channel, struct mq_bytes payload);

#endif
