/*
 * Schemas and mutations drawn from bytes, and what they must do: the rules of machines by the letter, over
 * plain lists, knowing nothing of the library's resolver.
 */
#ifndef TESTS_SUPPORT_DRAWN_H
#define TESTS_SUPPORT_DRAWN_H

#include <taskmgr/tasks/machine.h>

#include "tests/support/fuzz.h"

#define DRAWN_MAX 70 /* states, without Exception: more than there are bits in a word */

struct drawn_schema {
	unsigned count; /* without Exception */
	char names[DRAWN_MAX][12];
	unsigned lists[DRAWN_MAX][4][DRAWN_MAX + 2]; /* by enum tmgr_relation, each ended */
	struct tmgr_machine_state rows[DRAWN_MAX];
};

/* A list of states, each once. */
struct drawn_list {
	unsigned states[DRAWN_MAX + 2];
	size_t count;
};

/* How a machine stands, or should. */
struct drawn_machine {
	const struct drawn_schema *schema;
	struct drawn_list active;
	uint64_t ticks[DRAWN_MAX + 1];
	/* Of the transitions that the last mutation made: what left, then what was entered. */
	struct drawn_list exits, enters;
};

/* Draw a schema; `after` relations are drawn only towards states before, so that there is no cycle. */
void drawn_read_schema(struct drawn_schema *schema, struct input *input, unsigned count);
/* Draw some states to call, ended by TMGR_STATES_END; at least one. */
void drawn_read_states(
	struct drawn_list *list, const struct drawn_schema *schema, struct input *input);

/* The target of a mutation. */
void drawn_resolve(const struct drawn_machine *machine, enum tmgr_mutation_kind kind,
	const struct drawn_list *called, struct drawn_list *target);
/* Make a mutation, and the automatic one behind it, on a machine without handlers: its result. */
int drawn_mutate(struct drawn_machine *machine, enum tmgr_mutation_kind kind,
	const struct drawn_list *called);

/* Whether a list has a state. */
bool drawn_has(const struct drawn_list *list, unsigned state);

#endif
