#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "publisher.h"

struct publisher {
	const char *name;
	struct broker *broker;
};

static int publisher_initialize(void *self, struct tmgr_context *context)
{
	struct publisher *publisher = self;

	(void)context;
	broker_publisher_begin(publisher->broker);
	return 0;
}

static int publisher_execute(void *self, struct tmgr_context *context)
{
	struct publisher *publisher = self;
	struct message message = { publisher->name, 1 };
	int r;

	while ((r = broker_publish(publisher->broker, context, &message)) == 0) {
		printf("%s: sent %u\n", publisher->name, message.number++);
		r = tmgr_sleep(context, 100 * TMGR_MILLISECOND);
		if (r < 0)
			break;
	}
	broker_publisher_end(publisher->broker);
	return r; /* -ECANCELED after the stop: a clean end */
}

struct tmgr_task publisher_task(const char *name, struct broker *broker)
{
	static const struct tmgr_task_ops ops = {
		.kind = "publisher",
		.initialize = publisher_initialize,
		.execute = publisher_execute,
		.destroy = free,
	};
	struct publisher *publisher = malloc(sizeof(*publisher));

	if (publisher == NULL)
		return tmgr_task_failed(-ENOMEM);
	*publisher = (struct publisher){ name, broker };
	return (struct tmgr_task){ &ops, publisher };
}
