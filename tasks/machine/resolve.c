/*
 * Lists are walked where order decides, and their sets are asked for what is in them, so that each
 * step costs its list and not its square. tests/support/resolve_model.c has the same by the letter.
 */
#include "resolve.h"

/* Append what the states imply: one pass, what is appended is not looked at. */
static void imply(const struct tmgr__resolving *resolving, struct tmgr__states *states)
{
	const struct tmgr_schema *schema = resolving->schema;
	bool removing = resolving->kind == TMGR_MUTATION_REMOVE;
	size_t count = states->count;

	for (size_t i = 0; i < count; i++) {
		unsigned state = states->list[i];
		const unsigned *list;

		if (!(schema->flags[state] & TMGR__STATE_ADDS) ||
			(!(schema->flags[state] & TMGR__STATE_MULTI) &&
				tmgr__bits_has(resolving->active->set, state)))
			continue;
		list = tmgr__schema_list(schema, state, TMGR_RELATION_ADD);
		for (; *list != TMGR_STATES_END; list++) {
			if (!removing || !tmgr__bits_has(resolving->called->set, *list))
				tmgr__states_append(states, *list);
		}
	}
}

/* Drop who lacks one it requires, until nobody does. */
static void require(const struct tmgr_schema *schema, struct tmgr__states *states)
{
	bool dropped = (schema->any & TMGR__STATE_REQUIRES) != 0;

	while (dropped) {
		size_t kept = 0;

		dropped = false;
		for (size_t i = 0; i < states->count; i++) {
			unsigned state = states->list[i];

			if (!(schema->flags[state] & TMGR__STATE_REQUIRES) ||
				tmgr__bits_within(tmgr__schema_set(schema, schema->requires, state),
					states->set, schema->words)) {
				states->list[kept++] = state;
			} else {
				tmgr__bits_remove(states->set, state);
				dropped = true;
			}
		}
		states->count = kept;
	}
}

static void reverse(struct tmgr__states *states)
{
	for (size_t i = 0; i < states->count / 2; i++) {
		unsigned *one = &states->list[i], *other = &states->list[states->count - 1 - i];
		unsigned swap = *one;

		*one = *other;
		*other = swap;
	}
}

/* Drop from the last to the first who is removed by one that is still there. */
static void drop_removed(const struct tmgr_schema *schema, struct tmgr__states *states)
{
	size_t kept = states->count;

	if (!(schema->any & TMGR__STATE_REMOVES))
		return;
	for (size_t i = states->count; i-- > 0;) {
		unsigned state = states->list[i];

		if (schema->flags[state] & TMGR__STATE_REMOVED &&
			tmgr__bits_meet(tmgr__schema_set(schema, schema->removed_by, state),
				states->set, schema->words))
			tmgr__bits_remove(states->set, state);
		else
			states->list[--kept] = state;
	}
	states->count -= kept;
	memmove(states->list, states->list + kept, states->count * sizeof(*states->list));
}

/* What these remove is not implied. */
static void drop_implied(const struct tmgr_schema *schema, struct tmgr__states *states,
	size_t count, uint64_t *removed)
{
	size_t kept = count;

	if (states->count == count || !(schema->any & TMGR__STATE_REMOVES))
		return;
	tmgr__bits_clear(removed, schema->words);
	for (size_t i = 0; i < count; i++) {
		unsigned state = states->list[i];

		if (schema->flags[state] & TMGR__STATE_REMOVES)
			tmgr__bits_join(removed, tmgr__schema_set(schema, schema->removes, state),
				schema->words);
	}
	for (size_t i = count; i < states->count; i++) {
		unsigned state = states->list[i];

		if (tmgr__bits_has(removed, state))
			tmgr__bits_remove(states->set, state);
		else
			states->list[kept++] = state;
	}
	states->count = kept;
}

static void begin(const struct tmgr__resolving *resolving, struct tmgr__states *states)
{
	const struct tmgr__states *active = resolving->active, *called = resolving->called;

	if (resolving->kind != TMGR_MUTATION_REMOVE)
		tmgr__states_copy(states, called, resolving->schema->words);
	else
		tmgr__states_clear(states, resolving->schema->words);
	if (resolving->kind == TMGR_MUTATION_SET)
		return;
	for (size_t i = 0; i < active->count; i++) {
		unsigned state = active->list[i];

		if (!tmgr__bits_has(called->set, state)) {
			tmgr__bits_add(states->set, state);
			states->list[states->count++] = state;
		}
	}
}

void tmgr__resolve(const struct tmgr__resolving *resolving, struct tmgr__scratch *scratch,
	struct tmgr__states *target)
{
	const struct tmgr_schema *schema = resolving->schema;
	size_t count;

	begin(resolving, target);
	if (schema->any & TMGR__STATE_ADDS)
		imply(resolving, target);
	require(schema, target);
	drop_removed(schema, target);
	/* From the last to the first, and what these imply before them, again the last first. */
	if (schema->any & TMGR__STATE_ADDS) {
		reverse(target);
		count = target->count;
		imply(resolving, target);
		drop_implied(schema, target, count, scratch->set);
		reverse(target);
	}
	require(schema, target);
	tmgr__resolve_sort(schema, scratch, target);
}

bool tmgr__resolve_accepts(
	const struct tmgr__resolving *resolving, const struct tmgr__states *target)
{
	const uint64_t *called = resolving->called->set;
	size_t words = resolving->schema->words;

	if (resolving->kind == TMGR_MUTATION_REMOVE)
		return true;
	if (resolving->automatic)
		return tmgr__bits_meet(called, target->set, words);
	return tmgr__bits_within(called, target->set, words);
}

/* ---- Order ---------------------------------------------------------------------------------- */

/* Those without a place first, as they stand; then the others, by their places. */
static void sort_by_places(const struct tmgr_schema *schema, struct tmgr__scratch *scratch,
	struct tmgr__states *states)
{
	size_t kept = 0, placed = 0;

	tmgr__bits_clear(scratch->set, schema->words);
	for (size_t i = 0; i < states->count; i++) {
		unsigned state = states->list[i], at = schema->places[state];

		if (at == 0) {
			states->list[kept++] = state;
		} else {
			tmgr__bits_add(scratch->set, at - 1);
			placed++;
		}
	}
	for (size_t word = 0; placed > 0; word++) {
		uint64_t bits = scratch->set[word];

		for (; bits != 0; bits &= bits - 1, placed--) {
			unsigned at = (unsigned)(word * TMGR__BITS) +
				      (unsigned)__builtin_ctzll(bits);

			states->list[kept++] = schema->placed[at];
		}
	}
}

/* Append a state behind what it is after, where that is among `left`. */
static size_t append_after(const struct tmgr_schema *schema, struct tmgr__scratch *scratch,
	uint64_t *left, unsigned first, size_t count)
{
	size_t depth = 0;

	scratch->path[0] = first;
	tmgr__bits_remove(left, first);
	for (;;) {
		const unsigned *list = tmgr__schema_list(
			schema, scratch->path[depth], TMGR_RELATION_AFTER);

		while (*list != TMGR_STATES_END && !tmgr__bits_has(left, *list))
			list++;
		if (*list != TMGR_STATES_END) {
			scratch->path[++depth] = *list;
			tmgr__bits_remove(left, *list);
			continue;
		}
		scratch->order[count++] = scratch->path[depth];
		if (depth-- == 0)
			return count;
	}
}

static void sort_by_after(const struct tmgr_schema *schema, struct tmgr__scratch *scratch,
	struct tmgr__states *states)
{
	size_t count = 0;

	tmgr__bits_copy(scratch->set, states->set, schema->words);
	for (size_t i = 0; i < states->count; i++) {
		unsigned state = states->list[i];

		if (tmgr__bits_has(scratch->set, state))
			count = append_after(schema, scratch, scratch->set, state, count);
	}
	memcpy(states->list, scratch->order, count * sizeof(*states->list));
}

void tmgr__resolve_sort(const struct tmgr_schema *schema, struct tmgr__scratch *scratch,
	struct tmgr__states *states)
{
	if (states->count < 2)
		return;
	if (schema->places)
		sort_by_places(schema, scratch, states);
	if (schema->any & TMGR__STATE_AFTER)
		sort_by_after(schema, scratch, states);
}
