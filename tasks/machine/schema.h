/*
 * A compiled schema: lists for what is ordered, bits for what is only asked. Never written once it is
 * compiled.
 */
#ifndef TMGR__MACHINE_SCHEMA_H
#define TMGR__MACHINE_SCHEMA_H

#include <taskmgr/tasks/machine_schema.h>

#include "bits.h"

#define TMGR__RELATIONS 4

/* What is known of a state in the resolver's loops, in one byte. */
enum {
	TMGR__STATE_MULTI = 1,
	TMGR__STATE_AUTOMATIC = 2,
	TMGR__STATE_ADDS = 4,
	TMGR__STATE_REMOVES = 8,
	TMGR__STATE_REMOVED = 16, /* by another */
	TMGR__STATE_REQUIRES = 32,
	TMGR__STATE_AFTER = 64,
	TMGR__STATE_TIMEOUT = 128,
};

struct tmgr_schema {
	uint32_t refs;  /* atomic */
	unsigned count; /* Exception, the last, included */
	size_t words;   /* of a set */
	uint8_t any;    /* what the states are, taken together */
	uint8_t *flags;
	/* Of each state a list in `pool`, ended by TMGR_STATES_END. */
	unsigned *lists[TMGR__RELATIONS];
	unsigned *pool;
	size_t pool_used;
	/* Of each state a set. */
	uint64_t *requires, *removes, *removed_by;
	uint64_t *automatic; /* one set */
	/*
	 * Places in the order of requirements, from 1; 0: neither requires nor is required. NULL where
	 * nothing is sorted by it. `placed`: who has a place.
	 */
	unsigned *places, *placed;
	unsigned placed_count;
	struct tmgr_machine_timeout *timeouts; /* of each state, or NULL */
	unsigned timeout_count;
	char **names;
	char *name;
};

static inline unsigned tmgr__schema_exception(const struct tmgr_schema *schema)
{
	return schema->count - 1;
}

static inline const unsigned *tmgr__schema_list(
	const struct tmgr_schema *schema, unsigned state, enum tmgr_relation relation)
{
	return schema->pool + schema->lists[relation][state];
}

static inline const uint64_t *tmgr__schema_set(
	const struct tmgr_schema *schema, const uint64_t *sets, unsigned state)
{
	return sets + state * schema->words;
}

/* A table as it was given, while it is compiled. */
struct tmgr__table {
	const struct tmgr_machine_state *rows;
	unsigned row_count;
	unsigned count; /* with Exception */
	const struct tmgr_schema_options *options;
	bool error, warning, no_memory;
};

/* The list of a row, or NULL. */
const unsigned *tmgr__table_list(
	const struct tmgr__table *table, unsigned state, enum tmgr_relation relation);
const char *tmgr__table_name(const struct tmgr__table *table, unsigned state);

/* What makes a table no schema, but for cycles. False: it cannot even be looked at further. */
bool tmgr__table_check(struct tmgr__table *table);
/* What can be said of one that was compiled, unknown states left out. */
void tmgr__schema_check(struct tmgr__table *table, const struct tmgr_schema *schema);

#endif
