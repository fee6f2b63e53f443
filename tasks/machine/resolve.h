/*
 * The target of a mutation, by relations alone: a pure function of the schema, what is active and
 * what is called.
 */
#ifndef TMGR__MACHINE_RESOLVE_H
#define TMGR__MACHINE_RESOLVE_H

#include "schema.h"

/* A list of states, each once, and the same as a set. */
struct tmgr__states {
	unsigned *list;
	size_t count;
	uint64_t *set;
};

struct tmgr__resolving {
	const struct tmgr_schema *schema;
	enum tmgr_mutation_kind kind; /* no toggle */
	bool automatic;
	const struct tmgr__states *active; /* in stored order */
	const struct tmgr__states *called;
};

/* Memory for it, with room for all states. */
struct tmgr__scratch {
	unsigned *order, *path; /* only where a state is after another */
	uint64_t *set;
};

/* Write the target. */
void tmgr__resolve(const struct tmgr__resolving *resolving, struct tmgr__scratch *scratch,
	struct tmgr__states *target);
/* Whether the mutation may be executed with this target. */
bool tmgr__resolve_accepts(
	const struct tmgr__resolving *resolving, const struct tmgr__states *target);
/* Order a list as handlers are called: required before requiring, then each behind what it is after. */
void tmgr__resolve_sort(const struct tmgr_schema *schema, struct tmgr__scratch *scratch,
	struct tmgr__states *states);

static inline void tmgr__states_clear(struct tmgr__states *states, size_t words)
{
	states->count = 0;
	tmgr__bits_clear(states->set, words);
}

/* Append a state, unless it is there. */
static inline void tmgr__states_append(struct tmgr__states *states, unsigned state)
{
	if (!tmgr__bits_has(states->set, state)) {
		tmgr__bits_add(states->set, state);
		states->list[states->count++] = state;
	}
}

static inline void tmgr__states_copy(
	struct tmgr__states *states, const struct tmgr__states *from, size_t words)
{
	memcpy(states->list, from->list, from->count * sizeof(*from->list));
	states->count = from->count;
	tmgr__bits_copy(states->set, from->set, words);
}

#endif
