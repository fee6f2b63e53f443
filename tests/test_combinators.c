/*
 * Combinators of iterators, one by one.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/iterator.h>

#include "tests/support/items.h"
#include "tests/support/leak.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests_name("combinators", tests, NULL, NULL);
}
