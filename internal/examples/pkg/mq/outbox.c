#include "outbox.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 8
#define KEPT_CAPACITY 1024

void mq_outbox_init(struct mq_outbox *outbox, const struct mq_outbox_limits *limits)
{
	*outbox = (struct mq_outbox){ .limits = limits };
	pthread_mutex_init(&outbox->lock, NULL);
}

void mq_outbox_fini(struct mq_outbox *outbox)
{
	mq_outbox_drop(outbox);
	free(outbox->items);
	pthread_mutex_destroy(&outbox->lock);
}

static size_t size_of(const struct mq_item *item)
{
	return item->head->size + (item->body ? item->body->size : 0);
}

static int grow(struct mq_outbox *outbox)
{
	size_t capacity = outbox->capacity ? outbox->capacity * 2 : FIRST_CAPACITY;
	struct mq_item *items = calloc(capacity, sizeof(items[0]));

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < outbox->count; i++)
		items[i] = outbox->items[(outbox->first + i) & (outbox->capacity - 1)];
	free(outbox->items);
	outbox->items = items;
	outbox->first = 0;
	outbox->capacity = capacity;
	return 0;
}

static bool has_room(struct mq_outbox *outbox, const struct mq_item *item)
{
	if (outbox->count == outbox->limits->items)
		return false;
	/* One that is alone may be of any size: it has a limit of its own. */
	if (outbox->bytes > 0 && outbox->bytes + size_of(item) > outbox->limits->bytes)
		return false;
	return outbox->count < outbox->capacity || grow(outbox) == 0;
}

static bool stop_waiting(struct mq_outbox *outbox)
{
	bool was = outbox->waiting;

	outbox->waiting = false;
	return was;
}

static void append(struct mq_outbox *outbox, const struct mq_item *item)
{
	struct mq_item *place =
		&outbox->items[(outbox->first + outbox->count) & (outbox->capacity - 1)];

	*place = *item;
	mq_blob_ref(item->head);
	if (item->body)
		mq_blob_ref(item->body);
	outbox->bytes += size_of(item);
	outbox->count++;
}

enum mq_push mq_outbox_push(struct mq_outbox *outbox, const struct mq_item *item)
{
	enum mq_push result = MQ_REFUSED;

	pthread_mutex_lock(&outbox->lock);
	if (!outbox->closed && !outbox->full) {
		if (has_room(outbox, item)) {
			append(outbox, item);
			result = stop_waiting(outbox) ? MQ_PUSHED_WAKE : MQ_PUSHED;
		} else {
			outbox->full = true;
			result = MQ_FULL;
		}
	}
	pthread_mutex_unlock(&outbox->lock);
	return result;
}

bool mq_outbox_close(struct mq_outbox *outbox)
{
	bool wake;

	pthread_mutex_lock(&outbox->lock);
	outbox->closed = true;
	wake = stop_waiting(outbox);
	pthread_mutex_unlock(&outbox->lock);
	return wake;
}

int mq_outbox_take(struct mq_outbox *outbox, struct mq_item *ret_items, int max)
{
	int taken = 0;

	pthread_mutex_lock(&outbox->lock);
	if (outbox->full)
		taken = -ENOBUFS;
	while (taken >= 0 && taken < max && outbox->count > 0) {
		ret_items[taken++] = outbox->items[outbox->first];
		outbox->first = (outbox->first + 1) & (outbox->capacity - 1);
		outbox->count--;
	}
	if (outbox->count == 0 && outbox->capacity > KEPT_CAPACITY) {
		free(outbox->items);
		outbox->items = NULL;
		outbox->capacity = 0;
	}
	if (taken == 0 && outbox->closed)
		taken = -EPIPE;
	outbox->waiting = taken == 0;
	pthread_mutex_unlock(&outbox->lock);
	return taken;
}

bool mq_outbox_unwait(struct mq_outbox *outbox)
{
	bool was;

	pthread_mutex_lock(&outbox->lock);
	was = stop_waiting(outbox);
	pthread_mutex_unlock(&outbox->lock);
	return was;
}

size_t mq_outbox_release(struct mq_outbox *outbox, struct mq_item *items, int count)
{
	size_t messages = 0, bytes = 0;

	for (int i = 0; i < count; i++) {
		bytes += size_of(&items[i]);
		messages += items[i].message;
		mq_blob_unref(items[i].head);
		mq_blob_unref(items[i].body);
	}
	pthread_mutex_lock(&outbox->lock);
	outbox->bytes -= bytes;
	pthread_mutex_unlock(&outbox->lock);
	return messages;
}

size_t mq_outbox_bytes(struct mq_outbox *outbox)
{
	size_t bytes;

	pthread_mutex_lock(&outbox->lock);
	bytes = outbox->bytes;
	pthread_mutex_unlock(&outbox->lock);
	return bytes;
}

size_t mq_outbox_drop(struct mq_outbox *outbox)
{
	struct mq_item items[16];
	size_t messages = 0;
	int taken;

	pthread_mutex_lock(&outbox->lock);
	outbox->closed = true;
	outbox->full = false;
	pthread_mutex_unlock(&outbox->lock);
	while ((taken = mq_outbox_take(outbox, items, 16)) > 0)
		messages += mq_outbox_release(outbox, items, taken);
	return messages;
}
