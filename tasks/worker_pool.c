/*
 * The task itself only waits for its workers, which are its children; each has memory for one job.
 * A worker whose receiving is cancelled looks whether another one failed: then it ends, and what is
 * in the channel stays there. Else it is a stop: it closes the channel, which any number of workers
 * may do, and does or drops what is left until there is none. When all have ended the task looks
 * once more itself, for a stop that came before the first worker was started.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <taskmgr/tasks/worker_pool.h>

#include "tasks/children.h"
#include "tasks/schedule.h"
#include "tasks/wrapper.h"

struct pool;

struct worker {
	struct pool *pool;
	void *job; /* memory for one */
};

struct pool {
	struct tmgr_channel *channel;
	int (*work)(void *self, struct tmgr_context *context, void *job);
	void *self;
	struct tmgr_worker_pool_options options;
	atomic_bool failed;      /* a job's error ends the pool, or a lack of threads */
	_Atomic int64_t stopped; /* when it was told to stop; 0: it was not */
	struct tmgr_token_callback on_stop;
	struct tmgr_token *token; /* that on_stop is registered with; or NULL */
	atomic_size_t dropped;    /* jobs */
	char *jobs;               /* memory of all workers */
	struct worker workers[];  /* options.workers, and one for the task itself */
};

/* The first who knows says when it was: who fires the token, or a worker that has seen it. */
static void note_stop(void *self)
{
	struct pool *pool = self;
	int64_t none = 0;

	atomic_compare_exchange_strong(&pool->stopped, &none, tmgr_now());
}

static void watch_stop(struct pool *pool, struct tmgr_context *context)
{
	atomic_store(&pool->stopped, 0);
	pool->token = tmgr_token_ref(tmgr_context_token(context));
	tmgr_token_register(pool->token, &pool->on_stop, note_stop, pool);
}

static void unwatch_stop(struct pool *pool)
{
	if (pool->token == NULL)
		return;
	tmgr_token_unregister(&pool->on_stop);
	tmgr_token_unref(pool->token);
	pool->token = NULL;
}

static int64_t drain_deadline(struct pool *pool)
{
	if (pool->options.drain_ns == 0)
		return TMGR_NEVER;
	note_stop(pool);
	return tmgr__schedule_add(atomic_load(&pool->stopped), pool->options.drain_ns);
}

/* Returns 0 where the pool goes on. */
static int judge(struct pool *pool, struct tmgr_context *context, int r)
{
	if (r == 0 || !pool->options.keep_going)
		return r;
	tmgr__go_on(context, "a job", r);
	return 0;
}

/* A job that came before the stop. */
static int do_job(struct worker *worker, struct tmgr_context *context)
{
	struct pool *pool = worker->pool;
	bool drain = pool->options.on_stop == TMGR_WORKER_POOL_DRAIN;
	int r;

	if (drain)
		tmgr_uninterrupted_begin(context, TMGR_NEVER);
	r = pool->work(pool->self, context, worker->job);
	if (drain)
		tmgr_uninterrupted_end(context);
	if (r == -ECANCELED && tmgr_context_cancelled(context))
		return r;
	r = judge(pool, context, r);
	if (r != 0)
		atomic_store(&pool->failed, true);
	return r;
}

/* Do what is in the channel, up to the deadline. */
static int drain(struct worker *worker, struct tmgr_context *context, int64_t deadline)
{
	struct pool *pool = worker->pool;
	struct tmgr__first_error error = { 0 };

	tmgr_uninterrupted_begin(context, deadline);
	while (tmgr_now() < deadline &&
		tmgr_channel_receive(context, pool->channel, worker->job, TMGR_NOW) == 0)
		tmgr__first_error_keep(&error, context,
			judge(pool, context, pool->work(pool->self, context, worker->job)));
	tmgr_uninterrupted_end(context);
	return tmgr__first_error_give(&error, context);
}

static void drop(struct worker *worker, struct tmgr_context *context)
{
	struct pool *pool = worker->pool;

	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	while (tmgr_channel_receive(context, pool->channel, worker->job, TMGR_NOW) == 0) {
		if (pool->options.drop != NULL)
			pool->options.drop(pool->self, worker->job);
		atomic_fetch_add(&pool->dropped, 1);
	}
	tmgr_uninterrupted_end(context);
}

/* After the cancel. */
static int finish(struct worker *worker, struct tmgr_context *context)
{
	struct pool *pool = worker->pool;
	const struct tmgr_worker_pool_options *options = &pool->options;
	int64_t deadline = drain_deadline(pool);
	int r = 0;

	if (atomic_load(&pool->failed))
		return -ECANCELED;
	if (!options->keep_open)
		tmgr_channel_close(pool->channel);
	if (options->on_stop == TMGR_WORKER_POOL_DRAIN)
		r = drain(worker, context, deadline);
	if (options->on_stop == TMGR_WORKER_POOL_DROP || tmgr_now() >= deadline)
		drop(worker, context);
	return r != 0 ? r : -ECANCELED;
}

static int worker_execute(void *self, struct tmgr_context *context)
{
	struct worker *worker = self;
	int r;

	do {
		r = tmgr_channel_receive(context, worker->pool->channel, worker->job, TMGR_NEVER);
		if (r == -EPIPE)
			return 0;
		if (r == 0)
			r = do_job(worker, context);
	} while (r == 0);
	if (r == -ECANCELED && tmgr_context_cancelled(context))
		return finish(worker, context);
	return r;
}

static const struct tmgr_task_ops worker_ops = {
	.kind = "worker",
	.execute = worker_execute,
};

/* How the pool ended, when its workers ended with r. */
static int verdict(struct pool *pool, struct tmgr_context *context, int r)
{
	size_t dropped = atomic_load(&pool->dropped);

	if (dropped == 0)
		return r;
	tmgr_log(context, TMGR_LEVEL_NOTICE, "%zu jobs dropped", dropped);
	if (pool->options.on_stop == TMGR_WORKER_POOL_DROP || (r != 0 && r != -ECANCELED))
		return r;
	return tmgr_fail(context, -ETIMEDOUT, "%zu jobs dropped after %lld ms", dropped,
		(long long)(pool->options.drain_ns / TMGR_MILLISECOND));
}

static int pool_execute(void *self, struct tmgr_context *context)
{
	struct pool *pool = self;
	int r;

	atomic_store(&pool->failed, false);
	atomic_store(&pool->dropped, 0);
	watch_stop(pool, context);
	tmgr_ready(context);
	r = tmgr__children_run(context, &(struct tmgr__children){
						.ops = &worker_ops,
						.elements = pool->workers,
						.size = sizeof(pool->workers[0]),
						.count = pool->options.workers,
						.failed = &pool->failed,
					});
	if ((r == 0 || r == -ECANCELED) && tmgr_context_cancelled(context))
		r = finish(&pool->workers[pool->options.workers], context);
	unwatch_stop(pool);
	return verdict(pool, context, r);
}

static void pool_destroy(void *self)
{
	struct pool *pool = self;

	unwatch_stop(pool); /* where a job has ended the loop that it was on */
	tmgr_channel_unref(pool->channel);
	free(pool->jobs);
	free(pool);
}

static const struct tmgr_task_ops pool_ops = {
	.kind = "worker pool",
	.execute = pool_execute,
	.destroy = pool_destroy,
};

/* Memory of a pool with its workers, or NULL. */
static struct pool *allocate(size_t workers, size_t job_size)
{
	struct pool *pool = calloc(1, sizeof(*pool) + (workers + 1) * sizeof(pool->workers[0]));

	if (pool == NULL)
		return NULL;
	/* Items of size 0 need an address too; and what a job finds is aligned for anything. */
	job_size = (job_size / sizeof(max_align_t) + 1) * sizeof(max_align_t);
	pool->jobs = malloc((workers + 1) * job_size);
	if (pool->jobs == NULL) {
		free(pool);
		return NULL;
	}
	for (size_t i = 0; i <= workers; i++) {
		pool->workers[i].pool = pool;
		pool->workers[i].job = pool->jobs + i * job_size;
	}
	return pool;
}

static size_t processors(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	if (count < 1)
		return 1;
	return count < TMGR_WORKER_POOL_WORKERS_MAX ? (size_t)count : TMGR_WORKER_POOL_WORKERS_MAX;
}

static const struct tmgr_refusal *refuse(
	bool has_both, const struct tmgr_worker_pool_options *options)
{
	static const struct tmgr_refusal missing = { -EINVAL,
		"a worker pool has a channel and a function" };
	static const struct tmgr_refusal bad_workers = { -EINVAL,
		"a worker pool has at most 1000 workers" };
	static const struct tmgr_refusal bad_stop = { -EINVAL,
		"a worker pool drains or drops on stop" };
	static const struct tmgr_refusal bad_drain = { -EINVAL, "the time to drain is 0 or above" };

	if (!has_both)
		return &missing;
	if (options->workers > TMGR_WORKER_POOL_WORKERS_MAX)
		return &bad_workers;
	if ((unsigned)options->on_stop > TMGR_WORKER_POOL_DROP)
		return &bad_stop;
	return options->drain_ns < 0 ? &bad_drain : NULL;
}

struct tmgr_task tmgr_worker_pool(struct tmgr_channel *channel,
	int (*work)(void *self, struct tmgr_context *context, void *job), void *self,
	const struct tmgr_worker_pool_options *options)
{
	struct tmgr_worker_pool_options given = { 0 };
	const struct tmgr_refusal *refusal;
	struct pool *pool;

	if (options != NULL)
		given = *options;
	if (given.workers == 0)
		given.workers = processors();
	refusal = refuse(channel != NULL && work != NULL, &given);
	if (refusal != NULL)
		return tmgr_task_refused(refusal);
	pool = allocate(given.workers, tmgr_channel_item_size(channel));
	if (pool == NULL)
		return tmgr_task_failed(-ENOMEM);
	pool->channel = tmgr_channel_ref(channel);
	pool->work = work;
	pool->self = self;
	pool->options = given;
	return (struct tmgr_task){ &pool_ops, pool };
}
