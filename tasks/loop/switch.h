/*
 * Switching stacks.
 *
 * A fiber is a flow of control that can be left and gone on with: the saved stack pointer, and what
 * the sanitizers have to know. Registers that a call preserves are saved on its stack, with the
 * rounding modes; all else is the caller's.
 */
#ifndef TMGR__LOOP_SWITCH_H
#define TMGR__LOOP_SWITCH_H

#include <stddef.h>

struct tmgr__fiber {
	void *sp; /* while it is left; of ucontext a pointer to its context */
	/* For sanitizers: its stack, and what they know it by. */
	const void *bottom;
	size_t size;
	void *sanitizer;
};

/*
 * Make a fiber that will call entry(self) on a stack when it is switched to first. entry must not
 * return: its last act is to switch away with `ends`. `top` is aligned to 16 bytes, all below it down
 * to `bottom` is the fiber's.
 */
void tmgr__fiber_init(struct tmgr__fiber *fiber, void *bottom, void *top,
	void (*entry)(void *self), void *self);
/* What the calling thread runs on: to be switched away from, and back to. */
void tmgr__fiber_init_thread(struct tmgr__fiber *fiber);
/* Its stack will be used for something else, or by a new fiber. It is not running. */
void tmgr__fiber_fini(struct tmgr__fiber *fiber);
/* Leave `from`, which is running, and go on with `to`. Returns when somebody switches back. */
void tmgr__fiber_switch(struct tmgr__fiber *from, struct tmgr__fiber *to);
/* The same for the last time. */
_Noreturn void tmgr__fiber_leave(struct tmgr__fiber *from, struct tmgr__fiber *to);

#endif
