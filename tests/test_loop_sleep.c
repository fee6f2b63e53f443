/*
 * How a loop sleeps and is woken: with descriptors and without, and with watchers of the user's own.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <ev.h>

#include "tests/support/looped.h"
#include "tests/support/recorded.h"

struct watched {
	int ends[2];
	ev_io io;
	ev_timer timer;
	struct tmgr_future done;
};

static void own_io(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct watched *watched = watcher->data;

	ev_io_stop(ev, watcher);
	recorder_add(&recorder, "io");
	tmgr_future_complete(&watched->done, 0, watched);
}

static void own_timer(struct ev_loop *ev, ev_timer *watcher, int events)
{
	struct watched *watched = watcher->data;

	recorder_add(&recorder, "timer");
	IS(write(watched->ends[1], "x", 1), 1);
}

static int watch(void *self, struct tmgr_context *context)
{
	struct watched *watched = self;
	struct ev_loop *ev = tmgr_loop_ev(tmgr_loop_current());

	ev_io_init(&watched->io, own_io, watched->ends[0], EV_READ);
	ev_timer_init(&watched->timer, own_timer, 0.001, 0);
	watched->io.data = watched->timer.data = watched;
	ev_io_start(ev, &watched->io);
	ev_timer_start(ev, &watched->timer);
	IS(tmgr_future_wait(context, &watched->done, TMGR_NEVER), 0);
	recorder_add(&recorder, "done");
	return 0;
}

static void users_watchers_run_beside_coroutines_that_sleep(void **state)
{
	struct watched watched = { .done = TMGR_FUTURE_INIT };

	assert_int_equal(pipe(watched.ends), 0);
	assert_int_equal(looped_main(watch, &watched), 0);
	assert_string_equal(recorder_text(&recorder), "timer io done");
	close(watched.ends[0]);
	close(watched.ends[1]);
}

/* A loop without descriptors sleeps in another way than one with them; and goes from one to the other. */
#define WAKES 20000

struct waking {
	struct tmgr_loop *loop;
	bool over;
	int called[2];
	/* What main waits for, in turns, and for nothing else that would end its sleep. */
	bool reads;
	int turns;
	int ends[2];
	struct tmgr_future turn;
};

struct waker {
	struct waking *waking;
	struct tmgr_loop_call call;
	struct tmgr_future done;
	pthread_t thread;
	int number;
};

static void complete_for_waker(void *self)
{
	struct waker *waker = self;

	struct waking *waking = waker->waking;

	if (++waking->called[waker->number] % 16 == 0) {
		if (waking->reads)
			IS(write(waking->ends[1], "x", 1), 1);
		else
			tmgr_future_complete(&waking->turn, 0, NULL);
	}
	tmgr_future_complete(&waker->done, 0, NULL);
}

static void *wake_often(void *self)
{
	struct waker *waker = self;

	for (int i = 0; i < WAKES; i++) {
		tmgr_future_init(&waker->done);
		IS(tmgr_loop_post(waker->waking->loop, &waker->call, complete_for_waker, waker), 0);
		/* One that is not woken would sleep for longer. */
		IS(tmgr_future_wait(NULL, &waker->done, tmgr_after(20 * TMGR_SECOND)), 0);
	}
	return NULL;
}

static int sleep_either_way(void *self, struct tmgr_context *context)
{
	struct waking *waking = self;
	char byte;

	while (!__atomic_load_n(&waking->over, __ATOMIC_ACQUIRE)) {
		waking->reads = true;
		if (tmgr_wait_fd(context, waking->ends[0], TMGR_FD_READ, TMGR_NEVER) > 0)
			waking->turns++;
		IS(read(waking->ends[0], &byte, 1), 1);
		tmgr_future_init(&waking->turn);
		waking->reads = false;
		tmgr_future_wait(context, &waking->turn, TMGR_NEVER);
	}
	return 0;
}

static void who_posts_wakes_a_loop_with_descriptors_and_without(void **state)
{
	static struct waking waking;
	struct tmgr_loop_options options = { .main = sleep_either_way, .self = &waking };
	struct waker wakers[2];
	struct looped looped;

	memset(&waking, 0, sizeof(waking));
	assert_int_equal(pipe(waking.ends), 0);
	looped_start(&looped, &options);
	waking.loop = looped.loop;
	for (int i = 0; i < 2; i++) {
		wakers[i].waking = &waking;
		wakers[i].number = i;
		assert_int_equal(
			pthread_create(&wakers[i].thread, NULL, wake_often, &wakers[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(wakers[i].thread, NULL);
	__atomic_store_n(&waking.over, true, __ATOMIC_RELEASE);
	/* Cancelled it reads once more at most. */
	assert_int_equal(write(waking.ends[1], "x", 1), 1);
	assert_int_equal(looped_stop(&looped).result, 0);
	assert_int_equal(waking.called[0], WAKES);
	assert_int_equal(waking.called[1], WAKES);
	/* It went from one way to the other and back. */
	assert_true(waking.turns > 1);
	close(waking.ends[0]);
	close(waking.ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(users_watchers_run_beside_coroutines_that_sleep),
		recorded_test(who_posts_wakes_a_loop_with_descriptors_and_without),
	};

	return cmocka_run_group_tests_name("sleeping loops", tests, NULL, NULL);
}
