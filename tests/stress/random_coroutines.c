/*
 * Random programs of spawn, await, cancel, send, receive, select, sleep and yield, on one loop, on several, and mixed with threads,
 * against the reference of tests/support/traffic.c. SEED takes a seed back that was printed, SECONDS says for how long.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <taskmgr/channel.h>

#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/looped.h"
#include "tests/support/seeded.h"
#include "tests/support/traffic.h"

#define ACTORS_MAX 160
#define CHANNELS 3
#define LOOPS 3
#define CHILDREN_MAX 6
#define LEFT_MAX 64

struct program {
	struct tmgr_channel *channels[CHANNELS];
	struct tmgr_loop *loops[LOOPS];
	int loop_count;
	atomic_int actors;
	struct traffic_actor traffic[ACTORS_MAX];
};

/* One actor: what it does is drawn while it runs, from its own numbers. */
struct part {
	struct program *program;
	int number;
	int depth;
	uint64_t random;
	int value;
	struct tmgr_coroutine *children[CHILDREN_MAX];
	int child_numbers[CHILDREN_MAX];
	int child_count;
};

static struct part parts[ACTORS_MAX];

static unsigned one_of(struct part *part, unsigned n)
{
	return (unsigned)(seeded_draw(&part->random) % n);
}

static struct traffic_actor *seen(struct part *part)
{
	return &part->program->traffic[part->number];
}

static int64_t soon(struct part *part)
{
	return one_of(part, 4) == 0 ? TMGR_NOW : tmgr_after(one_of(part, 500) * TMGR_MICROSECOND);
}

static void note_sent(struct part *part, int channel, int value)
{
	struct traffic_actor *actor = seen(part);

	actor->sent[actor->sent_count++] = (struct traffic_item){ channel, value };
}

static void note_received(struct part *part, int channel, int value)
{
	struct traffic_actor *actor = seen(part);

	actor->received[actor->received_count++] = (struct traffic_item){ channel, value };
}

static int next_value(struct part *part)
{
	return part->number * TRAFFIC_VALUES + ++part->value;
}

static void send_one(struct part *part, struct tmgr_context *context)
{
	int channel = (int)one_of(part, CHANNELS), value = next_value(part);

	if (tmgr_channel_send(context, part->program->channels[channel], &value, soon(part)) == 0)
		note_sent(part, channel, value);
}

static void receive_one(struct part *part, struct tmgr_context *context)
{
	int channel = (int)one_of(part, CHANNELS), value;

	if (tmgr_channel_receive(context, part->program->channels[channel], &value, soon(part)) ==
		0)
		note_received(part, channel, value);
}

static void select_one(struct part *part, struct tmgr_context *context)
{
	struct tmgr_select_case cases[4];
	int channels[4], values[4], r;
	size_t count = 1 + one_of(part, 4);

	for (size_t i = 0; i < count; i++) {
		bool sends = one_of(part, 2) == 0;

		channels[i] = (int)one_of(part, CHANNELS);
		values[i] = sends ? next_value(part) : 0;
		cases[i] = (struct tmgr_select_case){
			.op = sends ? TMGR_SELECT_SEND : TMGR_SELECT_RECEIVE,
			.channel = part->program->channels[channels[i]],
			.item = &values[i],
		};
	}
	r = tmgr_select(context, cases, count, soon(part));
	if (r < 0 || cases[r].result != 0)
		return;
	if (cases[r].op == TMGR_SELECT_SEND)
		note_sent(part, channels[r], values[r]);
	else
		note_received(part, channels[r], values[r]);
}

static int act(void *self, struct tmgr_context *context);

static void spawn_one(struct part *part, struct tmgr_context *context)
{
	struct program *program = part->program;
	int number = atomic_fetch_add(&program->actors, 1), r;
	struct part *child;

	if (number >= ACTORS_MAX)
		return;
	child = &parts[number];
	*child = (struct part){ .program = program,
		.number = number,
		.depth = part->depth + 1,
		.random = seeded_draw(&part->random) };
	if (tmgr_loop_current() != NULL && one_of(part, 3) > 0) {
		struct tmgr_coroutine_options options = { .name = "child",
			.at_once = one_of(part, 4) == 0 };

		program->traffic[number].began = 1;
		r = tmgr_coroutine_spawn(
			context, act, child, &options, &part->children[part->child_count]);
	} else {
		struct tmgr_loop *loop =
			program->loops[one_of(part, (unsigned)program->loop_count)];

		program->traffic[number].began = 1;
		r = tmgr_loop_spawn(loop, act, child, NULL, &part->children[part->child_count]);
	}
	if (r < 0)
		program->traffic[number].began = 0;
	else
		part->child_numbers[part->child_count++] = number;
}

static void mark_cancelled(struct part *part, int number)
{
	__atomic_store_n(&part->program->traffic[number].cancelled, 1, __ATOMIC_SEQ_CST);
}

static void cancel_one(struct part *part)
{
	int i;

	if (part->child_count == 0)
		return;
	i = (int)one_of(part, (unsigned)part->child_count);
	mark_cancelled(part, part->child_numbers[i]);
	tmgr_coroutine_cancel(part->children[i], -EPIPE, "drawn");
}

/* The last act: who is cancelled itself passes that on, to whom it awaits. */
static void await_all(struct part *part, struct tmgr_context *context)
{
	for (int i = 0; i < part->child_count; i++) {
		struct traffic_actor *child = &part->program->traffic[part->child_numbers[i]];

		if (tmgr_context_cancelled(context)) {
			mark_cancelled(part, part->child_numbers[i]);
			tmgr_coroutine_cancel(part->children[i], 0, "passed on");
		}
		tmgr_uninterrupted_begin(context, TMGR_NEVER);
		child->awaited = tmgr_coroutine_await(context, part->children[i], TMGR_NEVER, NULL);
		tmgr_uninterrupted_end(context);
		child->ended = 1;
		/* Who was cancelled meanwhile took it with it. */
		if (tmgr_context_cancelled(context))
			mark_cancelled(part, part->child_numbers[i]);
		tmgr_coroutine_unref(part->children[i]);
	}
}

static int act(void *self, struct tmgr_context *context)
{
	struct part *part = self;
	struct traffic_actor *actor = seen(part);
	int steps = 5 + (int)one_of(part, 40);

	actor->ran++;
	for (int i = 0; i < steps && part->value < TRAFFIC_OPERATIONS_MAX - 8; i++) {
		switch (one_of(part, 12)) {
		case 0:
			tmgr_sleep(context, one_of(part, 200) * TMGR_MICROSECOND);
			break;
		case 1:
			tmgr_yield(context);
			break;
		case 2:
			if (part->depth < 3 && part->child_count < CHILDREN_MAX)
				spawn_one(part, context);
			break;
		case 3:
			cancel_one(part);
			break;
		case 4:
		case 5:
			select_one(part, context);
			break;
		case 6:
		case 7:
		case 8:
			send_one(part, context);
			break;
		default:
			receive_one(part, context);
			break;
		}
	}
	await_all(part, context);
	/* Its parents cancel takes its children with it, wherever they are counted. */
	if (tmgr_context_cancelled(context))
		mark_cancelled(part, part->number);
	actor->returned = one_of(part, 5) == 0 ? -EIO : 0;
	return actor->returned;
}

static int act_as_task(void *self, struct tmgr_context *context)
{
	struct part *part = self;

	seen(part)->began = 1;
	act(part, context);
	seen(part)->awaited = seen(part)->returned;
	seen(part)->ended = 1;
	return 0;
}

static void add_actors(struct program *program, struct tmgr_manager *manager, uint64_t *random)
{
	int count = 2 + (int)(seeded_draw(random) % 6);
	bool threads = seeded_draw(random) % 2 == 0;

	for (int i = 0; i < count; i++) {
		int number = atomic_fetch_add(&program->actors, 1);
		struct tmgr_task_options on = { .host = TMGR_HOST_DEFAULT };
		char name[16];

		parts[number] = (struct part){
			.program = program, .number = number, .random = seeded_draw(random)
		};
		if (!threads || i % 2 == 0)
			on.loop = program->loops[i % program->loop_count];
		snprintf(name, sizeof(name), "actor %d", i);
		tmgr_manager_add_task_with(manager, name,
			tmgr_task_function(act_as_task, &parts[number]), TMGR_STOP_GROUP, &on);
	}
}

static size_t drain(struct program *program, struct traffic_item *left)
{
	size_t count = 0;
	int value;

	for (int i = 0; i < CHANNELS; i++) {
		while (count < LEFT_MAX &&
			tmgr_channel_receive(NULL, program->channels[i], &value, TMGR_NOW) == 0)
			left[count++] = (struct traffic_item){ i, value };
		tmgr_channel_unref(program->channels[i]);
	}
	return count;
}

static void run_program(uint64_t seed)
{
	struct program *program = fault_free_of_faults(sizeof(*program));
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct traffic_item left[LEFT_MAX];
	uint64_t random = seed;
	const char *wrong;
	size_t left_count, actors;
	int result;

	for (int i = 0; i < CHANNELS; i++)
		tmgr_channel_create(
			sizeof(int), i == 0 ? 0 : seeded_draw(&random) % 5, &program->channels[i]);
	program->loop_count = 1 + (int)(seeded_draw(&random) % LOOPS);
	for (int i = 0; i < program->loop_count; i++) {
		char name[] = { 'a' + (char)i, '\0' };

		program->loops[i] = looped_add(manager, name, NULL);
	}
	add_actors(program, manager, &random);
	result = tmgr_manager_run(manager, NULL);
	tmgr_manager_destroy(manager);
	left_count = drain(program, left);
	actors = (size_t)atomic_load(&program->actors);
	wrong = traffic_check(program->traffic, actors < ACTORS_MAX ? actors : ACTORS_MAX, left,
		left_count, -ECANCELED);
	/* Of one that was cancelled the error it returned stands in the report. */
	if (wrong == NULL && result != 0 && result != -EIO)
		wrong = "a run ends with an error that there was";
	if (wrong != NULL)
		fail_msg("SEED=%llu: not kept: %s", (unsigned long long)seed, wrong);
	free(program);
}

static void no_program_loses_an_item_or_an_end(void **state)
{
	(void)state;
	seeded_runs("programs", run_program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(no_program_loses_an_item_or_an_end),
	};

	return cmocka_run_group_tests_name("random coroutines", tests, NULL, NULL);
}
