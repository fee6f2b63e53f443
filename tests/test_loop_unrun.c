/*
 * A loop that never runs: it has ended with its last reference, and who posted and waits is told.
 */
#include <errno.h>
#include <pthread.h>

#include "taskmgr/base/check.h"

#include "tests/support/leak.h"
#include "tests/support/looped.h"
#include "tests/support/recorder.h"

static struct recorder recorder = RECORDER_INIT;

static void make(void *self)
{
	recorder_add(&recorder, "made%d", *(int *)self);
}

static void do_instead(void *self)
{
	recorder_add(&recorder, "instead%d%s", *(int *)self, tmgr_loop_current() ? "!" : "");
}

static struct tmgr_loop *new_loop(void)
{
	struct tmgr_loop *loop;

	recorder_clear(&recorder);
	assert_int_equal(tmgr_loop_create(NULL, &loop), 0);
	return loop;
}

static void what_was_posted_is_not_made_but_what_is_to_be_called_instead_in_order(void **state)
{
	struct tmgr_loop *loop = new_loop();
	struct tmgr_loop_call calls[4];
	int numbers[] = { 0, 1, 2, 3 };

	(void)state;
	assert_int_equal(tmgr_loop_post(loop, &calls[0], make, &numbers[0]), 0);
	assert_int_equal(tmgr_loop_post_or(loop, &calls[1], make, do_instead, &numbers[1]), 0);
	assert_int_equal(tmgr_loop_post_or(loop, &calls[2], make, do_instead, &numbers[2]), 0);
	assert_int_equal(tmgr_loop_post(loop, &calls[3], make, &numbers[3]), 0);
	tmgr_loop_ref(loop);
	tmgr_loop_unref(loop);
	assert_string_equal(recorder_text(&recorder), "");
	tmgr_loop_unref(loop);
	assert_string_equal(recorder_text(&recorder), "instead1 instead2");
}

static int end_at_once(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	return 0;
}

static void a_loop_that_runs_makes_them(void **state)
{
	struct tmgr_loop_options options = { .main = end_at_once };
	struct tmgr_loop_call calls[2];
	struct hosted hosted;
	struct tmgr_loop *loop;
	int numbers[] = { 0, 1 };

	(void)state;
	recorder_clear(&recorder);
	assert_int_equal(tmgr_loop_create(&options, &loop), 0);
	assert_int_equal(tmgr_loop_post(loop, &calls[0], make, &numbers[0]), 0);
	assert_int_equal(tmgr_loop_post_or(loop, &calls[1], make, do_instead, &numbers[1]), 0);
	hosted_start(&hosted, tmgr_loop_task(loop));
	assert_int_equal(hosted_end(&hosted).result, 0);
	assert_true(tmgr_loop_ended(loop));
	assert_int_equal(
		tmgr_loop_post_or(loop, &calls[1], make, do_instead, &numbers[1]), -ESHUTDOWN);
	tmgr_loop_unref(loop);
	assert_string_equal(recorder_text(&recorder), "made0 made1");
}

static void a_weak_reference_keeps_its_memory_and_not_the_loop(void **state)
{
	struct tmgr_loop *loop = new_loop();
	struct tmgr_loop_call calls[2];
	int numbers[] = { 0, 1 };

	(void)state;
	assert_ptr_equal(tmgr_loop_weak_ref(loop), loop);
	assert_ptr_equal(tmgr_loop_weak_ref(loop), loop);
	tmgr_loop_weak_unref(loop);
	assert_int_equal(tmgr_loop_post_or(loop, &calls[0], make, do_instead, &numbers[0]), 0);
	assert_false(tmgr_loop_ended(loop));
	tmgr_loop_unref(loop);
	assert_true(tmgr_loop_ended(loop));
	assert_string_equal(recorder_text(&recorder), "instead0");
	assert_int_equal(
		tmgr_loop_post_or(loop, &calls[1], make, do_instead, &numbers[1]), -ESHUTDOWN);
	assert_int_equal(tmgr_loop_post(loop, &calls[1], make, &numbers[1]), -ESHUTDOWN);
	tmgr_loop_weak_unref(loop);
	assert_string_equal(recorder_text(&recorder), "instead0");
}

static void nor_does_one_that_is_given_back_before(void **state)
{
	struct tmgr_loop *loop = tmgr_loop_weak_ref(new_loop());
	struct tmgr_loop_call call;
	int number = 0;

	(void)state;
	tmgr_loop_weak_unref(loop);
	assert_int_equal(tmgr_loop_post_or(loop, &call, make, do_instead, &number), 0);
	tmgr_loop_unref(loop);
	assert_string_equal(recorder_text(&recorder), "instead0");
}

static void arguments_that_are_missing_are_refused(void **state)
{
	struct tmgr_loop *loop = new_loop();
	struct tmgr_loop_call call;

	(void)state;
	assert_null(tmgr_loop_weak_ref(NULL));
	assert_true(tmgr_loop_ended(NULL));
	tmgr_loop_weak_unref(NULL);
	assert_int_equal(tmgr_loop_post_or(NULL, &call, make, do_instead, NULL), -EINVAL);
	assert_int_equal(tmgr_loop_post_or(loop, NULL, make, do_instead, NULL), -EINVAL);
	assert_int_equal(tmgr_loop_post_or(loop, &call, NULL, do_instead, NULL), -EINVAL);
	assert_int_equal(tmgr_loop_post_or(loop, &call, make, NULL, NULL), -EINVAL);
	assert_int_equal(tmgr_loop_post(NULL, &call, make, NULL), -EINVAL);
	assert_int_equal(tmgr_loop_post(loop, NULL, make, NULL), -EINVAL);
	assert_int_equal(tmgr_loop_post(loop, &call, NULL, NULL), -EINVAL);
	tmgr_loop_unref(loop);
}

/* ---- Beside those who post ------------------------------------------------------------------- */

#define POSTS_MAX 1000

struct posting {
	struct tmgr_loop *loop;
	struct tmgr_loop_call calls[POSTS_MAX];
	struct latch began, told;
	unsigned posted;
	int result;
};

static void tell(void *self)
{
	latch_arrive(self);
}

static void *post_until_refused(void *argument)
{
	struct posting *posting = argument;

	do {
		posting->result = tmgr_loop_post_or(posting->loop, &posting->calls[posting->posted],
			tell, tell, &posting->told);
		posting->posted += posting->result == 0;
		latch_arrive(&posting->began);
	} while (posting->result == 0 && posting->posted < POSTS_MAX);
	tmgr_loop_weak_unref(posting->loop);
	return NULL;
}

static void what_is_posted_as_it_goes_is_told_or_refused(void **state)
{
	static struct posting posting[2];

	(void)state;
	for (int round = 0; round < 50; round++) {
		struct tmgr_loop *loop = new_loop();
		pthread_t threads[2];

		for (size_t i = 0; i < ARRAY_SIZE(posting); i++) {
			posting[i].loop = tmgr_loop_weak_ref(loop);
			posting[i].posted = 0;
			latch_init(&posting[i].began);
			latch_init(&posting[i].told);
			assert_int_equal(
				pthread_create(&threads[i], NULL, post_until_refused, &posting[i]),
				0);
			assert_true(latch_arrived(&posting[i].began, 1));
		}
		tmgr_loop_unref(loop);
		for (size_t i = 0; i < ARRAY_SIZE(posting); i++) {
			pthread_join(threads[i], NULL);
			assert_true(
				posting[i].result == -ESHUTDOWN || posting[i].posted == POSTS_MAX);
			assert_true(latch_arrived(&posting[i].told, posting[i].posted));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(what_was_posted_is_not_made_but_what_is_to_be_called_instead_in_order),
		leak_test(a_loop_that_runs_makes_them),
		leak_test(a_weak_reference_keeps_its_memory_and_not_the_loop),
		leak_test(nor_does_one_that_is_given_back_before),
		leak_test(arguments_that_are_missing_are_refused),
		leak_test(what_is_posted_as_it_goes_is_told_or_refused),
	};

	return cmocka_run_group_tests_name("loops that do not run", tests, NULL, NULL);
}
