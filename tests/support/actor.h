/*
 * An actor is a thread that does what it is told, one thing after another, so that a test can have
 * somebody block and know when they do. It is a thread of its own, or a task: then its waits have a
 * context and can be cancelled.
 */
#ifndef TESTS_SUPPORT_ACTOR_H
#define TESTS_SUPPORT_ACTOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <taskmgr/task.h>

struct actor;

typedef void actor_function(void *argument, struct tmgr_context *context);

struct actor {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	actor_function *function; /* what it is to do or does; NULL: nothing */
	void *argument;
	bool quit;
	bool has_context;
	atomic_int begun, done; /* how many things */
	atomic_int tid;
	pthread_t thread;
};

#define ACTOR_INIT                                                                     \
	{                                                                              \
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
	}

/* Start one on a thread of its own, whose waits have no context. */
void actor_start(struct actor *actor);

/* One that is a task: it ends when it is told to, also after its token has fired. */
struct tmgr_task actor_task(struct actor *actor);

/* Have it begin something; it must have nothing to do. */
void actor_begin(struct actor *actor, actor_function *function, void *argument);

/* Wait until what it began is done, or it sleeps in it; true when it sleeps. */
bool actor_settles_blocked(struct actor *actor);

/* Wait until what it began is done; false when that takes too long. */
bool actor_finishes(struct actor *actor);

/* Do something from begin to end. */
bool actor_does(struct actor *actor, actor_function *function, void *argument);

/* Whether it does something at the moment. */
bool actor_busy(struct actor *actor);

/* Let it end: after what it does. A thread of its own is joined, a task returns. */
void actor_quit(struct actor *actor);

/* Whether a thread of this process sleeps in the kernel, for a while now. */
bool thread_sleeps(pid_t tid);

#endif
