/*
 * Channels and select of durable processes: conformance/select.jsonl on the engine, with and without
 * loading it again after each command, and every interleaving of small programs against a model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/support/leak.h"
#include "tests/support/players.h"
#include "tests/support/select_model.h"

/* ---- Conformance ----------------------------------------------------------------------------- */

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static int number_of(json_t *object, const char *key)
{
	return (int)json_integer_value(json_object_get(object, key));
}

static char ids[TMGR_PROCESS_CASES_MAX][32];

static size_t make_cases(json_t *cases, struct tmgr__case *made)
{
	json_t *one;
	size_t i;

	json_array_foreach(cases, i, one)
	{
		const char *op = text_of(one, "op");

		snprintf(ids[i], sizeof(ids[i]), "/%s", text_of(one, "channel"));
		made[i] = (struct tmgr__case){ .target = ids[i], .at_ms = number_of(one, "at") };
		if (strcmp(op, "send") == 0) {
			made[i].kind = TMGR_PROCESS_WAIT_SEND;
			made[i].value = players_value(number_of(one, "value"));
		} else if (strcmp(op, "receive") == 0) {
			made[i].kind = TMGR_PROCESS_WAIT_RECEIVE;
		} else if (strcmp(op, "after") == 0) {
			made[i].kind = TMGR_PROCESS_WAIT_AFTER;
		} else {
			made[i].kind = TMGR__CASE_DEFAULT;
		}
	}
	return json_array_size(cases);
}

static bool fits(const struct fired *fired, json_t *fire)
{
	const char *kind = text_of(fire, "kind");
	json_t *value = json_object_get(fire, "value");

	if (strcmp(fired->player, text_of(fire, "goroutine")) != 0 ||
		fired->index != number_of(fire, "case"))
		return false;
	if (value != NULL)
		return fired->arrival == TMGR_ARRIVED_MESSAGE &&
		       fired->value == (int)json_integer_value(value);
	if (strcmp(kind, "closed") == 0)
		return fired->arrival == TMGR_ARRIVED_CLOSED;
	if (strcmp(kind, "timeout") == 0)
		return fired->arrival == TMGR_ARRIVED_TIMEOUT;
	if (strcmp(kind, "default") == 0)
		return fired->arrival == TMGR_ARRIVED_DEFAULT;
	return fired->arrival == TMGR_ARRIVED_SENT;
}

/* A select's pair is in any order, all else in the order given. */
static bool all_fit(const struct players *players, json_t *fires, bool any_order)
{
	size_t count = json_array_size(fires), i;
	json_t *fire;

	if (players->fired_count != count)
		return false;
	json_array_foreach(fires, i, fire)
	{
		bool found = fits(&players->fired[i], fire);

		for (size_t k = 0; any_order && !found && k < count; k++)
			found = fits(&players->fired[k], fire);
		if (!found)
			return false;
	}
	return true;
}

static void play(struct players *players, json_t *step)
{
	struct tmgr__case cases[TMGR_PROCESS_CASES_MAX];
	const char *op = text_of(step, "op");

	if (strcmp(op, "select") == 0)
		players_select(players, text_of(step, "goroutine"), cases,
			make_cases(json_object_get(step, "cases"), cases));
	else if (strcmp(op, "close") == 0)
		players_close(players, text_of(step, "channel"));
	else
		players_tick(players, number_of(step, "now"));
}

static void check_end(struct players *players, json_t *all)
{
	json_t *blocked = json_object_get(all, "blocked"), *buffers, *items, *one;
	const char *name;
	size_t i;

	assert_int_equal(players_blocked_count(players), json_array_size(blocked));
	json_array_foreach(blocked, i, one)
		assert_true(players_blocked(players, json_string_value(one)));
	buffers = json_object_get(all, "buffers");
	json_object_foreach(buffers, name, items)
	{
		int values[64];

		assert_int_equal(players_buffer(players, name, values, 64), json_array_size(items));
		json_array_foreach(items, i, one)
			assert_int_equal(values[i], (int)json_integer_value(one));
	}
}

static void replay(json_t *all, bool reload)
{
	json_t *channels = json_object_get(all, "channels");
	json_t *steps = json_object_get(all, "steps"), *one;
	struct players players;
	size_t i;

	players_begin(&players, reload);
	json_array_foreach(channels, i, one) players_channel(
		&players, text_of(one, "name"), (uint32_t)number_of(one, "capacity"));
	json_array_foreach(steps, i, one)
	{
		play(&players, one);
		if (!all_fit(&players, json_object_get(one, "fires"),
			    strcmp(text_of(one, "op"), "select") == 0))
			fail_msg("%s, step %zu fires otherwise", text_of(all, "name"), i);
	}
	check_end(&players, all);
	players_end(&players);
}

static void replay_all(bool reload)
{
	FILE *file = fopen("tests/conformance/select.jsonl", "r");
	char *text = NULL;
	size_t size = 0, cases = 0;

	assert_non_null(file);
	while (getline(&text, &size, file) > 0) {
		json_t *all = json_loads(text, 0, NULL);

		assert_non_null(all);
		replay(all, reload);
		json_decref(all);
		cases++;
	}
	free(text);
	fclose(file);
	assert_int_equal(cases, 400);
}

static void conformance_cases_fire_as_they_say(void **state)
{
	replay_all(false);
}

static void an_engine_loaded_after_each_command_goes_on_as_if_it_had_not_been(void **state)
{
	replay_all(true);
}

/* ---- Every interleaving ---------------------------------------------------------------------- */

#define CHOICES_MAX 16

/* Who acts: a player with its next select, or the world, which closes or lets time pass. */
struct exploration {
	const struct model_program *program;
	int choices[CHOICES_MAX];
	size_t depth;
	size_t interleavings;
	bool reload;
};

static const char *player_name(int player)
{
	static const char *const names[] = { "g0", "g1", "g2", "g3" };

	return names[player];
}

static size_t translate(const struct model_select *select, struct tmgr__case *made)
{
	static const char *const names[] = { "/a", "/b" };

	for (int i = 0; i < select->count; i++) {
		const struct model_case *one = &select->cases[i];
		static const unsigned kinds[] = { TMGR_PROCESS_WAIT_SEND, TMGR_PROCESS_WAIT_RECEIVE,
			TMGR_PROCESS_WAIT_AFTER, TMGR__CASE_DEFAULT };

		made[i] = (struct tmgr__case){ .kind = kinds[one->op],
			.target = names[one->channel],
			.at_ms = one->at,
			.value = players_value(one->value) };
	}
	return (size_t)select->count;
}

static bool same(const struct fired *fired, const struct model_fire *fire)
{
	static const enum tmgr_arrival kinds[] = { TMGR_ARRIVED_SENT, TMGR_ARRIVED_MESSAGE,
		TMGR_ARRIVED_CLOSED, TMGR_ARRIVED_TIMEOUT, TMGR_ARRIVED_DEFAULT };

	return strcmp(fired->player, player_name(fire->player)) == 0 &&
	       fired->index == fire->index && fired->arrival == kinds[fire->how] &&
	       fired->value == fire->value;
}

static void compare_fires(
	const struct players *players, const struct model *model, size_t step, uint64_t seed)
{
	if (players->fired_count != (size_t)model->fire_count)
		fail_msg("seed %llu, choice %zu: %zu fire, not %d", (unsigned long long)seed, step,
			players->fired_count, model->fire_count);
	for (int i = 0; i < model->fire_count; i++) {
		bool found = false;

		for (size_t k = 0; k < players->fired_count; k++)
			found |= same(&players->fired[k], &model->fires[i]);
		if (!found)
			fail_msg("seed %llu, choice %zu: g%d does not fire case %d",
				(unsigned long long)seed, step, model->fires[i].player,
				model->fires[i].index);
	}
}

static void compare_standing(const struct players *players, const struct model *model)
{
	static const char *const names[] = { "a", "b" };

	for (int player = 0; player < model->program->players; player++) {
		if (tmgr__engine_process(players->engine, player_name(player)) != NULL)
			assert_int_equal(players_blocked(players, player_name(player)),
				model_blocked(model, player));
	}
	for (int channel = 0; channel < 2; channel++) {
		int values[32];
		size_t count = players_buffer(players, names[channel], values, 32);

		assert_int_equal(count, model->buffered[channel]);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(values[i], model->buffers[channel][i]);
	}
}

/* Play the choices so far on both; the model then says who could be next. */
static void play_choices(struct exploration *exploration, struct model *model, bool check)
{
	const struct model_program *program = exploration->program;
	struct players players;

	model_begin(model, program);
	if (check) {
		players_begin(&players, exploration->reload);
		players_channel(&players, "a", (uint32_t)program->capacities[0]);
		players_channel(&players, "b", (uint32_t)program->capacities[1]);
	}
	for (size_t i = 0; i < exploration->depth; i++) {
		int choice = exploration->choices[i];
		const struct model_select *select = model_next(model, choice);
		const struct model_world *world = model_next_of_world(model, choice);
		struct tmgr__case cases[MODEL_CASES_MAX];

		if (check && select != NULL)
			players_select(
				&players, player_name(choice), cases, translate(select, cases));
		else if (check && world->close >= 0)
			players_close(&players, world->close == 0 ? "a" : "b");
		else if (check)
			players_tick(&players, world->now);
		model_act(model, choice);
		if (check)
			compare_fires(&players, model, i, program->seed);
	}
	if (!check)
		return;
	compare_standing(&players, model);
	players_end(&players);
}

static void explore(struct exploration *exploration)
{
	struct model model;
	bool went_on = false;

	play_choices(exploration, &model, false);
	for (int choice = 0; choice <= exploration->program->players; choice++) {
		if (!model_can_act(&model, choice))
			continue;
		went_on = true;
		exploration->choices[exploration->depth++] = choice;
		explore(exploration);
		exploration->depth--;
	}
	if (went_on)
		return;
	exploration->interleavings++;
	play_choices(exploration, &model, true);
}

static void explore_programs(uint64_t first, uint64_t count, bool reload, size_t at_least)
{
	size_t interleavings = 0;

	for (uint64_t seed = first; seed < first + count; seed++) {
		struct model_program program;
		struct exploration exploration = { .program = &program, .reload = reload };

		model_make_program(&program, seed);
		explore(&exploration);
		interleavings += exploration.interleavings;
	}
	print_message(
		"%zu interleavings of %llu programs\n", interleavings, (unsigned long long)count);
	assert_true(interleavings >= at_least);
}

static void every_interleaving_of_small_programs_is_as_the_model_says(void **state)
{
	explore_programs(1, 400, false, 20000);
}

static void and_so_it_is_when_the_engine_is_loaded_after_each_command(void **state)
{
	explore_programs(1001, 30, true, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(conformance_cases_fire_as_they_say),
		leak_test(an_engine_loaded_after_each_command_goes_on_as_if_it_had_not_been),
		leak_test(every_interleaving_of_small_programs_is_as_the_model_says),
		leak_test(and_so_it_is_when_the_engine_is_loaded_after_each_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
