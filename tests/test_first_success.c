/*
 * The first success of several functions, called by tasks and coroutines everywhere.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <taskmgr/first_success.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/crowd.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

#define ATTEMPTS 5

/* What one attempt does, and what became of it. */
struct step {
	int64_t takes_ns; /* TMGR_NEVER: until it is cancelled */
	int result;
	bool deaf; /* ends with its result even if it was cancelled */
	const char *text;
	int began; /* its place among those that began, from 1; 0: never */
	int slept;
};

static struct step steps[ATTEMPTS];
static atomic_int begun, running, most;

static int take_a_step(void *self, struct tmgr_context *context)
{
	struct step *step = self;
	int now = atomic_fetch_add(&running, 1) + 1;

	if (now > atomic_load(&most))
		atomic_store(&most, now);
	step->began = atomic_fetch_add(&begun, 1) + 1;
	if (step->takes_ns == TMGR_NEVER)
		step->slept = tmgr_sleep_until(context, TMGR_NEVER);
	else
		step->slept = tmgr_sleep(context, step->takes_ns);
	atomic_fetch_sub(&running, 1);
	if (step->slept < 0 && !step->deaf)
		return step->slept;
	return step->text ? tmgr_fail(context, step->result, "%s", step->text) : step->result;
}

static void fresh(void)
{
	memset(steps, 0, sizeof(steps));
	atomic_store(&begun, 0);
	atomic_store(&running, 0);
	atomic_store(&most, 0);
}

static size_t running_max;

/* r[0] the result, r[1] the index, then the results of the first four attempts, then whether the
 * text of the error is the caller's. */
static void try_all(struct member *member, struct tmgr_context *context)
{
	struct tmgr_attempt attempts[ATTEMPTS] = { { .function = take_a_step } };
	struct tmgr_first_success first = {
		.attempts = attempts, .count = ATTEMPTS, .running_max = running_max
	};

	for (int i = 0; i < ATTEMPTS; i++)
		attempts[i] = (struct tmgr_attempt){ .function = take_a_step, .self = &steps[i] };
	member->r[0] = tmgr_first_success(context, &first, member->deadline);
	member->r[1] = (int)first.index;
	for (int i = 0; i < 4; i++)
		member->r[2 + i] = attempts[i].result;
	member->r[6] = strcmp(tmgr_context_error_text(context), "no luck") == 0;
	/* All have ended. */
	member->r[7] = atomic_load(&running);
}

static void play_everywhere(void (*play)(struct crowd *crowd, enum seat seat))
{
	struct crowd crowd;

	crowd_start(&crowd);
	for (enum seat seat = SEAT_THREAD; seat < SEATS; seat++) {
		fresh();
		running_max = 0;
		play(&crowd, seat);
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

static struct member come_and_go(struct crowd *crowd, enum seat seat)
{
	struct member member = { .deadline = TMGR_NEVER };

	crowd_enter(crowd, &member, seat, try_all);
	assert_true(member_leaves(&member));
	assert_int_equal(member.r[7], 0);
	return member;
}

static void play_one_succeeds(struct crowd *crowd, enum seat seat)
{
	struct member member;

	for (int i = 0; i < ATTEMPTS; i++)
		steps[i].takes_ns = TMGR_NEVER;
	steps[0] = (struct step){ .result = -EIO };
	steps[2] = (struct step){ .takes_ns = 3 * TMGR_MILLISECOND };
	member = come_and_go(crowd, seat);
	assert_int_equal(member.r[0], 0);
	assert_int_equal(member.r[1], 2);
	assert_int_equal(member.r[2], -EIO);
	assert_int_equal(member.r[3], -ECANCELED);
	assert_int_equal(member.r[4], 0);
	assert_int_equal(member.r[5], -ECANCELED);
}

static void the_first_that_succeeds_cancels_the_others(void **state)
{
	(void)state;
	play_everywhere(play_one_succeeds);
}

static void play_in_turn(struct crowd *crowd, enum seat seat)
{
	struct member member;

	running_max = 1;
	steps[0].result = -EIO;
	steps[1].result = -EPIPE;
	member = come_and_go(crowd, seat);
	assert_int_equal(member.r[0], 0);
	assert_int_equal(member.r[1], 2);
	assert_int_equal(atomic_load(&most), 1);
	for (int i = 0; i < ATTEMPTS; i++)
		assert_int_equal(steps[i].began, i < 3 ? i + 1 : 0);
	assert_int_equal(member.r[5], -ECANCELED);
}

static void those_that_have_not_begun_never_do(void **state)
{
	(void)state;
	play_everywhere(play_in_turn);
}

static void play_at_most_two(struct crowd *crowd, enum seat seat)
{
	struct member member;

	running_max = 2;
	for (int i = 0; i < ATTEMPTS; i++)
		steps[i] = (struct step){ .takes_ns = TMGR_MILLISECOND, .result = -EIO };
	member = come_and_go(crowd, seat);
	assert_int_equal(member.r[0], -EIO);
	assert_int_equal(atomic_load(&begun), ATTEMPTS);
	assert_true(atomic_load(&most) <= 2);
}

static void no_more_are_tried_at_once_than_was_said(void **state)
{
	(void)state;
	play_everywhere(play_at_most_two);
}

static void play_all_fail(struct crowd *crowd, enum seat seat)
{
	struct member member;

	running_max = 1;
	for (int i = 0; i < ATTEMPTS; i++)
		steps[i] = (struct step){ .result = -EIO, .text = "not this" };
	steps[ATTEMPTS - 1] = (struct step){ .result = -EPIPE, .text = "no luck" };
	member = come_and_go(crowd, seat);
	assert_int_equal(member.r[0], -EPIPE);
	assert_int_equal(member.r[1], ATTEMPTS);
	assert_int_equal(member.r[6], true);
	for (int i = 0; i < 4; i++)
		assert_int_equal(member.r[2 + i], -EIO);
}

static void when_all_fail_the_last_error_counts(void **state)
{
	(void)state;
	play_everywhere(play_all_fail);
}

static void play_cancelled(struct crowd *crowd, enum seat seat)
{
	struct member member = { .deadline = TMGR_NEVER };

	for (int i = 0; i < ATTEMPTS; i++)
		steps[i].takes_ns = TMGR_NEVER;
	running_max = 3;
	crowd_enter(crowd, &member, seat, try_all);
	assert_true(member_waits(&member, "group"));
	member_cancel(&member);
	assert_true(member_leaves(&member));
	assert_int_equal(member.r[0], -ECANCELED);
	assert_int_equal(member.r[1], ATTEMPTS);
	assert_int_equal(member.r[7], 0);
	assert_true(atomic_load(&begun) <= 3);
}

static void cancelling_the_caller_cancels_all(void **state)
{
	(void)state;
	play_everywhere(play_cancelled);
}

static void play_late(struct crowd *crowd, enum seat seat)
{
	struct member member = { .deadline = tmgr_after(5 * TMGR_MILLISECOND) };

	for (int i = 0; i < ATTEMPTS; i++)
		steps[i].takes_ns = TMGR_NEVER;
	crowd_enter(crowd, &member, seat, try_all);
	assert_true(member_leaves(&member));
	assert_int_equal(member.r[0], -ETIMEDOUT);
	assert_int_equal(member.r[1], ATTEMPTS);
	assert_int_equal(member.r[7], 0);
}

static void the_deadline_cancels_all(void **state)
{
	(void)state;
	play_everywhere(play_late);
}

static void play_two_succeed(struct crowd *crowd, enum seat seat)
{
	struct member member;

	for (int i = 0; i < ATTEMPTS; i++)
		steps[i].takes_ns = TMGR_NEVER;
	steps[1] = (struct step){ .takes_ns = TMGR_NEVER, .deaf = true };
	steps[3] = (struct step){ .takes_ns = 3 * TMGR_MILLISECOND };
	member = come_and_go(crowd, seat);
	assert_int_equal(member.r[0], 0);
	assert_int_equal(member.r[1], 3);
	/* What it made is known to be left over. */
	assert_int_equal(member.r[3], steps[1].began ? 0 : -ECANCELED);
	assert_int_equal(member.r[5], 0);
}

static void one_that_succeeds_too_late_can_be_told(void **state)
{
	(void)state;
	play_everywhere(play_two_succeed);
}

static int leave_the_thread(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	pthread_exit(NULL);
}

static void try_what_does_not_return(struct member *member, struct tmgr_context *context)
{
	struct tmgr_attempt attempt = { .function = leave_the_thread };
	struct tmgr_first_success first = { .attempts = &attempt, .count = 1 };

	member->r[0] = tmgr_first_success(context, &first, TMGR_NEVER);
	member->r[1] = attempt.result;
}

static void one_that_ends_its_thread_has_failed(void **state)
{
	struct member member;
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	/* On a loop that would end the loop. */
	crowd_enter(&crowd, &member, SEAT_THREAD, try_what_does_not_return);
	assert_true(member_leaves(&member));
	assert_int_equal(member.r[0], -TMGR_EUNEXPECTED);
	assert_int_equal(member.r[1], -TMGR_EUNEXPECTED);
	assert_int_equal(crowd_end(&crowd), 0);
}

static void try_wrong_things(struct member *member, struct tmgr_context *context)
{
	struct tmgr_attempt attempts[2] = { { .function = take_a_step, .self = &steps[0] } };
	struct tmgr_first_success first = { .attempts = attempts, .count = 1 };

	member->r[0] = tmgr_first_success(NULL, &first, TMGR_NEVER);
	member->r[1] = tmgr_first_success(context, NULL, TMGR_NEVER);
	first.count = 0;
	member->r[2] = tmgr_first_success(context, &first, TMGR_NEVER);
	first.count = 2;
	member->r[3] = tmgr_first_success(context, &first, TMGR_NEVER);
	first.attempts = NULL;
	member->r[4] = tmgr_first_success(context, &first, TMGR_NEVER);
	tmgr_sleep_until(context, TMGR_NEVER);
	first.attempts = attempts;
	first.count = 1;
	member->r[5] = tmgr_first_success(context, &first, TMGR_NEVER);
}

static void play_wrong_things(struct crowd *crowd, enum seat seat)
{
	struct member member;

	crowd_enter(crowd, &member, seat, try_wrong_things);
	assert_true(member_waits(&member, "sleep"));
	member_cancel(&member);
	assert_true(member_leaves(&member));
	for (int i = 0; i < 5; i++)
		assert_int_equal(member.r[i], -EINVAL);
	assert_int_equal(member.r[5], -ECANCELED);
	assert_int_equal(atomic_load(&begun), 0);
}

static void what_is_wrong_or_too_late_is_refused(void **state)
{
	(void)state;
	play_everywhere(play_wrong_things);
}

static void try_without_memory(struct member *member, struct tmgr_context *context)
{
	member->r[0] = 0;
	for (long k = 1; k < 40; k++) {
		struct tmgr_attempt attempts[3];
		struct tmgr_first_success first = { .attempts = attempts, .count = 3 };
		bool happened;
		int r;

		for (int i = 0; i < 3; i++) {
			steps[i] = (struct step){ .takes_ns = TMGR_NEVER };
			attempts[i] = (struct tmgr_attempt){ .function = take_a_step,
				.self = &steps[i] };
		}
		steps[2].takes_ns = 0;
		fault_fail_allocation(k);
		r = tmgr_first_success(context, &first, TMGR_NEVER);
		happened = fault_happened();
		fault_off();
		if ((r != 0 && r != -ENOMEM) || (r == 0 && first.index != 2))
			member->r[0] = r < 0 ? r : -EBADF;
		if (!happened)
			break;
		member->r[1] = (int)k;
	}
}

static void play_without_memory(struct crowd *crowd, enum seat seat)
{
	struct member member;

	crowd_enter(crowd, &member, seat, try_without_memory);
	assert_true(member_leaves(&member));
	assert_int_equal(member.r[0], 0);
	assert_true(member.r[1] >= 2 && member.r[1] < 39);
}

static void without_memory_it_ends_cleanly(void **state)
{
	(void)state;
	play_everywhere(play_without_memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(the_first_that_succeeds_cancels_the_others),
		leak_test(those_that_have_not_begun_never_do),
		leak_test(no_more_are_tried_at_once_than_was_said),
		leak_test(when_all_fail_the_last_error_counts),
		leak_test(cancelling_the_caller_cancels_all),
		leak_test(the_deadline_cancels_all),
		leak_test(one_that_succeeds_too_late_can_be_told),
		leak_test(one_that_ends_its_thread_has_failed),
		leak_test(what_is_wrong_or_too_late_is_refused),
		leak_test(without_memory_it_ends_cleanly),
	};

	return cmocka_run_group_tests_name("first success", tests, NULL, NULL);
}
