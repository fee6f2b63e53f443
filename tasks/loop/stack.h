/*
 * Stacks of coroutines: from slabs of address space, all of one size in a slab, guarded, used again
 * last in, first out. All loops of a process share what is in no loop's hands.
 */
#ifndef TMGR__LOOP_STACK_H
#define TMGR__LOOP_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* At the top of each stack, where its coroutine's memory is too. */
struct tmgr__stack {
	struct tmgr__stack *next; /* free ones */
	char *bottom;             /* the lowest byte that may be used */
	uint32_t size;            /* of the whole, with its guard */
	bool canary;
};

/* The classes of sizes: 16, 64 and 256 KiB. The index of one, or -1. */
int tmgr__stack_class(size_t size);

/*
 * Take a stack: with `reserve` bytes at its top for the caller, behind the struct. NULL: no memory, or
 * no mapping left to guard it. Any thread.
 */
struct tmgr__stack *tmgr__stack_take(int size_class, bool canary);
/* Give a stack back that nobody runs on. Any thread. */
void tmgr__stack_give(struct tmgr__stack *stack);
/* Several, linked by next. */
void tmgr__stack_give_all(struct tmgr__stack *first, struct tmgr__stack *last, size_t count);
/* Those made and not given back to the system. */
size_t tmgr__stack_count(void);
/* Whether an address is in the guard below a stack that is in use. */
bool tmgr__stack_overflown(const struct tmgr__stack *stack, const void *address);
/* Whether the pattern at its end has been written over. */
bool tmgr__stack_broken(const struct tmgr__stack *stack);

#endif
