/*
 * A source of items for tests of iterators: the numbers from 1, as int, and then the end or an error.
 * It counts what is done with it, and finds what must not be done.
 */
#ifndef TESTS_SUPPORT_ITEMS_H
#define TESTS_SUPPORT_ITEMS_H

#include <taskmgr/tasks/iterator.h>

struct items {
	int count; /* how many there are */
	int end;   /* what comes after them: 0 or an error */
	/* what happened */
	int asked, closed;
	bool wrong; /* asked after its end, or after it was closed */
	int item;
};

#define ITEMS(...)          \
	{                   \
		__VA_ARGS__ \
	}

struct tmgr_iterator items_iterator(struct items *items);

/* Most items that are read below, and most bytes of their text. */
#define ITEMS_READ_MAX 64
#define ITEMS_TEXT_MAX 1024

/* What an iterator gave, each as the caller's function writes it, with one space between them. */
struct items_read {
	char text[ITEMS_TEXT_MAX];
	size_t length;
	int count;
	int result; /* of the last next */
};

typedef void items_write(const struct tmgr_item *item, char *text, size_t size);

/* Ways to write an item: a text, an int, an int64_t. */
items_write items_text, items_int, items_int64;

/* Read all that an iterator gives, ask twice more, and close it. */
struct items_read items_read_all(
	struct tmgr_context *context, struct tmgr_iterator iterator, items_write *write);

/* The same, but close it after `count` items. */
struct items_read items_read_some(
	struct tmgr_context *context, struct tmgr_iterator iterator, items_write *write, int count);

#endif
