/*
 * A machine on a loop whose thread leaves by pthread_exit(): whoever mutates it from elsewhere, or
 * waits for it, goes on, and so does a stop.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/actor.h"
#include "tests/support/child.h"
#include "tests/support/exiting.h"
#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
	RIG_PLAIN(C),
};

#define SOON tmgr_after(TMGR_MINUTE)

struct beside {
	struct exiting exiting;
	struct rig rig;
	struct actor mutator, other;
	uint64_t ticket;
	int result;
};

static void beside_make(struct beside *beside)
{
	static const struct actor actor = ACTOR_INIT;
	struct tmgr_machine_options options = {
		.name = "looped",
		.loop = beside->exiting.loop,
	};

	beside->mutator = beside->other = actor;
	rig_make(&beside->rig, plain, sizeof(plain) / sizeof(plain[0]), &options);
	actor_start(&beside->mutator);
	actor_start(&beside->other);
}

static void beside_begin(struct beside *beside, const int *way)
{
	exiting_begin(&beside->exiting, (enum exiting_way) * way);
	beside_make(beside);
}

static void beside_end(struct beside *beside)
{
	exiting_end(&beside->exiting);
	/* The loop is gone: nothing can be made any more, and nobody waits for it. */
	child_check_equal(tmgr_machine_add(beside->rig.machine, C, NULL), TMGR_MUTATION_CANCELLED);
	child_check_equal(
		tmgr_machine_wait(NULL, beside->rig.machine, &TMGR_WHEN(C), SOON), -ESHUTDOWN);
	child_check(tmgr_machine_disposed(beside->rig.machine));
	actor_quit(&beside->mutator);
	actor_quit(&beside->other);
	rig_end(&beside->rig);
}

static void evaluate(void *argument, struct tmgr_context *context)
{
	struct beside *beside = argument;

	beside->result = rig_evaluate(&beside->rig, context);
}

/* The mutation has posted a call, on which the evaluation behind it relies. */
static int exit_beside_mutations(void *argument)
{
	static struct beside beside;

	beside_begin(&beside, argument);
	actor_begin(&beside.mutator, rig_add_a, &beside.rig);
	child_check(actor_settles_blocked(&beside.mutator));
	actor_begin(&beside.other, evaluate, &beside);
	child_check(actor_settles_blocked(&beside.other));
	exiting_go(&beside.exiting);
	child_check(actor_finishes(&beside.mutator));
	child_check(actor_finishes(&beside.other));
	child_check_equal(beside.rig.result, TMGR_MUTATION_EXECUTED);
	child_check_equal(beside.result, 0);
	beside_end(&beside);
	return 0;
}

static void who_mutates_it_from_elsewhere_goes_on(void **state)
{
	(void)state;
	exiting_in_each_way(exit_beside_mutations);
}

static void wait_for_the_ticket(void *argument, struct tmgr_context *context)
{
	struct beside *beside = argument;

	beside->result = tmgr_machine_wait(
		context, beside->rig.machine, &TMGR_WHEN_TICKET(beside->ticket), TMGR_NEVER);
}

static int exit_beside_who_waits(void *argument)
{
	static struct beside beside;
	struct tmgr_mutation mutation = { .states = TMGR_STATES(B), .no_wait = true };

	beside_begin(&beside, argument);
	child_check_equal(tmgr_machine_mutate(beside.rig.machine, &mutation, &beside.ticket),
		TMGR_MUTATION_QUEUED);
	actor_begin(&beside.other, wait_for_the_ticket, &beside);
	child_check(actor_settles_blocked(&beside.other));
	exiting_go(&beside.exiting);
	child_check(actor_finishes(&beside.other));
	child_check_equal(beside.result, 0);
	beside_end(&beside);
	return 0;
}

static void who_waits_for_what_was_queued_before_goes_on(void **state)
{
	(void)state;
	exiting_in_each_way(exit_beside_who_waits);
}

static int exit_beside_a_disposal(void *argument)
{
	static struct beside beside;

	beside_begin(&beside, argument);
	child_check_equal(tmgr_machine_dispose(beside.rig.machine), 0);
	child_check(!tmgr_machine_disposed(beside.rig.machine));
	exiting_go(&beside.exiting);
	child_check_equal(
		tmgr_machine_wait(NULL, beside.rig.machine, &TMGR_WHEN_DISPOSED, SOON), 0);
	beside_end(&beside);
	return 0;
}

static void its_disposal_that_was_posted_happens(void **state)
{
	(void)state;
	exiting_in_each_way(exit_beside_a_disposal);
}

/* ---- What it calls --------------------------------------------------------------------------- */

/* Exits in what the loop's drainer calls of the user's: a handler of this name, or another place. */
struct inside {
	struct beside beside;
	const char *place;
	struct tmgr_machine_when when;
	struct latch held;
};

static void hold_and_exit(struct inside *inside)
{
	latch_wait(&inside->held);
	pthread_exit(NULL);
}

static bool exit_in_handler(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	struct inside *inside = rig->user;

	(void)event;
	if (strcmp(name, inside->place) == 0)
		hold_and_exit(inside);
	return true;
}

static void exit_in_evaluation(void *self, struct tmgr_machine *machine)
{
	(void)machine;
	hold_and_exit(self);
}

static void exit_in_wait(void *self, int result)
{
	(void)result;
	hold_and_exit(self);
}

static void exit_in_disposal(void *self, struct tmgr_machine *machine)
{
	(void)machine;
	hold_and_exit(self);
}

static void exit_in_tracer(void *self, struct tmgr_machine *machine)
{
	(void)machine;
	hold_and_exit(self);
}

static const struct tmgr_machine_handlers exits_in_disposal = { .dispose = exit_in_disposal };
static const struct tmgr_machine_tracer exits_in_tracer = { .disposed = exit_in_tracer };

static void evaluate_and_exit(void *argument, struct tmgr_context *context)
{
	struct inside *inside = argument;

	inside->beside.rig.result = tmgr_machine_evaluate(
		context, inside->beside.rig.machine, exit_in_evaluation, inside, TMGR_NEVER);
}

static void add_b(void *argument, struct tmgr_context *context)
{
	struct inside *inside = argument;

	(void)context;
	inside->beside.rig.result = tmgr_machine_add(inside->beside.rig.machine, B, NULL);
}

static const struct {
	const char *place;
	actor_function *function;
	int result;
} places[] = {
	{ "BEnter", add_b, TMGR_MUTATION_CANCELLED },
	{ "AnyEnter", add_b, TMGR_MUTATION_CANCELLED },
	{ "BState", add_b, TMGR_MUTATION_CANCELLED },
	{ "AnyState", add_b, TMGR_MUTATION_CANCELLED },
	{ "evaluation", evaluate_and_exit, -ESHUTDOWN },
	/* The wait is told behind the mutation. */
	{ "wait", add_b, TMGR_MUTATION_EXECUTED },
	{ "disposal", NULL, 0 },
	{ "tracer", NULL, 0 },
};

static void set_place(struct inside *inside, const char *place)
{
	struct tmgr_machine *machine = inside->beside.rig.machine;

	inside->place = place;
	if (strcmp(place, "wait") == 0)
		child_check_equal(tmgr_machine_when(machine, &TMGR_WHEN(B), &inside->when,
					  exit_in_wait, inside),
			0);
	if (strcmp(place, "disposal") == 0)
		child_check_equal(tmgr_machine_bind(machine, &exits_in_disposal, inside), 0);
	if (strcmp(place, "tracer") == 0)
		child_check_equal(tmgr_machine_trace(machine, &exits_in_tracer, inside), 0);
}

static int exit_in_a_place(void *argument)
{
	static struct inside inside = { .held = LATCH_INIT };
	struct beside *beside = &inside.beside;
	int place = *(int *)argument;

	exiting_run(&beside->exiting, EXITING_CALL);
	beside->rig.act = exit_in_handler;
	beside->rig.user = &inside;
	beside_make(beside);
	set_place(&inside, places[place].place);
	if (places[place].function)
		actor_begin(&beside->mutator, places[place].function, &inside);
	else
		child_check_equal(tmgr_machine_dispose(beside->rig.machine), 0);
	child_check(latch_arrived(&inside.held, 1));
	if (places[place].function) {
		actor_begin(&beside->other, evaluate, beside);
		child_check(actor_settles_blocked(&beside->other));
	}
	latch_open(&inside.held);
	if (places[place].function) {
		child_check(actor_finishes(&beside->mutator));
		child_check(actor_finishes(&beside->other));
		child_check_equal(beside->rig.result, places[place].result);
		child_check_equal(beside->result, -ESHUTDOWN);
	}
	child_check_equal(
		tmgr_machine_wait(NULL, beside->rig.machine, &TMGR_WHEN_DISPOSED, SOON), 0);
	beside_end(beside);
	child_check_equal(beside->rig.disposed, 1);
	return 0;
}

static void whatever_of_it_exits_it_is_disposed_and_nobody_waits(void **state)
{
	(void)state;
	for (int place = 0; place < (int)(sizeof(places) / sizeof(places[0])); place++)
		exiting_in_a_child(exit_in_a_place, place);
}

/* ---- On a coroutine -------------------------------------------------------------------------- */

static int add_b_here(void *self, struct tmgr_context *context)
{
	struct inside *inside = self;

	(void)context;
	tmgr_machine_add(inside->beside.rig.machine, B, NULL);
	return 0;
}

/* A coroutine makes the transition itself. Others come before it exits, or only then. */
static int exit_on_a_coroutine(void *argument)
{
	static struct inside inside = { .held = LATCH_INIT, .place = "BEnter" };
	struct beside *beside = &inside.beside;
	bool others = *(int *)argument != 0;

	exiting_run(&beside->exiting, EXITING_CALL);
	beside->rig.act = exit_in_handler;
	beside->rig.user = &inside;
	beside_make(beside);
	child_check_equal(
		tmgr_loop_spawn(beside->exiting.loop, add_b_here, &inside, NULL, NULL), 0);
	child_check(latch_arrived(&inside.held, 1));
	if (others) {
		actor_begin(&beside->mutator, rig_add_a, &beside->rig);
		child_check(actor_settles_blocked(&beside->mutator));
		actor_begin(&beside->other, evaluate, beside);
		child_check(actor_settles_blocked(&beside->other));
	}
	latch_open(&inside.held);
	if (others) {
		child_check(actor_finishes(&beside->mutator));
		child_check(actor_finishes(&beside->other));
		child_check_equal(beside->rig.result, TMGR_MUTATION_CANCELLED);
		child_check_equal(beside->result, -ESHUTDOWN);
	}
	beside_end(beside);
	child_check_equal(beside->rig.disposed, 1);
	return 0;
}

static void a_coroutine_that_exits_in_its_handler_leaves_nobody_waiting(void **state)
{
	(void)state;
	/* The thread sanitizer allows it on no fiber. */
	for (int others = 0; others < 2 && exiting_ways() == EXITING_WAYS; others++)
		exiting_in_a_child(exit_on_a_coroutine, others);
}

/* ---- Its task -------------------------------------------------------------------------------- */

/* The loop is another manager's, so that this one goes on until it is told to stop. */
static int stop_behind_an_exit(int way, bool hosted)
{
	const struct tmgr_machine_task_options task_options = {
		.start = (const unsigned[]){ A, TMGR_STATES_END },
		.stop = (const unsigned[]){ B, TMGR_STATES_END },
		.stopped = (const unsigned[]){ B, TMGR_STATES_END },
	};
	static struct exiting exiting;
	static struct rig rig;
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_machine_options options = { .name = "looped" };
	struct tmgr_task_options on = { .host = TMGR_HOST_DEFAULT };
	struct runner runner;

	exiting_run(&exiting, (enum exiting_way)way);
	options.loop = exiting.loop;
	on.loop = hosted ? exiting.loop : NULL;
	rig_make(&rig, plain, sizeof(plain) / sizeof(plain[0]), &options);
	tmgr_manager_add_task_with(manager, "machine",
		tmgr_machine_task(tmgr_machine_ref(rig.machine), &task_options), TMGR_ERROR, &on);
	runner_start(&runner, manager, NULL);
	child_check_equal(tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN(A), SOON), 0);
	exiting_hold(&exiting);
	exiting_go(&exiting);
	exiting_end(&exiting);
	tmgr_manager_cancel(manager);
	child_check_equal(runner_join(&runner), hosted ? -TMGR_EUNEXPECTED : 0);
	child_check_equal(tmgr_manager_report(manager)->stuck, 0);
	tmgr_manager_destroy(manager);
	child_check(tmgr_machine_disposed(rig.machine));
	rig_end(&rig);
	return 0;
}

static int stop_it_on_its_thread(void *argument)
{
	return stop_behind_an_exit(*(int *)argument, false);
}

static int stop_it_on_the_loop(void *argument)
{
	return stop_behind_an_exit(*(int *)argument, true);
}

static void its_task_stops(void **state)
{
	(void)state;
	exiting_in_each_way_but_main(stop_it_on_its_thread);
	exiting_in_each_way_but_main(stop_it_on_the_loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(who_mutates_it_from_elsewhere_goes_on),
		leak_test(who_waits_for_what_was_queued_before_goes_on),
		leak_test(its_disposal_that_was_posted_happens),
		leak_test(whatever_of_it_exits_it_is_disposed_and_nobody_waits),
		leak_test(a_coroutine_that_exits_in_its_handler_leaves_nobody_waiting),
		leak_test(its_task_stops),
	};

	return cmocka_run_group_tests_name("machines on loops that exit", tests, NULL, NULL);
}
