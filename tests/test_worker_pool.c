/* What a pool of workers does with its jobs, and with their errors. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/fault.h"
#include "tests/support/hosted.h"
#include "tests/support/leak.h"
#include "tests/support/workshop.h"

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

static bool ended_or_both_wait(void *hosted)
{
	struct tmgr_snapshot *snapshot;
	size_t waiting = 0;
	bool holds;

	if (tmgr_manager_snapshot(((struct hosted *)hosted)->manager, &snapshot) != 0)
		return false;
	for (size_t i = 0; i < snapshot->count; i++)
		waiting += strcmp(snapshot->tasks[i].waiting, "channel") == 0;
	holds = waiting == 2 || snapshot->state == TMGR_MANAGER_ENDED;
	tmgr_snapshot_destroy(snapshot);
	return holds;
}

/* That is no stop: those who submit are not told that it is over, and a retry finds the jobs. */
static void a_pool_that_cannot_start_all_its_workers_leaves_the_channel_open(void **state)
{
	const struct tmgr_worker_pool_options two = { .workers = 2 };
	static struct workshop shop;
	bool failed = true;

	(void)state;
	for (long k = 1; failed && k < 100; k++) {
		struct hosted hosted;
		int result;

		shop = (struct workshop)WORKSHOP(.fails = 0);
		open_shop(&shop, 8);
		fault_fail_thread(k);
		hosted_start(&hosted, tmgr_worker_pool(shop.channel, work, &shop, &two));
		assert_true(eventually(ended_or_both_wait, &hosted));
		failed = fault_happened();
		fault_off();
		assert_int_equal(submit(&shop, 1, TMGR_NOW), 0);
		tmgr_channel_close(shop.channel);
		result = hosted_end(&hosted).result;
		/* A thread that is made a moment later is no lack. */
		assert_true(result == 0 || (failed && result == -EAGAIN));
		tmgr_channel_unref(shop.channel);
	}
	assert_false(failed);
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
		leak_test(an_error_of_a_job_ends_the_pool_with_its_text_and_keeps_the_rest),
		leak_test(an_error_of_a_job_ends_the_other_workers),
		leak_test(a_worker_that_was_busy_when_another_failed_leaves_the_rest_alone),
		leak_test(a_pool_that_cannot_start_all_its_workers_leaves_the_channel_open),
		leak_test(a_retry_goes_on_with_the_jobs_that_are_left),
		leak_test(errors_of_jobs_are_counted_where_it_keeps_going),
		leak_test(a_pool_that_keeps_its_channel_open_can_be_interrupted),
		leak_test(jobs_have_any_size_a_channel_has),
		leak_test(a_pool_can_be_an_execute_task),
		leak_test(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests_name("worker pool", tests, NULL, NULL);
}
