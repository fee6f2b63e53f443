/* The end of a machine, and what is unbound, untraced and given back meanwhile. */
#include <errno.h>
#include <string.h>

#include <taskmgr/tasks/machine_telemetry.h>

#include "taskmgr/base/check.h"

#include "tests/support/actor.h"
#include "tests/support/crew.h"
#include "tests/support/latch.h"
#include "tests/support/looped.h"
#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
	RIG_PLAIN(C),
};

#define PLAIN_COUNT ARRAY_SIZE(plain)
#define SOON tmgr_after(TMGR_MINUTE)

/* ---- While a handler runs -------------------------------------------------------------------- */

/* One thread is held in a handler of A; another does something to the machine meanwhile. */
struct held {
	struct rig rig;
	struct latch inside;
	struct actor mutator, other;
	int mutated, result;
	struct tmgr_machine_ring *ring;
};

static bool hold_in_a(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	struct held *held = rig->user;

	(void)event;
	return strcmp(name, "AState") != 0 || latch_wait(&held->inside);
}

static void add_a(void *argument, struct tmgr_context *context)
{
	struct held *held = argument;

	(void)context;
	held->mutated = tmgr_machine_add(held->rig.machine, A, NULL);
}

static void held_make(struct held *held)
{
	*held = (struct held){ .rig = { .act = hold_in_a, .user = held },
		.result = 1,
		.mutator = ACTOR_INIT,
		.other = ACTOR_INIT };
	latch_init(&held->inside);
	rig_make(&held->rig, plain, PLAIN_COUNT, NULL);
	actor_start(&held->mutator);
	actor_start(&held->other);
}

static void held_begin(struct held *held)
{
	actor_begin(&held->mutator, add_a, held);
	assert_true(latch_arrived(&held->inside, 1));
}

static void held_let_go(struct held *held)
{
	latch_open(&held->inside);
	assert_true(actor_finishes(&held->mutator));
	assert_int_equal(held->mutated, TMGR_MUTATION_EXECUTED);
}

static void held_end(struct held *held)
{
	actor_quit(&held->mutator);
	actor_quit(&held->other);
	rig_end(&held->rig);
}

static void destroy_ring(void *argument, struct tmgr_context *context)
{
	struct held *held = argument;

	(void)context;
	tmgr_machine_ring_destroy(held->ring);
}

static void a_ring_given_back_while_its_machine_ends_is_written_to_no_more(void **state)
{
	struct held held;

	held_make(&held);
	assert_int_equal(tmgr_machine_ring_create(held.rig.machine, 4096, &held.ring), 0);
	held_begin(&held);
	assert_int_equal(tmgr_machine_dispose(held.rig.machine), 0);
	actor_begin(&held.other, destroy_ring, &held);
	assert_true(actor_settles_blocked(&held.other));
	held_let_go(&held);
	assert_true(actor_finishes(&held.other));
	held_end(&held);
}

static void unbind(void *argument, struct tmgr_context *context)
{
	struct held *held = argument;

	(void)context;
	held->result = tmgr_machine_unbind(held->rig.machine, &held->rig.table, &held->rig);
}

static void unbinding_that_waits_when_a_machine_ends_is_done_before(void **state)
{
	struct held held;

	held_make(&held);
	held_begin(&held);
	actor_begin(&held.other, unbind, &held);
	assert_true(actor_settles_blocked(&held.other));
	assert_int_equal(tmgr_machine_dispose(held.rig.machine), 0);
	held_let_go(&held);
	assert_true(actor_finishes(&held.other));
	assert_int_equal(held.result, 0);
	assert_int_equal(held.rig.disposed, 0);
	held_end(&held);
}

/* ---- The last call --------------------------------------------------------------------------- */

static void trace_drained(void *self, struct tmgr_machine *machine)
{
	(void)machine;
	recorder_add(self, "drained");
}

static void trace_disposed(void *self, struct tmgr_machine *machine)
{
	(void)machine;
	recorder_add(self, "disposed");
}

static const struct tmgr_machine_tracer ends = {
	.queue_drained = trace_drained,
	.disposed = trace_disposed,
};

static void a_tracer_is_told_of_the_end_last(void **state)
{
	struct recorder seen = RECORDER_INIT;
	struct held held;

	held_make(&held);
	assert_int_equal(tmgr_machine_trace(held.rig.machine, &ends, &seen), 0);
	held_begin(&held);
	assert_int_equal(tmgr_machine_add(held.rig.machine, C, NULL), TMGR_MUTATION_QUEUED);
	assert_int_equal(tmgr_machine_dispose(held.rig.machine), 0);
	held_let_go(&held);
	assert_string_equal(recorder_text(&seen), "disposed");
	held_end(&held);
}

/* Unbinds itself and a tracer. */
struct leaving {
	struct tmgr_machine *machine;
	struct tmgr_machine_handlers table;
	struct recorder seen;
	int unbound, untraced, later;
};

static void leave(void *self, struct tmgr_machine *machine)
{
	struct leaving *leaving = self;

	leaving->unbound = tmgr_machine_unbind(machine, &leaving->table, self);
}

static void leave_later(void *self, int result)
{
	struct leaving *leaving = self;

	leaving->later = tmgr_machine_unbind(leaving->machine, &leaving->table, self);
	leaving->untraced = tmgr_machine_untrace(leaving->machine, &ends, &leaving->seen);
	leaving->untraced += result;
}

static void who_is_told_of_the_end_may_unbind(void **state)
{
	struct leaving leaving = {
		.table = { .dispose = leave }, .seen = RECORDER_INIT, .unbound = 1, .untraced = 1
	};
	struct rig rig = { .act = NULL };
	struct tmgr_machine_when when;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	leaving.machine = rig.machine;
	assert_int_equal(tmgr_machine_bind(rig.machine, &leaving.table, &leaving), 0);
	assert_int_equal(tmgr_machine_trace(rig.machine, &ends, &leaving.seen), 0);
	assert_int_equal(
		tmgr_machine_when(rig.machine, &TMGR_WHEN_DISPOSED, &when, leave_later, &leaving),
		0);
	assert_int_equal(tmgr_machine_dispose(rig.machine), 0);
	assert_int_equal(leaving.unbound, 0);
	assert_int_equal(leaving.later, -ENOENT);
	assert_int_equal(leaving.untraced, 0);
	assert_int_equal(tmgr_machine_untrace(rig.machine, &ends, &leaving.seen), -ENOENT);
	assert_string_equal(recorder_text(&leaving.seen), "disposed");
	rig_end(&rig);
}

/* ---- On a loop ------------------------------------------------------------------------------- */

static void hold_loop(void *self)
{
	latch_wait(self);
}

static bool accept(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	return rig && event && name;
}

static void what_is_unbound_before_a_busy_loop_ends_its_machine_is_not_called(void **state)
{
	struct tmgr_machine_options options = { .name = "looped" };
	struct rig rig = { .act = accept };
	struct latch busy = LATCH_INIT;
	struct tmgr_loop_call call = { 0 };
	struct looped looped;

	looped_start(&looped, NULL);
	options.loop = looped.loop;
	rig_make(&rig, plain, PLAIN_COUNT, &options);
	assert_int_equal(tmgr_loop_post(looped.loop, &call, hold_loop, &busy), 0);
	assert_true(latch_arrived(&busy, 1));
	assert_int_equal(tmgr_machine_dispose(rig.machine), 0);
	assert_int_equal(tmgr_machine_unbind(rig.machine, &rig.table, &rig), 0);
	assert_int_equal(tmgr_machine_bind(rig.machine, &rig.table, &rig), -ESHUTDOWN);
	latch_open(&busy);
	assert_int_equal(tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN_DISPOSED, SOON), 0);
	assert_int_equal(rig.disposed, 0);
	rig_end(&rig);
	looped_stop(&looped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_ring_given_back_while_its_machine_ends_is_written_to_no_more),
		leak_test(unbinding_that_waits_when_a_machine_ends_is_done_before),
		leak_test(a_tracer_is_told_of_the_end_last),
		leak_test(who_is_told_of_the_end_may_unbind),
		leak_test(what_is_unbound_before_a_busy_loop_ends_its_machine_is_not_called),
	};

	return cmocka_run_group_tests(tests, crew_warm_up, NULL);
}
