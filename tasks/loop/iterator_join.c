/*
 * Combinators that make one iterator of several.
 */
#include <errno.h>
#include <stdlib.h>

#include "iterator.h"

/* ---- One after another ----------------------------------------------------------------------- */

struct link {
	struct link *next;
	struct tmgr_iterator iterator;
};

/* The first is the one whose turn it is. */
struct chain {
	struct link *first, **last;
};

static void close_first(struct chain *chain, struct tmgr_context *context)
{
	struct link *link = chain->first;

	chain->first = link->next;
	if (!chain->first)
		chain->last = &chain->first;
	tmgr_iterator_close(context, &link->iterator);
	free(link);
}

static int chain_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct chain *chain = self;

	while (chain->first) {
		int r = tmgr_iterator_next(context, &chain->first->iterator, ret_item);

		if (r != 0)
			return r;
		close_first(chain, context);
	}
	return 0;
}

static void chain_close(void *self, struct tmgr_context *context)
{
	struct chain *chain = self;

	while (chain->first)
		close_first(chain, context);
	free(chain);
}

static const struct tmgr_iterator_ops chain_ops = { .next = chain_next, .close = chain_close };

static struct chain *chain_create(void)
{
	struct chain *chain = malloc(sizeof(*chain));

	if (chain) {
		chain->first = NULL;
		chain->last = &chain->first;
	}
	return chain;
}

/* The chain that an iterator is, or NULL; one that has ended counts as any other iterator. */
static struct chain *chain_of(struct tmgr_iterator iterator)
{
	return iterator.ops == &chain_ops && iterator.state == 0 ? iterator.self : NULL;
}

/* Take an iterator in; the links of a chain one by one, so that chains do not stand in chains. */
static int chain_append(struct chain *chain, struct tmgr_iterator iterator)
{
	struct chain *other = chain_of(iterator);
	struct link *link;

	if (other) {
		if (other->first) {
			*chain->last = other->first;
			chain->last = other->last;
		}
		free(other);
		return 0;
	}
	link = malloc(sizeof(*link));
	if (!link) {
		tmgr__iterator_drop(iterator);
		return -ENOMEM;
	}
	*link = (struct link){ .iterator = iterator };
	*chain->last = link;
	chain->last = &link->next;
	return 0;
}

struct tmgr_iterator tmgr_chain(struct tmgr_iterator first, struct tmgr_iterator second)
{
	struct chain *chain = chain_of(first);
	int r = 0;

	if (!chain) {
		chain = chain_create();
		if (!chain) {
			tmgr__iterator_drop(first);
			tmgr__iterator_drop(second);
			return tmgr_iterator_failed(-ENOMEM);
		}
		r = chain_append(chain, first);
	}
	if (r == 0)
		r = chain_append(chain, second);
	else
		tmgr__iterator_drop(second);
	if (r == 0)
		return (struct tmgr_iterator){ .ops = &chain_ops, .self = chain };
	chain_close(chain, tmgr_context_current());
	return tmgr_iterator_failed(r);
}

struct tmgr_iterator tmgr_chain_all(const struct tmgr_iterator *iterators, size_t count)
{
	struct chain *chain;
	size_t i = 0;
	int r = -ENOMEM;

	if (!iterators && count > 0)
		return tmgr_iterator_failed(-EINVAL);
	chain = chain_create();
	if (chain)
		for (r = 0; i < count && r == 0; i++)
			r = chain_append(chain, iterators[i]);
	if (r == 0)
		return (struct tmgr_iterator){ .ops = &chain_ops, .self = chain };
	for (; i < count; i++)
		tmgr__iterator_drop(iterators[i]);
	if (chain)
		chain_close(chain, tmgr_context_current());
	return tmgr_iterator_failed(r);
}

/* ---- One for each item ----------------------------------------------------------------------- */

struct flat {
	struct tmgr__over over;
	struct tmgr_iterator inner; /* of the present item; closed between two */
	struct tmgr_iterator (*function)(
		void *self, struct tmgr_context *context, const struct tmgr_item *item);
	void *self;
};

static int flat_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct flat *flat = self;
	struct tmgr_item item;
	int r;

	for (;;) {
		if (flat->inner.ops) {
			r = tmgr_iterator_next(context, &flat->inner, ret_item);
			if (r != 0)
				return r;
			tmgr_iterator_close(context, &flat->inner);
		}
		r = tmgr_iterator_next(context, &flat->over.source, &item);
		if (r <= 0)
			return r;
		flat->inner = flat->function(flat->self, context, &item);
	}
}

static void flat_close(void *self, struct tmgr_context *context)
{
	struct flat *flat = self;

	tmgr_iterator_close(context, &flat->inner);
	tmgr__over_close(flat, context);
}

struct tmgr_iterator tmgr_flat_map(struct tmgr_iterator iterator,
	struct tmgr_iterator (*function)(
		void *self, struct tmgr_context *context, const struct tmgr_item *item),
	void *self)
{
	static const struct tmgr_iterator_ops ops = { .next = flat_next, .close = flat_close };
	struct flat *flat = tmgr__over_create(sizeof(*flat), &iterator, function != NULL);

	if (!flat)
		return iterator;
	flat->function = function;
	flat->self = self;
	return (struct tmgr_iterator){ .ops = &ops, .self = flat };
}

static struct tmgr_iterator take_item(
	void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	if (item->size != sizeof(struct tmgr_iterator))
		return tmgr_iterator_failed(-EINVAL);
	return *(const struct tmgr_iterator *)item->data;
}

struct tmgr_iterator tmgr_flatten(struct tmgr_iterator iterator)
{
	return tmgr_flat_map(iterator, take_item, NULL);
}

/* ---- Side by side ---------------------------------------------------------------------------- */

struct zip {
	struct tmgr__over over; /* the first */
	struct tmgr_iterator second;
	bool longest;
	struct tmgr_pair pair; /* the item */
};

static int ask(struct tmgr_context *context, struct tmgr_iterator *iterator, struct tmgr_item *item)
{
	*item = tmgr_item_of(NULL, 0);
	return tmgr_iterator_next(context, iterator, item);
}

static int zip_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct zip *zip = self;
	int first, second;

	first = ask(context, &zip->over.source, &zip->pair.first);
	if (first < 0 || (first == 0 && !zip->longest))
		return first;
	second = ask(context, &zip->second, &zip->pair.second);
	if (second < 0 || (second == 0 && (first == 0 || !zip->longest)))
		return second;
	*ret_item = tmgr_item_of(&zip->pair, sizeof(zip->pair));
	return 1;
}

static void zip_close(void *self, struct tmgr_context *context)
{
	struct zip *zip = self;

	tmgr_iterator_close(context, &zip->second);
	tmgr__over_close(zip, context);
}

static struct tmgr_iterator make_zip(
	struct tmgr_iterator first, struct tmgr_iterator second, bool longest)
{
	static const struct tmgr_iterator_ops ops = { .next = zip_next, .close = zip_close };
	struct zip *zip = tmgr__over_create(sizeof(*zip), &first, true);

	if (!zip) {
		tmgr__iterator_drop(second);
		return first;
	}
	zip->second = second;
	zip->longest = longest;
	return (struct tmgr_iterator){ .ops = &ops, .self = zip };
}

struct tmgr_iterator tmgr_zip(struct tmgr_iterator first, struct tmgr_iterator second)
{
	return make_zip(first, second, false);
}

struct tmgr_iterator tmgr_zip_longest(struct tmgr_iterator first, struct tmgr_iterator second)
{
	return make_zip(first, second, true);
}
