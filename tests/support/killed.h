/*
 * Programs that are killed while they work on a store's file: the file, what they share with who
 * kills them, and the moment.
 */
#ifndef TESTS_SUPPORT_KILLED_H
#define TESTS_SUPPORT_KILLED_H

#include <sys/types.h>

#include "tests/support/store_file.h"

/*
 * For the setup of a test: make the file's directory and memory that outlives the killed, all 0. NULL:
 * it failed. And for its teardown.
 */
void *killed_begin(void **state, struct store_file *file, size_t size);
int killed_end(void **state, struct store_file *file, void *shared, size_t size);

/* Wait for the end of a child, which must have been killed. */
void must_have_been_killed(pid_t pid);

/*
 * When: some time at random, at most the longest, which grows while too little gets done, up to a limit,
 * and shrinks, down to one, where that was more than enough: so it fits the machine.
 */
struct killed_when {
	int64_t longest_ns, longest_min_ns, longest_max_ns;
	unsigned long long enough; /* is done until then */
	unsigned long long (*done)(void);
};

/* Wait that time, which begins now; then kill it. */
void kill_some_time_later(pid_t pid, struct killed_when *when, unsigned *seed);

#endif
