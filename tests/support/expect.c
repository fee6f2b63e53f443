#include <stdio.h>

#include "tests/support/expect.h"

int wrong;

void look(long got, long expected, const char *call, int line)
{
	if (got == expected)
		return;
	fprintf(stderr, "line %d: %s is %ld, not %ld\n", line, call, got, expected);
	__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
}

void no_event(void *self, const struct tmgr_event *event)
{
	(void)self;
	(void)event;
}

int no_task(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	return 0;
}
