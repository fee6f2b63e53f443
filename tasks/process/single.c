/*
 * One thread for all: what could happen next is chosen by the seed. A batch of the store has a beginning
 * and an end, and between them other things happen, as they do with threads.
 */
#include <errno.h>
#include <stdlib.h>

#include "tasks/process/runtime.h"

/* 200 years: what comes after it, deadlines and the like, can still be counted. */
#define VIRTUAL_MAX_NS (200 * 365 * 24 * TMGR_HOUR)

enum choice { TAKE, RUN, ORDER, OBEY, CHOICES };

static unsigned draw(struct tmgr_processes *processes, unsigned below)
{
	processes->random ^= processes->random << 13;
	processes->random ^= processes->random >> 7;
	processes->random ^= processes->random << 17;
	return (unsigned)((processes->random >> 16) % below);
}

/* Of its first few a crew may run any, as several workers would. */
static struct tmgr__crew *has_jobs(struct tmgr_processes *processes)
{
	for (struct tmgr__crew *crew = processes->crews; crew != NULL; crew = crew->next) {
		if (crew->first != NULL)
			return crew;
	}
	return NULL;
}

static void shuffle(struct tmgr_processes *processes, struct tmgr__crew *crew)
{
	for (unsigned turns = draw(processes, 4); turns > 0 && crew->first != crew->last; turns--) {
		struct tmgr__eprocess *process = crew->first;

		crew->first = process->run_next;
		process->run_next = NULL;
		crew->last->run_next = process;
		crew->last = process;
	}
}

/* ---- What can be done ------------------------------------------------------------------------ */

static bool order_is_given(const struct tmgr_processes *processes)
{
	return processes->order != TMGR__ORDER_NONE && !processes->done;
}

static bool order_can_be_given(const struct tmgr_processes *processes)
{
	if (processes->order != TMGR__ORDER_NONE)
		return processes->done;
	if (processes->virtual_ns < processes->retry_at)
		return false;
	return processes->in_flight || processes->batches[processes->building].step_count > 0 ||
	       !tmgr__list_empty(&processes->trials) || !tmgr__list_empty(&processes->store_asked);
}

static bool can(struct tmgr_processes *processes, enum choice choice)
{
	switch (choice) {
	case TAKE:
		return !tmgr__list_empty(&processes->inbox) ||
		       !tmgr__list_empty(&processes->returned) ||
		       tmgr__engine_timeout(processes->engine, tmgr__runtime_now_ms(processes),
			       processes->virtual_wall_ms) == 0 ||
		       tmgr__engine_runnable(processes->engine);
	case RUN:
		return has_jobs(processes) != NULL;
	case ORDER:
		return order_can_be_given(processes);
	default:
		return order_is_given(processes);
	}
}

/* ---- Doing it -------------------------------------------------------------------------------- */

static void finish_orders(struct tmgr_processes *processes)
{
	do {
		if (order_is_given(processes))
			tmgr__runtime_obey(processes);
		tmgr__runtime_order_done(processes);
	} while (processes->failed == 0 && order_can_be_given(processes) &&
		 tmgr__runtime_order(processes));
}

/* An effect's result is durable before its method goes on, and all before it too. */
static int keep(struct tmgr_process *step, const char *name, struct tmgr_bytes value)
{
	struct tmgr_processes *processes = container_of(step, struct tmgr__job, step)->processes;
	struct tmgr__apply once = {
		.kind = TMGR__APPLY_ONCE,
		.now_ms = tmgr__runtime_now_ms(processes),
		.wall_ms = processes->virtual_wall_ms,
		.process = step->process,
		.name = name,
		.value = value,
	};
	int r = tmgr__engine_apply(
		processes->engine, &once, &processes->batches[processes->building]);

	if (r != 0)
		return r;
	finish_orders(processes);
	if (processes->failed != 0)
		return processes->failed;
	return processes->engine->durable == processes->engine->sequence ? 0 : -ENOSPC;
}

static int run(struct tmgr_processes *processes)
{
	struct tmgr__crew *crew = has_jobs(processes);
	struct tmgr__job *job;

	shuffle(processes, crew);
	job = tmgr__job_begin(processes, crew, NULL);
	if (job == NULL)
		return -ENOMEM;
	tmgr_semaphore_acquire(NULL, &crew->jobs, TMGR_NOW);
	job->step.keep = keep;
	processes->in_method = true;
	tmgr__step_run(&job->step);
	processes->in_method = false;
	tmgr__job_end(job);
	return 0;
}

static int act(struct tmgr_processes *processes, enum choice choice)
{
	int r = 0;

	processes->trace = (processes->trace ^ (uint64_t)choice) * 1099511628211u;
	switch (choice) {
	case TAKE:
		tmgr__runtime_take(processes);
		if (processes->failed == 0)
			tmgr__runtime_tick(processes);
		tmgr__runtime_dispatch(processes);
		tmgr__runtime_back_up(processes, NULL);
		break;
	case RUN:
		r = run(processes);
		break;
	case ORDER:
		tmgr__runtime_order_done(processes);
		if (processes->failed == 0)
			tmgr__runtime_order(processes);
		tmgr__runtime_dispatch(processes);
		break;
	default:
		tmgr__runtime_obey(processes);
		break;
	}
	if (processes->failed == 0)
		tmgr__runtime_answer(processes);
	else
		tmgr__runtime_refuse_all(processes, processes->failed);
	tmgr__runtime_count(processes);
	if (r == 0 && processes->memory_at != 0)
		r = -ENOMEM;
	processes->memory_at = 0;
	return processes->failed != 0 ? processes->failed : r;
}

static bool is_usable(const struct tmgr_processes *processes)
{
	return processes != NULL && processes->options.single_threaded &&
	       processes->state == TMGR__RUNTIME_OPEN && !processes->in_method;
}

int tmgr_processes_drive(struct tmgr_processes *processes)
{
	enum choice choices[CHOICES];
	unsigned count = 0;
	int r;

	if (!is_usable(processes))
		return -EINVAL;
	if (processes->failed != 0)
		return processes->failed;
	for (enum choice choice = TAKE; choice < CHOICES; choice++) {
		if (can(processes, choice))
			choices[count++] = choice;
	}
	if (count == 0) {
		tmgr__runtime_answer(processes);
		return 0;
	}
	r = act(processes, choices[draw(processes, count)]);
	return r != 0 ? r : 1;
}

int tmgr_processes_settle(struct tmgr_processes *processes)
{
	int r;

	do
		r = tmgr_processes_drive(processes);
	while (r == 1);
	if (r == 0 && processes->in_flight)
		return -ENOSPC;
	return r;
}

int tmgr_processes_advance(struct tmgr_processes *processes, int64_t ns)
{
	int64_t until, retry;
	int r;

	if (!is_usable(processes) || ns < 0 || ns > VIRTUAL_MAX_NS - processes->virtual_ns)
		return -EINVAL;
	until = processes->virtual_ns + ns;
	for (;;) {
		int64_t step, ms;

		r = tmgr_processes_settle(processes);
		if (r != 0 && r != -ENOSPC)
			return r;
		step = until - processes->virtual_ns;
		if (step == 0)
			return r;
		ms = tmgr__engine_timeout(processes->engine, tmgr__runtime_now_ms(processes),
			processes->virtual_wall_ms);
		/* Milliseconds are counted whole: to the beginning of the one that is meant. */
		if (ms >= 0 && ms < step / TMGR_MILLISECOND)
			step = ms * TMGR_MILLISECOND -
			       (processes->virtual_ns - processes->base_ns) % TMGR_MILLISECOND;
		retry = processes->retry_at - processes->virtual_ns;
		if (processes->retry_at != 0 && retry > 0 && retry < step)
			step = retry;
		if (step <= 0)
			step = 1;
		processes->virtual_wall_ms += (processes->virtual_ns % TMGR_MILLISECOND + step) /
					      TMGR_MILLISECOND;
		processes->virtual_ns += step;
	}
}

int tmgr_processes_set_wall(struct tmgr_processes *processes, int64_t wall_ms)
{
	if (!is_usable(processes) || wall_ms < 0)
		return -EINVAL;
	processes->virtual_wall_ms = wall_ms;
	return 0;
}

int tmgr_processes_open(struct tmgr_processes *processes)
{
	if (processes == NULL || !processes->options.single_threaded)
		return -EINVAL;
	return tmgr__runtime_open(processes);
}

int tmgr_processes_close(struct tmgr_processes *processes)
{
	if (!is_usable(processes))
		return -EINVAL;
	return tmgr__runtime_close(processes, false);
}
