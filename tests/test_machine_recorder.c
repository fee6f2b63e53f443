/* Recordings of machines: what is written and read, the task that writes it, what it costs. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <taskmgr/taskmgr.h>
#include <taskmgr/tasks/machine_telemetry.h>

#include "tests/support/fault.h"
#include "tests/support/recording.h"
#include "tests/support/turnstile.h"

#define WORN_OUT 5000

/* ---- What is recorded ----------------------------------------------------------------------- */

static void what_was_recorded_is_read(void **state)
{
	const char *path = *state;
	struct handling handling = { .refuse = TMGR_STATES_END, .fail = TMGR_STATES_END };
	struct tmgr_machine *machine = turnstile_make("gate", &handling);
	struct tmgr_machine_recorder *recorder;
	struct tmgr_recording *recording;
	const struct tmgr_recording_session *session;
	const struct tmgr_machine_step *step;
	char text[256];

	tmgr_machine_add(machine, TURNSTILE_LOCKED, NULL);
	recorder = recording_make(machine, path, 0);
	tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
	handling.refuse = TURNSTILE_LOCKED;
	tmgr_machine_set(machine, TURNSTILE_LOCKED, NULL);
	handling.fail = TURNSTILE_COIN;
	tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
	tmgr_machine_recorder_destroy(recorder);

	assert_int_equal(tmgr_recording_open(path, &recording), 0);
	assert_null(tmgr_recording_session(recording));
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_SESSION);
	assert_null(tmgr_recording_step(recording));
	session = tmgr_recording_session(recording);
	assert_string_equal(session->machine.name, "gate");
	assert_int_equal(session->machine.count, TURNSTILE__STATES);
	assert_string_equal(session->machine.names[TURNSTILE_COIN], "Coin");
	assert_int_equal(session->active.count, 1);
	assert_int_equal(session->active.items[0], TURNSTILE_LOCKED);
	assert_int_equal(session->ticks[TURNSTILE_LOCKED], 1);
	assert_int_equal(session->time_of_day, INT64_C(1795233600000000000));
	tmgr_session_format(session, text, sizeof(text));
	assert_string_equal(text,
		"gate, 4 states, recorded from 2026-11-21T04:00:00.000000Z; active: Locked:1");

	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_STEP);
	step = tmgr_recording_step(recording);
	assert_int_equal(step->sequence, 1);
	assert_int_equal(step->number, 2);
	assert_int_equal(step->result, TMGR_STEP_EXECUTED);
	assert_int_equal(step->exits.count, 1);
	assert_int_equal(step->exit_ticks[0], 2);
	assert_int_equal(step->enters.count, 2);
	assert_int_equal(step->active.count, 2);
	assert_true(step->time_of_day >= session->time_of_day);
	assert_true(step->time_of_day < session->time_of_day + 60 * TMGR_SECOND);
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_STEP);
	assert_int_equal(tmgr_recording_step(recording)->result, TMGR_STEP_CANCELLED);
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_STEP);
	assert_int_equal(tmgr_recording_step(recording)->result, TMGR_STEP_FAILED);
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_STEP);
	step = tmgr_recording_step(recording);
	assert_int_equal(step->origin, TMGR_ORIGIN_EXCEPTION);
	assert_int_equal(step->error.code, -EIO);
	assert_int_equal(step->error.state, TURNSTILE_COIN);
	assert_string_equal(step->error.text, "a \"text\"\n\xff");
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_END);
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_END);
	tmgr_recording_close(recording);
	tmgr_machine_unref(machine);
}

static void a_recording_is_read_while_it_is_written(void **state)
{
	const char *path = *state;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder *recorder = recording_make(machine, path, 0);
	struct tmgr_recording *recording;

	assert_int_equal(tmgr_recording_open(path, &recording), 0);
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_SESSION);
	for (uint64_t i = 1; i <= 10; i++) {
		assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_END);
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_END);
		assert_int_equal(tmgr_machine_recorder_write(recorder), 0);
		assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_STEP);
		assert_int_equal(tmgr_recording_step(recording)->number, i);
	}
	tmgr_recording_close(recording);
	tmgr_machine_recorder_destroy(recorder);
	tmgr_machine_unref(machine);
}

static void a_file_that_is_there_is_continued(void **state)
{
	const char *path = *state;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct recording_read reading;

	for (int run = 1; run <= 3; run++) {
		struct tmgr_machine_recorder *recorder = recording_make(machine, path, 0), *second;

		assert_int_equal(
			tmgr_machine_recorder_create(machine, path, NULL, &second), -EBUSY);
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		tmgr_machine_recorder_destroy(recorder);
		recording_read(path, &reading);
		assert_int_equal(reading.sessions, run);
		assert_int_equal(reading.steps, run);
		assert_int_equal(reading.damages, 0);
	}
	tmgr_machine_unref(machine);
}

static void another_file_is_left_alone(void **state)
{
	const char *path = *state;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	static const unsigned char other[] = "a text that somebody wrote, and wants to keep\n";
	unsigned char after[256];
	struct tmgr_machine_recorder *recorder;

	recording_replace(path, other, sizeof(other));
	assert_int_equal(tmgr_machine_recorder_create(machine, path, NULL, &recorder), -EINVAL);
	assert_int_equal(recording_bytes(path, after, sizeof(after)), sizeof(other));
	assert_memory_equal(after, other, sizeof(other));
	assert_int_equal(tmgr_machine_recorder_create(machine, "/tmp", NULL, &recorder), -EISDIR);
	assert_int_equal(
		tmgr_machine_recorder_create(machine, "/dev/null", NULL, &recorder), -EINVAL);
	assert_int_equal(
		tmgr_machine_recorder_create(machine, "/nonexistent/f", NULL, &recorder), -ENOENT);
	/* None of them watches the machine. */
	assert_int_equal(tmgr_machine_add(machine, TURNSTILE_COIN, NULL), TMGR_MUTATION_EXECUTED);
	tmgr_machine_unref(machine);
}

/* ---- The task ------------------------------------------------------------------------------- */

struct driver {
	struct tmgr_machine *machine;
	struct tmgr_machine_recorder *recorder; /* of the task that is tested */
	bool emptied;
};

/* So much that half of the buffer is full; then the task writes it at once. */
static int drive(void *self, struct tmgr_context *context)
{
	struct driver *driver = self;
	int64_t deadline = tmgr_after(60 * TMGR_SECOND);
	struct tmgr_machine_recorder_stats stats;

	for (int i = 0; i < 20; i++)
		tmgr_machine_add(driver->machine, TURNSTILE_COIN, NULL);
	do {
		tmgr_sleep(context, TMGR_MILLISECOND);
		tmgr_machine_recorder_stats(driver->recorder, &stats);
		driver->emptied = stats.waiting < 2048;
	} while (!driver->emptied && tmgr_now() < deadline);
	return 0;
}

static int drive_in_cleanup(void *self, struct tmgr_context *context)
{
	struct driver *driver = self;

	for (int i = 0; i < 3; i++)
		tmgr_machine_add(driver->machine, TURNSTILE_COIN, NULL);
	return 0;
}

static void add_both(
	struct tmgr_manager *manager, struct driver *driver, const struct tmgr_task_ops *ops)
{
	assert_int_equal(tmgr_manager_add_task(manager, "recorder",
				 tmgr_machine_recorder_task(driver->recorder), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_add_task(manager, "driver", (struct tmgr_task){ ops, driver },
				 TMGR_STOP_GROUP),
		0);
}

static void its_task_writes_a_half_full_buffer_and_the_end(void **state)
{
	static const struct tmgr_task_ops ops = { .execute = drive, .cleanup = drive_in_cleanup };
	const char *path = *state;
	const struct tmgr_machine_recorder_options options = {
		.buffer_max = 4096,
		.write_ns = TMGR_HOUR,
	};
	struct driver driver = { .machine = turnstile_make("gate", NULL) };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct recording_read reading;

	assert_int_equal(
		tmgr_machine_recorder_create(driver.machine, path, &options, &driver.recorder), 0);
	add_both(manager, &driver, &ops);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	recording_read(path, &reading);
	assert_true(driver.emptied);
	assert_int_equal(reading.damages, 0);
	assert_int_equal(reading.steps, 23);
	tmgr_manager_destroy(manager);
	recording_read(path, &reading);
	assert_int_equal(reading.steps, 23);
	tmgr_machine_unref(driver.machine);
}

static int drive_without_room(void *self, struct tmgr_context *context)
{
	struct driver *driver = self;

	for (int i = 0; i < 100; i++)
		tmgr_machine_add(driver->machine, TURNSTILE_COIN, NULL);
	return 0;
}

struct logged {
	int count;
	char text[TMGR_EVENT_TEXT_SIZE]; /* the last */
};

static void on_event(void *self, const struct tmgr_event *event)
{
	struct logged *logged = self;

	if (event->kind != TMGR_EVENT_LOG)
		return;
	logged->count++;
	snprintf(logged->text, sizeof(logged->text), "%s", event->text);
}

static void its_task_says_what_was_dropped_and_does_not_fail(void **state)
{
	static const struct tmgr_task_ops ops = { .execute = drive_without_room };
	const char *path = *state;
	const struct tmgr_machine_recorder_options options = { .buffer_max = 1024 };
	struct driver driver = { .machine = turnstile_make("gate", NULL) };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	struct logged logged = { 0 };

	assert_int_equal(
		tmgr_machine_recorder_create(driver.machine, path, &options, &driver.recorder), 0);
	assert_int_equal(tmgr_manager_observe(manager, TMGR_LEVEL_WARNING, on_event, &logged), 0);
	add_both(manager, &driver, &ops);
	recording_limit(500);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	recording_limit(RLIM_INFINITY);
	assert_true(logged.count >= 2);
	assert_non_null(strstr(logged.text, "of 100 steps were dropped"));
	tmgr_machine_unref(driver.machine);
	signal(SIGXFSZ, old);
}

/* ---- The rest ------------------------------------------------------------------------------- */

static void nothing_is_allocated_while_a_machine_is_recorded(void **state)
{
	const char *path = *state;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder *recorder = recording_make(machine, path, 0);
	long before;

	tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
	before = fault_allocations();
	fault_fail_all_allocations(true);
	for (int i = 0; i < 5000; i++) {
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		if (i % 100 == 0)
			tmgr_machine_recorder_write(recorder);
	}
	fault_off();
	assert_int_equal(fault_allocations(), before);
	tmgr_machine_recorder_destroy(recorder);
	tmgr_machine_unref(machine);
}

static void without_memory_nothing_is_recorded_or_read(void **state)
{
	const char *path = *state;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	int r = -ENOMEM;

	for (long k = 1; r; k++) {
		struct tmgr_machine_recorder *recorder = NULL;

		assert_true(k < 50);
		fault_count_begin();
		fault_fail_allocation(k);
		r = tmgr_machine_recorder_create(machine, path, NULL, &recorder);
		assert_int_equal(r, fault_happened() ? -ENOMEM : 0);
		fault_off();
		assert_int_equal(
			tmgr_machine_add(machine, TURNSTILE_COIN, NULL), TMGR_MUTATION_EXECUTED);
		tmgr_machine_recorder_destroy(recorder);
		/* The machine keeps the room that its list of tracers has. */
		assert_in_range(fault_live(), 0, 1);
		fault_count_end();
	}
	r = -ENOMEM;
	for (long k = 1; r < 0; k++) {
		struct tmgr_recording *recording = NULL;

		assert_true(k < 50);
		fault_count_begin();
		fault_fail_allocation(k);
		r = tmgr_recording_open(path, &recording);
		for (int i = 0; i < 2 && r >= 0; i++)
			r = tmgr_recording_next(recording);
		if (fault_happened())
			assert_int_equal(r, -ENOMEM);
		fault_off();
		tmgr_recording_close(recording);
		assert_int_equal(fault_live(), 0);
		fault_count_end();
	}
	assert_int_equal(r, TMGR_RECORDING_STEP);
	tmgr_machine_unref(machine);
}

static void bad_arguments_are_refused(void **state)
{
	const char *path = *state;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder_options bad[] = {
		{ .buffer_max = SIZE_MAX },
		{ .write_ns = -1 },
		{ .time_of_day = -1 },
	};
	struct tmgr_recording *recording;
	struct tmgr_machine_recorder_stats stats;
	struct tmgr_machine_recorder *recorder;
	char text[8] = "text";

	assert_int_equal(tmgr_machine_recorder_create(NULL, path, NULL, &recorder), -EINVAL);
	assert_int_equal(tmgr_machine_recorder_create(machine, NULL, NULL, &recorder), -EINVAL);
	assert_int_equal(tmgr_machine_recorder_create(machine, path, NULL, NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			tmgr_machine_recorder_create(machine, path, &bad[i], &recorder), -EINVAL);
	assert_int_equal(tmgr_machine_recorder_write(NULL), -EINVAL);
	assert_int_equal(tmgr_machine_recorder_stats(NULL, &stats), -EINVAL);
	assert_int_equal(tmgr_task_error(tmgr_machine_recorder_task(NULL)), -EINVAL);
	tmgr_machine_recorder_destroy(NULL);
	assert_int_equal(tmgr_recording_open(NULL, &recording), -EINVAL);
	assert_int_equal(tmgr_recording_open(path, NULL), -EINVAL);
	assert_int_equal(tmgr_recording_next(NULL), -EINVAL);
	assert_null(tmgr_recording_session(NULL));
	assert_null(tmgr_recording_step(NULL));
	assert_int_equal(tmgr_recording_offset(NULL), 0);
	assert_string_equal(tmgr_recording_problem(NULL), "");
	tmgr_recording_close(NULL);
	assert_int_equal(tmgr_session_json(NULL, text, 8), 0);
	assert_int_equal(tmgr_session_format(NULL, text, 8), 0);
	assert_string_equal(text, "");
	recorder = recording_make(machine, path, 0);
	assert_int_equal(tmgr_machine_recorder_stats(recorder, NULL), -EINVAL);
	tmgr_machine_dispose(machine);
	tmgr_machine_recorder_destroy(recorder);
	assert_int_equal(tmgr_machine_recorder_create(machine, path, NULL, &recorder), -ESHUTDOWN);
	tmgr_machine_unref(machine);
}

static void *mutate(void *argument)
{
	for (int i = 0; i < WORN_OUT; i++)
		tmgr_machine_add(argument, TURNSTILE_COIN, NULL);
	return NULL;
}

static void several_threads_drive_and_one_writes(void **state)
{
	const char *path = *state;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder *recorder = recording_make(machine, path, 8192);
	struct tmgr_machine_recorder_stats stats = { 0 };
	struct tmgr_machine_stats of_machine;
	struct recording_read reading;
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, mutate, machine), 0);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(tmgr_machine_recorder_write(recorder), 0);
		assert_int_equal(tmgr_machine_recorder_stats(recorder, &stats), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	tmgr_machine_recorder_stats(recorder, &stats);
	tmgr_machine_stats(machine, &of_machine);
	assert_int_equal(stats.steps, of_machine.transitions);
	/* There is room for one more, which shows what was lost before it. */
	assert_int_equal(tmgr_machine_recorder_write(recorder), 0);
	tmgr_machine_add(machine, TURNSTILE_LOCKED, NULL);
	tmgr_machine_recorder_destroy(recorder);
	recording_read(path, &reading);
	assert_int_equal(reading.damages, 0);
	assert_int_equal(reading.lost, stats.dropped);
	assert_int_equal(reading.steps + stats.dropped, stats.steps + 1);
	tmgr_machine_unref(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recording_test(what_was_recorded_is_read),
		recording_test(a_recording_is_read_while_it_is_written),
		recording_test(a_file_that_is_there_is_continued),
		recording_test(another_file_is_left_alone),
		recording_test(its_task_writes_a_half_full_buffer_and_the_end),
		recording_test(its_task_says_what_was_dropped_and_does_not_fail),
		recording_test(nothing_is_allocated_while_a_machine_is_recorded),
		recording_test(without_memory_nothing_is_recorded_or_read),
		recording_test(bad_arguments_are_refused),
		recording_test(several_threads_drive_and_one_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
