/*
 * Execute-tasks: how many a second, and how long after adding one it starts, beside a thread that
 * is woken by hand.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/measure.h"

#define ADDERS_MAX 4
#define BLOCKED_MAX 200

/* Threads of the pool that have executed a task. */
static size_t pool_threads;

static void count_thread(void)
{
	static __thread bool counted;

	if (counted)
		return;
	counted = true;
	__atomic_fetch_add(&pool_threads, 1, __ATOMIC_RELAXED);
}

static int do_nothing(void *self, struct tmgr_context *context)
{
	count_thread();
	return 0;
}

static const struct tmgr_task_ops nothing_ops = { .execute = do_nothing };

/* ---- How many a second ---- */

struct throughput {
	size_t adders, count;
	bool functions; /* tmgr_task_function(), which allocates, instead of a static table */
	int64_t began;
	uint32_t failed;
};

static int add_many(void *self, struct tmgr_context *context)
{
	struct throughput *throughput = self;
	struct tmgr_manager *manager = tmgr_context_manager(context);
	int64_t unset = 0, now = measure_now();

	__atomic_compare_exchange_n(
		&throughput->began, &unset, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	for (size_t i = 0; i < throughput->count / throughput->adders; i++) {
		struct tmgr_task task = { &nothing_ops, NULL };

		if (throughput->functions)
			task = tmgr_task_function(do_nothing, NULL);
		if (tmgr_manager_add_execute_task(manager, "nothing", task, TMGR_ERROR) < 0)
			__atomic_store_n(&throughput->failed, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

static double run_adders(struct throughput *throughput)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	int64_t ended;

	throughput->began = 0;
	for (size_t i = 0; i < throughput->adders; i++) {
		char name[32];

		snprintf(name, sizeof(name), "adder%zu", i);
		tmgr_manager_add_task(
			manager, name, tmgr_task_function(add_many, throughput), TMGR_ERROR);
	}
	measure_check("run", tmgr_manager_run(manager, NULL));
	ended = measure_now();
	tmgr_manager_destroy(manager);
	return (double)throughput->count * 1e9 / (double)(ended - throughput->began);
}

static void measure_throughput(const char *figure, struct throughput throughput, double goal)
{
	struct measure_row row = { .figure = figure, .unit = MEASURE_PER_SECOND };
	struct measure_row threads = { .figure = "    threads of the pool that took part, at most",
		.unit = MEASURE_COUNT,
		.kind = MEASURE_AT_MOST,
		.goal = 63 };
	struct measure_samples rates = { 0 }, seen = { 0 };

	for (int i = 0; i < 12; i++) {
		double rate;

		pool_threads = 0;
		rate = run_adders(&throughput);
		if (i < 1)
			continue;
		measure_add(&rates, rate);
		measure_add(&seen, (double)pool_threads);
	}
	row.ours = measure_median(&rates);
	row.kind = goal > 0 ? MEASURE_AT_LEAST : MEASURE_NO_GOAL;
	row.goal = goal;
	if (throughput.failed) {
		measure_failed(figure, "an add was refused");
	} else {
		measure_print(&row);
		threads.ours = measure_quantile(&seen, 1);
		measure_print(&threads);
	}
	measure_clear(&rates);
	measure_clear(&seen);
}

/* ---- Added to started ---- */

enum blocker { NONE, PARKED, READING };

struct latency {
	enum blocker blocker;
	size_t blockers;
	int64_t idle_ns;    /* between two samples */
	int64_t blocked_ns; /* before the one that is measured is added */
	size_t samples;
	int64_t pool_idle_ns;
	struct measure_samples *taken;
	int pipe[2];
	int64_t started;
	size_t blockers_ended;
	struct tmgr_future done, release;
};

/* The clock is read first, and completing a future is after that. */
static int note_start(void *self, struct tmgr_context *context)
{
	struct latency *latency = self;

	latency->started = measure_now();
	tmgr_future_complete(&latency->done, 0, NULL);
	return 0;
}

static int block_in_sleep(void *self, struct tmgr_context *context)
{
	struct latency *latency = self;

	tmgr_sleep(context, 3 * TMGR_MILLISECOND);
	__atomic_fetch_add(&latency->blockers_ended, 1, __ATOMIC_RELEASE);
	return 0;
}

static int block_in_read(void *self, struct tmgr_context *context)
{
	struct latency *latency = self;
	ssize_t n;
	char byte;

	n = read(latency->pipe[0], &byte, 1);
	__atomic_fetch_add(&latency->blockers_ended, 1, __ATOMIC_RELEASE);
	return n == 1 ? 0 : -EIO;
}

static const struct tmgr_task_ops note_ops = { .execute = note_start };
static const struct tmgr_task_ops sleep_ops = { .execute = block_in_sleep };
static const struct tmgr_task_ops read_ops = { .execute = block_in_read };

static int add(struct tmgr_context *context, const struct tmgr_task_ops *ops, void *self)
{
	return tmgr_manager_add_execute_task(
		tmgr_context_manager(context), "task", (struct tmgr_task){ ops, self }, TMGR_ERROR);
}

static int sample_latency(struct latency *latency, struct tmgr_context *context)
{
	size_t blockers = latency->blocker == NONE ? 0 : latency->blockers;
	char bytes[BLOCKED_MAX] = { 0 };
	int64_t added;
	int r = 0;

	latency->blockers_ended = 0;
	tmgr_future_init(&latency->done);
	for (size_t i = 0; r == 0 && i < blockers; i++)
		r = add(context, latency->blocker == PARKED ? &sleep_ops : &read_ops, latency);
	if (r < 0)
		return r;
	if (latency->blocked_ns > 0)
		tmgr_sleep(context, latency->blocked_ns);
	added = measure_now();
	r = add(context, &note_ops, latency);
	if (r == 0)
		r = tmgr_future_wait(context, &latency->done, TMGR_NEVER);
	if (r < 0)
		return r;
	measure_add(latency->taken, (double)(latency->started - added));
	if (latency->blocker == READING && write(latency->pipe[1], bytes, blockers) < 0)
		return -errno;
	while (__atomic_load_n(&latency->blockers_ended, __ATOMIC_ACQUIRE) < blockers)
		tmgr_sleep(context, TMGR_MILLISECOND);
	return tmgr_sleep(context, latency->idle_ns);
}

static int sample_latencies(void *self, struct tmgr_context *context)
{
	struct latency *latency = self;
	int r = 0;

	for (size_t i = 0; r == 0 && i < latency->samples + 2; i++)
		r = sample_latency(latency, context);
	return r;
}

static const struct tmgr_task_ops latency_ops = { .execute = sample_latencies };

static int run_latency(struct latency *latency)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN,
		.pool_idle_ns = latency->pool_idle_ns,
		.pool_queue_max = 1000 };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	int r;

	if (pipe2(latency->pipe, O_CLOEXEC) < 0)
		return -errno;
	tmgr_manager_add_task(
		manager, "sampler", (struct tmgr_task){ &latency_ops, latency }, TMGR_ERROR);
	r = tmgr_manager_run(manager, NULL);
	tmgr_manager_destroy(manager);
	close(latency->pipe[0]);
	close(latency->pipe[1]);
	return r;
}

/* The same by hand: a thread that waits for work under a mutex and a condition. */
struct by_hand {
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	bool work, end;
	int64_t started;
};

static void *work_by_hand(void *self)
{
	struct by_hand *hand = self;

	pthread_mutex_lock(&hand->mutex);
	while (!hand->end) {
		if (!hand->work) {
			pthread_cond_wait(&hand->condition, &hand->mutex);
			continue;
		}
		hand->work = false;
		pthread_mutex_unlock(&hand->mutex);
		__atomic_store_n(&hand->started, measure_now(), __ATOMIC_RELEASE);
		pthread_mutex_lock(&hand->mutex);
	}
	pthread_mutex_unlock(&hand->mutex);
	return NULL;
}

static void tell(struct by_hand *hand, bool end)
{
	pthread_mutex_lock(&hand->mutex);
	hand->work = !end;
	hand->end = end;
	pthread_mutex_unlock(&hand->mutex);
	pthread_cond_signal(&hand->condition);
}

static double latency_by_hand(int64_t idle_ns, size_t samples)
{
	struct by_hand hand = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false,
		0 };
	struct measure_samples taken = { 0 };
	pthread_t thread;
	double median;

	measure_check("pthread_create", -pthread_create(&thread, NULL, work_by_hand, &hand));
	for (size_t i = 0; i < samples; i++) {
		int64_t began;

		measure_sleep_until(measure_now() + idle_ns);
		__atomic_store_n(&hand.started, 0, __ATOMIC_RELEASE);
		began = measure_now();
		tell(&hand, false);
		measure_sleep_until(measure_now() + 100000);
		while (__atomic_load_n(&hand.started, __ATOMIC_ACQUIRE) == 0)
			measure_sleep_until(measure_now() + 100000);
		measure_add(&taken, (double)(hand.started - began));
	}
	tell(&hand, true);
	pthread_join(thread, NULL);
	median = measure_median(&taken);
	measure_clear(&taken);
	return median;
}

static void measure_latency(const char *figure, struct latency latency, double goal)
{
	struct measure_row row = { .figure = figure,
		.unit = MEASURE_NANOSECONDS,
		.kind = goal > 0 ? MEASURE_AT_MOST : MEASURE_NO_GOAL,
		.goal = goal };
	struct measure_samples taken = { 0 };
	int r;

	latency.taken = &taken;
	r = run_latency(&latency);
	if (r < 0) {
		measure_failed(figure, "%s", tmgr_strerror(r));
		return;
	}
	row.ours = measure_median(&taken);
	if (latency.blocker == NONE && latency.pool_idle_ns == 0) {
		row.other_name = "mutex and condition";
		row.other = latency_by_hand(latency.idle_ns, latency.samples);
	}
	measure_print(&row);
	measure_clear(&taken);
}

int main(void)
{
	struct throughput one = { .adders = 1, .count = 400000 },
			  four = { .adders = 4, .count = 400000 };
	struct latency latency = { .samples = 200 };

	measure_begin();
	measure_throughput("execute-tasks that do nothing, 1 adder", one, 1.5e6);
	measure_throughput("execute-tasks that do nothing, 4 adders", four, 2.0e6);
	one.functions = four.functions = true;
	measure_throughput("the same, tmgr_task_function(), 1 adder", one, 0);
	measure_throughput("the same, tmgr_task_function(), 4 adders", four, 0);

	latency.idle_ns = 20 * TMGR_MILLISECOND;
	measure_latency("added to started: pool idle for 20 ms", latency, 50e3);
	latency.idle_ns = 500 * TMGR_MICROSECOND;
	latency.samples = 1000;
	measure_latency("added to started: pool idle for 0.5 ms", latency, 50e3);
	/* Threads that end at once, so that each sample has to make its own. */
	latency.pool_idle_ns = 1;
	latency.idle_ns = 2 * TMGR_MILLISECOND;
	latency.samples = 200;
	measure_latency("added to started: pool without a thread", latency, 0);
	latency.blockers = 1;
	latency.blocker = PARKED;
	measure_latency("added to started: behind one in our wait", latency, 300e3);
	latency.blocker = READING;
	measure_latency("added to started: behind one in read()", latency, 1e6);
	latency.blocked_ns = 5 * TMGR_MILLISECOND;
	measure_latency("    the same, in read() for 5 ms", latency, 0);
	latency.blocked_ns = 0;
	latency.blockers = BLOCKED_MAX;
	latency.samples = 50;
	latency.idle_ns = 20 * TMGR_MILLISECOND;
	measure_latency("added to started: behind 200 in read()", latency, 30e6);
	return measure_end();
}
