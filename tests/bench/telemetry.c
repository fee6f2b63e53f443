/*
 * What it costs a machine to be watched: a mutation with a ring, with metrics, with a recorder whose task
 * writes meanwhile, each beside the same mutation unwatched; and telling and reading what was kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/measure.h"
#include "tests/support/turnstile.h"

#define MUTATIONS 200000
#define STEPS 10000

static char path[] = "/tmp/bench-telemetry.XXXXXX";

/* Locked, Coin, and so on: three states change each second time. */
static double mutate(struct tmgr_machine *machine)
{
	int64_t began = measure_now();
	int executed = 0;

	for (int i = 0; i < MUTATIONS; i++)
		executed += tmgr_machine_set(machine, i % 2 ? TURNSTILE_COIN : TURNSTILE_LOCKED,
				    NULL) == TMGR_MUTATION_EXECUTED;
	return executed == MUTATIONS ? (double)(measure_now() - began) / MUTATIONS : -1;
}

static double unwatched(void *self)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	double ns = mutate(machine);

	tmgr_machine_unref(machine);
	return ns;
}

static double with_ring(void *self)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_ring *ring;
	double ns;

	measure_check("ring", tmgr_machine_ring_create(machine, 0, &ring));
	ns = mutate(machine);
	tmgr_machine_ring_destroy(ring);
	tmgr_machine_unref(machine);
	return ns;
}

static double with_metrics(void *self)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_metrics *metrics;
	double ns;

	measure_check("metrics", tmgr_machine_metrics_create(machine, &metrics));
	ns = mutate(machine);
	tmgr_machine_metrics_destroy(metrics);
	tmgr_machine_unref(machine);
	return ns;
}

/* ---- A recorder ------------------------------------------------------------------------------ */

struct recording {
	struct tmgr_machine *machine;
	double ns;
};

static int drive(void *self, struct tmgr_context *context)
{
	struct recording *recording = self;

	recording->ns = mutate(recording->machine);
	return 0;
}

static double with_recorder(void *self)
{
	/* So much that nothing is dropped, whoever has the processors. */
	const struct tmgr_machine_recorder_options options = { .buffer_max = 64 << 20 };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct recording recording = { .machine = turnstile_make("gate", NULL), .ns = -1 };
	struct tmgr_machine_recorder *recorder;

	unlink(path);
	measure_check("recorder",
		tmgr_machine_recorder_create(recording.machine, path, &options, &recorder));
	measure_check("add", tmgr_manager_add_task(manager, "recorder",
				     tmgr_machine_recorder_task(recorder), TMGR_STRICT));
	measure_check("add", tmgr_manager_add_task(manager, "driver",
				     tmgr_task_function(drive, &recording), TMGR_STOP_GROUP));
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	tmgr_machine_unref(recording.machine);
	return recording.ns;
}

/* Read the file that was written last: one step. */
static double read_steps(void *self)
{
	struct tmgr_recording *recording;
	int64_t began = measure_now();
	int steps = 0, r;

	measure_check("open", tmgr_recording_open(path, &recording));
	while ((r = tmgr_recording_next(recording)) > 0)
		steps += r == TMGR_RECORDING_STEP;
	tmgr_recording_close(recording);
	return r == TMGR_RECORDING_END && steps == MUTATIONS
		       ? (double)(measure_now() - began) / MUTATIONS
		       : -1;
}

/* Tell what a ring keeps: one line. */
static double tell_steps(void *self)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	size_t size = (size_t)STEPS * 512;
	char *text = malloc(size);
	struct tmgr_machine_ring *ring;
	uint64_t position = 0;
	int64_t began, took, n;

	measure_check("ring", tmgr_machine_ring_create(machine, (size_t)STEPS * 128, &ring));
	for (int i = 0; i < STEPS; i++)
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
	began = measure_now();
	n = text ? tmgr_machine_ring_json(ring, &position, text, size) : -1;
	took = measure_now() - began;
	tmgr_machine_ring_destroy(ring);
	tmgr_machine_unref(machine);
	free(text);
	return n > 0 ? (double)took / STEPS : -1;
}

static void pair(const char *figure, double (*ours)(void *), const char *other_name,
	double (*other)(void *), size_t rounds)
{
	const struct measure_row row = {
		.figure = figure,
		.unit = MEASURE_NANOSECONDS,
		.other_name = other_name,
	};
	struct measure_pair measured = { ours, other, .self = NULL };

	if (measure_run_pair(&measured, 2, rounds))
		measure_print_pair(&row, &measured);
	else
		measure_failed(figure, "out of memory, or not all were executed");
	measure_clear_pair(&measured);
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0) {
		perror(path);
		return 1;
	}
	close(fd);
	measure_begin();
	pair("a mutation that a ring keeps", with_ring, "unwatched", unwatched, 15);
	pair("a mutation that metrics count", with_metrics, "unwatched", unwatched, 15);
	pair("a mutation that is recorded", with_recorder, "unwatched", unwatched, 15);
	pair("a step read from a file", read_steps, "told as JSON", tell_steps, 7);
	unlink(path);
	return measure_end();
}
