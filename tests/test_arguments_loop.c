/*
 * As test_arguments, for hosts, loops and coroutines: what needs none of them that runs, and what is
 * called on a loop. What a host calls has test_arguments_host.
 */
#include <errno.h>

#include <taskmgr/host.h>
#include <taskmgr/manager.h>
#include <taskmgr/tasks/coroutine.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static void nothing(void *self)
{
	(void)self;
}

static void no_line(void *self, const char *line)
{
	(void)self;
	(void)line;
}

static const struct tmgr_waiter_ops no_waits;

/* ---- Where nothing runs --------------------------------------------------------------------- */

static void of_hosts_that_are_null(void)
{
	struct tmgr_waiter waiter, *announced = NULL;

	tmgr_waiter_init(&waiter, &no_waits, &waiter);
	IS(waiter.owner == &waiter, 1);
	IS(tmgr_waiter_expire(&waiter), false);
	IS(tmgr_waiter_fire(&waiter), false);
	IS(tmgr_wait_announced(NULL, &announced, "nothing", TMGR_NOW), -EINVAL);
	tmgr_context_count_operation(NULL);
	IS(tmgr_context_interrupted(NULL), 0);
	IS(tmgr_context_waiter(NULL) == NULL, 1);
	IS(tmgr_context_executor(NULL) == NULL, 1);
	IS_TEXT(tmgr_context_waiting(NULL), "");
	IS(tmgr_context_switch(NULL) == NULL, 1);
	IS(tmgr_strand_size() > 0, 1);
	IS(tmgr_strand_token(NULL) == NULL, 1);
	IS(tmgr_strand_resume(NULL, NULL), -EINVAL);
	IS(tmgr_executor_enter(NULL, NULL), -EINVAL);
	tmgr_executor_leave(NULL);
	IS(tmgr_task_runs(tmgr_task_failed(-EIO), NULL), false);
	IS(tmgr_task_runs((struct tmgr_task){ NULL, NULL }, NULL), false);
}

static void of_loop_options(void)
{
	static const struct tmgr_loop_options bad[] = {
		{ .stack_size = 1 },
		{ .stack_size = 65535 },
		{ .stack_size = 131072 },
		{ .stack_size = SIZE_MAX },
		{ .slow_ns = -1 },
		{ .slow_ns = INT64_MIN },
		{ .stack_guard = (enum tmgr_stack_guard)2 },
		{ .stack_guard = (enum tmgr_stack_guard) - 1 },
	};
	static const size_t sizes[] = { 16384, 65536, 262144 };
	struct tmgr_loop *loop = NULL;

	IS(tmgr_loop_create(NULL, NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		IS(tmgr_loop_create(&bad[i], &loop), -EINVAL);
	IS(loop == NULL, 1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct tmgr_loop_options good = { .stack_size = sizes[i] };

		IS(tmgr_loop_create(&good, &loop), 0);
		tmgr_loop_unref(loop);
	}
}

static void of_loops_that_are_null(void)
{
	struct tmgr_loop_call call = { .scheduled = 0 };
	struct tmgr_loop_stats stats;

	IS(tmgr_loop_ref(NULL) == NULL, 1);
	tmgr_loop_unref(NULL);
	IS(tmgr_loop_weak_ref(NULL) == NULL, 1);
	tmgr_loop_weak_unref(NULL);
	IS(tmgr_loop_ended(NULL), 1);
	IS(tmgr_task_error(tmgr_loop_task(NULL)), -EINVAL);
	IS(tmgr_loop_current() == NULL, 1);
	IS(tmgr_loop_ev(NULL) == NULL, 1);
	IS(tmgr_loop_post(NULL, &call, nothing, NULL), -EINVAL);
	IS(tmgr_loop_post_or(NULL, &call, nothing, nothing, NULL), -EINVAL);
	IS(tmgr_loop_call_at(NULL, &call, TMGR_NOW, nothing, NULL), -EINVAL);
	IS(tmgr_loop_call_cancel(NULL), -EINVAL);
	IS(tmgr_loop_call_cancel(&call), -ENOENT);
	IS(tmgr_loop_wait_idle(NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_loop_stats(NULL, &stats), -EINVAL);
	IS(tmgr_loop_dump(NULL, false, no_line, NULL), -EINVAL);
	IS(tmgr_loop_spawn(NULL, no_task, NULL, NULL, NULL), -EINVAL);
}

static void of_coroutines_that_are_null(void)
{
	struct tmgr_coroutine *coroutine = NULL;
	void *value = &coroutine;

	IS(tmgr_coroutine_spawn(NULL, no_task, NULL, NULL, &coroutine), -EINVAL);
	IS(coroutine == NULL, 1);
	IS(tmgr_coroutine_ref(NULL) == NULL, 1);
	tmgr_coroutine_unref(NULL);
	IS(tmgr_coroutine_future(NULL) == NULL, 1);
	IS(tmgr_coroutine_result(NULL) == NULL, 1);
	IS(tmgr_coroutine_await(NULL, NULL, TMGR_NOW, &value), -EINVAL);
	IS(value == &coroutine, 1);
	IS(tmgr_coroutine_join(NULL, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_coroutine_cancel(NULL, 0, NULL), -EINVAL);
	IS(tmgr_coroutine_set_value(NULL, NULL), -EINVAL);
}

static void of_a_loop_that_does_not_run(void)
{
	const struct tmgr_coroutine_options at_once = { .at_once = true };
	struct tmgr_coroutine *coroutine = NULL;
	struct tmgr_loop_call call = { .scheduled = 0 };
	struct tmgr_loop_stats stats;
	struct tmgr_loop *loop = NULL;

	IS(tmgr_loop_create(NULL, &loop), 0);
	IS(tmgr_loop_post(loop, NULL, nothing, NULL), -EINVAL);
	IS(tmgr_loop_post(loop, &call, NULL, NULL), -EINVAL);
	IS(tmgr_loop_post_or(loop, NULL, nothing, nothing, NULL), -EINVAL);
	IS(tmgr_loop_post_or(loop, &call, NULL, nothing, NULL), -EINVAL);
	IS(tmgr_loop_post_or(loop, &call, nothing, NULL, NULL), -EINVAL);
	IS(tmgr_loop_call_at(loop, NULL, TMGR_NOW, nothing, NULL), -EINVAL);
	IS(tmgr_loop_call_at(loop, &call, TMGR_NOW, NULL, NULL), -EINVAL);
	IS(call.scheduled, 0);
	IS(tmgr_loop_stats(loop, NULL), -EINVAL);
	IS(tmgr_loop_stats(loop, &stats), 0);
	IS(stats.coroutines + stats.timers + stats.runnable, 0);
	IS(tmgr_loop_dump(loop, true, NULL, NULL), -EINVAL);
	IS(tmgr_loop_dump(loop, true, no_line, NULL), 0);
	IS(tmgr_loop_ev(loop) != NULL, 1);
	IS(tmgr_loop_spawn(loop, NULL, NULL, NULL, &coroutine), -EINVAL);
	IS(tmgr_loop_spawn(loop, no_task, NULL, &at_once, &coroutine), -EINVAL);
	IS(tmgr_loop_spawn(loop, no_task, NULL, NULL, &coroutine), -ESHUTDOWN);
	IS(coroutine == NULL, 1);
	tmgr_loop_unref(loop);
}

static void each_bad_argument_gives_its_error_where_nothing_runs(void **state)
{
	(void)state;
	wrong = 0;
	of_hosts_that_are_null();
	of_loop_options();
	of_loops_that_are_null();
	of_coroutines_that_are_null();
	of_a_loop_that_does_not_run();
	assert_int_equal(wrong, 0);
}

/* ---- On a loop ------------------------------------------------------------------------------ */

static int until_cancelled(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static void of_spawning(struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine = NULL, *other = NULL;
	int error = 7;
	void *value = &error;

	IS(tmgr_coroutine_spawn(context, NULL, NULL, NULL, &coroutine), -EINVAL);
	IS(coroutine == NULL, 1);
	IS(tmgr_coroutine_spawn(context, until_cancelled, NULL, NULL, &coroutine), 0);
	/* The loop of these tests has room for two. */
	IS(tmgr_coroutine_spawn(context, no_task, NULL, NULL, &other), -EAGAIN);
	IS(tmgr_loop_spawn(tmgr_loop_current(), no_task, NULL, NULL, &other), -EAGAIN);
	IS(other == NULL, 1);
	IS(tmgr_coroutine_await(context, coroutine, TMGR_NOW, &value), -ETIMEDOUT);
	IS(tmgr_coroutine_join(context, coroutine, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_future_result(tmgr_coroutine_future(coroutine), &error, &value), -EAGAIN);
	IS(tmgr_future_result(tmgr_coroutine_result(coroutine), &error, &value), -EAGAIN);
	IS(error == 7 && value == &error, 1);
	IS(tmgr_coroutine_cancel(coroutine, 0, NULL), 0);
	IS(tmgr_coroutine_cancel(coroutine, 0, NULL), -EALREADY);
	IS(tmgr_coroutine_await(context, coroutine, TMGR_NEVER, &value), -ECANCELED);
	IS(tmgr_coroutine_join(context, coroutine, TMGR_NOW), -ECANCELED);
	IS(value == &error, 1);
	IS(tmgr_coroutine_cancel(coroutine, 0, NULL), -EALREADY);
	tmgr_coroutine_unref(coroutine);
}

static void of_waiting(struct tmgr_context *context)
{
	struct tmgr_waiter *waiter = NULL;
	struct tmgr_future future = TMGR_FUTURE_INIT;

	IS(tmgr_wait_announced(context, NULL, "nothing", TMGR_NOW), -EINVAL);
	IS(tmgr_wait_announced(context, &waiter, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_wait_announced(context, &waiter, "nothing", TMGR_NOW), -ETIMEDOUT);
	IS(waiter == NULL, 1);
	IS(tmgr_context_waiter(context) != NULL, 1);
	IS(tmgr_waiter_fire(tmgr_context_waiter(context)), false);
	IS(tmgr_context_executor(context) == (struct tmgr_executor *)tmgr_loop_current(), 1);
	IS_TEXT(tmgr_context_waiting(context), "");
	tmgr_context_count_operation(context);
	IS(tmgr_await(context, NULL, TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_await(context, &future, TMGR_NOW, NULL), -ETIMEDOUT);
	IS(tmgr_future_cancel(NULL, 0, NULL), -EINVAL);
	IS(tmgr_future_cancel(&future, 0, NULL), 0);
	IS(tmgr_future_cancel(&future, 0, NULL), -EALREADY);
	IS(tmgr_await(context, &future, TMGR_NOW, NULL), -ECANCELED);
	IS(tmgr_wait_fd(context, -1, TMGR_FD_READ, TMGR_NOW), -EBADF);
	IS(tmgr_wait_fd(context, 1000000, TMGR_FD_READ, TMGR_NEVER), -EBADF);
	IS(tmgr_wait_fd(context, 0, 0, TMGR_NOW), -EINVAL);
	IS(tmgr_sleep(context, -1), 0);
	IS(tmgr_loop_wait_idle(context, TMGR_NOW), -ETIMEDOUT);
}

static void of_calls(struct tmgr_context *context)
{
	struct tmgr_loop_call call;

	IS(tmgr_loop_call_at(tmgr_loop_current(), &call, TMGR_NEVER - 1, nothing, NULL), 0);
	IS(tmgr_loop_call_cancel(&call), 0);
	IS(tmgr_loop_call_cancel(&call), -ENOENT);
	IS(tmgr_loop_call_at(tmgr_loop_current(), &call, INT64_MIN, nothing, NULL), 0);
	IS(tmgr_loop_wait_idle(context, TMGR_NEVER), 0);
	IS(tmgr_loop_call_cancel(&call), -ENOENT);
}

static int of_a_loop_inside(void *self, struct tmgr_context *context)
{
	struct tmgr_loop *loop = tmgr_loop_current();
	struct tmgr_coroutine *coroutine = NULL;
	struct tmgr_manager *inner = tmgr_manager_create(NULL);

	IS(loop == *(struct tmgr_loop **)self, 1);
	IS(tmgr_coroutine_set_value(context, self), 0);
	of_spawning(context);
	of_waiting(context);
	of_calls(context);
	IS(tmgr_executor_enter((struct tmgr_executor *)loop, context), -EBUSY);
	/* The loop runs already. */
	IS(tmgr_manager_add_task(inner, "again", tmgr_loop_task(loop), TMGR_ERROR), 0);
	tmgr_manager_destroy(inner);
	tmgr_token_cancel(tmgr_context_token(context), 0, NULL);
	IS(tmgr_coroutine_spawn(context, no_task, NULL, NULL, &coroutine), -ECANCELED);
	IS(tmgr_loop_wait_idle(context, TMGR_NEVER), -ECANCELED);
	IS(coroutine == NULL, 1);
	IS(tmgr_manager_cancel(tmgr_context_manager(context)), 0);
	return 0;
}

static void each_bad_call_on_a_loop_gives_its_error(void **state)
{
	struct tmgr_loop *loop = NULL;
	struct tmgr_loop_options options = {
		.main = of_a_loop_inside, .self = &loop, .coroutines_max = 2
	};
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_coroutine *coroutine = NULL;
	struct tmgr_loop_call call;

	(void)state;
	wrong = 0;
	assert_int_equal(tmgr_loop_create(&options, &loop), 0);
	assert_int_equal(
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_ERROR), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	/* It has ended. */
	assert_int_equal(tmgr_loop_post(loop, &call, nothing, NULL), -ESHUTDOWN);
	assert_int_equal(tmgr_loop_post_or(loop, &call, nothing, nothing, NULL), -ESHUTDOWN);
	assert_int_equal(tmgr_loop_spawn(loop, no_task, NULL, NULL, &coroutine), -ESHUTDOWN);
	manager = tmgr_manager_create(NULL);
	assert_int_equal(
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_ERROR), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EALREADY);
	tmgr_manager_destroy(manager);
	tmgr_loop_unref(loop);
	assert_int_equal(wrong, 0);
}

static int of_a_task_on_a_loop(struct probe *probe, struct tmgr_context *context)
{
	IS(tmgr_loop_current() == probe->user, 1);
	/* Its value is the task's end. */
	IS(tmgr_coroutine_set_value(context, NULL), -EINVAL);
	IS(tmgr_wait_fd(context, -1, TMGR_FD_READ, TMGR_NOW), -EBADF);
	IS(tmgr_sleep(context, -1), 0);
	IS(tmgr_uninterrupted_end(context), -EINVAL);
	return tmgr_manager_cancel(tmgr_context_manager(context));
}

static void each_bad_call_of_a_task_on_a_loop_gives_its_error(void **state)
{
	struct probe probe = PROBE(.name = "guest", .on_execute = of_a_task_on_a_loop);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options options = { 0 };

	(void)state;
	wrong = 0;
	assert_int_equal(tmgr_loop_create(NULL, &options.loop), 0);
	probe.user = options.loop;
	tmgr_manager_add_task(manager, "loop", tmgr_loop_task(options.loop), TMGR_STRICT);
	tmgr_manager_add_task_with(manager, "guest", probe_task(&probe), TMGR_STRICT, &options);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	tmgr_loop_unref(options.loop);
	assert_int_equal(wrong, 0);
}

static void a_loop_that_nobody_runs_is_refused(void **state)
{
	struct probe probe = PROBE(.name = "guest");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options options = { 0 }, bad = { .stack_size = 1 << 20 };

	(void)state;
	wrong = 0;
	assert_int_equal(tmgr_loop_create(NULL, &options.loop), 0);
	bad.loop = options.loop;
	IS(tmgr_manager_add_execute_task_with(
		   manager, "guest", probe_execute_task(&probe), TMGR_ERROR, &bad),
		-EINVAL);
	tmgr_manager_destroy(manager);
	manager = tmgr_manager_create(NULL);
	IS(tmgr_manager_add_task_with(manager, "guest", probe_task(&probe), TMGR_STRICT, &options),
		0);
	IS(tmgr_manager_run(manager, NULL), -EINVAL);
	IS(probe.initialized + probe.executed, 0);
	tmgr_manager_destroy(manager);
	tmgr_loop_unref(options.loop);
	IS(probe.destroyed, 2);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_bad_argument_gives_its_error_where_nothing_runs),
		leak_test(each_bad_call_on_a_loop_gives_its_error),
		leak_test(each_bad_call_of_a_task_on_a_loop_gives_its_error),
		leak_test(a_loop_that_nobody_runs_is_refused),
	};

	return cmocka_run_group_tests_name("arguments loop", tests, NULL, NULL);
}
