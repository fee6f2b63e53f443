/*
 * Timeouts of states that come late: their state is left, and maybe entered again, before the mutation
 * has its turn.
 */
#include <taskmgr/taskmgr.h>

#include "taskmgr/base/check.h"

#include "tests/support/actor.h"
#include "tests/support/latch.h"
#include "tests/support/leak.h"

enum { WAITING, GIVEN_UP, SLOW, WORK, STATES, EXCEPTION = STATES };

static const struct tmgr_machine_state rows[STATES] = {
	[WAITING] = { .name = "Waiting",
		.timeout = { .ns = TMGR_MILLISECOND,
			.kind = TMGR_MUTATION_SET,
			.states = TMGR_STATES(GIVEN_UP) } },
	[GIVEN_UP] = { .name = "GivenUp" },
	[SLOW] = { .name = "Slow", .multi = true, .timeout = { .ns = TMGR_MILLISECOND } },
	[WORK] = { .name = "Work", .multi = true },
};

/* A machine that has a handler for one state. */
struct late {
	struct tmgr_machine *machine;
	struct tmgr_state_handlers handlers[STATES];
	struct tmgr_machine_handlers table;
	struct latch latch;
	int expired;
};

static void late_begin_with(struct late *late, unsigned state,
	void (*handler)(void *self, struct tmgr_machine_event *event),
	const struct tmgr_machine_options *options)
{
	struct tmgr_schema *schema;

	*late = (struct late){ .expired = -1 };
	late->handlers[state].state = handler;
	latch_init(&late->latch);
	late->table = (struct tmgr_machine_handlers){
		.states = late->handlers,
		.state_count = STATES,
	};
	assert_int_equal(tmgr_schema_compile(rows, STATES, NULL, &schema), 0);
	assert_int_equal(tmgr_machine_create(schema, options, &late->machine), 0);
	tmgr_schema_unref(schema);
	assert_int_equal(tmgr_machine_bind(late->machine, &late->table, late), 0);
}

static void late_begin(struct late *late, unsigned state,
	void (*handler)(void *self, struct tmgr_machine_event *event))
{
	late_begin_with(late, state, handler, NULL);
}

/* It waits, and its timeout comes while it works. */
static void wait_and_work(struct late *late)
{
	tmgr_machine_add(late->machine, WAITING, NULL);
	tmgr_machine_add(late->machine, WORK, NULL);
	assert_int_equal(late->expired, 1);
}

static void late_end(struct late *late)
{
	tmgr_machine_unref(late->machine);
}

static size_t dropped(const struct late *late)
{
	struct tmgr_machine_stats stats = { .dropped = 0 };

	tmgr_machine_stats(late->machine, &stats);
	return stats.dropped;
}

/* Where it stands in front of what comes next it is made before a timeout. */
static void soon(struct late *late, enum tmgr_mutation_kind kind, unsigned state)
{
	tmgr_machine_mutate(late->machine,
		&(struct tmgr_mutation){
			.kind = kind,
			.states = TMGR_STATES(state),
			.priority = TMGR_PRIORITY_HIGH,
		},
		NULL);
}

static void have_it_expire(struct late *late)
{
	tmgr_sleep_until(NULL, tmgr_machine_next_timeout(late->machine));
	late->expired = tmgr_machine_expire(late->machine);
}

/* What is queued from inside of a handler comes in order: so this is what two threads may do. */
static void wait_anew(struct late *late)
{
	soon(late, TMGR_MUTATION_REMOVE, WAITING);
	soon(late, TMGR_MUTATION_ADD, WAITING);
	have_it_expire(late);
}

static void enter_it_again(void *self, struct tmgr_machine_event *event)
{
	(void)event;
	wait_anew(self);
}

static void a_late_timeout_is_not_that_of_a_later_activation(void **state)
{
	struct late late;

	late_begin(&late, WORK, enter_it_again);
	wait_and_work(&late);
	assert_int_equal(tmgr_machine_tick(late.machine, WAITING), 3);
	assert_false(tmgr_machine_is(late.machine, GIVEN_UP));
	assert_int_equal(dropped(&late), 1);
	/* The later one has a timeout of its own. */
	have_it_expire(&late);
	assert_int_equal(late.expired, 1);
	assert_true(tmgr_machine_is(late.machine, GIVEN_UP));
	assert_false(tmgr_machine_is(late.machine, WAITING));
	assert_int_equal(dropped(&late), 1);
	late_end(&late);
}

static void leave_it(void *self, struct tmgr_machine_event *event)
{
	struct late *late = self;

	(void)event;
	soon(late, TMGR_MUTATION_REMOVE, WAITING);
	have_it_expire(late);
}

static void a_timeout_that_comes_behind_the_end_of_its_state_is_none(void **state)
{
	struct late late;

	late_begin(&late, WORK, leave_it);
	wait_and_work(&late);
	assert_false(tmgr_machine_any(late.machine, TMGR_STATES(WAITING, GIVEN_UP)));
	late_end(&late);
}

/* Its first activation becomes too long while it is entered for the second time. */
static void linger(void *self, struct tmgr_machine_event *event)
{
	if (tmgr_machine_tick(event->machine, SLOW) == 3)
		have_it_expire(self);
}

static void nor_is_a_late_error_one(void **state)
{
	struct late late;

	late_begin(&late, SLOW, linger);
	tmgr_machine_add(late.machine, SLOW, NULL);
	tmgr_machine_add(late.machine, SLOW, NULL);
	assert_int_equal(late.expired, 1);
	assert_false(tmgr_machine_is(late.machine, EXCEPTION));
	assert_int_equal(tmgr_machine_error(late.machine, NULL), 0);
	have_it_expire(&late);
	assert_true(tmgr_machine_is(late.machine, EXCEPTION));
	late_end(&late);
}

static void enter_it_again_and_give_up(void *self, struct tmgr_machine_event *event)
{
	enter_it_again(self, event);
	/* It looks like what waits already, but that is too late. */
	tmgr_machine_set(event->machine, GIVEN_UP, NULL);
}

static void a_late_timeout_stands_for_nothing_else(void **state)
{
	struct late late;

	late_begin(&late, WORK, enter_it_again_and_give_up);
	wait_and_work(&late);
	assert_true(tmgr_machine_is(late.machine, GIVEN_UP));
	assert_int_equal(dropped(&late), 1);
	late_end(&late);
}

static void fill_the_queue(void *self, struct tmgr_machine_event *event)
{
	struct late *late = self;

	tmgr_machine_add(event->machine, SLOW, NULL);
	have_it_expire(late);
	/* Where the oldest is dropped it is not the timeout. */
	soon(late, TMGR_MUTATION_REMOVE, SLOW);
	soon(late, TMGR_MUTATION_REMOVE, WORK);
}

static void a_full_queue_loses_no_timeout(void **state)
{
	struct tmgr_machine_options options = { .queue_max = 1 };

	for (int full = TMGR_QUEUE_REJECT; full <= TMGR_QUEUE_BLOCK; full++) {
		struct late late;

		options.queue_full = (enum tmgr_queue_full)full;
		late_begin_with(&late, WORK, fill_the_queue, &options);
		wait_and_work(&late);
		assert_int_equal(tmgr_machine_tick(late.machine, GIVEN_UP) & 1, 1);
		late_end(&late);
	}
}

static void give_up_twice(void *self, struct tmgr_machine_event *event)
{
	struct tmgr_mutation mutation = { .states = TMGR_STATES(GIVEN_UP), .ttl_ns = 1 };

	(void)self;
	tmgr_machine_mutate(event->machine, &mutation, NULL);
	mutation.ttl_ns = 0;
	tmgr_machine_mutate(event->machine, &mutation, NULL);
	tmgr_sleep(NULL, 2);
}

static void nor_does_a_mutation_that_has_only_so_long(void **state)
{
	struct late late;

	late_begin(&late, WORK, give_up_twice);
	tmgr_machine_add(late.machine, WORK, NULL);
	assert_true(tmgr_machine_is(late.machine, GIVEN_UP));
	assert_int_equal(dropped(&late), 1);
	late_end(&late);
}

static void wait_in_it(void *self, struct tmgr_machine_event *event)
{
	struct late *late = self;

	(void)event;
	latch_wait(&late->latch);
}

static void work(void *argument, struct tmgr_context *context)
{
	struct late *late = argument;

	(void)context;
	tmgr_machine_add(late->machine, WORK, NULL);
}

static void another_thread_may_have_entered_it_again(void **state)
{
	struct actor actor = ACTOR_INIT;
	struct late late;

	late_begin(&late, WORK, wait_in_it);
	tmgr_machine_add(late.machine, WAITING, NULL);
	actor_start(&actor);
	actor_begin(&actor, work, &late);
	assert_true(latch_arrived(&late.latch, 1));
	wait_anew(&late);
	latch_open(&late.latch);
	assert_true(actor_finishes(&actor));
	actor_quit(&actor);
	assert_int_equal(late.expired, 1);
	assert_int_equal(tmgr_machine_tick(late.machine, WAITING), 3);
	assert_false(tmgr_machine_is(late.machine, GIVEN_UP));
	late_end(&late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_late_timeout_is_not_that_of_a_later_activation),
		leak_test(a_timeout_that_comes_behind_the_end_of_its_state_is_none),
		leak_test(nor_is_a_late_error_one),
		leak_test(a_late_timeout_stands_for_nothing_else),
		leak_test(a_full_queue_loses_no_timeout),
		leak_test(nor_does_a_mutation_that_has_only_so_long),
		leak_test(another_thread_may_have_entered_it_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
