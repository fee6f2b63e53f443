/*
 * Combinators over one iterator.
 */
#include <errno.h>

#include "iterator.h"

struct mapped {
	struct tmgr__over over;
	int (*function)(void *self, struct tmgr_context *context, struct tmgr_item *item);
	void *self;
};

static int map_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct mapped *mapped = self;
	int r = tmgr_iterator_next(context, &mapped->over.source, ret_item);
	int failed = r > 0 ? mapped->function(mapped->self, context, ret_item) : 0;

	return failed ? tmgr__iterator_error(failed) : r;
}

struct tmgr_iterator tmgr_map(struct tmgr_iterator iterator,
	int (*function)(void *self, struct tmgr_context *context, struct tmgr_item *item),
	void *self)
{
	static const struct tmgr_iterator_ops ops = { .next = map_next, .close = tmgr__over_close };
	struct mapped *mapped = tmgr__over_create(sizeof(*mapped), &iterator, function != NULL);

	if (!mapped)
		return iterator;
	mapped->function = function;
	mapped->self = self;
	return (struct tmgr_iterator){ .ops = &ops, .self = mapped };
}

struct filtered {
	struct tmgr__over over;
	int (*function)(void *self, struct tmgr_context *context, const struct tmgr_item *item);
	void *self;
};

static int filter_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct filtered *filtered = self;
	int r, accepted = 0;

	do {
		r = tmgr_iterator_next(context, &filtered->over.source, ret_item);
		if (r > 0)
			accepted = filtered->function(filtered->self, context, ret_item);
	} while (r > 0 && accepted == 0);
	return accepted < 0 ? accepted : r;
}

struct tmgr_iterator tmgr_filter(struct tmgr_iterator iterator,
	int (*function)(void *self, struct tmgr_context *context, const struct tmgr_item *item),
	void *self)
{
	static const struct tmgr_iterator_ops ops = { .next = filter_next,
		.close = tmgr__over_close };
	struct filtered *filtered = tmgr__over_create(
		sizeof(*filtered), &iterator, function != NULL);

	if (!filtered)
		return iterator;
	filtered->function = function;
	filtered->self = self;
	return (struct tmgr_iterator){ .ops = &ops, .self = filtered };
}

struct enumerated {
	struct tmgr__over over;
	size_t count;
	struct tmgr_numbered numbered; /* the item */
};

static int enumerate_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct enumerated *enumerated = self;
	struct tmgr_numbered *numbered = &enumerated->numbered;
	int r = tmgr_iterator_next(context, &enumerated->over.source, &numbered->item);

	if (r > 0) {
		numbered->index = enumerated->count++;
		*ret_item = tmgr_item_of(numbered, sizeof(*numbered));
	}
	return r;
}

struct tmgr_iterator tmgr_enumerate(struct tmgr_iterator iterator)
{
	static const struct tmgr_iterator_ops ops = { .next = enumerate_next,
		.close = tmgr__over_close };
	struct enumerated *enumerated = tmgr__over_create(sizeof(*enumerated), &iterator, true);

	if (!enumerated)
		return iterator;
	return (struct tmgr_iterator){ .ops = &ops, .self = enumerated };
}

struct taken {
	struct tmgr__over over;
	size_t left;
};

static int take_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct taken *taken = self;

	if (taken->left == 0)
		return 0;
	taken->left--;
	return tmgr_iterator_next(context, &taken->over.source, ret_item);
}

struct tmgr_iterator tmgr_take(struct tmgr_iterator iterator, size_t count)
{
	static const struct tmgr_iterator_ops ops = { .next = take_next,
		.close = tmgr__over_close };
	struct taken *taken = tmgr__over_create(sizeof(*taken), &iterator, true);

	if (!taken)
		return iterator;
	taken->left = count;
	return (struct tmgr_iterator){ .ops = &ops, .self = taken };
}

struct until_error {
	struct tmgr__over over;
	int *error;
};

/* An error becomes the end. */
static int set_aside(int r, int *error)
{
	if (r < 0 && *error == 0)
		*error = r;
	return r < 0 ? 0 : r;
}

static int until_error_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct until_error *until = self;

	return set_aside(tmgr_iterator_next(context, &until->over.source, ret_item), until->error);
}

struct tmgr_iterator tmgr_until_error(struct tmgr_iterator iterator, int *ret_error)
{
	static const struct tmgr_iterator_ops ops = { .next = until_error_next,
		.close = tmgr__over_close };
	struct until_error *until = tmgr__over_create(sizeof(*until), &iterator, ret_error != NULL);

	if (until) {
		until->error = ret_error;
		return (struct tmgr_iterator){ .ops = &ops, .self = until };
	}
	if (ret_error) {
		set_aside(iterator.state, ret_error);
		iterator.state = 1;
	}
	return iterator;
}
