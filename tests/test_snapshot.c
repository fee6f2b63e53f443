#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/channel.h>
#include <taskmgr/future.h>
#include <taskmgr/group.h>
#include <taskmgr/manager.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct tmgr_snapshot *snapshot_of(struct tmgr_manager *manager)
{
	struct tmgr_snapshot *snapshot = NULL;

	assert_int_equal(tmgr_manager_snapshot(manager, &snapshot), 0);
	return snapshot;
}

static const struct tmgr_snapshot_task *task_in(
	const struct tmgr_snapshot *snapshot, const char *path)
{
	for (size_t i = 0; i < snapshot->count; i++) {
		if (strcmp(snapshot->tasks[i].path, path) == 0)
			return &snapshot->tasks[i];
	}
	return NULL;
}

static void before_run_tasks_stand_in_order_of_adding_long_running_ones_first(void **state)
{
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b"), x = PROBE(.name = "x");
	struct tmgr_task_options options = { .stop_group = "g" };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_snapshot *snapshot;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "x", probe_execute_task(&x), TMGR_ERROR), 0);
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "b", probe_task(&b), TMGR_STOP_GROUP, &options),
		0);
	snapshot = snapshot_of(manager);
	assert_int_equal(snapshot->state, TMGR_MANAGER_ADDING);
	assert_true(snapshot->time > 0);
	assert_int_equal(snapshot->count, 3);
	assert_string_equal(snapshot->tasks[0].path, "a");
	assert_string_equal(snapshot->tasks[1].path, "b");
	assert_string_equal(snapshot->tasks[2].path, "x");
	assert_string_equal(snapshot->tasks[0].kind, "probe");
	assert_string_equal(snapshot->tasks[0].group, "");
	assert_string_equal(snapshot->tasks[1].group, "g");
	assert_int_equal(snapshot->tasks[0].policy, TMGR_STRICT);
	assert_int_equal(snapshot->tasks[1].policy, TMGR_STOP_GROUP);
	assert_int_equal(snapshot->tasks[2].policy, TMGR_ERROR);
	assert_int_equal(snapshot->tasks[0].host, TMGR_HOST_THREAD);
	assert_int_equal(snapshot->tasks[2].host, TMGR_HOST_POOL);
	assert_true(snapshot->tasks[0].long_running);
	assert_false(snapshot->tasks[2].long_running);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(snapshot->tasks[i].state, TMGR_STATE_ADDED);
		assert_false(snapshot->tasks[i].ready);
		assert_false(snapshot->tasks[i].cancelled);
		assert_string_equal(snapshot->tasks[i].waiting, "");
		assert_int_equal(snapshot->tasks[i].waiting_fd, -1);
		assert_int_equal(snapshot->tasks[i].last_error, 0);
		assert_int_equal(snapshot->tasks[i].initialize_ns, 0);
		assert_int_equal(snapshot->tasks[i].execute_ns, 0);
	}
	tmgr_snapshot_destroy(snapshot);
	tmgr_snapshot_destroy(NULL);
	tmgr_manager_destroy(manager);
}

static void it_follows_a_run_through_its_states(void **state)
{
	struct latch in_initialize = LATCH_INIT, in_execute = LATCH_INIT, in_cleanup = LATCH_INIT;
	struct probe a = PROBE(.name = "a", .hold_initialize = &in_initialize,
		.hold_execute = &in_execute, .hold_cleanup = &in_cleanup);
	struct probe b = PROBE(.name = "b");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_snapshot *snapshot;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "b", probe_task(&b), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);

	assert_true(latch_arrived(&in_initialize, 1));
	snapshot = snapshot_of(manager);
	assert_int_equal(snapshot->state, TMGR_MANAGER_INITIALIZING);
	assert_int_equal(task_in(snapshot, "a")->state, TMGR_STATE_INITIALIZING);
	assert_int_equal(task_in(snapshot, "b")->state, TMGR_STATE_INITIALIZED);
	assert_true(task_in(snapshot, "a")->initialize_ns > 0);
	tmgr_snapshot_destroy(snapshot);
	latch_open(&in_initialize);

	assert_true(latch_arrived(&in_execute, 1));
	assert_true(task_waits(manager, "b", "sleep"));
	snapshot = snapshot_of(manager);
	assert_int_equal(snapshot->state, TMGR_MANAGER_RUNNING);
	assert_int_equal(task_in(snapshot, "a")->state, TMGR_STATE_RUNNING);
	assert_string_equal(task_in(snapshot, "a")->waiting, "");
	assert_true(task_in(snapshot, "a")->execute_ns > 0);
	assert_true(task_in(snapshot, "a")->since > 0);
	assert_true(task_in(snapshot, "a")->since <= snapshot->time);
	tmgr_snapshot_destroy(snapshot);

	assert_int_equal(tmgr_manager_cancel(manager), 0);
	snapshot = snapshot_of(manager);
	assert_int_equal(snapshot->state, TMGR_MANAGER_STOPPING);
	assert_true(task_in(snapshot, "a")->cancelled);
	tmgr_snapshot_destroy(snapshot);
	latch_open(&in_execute);

	assert_true(latch_arrived(&in_cleanup, 1));
	snapshot = snapshot_of(manager);
	assert_int_equal(snapshot->state, TMGR_MANAGER_CLEANING);
	assert_int_equal(task_in(snapshot, "a")->state, TMGR_STATE_CLEANING);
	assert_int_equal(task_in(snapshot, "b")->state, TMGR_STATE_ENDED);
	assert_true(task_in(snapshot, "a")->cleanup_ns > 0);
	tmgr_snapshot_destroy(snapshot);
	latch_open(&in_cleanup);

	assert_int_equal(runner_join(&runner), 0);
	snapshot = snapshot_of(manager);
	assert_int_equal(snapshot->state, TMGR_MANAGER_ENDED);
	assert_int_equal(task_in(snapshot, "a")->state, TMGR_STATE_DONE);
	assert_int_equal(task_in(snapshot, "b")->state, TMGR_STATE_DONE);
	tmgr_manager_destroy(manager);
	/* It is a copy: the manager is gone. */
	assert_string_equal(snapshot->tasks[0].path, "b");
	tmgr_snapshot_destroy(snapshot);
}

static struct tmgr_channel *channel;
static struct tmgr_future future;
static int pipe_ends[2];

static int wait_in_channel(struct probe *probe, struct tmgr_context *context)
{
	char item;

	(void)probe;
	return tmgr_channel_receive(context, channel, &item, TMGR_NEVER);
}

static int wait_in_select(struct probe *probe, struct tmgr_context *context)
{
	char item;
	struct tmgr_select_case cases[] = {
		{ .op = TMGR_SELECT_RECEIVE, .channel = channel, .item = &item }
	};

	(void)probe;
	return tmgr_select(context, cases, 1, TMGR_NEVER);
}

static int wait_in_descriptor(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return tmgr_wait_fd(context, pipe_ends[0], TMGR_FD_READ, TMGR_NEVER);
}

static int wait_in_future(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return tmgr_future_wait(context, &future, TMGR_NEVER);
}

static void it_tells_what_each_task_waits_for(void **state)
{
	static const struct {
		const char *waiting;
		probe_function *function;
	} waits[] = { { "sleep", NULL }, { "channel", wait_in_channel },
		{ "select", wait_in_select }, { "descriptor", wait_in_descriptor },
		{ "future", wait_in_future } };
	struct probe probes[5];
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_snapshot *snapshot;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_channel_create(1, 0, &channel), 0);
	assert_int_equal(pipe(pipe_ends), 0);
	tmgr_future_init(&future);
	for (size_t i = 0; i < 5; i++) {
		probes[i] = (struct probe)PROBE(.name = waits[i].waiting,
			.on_execute = waits[i].function);
		assert_int_equal(tmgr_manager_add_task(manager, probes[i].name,
					 probe_task(&probes[i]), TMGR_STRICT),
			0);
	}
	runner_start(&runner, manager, NULL);
	for (size_t i = 0; i < 5; i++)
		assert_true(task_waits(manager, waits[i].waiting, waits[i].waiting));
	snapshot = snapshot_of(manager);
	assert_int_equal(task_in(snapshot, "descriptor")->waiting_fd, pipe_ends[0]);
	assert_int_equal(task_in(snapshot, "select")->waiting_fd, -1);
	tmgr_snapshot_destroy(snapshot);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(channel);
	tmgr_future_fini(&future);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static int note_things(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_ready(context);
	tmgr_context_note_restart(context, -EIO, tmgr_after(TMGR_HOUR));
	tmgr_context_note_restart(context, -ENOSPC, tmgr_after(TMGR_HOUR));
	tmgr_context_note_error(context, -EPERM);
	return 0;
}

static int note_attempt_that_has_begun(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_context_note_restart(context, -EIO, tmgr_now() - TMGR_SECOND);
	return 0;
}

static void it_shows_readiness_restarts_and_the_last_error(void **state)
{
	struct probe a = PROBE(.name = "a", .on_execute = note_things);
	struct probe b = PROBE(.name = "b", .on_execute = note_attempt_that_has_begun);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_snapshot *snapshot;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "b", probe_task(&b), TMGR_STRICT), 0);
	runner_start(&runner, manager, NULL);
	assert_true(task_waits(manager, "a", "sleep"));
	assert_true(task_waits(manager, "b", "sleep"));
	snapshot = snapshot_of(manager);
	assert_true(task_in(snapshot, "a")->ready);
	assert_int_equal(task_in(snapshot, "a")->restarts, 2);
	assert_int_equal(task_in(snapshot, "a")->last_error, -EPERM);
	assert_true(task_in(snapshot, "a")->next_attempt > snapshot->time);
	assert_int_equal(task_in(snapshot, "b")->restarts, 1);
	assert_int_equal(task_in(snapshot, "b")->next_attempt, 0);
	tmgr_snapshot_destroy(snapshot);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->errors, 0);
	tmgr_manager_destroy(manager);
}

static void execute_tasks_leave_it_with_their_end_or_their_handle(void **state)
{
	struct probe a = PROBE(.name = "a"), x = PROBE(.name = "x", .end = PROBE_RETURNS);
	struct probe y = PROBE(.name = "y", .end = PROBE_RETURNS);
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = { .ret_handle = &handle };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_snapshot *snapshot;
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_add_execute_task_with(
				 manager, "x", probe_execute_task(&x), TMGR_ERROR, &options),
		0);
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "y", probe_execute_task(&y), TMGR_ERROR), 0);
	runner_start(&runner, manager, NULL);
	assert_int_equal(tmgr_handle_wait(NULL, handle, TMGR_NEVER), 0);
	while (y.destroyed == 0)
		tmgr_sleep(NULL, TMGR_MILLISECOND);
	snapshot = snapshot_of(manager);
	assert_non_null(task_in(snapshot, "x"));
	assert_null(task_in(snapshot, "y"));
	assert_int_equal(snapshot->pool_queued, 0);
	tmgr_snapshot_destroy(snapshot);
	assert_int_equal(tmgr_handle_release(handle), 0);
	snapshot = snapshot_of(manager);
	assert_null(task_in(snapshot, "x"));
	assert_int_equal(snapshot->count, 1);
	tmgr_snapshot_destroy(snapshot);
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
}

static void execute_tasks_that_failed_stay(void **state)
{
	struct probe x = PROBE(.name = "x", .end = PROBE_RETURNS, .execute_result = -EIO);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_snapshot *snapshot;

	(void)state;
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "x", probe_execute_task(&x), TMGR_ERROR), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EIO);
	snapshot = snapshot_of(manager);
	assert_int_equal(snapshot->count, 1);
	assert_non_null(task_in(snapshot, "x"));
	assert_int_equal(task_in(snapshot, "x")->state, TMGR_STATE_DONE);
	assert_int_equal(task_in(snapshot, "x")->last_error, -EIO);
	tmgr_snapshot_destroy(snapshot);
	tmgr_manager_destroy(manager);
}

/* It never waited, so nothing of it refers to the group. */
static int outlive_its_group(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_handle *handle = probe->user;
	struct tmgr_snapshot *snapshot;
	struct tmgr_group *group;

	IS(tmgr_group_create(context, NULL, &group), 0);
	IS(tmgr_spawn(context, group, tmgr_task_function(no_task, NULL), handle), 0);
	IS(tmgr_group_wait(context, group, TMGR_NEVER), 0);
	IS(tmgr_handle_wait(NULL, *handle, TMGR_NEVER), 0);
	tmgr_group_destroy(group);
	IS(tmgr_manager_snapshot(tmgr_context_manager(context), &snapshot), 0);
	IS(task_in(snapshot, "parent#1") != NULL, true);
	IS(task_in(snapshot, "parent#1")->state, TMGR_STATE_DONE);
	tmgr_snapshot_destroy(snapshot);
	tmgr_handle_release(*handle);
	return tmgr_manager_cancel(tmgr_context_manager(context));
}

static void a_child_with_a_handle_is_shown_when_its_group_is_gone(void **state)
{
	struct tmgr_handle handle;
	struct probe parent = PROBE(.name = "parent", .on_execute = outlive_its_group,
		.end = PROBE_RETURNS, .user = &handle);
	struct tmgr_manager *manager = probe_manager(NULL, &parent);

	(void)state;
	wrong = 0;
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(wrong, 0);
	tmgr_manager_destroy(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(before_run_tasks_stand_in_order_of_adding_long_running_ones_first),
		leak_test(it_follows_a_run_through_its_states),
		leak_test(it_tells_what_each_task_waits_for),
		leak_test(it_shows_readiness_restarts_and_the_last_error),
		leak_test(execute_tasks_leave_it_with_their_end_or_their_handle),
		leak_test(execute_tasks_that_failed_stay),
		leak_test(a_child_with_a_handle_is_shown_when_its_group_is_gone),
	};

	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
