/* The runtime of durable processes as tasks of a manager: workers, clients, effects, events. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <taskmgr/tasks/loop.h>

#include "tests/support/daemon.h"
#include "tests/support/durable.h"
#include "tests/support/leak.h"

/* Goes in circles by itself, with two goroutines that must not overlap. */
static atomic_int inside, overlaps;

static int race_turn(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct sum *self = state;

	if (atomic_fetch_add(&inside, 1) != 0)
		atomic_fetch_add(&overlaps, 1);
	self->total++;
	if (message->arrival == TMGR_ARRIVED_START &&
		strcmp(tmgr_process_goroutine(process), "Main") == 0)
		tmgr_process_go_named(process, "Other", race_turn);
	atomic_fetch_sub(&inside, 1);
	if (self->total >= self->left)
		return 0;
	return tmgr_process_default(process, race_turn);
}

static const struct tmgr_process_definition race_definition = {
	.name = "race",
	.version = 1,
	.state = TMGR_STATE(struct sum, sum_fields),
	.start = race_turn,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Turn",
								 .function = race_turn },
		{ 0 } },
};

static atomic_int effects;

static int pay(void *self, const char *key, struct tmgr_bytes *ret)
{
	atomic_fetch_add(&effects, 1);
	*ret = bytes_of("paid");
	return 0;
}

static int pay_main(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct tmgr_bytes result;
	int r = tmgr_process_once(process, "pay", pay, NULL, &result);

	if (r != 0)
		return r;
	if (tmgr_process_attempts(process) == 0)
		return -EIO;
	return tmgr_process_finish(process, result);
}

static const struct tmgr_process_definition pay_definition = {
	.name = "pay",
	.version = 1,
	.start = pay_main,
	.retry = { .first_ns = TMGR_MILLISECOND },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Pay",
								 .function = pay_main },
		{ 0 } },
};

static int outlast(void *self, const char *key, struct tmgr_bytes *ret)
{
	*ret = bytes_of("late");
	return tmgr_sleep(NULL, 3 * TMGR_MILLISECOND);
}

/* Twice: the first result may still be on its way when the second is asked for. */
static int outlast_main(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_once(process, "first", outlast, NULL, NULL);
	return tmgr_process_once(process, "second", outlast, NULL, NULL);
}

static const struct tmgr_process_definition outlast_definition = {
	.name = "outlast",
	.version = 1,
	.start = outlast_main,
	.deadline_ns = TMGR_MILLISECOND,
	.retry = { .first_ns = TMGR_MILLISECOND, .attempts_max = 2 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Outlast",
								 .function = outlast_main },
		{ 0 } },
};

/* ---- Running --------------------------------------------------------------------------------- */

static void a_process_is_started_sent_to_and_waited_for_from_a_thread(void **state)
{
	struct daemon daemon;

	daemon_begin(&daemon, 2);
	assert_int_equal(daemon_start_sum(&daemon, "s", 3), 0);
	assert_int_equal(daemon_start_sum(&daemon, "s", 3), -EEXIST);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", i), 0);
	daemon_expect_result(&daemon, "s", "6");
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 1), -EPIPE);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "unknown", 1), -ENOENT);
	assert_int_equal(
		tmgr_processes_wait(NULL, daemon.processes, "unknown", DAEMON_SOON, NULL), -ENOENT);
	daemon_end(&daemon);
}

static void what_was_stored_goes_on_in_the_next_program(void **state)
{
	struct daemon daemon;

	daemon_begin(&daemon, 2);
	assert_int_equal(daemon_start_sum(&daemon, "s", 2), 0);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 40), 0);
	assert_int_equal(daemon_stop(&daemon), 0);
	daemon_next(&daemon);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 2), 0);
	daemon_expect_result(&daemon, "s", "42");
	daemon_end(&daemon);
}

static void steps_of_one_process_never_overlap_however_many_workers_there_are(void **state)
{
	struct daemon daemon;

	atomic_store(&overlaps, 0);
	daemon_begin_with(&daemon, &race_definition, 4);
	assert_int_equal(tmgr_processes_start(NULL, daemon.processes,
				 &(struct tmgr_process_child){
					 &race_definition, "r", &(struct sum){ 0, 400 } },
				 DAEMON_SOON),
		0);
	assert_int_equal(
		tmgr_processes_wait(NULL, daemon.processes, "r", DAEMON_SOON, NULL), -ENODATA);
	assert_int_equal(atomic_load(&overlaps), 0);
	daemon_end(&daemon);
}

#define SENDERS 4
#define NUMBERS 50

struct sender {
	struct tmgr_processes *processes;
	int number;
	int result;
};

static int send_many(void *self, struct tmgr_context *context)
{
	struct sender *sender = self;

	for (int i = 0; i < NUMBERS && sender->result == 0; i++)
		sender->result = daemon_send_number(
			context, sender->processes, "s", sender->number);
	return sender->result;
}

/* Senders on the pool, or all coroutines of one loop. */
static void send_from(bool loop)
{
	struct sender senders[SENDERS];
	struct tmgr_task_options options = { 0 };
	struct daemon daemon;

	daemon_make(&daemon, NULL);
	if (loop) {
		assert_int_equal(tmgr_loop_create(NULL, &options.loop), 0);
		assert_int_equal(tmgr_manager_add_task(daemon.manager, "loop",
					 tmgr_loop_task(options.loop), TMGR_STRICT),
			0);
	}
	assert_int_equal(
		tmgr_manager_add_task_with(daemon.manager, "workers",
			tmgr_processes_workers(daemon.processes, NULL), TMGR_STRICT, &options),
		0);
	daemon_start(&daemon);
	assert_int_equal(daemon_start_sum(&daemon, "s", SENDERS * NUMBERS), 0);
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ daemon.processes, i + 1, 0 };
		assert_int_equal(
			tmgr_manager_add_execute_task_with(daemon.manager, "sender",
				tmgr_task_function(send_many, &senders[i]), TMGR_ERROR, &options),
			0);
	}
	daemon_expect_result(&daemon, "s", "500");
	assert_int_equal(daemon_stop(&daemon), 0);
	for (int i = 0; i < SENDERS; i++)
		assert_int_equal(senders[i].result, 0);
	daemon_release(&daemon);
	tmgr_loop_unref(options.loop);
}

static void many_send_at_once_from_threads_and_nothing_is_lost(void **state)
{
	send_from(false);
}

static void senders_and_workers_may_be_coroutines_of_a_loop(void **state)
{
	send_from(true);
}

static void workers_for_one_definition_take_only_its_processes(void **state)
{
	struct daemon daemon;

	held_begin(false);
	daemon_make(&daemon, NULL);
	assert_int_equal(tmgr_manager_add_task(daemon.manager, "held",
				 tmgr_processes_workers(daemon.processes,
					 &(struct tmgr_processes_workers_options){
						 .workers = 1, .definition = "held" }),
				 TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_add_task(daemon.manager, "others",
				 tmgr_processes_workers(daemon.processes,
					 &(struct tmgr_processes_workers_options){ .workers = 1 }),
				 TMGR_STRICT),
		0);
	daemon_start(&daemon);
	daemon_start_held(&daemon, &held_definition, "h");
	/* Its worker is held; the other one goes on with all else. */
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 7), 0);
	daemon_expect_result(&daemon, "s", "7");
	latch_open(&held_latch);
	daemon_expect_result(&daemon, "h", "first");
	daemon_end(&daemon);
}

/* Which workers there are is known when the first process is to run. */
static void workers_for_one_definition_are_refused_when_the_runtime_is_open(void **state)
{
	struct daemon daemon;
	struct tmgr_task task;

	daemon_begin(&daemon, 1);
	task = tmgr_processes_workers(
		daemon.processes, &(struct tmgr_processes_workers_options){ .definition = "sum" });
	assert_int_equal(tmgr_task_error(task), -EBUSY);
	tmgr_task_destroy(task);
	daemon_end(&daemon);
}

static void an_effect_is_kept_before_once_returns(void **state)
{
	struct daemon daemon;

	atomic_store(&effects, 0);
	daemon_begin_with(&daemon, &pay_definition, 2);
	assert_int_equal(daemon_start_process(&daemon, &pay_definition, "p"), 0);
	daemon_expect_result(&daemon, "p", "paid");
	assert_int_equal(atomic_load(&effects), 1);
	daemon_end(&daemon);
}

static void an_effect_that_outlasts_its_method_does_no_harm(void **state)
{
	struct daemon daemon;
	char id[16];

	daemon_begin_with(&daemon, &outlast_definition, 2);
	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "p%d", i);
		assert_int_equal(daemon_start_process(&daemon, &outlast_definition, id), 0);
	}
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 7), 0);
	daemon_expect_result(&daemon, "s", "7");
	daemon_end(&daemon);
}

static void a_method_without_a_deadline_is_never_late(void **state)
{
	struct tmgr_process_definition patient = held_definition;
	struct tmgr_processes_stats stats;
	struct daemon daemon;

	patient.name = "patient";
	patient.deadline_ns = TMGR_NEVER;
	held_begin(false);
	daemon_begin_with(&daemon, &patient, 2);
	assert_int_equal(daemon_start_process(&daemon, &patient, "h"), 0);
	/* Turns go by while its method runs. */
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 7), 0);
	daemon_expect_result(&daemon, "s", "7");
	assert_int_equal(tmgr_processes_stats(daemon.processes, &stats), 0);
	assert_int_equal(stats.stuck, 0);
	assert_int_equal(daemon_events(&daemon, TMGR_PROCESS_EVENT_STUCK), 0);
	latch_open(&held_latch);
	daemon_expect_result(&daemon, "h", "first");
	daemon_end(&daemon);
}

/* ---- Events ---------------------------------------------------------------------------------- */

struct wanted {
	struct tmgr_processes *processes;
	size_t running, runnable;
};

/* They are counted at each turn, and a question is one. */
static bool counts_are(void *argument)
{
	static const struct tmgr_process_command get = { .kind = TMGR_PROCESS_GET, .id = "h" };
	const struct wanted *wanted = argument;
	struct tmgr_processes_stats stats;

	tmgr_processes_do(NULL, wanted->processes, &get, DAEMON_SOON, NULL);
	tmgr_processes_stats(wanted->processes, &stats);
	return stats.running == wanted->running && stats.runnable == wanted->runnable;
}

static void methods_that_run_and_those_that_could_are_counted(void **state)
{
	struct daemon daemon;

	held_begin(false);
	daemon_begin(&daemon, 1);
	daemon_start_held(&daemon, &held_definition, "h");
	assert_true(eventually(counts_are, &(struct wanted){ daemon.processes, 1, 0 }));
	assert_int_equal(daemon_start_process(&daemon, &held_definition, "i"), 0);
	assert_true(eventually(counts_are, &(struct wanted){ daemon.processes, 1, 1 }));
	latch_open(&held_latch);
	daemon_expect_result(&daemon, "h", "first");
	daemon_expect_result(&daemon, "i", "again");
	assert_true(eventually(counts_are, &(struct wanted){ daemon.processes, 0, 0 }));
	daemon_end(&daemon);
}

static void events_can_be_followed_as_they_become_durable(void **state)
{
	struct tmgr_processes_stats stats;
	struct daemon daemon;

	daemon_begin(&daemon, 1);
	assert_int_equal(tmgr_processes_follow(NULL, daemon.processes, 0, TMGR_NOW), -ETIMEDOUT);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(tmgr_processes_follow(NULL, daemon.processes, 0, DAEMON_SOON), 0);
	assert_int_equal(daemon_events(&daemon, TMGR_PROCESS_EVENT_STARTED), 1);
	assert_int_equal(tmgr_processes_stats(daemon.processes, &stats), 0);
	assert_true(stats.sequence > 0);
	assert_int_equal(stats.live, 1);
	daemon_end(&daemon);
}

static void timers_fire_by_themselves(void **state)
{
	struct daemon daemon;

	atomic_store(&effects, 0);
	daemon_begin_with(&daemon, &pay_definition, 1);
	/* The second attempt of the method comes from a timer. */
	assert_int_equal(daemon_start_process(&daemon, &pay_definition, "p"), 0);
	daemon_expect_result(&daemon, "p", "paid");
	assert_int_equal(daemon_events(&daemon, TMGR_PROCESS_EVENT_RETRY), 1);
	daemon_end(&daemon);
}

/* It takes longer than the time it then waits for. */
static _Atomic int64_t declared_at, timed_out_at;

static int slow_main(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_TIMEOUT) {
		atomic_store(&timed_out_at, tmgr_now());
		return tmgr_process_finish(process, bytes_of("late"));
	}
	tmgr_sleep(NULL, 60 * TMGR_MILLISECOND);
	atomic_store(&declared_at, tmgr_now());
	return tmgr_process_after(process, 30 * TMGR_MILLISECOND, slow_main);
}

static const struct tmgr_process_definition slow_definition = {
	.name = "slow",
	.version = 1,
	.start = slow_main,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Slow",
								 .function = slow_main },
		{ 0 } },
};

static void a_time_begins_when_it_is_declared_and_not_when_its_method_was_called(void **state)
{
	struct daemon daemon;

	daemon_begin_with(&daemon, &slow_definition, 1);
	assert_int_equal(daemon_start_process(&daemon, &slow_definition, "s"), 0);
	daemon_expect_result(&daemon, "s", "late");
	daemon_end(&daemon);
	assert_true(
		atomic_load(&timed_out_at) - atomic_load(&declared_at) >= 30 * TMGR_MILLISECOND);
}

static int64_t processor_time(void)
{
	struct timespec time;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
	return time.tv_sec * TMGR_SECOND + time.tv_nsec;
}

static void a_runtime_with_nothing_to_do_sleeps(void **state)
{
	struct daemon daemon;
	int64_t before;

	daemon_begin(&daemon, 2);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	before = processor_time();
	tmgr_sleep(NULL, 200 * TMGR_MILLISECOND);
	assert_true(processor_time() - before < 20 * TMGR_MILLISECOND);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "s", 1), 0);
	daemon_end(&daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_process_is_started_sent_to_and_waited_for_from_a_thread),
		leak_test(what_was_stored_goes_on_in_the_next_program),
		leak_test(steps_of_one_process_never_overlap_however_many_workers_there_are),
		leak_test(many_send_at_once_from_threads_and_nothing_is_lost),
		leak_test(senders_and_workers_may_be_coroutines_of_a_loop),
		leak_test(workers_for_one_definition_take_only_its_processes),
		leak_test(workers_for_one_definition_are_refused_when_the_runtime_is_open),
		leak_test(an_effect_is_kept_before_once_returns),
		leak_test(an_effect_that_outlasts_its_method_does_no_harm),
		leak_test(a_method_without_a_deadline_is_never_late),
		leak_test(methods_that_run_and_those_that_could_are_counted),
		leak_test(events_can_be_followed_as_they_become_durable),
		leak_test(timers_fire_by_themselves),
		leak_test(a_time_begins_when_it_is_declared_and_not_when_its_method_was_called),
		leak_test(a_runtime_with_nothing_to_do_sleeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
