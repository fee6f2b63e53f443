/*
 * Random schedules against the reference model of tests/support/model.c: tasks that end, fail and wait, on threads, the pool and a
 * loop, adds from outside and inside, cancels of all kinds, at random moments. SEED takes a seed back that was printed, SECONDS says for how long.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/manager.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/model.h"
#include "tests/support/seeded.h"

#define LONG_MAX_COUNT 5
#define ADDERS 2
#define HELPERS (ADDERS + 2)

/* What one task is going to do; drawn before the run. */
struct plan {
	unsigned spin; /* before the end; large: until it is told to stop */
	bool waits;
	int initialize_result, execute_result, cleanup_result;
	bool cancels, adds;
	bool on_loop;
	bool by_handle; /* is cancelled alone, some time */
	bool obeys;     /* its initialize looks for a cancel before it returns */
};

struct schedule {
	struct tmgr_manager *manager;
	struct tmgr_token *token;
	struct tmgr_loop *loop; /* or NULL */
	struct model_run model;
	struct plan plans[MODEL_TASKS_MAX];
	struct tmgr_handle handles[MODEL_TASKS_MAX]; /* of those that are cancelled alone */
	atomic_long moment;
	atomic_size_t next; /* of tasks */
	size_t longs;
	atomic_long first_stop_begun, first_cancel_ended;
	unsigned how_to_cancel, cancel_after;
	uint64_t random;
};

struct seat {
	struct schedule *schedule;
	size_t index;
};

static struct seat seats[MODEL_TASKS_MAX];

static bool one_in(uint64_t *state, unsigned n)
{
	return seeded_draw(state) % n == 0;
}

static long now(struct schedule *schedule)
{
	return atomic_fetch_add(&schedule->moment, 1) + 1;
}

static void note_first(atomic_long *first, long moment)
{
	long old = atomic_load(first);

	while ((old == 0 || moment < old) && !atomic_compare_exchange_weak(first, &old, moment))
		;
}

static void spin(unsigned turns)
{
	for (volatile unsigned i = 0; i < turns; i++) {
		if (i % 64 == 63)
			sched_yield();
	}
}

static struct model_task *seen(struct seat *seat)
{
	return &seat->schedule->model.tasks[seat->index];
}

static int random_initialize(void *self, struct tmgr_context *context)
{
	struct seat *seat = self;
	struct plan *plan = &seat->schedule->plans[seat->index];
	struct model_task *task = seen(seat);

	task->initializes++;
	task->initialize_begun = now(seat->schedule);
	task->initialize_result = plan->initialize_result;
	if (plan->obeys) {
		spin(plan->spin);
		task->initialize_obeyed = tmgr_context_cancelled(context);
	}
	if (task->initialize_obeyed)
		task->initialize_result = -ECANCELED;
	task->initialize_ended = now(seat->schedule);
	if (task->initialize_result != 0 && !task->initialize_obeyed)
		note_first(&seat->schedule->first_stop_begun, task->initialize_ended);
	return task->initialize_result;
}

static void cancel_somehow(struct schedule *schedule, unsigned how)
{
	note_first(&schedule->first_stop_begun, now(schedule));
	switch (how % 3) {
	case 0:
		tmgr_manager_cancel(schedule->manager);
		note_first(&schedule->first_cancel_ended, now(schedule));
		break;
	case 1:
		tmgr_manager_cancel_from_signal(schedule->manager, SIGTERM);
		break;
	default:
		tmgr_token_cancel(schedule->token, 0, "random");
		break;
	}
}

static void add_one(struct schedule *schedule, bool long_running);

static int random_execute(void *self, struct tmgr_context *context)
{
	struct seat *seat = self;
	struct schedule *schedule = seat->schedule;
	struct plan *plan = &schedule->plans[seat->index];
	struct model_task *task = seen(seat);

	task->executes++;
	task->execute_begun = now(schedule);
	spin(plan->spin);
	if (plan->adds)
		add_one(schedule, false);
	if (plan->cancels)
		cancel_somehow(schedule, plan->spin);
	if (plan->waits)
		tmgr_sleep_until(context, TMGR_NEVER);
	task->execute_result = plan->execute_result;
	/* From here on its end may stop all. */
	if (task->policy != MODEL_ERROR || plan->execute_result != 0)
		note_first(&schedule->first_stop_begun, now(schedule));
	task->saw_stop = tmgr_context_cancelled(context);
	task->execute_ended = now(schedule);
	return plan->execute_result;
}

static int random_cleanup(void *self, struct tmgr_context *context)
{
	struct seat *seat = self;
	struct model_task *task = seen(seat);

	(void)context;
	task->cleanups++;
	task->cleanup_begun = now(seat->schedule);
	task->cleanup_result = seat->schedule->plans[seat->index].cleanup_result;
	task->cleanup_ended = now(seat->schedule);
	return task->cleanup_result;
}

static void random_destroy(void *self)
{
	seen(self)->destroys++;
}

static struct tmgr_task task_for(struct seat *seat, bool long_running)
{
	static const struct tmgr_task_ops whole = { .initialize = random_initialize,
		.execute = random_execute,
		.cleanup = random_cleanup,
		.destroy = random_destroy };
	static const struct tmgr_task_ops part = { .execute = random_execute,
		.destroy = random_destroy };

	return (struct tmgr_task){ long_running ? &whole : &part, seat };
}

static void cancel_alone(struct schedule *schedule, size_t index)
{
	schedule->model.tasks[index].cancelled_alone = true;
	spin(schedule->plans[index].spin / 2);
	tmgr_handle_cancel(schedule->handles[index], 0, "alone");
	tmgr_handle_release(schedule->handles[index]);
}

static void add_one(struct schedule *schedule, bool long_running)
{
	static const enum tmgr_policy policies[] = { TMGR_STRICT, TMGR_ERROR, TMGR_STOP_GROUP };
	size_t index = atomic_fetch_add(&schedule->next, 1);
	struct tmgr_task_options options = { .host = TMGR_HOST_DEFAULT };
	struct model_task *task;
	char name[16];

	if (index >= MODEL_TASKS_MAX)
		return;
	if (schedule->plans[index].on_loop)
		options.loop = schedule->loop;
	if (schedule->plans[index].by_handle)
		options.ret_handle = &schedule->handles[index];
	task = &schedule->model.tasks[index];
	task->long_running = long_running;
	if (!long_running && task->policy == MODEL_GROUP)
		task->policy = MODEL_ERROR;
	seats[index] = (struct seat){ schedule, index };
	snprintf(name, sizeof(name), "%zu", index);
	task->add_begun = now(schedule);
	if (long_running)
		task->add_result = tmgr_manager_add_task_with(schedule->manager, name,
			task_for(&seats[index], true), policies[task->policy], &options);
	else
		task->add_result = tmgr_manager_add_execute_task_with(schedule->manager, name,
			task_for(&seats[index], false), policies[task->policy], &options);
	task->add_ended = now(schedule);
	/* Long-running ones are cancelled by a thread of their own. */
	if (!long_running && task->add_result == 0 && schedule->plans[index].by_handle)
		cancel_alone(schedule, index);
}

static void *add_from_outside(void *argument)
{
	struct schedule *schedule = argument;

	for (int i = 0; i < 20; i++) {
		add_one(schedule, false);
		spin(schedule->cancel_after % 500);
	}
	return NULL;
}

static void *cancel_by_handles(void *argument)
{
	struct schedule *schedule = argument;

	for (size_t i = 0; i < schedule->longs; i++)
		if (schedule->plans[i].by_handle && schedule->model.tasks[i].add_result == 0)
			cancel_alone(schedule, i);
	return NULL;
}

static void *cancel_from_outside(void *argument)
{
	struct schedule *schedule = argument;

	spin(schedule->cancel_after);
	cancel_somehow(schedule, schedule->how_to_cancel);
	/* A cancel by signal or token may not reach a run that is not there yet. */
	add_one(schedule, false);
	return NULL;
}

/* Calm: nothing fails. Quiet: nothing stops either, and all that is added executes. */
static void draw_plans(struct schedule *schedule, bool calm, bool quiet)
{
	static const int errors[] = { -EIO, -ENOSPC, -EPERM, -ETIMEDOUT };
	uint64_t *state = &schedule->random;

	for (size_t i = 0; i < MODEL_TASKS_MAX; i++) {
		struct plan *plan = &schedule->plans[i];

		schedule->model.tasks[i].policy = (enum model_policy)(seeded_draw(state) % 3);
		plan->spin = (unsigned)(seeded_draw(state) % 2000);
		if (quiet)
			schedule->model.tasks[i].policy = MODEL_ERROR;
		plan->waits = !quiet && (!one_in(state, 3) || i < 2);
		plan->adds = one_in(state, 4);
		plan->on_loop = one_in(state, 2);
		plan->by_handle = !quiet && one_in(state, 5);
		plan->obeys = !quiet && one_in(state, 2);
		if (calm)
			continue;
		plan->cancels = one_in(state, 40);
		plan->execute_result = one_in(state, 8) ? errors[seeded_draw(state) % 4] : 0;
		if (plan->execute_result == 0 && one_in(state, 4))
			plan->execute_result = -ECANCELED;
		plan->initialize_result = one_in(state, 25) ? errors[seeded_draw(state) % 4] : 0;
		plan->cleanup_result = one_in(state, 25) ? errors[seeded_draw(state) % 4] : 0;
	}
	schedule->how_to_cancel = (unsigned)seeded_draw(state);
	schedule->cancel_after = (unsigned)(seeded_draw(state) % 20000);
}

static void read_report(struct schedule *schedule, const struct tmgr_report *report)
{
	static const int stages[] = { [TMGR_STAGE_INITIALIZE] = MODEL_INITIALIZE,
		[TMGR_STAGE_EXECUTE] = MODEL_EXECUTE,
		[TMGR_STAGE_CLEANUP] = MODEL_CLEANUP };
	struct model_run *model = &schedule->model;

	model->cause = report->cause != NULL ? report->cause->error : 0;
	for (const struct tmgr_report_entry *entry = report->entries; entry != NULL;
		entry = entry->next) {
		size_t index = (size_t)strtoul(entry->name, NULL, 10);

		/* The loop itself has no number. */
		if (entry->name[0] < '0' || entry->name[0] > '9' ||
			entry->kind != TMGR_REPORT_ERROR || entry->stage < TMGR_STAGE_INITIALIZE ||
			index >= model->count) {
			model->entries_of_nobody++;
			continue;
		}
		model->tasks[index].reported[stages[entry->stage]]++;
		model->tasks[index].reported_error[stages[entry->stage]] = entry->error;
	}
}

static void run_schedule(uint64_t seed)
{
	static void *(*const cancellers[])(void *) = { cancel_from_outside, cancel_by_handles };
	struct schedule *schedule = fault_free_of_faults(sizeof(*schedule));
	struct model_run *model = &schedule->model;
	pthread_t threads[HELPERS];
	const char *wrong;
	size_t which = 0;
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_WAIT };
	int helpers = HELPERS;
	bool quiet;

	schedule->random = seed;
	quiet = one_in(&schedule->random, 4);
	draw_plans(schedule, quiet || one_in(&schedule->random, 4), quiet);
	schedule->longs = 1 + seeded_draw(&schedule->random) % LONG_MAX_COUNT;
	tmgr_token_create(NULL, &schedule->token);
	if (quiet) {
		options.when_quiet = TMGR_QUIET_RETURN;
		helpers = 0;
	}
	schedule->manager = tmgr_manager_create(&options);
	/* It would never be quiet. */
	if (!quiet && tmgr_loop_create(NULL, &schedule->loop) == 0)
		tmgr_manager_add_task(
			schedule->manager, "loop", tmgr_loop_task(schedule->loop), TMGR_STRICT);
	for (size_t i = 0; i < schedule->longs; i++)
		add_one(schedule, true);
	for (int i = 0; quiet && i < 20; i++)
		add_one(schedule, false);
	for (int i = 0; i < helpers; i++)
		pthread_create(&threads[i], NULL,
			i < ADDERS ? add_from_outside : cancellers[i - ADDERS], schedule);
	model->result = tmgr_manager_run(schedule->manager, schedule->token);
	model->run_ended = now(schedule);
	for (int i = 0; i < helpers; i++)
		pthread_join(threads[i], NULL);

	model->count = atomic_load(&schedule->next);
	if (model->count > MODEL_TASKS_MAX)
		model->count = MODEL_TASKS_MAX;
	model->refused_by_stop = -ESHUTDOWN;
	model->unexpected = -TMGR_EUNEXPECTED;
	model->cancelled = -ECANCELED;
	model->first_stop_begun = atomic_load(&schedule->first_stop_begun);
	model->first_cancel_ended = atomic_load(&schedule->first_cancel_ended);
	read_report(schedule, tmgr_manager_report(schedule->manager));
	tmgr_manager_destroy(schedule->manager);
	tmgr_token_unref(schedule->token);
	tmgr_loop_unref(schedule->loop);
	wrong = model_check(model, &which);
	if (wrong != NULL)
		fail_msg("SEED=%llu: not kept: %s (task %zu of %zu)", (unsigned long long)seed,
			wrong, which, model->count);
	free(schedule);
}

static void no_schedule_loses_or_invents_an_error(void **state)
{
	(void)state;
	seeded_runs("schedules", run_schedule);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(no_schedule_loses_or_invents_an_error),
	};

	return cmocka_run_group_tests_name("random schedules", tests, NULL, NULL);
}
