/*
 * Awaiting futures and cancelling them. How their waits end is in test_wait_endings, what mirrors
 * them in test_shield, waiting for several in test_several.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <taskmgr/future.h>
#include <taskmgr/sync.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/crowd.h"
#include "tests/support/futures.h"
#include "tests/support/leak.h"

static int other = 7;

/* ---- Awaiting and cancelling ---------------------------------------------------------------- */

static void awaiting_gives_the_error_or_the_value(void **state)
{
	void *value = &other;

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_await(NULL, NULL, TMGR_NEVER, &value), -EINVAL);
	assert_int_equal(tmgr_await(NULL, &futures[0], TMGR_NOW, &value), -ETIMEDOUT);
	assert_false(tmgr_future_done(&futures[0]));
	assert_ptr_equal(value, &other);
	futures_complete(0, 0);
	futures_complete(1, -EIO);
	assert_int_equal(tmgr_await(NULL, &futures[0], TMGR_NEVER, NULL), 0);
	assert_int_equal(tmgr_await(NULL, &futures[0], TMGR_NEVER, &value), 0);
	assert_ptr_equal(value, &futures_answer);
	assert_int_equal(tmgr_await(NULL, &futures[1], TMGR_NEVER, &value), -EIO);
	futures_fini();
}

static void cancelling_a_plain_one_completes_it(void **state)
{
	int error;

	(void)state;
	futures_fresh();
	assert_int_equal(tmgr_future_cancel(NULL, 0, NULL), -EINVAL);
	assert_int_equal(tmgr_future_cancel(&futures[0], 0, "no more"), 0);
	assert_int_equal(tmgr_future_result(&futures[0], &error, NULL), 0);
	assert_int_equal(error, -ECANCELED);
	assert_int_equal(tmgr_future_cancel(&futures[0], 0, NULL), -EALREADY);
	futures_fini();
}

/* Something behind a future that takes its time to stop. */
struct engine {
	struct tmgr_future future; /* first */
	atomic_int told;
	int code;
	char text[16];
};

static void stop_engine(struct tmgr_future *future, int code, const char *text)
{
	struct engine *engine = (struct engine *)(void *)future;

	engine->code = code;
	strncpy(engine->text, text ? text : "(null)", sizeof(engine->text) - 1);
	atomic_fetch_add(&engine->told, 1);
}

static void what_stands_behind_a_future_is_told_to_stop(void **state)
{
	struct engine engine = { .future = { .cancel = stop_engine } };

	(void)state;
	assert_int_equal(tmgr_future_cancel(&engine.future, -EIO, "enough"), 0);
	assert_int_equal(engine.told, 1);
	assert_int_equal(engine.code, -EIO);
	assert_string_equal(engine.text, "enough");
	assert_false(tmgr_future_done(&engine.future));
	assert_int_equal(tmgr_future_complete(&engine.future, -ECANCELED, NULL), 0);
	assert_int_equal(tmgr_future_cancel(&engine.future, 0, NULL), -EALREADY);
	assert_int_equal(engine.told, 1);
	tmgr_future_fini(&engine.future);
}

static void await_user(struct member *member, struct tmgr_context *context)
{
	member->r[0] = tmgr_await(context, member->user, member->deadline, NULL);
	member->r[1] = tmgr_future_done(member->user);
	member->r[2] = tmgr_sleep_until(context, TMGR_NOW);
}

static bool is_told(void *argument)
{
	return atomic_load(&((struct engine *)argument)->told) > 0;
}

static void who_awaits_and_is_cancelled_cancels_the_future_and_waits_for_it(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (enum seat seat = SEAT_THREAD; seat < SEATS; seat++) {
		struct engine engine = { .future = { .cancel = stop_engine } };
		struct member member = { .user = &engine, .deadline = TMGR_NEVER };

		crowd_enter(&crowd, &member, seat, await_user);
		assert_true(member_waits(&member, "future"));
		member_cancel(&member);
		assert_true(eventually(is_told, &engine));
		/* Its frame may hold what the engine uses: it waits on. */
		assert_true(member_waits(&member, "future"));
		assert_int_equal(tmgr_future_complete(&engine.future, -ECANCELED, NULL), 0);
		assert_true(member_leaves(&member));
		assert_int_equal(member.r[0], -ECANCELED);
		assert_int_equal(member.r[1], true);
		assert_int_equal(member.r[2], -ECANCELED);
		assert_int_equal(engine.told, 1);
		tmgr_future_fini(&engine.future);
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

static void who_awaits_a_plain_one_and_is_cancelled_cancels_it(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (enum seat seat = SEAT_THREAD; seat < SEATS; seat++) {
		struct member member = { .user = &futures[0], .deadline = TMGR_NEVER };
		int error;

		futures_fresh();
		crowd_enter(&crowd, &member, seat, await_user);
		assert_true(member_waits(&member, "future"));
		member_cancel(&member);
		assert_true(member_leaves(&member));
		assert_int_equal(member.r[0], -ECANCELED);
		assert_int_equal(tmgr_future_result(&futures[0], &error, NULL), 0);
		assert_int_equal(error, -ECANCELED);
		futures_fini();
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

static void await_cancelled(struct member *member, struct tmgr_context *context)
{
	member->r[1] = tmgr_sleep_until(context, TMGR_NEVER);
	member->r[0] = tmgr_await(context, member->user, TMGR_NEVER, NULL);
}

static void who_was_cancelled_before_or_is_late_touches_nothing(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (enum seat seat = SEAT_THREAD; seat < SEATS; seat++) {
		struct member member = { .user = &futures[0] };

		futures_fresh();
		crowd_enter(&crowd, &member, seat, await_cancelled);
		assert_true(member_waits(&member, "sleep"));
		member_cancel(&member);
		assert_true(member_leaves(&member));
		assert_int_equal(member.r[0], -ECANCELED);
		member.deadline = tmgr_after(TMGR_MILLISECOND);
		crowd_enter(&crowd, &member, seat, await_user);
		assert_true(member_leaves(&member));
		assert_int_equal(member.r[0], -ETIMEDOUT);
		assert_false(tmgr_future_done(&futures[0]));
		futures_fini();
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

/* ---- Callbacks of coroutines ---------------------------------------------------------------- */

struct on_loop {
	struct tmgr_future_callback callback;
	struct tmgr_loop *registered, *called;
	atomic_int count;
	struct tmgr_flag flag;
};

static void note_loop(void *self, struct tmgr_future *future)
{
	struct on_loop *on_loop = self;

	(void)future;
	on_loop->called = tmgr_loop_current();
	atomic_fetch_add(&on_loop->count, 1);
	tmgr_flag_set(&on_loop->flag);
}

static void register_callbacks(struct member *member, struct tmgr_context *context)
{
	struct on_loop *two = member->user;

	for (int i = 0; i < 2; i++) {
		two[i].registered = tmgr_loop_current();
		member->r[i] = tmgr_future_on_done(
			&futures[i], &two[i].callback, note_loop, &two[i]);
	}
	/* One comes; the other is taken back before its future is done. */
	member->r[2] = tmgr_future_remove_callback(&futures[1], &two[1].callback);
	member->r[3] = tmgr_flag_wait(context, &two[0].flag, TMGR_NEVER);
	member->r[4] = tmgr_future_remove_callback(&futures[0], &two[0].callback);
}

static void a_callback_of_a_coroutine_is_called_by_its_loop(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (enum seat seat = 0; seat < SEATS; seat++) {
		struct on_loop two[2] = { { .count = 0 } };
		struct member member = { .user = two };

		futures_fresh();
		crowd_enter(&crowd, &member, seat, register_callbacks);
		assert_true(member_waits(&member, "flag"));
		futures_complete(0, 0);
		futures_complete(1, 0);
		assert_true(member_leaves(&member));
		for (int i = 0; i < 4; i++)
			assert_int_equal(member.r[i], 0);
		assert_int_equal(member.r[4], -ENOENT);
		assert_int_equal(two[0].count, 1);
		assert_int_equal(two[1].count, 0);
		assert_ptr_equal(two[0].called, two[0].registered);
		assert_true((two[0].called != NULL) == (seat >= SEAT_LOOP));
		futures_fini();
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(awaiting_gives_the_error_or_the_value),
		leak_test(cancelling_a_plain_one_completes_it),
		leak_test(what_stands_behind_a_future_is_told_to_stop),
		leak_test(who_awaits_and_is_cancelled_cancels_the_future_and_waits_for_it),
		leak_test(who_awaits_a_plain_one_and_is_cancelled_cancels_it),
		leak_test(who_was_cancelled_before_or_is_late_touches_nothing),
		leak_test(a_callback_of_a_coroutine_is_called_by_its_loop),
	};

	return cmocka_run_group_tests_name("await", tests, NULL, NULL);
}
