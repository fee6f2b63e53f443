/* A planted race: futures compiled without their lock. */
#include <pthread.h>

#include "taskmgr/base/sync.h"

#define tmgr__lock_acquire(lock) ((void)(lock))
#define tmgr__lock_release(lock) ((void)(lock))
#include "taskmgr/future.c"
#undef tmgr__lock_acquire
#undef tmgr__lock_release

static struct tmgr_future future = TMGR_FUTURE_INIT;

static void *complete(void *argument)
{
	(void)argument;
	tmgr_future_complete(&future, 0, NULL);
	return NULL;
}

int main(void)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, complete, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
