/*
 * Iterators over what is not read from anywhere: numbers and arrays.
 */
#include <errno.h>
#include <stdlib.h>

#include "iterator.h"

struct numbers {
	int64_t value; /* the item */
	int64_t at, end, step;
	bool out_of_range; /* at cannot be stepped further */
};

static struct tmgr_iterator make_numbers(
	struct numbers numbers, const struct tmgr_iterator_ops *ops)
{
	struct numbers *self = malloc(sizeof(*self));

	if (!self)
		return tmgr_iterator_failed(-ENOMEM);
	*self = numbers;
	return (struct tmgr_iterator){ .ops = ops, .self = self };
}

static int give_number(struct numbers *numbers, struct tmgr_item *ret_item)
{
	numbers->value = numbers->at;
	numbers->out_of_range = __builtin_add_overflow(numbers->at, numbers->step, &numbers->at);
	*ret_item = tmgr_item_of(&numbers->value, sizeof(numbers->value));
	return 1;
}

static void release(void *self, struct tmgr_context *context)
{
	free(self);
}

static int range_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct numbers *numbers = self;

	if (numbers->out_of_range ||
		(numbers->step > 0 ? numbers->at >= numbers->end : numbers->at <= numbers->end))
		return 0;
	return give_number(numbers, ret_item);
}

struct tmgr_iterator tmgr_range(int64_t begin, int64_t end, int64_t step)
{
	static const struct tmgr_iterator_ops ops = { .next = range_next, .close = release };
	struct numbers numbers = { .at = begin, .end = end, .step = step };

	if (step == 0)
		return tmgr_iterator_failed(-EINVAL);
	return make_numbers(numbers, &ops);
}

static int count_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct numbers *numbers = self;

	return numbers->out_of_range ? -ERANGE : give_number(numbers, ret_item);
}

struct tmgr_iterator tmgr_count(int64_t begin, int64_t step)
{
	static const struct tmgr_iterator_ops ops = { .next = count_next, .close = release };
	struct numbers numbers = { .at = begin, .step = step };

	return make_numbers(numbers, &ops);
}

struct elements {
	const char *at;
	size_t left, size;
};

static int elements_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct elements *elements = self;

	if (elements->left == 0)
		return 0;
	*ret_item = tmgr_item_of(elements->at, elements->size);
	elements->at += elements->size;
	elements->left--;
	return 1;
}

struct tmgr_iterator tmgr_elements(const void *array, size_t count, size_t size)
{
	static const struct tmgr_iterator_ops ops = { .next = elements_next, .close = release };
	struct elements *elements;

	if (!array && count > 0)
		return tmgr_iterator_failed(-EINVAL);
	elements = malloc(sizeof(*elements));
	if (!elements)
		return tmgr_iterator_failed(-ENOMEM);
	*elements = (struct elements){ .at = array, .left = count, .size = size };
	return (struct tmgr_iterator){ .ops = &ops, .self = elements };
}
