/*
 * Steps at random, of all kinds of rows: whatever an engine could give a store, in orders that no
 * engine would. Keys with a sequence are used once, as the header of stores says.
 */
#ifndef TESTS_SUPPORT_RANDOM_STEPS_H
#define TESTS_SUPPORT_RANDOM_STEPS_H

#include <taskmgr/tasks/process_store.h>

#define RANDOM_STEPS_MAX 32
#define RANDOM_CHANGES_MAX 8

struct random_steps {
	unsigned seed;
	uint64_t sequence, row; /* the last used, of steps and of rows */
	uint64_t waits[64];     /* some that may be there */
	struct {
		uint64_t sequence;
		unsigned channel;
	} messages[64];
	struct {
		uint64_t sequence;
		unsigned process;
	} once[16];
	struct tmgr_store_step steps[RANDOM_STEPS_MAX];
	struct tmgr_store_change changes[RANDOM_STEPS_MAX][RANDOM_CHANGES_MAX];
	char texts[RANDOM_STEPS_MAX][RANDOM_CHANGES_MAX][4][128];
	struct tmgr_store_batch batch;
};

/* The next batch; borrowed until the next. */
const struct tmgr_store_batch *random_steps_next(struct random_steps *random);

#endif
