/*
 * A loop ends, whenever it is told to and whoever is about to come or go just then.
 */
#include <errno.h>
#include <pthread.h>

#include <taskmgr/host.h>

#include "tests/support/fault.h"
#include "tests/support/looped.h"
#include "tests/support/recorded.h"

/* ---- Main ----------------------------------------------------------------------------------- */

/* Executes a loop under a token that has fired before. */
static int execute_stopped(void *self, struct tmgr_context *context)
{
	struct tmgr_task task = tmgr_loop_task(self);
	struct tmgr_token *token;
	int r = tmgr_token_create(tmgr_context_token(context), &token);

	if (r != 0)
		return r;
	tmgr_token_cancel(token, 0, NULL);
	r = tmgr_task_execute_under(task, context, token);
	IS(r, -ECANCELED);
	tmgr_token_unref(token);
	tmgr_task_destroy(task);
	return 0;
}

static int say_that_it_ran(void *self, struct tmgr_context *context)
{
	*(bool *)self = true;
	return 0;
}

static void a_loop_told_to_stop_before_mains_first_turn_ends(void **state)
{
	bool ran = false;
	struct tmgr_loop_options options = { .main = say_that_it_ran, .self = &ran };
	struct tmgr_loop *loop;

	assert_int_equal(tmgr_loop_create(&options, &loop), 0);
	assert_int_equal(hosted_run(tmgr_task_function(execute_stopped, loop)).result, 0);
	assert_false(ran);
	tmgr_loop_unref(loop);
}

static int sleep_until_cancelled(void *self, struct tmgr_context *context)
{
	IS(tmgr_sleep_until(context, TMGR_NEVER), -ECANCELED);
	return -ECANCELED;
}

static int spawn_once_cancelled(void *self, struct tmgr_context *context)
{
	sleep_until_cancelled(NULL, context);
	IS(tmgr_loop_spawn(self, sleep_until_cancelled, NULL, NULL, NULL), -ESHUTDOWN);
	return -ECANCELED;
}

struct failing {
	struct tmgr_loop *loop;
	struct tmgr_coroutine *late;
	int spawned;
};

static void *spawn_from_outside(void *argument)
{
	struct failing *failing = argument;

	failing->spawned = tmgr_loop_spawn(
		failing->loop, sleep_until_cancelled, NULL, NULL, &failing->late);
	return NULL;
}

/* What is spawned from outside starts when this, which does not give the loop back, has failed. */
static int fail_meanwhile(void *self, struct tmgr_context *context)
{
	struct failing *failing = self;
	pthread_t thread;

	failing->loop = tmgr_loop_current();
	spawn(context, "other", spawn_once_cancelled, failing->loop);
	settle(context);
	IS(pthread_create(&thread, NULL, spawn_from_outside, failing), 0);
	IS(pthread_join(thread, NULL), 0);
	return -EIO;
}

static void an_error_of_main_cancels_what_is_just_being_spawned(void **state)
{
	struct failing failing = { .spawned = 1 };

	assert_int_equal(looped_main(fail_meanwhile, &failing), -EIO);
	assert_int_equal(failing.spawned, 0);
	assert_int_equal(tmgr_coroutine_await(NULL, failing.late, TMGR_NOW, NULL), -ECANCELED);
	tmgr_coroutine_unref(failing.late);
}

struct unmade {
	struct tmgr_loop *loop;
	struct tmgr_loop_call call;
	int spawned;
};

static void spawn_from_a_call(void *self)
{
	struct unmade *unmade = self;

	unmade->spawned = tmgr_loop_spawn(unmade->loop, sleep_until_cancelled, NULL, NULL, NULL);
}

/* What comes in its first turn would keep it: nobody is left who has the loop end. */
static void a_loop_without_memory_for_main_takes_nothing_and_ends(void **state)
{
	bool ran = false;
	struct tmgr_loop_options options = { .main = say_that_it_ran, .self = &ran };
	struct unmade unmade = { .spawned = 1 };
	struct hosted hosted;
	struct ending ending;

	options.stack_size = 256 * 1024;
	options.stack_guard = TMGR_STACK_GUARD_CANARY;
	assert_int_equal(tmgr_loop_create(&options, &unmade.loop), 0);
	assert_int_equal(tmgr_loop_post(unmade.loop, &unmade.call, spawn_from_a_call, &unmade), 0);
	/* No stack of this kind was made before. */
	fault_fail_mapping(1);
	hosted_start(&hosted, tmgr_loop_task(unmade.loop));
	ending = hosted_end(&hosted);
	assert_true(fault_happened());
	fault_off();
	assert_int_equal(ending.result, -ENOMEM);
	assert_int_equal(unmade.spawned, -ESHUTDOWN);
	assert_false(ran);
	tmgr_loop_unref(unmade.loop);
}

/* ---- Those who wait for the last ------------------------------------------------------------- */

/* Of every 256 operations one lets others run, wherever in the join that is. */
#define OPERATIONS 256

static int return_0(void *self, struct tmgr_context *context)
{
	return 0;
}

static int end_before_its_child(void *self, struct tmgr_context *context)
{
	const int *operations = self;

	/* Counted from here. */
	IS(tmgr_sleep(context, TMGR_MILLISECOND), 0);
	spawn(context, "child", return_0, NULL);
	for (int i = 0; i < *operations; i++)
		tmgr_context_count_operation(context);
	return 0;
}

static int add_those_with_children(void *self, struct tmgr_context *context)
{
	const struct tmgr_task_options on = { .loop = tmgr_loop_current() };
	static int operations[OPERATIONS];

	for (int i = 0; i < OPERATIONS; i++) {
		operations[i] = i;
		IS(tmgr_manager_add_execute_task_with(tmgr_context_manager(context), "parent",
			   tmgr_task_function(end_before_its_child, &operations[i]), TMGR_ERROR,
			   &on),
			0);
	}
	return 0;
}

static void a_task_that_waits_for_its_last_coroutine_is_woken(void **state)
{
	assert_int_equal(looped_main(add_those_with_children, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(a_loop_told_to_stop_before_mains_first_turn_ends),
		recorded_test(an_error_of_main_cancels_what_is_just_being_spawned),
		recorded_test(a_loop_without_memory_for_main_takes_nothing_and_ends),
		recorded_test(a_task_that_waits_for_its_last_coroutine_is_woken),
	};

	return cmocka_run_group_tests_name("loop_ends", tests, NULL, NULL);
}
