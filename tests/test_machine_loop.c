/* A machine on a loop: mutated from elsewhere and from the loop, set up before it runs. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "taskmgr/base/check.h"

#include "tests/support/crew.h"
#include "tests/support/expect.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_machine_with_a_loop_makes_all_transitions_there),
		leak_test(on_its_own_loop_a_machine_is_mutated_at_once),
		leak_test(several_set_a_machine_up_before_its_loop_runs),
	};

	return cmocka_run_group_tests(tests, crew_warm_up, NULL);
}
