/**
 * @file
 * Iterators: items one after another, until there are no more or an error comes.
 *
 * An iterator is a value. Functions that take one own it from then on and close it, also when they
 * fail; one that cannot be built closes what it was given, and is an iterator whose first item is
 * that error. So they nest without checks between:
 *
 *     int r;
 *
 *     TMGR_FOR_EACH(line, context, tmgr_take(tmgr_chain(tmgr_lines(a), tmgr_lines(b)), 10), &r)
 *             printf("%.*s", TMGR_TEXT(line));
 *
 * An item is bytes: where they begin and how many. They belong to the iterator and are valid until
 * its next item is asked for or it is closed; what is to be kept longer is copied (tmgr_collect()).
 * Whoever makes items gives bytes that stay for as long. A line is its text; a number or a struct
 * is the bytes of one, and TMGR_VALUE() reads it.
 *
 * Nothing happens before the first item is asked for. An iterator is used by one thread of control
 * at a time. Closing one early takes no more from what is under it: a stream has all that was not
 * given out.
 *
 * Each combinator takes one call deep of stack; a chain of chains is one chain.
 */
#ifndef TMGR_TASKS_ITERATOR_H
#define TMGR_TASKS_ITERATOR_H

#include <taskmgr/tasks/iterator_types.h>

struct tmgr_delimiter;
struct tmgr_endpoint;
struct tmgr_stream;

/** Most bytes of a line that tmgr_lines() and tmgr_dial_lines() give, with its newline. */
#define TMGR_LINE_MAX 65536

/** Two items, of tmgr_zip(). */
struct tmgr_pair {
	struct tmgr_item first;
	struct tmgr_item second;
};

/** An item and its number, of tmgr_enumerate(). */
struct tmgr_numbered {
	size_t index; /**< 0 for the first */
	struct tmgr_item item;
};

TMGR_BEGIN_DECLS

/* ---- Where items come from -------------------------------------------------------------------- */

/**
 * The numbers from one to before another, as int64_t.
 *
 * @param begin  the first
 * @param end    not included
 * @param step   from one to the next, not 0; negative counts down
 *
 * @return the iterator; it fails with -EINVAL (step is 0) or -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Range
 */
TMGR_API struct tmgr_iterator tmgr_range(int64_t begin, int64_t end, int64_t step);

/**
 * The numbers from one on without end, as int64_t. After the last that fits it ends with -ERANGE.
 *
 * @param begin  the first
 * @param step   from one to the next
 *
 * @return the iterator; it fails with -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Count
 */
TMGR_API struct tmgr_iterator tmgr_count(int64_t begin, int64_t step);

/**
 * The elements of an array.
 *
 * @param array  borrowed until the iterator is closed; may be NULL when count is 0
 * @param count  elements
 * @param size   of one, bytes
 *
 * @return the iterator; it fails with -EINVAL (array is NULL and count is not 0) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_iterator tmgr_elements(const void *array, size_t count, size_t size);

/**
 * The lines of a stream, each with its newline, which the last may lack. One that is longer than
 * TMGR_LINE_MAX ends it with -EMSGSIZE, and stays readable.
 *
 * As with all iterators over a stream, the stream has what was not given out as an item: it can be
 * read on from there when the iterator is closed. Nobody else reads meanwhile.
 *
 * @param stream  borrowed until the iterator is closed; read in the manner of tmgr_stream_read()
 *
 * @return the iterator; it fails with -EINVAL (stream is NULL) or -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Lines
 */
TMGR_API struct tmgr_iterator tmgr_lines(struct tmgr_stream *stream);

/**
 * The pieces of a stream that end with a delimiter, each with it, which the last may lack. One that
 * is longer than delimiter->max ends it with -EMSGSIZE, and stays readable.
 *
 * @param stream     borrowed until the iterator is closed
 * @param delimiter  copied, but for its bytes, borrowed until the iterator is closed
 *
 * @return the iterator; it fails with -EINVAL (stream or delimiter is NULL) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_iterator tmgr_delimited(
	struct tmgr_stream *stream, const struct tmgr_delimiter *delimiter);

/**
 * Chunks of a stream of one size; the last may be shorter.
 *
 * @param stream  borrowed until the iterator is closed
 * @param size    bytes, above 0
 *
 * @return the iterator; it fails with -EINVAL (stream is NULL or size is 0) or -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Chunks
 */
TMGR_API struct tmgr_iterator tmgr_chunks(struct tmgr_stream *stream, size_t size);

/**
 * The bytes of a stream as they come, in pieces of any size.
 *
 * @param stream  borrowed until the iterator is closed
 *
 * @return the iterator; it fails with -EINVAL (stream is NULL) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_iterator tmgr_pieces(struct tmgr_stream *stream);

/**
 * Connect, and give the lines that come, as tmgr_lines(). It connects when the first item is asked
 * for, and an error of that ends it; the connection is closed with the iterator.
 *
 * @param endpoint  where to; copied
 *
 * @return the iterator; it fails with -EINVAL (endpoint is NULL) or -ENOMEM, and ends with what
 *         tmgr_connect() returns
 *
 * @thread any thread
 * @source asyncigo, DialLines
 */
TMGR_API struct tmgr_iterator tmgr_dial_lines(const struct tmgr_endpoint *endpoint);

/* ---- Combinators ------------------------------------------------------------------------------ */

/**
 * Another item for each.
 *
 * @param iterator  taken
 * @param function  called with self, the context of who asks, and the item, which it changes to the
 *                  new one: a part of its bytes, or bytes that self has; returns 0 or a negative
 *                  errno, which ends the iterator
 * @param self      for function; borrowed until the iterator is closed
 *
 * @return the iterator; it fails with -EINVAL (function is NULL) or -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Map
 */
TMGR_API struct tmgr_iterator tmgr_map(struct tmgr_iterator iterator,
	int (*function)(void *self, struct tmgr_context *context, struct tmgr_item *item),
	void *self);

/**
 * Those items that a function accepts; the others are skipped.
 *
 * @param iterator  taken
 * @param function  called with self, the context of who asks, and the item; returns above 0 to
 *                  accept it, 0 to skip it, or a negative errno, which ends the iterator
 * @param self      for function; borrowed until the iterator is closed
 *
 * @return the iterator; it fails with -EINVAL (function is NULL) or -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Filter
 */
TMGR_API struct tmgr_iterator tmgr_filter(struct tmgr_iterator iterator,
	int (*function)(void *self, struct tmgr_context *context, const struct tmgr_item *item),
	void *self);

/**
 * The items of one, then those of another. The first is closed before the second is asked. An error
 * of one ends all; tmgr_until_error() makes it an end, after which the next goes on.
 *
 * @param first   taken
 * @param second  taken
 *
 * @return the iterator; it fails with -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Chain
 */
TMGR_API struct tmgr_iterator tmgr_chain(struct tmgr_iterator first, struct tmgr_iterator second);

/**
 * The items of each of several, one iterator after the other, as tmgr_chain().
 *
 * @param iterators  count of them, taken, always; the array is copied
 * @param count      may be 0
 *
 * @return the iterator; it fails with -EINVAL (iterators is NULL and count is not 0) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_iterator tmgr_chain_all(const struct tmgr_iterator *iterators, size_t count);

/**
 * For each item the items of an iterator that a function makes of it. That is closed before the
 * next item is asked for; until then the item stays valid.
 *
 * @param iterator  taken
 * @param function  called with self, the context of who asks, and the item; the iterator it returns
 *                  is taken
 * @param self      for function; borrowed until the iterator is closed
 *
 * @return the iterator; it fails with -EINVAL (function is NULL) or -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, FlatMap
 */
TMGR_API struct tmgr_iterator tmgr_flat_map(struct tmgr_iterator iterator,
	struct tmgr_iterator (*function)(
		void *self, struct tmgr_context *context, const struct tmgr_item *item),
	void *self);

/**
 * The items of iterators that are items: each a struct tmgr_iterator, taken when its turn comes.
 * Those whose turn does not come stay with whoever made them.
 *
 * @param iterator  taken; an item of another size ends the result with -EINVAL
 *
 * @return the iterator; it fails with -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Flatten
 */
TMGR_API struct tmgr_iterator tmgr_flatten(struct tmgr_iterator iterator);

/**
 * Pairs of an item of one and an item of another, as struct tmgr_pair. It ends with the shorter: the
 * second is not asked when the first has ended; an item of the first that finds no second is lost.
 *
 * Both must not be over one stream: asking the second would end the first's item.
 *
 * @param first   taken
 * @param second  taken
 *
 * @return the iterator; it fails with -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Zip
 */
TMGR_API struct tmgr_iterator tmgr_zip(struct tmgr_iterator first, struct tmgr_iterator second);

/**
 * The same, but it ends with the longer: where one has no more, its item has data NULL and size 0.
 *
 * @param first   taken
 * @param second  taken
 *
 * @return the iterator; it fails with -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, ZipLongest
 */
TMGR_API struct tmgr_iterator tmgr_zip_longest(
	struct tmgr_iterator first, struct tmgr_iterator second);

/**
 * The items with their numbers, as struct tmgr_numbered.
 *
 * @param iterator  taken
 *
 * @return the iterator; it fails with -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Enumerate
 */
TMGR_API struct tmgr_iterator tmgr_enumerate(struct tmgr_iterator iterator);

/**
 * Each item the first time only. Items are the same that have the same bytes, so structs are to have
 * none that are not set. It keeps a copy of each.
 *
 * @param iterator  taken
 *
 * @return the iterator; it fails with -ENOMEM, also when there is no memory for a copy
 *
 * @thread any thread
 * @source asyncigo, Uniq
 */
TMGR_API struct tmgr_iterator tmgr_unique(struct tmgr_iterator iterator);

/**
 * The first items only; nothing is asked for after them.
 *
 * @param iterator  taken
 * @param count     items
 *
 * @return the iterator; it fails with -ENOMEM
 *
 * @thread any thread
 * @source asyncigo, Take
 */
TMGR_API struct tmgr_iterator tmgr_take(struct tmgr_iterator iterator, size_t count);

/**
 * An iterator that ends where another fails, and the error aside.
 *
 * @param iterator   taken
 * @param ret_error  written when there is an error and it is still 0, so that of several iterators
 *                   that share it the first error stays; borrowed until the iterator is closed
 *
 * @return the iterator; it fails with -EINVAL (ret_error is NULL). Where there is no memory for it
 *         it ends at once, with -ENOMEM aside
 *
 * @thread any thread
 * @source asyncigo, UntilErr
 */
TMGR_API struct tmgr_iterator tmgr_until_error(struct tmgr_iterator iterator, int *ret_error);

/* ---- Where items go --------------------------------------------------------------------------- */

/**
 * Call a function with each item.
 *
 * @param context   the task's, or NULL
 * @param iterator  taken
 * @param function  called with self, the context and the item; another result than 0 ends it
 * @param self      for function
 *
 * @return the error of the iterator, or what the function returned, or
 * @retval 0        all were given
 * @retval -EINVAL  function is NULL
 *
 * @thread one thread at a time; may block
 * @source asyncigo, ForEach
 */
TMGR_API int tmgr_for_each(struct tmgr_context *context, struct tmgr_iterator iterator,
	int (*function)(void *self, struct tmgr_context *context, const struct tmgr_item *item),
	void *self);

/**
 * Copy all items.
 *
 * @param context    the task's, or NULL
 * @param iterator   taken
 * @param ret_items  written on success: an array of items and, behind it, their bytes, each aligned
 *                   as malloc() does; returned, release with free()
 * @param ret_count  written on success: items
 *
 * @return the error of the iterator, or
 * @retval 0        collected
 * @retval -ENOMEM  out of memory
 * @retval -EINVAL  ret_items or ret_count is NULL
 *
 * @thread one thread at a time; may block
 * @source asyncigo, Collect
 */
TMGR_API int tmgr_collect(struct tmgr_context *context, struct tmgr_iterator iterator,
	struct tmgr_item **ret_items, size_t *ret_count);

TMGR_END_DECLS

#endif
