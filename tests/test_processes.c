/* The runtime of durable processes as tasks of a manager: workers, clients, stopping, a store that fails. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/child.h"
#include "tests/support/durable.h"
#include "tests/support/latch.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define SOON tmgr_after(30 * TMGR_SECOND)

/* ---- Definitions ----------------------------------------------------------------------------- */

struct sum {
	int64_t total, left;
};

static const struct tmgr_state_field sum_fields[] = {
	TMGR_FIELD(struct sum, total),
	TMGR_FIELD(struct sum, left),
};

static atomic_int overlaps;

/* Adds `left` numbers that are sent, and gives the sum. */
static int sum_add(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct sum *self = state;
	char text[32];

	if (message->arrival == TMGR_ARRIVED_MESSAGE) {
		self->total += strtoll(message->value.data, NULL, 10);
		self->left--;
	}
	if (self->left > 0)
		return tmgr_process_receive(process, "number", sum_add);
	snprintf(text, sizeof(text), "%lld", (long long)self->total);
	return tmgr_process_finish(process, bytes_of(text));
}

static const struct tmgr_process_definition sum_definition = {
	.name = "sum",
	.version = 1,
	.state = TMGR_STATE(struct sum, sum_fields),
	.start = sum_add,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Add",
								 .function = sum_add },
		{ 0 } },
};

/* Goes in circles by itself, with two goroutines that must not overlap. */
static atomic_int inside;

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

/* Held in its method by the test. */
static struct latch hold;
static atomic_int held_calls;
static atomic_bool obeys;

static int held_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	int r;

	if (atomic_fetch_add(&held_calls, 1) > 0)
		return tmgr_process_finish(process, bytes_of("again"));
	if (atomic_load(&obeys)) {
		latch_arrive(&hold);
		r = tmgr_sleep(tmgr_process_context(process), TMGR_HOUR);
		return r != 0 ? r : -EIO;
	}
	latch_wait(&hold);
	return tmgr_process_finish(process, bytes_of("first"));
}

static const struct tmgr_process_definition held_definition = {
	.name = "held",
	.version = 1,
	.start = held_wait,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = held_wait },
		{ 0 } },
};

static const struct tmgr_process_definition short_definition = {
	.name = "short",
	.version = 1,
	.start = held_wait,
	.deadline_ns = 20 * TMGR_MILLISECOND,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = held_wait },
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

static const struct tmgr_process_definition *const definitions[] = { &sum_definition,
	&race_definition, &held_definition, &short_definition, &pay_definition, NULL };

/* ---- A manager with the runtime -------------------------------------------------------------- */

struct daemon {
	struct tmgr_processes *processes;
	struct tmgr_store *store;
	struct tmgr_manager *manager;
	struct tmgr_loop *loop; /* the workers', or NULL */
	struct runner runner;
};

static void make(struct daemon *daemon, struct tmgr_store *store)
{
	const struct tmgr_manager_options options = { .shutdown_ns = 2 * TMGR_SECOND };

	*daemon = (struct daemon){ .store = store };
	if (store == NULL)
		assert_int_equal(tmgr_store_memory_create(&daemon->store), 0);
	assert_int_equal(tmgr_processes_create(daemon->store, NULL, &daemon->processes), 0);
	for (size_t i = 0; definitions[i] != NULL; i++)
		assert_int_equal(tmgr_processes_define(daemon->processes, definitions[i]), 0);
	daemon->manager = tmgr_manager_create(&options);
	assert_int_equal(tmgr_manager_add_task(daemon->manager, "processes",
				 tmgr_processes_task(daemon->processes), TMGR_STRICT),
		0);
}

static void start(struct daemon *daemon)
{
	runner_start(&daemon->runner, daemon->manager, NULL);
	assert_true(manager_reaches(daemon->manager, TMGR_MANAGER_RUNNING));
}

static void begin_on(struct daemon *daemon, struct tmgr_store *store, size_t workers)
{
	make(daemon, store);
	assert_int_equal(
		tmgr_manager_add_task(daemon->manager, "workers",
			tmgr_processes_workers(daemon->processes,
				&(struct tmgr_processes_workers_options){ .workers = workers }),
			TMGR_STRICT),
		0);
	start(daemon);
}

static void begin(struct daemon *daemon, size_t workers)
{
	begin_on(daemon, NULL, workers);
}

static int stop(struct daemon *daemon)
{
	tmgr_manager_cancel(daemon->manager);
	return runner_join(&daemon->runner);
}

/* What it leaves to the next program; NULL: nothing is asked for. */
static void release(struct daemon *daemon, struct tmgr_store **ret_store)
{
	tmgr_manager_destroy(daemon->manager);
	if (ret_store != NULL)
		assert_int_equal(tmgr_store_memory_copy(daemon->store, ret_store), 0);
	tmgr_processes_unref(daemon->processes);
}

static int start_process(
	struct daemon *daemon, const struct tmgr_process_definition *definition, const char *id)
{
	return tmgr_processes_start(NULL, daemon->processes,
		&(struct tmgr_process_child){ definition, id, NULL }, SOON);
}

static int start_sum(struct daemon *daemon, const char *id, int64_t left)
{
	return tmgr_processes_start(NULL, daemon->processes,
		&(struct tmgr_process_child){ &sum_definition, id, &(struct sum){ 0, left } },
		SOON);
}

static int send_number(
	struct tmgr_context *context, struct tmgr_processes *processes, const char *id, int number)
{
	char channel[TMGR_PROCESS_CHANNEL_MAX + 1], text[16];

	snprintf(channel, sizeof(channel), "%s/number", id);
	snprintf(text, sizeof(text), "%d", number);
	return tmgr_processes_send(context, processes,
		&(struct tmgr_process_outside){ channel, bytes_of(text), NULL }, SOON);
}

static void expect_result(struct daemon *daemon, const char *id, const char *wanted)
{
	struct tmgr_process_request *request;
	int r = tmgr_processes_wait(NULL, daemon->processes, id, SOON, &request);

	if (r != 0)
		fail_msg("waiting for %s gives %d", id, r);
	assert_string_equal(tmgr_process_request_value(request).data, wanted);
	tmgr_process_request_release(request);
}

/* ---- Running --------------------------------------------------------------------------------- */

static void a_process_is_started_sent_to_and_waited_for_from_a_thread(void **state)
{
	struct daemon daemon;

	begin(&daemon, 2);
	assert_int_equal(start_sum(&daemon, "s", 3), 0);
	assert_int_equal(start_sum(&daemon, "s", 3), -EEXIST);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(send_number(NULL, daemon.processes, "s", i), 0);
	expect_result(&daemon, "s", "6");
	assert_int_equal(send_number(NULL, daemon.processes, "s", 1), -EPIPE);
	assert_int_equal(send_number(NULL, daemon.processes, "unknown", 1), -ENOENT);
	assert_int_equal(
		tmgr_processes_wait(NULL, daemon.processes, "unknown", SOON, NULL), -ENOENT);
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

static void what_was_stored_goes_on_in_the_next_program(void **state)
{
	struct tmgr_store *store;
	struct daemon daemon;

	begin(&daemon, 2);
	assert_int_equal(start_sum(&daemon, "s", 2), 0);
	assert_int_equal(send_number(NULL, daemon.processes, "s", 40), 0);
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, &store);
	begin_on(&daemon, store, 1);
	assert_int_equal(send_number(NULL, daemon.processes, "s", 2), 0);
	expect_result(&daemon, "s", "42");
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

static void steps_of_one_process_never_overlap_however_many_workers_there_are(void **state)
{
	struct daemon daemon;

	atomic_store(&overlaps, 0);
	begin(&daemon, 4);
	assert_int_equal(tmgr_processes_start(NULL, daemon.processes,
				 &(struct tmgr_process_child){
					 &race_definition, "r", &(struct sum){ 0, 400 } },
				 SOON),
		0);
	assert_int_equal(tmgr_processes_wait(NULL, daemon.processes, "r", SOON, NULL), -ENODATA);
	assert_int_equal(atomic_load(&overlaps), 0);
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
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
		sender->result = send_number(context, sender->processes, "s", sender->number);
	return sender->result;
}

/* Senders on the pool, or all coroutines of one loop. */
static void send_from(bool loop)
{
	struct sender senders[SENDERS];
	struct tmgr_task_options options = { 0 };
	struct daemon daemon;

	make(&daemon, NULL);
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
	start(&daemon);
	assert_int_equal(start_sum(&daemon, "s", SENDERS * NUMBERS), 0);
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ daemon.processes, i + 1, 0 };
		assert_int_equal(
			tmgr_manager_add_execute_task_with(daemon.manager, "sender",
				tmgr_task_function(send_many, &senders[i]), TMGR_ERROR, &options),
			0);
	}
	expect_result(&daemon, "s", "500");
	assert_int_equal(stop(&daemon), 0);
	for (int i = 0; i < SENDERS; i++)
		assert_int_equal(senders[i].result, 0);
	release(&daemon, NULL);
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

	atomic_store(&held_calls, 0);
	atomic_store(&obeys, false);
	latch_init(&hold);
	make(&daemon, NULL);
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
	start(&daemon);
	assert_int_equal(start_process(&daemon, &held_definition, "h"), 0);
	assert_true(latch_arrived(&hold, 1));
	/* Its worker is held; the other one goes on with all else. */
	assert_int_equal(start_sum(&daemon, "s", 1), 0);
	assert_int_equal(send_number(NULL, daemon.processes, "s", 7), 0);
	expect_result(&daemon, "s", "7");
	latch_open(&hold);
	expect_result(&daemon, "h", "first");
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

static void an_effect_is_kept_before_once_returns(void **state)
{
	struct daemon daemon;

	atomic_store(&effects, 0);
	begin(&daemon, 2);
	assert_int_equal(start_process(&daemon, &pay_definition, "p"), 0);
	expect_result(&daemon, "p", "paid");
	assert_int_equal(atomic_load(&effects), 1);
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

/* ---- Methods that take long ------------------------------------------------------------------ */

static int count_kind(void *self, const struct tmgr_process_event *event)
{
	size_t *counts = self;

	counts[event->kind]++;
	return 0;
}

static size_t events_of(struct daemon *daemon, enum tmgr_process_event_kind kind)
{
	size_t counts[32] = { 0 };

	assert_int_equal(
		tmgr_processes_events(daemon->processes,
			&(struct tmgr_store_query){ .count_max = SIZE_MAX }, count_kind, counts),
		0);
	return counts[kind];
}

static bool is_stuck(void *argument)
{
	struct tmgr_processes_stats stats;

	tmgr_processes_stats(argument, &stats);
	return stats.stuck == 1;
}

static void a_method_past_its_deadline_is_stuck_and_what_it_returns_late_is_refused(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;

	atomic_store(&held_calls, 0);
	atomic_store(&obeys, false);
	latch_init(&hold);
	begin(&daemon, 2);
	assert_int_equal(start_process(&daemon, &short_definition, "s"), 0);
	assert_true(latch_arrived(&hold, 1));
	assert_true(eventually(is_stuck, daemon.processes));
	assert_int_equal(
		tmgr_processes_do(NULL, daemon.processes,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_GET, .id = "s" }, SOON,
			&request),
		0);
	assert_true(tmgr_process_request_infos(request, NULL)->goroutines[0].stuck);
	assert_non_null(
		strstr(tmgr_process_request_infos(request, NULL)->goroutines[0].why, "is stuck"));
	tmgr_process_request_release(request);
	/* The next attempt has not begun, though a worker is free. */
	assert_int_equal(atomic_load(&held_calls), 1);
	latch_open(&hold);
	expect_result(&daemon, "s", "again");
	assert_int_equal(atomic_load(&held_calls), 2);
	assert_int_equal(events_of(&daemon, TMGR_PROCESS_EVENT_STUCK), 1);
	assert_int_equal(events_of(&daemon, TMGR_PROCESS_EVENT_LATE), 1);
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

/* ---- Stopping -------------------------------------------------------------------------------- */

static void on_stop_a_running_method_finishes_and_its_step_is_stored(void **state)
{
	struct tmgr_store *store;
	struct daemon daemon;

	atomic_store(&held_calls, 0);
	atomic_store(&obeys, false);
	latch_init(&hold);
	begin(&daemon, 2);
	assert_int_equal(start_process(&daemon, &held_definition, "h"), 0);
	assert_true(latch_arrived(&hold, 1));
	tmgr_manager_cancel(daemon.manager);
	latch_open(&hold);
	assert_int_equal(runner_join(&daemon.runner), 0);
	release(&daemon, &store);
	begin_on(&daemon, store, 1);
	expect_result(&daemon, "h", "first");
	assert_int_equal(atomic_load(&held_calls), 1);
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

static void a_method_that_obeys_the_cancel_is_called_again_by_the_next_program(void **state)
{
	struct tmgr_store *store;
	struct daemon daemon;

	atomic_store(&held_calls, 0);
	atomic_store(&obeys, true);
	latch_init(&hold);
	begin(&daemon, 1);
	assert_int_equal(start_process(&daemon, &held_definition, "h"), 0);
	assert_true(latch_arrived(&hold, 1));
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, &store);
	begin_on(&daemon, store, 1);
	expect_result(&daemon, "h", "again");
	assert_int_equal(events_of(&daemon, TMGR_PROCESS_EVENT_RETRY), 0);
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

static void who_waits_when_it_stops_is_told_and_later_calls_are_refused(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;
	int error = 0;

	begin(&daemon, 1);
	assert_int_equal(start_sum(&daemon, "s", 1), 0);
	assert_int_equal(
		tmgr_processes_submit(daemon.processes,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESULT, .id = "s" },
			&request),
		0);
	assert_int_equal(stop(&daemon), 0);
	assert_int_equal(tmgr_future_result(tmgr_process_request_future(request), &error, NULL), 0);
	assert_int_equal(error, -ESHUTDOWN);
	tmgr_process_request_release(request);
	assert_int_equal(start_sum(&daemon, "t", 1), -ESHUTDOWN);
	assert_int_equal(tmgr_processes_follow(NULL, daemon.processes, 0, SOON), -ESHUTDOWN);
	assert_int_equal(tmgr_processes_events(daemon.processes,
				 &(struct tmgr_store_query){ .count_max = 1 }, count_kind, NULL),
		-ESHUTDOWN);
	release(&daemon, NULL);
}

static void before_it_is_open_calls_are_refused(void **state)
{
	struct daemon daemon;

	make(&daemon, NULL);
	assert_int_equal(start_sum(&daemon, "s", 1), -ESHUTDOWN);
	release(&daemon, NULL);
}

/* ---- A store that fails ---------------------------------------------------------------------- */

static bool is_full(void *argument)
{
	struct tmgr_processes_stats stats;

	tmgr_processes_stats(argument, &stats);
	return stats.store.error == -ENOSPC;
}

static void with_a_full_disk_nothing_is_acknowledged_and_it_goes_on_when_there_is_room(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;
	int error = 1;

	begin(&daemon, 1);
	assert_int_equal(tmgr_store_memory_fail(daemon.store, -ENOSPC), 0);
	assert_int_equal(tmgr_processes_submit(daemon.processes,
				 &(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
					 .child = { &sum_definition, "s", &(struct sum){ 0, 1 } } },
				 &request),
		0);
	assert_true(eventually(is_full, daemon.processes));
	assert_false(tmgr_future_done(tmgr_process_request_future(request)));
	assert_int_equal(tmgr_store_memory_fail(daemon.store, 0), 0);
	assert_int_equal(tmgr_future_wait(NULL, tmgr_process_request_future(request), SOON), 0);
	assert_int_equal(tmgr_future_result(tmgr_process_request_future(request), &error, NULL), 0);
	assert_int_equal(error, 0);
	tmgr_process_request_release(request);
	assert_int_equal(send_number(NULL, daemon.processes, "s", 5), 0);
	expect_result(&daemon, "s", "5");
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

static void a_failed_sync_ends_it_with_eio_and_nobody_is_told_otherwise(void **state)
{
	struct tmgr_store *store;
	struct daemon daemon;
	int r;

	begin(&daemon, 1);
	assert_int_equal(start_sum(&daemon, "s", 1), 0);
	assert_int_equal(tmgr_store_memory_fail(daemon.store, -EIO), 0);
	assert_int_equal(send_number(NULL, daemon.processes, "s", 5), -EIO);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	r = start_sum(&daemon, "t", 1);
	assert_true(r == -EIO || r == -ESHUTDOWN);
	release(&daemon, &store);
	begin_on(&daemon, store, 1);
	assert_int_equal(send_number(NULL, daemon.processes, "s", 6), 0);
	expect_result(&daemon, "s", "6");
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void events_can_be_followed_as_they_become_durable(void **state)
{
	struct tmgr_processes_stats stats;
	struct daemon daemon;

	begin(&daemon, 1);
	assert_int_equal(tmgr_processes_follow(NULL, daemon.processes, 0, TMGR_NOW), -ETIMEDOUT);
	assert_int_equal(start_sum(&daemon, "s", 1), 0);
	assert_int_equal(tmgr_processes_follow(NULL, daemon.processes, 0, SOON), 0);
	assert_int_equal(events_of(&daemon, TMGR_PROCESS_EVENT_STARTED), 1);
	assert_int_equal(tmgr_processes_stats(daemon.processes, &stats), 0);
	assert_true(stats.sequence > 0);
	assert_int_equal(stats.live, 1);
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

static void timers_fire_by_themselves(void **state)
{
	struct daemon daemon;

	atomic_store(&effects, 0);
	begin(&daemon, 1);
	/* The second attempt of the method comes from a timer. */
	assert_int_equal(start_process(&daemon, &pay_definition, "p"), 0);
	expect_result(&daemon, "p", "paid");
	assert_int_equal(events_of(&daemon, TMGR_PROCESS_EVENT_RETRY), 1);
	assert_int_equal(stop(&daemon), 0);
	release(&daemon, NULL);
}

/* ---- History --------------------------------------------------------------------------------- */

static size_t events_in(struct tmgr_store *store)
{
	size_t counts[32] = { 0 }, count = 0;

	assert_int_equal(
		store->ops->read_events(store, &(struct tmgr_store_query){ .count_max = SIZE_MAX },
			count_kind, counts),
		0);
	for (size_t i = 0; i < 32; i++)
		count += counts[i];
	return count;
}

static bool is_trimmed(void *argument)
{
	return events_in(argument) == 10;
}

/* Of a hundred events; with a limit of ten, or of an hour that is long over. */
static void trim_with(struct tmgr_processes_options options, bool (*holds)(void *argument))
{
	struct durable durable = { 0 };
	struct tmgr_processes *processes;
	struct tmgr_manager *manager;
	struct tmgr_store *store;
	struct runner runner;

	durable_begin(&durable, definitions);
	for (int i = 0; i < 50; i++) {
		char id[16];

		snprintf(id, sizeof(id), "s%d", i);
		assert_int_equal(
			durable_start_with(&durable, &sum_definition, id, &(struct sum){ 0, 1 }),
			0);
	}
	assert_int_equal(events_in(durable.store), 100);
	assert_int_equal(tmgr_store_memory_copy(durable.store, &store), 0);
	durable_end(&durable);
	assert_int_equal(tmgr_processes_create(store, &options, &processes), 0);
	assert_int_equal(tmgr_processes_define(processes, &sum_definition), 0);
	manager = tmgr_manager_create(NULL);
	tmgr_manager_add_task(manager, "processes", tmgr_processes_task(processes), TMGR_STRICT);
	runner_start(&runner, manager, NULL);
	assert_true(manager_reaches(manager, TMGR_MANAGER_RUNNING));
	assert_true(eventually(holds, store));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_processes_unref(processes);
}

static bool is_empty(void *argument)
{
	return events_in(argument) == 0;
}

static void the_history_is_trimmed_by_count_and_by_age(void **state)
{
	trim_with((struct tmgr_processes_options){ .events_max = 10,
			  .keep_events_ns = 900000 * TMGR_HOUR },
		is_trimmed);
	/* The virtual clock's events are of 2001. */
	trim_with((struct tmgr_processes_options){ .keep_events_ns = TMGR_HOUR }, is_empty);
}

/* ---- A method that never returns ------------------------------------------------------------- */

static int outlive_the_stop(void *argument)
{
	struct tmgr_store *store;
	struct daemon daemon;

	atomic_store(&held_calls, 0);
	atomic_store(&obeys, false);
	latch_init(&hold);
	begin(&daemon, 2);
	child_check_equal(start_process(&daemon, &held_definition, "h"), 0);
	child_check(latch_arrived(&hold, 1));
	child_check_equal(start_sum(&daemon, "s", 1), 0);
	child_check_equal(send_number(NULL, daemon.processes, "s", 3), 0);
	child_check_equal(tmgr_processes_wait(NULL, daemon.processes, "s", SOON, NULL), 0);
	/* The store is closed by the runtime's task, though the worker is stuck. */
	child_check_equal(stop(&daemon), -TMGR_ESTUCK);
	child_check_equal(tmgr_manager_report(daemon.manager)->errors, 0);
	child_check_equal(tmgr_store_memory_copy(daemon.store, &store), 0);
	begin_on(&daemon, store, 1);
	child_check_equal(tmgr_processes_wait(NULL, daemon.processes, "s", SOON, NULL), 0);
	child_check_equal(tmgr_processes_wait(NULL, daemon.processes, "h", SOON, NULL), 0);
	child_check_equal(atomic_load(&held_calls), 2);
	child_check_equal(stop(&daemon), 0);
	/* Its late end is dropped. */
	latch_open(&hold);
	tmgr_sleep(NULL, 20 * TMGR_MILLISECOND);
	return 0;
}

static void a_method_that_outlives_the_stop_is_left_behind_and_all_else_is_stored(void **state)
{
	struct child child;

	assert_int_equal(child_run(&child, outlive_the_stop, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* A child, before there are threads: the thread sanitizer wants it so. */
		leak_test(a_method_that_outlives_the_stop_is_left_behind_and_all_else_is_stored),
		leak_test(a_process_is_started_sent_to_and_waited_for_from_a_thread),
		leak_test(what_was_stored_goes_on_in_the_next_program),
		leak_test(steps_of_one_process_never_overlap_however_many_workers_there_are),
		leak_test(many_send_at_once_from_threads_and_nothing_is_lost),
		leak_test(senders_and_workers_may_be_coroutines_of_a_loop),
		leak_test(workers_for_one_definition_take_only_its_processes),
		leak_test(an_effect_is_kept_before_once_returns),
		leak_test(a_method_past_its_deadline_is_stuck_and_what_it_returns_late_is_refused),
		leak_test(on_stop_a_running_method_finishes_and_its_step_is_stored),
		leak_test(a_method_that_obeys_the_cancel_is_called_again_by_the_next_program),
		leak_test(who_waits_when_it_stops_is_told_and_later_calls_are_refused),
		leak_test(before_it_is_open_calls_are_refused),
		leak_test(
			with_a_full_disk_nothing_is_acknowledged_and_it_goes_on_when_there_is_room),
		leak_test(a_failed_sync_ends_it_with_eio_and_nobody_is_told_otherwise),
		leak_test(events_can_be_followed_as_they_become_durable),
		leak_test(timers_fire_by_themselves),
		leak_test(the_history_is_trimmed_by_count_and_by_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
