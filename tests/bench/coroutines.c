/*
 * Coroutines: taking turns, beginning and ending, and channels between them and to threads; beside
 * bare stacks that are switched by hand, and beside threads.
 */
#include <stdlib.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/bare.h"
#include "tests/bench/in_loop.h"
#include "tests/bench/measure.h"

#define COROUTINES 1000
#define YIELDS 200
#define SPAWNS 100000
#define TRIPS 100000
#define THREAD_TRIPS 10000

/* ---- Taking turns ---- */

static bool over;

static int take_turns(void *self, struct tmgr_context *context)
{
	while (!over)
		if (tmgr_yield(context) < 0)
			return 0;
	return 0;
}

static void spawn_all(struct tmgr_context *context,
	int (*function)(void *self, struct tmgr_context *context),
	struct tmgr_coroutine **coroutines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		measure_check("spawn",
			tmgr_coroutine_spawn(context, function, NULL, NULL, &coroutines[i]));
}

static void await_all(
	struct tmgr_context *context, struct tmgr_coroutine **coroutines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		measure_check(
			"await", tmgr_coroutine_await(context, coroutines[i], TMGR_NEVER, NULL));
		tmgr_coroutine_unref(coroutines[i]);
	}
}

static double yield_with_many(void *self, struct tmgr_context *context)
{
	static struct tmgr_coroutine *others[COROUTINES - 1];
	int64_t began;

	over = false;
	spawn_all(context, take_turns, others, COROUTINES - 1);
	tmgr_yield(context);
	began = measure_now();
	for (int i = 0; i < YIELDS; i++)
		tmgr_yield(context);
	began = measure_now() - began;
	over = true;
	await_all(context, others, COROUTINES - 1);
	return (double)began / YIELDS / COROUTINES;
}

static double yield_of_ours(void *self)
{
	return run_in_loop(yield_with_many, NULL);
}

static struct bare ring[COROUTINES];

static void go_round(void *self)
{
	struct bare *bare = self;
	struct bare *next = bare + 1 < ring + COROUTINES ? bare + 1 : ring;

	for (;;)
		bare_switch(bare, next);
}

static double yield_of_bare(void *self)
{
	static void *stacks[COROUTINES];
	int64_t began;

	for (size_t i = 1; i < COROUTINES; i++) {
		if (!stacks[i])
			stacks[i] = bare_stack();
		/* As those of coroutines must be: tops at one distance share lines of the cache. */
		bare_init(&ring[i], (char *)stacks[i] - (i & 15) * 192, go_round, &ring[i]);
	}
	bare_switch(&ring[0], &ring[1]);
	began = measure_now();
	for (int i = 0; i < YIELDS; i++)
		bare_switch(&ring[0], &ring[1]);
	return (double)(measure_now() - began) / YIELDS / COROUTINES;
}

/* ---- Beginning and ending ---- */

static int do_nothing(void *self, struct tmgr_context *context)
{
	return 0;
}

static double spawn_one_by_one(void *self, struct tmgr_context *context)
{
	int64_t began = measure_now();

	for (int i = 0; i < SPAWNS; i++) {
		struct tmgr_coroutine *coroutine;

		spawn_all(context, do_nothing, &coroutine, 1);
		await_all(context, &coroutine, 1);
	}
	return (double)(measure_now() - began) / SPAWNS;
}

static double spawn_of_ours(void *self)
{
	return run_in_loop(spawn_one_by_one, NULL);
}

static double spawn_many(void *self, struct tmgr_context *context)
{
	static struct tmgr_coroutine *coroutines[COROUTINES];
	int64_t began = measure_now();

	for (int i = 0; i < SPAWNS / COROUTINES; i++) {
		spawn_all(context, do_nothing, coroutines, COROUTINES);
		await_all(context, coroutines, COROUTINES);
	}
	return (double)(measure_now() - began) / SPAWNS;
}

static double spawn_many_of_ours(void *self)
{
	return run_in_loop(spawn_many, NULL);
}

static struct bare here, there;

static void return_at_once(void *self)
{
	for (;;)
		bare_switch(&there, &here);
}

static double spawn_of_bare(void *self)
{
	void *stack = self;
	int64_t began = measure_now();

	for (int i = 0; i < SPAWNS; i++) {
		bare_init(&there, stack, return_at_once, NULL);
		bare_switch(&here, &there);
	}
	return (double)(measure_now() - began) / SPAWNS;
}

/* ---- There and back by channels ---- */

struct two_channels {
	struct tmgr_channel *there, *back;
	int trips;
	int64_t took;
};

static struct two_channels make_channels(size_t capacity, int trips)
{
	struct two_channels channels = { .trips = trips };

	measure_check("channel", tmgr_channel_create(sizeof(int64_t), capacity, &channels.there));
	measure_check("channel", tmgr_channel_create(sizeof(int64_t), capacity, &channels.back));
	return channels;
}

static double end_channels(struct two_channels *channels)
{
	tmgr_channel_unref(channels->there);
	tmgr_channel_unref(channels->back);
	return (double)channels->took / channels->trips;
}

static int answer(void *self, struct tmgr_context *context)
{
	struct two_channels *channels = self;
	int64_t item;
	int r = 0;

	for (int i = 0; r == 0 && i < channels->trips; i++) {
		r = tmgr_channel_receive(context, channels->there, &item, TMGR_NEVER);
		if (r == 0)
			r = tmgr_channel_send(context, channels->back, &item, TMGR_NEVER);
	}
	return r;
}

static int ask(void *self, struct tmgr_context *context)
{
	struct two_channels *channels = self;
	int64_t began = measure_now(), item = 0;
	int r = 0;

	for (int i = 0; r == 0 && i < channels->trips; i++) {
		r = tmgr_channel_send(context, channels->there, &item, TMGR_NEVER);
		if (r == 0)
			r = tmgr_channel_receive(context, channels->back, &item, TMGR_NEVER);
	}
	channels->took = measure_now() - began;
	return r;
}

static size_t capacity;

static double ask_on_loop(void *self, struct tmgr_context *context)
{
	struct two_channels channels = make_channels(capacity, TRIPS);
	struct tmgr_coroutine *answering;

	measure_check("spawn", tmgr_coroutine_spawn(context, answer, &channels, NULL, &answering));
	measure_check("asking", ask(&channels, context));
	await_all(context, &answering, 1);
	return end_channels(&channels);
}

static double trips_on_loop(void *self)
{
	return run_in_loop(ask_on_loop, NULL);
}

static double trips_of_bare(void *self)
{
	void *stack = self;
	int64_t began;

	bare_init(&there, stack, return_at_once, NULL);
	began = measure_now();
	for (int i = 0; i < TRIPS; i++)
		bare_switch(&here, &there);
	return (double)(measure_now() - began) / TRIPS;
}

/* A thread asks; what answers is on a loop, or a thread as well. */
static double trips_from_thread(bool to_coroutine)
{
	struct tmgr_manager *manager = tmgr_manager_create(
		&(struct tmgr_manager_options){ .when_quiet = TMGR_QUIET_RETURN });
	struct two_channels channels = make_channels(capacity, THREAD_TRIPS);

	if (to_coroutine)
		add_loop(manager, "answers", answer, &channels);
	else
		tmgr_manager_add_task(
			manager, "answers", tmgr_task_function(answer, &channels), TMGR_ERROR);
	tmgr_manager_add_task(manager, "asks", tmgr_task_function(ask, &channels), TMGR_ERROR);
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	return end_channels(&channels);
}

static double trips_to_coroutine(void *self)
{
	return trips_from_thread(true);
}

static double trips_to_thread(void *self)
{
	return trips_from_thread(false);
}

/* ---- Rows ---- */

static void measure(struct measure_row row, double (*ours)(void *self), double (*other)(void *self),
	size_t rounds)
{
	struct measure_pair pair = { ours, other, bare_stack(), .ours = { 0 } };

	row.unit = MEASURE_NANOSECONDS;
	if (measure_run_pair(&pair, 2, rounds))
		measure_print_pair(&row, &pair);
	else
		measure_failed(row.figure, "a call ended otherwise than it must");
	measure_clear_pair(&pair);
}

static void measure_channels(const char *on_loop, const char *from_thread, size_t items)
{
	capacity = items;
	measure((struct measure_row){ .figure = on_loop,
			.other_name = BARE_NAME ", there and back",
			.kind = MEASURE_AT_MOST,
			.goal = 90 },
		trips_on_loop, trips_of_bare, 31);
	measure((struct measure_row){ .figure = from_thread,
			.other_name = "thread to thread",
			.kind = MEASURE_RATIO_AT_MOST,
			.goal = 1.15 },
		trips_to_coroutine, trips_to_thread, 21);
}

int main(void)
{
	measure_begin();
	measure((struct measure_row){ .figure = "yield, 1000 coroutines",
			.other_name = BARE_NAME ", a ring of 1000",
			.kind = MEASURE_AT_MOST,
			.goal = 30 },
		yield_of_ours, yield_of_bare, 31);
	measure((struct measure_row){ .figure = "spawn and await",
			.other_name = BARE_NAME ", make, there, back",
			.kind = MEASURE_AT_MOST,
			.goal = 80 },
		spawn_of_ours, spawn_of_bare, 31);
	measure((struct measure_row){ .figure = "    1000 spawned, then awaited, each",
			.other_name = BARE_NAME ", make, there, back" },
		spawn_many_of_ours, spawn_of_bare, 31);
	measure_channels("unbuffered channels on a loop, there and back",
		"unbuffered channels, thread to coroutine and back", 0);
	measure_channels("channels of one item on a loop, there and back",
		"channels of one item, thread to coroutine and back", 1);
	return measure_end();
}
