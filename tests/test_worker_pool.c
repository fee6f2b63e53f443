#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/hosted.h"
#include "tests/support/leak.h"

#define JOBS_MAX 20000

/* What the jobs, which are numbers, do. */
struct workshop {
	struct tmgr_channel *channel;
	struct latch begun; /* arrived at by each job */
	struct latch *hold; /* waited for, deaf to the cancel; may be NULL */
	int held_from;      /* the first job that does */
	int64_t takes_ns;   /* then slept, with the context */
	int fails;          /* the job that fails, if above 0 */
	atomic_int done, dropped, cancelled;
	atomic_uchar times[1 + JOBS_MAX]; /* each was done */
};

#define WORKSHOP(...)                            \
	{                                        \
		.begun = LATCH_INIT, __VA_ARGS__ \
	}

static void open_shop(struct workshop *shop, size_t capacity)
{
	assert_int_equal(tmgr_channel_create(sizeof(int), capacity, &shop->channel), 0);
}

static int work(void *self, struct tmgr_context *context, void *job)
{
	struct workshop *shop = self;
	int number = *(int *)job;
	int r = 0;

	latch_arrive(&shop->begun);
	if (shop->hold != NULL && number >= shop->held_from)
		latch_wait(shop->hold);
	if (shop->takes_ns > 0)
		r = tmgr_sleep(context, shop->takes_ns);
	if (r == -ECANCELED)
		atomic_fetch_add(&shop->cancelled, 1);
	if (r != 0)
		return r;
	if (number == shop->fails)
		return tmgr_fail(context, -EIO, "job %d", number);
	atomic_fetch_add(&shop->done, 1);
	atomic_fetch_add(&shop->times[number], 1);
	return 0;
}

static void drop(void *self, void *job)
{
	struct workshop *shop = self;

	(void)job;
	atomic_fetch_add(&shop->dropped, 1);
}

static int submit(struct workshop *shop, int number, int64_t deadline)
{
	return tmgr_channel_send(NULL, shop->channel, &number, deadline);
}

static void submit_all(struct workshop *shop, int count)
{
	for (int i = 1; i <= count; i++)
		assert_int_equal(submit(shop, i, tmgr_after(30 * TMGR_SECOND)), 0);
}

static void jobs_are_done_by_so_many_workers_at_a_time(void **state)
{
	const struct tmgr_worker_pool_options three = { .workers = 3 };
	struct latch hold = LATCH_INIT;
	static struct workshop shop;
	struct hosted hosted;

	(void)state;
	shop = (struct workshop)WORKSHOP(.hold = &hold);
	open_shop(&shop, 8);
	hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &three));
	submit_all(&shop, 5);
	assert_true(latch_arrived(&hold, 3));
	assert_int_equal(tmgr_channel_count(shop.channel), 2);
	latch_open(&hold);
	assert_int_equal(tmgr_channel_close(shop.channel), 0);
	assert_int_equal(hosted_end(&hosted).result, 0);
	assert_int_equal(atomic_load(&shop.done), 5);
	tmgr_channel_unref(shop.channel);
}

static void a_full_channel_makes_who_submits_wait(void **state)
{
	const struct tmgr_worker_pool_options one = { .workers = 1 };
	struct latch hold = LATCH_INIT;
	static struct workshop shop;
	struct hosted hosted;

	(void)state;
	shop = (struct workshop)WORKSHOP(.hold = &hold);
	open_shop(&shop, 2);
	hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &one));
	submit_all(&shop, 1);
	assert_true(latch_arrived(&hold, 1));
	submit_all(&shop, 2);
	assert_int_equal(submit(&shop, 4, TMGR_NOW), -ETIMEDOUT);
	latch_open(&hold);
	assert_int_equal(submit(&shop, 4, tmgr_after(30 * TMGR_SECOND)), 0);
	tmgr_channel_close(shop.channel);
	assert_int_equal(hosted_end(&hosted).result, 0);
	assert_int_equal(atomic_load(&shop.done), 4);
	tmgr_channel_unref(shop.channel);
}

static void at_the_stop_what_was_submitted_is_done(void **state)
{
	const struct tmgr_worker_pool_options two = { .workers = 2 };
	struct latch hold = LATCH_INIT;
	static struct workshop shop;
	struct hosted hosted;

	(void)state;
	shop = (struct workshop)WORKSHOP(.hold = &hold);
	open_shop(&shop, 8);
	hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &two));
	submit_all(&shop, 8);
	assert_true(latch_arrived(&hold, 2));
	tmgr_manager_cancel(hosted.manager);
	latch_open(&hold);
	assert_int_equal(hosted_end(&hosted).result, 0);
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
	struct latch hold = LATCH_INIT;
	static struct workshop shop;
	struct hosted hosted;

	(void)state;
	shop = (struct workshop)WORKSHOP(.hold = &hold);
	open_shop(&shop, 8);
	hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &patient));
	submit_all(&shop, 5);
	assert_true(latch_arrived(&hold, 1));
	tmgr_manager_cancel(hosted.manager);
	latch_open(&hold);
	assert_int_equal(hosted_end(&hosted).result, 0);
	assert_int_equal(atomic_load(&shop.done), 5);
	assert_int_equal(atomic_load(&shop.dropped), 0);
	tmgr_channel_unref(shop.channel);
}

/* The first job is short, those that follow last for ever. */
static int last_for_ever(void *self, struct tmgr_context *context, void *job)
{
	struct workshop *shop = self;

	if (*(int *)job > 1)
		return tmgr_sleep_until(context, TMGR_NEVER);
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
	struct latch hold = LATCH_INIT;
	static struct workshop shop;
	struct hosted hosted;
	struct ending ending;

	(void)state;
	shop = (struct workshop)WORKSHOP(.hold = &hold);
	open_shop(&shop, 8);
	hosted_start(&hosted, tmgr_worker_pool(shop.channel, last_for_ever, &shop, &brief));
	submit_all(&shop, 4);
	assert_true(latch_arrived(&hold, 1));
	tmgr_manager_cancel(hosted.manager);
	latch_open(&hold);
	ending = hosted_end(&hosted);
	assert_int_equal(ending.result, -ETIMEDOUT);
	assert_int_equal(atomic_load(&shop.done), 1);
	assert_int_equal(atomic_load(&shop.dropped), 2);
	tmgr_channel_unref(shop.channel);
}

static void at_the_stop_what_was_submitted_is_dropped_where_asked(void **state)
{
	const struct tmgr_worker_pool_options dropping = {
		.workers = 1,
		.on_stop = TMGR_WORKER_POOL_DROP,
		.drop = drop,
	};
	struct latch hold = LATCH_INIT;
	static struct workshop shop;
	struct hosted hosted;

	(void)state;
	shop = (struct workshop)WORKSHOP(.hold = &hold);
	open_shop(&shop, 8);
	hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &dropping));
	submit_all(&shop, 5);
	assert_true(latch_arrived(&hold, 1));
	tmgr_manager_cancel(hosted.manager);
	latch_open(&hold);
	assert_int_equal(hosted_end(&hosted).result, 0);
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

static void an_error_of_a_job_ends_the_pool_with_its_text_and_keeps_the_rest(void **state)
{
	const struct tmgr_worker_pool_options one = { .workers = 1 };
	static struct workshop shop;
	struct ending ending;

	(void)state;
	shop = (struct workshop)WORKSHOP(.fails = 2);
	open_shop(&shop, 8);
	submit_all(&shop, 5);
	ending = hosted_run(tmgr_worker_pool(shop.channel, work, &shop, &one));
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "job 2");
	assert_int_equal(atomic_load(&shop.done), 1);
	assert_int_equal(tmgr_channel_count(shop.channel), 3);
	assert_int_equal(submit(&shop, 6, TMGR_NOW), 0);
	tmgr_channel_unref(shop.channel);
}

static void an_error_of_a_job_ends_the_other_workers(void **state)
{
	const struct tmgr_worker_pool_options many = { .workers = 8 };
	static struct workshop shop;
	struct ending ending;

	(void)state;
	shop = (struct workshop)WORKSHOP(.fails = 1);
	open_shop(&shop, 8);
	submit_all(&shop, 1);
	ending = hosted_run(tmgr_worker_pool(shop.channel, work, &shop, &many));
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "job 1");
	tmgr_channel_unref(shop.channel);
}

static bool is_cancelled(void *argument)
{
	return tmgr_context_cancelled(argument);
}

/* The first job lasts until the second has failed. */
static int outlast_failure(void *self, struct tmgr_context *context, void *job)
{
	struct workshop *shop = self;

	if (*(int *)job == 2)
		return -EIO;
	if (*(int *)job == 1)
		eventually(is_cancelled, context);
	atomic_fetch_add(&shop->done, 1);
	return 0;
}

static void a_worker_that_was_busy_when_another_failed_leaves_the_rest_alone(void **state)
{
	const struct tmgr_worker_pool_options two = { .workers = 2 };
	static struct workshop shop;
	struct ending ending;

	(void)state;
	shop = (struct workshop)WORKSHOP();
	open_shop(&shop, 8);
	submit_all(&shop, 5);
	ending = hosted_run(tmgr_worker_pool(shop.channel, outlast_failure, &shop, &two));
	assert_int_equal(ending.result, -EIO);
	assert_int_equal(atomic_load(&shop.done), 1);
	assert_int_equal(tmgr_channel_count(shop.channel), 3);
	assert_int_equal(submit(&shop, 6, TMGR_NOW), 0);
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

static void a_retry_goes_on_with_the_jobs_that_are_left(void **state)
{
	const struct tmgr_worker_pool_options two = { .workers = 2 };
	const struct tmgr_retry_options at_once = { .backoff_ns = TMGR_RETRY_NONE };
	static struct workshop shop;
	struct ending ending;

	(void)state;
	shop = (struct workshop)WORKSHOP(.fails = 2);
	open_shop(&shop, 8);
	submit_all(&shop, 6);
	tmgr_channel_close(shop.channel);
	ending = hosted_run(
		tmgr_retry(tmgr_worker_pool(shop.channel, work, &shop, &two), &at_once));
	assert_int_equal(ending.result, 0);
	assert_int_equal(ending.at.last_error, -EIO);
	assert_int_equal(atomic_load(&shop.done), 5);
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

static void errors_of_jobs_are_counted_where_it_keeps_going(void **state)
{
	const struct tmgr_worker_pool_options keep_going = { .workers = 1, .keep_going = true };
	static struct workshop shop;

	(void)state;
	shop = (struct workshop)WORKSHOP(.fails = 2);
	open_shop(&shop, 8);
	submit_all(&shop, 5);
	tmgr_channel_close(shop.channel);
	assert_int_equal(
		hosted_run(tmgr_worker_pool(shop.channel, work, &shop, &keep_going)).result, 0);
	assert_int_equal(atomic_load(&shop.done), 4);
	tmgr_channel_unref(shop.channel);
}

static void an_error_while_draining_does_not_stop_it_and_is_what_it_ends_with(void **state)
{
	const struct tmgr_worker_pool_options one = { .workers = 1 };
	struct latch hold = LATCH_INIT;
	static struct workshop shop;
	struct hosted hosted;
	struct ending ending;

	(void)state;
	shop = (struct workshop)WORKSHOP(.hold = &hold, .fails = 3);
	open_shop(&shop, 8);
	hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &one));
	submit_all(&shop, 5);
	assert_true(latch_arrived(&hold, 1));
	tmgr_manager_cancel(hosted.manager);
	latch_open(&hold);
	ending = hosted_end(&hosted);
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "job 3");
	assert_int_equal(atomic_load(&shop.done), 4);
	tmgr_channel_unref(shop.channel);
}

static void a_pool_that_keeps_its_channel_open_can_be_interrupted(void **state)
{
	const struct tmgr_worker_pool_options keep_open = { .workers = 2, .keep_open = true };
	static struct workshop shop;
	struct hosted hosted;

	(void)state;
	shop = (struct workshop)WORKSHOP();
	open_shop(&shop, 8);
	hosted_start(
		&hosted, tmgr_interruptible(
				 tmgr_worker_pool(shop.channel, work, &shop, &keep_open), SIGUSR1));
	submit_all(&shop, 3);
	assert_true(latch_arrived(&shop.begun, 3));
	kill(getpid(), SIGUSR1);
	for (int round = 0; round < 20; round++)
		submit_all(&shop, 3);
	assert_true(latch_arrived(&shop.begun, 63));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_int_equal(atomic_load(&shop.done), 63);
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

static int look_at_large(void *self, struct tmgr_context *context, void *job)
{
	const unsigned char *bytes = job;

	(void)context;
	atomic_fetch_add(
		(atomic_int *)self, bytes[0] == 1 && bytes[TMGR_CHANNEL_ITEM_MAX - 1] == 2);
	return 0;
}

static void jobs_have_any_size_a_channel_has(void **state)
{
	const struct tmgr_worker_pool_options two = { .workers = 2 };
	static unsigned char job[TMGR_CHANNEL_ITEM_MAX];
	struct tmgr_channel *channel;
	atomic_int seen = 0;

	(void)state;
	job[0] = 1;
	job[TMGR_CHANNEL_ITEM_MAX - 1] = 2;
	assert_int_equal(tmgr_channel_create(sizeof(job), 4, &channel), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(tmgr_channel_send(NULL, channel, job, TMGR_NOW), 0);
	tmgr_channel_close(channel);
	assert_int_equal(
		hosted_run(tmgr_worker_pool(channel, look_at_large, &seen, &two)).result, 0);
	assert_int_equal(atomic_load(&seen), 4);
	tmgr_channel_unref(channel);
}

static void a_pool_can_be_an_execute_task(void **state)
{
	const struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	static struct workshop shop;

	(void)state;
	shop = (struct workshop)WORKSHOP();
	open_shop(&shop, 8);
	submit_all(&shop, 3);
	tmgr_channel_close(shop.channel);
	assert_int_equal(tmgr_manager_add_execute_task(manager, "pool",
				 tmgr_worker_pool(shop.channel, work, &shop, NULL), TMGR_ERROR),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(atomic_load(&shop.done), 3);
	tmgr_channel_unref(shop.channel);
}

static void bad_arguments_are_refused(void **state)
{
	static const struct tmgr_worker_pool_options bad[] = {
		{ .workers = TMGR_WORKER_POOL_WORKERS_MAX + 1 },
		{ .workers = SIZE_MAX },
		{ .on_stop = (enum tmgr_worker_pool_stop)2 },
		{ .on_stop = (enum tmgr_worker_pool_stop) - 1 },
		{ .drain_ns = -1 },
	};
	static struct workshop shop;

	(void)state;
	open_shop(&shop, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			tmgr_task_error(tmgr_worker_pool(shop.channel, work, &shop, &bad[i])),
			-EINVAL);
	assert_int_equal(tmgr_task_error(tmgr_worker_pool(NULL, work, &shop, NULL)), -EINVAL);
	assert_int_equal(
		tmgr_task_error(tmgr_worker_pool(shop.channel, NULL, &shop, NULL)), -EINVAL);
	tmgr_channel_unref(shop.channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(jobs_are_done_by_so_many_workers_at_a_time),
		leak_test(a_full_channel_makes_who_submits_wait),
		leak_test(at_the_stop_what_was_submitted_is_done),
		leak_test(the_stop_does_not_cut_short_a_job_of_a_pool_that_drains),
		leak_test(a_pool_that_drains_in_time_drops_nothing),
		leak_test(jobs_that_drain_for_too_long_end_with_a_timeout),
		leak_test(at_the_stop_what_was_submitted_is_dropped_where_asked),
		leak_test(the_stop_cuts_short_a_job_of_a_pool_that_drops),
		leak_test(an_error_of_a_job_ends_the_pool_with_its_text_and_keeps_the_rest),
		leak_test(an_error_of_a_job_ends_the_other_workers),
		leak_test(a_worker_that_was_busy_when_another_failed_leaves_the_rest_alone),
		leak_test(a_pool_that_is_stopped_before_its_first_worker_does_what_was_submitted),
		leak_test(a_retry_goes_on_with_the_jobs_that_are_left),
		leak_test(a_pool_that_is_run_again_after_an_error_drains_as_before),
		leak_test(errors_of_jobs_are_counted_where_it_keeps_going),
		leak_test(an_error_while_draining_does_not_stop_it_and_is_what_it_ends_with),
		leak_test(a_pool_that_keeps_its_channel_open_can_be_interrupted),
		leak_test(of_jobs_submitted_while_it_stops_each_accepted_one_is_done_once),
		leak_test(jobs_have_any_size_a_channel_has),
		leak_test(a_pool_can_be_an_execute_task),
		leak_test(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests_name("worker pool", tests, NULL, NULL);
}
