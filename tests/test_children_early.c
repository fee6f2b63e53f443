/*
 * Children of tasks that initialize, or clean up where nothing was executed: no thread of the pool
 * works yet, and the others are not to begin before all are initialized.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <taskmgr/first_success.h>
#include <taskmgr/group.h>
#include <taskmgr/thread_call.h>

#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct latch hold;
static atomic_int begun, at_once, most_at_once;

static int begin_test(void **state)
{
	latch_init(&hold);
	begun = at_once = most_at_once = 0;
	return leak_setup(state);
}

#define early_test(function) cmocka_unit_test_setup_teardown(function, begin_test, leak_teardown)

static void add(struct tmgr_manager *manager, struct probe *probe)
{
	struct tmgr_task_options options = { .cleanup_after_failed_initialize = true };

	assert_int_equal(tmgr_manager_add_task_with(
				 manager, probe->name, probe_task(probe), TMGR_ERROR, &options),
		0);
}

static int answer(void *self, struct tmgr_context *context, void **ret_value)
{
	*ret_value = self;
	return 0;
}

static int call_and_wait(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_thread_call call;
	void *value = NULL;
	int r = tmgr_call_in_thread(context, &call, answer, probe);

	if (r == 0)
		r = tmgr_thread_call_wait(context, &call, TMGR_NEVER, &value);
	return r == 0 && value != probe ? -EBADF : r;
}

static int look_at_one_in_initialize(struct probe *probe, struct tmgr_context *context)
{
	struct probe *queued = probe->user;
	int r = call_and_wait(probe, context);

	/* What is not a child waits on. */
	return r == 0 && queued->executed > 0 ? -EBADF : r;
}

static void initialize_calls_in_a_thread_and_what_is_no_child_waits(void **state)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct probe queued = PROBE(.name = "queued", .end = PROBE_RETURNS);
	struct probe a = PROBE(.name = "a", .on_initialize = look_at_one_in_initialize,
		.on_cleanup = call_and_wait, .user = &queued, .end = PROBE_RETURNS);

	(void)state;
	assert_int_equal(tmgr_manager_add_execute_task(
				 manager, "queued", probe_execute_task(&queued), TMGR_ERROR),
		0);
	add(manager, &a);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(a.cleaned_up, 1);
	assert_int_equal(queued.executed, 1);
}

static void cleanup_calls_in_a_thread_where_initialize_failed(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe a = PROBE(.name = "a", .on_cleanup = call_and_wait);
	struct probe b = PROBE(.name = "b", .initialize_result = -EIO, .on_cleanup = call_and_wait);

	(void)state;
	add(manager, &a);
	add(manager, &b);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EIO);
	assert_int_equal(tmgr_manager_report(manager)->errors, 1);
	tmgr_manager_destroy(manager);
	assert_int_equal(a.cleaned_up + b.cleaned_up, 2);
}

static int count_at_once(void *self, struct tmgr_context *context)
{
	int now = atomic_fetch_add(&at_once, 1) + 1;

	if (now > most_at_once)
		most_at_once = now;
	tmgr_sleep(context, TMGR_MILLISECOND);
	atomic_fetch_sub(&at_once, 1);
	/* The thread of the first is gone: the next needs another. */
	if (atomic_fetch_add(&begun, 1) == 0)
		pthread_exit(NULL);
	return 0;
}

static int spawn_in_turn(struct probe *probe, struct tmgr_context *context)
{
	const struct tmgr_group_options one = { .running_max = 1, .keep_going = true };
	struct tmgr_group *group;
	int r = tmgr_group_create(context, &one, &group);

	for (int i = 0; i < 4 && r == 0; i++)
		r = tmgr_spawn(context, group, tmgr_task_function(count_at_once, NULL), NULL);
	if (r == 0)
		r = tmgr_group_wait(context, group, TMGR_NEVER);
	return r == -TMGR_EUNEXPECTED ? 0 : -EBADF;
}

static void children_behind_running_max_have_their_turn_in_initialize(void **state)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct probe a = PROBE(.name = "a", .on_initialize = spawn_in_turn, .end = PROBE_RETURNS);

	(void)state;
	add(manager, &a);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(begun, 4);
	assert_int_equal(most_at_once, 1);
}

static int wait_or_win(void *self, struct tmgr_context *context)
{
	return self ? 0 : tmgr_sleep_until(context, TMGR_NEVER);
}

static int try_two(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_attempt attempts[] = { { .function = wait_or_win },
		{ .function = wait_or_win, .self = probe } };
	struct tmgr_first_success first = { .attempts = attempts, .count = 2 };
	int r = tmgr_first_success(context, &first, TMGR_NEVER);

	return r == 0 && first.index != 1 ? -EBADF : r;
}

static void the_first_success_is_found_in_initialize(void **state)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct probe a = PROBE(.name = "a", .on_initialize = try_two, .end = PROBE_RETURNS);

	(void)state;
	add(manager, &a);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
}

static int arrive_and_wait(void *self, struct tmgr_context *context)
{
	latch_arrive(&hold);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

/* It leaves them to the library. */
static int spawn_and_wait(struct probe *probe, struct tmgr_context *context)
{
	const struct tmgr_group_options one = { .running_max = 1 };
	struct tmgr_group *group;
	int r = tmgr_group_create(context, &one, &group);

	for (int i = 0; i < 3 && r == 0; i++)
		r = tmgr_spawn(context, group, tmgr_task_function(arrive_and_wait, NULL), NULL);
	return r == 0 ? tmgr_sleep_until(context, TMGR_NEVER) : r;
}

static void a_stop_ends_the_children_of_one_that_initializes(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe a = PROBE(.name = "a", .on_initialize = spawn_and_wait);
	struct runner runner;

	(void)state;
	add(manager, &a);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(a.executed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		early_test(initialize_calls_in_a_thread_and_what_is_no_child_waits),
		early_test(cleanup_calls_in_a_thread_where_initialize_failed),
		early_test(children_behind_running_max_have_their_turn_in_initialize),
		early_test(the_first_success_is_found_in_initialize),
		early_test(a_stop_ends_the_children_of_one_that_initializes),
	};

	return cmocka_run_group_tests_name("children early", tests, NULL, NULL);
}
