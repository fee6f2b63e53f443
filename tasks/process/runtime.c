#include "tasks/process/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <taskmgr/time.h>

#define DAY_NS (24 * TMGR_HOUR)

/* ---- Time ------------------------------------------------------------------------------------ */

int64_t tmgr__runtime_ns(const struct tmgr_processes *processes)
{
	return processes->options.single_threaded ? processes->virtual_ns : tmgr_now();
}

int64_t tmgr__runtime_now_ms(const struct tmgr_processes *processes)
{
	return processes->base_now_ms +
	       (tmgr__runtime_ns(processes) - processes->base_ns) / TMGR_MILLISECOND;
}

/* Whole milliseconds: a part of one that has begun is not counted as passed. */
int64_t tmgr__runtime_due_ms(const struct tmgr_processes *processes, int64_t ns)
{
	int64_t passed = tmgr__runtime_ns(processes) - processes->base_ns;

	if (ns <= 0)
		return processes->base_now_ms + passed / TMGR_MILLISECOND;
	passed = ns < INT64_MAX - passed ? passed + ns : INT64_MAX;
	return processes->base_now_ms + passed / TMGR_MILLISECOND +
	       (passed % TMGR_MILLISECOND != 0);
}

int64_t tmgr__runtime_wall_ms(const struct tmgr_processes *processes)
{
	struct timespec now;

	if (processes->options.single_threaded)
		return processes->virtual_wall_ms;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / TMGR_MILLISECOND;
}

/* ---- Making ---------------------------------------------------------------------------------- */

/* Whole milliseconds are counted, and none of them would be to forget at once. */
static int64_t whole_ms(int64_t ns)
{
	int64_t part = ns % TMGR_MILLISECOND;

	return part == 0 || ns > INT64_MAX - TMGR_MILLISECOND ? ns : ns - part + TMGR_MILLISECOND;
}

static bool set_defaults(struct tmgr_processes_options *options)
{
	if (options->keep_finished_ns < 0 || options->keep_keys_ns < 0 ||
		options->keep_events_ns < 0 || options->wall_ms < 0)
		return false;
	if (options->keep_finished_ns == 0)
		options->keep_finished_ns = 30 * DAY_NS;
	if (options->keep_keys_ns == 0)
		options->keep_keys_ns = 7 * DAY_NS;
	if (options->keep_events_ns == 0)
		options->keep_events_ns = 30 * DAY_NS;
	options->keep_finished_ns = whole_ms(options->keep_finished_ns);
	options->keep_keys_ns = whole_ms(options->keep_keys_ns);
	options->keep_events_ns = whole_ms(options->keep_events_ns);
	if (options->events_max == 0)
		options->events_max = 1000000;
	if (options->line_max == 0)
		options->line_max = 10000;
	if (options->unsaved_max == 0)
		options->unsaved_max = (size_t)64 << 20;
	if (options->wall_ms == 0)
		options->wall_ms = INT64_C(1000000000000);
	return true;
}

static void init(struct tmgr_processes *processes, const struct tmgr_processes_options *options)
{
	struct tmgr__list *const lists[] = {
		&processes->inbox,
		&processes->returned,
		&processes->running,
		&processes->spare,
		&processes->unanswered,
		&processes->waiting,
		&processes->trials,
		&processes->trying,
		&processes->tried,
		&processes->store_asked,
		&processes->backups_asked,
	};

	processes->options = *options;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		tmgr__list_init(lists[i]);
	atomic_init(&processes->refs, 1);
	processes->crews = &processes->general;
	processes->virtual_ns = TMGR_SECOND;
	processes->virtual_wall_ms = options->wall_ms;
	processes->random = options->seed * 0x9E3779B97F4A7C15u + 0x2545F4914F6CDD1Du;
	processes->trace = 14695981039346656037u;
	processes->check_at = TMGR_NEVER;
	pthread_rwlock_init(&processes->closing, NULL);
	processes->engine->keep_finished_ms = options->keep_finished_ns / TMGR_MILLISECOND;
	processes->engine->keep_keys_ms = options->keep_keys_ns / TMGR_MILLISECOND;
	processes->engine->line_max = options->line_max;
	processes->engine->over = tmgr__runtime_tell_over;
	processes->engine->self = processes;
}

int tmgr_processes_create(struct tmgr_store *store, const struct tmgr_processes_options *options,
	struct tmgr_processes **ret_processes)
{
	struct tmgr_processes_options given = { 0 };
	struct tmgr_processes *processes;

	if (options != NULL)
		given = *options;
	if (store == NULL || ret_processes == NULL || !set_defaults(&given)) {
		tmgr_store_destroy(store);
		return -EINVAL;
	}
	processes = calloc(1, sizeof(*processes));
	if (processes != NULL)
		processes->engine = tmgr__engine_create();
	if (processes == NULL || processes->engine == NULL) {
		free(processes);
		tmgr_store_destroy(store);
		return -ENOMEM;
	}
	processes->store = store;
	init(processes, &given);
	*ret_processes = processes;
	return 0;
}

struct tmgr_processes *tmgr_processes_ref(struct tmgr_processes *processes)
{
	if (processes != NULL)
		atomic_fetch_add(&processes->refs, 1);
	return processes;
}

static void free_crews(struct tmgr_processes *processes)
{
	while (processes->crews != &processes->general) {
		struct tmgr__crew *crew = processes->crews;

		processes->crews = crew->next;
		tmgr_semaphore_fini(&crew->jobs);
		free(crew);
	}
}

void tmgr_processes_unref(struct tmgr_processes *processes)
{
	if (processes == NULL || atomic_fetch_sub(&processes->refs, 1) != 1)
		return;
	tmgr__runtime_close(processes, false);
	tmgr_store_destroy(processes->store);
	tmgr__engine_destroy(processes->engine);
	tmgr__changes_fini(&processes->batches[0]);
	tmgr__changes_fini(&processes->batches[1]);
	tmgr__jobs_free(&processes->returned);
	tmgr__jobs_free(&processes->running);
	tmgr__jobs_free(&processes->spare);
	tmgr__jobs_free(&processes->trials);
	tmgr__jobs_free(&processes->trying);
	tmgr__jobs_free(&processes->tried);
	free_crews(processes);
	free(processes->orders_trials);
	pthread_rwlock_destroy(&processes->closing);
	free(processes);
}

/* ---- Opening, closing ------------------------------------------------------------------------ */

static int load_row(void *self, const struct tmgr_store_change *row)
{
	return tmgr__engine_load(self, row);
}

static int lease(struct tmgr_processes *processes)
{
	struct tmgr_store_lease lease = {
		.partition = processes->options.partition,
		.ttl_ms = 30000,
	};
	int r;

	if (processes->store->ops->lease == NULL)
		return 0;
	r = processes->store->ops->lease(processes->store, &lease);
	processes->batch.epoch = lease.epoch;
	return r;
}

static int load(struct tmgr_processes *processes, const struct tmgr_store_opened *opened)
{
	struct tmgr__engine *engine = processes->engine;
	int r;

	r = processes->store->ops->load(
		processes->store, processes->options.partition, load_row, engine);
	if (r == 0)
		r = tmgr__engine_loaded(engine, &processes->batches[processes->building], opened,
			tmgr__runtime_wall_ms(processes));
	if (r != 0)
		return r;
	processes->base_now_ms = engine->now_ms;
	processes->base_ns = tmgr__runtime_ns(processes);
	atomic_store(&processes->durable, engine->durable);
	return 0;
}

int tmgr__runtime_open(struct tmgr_processes *processes)
{
	struct tmgr_store_opened opened = { 0 };
	int r;

	tmgr__lock_acquire(&processes->lock);
	r = processes->state == TMGR__RUNTIME_MADE ? processes->define_error : -EBUSY;
	tmgr__lock_release(&processes->lock);
	if (r != 0)
		return r;
	r = processes->store->ops->open(processes->store, &opened);
	if (r != 0)
		return r;
	processes->recovered = opened.recovered;
	r = lease(processes);
	if (r == 0)
		r = load(processes, &opened);
	if (r != 0) {
		processes->store->ops->close(processes->store);
		processes->failed = r;
	}
	tmgr__runtime_count(processes);
	tmgr__lock_acquire(&processes->lock);
	processes->state = r == 0 ? TMGR__RUNTIME_OPEN : TMGR__RUNTIME_CLOSED;
	tmgr__lock_release(&processes->lock);
	return r;
}

/* Nothing of it runs any more, but methods that were left behind. */
int tmgr__runtime_close(struct tmgr_processes *processes, bool checkpoint)
{
	const struct tmgr_store_ops *ops = processes->store->ops;
	enum tmgr__runtime_state before;
	int r = 0, closed;

	pthread_rwlock_wrlock(&processes->closing);
	tmgr__lock_acquire(&processes->lock);
	before = processes->state;
	processes->state = TMGR__RUNTIME_CLOSED;
	tmgr__lock_release(&processes->lock);
	if (before == TMGR__RUNTIME_OPEN || before == TMGR__RUNTIME_STOPPING) {
		if (checkpoint && processes->failed == 0 && ops->checkpoint != NULL)
			r = ops->checkpoint(processes->store);
		/* What was committed stays so; the next opening does what found no room. */
		if (r == -ENOSPC || r == -EDQUOT)
			r = 0;
		closed = ops->close(processes->store);
		r = r != 0 ? r : closed;
	}
	pthread_rwlock_unlock(&processes->closing);
	tmgr__runtime_refuse_all(processes,
		processes->failed != 0 ? tmgr__runtime_told(processes->failed) : -ESHUTDOWN);
	return r;
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* What others may read of the engine's counts. */
void tmgr__runtime_count(struct tmgr_processes *processes)
{
	const struct tmgr__engine *engine = processes->engine;
	size_t runnable = 0;

	for (const struct tmgr__eprocess *process = engine->run_first; process != NULL;
		process = process->run_next)
		runnable++;
	tmgr__lock_acquire(&processes->lock);
	processes->stats = (struct tmgr_processes_stats){
		.processes = engine->processes.count,
		.live = engine->live,
		.runnable = runnable + processes->queued,
		.running = engine->running - processes->queued,
		.stuck = engine->stuck,
		.timers = engine->after.count + engine->at.count,
		.steps = engine->steps,
		.trace = processes->trace,
	};
	tmgr__lock_release(&processes->lock);
}

int tmgr_processes_stats(struct tmgr_processes *processes, struct tmgr_processes_stats *ret_stats)
{
	if (processes == NULL || ret_stats == NULL)
		return -EINVAL;
	tmgr__lock_acquire(&processes->lock);
	*ret_stats = processes->stats;
	tmgr__lock_release(&processes->lock);
	ret_stats->unsaved = atomic_load(&processes->unsaved);
	ret_stats->sequence = atomic_load(&processes->durable);
	pthread_rwlock_rdlock(&processes->closing);
	processes->store->ops->health(processes->store, &ret_stats->store);
	pthread_rwlock_unlock(&processes->closing);
	return 0;
}

static bool is_open(struct tmgr_processes *processes)
{
	bool open;

	tmgr__lock_acquire(&processes->lock);
	open = processes->state == TMGR__RUNTIME_OPEN || processes->state == TMGR__RUNTIME_STOPPING;
	tmgr__lock_release(&processes->lock);
	return open;
}

int tmgr_processes_events(struct tmgr_processes *processes, const struct tmgr_store_query *query,
	int (*visit)(void *self, const struct tmgr_process_event *event), void *self)
{
	int r = -ESHUTDOWN;

	if (processes == NULL || query == NULL || visit == NULL)
		return -EINVAL;
	pthread_rwlock_rdlock(&processes->closing);
	if (is_open(processes))
		r = processes->store->ops->read_events(processes->store, query, visit, self);
	pthread_rwlock_unlock(&processes->closing);
	return r;
}
