#include <errno.h>
#include <string.h>

#include <taskmgr/group.h>
#include <taskmgr/manager.h>

#include "tests/support/leak.h"
#include "tests/support/looped.h"
#include "tests/support/recorder.h"

#define CHILDREN 6

/* What the body of a test sees when the task that spawned has returned. */
static struct {
	int r[16];
	int running, running_most;
	char text[64];
} seen;
static struct probe children[CHILDREN];
static struct tmgr_group *foreign;
/* All of it is played twice: with the parents on threads, and as coroutines of a loop. */
static bool on_loop;

static void fresh(void)
{
	static const char *const names[CHILDREN] = { "0", "1", "2", "3", "4", "5" };

	memset(&seen, 0x55, sizeof(seen));
	seen.running = seen.running_most = 0;
	for (int i = 0; i < CHILDREN; i++)
		children[i] = (struct probe)PROBE(.name = names[i]);
}

/* Add the parent, where it is to run. */
static void add_parent(struct tmgr_manager *manager, struct probe *parent, enum tmgr_policy policy,
	struct tmgr_handle *ret_handle)
{
	struct tmgr_task_options options = { .ret_handle = ret_handle };

	if (on_loop) {
		options.loop = looped_add(manager, "loop", NULL);
		options.host = TMGR_HOST_LOOP;
	}
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "parent", probe_task(parent), policy, &options),
		0);
}

/* Run one task that does this, stop when it has ended, and return what run did. */
static int run_parent(probe_function *function)
{
	struct probe parent = PROBE(.name = "parent", .on_execute = function, .end = PROBE_RETURNS);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_handle handle;
	struct runner runner;
	int r;

	add_parent(manager, &parent, TMGR_ERROR, &handle);
	runner_start(&runner, manager, NULL);
	assert_int_equal(tmgr_handle_wait(NULL, handle, tmgr_after(30 * TMGR_SECOND)), 0);
	tmgr_manager_cancel(manager);
	r = runner_join(&runner);
	tmgr_manager_destroy(manager);
	return r;
}

/* A parent on the loop must not block it, for that is where its child is to begin. */
static void wait_until_begun(struct tmgr_context *context, int i)
{
	while (children[i].executed == 0)
		tmgr_yield(context);
}

static int spawn_child(struct tmgr_context *context, struct tmgr_group *group, int i)
{
	return tmgr_spawn(context, group, probe_execute_task(&children[i]), NULL);
}

static int wait_for_all(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_group *group;

	(void)probe;
	seen.r[0] = tmgr_group_create(context, NULL, &group);
	for (int i = 0; i < CHILDREN; i++) {
		children[i].end = PROBE_RETURNS;
		seen.r[1] = spawn_child(context, group, i);
	}
	seen.r[2] = tmgr_group_wait(context, group, TMGR_NEVER);
	for (int i = 0; i < CHILDREN; i++)
		seen.running += children[i].execute_ended;
	tmgr_group_destroy(group);
	return 0;
}

static void waiting_returns_when_all_children_have_ended(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(wait_for_all), 0);
	assert_int_equal(seen.r[0], 0);
	assert_int_equal(seen.r[1], 0);
	assert_int_equal(seen.r[2], 0);
	assert_int_equal(seen.running, CHILDREN);
	for (int i = 0; i < CHILDREN; i++)
		assert_int_equal(children[i].destroyed, 1);
}

static int one_fails(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_group *group;
	const char *text = NULL;

	(void)probe;
	tmgr_group_create(context, NULL, &group);
	children[1].end = PROBE_RETURNS;
	children[1].execute_result = -EIO;
	children[1].fail_text = "no such luck";
	for (int i = 0; i < 3; i++)
		spawn_child(context, group, i);
	seen.r[0] = tmgr_group_wait(context, group, TMGR_NEVER);
	seen.r[1] = tmgr_group_error(group, 0, &seen.r[2], &text);
	strncpy(seen.text, text != NULL ? text : "(null)", sizeof(seen.text) - 1);
	seen.r[3] = tmgr_group_error(group, 1, &seen.r[4], NULL);
	seen.r[5] = spawn_child(context, group, 3);
	tmgr_group_destroy(group);
	return 0;
}

static void the_first_that_fails_cancels_the_others_and_is_the_result(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(one_fails), 0);
	assert_int_equal(seen.r[0], -EIO);
	assert_int_equal(seen.r[1], 0);
	assert_int_equal(seen.r[2], -EIO);
	assert_string_equal(seen.text, "no such luck");
	assert_int_equal(seen.r[3], -ENOENT);
	assert_int_equal(seen.r[5], -ECANCELED);
	assert_int_equal(children[3].executed, 0);
	assert_int_equal(children[3].destroyed, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(children[i].destroyed, 1);
}

static int keep_going(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_group_options options = { .keep_going = true };
	struct tmgr_group *group;

	(void)probe;
	tmgr_group_create(context, &options, &group);
	for (int i = 0; i < 3; i++) {
		children[i].end = PROBE_RETURNS;
		children[i].execute_result = i == 2 ? 0 : i == 0 ? -EIO : -ENOSPC;
		spawn_child(context, group, i);
		seen.r[0] = tmgr_group_wait(context, group, TMGR_NEVER);
	}
	tmgr_group_error(group, 1, &seen.r[7], NULL);
	for (int i = 0; i < 3; i++)
		seen.r[i + 1] = tmgr_group_error(group, (size_t)i, &seen.r[5], NULL);
	children[3].end = PROBE_RETURNS;
	seen.r[4] = spawn_child(context, group, 3);
	seen.r[6] = tmgr_group_wait(context, group, TMGR_NEVER);
	tmgr_group_destroy(group);
	return 0;
}

static void one_that_keeps_going_collects_errors(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(keep_going), 0);
	assert_int_equal(seen.r[0], -EIO);
	assert_int_equal(seen.r[1], 0);
	assert_int_equal(seen.r[2], 0);
	assert_int_equal(seen.r[3], -ENOENT);
	assert_int_equal(seen.r[4], 0);
	assert_int_equal(seen.r[6], -EIO);
	assert_int_equal(seen.r[7], -ENOSPC);
	assert_int_equal(children[3].executed, 1);
}

static int be_counted(struct probe *probe, struct tmgr_context *context)
{
	int now = __atomic_add_fetch(&seen.running, 1, __ATOMIC_SEQ_CST);
	int most = __atomic_load_n(&seen.running_most, __ATOMIC_SEQ_CST);

	(void)probe;
	while (now > most && !__atomic_compare_exchange_n(&seen.running_most, &most, now, false,
				     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	tmgr_sleep(context, 5 * TMGR_MILLISECOND);
	__atomic_sub_fetch(&seen.running, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int two_at_once(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_group_options options = { .running_max = 2 };
	struct tmgr_group *group;

	(void)probe;
	tmgr_group_create(context, &options, &group);
	for (int i = 0; i < CHILDREN; i++) {
		children[i].on_execute = be_counted;
		children[i].end = PROBE_RETURNS;
		seen.r[0] = spawn_child(context, group, i);
	}
	seen.r[1] = tmgr_group_wait(context, group, TMGR_NEVER);
	/* Those that have ended make room for others, then too. */
	seen.r[2] = spawn_child(context, group, 0);
	seen.r[3] = tmgr_group_wait(context, group, tmgr_after(20 * TMGR_SECOND));
	tmgr_group_destroy(group);
	return 0;
}

static void no_more_run_at_once_than_was_said(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(two_at_once), 0);
	assert_int_equal(seen.r[0], 0);
	assert_int_equal(seen.r[1], 0);
	assert_int_equal(seen.r[2], 0);
	assert_int_equal(seen.r[3], 0);
	assert_int_equal(seen.running_most, 2);
	for (int i = 0; i < CHILDREN; i++)
		assert_int_equal(children[i].executed, i == 0 ? 2 : 1);
}

static int cancel_those_queued(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_group_options options = { .running_max = 1 };
	struct tmgr_group *group;

	(void)probe;
	tmgr_group_create(context, &options, &group);
	spawn_child(context, group, 0);
	wait_until_begun(context, 0);
	seen.r[0] = tmgr_spawn(context, group, probe_execute_task(&children[1]), NULL);
	seen.r[1] = tmgr_group_cancel(group);
	seen.r[2] = tmgr_group_cancel(group);
	seen.r[3] = spawn_child(context, group, 2);
	seen.r[4] = tmgr_group_wait(context, group, TMGR_NEVER);
	tmgr_group_destroy(group);
	return 0;
}

static void a_cancel_ends_all_and_those_queued_never_run(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(cancel_those_queued), 0);
	assert_int_equal(seen.r[0], 0);
	assert_int_equal(seen.r[1], 0);
	assert_int_equal(seen.r[2], -EALREADY);
	assert_int_equal(seen.r[3], -ECANCELED);
	assert_int_equal(seen.r[4], 0);
	assert_int_equal(children[0].executed, 1);
	assert_int_equal(children[1].executed, 0);
	assert_int_equal(children[0].destroyed + children[1].destroyed + children[2].destroyed, 3);
}

static int leave_open(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_group *group;

	(void)probe;
	tmgr_group_create(context, NULL, &group);
	spawn_child(context, group, 0);
	spawn_child(context, NULL, 1);
	wait_until_begun(context, 0);
	wait_until_begun(context, 1);
	return 0;
}

static void a_group_left_open_is_cancelled_and_waited_for(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(leave_open), 0);
	assert_int_equal(children[0].execute_ended, 1);
	assert_int_equal(children[1].execute_ended, 1);
	assert_int_equal(children[0].destroyed + children[1].destroyed, 2);
}

static int destroy_while_they_run(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_group *group;

	(void)probe;
	tmgr_group_create(context, NULL, &group);
	spawn_child(context, group, 0);
	wait_until_begun(context, 0);
	tmgr_group_destroy(group);
	seen.r[0] = children[0].execute_ended;
	tmgr_group_destroy(NULL);
	return 0;
}

static void destroying_cancels_and_waits(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(destroy_while_they_run), 0);
	assert_int_equal(seen.r[0], 1);
}

static int wait_with_deadline(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	spawn_child(context, NULL, 0);
	wait_until_begun(context, 0);
	seen.r[0] = tmgr_group_wait(context, NULL, TMGR_NOW);
	seen.r[1] = tmgr_group_wait(context, NULL, tmgr_after(10 * TMGR_MILLISECOND));
	return 0;
}

static void a_wait_ends_at_its_deadline(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(wait_with_deadline), 0);
	assert_int_equal(seen.r[0], -ETIMEDOUT);
	assert_int_equal(seen.r[1], -ETIMEDOUT);
	assert_int_equal(children[0].execute_ended, 1);
}

static int note_name_and_wait(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_context_path(context, seen.text, sizeof(seen.text));
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int wait_until_stopped(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	children[0].on_execute = note_name_and_wait;
	spawn_child(context, NULL, 0);
	seen.r[0] = tmgr_group_wait(context, NULL, TMGR_NEVER);
	seen.r[1] = children[0].execute_ended;
	seen.r[2] = spawn_child(context, NULL, 1);
	return 0;
}

static void the_parents_stop_reaches_the_children_and_is_no_error(void **state)
{
	struct probe parent = PROBE(.name = "parent", .on_execute = wait_until_stopped);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct runner runner;

	(void)state;
	fresh();
	add_parent(manager, &parent, TMGR_STRICT, NULL);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&children[0].executing, 1));
	assert_true(task_waits(manager, "parent", "group"));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(seen.r[0], 0);
	assert_int_equal(seen.r[1], 1);
	assert_int_equal(seen.r[2], -ECANCELED);
}

static int try_the_wrong_things(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	seen.r[0] = tmgr_spawn(context, NULL, probe_task(&children[0]), NULL);
	seen.r[1] = tmgr_spawn(context, NULL, tmgr_task_failed(-ENOMEM), NULL);
	seen.r[2] = tmgr_spawn(context, NULL, probe_initialize_only(&children[1]), NULL);
	seen.r[3] = tmgr_spawn(NULL, NULL, probe_execute_task(&children[2]), NULL);
	seen.r[4] = tmgr_spawn(context, foreign, probe_execute_task(&children[3]), NULL);
	seen.r[5] = tmgr_group_wait(context, foreign, TMGR_NOW);
	seen.r[6] = tmgr_group_create(NULL, NULL, &(struct tmgr_group *){ NULL });
	seen.r[7] = tmgr_group_create(context, NULL, NULL);
	return 0;
}

static int open_and_nest(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_group_create(context, NULL, &foreign);
	children[5].on_execute = try_the_wrong_things;
	children[5].end = PROBE_RETURNS;
	spawn_child(context, NULL, 5);
	seen.r[8] = tmgr_group_wait(context, NULL, TMGR_NEVER);
	tmgr_group_destroy(foreign);
	return 0;
}

static void what_is_wrong_is_refused_and_the_task_destroyed(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(open_and_nest), 0);
	assert_int_equal(seen.r[0], -EINVAL);
	assert_int_equal(seen.r[1], -ENOMEM);
	assert_int_equal(seen.r[2], -EINVAL);
	assert_int_equal(seen.r[3], -EINVAL);
	assert_int_equal(seen.r[4], -EINVAL);
	assert_int_equal(seen.r[5], -EINVAL);
	assert_int_equal(seen.r[6], -EINVAL);
	assert_int_equal(seen.r[7], -EINVAL);
	assert_int_equal(seen.r[8], 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(children[i].destroyed, 1);
		assert_int_equal(children[i].executed + children[i].initialized, 0);
	}
}

static int handle_of_child(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_handle handle;

	(void)probe;
	seen.r[0] = tmgr_spawn(context, NULL, probe_execute_task(&children[0]), &handle);
	wait_until_begun(context, 0);
	seen.r[1] = tmgr_handle_cancel(handle, 0, NULL);
	seen.r[2] = tmgr_handle_wait(context, handle, TMGR_NEVER);
	seen.r[3] = tmgr_handle_result(handle, &seen.r[4]);
	seen.r[5] = tmgr_handle_release(handle);
	seen.r[6] = tmgr_group_wait(context, NULL, TMGR_NEVER);
	return 0;
}

static void a_child_has_a_handle_like_any_task(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(run_parent(handle_of_child), 0);
	for (int i = 0; i < 7; i++)
		assert_int_equal(seen.r[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(waiting_returns_when_all_children_have_ended),
		leak_test(the_first_that_fails_cancels_the_others_and_is_the_result),
		leak_test(one_that_keeps_going_collects_errors),
		leak_test(no_more_run_at_once_than_was_said),
		leak_test(a_cancel_ends_all_and_those_queued_never_run),
		leak_test(a_group_left_open_is_cancelled_and_waited_for),
		leak_test(destroying_cancels_and_waits),
		leak_test(a_wait_ends_at_its_deadline),
		leak_test(the_parents_stop_reaches_the_children_and_is_no_error),
		leak_test(what_is_wrong_is_refused_and_the_task_destroyed),
		leak_test(a_child_has_a_handle_like_any_task),
	};

	int failed = cmocka_run_group_tests_name("group", tests, NULL, NULL);

	on_loop = true;
	return failed + cmocka_run_group_tests_name("group on a loop", tests, NULL, NULL);
}
