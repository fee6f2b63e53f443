/*
 * The socket for taskctl process. The task accepts; each connection is a child of it, which reads a
 * line, has it answered, and so on. Told to stop, children are cancelled: what they asked for is done or
 * not, as with any program that goes away.
 */
#include <taskmgr/tasks/process_control.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <taskmgr/group.h>
#include <taskmgr/time.h>

#include "process_protocol.h"

#define CONNECTIONS_DEFAULT 16
#define CONNECTIONS_MAX 1000
#define CHUNK 4096

struct control {
	struct tmgr_processes *processes;
	struct tmgr_process_control_options options;
	struct sockaddr_un address;
	int listener;
	struct stat made;    /* the socket's file, so that only ours is removed */
	_Atomic size_t open; /* connections */
};

/* ---- One connection ------------------------------------------------------------------------- */

struct connection {
	struct control *control;
	struct tmgr_context *context;
	int fd;
	char *buffer;
	size_t size, used; /* bytes in the buffer; of these, of lines that were answered */
	size_t capacity;
};

static int send_all(struct connection *connection, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(connection->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r = 0;

		if (sent >= 0) {
			text += sent;
			size -= (size_t)sent;
			continue;
		}
		if (errno == EAGAIN)
			r = tmgr_wait_fd(connection->context, connection->fd, TMGR_FD_WRITE,
				tmgr_after(connection->control->options.idle_ns));
		else if (errno != EINTR)
			r = -errno;
		if (r < 0)
			return r;
	}
	return 0;
}

static int send_line(void *self, const char *text, size_t size)
{
	int r = send_all(self, text, size);

	return r < 0 ? r : send_all(self, "\n", 1);
}

static int make_room(struct connection *connection)
{
	size_t capacity = connection->capacity > 0 ? 2 * connection->capacity : CHUNK;
	char *buffer;

	if (connection->used > 0) {
		memmove(connection->buffer, connection->buffer + connection->used,
			connection->size - connection->used);
		connection->size -= connection->used;
		connection->used = 0;
	}
	if (connection->size > TMGR__PROCESS_LINE_MAX)
		return -EMSGSIZE;
	if (connection->capacity - connection->size > 0)
		return 0;
	if (capacity > TMGR__PROCESS_LINE_MAX + CHUNK)
		capacity = TMGR__PROCESS_LINE_MAX + CHUNK;
	buffer = realloc(connection->buffer, capacity);
	if (!buffer)
		return -ENOMEM;
	connection->buffer = buffer;
	connection->capacity = capacity;
	return 0;
}

/* More bytes: 1; the end: 0. */
static int read_some(struct connection *connection, int64_t deadline)
{
	int r = make_room(connection);

	while (r == 0) {
		ssize_t got = recv(connection->fd, connection->buffer + connection->size,
			connection->capacity - connection->size, MSG_DONTWAIT);

		if (got >= 0) {
			connection->size += (size_t)got;
			return got > 0;
		}
		if (errno == EAGAIN)
			r = tmgr_wait_fd(
				connection->context, connection->fd, TMGR_FD_READ, deadline);
		else if (errno != EINTR)
			r = -errno;
		if (r > 0)
			r = 0;
	}
	return r;
}

/* The next line, which stays in the buffer until the next call: 1; the end: 0. */
static int read_line(struct connection *connection, const char **ret_line, size_t *ret_size)
{
	int64_t deadline = tmgr_after(connection->control->options.idle_ns);
	size_t seen = 0;

	for (;;) {
		const char *start = connection->buffer + connection->used;
		size_t size = connection->size - connection->used;
		const char *end = size > seen ? memchr(start + seen, '\n', size - seen) : NULL;
		int r;

		if (end) {
			*ret_line = start;
			*ret_size = (size_t)(end - start);
			connection->used += *ret_size + 1;
			return 1;
		}
		seen = size;
		r = read_some(connection, deadline);
		if (r <= 0)
			return r;
	}
}

static const char too_long[] =
	"{\"kind\":\"end\",\"error\":-90,\"text\":\"the request is too long\",\"sequence\":0}";
static const char too_many[] =
	"{\"kind\":\"end\",\"error\":-16,\"text\":\"too many programs are served\",\"sequence\":0}";

static int converse(struct connection *connection)
{
	struct control *control = connection->control;
	const struct tmgr__process_out out = {
		.line = send_line, .self = connection, .request_ns = control->options.request_ns
	};
	const char *line = NULL;
	size_t size = 0;
	int r;

	do {
		r = read_line(connection, &line, &size);
		if (r > 0)
			r = tmgr__process_answer(
				    connection->context, control->processes, line, size, &out) < 0
				    ? -EIO
				    : 1;
	} while (r > 0);
	if (r == -EMSGSIZE)
		send_line(connection, too_long, strlen(too_long));
	return r;
}

/* What goes wrong with one program is no error of the daemon. */
static int serve_connection(void *self, struct tmgr_context *context)
{
	struct connection *connection = self;

	connection->context = context;
	converse(connection);
	return 0;
}

static void close_connection(void *self)
{
	struct connection *connection = self;

	close(connection->fd);
	free(connection->buffer);
	connection->control->open--;
	free(connection);
}

static const struct tmgr_task_ops connection_ops = {
	.kind = "process_control connection",
	.execute = serve_connection,
	.destroy = close_connection,
};

/* ---- Accepting ------------------------------------------------------------------------------ */

static bool is_allowed(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static void refuse(int fd, const char *line)
{
	if (line && send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		(void)!send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void take(
	struct control *control, struct tmgr_context *context, struct tmgr_group *group, int fd)
{
	struct connection *connection;

	if (!is_allowed(fd)) {
		refuse(fd, NULL);
		return;
	}
	connection = control->open < control->options.connections_max
			     ? calloc(1, sizeof(*connection))
			     : NULL;
	if (!connection) {
		refuse(fd, too_many);
		return;
	}
	connection->control = control;
	connection->fd = fd;
	control->open++;
	tmgr_spawn(context, group, (struct tmgr_task){ &connection_ops, connection }, NULL);
}

/* Errors of accept(2) are those of the one who connects, or of a machine that has run out of something. */
static int accept_one(
	struct control *control, struct tmgr_context *context, struct tmgr_group *group)
{
	int r = tmgr_wait_fd(context, control->listener, TMGR_FD_READ, TMGR_NEVER);
	int fd;

	if (r < 0)
		return r;
	fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		take(control, context, group, fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
		return tmgr_sleep(context, 100 * TMGR_MILLISECOND);
	return 0;
}

static int serve(void *self, struct tmgr_context *context)
{
	struct control *control = self;
	const struct tmgr_group_options options = { .keep_going = true, .on_pool = true };
	struct tmgr_group *group = NULL;
	int r = tmgr_group_create(context, &options, &group);

	if (r == 0)
		tmgr_ready(context);
	while (r == 0)
		r = accept_one(control, context, group);
	tmgr_group_destroy(group);
	return r;
}

/* ---- The socket ----------------------------------------------------------------------------- */

/* Whether what is in the way is a socket on which nobody listens. */
static bool is_left_over(const struct sockaddr_un *address)
{
	struct stat st;
	bool left_over;
	int fd;

	if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	left_over = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
		    errno == ECONNREFUSED;
	close(fd);
	return left_over;
}

/* The mode of a socket that is not bound becomes that of its file: at no moment may others connect. */
static int bind_socket(struct control *control)
{
	const struct sockaddr *address = (const struct sockaddr *)&control->address;

	control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (control->listener < 0 || fchmod(control->listener, 0600) < 0)
		return -errno;
	if (bind(control->listener, address, sizeof(control->address)) < 0) {
		if (errno != EADDRINUSE || !is_left_over(&control->address))
			return -errno;
		if (unlink(control->address.sun_path) < 0 ||
			bind(control->listener, address, sizeof(control->address)) < 0)
			return -errno;
	}
	if (stat(control->address.sun_path, &control->made) < 0 ||
		listen(control->listener, CONNECTIONS_DEFAULT) < 0)
		return -errno;
	return 0;
}

static void remove_socket(struct control *control)
{
	struct stat now;

	if (control->listener >= 0)
		close(control->listener);
	control->listener = -1;
	if (control->made.st_ino && stat(control->address.sun_path, &now) == 0 &&
		now.st_ino == control->made.st_ino && now.st_dev == control->made.st_dev)
		unlink(control->address.sun_path);
}

static int open_control(void *self, struct tmgr_context *context)
{
	struct control *control = self;
	int r = bind_socket(control);

	if (r == 0)
		return 0;
	remove_socket(control);
	return tmgr_fail(context, r, "%s", control->address.sun_path);
}

static int close_control(void *self, struct tmgr_context *context)
{
	remove_socket(self);
	return 0;
}

static void destroy_control(void *self)
{
	struct control *control = self;

	tmgr_processes_unref(control->processes);
	free(control);
}

static const struct tmgr_task_ops control_ops = {
	.kind = "process_control",
	.initialize = open_control,
	.execute = serve,
	.cleanup = close_control,
	.destroy = destroy_control,
};

/* They are referred to as long as the task that is refused. */
static const struct tmgr_refusal without = { -EINVAL, "a control socket has processes and a path" };
static const struct tmgr_refusal bad_path = { -EINVAL, "the path of a socket has 1 to 107 bytes" };
static const struct tmgr_refusal bad_limits = { -EINVAL,
	"the limits of a control socket are 0 or above, at most 1000 programs" };

static bool take_options(
	struct control *control, const struct tmgr_process_control_options *options)
{
	struct tmgr_process_control_options *own = &control->options;

	if (options)
		*own = *options;
	if (own->connections_max == 0)
		own->connections_max = CONNECTIONS_DEFAULT;
	if (own->idle_ns == 0)
		own->idle_ns = TMGR_MINUTE;
	if (own->request_ns == 0)
		own->request_ns = 10 * TMGR_SECOND;
	return own->connections_max <= CONNECTIONS_MAX && own->idle_ns > 0 && own->request_ns > 0;
}

struct tmgr_task tmgr_process_control(struct tmgr_processes *processes, const char *path,
	const struct tmgr_process_control_options *options)
{
	struct control *control;

	if (!processes || !path)
		return tmgr_task_refused(&without);
	if (!path[0] || strlen(path) >= sizeof(control->address.sun_path))
		return tmgr_task_refused(&bad_path);
	control = calloc(1, sizeof(*control));
	if (!control)
		return tmgr_task_failed(-ENOMEM);
	control->listener = -1;
	control->address.sun_family = AF_UNIX;
	strcpy(control->address.sun_path, path);
	if (!take_options(control, options)) {
		free(control);
		return tmgr_task_refused(&bad_limits);
	}
	control->processes = tmgr_processes_ref(processes);
	return (struct tmgr_task){ &control_ops, control };
}
