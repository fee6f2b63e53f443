/*
 * A machine on a loop that never runs: both go with their last references, whatever was asked of the
 * machine before, and whoever waits for it then goes on.
 */
#include <errno.h>
#include <stdio.h>

#include "taskmgr/base/check.h"

#include "tests/support/actor.h"
#include "tests/support/crew.h"
#include "tests/support/looped.h"
#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
	RIG_PLAIN(C),
};

#define PLAIN_COUNT (sizeof(plain) / sizeof(plain[0]))
#define SOON tmgr_after(TMGR_MINUTE)

static bool accept(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	(void)rig;
	(void)event;
	(void)name;
	return true;
}

/* With handlers, so that its disposal is seen. */
static struct tmgr_loop *make(struct rig *rig)
{
	struct tmgr_machine_options options = { .name = "looped" };

	*rig = (struct rig){ .act = accept, .result = 99 };
	assert_int_equal(tmgr_loop_create(NULL, &options.loop), 0);
	rig_make(rig, plain, PLAIN_COUNT, &options);
	return options.loop;
}

static void queue_a(struct rig *rig)
{
	struct tmgr_mutation mutation = { .states = TMGR_STATES(A), .no_wait = true };

	assert_int_equal(tmgr_machine_mutate(rig->machine, &mutation, NULL), TMGR_MUTATION_QUEUED);
}

static void has_ended(struct rig *rig)
{
	assert_true(tmgr_machine_disposed(rig->machine));
	assert_int_equal(rig->disposed, 1);
	assert_string_equal(rig_recorded(rig), "");
	assert_int_equal(tmgr_machine_add(rig->machine, B, NULL), TMGR_MUTATION_CANCELLED);
	assert_int_equal(tmgr_machine_wait(NULL, rig->machine, &TMGR_WHEN(B), SOON), -ESHUTDOWN);
}

/* ---- References ------------------------------------------------------------------------------ */

static void what_was_queued_ends_with_the_loop(void **state)
{
	struct rig rig;
	struct tmgr_loop *loop = make(&rig);

	(void)state;
	queue_a(&rig);
	tmgr_loop_unref(loop);
	has_ended(&rig);
	rig_end(&rig);
}

static void the_machine_may_be_released_first(void **state)
{
	struct rig rig;
	struct tmgr_loop *loop = make(&rig);

	(void)state;
	queue_a(&rig);
	rig_end(&rig);
	tmgr_loop_unref(loop);
	assert_int_equal(rig.disposed, 1);
}

static void so_may_one_that_was_disposed(void **state)
{
	struct rig rig;
	struct tmgr_loop *loop = make(&rig);

	(void)state;
	assert_int_equal(tmgr_machine_dispose(rig.machine), 0);
	rig_end(&rig);
	tmgr_loop_unref(loop);
	assert_int_equal(rig.disposed, 1);
}

static void one_that_was_asked_for_nothing_finds_no_loop_any_more(void **state)
{
	struct rig rig;
	struct tmgr_loop *loop = make(&rig);

	(void)state;
	tmgr_loop_unref(loop);
	assert_false(tmgr_machine_disposed(rig.machine));
	assert_int_equal(tmgr_machine_add(rig.machine, B, NULL), TMGR_MUTATION_CANCELLED);
	has_ended(&rig);
	rig_end(&rig);
}

static void several_machines_end_with_it(void **state)
{
	struct rig rigs[3];
	struct tmgr_loop *loop = make(&rigs[0]);
	struct tmgr_machine_options options = { .loop = loop };

	(void)state;
	for (size_t i = 1; i < ARRAY_SIZE(rigs); i++) {
		rigs[i] = (struct rig){ .act = accept };
		rig_make(&rigs[i], plain, PLAIN_COUNT, &options);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rigs); i++)
		queue_a(&rigs[i]);
	tmgr_loop_unref(loop);
	for (size_t i = 0; i < ARRAY_SIZE(rigs); i++) {
		has_ended(&rigs[i]);
		rig_end(&rigs[i]);
	}
}

/* ---- Those who wait -------------------------------------------------------------------------- */

static void evaluate(void *argument, struct tmgr_context *context)
{
	struct rig *rig = argument;

	rig->result = rig_evaluate(rig, context);
}

static void wait_for_b(void *argument, struct tmgr_context *context)
{
	struct rig *rig = argument;

	rig->result = tmgr_machine_wait(context, rig->machine, &TMGR_WHEN(B), TMGR_NEVER);
}

static void who_waits_goes_on_when_the_loop_goes(void **state)
{
	static const struct {
		actor_function *function;
		int result;
	} cases[] = {
		{ rig_add_a, TMGR_MUTATION_CANCELLED },
		{ evaluate, -ESHUTDOWN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct actor actor = ACTOR_INIT, other = ACTOR_INIT;
		struct rig rig, beside;
		struct tmgr_loop *loop = make(&rig);

		actor_start(&actor);
		actor_start(&other);
		actor_begin(&actor, cases[i].function, &rig);
		assert_true(actor_settles_blocked(&actor));
		beside = (struct rig){ .machine = rig.machine };
		actor_begin(&other, wait_for_b, &beside);
		assert_true(actor_settles_blocked(&other));
		tmgr_loop_unref(loop);
		assert_true(actor_finishes(&actor));
		assert_true(actor_finishes(&other));
		assert_int_equal(rig.result, cases[i].result);
		assert_int_equal(beside.result, -ESHUTDOWN);
		actor_quit(&actor);
		actor_quit(&other);
		has_ended(&rig);
		rig_end(&rig);
	}
}

/* ---- In a manager that does not come to it ----------------------------------------------------- */

static const struct tmgr_machine_task_options task_options = {
	.start = (const unsigned[]){ B, TMGR_STATES_END },
};

/* The loop, the machine's task, and one whose initialize fails: before them or behind. */
static void fail_to_run(bool before, bool hosted, bool queued)
{
	struct probe fails = PROBE(.name = "fails", .initialize_result = -EIO);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options on = { .host = TMGR_HOST_DEFAULT };
	struct rig rig;
	struct tmgr_loop *loop = make(&rig);

	on.loop = hosted ? loop : NULL;
	if (queued)
		queue_a(&rig);
	if (before)
		tmgr_manager_add_task(manager, "fails", probe_task(&fails), TMGR_STRICT);
	tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_STRICT);
	tmgr_manager_add_task_with(manager, "machine",
		tmgr_machine_task(tmgr_machine_ref(rig.machine), &task_options), TMGR_STRICT, &on);
	if (!before)
		tmgr_manager_add_task(manager, "fails", probe_task(&fails), TMGR_STRICT);
	tmgr_loop_unref(loop);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EIO);
	tmgr_manager_destroy(manager);
	has_ended(&rig);
	rig_end(&rig);
}

static void a_manager_that_fails_in_initialize_leaves_neither_behind(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++)
		fail_to_run(i & 1, i & 2, i & 4);
}

static void a_manager_that_never_runs_leaves_neither_behind(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct rig rig;
	struct tmgr_loop *loop = make(&rig);

	(void)state;
	tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_STRICT);
	tmgr_manager_add_task(manager, "machine",
		tmgr_machine_task(tmgr_machine_ref(rig.machine), &task_options), TMGR_STRICT);
	tmgr_loop_unref(loop);
	tmgr_manager_destroy(manager);
	has_ended(&rig);
	rig_end(&rig);
}

/* ---- One that runs later ----------------------------------------------------------------------- */

static void a_refused_task_of_the_loop_is_not_its_end(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct rig rig;
	struct tmgr_loop *loop = make(&rig);
	struct runner runner;

	(void)state;
	queue_a(&rig);
	assert_int_equal(
		tmgr_manager_add_task(manager, "", tmgr_loop_task(loop), TMGR_STRICT), -EINVAL);
	tmgr_manager_destroy(manager);
	manager = tmgr_manager_create(NULL);
	assert_int_equal(
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_STRICT), 0);
	tmgr_loop_unref(loop);
	runner_start(&runner, manager, NULL);
	assert_int_equal(tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN(A), SOON), 0);
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(tmgr_machine_add(rig.machine, B, NULL), TMGR_MUTATION_CANCELLED);
	assert_int_equal(rig.disposed, 1);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(what_was_queued_ends_with_the_loop),
		leak_test(the_machine_may_be_released_first),
		leak_test(so_may_one_that_was_disposed),
		leak_test(one_that_was_asked_for_nothing_finds_no_loop_any_more),
		leak_test(several_machines_end_with_it),
		leak_test(who_waits_goes_on_when_the_loop_goes),
		leak_test(a_manager_that_fails_in_initialize_leaves_neither_behind),
		leak_test(a_manager_that_never_runs_leaves_neither_behind),
		leak_test(a_refused_task_of_the_loop_is_not_its_end),
	};

	return cmocka_run_group_tests_name("unrun", tests, crew_warm_up, NULL);
}
