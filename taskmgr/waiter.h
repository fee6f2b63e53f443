/*
 * The one way to wait: park a thread of control until it is claimed, cancelled or late.
 *
 * States: IDLE; WAITING, or SHIELDED where cancel does not count; BUSY while a partner that won it
 * copies an item; FIRED; or CANCELLED; or LATE. All moves out of WAITING and SHIELDED are
 * compare-and-swaps; whoever wins one wakes the waiter, exactly once, and a loser never touches it
 * again.
 */
#ifndef TMGR__WAITER_H
#define TMGR__WAITER_H

#include <taskmgr/context.h>

#include "base/sync.h"

enum {
	TMGR__WAITER_IDLE,
	TMGR__WAITER_WAITING,
	TMGR__WAITER_SHIELDED,
	TMGR__WAITER_BUSY,
	TMGR__WAITER_FIRED,
	TMGR__WAITER_CANCELLED,
	TMGR__WAITER_LATE,
};

struct tmgr__waiter;

/* What differs between hosts. */
struct tmgr__waiter_ops {
	/* Return when the state has left `state`, or at the deadline, or for no reason. */
	void (*park)(struct tmgr__waiter *waiter, uint32_t state, int64_t deadline);
	/* After FIRED the waiter may be gone: only its address may be used. */
	void (*wake)(struct tmgr__waiter *waiter);
	/*
	 * Like park, and also return when fd is ready: a mask of poll(2), 0, or a negative errno.
	 */
	int (*park_fd)(struct tmgr__waiter *waiter, int fd, short events, int64_t deadline);
	/* Around a wait that really parks; may be NULL. */
	void (*before)(struct tmgr__waiter *waiter);
	void (*after)(struct tmgr__waiter *waiter);
};

struct tmgr__waiter {
	uint32_t state; /* first: a thread's futex */
	int wake_fd;    /* of a thread that has waited for a descriptor, else -1 */
	bool polling;   /* the wake goes to wake_fd */
	const struct tmgr__waiter_ops *ops;
	void *owner; /* of the host: the pool's thread */
};

/* A waiter of a thread. */
void tmgr__waiter_init(struct tmgr__waiter *waiter, const struct tmgr__waiter_ops *ops);
void tmgr__waiter_fini(struct tmgr__waiter *waiter);
extern const struct tmgr__waiter_ops tmgr__thread_waiter_ops;
void tmgr__thread_park(struct tmgr__waiter *waiter, uint32_t state, int64_t deadline);
void tmgr__thread_wake(struct tmgr__waiter *waiter);
int tmgr__thread_park_fd(struct tmgr__waiter *waiter, int fd, short events, int64_t deadline);

/*
 * Partner's side: win a waiter, do the copying, then complete it. False: it is not waiting any
 * more.
 */
bool tmgr__waiter_claim(struct tmgr__waiter *waiter);
/* The waiter must have been claimed; after this only tmgr__waiter_wake() of this address. */
static inline const struct tmgr__waiter_ops *tmgr__waiter_complete(struct tmgr__waiter *waiter)
{
	const struct tmgr__waiter_ops *ops = waiter->ops;

	__atomic_store_n(&waiter->state, TMGR__WAITER_FIRED, __ATOMIC_RELEASE);
	return ops;
}
/* End a wait by cancel: from the token's callback, which the waiter's owner waits for. */
void tmgr__waiter_cancel(struct tmgr__waiter *waiter);

/* One wait, from its owner's side. */
struct tmgr__wait {
	struct tmgr__waiter *waiter;
	struct tmgr_context *context;
	struct tmgr_token *token; /* that cuts it short, or NULL */
	int64_t deadline;         /* given by the caller */
	int64_t limit;            /* the earliest of that and the tokens' */
	bool shielded;            /* in an uninterrupted scope */
};

/*
 * Begin: 0, or -ECANCELED when the token has fired. Attaches the context's token, so no lock of an
 * object may be held.
 */
int tmgr__wait_begin(struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline);
/* The same, but cancel does not end it. */
void tmgr__wait_begin_shielded(
	struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline);
/*
 * What to return when the deadline passed before parking: -ETIMEDOUT or -ECANCELED; 0 when it has
 * not.
 */
int tmgr__wait_late(struct tmgr__wait *wait);
/* Under the object's locks, once the nodes are enrolled: from now on it can be claimed. */
void tmgr__wait_arm(struct tmgr__wait *wait);
/* With no lock held: 0 when claimed, -ECANCELED or -ETIMEDOUT. */
int tmgr__wait_park(struct tmgr__wait *wait, const char *what);
/* Instead of claim: park until fd is ready. A mask of poll(2) or a negative errno. */
int tmgr__wait_park_fd(struct tmgr__wait *wait, int fd, short events);

#endif
