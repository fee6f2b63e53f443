/*
 * A table of nodes by name, which grows. Nodes are part of what they stand for. Names come from
 * clients, so the hash has a secret seed: nobody can choose names that meet in one bucket.
 */
#ifndef MQ_TABLE_H
#define MQ_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mq_node {
	struct mq_node *next;
	uint64_t hash;
	const char *name;
	size_t length;
};

/** All zero is empty. */
struct mq_table {
	struct mq_node **buckets;
	size_t count, capacity;
};

struct mq_seed {
	uint64_t words[2];
};

/** From the system's random numbers. 0 or a negative errno. */
int mq_seed_init(struct mq_seed *ret_seed);

/** SipHash-1-3. */
uint64_t mq_hash(const struct mq_seed *seed, const char *bytes, size_t size);

/** Room for one more. 0, or -ENOMEM where there is none at all. */
int mq_table_reserve(struct mq_table *table);

/** Where it is linked, for removing; NULL: there is none. */
struct mq_node **mq_table_find(
	const struct mq_table *table, uint64_t hash, const char *name, size_t length);

/** After a reserve that succeeded; its name is not in the table. */
void mq_table_insert(struct mq_table *table, struct mq_node *node);
void mq_table_remove(struct mq_table *table, struct mq_node **link);

/** Release the table's own memory. */
void mq_table_fini(struct mq_table *table);

#endif
