/*
 * Channels.
 *
 * The channel's lock guards buffer and lists. Of senders and receivers at most one kind waits, but
 * for selects that stand in both. A partner takes the oldest node off the list, claims its waiter
 * by one compare-and-swap, copies, and, after unlocking, completes and wakes it; a node whose
 * waiter is over is just dropped. Owners withdraw their nodes under the lock before the stack frame
 * that holds them goes.
 */
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "context.h"

int tmgr_channel_create(size_t item_size, size_t capacity, struct tmgr_channel **ret_channel)
{
	struct tmgr_channel *channel;
	size_t bytes;

	if (!ret_channel || item_size > TMGR_CHANNEL_ITEM_MAX ||
		capacity > TMGR_CHANNEL_CAPACITY_MAX)
		return -EINVAL;
	/* At most 2^40, so this cannot wrap. */
	if (__builtin_mul_overflow(item_size, capacity, &bytes))
		return -EINVAL;
	channel = malloc(sizeof(*channel) + bytes);
	if (!channel)
		return -ENOMEM;
	*channel = (struct tmgr_channel){ .refs = 1, .item_size = item_size, .capacity = capacity };
	tmgr__list_init(&channel->senders);
	tmgr__list_init(&channel->receivers);
	*ret_channel = channel;
	return 0;
}

struct tmgr_channel *tmgr_channel_ref(struct tmgr_channel *channel)
{
	if (channel)
		check(__atomic_fetch_add(&channel->refs, 1, __ATOMIC_RELAXED) > 0);
	return channel;
}

void tmgr_channel_unref(struct tmgr_channel *channel)
{
	uint32_t refs;

	if (!channel)
		return;
	refs = __atomic_fetch_sub(&channel->refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs == 1) {
		check(tmgr__list_empty(&channel->senders) && tmgr__list_empty(&channel->receivers));
		free(channel);
	}
}

size_t tmgr_channel_count(const struct tmgr_channel *channel)
{
	return channel ? __atomic_load_n(&channel->count, __ATOMIC_RELAXED) : 0;
}

size_t tmgr_channel_item_size(const struct tmgr_channel *channel)
{
	return channel ? channel->item_size : 0;
}

static void set_count(struct tmgr_channel *channel, size_t count)
{
	__atomic_store_n(&channel->count, count, __ATOMIC_RELAXED);
}

static void copy_item(struct tmgr_channel *channel, void *to, const void *from)
{
	if (!to)
		return;
	/* Most items are numbers or pointers: these need no call. */
	if (channel->item_size == sizeof(uint64_t))
		memcpy(to, from, sizeof(uint64_t));
	else if (channel->item_size == sizeof(uint32_t))
		memcpy(to, from, sizeof(uint32_t));
	else if (channel->item_size > 0)
		memcpy(to, from, channel->item_size);
}

static unsigned char *slot(struct tmgr_channel *channel, size_t offset)
{
	size_t index = channel->head + offset;

	if (index >= channel->capacity)
		index -= channel->capacity;
	return channel->buffer + index * channel->item_size;
}

bool tmgr__wait_node_claim(struct tmgr__wait_node *node, int result)
{
	if (!tmgr__waiter_claim(node->waiter))
		return false;
	node->result = result;
	*node->winner = node;
	return true;
}

void tmgr__wait_nodes_wake(struct tmgr__wait_node *node)
{
	while (node) {
		struct tmgr__wait_node *next = node->next;
		struct tmgr_waiter *waiter = node->waiter;

		tmgr__waiter_complete(waiter)->wake(waiter);
		node = next;
	}
}

/* The oldest node of a list whose waiter can still be won; those before it are over and dropped. */
static inline struct tmgr__wait_node *claim_oldest(struct tmgr__list *list)
{
	struct tmgr__list *link;

	while ((link = tmgr__list_pop(list))) {
		struct tmgr__wait_node *node = container_of(link, struct tmgr__wait_node, link);

		if (tmgr__waiter_claim(node->waiter)) {
			node->result = 0;
			*node->winner = node;
			return node;
		}
	}
	return NULL;
}

static void add_won(struct tmgr__wait_node **won, struct tmgr__wait_node *node)
{
	node->next = *won;
	*won = node;
}

int tmgr__channel_try_send(
	struct tmgr_channel *channel, const void *item, int *result, struct tmgr__wait_node **won)
{
	struct tmgr__wait_node *receiver;

	*result = 0;
	if (channel->closed) {
		*result = -EPIPE;
		return 1;
	}
	receiver = claim_oldest(&channel->receivers);
	if (receiver) {
		copy_item(channel, receiver->item, item);
		add_won(won, receiver);
		return 1;
	}
	if (channel->count == channel->capacity)
		return 0;
	copy_item(channel, slot(channel, channel->count), item);
	set_count(channel, channel->count + 1);
	return 1;
}

int tmgr__channel_try_receive(
	struct tmgr_channel *channel, void *item, int *result, struct tmgr__wait_node **won)
{
	struct tmgr__wait_node *sender;

	*result = 0;
	if (channel->count > 0) {
		copy_item(channel, item, slot(channel, 0));
		channel->head = channel->head + 1 == channel->capacity ? 0 : channel->head + 1;
		set_count(channel, channel->count - 1);
		sender = claim_oldest(&channel->senders);
		if (sender) {
			copy_item(channel, slot(channel, channel->count), sender->item);
			set_count(channel, channel->count + 1);
			add_won(won, sender);
		}
		return 1;
	}
	sender = claim_oldest(&channel->senders);
	if (sender) {
		copy_item(channel, item, sender->item);
		add_won(won, sender);
		return 1;
	}
	if (channel->closed) {
		*result = -EPIPE;
		return 1;
	}
	return 0;
}

void tmgr__channel_enrol(
	struct tmgr_channel *channel, struct tmgr__list *list, struct tmgr__wait_node *node)
{
	node->sequence = channel->sequence++;
	tmgr__list_append(list, &node->link);
}

/* The older of the first sender and the first receiver. */
static struct tmgr__wait_node *pop_oldest(struct tmgr_channel *channel)
{
	struct tmgr__list *a = tmgr__list_first(&channel->senders);
	struct tmgr__list *b = tmgr__list_first(&channel->receivers);
	struct tmgr__wait_node *sender = a ? container_of(a, struct tmgr__wait_node, link) : NULL;
	struct tmgr__wait_node *receiver = b ? container_of(b, struct tmgr__wait_node, link) : NULL;
	struct tmgr__wait_node *oldest = sender;

	if (!sender || (receiver && receiver->sequence < sender->sequence))
		oldest = receiver;
	if (oldest)
		tmgr__list_remove(&oldest->link);
	return oldest;
}

int tmgr_channel_close(struct tmgr_channel *channel)
{
	struct tmgr__wait_node *node, *first = NULL, **last = &first;

	if (!channel)
		return -EINVAL;
	tmgr__lock_acquire(&channel->lock);
	if (channel->closed) {
		tmgr__lock_release(&channel->lock);
		return -EALREADY;
	}
	channel->closed = true;
	while ((node = pop_oldest(channel))) {
		if (tmgr__wait_node_claim(node, -EPIPE)) {
			*last = node;
			last = &node->next;
		}
	}
	*last = NULL;
	tmgr__lock_release(&channel->lock);
	tmgr__wait_nodes_wake(first);
	return 0;
}

/* Wait on one channel, whose lock is held and given back. */
static int wait_on(
	struct tmgr_channel *channel, struct tmgr__list *list, void *item, struct tmgr__wait *wait)
{
	struct tmgr__wait_node node = { .waiter = wait->waiter, .item = item }, *winner;
	int r;

	node.winner = &winner;
	tmgr__list_init(&node.link);
	tmgr__channel_enrol(channel, list, &node);
	/* So that closing and dropping it meanwhile leaves its memory. */
	tmgr_channel_ref(channel);
	tmgr__wait_arm_locked(wait);
	tmgr__lock_release(&channel->lock);
	r = tmgr__wait_park(wait, "channel");
	if (r == 0) {
		/* Who won it took it off the list. */
		r = node.result;
	} else {
		tmgr__lock_acquire(&channel->lock);
		tmgr__list_remove(&node.link);
		tmgr__lock_release(&channel->lock);
	}
	tmgr_channel_unref(channel);
	return r;
}

int tmgr_channel_send(struct tmgr_context *context, struct tmgr_channel *channel, const void *item,
	int64_t deadline)
{
	struct tmgr__wait_node *won = NULL;
	struct tmgr__wait wait;
	int r, result;

	if (!channel || (!item && channel->item_size > 0))
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	tmgr__lock_acquire(&channel->lock);
	/* A send only reads the item; a node's pointer serves both directions. */
	if (!tmgr__channel_try_send(channel, item, &result, &won)) {
		if (wait.limit > 0)
			return wait_on(channel, &channel->senders, (void *)(uintptr_t)item, &wait);
		tmgr__lock_release(&channel->lock);
		return tmgr__wait_late(&wait);
	}
	tmgr__lock_release(&channel->lock);
	tmgr__wait_nodes_wake(won);
	return result;
}

int tmgr_channel_receive(struct tmgr_context *context, struct tmgr_channel *channel, void *ret_item,
	int64_t deadline)
{
	struct tmgr__wait_node *won = NULL;
	struct tmgr__wait wait;
	int r, result;

	if (!channel || (!ret_item && channel->item_size > 0))
		return -EINVAL;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	tmgr__lock_acquire(&channel->lock);
	if ((channel->count == 0 && !channel->closed && tmgr__list_empty(&channel->senders)) ||
		!tmgr__channel_try_receive(channel, ret_item, &result, &won)) {
		if (wait.limit > 0)
			return wait_on(channel, &channel->receivers, ret_item, &wait);
		tmgr__lock_release(&channel->lock);
		return tmgr__wait_late(&wait);
	}
	tmgr__lock_release(&channel->lock);
	tmgr__wait_nodes_wake(won);
	return result;
}
