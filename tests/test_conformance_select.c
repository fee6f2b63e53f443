/*
 * Replays tests/conformance/select.jsonl on the core's channels with real threads: each goroutine
 * of a case is a task with a thread of its own, time is virtual, and a step is over when everybody
 * has finished or sleeps.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <taskmgr/channel.h>
#include <taskmgr/manager.h>

#include "taskmgr/clock.h"

#include "tests/support/actor.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define GOROUTINES_MAX 8
#define CHANNELS_MAX 4
#define CASES_MAX 16
/* Time 0 of a case; what is before it is the past. */
#define EPOCH TMGR_SECOND

struct goroutine {
	char name[16];
	struct actor actor;
	struct tmgr__virtual_clock *clock;
	struct tmgr_select_case cases[CASES_MAX];
	int items[CASES_MAX];
	size_t count;
	int result;
};

struct replay {
	const char *name;
	struct tmgr__virtual_clock clock;
	struct goroutine goroutines[GOROUTINES_MAX];
	size_t goroutine_count;
	char channel_names[CHANNELS_MAX][16];
	struct tmgr_channel *channels[CHANNELS_MAX];
	size_t channel_count;
	size_t step;
	char wrong[512]; /* the first thing that was not as it should be */
};

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static int number_of(json_t *object, const char *key)
{
	return (int)json_integer_value(json_object_get(object, key));
}

static void expect(struct replay *replay, bool holds, const char *what, const char *who)
{
	if (!holds && replay->wrong[0] == '\0')
		snprintf(replay->wrong, sizeof(replay->wrong), "%s, step %zu: %s: %s", replay->name,
			replay->step, who, what);
}

static struct goroutine *goroutine_named(struct replay *replay, const char *name)
{
	struct goroutine *goroutine;

	for (size_t i = 0; i < replay->goroutine_count; i++) {
		if (strcmp(replay->goroutines[i].name, name) == 0)
			return &replay->goroutines[i];
	}
	assert_true(replay->goroutine_count < GOROUTINES_MAX);
	goroutine = &replay->goroutines[replay->goroutine_count++];
	*goroutine = (struct goroutine){ .actor = ACTOR_INIT, .clock = &replay->clock };
	snprintf(goroutine->name, sizeof(goroutine->name), "%s", name);
	return goroutine;
}

static struct tmgr_channel *channel_named(struct replay *replay, const char *name)
{
	for (size_t i = 0; i < replay->channel_count; i++) {
		if (strcmp(replay->channel_names[i], name) == 0)
			return replay->channels[i];
	}
	return NULL;
}

static void do_select(void *argument, struct tmgr_context *context)
{
	struct goroutine *goroutine = argument;

	tmgr__clock_use(&goroutine->clock->clock);
	goroutine->result = tmgr_select(context, goroutine->cases, goroutine->count, TMGR_NEVER);
	tmgr__clock_use(NULL);
}

static void begin_select(struct replay *replay, json_t *step)
{
	struct goroutine *goroutine = goroutine_named(replay, text_of(step, "goroutine"));
	json_t *cases = json_object_get(step, "cases"), *one;
	size_t i;

	assert_true(json_array_size(cases) <= CASES_MAX);
	expect(replay, !actor_busy(&goroutine->actor), "is still blocked", goroutine->name);
	if (replay->wrong[0] != '\0')
		return;
	json_array_foreach(cases, i, one)
	{
		const char *op = text_of(one, "op");
		struct tmgr_select_case *made = &goroutine->cases[i];

		*made = (struct tmgr_select_case){ .result = 99, .item = &goroutine->items[i] };
		goroutine->items[i] = number_of(one, "value");
		made->channel = channel_named(replay, text_of(one, "channel"));
		made->at = EPOCH + number_of(one, "at") * TMGR_MILLISECOND;
		if (strcmp(op, "send") == 0)
			made->op = TMGR_SELECT_SEND;
		else if (strcmp(op, "receive") == 0)
			made->op = TMGR_SELECT_RECEIVE;
		else if (strcmp(op, "after") == 0)
			made->op = TMGR_SELECT_AFTER;
		else
			made->op = TMGR_SELECT_DEFAULT;
	}
	goroutine->count = json_array_size(cases);
	goroutine->result = -1000;
	actor_begin(&goroutine->actor, do_select, goroutine);
}

/* What one goroutine's select fired, against what it should have. */
static void check_fire(struct replay *replay, json_t *fire)
{
	struct goroutine *goroutine = goroutine_named(replay, text_of(fire, "goroutine"));
	const char *kind = text_of(fire, "kind");
	int index = number_of(fire, "case");
	const struct tmgr_select_case *one = &goroutine->cases[index];

	if (!actor_finishes(&goroutine->actor)) {
		expect(replay, false, "does not fire", goroutine->name);
		return;
	}
	expect(replay, goroutine->result == index, "another case fired", goroutine->name);
	if (strcmp(kind, "closed") == 0)
		expect(replay, one->result == -EPIPE, "is not told that it is closed",
			goroutine->name);
	else
		expect(replay, one->result == 0, "has not the result 0", goroutine->name);
	if (strcmp(kind, "timeout") == 0)
		expect(replay, one->op == TMGR_SELECT_AFTER, "is no timeout", goroutine->name);
	if (strcmp(kind, "default") == 0)
		expect(replay, one->op == TMGR_SELECT_DEFAULT, "is no default", goroutine->name);
	if (json_object_get(fire, "value") != NULL)
		expect(replay, goroutine->items[index] == number_of(fire, "value"),
			"has another value", goroutine->name);
	for (size_t i = 0; i < goroutine->count; i++) {
		if ((int)i != index)
			expect(replay, goroutine->cases[i].result == 99, "wrote to another case",
				goroutine->name);
	}
}

static void play_step(struct replay *replay, json_t *step, bool *busy)
{
	const char *op = text_of(step, "op");
	json_t *fires = json_object_get(step, "fires"), *fire;
	size_t i;

	if (strcmp(op, "select") == 0) {
		begin_select(replay, step);
		busy[goroutine_named(replay, text_of(step, "goroutine")) - replay->goroutines] =
			true;
	} else if (strcmp(op, "close") == 0) {
		tmgr_channel_close(channel_named(replay, text_of(step, "channel")));
	} else {
		tmgr__virtual_clock_set(
			&replay->clock, EPOCH + number_of(step, "now") * TMGR_MILLISECOND);
	}
	if (replay->wrong[0] != '\0')
		return;
	json_array_foreach(fires, i, fire)
	{
		check_fire(replay, fire);
		busy[goroutine_named(replay, text_of(fire, "goroutine")) - replay->goroutines] =
			false;
	}
	for (i = 0; i < replay->goroutine_count; i++) {
		if (busy[i])
			expect(replay, actor_settles_blocked(&replay->goroutines[i].actor),
				"is not blocked", replay->goroutines[i].name);
	}
}

static void check_blocked(struct replay *replay, json_t *blocked)
{
	size_t count = 0, i;
	json_t *name;

	for (i = 0; i < replay->goroutine_count; i++)
		count += actor_busy(&replay->goroutines[i].actor);
	expect(replay, count == json_array_size(blocked), "how many are blocked at the end", "all");
	json_array_foreach(blocked, i, name)
	{
		struct goroutine *goroutine = goroutine_named(replay, json_string_value(name));

		expect(replay, actor_busy(&goroutine->actor), "is not blocked at the end",
			goroutine->name);
	}
}

static void check_buffers(struct replay *replay, json_t *buffers)
{
	for (size_t i = 0; i < replay->channel_count; i++) {
		json_t *items = json_object_get(buffers, replay->channel_names[i]), *one;
		int item, r;
		size_t j;

		json_array_foreach(items, j, one)
		{
			r = tmgr_channel_receive(NULL, replay->channels[i], &item, TMGR_NOW);
			expect(replay, r == 0 && item == (int)json_integer_value(one),
				"another item is buffered", replay->channel_names[i]);
		}
		r = tmgr_channel_receive(NULL, replay->channels[i], &item, TMGR_NOW);
		expect(replay, r == -ETIMEDOUT || r == -EPIPE, "more is buffered",
			replay->channel_names[i]);
	}
}

static void make_channels(struct replay *replay, json_t *channels)
{
	json_t *one;
	size_t i;

	assert_true(json_array_size(channels) <= CHANNELS_MAX);
	json_array_foreach(channels, i, one)
	{
		snprintf(replay->channel_names[i], sizeof(replay->channel_names[i]), "%s",
			text_of(one, "name"));
		assert_int_equal(tmgr_channel_create(sizeof(int),
					 (size_t)number_of(one, "capacity"), &replay->channels[i]),
			0);
	}
	replay->channel_count = json_array_size(channels);
}

/* All who take part, as tasks of a manager: so that their waits can be cancelled. */
static struct tmgr_manager *make_goroutines(struct replay *replay, json_t *steps)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	json_t *step;
	size_t i;

	json_array_foreach(steps, i, step)
	{
		if (strcmp(text_of(step, "op"), "select") == 0)
			goroutine_named(replay, text_of(step, "goroutine"));
	}
	for (i = 0; i < replay->goroutine_count; i++) {
		struct goroutine *goroutine = &replay->goroutines[i];

		assert_int_equal(tmgr_manager_add_task(manager, goroutine->name,
					 actor_task(&goroutine->actor), TMGR_STRICT),
			0);
	}
	return manager;
}

static void replay_case(json_t *all)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	json_t *steps = json_object_get(all, "steps"), *step;
	bool busy[GOROUTINES_MAX] = { false };
	struct tmgr_manager *manager;
	struct runner runner;
	static char wrong[512];
	size_t i;

	replay->name = text_of(all, "name");
	tmgr__virtual_clock_init(&replay->clock, EPOCH);
	make_channels(replay, json_object_get(all, "channels"));
	manager = make_goroutines(replay, steps);
	runner_start(&runner, manager, NULL);
	json_array_foreach(steps, i, step)
	{
		replay->step = i;
		if (replay->wrong[0] == '\0')
			play_step(replay, step, busy);
	}
	if (replay->wrong[0] == '\0')
		check_blocked(replay, json_object_get(all, "blocked"));
	tmgr_manager_cancel(manager);
	for (i = 0; i < replay->goroutine_count; i++) {
		struct goroutine *goroutine = &replay->goroutines[i];

		expect(replay, actor_finishes(&goroutine->actor), "cannot be cancelled",
			goroutine->name);
		if (busy[i])
			expect(replay, goroutine->result == -ECANCELED, "was not cancelled",
				goroutine->name);
		actor_quit(&goroutine->actor);
	}
	expect(replay, runner_join(&runner) == 0, "does not end cleanly", "run");
	check_buffers(replay, json_object_get(all, "buffers"));
	tmgr_manager_destroy(manager);
	for (i = 0; i < replay->channel_count; i++)
		tmgr_channel_unref(replay->channels[i]);
	memcpy(wrong, replay->wrong, sizeof(wrong));
	free(replay);
	if (wrong[0] != '\0')
		fail_msg("%s", wrong);
}

static void all_cases_replay_with_real_threads(void **state)
{
	const char *top = getenv("TOP"), *only = getenv("CASE");
	char path[4096], *line = NULL;
	size_t size = 0, count = 0;
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/tests/conformance/select.jsonl", top != NULL ? top : ".");
	file = fopen(path, "re");
	assert_non_null(file);
	while (getline(&line, &size, file) > 0) {
		json_t *all = json_loads(line, 0, NULL);

		assert_non_null(all);
		if (only == NULL || strcmp(only, text_of(all, "name")) == 0)
			replay_case(all);
		json_decref(all);
		count++;
	}
	free(line);
	fclose(file);
	assert_int_equal(count, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(all_cases_replay_with_real_threads),
	};

	return cmocka_run_group_tests_name("conformance_select", tests, NULL, NULL);
}
