/**
 * @file
 * Channels: items of one size, first in first out, between any threads and coroutines. And select
 * over them.
 *
 * An unbuffered channel (capacity 0) hands each item from a sender to a receiver that meet. A
 * closed one drains, then receiving gives -EPIPE; sending on it gives -EPIPE at once.
 */
#ifndef TMGR_CHANNEL_H
#define TMGR_CHANNEL_H

#include <taskmgr/context.h>

/** Most bytes of one item. */
#define TMGR_CHANNEL_ITEM_MAX 65536
/** Most items a channel can buffer. */
#define TMGR_CHANNEL_CAPACITY_MAX 16777216
/** Most cases of one select. */
#define TMGR_SELECT_MAX 64

struct tmgr_channel;

/** What a case of a select does. */
enum tmgr_select_op {
	TMGR_SELECT_SEND = 1, /**< send item on channel */
	TMGR_SELECT_RECEIVE,  /**< receive from channel into item */
	TMGR_SELECT_AFTER,    /**< fire at or after the time `at` */
	/** fire when nothing else can at once; looked at last, wherever it stands */
	TMGR_SELECT_DEFAULT,
	/** fire when a reload was requested (SIGHUP), and take the request */
	TMGR_SELECT_RELOAD,
};

/** A case of a select. */
struct tmgr_select_case {
	enum tmgr_select_op op;
	struct tmgr_channel *channel; /**< for send and receive */
	/** for send (only read) and receive; NULL when items have size 0 */
	void *item;
	int64_t at; /**< for after: absolute, monotonic, nanoseconds */
	/** written when this case fires: 0, or -EPIPE on a closed channel */
	int result;
};

TMGR_BEGIN_DECLS

/**
 * Make a channel.
 *
 * @param item_size    bytes of an item, 0 to TMGR_CHANNEL_ITEM_MAX
 * @param capacity     items it buffers, 0 to TMGR_CHANNEL_CAPACITY_MAX
 * @param ret_channel  returned, release with tmgr_channel_unref()
 *
 * @retval 0        made
 * @retval -EINVAL  ret_channel is NULL or a number is out of range
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_channel_create(
	size_t item_size, size_t capacity, struct tmgr_channel **ret_channel);

/**
 * Take a reference.
 *
 * @param channel  NULL is allowed
 *
 * @return channel
 *
 * @thread any thread
 */
TMGR_API struct tmgr_channel *tmgr_channel_ref(struct tmgr_channel *channel);

/**
 * Give a reference back; the last one ends the channel and drops what it buffers. Whoever waits on
 * it holds one.
 *
 * @param channel  NULL is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_channel_unref(struct tmgr_channel *channel);

/**
 * Close: waits to send end with -EPIPE, their items not taken; receivers drain the buffer, then get
 * -EPIPE.
 *
 * @param channel  a channel
 *
 * @retval 0          closed
 * @retval -EALREADY  it was closed
 * @retval -EINVAL    channel is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_channel_close(struct tmgr_channel *channel);

/**
 * Items buffered at this moment.
 *
 * @param channel  NULL has none
 *
 * @return a number of items, stale as soon as it is read
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_channel_count(const struct tmgr_channel *channel);

/**
 * Bytes of one item.
 *
 * @param channel  NULL has none
 *
 * @return what tmgr_channel_create() was given
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_channel_item_size(const struct tmgr_channel *channel);

/**
 * Send an item.
 *
 * @param context   the task's, or NULL
 * @param channel   a channel
 * @param item      copied; may be NULL when items have size 0
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NOW tries once
 *
 * @retval 0           a receiver or the buffer has it
 * @retval -EPIPE      the channel is closed; the item was not taken
 * @retval -ECANCELED  the token fired first; the item was not taken
 * @retval -ETIMEDOUT  the deadline came first; the item was not taken
 * @retval -EINVAL     channel or item is NULL
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_channel_send(struct tmgr_context *context, struct tmgr_channel *channel,
	const void *item, int64_t deadline);

/**
 * Receive an item.
 *
 * @param context   the task's, or NULL
 * @param channel   a channel
 * @param ret_item  written only on success; may be NULL when items have size 0
 * @param deadline  absolute, monotonic, nanoseconds; TMGR_NOW tries once
 *
 * @retval 0           received
 * @retval -EPIPE      the channel is closed and drained
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     channel or ret_item is NULL
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_channel_receive(struct tmgr_context *context, struct tmgr_channel *channel,
	void *ret_item, int64_t deadline);

/**
 * Wait for the first of several cases.
 *
 * Cases are looked at in order and the first that can fire does, one on a closed channel with the
 * result -EPIPE. If none can, the first event afterwards takes it. Exactly one case fires; the
 * others have no effect.
 *
 * @param context   the task's, or NULL
 * @param cases     count cases; the one that fires has its result, and item for receive, written
 * @param count     1 to TMGR_SELECT_MAX
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @return the index of the case that fired, or
 * @retval -ECANCELED  the token fired first; no case did
 * @retval -ETIMEDOUT  the deadline came first; no case fired
 * @retval -EINVAL     cases is NULL, count is out of range, or a case lacks its channel or item,
 *                     has an unknown op, or is a reload case without a context
 *
 * @thread the task's; may block; cancellation point
 * @source Go's select, but in order
 */
TMGR_API int tmgr_select(struct tmgr_context *context, struct tmgr_select_case *cases, size_t count,
	int64_t deadline);

TMGR_END_DECLS

#endif
