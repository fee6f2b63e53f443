/*
 * Switching stacks.
 *
 * A fiber is a flow of control that can be left and gone on with: the saved stack pointer, and what
 * the sanitizers have to know. What a call preserves is saved on its stack, rounding modes too; all
 * else is the caller's.
 */
#ifndef TMGR__LOOP_SWITCH_H
#define TMGR__LOOP_SWITCH_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define TMGR__SWITCH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TMGR__SWITCH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TMGR__SWITCH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TMGR__SWITCH_TSAN 1
#endif
#endif

/* Sanitizers fill frames with much of their own: stacks are to be large then. */
#if defined(TMGR__SWITCH_ASAN) || defined(TMGR__SWITCH_TSAN)
#define TMGR__SWITCH_SANITIZED 1
#endif

/* Elsewhere than on these, and where asked for, ucontext does it. */
#if !defined(TMGR_UCONTEXT) && (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__)
#define TMGR__SWITCH_NATIVE 1
#endif

struct tmgr__fiber {
	void *sp; /* first; while it is left. Of ucontext a pointer to its context */
#if defined(TMGR__SWITCH_SANITIZED)
	/* The stack it runs on, and what they know it by: NULL, or of a fiber before on that stack. */
	const void *bottom;
	size_t size;
	void *sanitizer;
#endif
};

/* What the sanitizers know a fiber by, to be kept with its stack; NULL without. */
static inline void *tmgr__fiber_sanitizer(const struct tmgr__fiber *fiber)
{
#if defined(TMGR__SWITCH_SANITIZED)
	return fiber->sanitizer;
#else
	return NULL;
#endif
}

static inline void tmgr__fiber_set_sanitizer(struct tmgr__fiber *fiber, void *sanitizer)
{
#if defined(TMGR__SWITCH_SANITIZED)
	fiber->sanitizer = sanitizer;
#endif
}

/*
 * Make a fiber that will call entry(self) on a stack when it is switched to first. entry does not
 * return: its last act is tmgr__fiber_leave(). `top` is aligned to 16 bytes, and all below it down to
 * `bottom` is the fiber's. `sanitizer` was set before, all else is written.
 */
void tmgr__fiber_init(
	struct tmgr__fiber *fiber, void *bottom, void *top, void (*entry)(void *self), void *self);
/* What the calling thread runs on: to be switched away from, and back to. */
void tmgr__fiber_init_thread(struct tmgr__fiber *fiber);
/* The thread has left its fiber by a jump to its own stack, which this is of. */
void tmgr__fiber_jumped(struct tmgr__fiber *fiber);
/* Its stack goes back to the system. It is not running. */
void tmgr__fiber_fini(struct tmgr__fiber *fiber);
/* Leave `from` for the last time, and go on with `to`. */
_Noreturn void tmgr__fiber_leave(struct tmgr__fiber *from, struct tmgr__fiber *to);
/* Leave `from`, which is running, and go on with `to`. Returns when somebody switches back. */
#if defined(TMGR__SWITCH_NATIVE) && !defined(TMGR__SWITCH_SANITIZED)
void tmgr__switch(struct tmgr__fiber *from, struct tmgr__fiber *to);
void tmgr__switch_alike(struct tmgr__fiber *from, struct tmgr__fiber *to);
static inline void tmgr__fiber_switch(struct tmgr__fiber *from, struct tmgr__fiber *to)
{
	tmgr__switch(from, to);
}
/* The same where `to` was left by this very call too: faster then. */
static inline void tmgr__fiber_switch_alike(struct tmgr__fiber *from, struct tmgr__fiber *to)
{
	tmgr__switch_alike(from, to);
}
#else
void tmgr__fiber_switch(struct tmgr__fiber *from, struct tmgr__fiber *to);
static inline void tmgr__fiber_switch_alike(struct tmgr__fiber *from, struct tmgr__fiber *to)
{
	tmgr__fiber_switch(from, to);
}
#endif

#endif
