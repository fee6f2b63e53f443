/* Backups that the runtime of durable processes makes beside all else: one at a time, whose errors end nothing. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <taskmgr/manager.h>
#include <taskmgr/tasks/process_store.h>

#include "tests/support/fault.h"
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

static char store_thread[16];
static atomic_bool commits_fail;

/* Whose thread it is, which began early, or came from the pool. */
static int commit_named(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	pthread_getname_np(pthread_self(), store_thread, sizeof(store_thread));
	return atomic_load(&commits_fail) ? -EIO : own_store_real->commit(store, batch);
}

static void a_store_that_ends_gives_up_the_backup_that_is_made(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;

	begin(&daemon);
	own_store.backup = backup_until_cancelled;
	own_store.commit = commit_named;
	atomic_store(&commits_fail, false);
	daemon_start(&daemon);
	request = daemon_submit(&daemon, &backup_of_all);
	assert_true(latch_arrived(&copying, 1));
	atomic_store(&commits_fail, true);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), -EIO);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	assert_int_equal(daemon_answer(request), -ESHUTDOWN);
	daemon_release(&daemon);
}

/* ---- No thread for it ------------------------------------------------------------------------- */

static int backup_made(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *self)
{
	latch_arrive(&copying);
	return 0;
}

/*
 * Refused, and not made; or, where another thread was just about to be free for it, made later, and that is
 * said.
 */
static bool is_refused_without_a_thread(void)
{
	struct daemon daemon;
	unsigned made;
	int r;

	begin(&daemon);
	own_store.backup = backup_made;
	daemon_start(&daemon);
	assert_int_equal(daemon_start_sum(&daemon, "before", 1), 0);
	fault_fail_thread(1);
	r = daemon_answer(daemon_submit(&daemon, &backup_of_all));
	assert_true(fault_happened());
	fault_off();
	made = copying.arrived;
	assert_true(made == 0 ? r == -EAGAIN : r == 0);
	assert_int_equal(daemon_start_sum(&daemon, "after", 1), 0);
	assert_int_equal(daemon_answer(daemon_submit(&daemon, &backup_of_all)), 0);
	assert_int_equal(copying.arrived, made + 1);
	daemon_end(&daemon);
	return r == -EAGAIN;
}

static void a_backup_that_no_thread_can_be_made_for_is_refused_and_ends_nothing(void **state)
{
	int tries = 1;

	while (!is_refused_without_a_thread() && tries < 1000)
		tries++;
	assert_true(tries < 1000);
}

static int hold(void *self, struct tmgr_context *context)
{
	latch_arrive(&held_latch);
	return tmgr_sleep(context, TMGR_HOUR);
}

/* The pool has one thread, which the store has, or who holds it until the manager stops. */
static void begin_with_no_thread_left(struct daemon *daemon)
{
	const struct tmgr_manager_options options = {
		.shutdown_ns = 2 * TMGR_SECOND, .pool_threads_max = 1, .pool_queue_max = 1
	};

	begin(daemon);
	held_begin(false);
	own_store.backup = backup_made;
	own_store.commit = commit_named;
	atomic_store(&commits_fail, false);
	tmgr_manager_destroy(daemon->manager);
	daemon->manager = tmgr_manager_create(&options);
	assert_int_equal(tmgr_manager_add_task(daemon->manager, "processes",
				 tmgr_processes_task(daemon->processes), TMGR_STRICT),
		0);
	daemon_start(daemon);
	assert_int_equal(daemon_start_sum(daemon, "s", 1), 0);
	if (strcmp(store_thread, "pool") == 0)
		return;
	assert_int_equal(tmgr_manager_add_execute_task(daemon->manager, "holder",
				 tmgr_task_function(hold, NULL), TMGR_ERROR),
		0);
	assert_true(latch_arrived(&held_latch, 1));
}

static void a_store_that_ends_gives_up_a_backup_that_waits_for_a_thread(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;

	begin_with_no_thread_left(&daemon);
	request = daemon_submit(&daemon, &backup_of_all);
	assert_int_equal(daemon_start_sum(&daemon, "t", 1), 0);
	assert_int_equal(copying.arrived, 0);
	atomic_store(&commits_fail, true);
	assert_int_equal(daemon_start_sum(&daemon, "u", 1), -EIO);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	assert_int_equal(daemon_answer(request), -ESHUTDOWN);
	assert_int_equal(copying.arrived, 0);
	daemon_release(&daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(an_error_of_a_backup_is_its_askers_and_ends_nothing),
		leak_test(steps_are_stored_while_a_backup_is_made_and_one_is_made_at_a_time),
		leak_test(a_stop_gives_up_the_backup_that_is_made_and_those_that_wait),
		leak_test(a_store_that_ends_gives_up_the_backup_that_is_made),
		leak_test(a_backup_that_no_thread_can_be_made_for_is_refused_and_ends_nothing),
		leak_test(a_store_that_ends_gives_up_a_backup_that_waits_for_a_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
