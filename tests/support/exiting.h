/*
 * A loop whose thread is held in user code of a chosen kind, and leaves by pthread_exit() when it is
 * let go. In a child: what such a thread stood on is left behind.
 */
#ifndef TESTS_SUPPORT_EXITING_H
#define TESTS_SUPPORT_EXITING_H

#include "tests/support/latch.h"
#include "tests/support/looped.h"

enum exiting_way {
	EXITING_CALL,      /* that was posted */
	EXITING_SCHEDULED, /* that came due */
	EXITING_WAYS_ON_ITS_STACK,
	/* Those that stand on a stack of their own. */
	EXITING_MAIN = EXITING_WAYS_ON_ITS_STACK,
	EXITING_COROUTINE,
	EXITING_TASK,
	EXITING_WAYS,
};

/* How many there are that can be tried here: the thread sanitizer allows pthread_exit() on no fiber. */
int exiting_ways(void);

struct exiting {
	enum exiting_way way;
	struct looped looped;
	struct tmgr_loop *loop; /* referenced until the end */
	struct latch runs, held;
	struct tmgr_loop_call call, scheduled;
};

/* It runs, and is held. */
void exiting_begin(struct exiting *exiting, enum exiting_way way);

/* The same, but the loop turns until exiting_hold() is called. */
void exiting_run(struct exiting *exiting, enum exiting_way way);
void exiting_hold(struct exiting *exiting);

/* Let it exit. */
void exiting_go(struct exiting *exiting);

/* Run a body in a child for each way, but for main where that is left out; its argument is the way. */
void exiting_in_each_way(int (*body)(void *way));
void exiting_in_each_way_but_main(int (*body)(void *way));
/* In one child, with this number as its argument. */
void exiting_in_a_child(int (*body)(void *number), int number);

/* Its manager has run, with an end that was unexpected; after a stop, unless it ended by itself. */
void exiting_end(struct exiting *exiting);

#endif
