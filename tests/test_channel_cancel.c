/* Channels and the cancel: who waits in one leaves it, and takes and gives nothing any more. */
#include <errno.h>
#include <string.h>

#include <taskmgr/channel.h>

#include "tests/support/leak.h"
#include "tests/support/recorder.h"

/* Tasks that transfer, to be cancelled. */
static struct tmgr_channel *shared;
static int results[4];

static int receive_twice(struct probe *probe, struct tmgr_context *context)
{
	int item;

	(void)probe;
	results[0] = tmgr_channel_receive(context, shared, &item, TMGR_NEVER);
	results[1] = tmgr_channel_receive(context, shared, &item, TMGR_NOW);
	results[2] = tmgr_channel_send(context, shared, &item, TMGR_NOW);
	return 0;
}

static int send_until_cancelled(struct probe *probe, struct tmgr_context *context)
{
	int r, item = 1;

	(void)probe;
	do {
		r = tmgr_channel_send(context, shared, &item, TMGR_NEVER);
	} while (r == 0);
	results[0] = r;
	return r;
}

static int run_cancelled_in(probe_function *function, const char *waiting)
{
	struct probe probe = PROBE(.name = "task", .on_execute = function);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;
	int r;

	memset(results, 1, sizeof(results));
	assert_int_equal(
		tmgr_manager_add_task(manager, "task", probe_task(&probe), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "task", waiting));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	r = runner_join(&runner);
	tmgr_manager_destroy(manager);
	return r;
}

static void a_cancel_ends_a_receive_and_later_ones_take_nothing(void **state)
{
	(void)state;
	assert_int_equal(tmgr_channel_create(sizeof(int), 0, &shared), 0);
	assert_int_equal(run_cancelled_in(receive_twice, "channel"), 0);
	assert_int_equal(results[0], -ECANCELED);
	assert_int_equal(results[1], -ECANCELED);
	assert_int_equal(results[2], -ECANCELED);
	tmgr_channel_unref(shared);
}

static void a_cancel_ends_a_send_and_its_item_is_not_taken(void **state)
{
	int item;

	(void)state;
	assert_int_equal(tmgr_channel_create(sizeof(int), 2, &shared), 0);
	assert_int_equal(run_cancelled_in(send_until_cancelled, "channel"), 0);
	assert_int_equal(results[0], -ECANCELED);
	assert_int_equal(tmgr_channel_count(shared), 2);
	assert_int_equal(tmgr_channel_receive(NULL, shared, &item, TMGR_NOW), 0);
	assert_int_equal(tmgr_channel_receive(NULL, shared, &item, TMGR_NOW), 0);
	assert_int_equal(tmgr_channel_receive(NULL, shared, &item, TMGR_NOW), -ETIMEDOUT);
	tmgr_channel_unref(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_cancel_ends_a_receive_and_later_ones_take_nothing),
		leak_test(a_cancel_ends_a_send_and_its_item_is_not_taken),
	};

	return cmocka_run_group_tests_name("channel cancel", tests, NULL, NULL);
}
