/*
 * Every wait of the core, in every place it can be begun in, with every ending: done, done before,
 * cancelled, cancelled before, late, tried once, in an uninterrupted scope. And of two who wait one
 * is cancelled or late, and the other does not notice.
 *
 * The body of a test is a plain thread that makes the wait end.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/support/crowd.h"
#include "tests/support/leak.h"
#include "tests/support/seeded.h"
#include "tests/support/waitables.h"

static void wait_once(struct member *member, struct tmgr_context *context)
{
	const struct waitable *waitable = member->user;

	member->r[0] = waitable->wait(context, member->deadline);
	if (member->r[0] == 0 && waitable->after)
		waitable->after(context);
}

static void wait_cancelled(struct member *member, struct tmgr_context *context)
{
	const struct waitable *waitable = member->user;

	member->r[1] = tmgr_sleep_until(context, TMGR_NEVER);
	member->r[0] = waitable->wait(context, member->deadline);
	member->r[2] = waitable->wait(context, TMGR_NOW);
}

static void wait_uninterrupted(struct member *member, struct tmgr_context *context)
{
	const struct waitable *waitable = member->user;

	member->r[1] = tmgr_uninterrupted_begin(context, member->deadline);
	member->r[0] = waitable->wait(context, TMGR_NEVER);
	if (member->r[0] == 0 && waitable->after)
		waitable->after(context);
	tmgr_uninterrupted_end(context);
}

/* One member in one seat. */
struct scene {
	const struct waitable *waitable;
	enum seat seat;
	struct crowd *crowd;
	struct member member;
};

static void begin(struct scene *scene, member_function *function, int64_t deadline)
{
	scene->member.user = (void *)(uintptr_t)scene->waitable;
	scene->member.deadline = deadline;
	crowd_enter(scene->crowd, &scene->member, scene->seat, function);
}

static void leaves_with(struct scene *scene, int expected, const char *how)
{
	assert_true(member_leaves(&scene->member));
	if (scene->member.r[0] != expected)
		fail_msg("%s on %s, %s: %d", scene->waitable->name, seat_name(scene->seat), how,
			scene->member.r[0]);
}

static void play_done(struct scene *scene)
{
	begin(scene, wait_once, TMGR_NEVER);
	assert_true(member_waits(&scene->member, scene->waitable->what));
	scene->waitable->end();
	leaves_with(scene, 0, "done");
}

static void play_done_before(struct scene *scene)
{
	scene->waitable->end();
	begin(scene, wait_once, TMGR_NOW);
	leaves_with(scene, 0, "done before");
}

static void play_cancelled(struct scene *scene)
{
	if (scene->seat == SEAT_PLAIN)
		return;
	begin(scene, wait_once, TMGR_NEVER);
	assert_true(member_waits(&scene->member, scene->waitable->what));
	member_cancel(&scene->member);
	leaves_with(scene, -ECANCELED, "cancelled");
}

static void play_cancelled_before(struct scene *scene)
{
	if (scene->seat == SEAT_PLAIN)
		return;
	scene->waitable->end();
	begin(scene, wait_cancelled, TMGR_NEVER);
	assert_true(member_waits(&scene->member, "sleep"));
	member_cancel(&scene->member);
	leaves_with(scene, -ECANCELED, "cancelled before");
	assert_int_equal(scene->member.r[1], -ECANCELED);
	assert_int_equal(scene->member.r[2], -ECANCELED);
}

static void play_late(struct scene *scene)
{
	int64_t begun = tmgr_now(), late = begun + 3 * TMGR_MILLISECOND;

	begin(scene, wait_once, late);
	leaves_with(scene, -ETIMEDOUT, "late");
	assert_true(tmgr_now() >= late);
	assert_true(tmgr_now() < late + 20 * TMGR_SECOND);
}

static void play_tried(struct scene *scene)
{
	begin(scene, wait_once, TMGR_NOW);
	leaves_with(scene, -ETIMEDOUT, "tried once");
}

static void play_past(struct scene *scene)
{
	begin(scene, wait_once, tmgr_now() - 1);
	leaves_with(scene, -ETIMEDOUT, "with a deadline in the past");
}

static void play_uninterrupted(struct scene *scene)
{
	if (scene->seat == SEAT_PLAIN)
		return;
	begin(scene, wait_uninterrupted, TMGR_NEVER);
	assert_true(member_waits(&scene->member, scene->waitable->what));
	member_cancel(&scene->member);
	scene->waitable->end();
	leaves_with(scene, 0, "cancelled in an uninterrupted scope");
}

static void play_uninterrupted_late(struct scene *scene)
{
	if (scene->seat == SEAT_PLAIN)
		return;
	begin(scene, wait_uninterrupted, tmgr_after(3 * TMGR_MILLISECOND));
	leaves_with(scene, -ETIMEDOUT, "at the end of an uninterrupted scope");
}

static void play_everywhere(void (*play)(struct scene *scene))
{
	struct crowd crowd;

	crowd_start(&crowd);
	for (size_t i = 0; i < WAITABLES; i++) {
		for (enum seat seat = 0; seat < SEATS; seat++) {
			struct scene scene = {
				.waitable = &waitables[i], .seat = seat, .crowd = &crowd
			};

			scene.waitable->init();
			play(&scene);
			scene.waitable->fini();
		}
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

#define EVERYWHERE(name, play)           \
	static void name(void **state)   \
	{                                \
		(void)state;             \
		play_everywhere((play)); \
	}

EVERYWHERE(what_is_waited_for_ends_the_wait, play_done)
EVERYWHERE(what_has_come_before_is_taken_at_once, play_done_before)
EVERYWHERE(a_cancel_ends_the_wait, play_cancelled)
EVERYWHERE(a_wait_begun_after_the_cancel_takes_nothing, play_cancelled_before)
EVERYWHERE(a_deadline_ends_the_wait, play_late)
EVERYWHERE(a_deadline_of_now_tries_once, play_tried)
EVERYWHERE(a_deadline_in_the_past_tries_once, play_past)
EVERYWHERE(a_cancel_does_not_end_a_wait_in_an_uninterrupted_scope, play_uninterrupted)
EVERYWHERE(the_deadline_of_an_uninterrupted_scope_does, play_uninterrupted_late)

/* Two wait, in all pairs of seats; one of them gives up, the other is served. */
static void play_pair(struct scene *quitter, struct scene *stayer, bool quitter_first)
{
	struct scene *first = quitter_first ? quitter : stayer;
	struct scene *second = quitter_first ? stayer : quitter;
	const struct waitable *waitable = quitter->waitable;

	waitable->init();
	begin(first, wait_once, TMGR_NEVER);
	assert_true(member_waits(&first->member, waitable->what));
	begin(second, wait_once, TMGR_NEVER);
	assert_true(member_waits(&second->member, waitable->what));
	member_cancel(&quitter->member);
	leaves_with(quitter, -ECANCELED, "cancelled beside another");
	assert_true(member_waits(&stayer->member, waitable->what));
	waitable->end();
	leaves_with(stayer, 0, "beside one that was cancelled");
	waitable->fini();
}

static void one_that_is_cancelled_leaves_the_other_alone(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (size_t i = 0; i < WAITABLES; i++) {
		for (int pair = 0; pair < SEATS * SEATS * 2; pair++) {
			struct scene quitter = { .waitable = &waitables[i], .crowd = &crowd };
			struct scene stayer = quitter;

			quitter.seat = (enum seat)(pair / 2 % SEATS);
			stayer.seat = (enum seat)(pair / 2 / SEATS);
			if (quitter.seat == SEAT_PLAIN)
				continue;
			play_pair(&quitter, &stayer, pair % 2 == 0);
		}
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

/* The end and the cancel of a wait at the same time, as it begins: who waits gets what it waited for
 * or the cancel, and in that case it is left for others. */
static void wait_and_keep(struct member *member, struct tmgr_context *context)
{
	const struct waitable *waitable = member->user;

	member->r[0] = waitable->wait(context, member->deadline);
}

static void spin(unsigned *seed)
{
	for (int i = rand_r(seed) % 3000; i > 0; i--)
		__asm__ volatile("");
}

static void play_race(struct scene *scene, unsigned *seed)
{
	bool end_first = rand_r(seed) % 2, late = rand_r(seed) % 4 == 0;
	int r;

	scene->waitable->init();
	begin(scene, wait_and_keep, late ? tmgr_after(30 * TMGR_MICROSECOND) : TMGR_NEVER);
	spin(seed);
	if (end_first)
		scene->waitable->end();
	spin(seed);
	member_cancel(&scene->member);
	spin(seed);
	if (!end_first)
		scene->waitable->end();
	assert_true(member_leaves(&scene->member));
	r = scene->waitable->wait(NULL, TMGR_NOW);
	if (scene->member.r[0] == 0 ? r != -ETIMEDOUT : r != 0)
		fail_msg("%s on %s: %d, and %d left", scene->waitable->name, seat_name(scene->seat),
			scene->member.r[0], r);
	scene->waitable->fini();
}

static void what_one_that_is_cancelled_did_not_get_is_left_for_others(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();
	struct crowd crowd;

	(void)state;
	crowd_start(&crowd);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < WAITABLES; i++) {
			for (enum seat seat = SEAT_THREAD; seat < SEATS; seat++) {
				struct scene scene = {
					.waitable = &waitables[i], .seat = seat, .crowd = &crowd
				};

				if (waitables[i].taken)
					play_race(&scene, &seed);
			}
		}
	}
	assert_int_equal(crowd_end(&crowd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(what_is_waited_for_ends_the_wait),
		leak_test(what_has_come_before_is_taken_at_once),
		leak_test(a_cancel_ends_the_wait),
		leak_test(a_wait_begun_after_the_cancel_takes_nothing),
		leak_test(a_deadline_ends_the_wait),
		leak_test(a_deadline_of_now_tries_once),
		leak_test(a_deadline_in_the_past_tries_once),
		leak_test(a_cancel_does_not_end_a_wait_in_an_uninterrupted_scope),
		leak_test(the_deadline_of_an_uninterrupted_scope_does),
		leak_test(one_that_is_cancelled_leaves_the_other_alone),
		leak_test(what_one_that_is_cancelled_did_not_get_is_left_for_others),
	};

	return cmocka_run_group_tests_name("wait endings", tests, NULL, NULL);
}
