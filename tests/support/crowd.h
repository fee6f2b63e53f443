/*
 * A crowd is who meets at one object: members on threads without a context, on threads and on the
 * pool of one manager, as coroutines of one loop or of two. The body of a test has one come, sees it
 * wait, cancels it and sees it go; what a member saw stands in its results until then.
 */
#ifndef TESTS_SUPPORT_CROWD_H
#define TESTS_SUPPORT_CROWD_H

#include "tests/support/actor.h"
#include "tests/support/recorder.h"

/* Where a member's function runs. */
enum seat {
	SEAT_PLAIN, /* a thread of the test's, without a context */
	SEAT_THREAD,
	SEAT_POOL,
	SEAT_LOOP,
	SEAT_OTHER_LOOP,
	SEAT_COROUTINE, /* spawned by a task on the first loop, which awaits it */
	SEATS,
};

struct member;

typedef void member_function(struct member *member, struct tmgr_context *context);

struct crowd {
	struct tmgr_manager *manager;
	struct tmgr_loop *loops[2];
	struct runner runner;
	unsigned entered;
};

struct member {
	member_function *function;
	void *user;       /* the test's */
	int64_t deadline; /* likewise */
	int r[8];         /* what the function saw */
	struct crowd *crowd;
	enum seat seat;
	char name[16];
	struct tmgr_handle handle;
	struct actor actor;
	_Atomic(struct tmgr_context *) context; /* its own, from its begin to its end */
	atomic_bool begun;
	int result; /* of its execute, once it has gone */
};

/* Start the manager they are in, and two loops. */
void crowd_start(struct crowd *crowd);

/* Have one come. Its user and deadline are set; the rest is written here. */
void crowd_enter(
	struct crowd *crowd, struct member *member, enum seat seat, member_function *function);

/* Wait until it waits in a wait of this kind; false when that took too long. */
bool member_waits(struct member *member, const char *what);

/* Cancel it once its function has begun; one without a context cannot be. */
void member_cancel(struct member *member);

/* Wait for its end; false when that took too long. */
bool member_leaves(struct member *member);

/* Stop all; gives what run did. All must have left. */
int crowd_end(struct crowd *crowd);

/* For messages. */
const char *seat_name(enum seat seat);

#endif
