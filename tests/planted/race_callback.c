/* A planted race: the library used wrongly. A value is written after the future that says it is there was completed. */
#include <pthread.h>
#include <stdio.h>

#include <taskmgr/future.h>

static struct tmgr_future future = TMGR_FUTURE_INIT;
static long value;

static void *complete(void *argument)
{
	(void)argument;
	tmgr_future_complete(&future, 0, NULL);
	value = 1;
	return NULL;
}

int main(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, complete, NULL);
	tmgr_future_wait(NULL, &future, TMGR_NEVER);
	printf("%ld\n", value);
	pthread_join(thread, NULL);
	tmgr_future_fini(&future);
	return 0;
}
