/* Recordings that were cut or changed, found no room, or whose writer was killed. */
#include <errno.h>
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

#include "tasks/machine/telemetry_block.h"
#include "tests/support/child.h"
#include "tests/support/recording.h"
#include "tests/support/turnstile.h"

/* ---- Damage --------------------------------------------------------------------------------- */

/* Two sessions of three steps. */
static size_t make_two(const char *path, unsigned char *data, size_t size, size_t *ret_second)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);

	for (int session = 0; session < 2; session++) {
		struct tmgr_machine_recorder *recorder = recording_make(machine, path, 0);

		for (int i = 0; i < 3; i++)
			tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		tmgr_machine_recorder_destroy(recorder);
		if (session == 0)
			*ret_second = recording_bytes(path, data, size);
	}
	tmgr_machine_unref(machine);
	return recording_bytes(path, data, size);
}

static void a_file_cut_anywhere_is_read_up_to_there(void **state)
{
	const char *path = *state;
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);
	int seen = 0;

	for (size_t cut = 0; cut <= size; cut++) {
		struct recording_read reading;
		int items;

		recording_replace(path, data, cut);
		recording_read(path, &reading);
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
	const char *path = *state;
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);

	for (size_t at = 0; at < size; at++) {
		unsigned char bit = (unsigned char)(1u << at % 8);
		struct recording_read reading;
		int number;
		size_t begin = block_of(data, at, second, &number);

		data[at] ^= bit;
		recording_replace(path, data, size);
		recording_read(path, &reading);
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
	const char *path = *state;
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);

	for (size_t cut = 0; cut <= size; cut++) {
		struct tmgr_machine_recorder *recorder;
		struct recording_read before, after;

		recording_replace(path, data, cut);
		recording_read(path, &before);
		recorder = recording_make(machine, path, 0);
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		tmgr_machine_recorder_destroy(recorder);
		recording_read(path, &after);
		/* What fills an item's end also fills the file up to where a session may begin. */
		assert_in_range(after.sessions + after.steps, before.sessions + before.steps + 2,
			before.sessions + before.steps + 3 - after.damages);
		assert_in_range(after.damages, 0, before.damages);
	}
	tmgr_machine_unref(machine);
}

static void a_cut_item_is_read_once_it_is_whole(void **state)
{
	const char *path = *state;
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);
	struct tmgr_recording *recording;

	recording_replace(path, data, size - 5);
	assert_int_equal(tmgr_recording_open(path, &recording), 0);
	for (int i = 0; i < 7; i++)
		assert_true(tmgr_recording_next(recording) > 0);
	assert_int_equal(tmgr_recording_next(recording), -EBADMSG);
	assert_string_equal(tmgr_recording_problem(recording), "the file ends within an item");
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_END);
	recording_replace(path, data, size);
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_STEP);
	assert_int_equal(tmgr_recording_step(recording)->number, 6);
	assert_int_equal(tmgr_recording_next(recording), TMGR_RECORDING_END);
	assert_string_equal(tmgr_recording_problem(recording), "");
	tmgr_recording_close(recording);
}

static void a_version_that_is_not_known_is_told(void **state)
{
	const char *path = *state;
	static unsigned char data[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);
	struct recording_read reading;

	data[second + 9] = 2;
	tmgr__block_set_sum(data + second);
	recording_replace(path, data, size);
	recording_read(path, &reading);
	assert_int_equal(reading.sessions, 1);
	assert_int_equal(reading.steps, 3);
	assert_int_equal(reading.damages, 1);
	assert_int_equal(reading.offset, second);
	assert_string_equal(reading.problem, "it is of another version");
}

/* ---- A disk that is full -------------------------------------------------------------------- */

static void a_full_disk_drops_steps_and_disturbs_nobody(void **state)
{
	const char *path = *state;
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_recorder *recorder = recording_make(machine, path, 4096);
	struct tmgr_machine_recorder_stats stats;
	struct recording_read reading;

	/* Room for some, and a half. */
	recording_limit(1000);
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
	recording_read(path, &reading);
	assert_int_equal(reading.damages, 1);
	assert_string_equal(reading.problem, "the file ends within an item");

	/* There is room again: what waited is written, the rest is told to be lost. */
	recording_limit(RLIM_INFINITY);
	assert_int_equal(tmgr_machine_recorder_write(recorder), 0);
	tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
	assert_int_equal(tmgr_machine_recorder_write(recorder), 0);
	assert_int_equal(tmgr_machine_recorder_stats(recorder, &stats), 0);
	assert_int_equal(stats.error, 0);
	assert_int_equal(stats.waiting, 0);
	recording_read(path, &reading);
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
	const char *path = *state;
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	static unsigned char data[8192], after[8192];
	size_t second, size = make_two(path, data, sizeof(data), &second);

	for (size_t room = 0; room < 100; room += 7) {
		struct tmgr_machine_recorder *recorder;

		recording_limit(size + room);
		assert_int_equal(
			tmgr_machine_recorder_create(machine, path, NULL, &recorder), -EFBIG);
		recording_limit(RLIM_INFINITY);
		assert_int_equal(recording_bytes(path, after, sizeof(after)), size);
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
	const char *path = *state;
	int steps = 0;

	for (int round = 1; round <= 20; round++) {
		static struct child child;
		struct recording_read reading;
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
		recording_read(path, &reading);
		assert_int_equal(reading.sessions, round);
		assert_int_equal(reading.lost, 0);
		/* The kernel may end a write amid a step. */
		assert_in_range(reading.damages, 0, round);
		assert_true(reading.steps >= steps + 3 * round * round);
		steps = reading.steps;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recording_test(a_file_cut_anywhere_is_read_up_to_there),
		recording_test(a_wrong_byte_anywhere_costs_its_item_only),
		recording_test(behind_a_torn_end_the_next_run_goes_on),
		recording_test(a_cut_item_is_read_once_it_is_whole),
		recording_test(a_version_that_is_not_known_is_told),
		recording_test(a_full_disk_drops_steps_and_disturbs_nobody),
		recording_test(where_no_session_fits_the_file_stays_as_it_was),
		recording_test(what_was_written_outlives_a_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
