/*
 * Keeps a connection: connects, authenticates, watches it, and after any error begins anew, a little
 * later each time, until it is told to stop. What a connection is, is its user's.
 */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

#include <taskmgr/taskmgr.h>

/* Each waits with the context it is given; one at a time is called. 0 or a negative errno. */
struct keeper_ops {
	/* Connect; what is left of an earlier connection is given up first. */
	int (*connect)(void *self, struct tmgr_context *context);
	int (*authenticate)(void *self, struct tmgr_context *context);
	/* Use it until it breaks: returns only with an error. */
	int (*watch)(void *self, struct tmgr_context *context);
};

struct keeper_options {
	const char *name; /* of the machine, borrowed until keeper_create() returns */
	int64_t delay_ns; /* before the second attempt: doubles up to 32 times that */
	void (*log)(void *self, const char *line); /* what changes; may be NULL */
};

struct keeper;

/* 0 or a negative errno; ops and self are borrowed as long as it is there. */
int keeper_create(const struct keeper_ops *ops, void *self, const struct keeper_options *options,
	struct keeper **ret_keeper);
/* Once its task has ended. */
void keeper_destroy(struct keeper *keeper);

/* Its task: begins to connect, and stops when it is told to. */
struct tmgr_task keeper_task(struct keeper *keeper);

/* Wait until it is ready; and until it is not any more. As tmgr_machine_wait(). */
int keeper_wait_until_ready(struct keeper *keeper, struct tmgr_context *context, int64_t deadline);
int keeper_wait_until_broken(struct keeper *keeper, struct tmgr_context *context, int64_t deadline);

/* How often it was ready. */
uint64_t keeper_times_ready(const struct keeper *keeper);

#endif
