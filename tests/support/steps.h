/*
 * Steps as an engine makes them, for stores: processes that each, again and again, receive a message
 * or run into a time limit, count, and wait anew. Each step changes the process, its goroutine and
 * its waits, and has an event.
 */
#ifndef TESTS_SUPPORT_STEPS_H
#define TESTS_SUPPORT_STEPS_H

#include <stddef.h>
#include <stdint.h>

#include <taskmgr/tasks/process_store.h>

#define STEPS_BATCH_MAX 1024
#define STEPS_CHANGES 6 /* of each step */

struct steps {
	size_t processes;
	uint64_t sequence; /* of the last step that was made */
	uint64_t *waits;   /* of each process: the sequence it waits with, 0: it was not made yet */
	uint64_t *counts;  /* how many steps each has taken */
	struct tmgr_store_batch batch;
	struct tmgr_store_step *steps;
	struct tmgr_store_change *changes;
	struct steps_texts {
		char id[64], channel[80], state[192];
	} * texts;
};

/* 0 or -ENOMEM. */
int steps_init(struct steps *steps, size_t processes);
void steps_fini(struct steps *steps);
/* The next batch, of up to STEPS_BATCH_MAX steps, of one process after the other. Borrowed until the
 * next. */
const struct tmgr_store_batch *steps_next(struct steps *steps, size_t count);

#endif
