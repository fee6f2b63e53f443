/*
 * A loop's own work: calls posted from another thread, and timers; beside libev's.
 */
#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/in_loop.h"
#include "tests/bench/measure.h"

#define BURST 1000
#define BURSTS 50
#define PENDING 100000
#define ARMS 100000

/* ---- Posting ---- */

struct bursts {
	struct tmgr_loop *loop;
	struct tmgr_loop_call calls[BURST];
	size_t made; /* of this burst; the loop's */
	sem_t all_made;
	struct measure_samples *posting, *whole;
	int64_t ended;
};

static void be_made(void *self)
{
	struct bursts *bursts = self;

	if (++bursts->made < BURST)
		return;
	bursts->ended = measure_now();
	bursts->made = 0;
	sem_post(&bursts->all_made);
}

/* The loop sleeps when a burst begins: its wakeup is part of the figure. */
static int post_bursts(void *self, struct tmgr_context *context)
{
	struct bursts *bursts = self;

	for (int i = 0; i < BURSTS; i++) {
		int64_t began, posted;

		measure_sleep_until(measure_now() + 1000000);
		began = measure_now();
		for (size_t n = 0; n < BURST; n++)
			tmgr_loop_post(bursts->loop, &bursts->calls[n], be_made, bursts);
		posted = measure_now();
		sem_wait(&bursts->all_made);
		measure_add(bursts->posting, (double)(posted - began) / BURST);
		measure_add(bursts->whole, (double)(bursts->ended - began) / BURST);
	}
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static void run_bursts(struct measure_samples *posting, struct measure_samples *whole)
{
	static struct bursts bursts;
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	bursts.posting = posting;
	bursts.whole = whole;
	sem_init(&bursts.all_made, 0, 0);
	measure_check("loop", tmgr_loop_create(NULL, &bursts.loop));
	tmgr_manager_add_task(manager, "loop", tmgr_loop_task(bursts.loop), TMGR_ERROR);
	tmgr_manager_add_task(
		manager, "posts", tmgr_task_function(post_bursts, &bursts), TMGR_ERROR);
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	tmgr_loop_unref(bursts.loop);
	sem_destroy(&bursts.all_made);
}

static struct ev_loop *receiving;

static void on_sent(struct ev_loop *loop, ev_async *watcher, int events)
{
}

static void on_last(struct ev_loop *loop, ev_async *watcher, int events)
{
	ev_break(loop, EVBREAK_ALL);
}

static void *receive(void *self)
{
	ev_run(receiving, 0);
	return NULL;
}

static void run_sends(struct measure_samples *sending)
{
	ev_async sent, last;
	pthread_t thread;

	receiving = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	ev_async_init(&sent, on_sent);
	ev_async_init(&last, on_last);
	ev_async_start(receiving, &sent);
	ev_async_start(receiving, &last);
	measure_check("pthread_create", -pthread_create(&thread, NULL, receive, NULL));
	for (int i = 0; i < BURSTS; i++) {
		int64_t began;

		measure_sleep_until(measure_now() + 1000000);
		began = measure_now();
		for (size_t n = 0; n < BURST; n++)
			ev_async_send(receiving, &sent);
		measure_add(sending, (double)(measure_now() - began) / BURST);
	}
	ev_async_send(receiving, &last);
	pthread_join(thread, NULL);
	ev_loop_destroy(receiving);
}

static void measure_posts(void)
{
	struct measure_samples posting = { 0 }, whole = { 0 }, sending = { 0 };
	struct measure_row row = { .figure = "post from another thread, bursts of 1000",
		.unit = MEASURE_NANOSECONDS,
		.other_name = "ev_async_send, coalesced",
		.kind = MEASURE_AT_MOST,
		.goal = 60 };

	for (int i = 0; i < 10; i++) {
		run_bursts(&posting, &whole);
		run_sends(&sending);
	}
	row.ours = measure_median(&posting);
	row.other = measure_median(&sending);
	measure_print(&row);
	row.figure = "    until the last was called, each";
	row.ours = measure_median(&whole);
	row.kind = MEASURE_NO_GOAL;
	measure_print(&row);
	measure_clear(&posting);
	measure_clear(&whole);
	measure_clear(&sending);
}

/* ---- Timers ---- */

/* Moments in any order, hours away. */
static int64_t some_moment(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)(*state >> 33) * 1000 + 3600 * TMGR_SECOND;
}

static void do_nothing(void *self)
{
}

static double arm_ours(void *self, struct tmgr_context *context)
{
	struct tmgr_loop_call *calls = calloc(PENDING + 1, sizeof(*calls));
	struct tmgr_loop *loop = tmgr_loop_current();
	int64_t now = measure_now(), began;
	uint64_t state = 1;

	measure_check("calloc", calls ? 0 : -ENOMEM);
	for (size_t i = 0; i < PENDING; i++)
		measure_check("call_at", tmgr_loop_call_at(loop, &calls[i],
						 now + some_moment(&state), do_nothing, NULL));
	began = measure_now();
	for (size_t i = 0; i < ARMS; i++) {
		struct tmgr_loop_call *call = &calls[PENDING];

		tmgr_loop_call_at(loop, call, now + some_moment(&state), do_nothing, NULL);
		tmgr_loop_call_cancel(call);
	}
	began = measure_now() - began;
	for (size_t i = 0; i < PENDING; i++)
		tmgr_loop_call_cancel(&calls[i]);
	free(calls);
	return (double)began / ARMS;
}

static double timers_of_ours(void *self)
{
	return run_in_loop(arm_ours, NULL);
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
}

static double timers_of_ev(void *self)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	ev_timer *timers = calloc(PENDING + 1, sizeof(*timers)), *timer = &timers[PENDING];
	uint64_t state = 1;
	int64_t began;

	measure_check("calloc", timers && loop ? 0 : -ENOMEM);
	for (size_t i = 0; i < PENDING; i++) {
		ev_timer_init(&timers[i], on_timer, (double)some_moment(&state) / 1e9, 0);
		ev_timer_start(loop, &timers[i]);
	}
	began = measure_now();
	for (size_t i = 0; i < ARMS; i++) {
		ev_timer_init(timer, on_timer, (double)some_moment(&state) / 1e9, 0);
		ev_timer_start(loop, timer);
		ev_timer_stop(loop, timer);
	}
	began = measure_now() - began;
	ev_loop_destroy(loop);
	free(timers);
	return (double)began / ARMS;
}

static void measure_timers(void)
{
	struct measure_pair pair = { timers_of_ours, timers_of_ev, .self = NULL };
	struct measure_row row = { .figure = "timer, armed and disarmed, 100,000 pending",
		.unit = MEASURE_NANOSECONDS,
		.other_name = "ev_timer" };

	measure_run_pair(&pair, 1, 11);
	measure_print_pair(&row, &pair);
	measure_clear_pair(&pair);
}

int main(void)
{
	measure_begin();
	measure_posts();
	measure_timers();
	return measure_end();
}
