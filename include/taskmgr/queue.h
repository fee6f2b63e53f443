/**
 * @file
 * Queues: items of one size, first in first out, between any threads and coroutines; bounded, or
 * growing as long as there is memory.
 *
 * Who puts into a bounded one that is full waits; who gets from an empty one does. A closed queue
 * takes nothing more and can be emptied. Of those who wait each is served in its turn.
 *
 * A queue is a channel's likeness for producers that must not wait, and it can be waited for until
 * all that was put has been done: tmgr_queue_join().
 */
#ifndef TMGR_QUEUE_H
#define TMGR_QUEUE_H

#include <taskmgr/context.h>

/** Most bytes of one item. */
#define TMGR_QUEUE_ITEM_MAX 65536
/** Most items a bounded queue can hold. */
#define TMGR_QUEUE_COUNT_MAX 16777216

struct tmgr_queue;

TMGR_BEGIN_DECLS

/**
 * Make a queue.
 *
 * @param item_size  bytes of an item, 1 to TMGR_QUEUE_ITEM_MAX
 * @param count_max  items it holds, up to TMGR_QUEUE_COUNT_MAX, for which memory is taken now; 0: no
 *                   limit, memory is taken as items are put
 * @param ret_queue  returned, release with tmgr_queue_unref()
 *
 * @retval 0        made
 * @retval -EINVAL  ret_queue is NULL or a number is out of range
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 * @source asyncio, Queue
 */
TMGR_API int tmgr_queue_create(size_t item_size, size_t count_max, struct tmgr_queue **ret_queue);

/**
 * Take a reference.
 *
 * @param queue  NULL is allowed
 *
 * @return queue
 *
 * @thread any thread
 */
TMGR_API struct tmgr_queue *tmgr_queue_ref(struct tmgr_queue *queue);

/**
 * Give a reference back; the last one ends the queue and drops what is in it. Whoever waits on it
 * holds one.
 *
 * @param queue  NULL is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_queue_unref(struct tmgr_queue *queue);

/**
 * Put an item.
 *
 * @param context   the task's, or NULL
 * @param queue     a queue
 * @param item      copied
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NOW tries once; an unbounded queue never
 *                  has to wait
 *
 * @retval 0           put
 * @retval -EPIPE      the queue is closed; the item was not taken
 * @retval -ECANCELED  the token fired first; the item was not taken
 * @retval -ETIMEDOUT  the deadline came first; the item was not taken
 * @retval -ENOMEM     out of memory, unbounded ones only; the item was not taken
 * @retval -EINVAL     queue or item is NULL
 *
 * @thread the task's; may block; cancellation point
 * @source asyncio, Queue.put
 */
TMGR_API int tmgr_queue_put(
	struct tmgr_context *context, struct tmgr_queue *queue, const void *item, int64_t deadline);

/**
 * Get the oldest item.
 *
 * @param context   the task's, or NULL
 * @param queue     a queue
 * @param ret_item  written only on success
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NOW tries once
 *
 * @retval 0           got one
 * @retval -EPIPE      the queue is closed and empty
 * @retval -ECANCELED  the token fired first; nothing was taken
 * @retval -ETIMEDOUT  the deadline came first; nothing was taken
 * @retval -EINVAL     queue or ret_item is NULL
 *
 * @thread the task's; may block; cancellation point
 * @source asyncio, Queue.get
 */
TMGR_API int tmgr_queue_get(
	struct tmgr_context *context, struct tmgr_queue *queue, void *ret_item, int64_t deadline);

/**
 * Close: waits to put end with -EPIPE, their items not taken; who gets empties it, then gets
 * -EPIPE.
 *
 * @param queue  a queue
 *
 * @retval 0          closed
 * @retval -EALREADY  it was closed
 * @retval -EINVAL    queue is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_queue_close(struct tmgr_queue *queue);

/**
 * Items in it at this moment.
 *
 * @param queue  NULL has none
 *
 * @return a number of items, stale as soon as it is read
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_queue_count(const struct tmgr_queue *queue);

/**
 * Say that an item that was got is done with, for those in tmgr_queue_join().
 *
 * @param queue  a queue
 *
 * @retval 0        counted
 * @retval -ENOENT  all that were got have been done already
 * @retval -EINVAL  queue is NULL
 *
 * @thread any thread
 * @source asyncio, Queue.task_done
 */
TMGR_API int tmgr_queue_done(struct tmgr_queue *queue);

/**
 * Wait until each item that was put has been got and said to be done.
 *
 * @param context   the task's, or NULL
 * @param queue     a queue
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NOW tries once
 *
 * @retval 0           nothing is left
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     queue is NULL
 *
 * @thread the task's; may block; cancellation point
 * @source asyncio, Queue.join
 */
TMGR_API int tmgr_queue_join(
	struct tmgr_context *context, struct tmgr_queue *queue, int64_t deadline);

TMGR_END_DECLS

#endif
