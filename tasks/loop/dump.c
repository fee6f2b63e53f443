/*
 * What the coroutines of a loop do, as text.
 */
#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

#define FRAMES_MAX 32

static const char *const states[] = {
	[TMGR__COROUTINE_NEW] = "new",
	[TMGR__COROUTINE_RUNNABLE] = "runnable",
	[TMGR__COROUTINE_RUNNING] = "running",
	[TMGR__COROUTINE_PARKED] = "waiting",
	[TMGR__COROUTINE_ENDED] = "ended",
};

struct dump {
	void (*write)(void *self, const char *line);
	void *self;
	bool backtrace;
	int64_t now;
};

static void write_backtrace(const struct dump *dump, struct tmgr_coroutine *coroutine)
{
	void *addresses[FRAMES_MAX];
	int count = tmgr__coroutine_backtrace(coroutine, addresses, FRAMES_MAX);
	char **names = backtrace_symbols(addresses, count);
	char line[256];

	for (int i = 0; i < count; i++) {
		if (names)
			snprintf(line, sizeof(line), "    %s", names[i]);
		else
			snprintf(line, sizeof(line), "    %p", addresses[i]);
		dump->write(dump->self, line);
	}
	free(names);
}

static void write_coroutine(const struct dump *dump, struct tmgr_coroutine *coroutine)
{
	const char *what = "";
	char line[256];

	if (coroutine->state == TMGR__COROUTINE_PARKED)
		what = tmgr_context_waiting(coroutine->context);
	snprintf(line, sizeof(line), "%s%s: %s%s%s for %lld ms", coroutine->hosted ? "task " : "",
		coroutine->own_name, states[coroutine->state], what[0] ? ": " : "", what,
		(long long)((dump->now - coroutine->since) / TMGR_MILLISECOND));
	dump->write(dump->self, line);
	if (dump->backtrace)
		write_backtrace(dump, coroutine);
}

int tmgr_loop_dump(struct tmgr_loop *loop, bool backtrace,
	void (*write)(void *self, const char *line), void *self)
{
	struct dump dump = {
		.write = write, .self = self, .backtrace = backtrace, .now = tmgr_now()
	};
	struct tmgr__list *node;

	if (!loop || !write)
		return -EINVAL;
	tmgr__list_for (node, &loop->all)
		write_coroutine(&dump, container_of(node, struct tmgr_coroutine, all));
	return 0;
}
