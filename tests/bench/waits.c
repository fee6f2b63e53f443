/*
 * Waits that need not wait, channels within a thread and between two, beside what one would write
 * by hand.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/measure.h"

#define CALLS 200000
#define TRIPS 10000
#define ITEMS 400000
#define CAPACITY 1024

/* Run one function as a task and give back what it measured. */
struct measured {
	double (*function)(struct tmgr_context *context);
	double result;
};

static int call_measured(void *self, struct tmgr_context *context)
{
	struct measured *measured = self;

	measured->result = measured->function(context);
	return 0;
}

static const struct tmgr_manager_options return_when_quiet = { .when_quiet = TMGR_QUIET_RETURN };

static double in_a_task(double (*function)(struct tmgr_context *context))
{
	struct tmgr_manager *manager = tmgr_manager_create(&return_when_quiet);
	struct measured measured = { function, -1 };

	tmgr_manager_add_task(
		manager, "measured", tmgr_task_function(call_measured, &measured), TMGR_ERROR);
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	return measured.result;
}

/* ---- Waits that need not wait ---- */

static double sleep_not(struct tmgr_context *context)
{
	int64_t began = measure_now();

	for (int i = 0; i < CALLS; i++)
		if (tmgr_sleep_until(context, TMGR_NOW) != 0)
			return -1;
	return (double)(measure_now() - began) / CALLS;
}

static double wait_for_done(struct tmgr_context *context)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	int64_t began;

	tmgr_future_complete(&future, 0, NULL);
	began = measure_now();
	for (int i = 0; i < CALLS; i++)
		if (tmgr_future_wait(context, &future, TMGR_NEVER) != 0)
			return -1;
	return (double)(measure_now() - began) / CALLS;
}

static double receive_nothing(struct tmgr_context *context)
{
	struct tmgr_channel *channel;
	int64_t began, item;

	measure_check("channel", tmgr_channel_create(sizeof(item), 4, &channel));
	began = measure_now();
	for (int i = 0; i < CALLS; i++)
		if (tmgr_channel_receive(context, channel, &item, TMGR_NOW) != -ETIMEDOUT)
			return -1;
	began = measure_now() - began;
	tmgr_channel_unref(channel);
	return (double)began / CALLS;
}

static double send_and_receive(struct tmgr_context *context)
{
	struct tmgr_channel *channel;
	int64_t began, item = 1;

	measure_check("channel", tmgr_channel_create(sizeof(item), 4, &channel));
	began = measure_now();
	for (int i = 0; i < CALLS; i++)
		if (tmgr_channel_send(context, channel, &item, TMGR_NEVER) != 0 ||
			tmgr_channel_receive(context, channel, &item, TMGR_NEVER) != 0)
			return -1;
	began = measure_now() - began;
	tmgr_channel_unref(channel);
	return (double)began / CALLS;
}

/* What each of them does at least: a mutex around a look. */
static double lock_and_look(void *self)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	volatile int flag = 0;
	int64_t began = measure_now();

	for (int i = 0; i < CALLS; i++) {
		pthread_mutex_lock(&mutex);
		flag = flag;
		pthread_mutex_unlock(&mutex);
	}
	return (double)(measure_now() - began) / CALLS;
}

static double (*waited)(struct tmgr_context *context);

static double measure_waited(void *self)
{
	return in_a_task(waited);
}

/* ---- There and back ---- */

struct two_channels {
	struct tmgr_channel *there, *back;
	int64_t took;
};

static int answer_channel(void *self, struct tmgr_context *context)
{
	struct two_channels *channels = self;
	int64_t item;
	int r = 0;

	for (int i = 0; r == 0 && i < TRIPS; i++) {
		r = tmgr_channel_receive(context, channels->there, &item, TMGR_NEVER);
		if (r == 0)
			r = tmgr_channel_send(context, channels->back, &item, TMGR_NEVER);
	}
	return r;
}

static int ask_channel(void *self, struct tmgr_context *context)
{
	struct two_channels *channels = self;
	int64_t began = measure_now(), item = 0;
	int r = 0;

	for (int i = 0; r == 0 && i < TRIPS; i++) {
		r = tmgr_channel_send(context, channels->there, &item, TMGR_NEVER);
		if (r == 0)
			r = tmgr_channel_receive(context, channels->back, &item, TMGR_NEVER);
	}
	channels->took = measure_now() - began;
	return r;
}

static double trips_by(size_t capacity)
{
	struct tmgr_manager *manager = tmgr_manager_create(&return_when_quiet);
	struct two_channels channels;

	measure_check("channel", tmgr_channel_create(sizeof(int64_t), capacity, &channels.there));
	measure_check("channel", tmgr_channel_create(sizeof(int64_t), capacity, &channels.back));
	tmgr_manager_add_task(
		manager, "answers", tmgr_task_function(answer_channel, &channels), TMGR_ERROR);
	tmgr_manager_add_task(
		manager, "asks", tmgr_task_function(ask_channel, &channels), TMGR_ERROR);
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(channels.there);
	tmgr_channel_unref(channels.back);
	return (double)channels.took / TRIPS;
}

static double trips_unbuffered(void *self)
{
	return trips_by(0);
}

static double trips_of_one(void *self)
{
	return trips_by(1);
}

/* One item at a time under a mutex; a side waits until it is its turn. */
struct by_condition {
	pthread_mutex_t mutex;
	pthread_cond_t changed[2];
	int turn;
	int64_t item;
};

static void take_turns(struct by_condition *shared, int me)
{
	for (int i = 0; i < TRIPS; i++) {
		pthread_mutex_lock(&shared->mutex);
		while (shared->turn != me)
			pthread_cond_wait(&shared->changed[me], &shared->mutex);
		shared->item++;
		shared->turn = !me;
		pthread_mutex_unlock(&shared->mutex);
		pthread_cond_signal(&shared->changed[!me]);
	}
}

static void *answer_by_condition(void *self)
{
	take_turns(self, 1);
	return NULL;
}

static double trips_by_condition(void *self)
{
	struct by_condition shared = { PTHREAD_MUTEX_INITIALIZER,
		{ PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER }, 0, 0 };
	pthread_t thread;
	int64_t began;

	measure_check(
		"pthread_create", -pthread_create(&thread, NULL, answer_by_condition, &shared));
	began = measure_now();
	take_turns(&shared, 0);
	pthread_join(thread, NULL);
	return (double)(measure_now() - began) / TRIPS;
}

static void take_turns_bare(uint32_t *turn, uint32_t me)
{
	for (int i = 0; i < TRIPS; i++) {
		uint32_t other = !me;

		while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) != me)
			syscall(SYS_futex, turn, FUTEX_WAIT_PRIVATE, other, NULL, NULL, 0);
		__atomic_store_n(turn, other, __ATOMIC_RELEASE);
		syscall(SYS_futex, turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void *answer_by_futex(void *self)
{
	take_turns_bare(self, 1);
	return NULL;
}

static double trips_by_futex(void *self)
{
	uint32_t turn = 0;
	pthread_t thread;
	int64_t began;

	measure_check("pthread_create", -pthread_create(&thread, NULL, answer_by_futex, &turn));
	began = measure_now();
	take_turns_bare(&turn, 0);
	pthread_join(thread, NULL);
	return (double)(measure_now() - began) / TRIPS;
}

/* ---- Many items one way ---- */

static int send_many(void *self, struct tmgr_context *context)
{
	int r = 0;

	for (int64_t i = 0; r == 0 && i < ITEMS; i++)
		r = tmgr_channel_send(context, self, &i, TMGR_NEVER);
	return r;
}

static double receive_many(struct tmgr_channel *channel)
{
	int64_t began = measure_now(), item;

	for (int64_t i = 0; i < ITEMS; i++)
		if (tmgr_channel_receive(NULL, channel, &item, TMGR_NEVER) != 0 || item != i)
			return -1;
	return ITEMS * 1e9 / (double)(measure_now() - began);
}

struct receiving {
	struct tmgr_channel *channel;
	double rate;
};

static int receive_all(void *self, struct tmgr_context *context)
{
	struct receiving *receiving = self;

	receiving->rate = receive_many(receiving->channel);
	return 0;
}

static double items_by_channel(void *self)
{
	struct tmgr_manager *manager = tmgr_manager_create(&return_when_quiet);
	struct receiving receiving = { NULL, -1 };

	measure_check(
		"channel", tmgr_channel_create(sizeof(int64_t), CAPACITY, &receiving.channel));
	tmgr_manager_add_task(
		manager, "receives", tmgr_task_function(receive_all, &receiving), TMGR_ERROR);
	tmgr_manager_add_task(
		manager, "sends", tmgr_task_function(send_many, receiving.channel), TMGR_ERROR);
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(receiving.channel);
	return receiving.rate;
}

struct ring {
	pthread_mutex_t mutex;
	pthread_cond_t more, room;
	size_t first, count;
	int64_t items[CAPACITY];
};

static void *fill_ring(void *self)
{
	struct ring *ring = self;

	for (int64_t i = 0; i < ITEMS; i++) {
		pthread_mutex_lock(&ring->mutex);
		while (ring->count == CAPACITY)
			pthread_cond_wait(&ring->room, &ring->mutex);
		ring->items[(ring->first + ring->count++) % CAPACITY] = i;
		pthread_mutex_unlock(&ring->mutex);
		pthread_cond_signal(&ring->more);
	}
	return NULL;
}

static double items_by_ring(void *self)
{
	static struct ring ring = { .mutex = PTHREAD_MUTEX_INITIALIZER,
		.more = PTHREAD_COND_INITIALIZER,
		.room = PTHREAD_COND_INITIALIZER };
	int64_t began = measure_now(), sum = 0;
	pthread_t thread;

	measure_check("pthread_create", -pthread_create(&thread, NULL, fill_ring, &ring));
	for (int64_t i = 0; i < ITEMS; i++) {
		pthread_mutex_lock(&ring.mutex);
		while (ring.count == 0)
			pthread_cond_wait(&ring.more, &ring.mutex);
		sum += ring.items[ring.first] - i;
		ring.first = (ring.first + 1) % CAPACITY;
		ring.count--;
		pthread_mutex_unlock(&ring.mutex);
		pthread_cond_signal(&ring.room);
	}
	pthread_join(thread, NULL);
	return sum == 0 ? ITEMS * 1e9 / (double)(measure_now() - began) : -1;
}

static void measure(struct measure_row row, struct measure_pair pair, size_t rounds)
{
	if (measure_run_pair(&pair, 2, rounds))
		measure_print_pair(&row, &pair);
	else
		measure_failed(row.figure, "a call ended otherwise than it must");
	measure_clear_pair(&pair);
}

static void measure_wait(const char *figure, double (*function)(struct tmgr_context *context))
{
	struct measure_row row = { figure, MEASURE_NANOSECONDS,
		.other_name = "mutex, lock and unlock" };

	waited = function;
	measure(row, (struct measure_pair){ measure_waited, lock_and_look, .self = NULL }, 31);
}

static void measure_trips(const char *figure, double (*ours)(void *self), const char *other_name,
	double (*other)(void *self))
{
	struct measure_row row = { figure, MEASURE_NANOSECONDS, .other_name = other_name };

	measure(row, (struct measure_pair){ ours, other, .self = NULL }, 21);
}

int main(void)
{
	static const struct measure_row items = {
		.figure = "buffered channel between threads, 1024 of 8 bytes",
		.unit = MEASURE_PER_SECOND,
		.other_name = "ring, mutex and conditions",
	};

	measure_begin();
	measure_wait("sleep until a moment that has passed", sleep_not);
	measure_wait("wait for a future that is done", wait_for_done);
	measure_wait("try to receive from an empty channel", receive_nothing);
	measure_wait("send to and receive from a buffer", send_and_receive);
	measure_trips("channels of one item between threads, there and back", trips_of_one,
		"mutex and conditions", trips_by_condition);
	measure_trips("    the same", trips_of_one, "bare futex", trips_by_futex);
	measure_trips("unbuffered channels, which meet both ways", trips_unbuffered,
		"mutex and conditions", trips_by_condition);
	measure(items, (struct measure_pair){ items_by_channel, items_by_ring, .self = NULL }, 21);
	return measure_end();
}
