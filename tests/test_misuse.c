/*
 * A daemon that misuses the library gets a message that names the task and the rule: where an error
 * can be returned as an event and in the report, and where none can by stopping the program. Each in
 * a process of its own.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <taskmgr/group.h>
#include <taskmgr/manager.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/child.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define ABORTED (1000 + SIGABRT)

static struct tmgr_manager *manager_with(const char *name, struct tmgr_task task)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	child_check_equal(tmgr_manager_add_task(manager, name, task, TMGR_STRICT), 0);
	return manager;
}

static int end_this_thread(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	pthread_exit(NULL);
}

static int wait_for_stop(void *self, struct tmgr_context *context)
{
	(void)self;
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int stop_all(void *self, struct tmgr_context *context)
{
	(void)self;
	return tmgr_manager_cancel(tmgr_context_manager(context));
}

static int exit_in_initialize(void *argument)
{
	static const struct tmgr_task_ops ops = { .initialize = end_this_thread };

	(void)argument;
	return tmgr_main(manager_with("opener", (struct tmgr_task){ &ops, NULL }));
}

static int exit_in_cleanup(void *argument)
{
	static const struct tmgr_task_ops ops = { .execute = stop_all, .cleanup = end_this_thread };

	(void)argument;
	return tmgr_main(manager_with("closer", (struct tmgr_task){ &ops, NULL }));
}

static void pthread_exit_in_initialize_and_cleanup_names_the_task(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, exit_in_initialize, NULL), ABORTED);
	assert_non_null(
		strstr(child.text, "misuse: pthread_exit() in initialize, by task \"opener\""));
	assert_int_equal(child_run(&child, exit_in_cleanup, NULL), ABORTED);
	assert_non_null(
		strstr(child.text, "misuse: pthread_exit() in cleanup, by task \"closer\""));
}

static void *wait_with(void *context)
{
	tmgr_sleep_until(context, TMGR_NEVER);
	return NULL;
}

static int lend_context(void *self, struct tmgr_context *context)
{
	pthread_t thread;

	(void)self;
	if (pthread_create(&thread, NULL, wait_with, context) != 0)
		return -EAGAIN;
	for (;;)
		tmgr_sleep(context, TMGR_MILLISECOND);
}

static int share_a_context(void *argument)
{
	(void)argument;
	return tmgr_main(manager_with("lender", tmgr_task_function(lend_context, NULL)));
}

static void two_threads_that_wait_with_one_context_are_named(void **state)
{
	struct child child;

	(void)state;
	/* The thread sanitizer ends it before: two threads write what is one's. */
	if (FAULT_TSAN)
		return;
	assert_int_equal(child_run(&child, share_a_context, NULL), ABORTED);
	assert_non_null(strstr(
		child.text, "misuse: the context of \"lender\" is used by another function"));
}

static struct tmgr_context *kept;
static struct tmgr_handle keeper;

static int keep_context(void *self, struct tmgr_context *context)
{
	(void)self;
	kept = context;
	return 0;
}

static int wait_with_what_was_kept(void *self, struct tmgr_context *context)
{
	(void)self;
	child_check_equal(tmgr_handle_wait(context, keeper, TMGR_NEVER), 0);
	return tmgr_sleep(kept, TMGR_MILLISECOND);
}

static int wait_after_the_end(void *argument)
{
	struct tmgr_task_options options = { .ret_handle = &keeper };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)argument;
	child_check_equal(tmgr_manager_add_task_with(manager, "gone",
				  tmgr_task_function(keep_context, NULL), TMGR_ERROR, &options),
		0);
	child_check_equal(tmgr_manager_add_task(manager, "late",
				  tmgr_task_function(wait_with_what_was_kept, NULL), TMGR_STRICT),
		0);
	return tmgr_main(manager);
}

static void wait_in_a_call(void *self)
{
	(void)self;
	tmgr_sleep(kept, 0);
}

static int leave_a_call_that_waits(void *self, struct tmgr_context *context)
{
	static struct tmgr_loop_call call;

	(void)self;
	kept = context;
	return tmgr_loop_post(tmgr_loop_current(), &call, wait_in_a_call, NULL);
}

static int wait_in_a_call_after_the_end(void *argument)
{
	struct tmgr_loop_options options = { .main = leave_a_call_that_waits };
	struct tmgr_loop *loop;
	struct tmgr_task task;

	(void)argument;
	child_check_equal(tmgr_loop_create(&options, &loop), 0);
	task = tmgr_loop_task(loop);
	tmgr_loop_unref(loop);
	return tmgr_main(manager_with("loop", task));
}

static void who_waits_with_the_context_of_a_function_that_has_returned_is_told(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, wait_after_the_end, NULL), ABORTED);
	assert_non_null(
		strstr(child.text, "misuse: the context of \"gone\" is used by another function"));
	assert_int_equal(child_run(&child, wait_in_a_call_after_the_end, NULL), ABORTED);
	assert_non_null(
		strstr(child.text, "misuse: the context of \"main\" is used by another function"));
}

static struct tmgr_group *opened;

static int end_the_parents_group(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	tmgr_group_destroy(opened);
	return 0;
}

static int be_busy_while_a_child_ends_its_group(void *self, struct tmgr_context *context)
{
	static struct latch never = LATCH_INIT;

	child_check_equal(tmgr_group_create(context, NULL, &opened), 0);
	child_check_equal(
		tmgr_spawn(context, opened, tmgr_task_function(end_the_parents_group, self), NULL),
		0);
	while (!latch_wait(&never))
		;
	return 0;
}

static int end_a_group_from_inside(void *argument)
{
	return tmgr_main(manager_with(
		"parent", tmgr_task_function(be_busy_while_a_child_ends_its_group, argument)));
}

static void a_child_that_ends_the_group_it_is_in_is_told(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, end_a_group_from_inside, NULL), ABORTED);
	assert_non_null(strstr(
		child.text, "misuse: the context of \"parent\" is used by another function"));
}

static int run_own_manager(void *self, struct tmgr_context *context)
{
	(void)self;
	return tmgr_manager_run(tmgr_context_manager(context), NULL);
}

static int run_twice(void *argument)
{
	(void)argument;
	return tmgr_main(manager_with("runner", tmgr_task_function(run_own_manager, NULL)));
}

static void a_task_that_runs_its_own_manager_is_named(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, run_twice, NULL), 1);
	assert_non_null(strstr(child.text, "runner: failed: run: a manager is run once"));
}

static int name_a_loop_that_does_not_run(void *argument)
{
	struct tmgr_task_options options = { .host = TMGR_HOST_LOOP };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)argument;
	child_check_equal(tmgr_loop_create(NULL, &options.loop), 0);
	child_check_equal(tmgr_manager_add_task_with(manager, "lost",
				  tmgr_task_function(wait_for_stop, NULL), TMGR_STRICT, &options),
		0);
	tmgr_loop_unref(options.loop);
	return tmgr_main(manager);
}

static void a_task_whose_loop_does_not_run_is_named_and_that_is_bad_use(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, name_a_loop_that_does_not_run, NULL), 2);
	assert_non_null(
		strstr(child.text, "lost: failed: start: its loop is neither in this manager"));
	assert_non_null(strstr(child.text, "task \"lost\": start: its loop is neither"));
}

static char seen[1024];

static void keep(void *self, const struct tmgr_event *event)
{
	size_t length = strlen(seen);

	(void)self;
	length += tmgr_event_format(event, seen + length, sizeof(seen) - length);
	if (length + 1 < sizeof(seen))
		strcat(seen, "\n");
}

static void observers_are_told_of_a_run_that_does_not_start(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	seen[0] = '\0';
	assert_int_equal(tmgr_manager_observe(manager, TMGR_LEVEL_NOTICE, keep, NULL), 0);
	assert_int_equal(tmgr_manager_add_task(
				 manager, "twice", tmgr_task_function(stop_all, NULL), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_add_task(
				 manager, "twice", tmgr_task_function(stop_all, NULL), TMGR_STRICT),
		-EEXIST);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EEXIST);
	assert_string_equal(seen, "twice: failed: add: the name is in use: File exists\n"
				  "run ended with File exists\n");
	/* Threads of the user's own that live as long as the run do not wait for ever. */
	assert_true(tmgr_token_fired(tmgr_manager_token(manager)));
	tmgr_manager_destroy(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(pthread_exit_in_initialize_and_cleanup_names_the_task),
		leak_test(two_threads_that_wait_with_one_context_are_named),
		leak_test(who_waits_with_the_context_of_a_function_that_has_returned_is_told),
		leak_test(a_child_that_ends_the_group_it_is_in_is_told),
		leak_test(a_task_that_runs_its_own_manager_is_named),
		leak_test(a_task_whose_loop_does_not_run_is_named_and_that_is_bad_use),
		leak_test(observers_are_told_of_a_run_that_does_not_start),
	};

	return cmocka_run_group_tests_name("misuse", tests, NULL, NULL);
}
