/* Recordings of machines: what is written can be read, whatever happens to who writes and to the file. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <taskmgr/taskmgr.h>
#include <taskmgr/tasks/machine_telemetry.h>

#include "tasks/machine/telemetry_block.h"
#include "tests/support/child.h"
#include "tests/support/fault.h"
#include "tests/support/turnstile.h"

#define WORN_OUT 5000

struct file {
	char path[64];
};

static int setup(void **state)
{
	struct file *file = malloc(sizeof(*file));
	int fd;

	strcpy(file->path, "/tmp/test_machine_recorder.XXXXXX");
	fd = mkstemp(file->path);
	assert_true(fd >= 0);
	close(fd);
	*state = file;
	return 0;
}

static int teardown(void **state)
{
	struct file *file = *state;

	unlink(file->path);
	free(file);
	return 0;
}

static struct tmgr_machine_recorder *record(
	struct tmgr_machine *machine, const char *path, size_t buffer_max)
{
	const struct tmgr_machine_recorder_options options = {
		.buffer_max = buffer_max,
		.time_of_day = INT64_C(1795233600000000000),
	};
	struct tmgr_machine_recorder *recorder;

	assert_int_equal(tmgr_machine_recorder_create(machine, path, &options, &recorder), 0);
	return recorder;
}

/* What reading a file gave. */
struct reading {
	int sessions, steps, damages;
	uint64_t lost, last, offset; /* of the last damage */
	int error;
	char problem[64];
	char text[512]; /* of the last step */
};

static void read_all(const char *path, struct reading *reading)
{
	struct tmgr_recording *recording;
	int r;

	memset(reading, 0, sizeof(*reading));
	assert_int_equal(tmgr_recording_open(path, &recording), 0);
	while ((r = tmgr_recording_next(recording)) != TMGR_RECORDING_END) {
		const struct tmgr_machine_step *step = tmgr_recording_step(recording);

		assert_true((r == TMGR_RECORDING_STEP) == (step != NULL));
		if (r == TMGR_RECORDING_SESSION) {
			assert_non_null(tmgr_recording_session(recording));
			reading->sessions++;
		} else if (r == TMGR_RECORDING_STEP) {
			reading->steps++;
			reading->lost += step->lost;
			reading->last = step->number;
			tmgr_step_format(step, reading->text, sizeof(reading->text));
		} else if (r == -EBADMSG) {
			assert_true(++reading->damages < 100);
			reading->offset = tmgr_recording_offset(recording);
			snprintf(reading->problem, sizeof(reading->problem), "%s",
				tmgr_recording_problem(recording));
		} else {
			reading->error = r;
			break;
		}
	}
	tmgr_recording_close(recording);
}

/* All of a file; its size. */
static size_t slurp(const char *path, unsigned char *data, size_t size)
{
	FILE *file = fopen(path, "rb");
	size_t n;

	assert_non_null(file);
	n = fread(data, 1, size, file);
	assert_true(n < size);
	fclose(file);
	return n;
}

/* Have a file hold this. It is never empty in between: some filesystems write one that was to the disk. */
static void spill(const char *path, const unsigned char *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, size, 0), (ssize_t)size);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

/* ---- What is recorded ----------------------------------------------------------------------- */

static void what_was_recorded_is_read(void **state)
{
	const char *path = ((struct file *)*state)->path;
	struct handling handling = { .refuse = TMGR_STATES_END, .fail = TMGR_STATES_END };
	struct tmgr_machine *machine = turnstile_make("gate", &handling);
	struct tmgr_machine_recorder *recorder;
	struct tmgr_recording *recording;
	const struct tmgr_recording_session *session;
	const struct tmgr_machine_step *step;
	char text[256];

	tmgr_machine_add(machine, TURNSTILE_LOCKED, NULL);
	recorder = record(machine, path, 0);
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
	const char *path = ((struct file *)*state)->path;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder *recorder = record(machine, path, 0);
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
	const char *path = ((struct file *)*state)->path;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct reading reading;

	for (int run = 1; run <= 3; run++) {
		struct tmgr_machine_recorder *recorder = record(machine, path, 0), *second;

		assert_int_equal(
			tmgr_machine_recorder_create(machine, path, NULL, &second), -EBUSY);
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		tmgr_machine_recorder_destroy(recorder);
		read_all(path, &reading);
		assert_int_equal(reading.sessions, run);
		assert_int_equal(reading.steps, run);
		assert_int_equal(reading.damages, 0);
	}
	tmgr_machine_unref(machine);
}

static void another_file_is_left_alone(void **state)
{
	const char *path = ((struct file *)*state)->path;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	static const unsigned char other[] = "a text that somebody wrote, and wants to keep\n";
	unsigned char after[256];
	struct tmgr_machine_recorder *recorder;

	spill(path, other, sizeof(other));
	assert_int_equal(tmgr_machine_recorder_create(machine, path, NULL, &recorder), -EINVAL);
	assert_int_equal(slurp(path, after, sizeof(after)), sizeof(other));
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

/* ---- Damage --------------------------------------------------------------------------------- */

/* Two sessions of three steps. */
static size_t make_two(const char *path, unsigned char *data, size_t size, size_t *ret_second)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);

	for (int session = 0; session < 2; session++) {
		struct tmgr_machine_recorder *recorder = record(machine, path, 0);

		for (int i = 0; i < 3; i++)
			tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		tmgr_machine_recorder_destroy(recorder);
		if (session == 0)
			*ret_second = slurp(path, data, size);
	}
	tmgr_machine_unref(machine);
	return slurp(path, data, size);
}

static void a_file_cut_anywhere_is_read_up_to_there(void **state)
{
	const char *path = ((struct file *)*state)->path;
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);
	int seen = 0;

	for (size_t cut = 0; cut <= size; cut++) {
		struct reading reading;
		int items;

		spill(path, data, cut);
		read_all(path, &reading);
		items = reading.sessions + reading.steps;
		/* Each byte is one more item at most, and none is lost again. */
		assert_in_range(items, seen, seen + 1);
		if (items > seen || cut == 0) {
			assert_int_equal(reading.damages, 0);
		} else {
			assert_int_equal(reading.damages, 1);
			assert_true(reading.offset < cut);
			assert_string_equal(reading.problem, "the file ends within an item");
		}
		seen = items;
	}
	assert_int_equal(seen, 8);
}

/* The block that a byte stands in: where it begins, and its number in its session, which is 0. */
static size_t block_of(const unsigned char *data, size_t at, size_t second, int *ret_number)
{
	size_t begin = 0;

	*ret_number = 0;
	while (begin + tmgr__block_length(data + begin) <= at) {
		begin += tmgr__block_length(data + begin);
		*ret_number = begin == second ? 0 : *ret_number + 1;
	}
	return begin;
}

static void a_wrong_byte_anywhere_costs_its_item_only(void **state)
{
	const char *path = ((struct file *)*state)->path;
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);

	for (size_t at = 0; at < size; at++) {
		unsigned char bit = (unsigned char)(1u << at % 8);
		struct reading reading;
		int number;
		size_t begin = block_of(data, at, second, &number);

		data[at] ^= bit;
		spill(path, data, size);
		read_all(path, &reading);
		data[at] ^= bit;
		assert_int_equal(reading.damages, 1);
		assert_int_equal(reading.offset, begin);
		if (number == 0) {
			/* Without it its steps say nothing. */
			assert_int_equal(reading.sessions, 1);
			assert_int_equal(reading.steps, 3);
		} else if (at < begin + 4) {
			/* Where it ends is not known: on with the next session. */
			assert_int_equal(reading.sessions, 2);
			assert_int_equal(reading.steps, 3 + number - 1);
		} else {
			assert_int_equal(reading.sessions, 2);
			assert_int_equal(reading.steps, 5);
			assert_int_equal(reading.lost, number < 3 ? 1 : 0);
		}
	}
}

static void behind_a_torn_end_the_next_run_goes_on(void **state)
{
	const char *path = ((struct file *)*state)->path;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);

	for (size_t cut = 0; cut <= size; cut++) {
		struct tmgr_machine_recorder *recorder;
		struct reading before, after;

		spill(path, data, cut);
		read_all(path, &before);
		recorder = record(machine, path, 0);
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		tmgr_machine_recorder_destroy(recorder);
		read_all(path, &after);
		/* What fills an item's end also fills the file up to where a session may begin. */
		assert_in_range(after.sessions + after.steps, before.sessions + before.steps + 2,
			before.sessions + before.steps + 3 - after.damages);
		assert_in_range(after.damages, 0, before.damages);
	}
	tmgr_machine_unref(machine);
}

static void a_cut_item_is_read_once_it_is_whole(void **state)
{
	const char *path = ((struct file *)*state)->path;
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);
	struct tmgr_recording *recording;

	spill(path, data, size - 5);
	assert_int_equal(tmgr_recording_open(path, &recording), 0);
	for (int i = 0; i < 7; i++)
		assert_true(tmgr_recording_next(recording) > 0);
	assert_int_equal(tmgr_recording_next(recording), -EBADMSG);
	assert_string_equal(tmgr_recording_problem(recording), "the file ends within an item");
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_END);
	spill(path, data, size);
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_STEP);
	assert_int_equal(tmgr_recording_step(recording)->number, 6);
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_END);
	assert_string_equal(tmgr_recording_problem(recording), "");
	tmgr_recording_close(recording);
}

static void a_version_that_is_not_known_is_told(void **state)
{
	const char *path = ((struct file *)*state)->path;
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);
	struct reading reading;

	data[second + 9] = 2;
	tmgr__block_set_sum(data + second);
	spill(path, data, size);
	read_all(path, &reading);
	assert_int_equal(reading.sessions, 1);
	assert_int_equal(reading.steps, 3);
	assert_int_equal(reading.damages, 1);
	assert_int_equal(reading.offset, second);
	assert_string_equal(reading.problem, "it is of another version");
}

/* ---- A disk that is full -------------------------------------------------------------------- */

static void limit_files(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_drops_steps_and_disturbs_nobody(void **state)
{
	const char *path = ((struct file *)*state)->path;
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder *recorder = record(machine, path, 4096);
	struct tmgr_machine_recorder_stats stats;
	struct reading reading;

	/* Room for some, and a half. */
	limit_files(1000);
	for (int i = 0; i < 500; i++) {
		assert_int_equal(
			tmgr_machine_add(machine, TURNSTILE_COIN, NULL), TMGR_MUTATION_EXECUTED);
		if (i % 5 == 0 && i > 50)
			assert_int_equal(tmgr_machine_recorder_write(recorder), -EFBIG);
	}
	assert_int_equal(tmgr_machine_recorder_stats(recorder, &stats), 0);
	assert_int_equal(stats.steps, 500);
	assert_int_equal(stats.error, -EFBIG);
	assert_in_range(stats.dropped, 400, 490);
	assert_int_equal(stats.written, 1000);
	read_all(path, &reading);
	assert_int_equal(reading.damages, 1);
	assert_string_equal(reading.problem, "the file ends within an item");

	/* There is room again: what waited is written, the rest is told to be lost. */
	limit_files(RLIM_INFINITY);
	assert_int_equal(tmgr_machine_recorder_write(recorder), 0);
	tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
	assert_int_equal(tmgr_machine_recorder_write(recorder), 0);
	assert_int_equal(tmgr_machine_recorder_stats(recorder, &stats), 0);
	assert_int_equal(stats.error, 0);
	assert_int_equal(stats.waiting, 0);
	read_all(path, &reading);
	assert_int_equal(reading.damages, 0);
	assert_int_equal(reading.last, 501);
	assert_int_equal(reading.steps + stats.dropped, 501);
	assert_int_equal(reading.lost, stats.dropped);
	tmgr_machine_recorder_destroy(recorder);
	tmgr_machine_unref(machine);
	signal(SIGXFSZ, old);
}

static void where_no_session_fits_the_file_stays_as_it_was(void **state)
{
	const char *path = ((struct file *)*state)->path;
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	static unsigned char data[8192], after[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);

	for (size_t room = 0; room < 100; room += 7) {
		struct tmgr_machine_recorder *recorder;

		limit_files(size + room);
		assert_int_equal(
			tmgr_machine_recorder_create(machine, path, NULL, &recorder), -EFBIG);
		limit_files(RLIM_INFINITY);
		assert_int_equal(slurp(path, after, sizeof(after)), size);
		assert_memory_equal(data, after, size);
	}
	tmgr_machine_unref(machine);
	signal(SIGXFSZ, old);
}

/* ---- A program that is killed --------------------------------------------------------------- */

static int record_until_killed(void *argument)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder *recorder;
	char line[32];

	child_check(tmgr_machine_recorder_create(machine, argument, NULL, &recorder) == 0);
	for (int i = 1; i < 1000000; i++) {
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		if (i % 3 == 0) {
			child_check(tmgr_machine_recorder_write(recorder) == 0);
			snprintf(line, sizeof(line), "wrote %d.", i);
			child_say(line);
		}
	}
	return 1;
}

static void what_was_written_outlives_a_kill(void **state)
{
	const char *path = ((struct file *)*state)->path;
	int steps = 0;

	for (int round = 1; round <= 20; round++) {
		static struct child child;
		struct reading reading;
		const char *last;
		char wanted[32];

		snprintf(wanted, sizeof(wanted), "wrote %d.", 3 * round * round);
		memset(&child, 0, sizeof(child));
		child_start(&child, record_until_killed, (void *)path);
		assert_true(child_prints(&child, wanted));
		child_signal(&child, SIGKILL);
		child_wait(&child);
		for (last = wanted; strstr(last + 1, "wrote"); last = strstr(last + 1, "wrote"))
			;
		read_all(path, &reading);
		assert_int_equal(reading.sessions, round);
		assert_int_equal(reading.lost, 0);
		/* The kernel may end a write amid a step. */
		assert_in_range(reading.damages, 0, round);
		assert_true(reading.steps >= steps + 3 * round * round);
		steps = reading.steps;
	}
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

static void its_task_writes_a_half_full_buffer_and_the_end(void **state)
{
	static const struct tmgr_task_ops ops = { .execute = drive, .cleanup = drive_in_cleanup };
	const char *path = ((struct file *)*state)->path;
	const struct tmgr_machine_recorder_options options = {
		.buffer_max = 4096,
		.write_ns = TMGR_HOUR,
	};
	struct driver driver = { .machine = turnstile_make("gate", NULL) };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct reading reading;

	assert_int_equal(
		tmgr_machine_recorder_create(driver.machine, path, &options, &driver.recorder), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "recorder",
				 tmgr_machine_recorder_task(driver.recorder), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_add_task(manager, "driver",
				 (struct tmgr_task){ &ops, &driver }, TMGR_STOP_GROUP),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	read_all(path, &reading);
	assert_true(driver.emptied);
	assert_int_equal(reading.damages, 0);
	assert_int_equal(reading.steps, 23);
	tmgr_manager_destroy(manager);
	read_all(path, &reading);
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
	const char *path = ((struct file *)*state)->path;
	const struct tmgr_machine_recorder_options options = { .buffer_max = 1024 };
	struct driver driver = { .machine = turnstile_make("gate", NULL) };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	struct logged logged = { 0 };

	assert_int_equal(
		tmgr_machine_recorder_create(driver.machine, path, &options, &driver.recorder), 0);
	assert_int_equal(tmgr_manager_observe(manager, TMGR_LEVEL_WARNING, on_event, &logged), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "recorder",
				 tmgr_machine_recorder_task(driver.recorder), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_add_task(manager, "driver",
				 (struct tmgr_task){ &ops, &driver }, TMGR_STOP_GROUP),
		0);
	limit_files(500);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	limit_files(RLIM_INFINITY);
	assert_true(logged.count >= 2);
	assert_non_null(strstr(logged.text, "of 100 steps were dropped"));
	tmgr_machine_unref(driver.machine);
	signal(SIGXFSZ, old);
}

/* ---- The rest ------------------------------------------------------------------------------- */

static void nothing_is_allocated_while_a_machine_is_recorded(void **state)
{
	const char *path = ((struct file *)*state)->path;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder *recorder = record(machine, path, 0);
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
	const char *path = ((struct file *)*state)->path;
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
	const char *path = ((struct file *)*state)->path;
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
	recorder = record(machine, path, 0);
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
	const char *path = ((struct file *)*state)->path;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder *recorder = record(machine, path, 8192);
	struct tmgr_machine_recorder_stats stats = { 0 };
	struct tmgr_machine_stats of_machine;
	struct reading reading;
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
	read_all(path, &reading);
	assert_int_equal(reading.damages, 0);
	assert_int_equal(reading.lost, stats.dropped);
	assert_int_equal(reading.steps + stats.dropped, stats.steps + 1);
	tmgr_machine_unref(machine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_recorded_is_read),
		TEST(a_recording_is_read_while_it_is_written),
		TEST(a_file_that_is_there_is_continued),
		TEST(another_file_is_left_alone),
		TEST(a_file_cut_anywhere_is_read_up_to_there),
		TEST(a_wrong_byte_anywhere_costs_its_item_only),
		TEST(behind_a_torn_end_the_next_run_goes_on),
		TEST(a_cut_item_is_read_once_it_is_whole),
		TEST(a_version_that_is_not_known_is_told),
		TEST(a_full_disk_drops_steps_and_disturbs_nobody),
		TEST(where_no_session_fits_the_file_stays_as_it_was),
		TEST(what_was_written_outlives_a_kill),
		TEST(its_task_writes_a_half_full_buffer_and_the_end),
		TEST(its_task_says_what_was_dropped_and_does_not_fail),
		TEST(nothing_is_allocated_while_a_machine_is_recorded),
		TEST(without_memory_nothing_is_recorded_or_read),
		TEST(bad_arguments_are_refused),
		TEST(several_threads_drive_and_one_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
