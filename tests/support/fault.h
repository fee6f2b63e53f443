/*
 * Faults, injected where the program is linked: allocations and thread creations that fail on
 * demand, and a count of the allocations that are alive. Everything is off until it is asked for.
 */
#ifndef TESTS_SUPPORT_FAULT_H
#define TESTS_SUPPORT_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the thread sanitizer watches: it then gets no extra order between threads from us. */
#if defined(__SANITIZE_THREAD__)
#define FAULT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FAULT_TSAN 1
#endif
#endif
#ifndef FAULT_TSAN
#define FAULT_TSAN 0
#endif

/* Have the k-th allocation from now on fail, 1 being the next; once. 0 takes it back. */
void fault_fail_allocation(long k);

/* Have this and all later allocations fail; for what must not allocate. */
void fault_fail_all_allocations(bool on);

/* Have the k-th mmap(), or madvise() or mprotect() that guards, from now on fail with ENOMEM, 1
 * being the next; once. 0 takes it back. */
void fault_fail_mapping(long k);

/* Have guards be unknown to madvise(), as to a kernel before 6.13. */
void fault_old_kernel(bool on);

/* Have pages be larger than they are: what is mapped begins at one, and a guard is to be made of whole
 * ones. 0 takes it back. */
void fault_page_size(size_t size);

/* How many guards were set by mprotect() since the program began. */
long fault_protections(void);

/* Have the k-th pthread_create() from now on fail with EAGAIN, 1 being the next; once. 0 takes it
 * back. */
void fault_fail_thread(long k);

/* The same for the next one, after this has been called on the thread that makes it. */
void fault_fail_thread_after(void (*function)(void));

/* Whether the fault asked for last has happened. */
bool fault_happened(void);

/* How many allocations were made since the program began: for "this allocates nothing". */
long fault_allocations(void);

/* How many threads were made since the program began. */
long fault_threads(void);

/* No faults any more. */
void fault_off(void);

/* Count what is allocated from now on and not released yet; does nothing under the thread
 * sanitizer. */
void fault_count_begin(void);

/* What was allocated since then and is alive. */
long fault_live(void);

/* Print the first of them, for a message. */
void fault_print_live(void);

/* Stop counting. */
void fault_count_end(void);

/* Memory for a test that no fault reaches and nobody counts. */
void *fault_free_of_faults(size_t size);

#endif
