/*
 * Channels from inside: what a select does with one, under its lock.
 */
#ifndef TMGR__CHANNEL_H
#define TMGR__CHANNEL_H

#include <taskmgr/channel.h>

#include "reload.h"

struct tmgr_channel {
	struct tmgr__lock lock; /* guards all but the first two */
	uint32_t refs;
	size_t item_size;
	size_t capacity;
	size_t count, head;
	bool closed;
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
/* Under the lock. */
void tmgr__channel_enrol(
	struct tmgr_channel *channel, struct tmgr__list *list, struct tmgr__wait_node *node);

#endif
