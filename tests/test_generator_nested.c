/*
 * Generators that ask generators, and very many.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <taskmgr/group.h>
#include <taskmgr/tasks/coroutine.h>
#include <taskmgr/tasks/generator.h>

#include "tests/support/counting.h"
#include "tests/support/fault.h"
#include "tests/support/items.h"
#include "tests/support/leak.h"
#include "tests/support/places.h"

/* Generators that stand at once; as many stacks are made before the first test, for they stay. */
#define MANY 2000

/* What a body records, to be looked at when it has ended. */
struct result {
	struct items_read read;
	struct numbers numbers;
	int at; /* how many items, or which case */
	bool current_kept;
	char text[128];
};

/* ---- Generators in generators ---------------------------------------------------------------- */

struct tree {
	int depth;
	int64_t sleep_ns;
	int ended;
	bool current;
};

/* The numbers of a binary tree in order, each level a generator of its own. */
struct subtree {
	struct tree *tree;
	int depth, number;
};

static struct tmgr_iterator subtree(struct tree *tree, int depth, int number);

static int walk(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	struct subtree *here = self;
	struct tree *tree = here->tree;
	int half = 1 << here->depth >> 1, r = 0;

	tree->current &= tmgr_context_current() == context;
	if (half > 0)
		r = tmgr_yield_all(generator, subtree(tree, here->depth - 1, here->number - half));
	if (r == 0 && tree->sleep_ns > 0)
		r = tmgr_sleep(context, tree->sleep_ns);
	if (r == 0)
		r = tmgr_yield_item(generator, &here->number, sizeof(here->number));
	if (r == 0 && half > 0)
		r = tmgr_yield_all(generator, subtree(tree, here->depth - 1, here->number + half));
	tree->current &= tmgr_context_current() == context;
	tree->ended++;
	return r;
}

static struct tmgr_iterator subtree(struct tree *tree, int depth, int number)
{
	static const struct tmgr_generator_options options = { .release = free };
	struct subtree *here = malloc(sizeof(*here));

	if (!here)
		return tmgr_iterator_failed(-ENOMEM);
	*here = (struct subtree){ tree, depth, number };
	return tmgr_generator_with(walk, here, &options);
}

struct walked {
	struct tree tree;
	int take, count, result;
	bool in_order;
};

static int walk_tree(void *self, struct tmgr_context *context)
{
	struct walked *walked = self;
	int expected = 1;

	walked->in_order = true;
	TMGR_FOR_EACH (number, context,
		tmgr_take(subtree(&walked->tree, walked->tree.depth, 1 << walked->tree.depth),
			(size_t)walked->take),
		&walked->result) {
		walked->in_order &= TMGR_VALUE(int, number) == expected++;
		walked->count++;
	}
	return 0;
}

static void generators_stand_in_generators(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		for (int take = 0; take <= 32; take += take < 4 ? 1 : 7) {
			struct walked walked = {
				.tree = { .depth = 4, .sleep_ns = 1000, .current = true },
				.take = take
			};

			assert_int_equal(place_run(place, walk_tree, &walked), 0);
			assert_int_equal(walked.result, 0);
			assert_int_equal(walked.count, take < 31 ? take : 31);
			assert_true(walked.in_order && walked.tree.current);
		}
	}
}

static void each_allocation_of_nested_ones_may_fail(void **state)
{
	bool happened = true;
	long k;

	(void)state;
	for (k = 1; happened; k++) {
		struct walked walked = { .tree = { .depth = 2, .current = true }, .take = 99 };

		fault_fail_allocation(k);
		walk_tree(&walked, NULL);
		happened = fault_happened();
		fault_off();
		assert_int_equal(walked.result, happened ? -ENOMEM : 0);
		assert_int_equal(walked.count == 7, !happened);
	}
	assert_int_equal(k, 2 * 7 + 1 + 2);
}

/* A chain of generators, each of which passes on what the one below gives. */
struct level {
	struct level *below;
	struct tmgr_context *context; /* of the deepest, to look at */
	int seen;
};

static int pass_on(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	struct level *level = self;

	if (level->below)
		return tmgr_yield_all(generator, tmgr_generator(pass_on, level->below));
	for (int n = 0, r = 0; n < 5; n++) {
		r = tmgr_sleep(context, 1000);
		if (r == 0)
			r = tmgr_yield_item(generator, &n, sizeof(n));
		if (r < 0) {
			level->seen = r;
			return r;
		}
	}
	return 0;
}

#define LEVELS 100

static int read_levels(void *self, struct tmgr_context *context)
{
	struct level levels[LEVELS] = { { .seen = 0 } };
	struct items_read *read = self;

	for (int i = 1; i < LEVELS; i++)
		levels[i].below = &levels[i - 1];
	read[0] = items_read_all(context, tmgr_generator(pass_on, &levels[LEVELS - 1]), items_int);
	read[1] = items_read_some(
		context, tmgr_generator(pass_on, &levels[LEVELS - 1]), items_int, 2);
	return levels[0].seen;
}

static void a_hundred_in_each_other_are_fine(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		struct items_read read[2];

		assert_int_equal(place_run(place, read_levels, read), -ECANCELED);
		assert_string_equal(read[0].text, "0 1 2 3 4");
		assert_int_equal(read[0].result, 0);
		assert_string_equal(read[1].text, "0 1");
	}
}

static int yield_for_another(
	void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	struct tmgr_generator *outer = self;
	int r = outer ? tmgr_yield_item(outer, "x", 1) : 0;
	struct tmgr_iterator inner;
	struct tmgr_item item;

	if (outer)
		return tmgr_yield_item(generator, &r, sizeof(r));
	inner = tmgr_generator(yield_for_another, generator);
	if (tmgr_iterator_next(context, &inner, &item) > 0)
		r = tmgr_yield_item(generator, item.data, item.size);
	tmgr_iterator_close(context, &inner);
	return r;
}

static void it_yields_on_its_own_stack_only(void **state)
{
	struct items_read read;

	(void)state;
	read = items_read_all(NULL, tmgr_generator(yield_for_another, NULL), items_int);
	assert_int_equal(read.result, 0);
	assert_int_equal(atoi(read.text), -EINVAL);
}

static int ask_itself(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	struct tmgr_item item;
	/* A copy of the value, so that it keeps its own state. */
	struct tmgr_iterator copy = *(struct tmgr_iterator *)self;
	int r = tmgr_iterator_next(context, &copy, &item);

	return tmgr_yield_item(generator, &r, sizeof(r));
}

static void it_cannot_ask_itself(void **state)
{
	struct tmgr_iterator iterator;
	struct tmgr_item item;

	(void)state;
	iterator = tmgr_generator(ask_itself, &iterator);
	assert_int_equal(tmgr_iterator_next(NULL, &iterator, &item), 1);
	assert_int_equal(TMGR_VALUE(int, item), -EBUSY);
	tmgr_iterator_close(NULL, &iterator);
}

/* ---- Many ------------------------------------------------------------------------------------ */

static int read_many(void *self, struct tmgr_context *context)
{
	static struct numbers numbers[MANY];
	static struct tmgr_iterator iterators[MANY];
	struct tmgr_item item;
	int sum = 0;

	for (int i = 0; i < MANY; i++) {
		numbers[i] = (struct numbers)NUMBERS(.count = 3, .sleep_ns = i % 50 ? 0 : 1000);
		iterators[i] = numbers_iterator(&numbers[i]);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < MANY; i++)
			if (tmgr_iterator_next(context, &iterators[i], &item) > 0)
				sum += TMGR_VALUE(int, item);
	for (int i = 0; i < MANY; i++)
		tmgr_iterator_close(context, &iterators[i]);
	for (int i = 0; i < MANY; i++)
		sum += 1000000 * (numbers[i].ended != 1);
	*(int *)self = sum;
	return 0;
}

static void thousands_stand_at_once(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		int sum = 0;

		assert_int_equal(place_run(place, read_many, &sum), 0);
		assert_int_equal(sum, 3 * MANY);
	}
}

#define CONSUMERS 50

static int consume_numbers(void *self, struct tmgr_context *context)
{
	struct numbers *numbers = self;
	int sum = 0, r;

	TMGR_FOR_EACH (item, context, numbers_iterator(numbers), &r)
		sum += TMGR_VALUE(int, item);
	/* Its own stack is whole again. */
	if (r == 0)
		r = tmgr_yield(context);
	return r == 0 && sum == numbers->count * (numbers->count + 1) / 2 && numbers->current
		       ? 0
		       : -EPROTO;
}

static int consume_beside_each_other(void *self, struct tmgr_context *context)
{
	static struct numbers numbers[CONSUMERS];
	struct tmgr_coroutine *consumers[CONSUMERS] = { NULL };
	int r = 0;

	(void)self;
	for (int i = 0; i < CONSUMERS && r == 0; i++) {
		const int64_t pauses[] = { 0, -1, 1000 };

		numbers[i] = (struct numbers)NUMBERS(.count = 20, .sleep_ns = pauses[i % 3]);
		r = tmgr_coroutine_spawn(
			context, consume_numbers, &numbers[i], NULL, &consumers[i]);
	}
	for (int i = 0; i < CONSUMERS; i++) {
		if (consumers[i] && r == 0)
			r = tmgr_coroutine_await(context, consumers[i], TMGR_NEVER, NULL);
		tmgr_coroutine_unref(consumers[i]);
	}
	return r;
}

static void coroutines_of_a_loop_have_theirs_beside_each_other(void **state)
{
	(void)state;
	assert_int_equal(place_run(PLACE_LOOP, consume_beside_each_other, NULL), 0);
}

static atomic_int children_begun, children_ended;

static int child_until_cancelled(void *self, struct tmgr_context *context)
{
	int r;

	atomic_fetch_add(&children_begun, 1);
	r = tmgr_sleep_until(context, TMGR_NEVER);
	atomic_fetch_add(&children_ended, 1);
	return r;
}

static int leave_a_group_open(
	void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	int r = tmgr_spawn(context, NULL, tmgr_task_function(child_until_cancelled, NULL), NULL);

	/* One that is cancelled before it begins never runs. */
	while (r == 0 && atomic_load(&children_begun) == 0)
		r = tmgr_sleep(context, 100 * TMGR_MICROSECOND);
	return r == 0 ? tmgr_yield_item(generator, &r, sizeof(r)) : r;
}

static int read_one_of_group(void *self, struct tmgr_context *context)
{
	struct tmgr_iterator iterator = tmgr_generator(leave_a_group_open, NULL);
	struct tmgr_item item;
	int r = tmgr_iterator_next(context, &iterator, &item);

	(void)self;
	tmgr_iterator_close(context, &iterator);
	return r == 1 ? atomic_load(&children_ended) : r;
}

static void children_that_its_function_spawned_end_before_it(void **state)
{
	(void)state;
	for (enum place place = PLACE_THREAD; place < PLACES; place++) {
		atomic_store(&children_begun, 0);
		atomic_store(&children_ended, 0);
		assert_int_equal(place_run(place, read_one_of_group, NULL), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(generators_stand_in_generators),
		leak_test(each_allocation_of_nested_ones_may_fail),
		leak_test(a_hundred_in_each_other_are_fine),
		leak_test(it_yields_on_its_own_stack_only),
		leak_test(it_cannot_ask_itself),
		leak_test(thousands_stand_at_once),
		leak_test(coroutines_of_a_loop_have_theirs_beside_each_other),
		leak_test(children_that_its_function_spawned_end_before_it),
	};
	int sum;

	/* Stacks stay, so they are made before anything is counted. */
	read_many(&sum, NULL);
	return cmocka_run_group_tests_name("generators in generators", tests, NULL, NULL);
}
