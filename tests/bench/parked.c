/*
 * Coroutines that wait, very many of them: what each keeps resident, and how many mappings the
 * process has with them; each figure from a process of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/in_loop.h"
#include "tests/bench/measure.h"

#define COROUTINES_MAX 1000000
#define PAGE_TABLES "VmPTE:"

struct parking {
	size_t count;
	enum tmgr_stack_guard guard;
};

struct parked {
	int error;      /* of the first spawn that was refused, with page guards */
	size_t spawned; /* until then */
	int64_t resident, page_tables, mappings, spawn_ns, end_ns;
};

static int64_t count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	int64_t count = 0;
	int c;

	if (!file)
		return -1;
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

/* Of the process, bytes. */
static int64_t page_tables(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	long long kib = -1;
	char line[256];

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, PAGE_TABLES " %lld", &kib) == 1)
			break;
	fclose(file);
	return kib < 0 ? -1 : kib * 1024;
}

static int park(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

/* Spawn and let all come to their wait; how many could be spawned. */
static size_t spawn_parked(struct tmgr_context *context, struct tmgr_coroutine **coroutines,
	size_t count, int *ret_error)
{
	size_t i;

	for (i = 0; i < count; i++) {
		*ret_error = tmgr_coroutine_spawn(context, park, NULL, NULL, &coroutines[i]);
		if (*ret_error < 0)
			break;
	}
	tmgr_yield(context);
	return i;
}

static bool end_parked(
	struct tmgr_context *context, struct tmgr_coroutine **coroutines, size_t count)
{
	bool ended = true;

	for (size_t i = 0; i < count; i++)
		tmgr_coroutine_cancel(coroutines[i], 0, NULL);
	for (size_t i = 0; i < count; i++) {
		ended &= tmgr_coroutine_await(context, coroutines[i], TMGR_NEVER, NULL) ==
			 -ECANCELED;
		tmgr_coroutine_unref(coroutines[i]);
	}
	return ended;
}

struct parking_result {
	const struct parking *parking;
	struct parked *parked;
};

static double park_in_loop(void *self, struct tmgr_context *context)
{
	const struct parking *parking = ((struct parking_result *)self)->parking;
	struct parked *parked = ((struct parking_result *)self)->parked;
	static struct tmgr_coroutine *coroutines[COROUTINES_MAX];
	struct measure_process before;
	int64_t began, tables;
	bool ended;

	/* The array of handles is the caller's: it is there before. */
	memset(coroutines, 0, sizeof(coroutines));
	before = measure_process();
	tables = page_tables();
	began = measure_now();
	parked->spawned = spawn_parked(context, coroutines, parking->count, &parked->error);
	parked->spawn_ns = measure_now() - began;
	parked->resident = measure_process().resident - before.resident;
	parked->page_tables = page_tables() - tables;
	parked->mappings = count_mappings();
	began = measure_now();
	ended = end_parked(context, coroutines, parked->spawned);
	parked->end_ns = measure_now() - began;
	return ended ? 0 : -1;
}

static bool run_parked(void *self, void *result)
{
	const struct parking *parking = self;
	struct tmgr_loop_options options = { .stack_guard = parking->guard };
	struct parking_result both = { parking, result };

	return run_in_loop_with(park_in_loop, &both, &options) == 0;
}

static bool enough_memory(size_t count)
{
	return sysconf(_SC_AVPHYS_PAGES) > (long)(count + count / 4);
}

static void print_parked(
	const char *figure, const struct parking *parking, const struct parked *parked)
{
	double count = (double)parking->count;

	measure_print(&(struct measure_row){ .figure = figure,
		.unit = MEASURE_BYTES,
		.ours = (double)parked->resident / count,
		.kind = MEASURE_AT_MOST,
		.goal = 4.3 * 1024 });
	measure_print(&(struct measure_row){ .figure = "    page tables for each",
		.unit = MEASURE_BYTES,
		.ours = (double)parked->page_tables / count });
	measure_print(&(struct measure_row){ .figure = "    mappings of the process",
		.unit = MEASURE_COUNT,
		.ours = (double)parked->mappings,
		.kind = MEASURE_AT_MOST,
		.goal = 99 });
	measure_print(&(struct measure_row){ .figure = "    spawned and parked, cold, each",
		.unit = MEASURE_NANOSECONDS,
		.ours = (double)parked->spawn_ns / count });
	measure_print(&(struct measure_row){ .figure = "    cancelled and ended, each",
		.unit = MEASURE_NANOSECONDS,
		.ours = (double)parked->end_ns / count });
}

static void measure_parked(const char *figure, struct parking parking)
{
	struct parked parked = { 0 };

	if (!enough_memory(parking.count))
		measure_skipped(figure, "there is not enough free memory");
	else if (!measure_apart(run_parked, &parking, &parked, sizeof(parked)))
		measure_failed(figure, "the process did not end well");
	else if (parked.spawned == parking.count)
		print_parked(figure, &parking, &parked);
	else if (parking.guard == TMGR_STACK_GUARD_PAGE)
		/* A kernel before 6.13 needs a mapping for each guard. */
		measure_skipped(figure, "%zu can be guarded by pages here (%s), %lld mappings",
			parked.spawned, tmgr_strerror(parked.error), (long long)parked.mappings);
	else
		measure_failed(figure, "%zu could be made: %s", parked.spawned,
			tmgr_strerror(parked.error));
}

int main(void)
{
	measure_begin();
	measure_parked("parked coroutine of 100,000, page guards: resident",
		(struct parking){ 100000, TMGR_STACK_GUARD_PAGE });
	measure_parked("parked coroutine of 100,000, canaries: resident",
		(struct parking){ 100000, TMGR_STACK_GUARD_CANARY });
	measure_parked("parked coroutine of 1,000,000, page guards: resident",
		(struct parking){ 1000000, TMGR_STACK_GUARD_PAGE });
	measure_parked("parked coroutine of 1,000,000, canaries: resident",
		(struct parking){ 1000000, TMGR_STACK_GUARD_CANARY });
	return measure_end();
}
