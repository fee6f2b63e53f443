/*
 * What holds for all combinators: nothing is asked too early or too much, errors, memory.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <taskmgr/tasks/iterator.h>

#include "tests/support/fault.h"
#include "tests/support/items.h"
#include "tests/support/leak.h"

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
		leak_test(nothing_is_asked_before_the_first_item_is),
		leak_test(closed_early_at_any_place_each_has_asked_for_no_more),
		leak_test(an_error_at_any_place_ends_each_and_stays),
		leak_test(each_allocation_may_fail_and_all_is_closed),
		leak_test(each_allocation_of_collect_may_fail),
		leak_test(bad_arguments_close_what_was_given_and_fail),
		leak_test(a_chain_of_ten_thousand_chains_needs_no_deep_stack),
		leak_test(a_hundred_combinators_deep_is_fine),
	};

	return cmocka_run_group_tests_name("all combinators", tests, NULL, NULL);
}
