/*
 * What tasks cost in memory and descriptors, each figure taken in a process of its own; and whether
 * a process that runs and ends managers for long grows.
 */
#include <limits.h>
#include <linux/futex.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/measure.h"

#define TASKS 1000
#define WARM_TASKS 2
#define EXECUTES 100000
#define WARM_TASKS_AT_ONCE 16
#define CYCLES_BEFORE 1000
#define CYCLES 100000
#define TOLERATED_BYTES 65536

/* What a process has more than it had before. */
static struct measure_process grown(struct measure_process before)
{
	struct measure_process now = measure_process();

	now.resident -= before.resident;
	now.heap -= before.heap;
	now.descriptors -= before.descriptors;
	now.threads -= before.threads;
	return now;
}

/* ---- Threads that wait ---- */

static uint32_t arrived, leave;

static void arrive(uint32_t all)
{
	if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == all)
		syscall(SYS_futex, &arrived, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void wait_for_arrived(uint32_t all)
{
	uint32_t count;

	while ((count = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE)) < all)
		syscall(SYS_futex, &arrived, FUTEX_WAIT_PRIVATE, count, NULL, NULL, 0);
	/* The last is on its way from there to its sleep. */
	measure_sleep_until(measure_now() + 50000000);
}

static int park(void *self, struct tmgr_context *context)
{
	const uint32_t *all = self;

	arrive(*all);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static const struct tmgr_task_ops park_ops = { .execute = park };

struct look {
	uint32_t all;
	struct measure_process before, after;
};

static int look_and_end(void *self, struct tmgr_context *context)
{
	struct look *look = self;

	wait_for_arrived(look->all);
	look->after = grown(look->before);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static const struct tmgr_task_ops look_ops = { .execute = look_and_end };

static int run_parked(struct look *look, uint32_t count)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	int r;

	arrived = 0;
	look->all = count;
	look->before = measure_process();
	for (uint32_t i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof(name), "task%u", i);
		tmgr_manager_add_task(
			manager, name, (struct tmgr_task){ &park_ops, &look->all }, TMGR_ERROR);
	}
	tmgr_manager_add_task(manager, "look", (struct tmgr_task){ &look_ops, look }, TMGR_ERROR);
	r = tmgr_manager_run(manager, NULL);
	tmgr_manager_destroy(manager);
	return r;
}

static bool tasks_parked(void *self, void *result)
{
	struct look look;

	if (run_parked(&look, WARM_TASKS) < 0 || run_parked(&look, TASKS) < 0)
		return false;
	*(struct measure_process *)result = look.after;
	return true;
}

static void *park_thread(void *self)
{
	const uint32_t *all = self;

	arrive(*all);
	while (!__atomic_load_n(&leave, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &leave, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	return NULL;
}

static bool run_threads(struct look *look, uint32_t count)
{
	static pthread_t threads[TASKS];

	arrived = leave = 0;
	look->all = count;
	look->before = measure_process();
	for (uint32_t i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, park_thread, &look->all) != 0)
			return false;
	wait_for_arrived(count);
	look->after = grown(look->before);
	__atomic_store_n(&leave, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &leave, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	for (uint32_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return true;
}

static bool threads_parked(void *self, void *result)
{
	struct look look;

	if (!run_threads(&look, WARM_TASKS) || !run_threads(&look, TASKS))
		return false;
	*(struct measure_process *)result = look.after;
	return true;
}

static void measure_parked(void)
{
	static const char *const figure = "memory of a thread task that waits, of 1000";
	struct measure_process ours, raw;

	if (!measure_apart(tasks_parked, NULL, &ours, sizeof(ours)) ||
		!measure_apart(threads_parked, NULL, &raw, sizeof(raw)) || ours.resident < 0) {
		measure_failed(figure, "1000 threads could not be made, or /proc not be read");
		return;
	}
	measure_print(&(struct measure_row){ .figure = figure,
		.unit = MEASURE_BYTES,
		.ours = (double)ours.resident / TASKS,
		.other_name = "raw pthread",
		.other = (double)raw.resident / TASKS,
		.kind = MEASURE_EXCESS_AT_MOST,
		.goal = 1024 });
	measure_print(&(struct measure_row){ .figure = "    of this from malloc",
		.unit = MEASURE_BYTES,
		.ours = (double)ours.heap / TASKS,
		.other_name = "raw pthread",
		.other = (double)raw.heap / TASKS });
	measure_print(&(struct measure_row){ .figure = "    descriptors of all 1000",
		.unit = MEASURE_COUNT,
		.ours = (double)ours.descriptors,
		.other_name = "raw pthread",
		.other = (double)raw.descriptors,
		.kind = MEASURE_AT_MOST });
}

/* ---- Execute-tasks that are queued ---- */

static int do_nothing(void *self, struct tmgr_context *context)
{
	return 0;
}

static const struct tmgr_task_ops nothing_ops = { .execute = do_nothing };

static bool executes_queued(void *self, void *result)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct measure_process before = measure_process();

	for (size_t i = 0; i < EXECUTES; i++)
		if (tmgr_manager_add_execute_task(manager, "nothing",
			    (struct tmgr_task){ &nothing_ops, NULL }, TMGR_ERROR) < 0)
			return false;
	*(struct measure_process *)result = grown(before);
	tmgr_manager_destroy(manager);
	return true;
}

static void measure_queued(void)
{
	static const char *const figure = "memory of an execute-task that is queued";
	struct measure_process queued;

	if (measure_apart(executes_queued, NULL, &queued, sizeof(queued)))
		measure_print(&(struct measure_row){ .figure = figure,
			.unit = MEASURE_BYTES,
			.ours = (double)queued.heap / EXECUTES });
	else
		measure_failed(figure, "an add was refused");
}

/* ---- Growth ---- */

static const struct tmgr_task_ops *const kinds[] = { &nothing_ops, &nothing_ops };

static int run_once(void)
{
	static const struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	static const char *const names[] = { "one", "two" };
	int r;

	for (size_t i = 0; i < 2; i++) {
		struct tmgr_task task = { kinds[i], NULL };

		tmgr_manager_add_task(manager, names[i], task, TMGR_ERROR);
		tmgr_manager_add_execute_task(manager, names[i], task, TMGR_ERROR);
	}
	r = tmgr_manager_run(manager, NULL);
	tmgr_manager_destroy(manager);
	return r;
}

struct growth {
	struct measure_process process;
	int64_t cycle_ns;
};

static bool run_often(void *self, void *result)
{
	struct measure_process before = { 0 };
	struct growth *growth = result;
	struct look warm;
	int64_t began;

	/* Else how many of the allocator's arenas come into use depends on which threads happen to
	 * meet; and so does how many stacks of ended threads the C library keeps, with about 300
	 * bytes of the heap for each. */
	mallopt(M_ARENA_MAX, 1);
	if (run_parked(&warm, WARM_TASKS_AT_ONCE) < 0)
		return false;
	began = measure_now();
	for (size_t i = 1; i <= CYCLES; i++) {
		if (run_once() < 0)
			return false;
		if (i == CYCLES_BEFORE)
			before = measure_process();
	}
	growth->cycle_ns = (measure_now() - began) / CYCLES;
	/* Threads that have been joined may be in the kernel's count for a moment. */
	measure_sleep_until(measure_now() + 10000000);
	growth->process = grown(before);
	return true;
}

static void print_growth(const char *figure, enum measure_unit unit, int64_t value, double goal)
{
	measure_print(&(struct measure_row){ .figure = figure,
		.unit = unit,
		.ours = (double)value,
		.kind = MEASURE_AT_MOST,
		.goal = goal });
}

static void measure_growth(void)
{
	struct growth growth;

	if (!measure_apart(run_often, NULL, &growth, sizeof(growth))) {
		measure_failed("growth from 1,000 to 100,000 run/stop cycles", "a run failed");
		return;
	}
	print_growth("growth, 1,000 to 100,000 run/stop cycles: heap", MEASURE_BYTES,
		growth.process.heap, 0);
	print_growth("    resident, less than 64 KiB being noise", MEASURE_BYTES,
		growth.process.resident, TOLERATED_BYTES);
	print_growth("    descriptors", MEASURE_COUNT, growth.process.descriptors, 0);
	print_growth("    threads", MEASURE_COUNT, growth.process.threads, 0);
	measure_print(
		&(struct measure_row){ .figure = "    one cycle: 2 thread tasks, 2 execute-tasks",
			.unit = MEASURE_NANOSECONDS,
			.ours = (double)growth.cycle_ns });
}

int main(void)
{
	measure_begin();
	measure_parked();
	measure_queued();
	measure_growth();
	return measure_end();
}
