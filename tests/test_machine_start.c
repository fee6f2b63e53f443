/*
 * The start of a machine's task where somebody else is at the machine, or a handler postpones it: what
 * becomes of it later is the task's.
 */
#include <errno.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/actor.h"
#include "tests/support/crew.h"
#include "tests/support/hosted.h"
#include "tests/support/latch.h"
#include "tests/support/looped.h"
#include "tests/support/rig.h"

static const struct tmgr_machine_state service[] = {
	RIG_PLAIN(A), /* its start */
	RIG_PLAIN(B), /* somebody is in its handler */
	RIG_PLAIN(C), /* it is done */
	/* What the start may be postponed for ends by a timeout. */
	RIG_ROW(D, .timeout = { .ns = 20 * TMGR_MILLISECOND,
			   .kind = TMGR_MUTATION_REMOVE,
			   .states = TMGR_STATES(D) }),
};

#define STATE_COUNT (sizeof(service) / sizeof(service[0]))

/* A machine whose BState is held by another thread; the start meets `words` then. */
struct starting {
	struct rig rig;
	struct latch latch;
	struct actor actor;
	struct hosted hosted;
};

/*
 * A start that does what the words say, one after another: p postpones, d does while DState is there, r
 * refuses, f fails.
 */
static bool meet(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	struct starting *starting = rig->user;

	if (strcmp(name, "BState") == 0)
		latch_wait(&starting->latch);
	if (strcmp(name, "AEnter") != 0 || !rig->words || !*rig->words)
		return true;
	switch (*rig->words++) {
	case 'p':
		return tmgr_machine_postpone(event);
	case 'd':
		return !tmgr_machine_is(rig->machine, D) || tmgr_machine_postpone(event);
	case 'f':
		return tmgr_machine_fail(event, -EPROTO, "a bad answer");
	default:
		return false;
	}
}

static void begin_with(
	struct starting *starting, const char *words, const struct tmgr_machine_options *options)
{
	*starting = (struct starting){
		.rig = { .act = meet, .user = starting },
		.actor = ACTOR_INIT,
	};
	latch_init(&starting->latch);
	rig_make(&starting->rig, service, STATE_COUNT, options);
	starting->rig.words = words;
}

static void begin(struct starting *starting, const char *words)
{
	begin_with(starting, words, NULL);
}

static void start(struct starting *starting, struct tmgr_machine_task_options options)
{
	options.start = TMGR_STATES(A);
	hosted_start(&starting->hosted,
		tmgr_machine_task(tmgr_machine_ref(starting->rig.machine), &options));
}

static void add_b(void *argument, struct tmgr_context *context)
{
	struct starting *starting = argument;

	(void)context;
	tmgr_machine_add(starting->rig.machine, B, NULL);
}

static bool start_is_queued(void *argument)
{
	struct starting *starting = argument;

	return tmgr_machine_is_queued(starting->rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(A));
}

/* Start it while another thread is at the machine, and let that go on. */
static void start_behind(struct starting *starting, struct tmgr_machine_task_options options)
{
	actor_start(&starting->actor);
	actor_begin(&starting->actor, add_b, starting);
	assert_true(latch_arrived(&starting->latch, 1));
	start(starting, options);
	assert_true(eventually(start_is_queued, starting));
	latch_open(&starting->latch);
	assert_true(actor_finishes(&starting->actor));
	actor_quit(&starting->actor);
}

static void ends_with(struct ending ending, int result, const char *text)
{
	assert_int_equal(ending.result, result);
	assert_string_equal(ending.text, text);
}

static void a_start_that_is_refused_when_its_turn_comes_is_an_error(void **state)
{
	struct starting starting;

	begin(&starting, "r");
	start_behind(&starting, (struct tmgr_machine_task_options){ .start = NULL });
	ends_with(hosted_end(&starting.hosted), -EPERM, "machine refuses to start");
	rig_end(&starting.rig);
}

static void one_that_is_made_then_is_none(void **state)
{
	struct starting starting;

	begin(&starting, "");
	start_behind(&starting, (struct tmgr_machine_task_options){ .done = TMGR_STATES(A, B) });
	ends_with(hosted_end(&starting.hosted), 0, "");
	rig_end(&starting.rig);
}

static void a_start_that_is_postponed_may_be_refused_later(void **state)
{
	struct starting starting;

	begin(&starting, "ppr");
	start(&starting, (struct tmgr_machine_task_options){ .start = NULL });
	assert_true(eventually(start_is_queued, &starting));
	assert_true(task_waits(starting.hosted.manager, "task", "flag"));
	tmgr_machine_add(starting.rig.machine, C, NULL);
	/* It still waits. */
	assert_true(start_is_queued(&starting));
	tmgr_machine_remove(starting.rig.machine, C, NULL);
	ends_with(hosted_end(&starting.hosted), -EPERM, "machine refuses to start");
	rig_end(&starting.rig);
}

static void what_a_handler_of_it_fails_with_is_the_tasks(void **state)
{
	struct starting starting;

	begin(&starting, "f");
	start_behind(&starting, (struct tmgr_machine_task_options){ .fail_on_error = true });
	ends_with(hosted_end(&starting.hosted), -EPROTO, "a bad answer");
	rig_end(&starting.rig);
	/* Where errors are not the task's, the refusal is. */
	begin(&starting, "f");
	start_behind(&starting, (struct tmgr_machine_task_options){ .fail_on_error = false });
	ends_with(hosted_end(&starting.hosted), -EPERM, "machine refuses to start");
	rig_end(&starting.rig);
}

static void one_that_still_waits_when_it_is_told_to_stop_is_no_error(void **state)
{
	/* The stop changes the machine, and so the start has its turn, and is refused. */
	struct tmgr_machine_task_options options = {
		.stop = TMGR_STATES(C),
		.stopped = TMGR_STATES(C),
	};
	struct starting starting;

	begin(&starting, "pr");
	start(&starting, options);
	assert_true(eventually(start_is_queued, &starting));
	assert_true(task_waits(starting.hosted.manager, "task", "flag"));
	ends_with(hosted_stop(&starting.hosted), 0, "");
	assert_true(tmgr_machine_is(starting.rig.machine, C));
	rig_end(&starting.rig);
}

static void a_machine_that_is_disposed_before_has_not_started(void **state)
{
	struct starting starting;

	begin(&starting, "p");
	start(&starting, (struct tmgr_machine_task_options){ .start = NULL });
	assert_true(eventually(start_is_queued, &starting));
	tmgr_machine_dispose(starting.rig.machine);
	ends_with(hosted_end(&starting.hosted), -EPERM, "machine refuses to start");
	rig_end(&starting.rig);
}

/* On a loop, with its task on a thread. */
static void while_a_start_waits_timeouts_are_seen_to(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_machine_options machine_options = { .name = "looped" };
	struct tmgr_machine_task_options options = { .start = TMGR_STATES(A) };
	struct tmgr_mutation first = { .states = TMGR_STATES(D), .no_wait = true };
	struct starting starting;
	struct runner runner;

	machine_options.loop = looped_add(manager, "loop", NULL);
	begin_with(&starting, "d", &machine_options);
	assert_int_equal(
		tmgr_machine_mutate(starting.rig.machine, &first, NULL), TMGR_MUTATION_QUEUED);
	assert_int_equal(
		tmgr_manager_add_task(manager, "machine",
			tmgr_machine_task(tmgr_machine_ref(starting.rig.machine), &options),
			TMGR_STRICT),
		0);
	runner_start(&runner, manager, NULL);
	assert_int_equal(tmgr_machine_wait(NULL, starting.rig.machine, &TMGR_WHEN(A),
				 tmgr_after(5 * TMGR_SECOND)),
		0);
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_machine_tick(starting.rig.machine, D), 2);
	tmgr_manager_destroy(manager);
	rig_end(&starting.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_start_that_is_refused_when_its_turn_comes_is_an_error),
		leak_test(one_that_is_made_then_is_none),
		leak_test(a_start_that_is_postponed_may_be_refused_later),
		leak_test(what_a_handler_of_it_fails_with_is_the_tasks),
		leak_test(one_that_still_waits_when_it_is_told_to_stop_is_no_error),
		leak_test(a_machine_that_is_disposed_before_has_not_started),
		leak_test(while_a_start_waits_timeouts_are_seen_to),
	};

	return cmocka_run_group_tests(tests, crew_warm_up, NULL);
}
