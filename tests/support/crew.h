/*
 * A crew works beside each other on hosts of one kind: each member on a thread of its own, or all
 * as coroutines of one loop. The same functions are given to both; what they find wrong they say
 * with IS() of expect.h, or record.
 */
#ifndef TESTS_SUPPORT_CREW_H
#define TESTS_SUPPORT_CREW_H

#include <taskmgr/tasks/loop.h>

#include "tests/support/recorder.h"

#define CREW_MAX 32
/* The kinds of hosts, for loops over them. */
#define CREW_HOSTS 2

typedef int crew_function(void *self, struct tmgr_context *context);

struct crew {
	struct tmgr_manager *manager;
	struct tmgr_loop *loop; /* or NULL */
	struct runner runner;
	struct tmgr_handle handles[CREW_MAX];
	int results[CREW_MAX]; /* of the members, once they have ended */
	size_t count;
};

/* Start its manager; host is 0 for threads, 1 for a loop. */
void crew_begin(struct crew *crew, int host);

/* Have one more begin; gives its number. */
size_t crew_add(struct crew *crew, crew_function *function, void *self);

/* Wait until a member waits in a wait of this kind, as a snapshot calls it. */
bool crew_waits(struct crew *crew, size_t member, const char *what);

/* Begin one with a first member that comes to wait for its descriptor; whether it does. */
bool crew_begin_waiting(struct crew *crew, int host, crew_function *function, void *self);

void crew_cancel(struct crew *crew, size_t member);

/* Wait for the end of one; its result. */
int crew_join(struct crew *crew, size_t member);

/* Wait for all, and stop the manager; what run gave. */
int crew_end(struct crew *crew);

/* All of it, for one or two functions. Gives the first result that is not 0. */
int crew_run(int host, crew_function *one, void *of_one, crew_function *two, void *of_two);

/* For the group's setup: what the first loop of a process makes is not given back. */
int crew_warm_up(void **state);

#endif
