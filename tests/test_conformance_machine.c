/*
 * Replays tests/conformance/machine_*.jsonl, which were made by running the original: results, what is
 * active in its stored order, ticks, and each handler in its order, with what it asked for from inside.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/machine.h>

#include "tests/support/conformance.h"
#include "tests/support/leak.h"

#define STATES_MAX 12
#define TEXT_MAX 16384

struct replay {
	const char *name;
	json_t *behaviour;
	struct tmgr_machine_state rows[STATES_MAX];
	unsigned lists[STATES_MAX][4][STATES_MAX + 1];
	const char *names[STATES_MAX];
	unsigned count; /* Exception included */
	struct tmgr_state_handlers handlers[STATES_MAX];
	struct tmgr_pair_handler pairs[STATES_MAX * STATES_MAX];
	struct tmgr_machine_handlers table;
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;
	bool recording;
	char called[TEXT_MAX];
	size_t step;
	char wrong[2 * TEXT_MAX];
};

static void add_text(char *text, const char *word)
{
	size_t length = strlen(text);

	assert_true(length + strlen(word) + 2 < TEXT_MAX);
	snprintf(text + length, TEXT_MAX - length, "%s%s", length > 0 ? " " : "", word);
}

static unsigned state_named(const struct replay *replay, const char *name)
{
	unsigned state = 0;

	while (state < replay->count && strcmp(replay->names[state], name) != 0)
		state++;
	return state;
}

/* ---- The schema ----------------------------------------------------------------------------- */

static const unsigned *read_list(
	struct replay *replay, json_t *states, unsigned state, unsigned relation)
{
	unsigned *list = replay->lists[state][relation];
	json_t *name;
	size_t i;

	json_array_foreach(states, i, name)
	{
		list[i] = state_named(replay, json_string_value(name));
	}
	list[json_array_size(states)] = TMGR_STATES_END;
	return list;
}

static void read_schema(struct replay *replay, json_t *all)
{
	json_t *schema = json_object_get(all, "schema"), *names = json_object_get(all, "names"),
	       *name;
	size_t i;

	assert_true(json_array_size(names) <= STATES_MAX);
	replay->count = (unsigned)json_array_size(names);
	json_array_foreach(names, i, name)
	{
		replay->names[i] = json_string_value(name);
	}
	for (unsigned state = 0; state + 1 < replay->count; state++) {
		json_t *row = json_object_get(schema, replay->names[state]);

		replay->rows[state] = (struct tmgr_machine_state){
			.name = replay->names[state],
			.add = read_list(replay, json_object_get(row, "add"), state, 0),
			.remove = read_list(replay, json_object_get(row, "remove"), state, 1),
			.require = read_list(replay, json_object_get(row, "require"), state, 2),
			.after = read_list(replay, json_object_get(row, "after"), state, 3),
			.automatic = json_is_true(json_object_get(row, "auto")),
			.multi = json_is_true(json_object_get(row, "multi")),
		};
	}
	assert_int_equal(
		tmgr_schema_compile(replay->rows, replay->count - 1, NULL, &replay->schema), 0);
}

/* ---- Mutations ------------------------------------------------------------------------------ */

/* "add A B": what it gave. */
static int mutate(struct replay *replay, const char *text)
{
	unsigned states[STATES_MAX + 1], count = 0;
	enum tmgr_mutation_kind kind = TMGR_MUTATION_ADD;
	char copy[256], *word, *rest;

	snprintf(copy, sizeof(copy), "%s", text);
	word = strtok_r(copy, " ", &rest);
	while (strcmp(tmgr_mutation_name(kind), word) != 0)
		kind++;
	while ((word = strtok_r(NULL, " ", &rest)) != NULL)
		states[count++] = state_named(replay, word);
	states[count] = TMGR_STATES_END;
	return tmgr_machine_change(replay->machine, kind, states, NULL);
}

static const char *result_name(int result)
{
	switch (result) {
	case TMGR_MUTATION_EXECUTED:
		return "executed";
	case TMGR_MUTATION_QUEUED:
		return "queued";
	case TMGR_MUTATION_CANCELLED:
		return "canceled";
	default:
		return "an error";
	}
}

/* ---- Handlers ------------------------------------------------------------------------------- */

static void handler_name(char *text, size_t size, const struct replay *replay,
	const struct tmgr_machine_event *event)
{
	static const char *const suffixes[] = {
		[TMGR_HANDLER_EXIT] = "Exit",
		[TMGR_HANDLER_ENTER] = "Enter",
		[TMGR_HANDLER_ANY_ENTER] = "AnyEnter",
		[TMGR_HANDLER_END] = "End",
		[TMGR_HANDLER_STATE] = "State",
		[TMGR_HANDLER_ANY_STATE] = "AnyState",
	};
	const char *state = event->state < replay->count ? replay->names[event->state] : "";

	if (event->kind == TMGR_HANDLER_SELF || event->kind == TMGR_HANDLER_PAIR)
		snprintf(text, size, "%s%s", state, replay->names[event->other]);
	else
		snprintf(text, size, "%s%s", state, suffixes[event->kind]);
}

/* One thing of several that a handler does. */
static bool act(struct replay *replay, struct tmgr_machine_event *event, const char *what)
{
	char answer[300];

	if (strcmp(what, "false") == 0)
		return false;
	if (strcmp(what, "panic") == 0)
		return tmgr_machine_fail(event, -EIO, "panic");
	snprintf(answer, sizeof(answer), "<%s=%s>", what, result_name(mutate(replay, what)));
	if (replay->recording)
		add_text(replay->called, answer);
	return true;
}

static bool handle(void *self, struct tmgr_machine_event *event)
{
	struct replay *replay = self;
	char name[64], behaviour[256], *what, *rest;
	bool accepted = true;

	handler_name(name, sizeof(name), replay, event);
	if (!replay->recording)
		return true;
	add_text(replay->called, name);
	snprintf(behaviour, sizeof(behaviour), "%s", conformance_text(replay->behaviour, name));
	for (what = strtok_r(behaviour, ";", &rest); what != NULL && accepted;
		what = strtok_r(NULL, ";", &rest))
		accepted = act(replay, event, what);
	return accepted;
}

static void handle_final(void *self, struct tmgr_machine_event *event)
{
	handle(self, event);
}

static void bind_all(struct replay *replay)
{
	size_t pairs = 0;

	for (unsigned i = 0; i < replay->count; i++) {
		replay->handlers[i] = (struct tmgr_state_handlers){ handle, handle, handle,
			handle_final, handle_final };
		for (unsigned j = 0; j < replay->count; j++)
			replay->pairs[pairs++] = (struct tmgr_pair_handler){ i, j, handle };
	}
	replay->table = (struct tmgr_machine_handlers){
		.states = replay->handlers,
		.state_count = replay->count,
		.pairs = replay->pairs,
		.pair_count = pairs,
		.any_enter = handle,
		.any_state = handle_final,
	};
	assert_int_equal(tmgr_machine_bind(replay->machine, &replay->table, replay), 0);
}

/* ---- Cases ---------------------------------------------------------------------------------- */

static void expect(struct replay *replay, const char *what, const char *got, const char *wanted)
{
	if (replay->wrong[0] == '\0' && strcmp(got, wanted) != 0)
		snprintf(replay->wrong, sizeof(replay->wrong),
			"%s, step %zu: %s: \n     %.6000s, not\n     %.6000s", replay->name,
			replay->step, what, got, wanted);
}

static void join(char *text, json_t *array)
{
	json_t *one;
	char word[32];
	size_t i;

	text[0] = '\0';
	json_array_foreach(array, i, one)
	{
		snprintf(word, sizeof(word), "%lld", json_integer_value(one));
		add_text(text, json_is_string(one) ? json_string_value(one) : word);
	}
}

static void play_step(struct replay *replay, json_t *step)
{
	static char got[TEXT_MAX], wanted[TEXT_MAX];
	unsigned active[STATES_MAX];
	size_t count;
	char word[32];

	replay->called[0] = '\0';
	expect(replay, "result", result_name(mutate(replay, conformance_text(step, "op"))),
		conformance_text(step, "result"));
	join(wanted, json_object_get(step, "handlers"));
	expect(replay, "handlers", replay->called, wanted);
	got[0] = '\0';
	count = tmgr_machine_active(replay->machine, active, STATES_MAX);
	for (size_t i = 0; i < count; i++)
		add_text(got, replay->names[active[i]]);
	join(wanted, json_object_get(step, "active"));
	expect(replay, "active", got, wanted);
	got[0] = '\0';
	for (unsigned i = 0; i < replay->count; i++) {
		snprintf(word, sizeof(word), "%llu",
			(unsigned long long)tmgr_machine_tick(replay->machine, i));
		add_text(got, word);
	}
	join(wanted, json_object_get(step, "time"));
	expect(replay, "ticks", got, wanted);
}

static bool replay_case(json_t *all, bool quiet)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	const char *init = conformance_text(all, "init");
	char set[256];
	json_t *step;
	size_t i;
	bool right;

	replay->name = conformance_text(all, "name");
	replay->behaviour = json_object_get(all, "behaviour");
	read_schema(replay, all);
	assert_int_equal(tmgr_machine_create(replay->schema, NULL, &replay->machine), 0);
	bind_all(replay);
	snprintf(set, sizeof(set), "set %s", init);
	if (init[0] != '\0')
		mutate(replay, set);
	replay->recording = true;
	json_array_foreach(json_object_get(all, "steps"), i, step)
	{
		replay->step = i;
		play_step(replay, step);
	}
	tmgr_machine_unref(replay->machine);
	tmgr_schema_unref(replay->schema);
	right = replay->wrong[0] == '\0';
	if (!right && !quiet)
		print_message("%s\n", replay->wrong);
	free(replay);
	return right;
}

static void play(json_t *one, void *user)
{
	int *wrong = user;

	*wrong += !replay_case(one, *wrong > 5);
}

static void replay_file(const char *name, size_t wanted)
{
	int wrong = 0;

	conformance_play(name, wanted, play, &wrong);
	assert_int_equal(wrong, 0);
}

static void the_golden_cases_replay(void **state)
{
	replay_file("machine_golden.jsonl", 22);
}

static void the_cases_of_relations_replay(void **state)
{
	replay_file("machine_relations.jsonl", 455);
}

static void the_cases_of_automatic_states_replay(void **state)
{
	replay_file("machine_autos.jsonl", 184);
}

static void the_cases_of_handlers_replay(void **state)
{
	replay_file("machine_handlers.jsonl", 178);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(the_golden_cases_replay),
		leak_test(the_cases_of_relations_replay),
		leak_test(the_cases_of_automatic_states_replay),
		leak_test(the_cases_of_handlers_replay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
