#include <stdio.h>
#include <unistd.h>

#include "task.h"

/*
 * Wrong on purpose: sleep() of libc knows nothing of the token, and nobody looks at it. With
 * tmgr_sleep(context, ...), and its -ECANCELED returned, this would be a good task.
 */
static int forever(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	for (;;) {
		puts("nothing will make me stop");
		fflush(stdout);
		sleep(1);
	}
	return 0; /* never */
}

struct tmgr_task forever_task(void)
{
	return tmgr_task_function(forever, NULL);
}
