/*
 * Durable processes without a disk: what a step costs the engine, what a process that waits takes, timers, and how long a
 * runtime needs to read what it finds. The store is the one in memory.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tasks/process/engine.h"

#include "tests/bench/measure.h"

#define STEPS 200000
#define ROUNDS 9
#define BLOCKED 100000
#define TIMERS_EACH 50
#define TIMED 20000
#define TIMERS (TIMED * TIMERS_EACH)
#define RESTARTED 100000

static int go_on(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

static const struct tmgr_process_definition plain_definition = {
	.name = "plain",
	.version = 1,
	.start = go_on,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_On", .function = go_on },
		{ 0 } },
};

static const char state_text[] =
	"{\"count\":1234567,\"name\":\"an order of some length\",\"paid\":true}";

/* ---- The engine ------------------------------------------------------------------------------ */

struct engine_bench {
	struct tmgr__engine *engine;
	struct tmgr__changes changes;
	const struct tmgr__emethod *method;
	int64_t now_ms;
	uint64_t revision;
};

static void begin(struct engine_bench *bench)
{
	*bench = (struct engine_bench){ .engine = tmgr__engine_create(), .now_ms = 1000 };
	measure_check("define", tmgr__engine_define(bench->engine, &plain_definition));
	bench->method = tmgr__engine_method(tmgr__engine_definition(bench->engine, "plain"), go_on);
}

static void end(struct engine_bench *bench)
{
	tmgr__engine_destroy(bench->engine);
	tmgr__changes_fini(&bench->changes);
}

static void apply(struct engine_bench *bench, struct tmgr__apply command)
{
	command.now_ms = command.wall_ms = bench->now_ms;
	measure_check("apply", tmgr__engine_apply(bench->engine, &command, &bench->changes));
}

/* As if the store had made it durable. */
static void commit(struct engine_bench *bench)
{
	if (bench->changes.step_count == 0)
		return;
	tmgr__engine_committed(
		bench->engine, bench->changes.steps[bench->changes.step_count - 1].sequence);
	tmgr__changes_clear(&bench->changes);
}

static void start(struct engine_bench *bench, const char *id)
{
	apply(bench, (struct tmgr__apply){
			     .kind = TMGR__APPLY_START,
			     .id = id,
			     .definition = tmgr__engine_definition(bench->engine, "plain"),
			     .value = { state_text, sizeof(state_text) - 1 },
		     });
}

static void step(struct engine_bench *bench, struct tmgr__eprocess *process,
	const struct tmgr__case *cases, size_t count)
{
	struct tmgr__deed deed = {
		.version = 1,
		.cases = cases,
		.case_count = count,
		.text = "",
	};
	char state[128];

	/* Each step changes the state. */
	deed.state.data = state;
	deed.state.size = (size_t)snprintf(state, sizeof(state),
		"{\"count\":%llu,\"name\":\"an order of some length\",\"paid\":true}",
		(unsigned long long)++bench->revision);
	apply(bench, (struct tmgr__apply){
			     .kind = TMGR__APPLY_STEP, .process = process, .deed = &deed });
}

/* A hundred pairs: one sends to the other, which receives; a batch is what a hundred have done. */
static double steps(void)
{
	const struct tmgr_bytes value = { "a message", 9 };
	struct engine_bench bench;
	size_t done = 0;
	int64_t began;
	double took;

	begin(&bench);
	for (int i = 0; i < 200; i++) {
		char id[32];

		snprintf(id, sizeof(id), "%s-%d", i % 2 == 0 ? "sender" : "receiver", i / 2);
		start(&bench, id);
	}
	commit(&bench);
	began = measure_now();
	while (done < STEPS) {
		struct tmgr__eprocess *process;

		while ((process = tmgr__engine_next(bench.engine)) != NULL) {
			bool sends = process->id[0] == 's';
			char channel[64];
			struct tmgr__case one = {
				.kind = sends ? TMGR_PROCESS_WAIT_SEND : TMGR_PROCESS_WAIT_RECEIVE,
				.target = channel,
				.method = bench.method,
				.value = value,
			};

			snprintf(channel, sizeof(channel), "receiver-%s/in",
				strchr(process->id, '-') + 1);
			step(&bench, process, &one, 1);
			done++;
		}
		commit(&bench);
	}
	took = (double)(measure_now() - began) / (double)done;
	end(&bench);
	return took;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static int64_t heap_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return (int64_t)(info.uordblks + info.hblkhd);
}

/* A process that waits for a message or an hour, less its state. */
static double blocked_bytes(bool timer)
{
	struct engine_bench bench;
	struct tmgr__eprocess *process;
	int64_t before, after;

	before = heap_in_use();
	begin(&bench);
	for (int i = 0; i < BLOCKED; i++) {
		char id[32], channel[64];

		snprintf(id, sizeof(id), "order-%d", i);
		snprintf(channel, sizeof(channel), "%s/count", id);
		start(&bench, id);
		commit(&bench);
		process = tmgr__engine_next(bench.engine);
		step(&bench, process,
			(struct tmgr__case[]){
				{ .kind = TMGR_PROCESS_WAIT_RECEIVE,
					.target = channel,
					.method = bench.method },
				{ .kind = TMGR_PROCESS_WAIT_AFTER,
					.at_ms = 3600000,
					.method = bench.method },
			},
			timer ? 2 : 1);
		commit(&bench);
	}
	tmgr__changes_fini(&bench.changes);
	after = heap_in_use();
	process = tmgr__engine_process(bench.engine, "order-99999");
	/* Its state is a piece of memory of its own, with the 8 bytes that malloc() keeps of it. */
	after -= ((int64_t)malloc_usable_size(process->state) + 8) * BLOCKED;
	tmgr__engine_destroy(bench.engine);
	return (double)(after - before) / BLOCKED;
}

/* ---- Timers ---------------------------------------------------------------------------------- */

struct timers {
	double arm, fire;
};

/* A million, of processes with 50 each, armed and all fired; what one costs. */
static struct timers timers(void)
{
	static struct tmgr__case cases[TIMERS_EACH];
	struct timers took;
	struct engine_bench bench;
	uint64_t random = 88172645463325252u;
	int64_t began;
	size_t fired = 0;

	begin(&bench);
	began = measure_now();
	for (int i = 0; i < TIMED; i++) {
		char id[32];

		snprintf(id, sizeof(id), "t-%d", i);
		start(&bench, id);
		commit(&bench);
		for (int k = 0; k < TIMERS_EACH; k++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			cases[k] = (struct tmgr__case){
				.kind = TMGR_PROCESS_WAIT_AFTER,
				.at_ms = 2000 + (int64_t)(random % 1000000),
				.method = bench.method,
			};
		}
		step(&bench, tmgr__engine_next(bench.engine), cases, TIMERS_EACH);
		commit(&bench);
	}
	took.arm = (double)(measure_now() - began) / TIMERS;
	if (bench.engine->after.count != TIMERS)
		measure_failed("timers", "%zu are armed", bench.engine->after.count);
	/* Millisecond after millisecond; who fires takes its other 49 back. */
	began = measure_now();
	while (bench.engine->after.count > 0) {
		bench.now_ms += tmgr__engine_timeout(bench.engine, bench.now_ms, bench.now_ms);
		apply(&bench, (struct tmgr__apply){ .kind = TMGR__APPLY_TICK });
		fired += bench.changes.step_count;
		commit(&bench);
		while (tmgr__engine_next(bench.engine) != NULL)
			;
	}
	took.fire = (double)(measure_now() - began) / TIMED;
	end(&bench);
	return took;
}

/* ---- The runtime ----------------------------------------------------------------------------- */

static int wait_long(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_receive(process, "in", wait_long);
	return tmgr_process_after(process, 1000 * TMGR_HOUR, wait_long);
}

static const struct tmgr_process_definition waiting_definition = {
	.name = "waiting",
	.version = 1,
	.start = wait_long,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = wait_long },
		{ 0 } },
};

struct circle {
	int64_t left;
};

static const struct tmgr_state_field circle_fields[] = { TMGR_FIELD(struct circle, left) };

static int turn(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct circle *circle = state;

	if (circle->left-- == 0)
		return tmgr_process_finish(process, (struct tmgr_bytes){ "", 0 });
	return tmgr_process_default(process, turn);
}

static const struct tmgr_process_definition circle_definition = {
	.name = "circle",
	.version = 1,
	.state = TMGR_STATE(struct circle, circle_fields),
	.start = turn,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Turn", .function = turn },
		{ 0 } },
};

static struct tmgr_processes *open_single(struct tmgr_store *store)
{
	const struct tmgr_processes_options options = { .single_threaded = true };
	struct tmgr_processes *processes;

	measure_check("create", tmgr_processes_create(store, &options, &processes));
	measure_check("define", tmgr_processes_define(processes, &waiting_definition));
	measure_check("open", tmgr_processes_open(processes));
	return processes;
}

static double restart(void)
{
	struct tmgr_processes *processes;
	struct tmgr_store *store, *copy;
	int64_t began;
	double took;

	measure_check("store", tmgr_store_memory_create(&store));
	processes = open_single(store);
	for (int i = 0; i < RESTARTED; i++) {
		struct tmgr_process_request *request;
		char id[32];

		snprintf(id, sizeof(id), "order-%d", i);
		measure_check(
			"start", tmgr_processes_submit(processes,
					 &(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
						 .child = { &waiting_definition, id, NULL } },
					 &request));
		tmgr_process_request_release(request);
	}
	measure_check("settle", tmgr_processes_settle(processes));
	measure_check("copy", tmgr_store_memory_copy(store, &copy));
	tmgr_processes_unref(processes);
	began = measure_now();
	processes = open_single(copy);
	took = (double)(measure_now() - began);
	tmgr_processes_unref(processes);
	return took;
}

struct load {
	struct tmgr_processes *processes;
	int64_t took;
	int count, steps;
};

static int wait_for_all(void *self, struct tmgr_context *context)
{
	struct load *load = self;
	int64_t began = tmgr_now();

	for (int i = 0; i < load->count; i++) {
		char id[32];

		snprintf(id, sizeof(id), "circle-%d", i);
		measure_check("start", tmgr_processes_start(context, load->processes,
					       &(struct tmgr_process_child){ &circle_definition, id,
						       &(struct circle){ load->steps } },
					       TMGR_NEVER));
	}
	for (int i = 0; i < load->count; i++) {
		char id[32];

		snprintf(id, sizeof(id), "circle-%d", i);
		measure_check("wait",
			tmgr_processes_wait(context, load->processes, id, TMGR_NEVER, NULL));
	}
	load->took = tmgr_now() - began;
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

/* Steps a second through engine, workers and store, processes that go in circles. */
static double throughput(void)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct load load = { .count = 100, .steps = 2000 };
	struct tmgr_store *store;

	measure_check("store", tmgr_store_memory_create(&store));
	measure_check("create", tmgr_processes_create(store, NULL, &load.processes));
	measure_check("define", tmgr_processes_define(load.processes, &circle_definition));
	tmgr_manager_add_task(
		manager, "processes", tmgr_processes_task(load.processes), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "workers", tmgr_processes_workers(load.processes, NULL), TMGR_STRICT);
	tmgr_manager_add_task(manager, "load", tmgr_task_function(wait_for_all, &load), TMGR_ERROR);
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	tmgr_processes_unref(load.processes);
	return (double)load.count * (load.steps + 1) / ((double)load.took / 1e9);
}

/* ---- All ------------------------------------------------------------------------------------- */

static void print(const char *figure, enum measure_unit unit, double ours, double goal)
{
	measure_print(&(struct measure_row){
		.figure = figure,
		.unit = unit,
		.ours = ours,
		.kind = goal > 0 ? MEASURE_AT_MOST : MEASURE_NO_GOAL,
		.goal = goal,
	});
}

int main(void)
{
	struct measure_samples samples = { 0 };
	struct timers took;

	measure_begin();
	steps();
	for (int i = 0; i < ROUNDS; i++)
		measure_add(&samples, steps());
	print("processes: a step of the engine", MEASURE_NANOSECONDS, measure_median(&samples),
		2000);
	measure_clear(&samples);
	print("processes: one that waits for a message, less its state", MEASURE_BYTES,
		blocked_bytes(false), 400);
	print("... for a message or a time", MEASURE_BYTES, blocked_bytes(true), 0);
	took = timers();
	print("processes: a timer armed, of a million", MEASURE_NANOSECONDS, took.arm, 0);
	print("... fired, its goroutine's 49 others taken back", MEASURE_NANOSECONDS, took.fire,
		1000000);
	print("processes: a restart with 100,000", MEASURE_NANOSECONDS, restart(), 1e9);
	for (int i = 0; i < 3; i++)
		measure_add(&samples, throughput());
	print("processes: steps a second, 100 in flight, store in memory", MEASURE_PER_SECOND,
		measure_median(&samples), 0);
	measure_clear(&samples);
	return measure_end();
}
