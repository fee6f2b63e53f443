/* Commands on channels. */
#include <errno.h>

#include "command.h"

static const char *const verbs[][2] = {
	[MQ_CHANNEL] = { "subscribe", "unsubscribe" },
	[MQ_PATTERN] = { "psubscribe", "punsubscribe" },
};

/* Each name has an answer of its own, with how many subscriptions there are then. */
static void add_answer(
	struct mq_client *client, const char *verb, const struct mq_bytes *name, size_t count)
{
	resp_add_array(&client->reply, 3);
	resp_add_text(&client->reply, verb);
	if (name)
		resp_add_bulk(&client->reply, name->at, name->length);
	else
		resp_add_null(&client->reply);
	resp_add_integer(&client->reply, (int64_t)count);
}

static struct mq_bytes bytes_of(const struct resp_argument *argument)
{
	return (struct mq_bytes){ argument->at, argument->length };
}

/* The answer is in the outbox before the first message can be. */
static void subscribe_one(
	struct mq_client *client, enum mq_kind kind, const struct resp_argument *argument)
{
	struct mq_bytes name = bytes_of(argument);
	size_t count = client->channels + client->patterns;
	struct mq_subscription *subscription;
	int r;

	if (!mq_is_key(client, argument))
		return;
	if (mq_subscription_find(client, kind, name)) {
		add_answer(client, verbs[kind][0], &name, count);
		return;
	}
	r = count < client->broker->settings.channels_max
		    ? mq_subscription_create(client, kind, name, &subscription)
		    : -ENOSPC;
	if (r < 0) {
		resp_add_error(&client->reply, "ERR %s",
			r == -ENOSPC ? "too many subscriptions" : "out of memory");
		return;
	}
	add_answer(client, verbs[kind][0], &name, count + 1);
	client->queued = true;
	mq_client_queue_replies(client);
	mq_subscribe(subscription);
}

static void subscribe_each(struct mq_client *client, enum mq_kind kind, const struct mq_call *call)
{
	for (size_t i = 1; i < call->count; i++)
		subscribe_one(client, kind, &call->arguments[i]);
}

static void unsubscribe_one(
	struct mq_client *client, enum mq_kind kind, const struct mq_bytes *name)
{
	struct mq_subscription *subscription = mq_subscription_find(client, kind, *name);

	add_answer(client, verbs[kind][1], name,
		client->channels + client->patterns - (subscription != NULL));
	if (subscription)
		mq_unsubscribe(subscription);
}

/* Without names: from all. */
static void unsubscribe_each(
	struct mq_client *client, enum mq_kind kind, const struct mq_call *call)
{
	struct mq_subscription *any = mq_subscription_any(client, kind);
	struct mq_bytes name;

	if (call->count == 1 && !any)
		add_answer(client, verbs[kind][1], NULL, client->channels + client->patterns);
	for (; call->count == 1 && any; any = mq_subscription_any(client, kind)) {
		name = mq_subscription_name(any);
		unsubscribe_one(client, kind, &name);
	}
	for (size_t i = 1; i < call->count; i++) {
		name = bytes_of(&call->arguments[i]);
		unsubscribe_one(client, kind, &name);
	}
}

void mq_do_subscribe(struct mq_client *client, const struct mq_call *call)
{
	subscribe_each(client, MQ_CHANNEL, call);
}

void mq_do_psubscribe(struct mq_client *client, const struct mq_call *call)
{
	subscribe_each(client, MQ_PATTERN, call);
}

void mq_do_unsubscribe(struct mq_client *client, const struct mq_call *call)
{
	unsubscribe_each(client, MQ_CHANNEL, call);
}

void mq_do_punsubscribe(struct mq_client *client, const struct mq_call *call)
{
	unsubscribe_each(client, MQ_PATTERN, call);
}

void mq_do_publish(struct mq_client *client, const struct mq_call *call)
{
	int64_t receivers;

	if (!mq_is_key(client, &call->arguments[1]))
		return;
	mq_count(&client->counts->published, 1);
	receivers = mq_publish(
		client, bytes_of(&call->arguments[1]), bytes_of(&call->arguments[2]));
	if (receivers < 0)
		resp_add_error(&client->reply, "ERR out of memory");
	else
		resp_add_integer(&client->reply, receivers);
}
