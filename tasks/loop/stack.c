/*
 * The depot of stacks. One lock guards all of it; loops keep some of their own, so it is taken
 * rarely.
 *
 * A slab is one piece of address space, cut into stacks of one size one after another as they are
 * needed. Each next one of a kind is larger, so that a million stacks are few mappings. A stack's
 * pages come when they are touched, and go back when it has not been needed for a while; then only
 * the slab remembers it.
 *
 * The lowest page of a stack is its guard. Where the kernel can mark pages inside a mapping
 * (MADV_GUARD_INSTALL, Linux 6.13) that takes no mapping of its own; else mprotect() splits off two
 * for each stack. A canary takes none either: it is the end of that page, which nobody has written,
 * and so is zero; looking at it gives it no page of its own.
 */
#include "stack.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "taskmgr/base/check.h"
#include "taskmgr/base/sync.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* linux/mman.h of 6.13 */
#endif

#define SLAB_STACKS_MIN 16
#define SLAB_BYTES_MAX ((size_t)1 << 30)
/* Kept for ever. */
#define KEPT_MIN 256
/* So much at a time, for it is done between two turns of a loop. */
#define TRIM_MAX 4096

/* Tops of stacks stand at the same place of their pages, which share few lines of the cache. */
#define COLOURS 16
#define COLOUR_BYTES 128

struct tmgr__slab {
	struct tmgr__slab *next; /* of its kind */
	struct kind *kind;
	char *memory;
	uint32_t count, made;
	uint32_t cold; /* the first that has no pages, + 1 */
	uint32_t next_cold[];
};

/* Stacks of one size with one kind of guard. */
struct kind {
	size_t size; /* in whole pages, with the guard; 0: none was made */
	bool canary;
	struct tmgr__stack *used;      /* that have pages */
	size_t used_count, used_least; /* now, and since the last trim */
	struct tmgr__slab *slabs;
	size_t slab_count;
};

#define CLASSES 3

/* Bytes beside the guard, where no page is larger. */
static const size_t usable[CLASSES] = { 16384, 65536, 262144 };

static struct {
	struct tmgr__lock lock;
	size_t page; /* bytes, of a guard, too; 0: no stack was made */
	struct kind kinds[CLASSES][2];
	size_t with_pages;
	int guard_install; /* 0 unknown, 1 the kernel has it, -1 it has not */
	int64_t trimmed;
} depot = {
	.kinds = {
		{ [true] = { .canary = true } },
		{ [true] = { .canary = true } },
		{ [true] = { .canary = true } },
	},
};

int tmgr__stack_class(size_t size)
{
	for (int i = 0; i < CLASSES; i++)
		if (size == usable[i])
			return i;
	return size == 0 ? 1 : -1;
}

static struct kind *kind_of(int size_class, bool canary)
{
#if defined(TMGR__SWITCH_SANITIZED)
	size_class = CLASSES - 1;
#endif
	return &depot.kinds[size_class][canary];
}

const void *tmgr__stack_kind_of(int size_class, bool canary)
{
	return kind_of(size_class, canary);
}

/* A kernel that does not know it says so; then it is never asked again. */
static int install_guard(char *page)
{
	if (depot.guard_install >= 0) {
		if (madvise(page, depot.page, MADV_GUARD_INSTALL) == 0) {
			depot.guard_install = 1;
			return 0;
		}
		if (depot.guard_install == 1 || errno != EINVAL)
			return -ENOMEM;
		depot.guard_install = -1;
	}
	return mprotect(page, depot.page, PROT_NONE) < 0 ? -ENOMEM : 0;
}

/*
 * The guard is besides what a stack may use. So stacks stand an odd number of pages apart, where these are
 * small; at a power of two the page of each top would fall into the same few sets of the processor's
 * address cache.
 */
static void measure(struct kind *kind)
{
	size_t size = usable[(size_t)(kind - &depot.kinds[0][0]) / 2];

	if (depot.page == 0)
		depot.page = (size_t)sysconf(_SC_PAGESIZE);
	kind->size = ((size + depot.page - 1) & ~(depot.page - 1)) + depot.page;
}

/* What is known of a slab stands in its own mapping, above its stacks: it stays for ever, too. */
static struct tmgr__slab *make_slab(struct kind *kind)
{
	size_t count = SLAB_STACKS_MIN, bytes;
	struct tmgr__slab *slab;
	char *memory;

	if (kind->size == 0)
		measure(kind);
	for (size_t i = 0; i < kind->slab_count && count * kind->size * 2 <= SLAB_BYTES_MAX; i++)
		count *= 2;
	bytes = count * kind->size + sizeof(*slab) + count * sizeof(slab->next_cold[0]);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	/* One huge page would be many stacks, and all of it resident. */
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	slab = (struct tmgr__slab *)(void *)(memory + count * kind->size);
	slab->memory = memory;
	slab->kind = kind;
	slab->count = (uint32_t)count;
	slab->next = kind->slabs;
	kind->slabs = slab;
	kind->slab_count++;
	return slab;
}

/* The struct at the top of a stack that has no pages, or lost them. */
static struct tmgr__stack *set_up(struct tmgr__slab *slab, uint32_t index)
{
	size_t size = slab->kind->size;
	char *slot = slab->memory + index * size;
	size_t shift = (index % COLOURS) * COLOUR_BYTES;
	struct tmgr__stack *stack = (struct tmgr__stack *)(void *)(slot + size - shift -
								   sizeof(struct tmgr__stack));

	*stack = (struct tmgr__stack){ .slab = slab,
		.bottom = slot + depot.page,
		.index = index,
		.canary = slab->kind->canary,
		.kind = slab->kind };
	depot.with_pages++;
	return stack;
}

/* One whose pages went back, or that was never used. */
static struct tmgr__stack *take_cold(struct kind *kind)
{
	struct tmgr__slab *slab;

	for (slab = kind->slabs; slab; slab = slab->next) {
		uint32_t index = slab->cold;

		if (index > 0) {
			slab->cold = slab->next_cold[index - 1];
			return set_up(slab, index - 1);
		}
		if (slab->made < slab->count)
			break;
	}
	if (!slab)
		slab = make_slab(kind);
	if (!slab)
		return NULL;
	if (!kind->canary && install_guard(slab->memory + slab->made * kind->size) < 0)
		return NULL;
#if defined(VALGRIND_STACK_REGISTER)
	VALGRIND_STACK_REGISTER(slab->memory + slab->made * kind->size,
		slab->memory + (slab->made + 1) * kind->size);
#endif
	return set_up(slab, slab->made++);
}

static struct tmgr__stack *pop_used(struct kind *kind)
{
	struct tmgr__stack *stack = kind->used;

	if (stack) {
		/* What a loop kept there was of use to that loop only. */
		stack->warm = NULL;
		kind->used = stack->next;
		/* Who takes the next one looks at it first. */
		__builtin_prefetch(kind->used, 1);
		if (--kind->used_count < kind->used_least)
			kind->used_least = kind->used_count;
	}
	return stack;
}

struct tmgr__stack *tmgr__stack_take(int size_class, bool canary)
{
	struct kind *kind = kind_of(size_class, canary);
	struct tmgr__stack *stack;

	tmgr__lock_acquire(&depot.lock);
	stack = pop_used(kind);
	if (!stack)
		stack = take_cold(kind);
	tmgr__lock_release(&depot.lock);
	if (stack)
		stack->next = NULL;
	return stack;
}

struct tmgr__stack *tmgr__stack_take_used(int size_class, bool canary, size_t count)
{
	struct kind *kind = kind_of(size_class, canary);
	struct tmgr__stack *first = NULL, *stack;

	tmgr__lock_acquire(&depot.lock);
	while (count-- > 0 && (stack = pop_used(kind))) {
		stack->next = first;
		first = stack;
	}
	tmgr__lock_release(&depot.lock);
	return first;
}

bool tmgr__stacks_give(struct tmgr__stack *first, struct tmgr__stack *last, size_t count)
{
	struct kind *kind = first->slab->kind;
	bool many;

	tmgr__lock_acquire(&depot.lock);
	last->next = kind->used;
	kind->used = first;
	kind->used_count += count;
	many = kind->used_count > KEPT_MIN;
	tmgr__lock_release(&depot.lock);
	return many;
}

bool tmgr__stack_give(struct tmgr__stack *stack)
{
	return tmgr__stacks_give(stack, stack, 1);
}

/* Give its pages back. Under the lock. */
static void chill(struct tmgr__stack *stack)
{
	struct tmgr__slab *slab = stack->slab;
	uint32_t index = stack->index;
	size_t size = slab->kind->size;
	struct tmgr__fiber fiber = { .sp = NULL };

	tmgr__fiber_set_sanitizer(&fiber, stack->sanitizer);
	tmgr__fiber_fini(&fiber);
	/* A mark of MADV_GUARD_INSTALL stays where it is, as does a protection. */
	madvise(slab->memory + index * size, size, MADV_DONTNEED);
	slab->next_cold[index] = slab->cold;
	slab->cold = index + 1;
	depot.with_pages--;
}

/* Half of what nobody has needed since the last time. */
static size_t trim_kind(struct kind *kind)
{
	size_t excess = kind->used_least > KEPT_MIN ? (kind->used_least - KEPT_MIN + 1) / 2 : 0;

	if (excess > TRIM_MAX)
		excess = TRIM_MAX;
	for (size_t i = 0; i < excess; i++) {
		struct tmgr__stack *stack = kind->used;

		kind->used = stack->next;
		kind->used_count--;
		chill(stack);
	}
	kind->used_least = kind->used_count;
	return kind->used_count > KEPT_MIN ? kind->used_count - KEPT_MIN : 0;
}

int64_t tmgr__stacks_trim(int64_t now)
{
	size_t left = 0;

	tmgr__lock_acquire(&depot.lock);
	if (now - depot.trimmed < TMGR__STACKS_TRIM_NS && now >= depot.trimmed) {
		int64_t at = depot.trimmed + TMGR__STACKS_TRIM_NS;

		for (int i = 0; i < CLASSES; i++)
			left += (depot.kinds[i][0].used_count > KEPT_MIN) +
				(depot.kinds[i][1].used_count > KEPT_MIN);
		tmgr__lock_release(&depot.lock);
		return left > 0 ? at : INT64_MAX;
	}
	depot.trimmed = now;
	for (int i = 0; i < CLASSES; i++)
		left += trim_kind(&depot.kinds[i][0]) + trim_kind(&depot.kinds[i][1]);
	tmgr__lock_release(&depot.lock);
	return left > 0 ? now + TMGR__STACKS_TRIM_NS : INT64_MAX;
}

/* Whoever has a stack has it from the depot, which knew the size of a page then. */
bool tmgr__stack_overflown(const struct tmgr__stack *stack, const void *address)
{
	const char *at = address;

	return at < stack->bottom && at >= stack->bottom - depot.page;
}

size_t tmgr__stacks_count(void)
{
	size_t count;

	tmgr__lock_acquire(&depot.lock);
	count = depot.with_pages;
	tmgr__lock_release(&depot.lock);
	return count;
}
