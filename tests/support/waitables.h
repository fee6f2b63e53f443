/*
 * What the core has to wait for, each by the same few functions: for tests that play the same scenes
 * with all of it.
 */
#ifndef TESTS_SUPPORT_WAITABLES_H
#define TESTS_SUPPORT_WAITABLES_H

#include <stdbool.h>

#include <taskmgr/task.h>

struct waitable {
	const char *name;
	const char *what; /* in a snapshot */
	void (*init)(void);
	int (*wait)(struct tmgr_context *context, int64_t deadline);
	void (*end)(void); /* make one wait succeed, the oldest */
	/* by one who waited successfully, before the next may; may be NULL */
	void (*after)(struct tmgr_context *context);
	void (*fini)(void);
	bool taken; /* who waited successfully has it alone, and need not give it back */
};

#define WAITABLES 12

extern const struct waitable waitables[WAITABLES];

#endif
