#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/actor.h"
#include "tests/support/latch.h"

int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attributes,
	void *(*function)(void *), void *argument);

static void act(struct actor *actor, struct tmgr_context *context)
{
	atomic_store(&actor->tid, gettid());
	for (;;) {
		actor_function *function;

		pthread_mutex_lock(&actor->lock);
		while (actor->function == NULL && !actor->quit)
			pthread_cond_wait(&actor->changed, &actor->lock);
		function = actor->function;
		pthread_mutex_unlock(&actor->lock);
		if (function == NULL)
			return;

		atomic_fetch_add(&actor->begun, 1);
		function(actor->argument, context);

		pthread_mutex_lock(&actor->lock);
		actor->function = NULL;
		atomic_fetch_add(&actor->done, 1);
		pthread_cond_broadcast(&actor->changed);
		pthread_mutex_unlock(&actor->lock);
	}
}

static void *act_on_thread(void *argument)
{
	act(argument, NULL);
	return NULL;
}

static int act_as_task(void *self, struct tmgr_context *context)
{
	act(self, context);
	return 0;
}

void actor_start(struct actor *actor)
{
	if (__real_pthread_create(&actor->thread, NULL, act_on_thread, actor) != 0)
		abort();
}

struct tmgr_task actor_task(struct actor *actor)
{
	static const struct tmgr_task_ops ops = { .kind = "actor", .execute = act_as_task };

	actor->has_context = true;
	return (struct tmgr_task){ &ops, actor };
}

void actor_begin(struct actor *actor, actor_function *function, void *argument)
{
	pthread_mutex_lock(&actor->lock);
	actor->argument = argument;
	actor->function = function;
	pthread_cond_broadcast(&actor->changed);
	pthread_mutex_unlock(&actor->lock);
}

/* State and count of voluntary switches, both from one line each of /proc. */
static bool look_at_thread(pid_t tid, char *ret_state, long *ret_switches)
{
	char path[64], text[4096], *at;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	at = strstr(text, "\nState:");
	if (at == NULL)
		return false;
	*ret_state = at[8];
	at = strstr(text, "\nvoluntary_ctxt_switches:");
	if (at == NULL)
		return false;
	*ret_switches = atol(at + strlen("\nvoluntary_ctxt_switches:"));
	return true;
}

bool thread_sleeps(pid_t tid)
{
	struct timespec moment = { 0, 50000 };
	long first = -1, switches;
	char state;

	for (int i = 0; i < 3; i++) {
		if (!look_at_thread(tid, &state, &switches) || state != 'S')
			return false;
		if (i > 0 && switches != first)
			return false;
		first = switches;
		nanosleep(&moment, NULL);
	}
	return true;
}

static bool settled(void *argument)
{
	struct actor *actor = argument;

	if (!actor_busy(actor))
		return true;
	return atomic_load(&actor->begun) > atomic_load(&actor->done) &&
	       thread_sleeps(atomic_load(&actor->tid));
}

static bool idle(void *argument)
{
	return !actor_busy(argument);
}

bool actor_settles_blocked(struct actor *actor)
{
	return eventually(settled, actor) && actor_busy(actor);
}

bool actor_finishes(struct actor *actor)
{
	return eventually(idle, actor);
}

bool actor_does(struct actor *actor, actor_function *function, void *argument)
{
	actor_begin(actor, function, argument);
	return actor_finishes(actor);
}

bool actor_busy(struct actor *actor)
{
	bool busy;

	pthread_mutex_lock(&actor->lock);
	busy = actor->function != NULL;
	pthread_mutex_unlock(&actor->lock);
	return busy;
}

void actor_quit(struct actor *actor)
{
	pthread_mutex_lock(&actor->lock);
	actor->quit = true;
	pthread_cond_broadcast(&actor->changed);
	pthread_mutex_unlock(&actor->lock);
	if (!actor->has_context)
		pthread_join(actor->thread, NULL);
}
