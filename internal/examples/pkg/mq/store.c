/*
 * Locks: one for each shard, no other inside it. A value that is replaced or deleted is released
 * after the unlock. What is to be allocated is, before the lock; but for the table's growth.
 */
#include "store.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#define SHARDS 64
#define NUMBER_MAX 24

struct shard {
	alignas(64) pthread_mutex_t lock; /* of all below */
	struct mq_table table;
};

struct entry {
	struct mq_node node; /* first */
	struct mq_blob *value;
	char key[];
};

struct mq_store {
	struct shard shards[SHARDS];
	struct mq_seed seed;
	size_t bytes_max;
	alignas(64) atomic_size_t bytes;
};

struct mq_store *mq_store_create(size_t bytes_max)
{
	struct mq_store *store = aligned_alloc(alignof(struct mq_store), sizeof(*store));

	if (!store)
		return NULL;
	memset(store, 0, sizeof(*store));
	if (mq_seed_init(&store->seed) < 0) {
		free(store);
		return NULL;
	}
	store->bytes_max = bytes_max;
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&store->shards[i].lock, NULL);
	return store;
}

static void destroy_shard(struct shard *shard)
{
	for (size_t i = 0; i < shard->table.capacity; i++) {
		for (struct mq_node *node = shard->table.buckets[i], *next; node; node = next) {
			next = node->next;
			mq_blob_unref(((struct entry *)node)->value);
			free(node);
		}
	}
	mq_table_fini(&shard->table);
	pthread_mutex_destroy(&shard->lock);
}

void mq_store_destroy(struct mq_store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < SHARDS; i++)
		destroy_shard(&store->shards[i]);
	free(store);
}

static struct shard *shard_of(struct mq_store *store, uint64_t hash)
{
	return &store->shards[hash % SHARDS];
}

static struct entry *find(struct shard *shard, uint64_t hash, const char *key, size_t length)
{
	struct mq_node **link = mq_table_find(&shard->table, hash, key, length);

	return link ? (struct entry *)*link : NULL;
}

struct mq_blob *mq_store_get(struct mq_store *store, const char *key, size_t length)
{
	uint64_t hash = mq_hash(&store->seed, key, length);
	struct shard *shard = shard_of(store, hash);
	struct mq_blob *value = NULL;
	struct entry *entry;

	pthread_mutex_lock(&shard->lock);
	entry = find(shard, hash, key, length);
	if (entry)
		value = mq_blob_ref(entry->value);
	pthread_mutex_unlock(&shard->lock);
	return value;
}

static size_t cost(size_t key, size_t value)
{
	return sizeof(struct entry) + sizeof(struct mq_blob) + sizeof(void *) + key + value;
}

/* Take a part of the memory there may be. */
static bool reserve(struct mq_store *store, size_t bytes)
{
	if (atomic_fetch_add(&store->bytes, bytes) + bytes <= store->bytes_max)
		return true;
	atomic_fetch_sub(&store->bytes, bytes);
	return false;
}

static struct entry *create_entry(uint64_t hash, const char *key, size_t length)
{
	struct entry *entry = malloc(sizeof(*entry) + length);

	if (!entry)
		return NULL;
	*entry = (struct entry){ .node = { NULL, hash, entry->key, length } };
	if (length > 0)
		memcpy(entry->key, key, length);
	return entry;
}

/* Put the value in its place, with the lock held. What was there, or what is not needed, is left in
 * the arguments for the caller to release. */
static int put(struct shard *shard, struct entry **entry, struct mq_blob **value)
{
	struct mq_node *node = &(*entry)->node;
	struct entry *old = find(shard, node->hash, node->name, node->length);
	struct mq_blob *before = NULL;

	if (!old && mq_table_reserve(&shard->table) < 0)
		return -ENOMEM;
	if (old) {
		before = old->value;
		old->value = *value;
	} else {
		(*entry)->value = *value;
		mq_table_insert(&shard->table, node);
		*entry = NULL;
	}
	*value = before;
	return 0;
}

int mq_store_set(struct mq_store *store, const char *key, size_t length, struct mq_blob *value)
{
	uint64_t hash = mq_hash(&store->seed, key, length);
	struct shard *shard = shard_of(store, hash);
	size_t bytes = cost(length, value->size);
	struct entry *entry;
	int r;

	if (!reserve(store, bytes)) {
		mq_blob_unref(value);
		return -ENOSPC;
	}
	entry = create_entry(hash, key, length);
	if (!entry) {
		atomic_fetch_sub(&store->bytes, bytes);
		mq_blob_unref(value);
		return -ENOMEM;
	}
	pthread_mutex_lock(&shard->lock);
	r = put(shard, &entry, &value);
	pthread_mutex_unlock(&shard->lock);
	/* Refused: the value that came is left; replaced: the one before; else none. */
	if (value)
		atomic_fetch_sub(&store->bytes, cost(length, value->size));
	free(entry);
	mq_blob_unref(value);
	return r;
}

bool mq_store_delete(struct mq_store *store, const char *key, size_t length)
{
	uint64_t hash = mq_hash(&store->seed, key, length);
	struct shard *shard = shard_of(store, hash);
	struct entry *entry = NULL;
	struct mq_node **link;

	pthread_mutex_lock(&shard->lock);
	link = mq_table_find(&shard->table, hash, key, length);
	if (link) {
		entry = (struct entry *)*link;
		mq_table_remove(&shard->table, link);
	}
	pthread_mutex_unlock(&shard->lock);
	if (!entry)
		return false;
	atomic_fetch_sub(&store->bytes, cost(length, entry->value->size));
	mq_blob_unref(entry->value);
	free(entry);
	return true;
}

bool mq_store_exists(struct mq_store *store, const char *key, size_t length)
{
	uint64_t hash = mq_hash(&store->seed, key, length);
	struct shard *shard = shard_of(store, hash);
	bool exists;

	pthread_mutex_lock(&shard->lock);
	exists = find(shard, hash, key, length) != NULL;
	pthread_mutex_unlock(&shard->lock);
	return exists;
}

static int parse_number(const struct mq_blob *value, int64_t *ret_number)
{
	char text[NUMBER_MAX], *end;

	if (value->size == 0 || value->size >= sizeof(text))
		return -EINVAL;
	memcpy(text, value->bytes, value->size);
	text[value->size] = '\0';
	if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
		return -EINVAL;
	errno = 0;
	*ret_number = strtoll(text, &end, 10);
	return errno != 0 || end != text + value->size ? -EINVAL : 0;
}

/* What is to be the new value, with the lock held: `value` has room for any number. */
static int sum_up(const struct entry *old, int64_t addend, struct mq_blob *value, int64_t *ret_sum)
{
	int64_t number = 0;

	if (old && parse_number(old->value, &number) < 0)
		return -EINVAL;
	if (__builtin_add_overflow(number, addend, ret_sum))
		return -ERANGE;
	value->size = (size_t)snprintf(value->bytes, NUMBER_MAX, "%" PRId64, *ret_sum);
	return 0;
}

int mq_store_add(
	struct mq_store *store, const char *key, size_t length, int64_t addend, int64_t *ret_sum)
{
	uint64_t hash = mq_hash(&store->seed, key, length);
	struct shard *shard = shard_of(store, hash);
	struct mq_blob *value = mq_blob_create(NUMBER_MAX);
	struct entry *entry = create_entry(hash, key, length);
	int64_t sum = 0;
	int r = -ENOMEM;

	if (!value || !entry)
		goto out;
	r = -ENOSPC;
	if (!reserve(store, cost(length, NUMBER_MAX)))
		goto out;
	pthread_mutex_lock(&shard->lock);
	r = sum_up(find(shard, hash, key, length), addend, value, &sum);
	if (r == 0) {
		atomic_fetch_sub(&store->bytes, NUMBER_MAX - value->size);
		r = put(shard, &entry, &value);
	} else {
		value->size = NUMBER_MAX;
	}
	pthread_mutex_unlock(&shard->lock);
	if (value)
		atomic_fetch_sub(&store->bytes, cost(length, value->size));
	if (r == 0)
		*ret_sum = sum;
out:
	free(entry);
	mq_blob_unref(value);
	return r;
}

size_t mq_store_keys(struct mq_store *store)
{
	size_t keys = 0;

	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&store->shards[i].lock);
		keys += store->shards[i].table.count;
		pthread_mutex_unlock(&store->shards[i].lock);
	}
	return keys;
}

size_t mq_store_bytes(const struct mq_store *store)
{
	return atomic_load(&store->bytes);
}
