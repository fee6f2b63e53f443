/* The status line on a terminal, once a second. */
#include <inttypes.h>

#include <taskmgr/tasks/interval.h>

#include "internal/examples/pkg/statusline/statusline.h"

#include "server.h"

static int print_status(void *self, struct tmgr_context *context)
{
	static struct statusline_rate rate; /* runs of an interval never overlap */
	const struct server *server = self;
	struct mq_totals totals;

	mq_broker_totals(&server->broker, &totals);
	statusline_print("%" PRIu64 " clients, %" PRIu64 " commands (%.0f/s), %" PRIu64
			 " published, %" PRIu64 " delivered, %" PRIu64 " dropped",
		totals.clients, totals.commands, statusline_rate(&rate, (double)totals.commands),
		totals.published, totals.delivered, totals.dropped);
	return 0;
}

struct tmgr_task status_task(struct server *server)
{
	return tmgr_interval(tmgr_task_function(print_status, server), TMGR_SECOND, NULL);
}
