/* The status line on a terminal, once a second. */
#include <inttypes.h>
#include <stdio.h>

#include <taskmgr/tasks/interval.h>

#include "server.h"

#define ERASE "\r\033[K"

/* It stays until the next one, or a line of the log, takes its place. */
static int print_status(void *self, struct tmgr_context *context)
{
	static uint64_t last_commands; /* runs of an interval never overlap */
	static int64_t last_ns;
	const struct server *server = self;
	int64_t now = tmgr_now();
	double seconds = last_ns ? (double)(now - last_ns) / TMGR_SECOND : 1;
	struct mq_totals totals;

	mq_broker_totals(&server->broker, &totals);
	fprintf(stderr,
		ERASE "%" PRIu64 " clients, %" PRIu64 " commands (%.0f/s), %" PRIu64
		      " published, %" PRIu64 " delivered, %" PRIu64 " dropped",
		totals.clients, totals.commands,
		seconds > 0 ? (double)(totals.commands - last_commands) / seconds : 0.0,
		totals.published, totals.delivered, totals.dropped);
	last_commands = totals.commands;
	last_ns = now;
	return 0;
}

void print_event(void *self, const struct tmgr_event *event)
{
	char line[512];

	if (event->kind == TMGR_EVENT_RUN_ENDED) { /* which the report tells */
		fputs(ERASE, stderr);
		return;
	}
	tmgr_event_format(event, line, sizeof(line));
	fprintf(stderr, ERASE "minimq: %s\n", line);
}

struct tmgr_task status_task(struct server *server)
{
	return tmgr_interval(tmgr_task_function(print_status, server), TMGR_SECOND, NULL);
}
