#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "subscriber.h"

struct subscriber {
	const char *name;
	struct broker *broker;
	struct subscription *subscription;
};

static int subscriber_initialize(void *self, struct tmgr_context *context)
{
	struct subscriber *subscriber = self;
	int r = broker_subscribe(subscriber->broker, &subscriber->subscription);

	return r < 0 ? tmgr_fail(context, r, "cannot subscribe") : 0;
}

/* Until the broker closes the channel and it is empty; see broker.h. */
static int subscriber_execute(void *self, struct tmgr_context *context)
{
	struct subscriber *subscriber = self;
	struct subscription *subscription = subscriber->subscription;
	struct message message;
	int r;

	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	while ((r = tmgr_channel_receive(context, subscription->channel, &message, TMGR_NEVER)) ==
		0) {
		printf("%s: %u of %s\n", subscriber->name, message.number, message.publisher);
		subscription->delivered++;
		tmgr_sleep(context, 150 * TMGR_MILLISECOND);
	}
	tmgr_uninterrupted_end(context);
	tmgr_channel_close(subscription->channel);
	if (r != -EPIPE)
		return r;
	if (!tmgr_context_cancelled(context))
		return tmgr_fail(context, -EPIPE, "the broker closed the channel");
	return 0;
}

struct tmgr_task subscriber_task(const char *name, struct broker *broker)
{
	static const struct tmgr_task_ops ops = {
		.kind = "subscriber",
		.initialize = subscriber_initialize,
		.execute = subscriber_execute,
		.destroy = free,
	};
	struct subscriber *subscriber = malloc(sizeof(*subscriber));

	if (subscriber == NULL)
		return tmgr_task_failed(-ENOMEM);
	*subscriber = (struct subscriber){ name, broker, NULL };
	return (struct tmgr_task){ &ops, subscriber };
}
