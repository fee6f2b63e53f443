/*
 * State machines: a mutation of few states and of many, reading, and what an idle one weighs.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/measure.h"

/* Short rounds, many of them: what else runs on the machine disturbs few. */
#define MUTATIONS 12000
#define MANY_MUTATIONS 2000
#define READS 300000
#define MACHINES 1000

/* ---- Few states ------------------------------------------------------------------------------ */

enum { IDLE, WORKING, DONE, LOGGED, FEW };

static const struct tmgr_machine_state few[FEW] = {
	[IDLE] = { .name = "Idle", .remove = TMGR_STATES(WORKING, DONE) },
	[WORKING] = { .name = "Working", .remove = TMGR_STATES(IDLE, DONE) },
	[DONE] = { .name = "Done",
		.remove = TMGR_STATES(IDLE, WORKING),
		.add = TMGR_STATES(LOGGED) },
	[LOGGED] = { .name = "Logged" },
};

static struct tmgr_machine *make_machine(const struct tmgr_machine_state *rows, size_t count)
{
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;

	measure_check("schema", tmgr_schema_compile(rows, count, NULL, &schema));
	measure_check("machine", tmgr_machine_create(schema, NULL, &machine));
	tmgr_schema_unref(schema);
	return machine;
}

static double mutate_few(void *self)
{
	struct tmgr_machine *machine = make_machine(few, FEW);
	int64_t began = measure_now(), took;
	int executed = 0;

	for (int i = 0; i < MUTATIONS; i++)
		executed += tmgr_machine_add(machine, (unsigned)i % 3, NULL) ==
			    TMGR_MUTATION_EXECUTED;
	took = measure_now() - began;
	tmgr_machine_unref(machine);
	return executed == MUTATIONS ? (double)took / MUTATIONS : -1;
}

/* What it is compared with: the same three by hand, under a mutex, without counting or refusing. */
static struct {
	pthread_mutex_t lock;
	int state, logged;
	uint64_t entered[FEW];
} by_hand = { .lock = PTHREAD_MUTEX_INITIALIZER };

static __attribute__((noinline)) void switch_by_hand(int state)
{
	pthread_mutex_lock(&by_hand.lock);
	switch (state) {
	case DONE:
		by_hand.logged = 1;
		break;
	default:
		break;
	}
	by_hand.state = state;
	by_hand.entered[state]++;
	pthread_mutex_unlock(&by_hand.lock);
}

static double mutate_by_hand(void *self)
{
	int64_t began = measure_now();

	for (int i = 0; i < MUTATIONS; i++)
		switch_by_hand(i % 3);
	return (double)(measure_now() - began) / MUTATIONS;
}

/* ---- Many states ----------------------------------------------------------------------------- */

#define MANY 100
#define ACTIVE 30

static struct {
	char names[MANY][8];
	unsigned lists[MANY][3][8];
	struct tmgr_machine_state rows[MANY];
} many;

/*
 * Ten groups of ten: the first three of each are a mutually exclusive choice, the next requires one
 * that is always there, some add one of the next group.
 */
static void fill_many(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		unsigned group = i / 10 * 10, place = i % 10;
		unsigned *removes = many.lists[i][0], *needs = many.lists[i][1];
		unsigned *adds = many.lists[i][2];
		size_t count = 0;

		for (unsigned j = 0; place < 3 && j < 3; j++)
			removes[count++] = group + j;
		removes[count] = TMGR_STATES_END;
		needs[0] = place == 3 || place == 4 ? group + 9 : TMGR_STATES_END;
		needs[1] = TMGR_STATES_END;
		adds[0] = place < 2 ? group + 5 + place : TMGR_STATES_END;
		adds[1] = place < 2 ? (group + 17 + place) % MANY : TMGR_STATES_END;
		adds[2] = TMGR_STATES_END;
		snprintf(many.names[i], sizeof(many.names[i]), "S%02u", i);
		many.rows[i] = (struct tmgr_machine_state){
			.name = many.names[i],
			.remove = removes,
			.require = needs,
			.add = adds,
		};
	}
}

/* In each group one of the choice, the one that is required, and one that requires it. */
static struct tmgr_machine *make_many(void)
{
	struct tmgr_machine *machine = make_machine(many.rows, MANY);
	unsigned states[ACTIVE + 1];
	size_t count = 0;

	for (unsigned group = 0; group < MANY; group += 10) {
		states[count++] = group + 2;
		states[count++] = group + 9;
		states[count++] = group + 3;
	}
	states[count] = TMGR_STATES_END;
	measure_check("states", tmgr_machine_change(machine, TMGR_MUTATION_SET, states, NULL));
	return tmgr_machine_active(machine, NULL, 0) == ACTIVE ? machine : NULL;
}

/* One state of a choice enters, the other leaves, in one group after the other. */
static double mutate_many(void *self)
{
	struct tmgr_machine *machine = make_many();
	int executed = 0;
	int64_t began, took;

	if (!machine)
		return -1;
	began = measure_now();
	for (unsigned i = 0; i < MANY_MUTATIONS; i++) {
		unsigned state = i / 2 % 10 * 10 + (i & 1 ? 2 : 1);

		executed += tmgr_machine_add(machine, state, NULL) == TMGR_MUTATION_EXECUTED;
		if (!(i & 1))
			continue;
		executed += tmgr_machine_change(machine, TMGR_MUTATION_REMOVE,
				    TMGR_STATES(state / 10 * 10 + 6, (state / 10 * 10 + 18) % MANY),
				    NULL) == TMGR_MUTATION_EXECUTED;
	}
	took = measure_now() - began;
	tmgr_machine_unref(machine);
	return executed == MANY_MUTATIONS * 3 / 2 ? (double)took / executed : -1;
}

/* ---- Reading, weight ------------------------------------------------------------------------- */

static double read_state(void *self)
{
	struct tmgr_machine *machine = self;
	int64_t began = measure_now();
	unsigned active = 0;

	for (unsigned i = 0; i < READS; i++)
		active += tmgr_machine_is(machine, i & 3);
	return active > READS ? -1 : (double)(measure_now() - began) / READS;
}

static uint64_t tick;

static double read_tick(void *self)
{
	int64_t began = measure_now();
	unsigned active = 0;

	for (int i = 0; i < READS; i++)
		active += __atomic_load_n(&tick, __ATOMIC_ACQUIRE) & 1;
	return active ? -1 : (double)(measure_now() - began) / READS;
}

static bool weigh(void *self, void *result)
{
	struct tmgr_machine *first = make_machine(few, FEW), *machine;
	struct tmgr_schema *schema = tmgr_machine_schema(first);
	struct measure_process before = measure_process(), after;

	for (int i = 0; i < MACHINES; i++)
		measure_check("machine", tmgr_machine_create(schema, NULL, &machine));
	after = measure_process();
	*(double *)result = (double)(after.heap - before.heap) / MACHINES;
	return before.heap >= 0;
}

static void measure(struct measure_row row, struct measure_pair pair, size_t rounds)
{
	if (measure_run_pair(&pair, 3, rounds))
		measure_print_pair(&row, &pair);
	else
		measure_failed(row.figure, "out of memory, or not all were executed");
	measure_clear_pair(&pair);
}

int main(void)
{
	static const struct measure_row few_row = {
		.figure = "a mutation, 4 states, no handlers",
		.unit = MEASURE_NANOSECONDS,
		.other_name = "a switch in a mutex",
		.kind = MEASURE_AT_MOST,
		.goal = 150,
	};
	static const struct measure_row many_row = {
		.figure = "a mutation, 100 states with relations, 30 active",
		.unit = MEASURE_NANOSECONDS,
		.other_name = "a switch in a mutex",
		.kind = MEASURE_AT_MOST,
		.goal = 1000,
	};
	static const struct measure_row reading = {
		.figure = "whether a state is active",
		.unit = MEASURE_NANOSECONDS,
		.other_name = "acquire load",
		.kind = MEASURE_AT_MOST,
		.goal = 3,
	};
	struct measure_row weight = {
		.figure = "an idle machine, 4 states",
		.unit = MEASURE_BYTES,
		.kind = MEASURE_AT_MOST,
		.goal = 1024,
	};
	struct tmgr_machine *machine;

	measure_begin();
	fill_many();
	measure(few_row, (struct measure_pair){ mutate_few, mutate_by_hand, .self = NULL }, 201);
	measure(many_row, (struct measure_pair){ mutate_many, mutate_by_hand, .self = NULL }, 201);
	machine = make_machine(few, FEW);
	measure_check("add", tmgr_machine_add(machine, WORKING, NULL));
	measure(reading, (struct measure_pair){ read_state, read_tick, .self = machine }, 201);
	tmgr_machine_unref(machine);
	if (measure_apart(weigh, NULL, &weight.ours, sizeof(weight.ours)))
		measure_print(&weight);
	else
		measure_failed(weight.figure, "the heap could not be read");
	return measure_end();
}
