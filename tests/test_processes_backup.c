/* Backups that the runtime of durable processes makes beside all else: one at a time, whose errors end nothing. */
#include <errno.h>
#include <string.h>

#include <taskmgr/manager.h>
#include <taskmgr/tasks/process_store.h>

#include "tests/support/leak.h"
#include "tests/support/own_store.h"

static struct latch copying;

static const struct tmgr_process_command backup_of_all = { .kind = TMGR_PROCESS_BACKUP,
	.text = "copy" };
static const struct tmgr_process_command checkpoint_now = { .kind = TMGR_PROCESS_CHECKPOINT };

static void begin(struct daemon *daemon)
{
	latch_init(&copying);
	own_store_make(daemon);
}

static int backup_fails(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *self)
{
	return -EIO;
}

static void an_error_of_a_backup_is_its_askers_and_ends_nothing(void **state)
{
	struct daemon daemon;

	begin(&daemon);
	assert_null(own_store.backup);
	daemon_start(&daemon);
	assert_int_equal(daemon_answer(daemon_submit(&daemon, &backup_of_all)), -ENOTSUP);
	daemon_end(&daemon);
	begin(&daemon);
	own_store.backup = backup_fails;
	daemon_start(&daemon);
	assert_int_equal(daemon_answer(daemon_submit(&daemon, &backup_of_all)), -EIO);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	daemon_end(&daemon);
}

static int backup_held(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *self)
{
	if (strcmp(path, "copy") != 0)
		return -EINVAL;
	return latch_wait(&copying) ? 0 : -EIO;
}

static void steps_are_stored_while_a_backup_is_made_and_one_is_made_at_a_time(void **state)
{
	struct tmgr_process_request *first, *second;
	struct daemon daemon;

	begin(&daemon);
	own_store.backup = backup_held;
	daemon_start(&daemon);
	first = daemon_submit(&daemon, &backup_of_all);
	second = daemon_submit(&daemon, &backup_of_all);
	assert_true(latch_arrived(&copying, 1));
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(daemon_answer(daemon_submit(&daemon, &checkpoint_now)), 0);
	assert_int_equal(copying.arrived, 1);
	assert_false(tmgr_future_done(tmgr_process_request_future(first)));
	latch_open(&copying);
	assert_int_equal(daemon_answer(first), 0);
	assert_int_equal(daemon_answer(second), 0);
	assert_int_equal(copying.arrived, 2);
	daemon_end(&daemon);
}

static int backup_until_cancelled(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *self)
{
	latch_arrive(&copying);
	while (!cancelled(self))
		tmgr_sleep(NULL, TMGR_MILLISECOND);
	return -ECANCELED;
}

static void a_stop_gives_up_the_backup_that_is_made_and_those_that_wait(void **state)
{
	struct tmgr_process_request *first, *second;
	struct daemon daemon;

	begin(&daemon);
	own_store.backup = backup_until_cancelled;
	daemon_start(&daemon);
	first = daemon_submit(&daemon, &backup_of_all);
	second = daemon_submit(&daemon, &backup_of_all);
	assert_true(latch_arrived(&copying, 1));
	assert_int_equal(daemon_stop(&daemon), 0);
	assert_int_equal(daemon_answer(first), -ESHUTDOWN);
	assert_int_equal(daemon_answer(second), -ESHUTDOWN);
	daemon_release(&daemon);
}

static void a_store_that_ends_gives_up_the_backup_that_is_made(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;

	begin(&daemon);
	own_store.backup = backup_until_cancelled;
	daemon_start(&daemon);
	request = daemon_submit(&daemon, &backup_of_all);
	assert_true(latch_arrived(&copying, 1));
	daemon.store->ops = own_store_real;
	assert_int_equal(tmgr_store_memory_fail(daemon.store, -EIO), 0);
	daemon.store->ops = &own_store;
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), -EIO);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	assert_int_equal(daemon_answer(request), -ESHUTDOWN);
	daemon_release(&daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(an_error_of_a_backup_is_its_askers_and_ends_nothing),
		leak_test(steps_are_stored_while_a_backup_is_made_and_one_is_made_at_a_time),
		leak_test(a_stop_gives_up_the_backup_that_is_made_and_those_that_wait),
		leak_test(a_store_that_ends_gives_up_the_backup_that_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
