/* A machine on a loop: mutated from elsewhere and from the loop, set up before it runs. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tasks/machine/internal.h"

#include "tests/support/actor.h"
#include "tests/support/crew.h"
#include "tests/support/expect.h"
#include "tests/support/latch.h"
#include "tests/support/looped.h"
#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
	RIG_ROW(C, .multi = true),
};

#define PLAIN_COUNT ARRAY_SIZE(plain)
#define EXCEPTION PLAIN_COUNT
#define SOON tmgr_after(TMGR_MINUTE)

/* ---- On a loop ------------------------------------------------------------------------------- */

struct on_loop {
	struct rig rig;
	struct tmgr_loop *loop;
	int wrong_places;
};

static bool look_where(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	struct on_loop *on_loop = rig->user;

	(void)event;
	on_loop->wrong_places += tmgr_loop_current() != on_loop->loop;
	return strcmp(name, "BEnter") != 0;
}

static void a_machine_with_a_loop_makes_all_transitions_there(void **state)
{
	struct on_loop on_loop = { .wrong_places = 0 };
	struct tmgr_machine_options options = { .name = "looped" };
	struct looped looped;
	struct tmgr_mutation mutation = { .states = TMGR_STATES(C), .no_wait = true };
	uint64_t ticket = 0;

	looped_start(&looped, NULL);
	options.loop = on_loop.loop = looped.loop;
	on_loop.rig.act = look_where;
	on_loop.rig.user = &on_loop;
	rig_make(&on_loop.rig, plain, PLAIN_COUNT, &options);
	/* From elsewhere the result is waited for. */
	assert_int_equal(tmgr_machine_add(on_loop.rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_add(on_loop.rig.machine, B, NULL), TMGR_MUTATION_CANCELLED);
	assert_int_equal(
		tmgr_machine_mutate(on_loop.rig.machine, &mutation, &ticket), TMGR_MUTATION_QUEUED);
	assert_int_equal(
		tmgr_machine_wait(NULL, on_loop.rig.machine, &TMGR_WHEN_TICKET(ticket), SOON), 0);
	assert_int_equal(tmgr_machine_can(NULL, on_loop.rig.machine, TMGR_MUTATION_ADD,
				 TMGR_STATES(B), NULL),
		TMGR_MUTATION_CANCELLED);
	rig_stands(&on_loop.rig, "C:1 A:1");
	assert_int_equal(on_loop.wrong_places, 0);
	assert_int_equal(tmgr_machine_dispose(on_loop.rig.machine), 0);
	assert_int_equal(
		tmgr_machine_wait(NULL, on_loop.rig.machine, &TMGR_WHEN_DISPOSED, SOON), 0);
	rig_end(&on_loop.rig);
	looped_stop(&looped);
}

static int mutate_on_loop(void *self, struct tmgr_context *context)
{
	struct on_loop *on_loop = self;
	struct tmgr_machine *machine = on_loop->rig.machine;

	IS(tmgr_machine_bind(machine, &on_loop->rig.table, &on_loop->rig), 0);
	IS(tmgr_machine_add(machine, A, NULL), TMGR_MUTATION_EXECUTED);
	IS(tmgr_machine_add(machine, B, NULL), TMGR_MUTATION_CANCELLED);
	IS(on_loop->wrong_places, 0);
	IS(tmgr_machine_add_error(machine, -EIO, "here"), TMGR_MUTATION_EXECUTED);
	IS(tmgr_machine_wait(context, machine, &TMGR_WHEN(A, EXCEPTION), TMGR_NOW), 0);
	return 0;
}

static void on_its_own_loop_a_machine_is_mutated_at_once(void **state)
{
	struct on_loop on_loop = { .rig = { .recorder = RECORDER_INIT } };
	struct tmgr_loop_options loop_options = { .main = mutate_on_loop, .self = &on_loop };
	struct tmgr_machine_options options = { .name = "looped" };
	struct tmgr_manager *manager = tmgr_manager_create(
		&(struct tmgr_manager_options){ .when_quiet = TMGR_QUIET_RETURN });

	wrong = 0;
	assert_int_equal(tmgr_loop_create(&loop_options, &on_loop.loop), 0);
	options.loop = on_loop.loop;
	on_loop.rig.act = look_where;
	on_loop.rig.user = &on_loop;
	assert_int_equal(tmgr_schema_compile(plain, PLAIN_COUNT, NULL, &on_loop.rig.schema), 0);
	assert_int_equal(
		tmgr_machine_create(on_loop.rig.schema, &options, &on_loop.rig.machine), 0);
	/* It is bound where there is a loop that turns: from inside. */
	on_loop.rig.count = PLAIN_COUNT + 1;
	rig_fill(&on_loop.rig);
	assert_int_equal(
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(on_loop.loop), TMGR_ERROR),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_int_equal(wrong, 0);
	tmgr_manager_destroy(manager);
	/* The loop has gone: nothing can be made any more, and nobody waits for it. */
	assert_int_equal(tmgr_machine_add(on_loop.rig.machine, C, NULL), TMGR_MUTATION_CANCELLED);
	assert_int_equal(
		tmgr_machine_wait(NULL, on_loop.rig.machine, &TMGR_WHEN(C), SOON), -ESHUTDOWN);
	tmgr_machine_unref(on_loop.rig.machine);
	tmgr_schema_unref(on_loop.rig.schema);
	tmgr_loop_unref(on_loop.loop);
}

/* ---- On a loop that does not run --------------------------------------------------------------- */

struct changing {
	struct tmgr_machine *machine;
	struct tmgr_machine_handlers table;
	int failed;
	pthread_t thread;
};

static void *bind_and_unbind(void *argument)
{
	struct changing *changing = argument;

	for (int i = 0; i < 500; i++) {
		changing->failed += tmgr_machine_bind(
					    changing->machine, &changing->table, changing) != 0;
		changing->failed += tmgr_machine_unbind(
					    changing->machine, &changing->table, changing) != 0;
	}
	return NULL;
}

static void several_set_a_machine_up_before_its_loop_runs(void **state)
{
	struct tmgr_machine_options options = { .name = "looped" };
	struct changing changing[4];
	struct rig rig = { .act = NULL };

	assert_int_equal(tmgr_loop_create(NULL, &options.loop), 0);
	rig_make(&rig, plain, PLAIN_COUNT, &options);
	for (size_t i = 0; i < ARRAY_SIZE(changing); i++) {
		changing[i] = (struct changing){ .machine = rig.machine };
		assert_int_equal(
			pthread_create(&changing[i].thread, NULL, bind_and_unbind, &changing[i]),
			0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(changing); i++) {
		pthread_join(changing[i].thread, NULL);
		assert_int_equal(changing[i].failed, 0);
	}
	rig_end(&rig);
	tmgr_loop_unref(options.loop);
}

/* ---- While another thread changes its bindings ------------------------------------------------- */

/* A machine on a loop that turns; a thread beside the loop drains it for a change, and is held there. */
struct beside {
	struct rig rig;
	struct looped looped;
	struct latch inside, done;
	struct actor binder, other;
	char text[256];
	int result;
};

static void hold(void *self, struct tmgr_machine *machine)
{
	struct beside *beside = self;

	(void)machine;
	latch_wait(&beside->inside);
}

static void change(void *argument, struct tmgr_context *context)
{
	struct beside *beside = argument;

	(void)context;
	tmgr__machine_change(beside->rig.machine, hold, beside, false);
}

static void beside_make(struct beside *beside, struct tmgr_machine_options options,
	bool (*act)(struct rig *rig, struct tmgr_machine_event *event, const char *name))
{
	*beside = (struct beside){ .binder = ACTOR_INIT, .other = ACTOR_INIT, .result = 1 };
	beside->rig.act = act;
	latch_init(&beside->inside);
	latch_init(&beside->done);
	looped_start(&beside->looped, NULL);
	options.loop = beside->looped.loop;
	rig_make(&beside->rig, plain, PLAIN_COUNT, &options);
	tmgr_machine_export(beside->rig.machine, beside->text, sizeof(beside->text));
	actor_start(&beside->binder);
	actor_start(&beside->other);
}

static void beside_hold(struct beside *beside)
{
	actor_begin(&beside->binder, change, beside);
	assert_true(latch_arrived(&beside->inside, 1));
}

static void beside_begin(struct beside *beside)
{
	beside_make(beside, (struct tmgr_machine_options){ .name = "looped" }, NULL);
	beside_hold(beside);
}

static void beside_end(struct beside *beside)
{
	actor_quit(&beside->binder);
	actor_quit(&beside->other);
	rig_end(&beside->rig);
	looped_stop(&beside->looped);
}

static void wait_for_drained(void *argument, struct tmgr_context *context)
{
	struct beside *beside = argument;

	beside->result = tmgr_machine_wait(
		context, beside->rig.machine, &TMGR_WHEN_DRAINED, TMGR_NEVER);
}

static void who_waits_for_an_empty_queue_during_a_change_is_told_behind_it(void **state)
{
	struct beside beside;

	beside_begin(&beside);
	actor_begin(&beside.other, wait_for_drained, &beside);
	assert_true(actor_settles_blocked(&beside.other));
	latch_open(&beside.inside);
	assert_true(actor_finishes(&beside.other));
	assert_int_equal(beside.result, 0);
	beside_end(&beside);
}

static void import(void *self)
{
	struct beside *beside = self;

	beside->result = tmgr_machine_import(beside->rig.machine, beside->text);
	latch_arrive(&beside->done);
}

static bool somebody_queues(void *argument)
{
	struct tmgr_machine *machine = argument;
	bool is;

	tmgr__lock_acquire(&machine->lock);
	is = !tmgr__list_empty(&machine->front);
	tmgr__lock_release(&machine->lock);
	return is;
}

static void a_loop_that_imports_waits_for_no_more_than_a_change(void **state)
{
	struct tmgr_loop_call call = { 0 };
	struct beside beside;

	beside_begin(&beside);
	assert_int_equal(tmgr_loop_post(beside.looped.loop, &call, import, &beside), 0);
	assert_true(eventually(somebody_queues, beside.rig.machine));
	latch_open(&beside.inside);
	assert_true(latch_arrived(&beside.done, 1));
	assert_int_equal(beside.result, 0);
	beside_end(&beside);
}

static void add_a(void *argument, struct tmgr_context *context)
{
	struct rig *rig = argument;

	(void)context;
	rig->result = tmgr_machine_add(rig->machine, A, NULL);
}

static bool postpone_b(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "BEnter") != 0 || tmgr_machine_is(rig->machine, A))
		return true;
	return tmgr_machine_postpone(event);
}

static bool one_is_postponed(void *argument)
{
	struct tmgr_machine_stats stats;

	tmgr_machine_stats(argument, &stats);
	return stats.postponed == 1;
}

/* The queue is full of what waits for a change, which comes from elsewhere. */
static void fill_with_postponed(struct beside *beside)
{
	struct tmgr_machine_options options = {
		.name = "looped",
		.queue_max = 1,
		.queue_full = TMGR_QUEUE_BLOCK,
	};
	struct tmgr_mutation mutation = { .states = TMGR_STATES(B), .no_wait = true };

	beside_make(beside, options, postpone_b);
	assert_int_equal(
		tmgr_machine_mutate(beside->rig.machine, &mutation, NULL), TMGR_MUTATION_QUEUED);
	assert_true(eventually(one_is_postponed, beside->rig.machine));
	assert_int_equal(tmgr_machine_wait(NULL, beside->rig.machine, &TMGR_WHEN_DRAINED, SOON), 0);
}

static void what_is_postponed_keeps_nobody_from_an_idle_machine(void **state)
{
	struct beside beside;

	fill_with_postponed(&beside);
	actor_begin(&beside.other, add_a, &beside.rig);
	assert_true(actor_finishes(&beside.other));
	assert_int_equal(beside.rig.result, TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_wait(NULL, beside.rig.machine, &TMGR_WHEN(B), SOON), 0);
	rig_stands(&beside.rig, "B:1 A:1");
	beside_end(&beside);
}

static void nor_does_a_change_behind_which_it_waits(void **state)
{
	struct beside beside;

	fill_with_postponed(&beside);
	beside_hold(&beside);
	actor_begin(&beside.other, add_a, &beside.rig);
	assert_true(actor_settles_blocked(&beside.other));
	latch_open(&beside.inside);
	assert_true(actor_finishes(&beside.other));
	assert_int_equal(beside.rig.result, TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_wait(NULL, beside.rig.machine, &TMGR_WHEN(B), SOON), 0);
	rig_stands(&beside.rig, "B:1 A:1");
	beside_end(&beside);
}

/* ---- On a loop that has ended ------------------------------------------------------------------ */

static void set_scheduled(struct tmgr_machine *machine, bool scheduled)
{
	tmgr__lock_acquire(&machine->lock);
	machine->scheduled = scheduled;
	tmgr__lock_release(&machine->lock);
}

static int end_at_once(void *self, struct tmgr_context *context)
{
	return self || context ? 0 : -EINVAL;
}

static void whose_loop_turns_out_to_have_ended_lets_all_others_go(void **state)
{
	struct tmgr_machine_options options = { .name = "looped" };
	struct rig rig = { .act = NULL, .result = 99 };
	struct actor actor = ACTOR_INIT;
	struct looped looped;

	looped_start(&looped, &(struct tmgr_loop_options){ .main = end_at_once });
	options.loop = tmgr_loop_ref(looped.loop);
	looped_end(&looped);
	rig_make(&rig, plain, PLAIN_COUNT, &options);
	actor_start(&actor);
	/* As it stands when another thread is about to post, and will see that it cannot. */
	set_scheduled(rig.machine, true);
	actor_begin(&actor, add_a, &rig);
	assert_true(actor_settles_blocked(&actor));
	set_scheduled(rig.machine, false);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(B), NULL),
		-ESHUTDOWN);
	assert_true(actor_finishes(&actor));
	assert_int_equal(rig.result, TMGR_MUTATION_CANCELLED);
	actor_quit(&actor);
	rig_end(&rig);
	tmgr_loop_unref(options.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_machine_with_a_loop_makes_all_transitions_there),
		leak_test(on_its_own_loop_a_machine_is_mutated_at_once),
		leak_test(several_set_a_machine_up_before_its_loop_runs),
		leak_test(who_waits_for_an_empty_queue_during_a_change_is_told_behind_it),
		leak_test(a_loop_that_imports_waits_for_no_more_than_a_change),
		leak_test(what_is_postponed_keeps_nobody_from_an_idle_machine),
		leak_test(nor_does_a_change_behind_which_it_waits),
		leak_test(whose_loop_turns_out_to_have_ended_lets_all_others_go),
	};

	return cmocka_run_group_tests(tests, crew_warm_up, NULL);
}
