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

#include <taskmgr/host.h>

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

/* That of this thread, for waits without a context. */
struct tmgr_waiter *tmgr__waiter_own(void);
void tmgr__waiter_fini(struct tmgr_waiter *waiter);
/* That of a context, or with NULL the calling thread's. */
struct tmgr_waiter *tmgr__waiter_of(struct tmgr_context *context);
extern const struct tmgr_waiter_ops tmgr__thread_waiter_ops;
void tmgr__thread_park(struct tmgr_waiter *waiter, uint32_t state, int64_t deadline);
void tmgr__thread_wake(struct tmgr_waiter *waiter);
int tmgr__thread_park_fd(struct tmgr_waiter *waiter, int fd, short events, int64_t deadline);

/*
 * Partner's side: win a waiter, do the copying, then complete it. False: it is not waiting any
 * more.
 */
static inline bool tmgr__waiter_claim(struct tmgr_waiter *waiter)
{
	uint32_t state = TMGR__WAITER_WAITING;

	if (__builtin_expect(__atomic_compare_exchange_n(&waiter->state, &state, TMGR__WAITER_BUSY,
				     false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED),
		    1))
		return true;
	return state == TMGR__WAITER_SHIELDED &&
	       __atomic_compare_exchange_n(&waiter->state, &state, TMGR__WAITER_BUSY, false,
		       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
/* The waiter must have been claimed; after this only tmgr__waiter_wake() of this address. */
static inline const struct tmgr_waiter_ops *tmgr__waiter_complete(struct tmgr_waiter *waiter)
{
	const struct tmgr_waiter_ops *ops = waiter->ops;

	__atomic_store_n(&waiter->state, TMGR__WAITER_FIRED, __ATOMIC_RELEASE);
	return ops;
}
/* End a wait by cancel: from the token's callback, which the waiter's owner waits for. */
void tmgr__waiter_cancel(struct tmgr_waiter *waiter);

/*
 * Count a wait that begins; every 256th lets others of the same host run, in case none of them
 * parks. Parking sets the count back.
 */
static inline void tmgr__waiter_count(struct tmgr_waiter *waiter)
{
	if (__builtin_expect(++waiter->unwaited == 0, 0) && waiter->ops->yield)
		waiter->ops->yield(waiter);
}

/* One wait, from its owner's side. */
struct tmgr__wait {
	struct tmgr_waiter *waiter;
	struct tmgr_context *context;
	struct tmgr_token *token; /* that cuts it short, or NULL */
	int64_t deadline;         /* given by the caller */
	int64_t limit;            /* the earliest of that and the tokens' */
	bool shielded;            /* in an uninterrupted scope */
};

/* One context, one thread of control: another one waits with it just now. */
_Noreturn void tmgr__wait_misused(const struct tmgr__wait *wait);
static inline void tmgr__wait_look(const struct tmgr__wait *wait)
{
	unsigned state = __atomic_load_n(&wait->waiter->state, __ATOMIC_RELAXED);

	if (__builtin_expect(state != TMGR__WAITER_IDLE, 0))
		tmgr__wait_misused(wait);
}
/* tmgr__wait_may_begin() and tmgr__wait_set() (context.h), where there is more to do. */
int tmgr__wait_may_begin_slowly(struct tmgr_context *context);
void tmgr__wait_set_slowly(struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline);
/* Begin a wait that cancel does not end. */
void tmgr__wait_begin_shielded(
	struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline);
/*
 * What to return when the deadline passed before parking: -ETIMEDOUT or -ECANCELED; 0 when it has
 * not.
 */
int tmgr__wait_late(struct tmgr__wait *wait);
/* Under the object's locks, once the nodes are enrolled: from now on it can be claimed. */
static inline void tmgr__wait_arm(struct tmgr__wait *wait)
{
	uint32_t state = wait->shielded ? TMGR__WAITER_SHIELDED : TMGR__WAITER_WAITING;

	/* Another one may have looked at the same time as this one, before either armed. */
	state = __atomic_exchange_n(&wait->waiter->state, state, __ATOMIC_SEQ_CST);
	if (__builtin_expect(state != TMGR__WAITER_IDLE, 0))
		tmgr__wait_misused(wait);
}
/*
 * The same where a lock is given back next, before the wait parks: on this processor that is a full
 * barrier, and a plain store before it will do.
 */
static inline void tmgr__wait_arm_locked(struct tmgr__wait *wait)
{
#if defined(__x86_64__)
	uint32_t state = wait->shielded ? TMGR__WAITER_SHIELDED : TMGR__WAITER_WAITING;

	__atomic_store_n(&wait->waiter->state, state, __ATOMIC_RELEASE);
#else
	tmgr__wait_arm(wait);
#endif
}
/* With no lock held: 0 when claimed, -ECANCELED or -ETIMEDOUT. */
int tmgr__wait_park(struct tmgr__wait *wait, const char *what);
/* Instead of claim: park until fd is ready. A mask of poll(2) or a negative errno. */
int tmgr__wait_park_fd(struct tmgr__wait *wait, int fd, short events);

#endif
