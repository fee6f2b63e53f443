/*
 * Timers of durable processes, end to end: a million are armed in a file, and one more is due now and
 * then; how long after its time its method is called. Beside it the start of a process, which is
 * acknowledged when it is on the disk. In BENCH_DIR, or build/.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/measure.h"

#if defined(__has_include) && __has_include(<sqlite3.h>)

#include <taskmgr/tasks/process_sqlite.h>

#define SLEEPERS 20000
#define TIMERS_EACH 50
#define UNDER_WAY 500
#define RINGS 200
#define RING_NS (20 * TMGR_MILLISECOND)

/* ---- Processes ---- */

static int wake_late(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	for (int i = 0; i < TIMERS_EACH; i++)
		measure_check("after",
			tmgr_process_after(process, TMGR_HOUR + i * TMGR_MINUTE, wake_late));
	return 0;
}

static const struct tmgr_process_definition sleeper_definition = {
	.name = "sleeper",
	.version = 1,
	.start = wake_late,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Late",
								 .function = wake_late },
		{ 0 } },
};

/* One method at a time touches these, and main once the runtime has ended. */
static struct measure_samples lateness;
static int64_t armed_at;

static int ring(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (armed_at > 0)
		measure_add(&lateness, (double)(measure_now() - armed_at - RING_NS));
	if (lateness.count == RINGS)
		return tmgr_process_finish(process, (struct tmgr_bytes){ "", 0 });
	armed_at = measure_now();
	return tmgr_process_after(process, RING_NS, ring);
}

static const struct tmgr_process_definition bell_definition = {
	.name = "bell",
	.version = 1,
	.start = ring,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Ring", .function = ring },
		{ 0 } },
};

/* ---- Who starts them ---- */

struct starting {
	struct tmgr_processes *processes;
	struct measure_samples starts;
};

static void end_request(struct tmgr_context *context, struct tmgr_process_request *request)
{
	struct tmgr_future *future = tmgr_process_request_future(request);
	int error;

	measure_check("a request", tmgr_future_wait(context, future, TMGR_NEVER));
	tmgr_future_result(future, &error, NULL);
	measure_check("a request", error);
	tmgr_process_request_release(request);
}

static void start_sleepers(struct starting *starting, struct tmgr_context *context)
{
	static struct tmgr_process_request *requests[UNDER_WAY];

	for (int i = 0; i < SLEEPERS + UNDER_WAY; i++) {
		struct tmgr_process_command command = { .kind = TMGR_PROCESS_START };
		char id[32];

		if (i >= UNDER_WAY)
			end_request(context, requests[i % UNDER_WAY]);
		if (i >= SLEEPERS)
			continue;
		snprintf(id, sizeof(id), "sleeper-%d", i);
		command.child = (struct tmgr_process_child){ &sleeper_definition, id, NULL };
		measure_check("start", tmgr_processes_submit(starting->processes, &command,
					       &requests[i % UNDER_WAY]));
	}
}

/* What was left to be copied into tables is not to be behind what is measured. */
static void copy_into_tables(struct starting *starting, struct tmgr_context *context)
{
	const struct tmgr_process_command command = { .kind = TMGR_PROCESS_CHECKPOINT };
	struct tmgr_process_request *request;

	measure_check("checkpoint", tmgr_processes_submit(starting->processes, &command, &request));
	end_request(context, request);
}

static void start_one(struct starting *starting, struct tmgr_context *context,
	const struct tmgr_process_definition *definition, const char *id)
{
	measure_check(
		"start", tmgr_processes_start(context, starting->processes,
				 &(struct tmgr_process_child){ definition, id, NULL }, TMGR_NEVER));
}

static int start_all(void *self, struct tmgr_context *context)
{
	struct starting *starting = self;

	start_sleepers(starting, context);
	copy_into_tables(starting, context);
	for (int i = 0; i < RINGS; i++) {
		int64_t began = measure_now();
		char id[32];

		snprintf(id, sizeof(id), "alone-%d", i);
		start_one(starting, context, &sleeper_definition, id);
		measure_add(&starting->starts, (double)(measure_now() - began));
		tmgr_sleep(context, 5 * TMGR_MILLISECOND);
	}
	start_one(starting, context, &bell_definition, "bell");
	measure_check("wait",
		tmgr_processes_wait(context, starting->processes, "bell", TMGR_NEVER, NULL));
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static void measure_rings(const char *path)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct starting starting = { .processes = NULL };
	struct tmgr_store *store;

	measure_check("store", tmgr_store_sqlite_create(path, NULL, &store));
	measure_check("create", tmgr_processes_create(store, NULL, &starting.processes));
	measure_check("define", tmgr_processes_define(starting.processes, &sleeper_definition));
	measure_check("define", tmgr_processes_define(starting.processes, &bell_definition));
	tmgr_manager_add_task(
		manager, "processes", tmgr_processes_task(starting.processes), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "workers", tmgr_processes_workers(starting.processes, NULL), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "starting", tmgr_task_function(start_all, &starting), TMGR_ERROR);
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	tmgr_processes_unref(starting.processes);
	measure_print(&(struct measure_row){
		.figure = "processes: a timer beside a million, late by",
		.ours = measure_median(&lateness),
		.other_name = "a start, durable",
		.other = measure_median(&starting.starts),
		.kind = MEASURE_EXCESS_AT_MOST,
		.goal = (double)TMGR_MILLISECOND,
	});
	measure_print(&(struct measure_row){
		.figure = "... one in a hundred by more than",
		.ours = measure_quantile(&lateness, 0.99),
		.other_name = "a start, durable",
		.other = measure_quantile(&starting.starts, 0.99),
	});
	measure_clear(&lateness);
	measure_clear(&starting.starts);
}

int main(void)
{
	const char *where = getenv("BENCH_DIR");
	char directory[256], path[300], command[400];

	snprintf(directory, sizeof(directory), "%s/process_timers.XXXXXX", where ? where : "build");
	if (!mkdtemp(directory)) {
		fprintf(stderr, "%s cannot be made\n", directory);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/processes.db", directory);
	measure_begin();
	measure_rings(path);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	if (system(command) != 0)
		fprintf(stderr, "%s is still there\n", directory);
	return measure_end();
}

#else

int main(void)
{
	measure_begin();
	measure_skipped("timers of processes", "sqlite3.h is not here");
	return measure_end();
}

#endif
