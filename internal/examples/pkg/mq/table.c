#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_CAPACITY 16

int mq_seed_init(struct mq_seed *ret_seed)
{
	if (getrandom(ret_seed, sizeof(*ret_seed), 0) != (ssize_t)sizeof(*ret_seed))
		return -EIO;
	return 0;
}

static uint64_t rotate(uint64_t word, int bits)
{
	return word << bits | word >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

uint64_t mq_hash(const struct mq_seed *seed, const char *bytes, size_t size)
{
	uint64_t v[4] = { seed->words[0] ^ UINT64_C(0x736f6d6570736575),
		seed->words[1] ^ UINT64_C(0x646f72616e646f6d),
		seed->words[0] ^ UINT64_C(0x6c7967656e657261),
		seed->words[1] ^ UINT64_C(0x7465646279746573) };
	uint64_t word, last = (uint64_t)size << 56;
	size_t i;

	for (i = 0; size - i >= 8; i += 8) {
		memcpy(&word, bytes + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	for (size_t k = 0; i + k < size; k++)
		last |= (uint64_t)(unsigned char)bytes[i + k] << (8 * k);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct mq_node **bucket_of(const struct mq_table *table, uint64_t hash)
{
	/* The lowest bits choose among tables. */
	return &table->buckets[(hash >> 16) & (table->capacity - 1)];
}

static int resize(struct mq_table *table, size_t capacity)
{
	struct mq_table bigger = { .capacity = capacity };

	bigger.buckets = calloc(capacity, sizeof(struct mq_node *));
	if (!bigger.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < table->capacity; i++) {
		for (struct mq_node *node = table->buckets[i], *next; node; node = next) {
			next = node->next;
			mq_table_insert(&bigger, node);
		}
	}
	free(table->buckets);
	*table = bigger;
	return 0;
}

int mq_table_reserve(struct mq_table *table)
{
	if (table->count < table->capacity)
		return 0;
	/* One that cannot grow goes on with longer chains. */
	if (resize(table, table->capacity ? table->capacity * 2 : FIRST_CAPACITY) < 0)
		return table->capacity ? 0 : -ENOMEM;
	return 0;
}

struct mq_node **mq_table_find(
	const struct mq_table *table, uint64_t hash, const char *name, size_t length)
{
	struct mq_node **link;

	if (!table->buckets)
		return NULL;
	for (link = bucket_of(table, hash); *link; link = &(*link)->next) {
		if ((*link)->hash == hash && (*link)->length == length &&
			(length == 0 || memcmp((*link)->name, name, length) == 0))
			return link;
	}
	return NULL;
}

void mq_table_insert(struct mq_table *table, struct mq_node *node)
{
	struct mq_node **link = bucket_of(table, node->hash);

	node->next = *link;
	*link = node;
	table->count++;
}

void mq_table_remove(struct mq_table *table, struct mq_node **link)
{
	*link = (*link)->next;
	table->count--;
}

void mq_table_fini(struct mq_table *table)
{
	free(table->buckets);
	*table = (struct mq_table){ 0 };
}
