/*
 * The stand-ins for the allocator and for pthread_create(), see the Makefile and the file "wraps".
 *
 * What is alive is kept as addresses in a table with open addressing, in static memory, under one
 * lock. Blocks from functions that are not wrapped are not in the table, and freeing them changes
 * nothing. The lock would give the thread sanitizer an order between threads that the code under
 * test does not have, so there nothing is counted.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/fault.h"

#define TABLE_SIZE (1u << 20)

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ret, size_t alignment, size_t size);
void __real_free(void *memory);
void *__real_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset);
int __real_madvise(void *at, size_t length, int advice);
int __real_mprotect(void *at, size_t length, int protection);
long __real_sysconf(int name);
int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attributes,
	void *(*function)(void *), void *argument);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);
void __wrap_free(void *memory);
void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset);
int __wrap_madvise(void *at, size_t length, int advice);
int __wrap_mprotect(void *at, size_t length, int protection);
long __wrap_sysconf(int name);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attributes,
	void *(*function)(void *), void *argument);

struct block {
	uintptr_t address;
	size_t size;
	void *caller;
};

static struct {
	long allocation, thread, mapping; /* countdowns; 0 is off */
	long allocations, threads, protections;
	int all, happened, counting, old_kernel;
	void (*before_refusal)(void);
	size_t page_size;
} fault;

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block table[TABLE_SIZE];
static long live;

static size_t slot_of(uintptr_t address)
{
	return (size_t)((address >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 44) & (TABLE_SIZE - 1);
}

static void remember(void *memory, size_t size, void *caller)
{
	size_t i = slot_of((uintptr_t)memory);

	if (memory == NULL || !__atomic_load_n(&fault.counting, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&table_lock);
	if (live < (long)TABLE_SIZE / 2) {
		while (table[i].address != 0)
			i = (i + 1) & (TABLE_SIZE - 1);
		table[i] = (struct block){ (uintptr_t)memory, size, caller };
		live++;
	}
	pthread_mutex_unlock(&table_lock);
}

/* Take a block out and move back those behind it that would no longer be found. */
static void remove_at(size_t hole)
{
	size_t i = hole;

	for (;;) {
		i = (i + 1) & (TABLE_SIZE - 1);
		if (table[i].address == 0)
			break;
		size_t home = slot_of(table[i].address);

		if (((i - home) & (TABLE_SIZE - 1)) >= ((i - hole) & (TABLE_SIZE - 1))) {
			table[hole] = table[i];
			hole = i;
		}
	}
	table[hole] = (struct block){ 0 };
	live--;
}

static void forget(void *memory)
{
	size_t i = slot_of((uintptr_t)memory);

	if (memory == NULL || !__atomic_load_n(&fault.counting, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&table_lock);
	while (table[i].address != 0 && table[i].address != (uintptr_t)memory)
		i = (i + 1) & (TABLE_SIZE - 1);
	if (table[i].address != 0)
		remove_at(i);
	pthread_mutex_unlock(&table_lock);
}

/* Count a countdown down; whether it has just come to its end. */
static bool strikes(long *countdown)
{
	if (__atomic_load_n(countdown, __ATOMIC_RELAXED) <= 0)
		return false;
	if (__atomic_sub_fetch(countdown, 1, __ATOMIC_RELAXED) != 0)
		return false;
	__atomic_store_n(&fault.happened, 1, __ATOMIC_RELAXED);
	return true;
}

static bool allocation_fails(void)
{
	__atomic_add_fetch(&fault.allocations, 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(&fault.all, __ATOMIC_RELAXED)) {
		__atomic_store_n(&fault.happened, 1, __ATOMIC_RELAXED);
		return true;
	}
	return strikes(&fault.allocation);
}

void *__wrap_malloc(size_t size)
{
	void *memory = NULL;

	if (allocation_fails())
		errno = ENOMEM;
	else
		memory = __real_malloc(size);
	remember(memory, size, __builtin_return_address(0));
	return memory;
}

void *__wrap_calloc(size_t count, size_t size)
{
	void *memory = NULL;

	if (allocation_fails())
		errno = ENOMEM;
	else
		memory = __real_calloc(count, size);
	remember(memory, count * size, __builtin_return_address(0));
	return memory;
}

void *__wrap_realloc(void *old, size_t size)
{
	void *memory;

	if (allocation_fails()) {
		errno = ENOMEM;
		return NULL;
	}
	/* Forgotten first: once it is released another thread may be given the same address. */
	forget(old);
	memory = __real_realloc(old, size);
	remember(memory, size, __builtin_return_address(0));
	return memory;
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return __wrap_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	void *memory = NULL;

	if (allocation_fails())
		errno = ENOMEM;
	else
		memory = __real_aligned_alloc(alignment, size);
	remember(memory, size, __builtin_return_address(0));
	return memory;
}

int __wrap_posix_memalign(void **ret, size_t alignment, size_t size)
{
	int r;

	if (allocation_fails())
		return ENOMEM;
	r = __real_posix_memalign(ret, alignment, size);
	if (r == 0)
		remember(*ret, size, __builtin_return_address(0));
	return r;
}

char *__wrap_strndup(const char *text, size_t length)
{
	size_t bytes = strnlen(text, length);
	char *copy = __wrap_malloc(bytes + 1);

	if (copy != NULL) {
		memcpy(copy, text, bytes);
		copy[bytes] = '\0';
	}
	return copy;
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, strlen(text));
}

void __wrap_free(void *memory)
{
	forget(memory);
	__real_free(memory);
}

int __wrap_pthread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
	__atomic_add_fetch(&fault.threads, 1, __ATOMIC_RELAXED);
	if (strikes(&fault.thread)) {
		if (fault.before_refusal)
			fault.before_refusal();
		return EAGAIN;
	}
	return __real_pthread_create(ret, attributes, function, argument);
}

static size_t page_size(void)
{
	return __atomic_load_n(&fault.page_size, __ATOMIC_RELAXED);
}

long __wrap_sysconf(int name)
{
	return name == _SC_PAGESIZE && page_size() > 0 ? (long)page_size() : __real_sysconf(name);
}

static bool is_whole_pages(const void *at, size_t length)
{
	return page_size() == 0 || (((uintptr_t)at | length) & (page_size() - 1)) == 0;
}

/* What is in front of the first page is left mapped, and so is what is behind. */
static void *at_page(void *memory)
{
	uintptr_t mask = page_size() - 1;

	return (void *)(((uintptr_t)memory + mask) & ~mask);
}

/* As many as mmap() has: NOLINTNEXTLINE(readability-function-size) */
void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	if (strikes(&fault.mapping)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	if (page_size() > 0 && !at && fd < 0) {
		void *memory = __real_mmap(at, length + page_size(), protection, flags, fd, offset);

		return memory == MAP_FAILED ? memory : at_page(memory);
	}
	return __real_mmap(at, length, protection, flags, fd, offset);
}

int __wrap_madvise(void *at, size_t length, int advice)
{
	if (advice == MADV_GUARD_INSTALL && __atomic_load_n(&fault.old_kernel, __ATOMIC_RELAXED)) {
		errno = EINVAL;
		return -1;
	}
	if (advice == MADV_GUARD_INSTALL && !is_whole_pages(at, length)) {
		errno = EINVAL;
		return -1;
	}
	if (advice == MADV_GUARD_INSTALL && strikes(&fault.mapping)) {
		errno = ENOMEM;
		return -1;
	}
	return __real_madvise(at, length, advice);
}

int __wrap_mprotect(void *at, size_t length, int protection)
{
	__atomic_add_fetch(&fault.protections, 1, __ATOMIC_RELAXED);
	if (strikes(&fault.mapping)) {
		errno = ENOMEM;
		return -1;
	}
	if (!is_whole_pages(at, length)) {
		errno = EINVAL;
		return -1;
	}
	return __real_mprotect(at, length, protection);
}

void fault_fail_mapping(long k)
{
	__atomic_store_n(&fault.happened, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault.mapping, k, __ATOMIC_RELAXED);
}

void fault_old_kernel(bool on)
{
	__atomic_store_n(&fault.old_kernel, on, __ATOMIC_RELAXED);
}

void fault_page_size(size_t size)
{
	__atomic_store_n(&fault.page_size, size, __ATOMIC_RELAXED);
}

long fault_protections(void)
{
	return __atomic_load_n(&fault.protections, __ATOMIC_RELAXED);
}

void fault_fail_allocation(long k)
{
	__atomic_store_n(&fault.happened, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault.allocation, k, __ATOMIC_RELAXED);
}

void fault_fail_all_allocations(bool on)
{
	__atomic_store_n(&fault.happened, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault.all, on, __ATOMIC_RELAXED);
}

void fault_fail_thread(long k)
{
	__atomic_store_n(&fault.happened, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault.thread, k, __ATOMIC_RELAXED);
}

void fault_fail_thread_after(void (*function)(void))
{
	fault.before_refusal = function;
	fault_fail_thread(1);
}

bool fault_happened(void)
{
	return __atomic_load_n(&fault.happened, __ATOMIC_RELAXED) != 0;
}

long fault_allocations(void)
{
	return __atomic_load_n(&fault.allocations, __ATOMIC_RELAXED);
}

long fault_threads(void)
{
	return __atomic_load_n(&fault.threads, __ATOMIC_RELAXED);
}

void fault_off(void)
{
	__atomic_store_n(&fault.allocation, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault.thread, 0, __ATOMIC_RELAXED);
	fault.before_refusal = NULL;
	__atomic_store_n(&fault.mapping, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault.old_kernel, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault.page_size, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault.all, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault.happened, 0, __ATOMIC_RELAXED);
}

void fault_count_begin(void)
{
	if (FAULT_TSAN)
		return;
	pthread_mutex_lock(&table_lock);
	if (live != 0)
		memset(table, 0, sizeof(table));
	live = 0;
	pthread_mutex_unlock(&table_lock);
	__atomic_store_n(&fault.counting, 1, __ATOMIC_RELAXED);
}

long fault_live(void)
{
	long n;

	pthread_mutex_lock(&table_lock);
	n = live;
	pthread_mutex_unlock(&table_lock);
	return n;
}

void fault_print_live(void)
{
	int printed = 0;

	pthread_mutex_lock(&table_lock);
	for (size_t i = 0; i < TABLE_SIZE && live > 0 && printed < 8; i++) {
		if (table[i].address == 0)
			continue;
		fprintf(stderr, "  alive: %zu bytes, allocated at %p\n", table[i].size,
			table[i].caller);
		printed++;
	}
	pthread_mutex_unlock(&table_lock);
}

void fault_count_end(void)
{
	__atomic_store_n(&fault.counting, 0, __ATOMIC_RELAXED);
}

void *fault_free_of_faults(size_t size)
{
	return __real_calloc(1, size);
}
