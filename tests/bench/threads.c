/*
 * Thread tasks: from nothing to a manager that has run them all, beside as many threads that are
 * made, wait at a gate, are woken and joined.
 */
#include <linux/futex.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/measure.h"

#define TASKS_MAX 1000

struct setting {
	size_t count;
	size_t stack_size;
};

static int do_nothing(void *self, struct tmgr_context *context)
{
	return 0;
}

static const struct tmgr_task_ops nothing_ops = { .execute = do_nothing };

static double cycle_of_tasks(void *self)
{
	const struct setting *setting = self;
	struct tmgr_manager_options options = {
		.when_quiet = TMGR_QUIET_RETURN,
		.stack_size = setting->stack_size,
	};
	int64_t began = measure_now();
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	char name[32];

	for (size_t i = 0; i < setting->count; i++) {
		snprintf(name, sizeof(name), "task%zu", i);
		tmgr_manager_add_task(
			manager, name, (struct tmgr_task){ &nothing_ops, NULL }, TMGR_ERROR);
	}
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	return (double)(measure_now() - began);
}

static uint32_t gate;

static void *wait_at_gate(void *self)
{
	while (__atomic_load_n(&gate, __ATOMIC_ACQUIRE) == 0)
		syscall(SYS_futex, &gate, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	return NULL;
}

static double cycle_of_threads(void *self)
{
	static pthread_t threads[TASKS_MAX];
	const struct setting *setting = self;
	int64_t began = measure_now();
	pthread_attr_t attributes;

	__atomic_store_n(&gate, 0, __ATOMIC_RELEASE);
	pthread_attr_init(&attributes);
	if (setting->stack_size > 0)
		pthread_attr_setstacksize(&attributes, setting->stack_size);
	for (size_t i = 0; i < setting->count; i++)
		measure_check("pthread_create",
			-pthread_create(&threads[i], &attributes, wait_at_gate, NULL));
	__atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &gate, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	for (size_t i = 0; i < setting->count; i++)
		pthread_join(threads[i], NULL);
	pthread_attr_destroy(&attributes);
	return (double)(measure_now() - began);
}

static void measure_cycle(const char *figure, struct setting setting, size_t rounds)
{
	struct measure_row row = {
		.figure = figure,
		.unit = MEASURE_NANOSECONDS,
		.other_name = "raw pthreads",
		.kind = MEASURE_RATIO_AT_MOST,
		.goal = 1.10,
	};
	struct measure_pair pair = { cycle_of_tasks, cycle_of_threads, &setting, .ours = { 0 } };

	measure_run_pair(&pair, 5, rounds);
	measure_print_pair(&row, &pair);
	measure_clear_pair(&pair);
}

int main(void)
{
	measure_begin();
	measure_cycle("thread tasks, 100, whole cycle", (struct setting){ 100, 0 }, 301);
	measure_cycle("thread tasks, 1000, whole cycle", (struct setting){ 1000, 0 }, 51);
	measure_cycle("thread tasks, 100, 64 KiB stacks", (struct setting){ 100, 65536 }, 301);
	measure_cycle("thread tasks, 1000, 64 KiB stacks", (struct setting){ 1000, 65536 }, 51);
	return measure_end();
}
