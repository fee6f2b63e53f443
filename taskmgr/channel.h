/*
 * Channels from inside: what a select does with one, under its lock.
 */
#ifndef TMGR__CHANNEL_H
#define TMGR__CHANNEL_H

#include <taskmgr/channel.h>

#include "reload.h"

struct tmgr_channel {
	struct tmgr__lock lock; /* guards all but the next */
	uint32_t refs;          /* atomic: of users; who waits needs none */
	size_t item_size;
	size_t capacity;
	size_t count, head;
	bool closed;
	bool orphan;       /* the last user is gone; who waits last releases it */
	size_t waiting;    /* nodes whose owners will come back for them: they were not claimed */
	uint64_t sequence; /* of the next node, senders and receivers alike */
	struct tmgr__list senders, receivers;
	unsigned char buffer[];
};

/*
 * Under the lock: 1 when done with *result set, 0 when it has to wait. A partner that was won is
 * put on *won.
 */
int tmgr__channel_try_send(
	struct tmgr_channel *channel, const void *item, int *result, struct tmgr__wait_node **won);
int tmgr__channel_try_receive(
	struct tmgr_channel *channel, void *item, int *result, struct tmgr__wait_node **won);
/* Under the lock: the channel stays until the node was claimed, or withdrawn. */
static inline void tmgr__channel_enrol(
	struct tmgr_channel *channel, struct tmgr__list *list, struct tmgr__wait_node *node)
{
	channel->waiting++;
	node->sequence = channel->sequence++;
	tmgr__list_append(list, &node->link);
}
/* Under no lock: take back a node that was not claimed. The channel may be gone afterwards. */
void tmgr__channel_withdraw(struct tmgr_channel *channel, struct tmgr__wait_node *node);

#endif
