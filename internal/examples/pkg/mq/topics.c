/*
 * Locks: one for each shard of channels, one for the patterns; never two of these at once. Inside
 * them an outbox's, and no other. A client's own list of subscriptions is touched by its thread
 * only.
 *
 * A publisher that finds a writer waiting, or an outbox full, takes a reference of the client while
 * the lock is held, and wakes or ends it after the unlock. Only one at a time is told to wake a
 * writer, and only one ever to end a client (mq_outbox_push()), so clients are linked through
 * fields of their own.
 */
#include "topics.h"

#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "glob.h"
#include "table.h"

#define SHARDS 64

struct topic {
	struct mq_node node; /* first */
	struct mq_subscription *first;
	size_t refs; /* subscriptions */
	char name[];
};

struct mq_subscription {
	enum mq_kind kind;
	struct topic *topic;
	struct mq_client *client;
	struct mq_subscription *next, **link;         /* of the topic */
	struct mq_subscription *next_own, **link_own; /* of the client */
};

struct shard {
	alignas(64) pthread_mutex_t lock; /* of the table, its topics and their lists */
	struct mq_table table;
};

struct mq_topics {
	struct shard channels[SHARDS];
	struct shard patterns;
	size_t patterns_max;
	atomic_size_t patterns_count; /* subscriptions, so that most who publish need not lock */
	struct mq_seed seed;
};

struct mq_topics *mq_topics_create(size_t patterns_max)
{
	struct mq_topics *topics = aligned_alloc(alignof(struct mq_topics), sizeof(*topics));

	if (!topics)
		return NULL;
	memset(topics, 0, sizeof(*topics));
	if (mq_seed_init(&topics->seed) < 0) {
		free(topics);
		return NULL;
	}
	topics->patterns_max = patterns_max;
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&topics->channels[i].lock, NULL);
	pthread_mutex_init(&topics->patterns.lock, NULL);
	return topics;
}

void mq_topics_destroy(struct mq_topics *topics)
{
	if (!topics)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		mq_table_fini(&topics->channels[i].table);
		pthread_mutex_destroy(&topics->channels[i].lock);
	}
	mq_table_fini(&topics->patterns.table);
	pthread_mutex_destroy(&topics->patterns.lock);
	free(topics);
}

static struct shard *shard_of(struct mq_topics *topics, enum mq_kind kind, uint64_t hash)
{
	return kind == MQ_PATTERN ? &topics->patterns : &topics->channels[hash % SHARDS];
}

struct mq_bytes mq_subscription_name(const struct mq_subscription *subscription)
{
	return (struct mq_bytes){ subscription->topic->name, subscription->topic->node.length };
}

struct mq_subscription *mq_subscription_find(
	const struct mq_client *client, enum mq_kind kind, struct mq_bytes name)
{
	struct mq_subscription *at;
	struct mq_bytes own;

	for (at = client->subscriptions; at; at = at->next_own) {
		own = mq_subscription_name(at);
		if (at->kind == kind && own.length == name.length &&
			(own.length == 0 || memcmp(own.at, name.at, own.length) == 0))
			return at;
	}
	return NULL;
}

struct mq_subscription *mq_subscription_any(const struct mq_client *client, enum mq_kind kind)
{
	struct mq_subscription *at = client->subscriptions;

	while (at && at->kind != kind)
		at = at->next_own;
	return at;
}

static struct topic *find_topic(struct shard *shard, uint64_t hash, struct mq_bytes name)
{
	struct mq_node **link = mq_table_find(&shard->table, hash, name.at, name.length);

	return link ? (struct topic *)*link : NULL;
}

static struct topic *create_topic(uint64_t hash, struct mq_bytes name)
{
	struct topic *topic = malloc(sizeof(*topic) + name.length);

	if (!topic)
		return NULL;
	*topic = (struct topic){ .node = { NULL, hash, topic->name, name.length } };
	if (name.length > 0)
		memcpy(topic->name, name.at, name.length);
	return topic;
}

/* The topic of that name; the spare one is used up if there is none. */
static struct topic *acquire_topic(struct shard *shard, struct topic **spare)
{
	struct mq_bytes name = { (*spare)->name, (*spare)->node.length };
	struct topic *topic = find_topic(shard, (*spare)->node.hash, name);

	if (!topic && mq_table_reserve(&shard->table) == 0) {
		topic = *spare;
		*spare = NULL;
		mq_table_insert(&shard->table, &topic->node);
	}
	if (topic)
		topic->refs++;
	return topic;
}

/* Forget a subscription's topic, with the lock held; gives the topic if it was the last. */
static struct topic *release_topic(struct shard *shard, struct topic *topic)
{
	if (--topic->refs > 0)
		return NULL;
	mq_table_remove(&shard->table,
		mq_table_find(&shard->table, topic->node.hash, topic->name, topic->node.length));
	return topic;
}

static bool take_pattern(struct mq_topics *topics, enum mq_kind kind)
{
	if (kind != MQ_PATTERN)
		return true;
	if (atomic_fetch_add(&topics->patterns_count, 1) < topics->patterns_max)
		return true;
	atomic_fetch_sub(&topics->patterns_count, 1);
	return false;
}

static void give_pattern(struct mq_topics *topics, enum mq_kind kind)
{
	if (kind == MQ_PATTERN)
		atomic_fetch_sub(&topics->patterns_count, 1);
}

int mq_subscription_create(struct mq_client *client, enum mq_kind kind, struct mq_bytes name,
	struct mq_subscription **ret_subscription)
{
	struct mq_topics *topics = client->broker->topics;
	uint64_t hash = mq_hash(&topics->seed, name.at, name.length);
	struct shard *shard = shard_of(topics, kind, hash);
	struct mq_subscription *made = calloc(1, sizeof(*made));
	struct topic *spare = create_topic(hash, name);
	int r = -ENOMEM;

	if (!made || !spare)
		goto fail;
	r = -ENOSPC;
	if (!take_pattern(topics, kind))
		goto fail;
	pthread_mutex_lock(&shard->lock);
	made->topic = acquire_topic(shard, &spare);
	pthread_mutex_unlock(&shard->lock);
	r = -ENOMEM;
	if (!made->topic) {
		give_pattern(topics, kind);
		goto fail;
	}
	made->kind = kind;
	made->client = client;
	free(spare);
	*ret_subscription = made;
	return 0;
fail:
	free(spare);
	free(made);
	return r;
}

/* A list whose nodes know what points to them. */
#define LINK(node, head, next, link)                     \
	do {                                             \
		(node)->next = *(head);                  \
		(node)->link = (head);                   \
		if (*(head))                             \
			(*(head))->link = &(node)->next; \
		*(head) = (node);                        \
	} while (0)

#define UNLINK(node, next, link)                           \
	do {                                               \
		*(node)->link = (node)->next;              \
		if ((node)->next)                          \
			(node)->next->link = (node)->link; \
	} while (0)

void mq_subscribe(struct mq_subscription *subscription)
{
	struct mq_client *client = subscription->client;
	struct topic *topic = subscription->topic;
	struct shard *shard = shard_of(
		client->broker->topics, subscription->kind, topic->node.hash);

	LINK(subscription, &client->subscriptions, next_own, link_own);
	if (subscription->kind == MQ_PATTERN)
		client->patterns++;
	else
		client->channels++;
	pthread_mutex_lock(&shard->lock);
	LINK(subscription, &topic->first, next, link);
	pthread_mutex_unlock(&shard->lock);
}

void mq_unsubscribe(struct mq_subscription *subscription)
{
	struct mq_client *client = subscription->client;
	struct mq_topics *topics = client->broker->topics;
	struct topic *topic = subscription->topic;
	struct shard *shard = shard_of(topics, subscription->kind, topic->node.hash);

	UNLINK(subscription, next_own, link_own);
	if (subscription->kind == MQ_PATTERN)
		client->patterns--;
	else
		client->channels--;
	pthread_mutex_lock(&shard->lock);
	UNLINK(subscription, next, link);
	topic = release_topic(shard, topic);
	pthread_mutex_unlock(&shard->lock);
	give_pattern(topics, subscription->kind);
	free(topic);
	free(subscription);
}

/* ---- Publishing ------------------------------------------------------------------------------ */

struct publishing {
	struct mq_client *publisher;
	struct mq_bytes channel;
	struct mq_item item;     /* its body is the payload, for all */
	struct mq_client *woken; /* to be woken after the unlock, each with a reference */
	struct mq_client *full;  /* to be ended likewise */
	int64_t receivers;
	int error;
};

/* "*3 message CHANNEL $LENGTH" or "*4 pmessage PATTERN CHANNEL $LENGTH", up to the payload. */
static struct mq_blob *encode_head(const struct publishing *publishing, const struct topic *pattern)
{
	char memory[2 * MQ_KEY_MAX + 128], number[32];
	struct resp_reply text = {
		.data = memory, .capacity = sizeof(memory), .max = sizeof(memory)
	};
	size_t length = publishing->item.body->size - 2;

	resp_add_array(&text, pattern ? 4 : 3);
	resp_add_text(&text, pattern ? "pmessage" : "message");
	if (pattern)
		resp_add_bulk(&text, pattern->name, pattern->node.length);
	resp_add_bulk(&text, publishing->channel.at, publishing->channel.length);
	resp_add_bytes(&text, number, (size_t)snprintf(number, sizeof(number), "$%zu\r\n", length));
	return text.error ? NULL : mq_blob_copy(memory, text.size);
}

static struct mq_blob *encode_body(struct mq_bytes payload)
{
	struct mq_blob *body = mq_blob_create(payload.length + 2);

	if (!body)
		return NULL;
	if (payload.length > 0)
		memcpy(body->bytes, payload.at, payload.length);
	memcpy(body->bytes + payload.length, "\r\n", 2);
	return body;
}

/* To one subscriber, with the shard's lock held. */
static void push(struct publishing *publishing, struct mq_client *client)
{
	enum mq_push result = mq_outbox_push(&client->outbox, &publishing->item);

	if (result == MQ_PUSHED || result == MQ_PUSHED_WAKE)
		publishing->receivers++;
	else
		mq_count(&publishing->publisher->counts->dropped, 1);
	if (result == MQ_PUSHED_WAKE) {
		mq_client_ref(client)->next_woken = publishing->woken;
		publishing->woken = client;
	} else if (result == MQ_FULL) {
		mq_client_ref(client)->next_full = publishing->full;
		publishing->full = client;
	}
}

static void push_all(struct publishing *publishing, const struct topic *topic)
{
	for (struct mq_subscription *at = topic->first; at; at = at->next)
		push(publishing, at->client);
}

static void publish_to_channel(struct publishing *publishing, struct mq_topics *topics)
{
	struct mq_bytes channel = publishing->channel;
	uint64_t hash = mq_hash(&topics->seed, channel.at, channel.length);
	struct shard *shard = shard_of(topics, MQ_CHANNEL, hash);
	struct topic *topic;

	publishing->item.head = encode_head(publishing, NULL);
	if (!publishing->item.head) {
		publishing->error = -ENOMEM;
		return;
	}
	pthread_mutex_lock(&shard->lock);
	topic = find_topic(shard, hash, channel);
	if (topic)
		push_all(publishing, topic);
	pthread_mutex_unlock(&shard->lock);
	mq_blob_unref(publishing->item.head);
}

static void publish_to_pattern(struct publishing *publishing, const struct topic *topic)
{
	struct mq_bytes channel = publishing->channel;

	if (!topic->first ||
		!mq_glob_match(topic->name, topic->node.length, channel.at, channel.length))
		return;
	publishing->item.head = encode_head(publishing, topic);
	if (publishing->item.head)
		push_all(publishing, topic);
	else
		publishing->error = -ENOMEM;
	mq_blob_unref(publishing->item.head);
}

static void publish_to_patterns(struct publishing *publishing, struct mq_topics *topics)
{
	struct shard *shard = &topics->patterns;

	if (atomic_load(&topics->patterns_count) == 0)
		return;
	pthread_mutex_lock(&shard->lock);
	for (size_t i = 0; i < shard->table.capacity; i++) {
		for (struct mq_node *node = shard->table.buckets[i]; node; node = node->next)
			publish_to_pattern(publishing, (struct topic *)node);
	}
	pthread_mutex_unlock(&shard->lock);
}

/* A reference may be the last: what comes after is read before. */
static void wake_and_end(struct publishing *publishing)
{
	struct mq_client *client, *next;

	for (client = publishing->woken; client; client = next) {
		next = client->next_woken;
		client->ops->wake(client);
		mq_client_unref(client);
	}
	for (client = publishing->full; client; client = next) {
		next = client->next_full;
		client->ops->end(client);
		mq_client_unref(client);
	}
}

int64_t mq_publish(struct mq_client *publisher, struct mq_bytes channel, struct mq_bytes payload)
{
	struct publishing publishing = { .publisher = publisher, .channel = channel };
	struct mq_topics *topics = publisher->broker->topics;

	publishing.item = (struct mq_item){ .body = encode_body(payload), .message = true };
	if (!publishing.item.body)
		return -ENOMEM;
	publish_to_channel(&publishing, topics);
	publish_to_patterns(&publishing, topics);
	mq_blob_unref(publishing.item.body);
	wake_and_end(&publishing);
	return publishing.receivers > 0 ? publishing.receivers : publishing.error;
}
