#include "sync.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How often a waiter looks again before it sleeps: a critical section is some 50 ns long. */
#define SPINS 40

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

void tmgr__lock_wait(struct tmgr__lock *lock)
{
	int i;

	for (i = 0; i < SPINS; i++) {
		uint32_t expected = 0;

		relax();
		if (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) == 0 &&
			__atomic_compare_exchange_n(&lock->word, &expected, 1, false,
				__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
	}
	while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE) != 0)
		tmgr__futex_wait(&lock->word, 2, INT64_MAX);
}

void tmgr__lock_wake(struct tmgr__lock *lock)
{
	tmgr__futex_wake(&lock->word, 1);
}

/*
 * The thread sanitizer keeps a signal back until the thread makes a call that it knows, and a futex
 * is none. So under it a wait ends now and then, which callers allow, and makes one.
 */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
static int64_t let_signals_in(int64_t deadline)
{
	struct timespec now;
	int64_t soon;

	usleep(1);
	clock_gettime(CLOCK_MONOTONIC, &now);
	soon = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + 10000000;
	return soon < deadline ? soon : deadline;
}
#else
#define let_signals_in(deadline) (deadline)
#endif

void tmgr__futex_wait(const uint32_t *word, uint32_t value, int64_t deadline)
{
	struct timespec until, *timeout = NULL;
	int saved = errno;

	deadline = let_signals_in(deadline);
	if (deadline != INT64_MAX) {
		until.tv_sec = (time_t)(deadline / 1000000000);
		until.tv_nsec = (long)(deadline % 1000000000);
		timeout = &until;
	}
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, timeout, NULL,
		FUTEX_BITSET_MATCH_ANY);
	errno = saved;
}

void tmgr__futex_wake(const uint32_t *word, int count)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
	errno = saved;
}

int tmgr__thread_id(void)
{
	static __thread int id;

	if (id == 0)
		id = (int)syscall(SYS_gettid);
	return id;
}
