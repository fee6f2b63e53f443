/*
 * Serving: a handler for each connection.
 *
 * Handlers run under a token of the server's, which is fired when they are to be cancelled: below
 * the caller's, or, where they may drain, below none. Each has a record in the list of connections,
 * until its stream is about to be closed; the list and the number of handlers are under the lock.
 *
 * On a loop a handler is a coroutine, and its record is released by a callback on its future; on a
 * thread it is a child task, and its record is released with the task. Either is called once,
 * whether the handler ever ran or was cancelled before.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <taskmgr/group.h>
#include <taskmgr/tasks/coroutine.h>

#include "endpoint.h"
#include "taskmgr/base/list.h"
#include "taskmgr/base/sync.h"

/* How long a stream may take to write what its handler has put. */
#define CLOSE_NS TMGR_SECOND
/* How long to wait when there is no means to handle one more. */
#define SHORT_NS (100 * TMGR_MILLISECOND)

struct server {
	struct tmgr_context *context;
	struct tmgr_listener *listener;
	const struct tmgr_serve_options *options;
	struct tmgr_token *token; /* of the handlers */
	struct tmgr_group *group; /* of the handlers on threads; else NULL */
	struct tmgr__lock lock;
	struct tmgr__list connections;
	size_t active;
	struct tmgr_future *few; /* to be completed when there are at most few_max, or NULL */
	size_t few_max;
};

struct connection {
	struct tmgr__list node;
	struct server *server;
	struct tmgr_stream *stream;
	struct tmgr_coroutine *coroutine;
	struct tmgr_future_callback ended;
};

/* ---- One connection ------------------------------------------------------------------------- */

/* Out of the list, so that nobody else uses its stream any more. */
static void unlist(struct connection *connection)
{
	struct server *server = connection->server;

	tmgr__lock_acquire(&server->lock);
	tmgr__list_remove(&connection->node);
	tmgr__lock_release(&server->lock);
}

/* In the context of a connection, or the server's own; text is what the handler said, or empty. */
static void note_error(
	struct server *server, struct tmgr_context *context, int error, const char *text)
{
	if (error == 0 || error == -ECANCELED)
		return;
	if (error > 0)
		error = -TMGR_EFAILED;
	tmgr_context_note_error(server->context, error);
	tmgr_log(context, TMGR_LEVEL_INFO, "a connection ended: %s%s%s", text, text[0] ? ": " : "",
		tmgr_strerror(error));
}

/* What was put is written even if the server is told to stop just now. */
static int close_stream(struct tmgr_context *context, struct tmgr_stream *stream)
{
	int64_t deadline;
	int r;

	if (tmgr_stream_unwritten(stream) == 0)
		return tmgr_stream_close(NULL, stream, TMGR_NOW);
	deadline = tmgr_after(CLOSE_NS);
	tmgr_uninterrupted_begin(context, deadline);
	r = tmgr_stream_close(context, stream, deadline);
	tmgr_uninterrupted_end(context);
	return r;
}

static int handle(void *self, struct tmgr_context *context)
{
	struct connection *connection = self;
	struct server *server = connection->server;
	const struct tmgr_serve_options *options = server->options;
	struct tmgr_stream *stream = connection->stream;
	int r = options->handler(options->self, context, stream);

	unlist(connection);
	connection->stream = NULL;
	if (r == 0) {
		note_error(server, context, close_stream(context, stream), "");
	} else {
		tmgr_stream_destroy(stream);
		note_error(server, context, r, tmgr_context_error_text(context));
	}
	return 0;
}

static const struct tmgr_task_ops handle_ops = {
	.kind = "connection",
	.execute = handle,
};

static int run_handler(void *self, struct tmgr_context *context)
{
	struct connection *connection = self;

	return tmgr_task_execute_under(
		(struct tmgr_task){ &handle_ops, connection }, context, connection->server->token);
}

/* Its handler has ended, or will never run. The last use of the server by it. */
static void release_connection(void *self)
{
	struct connection *connection = self;
	struct server *server = connection->server;
	struct tmgr_future *few = NULL;

	if (connection->stream) {
		unlist(connection);
		tmgr_stream_destroy(connection->stream);
	}
	tmgr_coroutine_unref(connection->coroutine);
	free(connection);
	tmgr__lock_acquire(&server->lock);
	server->active--;
	if (server->few && server->active <= server->few_max) {
		few = server->few;
		server->few = NULL;
	}
	tmgr__lock_release(&server->lock);
	if (few)
		tmgr_future_complete(few, 0, NULL);
}

static void coroutine_ended(void *self, struct tmgr_future *future)
{
	release_connection(self);
}

static const struct tmgr_task_ops connection_ops = {
	.kind = "connection",
	.execute = run_handler,
	.destroy = release_connection,
};

/* ---- The server ----------------------------------------------------------------------------- */

/* Wait until at most so many handlers are left. */
static int wait_for_few(struct server *server, size_t max, int64_t deadline)
{
	struct tmgr_future few = TMGR_FUTURE_INIT;
	bool are_few, completing;
	int r;

	tmgr__lock_acquire(&server->lock);
	are_few = server->active <= max;
	server->few = are_few ? NULL : &few;
	server->few_max = max;
	tmgr__lock_release(&server->lock);
	if (are_few)
		return 0;
	r = tmgr_future_wait(server->context, &few, deadline);
	if (r < 0) {
		tmgr__lock_acquire(&server->lock);
		completing = !server->few;
		server->few = NULL;
		tmgr__lock_release(&server->lock);
		/* Somebody is just at it: on a loop it has been done. */
		if (completing)
			tmgr_future_wait(NULL, &few, TMGR_NEVER);
	}
	tmgr_future_fini(&few);
	return r;
}

static int spawn_coroutine(struct server *server, struct connection *connection)
{
	struct tmgr_coroutine_options options = { .name = "connection" };
	int r;

	if (server->options->name)
		options.name = server->options->name;
	r = tmgr_coroutine_spawn(
		server->context, run_handler, connection, &options, &connection->coroutine);
	if (r < 0)
		return r;
	return tmgr_future_on_done(tmgr_coroutine_future(connection->coroutine), &connection->ended,
		coroutine_ended, connection);
}

/* The record is spawned with, and released by whoever comes after it, in every case. */
static int spawn(struct server *server, struct connection *connection)
{
	int r;

	if (server->group)
		return tmgr_spawn(server->context, server->group,
			(struct tmgr_task){ &connection_ops, connection }, NULL);
	r = spawn_coroutine(server, connection);
	if (r < 0)
		release_connection(connection);
	return r;
}

static int begin_handler(struct server *server, struct tmgr_stream *stream)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		tmgr_stream_destroy(stream);
		return -ENOMEM;
	}
	connection->server = server;
	connection->stream = stream;
	tmgr__lock_acquire(&server->lock);
	server->active++;
	tmgr__list_append(&server->connections, &connection->node);
	tmgr__lock_release(&server->lock);
	return spawn(server, connection);
}

static int accept_all(struct server *server)
{
	size_t max = server->options->connections_max;
	int r;

	do {
		struct tmgr_stream *stream;

		r = max > 0 ? wait_for_few(server, max - 1, TMGR_NEVER) : 0;
		if (r == 0)
			r = tmgr_accept(server->context, server->listener, TMGR_NEVER, &stream);
		if (r != 0)
			break;
		r = begin_handler(server, stream);
		/* That one is lost; what others give back when they end may do for the next. */
		if (r == -ENOMEM || r == -EAGAIN) {
			note_error(server, server->context, r, "");
			r = tmgr_sleep(server->context, SHORT_NS);
		}
	} while (r == 0);
	return r;
}

static void announce_stop(struct server *server)
{
	struct tmgr__list *node;

	tmgr__lock_acquire(&server->lock);
	tmgr__list_for (node, &server->connections) {
		struct tmgr_stream *stream = container_of(node, struct connection, node)->stream;

		__atomic_store_n(&stream->stopping, true, __ATOMIC_RELEASE);
		if (server->options->drain_ns > 0 && server->options->drain_ends_input)
			shutdown(tmgr_stream_fd(stream), SHUT_RD);
	}
	tmgr__lock_release(&server->lock);
}

/* End all handlers: 0, or -ETIMEDOUT when some had to be cancelled after their time. */
static int end_handlers(struct server *server, bool drain)
{
	int r = 0;

	announce_stop(server);
	tmgr_uninterrupted_begin(server->context, TMGR_NEVER);
	if (drain)
		r = wait_for_few(server, 0, tmgr_after(server->options->drain_ns));
	tmgr_token_cancel(server->token, 0, "the server stops");
	/* The scope of somebody further out may end: that does not end this. */
	while (wait_for_few(server, 0, TMGR_NEVER) < 0)
		tmgr_yield(server->context);
	tmgr_uninterrupted_end(server->context);
	return r;
}

static int set_up(struct server *server)
{
	struct tmgr_group_options keep_going = { .keep_going = true };
	bool drains = server->options->drain_ns > 0;
	int r = tmgr_token_create(
		drains ? NULL : tmgr_context_token(server->context), &server->token);

	if (r == 0 && !tmgr_loop_current())
		r = tmgr_group_create(server->context, &keep_going, &server->group);
	return r;
}

int tmgr_serve(struct tmgr_context *context, struct tmgr_listener *listener,
	const struct tmgr_serve_options *options)
{
	struct server server = { .context = context, .listener = listener, .options = options };
	int drained = 0, r;

	if (!context || !listener || !options || !options->handler || options->drain_ns < 0)
		return -EINVAL;
	tmgr__list_init(&server.connections);
	r = set_up(&server);
	if (r == 0) {
		r = accept_all(&server);
		drained = end_handlers(&server, r == -ECANCELED && options->drain_ns > 0);
	}
	tmgr_group_destroy(server.group);
	tmgr_token_unref(server.token);
	return drained < 0 ? drained : r;
}
