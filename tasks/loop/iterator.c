/*
 * Iterators: asking, closing, and where items go.
 *
 * That the end or an error stays is kept in the value, so that no iterator has to see to it.
 */
#include "iterator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/check.h"

/* Bytes that malloc() aligns to. */
#define ALIGNMENT 16

static int fail_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	return -EINVAL;
}

/* Its error is in the state of the value, so its functions are never called. */
static const struct tmgr_iterator_ops failed_ops = { .next = fail_next };

struct tmgr_iterator tmgr_iterator_failed(int error)
{
	return (struct tmgr_iterator){ .ops = &failed_ops, .state = error < 0 ? error : -EINVAL };
}

int tmgr_iterator_next(
	struct tmgr_context *context, struct tmgr_iterator *iterator, struct tmgr_item *ret_item)
{
	struct tmgr_item item = { NULL, 0 };
	int r;

	if (!iterator || !iterator->ops || !ret_item)
		return -EINVAL;
	if (iterator->state != 0)
		return iterator->state < 0 ? iterator->state : 0;
	r = iterator->ops->next(iterator->self, context, &item);
	if (r > 0) {
		*ret_item = item;
		return 1;
	}
	iterator->state = r < 0 ? r : 1;
	return r;
}

void tmgr_iterator_close(struct tmgr_context *context, struct tmgr_iterator *iterator)
{
	struct tmgr_iterator closed;

	if (!iterator || !iterator->ops)
		return;
	closed = *iterator;
	*iterator = (struct tmgr_iterator){ .ops = NULL };
	if (closed.ops->close)
		closed.ops->close(closed.self, context);
}

void tmgr__iterator_drop(struct tmgr_iterator iterator)
{
	tmgr_iterator_close(tmgr_context_current(), &iterator);
}

const void *tmgr_item_expect(const void *data, size_t size, size_t expected)
{
	if (size != expected || !data)
		tmgr__misuse("an item is read as what it is", "item");
	return data;
}

void *tmgr__over_create(size_t size, struct tmgr_iterator *source, bool arguments_valid)
{
	struct tmgr__over *over = arguments_valid ? calloc(1, size) : NULL;

	if (over) {
		over->source = *source;
		return over;
	}
	tmgr__iterator_drop(*source);
	*source = tmgr_iterator_failed(arguments_valid ? -ENOMEM : -EINVAL);
	return NULL;
}

void tmgr__over_close(void *self, struct tmgr_context *context)
{
	struct tmgr__over *over = self;

	tmgr_iterator_close(context, &over->source);
	free(over);
}

struct tmgr_each tmgr_each_begin(
	struct tmgr_context *context, struct tmgr_iterator iterator, int *ret_result)
{
	if (ret_result)
		*ret_result = 0;
	return (struct tmgr_each){ .context = context, .iterator = iterator, .result = ret_result };
}

bool tmgr_each_next(struct tmgr_each *each)
{
	struct tmgr_item item = { NULL, 0 };
	int r = tmgr_iterator_next(each->context, &each->iterator, &item);

	each->data = item.data;
	each->size = item.size;
	if (r < 0 && each->result)
		*each->result = r;
	return r > 0;
}

void tmgr_each_end(struct tmgr_each *each)
{
	tmgr_iterator_close(each->context, &each->iterator);
}

int tmgr_for_each(struct tmgr_context *context, struct tmgr_iterator iterator,
	int (*function)(void *self, struct tmgr_context *context, const struct tmgr_item *item),
	void *self)
{
	struct tmgr_item item;
	int r = function ? 1 : -EINVAL;

	while (r > 0) {
		int stop;

		r = tmgr_iterator_next(context, &iterator, &item);
		stop = r > 0 ? function(self, context, &item) : 0;
		if (stop != 0) {
			r = stop;
			break;
		}
	}
	tmgr_iterator_close(context, &iterator);
	return r;
}

/* Items while their number is not known: each is its size, then its bytes, both aligned. */
struct collected {
	char *memory;
	size_t used, room;
	size_t count;
};

static size_t aligned(size_t size)
{
	return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static int make_room(struct collected *collected, size_t size)
{
	size_t room = collected->room ? collected->room : 256;
	char *memory;

	while (room - collected->used < size)
		if (__builtin_mul_overflow(room, (size_t)2, &room))
			return -ENOMEM;
	if (room == collected->room)
		return 0;
	memory = realloc(collected->memory, room);
	if (!memory)
		return -ENOMEM;
	collected->memory = memory;
	collected->room = room;
	return 0;
}

static int add_item(void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	struct collected *collected = self;

	if (item->size > SIZE_MAX - 3 * ALIGNMENT ||
		make_room(collected, ALIGNMENT + aligned(item->size)) < 0)
		return -ENOMEM;
	memcpy(collected->memory + collected->used, &item->size, sizeof(item->size));
	collected->used += ALIGNMENT;
	if (item->size > 0)
		memcpy(collected->memory + collected->used, item->data, item->size);
	collected->used += aligned(item->size);
	collected->count++;
	return 0;
}

static struct tmgr_item *lay_out(const struct collected *collected)
{
	size_t head = aligned(collected->count * sizeof(struct tmgr_item));
	struct tmgr_item *items = malloc(head + collected->used);
	char *at = (char *)items + head;

	if (!items)
		return NULL;
	memcpy(at, collected->memory, collected->used);
	for (size_t i = 0; i < collected->count; i++) {
		memcpy(&items[i].size, at, sizeof(items[i].size));
		items[i].data = at + ALIGNMENT;
		at += ALIGNMENT + aligned(items[i].size);
	}
	return items;
}

int tmgr_collect(struct tmgr_context *context, struct tmgr_iterator iterator,
	struct tmgr_item **ret_items, size_t *ret_count)
{
	struct collected collected = { 0 };
	struct tmgr_item *items = NULL;
	int r;

	if (!ret_items || !ret_count) {
		tmgr_iterator_close(context, &iterator);
		return -EINVAL;
	}
	r = tmgr_for_each(context, iterator, add_item, &collected);
	if (r == 0 && collected.count > 0) {
		items = lay_out(&collected);
		r = items ? 0 : -ENOMEM;
	}
	free(collected.memory);
	if (r < 0)
		return r;
	*ret_items = items;
	*ret_count = collected.count;
	return 0;
}
