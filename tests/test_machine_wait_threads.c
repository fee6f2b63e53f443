/* Threads and coroutines that wait for a machine; and taking a wait back while it is told. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "taskmgr/base/check.h"

#include "tests/support/actor.h"
#include "tests/support/crew.h"
#include "tests/support/latch.h"
#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
};

#define PLAIN_COUNT ARRAY_SIZE(plain)
#define SOON tmgr_after(TMGR_MINUTE)

/* ---- Threads and coroutines ------------------------------------------------------------------ */

/* Two hand a machine to each other, many times. */
struct pair {
	struct tmgr_machine *machine;
	unsigned mine, others;
	int rounds;
};

static int hand_over(void *self, struct tmgr_context *context)
{
	struct pair *pair = self;
	struct tmgr_mutation give = { .kind = TMGR_MUTATION_SET,
		.states = TMGR_STATES(pair->others) };
	uint64_t ticket;
	int r = 0;

	for (int i = 0; i < pair->rounds && r == 0; i++) {
		r = tmgr_machine_wait(context, pair->machine, &TMGR_WHEN(pair->mine), SOON);
		/* While the other one is still about to leave the machine it is only queued. */
		if (r == 0 &&
			tmgr_machine_mutate(pair->machine, &give, &ticket) == TMGR_MUTATION_QUEUED)
			r = tmgr_machine_wait(
				context, pair->machine, &TMGR_WHEN_TICKET(ticket), SOON);
	}
	return r;
}

static void threads_and_coroutines_hand_a_machine_to_each_other(void **state)
{
	for (int host = 0; host < CREW_HOSTS; host++) {
		struct rig rig = { .act = NULL };
		struct pair first, second;

		rig_make(&rig, plain, PLAIN_COUNT, NULL);
		first = (struct pair){ rig.machine, A, B, 500 };
		second = (struct pair){ rig.machine, B, A, 500 };
		tmgr_machine_set(rig.machine, A, NULL);
		assert_int_equal(crew_run(host, hand_over, &first, hand_over, &second), 0);
		assert_int_equal(tmgr_machine_tick(rig.machine, A), 1001);
		rig_end(&rig);
	}
}

static int wait_for_a(void *self, struct tmgr_context *context)
{
	struct rig *rig = self;

	return tmgr_machine_wait(context, rig->machine, &TMGR_WHEN(A), TMGR_NEVER);
}

struct waiting {
	struct rig *rig;
	int result;
};

static int wait_or_error(void *self, struct tmgr_context *context)
{
	struct waiting *waiting = self;

	waiting->result = tmgr_machine_wait_or_error(
		context, waiting->rig->machine, &TMGR_WHEN(A), TMGR_NEVER);
	/* What it is told is no error of the task. */
	return 0;
}

/* As many as the rig's result says. */
static bool all_wait(void *argument)
{
	struct rig *rig = argument;
	struct tmgr_machine_stats stats;

	return tmgr_machine_stats(rig->machine, &stats) == 0 && stats.waits == (size_t)rig->result;
}

static void a_cancelled_wait_leaves_all_others_alone(void **state)
{
	for (int host = 0; host < CREW_HOSTS; host++) {
		struct rig rig = { .act = NULL, .result = 3 };
		struct crew crew;

		rig_make(&rig, plain, PLAIN_COUNT, NULL);
		crew_begin(&crew, host);
		for (int i = 0; i < 3; i++)
			crew_add(&crew, wait_for_a, &rig);
		assert_true(eventually(all_wait, &rig));
		crew_cancel(&crew, 1);
		assert_int_equal(crew_join(&crew, 1), -ECANCELED);
		tmgr_machine_add(rig.machine, A, NULL);
		assert_int_equal(crew_join(&crew, 0), 0);
		assert_int_equal(crew_join(&crew, 2), 0);
		assert_int_equal(crew_end(&crew), 0);
		rig_end(&rig);
	}
}

static void a_wait_ends_with_an_error_where_that_is_wanted(void **state)
{
	for (int host = 0; host < CREW_HOSTS; host++) {
		struct rig rig = { .act = NULL, .result = 4 };
		struct waiting waiting[4];
		struct crew crew;

		rig_make(&rig, plain, PLAIN_COUNT, NULL);
		crew_begin(&crew, host);
		for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
			waiting[i] = (struct waiting){ &rig, 99 };
		crew_add(&crew, wait_or_error, &waiting[0]);
		crew_add(&crew, wait_or_error, &waiting[1]);
		assert_true(eventually(all_wait, &rig));
		crew_cancel(&crew, 1);
		crew_join(&crew, 1);
		assert_int_equal(waiting[1].result, -ECANCELED);
		tmgr_machine_add_error(rig.machine, -EIO, "broken");
		crew_join(&crew, 0);
		assert_int_equal(waiting[0].result, -EIO);
		crew_add(&crew, wait_or_error, &waiting[2]);
		crew_join(&crew, 2);
		assert_int_equal(waiting[2].result, -EIO);
		tmgr_machine_add(rig.machine, A, NULL);
		crew_add(&crew, wait_or_error, &waiting[3]);
		crew_join(&crew, 3);
		assert_int_equal(waiting[3].result, 0);
		assert_int_equal(crew_end(&crew), 0);
		rig_end(&rig);
	}
}

/* ---- Taking back while it is called ----------------------------------------------------------- */

struct racing {
	struct latch called, go;
	struct tmgr_machine_when when;
	struct tmgr_machine *machine;
	bool returned;
};

static void stay(void *self, int result)
{
	struct racing *racing = self;

	(void)result;
	latch_arrive(&racing->called);
	latch_wait(&racing->go);
	__atomic_store_n(&racing->returned, true, __ATOMIC_RELEASE);
}

static void *add_it(void *argument)
{
	struct racing *racing = argument;

	tmgr_machine_add(racing->machine, A, NULL);
	return NULL;
}

static void *open_later(void *argument)
{
	struct racing *racing = argument;

	tmgr_sleep(NULL, 5 * TMGR_MILLISECOND);
	latch_open(&racing->go);
	return NULL;
}

static void taking_back_waits_for_a_callback_that_runs(void **state)
{
	struct racing racing = { .called = LATCH_INIT, .go = LATCH_INIT };
	struct rig rig = { .act = NULL };
	pthread_t adds, opens;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	racing.machine = rig.machine;
	assert_int_equal(
		tmgr_machine_when(rig.machine, &TMGR_WHEN(A), &racing.when, stay, &racing), 0);
	assert_int_equal(pthread_create(&adds, NULL, add_it, &racing), 0);
	assert_true(latch_arrived(&racing.called, 1));
	assert_int_equal(pthread_create(&opens, NULL, open_later, &racing), 0);
	assert_int_equal(tmgr_machine_when_cancel(&racing.when), -ENOENT);
	assert_true(__atomic_load_n(&racing.returned, __ATOMIC_ACQUIRE));
	pthread_join(adds, NULL);
	pthread_join(opens, NULL);
	rig_end(&rig);
}

/* ---- Many threads ---------------------------------------------------------------------------- */

#define WAITERS 8

struct many {
	struct tmgr_machine *machine;
	unsigned state;
	int result;
	pthread_t thread;
};

static void *wait_for_state(void *argument)
{
	struct many *many = argument;

	many->result = tmgr_machine_wait(NULL, many->machine, &TMGR_WHEN(many->state), SOON);
	return NULL;
}

static void any_number_waits_for_one_state(void **state)
{
	struct many many[WAITERS];
	struct rig rig = { .act = NULL, .result = WAITERS };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	for (size_t i = 0; i < WAITERS; i++) {
		many[i] = (struct many){ rig.machine, A, 99, 0 };
		assert_int_equal(
			pthread_create(&many[i].thread, NULL, wait_for_state, &many[i]), 0);
	}
	assert_true(eventually(all_wait, &rig));
	tmgr_machine_add(rig.machine, A, NULL);
	for (size_t i = 0; i < WAITERS; i++) {
		pthread_join(many[i].thread, NULL);
		assert_int_equal(many[i].result, 0);
	}
	rig_end(&rig);
}

/* ---- Room ------------------------------------------------------------------------------------ */

/* B is postponed for ever, and fills the queue; who is told that it was drained is held. */
struct full {
	struct rig rig;
	struct tmgr_machine_when when;
	struct latch inside;
	struct actor drainer, blocked;
	int drained, added;
};

static void hold_drainer(void *self, int result)
{
	struct full *full = self;

	full->drained = result;
	latch_wait(&full->inside);
}

static bool postpone_and_wait(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	struct full *full = rig->user;

	if (strcmp(name, "BEnter") == 0)
		return tmgr_machine_postpone(event);
	if (strcmp(name, "AState") == 0)
		tmgr_machine_when(
			event->machine, &TMGR_WHEN_DRAINED, &full->when, hold_drainer, full);
	return true;
}

static void drain(void *argument, struct tmgr_context *context)
{
	struct full *full = argument;

	(void)context;
	tmgr_machine_add(full->rig.machine, A, NULL);
}

static void remove_a(void *argument, struct tmgr_context *context)
{
	struct full *full = argument;

	(void)context;
	full->added = tmgr_machine_remove(full->rig.machine, A, NULL);
}

static void what_is_postponed_keeps_nobody_waiting_behind_the_last_drainer(void **state)
{
	struct tmgr_machine_options options = { .queue_max = 1, .queue_full = TMGR_QUEUE_BLOCK };
	struct full full = { .rig = { .act = postpone_and_wait, .user = &full, .result = 1 },
		.drainer = ACTOR_INIT,
		.blocked = ACTOR_INIT,
		.drained = 1 };

	latch_init(&full.inside);
	rig_make(&full.rig, plain, PLAIN_COUNT, &options);
	assert_int_equal(tmgr_machine_add(full.rig.machine, B, NULL), TMGR_MUTATION_QUEUED);
	actor_start(&full.drainer);
	actor_start(&full.blocked);
	actor_begin(&full.drainer, drain, &full);
	assert_true(latch_arrived(&full.inside, 1));
	assert_int_equal(full.drained, 0);
	actor_begin(&full.blocked, remove_a, &full);
	assert_true(eventually(all_wait, &full.rig));
	latch_open(&full.inside);
	assert_true(actor_finishes(&full.drainer));
	assert_true(actor_finishes(&full.blocked));
	assert_int_equal(full.added, TMGR_MUTATION_EXECUTED);
	rig_stands(&full.rig, "");
	actor_quit(&full.drainer);
	actor_quit(&full.blocked);
	rig_end(&full.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(threads_and_coroutines_hand_a_machine_to_each_other),
		leak_test(a_cancelled_wait_leaves_all_others_alone),
		leak_test(a_wait_ends_with_an_error_where_that_is_wanted),
		leak_test(taking_back_waits_for_a_callback_that_runs),
		leak_test(any_number_waits_for_one_state),
		leak_test(what_is_postponed_keeps_nobody_waiting_behind_the_last_drainer),
	};

	return cmocka_run_group_tests(tests, crew_warm_up, NULL);
}
