/* Following a path: what happens to its file, one thing at a time, and the lines it holds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/followed.h"

static void lines_come_once_and_only_when_they_are_whole(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\ntwo\nthr");
	open_tail(fixture, false);
	expect_lines(fixture, "one\ntwo\n");
	expect_lines(fixture, "");
	append(fixture, "ee\n\nfive");
	expect_lines(fixture, "three\n\n");
	append(fixture, "\n");
	expect_lines(fixture, "five\n");
	assert_int_equal(fixture->record_count, 1);
	assert_int_equal(fixture->records[0].offset, 20);
}

static void a_file_that_appears_later_is_read_from_its_start(void **state)
{
	struct fixture *fixture = *state;

	open_tail(fixture, false);
	expect_lines(fixture, "");
	assert_false(tail_found(fixture->tail));
	append(fixture, "one\n");
	expect_lines(fixture, "one\n");
	assert_true(tail_found(fixture->tail));
}

static void a_path_that_is_no_regular_file_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct tail *tail = NULL;

	assert_int_equal(tail_open(fixture->directory, &fixture->memory, NULL, &tail), -ENOTSUP);
	assert_int_equal(tail_open("/dev/null", &fixture->memory, NULL, &tail), -ENOTSUP);
	assert_null(tail);
}

static void once_gives_the_unterminated_rest_and_the_next_run_goes_on_behind_it(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\ntw");
	open_tail(fixture, true);
	expect_lines(fixture, "one\ntw~\n");
	expect_lines(fixture, "");
	append(fixture, "o\nthree\n");
	open_tail(fixture, true);
	expect_lines(fixture, "o\nthree\n");
}

static void a_restart_goes_on_where_it_was(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	append(fixture, "two\n");
	restart(fixture);
	expect_lines(fixture, "two\n");
	restart(fixture);
	expect_lines(fixture, "");
	assert_int_equal(fixture->record_count, 1);
}

static void a_renamed_file_is_finished_before_the_new_one(void **state)
{
	struct fixture *fixture = *state;
	FILE *writer;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	writer = fopen(fixture->path, "a");
	rotate(fixture, ".1");
	expect_lines(fixture, "");
	fputs("two\n", writer);
	fflush(writer);
	append(fixture, "three\n");
	expect_lines(fixture, "two\nthree\n");
	fputs("late\n", writer); /* the writer has not been told yet */
	fclose(writer);
	append(fixture, "four\n");
	expect_lines(fixture, "late\nfour\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_ROTATED], 1);
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
}

static void a_rotated_file_is_done_when_quiet_and_rotated_once_more(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	drain(fixture);
	rotate(fixture, ".1");
	append(fixture, "two\n");
	drain_later(fixture, 2 * TAIL_LINGER_NS);
	commit(fixture);
	assert_false(fixture->records[0].done);
	assert_int_equal(rename(beside(fixture, ".1"), beside(fixture, ".2")), 0);
	rotate(fixture, ".1");
	append(fixture, "three\n");
	append_to(beside(fixture, ".2"), "rest"); /* never to be ended */
	drain(fixture);
	assert_false(fixture->records[0].done);
	drain_later(fixture, 2 * TAIL_LINGER_NS);
	commit(fixture);
	assert_true(fixture->records[0].done);
	assert_false(fixture->records[1].done);
	assert_false(fixture->records[2].done);
	expect_lines(fixture, "one\ntwo\nthree\nrest~\n");
}

static void files_rotated_between_two_looks_are_found(void **state)
{
	struct fixture *fixture = *state;

	append_to(beside(fixture, ".2"), "from before the first start\n");
	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	append(fixture, "two\n");
	rotate(fixture, ".3");
	append(fixture, "three\n");
	rotate(fixture, ".1");
	append_to(beside(fixture, ".1.gz"), "three, but compressed\n");
	append_to(beside(fixture, ".old"), "not by logrotate\n");
	append(fixture, "four\n");
	expect_lines(fixture, "two\nthree\nfour\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_RECOVERED], 1);
}

static void files_rotated_while_nobody_ran_are_found_in_order(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	tail_close(fixture->tail);
	fixture->tail = NULL;
	append(fixture, "two\n");
	rotate(fixture, "-20260101");
	append(fixture, "three\n");
	rotate(fixture, "-20260102");
	append(fixture, "four\n");
	rotate(fixture, "-20260103");
	append(fixture, "five\n");
	restart(fixture);
	expect_lines(fixture, "two\nthree\nfour\nfive\n");
	restart(fixture);
	expect_lines(fixture, "");
	assert_int_equal(fixture->record_count, 4);
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
}

static void a_rotated_file_is_found_though_nothing_took_its_place(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	drain(fixture);
	append(fixture, "two\n");
	rotate(fixture, ".1");
	restart(fixture);
	expect_lines(fixture, "one\ntwo\n");
	append(fixture, "three\n");
	expect_lines(fixture, "three\n");
}

static void a_rotated_file_that_is_gone_is_reported_and_not_sought_again(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	rotate(fixture, ".1");
	append(fixture, "two\n");
	unlink(beside(fixture, ".1"));
	restart(fixture);
	expect_lines(fixture, "two\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 1);
	restart(fixture);
	expect_lines(fixture, "");
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 1);
}

static void a_file_renamed_back_is_not_read_twice(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	rotate(fixture, ".1");
	append(fixture, "two\n");
	expect_lines(fixture, "two\n");
	assert_int_equal(rename(beside(fixture, ".1"), fixture->path), 0);
	expect_lines(fixture, "");
	append(fixture, "three\n");
	expect_lines(fixture, "three\n");
	restart(fixture);
	expect_lines(fixture, "");
}

static void a_truncated_file_is_read_again_from_its_start(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\ntwo\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\ntwo\n");
	assert_int_equal(truncate(fixture->path, 0), 0);
	expect_lines(fixture, "");
	append(fixture, "three\n");
	expect_lines(fixture, "three\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_TRUNCATED], 1);
	assert_true(fixture->records[0].done);
	assert_true(fixture->records[0].id != fixture->records[1].id);
}

static void truncation_is_seen_though_the_file_has_grown_beyond_the_offset(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	assert_int_equal(truncate(fixture->path, 0), 0);
	append(fixture, "three\nfour\n");
	expect_lines(fixture, "three\nfour\n");
	assert_int_equal(truncate(fixture->path, 0), 0);
	append(fixture, "five\nsix\nseven\n");
	restart(fixture);
	expect_lines(fixture, "five\nsix\nseven\n");
}

static void a_file_cut_again_is_new_though_it_begins_as_one_before(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "starting\n");
	open_tail(fixture, false);
	expect_lines(fixture, "starting\n");
	assert_int_equal(truncate(fixture->path, 0), 0);
	expect_lines(fixture, "");
	append(fixture, "starting\nrunning\nmore\n");
	expect_lines(fixture, "starting\nrunning\nmore\n");
	assert_int_equal(truncate(fixture->path, 0), 0);
	append(fixture, "starting\n");
	expect_lines(fixture, "starting\n");
	append(fixture, "again\n");
	expect_lines(fixture, "again\n");
	assert_int_equal(fixture->record_count, 3);
	fixture->notes[TAIL_NOTE_LOST] = 0;
	restart(fixture);
	expect_lines(fixture, "");
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
}

static void copytruncate_loses_nothing_that_was_copied(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	append(fixture, "two\n");
	copy_truncate(fixture, ".1");
	append(fixture, "three\n");
	expect_lines(fixture, "two\nthree\n");
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
	/* and again, the copies moving on */
	append(fixture, "four\n");
	assert_int_equal(rename(beside(fixture, ".1"), beside(fixture, ".2")), 0);
	copy_truncate(fixture, ".1");
	expect_lines(fixture, "four\n");
	append(fixture, "five\n");
	expect_lines(fixture, "five\n");
}

static void copytruncate_while_nobody_ran_loses_nothing_that_was_copied(void **state)
{
	struct fixture *fixture = *state;

	append(fixture, "one\n");
	open_tail(fixture, false);
	expect_lines(fixture, "one\n");
	append(fixture, "two\n");
	copy_truncate(fixture, ".2");
	append(fixture, "three\n");
	copy_truncate(fixture, ".1");
	append(fixture, "four\n");
	restart(fixture);
	expect_lines(fixture, "two\nthree\nfour\n");
	restart(fixture);
	expect_lines(fixture, "");
	assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
}

static void a_file_cut_and_then_renamed_between_two_looks_loses_nothing_that_was_copied(
	void **state)
{
	struct fixture *fixture = *state;

	for (int killed = 0; killed < 2; killed++) {
		append(fixture, "one\n");
		open_tail(fixture, false);
		expect_lines(fixture, "one\n");
		append(fixture, "two\n");
		copy_truncate(fixture, killed ? ".4" : ".2");
		append(fixture, "three, and longer than what was there before\n");
		rotate(fixture, killed ? ".3" : ".1");
		append(fixture, "four\n");
		if (killed)
			restart(fixture);
		expect_lines(fixture, "two\nthree, and longer than what was there before\nfour\n");
		assert_int_equal(fixture->notes[TAIL_NOTE_LOST], 0);
	}
}

static void an_empty_file_filled_copied_and_cut_between_two_looks_loses_nothing(void **state)
{
	struct fixture *fixture = *state;

	for (int killed = 0; killed < 2; killed++) {
		append(fixture, "");
		open_tail(fixture, false);
		expect_lines(fixture, "");
		append(fixture, "one\n");
		copy_truncate(fixture, killed ? ".2" : ".1");
		append(fixture, "two\n");
		if (killed)
			restart(fixture);
		expect_lines(fixture, "one\ntwo\n");
		unlink(fixture->path);
		expect_lines(fixture, "");
	}
}

static void a_large_file_comes_whole_in_blocks(void **state)
{
	struct fixture *fixture = *state;
	FILE *file = fopen(fixture->path, "w");
	size_t lines = 0;

	assert_non_null(file);
	for (unsigned i = 0; i < 100000; i++)
		fprintf(file, "line %u of a file that is larger than a block\n", i);
	fclose(file);
	open_tail(fixture, false);
	drain(fixture);
	for (const char *at = fixture->text; *at; at = strchr(at, '\n') + 1) {
		char *end;

		assert_int_equal(strncmp(at, "line ", 5), 0);
		assert_int_equal(strtoul(at + 5, &end, 10), lines);
		lines++;
	}
	assert_int_equal(lines, 100000);
	assert_int_equal(tail_behind(fixture->tail), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_FILES(lines_come_once_and_only_when_they_are_whole),
		ON_FILES(a_file_that_appears_later_is_read_from_its_start),
		ON_FILES(a_path_that_is_no_regular_file_is_refused),
		ON_FILES(once_gives_the_unterminated_rest_and_the_next_run_goes_on_behind_it),
		ON_FILES(a_restart_goes_on_where_it_was),
		ON_FILES(a_renamed_file_is_finished_before_the_new_one),
		ON_FILES(a_rotated_file_is_done_when_quiet_and_rotated_once_more),
		ON_FILES(files_rotated_between_two_looks_are_found),
		ON_FILES(files_rotated_while_nobody_ran_are_found_in_order),
		ON_FILES(a_rotated_file_is_found_though_nothing_took_its_place),
		ON_FILES(a_rotated_file_that_is_gone_is_reported_and_not_sought_again),
		ON_FILES(a_file_renamed_back_is_not_read_twice),
		ON_FILES(a_truncated_file_is_read_again_from_its_start),
		ON_FILES(truncation_is_seen_though_the_file_has_grown_beyond_the_offset),
		ON_FILES(a_file_cut_again_is_new_though_it_begins_as_one_before),
		ON_FILES(copytruncate_loses_nothing_that_was_copied),
		ON_FILES(copytruncate_while_nobody_ran_loses_nothing_that_was_copied),
		ON_FILES(
			a_file_cut_and_then_renamed_between_two_looks_loses_nothing_that_was_copied),
		ON_FILES(an_empty_file_filled_copied_and_cut_between_two_looks_loses_nothing),
		ON_FILES(a_large_file_comes_whole_in_blocks),
	};

	return cmocka_run_group_tests_name("tail follow", tests, NULL, NULL);
}
