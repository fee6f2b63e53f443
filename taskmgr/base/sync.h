/*
 * Locks of four bytes, and the futex under them and under the waiters. A lock that is all zero is
 * free.
 *
 * The lock's three states (free, held, held and waited for) are those of Drepper, "Futexes Are
 * Tricky", mutex 2.
 */
#ifndef TMGR__SYNC_H
#define TMGR__SYNC_H

#include <stdbool.h>
#include <stdint.h>

struct tmgr__lock {
	uint32_t word;
};

void tmgr__lock_wait(struct tmgr__lock *lock);
void tmgr__lock_wake(struct tmgr__lock *lock);

static inline void tmgr__lock_acquire(struct tmgr__lock *lock)
{
	uint32_t expected = 0;

	if (!__atomic_compare_exchange_n(
		    &lock->word, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		tmgr__lock_wait(lock);
}

static inline void tmgr__lock_release(struct tmgr__lock *lock)
{
	if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2)
		tmgr__lock_wake(lock);
}

/*
 * Sleep while *word is value, until woken or until deadline (absolute, CLOCK_MONOTONIC, ns;
 * INT64_MAX: never). May return early for no reason.
 */
void tmgr__futex_wait(const uint32_t *word, uint32_t value, int64_t deadline);
/* Only the address is used: what stood there may be gone. Async-signal-safe. */
void tmgr__futex_wake(const uint32_t *word, int count);

/* The kernel's number of this thread. */
int tmgr__thread_id(void);

#endif
