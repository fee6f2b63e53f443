/*
 * Queues. The lock guards all but the first three fields.
 *
 * A bounded queue is a ring in one chunk. An unbounded one is a list of chunks: items go into the
 * last and come out of the first, and one chunk that was emptied is kept, so that a queue that is
 * emptied as fast as it fills allocates nothing. Memory is taken with the lock given back.
 *
 * Getters wait only while it is empty, putters only while it is full; an item, or the place of one,
 * goes to who waits longest, so nobody who comes later is faster.
 */
#include <taskmgr/queue.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wait_list.h"

/* Bytes of items in a chunk, unless one needs more. */
#define CHUNK_BYTES ((size_t)4096)

struct chunk {
	struct chunk *next;
	unsigned char items[];
};

struct tmgr_queue {
	uint32_t refs; /* atomic */
	size_t item_size;
	size_t count_max; /* 0: unbounded */
	struct tmgr__lock lock;
	bool closed;
	size_t per_chunk; /* items */
	size_t count;     /* written atomically */
	size_t undone;    /* items that were got and not yet done with */
	struct chunk *first, *last;
	struct chunk *spare;
	size_t head; /* of the oldest item, in `first` */
	size_t tail; /* unbounded: of the next item, in `last` */
	struct tmgr_wait_list getters, putters, joiners;
};

static struct chunk *make_chunk(const struct tmgr_queue *queue)
{
	return malloc(sizeof(struct chunk) + queue->per_chunk * queue->item_size);
}

int tmgr_queue_create(size_t item_size, size_t count_max, struct tmgr_queue **ret_queue)
{
	struct tmgr_queue *queue;

	if (!ret_queue || item_size == 0 || item_size > TMGR_QUEUE_ITEM_MAX ||
		count_max > TMGR_QUEUE_COUNT_MAX)
		return -EINVAL;
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return -ENOMEM;
	queue->refs = 1;
	queue->item_size = item_size;
	queue->count_max = count_max;
	queue->per_chunk = item_size < CHUNK_BYTES ? CHUNK_BYTES / item_size : 1;
	/* At most 2^40 bytes. */
	if (count_max > 0) {
		queue->per_chunk = count_max;
		queue->first = make_chunk(queue);
		if (!queue->first) {
			free(queue);
			return -ENOMEM;
		}
		queue->first->next = NULL;
	}
	*ret_queue = queue;
	return 0;
}

struct tmgr_queue *tmgr_queue_ref(struct tmgr_queue *queue)
{
	if (queue)
		check(__atomic_fetch_add(&queue->refs, 1, __ATOMIC_RELAXED) > 0);
	return queue;
}

void tmgr_queue_unref(struct tmgr_queue *queue)
{
	uint32_t refs;

	if (!queue)
		return;
	refs = __atomic_fetch_sub(&queue->refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs > 1)
		return;
	check(!queue->getters.first && !queue->putters.first && !queue->joiners.first);
	while (queue->first) {
		struct chunk *next = queue->first->next;

		free(queue->first);
		queue->first = next;
	}
	free(queue->spare);
	free(queue);
}

static void set_count(struct tmgr_queue *queue, size_t count)
{
	__atomic_store_n(&queue->count, count, __ATOMIC_RELAXED);
}

size_t tmgr_queue_count(const struct tmgr_queue *queue)
{
	return queue ? __atomic_load_n(&queue->count, __ATOMIC_RELAXED) : 0;
}

/* Whether there is a place for one more item; an unbounded queue takes its spare chunk for it. */
static bool has_place(struct tmgr_queue *queue)
{
	if (queue->count_max > 0)
		return queue->count < queue->count_max;
	if (queue->last && queue->tail < queue->per_chunk)
		return true;
	if (!queue->spare)
		return false;
	queue->spare->next = NULL;
	if (queue->last)
		queue->last->next = queue->spare;
	else
		queue->first = queue->spare;
	queue->last = queue->spare;
	queue->spare = NULL;
	queue->tail = 0;
	return true;
}

/* Behind the others, where there is a place. */
static void append(struct tmgr_queue *queue, const void *item)
{
	struct chunk *chunk = queue->last;
	size_t index;

	if (queue->count_max > 0) {
		chunk = queue->first;
		index = (queue->head + queue->count) % queue->count_max;
	} else {
		index = queue->tail++;
	}
	memcpy(chunk->items + index * queue->item_size, item, queue->item_size);
	set_count(queue, queue->count + 1);
}

/* An unbounded queue's first chunk was emptied: NULL, or the chunk to be released. */
static struct chunk *drop_first(struct tmgr_queue *queue)
{
	struct chunk *chunk = queue->first;

	queue->head = 0;
	if (chunk == queue->last) {
		queue->tail = 0;
		return NULL;
	}
	queue->first = chunk->next;
	if (queue->spare)
		return chunk;
	queue->spare = chunk;
	return NULL;
}

/* The oldest item, of at least one. */
static struct chunk *take(struct tmgr_queue *queue, void *item)
{
	memcpy(item, queue->first->items + queue->head * queue->item_size, queue->item_size);
	set_count(queue, queue->count - 1);
	queue->head++;
	if (queue->count_max > 0) {
		queue->head %= queue->count_max;
		return NULL;
	}
	return queue->head == queue->per_chunk || queue->count == 0 ? drop_first(queue) : NULL;
}

/* Under the lock: 0, -EPIPE, or -EAGAIN where there is no place for it. */
static int try_put(struct tmgr_queue *queue, const void *item, struct tmgr__waiting **won)
{
	if (queue->closed)
		return -EPIPE;
	*won = tmgr__wait_list_claim(&queue->getters, 0);
	if (*won) {
		memcpy((*won)->item, item, queue->item_size);
		queue->undone++;
		return 0;
	}
	if (!has_place(queue))
		return -EAGAIN;
	append(queue, item);
	return 0;
}

/* Wait on one of its lists, which gives its lock back. */
static int wait_on(
	struct tmgr_queue *queue, struct tmgr_wait_list *list, struct tmgr__wait *wait, void *item)
{
	int r;

	tmgr_queue_ref(queue);
	r = tmgr__wait_list_wait(list, &queue->lock, wait, item, "queue");
	tmgr_queue_unref(queue);
	return r;
}

/* With what put needs of memory; it gives back what it did not use. */
static int put(
	struct tmgr_queue *queue, struct tmgr__wait *wait, const void *item, struct chunk **chunk)
{
	struct tmgr__waiting *won = NULL;
	int r;

	tmgr__lock_acquire(&queue->lock);
	if (*chunk && !queue->spare) {
		queue->spare = *chunk;
		*chunk = NULL;
	}
	r = try_put(queue, item, &won);
	/* Who gets it only reads it; the pointer serves both directions. */
	if (r == -EAGAIN && queue->count_max > 0)
		return wait_on(queue, &queue->putters, wait, (void *)(uintptr_t)item);
	tmgr__lock_release(&queue->lock);
	tmgr__waiting_wake(won);
	return r;
}

int tmgr_queue_put(
	struct tmgr_context *context, struct tmgr_queue *queue, const void *item, int64_t deadline)
{
	struct chunk *chunk = NULL;
	struct tmgr__wait wait;
	int r;

	if (!queue || !item)
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	/* Others may use up what was allocated. */
	while ((r = put(queue, &wait, item, &chunk)) == -EAGAIN) {
		check(!chunk);
		chunk = make_chunk(queue);
		if (!chunk)
			return -ENOMEM;
	}
	free(chunk);
	return r;
}

int tmgr_queue_get(
	struct tmgr_context *context, struct tmgr_queue *queue, void *ret_item, int64_t deadline)
{
	struct tmgr__waiting *putter = NULL;
	struct chunk *emptied = NULL;
	struct tmgr__wait wait;
	int r;

	if (!queue || !ret_item)
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	tmgr__lock_acquire(&queue->lock);
	if (queue->count > 0) {
		emptied = take(queue, ret_item);
		queue->undone++;
		putter = tmgr__wait_list_claim(&queue->putters, 0);
		if (putter)
			append(queue, putter->item);
	} else if (queue->closed) {
		r = -EPIPE;
	} else {
		return wait_on(queue, &queue->getters, &wait, ret_item);
	}
	tmgr__lock_release(&queue->lock);
	tmgr__waiting_wake(putter);
	free(emptied);
	return r;
}

int tmgr_queue_close(struct tmgr_queue *queue)
{
	struct tmgr__waiting *getters, *putters;

	if (!queue)
		return -EINVAL;
	tmgr__lock_acquire(&queue->lock);
	if (queue->closed) {
		tmgr__lock_release(&queue->lock);
		return -EALREADY;
	}
	queue->closed = true;
	getters = tmgr__wait_list_claim_all(&queue->getters, -EPIPE);
	putters = tmgr__wait_list_claim_all(&queue->putters, -EPIPE);
	tmgr__lock_release(&queue->lock);
	tmgr__waiting_wake(getters);
	tmgr__waiting_wake(putters);
	return 0;
}

int tmgr_queue_done(struct tmgr_queue *queue)
{
	struct tmgr__waiting *won = NULL;
	int r = 0;

	if (!queue)
		return -EINVAL;
	tmgr__lock_acquire(&queue->lock);
	if (queue->undone == 0)
		r = -ENOENT;
	else if (--queue->undone == 0 && queue->count == 0)
		won = tmgr__wait_list_claim_all(&queue->joiners, 0);
	tmgr__lock_release(&queue->lock);
	tmgr__waiting_wake(won);
	return r;
}

int tmgr_queue_join(struct tmgr_context *context, struct tmgr_queue *queue, int64_t deadline)
{
	struct tmgr__wait wait;
	int r;

	if (!queue)
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	tmgr__lock_acquire(&queue->lock);
	if (queue->count + queue->undone > 0)
		return wait_on(queue, &queue->joiners, &wait, NULL);
	tmgr__lock_release(&queue->lock);
	return 0;
}
