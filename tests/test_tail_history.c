/* Following a path through many things that happen to it, one after another, and through kills. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/followed.h"
#include "tests/support/seeded.h"

struct history {
	unsigned seed;
	unsigned written;
	unsigned rotated;
	FILE *writer; /* may hold a file that has been rotated */
};

static void reopen(struct fixture *fixture, struct history *history)
{
	if (history->writer)
		fclose(history->writer);
	history->writer = fopen(fixture->path, "a");
	assert_non_null(history->writer);
}

static void write_lines(struct history *history, unsigned count)
{
	for (; count > 0; count--)
		fprintf(history->writer, "line %06u\n", history->written++);
	fflush(history->writer);
}

/* One thing that may happen to a log, or to who reads it. */
static void happen(struct fixture *fixture, struct history *history)
{
	char suffix[32];

	snprintf(suffix, sizeof(suffix), ".%u", 1000 - history->rotated);
	switch (rand_r(&history->seed) % 13) {
	case 0:
		rotate(fixture, suffix);
		history->rotated++;
		write_lines(history, (unsigned)rand_r(&history->seed) % 3); /* not told yet */
		reopen(fixture, history);
		break;
	case 1:
		copy_truncate(fixture, suffix);
		history->rotated++;
		break;
	case 2:
		restart(fixture);
		break;
	case 3:
		kill_and_restart(fixture);
		break;
	case 4:
		drain_later(fixture, 2 * TAIL_LINGER_NS);
		break;
	case 5:
	case 6:
		take(fixture, 0);
		break;
	case 7:
		take(fixture, 0);
		commit(fixture);
		break;
	default:
		write_lines(history, (unsigned)rand_r(&history->seed) % 200);
	}
}

/* Each line that was ever written has come once. */
static void expect_each_once(struct fixture *fixture, unsigned written)
{
	unsigned char *seen = calloc(written + 1, 1);
	unsigned lines = 0;

	assert_non_null(seen);
	for (const char *at = fixture->text; *at; at = strchr(at, '\n') + 1) {
		unsigned long number = strtoul(at + 5, NULL, 10);

		assert_int_equal(strncmp(at, "line ", 5), 0);
		assert_true(number < written);
		assert_int_equal(seen[number], 0);
		seen[number] = 1;
		lines++;
	}
	free(seen);
	assert_int_equal(lines, written);
}

static void whatever_happens_each_line_comes_once(void **state)
{
	struct fixture *fixture = *state;
	struct history history = { .seed = (unsigned)seed_of_this_run() };

	for (int round = 0; round < 20; round++) {
		if (!history.writer) {
			reopen(fixture, &history);
			write_lines(&history, 1);
			open_tail(fixture, false);
			drain(fixture);
		}
		for (int i = 0; i < 30; i++)
			happen(fixture, &history);
		drain(fixture);
		expect_each_once(fixture, history.written);
		/* The memory of the test is small; the next round begins anew. */
		tail_close(fixture->tail);
		fixture->tail = NULL;
		fclose(history.writer);
		history.writer = NULL;
		fixture->length = 0;
		fixture->taken_count = 0;
		fixture->text[0] = '\0';
		commit(fixture);
		history.written = 0;
		for (; history.rotated > 0; history.rotated--) {
			char suffix[32];

			snprintf(suffix, sizeof(suffix), ".%u", 1001 - history.rotated);
			unlink(beside(fixture, suffix));
		}
		unlink(fixture->path);
	}
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
}

/* Kill before each remembering: the lines since then come again, and only those. */
static void a_kill_at_any_block_repeats_only_what_was_not_remembered(void **state)
{
	struct fixture *fixture = *state;

	for (int kill_at = 1; kill_at < 7; kill_at++) {
		struct tail_record before;

		append(fixture, "a\n");
		restart(fixture);
		for (int i = 0; i < kill_at; i++)
			take(fixture, 0);
		rotate(fixture, kill_at % 2 ? ".1" : ".2");
		append(fixture, "b\n");
		before = fixture->taken[fixture->taken_count - 1];
		commit(fixture);
		if (take(fixture, 0) > 0)
			kill_and_restart(fixture);
		drain(fixture);
		assert_true(fixture->records[fixture->record_count - 1].id >= before.id);
	}
	expect_lines(fixture, "a\nb\na\nb\na\nb\na\nb\na\nb\na\nb\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_FILES(whatever_happens_each_line_comes_once),
		ON_FILES(a_kill_at_any_block_repeats_only_what_was_not_remembered),
	};

	return cmocka_run_group_tests_name("tail history", tests, NULL, NULL);
}
