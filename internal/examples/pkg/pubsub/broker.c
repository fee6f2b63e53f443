#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker.h"

struct broker *broker_create(void)
{
	struct broker *broker = calloc(1, sizeof(*broker));

	if (broker == NULL)
		return NULL;
	if (tmgr_channel_create(sizeof(struct message), INBOX_ITEMS, &broker->inbox) < 0) {
		free(broker);
		return NULL;
	}
	return broker;
}

void broker_destroy(struct broker *broker)
{
	if (broker == NULL)
		return;
	for (size_t i = 0; i < broker->subscriptions_count; i++)
		tmgr_channel_unref(broker->subscriptions[i].channel);
	tmgr_channel_unref(broker->inbox);
	free(broker);
}

void broker_publisher_begin(struct broker *broker)
{
	atomic_fetch_add(&broker->publishing, 1);
}

void broker_publisher_end(struct broker *broker)
{
	if (atomic_fetch_sub(&broker->publishing, 1) == 1)
		tmgr_channel_close(broker->inbox);
}

int broker_publish(
	struct broker *broker, struct tmgr_context *context, const struct message *message)
{
	int r = tmgr_channel_send(context, broker->inbox, message, TMGR_NEVER);

	if (r == 0)
		atomic_fetch_add(&broker->published, 1);
	return r;
}

int broker_subscribe(struct broker *broker, struct subscription **ret_subscription)
{
	struct subscription *subscription = &broker->subscriptions[broker->subscriptions_count];
	int r;

	if (broker->subscriptions_count == SUBSCRIBERS_MAX)
		return -ENOSPC;
	r = tmgr_channel_create(sizeof(struct message), SUBSCRIBER_ITEMS, &subscription->channel);
	if (r < 0)
		return r;
	broker->subscriptions_count++;
	*ret_subscription = subscription;
	return 0;
}

static void deliver(
	struct broker *broker, struct tmgr_context *context, const struct message *message)
{
	/* One that has ended early has closed its channel: -EPIPE, and the others still get theirs.
	 */
	for (size_t i = 0; i < broker->subscriptions_count; i++)
		tmgr_channel_send(context, broker->subscriptions[i].channel, message, TMGR_NEVER);
}

/*
 * The broker does not hear the cancel, it hears the inbox close. Should that never happen it is
 * stuck at the end of the manager's shutdown deadline, and named.
 */
static int broker_execute(void *self, struct tmgr_context *context)
{
	struct broker *broker = self;
	struct message message;
	int r;

	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	while ((r = tmgr_channel_receive(context, broker->inbox, &message, TMGR_NEVER)) == 0)
		deliver(broker, context, &message);
	tmgr_uninterrupted_end(context);
	for (size_t i = 0; i < broker->subscriptions_count; i++)
		tmgr_channel_close(broker->subscriptions[i].channel);
	return r == -EPIPE ? 0 : r;
}

static int broker_cleanup(void *self, struct tmgr_context *context)
{
	struct broker *broker = self;

	(void)context;
	printf("published %u\n", atomic_load(&broker->published));
	for (size_t i = 0; i < broker->subscriptions_count; i++)
		printf("delivered %u to subscriber %zu\n", broker->subscriptions[i].delivered,
			i + 1);
	return 0;
}

struct tmgr_task broker_task(struct broker *broker)
{
	static const struct tmgr_task_ops ops = {
		.kind = "broker",
		.execute = broker_execute,
		.cleanup = broker_cleanup,
	};

	return (struct tmgr_task){ &ops, broker };
}
