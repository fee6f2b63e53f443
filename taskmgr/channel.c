/*
 * Channels.
 *
 * The channel's lock guards buffer and lists. Of senders and receivers at most one kind waits, but
 * for selects that stand in both. A partner takes the oldest node off the list, claims its waiter
 * by one compare-and-swap, copies, and, after unlocking, completes and wakes it; a node whose
 * waiter is over is just dropped. Owners withdraw their nodes under the lock before the stack frame
 * that holds them goes; but one that was claimed is off the list, and its owner does not touch the
 * channel any more.
 *
 * So a channel is not referred to by who waits on it: it counts, under its lock, who will come back,
 * and is released by the last user, or by the last of these.
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

static void destroy(struct tmgr_channel *channel)
{
	check(tmgr__list_empty(&channel->senders) && tmgr__list_empty(&channel->receivers));
	free(channel);
}

void tmgr_channel_unref(struct tmgr_channel *channel)
{
	uint32_t refs;
	bool waiting;

	if (!channel)
		return;
	refs = __atomic_fetch_sub(&channel->refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs > 1)
		return;
	tmgr__lock_acquire(&channel->lock);
	waiting = channel->orphan = channel->waiting > 0;
	tmgr__lock_release(&channel->lock);
	if (!waiting)
		destroy(channel);
}

void tmgr__channel_withdraw(struct tmgr_channel *channel, struct tmgr__wait_node *node)
{
	bool last;

	tmgr__lock_acquire(&channel->lock);
	tmgr__list_remove(&node->link);
	last = --channel->waiting == 0 && channel->orphan;
	tmgr__lock_release(&channel->lock);
	if (last)
		destroy(channel);
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
	/* Items of no size may be NULL. */
	if (!to || !from)
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
static inline struct tmgr__wait_node *claim_oldest(
	struct tmgr_channel *channel, struct tmgr__list *list)
{
	struct tmgr__list *link;

	while ((link = tmgr__list_pop(list))) {
		struct tmgr__wait_node *node = container_of(link, struct tmgr__wait_node, link);

		if (tmgr__waiter_claim(node->waiter)) {
			channel->waiting--;
			node->result = 0;
			*node->winner = node;
			return node;
		}
	}
	return NULL;
}

/* With no lock held: complete and wake one that was claimed. */
static inline void wake(struct tmgr__wait_node *node)
{
	struct tmgr_waiter *waiter = node->waiter;

	tmgr__waiter_complete(waiter)->wake(waiter);
}

static void add_won(struct tmgr__wait_node **won, struct tmgr__wait_node *node)
{
	node->next = *won;
	*won = node;
}

static inline void put(struct tmgr_channel *channel, const void *item)
{
	copy_item(channel, slot(channel, channel->count), item);
	set_count(channel, channel->count + 1);
}

/* Take the oldest of the buffer, and have a sender that waits fill the place: it was claimed. */
static inline struct tmgr__wait_node *take(struct tmgr_channel *channel, void *item)
{
	struct tmgr__wait_node *sender;

	copy_item(channel, item, slot(channel, 0));
	channel->head = channel->head + 1 == channel->capacity ? 0 : channel->head + 1;
	set_count(channel, channel->count - 1);
	sender = claim_oldest(channel, &channel->senders);
	if (sender)
		put(channel, sender->item);
	return sender;
}

/* How a send or a receive goes. */
enum outcome {
	HAS_TO_WAIT,
	DONE,
	CLOSED,
};

/* Under the lock. *ret_partner was claimed, or is NULL. */
static inline enum outcome try_send(
	struct tmgr_channel *channel, const void *item, struct tmgr__wait_node **ret_partner)
{
	*ret_partner = NULL;
	if (channel->closed)
		return CLOSED;
	*ret_partner = claim_oldest(channel, &channel->receivers);
	if (*ret_partner)
		copy_item(channel, (*ret_partner)->item, item);
	else if (channel->count < channel->capacity)
		put(channel, item);
	else
		return HAS_TO_WAIT;
	return DONE;
}

/* Likewise. */
static inline enum outcome try_receive(
	struct tmgr_channel *channel, void *item, struct tmgr__wait_node **ret_partner)
{
	if (channel->count > 0) {
		*ret_partner = take(channel, item);
		return DONE;
	}
	*ret_partner = claim_oldest(channel, &channel->senders);
	if (*ret_partner) {
		copy_item(channel, item, (*ret_partner)->item);
		return DONE;
	}
	return channel->closed ? CLOSED : HAS_TO_WAIT;
}

/* For a select: whether the case fires. */
static int note(enum outcome outcome, int *result, struct tmgr__wait_node *partner,
	struct tmgr__wait_node **won)
{
	*result = outcome == CLOSED ? -EPIPE : 0;
	if (partner)
		add_won(won, partner);
	return outcome != HAS_TO_WAIT;
}

int tmgr__channel_try_send(
	struct tmgr_channel *channel, const void *item, int *result, struct tmgr__wait_node **won)
{
	struct tmgr__wait_node *partner;
	enum outcome outcome = try_send(channel, item, &partner);

	return note(outcome, result, partner, won);
}

int tmgr__channel_try_receive(
	struct tmgr_channel *channel, void *item, int *result, struct tmgr__wait_node **won)
{
	struct tmgr__wait_node *partner;
	enum outcome outcome = try_receive(channel, item, &partner);

	return note(outcome, result, partner, won);
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
			channel->waiting--;
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
static int wait_on(struct tmgr_channel *channel, struct tmgr__list *list, void *item,
	struct tmgr_context *context, int64_t deadline)
{
	struct tmgr__wait_node node, *winner;
	struct tmgr__wait wait;
	int r;

	tmgr__wait_set(&wait, context, deadline);
	if (wait.limit <= 0) {
		tmgr__lock_release(&channel->lock);
		return tmgr__wait_late(&wait);
	}
	node.waiter = wait.waiter;
	node.item = item;
	node.winner = &winner;
	tmgr__channel_enrol(channel, list, &node);
	tmgr__wait_arm_locked(&wait);
	tmgr__lock_release(&channel->lock);
	r = tmgr__wait_park(&wait, "channel");
	if (r == 0)
		return node.result;
	tmgr__channel_withdraw(channel, &node);
	return r;
}

int tmgr_channel_send(struct tmgr_context *context, struct tmgr_channel *channel, const void *item,
	int64_t deadline)
{
	struct tmgr__wait_node *receiver;
	enum outcome outcome;
	int r;

	if (!channel || (!item && channel->item_size > 0))
		return -EINVAL;
	r = tmgr__wait_may_begin(context);
	if (r < 0)
		return r;
	tmgr__lock_acquire(&channel->lock);
	outcome = try_send(channel, item, &receiver);
	/* A send only reads the item; a node's pointer serves both directions. */
	if (outcome == HAS_TO_WAIT)
		return wait_on(
			channel, &channel->senders, (void *)(uintptr_t)item, context, deadline);
	tmgr__lock_release(&channel->lock);
	if (receiver)
		wake(receiver);
	return outcome == CLOSED ? -EPIPE : 0;
}

int tmgr_channel_receive(struct tmgr_context *context, struct tmgr_channel *channel, void *ret_item,
	int64_t deadline)
{
	struct tmgr__wait_node *sender;
	enum outcome outcome;
	int r;

	if (!channel || (!ret_item && channel->item_size > 0))
		return -EINVAL;
	r = tmgr__wait_may_begin(context);
	if (r < 0)
		return r;
	tmgr__lock_acquire(&channel->lock);
	outcome = try_receive(channel, ret_item, &sender);
	if (outcome == HAS_TO_WAIT)
		return wait_on(channel, &channel->receivers, ret_item, context, deadline);
	tmgr__lock_release(&channel->lock);
	if (sender)
		wake(sender);
	return outcome == CLOSED ? -EPIPE : 0;
}
