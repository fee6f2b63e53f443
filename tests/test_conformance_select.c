/*
 * Replays tests/conformance/select.jsonl on the core's channels, with real threads and with
 * coroutines: each goroutine of a case is a task with a thread of its own, or all are on one loop.
 * Time is virtual, and a step is over when everybody has finished or is blocked: sleeps in the
 * kernel, or is shown to wait for its select, once the loop has done all it had to do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/channel.h>
#include <taskmgr/manager.h>
#include <taskmgr/tasks/loop.h>

#include "taskmgr/clock.h"

#include "tests/support/actor.h"
#include "tests/support/conformance.h"
#include "tests/support/latch.h"
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
	struct replay *replay;
	/* On a loop, in place of the actor: */
	struct tmgr_channel *commands;
	atomic_int begun, done;
	atomic_bool there; /* it takes commands */
	struct tmgr_select_case cases[CASES_MAX];
	int items[CASES_MAX];
	size_t count;
	int result;
};

struct replay {
	const char *name;
	struct tmgr_loop *loop; /* NULL: on threads */
	struct tmgr_manager *manager;
	struct tmgr__virtual_clock clock;
	struct goroutine goroutines[GOROUTINES_MAX];
	size_t goroutine_count;
	char channel_names[CHANNELS_MAX][16];
	struct tmgr_channel *channels[CHANNELS_MAX];
	size_t channel_count;
	size_t step;
	char wrong[512]; /* the first thing that was not as it should be */
};

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
	*goroutine = (struct goroutine){ .actor = ACTOR_INIT, .replay = replay };
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

	tmgr__clock_use(&goroutine->replay->clock.clock);
	goroutine->result = tmgr_select(context, goroutine->cases, goroutine->count, TMGR_NEVER);
	if (goroutine->replay->loop == NULL)
		tmgr__clock_use(NULL);
}

/* ---- On a loop ------------------------------------------------------------------------------ */

static int obey(void *self, struct tmgr_context *context)
{
	struct goroutine *goroutine = self;
	char command;

	atomic_store(&goroutine->there, true);
	for (;;) {
		int r;

		/* It goes on after the cancel, until there are no more commands. */
		tmgr_uninterrupted_begin(context, TMGR_NEVER);
		r = tmgr_channel_receive(context, goroutine->commands, &command, TMGR_NEVER);
		tmgr_uninterrupted_end(context);
		if (r < 0)
			return 0;
		atomic_fetch_add(&goroutine->begun, 1);
		do_select(goroutine, context);
		atomic_fetch_add(&goroutine->done, 1);
	}
}

/* The loop may turn before its tasks have come to it. */
static bool all_are_there(void *argument)
{
	struct replay *replay = argument;
	bool there = true;

	for (size_t i = 0; replay->loop != NULL && i < replay->goroutine_count; i++)
		there &= atomic_load(&replay->goroutines[i].there);
	return there;
}

static void open_latch(void *self)
{
	latch_open(self);
}

/* Two turns of the loop: in the second all has been run that was woken before. */
static void let_loop_turn(struct replay *replay)
{
	for (int i = 0; replay->loop != NULL && i < 2; i++) {
		struct latch turned = LATCH_INIT;
		struct tmgr_loop_call call;

		expect(replay, tmgr_loop_post(replay->loop, &call, open_latch, &turned) == 0,
			"takes no posts", "loop");
		expect(replay, latch_wait(&turned), "does not turn", "loop");
	}
}

static bool is_busy(struct goroutine *goroutine)
{
	if (goroutine->replay->loop == NULL)
		return actor_busy(&goroutine->actor);
	let_loop_turn(goroutine->replay);
	return atomic_load(&goroutine->begun) > atomic_load(&goroutine->done);
}

static bool finishes(struct goroutine *goroutine)
{
	return goroutine->replay->loop != NULL ? !is_busy(goroutine)
					       : actor_finishes(&goroutine->actor);
}

static bool waits_in_select(struct replay *replay, const char *name)
{
	struct tmgr_snapshot *snapshot;
	bool waits = false;

	if (tmgr_manager_snapshot(replay->manager, &snapshot) < 0)
		return false;
	for (size_t i = 0; i < snapshot->count; i++)
		waits |= strcmp(snapshot->tasks[i].path, name) == 0 &&
			 strcmp(snapshot->tasks[i].waiting, "select") == 0;
	tmgr_snapshot_destroy(snapshot);
	return waits;
}

static bool settles_blocked(struct goroutine *goroutine)
{
	if (goroutine->replay->loop == NULL)
		return actor_settles_blocked(&goroutine->actor);
	return is_busy(goroutine) && waits_in_select(goroutine->replay, goroutine->name);
}

static void begin(struct goroutine *goroutine)
{
	char command = 0;

	if (goroutine->replay->loop != NULL)
		tmgr_channel_send(NULL, goroutine->commands, &command, TMGR_NEVER);
	else
		actor_begin(&goroutine->actor, do_select, goroutine);
}

static void quit(struct goroutine *goroutine)
{
	if (goroutine->replay->loop != NULL)
		tmgr_channel_close(goroutine->commands);
	else
		actor_quit(&goroutine->actor);
}

/* ---- Cases ---------------------------------------------------------------------------------- */

static void begin_select(struct replay *replay, json_t *step)
{
	struct goroutine *goroutine = goroutine_named(replay, conformance_text(step, "goroutine"));
	json_t *cases = json_object_get(step, "cases"), *one;
	size_t i;

	assert_true(json_array_size(cases) <= CASES_MAX);
	expect(replay, !is_busy(goroutine), "is still blocked", goroutine->name);
	if (replay->wrong[0] != '\0')
		return;
	json_array_foreach(cases, i, one)
	{
		const char *op = conformance_text(one, "op");
		struct tmgr_select_case *made = &goroutine->cases[i];

		*made = (struct tmgr_select_case){ .result = 99, .item = &goroutine->items[i] };
		goroutine->items[i] = number_of(one, "value");
		made->channel = channel_named(replay, conformance_text(one, "channel"));
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
	begin(goroutine);
}

/* What one goroutine's select fired, against what it should have. */
static void check_fire(struct replay *replay, json_t *fire)
{
	struct goroutine *goroutine = goroutine_named(replay, conformance_text(fire, "goroutine"));
	const char *kind = conformance_text(fire, "kind");
	int index = number_of(fire, "case");
	const struct tmgr_select_case *one = &goroutine->cases[index];

	if (!finishes(goroutine)) {
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
	const char *op = conformance_text(step, "op");
	json_t *fires = json_object_get(step, "fires"), *fire;
	size_t i;

	if (strcmp(op, "select") == 0) {
		begin_select(replay, step);
		busy[goroutine_named(replay, conformance_text(step, "goroutine")) -
			replay->goroutines] = true;
	} else if (strcmp(op, "close") == 0) {
		tmgr_channel_close(channel_named(replay, conformance_text(step, "channel")));
	} else {
		tmgr__virtual_clock_set(
			&replay->clock, EPOCH + number_of(step, "now") * TMGR_MILLISECOND);
		let_loop_turn(replay);
	}
	if (replay->wrong[0] != '\0')
		return;
	json_array_foreach(fires, i, fire)
	{
		check_fire(replay, fire);
		busy[goroutine_named(replay, conformance_text(fire, "goroutine")) -
			replay->goroutines] = false;
	}
	for (i = 0; i < replay->goroutine_count; i++) {
		if (busy[i])
			expect(replay, settles_blocked(&replay->goroutines[i]), "is not blocked",
				replay->goroutines[i].name);
	}
}

static void check_blocked(struct replay *replay, json_t *blocked)
{
	size_t count = 0, i;
	json_t *name;

	for (i = 0; i < replay->goroutine_count; i++)
		count += is_busy(&replay->goroutines[i]);
	expect(replay, count == json_array_size(blocked), "how many are blocked at the end", "all");
	json_array_foreach(blocked, i, name)
	{
		struct goroutine *goroutine = goroutine_named(replay, json_string_value(name));

		expect(replay, is_busy(goroutine), "is not blocked at the end", goroutine->name);
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
			conformance_text(one, "name"));
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
		if (strcmp(conformance_text(step, "op"), "select") == 0)
			goroutine_named(replay, conformance_text(step, "goroutine"));
	}
	if (replay->loop != NULL)
		assert_int_equal(tmgr_manager_add_task(manager, "loop",
					 tmgr_loop_task(replay->loop), TMGR_STRICT),
			0);
	for (i = 0; i < replay->goroutine_count; i++) {
		struct goroutine *goroutine = &replay->goroutines[i];
		struct tmgr_task_options options = { .loop = replay->loop };
		struct tmgr_task task = replay->loop != NULL ? tmgr_task_function(obey, goroutine)
							     : actor_task(&goroutine->actor);

		if (replay->loop != NULL)
			assert_int_equal(tmgr_channel_create(1, 1, &goroutine->commands), 0);
		assert_int_equal(tmgr_manager_add_task_with(
					 manager, goroutine->name, task, TMGR_STRICT, &options),
			0);
	}
	return manager;
}

static void replay_case(json_t *all, void *user)
{
	bool on_loop = *(bool *)user;
	struct replay *replay = calloc(1, sizeof(*replay));
	json_t *steps = json_object_get(all, "steps"), *step;
	bool busy[GOROUTINES_MAX] = { false };
	struct tmgr_manager *manager;
	struct runner runner;
	static char wrong[512];
	size_t i;

	replay->name = conformance_text(all, "name");
	if (on_loop)
		assert_int_equal(tmgr_loop_create(NULL, &replay->loop), 0);
	tmgr__virtual_clock_init(&replay->clock, EPOCH);
	make_channels(replay, json_object_get(all, "channels"));
	manager = replay->manager = make_goroutines(replay, steps);
	runner_start(&runner, manager, NULL);
	expect(replay, eventually(all_are_there, replay), "did not begin", "all");
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

		expect(replay, finishes(goroutine), "cannot be cancelled", goroutine->name);
		if (busy[i])
			expect(replay, goroutine->result == -ECANCELED, "was not cancelled",
				goroutine->name);
		quit(goroutine);
	}
	expect(replay, runner_join(&runner) == 0, "does not end cleanly", "run");
	check_buffers(replay, json_object_get(all, "buffers"));
	tmgr_manager_destroy(manager);
	for (i = 0; i < replay->channel_count; i++)
		tmgr_channel_unref(replay->channels[i]);
	for (i = 0; i < replay->goroutine_count; i++)
		tmgr_channel_unref(replay->goroutines[i].commands);
	tmgr_loop_unref(replay->loop);
	memcpy(wrong, replay->wrong, sizeof(wrong));
	free(replay);
	if (wrong[0] != '\0')
		fail_msg("%s", wrong);
}

static void replay_all(bool on_loop)
{
	conformance_play("select.jsonl", 400, replay_case, &on_loop);
}

static void all_cases_replay_with_real_threads(void **state)
{
	replay_all(false);
}

static void all_cases_replay_with_coroutines(void **state)
{
	replay_all(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(all_cases_replay_with_real_threads),
		leak_test(all_cases_replay_with_coroutines),
	};

	return cmocka_run_group_tests_name("conformance_select", tests, NULL, NULL);
}
