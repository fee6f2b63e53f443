/**
 * @file
 * Generators: iterators that are written as a function which yields its items.
 *
 *     static int countdown(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
 *     {
 *             int r = 0;
 *
 *             for (int n = 3; n > 0 && r == 0; n--) {
 *                     r = tmgr_sleep(context, TMGR_SECOND);
 *                     if (r == 0)
 *                             r = tmgr_yield_item(generator, &n, sizeof(n));
 *             }
 *             return r;
 *     }
 *
 *     TMGR_FOR_EACH(number, context, tmgr_generator(countdown, NULL), &r)
 *             printf("%d\n", TMGR_VALUE(int, number));
 *
 * The function has a stack of its own, and runs while an item is asked for, in the thread of control
 * that asks: its waits park that one, on a thread and on a loop, and are cancelled with it.
 */
#ifndef TMGR_TASKS_GENERATOR_H
#define TMGR_TASKS_GENERATOR_H

#include <taskmgr/tasks/iterator.h>

struct tmgr_generator;

/** How a generator is made; all zero is the default. */
struct tmgr_generator_options {
	/** Address space of its stack, bytes: 64 KiB; 16 KiB, 64 KiB or 256 KiB. */
	size_t stack_size;
	/** Called with self, once, when the iterator is closed or could not be made; may be NULL. */
	void (*release)(void *self);
};

TMGR_BEGIN_DECLS

/**
 * An iterator over what a function yields. The function begins when the first item is asked for, and
 * has then a stack until it returns: 0 is the end, a negative errno the error of the iterator.
 *
 * When the iterator is closed before, the function goes on a last time: what it yielded last, and
 * all that it yields or waits for from then on, returns -ECANCELED at once, until it returns. What
 * it has to wait for at its end goes into tmgr_uninterrupted_begin(). One that was not begun never
 * runs. Without a context (NULL) there is nothing to cancel waits with, and only its yields return
 * that.
 *
 * All items are asked for with the context of the first; with that of another task or function the
 * next is -EINVAL. With any it can be closed. The function must return; it must not end its thread.
 *
 * @param function  called once with self, a context below that of who asks first (NULL if that is
 *                  NULL), and the generator, for tmgr_yield_item()
 * @param self      for function; borrowed until the iterator is closed
 *
 * @return the iterator; it fails with -EINVAL (function is NULL) or -ENOMEM, which also is the first
 *         item where there is no stack
 *
 * @thread any thread
 * @source asyncigo, AsyncIter
 */
TMGR_API struct tmgr_iterator tmgr_generator(
	int (*function)(void *self, struct tmgr_context *context, struct tmgr_generator *generator),
	void *self);

/**
 * The same with options.
 *
 * @param function  as for tmgr_generator()
 * @param self      likewise
 * @param options   copied; NULL for the default
 *
 * @return the iterator; it fails with -EINVAL (function is NULL, or the size of the stack is
 *         another one) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_iterator tmgr_generator_with(
	int (*function)(void *self, struct tmgr_context *context, struct tmgr_generator *generator),
	void *self, const struct tmgr_generator_options *options);

/**
 * Give an item to who asked for it. Returns when the next is asked for.
 *
 * @param generator  the function's own
 * @param data       the item; it has to stay as it is until this returns; a variable of the
 *                   function is fine
 * @param size       bytes
 *
 * @retval 0           the next item is asked for
 * @retval -ECANCELED  the iterator is closed; return
 * @retval -EINVAL     generator is NULL, or this is not called by its function on its own stack
 *
 * @thread the generator's
 * @source Python, yield
 */
TMGR_API int tmgr_yield_item(struct tmgr_generator *generator, const void *data, size_t size);

/**
 * Yield all items of an iterator.
 *
 * @param generator  the function's own
 * @param iterator   taken
 *
 * @return the error of the iterator, or
 * @retval 0           all were asked for
 * @retval -ECANCELED  the generator's iterator is closed; return
 * @retval -EINVAL     as tmgr_yield_item()
 *
 * @thread the generator's; may block
 * @source Python, yield from
 */
TMGR_API int tmgr_yield_all(struct tmgr_generator *generator, struct tmgr_iterator iterator);

TMGR_END_DECLS

#endif
