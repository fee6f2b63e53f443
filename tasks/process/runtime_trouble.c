/*
 * What an operator should know of at once goes into the daemon's log too: methods that have failed for the
 * last time, or do not return. The history has all of it.
 */
#include <taskmgr/event.h>

#include "tasks/process/runtime.h"

/* A second. Where an upstream is gone thousands may fail at once, and others have something to say, too. */
#define LINES_MAX 20

void tmgr__runtime_tell_untold(struct tmgr_processes *processes, bool now)
{
	if (processes->untold == 0 || (!now && tmgr_now() < processes->lines_until))
		return;
	tmgr_log(processes->context, TMGR_LEVEL_WARNING,
		"%zu more methods have failed, or have not returned: their processes' history has "
		"them",
		processes->untold);
	processes->untold = 0;
}

static bool has_line(struct tmgr_processes *processes)
{
	int64_t now = tmgr_now();

	if (now >= processes->lines_until) {
		tmgr__runtime_tell_untold(processes, true);
		processes->lines_until = now + TMGR_SECOND;
		processes->lines = 0;
	}
	if (processes->lines < LINES_MAX) {
		processes->lines++;
		return true;
	}
	processes->untold++;
	return false;
}

static void tell(struct tmgr_processes *processes, const struct tmgr_process_event *event)
{
	bool failed = event->kind == TMGR_PROCESS_EVENT_FAILED;

	if ((!failed && event->kind != TMGR_PROCESS_EVENT_STUCK) || !has_line(processes))
		return;
	if (failed)
		tmgr_log(processes->context, TMGR_LEVEL_WARNING,
			"process %s: its method %s has failed: %s", event->process, event->method,
			event->text);
	else
		tmgr_log(processes->context, TMGR_LEVEL_WARNING,
			"process %s: its method %s has not returned by its deadline",
			event->process, event->method);
}

void tmgr__runtime_tell_troubles(
	struct tmgr_processes *processes, const struct tmgr__changes *changes)
{
	if (changes->troubles == 0 || processes->context == NULL)
		return;
	for (size_t i = 0; i < changes->count; i++)
		if (changes->changes[i].kind == TMGR_STORE_EVENT &&
			changes->changes[i].op == TMGR_STORE_PUT)
			tell(processes, &changes->changes[i].row.event);
}
