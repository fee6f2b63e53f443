/*
 * Stacks of coroutines: from slabs of address space, guarded, used again last in, first out. What is
 * in no loop's hands is shared by all loops of the process.
 */
#ifndef TMGR__LOOP_STACK_H
#define TMGR__LOOP_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/time.h>

#include "switch.h"

struct tmgr__slab;

/* How long a stack has to be unused before its pages go back. */
#define TMGR__STACKS_TRIM_NS TMGR_SECOND

/* At the top of each stack. What its user keeps there goes below it, and its fiber below that. */
struct tmgr__stack {
	struct tmgr__stack *next; /* free ones */
	void *sanitizer; /* what they know the last fiber on it by; it serves for the next */
	void *warm; /* what a loop keeps on it for the next coroutine, while it is the loop's */
	struct tmgr__slab *slab;
	const void
		*kind; /* what all of a class with one guard have in common; to be compared only */
	char *bottom;  /* the lowest byte that may be used */
	uint32_t index;
	bool canary;
};

/* The classes of sizes: 16, 64 and 256 KiB. The index of the one that is meant, or -1. */
int tmgr__stack_class(size_t size);

/* The kind of such stacks. */
const void *tmgr__stack_kind_of(int size_class, bool canary);

/* Take a stack; NULL: no memory, or no mapping left to guard it. Any thread. */
struct tmgr__stack *tmgr__stack_take(int size_class, bool canary);
/* Take up to `count` that were used before, linked by next, without making any. */
struct tmgr__stack *tmgr__stack_take_used(int size_class, bool canary, size_t count);
/* Give a stack back that nobody runs on: whether there are more now than are kept. Any thread. */
bool tmgr__stack_give(struct tmgr__stack *stack);
/* Several, of one class and guard, linked by next from the first to the last. */
bool tmgr__stacks_give(struct tmgr__stack *first, struct tmgr__stack *last, size_t count);
/*
 * Give pages of stacks back to the system that have not been needed lately; when to call again, or
 * INT64_MAX.
 */
int64_t tmgr__stacks_trim(int64_t now);
/* Those that have pages: in use, or kept for the next. */
size_t tmgr__stacks_count(void);

/* Whether an address is in the guard below a stack. Async-signal-safe. */
bool tmgr__stack_overflown(const struct tmgr__stack *stack, const void *address);

/* Whether something was written below its end. */
static inline bool tmgr__stack_broken(const struct tmgr__stack *stack)
{
	const uint64_t *words = (const uint64_t *)(const void *)stack->bottom - 8;

	return (words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] |
		       words[7]) != 0;
}

#endif
