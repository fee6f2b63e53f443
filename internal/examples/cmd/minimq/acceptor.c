/* Takes connections, and hands them to the loops in turn. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "server.h"

static int initialize(void *self, struct tmgr_context *context)
{
	struct server *server = self;
	const struct tmgr_endpoint endpoint = { .host = server->options.address,
		.port = server->options.port };
	/* What is not read yet is little, and most connections wait most of the time. */
	const struct tmgr_listen_options options = { .stream = { .read_buffer = 16384,
							     .release_idle = true } };
	int r = tmgr_listen(&endpoint, &options, &server->listener);

	if (r < 0)
		return tmgr_fail(context, r, "%s port %u", endpoint.host, endpoint.port);
	server->broker.port = tmgr_listener_port(server->listener);
	printf("listening on %s port %d\n", endpoint.host, server->broker.port);
	return 0;
}

/* It reads this or an error: nothing was sent to it yet, so there is room. */
static void refuse(struct tmgr_stream *stream)
{
	static const char text[] = "-ERR max number of clients reached\r\n";

	(void)!send(tmgr_stream_fd(stream), text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	tmgr_stream_destroy(stream);
}

static int accept_all(struct server *server, struct tmgr_context *context)
{
	struct mq_broker *broker = &server->broker;
	struct tmgr_stream *stream;
	size_t next = 0;
	int r;

	while ((r = tmgr_accept(context, server->listener, TMGR_NEVER, &stream)) == 0) {
		if (atomic_load(&broker->clients) >= broker->settings.clients_max) {
			atomic_fetch_add(&broker->refused, 1);
			refuse(stream);
			continue;
		}
		r = connection_start(server, next, stream);
		if (r < 0 && !tmgr_context_cancelled(context))
			tmgr_log(context, TMGR_LEVEL_WARNING, "a client was not served: %s",
				strerror(-r));
		next = (next + 1) % server->options.loops;
	}
	return r;
}

/* From its end on who connects is refused. */
static int execute(void *self, struct tmgr_context *context)
{
	struct server *server = self;
	int r = 0;

	for (size_t i = 0; r == 0 && i < server->options.loops; i++)
		r = tmgr_future_wait(context, &server->workers[i].running, TMGR_NEVER);
	if (r == 0) {
		tmgr_ready(context);
		r = accept_all(server, context);
	}
	tmgr_listener_destroy(server->listener);
	server->listener = NULL;
	return r;
}

static int cleanup(void *self, struct tmgr_context *context)
{
	struct server *server = self;

	tmgr_listener_destroy(server->listener);
	server->listener = NULL;
	return 0;
}

struct tmgr_task acceptor_task(struct server *server)
{
	static const struct tmgr_task_ops ops = {
		.initialize = initialize,
		.execute = execute,
		.cleanup = cleanup,
	};

	return (struct tmgr_task){ &ops, server };
}
