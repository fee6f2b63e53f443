#include "broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/time.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

const struct mq_settings mq_settings_default = {
	.loops = 1,
	.clients_max = 10000,
	.memory_max = 256 * MIB,
	.channels_max = 1024,
	.patterns_max = 4096,
	.outbox = { .items = 64 * KIB, .bytes = 8 * MIB },
	.requests = { .line = 64 * KIB, .arguments = 1024, .bulk = 512 * KIB, .request = MIB },
	.replies_max = 4 * MIB,
};

int mq_broker_init(struct mq_broker *broker, const struct mq_settings *settings)
{
	size_t size = settings->loops * sizeof(broker->counts[0]);

	if (settings->loops == 0)
		return -EINVAL;
	*broker = (struct mq_broker){ .settings = *settings, .begun_ns = tmgr_now() };
	broker->store = mq_store_create(settings->memory_max);
	broker->topics = mq_topics_create(settings->patterns_max);
	broker->counts = aligned_alloc(alignof(struct mq_counts), size);
	if (!broker->store || !broker->topics || !broker->counts) {
		mq_broker_fini(broker);
		return -ENOMEM;
	}
	memset(broker->counts, 0, size);
	return 0;
}

void mq_broker_fini(struct mq_broker *broker)
{
	mq_store_destroy(broker->store);
	mq_topics_destroy(broker->topics);
	free(broker->counts);
	*broker = (struct mq_broker){ 0 };
}

static uint64_t read_count(const _Atomic(uint64_t) *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

void mq_broker_totals(const struct mq_broker *broker, struct mq_totals *ret_totals)
{
	*ret_totals = (struct mq_totals){ .clients = read_count(&broker->clients),
		.refused = read_count(&broker->refused) };
	for (size_t i = 0; i < broker->settings.loops; i++) {
		const struct mq_counts *counts = &broker->counts[i];

		ret_totals->connections += read_count(&counts->connections);
		ret_totals->commands += read_count(&counts->commands);
		ret_totals->published += read_count(&counts->published);
		ret_totals->delivered += read_count(&counts->delivered);
		ret_totals->dropped += read_count(&counts->dropped);
		ret_totals->slow += read_count(&counts->slow);
		ret_totals->idle += read_count(&counts->idle);
		ret_totals->errors += read_count(&counts->errors);
	}
}

/* ---- Clients --------------------------------------------------------------------------------- */

void mq_client_init(struct mq_client *client, struct mq_broker *broker, size_t loop,
	const struct mq_client_ops *ops)
{
	*client = (struct mq_client){ .ops = ops,
		.broker = broker,
		.counts = &broker->counts[loop],
		.id = atomic_fetch_add(&broker->next_id, 1) + 1,
		.reply.max = broker->settings.replies_max };
	atomic_init(&client->refs, 1);
	mq_outbox_init(&client->outbox, &broker->settings.outbox);
}

struct mq_client *mq_client_ref(struct mq_client *client)
{
	atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
	return client;
}

void mq_client_unref(struct mq_client *client)
{
	if (atomic_fetch_sub_explicit(&client->refs, 1, memory_order_acq_rel) == 1)
		client->ops->release(client);
}

void mq_client_leave(struct mq_client *client)
{
	while (client->subscriptions)
		mq_unsubscribe(client->subscriptions);
	if (mq_outbox_close(&client->outbox))
		client->ops->wake(client);
}

void mq_client_fini(struct mq_client *client)
{
	mq_outbox_fini(&client->outbox);
	resp_reply_fini(&client->reply);
}

void mq_client_queue_replies(struct mq_client *client)
{
	struct mq_item item = { 0 };
	enum mq_push result = MQ_FULL;

	if (client->reply.size == 0)
		return;
	item.head = mq_blob_copy(client->reply.data, client->reply.size);
	if (item.head)
		result = mq_outbox_push(&client->outbox, &item);
	mq_blob_unref(item.head);
	client->reply.size = 0;
	if (result == MQ_PUSHED_WAKE)
		client->ops->wake(client);
	if (result == MQ_FULL)
		client->ops->end(client);
}
