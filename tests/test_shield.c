/*
 * What mirrors a future: shields, and copies of its value.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <taskmgr/shield.h>

#include "tests/support/crowd.h"
#include "tests/support/futures.h"
#include "tests/support/leak.h"

/* What stands behind a future, and counts how often it is told to stop. */
struct engine {
	struct tmgr_future future; /* first */
	atomic_int told;
};

static void stop_engine(struct tmgr_future *future, int code, const char *text)
{
	atomic_fetch_add(&((struct engine *)(void *)future)->told, 1);
}

/* ---- Shields -------------------------------------------------------------------------------- */

static void a_shield_is_done_with_its_future(void **state)
{
	struct tmgr_shield shield;
	void *value = NULL;

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_shield_init(NULL, &futures[0]), -EINVAL);
	assert_int_equal(tmgr_shield_init(&shield, NULL), -EINVAL);
	tmgr_shield_fini(NULL);
	assert_int_equal(tmgr_shield_init(&shield, &futures[0]), 0);
	assert_int_equal(tmgr_await(NULL, &shield.future, TMGR_NOW, &value), -ETIMEDOUT);
	futures_complete(0, 0);
	assert_int_equal(tmgr_await(NULL, &shield.future, TMGR_NEVER, &value), 0);
	assert_ptr_equal(value, &futures_answer);
	tmgr_shield_fini(&shield);
	/* Of one that is done. */
	futures_complete(1, -EIO);
	assert_int_equal(tmgr_shield_init(&shield, &futures[1]), 0);
	assert_int_equal(tmgr_await(NULL, &shield.future, TMGR_NOW, &value), -EIO);
	tmgr_shield_fini(&shield);
	futures_fini();
}

static void cancelling_a_shield_leaves_the_future_alone(void **state)
{
	struct tmgr_shield shield;

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_shield_init(&shield, &futures[0]), 0);
	assert_int_equal(tmgr_future_cancel(&shield.future, 0, NULL), 0);
	assert_int_equal(tmgr_await(NULL, &shield.future, TMGR_NOW, NULL), -ECANCELED);
	assert_false(tmgr_future_done(&futures[0]));
	futures_complete(0, 0);
	assert_int_equal(tmgr_await(NULL, &shield.future, TMGR_NOW, NULL), -ECANCELED);
	tmgr_shield_fini(&shield);
	futures_fini();
}

static void a_shield_can_be_taken_back(void **state)
{
	struct tmgr_shield *shields[3];

	(void)state;
	futures_fresh();
	for (int i = 0; i < 3; i++) {
		shields[i] = malloc(sizeof(*shields[i]));
		assert_non_null(shields[i]);
		assert_int_equal(tmgr_shield_init(shields[i], &futures[0]), 0);
	}
	/* The middle, the last, and the first. */
	for (int i = 1; i < 4; i++) {
		tmgr_shield_fini(shields[i % 3]);
		free(shields[i % 3]);
	}
	futures_complete(0, 0);
	futures_fini();
}

static void shields_of_shields_go_so_deep(void **state)
{
	struct tmgr_shield shields[TMGR_SHIELD_DEPTH_MAX + 1];
	struct tmgr_future *of = &futures[0];

	(void)state;
	futures_fresh();
	for (int i = 0; i < TMGR_SHIELD_DEPTH_MAX; i++) {
		assert_int_equal(tmgr_shield_init(&shields[i], of), 0);
		of = &shields[i].future;
	}
	assert_int_equal(tmgr_shield_init(&shields[TMGR_SHIELD_DEPTH_MAX], of), -ELOOP);
	assert_int_equal(tmgr_future_cancel(&shields[8].future, 0, NULL), 0);
	futures_complete(0, -EIO);
	for (int i = TMGR_SHIELD_DEPTH_MAX - 1; i >= 0; i--) {
		assert_int_equal(tmgr_await(NULL, &shields[i].future, TMGR_NOW, NULL),
			i < 8 ? -EIO : -ECANCELED);
		tmgr_shield_fini(&shields[i]);
	}
	futures_fini();
}

struct called {
	struct tmgr_future_callback callback;
	struct tmgr_future *future;
	int count;
};

static void note_call(void *self, struct tmgr_future *future)
{
	struct called *called = self;

	called->future = future;
	called->count++;
}

static void the_callbacks_of_a_shield_are_called_with_it(void **state)
{
	struct called of_shield = { .count = 0 }, of_future = { .count = 0 };
	struct tmgr_shield shield;

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_shield_init(&shield, &futures[0]), 0);
	assert_int_equal(
		tmgr_future_on_done(&shield.future, &of_shield.callback, note_call, &of_shield), 0);
	assert_int_equal(
		tmgr_future_on_done(&futures[0], &of_future.callback, note_call, &of_future), 0);
	futures_complete(0, 0);
	assert_int_equal(of_shield.count, 1);
	assert_ptr_equal(of_shield.future, &shield.future);
	assert_int_equal(of_future.count, 1);
	assert_ptr_equal(of_future.future, &futures[0]);
	tmgr_shield_fini(&shield);
	futures_fini();
}

static void await_shielded(struct member *member, struct tmgr_context *context)
{
	struct tmgr_shield shield;

	tmgr_shield_init(&shield, member->user);
	member->r[0] = tmgr_await(context, &shield.future, TMGR_NEVER, NULL);
	tmgr_shield_fini(&shield);
}

static void who_awaits_a_shield_and_is_cancelled_leaves_the_future_alone(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (enum seat seat = SEAT_THREAD; seat < SEATS; seat++) {
		struct engine engine = { .future = { .cancel = stop_engine } };
		struct member quitter = { .user = &engine }, stayer = quitter;

		crowd_enter(&crowd, &quitter, seat, await_shielded);
		assert_true(member_waits(&quitter, "future"));
		crowd_enter(&crowd, &stayer, SEATS - 1 - seat, await_shielded);
		assert_true(member_waits(&stayer, "future"));
		member_cancel(&quitter);
		assert_true(member_leaves(&quitter));
		assert_int_equal(quitter.r[0], -ECANCELED);
		assert_int_equal(engine.told, 0);
		assert_int_equal(tmgr_future_complete(&engine.future, -EIO, NULL), 0);
		assert_true(member_leaves(&stayer));
		assert_int_equal(stayer.r[0], -EIO);
		tmgr_future_fini(&engine.future);
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

/* ---- Copies of values ----------------------------------------------------------------------- */

static void a_value_is_copied_on_success_only(void **state)
{
	struct tmgr_future_write write;
	int copy = 1;

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_future_write_to(NULL, &write, &copy, sizeof(copy)), -EINVAL);
	assert_int_equal(tmgr_future_write_to(&futures[0], NULL, &copy, sizeof(copy)), -EINVAL);
	assert_int_equal(tmgr_future_write_to(&futures[0], &write, NULL, sizeof(copy)), -EINVAL);
	assert_int_equal(tmgr_future_write_to(&futures[0], &write, &copy, sizeof(copy)), 0);
	assert_int_equal(copy, 1);
	futures_complete(0, 0);
	assert_int_equal(copy, futures_answer);
	assert_int_equal(tmgr_future_remove_write(&futures[0], &write), -ENOENT);
	/* At once. */
	copy = 1;
	assert_int_equal(tmgr_future_write_to(&futures[0], &write, &copy, sizeof(copy)), 0);
	assert_int_equal(copy, futures_answer);
	copy = 1;
	assert_int_equal(tmgr_future_write_to(&futures[1], &write, &copy, sizeof(copy)), 0);
	assert_int_equal(tmgr_future_complete(&futures[1], -EIO, &futures_answer), 0);
	assert_int_equal(copy, 1);
	assert_int_equal(tmgr_future_write_to(&futures[1], &write, &copy, sizeof(copy)), 0);
	assert_int_equal(copy, 1);
	assert_int_equal(tmgr_future_write_to(&futures[2], &write, &copy, sizeof(copy)), 0);
	assert_int_equal(tmgr_future_complete(&futures[2], 0, NULL), 0);
	assert_int_equal(copy, 1);
	futures_fini();
}

static void a_copy_can_be_taken_back(void **state)
{
	struct tmgr_future_write write;
	int copy = 1;

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_future_remove_write(&futures[0], NULL), -EINVAL);
	assert_int_equal(tmgr_future_remove_write(NULL, &write), -EINVAL);
	assert_int_equal(tmgr_future_write_to(&futures[0], &write, &copy, sizeof(copy)), 0);
	assert_int_equal(tmgr_future_remove_write(&futures[0], &write), 0);
	assert_int_equal(tmgr_future_remove_write(&futures[0], &write), -ENOENT);
	futures_complete(0, 0);
	assert_int_equal(copy, 1);
	futures_fini();
}

static void a_shield_of_a_value_is_copied_too(void **state)
{
	struct tmgr_future_write write;
	struct tmgr_shield shield;
	int copy = 1;

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_shield_init(&shield, &futures[0]), 0);
	assert_int_equal(tmgr_future_write_to(&shield.future, &write, &copy, sizeof(copy)), 0);
	futures_complete(0, 0);
	assert_int_equal(copy, futures_answer);
	tmgr_shield_fini(&shield);
	futures_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_shield_is_done_with_its_future),
		leak_test(cancelling_a_shield_leaves_the_future_alone),
		leak_test(a_shield_can_be_taken_back),
		leak_test(shields_of_shields_go_so_deep),
		leak_test(the_callbacks_of_a_shield_are_called_with_it),
		leak_test(who_awaits_a_shield_and_is_cancelled_leaves_the_future_alone),
		leak_test(a_value_is_copied_on_success_only),
		leak_test(a_copy_can_be_taken_back),
		leak_test(a_shield_of_a_value_is_copied_too),
	};

	return cmocka_run_group_tests_name("shields", tests, NULL, NULL);
}
