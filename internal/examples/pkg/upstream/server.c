#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upstream.h"

#define LINE_MAX_BYTES 64

struct server {
	unsigned port;
	struct tmgr_listener *listener;
};

static int answer(void *self, struct tmgr_context *context, struct tmgr_stream *stream)
{
	const char *line, *text;
	ssize_t n;
	int r = 0;

	while (r == 0) {
		n = tmgr_stream_read_line(context, stream, LINE_MAX_BYTES, TMGR_NEVER, &line);
		if (n <= 0)
			return (int)n;
		text = n == 6 && memcmp(line, "HELLO", 5) == 0 ? "WELCOME\n" : "PONG\n";
		r = tmgr_stream_write(context, stream, text, strlen(text), TMGR_NEVER);
	}
	return r;
}

static int server_initialize(void *self, struct tmgr_context *context)
{
	struct server *server = self;
	struct tmgr_endpoint endpoint = { .host = "127.0.0.1", .port = server->port };
	int r = tmgr_listen(&endpoint, NULL, &server->listener);

	if (r < 0)
		return tmgr_fail(context, r, "listening on port %u", server->port);
	printf("serving port %d\n", tmgr_listener_port(server->listener));
	return 0;
}

static int server_execute(void *self, struct tmgr_context *context)
{
	struct server *server = self;
	struct tmgr_serve_options options = { .handler = answer };

	tmgr_ready(context);
	return tmgr_serve(context, server->listener, &options);
}

static int server_cleanup(void *self, struct tmgr_context *context)
{
	struct server *server = self;

	tmgr_listener_destroy(server->listener);
	return 0;
}

struct tmgr_task upstream_server(unsigned port)
{
	static const struct tmgr_task_ops ops = {
		.kind = "server",
		.initialize = server_initialize,
		.execute = server_execute,
		.cleanup = server_cleanup,
		.destroy = free,
	};
	struct server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return tmgr_task_failed(-ENOMEM);
	server->port = port;
	return (struct tmgr_task){ &ops, server };
}
