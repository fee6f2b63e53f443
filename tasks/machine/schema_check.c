/*
 * What can be wrong with a table. Each kind of fault has a function, which finds all of its kind.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema.h"

#include "taskmgr/base/check.h"

static const struct {
	const char *name;
	bool is_error;
} kinds[] = {
	[TMGR_FAULT_NAME] = { "name", true },
	[TMGR_FAULT_DUPLICATE] = { "duplicate", true },
	[TMGR_FAULT_UNKNOWN] = { "unknown", true },
	[TMGR_FAULT_TIMEOUT] = { "timeout", true },
	[TMGR_FAULT_LIMIT] = { "limit", true },
	[TMGR_FAULT_AFTER_CYCLE] = { "after-cycle", true },
	[TMGR_FAULT_NEVER] = { "never", false },
	[TMGR_FAULT_ADDS_ITSELF] = { "adds-itself", false },
	[TMGR_FAULT_REQUIRES_ITSELF] = { "requires-itself", false },
	[TMGR_FAULT_ADDED_AND_REMOVED] = { "added-and-removed", false },
	[TMGR_FAULT_REQUIRE_CYCLE] = { "require-cycle", false },
	[TMGR_FAULT_IMPLIED_LOSES] = { "implied-loses", false },
	[TMGR_FAULT_AUTOMATIC_EXCLUDE] = { "automatic-exclude", false },
	[TMGR_FAULT_ADD_CHAIN] = { "add-chain", false },
};

_Static_assert(ARRAY_SIZE(kinds) == TMGR_FAULTS, "every fault has a name");

const char *tmgr_fault_name(enum tmgr_fault_code code)
{
	return (size_t)code < ARRAY_SIZE(kinds) ? kinds[code].name : "";
}

/* Where a fault is. */
struct place {
	unsigned state;
	enum tmgr_relation relation;
	unsigned other;
};

static void report(struct tmgr__table *table, enum tmgr_fault_code code, struct place place,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

static void report(struct tmgr__table *table, enum tmgr_fault_code code, struct place place,
	const char *format, ...)
{
	struct tmgr_fault fault = {
		.code = code,
		.is_error = kinds[code].is_error,
		.state = place.state,
		.relation = place.relation,
		.other = place.other,
	};
	va_list arguments;

	if (fault.is_error)
		table->error = true;
	else
		table->warning = true;
	if (!table->options->fault)
		return;
	va_start(arguments, format);
	vsnprintf(fault.text, sizeof(fault.text), format, arguments);
	va_end(arguments);
	table->options->fault(table->options->self, &fault);
}

static const char *name(const struct tmgr__table *table, unsigned state)
{
	return tmgr__table_name(table, state);
}

/* ---- Errors --------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(const char *text)
{
	size_t length = 0;

	if (!text || !is_letter(*text))
		return false;
	for (; text[length] != '\0'; length++) {
		char c = text[length];

		if (length == TMGR_MACHINE_NAME_MAX ||
			!(is_letter(c) || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

static void find_bad_names(struct tmgr__table *table)
{
	for (unsigned i = 0; i < table->row_count; i++) {
		struct place place = { .state = i, .other = TMGR_STATES_END };
		const char *text = table->rows[i].name;

		if (!is_name(text))
			report(table, TMGR_FAULT_NAME, place, "state %u: %s", i,
				text ? "its name is not letters, digits, _ and -"
				     : "it has no name");
	}
}

static void find_duplicates(struct tmgr__table *table)
{
	for (unsigned i = 0; i < table->row_count; i++) {
		const char *text = table->rows[i].name;
		unsigned first = 0;

		if (!is_name(text))
			continue;
		while (first < i &&
			(!table->rows[first].name || strcmp(table->rows[first].name, text) != 0))
			first++;
		if (first < i)
			report(table, TMGR_FAULT_DUPLICATE,
				(struct place){ .state = i, .other = first },
				"%s: states %u and %u have this name", text, first, i);
		else if (strcmp(text, TMGR_EXCEPTION) == 0 && i + 1 < table->row_count)
			report(table, TMGR_FAULT_DUPLICATE,
				(struct place){ .state = i, .other = table->row_count },
				"%s: it is always there, and the last state", text);
	}
}

static void find_unknown(struct tmgr__table *table)
{
	for (unsigned i = 0; i < table->row_count; i++) {
		for (unsigned r = 0; r < TMGR__RELATIONS; r++) {
			const unsigned *list = tmgr__table_list(table, i, r);

			for (; list && *list != TMGR_STATES_END; list++) {
				if (*list >= table->count)
					report(table, TMGR_FAULT_UNKNOWN,
						(struct place){ i, r, *list },
						"%s: %s: there is no state %u", name(table, i),
						tmgr_relation_name(r), *list);
			}
		}
	}
}

static void find_bad_timeouts(struct tmgr__table *table)
{
	for (unsigned i = 0; i < table->row_count; i++) {
		const struct tmgr_machine_timeout *timeout = &table->rows[i].timeout;
		struct place place = { .state = i, .other = TMGR_STATES_END };
		const unsigned *list = timeout->states;

		if (timeout->ns < 0)
			report(table, TMGR_FAULT_TIMEOUT, place, "%s: a timeout below 0",
				name(table, i));
		if ((unsigned)timeout->kind > TMGR_MUTATION_TOGGLE)
			report(table, TMGR_FAULT_TIMEOUT, place,
				"%s: the timeout's mutation is of no kind", name(table, i));
		for (; list && *list != TMGR_STATES_END; list++) {
			place.other = *list;
			if (*list >= table->count)
				report(table, TMGR_FAULT_TIMEOUT, place,
					"%s: timeout: there is no state %u", name(table, i), *list);
		}
	}
}

bool tmgr__table_check(struct tmgr__table *table)
{
	struct place nowhere = { .state = TMGR_STATES_END, .other = TMGR_STATES_END };

	if (table->row_count == 0 || table->row_count > TMGR_MACHINE_STATES_MAX) {
		report(table, TMGR_FAULT_LIMIT, nowhere, "there are %s states",
			table->row_count == 0 ? "no" : "too many");
		return false;
	}
	table->count = table->row_count;
	if (!table->rows[table->row_count - 1].name ||
		strcmp(table->rows[table->row_count - 1].name, TMGR_EXCEPTION) != 0)
		table->count++;
	if (table->count > TMGR_MACHINE_STATES_MAX) {
		report(table, TMGR_FAULT_LIMIT, nowhere, "there are too many states");
		return false;
	}
	find_bad_names(table);
	find_duplicates(table);
	find_unknown(table);
	find_bad_timeouts(table);
	return true;
}

/* ---- Reach ---------------------------------------------------------------------------------- */

/* Memory to find what can be reached from a state by one relation: a queue with depths, and a set. */
struct reach {
	unsigned *states, *depths;
	uint64_t *set;
	size_t count;
};

static bool reach_init(struct reach *reach, const struct tmgr_schema *schema)
{
	reach->states = calloc(schema->count, 2 * sizeof(unsigned));
	reach->depths = reach->states ? reach->states + schema->count : NULL;
	reach->set = calloc(schema->words, sizeof(uint64_t));
	return reach->states && reach->set;
}

static void reach_fini(struct reach *reach)
{
	free(reach->states);
	free(reach->set);
}

/* What the state relates to, and what those do, each once, nearest first, itself left out. */
static void reach_from(struct reach *reach, const struct tmgr_schema *schema, unsigned state,
	enum tmgr_relation relation)
{
	unsigned from = state, depth = 0;
	size_t at = 0;

	reach->count = 0;
	tmgr__bits_clear(reach->set, schema->words);
	tmgr__bits_add(reach->set, state);
	for (;;) {
		const unsigned *list = tmgr__schema_list(schema, from, relation);

		for (; *list != TMGR_STATES_END; list++) {
			if (tmgr__bits_has(reach->set, *list))
				continue;
			tmgr__bits_add(reach->set, *list);
			reach->depths[reach->count] = depth + 1;
			reach->states[reach->count++] = *list;
		}
		if (at == reach->count)
			return;
		depth = reach->depths[at];
		from = reach->states[at++];
	}
}

static bool lists(const struct tmgr_schema *schema, unsigned state, enum tmgr_relation relation,
	unsigned other)
{
	const unsigned *list = tmgr__schema_list(schema, state, relation);

	while (*list != TMGR_STATES_END && *list != other)
		list++;
	return *list != TMGR_STATES_END;
}

/* The state that closes a cycle through this one, itself left out; TMGR_STATES_END: none does. */
static unsigned cycle_by(struct reach *reach, const struct tmgr_schema *schema, unsigned state,
	enum tmgr_relation relation)
{
	reach_from(reach, schema, state, relation);
	for (size_t i = 0; i < reach->count; i++) {
		if (lists(schema, reach->states[i], relation, state))
			return reach->states[i];
	}
	return TMGR_STATES_END;
}

/* ---- What is odd ---------------------------------------------------------------------------- */

struct checking {
	struct tmgr__table *table;
	const struct tmgr_schema *schema;
	struct reach reach;
};

static void find_after_cycle(struct checking *checking, unsigned state)
{
	const struct tmgr_schema *schema = checking->schema;
	unsigned other = cycle_by(&checking->reach, schema, state, TMGR_RELATION_AFTER);

	if (lists(schema, state, TMGR_RELATION_AFTER, state))
		other = state;
	if (other != TMGR_STATES_END)
		report(checking->table, TMGR_FAULT_AFTER_CYCLE,
			(struct place){ state, TMGR_RELATION_AFTER, other },
			"%s: it is after itself, by %s", name(checking->table, state),
			name(checking->table, other));
}

/* What is required for it, itself included, contains two of which one removes the other. */
static void find_never(struct checking *checking, unsigned state)
{
	const struct tmgr_schema *schema = checking->schema;
	struct reach *reach = &checking->reach;

	reach_from(reach, schema, state, TMGR_RELATION_REQUIRE);
	for (size_t i = 0; i <= reach->count; i++) {
		unsigned one = i == 0 ? state : reach->states[i - 1];
		const unsigned *list = tmgr__schema_list(schema, one, TMGR_RELATION_REMOVE);

		while (*list != TMGR_STATES_END && !tmgr__bits_has(reach->set, *list))
			list++;
		if (*list == TMGR_STATES_END)
			continue;
		report(checking->table, TMGR_FAULT_NEVER,
			(struct place){ state, TMGR_RELATION_REQUIRE, *list },
			"%s: it can never be entered: %s, which it needs, is removed by %s",
			name(checking->table, state), name(checking->table, *list),
			one == state ? "itself" : name(checking->table, one));
		return;
	}
}

static void find_adds_itself(struct checking *checking, unsigned state)
{
	if (lists(checking->schema, state, TMGR_RELATION_ADD, state))
		report(checking->table, TMGR_FAULT_ADDS_ITSELF,
			(struct place){ state, TMGR_RELATION_ADD, state }, "%s: it adds itself",
			name(checking->table, state));
}

static void find_requires_itself(struct checking *checking, unsigned state)
{
	if (lists(checking->schema, state, TMGR_RELATION_REQUIRE, state))
		report(checking->table, TMGR_FAULT_REQUIRES_ITSELF,
			(struct place){ state, TMGR_RELATION_REQUIRE, state },
			"%s: it requires itself", name(checking->table, state));
}

static void find_added_and_removed(struct checking *checking, unsigned state)
{
	const unsigned *list = tmgr__table_list(checking->table, state, TMGR_RELATION_REMOVE);

	for (; list && *list != TMGR_STATES_END; list++) {
		if (*list != state && *list < checking->schema->count &&
			lists(checking->schema, state, TMGR_RELATION_ADD, *list))
			report(checking->table, TMGR_FAULT_ADDED_AND_REMOVED,
				(struct place){ state, TMGR_RELATION_REMOVE, *list },
				"%s: it adds %s and removes it: it is added",
				name(checking->table, state), name(checking->table, *list));
	}
}

static void find_require_cycle(struct checking *checking, unsigned state)
{
	unsigned other = cycle_by(&checking->reach, checking->schema, state, TMGR_RELATION_REQUIRE);

	if (other != TMGR_STATES_END)
		report(checking->table, TMGR_FAULT_REQUIRE_CYCLE,
			(struct place){ state, TMGR_RELATION_REQUIRE, other },
			"%s: it and %s require each other: they are only entered together",
			name(checking->table, state), name(checking->table, other));
}

/* Whether an active state keeps this owner from entering what it implies. */
static bool keeps_out(
	const struct tmgr_schema *schema, unsigned active, unsigned owner, unsigned implied)
{
	return active != owner && lists(schema, active, TMGR_RELATION_REMOVE, implied) &&
	       lists(schema, implied, TMGR_RELATION_REMOVE, active) &&
	       !lists(schema, owner, TMGR_RELATION_REMOVE, active) &&
	       !lists(schema, owner, TMGR_RELATION_ADD, active) &&
	       !lists(schema, active, TMGR_RELATION_REMOVE, owner);
}

static void find_implied_loses(struct checking *checking, unsigned state)
{
	const unsigned *list = tmgr__schema_list(checking->schema, state, TMGR_RELATION_ADD);

	for (; *list != TMGR_STATES_END; list++) {
		unsigned active = 0;

		while (active < checking->schema->count &&
			!keeps_out(checking->schema, active, state, *list))
			active++;
		if (active < checking->schema->count)
			report(checking->table, TMGR_FAULT_IMPLIED_LOSES,
				(struct place){ state, TMGR_RELATION_ADD, *list },
				"%s: it adds %s, which is not entered while %s is active: it "
				"should "
				"remove that",
				name(checking->table, state), name(checking->table, *list),
				name(checking->table, active));
	}
}

static void find_automatic_exclude(struct checking *checking, unsigned state)
{
	const struct tmgr_schema *schema = checking->schema;
	const unsigned *list = tmgr__schema_list(schema, state, TMGR_RELATION_REMOVE);

	if (!(schema->flags[state] & TMGR__STATE_AUTOMATIC))
		return;
	for (; *list != TMGR_STATES_END; list++) {
		if (*list > state && schema->flags[*list] & TMGR__STATE_AUTOMATIC &&
			lists(schema, *list, TMGR_RELATION_REMOVE, state))
			report(checking->table, TMGR_FAULT_AUTOMATIC_EXCLUDE,
				(struct place){ state, TMGR_RELATION_REMOVE, *list },
				"%s: it and %s are automatic and remove each other",
				name(checking->table, state), name(checking->table, *list));
	}
}

static void find_add_chain(struct checking *checking, unsigned state)
{
	struct reach *reach = &checking->reach;
	size_t i = 0;

	reach_from(reach, checking->schema, state, TMGR_RELATION_ADD);
	while (i < reach->count && reach->depths[i] < 3)
		i++;
	if (i < reach->count)
		report(checking->table, TMGR_FAULT_ADD_CHAIN,
			(struct place){ state, TMGR_RELATION_ADD, reach->states[i] },
			"%s: it does not add %s, which is three steps away",
			name(checking->table, state), name(checking->table, reach->states[i]));
}

void tmgr__schema_check(struct tmgr__table *table, const struct tmgr_schema *schema)
{
	/* In order of code. */
	static void (*const checks[])(struct checking * checking, unsigned state) = {
		find_after_cycle,
		find_never,
		find_adds_itself,
		find_requires_itself,
		find_added_and_removed,
		find_require_cycle,
		find_implied_loses,
		find_automatic_exclude,
		find_add_chain,
	};
	struct checking checking = { .table = table, .schema = schema };

	if (reach_init(&checking.reach, schema)) {
		for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
			for (unsigned state = 0; state < schema->count; state++)
				checks[i](&checking, state);
		}
	} else {
		table->no_memory = true;
	}
	reach_fini(&checking.reach);
}
