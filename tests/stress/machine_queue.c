/*
 * Machines under many threads: no mutation is lost between the last that the drainer sees and its
 * leaving, no wait is missed, what is taken back, dropped or unbound is never called again, and a timeout
 * hits no later activation. SECONDS says for how long.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <taskmgr/tasks/machine_task.h>
#include <taskmgr/tasks/machine_wait.h>

#include "tests/support/leak.h"

#define THREADS 4
#define SOON tmgr_after(60 * TMGR_SECOND)

enum { A, B, COUNTED, STATES };

static const struct tmgr_machine_state rows[STATES] = {
	[A] = { .name = "A", .remove = TMGR_STATES(B) },
	[B] = { .name = "B", .remove = TMGR_STATES(A) },
	[COUNTED] = { .name = "Counted", .multi = true },
};

static int64_t seconds(void)
{
	const char *given = getenv("SECONDS");

	return given != NULL ? atoi(given) : 1;
}

static struct tmgr_machine *make(const struct tmgr_machine_options *options)
{
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;

	assert_int_equal(tmgr_schema_compile(rows, STATES, NULL, &schema), 0);
	assert_int_equal(tmgr_machine_create(schema, options, &machine), 0);
	tmgr_schema_unref(schema);
	return machine;
}

struct worker {
	struct tmgr_machine *machine;
	pthread_t thread;
	int64_t until;
	long done, wrong;
	unsigned number;
	int *finished; /* how many have */
};

/* Have them all work on it until that time; none finds anything wrong. How much they have done. */
static long run(struct tmgr_machine *machine, void *(*work)(void *argument), int64_t until)
{
	struct worker workers[THREADS];
	long done = 0, wrong = 0;
	int finished = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.machine = machine,
			.until = until,
			.number = i,
			.finished = &finished,
		};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		done += workers[i].done;
		wrong += workers[i].wrong;
	}
	assert_int_equal(wrong, 0);
	return done;
}

/* ---- Nothing is lost -------------------------------------------------------------------------- */

static void count_it(void *self, struct tmgr_machine_event *event)
{
	long *entered = self;

	(void)event;
	/* Handlers run one at a time: not atomic. */
	(*entered)++;
}

static const struct tmgr_state_handlers counting_rows[STATES] = { [COUNTED] = {
									  .state = count_it } };
static const struct tmgr_machine_handlers counting = {
	.states = counting_rows,
	.state_count = STATES,
};

static void *add_many(void *argument)
{
	struct worker *worker = argument;
	const struct tmgr_mutation mutation = { .states = TMGR_STATES(COUNTED) };

	while (tmgr_now() < worker->until) {
		uint64_t ticket;
		int r = tmgr_machine_mutate(worker->machine, &mutation, &ticket);

		worker->done++;
		/* Whoever drains may be about to leave: it must see this one. */
		if (r == TMGR_MUTATION_QUEUED && tmgr_machine_wait(NULL, worker->machine,
							 &TMGR_WHEN_TICKET(ticket), SOON) != 0)
			worker->wrong++;
		else if (r != TMGR_MUTATION_QUEUED && r != TMGR_MUTATION_EXECUTED)
			worker->wrong++;
	}
	return NULL;
}

static void no_mutation_is_lost_when_the_drainer_leaves(void **state)
{
	struct tmgr_machine *machine = make(NULL);
	long entered = 0, done;

	assert_int_equal(tmgr_machine_bind(machine, &counting, &entered), 0);
	done = run(machine, add_many, tmgr_after(seconds() * TMGR_SECOND));
	assert_int_equal(tmgr_machine_wait(NULL, machine, &TMGR_WHEN_DRAINED, SOON), 0);
	assert_int_equal(entered, done);
	assert_int_equal(tmgr_machine_tick(machine, COUNTED), 2 * done - 1);
	print_message("%ld mutations\n", done);
	tmgr_machine_unref(machine);
}

/* ---- A queue that is full --------------------------------------------------------------------- */

static void *add_blocking(void *argument)
{
	struct worker *worker = argument;

	while (tmgr_now() < worker->until) {
		int r = tmgr_machine_add(worker->machine, COUNTED, NULL);

		worker->done++;
		worker->wrong += r != TMGR_MUTATION_QUEUED && r != TMGR_MUTATION_EXECUTED;
	}
	return NULL;
}

static void who_waits_for_room_gets_it(void **state)
{
	struct tmgr_machine_options options = { .queue_max = 1, .queue_full = TMGR_QUEUE_BLOCK };
	struct tmgr_machine *machine = make(&options);
	long entered = 0, done;

	assert_int_equal(tmgr_machine_bind(machine, &counting, &entered), 0);
	done = run(machine, add_blocking, tmgr_after(seconds() * TMGR_SECOND));
	assert_int_equal(tmgr_machine_wait(NULL, machine, &TMGR_WHEN_DRAINED, SOON), 0);
	assert_int_equal(entered, done);
	tmgr_machine_unref(machine);
}

/* ---- No wait is missed ------------------------------------------------------------------------ */

/* Even ones wait for A and set B, odd ones the other way round: one that misses its turn stops all. */
static void *take_turns(void *argument)
{
	struct worker *worker = argument;
	unsigned mine = worker->number & 1 ? B : A, others = worker->number & 1 ? A : B;

	while (tmgr_now() < worker->until) {
		if (tmgr_machine_wait(NULL, worker->machine, &TMGR_WHEN(mine), SOON) < 0)
			worker->wrong++;
		tmgr_machine_add(worker->machine, others, NULL);
		worker->done++;
	}
	/* For those who still wait, each moment comes again until all have gone. */
	__atomic_fetch_add(worker->finished, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(worker->finished, __ATOMIC_RELAXED) < THREADS) {
		tmgr_machine_add(worker->machine, A, NULL);
		tmgr_machine_add(worker->machine, B, NULL);
		tmgr_yield(NULL);
	}
	return NULL;
}

static void no_wait_misses_what_was_there_for_a_moment(void **state)
{
	struct tmgr_machine *machine = make(NULL);
	long done;

	tmgr_machine_add(machine, A, NULL);
	done = run(machine, take_turns, tmgr_after(seconds() * TMGR_SECOND));
	print_message("%ld turns\n", done);
	tmgr_machine_unref(machine);
}

/* ---- Nothing is called that was taken back ----------------------------------------------------- */

static void tell(void *self, int result)
{
	int *told = self;

	(void)result;
	__atomic_fetch_add(told, 1, __ATOMIC_RELAXED);
}

/* Register with and without a token, take back, drop: each is told once, or was taken back. */
static void *come_and_go(void *argument)
{
	struct worker *worker = argument;

	while (tmgr_now() < worker->until) {
		struct tmgr_machine_condition condition = TMGR_WHEN(worker->number & 1 ? A : B);
		struct tmgr_machine_when when;
		struct tmgr_token *token = NULL;
		int told = 0, r;

		if (worker->done & 1 && tmgr_token_create(NULL, &token) < 0)
			break;
		condition.token = token;
		tmgr_machine_when(worker->machine, &condition, &when, tell, &told);
		tmgr_machine_add(worker->machine, worker->done & 2 ? A : B, NULL);
		if (worker->done & 4)
			tmgr_token_cancel(token, 0, NULL);
		r = tmgr_machine_when_cancel(&when);
		worker->wrong += __atomic_load_n(&told, __ATOMIC_RELAXED) != (r == -ENOENT);
		tmgr_token_unref(token);
		worker->done++;
	}
	return NULL;
}

static void what_was_taken_back_is_not_called(void **state)
{
	struct tmgr_machine *machine = make(NULL);
	struct tmgr_machine_stats stats;

	run(machine, come_and_go, tmgr_after(seconds() * TMGR_SECOND));
	assert_int_equal(tmgr_machine_stats(machine, &stats), 0);
	assert_int_equal(stats.waits, 0);
	tmgr_machine_unref(machine);
}

/* ---- Reading, binding, disposing beside it ----------------------------------------------------- */

static void *read_and_bind(void *argument)
{
	struct worker *worker = argument;
	long entered = 0;

	while (tmgr_now() < worker->until) {
		unsigned active[STATES + 1];
		uint64_t ticks[STATES + 1];
		long before;
		size_t count, odd = 0;

		/* One of the two, at any one moment. */
		worker->wrong += tmgr_machine_all(worker->machine, TMGR_STATES(A, B));
		worker->wrong += !tmgr_machine_any(worker->machine, TMGR_STATES(A, B));
		count = tmgr_machine_active(worker->machine, active, STATES + 1);
		worker->wrong += count < 1 || count > 2;
		tmgr_machine_ticks(worker->machine, NULL, ticks);
		odd = (ticks[A] & 1) + (ticks[B] & 1);
		worker->wrong += odd != 1;
		if (worker->number != 0) {
			tmgr_machine_add(worker->machine, worker->done & 1 ? A : B, NULL);
			tmgr_machine_add(worker->machine, COUNTED, NULL);
		} else {
			tmgr_machine_bind(worker->machine, &counting, &entered);
			tmgr_sleep(NULL, TMGR_MILLISECOND);
			tmgr_machine_unbind(worker->machine, &counting, &entered);
			before = entered;
			tmgr_yield(NULL);
			worker->wrong += entered != before;
		}
		worker->done++;
	}
	return NULL;
}

static void readers_see_one_moment_and_what_is_unbound_is_not_called(void **state)
{
	struct tmgr_machine *machine = make(NULL);

	tmgr_machine_add(machine, A, NULL);
	run(machine, read_and_bind, tmgr_after(seconds() * TMGR_SECOND));
	tmgr_machine_unref(machine);
}

static void *use_until_disposed(void *argument)
{
	struct worker *worker = argument;

	if (worker->number == 0) {
		for (unsigned i = 0; i < 20; i++)
			tmgr_yield(NULL);
		worker->wrong += tmgr_machine_dispose(worker->machine) != 0;
	}
	while (tmgr_machine_add(worker->machine, worker->number & 1, NULL) !=
		TMGR_MUTATION_CANCELLED)
		worker->done++;
	worker->wrong += tmgr_machine_wait(NULL, worker->machine, &TMGR_WHEN_DISPOSED, SOON) != 0;
	worker->wrong += tmgr_machine_wait(NULL, worker->machine, &TMGR_WHEN_CHANGED(COUNTED, 0),
				 SOON) != -ESHUTDOWN;
	return NULL;
}

static void disposing_lets_everybody_go(void **state)
{
	int64_t until = tmgr_after(seconds() * TMGR_SECOND);
	long rounds = 0;

	for (; tmgr_now() < until; rounds++) {
		struct tmgr_machine *machine = make(NULL);

		run(machine, use_until_disposed, TMGR_NEVER);
		tmgr_machine_unref(machine);
	}
	print_message("%ld rounds\n", rounds);
}

/* ---- A timeout is of one activation ------------------------------------------------------------ */

#define TOO_LONG (50 * TMGR_MICROSECOND)

static const struct tmgr_machine_state timed_rows[] = {
	[A] = { .name = "A", .timeout = { .ns = TOO_LONG, .states = TMGR_STATES(B) } },
	[B] = { .name = "B" },
};

/* Handlers run one at a time. */
struct timed {
	int64_t entered;
	long late, timeouts;
};

static void note_when(void *self, struct tmgr_machine_event *event)
{
	struct timed *timed = self;

	timed->entered = tmgr_now();
}

/* Only the timeout adds B. */
static void note_how_long(void *self, struct tmgr_machine_event *event)
{
	struct timed *timed = self;

	timed->timeouts++;
	timed->late += tmgr_now() - timed->entered < TOO_LONG;
}

static const struct tmgr_state_handlers timed_handlers[] = {
	[A] = { .state = note_when },
	[B] = { .state = note_how_long },
};
static const struct tmgr_machine_handlers timed_table = {
	.states = timed_handlers,
	.state_count = 2,
};

/* One looks for what is due, another leaves the state just then and enters it again. */
static void *enter_and_expire(void *argument)
{
	struct worker *worker = argument;

	for (; tmgr_now() < worker->until; worker->done++) {
		if (worker->number & 1) {
			tmgr_machine_expire(worker->machine);
			continue;
		}
		tmgr_machine_set(worker->machine, A, NULL);
		tmgr_sleep(NULL, TOO_LONG / 2 + worker->done % 100 * TOO_LONG / 100);
		tmgr_machine_remove(worker->machine, A, NULL);
	}
	return NULL;
}

static void a_timeout_hits_no_later_activation(void **state)
{
	struct timed timed = { .entered = 0 };
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;

	assert_int_equal(tmgr_schema_compile(timed_rows, 2, NULL, &schema), 0);
	assert_int_equal(tmgr_machine_create(schema, NULL, &machine), 0);
	tmgr_schema_unref(schema);
	assert_int_equal(tmgr_machine_bind(machine, &timed_table, &timed), 0);
	run(machine, enter_and_expire, tmgr_after(seconds() * TMGR_SECOND));
	tmgr_machine_unref(machine);
	print_message("%ld timeouts\n", timed.timeouts);
	assert_int_equal(timed.late, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(no_mutation_is_lost_when_the_drainer_leaves),
		leak_test(who_waits_for_room_gets_it),
		leak_test(no_wait_misses_what_was_there_for_a_moment),
		leak_test(what_was_taken_back_is_not_called),
		leak_test(readers_see_one_moment_and_what_is_unbound_is_not_called),
		leak_test(disposing_lets_everybody_go),
		leak_test(a_timeout_hits_no_later_activation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
