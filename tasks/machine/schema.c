#include "schema.h"

#include <errno.h>
#include <stdlib.h>

#include "taskmgr/base/check.h"

static const char *const relation_names[] = { "add", "remove", "require", "after" };
static const char *const mutation_names[] = { "add", "remove", "set", "toggle" };

_Static_assert(ARRAY_SIZE(relation_names) == TMGR__RELATIONS, "every relation has a name");

const char *tmgr_relation_name(enum tmgr_relation relation)
{
	return (size_t)relation < ARRAY_SIZE(relation_names) ? relation_names[relation] : "";
}

const char *tmgr_mutation_name(enum tmgr_mutation_kind kind)
{
	return (size_t)kind < ARRAY_SIZE(mutation_names) ? mutation_names[kind] : "";
}

const unsigned *tmgr__table_list(
	const struct tmgr__table *table, unsigned state, enum tmgr_relation relation)
{
	const struct tmgr_machine_state *row = &table->rows[state];

	if (state >= table->row_count)
		return NULL;
	switch (relation) {
	case TMGR_RELATION_ADD:
		return row->add;
	case TMGR_RELATION_REMOVE:
		return row->remove;
	case TMGR_RELATION_REQUIRE:
		return row->require;
	case TMGR_RELATION_AFTER:
		return row->after;
	}
	return NULL;
}

const char *tmgr__table_name(const struct tmgr__table *table, unsigned state)
{
	const char *name = state < table->row_count ? table->rows[state].name : TMGR_EXCEPTION;

	return name ? name : "(no name)";
}

static size_t list_length(const unsigned *list)
{
	size_t length = 0;

	while (list && list[length] != TMGR_STATES_END)
		length++;
	return length;
}

static bool has(const unsigned *list, unsigned state)
{
	for (size_t i = 0; list && list[i] != TMGR_STATES_END; i++) {
		if (list[i] == state)
			return true;
	}
	return false;
}

/* ---- Memory --------------------------------------------------------------------------------- */

static void destroy(struct tmgr_schema *schema)
{
	for (unsigned i = 0; schema->names && i < schema->count; i++)
		free(schema->names[i]);
	for (unsigned i = 0; i < TMGR__RELATIONS; i++)
		free(schema->lists[i]);
	for (unsigned i = 0; schema->timeouts && i < schema->count; i++)
		free((void *)schema->timeouts[i].states);
	free(schema->names);
	free(schema->name);
	free(schema->flags);
	free(schema->pool);
	free(schema->requires);
	free(schema->removes);
	free(schema->removed_by);
	free(schema->automatic);
	free(schema->places);
	free(schema->placed);
	free(schema->timeouts);
	free(schema);
}

static size_t pool_size(const struct tmgr__table *table)
{
	size_t size = 0;

	for (unsigned state = 0; state < table->count; state++) {
		for (unsigned i = 0; i < TMGR__RELATIONS; i++)
			size += list_length(tmgr__table_list(table, state, i)) + 1;
	}
	return size;
}

static struct tmgr_schema *allocate(const struct tmgr__table *table)
{
	struct tmgr_schema *schema = calloc(1, sizeof(*schema));
	size_t count = table->count, words = tmgr__bits_words(table->count);
	bool complete;

	if (!schema)
		return NULL;
	schema->refs = 1;
	schema->count = table->count;
	schema->words = words;
	schema->flags = calloc(count, 1);
	schema->names = calloc(count, sizeof(*schema->names));
	schema->pool = calloc(pool_size(table), sizeof(*schema->pool));
	schema->requires = calloc(count * words, sizeof(uint64_t));
	schema->removes = calloc(count * words, sizeof(uint64_t));
	schema->removed_by = calloc(count * words, sizeof(uint64_t));
	schema->automatic = calloc(words, sizeof(uint64_t));
	complete = schema->flags && schema->names && schema->pool && schema->requires &&
		   schema->removes && schema->removed_by && schema->automatic;
	for (unsigned i = 0; i < TMGR__RELATIONS; i++) {
		schema->lists[i] = calloc(count, sizeof(unsigned));
		complete = complete && schema->lists[i];
	}
	if (!complete) {
		destroy(schema);
		return NULL;
	}
	return schema;
}

/* ---- Filling in ----------------------------------------------------------------------------- */

/* A removal that has no effect: the state itself, and what it adds. */
static bool is_void(const struct tmgr__table *table, unsigned state, unsigned removed)
{
	return removed == state || has(tmgr__table_list(table, state, TMGR_RELATION_ADD), removed);
}

static void copy_list(struct tmgr_schema *schema, const struct tmgr__table *table, unsigned state,
	enum tmgr_relation relation)
{
	const unsigned *from = tmgr__table_list(table, state, relation);
	unsigned *to = schema->pool + schema->pool_used;
	size_t count = 0;

	for (size_t i = 0; from && from[i] != TMGR_STATES_END; i++) {
		bool known = from[i] < schema->count, twice = false;

		for (size_t j = 0; j < count; j++)
			twice |= to[j] == from[i];
		if (!known || twice)
			continue;
		if (relation != TMGR_RELATION_REMOVE || !is_void(table, state, from[i]))
			to[count++] = from[i];
	}
	to[count] = TMGR_STATES_END;
	schema->lists[relation][state] = (unsigned)schema->pool_used;
	schema->pool_used += count + 1;
}

static void fill_sets(struct tmgr_schema *schema, unsigned state)
{
	const unsigned *list = tmgr__schema_list(schema, state, TMGR_RELATION_REQUIRE);

	for (; *list != TMGR_STATES_END; list++)
		tmgr__bits_add(schema->requires + state * schema->words, *list);
	list = tmgr__schema_list(schema, state, TMGR_RELATION_REMOVE);
	for (; *list != TMGR_STATES_END; list++) {
		tmgr__bits_add(schema->removes + state * schema->words, *list);
		tmgr__bits_add(schema->removed_by + *list * schema->words, state);
		schema->flags[*list] |= TMGR__STATE_REMOVED;
	}
}

static bool fill_timeout(
	struct tmgr_schema *schema, const struct tmgr__table *table, unsigned state)
{
	const struct tmgr_machine_timeout *given = &table->rows[state].timeout;
	size_t length;
	unsigned *copy;

	if (state >= table->row_count || given->ns <= 0)
		return true;
	if (!schema->timeouts) {
		schema->timeouts = calloc(schema->count, sizeof(*schema->timeouts));
		if (!schema->timeouts)
			return false;
	}
	schema->flags[state] |= TMGR__STATE_TIMEOUT;
	schema->timeout_count++;
	schema->timeouts[state] = *given;
	if (!given->states)
		return true;
	length = list_length(given->states) + 1;
	copy = malloc(length * sizeof(*copy));
	schema->timeouts[state].states = copy;
	if (copy)
		memcpy(copy, given->states, length * sizeof(*copy));
	return copy != NULL;
}

static bool fill_state(struct tmgr_schema *schema, const struct tmgr__table *table, unsigned state)
{
	static const struct {
		enum tmgr_relation relation;
		uint8_t flag;
	} marks[] = {
		{ TMGR_RELATION_ADD, TMGR__STATE_ADDS },
		{ TMGR_RELATION_REMOVE, TMGR__STATE_REMOVES },
		{ TMGR_RELATION_REQUIRE, TMGR__STATE_REQUIRES },
		{ TMGR_RELATION_AFTER, TMGR__STATE_AFTER },
	};
	const struct tmgr_machine_state *row = &table->rows[state];

	schema->names[state] = strdup(tmgr__table_name(table, state));
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		copy_list(schema, table, state, marks[i].relation);
		if (*tmgr__schema_list(schema, state, marks[i].relation) != TMGR_STATES_END)
			schema->flags[state] |= marks[i].flag;
	}
	fill_sets(schema, state);
	if (state == tmgr__schema_exception(schema) || row->multi)
		schema->flags[state] |= TMGR__STATE_MULTI;
	if (state < table->row_count && row->automatic) {
		schema->flags[state] |= TMGR__STATE_AUTOMATIC;
		tmgr__bits_add(schema->automatic, state);
	}
	return schema->names[state] && fill_timeout(schema, table, state);
}

/* ---- The order of requirements --------------------------------------------------------------- */

enum { UNSEEN, OPEN, PLACED };

/* Of one state, what it requires before it; false: there is a cycle. */
static bool place_from(
	struct tmgr_schema *schema, unsigned first, uint8_t *marks, unsigned *path, unsigned *at)
{
	size_t depth = 0;

	if (marks[first] == PLACED)
		return true;
	path[0] = first;
	at[0] = 0;
	marks[first] = OPEN;
	for (;;) {
		unsigned state = path[depth];
		const unsigned *list = tmgr__schema_list(schema, state, TMGR_RELATION_REQUIRE);
		unsigned next = list[at[depth]];

		if (next == TMGR_STATES_END) {
			marks[state] = PLACED;
			schema->placed[schema->placed_count++] = state;
			schema->places[state] = schema->placed_count;
			if (depth-- == 0)
				return true;
			continue;
		}
		at[depth]++;
		if (marks[next] == OPEN)
			return false;
		if (marks[next] == UNSEEN) {
			marks[next] = OPEN;
			path[++depth] = next;
			at[depth] = 0;
		}
	}
}

/* False: out of memory. */
static bool place_all(struct tmgr_schema *schema)
{
	size_t count = schema->count;
	unsigned *path = calloc(2 * count + 1, sizeof(*path));
	uint8_t *marks = calloc(count + 1, 1);
	bool cycle = false;

	schema->places = calloc(count + 1, sizeof(unsigned));
	schema->placed = calloc(count + 1, sizeof(unsigned));
	if (!path || !marks || !schema->places || !schema->placed) {
		free(path);
		free(marks);
		return false;
	}
	for (unsigned state = 0; state < schema->count && !cycle; state++) {
		if (schema->flags[state] & TMGR__STATE_REQUIRES)
			cycle = !place_from(schema, state, marks, path, path + count);
	}
	if (cycle || schema->placed_count == 0) {
		free(schema->places);
		free(schema->placed);
		schema->places = schema->placed = NULL;
		schema->placed_count = 0;
	}
	free(path);
	free(marks);
	return true;
}

static struct tmgr_schema *compile(const struct tmgr__table *table)
{
	struct tmgr_schema *schema = allocate(table);
	const char *name = table->options->name ? table->options->name : "machine";
	bool complete;

	if (!schema)
		return NULL;
	schema->name = strndup(name, TMGR_MACHINE_NAME_MAX);
	complete = schema->name != NULL;
	for (unsigned state = 0; state < schema->count && complete; state++)
		complete = fill_state(schema, table, state);
	for (unsigned state = 0; state < schema->count; state++)
		schema->any |= schema->flags[state];
	if (complete && place_all(schema))
		return schema;
	destroy(schema);
	return NULL;
}

int tmgr_schema_compile(const struct tmgr_machine_state *states, size_t count,
	const struct tmgr_schema_options *options, struct tmgr_schema **ret_schema)
{
	static const struct tmgr_schema_options no_options;
	struct tmgr__table table = { .rows = states, .options = options ? options : &no_options };
	struct tmgr_schema *schema;

	if (!states || !ret_schema)
		return -EINVAL;
	table.row_count = count > TMGR_MACHINE_STATES_MAX ? UINT_MAX : (unsigned)count;
	if (!tmgr__table_check(&table))
		return -EINVAL;
	schema = compile(&table);
	if (!schema)
		return -ENOMEM;
	tmgr__schema_check(&table, schema);
	if (table.error || table.no_memory || (table.warning && table.options->strict)) {
		destroy(schema);
		return table.no_memory ? -ENOMEM : -EINVAL;
	}
	*ret_schema = schema;
	return 0;
}

/* ---- Asking --------------------------------------------------------------------------------- */

struct tmgr_schema *tmgr_schema_ref(struct tmgr_schema *schema)
{
	if (schema)
		check(__atomic_fetch_add(&schema->refs, 1, __ATOMIC_RELAXED) > 0);
	return schema;
}

void tmgr_schema_unref(struct tmgr_schema *schema)
{
	uint32_t refs;

	if (!schema)
		return;
	refs = __atomic_fetch_sub(&schema->refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs == 1)
		destroy(schema);
}

const char *tmgr_schema_name(const struct tmgr_schema *schema)
{
	return schema ? schema->name : "";
}

size_t tmgr_schema_count(const struct tmgr_schema *schema)
{
	return schema ? schema->count : 0;
}

const char *tmgr_schema_state_name(const struct tmgr_schema *schema, unsigned state)
{
	return schema && state < schema->count ? schema->names[state] : "";
}

int tmgr_schema_find(const struct tmgr_schema *schema, const char *name, unsigned *ret_state)
{
	if (!schema || !name || !ret_state)
		return -EINVAL;
	for (unsigned state = 0; state < schema->count; state++) {
		if (strcmp(schema->names[state], name) == 0) {
			*ret_state = state;
			return 0;
		}
	}
	return -ENOENT;
}

const unsigned *tmgr_schema_relation(
	const struct tmgr_schema *schema, unsigned state, enum tmgr_relation relation)
{
	static const unsigned none[] = { TMGR_STATES_END };

	if (!schema || state >= schema->count || (unsigned)relation >= TMGR__RELATIONS)
		return none;
	return tmgr__schema_list(schema, state, relation);
}

bool tmgr_schema_is_automatic(const struct tmgr_schema *schema, unsigned state)
{
	return schema && state < schema->count && schema->flags[state] & TMGR__STATE_AUTOMATIC;
}

bool tmgr_schema_is_multi(const struct tmgr_schema *schema, unsigned state)
{
	return schema && state < schema->count && schema->flags[state] & TMGR__STATE_MULTI;
}

const struct tmgr_machine_timeout *tmgr_schema_timeout(
	const struct tmgr_schema *schema, unsigned state)
{
	if (!schema || state >= schema->count || !(schema->flags[state] & TMGR__STATE_TIMEOUT))
		return NULL;
	return &schema->timeouts[state];
}
