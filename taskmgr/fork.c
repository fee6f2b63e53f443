#include "fork.h"

#include <pthread.h>

static unsigned generation = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void in_child(void)
{
	__atomic_fetch_add(&generation, 1, __ATOMIC_RELAXED);
}

static void install(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

unsigned tmgr__fork_generation(void)
{
	pthread_once(&once, install);
	return __atomic_load_n(&generation, __ATOMIC_RELAXED);
}
