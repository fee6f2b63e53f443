/* A coroutine for each connection, reading and writing a stream: what one would write first. */
#include <taskmgr/taskmgr.h>
#include <taskmgr/tasks/endpoint.h>

#include "tests/bench/echo/echo.h"
#include "tests/bench/in_loop.h"
#include "tests/bench/measure.h"

static int echo(void *self, struct tmgr_context *context, struct tmgr_stream *stream)
{
	char buffer[4096];
	ssize_t n;
	int r = 0;

	while (r == 0 &&
		(n = tmgr_stream_read(context, stream, buffer, sizeof(buffer), TMGR_NEVER)) > 0)
		r = tmgr_stream_write(context, stream, buffer, (size_t)n, TMGR_NEVER);
	return r;
}

static int serve(void *self, struct tmgr_context *context)
{
	struct tmgr_serve_options options = { .handler = echo };
	struct tmgr_listener *listener;

	measure_check("listener", tmgr_listener_from_fd(*(int *)self, NULL, &listener));
	return tmgr_serve(context, listener, &options);
}

void echo_serve_streams(int listening)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	add_loop(manager, "echo", serve, &listening);
	measure_check("run", tmgr_manager_run(manager, NULL));
}
