#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/iterator.h>

#include "tests/support/child.h"
#include "tests/support/fault.h"
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

/* ---- Each combinator ------------------------------------------------------------------------- */

static int times_ten(void *self, struct tmgr_context *context, struct tmgr_item *item)
{
	int *number = self;

	(void)context;
	*number = TMGR_VALUE(int, *item) * 10;
	*item = tmgr_item_of(number, sizeof(*number));
	return 0;
}

static int first_letter(void *self, struct tmgr_context *context, struct tmgr_item *item)
{
	(void)self;
	(void)context;
	item->size = 1;
	return 0;
}

static void map_changes_items_to_others_or_to_a_part_of_them(void **state)
{
	static const char words[3][4] = { "abc", "def", "ghi" };
	struct items items = ITEMS(.count = 3);
	struct items_read read;
	int number;

	(void)state;
	read = items_read_all(
		NULL, tmgr_map(items_iterator(&items), times_ten, &number), items_int);
	assert_string_equal(read.text, "10 20 30");
	read = items_read_all(
		NULL, tmgr_map(tmgr_elements(words, 3, 4), first_letter, NULL), items_text);
	assert_string_equal(read.text, "a d g");
}

static int is_odd(void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	(void)self;
	(void)context;
	return TMGR_VALUE(int, *item) % 2;
}

static void filter_skips_what_is_rejected(void **state)
{
	struct items items = ITEMS(.count = 6), none = ITEMS(.count = 1);
	struct items_read read;

	(void)state;
	read = items_read_all(NULL, tmgr_filter(items_iterator(&items), is_odd, NULL), items_int);
	assert_string_equal(read.text, "1 3 5");
	assert_int_equal(items.asked, 7);
	none.asked = 1;
	none.count = 2;
	read = items_read_all(NULL, tmgr_filter(items_iterator(&none), is_odd, NULL), items_int);
	assert_int_equal(read.count, 0);
	assert_int_equal(read.result, 0);
}

static int fails_at_three(void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	(void)context;
	return TMGR_VALUE(int, *item) == 3 ? *(int *)self : 1;
}

static int map_fails_at_three(void *self, struct tmgr_context *context, struct tmgr_item *item)
{
	(void)context;
	return TMGR_VALUE(int, *item) == 3 ? *(int *)self : 0;
}

static void an_error_of_the_function_ends_map_and_filter(void **state)
{
	struct items a = ITEMS(.count = 5), b = ITEMS(.count = 5), c = ITEMS(.count = 5);
	int error = -EDOM, positive = 5;
	struct items_read read;

	(void)state;
	read = items_read_all(
		NULL, tmgr_map(items_iterator(&a), map_fails_at_three, &error), items_int);
	assert_string_equal(read.text, "1 2");
	assert_int_equal(read.result, -EDOM);
	assert_int_equal(a.asked, 3);
	read = items_read_all(
		NULL, tmgr_filter(items_iterator(&b), fails_at_three, &error), items_int);
	assert_string_equal(read.text, "1 2");
	assert_int_equal(read.result, -EDOM);
	assert_int_equal(b.asked, 3);
	read = items_read_all(
		NULL, tmgr_map(items_iterator(&c), map_fails_at_three, &positive), items_int);
	assert_int_equal(read.result, -TMGR_EFAILED);
}

static void chain_closes_each_before_it_asks_the_next(void **state)
{
	struct items a = ITEMS(.count = 2), b = ITEMS(.count = 0), c = ITEMS(.count = 2);
	struct tmgr_iterator chain = tmgr_chain(
		items_iterator(&a), tmgr_chain(items_iterator(&b), items_iterator(&c)));
	struct tmgr_item item;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(tmgr_iterator_next(NULL, &chain, &item), 1);
	assert_int_equal(a.closed, 0);
	assert_int_equal(tmgr_iterator_next(NULL, &chain, &item), 1);
	assert_int_equal(TMGR_VALUE(int, item), 1);
	assert_int_equal(a.closed, 1);
	assert_int_equal(b.closed, 1);
	assert_int_equal(c.closed, 0);
	assert_int_equal(c.asked, 1);
	tmgr_iterator_close(NULL, &chain);
	assert_int_equal(c.closed, 1);
}

static void an_error_ends_a_chain_and_the_rest_is_not_asked(void **state)
{
	struct items a = ITEMS(.count = 1, .end = -EIO), b = ITEMS(.count = 2);
	struct items_read read = items_read_all(
		NULL, tmgr_chain(items_iterator(&a), items_iterator(&b)), items_int);

	(void)state;
	assert_string_equal(read.text, "1");
	assert_int_equal(read.result, -EIO);
	assert_int_equal(b.asked, 0);
	assert_int_equal(b.closed, 1);
}

static void chains_of_any_number_and_of_chains_that_have_begun_or_ended(void **state)
{
	struct items a = ITEMS(.count = 2), b = ITEMS(.count = 1), c = ITEMS(.count = 1);
	struct items failing = ITEMS(.count = 0, .end = -EIO);
	struct tmgr_iterator begun, ended, failed, all[4];
	struct tmgr_item item;
	struct items_read read;

	(void)state;
	assert_int_equal(items_read_all(NULL, tmgr_chain_all(NULL, 0), items_int).result, 0);
	assert_int_equal(items_read_all(NULL, tmgr_chain_all(NULL, 1), items_int).result, -EINVAL);
	begun = tmgr_chain(items_iterator(&a), items_iterator(&b));
	assert_int_equal(tmgr_iterator_next(NULL, &begun, &item), 1);
	ended = tmgr_chain_all(NULL, 0);
	assert_int_equal(tmgr_iterator_next(NULL, &ended, &item), 0);
	all[0] = begun;
	all[1] = ended;
	all[2] = items_iterator(&c);
	all[3] = tmgr_chain_all(NULL, 0);
	read = items_read_all(NULL, tmgr_chain_all(all, 4), items_int);
	assert_string_equal(read.text, "2 1 1");
	assert_int_equal(read.result, 0);
	failed = tmgr_chain(items_iterator(&failing), tmgr_range(0, 1, 1));
	assert_int_equal(tmgr_iterator_next(NULL, &failed, &item), -EIO);
	read = items_read_all(NULL, tmgr_chain(failed, tmgr_range(0, 3, 1)), items_int64);
	assert_int_equal(read.count, 0);
	assert_int_equal(read.result, -EIO);
}

static struct tmgr_iterator up_to(
	void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	(void)self;
	(void)context;
	return tmgr_range(0, TMGR_VALUE(int, *item), 1);
}

static struct tmgr_iterator fails_from_two(
	void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	(void)self;
	(void)context;
	return TMGR_VALUE(int, *item) < 2 ? tmgr_range(0, 2, 1) : tmgr_iterator_failed(-EDOM);
}

static void flat_map_gives_the_items_of_each_iterator(void **state)
{
	struct items items = ITEMS(.count = 3), other = ITEMS(.count = 3);
	struct items_read read = items_read_all(
		NULL, tmgr_flat_map(items_iterator(&items), up_to, NULL), items_int64);

	(void)state;
	assert_string_equal(read.text, "0 0 1 0 1 2");
	assert_int_equal(read.result, 0);
	read = items_read_all(
		NULL, tmgr_flat_map(items_iterator(&other), fails_from_two, NULL), items_int64);
	assert_string_equal(read.text, "0 1");
	assert_int_equal(read.result, -EDOM);
	assert_int_equal(other.asked, 2);
}

static void flatten_takes_the_iterators_whose_turn_comes(void **state)
{
	struct items a = ITEMS(.count = 2), b = ITEMS(.count = 2), c = ITEMS(.count = 2);
	struct tmgr_iterator all[] = { items_iterator(&a), items_iterator(&b), items_iterator(&c) };
	static const int no_iterator = 5;
	struct items_read read;

	(void)state;
	read = items_read_some(
		NULL, tmgr_flatten(tmgr_elements(all, 3, sizeof(all[0]))), items_int, 3);
	assert_string_equal(read.text, "1 2 1");
	assert_int_equal(a.closed, 1);
	assert_int_equal(b.closed, 1);
	assert_int_equal(c.closed, 0);
	read = items_read_all(
		NULL, tmgr_flatten(tmgr_elements(&no_iterator, 1, sizeof(int))), items_int);
	assert_int_equal(read.result, -EINVAL);
}

static void write_part(const struct tmgr_item *item, char *text, size_t size)
{
	if (item->data)
		items_int(item, text, size);
	else
		snprintf(text, size, item->size == 0 ? "-" : "?");
}

static void write_pair(const struct tmgr_item *item, char *text, size_t size)
{
	const struct tmgr_pair *pair = &TMGR_VALUE(struct tmgr_pair, *item);
	char first[16], second[16];

	write_part(&pair->first, first, sizeof(first));
	write_part(&pair->second, second, sizeof(second));
	snprintf(text, size, "%s:%s", first, second);
}

typedef struct tmgr_iterator zip_function(struct tmgr_iterator, struct tmgr_iterator);

static struct items_read zip(zip_function *function, int first, int second)
{
	struct items a = ITEMS(.count = first), b = ITEMS(.count = second);
	struct items_read read = items_read_all(
		NULL, function(items_iterator(&a), items_iterator(&b)), write_pair);

	assert_int_equal(a.closed, 1);
	assert_int_equal(b.closed, 1);
	assert_false(a.wrong || b.wrong);
	assert_int_equal(read.result, 0);
	return read;
}

static void zip_ends_with_the_shorter(void **state)
{
	struct items a = ITEMS(.count = 1), b = ITEMS(.count = 5);

	(void)state;
	assert_string_equal(zip(tmgr_zip, 2, 2).text, "1:1 2:2");
	assert_string_equal(zip(tmgr_zip, 3, 1).text, "1:1");
	assert_string_equal(zip(tmgr_zip, 1, 3).text, "1:1");
	assert_string_equal(zip(tmgr_zip, 0, 3).text, "");
	items_read_all(NULL, tmgr_zip(items_iterator(&a), items_iterator(&b)), write_pair);
	assert_int_equal(b.asked, 1);
}

static void zip_longest_ends_with_the_longer(void **state)
{
	(void)state;
	assert_string_equal(zip(tmgr_zip_longest, 2, 2).text, "1:1 2:2");
	assert_string_equal(zip(tmgr_zip_longest, 3, 1).text, "1:1 2:- 3:-");
	assert_string_equal(zip(tmgr_zip_longest, 0, 2).text, "-:1 -:2");
	assert_string_equal(zip(tmgr_zip_longest, 0, 0).text, "");
}

static void an_error_of_either_ends_a_zip(void **state)
{
	zip_function *const functions[] = { tmgr_zip, tmgr_zip_longest };

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct items a = ITEMS(.count = i < 2 ? 1 : 3, .end = i < 2 ? -EIO : 0);
		struct items b = ITEMS(.count = i < 2 ? 3 : 1, .end = i < 2 ? 0 : -EIO);
		struct items_read read = items_read_all(
			NULL, functions[i % 2](items_iterator(&a), items_iterator(&b)), write_pair);

		assert_string_equal(read.text, "1:1");
		assert_int_equal(read.result, -EIO);
		assert_int_equal(a.closed + b.closed, 2);
	}
}

static void write_numbered(const struct tmgr_item *item, char *text, size_t size)
{
	const struct tmgr_numbered *numbered = &TMGR_VALUE(struct tmgr_numbered, *item);

	snprintf(text, size, "%zu=%d", numbered->index, TMGR_VALUE(int, numbered->item));
}

static void enumerate_numbers_from_zero(void **state)
{
	struct items items = ITEMS(.count = 3);

	(void)state;
	assert_string_equal(
		items_read_all(NULL, tmgr_enumerate(items_iterator(&items)), write_numbered).text,
		"0=1 1=2 2=3");
}

static void unique_gives_each_the_first_time_only(void **state)
{
	static const char words[6][2] = { "ab", "cd", "ab", "ef", "cd", "ab" };
	struct items many = ITEMS(.count = 60);
	struct items_read read;

	(void)state;
	read = items_read_all(NULL, tmgr_unique(tmgr_elements(words, 6, 2)), items_text);
	assert_string_equal(read.text, "ab cd ef");
	read = items_read_all(NULL, tmgr_unique(tmgr_elements(words, 12, 1)), items_text);
	assert_string_equal(read.text, "a b c d e f");
	read = items_read_all(NULL, tmgr_unique(items_iterator(&many)), items_int);
	assert_int_equal(read.count, 60);
	read = items_read_all(NULL, tmgr_unique(tmgr_take(tmgr_count(4, 0), 9)), items_int64);
	assert_string_equal(read.text, "4");
	read = items_read_all(NULL, tmgr_unique(tmgr_elements(words, 4, 0)), items_text);
	assert_int_equal(read.count, 1);
}

static void take_asks_for_no_more_than_it_gives(void **state)
{
	struct items two = ITEMS(.count = 5), none = ITEMS(.count = 5), all = ITEMS(.count = 2);

	(void)state;
	assert_string_equal(
		items_read_all(NULL, tmgr_take(items_iterator(&two), 2), items_int).text, "1 2");
	assert_int_equal(two.asked, 2);
	assert_int_equal(
		items_read_all(NULL, tmgr_take(items_iterator(&none), 0), items_int).count, 0);
	assert_int_equal(none.asked, 0);
	assert_int_equal(none.closed, 1);
	assert_string_equal(
		items_read_all(NULL, tmgr_take(items_iterator(&all), 9), items_int).text, "1 2");
}

static void until_error_ends_and_keeps_the_first_error(void **state)
{
	struct items a = ITEMS(.count = 1, .end = -EIO), b = ITEMS(.count = 2, .end = -EDOM);
	int error = 0, r = 9, sum = 0;

	(void)state;
	TMGR_FOR_EACH (item, NULL,
		tmgr_chain(tmgr_until_error(items_iterator(&a), &error),
			tmgr_until_error(items_iterator(&b), &error)),
		&r)
		sum += TMGR_VALUE(int, item);
	assert_int_equal(sum, 4);
	assert_int_equal(r, 0);
	assert_int_equal(error, -EIO);
	assert_int_equal(a.closed + b.closed, 2);
}

static int sum_up(void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	int *sum = self;

	(void)context;
	*sum += TMGR_VALUE(int, *item);
	return *sum == 6 ? 66 : 0;
}

static void for_each_ends_with_what_the_function_or_the_iterator_says(void **state)
{
	struct items few = ITEMS(.count = 2), failing = ITEMS(.count = 2, .end = -EIO);
	struct items stopped = ITEMS(.count = 9), unused = ITEMS(.count = 1);
	int sum = 0;

	(void)state;
	assert_int_equal(tmgr_for_each(NULL, items_iterator(&few), sum_up, &sum), 0);
	assert_int_equal(sum, 3);
	sum = 0;
	assert_int_equal(tmgr_for_each(NULL, items_iterator(&failing), sum_up, &sum), -EIO);
	sum = 0;
	assert_int_equal(tmgr_for_each(NULL, items_iterator(&stopped), sum_up, &sum), 66);
	assert_int_equal(stopped.asked, 3);
	assert_int_equal(tmgr_for_each(NULL, items_iterator(&unused), NULL, NULL), -EINVAL);
	assert_int_equal(unused.asked, 0);
	assert_int_equal(few.closed + failing.closed + stopped.closed + unused.closed, 4);
}

static void collect_copies_items_of_all_sizes(void **state)
{
	struct items failing = ITEMS(.count = 2, .end = -EIO), unused = ITEMS(.count = 1);
	struct tmgr_item *items = NULL, *none = (struct tmgr_item *)&failing;
	size_t count = 0;
	char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	struct tmgr_iterator parts[9];

	(void)state;
	for (size_t i = 0; i < 9; i++)
		parts[i] = tmgr_elements(text, 1, i * 4);
	assert_int_equal(tmgr_collect(NULL, tmgr_chain_all(parts, 9), &items, &count), 0);
	memset(text, 'X', sizeof(text) - 1);
	assert_int_equal(count, 9);
	for (size_t i = 0; i < 9; i++) {
		assert_int_equal(items[i].size, i * 4);
		assert_memory_equal(items[i].data, "0123456789abcdefghijklmnopqrstuvwxyz", i * 4);
		assert_int_equal((uintptr_t)items[i].data % 16, 0);
	}
	free(items);
	assert_int_equal(tmgr_collect(NULL, tmgr_range(0, 0, 1), &none, &count), 0);
	assert_null(none);
	assert_int_equal(count, 0);
	none = (struct tmgr_item *)&failing;
	count = 7;
	assert_int_equal(tmgr_collect(NULL, items_iterator(&failing), &none, &count), -EIO);
	assert_ptr_equal(none, &failing);
	assert_int_equal(count, 7);
	assert_int_equal(tmgr_collect(NULL, items_iterator(&unused), NULL, &count), -EINVAL);
	assert_int_equal(unused.closed, 1);
}

/* ---- All combinators ------------------------------------------------------------------------- */

static int scratch, set_aside;

static int pass(void *self, struct tmgr_context *context, struct tmgr_item *item)
{
	(void)self;
	(void)context;
	(void)item;
	return 0;
}

static int accept_all(void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	(void)self;
	(void)context;
	(void)item;
	return 1;
}

static struct tmgr_iterator itself(
	void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	(void)self;
	(void)context;
	return tmgr_elements(item->data, 1, item->size);
}

static struct tmgr_iterator over_map(struct items *items)
{
	return tmgr_map(items_iterator(items), pass, &scratch);
}

static struct tmgr_iterator over_filter(struct items *items)
{
	return tmgr_filter(items_iterator(items), accept_all, NULL);
}

static struct tmgr_iterator over_chain(struct items *items)
{
	return tmgr_chain(tmgr_range(0, 0, 1), items_iterator(items));
}

static struct tmgr_iterator over_chains(struct items *items)
{
	return tmgr_chain(
		tmgr_chain(tmgr_range(0, 0, 1), items_iterator(items)), tmgr_chain_all(NULL, 0));
}

static struct tmgr_iterator over_flat_map(struct items *items)
{
	return tmgr_flat_map(items_iterator(items), itself, NULL);
}

static struct tmgr_iterator over_zip(struct items *items)
{
	return tmgr_zip(items_iterator(items), tmgr_count(0, 1));
}

static struct tmgr_iterator over_zip_second(struct items *items)
{
	return tmgr_zip(tmgr_count(0, 1), items_iterator(items));
}

static struct tmgr_iterator over_zip_longest(struct items *items)
{
	return tmgr_zip_longest(items_iterator(items), tmgr_range(0, 2, 1));
}

static struct tmgr_iterator over_enumerate(struct items *items)
{
	return tmgr_enumerate(items_iterator(items));
}

static struct tmgr_iterator over_unique(struct items *items)
{
	return tmgr_unique(items_iterator(items));
}

static struct tmgr_iterator over_take(struct items *items)
{
	return tmgr_take(items_iterator(items), 99);
}

static struct tmgr_iterator over_until_error(struct items *items)
{
	return tmgr_until_error(items_iterator(items), &set_aside);
}

static struct tmgr_iterator over_several(struct items *items)
{
	return tmgr_take(
		tmgr_enumerate(tmgr_unique(tmgr_map(
			tmgr_filter(items_iterator(items), accept_all, NULL), pass, NULL))),
		50);
}

static const struct {
	const char *name;
	struct tmgr_iterator (*over)(struct items *items);
	bool errors_aside;
} combinators[] = {
	{ "map", over_map, false },
	{ "filter", over_filter, false },
	{ "chain", over_chain, false },
	{ "chain of chains", over_chains, false },
	{ "flat map", over_flat_map, false },
	{ "zip", over_zip, false },
	{ "zip, the second", over_zip_second, false },
	{ "zip longest", over_zip_longest, false },
	{ "enumerate", over_enumerate, false },
	{ "unique", over_unique, false },
	{ "take", over_take, false },
	{ "until error", over_until_error, true },
	{ "several", over_several, false },
};

#define COMBINATORS (sizeof(combinators) / sizeof(combinators[0]))

static void write_nothing(const struct tmgr_item *item, char *text, size_t size)
{
	(void)item;
	snprintf(text, size, "i");
}

static void nothing_is_asked_before_the_first_item_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < COMBINATORS; i++) {
		struct items items = ITEMS(.count = 4);
		struct tmgr_iterator iterator = combinators[i].over(&items);

		assert_int_equal(items.asked, 0);
		tmgr_iterator_close(NULL, &iterator);
		assert_int_equal(items.asked, 0);
		assert_int_equal(items.closed, 1);
	}
}

static void closed_early_at_any_place_each_has_asked_for_no_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < COMBINATORS; i++) {
		for (int place = 0; place <= 5; place++) {
			struct items items = ITEMS(.count = 4);
			struct items_read read = items_read_some(
				NULL, combinators[i].over(&items), write_nothing, place);

			if (read.count != (place < 4 ? place : 4) || items.asked != place ||
				items.closed != 1 || items.wrong)
				fail_msg("%s, closed after %d: %d items, %d asked, %d closed",
					combinators[i].name, place, read.count, items.asked,
					items.closed);
		}
	}
}

static void an_error_at_any_place_ends_each_and_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < COMBINATORS; i++) {
		for (int place = 0; place <= 3; place++) {
			struct items items = ITEMS(.count = place, .end = -EIO);
			struct items_read read;

			set_aside = 0;
			read = items_read_all(NULL, combinators[i].over(&items), write_nothing);
			if (read.count != place || items.closed != 1 || items.wrong ||
				read.result != (combinators[i].errors_aside ? 0 : -EIO))
				fail_msg("%s, error after %d: %d items, result %d, %d closed",
					combinators[i].name, place, read.count, read.result,
					items.closed);
			assert_int_equal(set_aside, combinators[i].errors_aside ? -EIO : 0);
		}
	}
}

/* Whether the k-th allocation has failed, after all was looked at. */
static bool survives_allocation(size_t i, long k)
{
	struct items items = ITEMS(.count = 20);
	struct items_read read;
	bool happened;
	int expected;

	set_aside = 0;
	fault_fail_allocation(k);
	read = items_read_all(NULL, combinators[i].over(&items), write_nothing);
	happened = fault_happened();
	fault_off();
	expected = happened && !combinators[i].errors_aside ? -ENOMEM : 0;
	if (read.result != expected || items.closed != 1 || items.wrong)
		fail_msg("%s, allocation %ld fails: result %d, %d closed", combinators[i].name, k,
			read.result, items.closed);
	assert_int_equal(set_aside, happened && combinators[i].errors_aside ? -ENOMEM : 0);
	return happened;
}

static void each_allocation_may_fail_and_all_is_closed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COMBINATORS; i++) {
		long k = 1;

		while (survives_allocation(i, k))
			k++;
		/* Each has at least its own memory. */
		assert_true(k > 1 && k < 100);
	}
}

static void each_allocation_of_collect_may_fail(void **state)
{
	bool happened = true;

	(void)state;
	for (long k = 1; happened; k++) {
		struct items items = ITEMS(.count = 60);
		struct tmgr_item *copies = NULL;
		size_t count = 0;
		int r;

		fault_fail_allocation(k);
		r = tmgr_collect(NULL, items_iterator(&items), &copies, &count);
		happened = fault_happened();
		fault_off();
		assert_int_equal(r, happened ? -ENOMEM : 0);
		assert_int_equal(count, happened ? 0 : 60);
		assert_int_equal(items.closed, 1);
		free(copies);
	}
}

static void bad_arguments_close_what_was_given_and_fail(void **state)
{
	struct items a = ITEMS(.count = 1), b = ITEMS(.count = 1), c = ITEMS(.count = 1),
		     d = ITEMS(.count = 1);

	(void)state;
	assert_int_equal(
		items_read_all(NULL, tmgr_map(items_iterator(&a), NULL, NULL), items_int).result,
		-EINVAL);
	assert_int_equal(
		items_read_all(NULL, tmgr_filter(items_iterator(&b), NULL, NULL), items_int).result,
		-EINVAL);
	assert_int_equal(
		items_read_all(NULL, tmgr_flat_map(items_iterator(&c), NULL, NULL), items_int)
			.result,
		-EINVAL);
	assert_int_equal(
		items_read_all(NULL, tmgr_until_error(items_iterator(&d), NULL), items_int).result,
		-EINVAL);
	assert_int_equal(a.closed + b.closed + c.closed + d.closed, 4);
	assert_int_equal(a.asked + b.asked + c.asked + d.asked, 0);
}

static void a_chain_of_ten_thousand_chains_needs_no_deep_stack(void **state)
{
	struct tmgr_iterator left = tmgr_range(0, 1, 1), right = tmgr_range(0, 1, 1);
	int count = 0, r;

	(void)state;
	for (int64_t i = 1; i < 10000; i++) {
		left = tmgr_chain(left, tmgr_range(i, i + 1, 1));
		right = tmgr_chain(tmgr_range(i, i + 1, 1), right);
	}
	TMGR_FOR_EACH (pair, NULL, tmgr_zip(left, right), &r)
		count++;
	assert_int_equal(r, 0);
	assert_int_equal(count, 10000);
}

static void a_hundred_combinators_deep_is_fine(void **state)
{
	struct items items = ITEMS(.count = 8);
	struct tmgr_iterator iterator = items_iterator(&items);
	struct items_read read;

	(void)state;
	for (int i = 0; i < 100; i++)
		iterator = tmgr_take(tmgr_map(iterator, pass, NULL), 100);
	read = items_read_all(NULL, iterator, items_int);
	assert_string_equal(read.text, "1 2 3 4 5 6 7 8");
	assert_int_equal(items.closed, 1);
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
		leak_test(map_changes_items_to_others_or_to_a_part_of_them),
		leak_test(filter_skips_what_is_rejected),
		leak_test(an_error_of_the_function_ends_map_and_filter),
		leak_test(chain_closes_each_before_it_asks_the_next),
		leak_test(an_error_ends_a_chain_and_the_rest_is_not_asked),
		leak_test(chains_of_any_number_and_of_chains_that_have_begun_or_ended),
		leak_test(flat_map_gives_the_items_of_each_iterator),
		leak_test(flatten_takes_the_iterators_whose_turn_comes),
		leak_test(zip_ends_with_the_shorter),
		leak_test(zip_longest_ends_with_the_longer),
		leak_test(an_error_of_either_ends_a_zip),
		leak_test(enumerate_numbers_from_zero),
		leak_test(unique_gives_each_the_first_time_only),
		leak_test(take_asks_for_no_more_than_it_gives),
		leak_test(until_error_ends_and_keeps_the_first_error),
		leak_test(for_each_ends_with_what_the_function_or_the_iterator_says),
		leak_test(collect_copies_items_of_all_sizes),
		leak_test(nothing_is_asked_before_the_first_item_is),
		leak_test(closed_early_at_any_place_each_has_asked_for_no_more),
		leak_test(an_error_at_any_place_ends_each_and_stays),
		leak_test(each_allocation_may_fail_and_all_is_closed),
		leak_test(each_allocation_of_collect_may_fail),
		leak_test(bad_arguments_close_what_was_given_and_fail),
		leak_test(a_chain_of_ten_thousand_chains_needs_no_deep_stack),
		leak_test(a_hundred_combinators_deep_is_fine),
	};

	return cmocka_run_group_tests_name("iterators", tests, NULL, NULL);
}
