#include "tests/support/drawn.h"

#include <stdio.h>

/* ---- Drawing -------------------------------------------------------------------------------- */

bool drawn_has(const struct drawn_list *list, unsigned state)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->states[i] == state)
			return true;
	}
	return false;
}

static void append(struct drawn_list *list, unsigned state)
{
	if (!drawn_has(list, state))
		list->states[list->count++] = state;
}

static void end(struct drawn_list *list)
{
	list->states[list->count] = TMGR_STATES_END;
}

/* A list with few or no states, now and then many; of those below `below`. */
static void read_relation(unsigned *list, struct input *input, unsigned below)
{
	struct drawn_list drawn = { .count = 0 };
	unsigned count = input_byte(input) % 8;

	if (count < 4)
		count = 0;
	else
		count -= 3;
	for (unsigned i = 0; i < count && below > 0; i++)
		append(&drawn, input_byte(input) % below);
	end(&drawn);
	memcpy(list, drawn.states, (drawn.count + 1) * sizeof(*list));
}

void drawn_read_schema(struct drawn_schema *schema, struct input *input, unsigned count)
{
	memset(schema, 0, sizeof(*schema));
	schema->count = count;
	for (unsigned i = 0; i < count; i++) {
		uint8_t flags = input_byte(input);

		snprintf(schema->names[i], sizeof(schema->names[i]), "S%u", i);
		for (unsigned relation = 0; relation < 4; relation++)
			read_relation(schema->lists[i][relation], input,
				relation == TMGR_RELATION_AFTER ? i : count + 1);
		schema->rows[i] = (struct tmgr_machine_state){
			.name = schema->names[i],
			.add = schema->lists[i][TMGR_RELATION_ADD],
			.remove = schema->lists[i][TMGR_RELATION_REMOVE],
			.require = schema->lists[i][TMGR_RELATION_REQUIRE],
			.after = schema->lists[i][TMGR_RELATION_AFTER],
			.automatic = (flags & 7) == 1,
			.multi = (flags & 0x38) == 0x10,
		};
		/* In most schemas nothing is sorted. */
		if (input->left == 0 || flags & 0x80)
			schema->lists[i][TMGR_RELATION_AFTER][0] = TMGR_STATES_END;
	}
}

void drawn_read_states(
	struct drawn_list *list, const struct drawn_schema *schema, struct input *input)
{
	unsigned count = 1 + input_byte(input) % 3;

	list->count = 0;
	for (unsigned i = 0; i < count; i++)
		append(list, input_byte(input) % (schema->count + 1));
	end(list);
}

/* ---- The rules ------------------------------------------------------------------------------ */

static const unsigned no_states[] = { TMGR_STATES_END };

static const unsigned *raw_list(
	const struct drawn_schema *schema, unsigned state, enum tmgr_relation relation)
{
	return state < schema->count ? schema->lists[state][relation] : no_states;
}

static bool lists(const struct drawn_schema *schema, unsigned state, enum tmgr_relation relation,
	unsigned other)
{
	const unsigned *list = raw_list(schema, state, relation);

	while (*list != TMGR_STATES_END && *list != other)
		list++;
	return *list == other;
}

/* A remove list loses the state itself and whatever it adds. */
static bool removes(const struct drawn_schema *schema, unsigned state, unsigned other)
{
	return lists(schema, state, TMGR_RELATION_REMOVE, other) && state != other &&
	       !lists(schema, state, TMGR_RELATION_ADD, other);
}

static bool is_multi(const struct drawn_schema *schema, unsigned state)
{
	return state == schema->count || schema->rows[state].multi;
}

static void drop_at(struct drawn_list *list, size_t at)
{
	list->count--;
	memmove(&list->states[at], &list->states[at + 1],
		(list->count - at) * sizeof(list->states[0]));
}

static struct drawn_list imply(const struct drawn_machine *machine, enum tmgr_mutation_kind kind,
	const struct drawn_list *called, const struct drawn_list *from)
{
	struct drawn_list result = *from;

	for (size_t i = 0; i < from->count; i++) {
		unsigned state = from->states[i];
		const unsigned *adds = raw_list(machine->schema, state, TMGR_RELATION_ADD);

		if (drawn_has(&machine->active, state) && !is_multi(machine->schema, state))
			continue;
		for (; *adds != TMGR_STATES_END; adds++) {
			if (kind != TMGR_MUTATION_REMOVE || !drawn_has(called, *adds))
				append(&result, *adds);
		}
	}
	return result;
}

static void require(const struct drawn_schema *schema, struct drawn_list *list)
{
	bool changed;

	do {
		changed = false;
		for (size_t i = 0; i < list->count; i++) {
			const unsigned *needs = raw_list(
				schema, list->states[i], TMGR_RELATION_REQUIRE);

			while (*needs != TMGR_STATES_END && drawn_has(list, *needs))
				needs++;
			if (*needs == TMGR_STATES_END)
				continue;
			drop_at(list, i);
			changed = true;
			break;
		}
	} while (changed);
}

/* From the last to the first; those that stay, in this order. */
static struct drawn_list drop_removed(const struct drawn_schema *schema, struct drawn_list list)
{
	struct drawn_list kept = { .count = 0 };

	for (size_t i = list.count; i-- > 0;) {
		bool dropped = false;

		for (size_t j = 0; j < list.count; j++)
			dropped |= removes(schema, list.states[j], list.states[i]);
		if (dropped)
			drop_at(&list, i);
		else
			append(&kept, list.states[i]);
	}
	return kept;
}

/* ---- Order ---------------------------------------------------------------------------------- */

struct placing {
	const struct drawn_schema *schema;
	struct drawn_list placed, open;
	bool cycle;
};

static void place(struct placing *placing, unsigned state)
{
	const unsigned *needs = raw_list(placing->schema, state, TMGR_RELATION_REQUIRE);

	if (drawn_has(&placing->open, state))
		placing->cycle = true;
	if (placing->cycle || drawn_has(&placing->placed, state))
		return;
	append(&placing->open, state);
	for (; *needs != TMGR_STATES_END; needs++)
		place(placing, *needs);
	placing->open.count--;
	append(&placing->placed, state);
}

/* Move a state to the result, behind all it is after and that are in the list. */
static void take_after(const struct drawn_schema *schema, const struct drawn_list *list,
	unsigned state, struct drawn_list *result)
{
	const unsigned *after = raw_list(schema, state, TMGR_RELATION_AFTER);

	if (!drawn_has(list, state) || drawn_has(result, state))
		return;
	for (; *after != TMGR_STATES_END; after++)
		take_after(schema, list, *after, result);
	append(result, state);
}

static void sort(const struct drawn_schema *schema, struct drawn_list *list)
{
	struct placing placing = { .schema = schema };
	struct drawn_list result = { .count = 0 }, sorted = { .count = 0 };

	for (unsigned state = 0; state < schema->count; state++) {
		if (*raw_list(schema, state, TMGR_RELATION_REQUIRE) != TMGR_STATES_END)
			place(&placing, state);
	}
	if (placing.cycle)
		placing.placed.count = 0;
	for (size_t i = 0; i < list->count; i++) {
		if (!drawn_has(&placing.placed, list->states[i]))
			append(&result, list->states[i]);
	}
	for (size_t i = 0; i < placing.placed.count; i++) {
		if (drawn_has(list, placing.placed.states[i]))
			append(&result, placing.placed.states[i]);
	}
	for (size_t i = 0; i < result.count; i++)
		take_after(schema, &result, result.states[i], &sorted);
	*list = sorted;
}

/* ---- Mutations ------------------------------------------------------------------------------ */

void drawn_resolve(const struct drawn_machine *machine, enum tmgr_mutation_kind kind,
	const struct drawn_list *called, struct drawn_list *target)
{
	const struct drawn_schema *schema = machine->schema;
	struct drawn_list list = { .count = 0 }, kept, implied;

	if (kind != TMGR_MUTATION_REMOVE) {
		for (size_t i = 0; i < called->count; i++)
			append(&list, called->states[i]);
	}
	for (size_t i = 0; kind != TMGR_MUTATION_SET && i < machine->active.count; i++) {
		unsigned state = machine->active.states[i];

		if (kind == TMGR_MUTATION_ADD || !drawn_has(called, state))
			append(&list, state);
	}
	list = imply(machine, kind, called, &list);
	require(schema, &list);
	kept = drop_removed(schema, list);
	implied = imply(machine, kind, called, &kept);
	target->count = 0;
	for (size_t i = implied.count; i-- > 0;) {
		bool removed = false;

		for (size_t j = 0; j < kept.count; j++)
			removed |= removes(schema, kept.states[j], implied.states[i]);
		if (!removed)
			append(target, implied.states[i]);
	}
	require(schema, target);
	sort(schema, target);
}

static bool commit(struct drawn_machine *machine, const struct drawn_list *called,
	const struct drawn_list *target)
{
	struct drawn_list exits = { .count = 0 };
	bool changed = false;

	for (size_t i = 0; i < machine->active.count; i++) {
		if (!drawn_has(target, machine->active.states[i]))
			append(&exits, machine->active.states[i]);
	}
	sort(machine->schema, &exits);
	for (size_t i = 0; i < exits.count; i++) {
		machine->ticks[exits.states[i]]++;
		machine->exits.states[machine->exits.count++] = exits.states[i];
		changed = true;
	}
	for (size_t i = 0; i < target->count; i++) {
		unsigned state = target->states[i];
		bool was = drawn_has(&machine->active, state);

		if (was && !(is_multi(machine->schema, state) && drawn_has(called, state)))
			continue;
		machine->ticks[state] += was ? 2 : 1;
		machine->enters.states[machine->enters.count++] = state;
		changed = true;
	}
	machine->active = *target;
	return changed;
}

static void automatic(struct drawn_machine *machine)
{
	struct drawn_list called = { .count = 0 }, still = { .count = 0 }, target;

	for (unsigned state = 0; state < machine->schema->count; state++) {
		bool removed = false;

		for (size_t i = 0; i < machine->active.count; i++)
			removed |= removes(machine->schema, machine->active.states[i], state);
		if (machine->schema->rows[state].automatic && !drawn_has(&machine->active, state) &&
			!removed)
			append(&called, state);
	}
	if (called.count == 0)
		return;
	drawn_resolve(machine, TMGR_MUTATION_ADD, &called, &target);
	for (size_t i = 0; i < called.count; i++) {
		if (drawn_has(&target, called.states[i]))
			append(&still, called.states[i]);
	}
	if (still.count == 0)
		return;
	drawn_resolve(machine, TMGR_MUTATION_ADD, &still, &target);
	commit(machine, &still, &target);
}

int drawn_mutate(struct drawn_machine *machine, enum tmgr_mutation_kind kind,
	const struct drawn_list *called)
{
	struct drawn_list target;
	bool all_active = true, accepted = true;

	machine->exits.count = machine->enters.count = 0;
	for (size_t i = 0; i < called->count; i++)
		all_active &= drawn_has(&machine->active, called->states[i]);
	if (kind == TMGR_MUTATION_TOGGLE)
		kind = all_active ? TMGR_MUTATION_REMOVE : TMGR_MUTATION_ADD;
	drawn_resolve(machine, kind, called, &target);
	for (size_t i = 0; i < called->count; i++)
		accepted &= kind == TMGR_MUTATION_REMOVE || drawn_has(&target, called->states[i]);
	if (!accepted)
		return TMGR_MUTATION_CANCELLED;
	if (commit(machine, called, &target))
		automatic(machine);
	return TMGR_MUTATION_EXECUTED;
}
