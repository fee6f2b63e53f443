/* How a pool of workers stops: what becomes of the jobs that are left. */
#include <errno.h>
#include <sched.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/hosted.h"
#include "tests/support/leak.h"
#include "tests/support/workshop.h"

typedef int work_function(void *self, struct tmgr_context *context, void *job);

/* Stop a pool while each worker is held in its first job, and let them go then; how it ended. */
static struct ending stop_while_held(struct workshop *shop, work_function *function,
	const struct tmgr_worker_pool_options *options, int jobs)
{
	struct latch hold = LATCH_INIT;
	struct hosted hosted;

	shop->hold = &hold;
	open_shop(shop, 8);
	hosted_start(&hosted, tmgr_worker_pool(shop->channel, function, shop, options));
	submit_all(shop, jobs);
	assert_true(latch_arrived(&hold, (unsigned)options->workers));
	tmgr_manager_cancel(hosted.manager);
	latch_open(&hold);
	return hosted_end(&hosted);
}

static void at_the_stop_what_was_submitted_is_done(void **state)
{
	const struct tmgr_worker_pool_options two = { .workers = 2 };
	static struct workshop shop;

	(void)state;
	shop = (struct workshop)WORKSHOP();
	assert_int_equal(stop_while_held(&shop, work, &two, 8).result, 0);
	assert_int_equal(atomic_load(&shop.done), 8);
	assert_int_equal(submit(&shop, 9, TMGR_NOW), -EPIPE);
	tmgr_channel_unref(shop.channel);
}

static void the_stop_does_not_cut_short_a_job_of_a_pool_that_drains(void **state)
{
	const struct tmgr_worker_pool_options two = { .workers = 2 };
	static struct workshop shop;
	struct hosted hosted;

	(void)state;
	shop = (struct workshop)WORKSHOP(.takes_ns = 50 * TMGR_MILLISECOND);
	open_shop(&shop, 8);
	hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &two));
	submit_all(&shop, 4);
	assert_true(latch_arrived(&shop.begun, 1));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_int_equal(atomic_load(&shop.done), 4);
	tmgr_channel_unref(shop.channel);
}

static void a_pool_that_drains_in_time_drops_nothing(void **state)
{
	const struct tmgr_worker_pool_options patient = {
		.workers = 1,
		.drain_ns = TMGR_HOUR,
		.drop = drop,
	};
	static struct workshop shop;

	(void)state;
	shop = (struct workshop)WORKSHOP();
	assert_int_equal(stop_while_held(&shop, work, &patient, 5).result, 0);
	assert_int_equal(atomic_load(&shop.done), 5);
	assert_int_equal(atomic_load(&shop.dropped), 0);
	tmgr_channel_unref(shop.channel);
}

/* The first job is short, those that follow last for ever. */
static int last_for_ever(void *self, struct tmgr_context *context, void *job)
{
	struct workshop *shop = self;

	if (*(int *)job > 1) {
		latch_arrive(&shop->begun);
		return tmgr_sleep_until(context, TMGR_NEVER);
	}
	latch_wait(shop->hold);
	atomic_fetch_add(&shop->done, 1);
	return 0;
}

static void jobs_that_drain_for_too_long_end_with_a_timeout(void **state)
{
	const struct tmgr_worker_pool_options brief = {
		.workers = 1,
		.drain_ns = 20 * TMGR_MILLISECOND,
		.drop = drop,
	};
	static struct workshop shop;
	struct ending ending;

	(void)state;
	shop = (struct workshop)WORKSHOP();
	ending = stop_while_held(&shop, last_for_ever, &brief, 4);
	assert_int_equal(ending.result, -ETIMEDOUT);
	assert_int_equal(atomic_load(&shop.done), 1);
	/* The second uses up the time, unless that passed before it began; the others never do. */
	assert_in_range(shop.begun.arrived, 0, 1);
	assert_int_equal(atomic_load(&shop.dropped), 3 - shop.begun.arrived);
	tmgr_channel_unref(shop.channel);
}

/* The first job sees the stop, and goes on for longer than there is time to drain. */
static int outlast_the_stop(void *self, struct tmgr_context *context, void *job)
{
	struct workshop *shop = self;

	if (*(int *)job == 1) {
		latch_arrive(shop->hold);
		while (!tmgr_context_cancelled(context))
			sched_yield();
		tmgr_sleep(context, 400 * TMGR_MILLISECOND);
	}
	atomic_fetch_add(&shop->done, 1);
	return 0;
}

static void the_time_to_drain_begins_with_the_stop(void **state)
{
	for (int open = 0; open < 2; open++) {
		const struct tmgr_worker_pool_options brief = {
			.workers = 1,
			.drain_ns = 40 * TMGR_MILLISECOND,
			.drop = drop,
			.keep_open = open,
		};
		static struct workshop shop;

		(void)state;
		shop = (struct workshop)WORKSHOP();
		assert_int_equal(
			stop_while_held(&shop, outlast_the_stop, &brief, 4).result, -ETIMEDOUT);
		assert_int_equal(atomic_load(&shop.done), 1);
		assert_int_equal(atomic_load(&shop.dropped), 3);
		tmgr_channel_unref(shop.channel);
	}
}

static void at_the_stop_what_was_submitted_is_dropped_where_asked(void **state)
{
	const struct tmgr_worker_pool_options dropping = {
		.workers = 1,
		.on_stop = TMGR_WORKER_POOL_DROP,
		.drop = drop,
	};
	static struct workshop shop;

	(void)state;
	shop = (struct workshop)WORKSHOP();
	assert_int_equal(stop_while_held(&shop, work, &dropping, 5).result, 0);
	assert_int_equal(atomic_load(&shop.done), 1);
	assert_int_equal(atomic_load(&shop.dropped), 4);
	assert_int_equal(submit(&shop, 9, TMGR_NOW), -EPIPE);
	tmgr_channel_unref(shop.channel);
}

static void the_stop_cuts_short_a_job_of_a_pool_that_drops(void **state)
{
	const struct tmgr_worker_pool_options dropping = {
		.workers = 2,
		.on_stop = TMGR_WORKER_POOL_DROP,
	};
	static struct workshop shop;
	struct hosted hosted;

	(void)state;
	shop = (struct workshop)WORKSHOP(.takes_ns = TMGR_HOUR);
	open_shop(&shop, 8);
	hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &dropping));
	submit_all(&shop, 4);
	assert_true(latch_arrived(&shop.begun, 2));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_int_equal(atomic_load(&shop.done), 0);
	assert_int_equal(atomic_load(&shop.cancelled), 2);
	assert_int_equal(tmgr_channel_count(shop.channel), 0);
	tmgr_channel_unref(shop.channel);
}

/* Executes a pool that has been told to stop before. */
static int execute_stopped(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_task *pool = probe->user;
	struct tmgr_token *token;
	int r = tmgr_token_create(tmgr_context_token(context), &token);

	if (r != 0)
		return r;
	tmgr_token_cancel(token, 0, NULL);
	r = tmgr_task_execute_under(*pool, context, token);
	tmgr_token_unref(token);
	return r == -ECANCELED ? 0 : -EPROTO;
}

static void a_pool_that_is_stopped_before_its_first_worker_does_what_was_submitted(void **state)
{
	const struct tmgr_worker_pool_options two = { .workers = 2 };
	static struct workshop shop;
	struct tmgr_task pool;
	struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS, .on_execute = execute_stopped,
		.user = &pool);

	(void)state;
	shop = (struct workshop)WORKSHOP();
	open_shop(&shop, 8);
	submit_all(&shop, 5);
	pool = tmgr_worker_pool(shop.channel, work, &shop, &two);
	assert_int_equal(hosted_run(probe_task(&probe)).result, 0);
	tmgr_task_destroy(pool);
	assert_int_equal(atomic_load(&shop.done), 5);
	assert_int_equal(submit(&shop, 6, TMGR_NOW), -EPIPE);
	tmgr_channel_unref(shop.channel);
}

static void a_pool_that_is_run_again_after_an_error_drains_as_before(void **state)
{
	const struct tmgr_worker_pool_options one = { .workers = 1 };
	const struct tmgr_retry_options at_once = { .backoff_ns = TMGR_RETRY_NONE };
	struct latch hold = LATCH_INIT;
	static struct workshop shop;
	struct hosted hosted;

	(void)state;
	shop = (struct workshop)WORKSHOP(.hold = &hold, .held_from = 3, .fails = 1);
	open_shop(&shop, 8);
	hosted_start(
		&hosted, tmgr_retry(tmgr_worker_pool(shop.channel, work, &shop, &one), &at_once));
	submit_all(&shop, 2);
	assert_true(latch_arrived(&shop.begun, 2));
	for (int i = 3; i <= 6; i++)
		assert_int_equal(submit(&shop, i, TMGR_NOW), 0);
	assert_true(latch_arrived(&hold, 1));
	tmgr_manager_cancel(hosted.manager);
	latch_open(&hold);
	assert_int_equal(hosted_end(&hosted).result, 0);
	assert_int_equal(atomic_load(&shop.done), 5);
	assert_int_equal(submit(&shop, 7, TMGR_NOW), -EPIPE);
	tmgr_channel_unref(shop.channel);
}

static void an_error_while_draining_does_not_stop_it_and_is_what_it_ends_with(void **state)
{
	const struct tmgr_worker_pool_options one = { .workers = 1 };
	static struct workshop shop;
	struct ending ending;

	(void)state;
	shop = (struct workshop)WORKSHOP(.fails = 3);
	ending = stop_while_held(&shop, work, &one, 5);
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "job 3");
	assert_int_equal(atomic_load(&shop.done), 4);
	tmgr_channel_unref(shop.channel);
}

/* Submits numbers until it may not. */
struct submitter {
	struct workshop *shop;
	pthread_t thread;
	int first, accepted;
};

static void *submit_numbers(void *argument)
{
	struct submitter *submitter = argument;

	while (submitter->accepted < JOBS_MAX / 4 &&
		submit(submitter->shop, submitter->first + submitter->accepted, TMGR_NEVER) == 0)
		submitter->accepted++;
	return NULL;
}

static void of_jobs_submitted_while_it_stops_each_accepted_one_is_done_once(void **state)
{
	static struct workshop shop;

	(void)state;
	for (int round = 0; round < 20; round++) {
		const struct tmgr_worker_pool_options options = { .workers = 1 + round % 4 };
		struct submitter submitters[4];
		struct hosted hosted;
		int accepted = 0;

		shop = (struct workshop)WORKSHOP();
		open_shop(&shop, (size_t)round % 5);
		hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &options));
		for (int i = 0; i < 4; i++) {
			submitters[i] = (struct submitter){ &shop, 0, 1 + i * (JOBS_MAX / 4), 0 };
			pthread_create(&submitters[i].thread, NULL, submit_numbers, &submitters[i]);
		}
		latch_arrived(&shop.begun, (unsigned)round * 20 + 1);
		assert_int_equal(hosted_stop(&hosted).result, 0);
		for (int i = 0; i < 4; i++) {
			pthread_join(submitters[i].thread, NULL);
			accepted += submitters[i].accepted;
			for (int n = 0; n < JOBS_MAX / 4; n++)
				assert_int_equal(atomic_load(&shop.times[submitters[i].first + n]),
					n < submitters[i].accepted);
		}
		assert_int_equal(atomic_load(&shop.done), accepted);
		tmgr_channel_unref(shop.channel);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(at_the_stop_what_was_submitted_is_done),
		leak_test(the_stop_does_not_cut_short_a_job_of_a_pool_that_drains),
		leak_test(a_pool_that_drains_in_time_drops_nothing),
		leak_test(jobs_that_drain_for_too_long_end_with_a_timeout),
		leak_test(the_time_to_drain_begins_with_the_stop),
		leak_test(at_the_stop_what_was_submitted_is_dropped_where_asked),
		leak_test(the_stop_cuts_short_a_job_of_a_pool_that_drops),
		leak_test(a_pool_that_is_stopped_before_its_first_worker_does_what_was_submitted),
		leak_test(a_pool_that_is_run_again_after_an_error_drains_as_before),
		leak_test(an_error_while_draining_does_not_stop_it_and_is_what_it_ends_with),
		leak_test(of_jobs_submitted_while_it_stops_each_accepted_one_is_done_once),
	};

	return cmocka_run_group_tests_name("worker pool stop", tests, NULL, NULL);
}
