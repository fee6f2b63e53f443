/*
 * A loop: the order of its turns, its main function's end, hosting, running at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <taskmgr/channel.h>

#include "tests/support/looped.h"
#include "tests/support/recorded.h"

/* ---- Turns ---------------------------------------------------------------------------------- */

static int three_times(void *self, struct tmgr_context *context)
{
	for (int i = 0; i < 3; i++) {
		recorder_add(&recorder, "%s%d", (const char *)self, i);
		IS(tmgr_yield(context), 0);
	}
	return 0;
}

static int spawn_three(void *self, struct tmgr_context *context)
{
	spawn(context, "a", three_times, "a");
	spawn(context, "b", three_times, "b");
	spawn(context, "c", three_times, "c");
	recorder_add(&recorder, "spawned");
	return 0;
}

static void coroutines_run_first_in_first_out(void **state)
{
	assert_int_equal(looped_main(spawn_three, NULL), 0);
	assert_string_equal(recorder_text(&recorder), "spawned a0 b0 c0 a1 b1 c1 a2 b2 c2");
}

/* Two that never wait, and a call of each turn. */
struct turns {
	struct tmgr_loop *loop;
	struct tmgr_loop_call call;
	uint64_t resumes[10];
	int count;
	bool enough;
};

static void note_turn(void *self)
{
	struct turns *turns = self;
	struct tmgr_loop_stats stats;

	IS(tmgr_loop_stats(turns->loop, &stats), 0);
	turns->resumes[turns->count++] = stats.resumes;
	turns->enough = turns->count == 10;
	if (!turns->enough)
		IS(tmgr_loop_post(turns->loop, &turns->call, note_turn, turns), 0);
}

static int yield_until_enough(void *self, struct tmgr_context *context)
{
	struct turns *turns = self;

	while (!turns->enough)
		tmgr_yield(context);
	return 0;
}

static int yield_and_post(void *self, struct tmgr_context *context)
{
	struct turns *turns = self;

	turns->loop = tmgr_loop_current();
	IS(tmgr_loop_post(turns->loop, &turns->call, note_turn, turns), 0);
	spawn(context, "other", yield_until_enough, turns);
	return yield_until_enough(turns, context);
}

static void a_turn_has_at_most_128_resumes(void **state)
{
	struct turns turns = { .count = 0 };

	assert_int_equal(looped_main(yield_and_post, &turns), 0);
	for (int i = 1; i < turns.count; i++)
		assert_int_equal(turns.resumes[i] - turns.resumes[i - 1], 128);
}

struct starved {
	int ends[2];
	struct tmgr_loop *loop;
	struct tmgr_loop_call call;
	pthread_t thread;
	bool posted, read, timer;
};

static void note_post(void *self)
{
	((struct starved *)self)->posted = true;
}

static int read_pipe(void *self, struct tmgr_context *context)
{
	struct starved *starved = self;

	IS(tmgr_wait_fd(context, starved->ends[0], TMGR_FD_READ, TMGR_NEVER), TMGR_FD_READ);
	starved->read = true;
	return 0;
}

static int sleep_a_little(void *self, struct tmgr_context *context)
{
	struct starved *starved = self;

	IS(tmgr_sleep(context, TMGR_MILLISECOND), 0);
	starved->timer = true;
	return 0;
}

static void *write_and_post(void *self)
{
	struct starved *starved = self;

	IS(write(starved->ends[1], "x", 1), 1);
	IS(tmgr_loop_post(starved->loop, &starved->call, note_post, starved), 0);
	return NULL;
}

/* In the end it gives up, so that a mistake fails instead of hanging. */
static int yield_for_ever(void *self, struct tmgr_context *context)
{
	struct starved *starved = self;
	int64_t limit = tmgr_after(20 * TMGR_SECOND);

	starved->loop = tmgr_loop_current();
	spawn(context, "reader", read_pipe, starved);
	spawn(context, "sleeper", sleep_a_little, starved);
	IS(pthread_create(&starved->thread, NULL, write_and_post, starved), 0);
	while (!(starved->posted && starved->read && starved->timer) && tmgr_now() < limit)
		tmgr_yield(context);
	return 0;
}

static void a_coroutine_that_yields_for_ever_starves_nobody(void **state)
{
	struct starved starved = { .posted = false };

	assert_int_equal(pipe(starved.ends), 0);
	assert_int_equal(looped_main(yield_for_ever, &starved), 0);
	pthread_join(starved.thread, NULL);
	assert_true(starved.posted && starved.read && starved.timer);
	close(starved.ends[0]);
	close(starved.ends[1]);
}

struct counting {
	struct tmgr_channel *channel;
	int other;
	bool over;
};

static int count_turns(void *self, struct tmgr_context *context)
{
	struct counting *counting = self;

	while (!counting->over) {
		counting->other++;
		tmgr_yield(context);
	}
	return 0;
}

/* 2560 operations, none of which has to wait. */
static int never_wait(void *self, struct tmgr_context *context)
{
	struct counting *counting = self;
	int item = 0;

	spawn(context, "other", count_turns, counting);
	for (int i = 0; i < 1280; i++) {
		IS(tmgr_channel_send(context, counting->channel, &item, TMGR_NEVER), 0);
		IS(tmgr_channel_receive(context, counting->channel, &item, TMGR_NEVER), 0);
	}
	IS(counting->other, 10);
	for (int i = 0; i < 512; i++)
		tmgr_context_count_operation(context);
	IS(counting->other, 12);
	counting->over = true;
	return 0;
}

static void every_256th_operation_that_does_not_wait_yields(void **state)
{
	struct counting counting = { .other = 0 };

	assert_int_equal(tmgr_channel_create(sizeof(int), 1, &counting.channel), 0);
	assert_int_equal(looped_main(never_wait, &counting), 0);
	tmgr_channel_unref(counting.channel);
}

/* ---- The end of main ------------------------------------------------------------------------ */

static int sleep_then_record(void *self, struct tmgr_context *context)
{
	int r = tmgr_sleep(context, 5 * TMGR_MILLISECOND);

	recorder_add(&recorder, "%s%d", (const char *)self, r);
	return r;
}

static int leave_others_behind(void *self, struct tmgr_context *context)
{
	spawn(context, "one", sleep_then_record, "one");
	spawn(context, "two", sleep_then_record, "two");
	return *(int *)self;
}

static void when_main_returns_0_the_loop_waits_for_its_coroutines(void **state)
{
	int result = 0;

	assert_int_equal(looped_main(leave_others_behind, &result), 0);
	assert_true(recorder_has(&recorder, "one0"));
	assert_true(recorder_has(&recorder, "two0"));
}

static int sleep_until_cancelled(void *self, struct tmgr_context *context)
{
	struct tmgr_cause cause;
	int r = tmgr_sleep_until(context, TMGR_NEVER);

	IS(tmgr_token_cause(tmgr_context_token(context), &cause), 0);
	recorder_add(&recorder, "%s", r == -ECANCELED ? "cancelled" : "not");
	IS_TEXT(cause.text, "the loop's main function failed");
	return r;
}

static int fail_beside_others(void *self, struct tmgr_context *context)
{
	spawn(context, "one", sleep_until_cancelled, NULL);
	spawn(context, "two", sleep_until_cancelled, NULL);
	/* Both have begun. */
	settle(context);
	return tmgr_fail(context, -ENOSPC, "no room on %s", "disk");
}

static void an_error_of_main_cancels_and_joins_all_and_is_the_tasks(void **state)
{
	struct tmgr_loop_options options = { .main = fail_beside_others };
	struct ending ending = looped_run(&options);

	assert_int_equal(ending.result, -ENOSPC);
	assert_string_equal(ending.text, "no room on disk");
	assert_int_equal(ending.errors, 1);
	assert_string_equal(recorder_text(&recorder), "cancelled cancelled");
}

static int return_it(void *self, struct tmgr_context *context)
{
	return *(int *)self;
}

static void a_positive_result_of_main_is_an_error_with_a_detail(void **state)
{
	int result = 7;
	struct tmgr_loop_options options = { .main = return_it, .self = &result };
	struct ending ending = looped_run(&options);

	assert_int_equal(ending.result, -TMGR_EFAILED);
	assert_int_equal(ending.detail, 7);
	assert_int_equal(ending.errors, 1);
}

static int fail_when_cancelled(void *self, struct tmgr_context *context)
{
	latch_arrive(self);
	IS(tmgr_sleep_until(context, TMGR_NEVER), -ECANCELED);
	return tmgr_fail(context, -EIO, "while stopping");
}

static void an_error_of_main_after_the_cancel_stands_once_in_the_report(void **state)
{
	struct latch begun = LATCH_INIT;
	struct tmgr_loop_options options = { .main = fail_when_cancelled, .self = &begun };
	struct looped looped;
	struct ending ending;

	looped_start(&looped, &options);
	assert_true(latch_arrived(&begun, 1));
	ending = looped_stop(&looped);
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "while stopping");
	assert_int_equal(ending.errors, 1);
}

static int wait_in_main(void *self, struct tmgr_context *context)
{
	spawn(context, "one", sleep_then_record, "one");
	latch_arrive(self);
	IS(tmgr_sleep_until(context, TMGR_NEVER), -ECANCELED);
	recorder_add(&recorder, "main");
	return -ECANCELED;
}

static void cancelling_the_manager_wakes_the_loop_and_cancels_its_coroutines(void **state)
{
	struct latch begun = LATCH_INIT;
	struct tmgr_loop_options options = { .main = wait_in_main, .self = &begun };
	struct looped looped;
	int64_t before;

	looped_start(&looped, &options);
	assert_true(latch_arrived(&begun, 1));
	assert_true(task_waits(looped.hosted.manager, "task", ""));
	before = tmgr_now();
	assert_int_equal(looped_stop(&looped).result, 0);
	assert_true(tmgr_now() - before < 10 * TMGR_SECOND);
	assert_true(recorder_has(&recorder, "main"));
}

/* ---- As a host ------------------------------------------------------------------------------ */

static void a_loop_without_main_serves_until_it_is_told_to_stop(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe a = PROBE(.name = "a", .recorder = &recorder);
	struct probe b = PROBE(.name = "b", .recorder = &recorder);
	struct tmgr_task_options on = { .loop = looped_add(manager, "loop", NULL) };
	struct runner runner;

	assert_int_equal(
		tmgr_manager_add_task_with(manager, "a", probe_task(&a), TMGR_STRICT, &on), 0);
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "b", probe_task(&b), TMGR_STRICT, &on), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&a.executing, 1) && latch_arrived(&b.executing, 1));
	assert_true(task_waits(manager, "a", "sleep"));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_string_equal(recorder_text(&recorder), "+a +b a b -b -a ~b ~a");
}

static void a_loop_that_hosts_nothing_ends_when_told_to(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	looped_add(manager, "loop", NULL);
	runner_start(&runner, manager, NULL);
	assert_true(task_reaches(manager, "loop", TMGR_STATE_RUNNING));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
}

#define LOOPS 4

struct ring {
	struct tmgr_channel *from, *to;
	struct tmgr_loop *loop;
	int rounds;
};

static int pass_on(void *self, struct tmgr_context *context)
{
	struct ring *ring = self;
	int token;

	ring->loop = tmgr_loop_current();
	for (int i = 0; i < ring->rounds; i++) {
		IS(tmgr_channel_receive(context, ring->from, &token, TMGR_NEVER), 0);
		token++;
		IS(tmgr_channel_send(context, ring->to, &token, TMGR_NEVER), 0);
		IS(tmgr_loop_current() == ring->loop, true);
	}
	return 0;
}

static void several_loops_run_in_one_manager_and_coroutines_stay_on_theirs(void **state)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct tmgr_channel *channels[LOOPS];
	struct ring rings[LOOPS];
	struct tmgr_loop *loops[LOOPS];
	int token = 0;

	for (int i = 0; i < LOOPS; i++)
		assert_int_equal(tmgr_channel_create(sizeof(int), i == 0, &channels[i]), 0);
	for (int i = 0; i < LOOPS; i++) {
		struct tmgr_loop_options on = { .main = pass_on, .self = &rings[i] };
		char name[] = { 'a' + (char)i, '\0' };

		rings[i] = (struct ring){
			.from = channels[i], .to = channels[(i + 1) % LOOPS], .rounds = 200
		};
		loops[i] = looped_add(manager, name, &on);
	}
	assert_int_equal(tmgr_channel_send(NULL, channels[0], &token, TMGR_NEVER), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(tmgr_channel_receive(NULL, channels[0], &token, TMGR_NOW), 0);
	assert_int_equal(token, 200 * LOOPS);
	for (int i = 0; i < LOOPS; i++) {
		assert_ptr_equal(rings[i].loop, loops[i]);
		tmgr_channel_unref(channels[i]);
	}
	tmgr_manager_destroy(manager);
}

/* ---- Running at all ------------------------------------------------------------------------- */

static void bad_options_are_refused(void **state)
{
	static const struct tmgr_loop_options bad[] = {
		{ .stack_size = 1 },
		{ .stack_size = 4096 },
		{ .stack_size = 65537 },
		{ .stack_size = 131072 },
		{ .stack_size = (size_t)1 << 30 },
		{ .stack_guard = (enum tmgr_stack_guard)2 },
		{ .stack_guard = (enum tmgr_stack_guard) - 1 },
		{ .slow_ns = -1 },
	};
	struct tmgr_loop *loop;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tmgr_loop_create(&bad[i], &loop), -EINVAL);
	assert_int_equal(tmgr_loop_create(NULL, NULL), -EINVAL);
	assert_int_equal(tmgr_task_error(tmgr_loop_task(NULL)), -EINVAL);
	assert_null(tmgr_loop_ref(NULL));
	tmgr_loop_unref(NULL);
	assert_null(tmgr_loop_ev(NULL));
	assert_null(tmgr_loop_current());
}

static void a_loop_that_never_ran_is_released(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe a = PROBE(.name = "a");
	struct tmgr_loop *loop;
	struct tmgr_task_options on = { .loop = NULL };

	assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
	tmgr_loop_unref(loop);

	assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
	assert_ptr_equal(tmgr_loop_ref(loop), loop);
	tmgr_loop_unref(loop);
	on.loop = loop;
	assert_int_equal(
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_STRICT), 0);
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "a", probe_task(&a), TMGR_STRICT, &on), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(a.destroyed, 1);
	assert_int_equal(a.executed, 0);
	tmgr_loop_unref(loop);
}

static int do_nothing(void *self, struct tmgr_context *context)
{
	return 0;
}

static void a_loop_runs_once(void **state)
{
	struct tmgr_loop_options options = { .main = do_nothing };
	struct ending ending;
	struct tmgr_loop *loop;

	assert_int_equal(tmgr_loop_create(&options, &loop), 0);
	assert_int_equal(hosted_run(tmgr_loop_task(loop)).result, 0);
	ending = hosted_run(tmgr_loop_task(loop));
	assert_int_equal(ending.result, -EALREADY);
	assert_string_equal(ending.text, "a loop runs once");
	tmgr_loop_unref(loop);
}

static void a_loop_does_not_run_on_a_loop(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options on = { .loop = looped_add(manager, "outer", NULL) };
	struct tmgr_loop_options options = { .main = do_nothing };
	struct tmgr_loop *inner;

	assert_int_equal(tmgr_loop_create(&options, &inner), 0);
	assert_int_equal(tmgr_manager_add_task_with(
				 manager, "inner", tmgr_loop_task(inner), TMGR_STRICT, &on),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EINVAL);
	assert_string_equal(
		tmgr_manager_report(manager)->cause->text, "a loop cannot run on a loop");
	tmgr_manager_destroy(manager);
	tmgr_loop_unref(inner);
}

static void without_descriptors_no_loop_is_made(void **state)
{
	struct rlimit before, none;
	struct tmgr_loop *loop;
	int free_fd = dup(0), refused = 0, r;

	close(free_fd);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	/* It needs two. */
	for (int spare = 0; spare < 8; spare++) {
		none.rlim_cur = (rlim_t)free_fd + (rlim_t)spare;
		setrlimit(RLIMIT_NOFILE, &none);
		r = tmgr_loop_create(NULL, &loop);
		setrlimit(RLIMIT_NOFILE, &before);
		if (r == 0)
			tmgr_loop_unref(loop);
		else
			assert_int_equal(r, -EMFILE);
		refused += r != 0;
	}
	assert_true(refused > 0);
	/* What it had of them it has given back. */
	r = dup(0);
	close(r);
	assert_int_equal(r, free_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(coroutines_run_first_in_first_out),
		recorded_test(a_turn_has_at_most_128_resumes),
		recorded_test(a_coroutine_that_yields_for_ever_starves_nobody),
		recorded_test(every_256th_operation_that_does_not_wait_yields),
		recorded_test(when_main_returns_0_the_loop_waits_for_its_coroutines),
		recorded_test(an_error_of_main_cancels_and_joins_all_and_is_the_tasks),
		recorded_test(a_positive_result_of_main_is_an_error_with_a_detail),
		recorded_test(an_error_of_main_after_the_cancel_stands_once_in_the_report),
		recorded_test(cancelling_the_manager_wakes_the_loop_and_cancels_its_coroutines),
		recorded_test(a_loop_without_main_serves_until_it_is_told_to_stop),
		recorded_test(a_loop_that_hosts_nothing_ends_when_told_to),
		recorded_test(several_loops_run_in_one_manager_and_coroutines_stay_on_theirs),
		recorded_test(bad_options_are_refused),
		recorded_test(a_loop_that_never_ran_is_released),
		recorded_test(a_loop_runs_once),
		recorded_test(a_loop_does_not_run_on_a_loop),
		recorded_test(without_descriptors_no_loop_is_made),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
