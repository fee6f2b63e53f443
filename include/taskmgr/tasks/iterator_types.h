/**
 * @file
 * What an iterator is, and how one is gone over: by hand, or with TMGR_FOR_EACH(). iterator.h says how
 * they are used, has those that there are, and brings this.
 */
#ifndef TMGR_TASKS_ITERATOR_TYPES_H
#define TMGR_TASKS_ITERATOR_TYPES_H

#include <taskmgr/context.h>

/** An item: bytes of the iterator's, valid until its next item is asked for or it is closed. */
struct tmgr_item {
	const void *data;
	size_t size;
};

/** What an iterator can do. Static. */
struct tmgr_iterator_ops {
	/**
	 * Give the next item: 1, and *ret_item written; 0 at the end; or a negative errno. Not
	 * called again after the end or an error. May wait with the context.
	 */
	int (*next)(void *self, struct tmgr_context *context, struct tmgr_item *ret_item);
	/** Release self. Called once; may wait. NULL: there is nothing to release. */
	void (*close)(void *self, struct tmgr_context *context);
};

/** An iterator: pass it by value to whoever is to own it. `{ &ops, self }` makes one. */
struct tmgr_iterator {
	const struct tmgr_iterator_ops *ops; /**< NULL: closed */
	void *self;
	int state; /**< 0; the library's: 1 after the end, and the error after an error */
};

/** The variable of TMGR_FOR_EACH(): an item, read with TMGR_TEXT() and TMGR_VALUE() too. */
struct tmgr_each {
	const void *data;
	size_t size;
	struct tmgr_context *context; /**< the library's, as what follows */
	struct tmgr_iterator iterator;
	int *result;
};

/** An item as text, for the "%.*s" of printf. */
#define TMGR_TEXT(item) ((int)(item).size), ((const char *)(item).data)

/** An item as a number or a struct. Another size than the type's is a bug and stops the program. */
#define TMGR_VALUE(type, item) \
	(*(const type *)tmgr_item_expect((item).data, (item).size, sizeof(type)))

/**
 * A loop over all items; `break` and `return` close the iterator, too, but a goto or longjmp out of
 * it that passes by does not. An iterator that is written in place is taken.
 *
 * @param variable  declared by this, a struct tmgr_each
 * @param context   the task's, or NULL
 * @param iterator  taken
 * @param result    an int's address, written: 0, or the error that ended the loop; may be NULL
 */
#define TMGR_FOR_EACH(variable, context, iterator, result)                       \
	for (struct tmgr_each variable __attribute__((cleanup(tmgr_each_end))) = \
			tmgr_each_begin((context), (iterator), (result));        \
		tmgr_each_next(&(variable));)

TMGR_BEGIN_DECLS

/**
 * An item of some bytes.
 *
 * @param data  borrowed as long as the item is valid
 * @param size  bytes
 *
 * @return the item
 *
 * @thread any thread
 */
static inline struct tmgr_item tmgr_item_of(const void *data, size_t size)
{
	struct tmgr_item item;

	item.data = data;
	item.size = size;
	return item;
}

/**
 * The bytes of an item that has to have a size; the program is stopped, with a message, where it has
 * not. For TMGR_VALUE().
 *
 * @param data      of the item
 * @param size      of the item, bytes
 * @param expected  bytes
 *
 * @return data
 *
 * @thread any thread
 */
TMGR_API const void *tmgr_item_expect(const void *data, size_t size, size_t expected);

/**
 * Ask for the next item.
 *
 * @param context   the task's, or NULL
 * @param iterator  an iterator
 * @param ret_item  written when there is one; valid until the next call or close
 *
 * @return 1 or 0, or the error the iterator ended with
 * @retval 1        there is an item
 * @retval 0        there are no more; so it stays
 * @retval -EINVAL  iterator or ret_item is NULL, or the iterator is closed
 *
 * @thread one thread at a time; may block; cancellation point where the iterator waits
 * @source Python, __anext__
 */
TMGR_API int tmgr_iterator_next(
	struct tmgr_context *context, struct tmgr_iterator *iterator, struct tmgr_item *ret_item);

/**
 * Close an iterator, at its end or early. A generator that is not at its end is told to end, and
 * runs until it has.
 *
 * @param context   the task's, or NULL
 * @param iterator  closed afterwards; NULL, or one that is closed, does nothing
 *
 * @thread one thread at a time; may block
 */
TMGR_API void tmgr_iterator_close(struct tmgr_context *context, struct tmgr_iterator *iterator);

/**
 * An iterator without items that ends with an error.
 *
 * @param error  negative errno; 0 or above counts as -EINVAL
 *
 * @return the iterator; it has no memory
 *
 * @thread any thread
 */
TMGR_API struct tmgr_iterator tmgr_iterator_failed(int error);

/**
 * For TMGR_FOR_EACH(): the variable before the first item.
 *
 * @param context     the task's, or NULL
 * @param iterator    taken
 * @param ret_result  set to 0 now, and to the error that ends the loop; may be NULL
 *
 * @return the variable
 *
 * @thread one thread at a time
 */
TMGR_API struct tmgr_each tmgr_each_begin(
	struct tmgr_context *context, struct tmgr_iterator iterator, int *ret_result);

/**
 * For TMGR_FOR_EACH(): go on to the next item.
 *
 * @param each  the variable
 *
 * @return whether there is one
 *
 * @thread one thread at a time; may block
 */
TMGR_API bool tmgr_each_next(struct tmgr_each *each);

/**
 * For TMGR_FOR_EACH(): close the iterator.
 *
 * @param each  the variable
 *
 * @thread one thread at a time; may block
 */
TMGR_API void tmgr_each_end(struct tmgr_each *each);

TMGR_END_DECLS

#endif
