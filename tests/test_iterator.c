#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/tasks/iterator.h>

#include "tests/support/child.h"
#include "tests/support/items.h"
#include "tests/support/leak.h"

/* ---- Items and values ------------------------------------------------------------------------ */

struct point {
	int x, y;
};

static void lines_numbers_and_structs_are_read_as_what_they_are(void **state)
{
	static const struct point points[] = { { 1, 2 }, { 3, 4 } };
	static const int numbers[] = { 5, 6 };
	static const char letters[] = "abc";
	int sum = 0, r = 1;
	char text[8] = "";

	(void)state;
	TMGR_FOR_EACH (point, NULL, tmgr_elements(points, 2, sizeof(points[0])), &r)
		sum += TMGR_VALUE(struct point, point).x * TMGR_VALUE(struct point, point).y;
	assert_int_equal(r, 0);
	assert_int_equal(sum, 2 + 12);
	TMGR_FOR_EACH (number, NULL, tmgr_elements(numbers, 2, sizeof(numbers[0])), NULL)
		sum += TMGR_VALUE(int, number);
	assert_int_equal(sum, 25);
	TMGR_FOR_EACH (letter, NULL, tmgr_elements(letters, 3, 1), NULL)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s,",
			TMGR_TEXT(letter));
	assert_string_equal(text, "a,b,c,");
}

static int read_short(void *unused)
{
	short number = 1;
	struct tmgr_item item = tmgr_item_of(&number, sizeof(number));

	(void)unused;
	return TMGR_VALUE(int, item);
}

static void an_item_read_as_something_of_another_size_stops_the_program(void **state)
{
	struct child child;

	(void)state;
	assert_int_equal(child_run(&child, read_short, NULL), 1000 + SIGABRT);
	assert_true(child_count(&child, "an item is read as what it is") == 1);
}

static void nothing_is_asked_of_a_closed_iterator_or_without_arguments(void **state)
{
	struct items items = ITEMS(.count = 1);
	struct tmgr_iterator iterator = items_iterator(&items);
	struct tmgr_item item;

	(void)state;
	assert_int_equal(tmgr_iterator_next(NULL, NULL, &item), -EINVAL);
	assert_int_equal(tmgr_iterator_next(NULL, &iterator, NULL), -EINVAL);
	assert_int_equal(items.asked, 0);
	tmgr_iterator_close(NULL, &iterator);
	tmgr_iterator_close(NULL, &iterator);
	tmgr_iterator_close(NULL, NULL);
	assert_int_equal(tmgr_iterator_next(NULL, &iterator, &item), -EINVAL);
	assert_int_equal(items.closed, 1);
	assert_false(items.wrong);
}

static void a_failed_iterator_has_no_items_and_stays_so(void **state)
{
	(void)state;
	assert_int_equal(items_read_all(NULL, tmgr_iterator_failed(-EIO), items_int).result, -EIO);
	assert_int_equal(items_read_all(NULL, tmgr_iterator_failed(0), items_int).result, -EINVAL);
	assert_int_equal(items_read_all(NULL, tmgr_iterator_failed(5), items_int).result, -EINVAL);
}

/* ---- The loop over all ----------------------------------------------------------------------- */

static void a_loop_ends_with_the_items_and_closes(void **state)
{
	struct items items = ITEMS(.count = 4);
	int sum = 0, r = 9;

	(void)state;
	TMGR_FOR_EACH (item, NULL, items_iterator(&items), &r)
		sum += TMGR_VALUE(int, item);
	assert_int_equal(sum, 10);
	assert_int_equal(r, 0);
	assert_int_equal(items.closed, 1);
	assert_false(items.wrong);
}

static void a_loop_says_which_error_ended_it(void **state)
{
	struct items items = ITEMS(.count = 2, .end = -EIO);
	int turns = 0, r = 9;

	(void)state;
	TMGR_FOR_EACH (item, NULL, items_iterator(&items), &r)
		turns++;
	assert_int_equal(turns, 2);
	assert_int_equal(r, -EIO);
	assert_int_equal(items.closed, 1);
}

static int return_at(struct items *items, int at)
{
	TMGR_FOR_EACH (item, NULL, items_iterator(items), NULL) {
		if (TMGR_VALUE(int, item) == at)
			return at;
	}
	return 0;
}

static void break_and_return_close_it_and_continue_goes_on(void **state)
{
	struct items broken = ITEMS(.count = 9), returned = ITEMS(.count = 9);
	int odd = 0, r = 9;

	(void)state;
	TMGR_FOR_EACH (item, NULL, items_iterator(&broken), &r) {
		if (TMGR_VALUE(int, item) % 2 == 0)
			continue;
		odd++;
		if (TMGR_VALUE(int, item) == 5)
			break;
	}
	assert_int_equal(odd, 3);
	assert_int_equal(r, 0);
	assert_int_equal(broken.asked, 5);
	assert_int_equal(broken.closed, 1);
	assert_int_equal(return_at(&returned, 3), 3);
	assert_int_equal(returned.asked, 3);
	assert_int_equal(returned.closed, 1);
}

static void loops_stand_in_loops(void **state)
{
	int turns = 0;

	(void)state;
	TMGR_FOR_EACH (a, NULL, tmgr_range(0, 3, 1), NULL)
		TMGR_FOR_EACH (b, NULL, tmgr_range(0, TMGR_VALUE(int64_t, a), 1), NULL)
			turns++;
	assert_int_equal(turns, 3);
}

/* ---- Where items come from ------------------------------------------------------------------- */

static const char *range_text(int64_t begin, int64_t end, int64_t step)
{
	static struct items_read read;

	read = items_read_all(NULL, tmgr_range(begin, end, step), items_int64);
	assert_int_equal(read.result, 0);
	return read.text;
}

static void a_range_goes_up_or_down_and_ends_before_its_end(void **state)
{
	(void)state;
	assert_string_equal(range_text(0, 4, 1), "0 1 2 3");
	assert_string_equal(range_text(0, 5, 2), "0 2 4");
	assert_string_equal(range_text(3, -2, -2), "3 1 -1");
	assert_string_equal(range_text(2, 2, 1), "");
	assert_string_equal(range_text(2, 0, 1), "");
	assert_string_equal(range_text(0, 2, -1), "");
	assert_string_equal(range_text(INT64_MAX - 1, INT64_MAX, 2), "9223372036854775806");
	assert_string_equal(
		range_text(INT64_MIN + 1, INT64_MIN, INT64_MIN), "-9223372036854775807");
	assert_int_equal(items_read_all(NULL, tmgr_range(0, 1, 0), items_int64).result, -EINVAL);
}

static void counting_goes_on_as_far_as_numbers_go(void **state)
{
	struct items_read read;

	(void)state;
	read = items_read_some(NULL, tmgr_count(10, -5), items_int64, 4);
	assert_string_equal(read.text, "10 5 0 -5");
	read = items_read_some(NULL, tmgr_count(1, 0), items_int64, 3);
	assert_string_equal(read.text, "1 1 1");
	read = items_read_all(NULL, tmgr_count(INT64_MAX - 1, 1), items_int64);
	assert_string_equal(read.text, "9223372036854775806 9223372036854775807");
	assert_int_equal(read.result, -ERANGE);
}

static void an_array_gives_its_elements(void **state)
{
	static const int numbers[] = { 3, 1, 2 };

	(void)state;
	assert_string_equal(
		items_read_all(NULL, tmgr_elements(numbers, 3, sizeof(int)), items_int).text,
		"3 1 2");
	assert_int_equal(items_read_all(NULL, tmgr_elements(NULL, 0, 4), items_int).result, 0);
	assert_int_equal(
		items_read_all(NULL, tmgr_elements(NULL, 1, 4), items_int).result, -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(lines_numbers_and_structs_are_read_as_what_they_are),
		leak_test(an_item_read_as_something_of_another_size_stops_the_program),
		leak_test(nothing_is_asked_of_a_closed_iterator_or_without_arguments),
		leak_test(a_failed_iterator_has_no_items_and_stays_so),
		leak_test(a_loop_ends_with_the_items_and_closes),
		leak_test(a_loop_says_which_error_ended_it),
		leak_test(break_and_return_close_it_and_continue_goes_on),
		leak_test(loops_stand_in_loops),
		leak_test(a_range_goes_up_or_down_and_ends_before_its_end),
		leak_test(counting_goes_on_as_far_as_numbers_go),
		leak_test(an_array_gives_its_elements),
	};

	return cmocka_run_group_tests_name("iterators", tests, NULL, NULL);
}
