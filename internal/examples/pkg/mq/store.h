/*
 * Keys and values, shared by all loops.
 *
 * The keys are spread over shards, each with a lock that is held for a look-up and a change of a
 * pointer: never over a wait, and never while a value is copied. So any loop serves any key at once;
 * with one owner for each shard nearly every command would travel to another loop and back.
 */
#ifndef MQ_STORE_H
#define MQ_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob.h"

struct mq_store;

/** @param bytes_max  of keys, values and what keeps them, all together; NULL: out of memory, or
 * the system gives no random numbers */
struct mq_store *mq_store_create(size_t bytes_max);
void mq_store_destroy(struct mq_store *store); /* NULL does nothing */

/** A reference, the caller's; NULL: there is no such key. */
struct mq_blob *mq_store_get(struct mq_store *store, const char *key, size_t length);

/**
 * @param value  taken, always
 *
 * @return 0; -ENOSPC: the limit is reached; -ENOMEM
 */
int mq_store_set(struct mq_store *store, const char *key, size_t length, struct mq_blob *value);

/** Whether it was there. */
bool mq_store_delete(struct mq_store *store, const char *key, size_t length);
bool mq_store_exists(struct mq_store *store, const char *key, size_t length);

/**
 * Add to a number; one that is missing is 0.
 *
 * @return 0; -EINVAL: the value is no number; -ERANGE: the sum is none of 64 bits; or as set
 */
int mq_store_add(
	struct mq_store *store, const char *key, size_t length, int64_t addend, int64_t *ret_sum);

size_t mq_store_keys(struct mq_store *store);
size_t mq_store_bytes(const struct mq_store *store);

#endif
