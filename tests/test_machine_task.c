/*
 * Machines as tasks: their begin and end, timeouts of states, tasks that belong to a state.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "taskmgr/base/check.h"
#include "taskmgr/clock.h"

#include "tests/support/crew.h"
#include "tests/support/fault.h"
#include "tests/support/hosted.h"
#include "tests/support/rig.h"

enum { STARTING, RUNNING, STOPPING, STOPPED, STATES };

static const struct tmgr_machine_state service[STATES] = {
	[STARTING] = { .name = "Starting", .remove = TMGR_STATES(RUNNING) },
	[RUNNING] = { .name = "Running", .remove = TMGR_STATES(STARTING) },
	[STOPPING] = { .name = "Stopping", .remove = TMGR_STATES(STARTING, RUNNING) },
	[STOPPED] = { .name = "Stopped", .remove = TMGR_STATES(STOPPING) },
};

static struct tmgr_machine *make(const struct tmgr_machine_state *rows, size_t count,
	const struct tmgr_machine_options *options)
{
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;

	assert_int_equal(tmgr_schema_compile(rows, count, NULL, &schema), 0);
	assert_int_equal(tmgr_machine_create(schema, options, &machine), 0);
	tmgr_schema_unref(schema);
	return machine;
}

/* ---- Its end --------------------------------------------------------------------------------- */

static void go_on(void *self, struct tmgr_machine_event *event)
{
	unsigned next = event->state + 1;

	(void)self;
	tmgr_machine_add(event->machine, next, NULL);
}

static const struct tmgr_state_handlers going[STATES] = {
	[STARTING] = { .state = go_on },
	[STOPPING] = { .state = go_on },
};
static const struct tmgr_machine_handlers going_table = { .states = going, .state_count = STATES };

static void it_starts_and_ends_when_its_states_say_so(void **state)
{
	struct tmgr_machine *machine = make(service, STATES, NULL);
	struct tmgr_machine_task_options options = {
		.start = TMGR_STATES(STARTING),
		.done = TMGR_STATES(RUNNING),
	};
	struct ending ending;

	assert_int_equal(tmgr_machine_bind(machine, &going_table, NULL), 0);
	ending = hosted_run(tmgr_machine_task(tmgr_machine_ref(machine), &options));
	assert_int_equal(ending.result, 0);
	assert_int_equal(tmgr_machine_tick(machine, STARTING), 2);
	assert_true(tmgr_machine_is(machine, RUNNING));
	assert_true(tmgr_machine_disposed(machine));
	tmgr_machine_unref(machine);
}

static void it_is_told_to_stop_by_a_state_and_ends_by_another(void **state)
{
	struct tmgr_machine *machine = make(service, STATES, NULL);
	struct tmgr_machine_task_options options = {
		.start = TMGR_STATES(STARTING),
		.stop = TMGR_STATES(STOPPING),
		.stopped = TMGR_STATES(STOPPED),
	};
	struct hosted hosted;
	struct ending ending;

	assert_int_equal(tmgr_machine_bind(machine, &going_table, NULL), 0);
	hosted_start(&hosted, tmgr_machine_task(tmgr_machine_ref(machine), &options));
	assert_int_equal(
		tmgr_machine_wait(NULL, machine, &TMGR_WHEN(RUNNING), tmgr_after(TMGR_MINUTE)), 0);
	ending = hosted_stop(&hosted);
	assert_int_equal(ending.result, 0);
	assert_true(tmgr_machine_is(machine, STOPPED) && !tmgr_machine_is(machine, STOPPING));
	tmgr_machine_unref(machine);
}

static void without_a_state_to_stop_by_it_ends_at_once(void **state)
{
	struct tmgr_machine *machine = make(service, STATES, NULL);
	struct hosted hosted;

	hosted_start(&hosted, tmgr_machine_task(tmgr_machine_ref(machine), NULL));
	assert_true(task_reaches(hosted.manager, "task", TMGR_STATE_RUNNING));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_true(tmgr_machine_disposed(machine));
	tmgr_machine_unref(machine);
}

static int stop_it(void *self, struct tmgr_context *context)
{
	struct tmgr_machine *machine = self;

	tmgr_machine_wait(context, machine, &TMGR_WHEN(RUNNING), TMGR_NEVER);
	tmgr_machine_add_error(machine, -EPROTO, "a bad answer");
	return 0;
}

static void an_error_ends_it_where_that_is_wanted(void **state)
{
	struct tmgr_machine *machine = make(service, STATES, NULL);
	struct tmgr_machine_task_options options = {
		.start = TMGR_STATES(STARTING),
		.fail_on_error = true,
	};
	struct crew crew;
	struct hosted hosted;
	struct ending ending;

	assert_int_equal(tmgr_machine_bind(machine, &going_table, NULL), 0);
	hosted_start(&hosted, tmgr_machine_task(tmgr_machine_ref(machine), &options));
	crew_begin(&crew, 0);
	crew_add(&crew, stop_it, machine);
	assert_int_equal(crew_end(&crew), 0);
	ending = hosted_end(&hosted);
	assert_int_equal(ending.result, -EPROTO);
	assert_string_equal(ending.text, "a bad answer");
	tmgr_machine_unref(machine);
}

static bool refuse(void *self, struct tmgr_machine_event *event)
{
	(void)self;
	(void)event;
	return false;
}

static void a_start_that_is_refused_is_an_error(void **state)
{
	static const struct tmgr_state_handlers rows[] = { [STARTING] = { .enter = refuse } };
	static const struct tmgr_machine_handlers table = { .states = rows, .state_count = 1 };
	struct tmgr_machine *machine = make(service, STATES, NULL);
	struct tmgr_machine_task_options options = { .start = TMGR_STATES(STARTING) };
	struct ending ending;

	assert_int_equal(tmgr_machine_bind(machine, &table, NULL), 0);
	ending = hosted_run(tmgr_machine_task(machine, &options));
	assert_int_equal(ending.result, -EPERM);
	assert_string_equal(ending.text, "machine refuses to start");
}

static void one_that_does_not_come_to_its_stop_says_so(void **state)
{
	struct tmgr_manager_options manager_options = { .shutdown_ns = TMGR_SECOND };
	struct tmgr_manager *manager = tmgr_manager_create(&manager_options);
	struct tmgr_machine *machine = make(service, STATES, NULL);
	struct tmgr_machine_task_options options = {
		.stop = TMGR_STATES(RUNNING),
		.stopped = TMGR_STATES(STOPPED),
	};
	struct runner runner;

	assert_int_equal(tmgr_manager_add_task(manager, "machine",
				 tmgr_machine_task(machine, &options), TMGR_STRICT),
		0);
	runner_start(&runner, manager, NULL);
	assert_true(task_reaches(manager, "machine", TMGR_STATE_RUNNING));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), -ETIMEDOUT);
	tmgr_manager_destroy(manager);
}

static void it_gives_back_all_when_memory_fails(void **state)
{
	struct tmgr_machine_task_options options = {
		.start = TMGR_STATES(STARTING),
		.stop = TMGR_STATES(STOPPING),
	};
	struct tmgr_task task;
	long k;

	for (k = 1;; k++) {
		struct tmgr_machine *machine = make(service, STATES, NULL);

		fault_fail_allocation(k);
		task = tmgr_machine_task(machine, &options);
		if (!fault_happened())
			break;
		assert_int_equal(tmgr_task_error(task), -ENOMEM);
	}
	fault_off();
	assert_true(k > 3);
	assert_string_equal(tmgr_task_kind(task), "machine");
	tmgr_task_destroy(task);
	options.done = TMGR_STATES(STATES + 1);
	task = tmgr_machine_task(make(service, STATES, NULL), &options);
	assert_int_equal(tmgr_task_error(task), -EINVAL);
	assert_string_equal(tmgr_task_rule(task), "a machine's task names states that are there");
	assert_int_equal(tmgr_task_error(tmgr_machine_task(NULL, NULL)), -EINVAL);
}

/* ---- Timeouts -------------------------------------------------------------------------------- */

enum { WAITING, GIVEN_UP, ANSWERED, SLOW, TIMED };

static const struct tmgr_machine_state timed[TIMED] = {
	[WAITING] = { .name = "Waiting",
		.timeout = { .ns = 5 * TMGR_MILLISECOND,
			.kind = TMGR_MUTATION_SET,
			.states = TMGR_STATES(GIVEN_UP) } },
	[GIVEN_UP] = { .name = "GivenUp" },
	[ANSWERED] = { .name = "Answered", .remove = TMGR_STATES(WAITING) },
	[SLOW] = { .name = "Slow", .multi = true, .timeout = { .ns = 5 * TMGR_MILLISECOND } },
};

static void a_state_that_stays_for_too_long_makes_its_mutation(void **state)
{
	struct tmgr_machine *machine = make(timed, TIMED, NULL);
	struct tmgr_machine_task_options options = {
		.start = TMGR_STATES(WAITING),
		.done = TMGR_STATES(GIVEN_UP),
	};

	assert_int_equal(
		hosted_run(tmgr_machine_task(tmgr_machine_ref(machine), &options)).result, 0);
	assert_true(!tmgr_machine_is(machine, WAITING));
	tmgr_machine_unref(machine);
}

static void without_states_of_its_own_a_timeout_is_an_error(void **state)
{
	struct tmgr_machine *machine = make(timed, TIMED, NULL);
	struct tmgr_machine_task_options options = {
		.start = TMGR_STATES(SLOW),
		.fail_on_error = true,
	};
	struct tmgr_machine_error error;
	struct ending ending;

	ending = hosted_run(tmgr_machine_task(tmgr_machine_ref(machine), &options));
	assert_int_equal(ending.result, -ETIMEDOUT);
	assert_string_equal(ending.text, "Slow was active for 5 ms");
	assert_int_equal(tmgr_machine_error(machine, &error), -ETIMEDOUT);
	assert_int_equal(error.state, SLOW);
	tmgr_machine_unref(machine);
}

static void a_timeout_is_disarmed_when_its_state_leaves(void **state)
{
	struct tmgr_machine *machine = make(timed, TIMED, NULL);
	struct tmgr__virtual_clock clock;
	int64_t first;

	tmgr__virtual_clock_init(&clock, TMGR_SECOND);
	tmgr__clock_use(&clock.clock);
	assert_true(tmgr_machine_next_timeout(machine) == TMGR_NEVER);
	tmgr_machine_add(machine, WAITING, NULL);
	assert_true(tmgr_machine_next_timeout(machine) == tmgr_after(5 * TMGR_MILLISECOND));
	tmgr_machine_add(machine, ANSWERED, NULL);
	assert_true(tmgr_machine_next_timeout(machine) == TMGR_NEVER);
	tmgr_machine_set(machine, SLOW, NULL);
	first = tmgr_machine_next_timeout(machine);
	/* Entered again it begins anew. */
	tmgr__virtual_clock_set(&clock, first - 1);
	tmgr_machine_add(machine, SLOW, NULL);
	assert_true(tmgr_machine_next_timeout(machine) > first);
	tmgr__virtual_clock_set(&clock, first);
	assert_int_equal(tmgr_machine_expire(machine), 0);
	tmgr__virtual_clock_set(&clock, tmgr_machine_next_timeout(machine));
	assert_int_equal(tmgr_machine_expire(machine), 1);
	assert_true(tmgr_machine_is(machine, tmgr_machine_exception(machine)));
	assert_true(tmgr_machine_next_timeout(machine) == TMGR_NEVER);
	tmgr_machine_unref(machine);
	tmgr__clock_use(NULL);
}

static void a_timeout_that_comes_while_the_task_sleeps_wakes_it(void **state)
{
	struct tmgr_machine *machine = make(timed, TIMED, NULL);
	struct tmgr_machine_task_options options = { .done = TMGR_STATES(GIVEN_UP) };
	struct hosted hosted;

	hosted_start(&hosted, tmgr_machine_task(tmgr_machine_ref(machine), &options));
	assert_true(task_waits(hosted.manager, "task", "flag"));
	tmgr_machine_add(machine, WAITING, NULL);
	assert_int_equal(hosted_end(&hosted).result, 0);
	tmgr_machine_unref(machine);
}

/* ---- Tasks of a state ------------------------------------------------------------------------ */

enum { WORK, DONE, WORKS };

static const struct tmgr_machine_state works[WORKS] = {
	[WORK] = { .name = "Work", .multi = true },
	[DONE] = { .name = "Done", .remove = TMGR_STATES(WORK) },
};

struct work {
	struct tmgr_loop *loop; /* where it is to run, or NULL */
	int error;              /* what it returns, unless it waits */
	bool waits;
	struct latch begun, ended;
	int results[4];
	atomic_int runs;
	bool right_place;
	int spawned;
};

static int do_work(void *self, struct tmgr_context *context)
{
	struct work *work = self;
	int run = atomic_fetch_add(&work->runs, 1), r = work->error;

	work->right_place = (tmgr_loop_current() != NULL) == (work->loop != NULL);
	latch_arrive(&work->begun);
	if (work->waits)
		r = tmgr_sleep_until(context, TMGR_NEVER);
	work->results[run & 3] = r;
	latch_arrive(&work->ended);
	return r == -EIO ? tmgr_fail(context, r, "the disk is full") : r;
}

static void spawn_work(void *self, struct tmgr_machine_event *event)
{
	struct work *work = self;
	struct tmgr_state_task_options options = { .name = "work", .loop = work->loop };

	work->spawned = tmgr_state_task(event, tmgr_task_function(do_work, work), &options);
}

static const struct tmgr_state_handlers work_rows[WORKS] = { [WORK] = { .state = spawn_work } };
static const struct tmgr_machine_handlers work_table = { .states = work_rows,
	.state_count = WORKS };

static void work_init(struct work *work)
{
	memset(work, 0, sizeof(*work));
	latch_init(&work->begun);
	latch_init(&work->ended);
}

static void a_task_of_a_state_is_cancelled_when_its_tick_moves(void **state)
{
	struct work work;
	struct tmgr_machine *machine = make(works, WORKS, NULL);
	struct hosted hosted;

	work_init(&work);
	work.waits = true;
	assert_int_equal(tmgr_machine_bind(machine, &work_table, &work), 0);
	hosted_start(&hosted, tmgr_machine_task(tmgr_machine_ref(machine), NULL));
	assert_true(task_reaches(hosted.manager, "task", TMGR_STATE_RUNNING));
	tmgr_machine_add(machine, WORK, NULL);
	assert_int_equal(work.spawned, 0);
	assert_true(latch_arrived(&work.begun, 1));
	/* Entered again: the first is cancelled, a second begins. */
	tmgr_machine_add(machine, WORK, NULL);
	assert_true(latch_arrived(&work.ended, 1));
	assert_true(latch_arrived(&work.begun, 2));
	assert_int_equal(work.results[0], -ECANCELED);
	tmgr_machine_add(machine, DONE, NULL);
	assert_true(latch_arrived(&work.ended, 2));
	/* That is no error, of nobody. */
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_int_equal(tmgr_machine_error(machine, NULL), 0);
	assert_true(work.right_place);
	tmgr_machine_unref(machine);
}

static void an_error_of_a_states_task_is_the_machines(void **state)
{
	struct work work;
	struct tmgr_machine *machine = make(works, WORKS, NULL);
	struct tmgr_machine_task_options options = { .start = TMGR_STATES(WORK) };
	struct tmgr_machine_error error;
	struct hosted hosted;
	struct ending ending;

	work_init(&work);
	work.error = -EIO;
	assert_int_equal(tmgr_machine_bind(machine, &work_table, &work), 0);
	hosted_start(&hosted, tmgr_machine_task(tmgr_machine_ref(machine), &options));
	assert_int_equal(tmgr_machine_wait(
				 NULL, machine, &TMGR_WHEN_ERROR(machine), tmgr_after(TMGR_MINUTE)),
		0);
	assert_int_equal(tmgr_machine_error(machine, &error), -EIO);
	assert_string_equal(error.text, "the disk is full");
	ending = hosted_stop(&hosted);
	assert_int_equal(ending.result, 0);
	assert_int_equal(ending.errors, 0);
	tmgr_machine_unref(machine);
}

static void what_is_stopped_with_the_manager_is_no_error(void **state)
{
	struct work work;
	struct tmgr_machine *machine = make(works, WORKS, NULL);
	struct tmgr_machine_task_options options = { .start = TMGR_STATES(WORK) };
	struct hosted hosted;

	work_init(&work);
	work.waits = true;
	assert_int_equal(tmgr_machine_bind(machine, &work_table, &work), 0);
	hosted_start(&hosted, tmgr_machine_task(tmgr_machine_ref(machine), &options));
	assert_true(latch_arrived(&work.begun, 1));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_int_equal(work.results[0], -ECANCELED);
	assert_int_equal(tmgr_machine_error(machine, NULL), 0);
	tmgr_machine_unref(machine);
}

static void a_machine_that_is_no_task_starts_none(void **state)
{
	struct work work;
	struct tmgr_machine *machine = make(works, WORKS, NULL);

	work_init(&work);
	assert_int_equal(tmgr_machine_bind(machine, &work_table, &work), 0);
	tmgr_machine_add(machine, WORK, NULL);
	assert_int_equal(work.spawned, -ESHUTDOWN);
	assert_int_equal(tmgr_state_task(NULL, tmgr_task_function(do_work, &work), NULL), -EINVAL);
	tmgr_machine_unref(machine);
}

/* The machine, its task and its states' tasks all on one loop. */
static void all_of_it_may_be_on_a_loop(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(
		&(struct tmgr_manager_options){ .when_quiet = TMGR_QUIET_RETURN });
	struct tmgr_machine_options options = { .name = "looped" };
	struct tmgr_machine_task_options task_options = {
		.start = TMGR_STATES(WORK),
		.stop = TMGR_STATES(DONE),
		.stopped = TMGR_STATES(DONE),
	};
	struct tmgr_task_options host = { .host = TMGR_HOST_LOOP };
	struct tmgr_machine *machine;
	struct runner runner;
	struct work work;

	work_init(&work);
	work.waits = true;
	assert_int_equal(tmgr_loop_create(NULL, &host.loop), 0);
	work.loop = options.loop = host.loop;
	machine = make(works, WORKS, &options);
	assert_int_equal(
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(host.loop), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_add_task_with(manager, "machine",
				 tmgr_machine_task(tmgr_machine_ref(machine), &task_options),
				 TMGR_STRICT, &host),
		0);
	runner_start(&runner, manager, NULL);
	assert_int_equal(
		tmgr_machine_wait(NULL, machine, &TMGR_WHEN(WORK), tmgr_after(TMGR_MINUTE)), 0);
	/* No handler was bound when it began; now there is one. */
	assert_int_equal(tmgr_machine_bind(machine, &work_table, &work), 0);
	assert_int_equal(tmgr_machine_add(machine, WORK, NULL), TMGR_MUTATION_EXECUTED);
	assert_true(latch_arrived(&work.begun, 1));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(work.results[0], -ECANCELED);
	assert_true(work.right_place);
	assert_true(tmgr_machine_is(machine, DONE));
	tmgr_manager_destroy(manager);
	tmgr_machine_unref(machine);
	tmgr_loop_unref(host.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(it_starts_and_ends_when_its_states_say_so),
		leak_test(it_is_told_to_stop_by_a_state_and_ends_by_another),
		leak_test(without_a_state_to_stop_by_it_ends_at_once),
		leak_test(an_error_ends_it_where_that_is_wanted),
		leak_test(a_start_that_is_refused_is_an_error),
		leak_test(one_that_does_not_come_to_its_stop_says_so),
		leak_test(it_gives_back_all_when_memory_fails),
		leak_test(a_state_that_stays_for_too_long_makes_its_mutation),
		leak_test(without_states_of_its_own_a_timeout_is_an_error),
		leak_test(a_timeout_is_disarmed_when_its_state_leaves),
		leak_test(a_timeout_that_comes_while_the_task_sleeps_wakes_it),
		leak_test(a_task_of_a_state_is_cancelled_when_its_tick_moves),
		leak_test(an_error_of_a_states_task_is_the_machines),
		leak_test(what_is_stopped_with_the_manager_is_no_error),
		leak_test(a_machine_that_is_no_task_starts_none),
		leak_test(all_of_it_may_be_on_a_loop),
	};

	return cmocka_run_group_tests(tests, crew_warm_up, NULL);
}
