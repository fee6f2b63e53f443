/*
 * What a loop does beside its coroutines: calls that are posted and scheduled, waiting until it has
 * nothing to do.
 */
#include <errno.h>
#include <string.h>

#include <taskmgr/tasks/timeout.h>

#include "tests/support/looped.h"
#include "tests/support/recorded.h"

static void record(void *self)
{
	recorder_add(&recorder, "%s", (const char *)self);
}

/* Words to be recorded, in memory that is not constant. */
static char word_a[] = "a", word_b[] = "b", word_c[] = "c", word_early[] = "early",
	    word_earlier[] = "earlier", word_first[] = "first", word_second[] = "second",
	    word_third[] = "third", word_past[] = "past";

/* ---- Posting -------------------------------------------------------------------------------- */

static int post_some(void *self, struct tmgr_context *context)
{
	struct tmgr_loop *loop = tmgr_loop_current();
	static struct tmgr_loop_call calls[3];

	IS(tmgr_loop_post(NULL, &calls[0], record, word_a), -EINVAL);
	IS(tmgr_loop_post(loop, NULL, record, word_a), -EINVAL);
	IS(tmgr_loop_post(loop, &calls[0], NULL, NULL), -EINVAL);
	IS(tmgr_loop_post(loop, &calls[0], record, word_a), 0);
	IS(tmgr_loop_post(loop, &calls[1], record, word_b), 0);
	recorder_add(&recorder, "posted");
	tmgr_sleep(context, TMGR_MILLISECOND);
	IS(tmgr_loop_post(loop, &calls[2], record, word_c), 0);
	return 0;
}

static void posted_calls_are_made_in_order_and_before_the_loop_ends(void **state)
{
	struct tmgr_loop_options options = { .main = post_some };
	struct tmgr_loop_call late;
	struct looped looped;

	looped_start(&looped, &options);
	assert_int_equal(runner_join(&looped.hosted.runner), 0);
	assert_string_equal(recorder_text(&recorder), "posted a b c");
	assert_int_equal(tmgr_loop_post(looped.loop, &late, record, word_a), -ESHUTDOWN);
	tmgr_manager_destroy(looped.hosted.manager);
	tmgr_loop_unref(looped.loop);
}

static void look_from_a_call(void *self)
{
	IS(tmgr_context_current() == NULL, true);
}

static void calls_posted_before_the_loop_runs_are_made_first(void **state)
{
	struct tmgr_loop_options options = { .main = post_some };
	struct tmgr_loop_call early[3];
	struct tmgr_loop *loop;

	assert_int_equal(tmgr_loop_create(&options, &loop), 0);
	assert_int_equal(tmgr_loop_post(loop, &early[0], record, word_early), 0);
	assert_int_equal(tmgr_loop_post(loop, &early[1], record, word_earlier), 0);
	assert_int_equal(tmgr_loop_post(loop, &early[2], look_from_a_call, NULL), 0);
	assert_int_equal(hosted_run(tmgr_loop_task(loop)).result, 0);
	tmgr_loop_unref(loop);
	assert_string_equal(recorder_text(&recorder), "early earlier posted a b c");
}

#define POSTERS 4
#define BURST 500

struct burst {
	struct tmgr_loop *loop;
	struct latch held, over;
	struct tmgr_loop_call calls[POSTERS][BURST];
	int next[POSTERS]; /* the call that is to be made next */
	int made;
	uint64_t first_turn, last_turn;
};

struct poster {
	struct burst *burst;
	int number;
};

static struct burst *burst_now;

static void note_call(void *self)
{
	struct tmgr_loop_call *call = self;
	size_t index = (size_t)(call - &burst_now->calls[0][0]);
	struct tmgr_loop_stats stats;

	IS(burst_now->next[index / BURST]++, index % BURST);
	IS(tmgr_loop_stats(burst_now->loop, &stats), 0);
	if (burst_now->made++ == 0)
		burst_now->first_turn = stats.turns;
	burst_now->last_turn = stats.turns;
}

static void *post_burst(void *self)
{
	struct poster *poster = self;
	struct burst *burst = poster->burst;

	for (int i = 0; i < BURST; i++) {
		struct tmgr_loop_call *call = &burst->calls[poster->number][i];

		IS(tmgr_loop_post(burst->loop, call, note_call, call), 0);
	}
	return NULL;
}

/* Keeps the loop until all are posted. */
static int hold_the_loop(void *self, struct tmgr_context *context)
{
	struct burst *burst = self;

	burst->loop = tmgr_loop_current();
	latch_wait(&burst->held);
	while (burst->made < POSTERS * BURST)
		IS(tmgr_sleep(context, TMGR_MILLISECOND), 0);
	return 0;
}

static void a_burst_of_posts_is_made_in_one_turn_each_threads_in_its_order(void **state)
{
	static struct burst burst;
	struct tmgr_loop_options options = { .main = hold_the_loop, .self = &burst };
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];
	struct looped looped;

	memset(&burst, 0, sizeof(burst));
	latch_init(&burst.held);
	burst_now = &burst;
	looped_start(&looped, &options);
	assert_true(latch_arrived(&burst.held, 1));
	for (int i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ &burst, i };
		assert_int_equal(pthread_create(&threads[i], NULL, post_burst, &posters[i]), 0);
	}
	for (int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	latch_open(&burst.held);
	assert_int_equal(looped_end(&looped).result, 0);
	assert_int_equal(burst.made, POSTERS * BURST);
	assert_int_equal(burst.first_turn, burst.last_turn);
}

static void a_loop_that_sleeps_is_woken_by_each_burst(void **state)
{
	static struct burst burst;
	struct looped looped;
	struct poster poster = { &burst, 0 };

	memset(&burst, 0, sizeof(burst));
	burst_now = &burst;
	looped_start(&looped, NULL);
	assert_true(task_reaches(looped.hosted.manager, "task", TMGR_STATE_RUNNING));
	burst.loop = looped.loop;
	post_burst(&poster);
	poster.number = 1;
	post_burst(&poster);
	assert_int_equal(looped_stop(&looped).result, 0);
	assert_int_equal(burst.made, 2 * BURST);
}

/* ---- Scheduling ----------------------------------------------------------------------------- */

static struct tmgr_loop_call scheduled[4];

static void take_other_back(void *self)
{
	record(self);
	IS(tmgr_loop_call_cancel(&scheduled[2]), 0);
	IS(tmgr_loop_call_cancel(&scheduled[2]), -ENOENT);
}

static int schedule_some(void *self, struct tmgr_context *context)
{
	struct tmgr_loop *loop = tmgr_loop_current();
	struct tmgr_loop_stats stats;
	int64_t now = tmgr_now();

	IS(tmgr_loop_call_at(NULL, &scheduled[0], now, record, word_a), -EINVAL);
	IS(tmgr_loop_call_at(loop, NULL, now, record, word_a), -EINVAL);
	IS(tmgr_loop_call_at(loop, &scheduled[0], now, NULL, NULL), -EINVAL);
	IS(tmgr_loop_call_cancel(NULL), -EINVAL);
	IS(tmgr_loop_call_at(loop, &scheduled[0], now + 3 * TMGR_MILLISECOND, record, word_third),
		0);
	IS(tmgr_loop_call_at(
		   loop, &scheduled[1], now + TMGR_MILLISECOND, take_other_back, word_first),
		0);
	IS(tmgr_loop_call_at(loop, &scheduled[2], now + 2 * TMGR_MILLISECOND, record, word_second),
		0);
	IS(tmgr_loop_call_at(loop, &scheduled[3], now, record, word_a), 0);
	IS(tmgr_loop_stats(loop, &stats), 0);
	IS(stats.timers, 4);
	IS(tmgr_loop_call_cancel(&scheduled[3]), 0);
	IS(tmgr_loop_call_at(loop, &scheduled[3], 0, record, word_past), 0);
	IS(tmgr_loop_wait_idle(context, TMGR_NEVER), 0);
	IS(tmgr_loop_call_cancel(&scheduled[0]), -ENOENT);
	IS(tmgr_loop_stats(loop, &stats), 0);
	IS(stats.timers, 0);
	return 0;
}

static void calls_are_made_at_their_time_and_can_be_taken_back(void **state)
{
	assert_int_equal(looped_main(schedule_some, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "past first third");
}

#define MANY 1000

static int many_made;
static int64_t many_last;

static void note_time(void *self)
{
	int64_t at = *(int64_t *)self;

	IS(tmgr_now() >= at && at >= many_last, true);
	many_last = at;
	many_made++;
}

static int schedule_many(void *self, struct tmgr_context *context)
{
	static struct tmgr_loop_call calls[MANY];
	static int64_t times[MANY];
	unsigned random = 1;

	for (int i = 0; i < MANY; i++) {
		random = random * 1103515245 + 12345;
		times[i] = tmgr_after(random / 65536 % 20000 * TMGR_MICROSECOND);
		tmgr_loop_call_at(tmgr_loop_current(), &calls[i], times[i], note_time, &times[i]);
	}
	for (int i = 0; i < MANY; i += 3)
		many_made += tmgr_loop_call_cancel(&calls[i]) == 0;
	return tmgr_loop_wait_idle(context, TMGR_NEVER);
}

static void many_timers_come_in_the_order_of_their_times(void **state)
{
	many_made = 0;
	many_last = 0;
	assert_int_equal(looped_main(schedule_many, NULL), 0);
	assert_int_equal(many_made, MANY);
}

struct again {
	struct tmgr_loop_call call;
	unsigned made;
	struct tmgr_future hundred; /* of them were made */
	bool over, in_libev;
};

/* Bounded, lest a loop that makes nothing else never ends. */
static void call_again(void *self)
{
	struct again *again = self;

	if (again->over || ++again->made > 1000000)
		return;
	if (again->made == 100)
		tmgr_future_complete(&again->hundred, 0, NULL);
	IS(tmgr_loop_call_at(tmgr_loop_current(), &again->call, TMGR_NOW, call_again, again), 0);
}

static void end_calls(void *self)
{
	((struct again *)self)->over = true;
}

static int run_beside_calls(void *self, struct tmgr_context *context)
{
	struct again *again = self;
	struct tmgr_loop_call soon, posted;

	if (again->in_libev)
		tmgr_loop_ev(tmgr_loop_current());
	IS(tmgr_loop_call_at(tmgr_loop_current(), &again->call, TMGR_NOW, call_again, again), 0);
	for (int i = 0; i < 300; i++)
		IS(tmgr_yield(context), 0);
	IS(again->made > 0 && again->made < 10, true);
	/* Nor does it sleep, with nothing else to do. */
	IS(tmgr_future_wait(context, &again->hundred, tmgr_after(30 * TMGR_SECOND)), 0);
	IS(tmgr_loop_post(tmgr_loop_current(), &posted, end_calls, again), 0);
	IS(tmgr_loop_call_at(tmgr_loop_current(), &soon, TMGR_NOW, record, word_past), 0);
	IS(tmgr_loop_wait_idle(context, TMGR_NEVER), 0);
	IS(again->made < 1000000, true);
	return 0;
}

static void a_call_that_schedules_itself_for_now_starves_nobody(void **state)
{
	for (int in_libev = 0; in_libev < 2; in_libev++) {
		struct again again = { .in_libev = in_libev };

		tmgr_future_init(&again.hundred);
		assert_int_equal(looped_main(run_beside_calls, &again), 0);
		assert_string_equal(recorder_text(&recorder), "past");
		recorder_clear(&recorder);
		tmgr_future_fini(&again.hundred);
	}
}

static int leave_the_calls(void *self, struct tmgr_context *context)
{
	struct again *again = self;

	return tmgr_loop_call_at(tmgr_loop_current(), &again->call, TMGR_NOW, call_again, again);
}

static struct tmgr_loop_call in_an_hour, when_it_ends;

static int leave_one_scheduled(void *self, struct tmgr_context *context)
{
	IS(tmgr_loop_call_at(tmgr_loop_current(), &in_an_hour, tmgr_after(3600 * TMGR_SECOND),
		   record, word_a),
		0);
	return 0;
}

static void what_is_scheduled_when_the_loop_ends_is_not_made(void **state)
{
	struct tmgr_loop_options options = { .main = leave_one_scheduled };
	struct looped looped;

	looped_start(&looped, &options);
	assert_int_equal(runner_join(&looped.hosted.runner), 0);
	assert_int_equal(tmgr_loop_call_at(looped.loop, &when_it_ends, TMGR_NOW, record, word_a),
		-ESHUTDOWN);
	tmgr_manager_destroy(looped.hosted.manager);
	tmgr_loop_unref(looped.loop);
	assert_int_equal(tmgr_loop_call_cancel(&in_an_hour), -ENOENT);
	assert_int_equal(tmgr_loop_call_cancel(&when_it_ends), -ENOENT);
	assert_string_equal(recorder_text(&recorder), "");
}

static void a_call_that_schedules_itself_for_now_does_not_keep_the_loop(void **state)
{
	struct again again = { .made = 0 };

	tmgr_future_init(&again.hundred);
	assert_int_equal(looped_main(leave_the_calls, &again), 0);
	assert_true(again.made < 1000000);
	tmgr_future_fini(&again.hundred);
}

/* ---- Idle ----------------------------------------------------------------------------------- */

struct once_more {
	struct tmgr_loop_call call, posted;
	struct tmgr_future made, late;
};

static void note_posted(void *self)
{
	struct once_more *more = self;

	recorder_add(&recorder, "posted");
	tmgr_future_complete(&more->made, 0, NULL);
}

static void post_once_more(void *self)
{
	struct once_more *more = self;

	recorder_add(&recorder, "call");
	IS(tmgr_loop_post(tmgr_loop_current(), &more->posted, note_posted, more), 0);
}

static int sleep_after_call(void *self, struct tmgr_context *context)
{
	struct once_more *more = self;

	IS(tmgr_await(context, &more->made, TMGR_NEVER, NULL), 0);
	IS(tmgr_sleep(context, 2 * TMGR_MILLISECOND), 0);
	recorder_add(&recorder, "slept");
	return 0;
}

static int sleep_again(void *self, struct tmgr_context *context)
{
	struct once_more *more = self;

	IS(tmgr_await(context, &more->late, TMGR_NEVER, NULL), 0);
	IS(tmgr_sleep(context, 2 * TMGR_MILLISECOND), 0);
	recorder_add(&recorder, "again");
	return 0;
}

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int wait_idle(void *self, struct tmgr_context *context)
{
	struct once_more more = { .made = { 0 } };
	struct tmgr_coroutine *parked;

	IS(tmgr_loop_wait_idle(NULL, TMGR_NEVER), -EINVAL);
	IS(tmgr_loop_wait_idle(context, TMGR_NEVER), 0);
	recorder_add(&recorder, "idle");
	parked = spawned(context, "parked", wait_for_ever, NULL);
	tmgr_future_init(&more.made);
	tmgr_future_init(&more.late);
	spawn(context, "sleeper", sleep_after_call, &more);
	tmgr_loop_call_at(tmgr_loop_current(), &more.call, tmgr_after(TMGR_MILLISECOND),
		post_once_more, &more);
	IS(tmgr_loop_wait_idle(context, tmgr_after(TMGR_MINUTE)), 0);
	recorder_add(&recorder, "idle");
	spawn(context, "sleeper", sleep_again, &more);
	IS(tmgr_loop_wait_idle(context, TMGR_NOW), -ETIMEDOUT);
	recorder_add(&recorder, "late");
	tmgr_future_complete(&more.late, 0, NULL);
	IS(tmgr_loop_wait_idle(context, TMGR_NEVER), 0);
	tmgr_coroutine_cancel(parked, 0, NULL);
	IS(awaited(context, parked), -ECANCELED);
	tmgr_future_fini(&more.made);
	tmgr_future_fini(&more.late);
	return 0;
}

static void wait_idle_waits_for_calls_timers_and_runnable_coroutines(void **state)
{
	assert_int_equal(looped_main(wait_idle, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "idle call posted slept idle late again");
}

static int wait_idle_and_record(void *self, struct tmgr_context *context)
{
	int r = tmgr_loop_wait_idle(context, TMGR_NEVER);

	recorder_add(&recorder, "%d", r);
	return 0;
}

static int cancel_an_idler(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *one, *two;

	one = spawned(context, "one", wait_idle_and_record, NULL);
	two = spawned(context, "two", wait_idle_and_record, NULL);
	tmgr_yield(context);
	tmgr_coroutine_cancel(one, 0, NULL);
	IS(awaited(context, one), -ECANCELED);
	IS(awaited(context, two), 0);
	return 0;
}

static void one_of_two_that_wait_for_idle_can_be_cancelled(void **state)
{
	assert_int_equal(looped_main(cancel_an_idler, NULL), 0);
	assert_true(recorder_has(&recorder, "0"));
	assert_true(recorder_has(&recorder, "-125"));
}

struct in_time {
	struct tmgr_manager *manager;
	int result;
};

static int wait_idle_in_time(void *self, struct tmgr_context *context)
{
	struct in_time *in_time = self;

	in_time->result = tmgr_loop_wait_idle(context, TMGR_NEVER);
	return tmgr_manager_cancel(in_time->manager);
}

static void the_time_a_task_has_does_not_count_as_pending_while_it_waits_for_idle(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options on = { .loop = looped_add(manager, "loop", NULL) };
	struct in_time in_time = { manager, 77 };

	assert_int_equal(
		tmgr_manager_add_execute_task_with(manager, "idler",
			tmgr_timeout(tmgr_task_function(wait_idle_in_time, &in_time), TMGR_SECOND),
			TMGR_ERROR, &on),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(in_time.result, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(posted_calls_are_made_in_order_and_before_the_loop_ends),
		recorded_test(calls_posted_before_the_loop_runs_are_made_first),
		recorded_test(a_burst_of_posts_is_made_in_one_turn_each_threads_in_its_order),
		recorded_test(a_loop_that_sleeps_is_woken_by_each_burst),
		recorded_test(calls_are_made_at_their_time_and_can_be_taken_back),
		recorded_test(many_timers_come_in_the_order_of_their_times),
		recorded_test(a_call_that_schedules_itself_for_now_starves_nobody),
		recorded_test(a_call_that_schedules_itself_for_now_does_not_keep_the_loop),
		recorded_test(what_is_scheduled_when_the_loop_ends_is_not_made),
		recorded_test(wait_idle_waits_for_calls_timers_and_runnable_coroutines),
		recorded_test(one_of_two_that_wait_for_idle_can_be_cancelled),
		recorded_test(
			the_time_a_task_has_does_not_count_as_pending_while_it_waits_for_idle),
	};

	return cmocka_run_group_tests_name("calls of loops", tests, NULL, NULL);
}
