/*
 * Task groups that coroutines open: each its own, whose children are on the loop or on the pool.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <taskmgr/group.h>
#include <taskmgr/thread_call.h>

#include "tests/support/leak.h"
#include "tests/support/looped.h"

#define CHILDREN 3

/* What the body of a test sees when all has ended. */
static struct {
	int r[16];
	atomic_int begun, ended, on_this_loop;
} seen;
static struct tmgr_loop *home;

static void fresh(void)
{
	memset(&seen, 0, sizeof(seen));
	home = NULL;
}

static int until_cancelled(void *self, struct tmgr_context *context)
{
	int r;

	(void)self;
	atomic_fetch_add(&seen.begun, 1);
	if (tmgr_loop_current() != NULL && tmgr_loop_current() == home)
		atomic_fetch_add(&seen.on_this_loop, 1);
	r = tmgr_sleep_until(context, TMGR_NEVER);
	atomic_fetch_add(&seen.ended, 1);
	return r;
}

static void spawn_children(struct tmgr_context *context, struct tmgr_group *group)
{
	for (int i = 0; i < CHILDREN; i++)
		seen.r[15] |= tmgr_spawn(
			context, group, tmgr_task_function(until_cancelled, NULL), NULL);
	while (atomic_load(&seen.begun) % CHILDREN != 0 || atomic_load(&seen.begun) == 0)
		tmgr_yield(context);
}

static int leave_open(void *self, struct tmgr_context *context)
{
	struct tmgr_group *group;

	(void)self;
	seen.r[0] = tmgr_group_create(context, NULL, &group);
	spawn_children(context, group);
	return 0;
}

static int await_one_that_leaves_it_open(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine;

	(void)self;
	home = tmgr_loop_current();
	coroutine = spawned(context, "opener", leave_open, NULL);
	seen.r[1] = tmgr_coroutine_await(context, coroutine, TMGR_NEVER, NULL);
	seen.r[2] = atomic_load(&seen.ended);
	tmgr_coroutine_unref(coroutine);
	return 0;
}

static void a_group_left_open_ends_before_its_coroutine(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(looped_main(await_one_that_leaves_it_open, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(seen.r[i], 0);
	assert_int_equal(seen.r[2], CHILDREN);
	assert_int_equal(seen.on_this_loop, CHILDREN);
}

static int wait_for_children(void *self, struct tmgr_context *context)
{
	struct tmgr_group *group;
	struct tmgr_group_options options = { .on_pool = self != NULL };

	seen.r[0] = tmgr_group_create(context, &options, &group);
	spawn_children(context, group);
	seen.r[1] = tmgr_group_wait(context, group, TMGR_NEVER);
	seen.r[2] = atomic_load(&seen.ended);
	tmgr_group_destroy(group);
	return tmgr_yield(context);
}

static int cancel_the_one_that_waits(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine;

	home = tmgr_loop_current();
	coroutine = spawned(context, "waiter", wait_for_children, self);
	while (atomic_load(&seen.begun) < CHILDREN)
		tmgr_yield(context);
	seen.r[3] = tmgr_coroutine_cancel(coroutine, 0, NULL);
	seen.r[4] = tmgr_coroutine_await(context, coroutine, TMGR_NEVER, NULL);
	/* Nobody else was. */
	seen.r[5] = tmgr_yield(context);
	tmgr_coroutine_unref(coroutine);
	return 0;
}

static void cancelling_a_coroutine_cancels_its_children_and_waits_for_them(void **state)
{
	(void)state;
	for (int on_pool = 0; on_pool < 2; on_pool++) {
		fresh();
		assert_int_equal(looped_main(cancel_the_one_that_waits, on_pool ? &seen : NULL), 0);
		assert_int_equal(seen.r[0], 0);
		assert_int_equal(seen.r[1], 0);
		assert_int_equal(seen.r[2], CHILDREN);
		assert_int_equal(seen.r[3], 0);
		assert_int_equal(seen.r[4], -ECANCELED);
		assert_int_equal(seen.r[5], 0);
		assert_int_equal(seen.r[15], 0);
		assert_int_equal(seen.on_this_loop, on_pool ? 0 : CHILDREN);
	}
}

static struct tmgr_group *foreign;

static int use_anothers(void *self, struct tmgr_context *context)
{
	(void)self;
	seen.r[0] = tmgr_spawn(context, foreign, tmgr_task_function(until_cancelled, NULL), NULL);
	seen.r[1] = tmgr_group_wait(context, foreign, TMGR_NOW);
	/* The one that everybody has is one's own. */
	seen.r[2] = tmgr_spawn(context, NULL, tmgr_task_function(until_cancelled, NULL), NULL);
	return 0;
}

static int lend_it(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine;

	(void)self;
	tmgr_group_create(context, NULL, &foreign);
	coroutine = spawned(context, "borrower", use_anothers, NULL);
	seen.r[3] = tmgr_coroutine_await(context, coroutine, TMGR_NEVER, NULL);
	seen.r[4] = tmgr_group_wait(context, NULL, TMGR_NOW);
	tmgr_coroutine_unref(coroutine);
	tmgr_group_destroy(foreign);
	return 0;
}

static void a_group_is_its_coroutines_alone(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(looped_main(lend_it, NULL), 0);
	assert_int_equal(seen.r[0], -EINVAL);
	assert_int_equal(seen.r[1], -EINVAL);
	assert_int_equal(seen.r[2], 0);
	assert_int_equal(seen.r[3], 0);
	assert_int_equal(seen.r[4], 0);
}

static int fail_soon(void *self, struct tmgr_context *context)
{
	(void)self;
	tmgr_yield(context);
	return tmgr_fail(context, -EIO, "as agreed");
}

static int have_one_fail(void *self, struct tmgr_context *context)
{
	struct tmgr_group *group;
	const char *text = "";

	(void)self;
	tmgr_group_create(context, NULL, &group);
	spawn_children(context, group);
	tmgr_spawn(context, group, tmgr_task_function(fail_soon, NULL), NULL);
	seen.r[0] = tmgr_group_wait(context, group, TMGR_NEVER);
	seen.r[1] = atomic_load(&seen.ended);
	seen.r[2] = tmgr_group_error(group, 0, &seen.r[3], &text);
	seen.r[4] = strcmp(text, "as agreed");
	seen.r[5] = tmgr_group_error(group, 1, &seen.r[6], NULL);
	tmgr_group_destroy(group);
	return 0;
}

static int have_several_wait(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutine = spawned(context, "opener", have_one_fail, self);

	seen.r[7] = tmgr_coroutine_await(context, coroutine, TMGR_NEVER, NULL);
	tmgr_coroutine_unref(coroutine);
	return 0;
}

static void the_first_that_fails_cancels_the_others_of_a_coroutine(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(looped_main(have_several_wait, NULL), 0);
	assert_int_equal(seen.r[0], -EIO);
	assert_int_equal(seen.r[1], CHILDREN);
	assert_int_equal(seen.r[2], 0);
	assert_int_equal(seen.r[3], -EIO);
	assert_int_equal(seen.r[4], 0);
	assert_int_equal(seen.r[5], -ENOENT);
	assert_int_equal(seen.r[7], 0);
}

/* Children of children, on the loop and on the pool in turn, to some depth. */
static int nest(void *self, struct tmgr_context *context)
{
	struct tmgr_group_options options = { .on_pool = (intptr_t)self % 2 };
	struct tmgr_group *group;
	intptr_t depth = (intptr_t)self;
	int r;

	atomic_fetch_add(&seen.begun, 1);
	if (depth == 0)
		return tmgr_yield(context);
	r = tmgr_group_create(context, &options, &group);
	for (int i = 0; i < 3 && r == 0; i++)
		r = tmgr_spawn(context, group, tmgr_task_function(nest, (void *)(depth - 1)), NULL);
	if (r == 0)
		r = tmgr_group_wait(context, group, TMGR_NEVER);
	return r;
}

static void children_of_children_end_on_any_host(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(looped_main(nest, (void *)(intptr_t)4), 0);
	assert_int_equal(seen.begun, 1 + 3 + 9 + 27 + 81);
}

static int never_called(void *self, struct tmgr_context *context, void **ret_value)
{
	(void)self;
	(void)context;
	(void)ret_value;
	atomic_fetch_add(&seen.begun, 1);
	return 0;
}

/* Made by the loop when the coroutine whose context this is has ended. */
static void open_in_a_call(void *self)
{
	static struct tmgr_thread_call call;
	struct tmgr_context *context = self;
	struct tmgr_group *group;

	seen.r[0] = tmgr_group_create(context, NULL, &group);
	seen.r[1] = tmgr_spawn(context, NULL, tmgr_task_function(until_cancelled, NULL), NULL);
	seen.r[2] = tmgr_call_in_thread(context, &call, never_called, NULL);
}

static int leave_a_call(void *self, struct tmgr_context *context)
{
	return tmgr_loop_post(tmgr_loop_current(), self, open_in_a_call, context);
}

static void with_the_context_of_one_that_has_ended_no_group_is_opened(void **state)
{
	struct tmgr_loop_call call;

	(void)state;
	fresh();
	assert_int_equal(looped_main(leave_a_call, &call), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seen.r[i], -EINVAL);
	assert_int_equal(seen.begun, 0);
}

static int nest_without_end(void *self, struct tmgr_context *context)
{
	int r = tmgr_spawn(context, NULL, tmgr_task_function(nest_without_end, self), NULL);

	atomic_fetch_add(&seen.begun, 1);
	return r < 0 ? r : tmgr_group_wait(context, NULL, TMGR_NEVER);
}

static void children_of_children_are_refused_where_tokens_are_too_deep(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(looped_main(nest_without_end, NULL), -ELOOP);
	assert_in_range(seen.begun, TMGR_TOKEN_DEPTH_MAX / 2 - 2, TMGR_TOKEN_DEPTH_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_group_left_open_ends_before_its_coroutine),
		leak_test(cancelling_a_coroutine_cancels_its_children_and_waits_for_them),
		leak_test(a_group_is_its_coroutines_alone),
		leak_test(the_first_that_fails_cancels_the_others_of_a_coroutine),
		leak_test(children_of_children_end_on_any_host),
		leak_test(children_of_children_are_refused_where_tokens_are_too_deep),
		leak_test(with_the_context_of_one_that_has_ended_no_group_is_opened),
	};

	return cmocka_run_group_tests_name("groups of coroutines", tests, NULL, NULL);
}
