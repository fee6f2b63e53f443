/*
 * Schemas: each kind of fault has a table that has it, and one nearest to that which has not; questions;
 * memory.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/tasks/machine.h>

#include "taskmgr/base/check.h"

#include "tests/support/fault.h"
#include "tests/support/leak.h"

#define FAULTS_MAX 32

struct found {
	struct tmgr_fault faults[FAULTS_MAX];
	size_t count;
};

static void note(void *self, const struct tmgr_fault *fault)
{
	struct found *found = self;

	if (found->count < FAULTS_MAX)
		found->faults[found->count] = *fault;
	found->count++;
}

/* Compile, for what is found. */
static int compile(
	const struct tmgr_machine_state *rows, size_t count, bool strict, struct found *found)
{
	struct tmgr_schema_options options = { .strict = strict, .fault = note, .self = found };
	struct tmgr_schema *schema = NULL;
	int r;

	found->count = 0;
	r = tmgr_schema_compile(rows, count, &options, &schema);
	assert_true((r == 0) == (schema != NULL));
	tmgr_schema_unref(schema);
	return r;
}

static bool has_fault(const struct found *found, enum tmgr_fault_code code, unsigned state)
{
	for (size_t i = 0; i < found->count; i++) {
		if (found->faults[i].code == code && found->faults[i].state == state)
			return true;
	}
	return false;
}

enum { A, B, C, D, ROWS };

/* A table with a fault, and one that has it not. Rows without a name are not there. */
struct sample {
	enum tmgr_fault_code code;
	unsigned state; /* that has it */
	struct tmgr_machine_state with[ROWS], without[ROWS];
};

#define ROW(letter, ...) [letter] = { .name = #letter, __VA_ARGS__ }
#define PLAIN(letter) [letter] = { .name = #letter }

static const struct sample samples[] = {
	{ TMGR_FAULT_UNKNOWN, A, { ROW(A, .add = TMGR_STATES(3)), PLAIN(B) },
		{ ROW(A, .add = TMGR_STATES(2)), PLAIN(B) } },
	{ TMGR_FAULT_DUPLICATE, B, { PLAIN(A), [B] = { .name = "A" } },
		{ PLAIN(A), [B] = { .name = "a" } } },
	{ TMGR_FAULT_DUPLICATE, A, { [A] = { .name = "Exception" }, PLAIN(B) },
		{ PLAIN(A), [B] = { .name = "Exception" } } },
	{ TMGR_FAULT_NAME, A, { [A] = { .name = "1A" } }, { [A] = { .name = "A1-_" } } },
	{ TMGR_FAULT_TIMEOUT, A, { ROW(A, .timeout = { .ns = -1 }) },
		{ ROW(A, .timeout = { .ns = 1 }) } },
	{ TMGR_FAULT_TIMEOUT, A, { ROW(A, .timeout = { .ns = 1, .states = TMGR_STATES(7) }) },
		{ ROW(A, .timeout = { .ns = 1, .states = TMGR_STATES(1) }) } },
	{ TMGR_FAULT_TIMEOUT, A,
		{ ROW(A, .timeout = { .ns = 1, .kind = TMGR_MUTATION_TOGGLE + 1 }) },
		{ ROW(A, .timeout = { .ns = 1, .kind = TMGR_MUTATION_TOGGLE }) } },
	{ TMGR_FAULT_AFTER_CYCLE, A,
		{ ROW(A, .after = TMGR_STATES(B)), ROW(B, .after = TMGR_STATES(C)),
			ROW(C, .after = TMGR_STATES(A)) },
		{ ROW(A, .after = TMGR_STATES(B)), ROW(B, .after = TMGR_STATES(C)), PLAIN(C) } },
	{ TMGR_FAULT_AFTER_CYCLE, A, { ROW(A, .after = TMGR_STATES(A)) }, { PLAIN(A) } },
	{ TMGR_FAULT_NEVER, A,
		{ ROW(A, .require = TMGR_STATES(B), .remove = TMGR_STATES(B)), PLAIN(B) },
		{ ROW(A, .require = TMGR_STATES(B), .remove = TMGR_STATES(C)), PLAIN(B),
			PLAIN(C) } },
	{ TMGR_FAULT_NEVER, A,
		{ ROW(A, .require = TMGR_STATES(B)),
			ROW(B, .require = TMGR_STATES(C), .remove = TMGR_STATES(A)), PLAIN(C) },
		{ ROW(A, .require = TMGR_STATES(B)),
			ROW(B, .require = TMGR_STATES(C), .remove = TMGR_STATES(D)), PLAIN(C),
			PLAIN(D) } },
	/* What it adds it does not remove. */
	{ TMGR_FAULT_NEVER, A,
		{ ROW(A, .require = TMGR_STATES(B, C)), ROW(B, .remove = TMGR_STATES(C)),
			PLAIN(C) },
		{ ROW(A, .require = TMGR_STATES(B, C)),
			ROW(B, .remove = TMGR_STATES(C), .add = TMGR_STATES(C)), PLAIN(C) } },
	{ TMGR_FAULT_ADDS_ITSELF, A, { ROW(A, .add = TMGR_STATES(A)) },
		{ ROW(A, .add = TMGR_STATES(B)), PLAIN(B) } },
	{ TMGR_FAULT_REQUIRES_ITSELF, A, { ROW(A, .require = TMGR_STATES(A)) },
		{ ROW(A, .require = TMGR_STATES(B)), PLAIN(B) } },
	{ TMGR_FAULT_ADDED_AND_REMOVED, A,
		{ ROW(A, .add = TMGR_STATES(B), .remove = TMGR_STATES(B)), PLAIN(B) },
		{ ROW(A, .add = TMGR_STATES(B), .remove = TMGR_STATES(A, C)), PLAIN(B),
			PLAIN(C) } },
	{ TMGR_FAULT_REQUIRE_CYCLE, A,
		{ ROW(A, .require = TMGR_STATES(B)), ROW(B, .require = TMGR_STATES(A)) },
		{ ROW(A, .require = TMGR_STATES(B)), PLAIN(B) } },
	/* The trap, and its two ways out: the owner removes the active one, or that does not fight back. */
	{ TMGR_FAULT_IMPLIED_LOSES, D,
		{ ROW(A, .remove = TMGR_STATES(A, B)), ROW(B, .remove = TMGR_STATES(A, B)),
			PLAIN(C), ROW(D, .add = TMGR_STATES(B)) },
		{ ROW(A, .remove = TMGR_STATES(A, B)), ROW(B, .remove = TMGR_STATES(A, B)),
			PLAIN(C), ROW(D, .add = TMGR_STATES(B), .remove = TMGR_STATES(A)) } },
	{ TMGR_FAULT_IMPLIED_LOSES, D,
		{ ROW(A, .remove = TMGR_STATES(B)), ROW(B, .remove = TMGR_STATES(A)), PLAIN(C),
			ROW(D, .add = TMGR_STATES(B)) },
		{ PLAIN(A), ROW(B, .remove = TMGR_STATES(A)), PLAIN(C),
			ROW(D, .add = TMGR_STATES(B)) } },
	{ TMGR_FAULT_AUTOMATIC_EXCLUDE, A,
		{ ROW(A, .automatic = true, .remove = TMGR_STATES(B)),
			ROW(B, .automatic = true, .remove = TMGR_STATES(A)) },
		{ ROW(A, .automatic = true, .remove = TMGR_STATES(B)),
			ROW(B, .automatic = true) } },
	{ TMGR_FAULT_ADD_CHAIN, A,
		{ ROW(A, .add = TMGR_STATES(B)), ROW(B, .add = TMGR_STATES(C)),
			ROW(C, .add = TMGR_STATES(D)), PLAIN(D) },
		{ ROW(A, .add = TMGR_STATES(B, D)), ROW(B, .add = TMGR_STATES(C)),
			ROW(C, .add = TMGR_STATES(D)), PLAIN(D) } },
};

static size_t rows_of(const struct tmgr_machine_state *rows)
{
	size_t count = 0;

	while (count < ROWS && rows[count].name != NULL)
		count++;
	return count;
}

static void each_fault_is_found_where_it_is_and_only_there(void **state)
{
	bool seen[TMGR_FAULTS] = { false };

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *sample = &samples[i];
		struct found found;

		compile(sample->with, rows_of(sample->with), false, &found);
		if (!has_fault(&found, sample->code, sample->state))
			fail_msg("%zu: %s is not found", i, tmgr_fault_name(sample->code));
		for (size_t j = 0; j < found.count && j < FAULTS_MAX; j++)
			assert_true(strlen(found.faults[j].text) > 5);
		compile(sample->without, rows_of(sample->without), false, &found);
		for (size_t j = 0; j < found.count; j++) {
			if (found.faults[j].code == sample->code)
				fail_msg("%zu: %s is found, but is not there", i,
					found.faults[j].text);
		}
		seen[sample->code] = true;
	}
	seen[TMGR_FAULT_LIMIT] = true;
	for (size_t code = 0; code < TMGR_FAULTS; code++) {
		if (!seen[code])
			fail_msg("%s has no sample", tmgr_fault_name(code));
	}
}

static void errors_refuse_and_warnings_only_when_strict(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *sample = &samples[i];
		size_t count = rows_of(sample->with);
		bool is_error = sample->code < TMGR_FAULT_NEVER;
		struct found found;

		assert_int_equal(
			compile(sample->with, count, false, &found), is_error ? -EINVAL : 0);
		for (size_t j = 0; j < found.count; j++)
			assert_true(found.faults[j].is_error ==
				    (found.faults[j].code < TMGR_FAULT_NEVER));
		assert_int_equal(compile(sample->with, count, true, &found), -EINVAL);
	}
}

static void all_faults_of_a_table_are_found_in_order(void **state)
{
	const struct tmgr_machine_state rows[ROWS] = {
		ROW(A, .add = TMGR_STATES(A, 77), .require = TMGR_STATES(B)),
		ROW(B, .require = TMGR_STATES(A), .remove = TMGR_STATES(88)),
		[C] = { .name = "A" },
		ROW(D, .add = TMGR_STATES(D)),
	};
	static const struct {
		enum tmgr_fault_code code;
		unsigned state;
	} wanted[] = {
		{ TMGR_FAULT_DUPLICATE, C },
		{ TMGR_FAULT_UNKNOWN, A },
		{ TMGR_FAULT_UNKNOWN, B },
		{ TMGR_FAULT_ADDS_ITSELF, A },
		{ TMGR_FAULT_ADDS_ITSELF, D },
		{ TMGR_FAULT_REQUIRE_CYCLE, A },
		{ TMGR_FAULT_REQUIRE_CYCLE, B },
	};
	struct found found;

	assert_int_equal(compile(rows, ROWS, false, &found), -EINVAL);
	assert_int_equal(found.count, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		assert_int_equal(found.faults[i].code, wanted[i].code);
		assert_int_equal(found.faults[i].state, wanted[i].state);
	}
	assert_int_equal(found.faults[1].relation, TMGR_RELATION_ADD);
	assert_int_equal(found.faults[1].other, 77);
	assert_int_equal(found.faults[2].relation, TMGR_RELATION_REMOVE);
	assert_string_equal(found.faults[5].text,
		"A: it and B require each other: they are only entered together");
}

static void a_table_without_states_or_with_too_many_has_no_schema(void **state)
{
	static struct tmgr_machine_state rows[TMGR_MACHINE_STATES_MAX + 1];
	static char names[TMGR_MACHINE_STATES_MAX + 1][8];
	struct found found;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(names[i], sizeof(names[i]), "S%u", i);
		rows[i].name = names[i];
	}
	assert_int_equal(compile(rows, 0, false, &found), -EINVAL);
	assert_int_equal(found.faults[0].code, TMGR_FAULT_LIMIT);
	assert_int_equal(compile(rows, ARRAY_SIZE(rows), false, &found), -EINVAL);
	assert_int_equal(found.faults[0].code, TMGR_FAULT_LIMIT);
	/* Exception is one more. */
	assert_int_equal(compile(rows, TMGR_MACHINE_STATES_MAX, false, &found), -EINVAL);
	assert_int_equal(compile(rows, TMGR_MACHINE_STATES_MAX - 1, false, &found), 0);
	assert_int_equal(found.count, 0);
}

static void a_schema_tells_what_was_compiled(void **state)
{
	const struct tmgr_machine_state rows[] = {
		ROW(A, .add = TMGR_STATES(B, C, B), .remove = TMGR_STATES(A, B, D),
			.require = TMGR_STATES(C), .after = TMGR_STATES(D), .automatic = true),
		ROW(B, .multi = true, .timeout = { .ns = 5, .states = TMGR_STATES(A) }),
		PLAIN(C),
		PLAIN(D),
	};
	struct tmgr_schema_options options = { .name = "door" };
	struct tmgr_schema *schema;
	const unsigned *list;
	unsigned found;

	assert_int_equal(tmgr_schema_compile(rows, ROWS, &options, &schema), 0);
	assert_string_equal(tmgr_schema_name(schema), "door");
	assert_int_equal(tmgr_schema_count(schema), ROWS + 1);
	assert_string_equal(tmgr_schema_state_name(schema, C), "C");
	assert_string_equal(tmgr_schema_state_name(schema, ROWS), "Exception");
	assert_string_equal(tmgr_schema_state_name(schema, ROWS + 1), "");
	assert_int_equal(tmgr_schema_find(schema, "D", &found), 0);
	assert_int_equal(found, D);
	assert_int_equal(tmgr_schema_find(schema, "Exception", &found), 0);
	assert_int_equal(found, ROWS);
	assert_int_equal(tmgr_schema_find(schema, "E", &found), -ENOENT);
	/* Each once; and what it adds, and itself, it does not remove. */
	list = tmgr_schema_relation(schema, A, TMGR_RELATION_ADD);
	assert_true(list[0] == B && list[1] == C && list[2] == TMGR_STATES_END);
	list = tmgr_schema_relation(schema, A, TMGR_RELATION_REMOVE);
	assert_true(list[0] == D && list[1] == TMGR_STATES_END);
	list = tmgr_schema_relation(schema, A, TMGR_RELATION_REQUIRE);
	assert_true(list[0] == C && list[1] == TMGR_STATES_END);
	list = tmgr_schema_relation(schema, A, TMGR_RELATION_AFTER);
	assert_true(list[0] == D && list[1] == TMGR_STATES_END);
	assert_true(*tmgr_schema_relation(schema, ROWS, TMGR_RELATION_ADD) == TMGR_STATES_END);
	assert_true(*tmgr_schema_relation(schema, 99, TMGR_RELATION_ADD) == TMGR_STATES_END);
	assert_true(*tmgr_schema_relation(NULL, A, TMGR_RELATION_ADD) == TMGR_STATES_END);
	assert_true(tmgr_schema_is_automatic(schema, A) && !tmgr_schema_is_automatic(schema, B));
	assert_true(tmgr_schema_is_multi(schema, B) && !tmgr_schema_is_multi(schema, A));
	assert_true(tmgr_schema_is_multi(schema, ROWS));
	assert_int_equal(tmgr_schema_timeout(schema, B)->ns, 5);
	assert_int_equal(tmgr_schema_timeout(schema, B)->states[0], A);
	assert_null(tmgr_schema_timeout(schema, A));
	tmgr_schema_unref(tmgr_schema_ref(schema));
	tmgr_schema_unref(schema);
}

static void exception_may_have_relations_as_the_last_row(void **state)
{
	const struct tmgr_machine_state rows[] = {
		PLAIN(A),
		[B] = { .name = "Exception", .remove = TMGR_STATES(A) },
	};
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;

	assert_int_equal(tmgr_schema_compile(rows, 2, NULL, &schema), 0);
	assert_int_equal(tmgr_schema_count(schema), 2);
	assert_true(tmgr_schema_is_multi(schema, B));
	assert_int_equal(tmgr_machine_create(schema, NULL, &machine), 0);
	assert_int_equal(tmgr_machine_exception(machine), B);
	assert_int_equal(tmgr_machine_add(machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_add_error(machine, -EIO, "broken"), TMGR_MUTATION_EXECUTED);
	assert_true(tmgr_machine_is(machine, B) && !tmgr_machine_is(machine, A));
	tmgr_machine_unref(machine);
	tmgr_schema_unref(schema);
}

static void compiling_and_making_give_back_all_when_memory_fails(void **state)
{
	const struct tmgr_machine_state rows[] = {
		ROW(A, .require = TMGR_STATES(B), .after = TMGR_STATES(B)),
		ROW(B, .timeout = { .ns = 5, .states = TMGR_STATES(A) }),
	};
	struct tmgr_machine_options options = { .name = "name", .history_max = 3 };
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;
	long k;

	for (k = 1;; k++) {
		int r;

		fault_fail_allocation(k);
		r = tmgr_schema_compile(rows, 2, NULL, &schema);
		if (!fault_happened())
			break;
		assert_int_equal(r, -ENOMEM);
	}
	fault_off();
	assert_true(k > 15);
	for (k = 1;; k++) {
		int r;

		fault_fail_allocation(k);
		r = tmgr_machine_create(schema, &options, &machine);
		if (!fault_happened())
			break;
		assert_int_equal(r, -ENOMEM);
	}
	fault_off();
	assert_true(k > 4);
	tmgr_machine_unref(machine);
	tmgr_schema_unref(schema);
}

static void words_are_given_for_all_and_for_nothing_else(void **state)
{
	for (unsigned i = 0; i < TMGR_FAULTS; i++)
		assert_true(strlen(tmgr_fault_name(i)) > 3);
	assert_string_equal(tmgr_fault_name(TMGR_FAULTS), "");
	assert_string_equal(tmgr_relation_name(TMGR_RELATION_AFTER), "after");
	assert_string_equal(tmgr_relation_name(4), "");
	assert_string_equal(tmgr_mutation_name(TMGR_MUTATION_TOGGLE), "toggle");
	assert_string_equal(tmgr_mutation_name(4), "");
	for (unsigned i = 0; i < TMGR_HANDLER_KINDS; i++)
		assert_true(strlen(tmgr_handler_name(i)) > 2);
	assert_string_equal(tmgr_handler_name(TMGR_HANDLER_KINDS), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_fault_is_found_where_it_is_and_only_there),
		leak_test(errors_refuse_and_warnings_only_when_strict),
		leak_test(all_faults_of_a_table_are_found_in_order),
		leak_test(a_table_without_states_or_with_too_many_has_no_schema),
		leak_test(a_schema_tells_what_was_compiled),
		leak_test(exception_may_have_relations_as_the_last_row),
		leak_test(compiling_and_making_give_back_all_when_memory_fails),
		leak_test(words_are_given_for_all_and_for_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
