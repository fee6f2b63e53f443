#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/items.h"

static int next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct items *items = self;

	(void)context;
	items->asked++;
	if (items->closed > 0 || items->asked > items->count + 1)
		items->wrong = true;
	if (items->asked > items->count)
		return items->end;
	items->item = items->asked;
	*ret_item = tmgr_item_of(&items->item, sizeof(items->item));
	return 1;
}

static void close_items(void *self, struct tmgr_context *context)
{
	struct items *items = self;

	(void)context;
	items->closed++;
	/* An item that was given out is none any more. */
	items->item = -1;
}

struct tmgr_iterator items_iterator(struct items *items)
{
	static const struct tmgr_iterator_ops ops = { .next = next, .close = close_items };

	return (struct tmgr_iterator){ .ops = &ops, .self = items };
}

void items_text(const struct tmgr_item *item, char *text, size_t size)
{
	snprintf(text, size, "%.*s", TMGR_TEXT(*item));
}

void items_int(const struct tmgr_item *item, char *text, size_t size)
{
	snprintf(text, size, "%d", TMGR_VALUE(int, *item));
}

void items_int64(const struct tmgr_item *item, char *text, size_t size)
{
	snprintf(text, size, "%" PRId64, TMGR_VALUE(int64_t, *item));
}

static void add(struct items_read *read, const struct tmgr_item *item, items_write *write)
{
	char text[256];
	int written;

	write(item, text, sizeof(text));
	written = snprintf(read->text + read->length, sizeof(read->text) - read->length, "%s%s",
		read->length > 0 ? " " : "", text);
	read->length += (size_t)written;
	if (read->length >= sizeof(read->text))
		read->length = sizeof(read->text) - 1;
	read->count++;
}

static void read_up_to(struct items_read *read, struct tmgr_context *context,
	struct tmgr_iterator *iterator, items_write *write, int count)
{
	struct tmgr_item item;

	while (read->count < count && read->count < ITEMS_READ_MAX) {
		read->result = tmgr_iterator_next(context, iterator, &item);
		if (read->result <= 0)
			return;
		add(read, &item, write);
	}
}

struct items_read items_read_all(
	struct tmgr_context *context, struct tmgr_iterator iterator, items_write *write)
{
	struct items_read read = { .length = 0 };
	struct tmgr_item item = { NULL, 77 };

	read_up_to(&read, context, &iterator, write, ITEMS_READ_MAX);
	for (int i = 0; i < 2 && read.count < ITEMS_READ_MAX; i++)
		if (tmgr_iterator_next(context, &iterator, &item) != read.result || item.size != 77)
			read.result = -EPROTO;
	tmgr_iterator_close(context, &iterator);
	return read;
}

struct items_read items_read_some(
	struct tmgr_context *context, struct tmgr_iterator iterator, items_write *write, int count)
{
	struct items_read read = { .length = 0 };

	read_up_to(&read, context, &iterator, write, count);
	tmgr_iterator_close(context, &iterator);
	return read;
}
