/*
 * Who owns what: the server's thread runs libmicrohttpd and begins requests; a request's task works on
 * it, puts the answer into it and wakes the connection, which was suspended. From then on it is the
 * server's again, which sends the answer and frees it. libmicrohttpd does not notice by itself that a
 * connection was resumed, when others drive it: hence `wake`. `open` counts requests that were begun and are
 * not freed; only the server's thread touches it.
 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <microhttpd.h>

struct server {
	struct http_options options;
	struct MHD_Daemon *daemon;
	int wake;                     /* an eventfd */
	int events;                   /* an epoll of it and of libmicrohttpd's own */
	struct tmgr_context *context; /* while it executes */
	struct tmgr_group *group;
	size_t open;
	bool stopping;
};

struct exchange {
	struct server *server;
	struct http_request request;
	struct http_answer answer;
	char *body;
	size_t size;
	bool too_long, given;
};

/* ---- One request ---------------------------------------------------------------------------- */

static char *error_json(const char *text)
{
	char *json = NULL;

	return asprintf(&json, "{\"error\":\"%s\"}\n", text) < 0 ? NULL : json;
}

/* The exchange goes back to the server. */
static void give_back(struct exchange *exchange)
{
	const struct server *server = exchange->server;
	const uint64_t one = 1;

	MHD_resume_connection(exchange->request.connection);
	if (write(server->wake, &one, sizeof(one)) < 0)
		abort(); /* only a counter at its end refuses it */
}

/* The task of a request. Once the connection is resumed the exchange is not its any more. */
struct job {
	struct exchange *exchange;
};

/* What was asked is answered, also when the server is told to stop meanwhile. */
static int work(void *self, struct tmgr_context *context)
{
	struct job *job = self;
	struct exchange *exchange = job->exchange;
	const struct http_options *options = &exchange->server->options;

	tmgr_uninterrupted_begin(context, tmgr_after(HTTP_DRAIN_NS));
	exchange->answer = options->answer(options->self, context, &exchange->request);
	tmgr_uninterrupted_end(context);
	job->exchange = NULL;
	give_back(exchange);
	return 0;
}

/* One that could not be started, or was cancelled before, is answered all the same. */
static void end_job(void *self)
{
	struct job *job = self;
	struct exchange *exchange = job->exchange;

	if (exchange) {
		exchange->answer = (struct http_answer){ 503, error_json("no room for it now") };
		give_back(exchange);
	}
	free(job);
}

static const struct tmgr_task_ops job_ops = {
	.kind = "request", .execute = work, .destroy = end_job
};

static enum MHD_Result send_answer(struct exchange *exchange)
{
	const char *json = exchange->answer.json;
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!json)
		json = "{\"error\":\"out of memory\"}\n";
	response = MHD_create_response_from_buffer(
		strlen(json), (void *)(uintptr_t)json, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", "application/json");
	if (exchange->server->stopping)
		MHD_add_response_header(response, "Connection", "close");
	result = MHD_queue_response(exchange->request.connection,
		exchange->answer.json ? (unsigned)exchange->answer.status : 500, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct exchange *exchange, int status, const char *text)
{
	exchange->given = true;
	exchange->answer = (struct http_answer){ status, error_json(text) };
	return send_answer(exchange);
}

static enum MHD_Result begin_work(struct exchange *exchange)
{
	struct server *server = exchange->server;
	struct job *job = malloc(sizeof(*job));

	if (!job)
		return MHD_NO;
	job->exchange = exchange;
	exchange->given = true;
	exchange->request.body = exchange->body ? exchange->body : "";
	exchange->request.body_size = exchange->size;
	MHD_suspend_connection(exchange->request.connection);
	tmgr_spawn(server->context, server->group, (struct tmgr_task){ &job_ops, job }, NULL);
	return MHD_YES;
}

static void take_body(struct exchange *exchange, const char *data, size_t size)
{
	char *longer;

	if (exchange->too_long || size > HTTP_BODY_MAX - exchange->size) {
		exchange->too_long = true;
		return;
	}
	longer = realloc(exchange->body, exchange->size + size + 1);
	if (!longer) {
		exchange->too_long = true;
		return;
	}
	memcpy(longer + exchange->size, data, size);
	exchange->size += size;
	longer[exchange->size] = '\0';
	exchange->body = longer;
}

static struct exchange *begin_exchange(struct server *server, struct MHD_Connection *connection,
	const char *path, const char *method)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	server->open++;
	exchange->server = server;
	exchange->request = (struct http_request){
		.method = method,
		.path = path,
		.key = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Idempotency-Key"),
		.connection = connection,
	};
	return exchange;
}

/* Called for the head of a request, for each part of its body, at its end, and when it is resumed. */
/* As many parameters as libmicrohttpd gives: NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result handle(void *self, struct MHD_Connection *connection, const char *path,
	const char *method, const char *version, const char *data, size_t *size,
	void **ret_exchange)
{
	struct exchange *exchange = *ret_exchange;

	if (!exchange) {
		*ret_exchange = begin_exchange(self, connection, path, method);
		return *ret_exchange ? MHD_YES : MHD_NO;
	}
	if (*size > 0) {
		take_body(exchange, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (exchange->given)
		return send_answer(exchange);
	if (exchange->too_long)
		return refuse(exchange, 413, "the body is longer than 65536 bytes");
	if (strlen(path) > HTTP_PATH_MAX)
		return refuse(exchange, 414, "the address is too long");
	return begin_work(exchange);
}

static void completed(void *self, struct MHD_Connection *connection, void **ret_exchange,
	enum MHD_RequestTerminationCode code)
{
	struct exchange *exchange = *ret_exchange;

	if (!exchange)
		return;
	exchange->server->open--;
	free(exchange->body);
	free(exchange->answer.json);
	free(exchange);
	*ret_exchange = NULL;
}

const char *http_query(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* ---- The task ------------------------------------------------------------------------------- */

/* Both descriptors in one, which the task waits for. */
static int gather_events(struct server *server)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(
		server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct epoll_event event = { .events = EPOLLIN };

	server->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	server->events = epoll_create1(EPOLL_CLOEXEC);
	if (!info || server->wake < 0 || server->events < 0 ||
		epoll_ctl(server->events, EPOLL_CTL_ADD, server->wake, &event) < 0 ||
		epoll_ctl(server->events, EPOLL_CTL_ADD, info->epoll_fd, &event) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

static void close_all(struct server *server)
{
	MHD_stop_daemon(server->daemon);
	server->daemon = NULL;
	if (server->wake >= 0)
		close(server->wake);
	if (server->events >= 0)
		close(server->events);
}

static int bind_port(void *self, struct tmgr_context *context)
{
	int r;
	struct server *server = self;
	const union MHD_DaemonInfo *info;
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)server->options.port) };

	if (inet_pton(AF_INET, server->options.address, &address.sin_addr) != 1)
		return tmgr_fail(context, -EINVAL, "%s is no address", server->options.address);
	errno = 0;
	server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME,
		(uint16_t)server->options.port, NULL, NULL, handle, server, MHD_OPTION_SOCK_ADDR,
		(struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED, completed, server,
		MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		HTTP_IDLE_S, MHD_OPTION_END);
	if (!server->daemon)
		return tmgr_fail(context, errno ? -errno : -EIO, "%s port %d",
			server->options.address, server->options.port);
	r = gather_events(server);
	if (r < 0) {
		close_all(server);
		return tmgr_fail(context, r, "descriptors");
	}
	info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
	printf("listening on %s port %d\n", server->options.address, info ? info->port : 0);
	fflush(stdout);
	return 0;
}

/* One turn: wait for something to happen on a connection, and let it happen. */
static int turn(struct server *server, struct tmgr_context *context, int64_t limit)
{
	uint64_t count;
	MHD_UNSIGNED_LONG_LONG ms = 0;
	int64_t deadline = limit;
	int r;

	if (MHD_get_timeout(server->daemon, &ms) == MHD_YES &&
		tmgr_after((int64_t)ms * TMGR_MILLISECOND) < deadline)
		deadline = tmgr_after((int64_t)ms * TMGR_MILLISECOND);
	r = tmgr_wait_fd(context, server->events, TMGR_FD_READ, deadline);
	if (r < 0 && r != -ETIMEDOUT)
		return r;
	if (read(server->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return -errno;
	MHD_run(server->daemon);
	return 0;
}

static void drain(struct server *server, struct tmgr_context *context)
{
	int64_t limit = tmgr_after(HTTP_DRAIN_NS);
	int listener = MHD_quiesce_daemon(server->daemon);

	server->stopping = true;
	if (listener >= 0)
		close(listener);
	tmgr_uninterrupted_begin(context, limit);
	while (server->open > 0 && tmgr_now() < limit && turn(server, context, limit) == 0)
		;
	tmgr_uninterrupted_end(context);
}

static int serve(void *self, struct tmgr_context *context)
{
	struct server *server = self;
	const struct tmgr_group_options options = {
		.running_max = HTTP_REQUESTS_MAX, .keep_going = true, .on_pool = true
	};
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(
		server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r = info ? tmgr_group_create(context, &options, &server->group) : -EIO;

	if (r < 0)
		return r;
	server->context = context;
	tmgr_ready(context);
	while (r == 0)
		r = turn(server, context, TMGR_NEVER);
	drain(server, context);
	tmgr_group_destroy(server->group);
	return r;
}

static int unbind(void *self, struct tmgr_context *context)
{
	struct server *server = self;

	close_all(server);
	return 0;
}

static const struct tmgr_task_ops http_ops = {
	.kind = "http",
	.initialize = bind_port,
	.execute = serve,
	.cleanup = unbind,
	.destroy = free,
};

struct tmgr_task http_task(const struct http_options *options)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return tmgr_task_failed(-ENOMEM);
	server->options = *options;
	return (struct tmgr_task){ &http_ops, server };
}
