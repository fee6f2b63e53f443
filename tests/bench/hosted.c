/*
 * Tasks of a manager on a loop: long-running ones from nothing to all of them ended, what a cancel
 * of them takes, and execute-tasks; beside coroutines of the same loop without a manager's care.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/in_loop.h"
#include "tests/bench/measure.h"

#define TASKS_MAX 100000
#define EXECUTES 100000

static char names[TASKS_MAX][16];

/* Many that wait, and the moment in which they were cancelled. */
struct many {
	size_t count;
	size_t begun;
	int64_t cancelled_at;
	struct measure_samples cancels, bare_cancels; /* from cancel until all have returned */
};

/* ---- Long-running tasks ---- */

/* The last one to begin cancels: all others are in their wait. */
static int wait_for_cancel(void *self, struct tmgr_context *context)
{
	struct many *many = self;

	if (++many->begun == many->count) {
		many->cancelled_at = measure_now();
		tmgr_manager_cancel(tmgr_context_manager(context));
	}
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static const struct tmgr_task_ops waiting_ops = { .execute = wait_for_cancel };

static double cycle_of_tasks(void *self)
{
	struct many *many = self;
	int64_t began = measure_now(), returned;
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options options = { .ret_handle = NULL };

	many->begun = 0;
	measure_check("loop", tmgr_loop_create(NULL, &options.loop));
	tmgr_manager_add_task(manager, "loop", tmgr_loop_task(options.loop), TMGR_ERROR);
	for (size_t i = 0; i < many->count; i++)
		tmgr_manager_add_task_with(manager, names[i],
			(struct tmgr_task){ &waiting_ops, many }, TMGR_ERROR, &options);
	measure_check("run", tmgr_manager_run(manager, NULL));
	returned = measure_now();
	tmgr_manager_destroy(manager);
	tmgr_loop_unref(options.loop);
	measure_add(&many->cancels, (double)(returned - many->cancelled_at));
	return (double)(measure_now() - began) / (double)many->count;
}

/* ---- Coroutines ---- */

static int sleep_until_cancelled(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static double coroutines_in_loop(void *self, struct tmgr_context *context)
{
	static struct tmgr_coroutine *coroutines[TASKS_MAX];
	struct many *many = self;
	int64_t began = measure_now(), cancelled_at;

	for (size_t i = 0; i < many->count; i++)
		measure_check("spawn", tmgr_coroutine_spawn(context, sleep_until_cancelled, NULL,
					       NULL, &coroutines[i]));
	/* After this all are in their wait. */
	tmgr_yield(context);
	cancelled_at = measure_now();
	for (size_t i = 0; i < many->count; i++)
		tmgr_coroutine_cancel(coroutines[i], 0, NULL);
	for (size_t i = 0; i < many->count; i++)
		if (tmgr_future_wait(context, tmgr_coroutine_future(coroutines[i]), TMGR_NEVER) < 0)
			return -1;
	measure_add(&many->bare_cancels, (double)(measure_now() - cancelled_at));
	for (size_t i = 0; i < many->count; i++)
		tmgr_coroutine_unref(coroutines[i]);
	return (double)(measure_now() - began) / (double)many->count;
}

static double cycle_of_coroutines(void *self)
{
	return run_in_loop(coroutines_in_loop, self);
}

/* Two rows: the whole cycle of each, and the cancel of all. */
static void measure_long_tasks(size_t count, size_t rounds, const struct measure_row *rows)
{
	struct many many = { .count = count };
	struct measure_pair pair = { cycle_of_tasks, cycle_of_coroutines, &many, .ours = { 0 } };
	struct measure_row cancels = rows[1];

	/* The first rounds make the stacks. */
	if (measure_run_pair(&pair, 2, rounds)) {
		measure_print_pair(&rows[0], &pair);
		cancels.ours = measure_median(&many.cancels);
		cancels.other = measure_median(&many.bare_cancels);
		measure_print(&cancels);
	} else {
		measure_failed(rows[0].figure, "a wait ended otherwise than it must");
	}
	measure_clear_pair(&pair);
	measure_clear(&many.cancels);
	measure_clear(&many.bare_cancels);
}

/* ---- Execute-tasks ---- */

/* A loop without a main function never ends by itself: the last task cancels. */
static int end_at_once(void *self, struct tmgr_context *context)
{
	if (__atomic_add_fetch((size_t *)self, 1, __ATOMIC_ACQ_REL) == EXECUTES)
		tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static const struct tmgr_task_ops ending_ops = { .execute = end_at_once };

/* From the first add until run has returned. */
static double executes_by(struct tmgr_loop *loop)
{
	struct tmgr_task_options options = { .loop = loop };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	int64_t began = measure_now();
	size_t ended = 0;

	if (loop)
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_ERROR);
	for (size_t i = 0; i < EXECUTES; i++)
		measure_check("add",
			tmgr_manager_add_execute_task_with(manager, "nothing",
				(struct tmgr_task){ &ending_ops, &ended }, TMGR_ERROR, &options));
	measure_check("run", tmgr_manager_run(manager, NULL));
	began = measure_now() - began;
	measure_check("executes", ended == EXECUTES ? 0 : -ECANCELED);
	tmgr_manager_destroy(manager);
	return EXECUTES * 1e9 / (double)began;
}

static double executes_on_loop(void *self)
{
	struct tmgr_loop *loop;
	double result;

	measure_check("loop", tmgr_loop_create(NULL, &loop));
	result = executes_by(loop);
	tmgr_loop_unref(loop);
	return result;
}

static double executes_on_pool(void *self)
{
	return executes_by(NULL);
}

static void measure_executes(void)
{
	struct measure_pair pair = { executes_on_loop, executes_on_pool, .self = NULL };
	struct measure_row row = { .figure = "execute-tasks on a loop, 100,000 added before run",
		.unit = MEASURE_PER_SECOND,
		.other_name = "the pool" };

	measure_run_pair(&pair, 1, 7);
	measure_print_pair(&row, &pair);
	measure_clear_pair(&pair);
}

#define ROW(text, most)                                                                         \
	{                                                                                       \
		.figure = (text), .unit = MEASURE_NANOSECONDS,                                  \
		.other_name = "coroutines, no manager", .kind = MEASURE_AT_MOST, .goal = (most) \
	}

int main(void)
{
	static const struct measure_row thousand[] = {
		ROW("long tasks on a loop, 1000: whole cycle, each", 800),
		ROW("    from cancel until run has returned", 500e3),
	};
	static const struct measure_row many[] = {
		ROW("long tasks on a loop, 100,000, warm: cycle, each", 3000),
		ROW("    from cancel until run has returned", 100e6),
	};

	for (size_t i = 0; i < TASKS_MAX; i++)
		snprintf(names[i], sizeof(names[i]), "task%zu", i);
	measure_begin();
	measure_long_tasks(1000, 51, thousand);
	measure_long_tasks(100000, 7, many);
	measure_executes();
	return measure_end();
}
