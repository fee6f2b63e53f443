#include "tests/support/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <taskmgr/manager.h>

#include "tests/support/durable.h"
#include "tests/support/leak.h"

/* ---- The definitions of each ----------------------------------------------------------------- */

const struct tmgr_state_field sum_fields[2] = {
	TMGR_FIELD(struct sum, total),
	TMGR_FIELD(struct sum, left),
};

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

const struct tmgr_process_definition sum_definition = {
	.name = "sum",
	.version = 1,
	.state = TMGR_STATE(struct sum, sum_fields),
	.start = sum_add,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Add",
								 .function = sum_add },
		{ 0 } },
};

struct latch held_latch;
atomic_int held_calls;
static atomic_bool held_obeys;

void held_begin(bool obeys)
{
	atomic_store(&held_calls, 0);
	atomic_store(&held_obeys, obeys);
	latch_init(&held_latch);
}

int held_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	int r;

	if (atomic_fetch_add(&held_calls, 1) > 0)
		return tmgr_process_finish(process, bytes_of("again"));
	if (atomic_load(&held_obeys)) {
		latch_arrive(&held_latch);
		r = tmgr_sleep(tmgr_process_context(process), TMGR_HOUR);
		return r != 0 ? r : -EIO;
	}
	latch_wait(&held_latch);
	return tmgr_process_finish(process, bytes_of("first"));
}

const struct tmgr_process_definition held_definition = {
	.name = "held",
	.version = 1,
	.start = held_wait,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = held_wait },
		{ 0 } },
};

/* ---- From begin to end ----------------------------------------------------------------------- */

void daemon_make(struct daemon *daemon, struct tmgr_store *store)
{
	const struct tmgr_manager_options options = { .shutdown_ns = 2 * TMGR_SECOND };

	*daemon = (struct daemon){ .store = store };
	if (store == NULL)
		assert_int_equal(tmgr_store_memory_create(&daemon->store), 0);
	assert_int_equal(tmgr_processes_create(daemon->store, NULL, &daemon->processes), 0);
	assert_int_equal(tmgr_processes_define(daemon->processes, &sum_definition), 0);
	assert_int_equal(tmgr_processes_define(daemon->processes, &held_definition), 0);
	daemon->manager = tmgr_manager_create(&options);
	assert_int_equal(tmgr_manager_add_task(daemon->manager, "processes",
				 tmgr_processes_task(daemon->processes), TMGR_STRICT),
		0);
}

void daemon_start(struct daemon *daemon)
{
	runner_start(&daemon->runner, daemon->manager, NULL);
	assert_true(manager_reaches(daemon->manager, TMGR_MANAGER_RUNNING));
}

static void begin(struct daemon *daemon, size_t workers)
{
	assert_int_equal(
		tmgr_manager_add_task(daemon->manager, "workers",
			tmgr_processes_workers(daemon->processes,
				&(struct tmgr_processes_workers_options){ .workers = workers }),
			TMGR_STRICT),
		0);
	daemon_start(daemon);
}

void daemon_begin_on(struct daemon *daemon, struct tmgr_store *store, size_t workers)
{
	daemon_make(daemon, store);
	begin(daemon, workers);
}

void daemon_begin_with(
	struct daemon *daemon, const struct tmgr_process_definition *definition, size_t workers)
{
	daemon_make(daemon, NULL);
	assert_int_equal(tmgr_processes_define(daemon->processes, definition), 0);
	begin(daemon, workers);
}

void daemon_begin(struct daemon *daemon, size_t workers)
{
	daemon_begin_on(daemon, NULL, workers);
}

int daemon_stop(struct daemon *daemon)
{
	tmgr_manager_cancel(daemon->manager);
	return runner_join(&daemon->runner);
}

void daemon_release(struct daemon *daemon)
{
	tmgr_manager_destroy(daemon->manager);
	tmgr_processes_unref(daemon->processes);
}

void daemon_end(struct daemon *daemon)
{
	assert_int_equal(daemon_stop(daemon), 0);
	daemon_release(daemon);
}

void daemon_next(struct daemon *daemon)
{
	struct tmgr_store *store;

	assert_int_equal(tmgr_store_memory_copy(daemon->store, &store), 0);
	daemon_release(daemon);
	daemon_begin_on(daemon, store, 1);
}

/* ---- What it is asked ------------------------------------------------------------------------ */

int daemon_start_process(
	struct daemon *daemon, const struct tmgr_process_definition *definition, const char *id)
{
	return tmgr_processes_start(NULL, daemon->processes,
		&(struct tmgr_process_child){ definition, id, NULL }, DAEMON_SOON);
}

int daemon_start_sum(struct daemon *daemon, const char *id, int64_t left)
{
	return tmgr_processes_start(NULL, daemon->processes,
		&(struct tmgr_process_child){ &sum_definition, id, &(struct sum){ 0, left } },
		DAEMON_SOON);
}

int daemon_send_number(
	struct tmgr_context *context, struct tmgr_processes *processes, const char *id, int number)
{
	char channel[TMGR_PROCESS_CHANNEL_MAX + 1], text[16];

	snprintf(channel, sizeof(channel), "%s/number", id);
	snprintf(text, sizeof(text), "%d", number);
	return tmgr_processes_send(context, processes,
		&(struct tmgr_process_outside){ channel, bytes_of(text), NULL }, DAEMON_SOON);
}

void daemon_expect_result(struct daemon *daemon, const char *id, const char *wanted)
{
	struct tmgr_process_request *request;
	int r = tmgr_processes_wait(NULL, daemon->processes, id, DAEMON_SOON, &request);

	if (r != 0)
		fail_msg("waiting for %s gives %d", id, r);
	assert_string_equal(tmgr_process_request_value(request).data, wanted);
	tmgr_process_request_release(request);
}

void daemon_start_held(
	struct daemon *daemon, const struct tmgr_process_definition *definition, const char *id)
{
	assert_int_equal(daemon_start_process(daemon, definition, id), 0);
	assert_true(latch_arrived(&held_latch, 1));
}

struct tmgr_process_request *daemon_submit(
	struct daemon *daemon, const struct tmgr_process_command *command)
{
	struct tmgr_process_request *request;

	assert_int_equal(tmgr_processes_submit(daemon->processes, command, &request), 0);
	return request;
}

int daemon_answer(struct tmgr_process_request *request)
{
	struct tmgr_future *future = tmgr_process_request_future(request);
	int error = 1;

	assert_int_equal(tmgr_future_wait(NULL, future, DAEMON_SOON), 0);
	assert_int_equal(tmgr_future_result(future, &error, NULL), 0);
	tmgr_process_request_release(request);
	return error;
}

static int count_kind(void *self, const struct tmgr_process_event *event)
{
	size_t *counts = self;

	counts[event->kind]++;
	return 0;
}

size_t daemon_events(struct daemon *daemon, enum tmgr_process_event_kind kind)
{
	size_t counts[32] = { 0 };

	assert_int_equal(
		tmgr_processes_events(daemon->processes,
			&(struct tmgr_store_query){ .count_max = SIZE_MAX }, count_kind, counts),
		0);
	return counts[kind];
}
