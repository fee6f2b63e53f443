/*
 * Listening and accepting.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "endpoint.h"

/* How long to wait for descriptors or memory before accepting again. */
#define SHORT_NS (100 * TMGR_MILLISECOND)

static struct tmgr_listener *allocate(const struct tmgr_listen_options *options)
{
	struct tmgr_listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return NULL;
	listener->fd = -1;
	if (options)
		listener->stream = options->stream;
	return listener;
}

static int open_socket(struct tmgr_listener *listener, int family)
{
	listener->family = (sa_family_t)family;
	listener->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return listener->fd < 0 ? -errno : 0;
}

/* ---- TCP ------------------------------------------------------------------------------------ */

static int bind_tcp(struct tmgr_listener *listener, const struct tmgr_address *address,
	const struct tmgr_listen_options *options)
{
	int r = open_socket(listener, address->to.any.sa_family), on = 1;

	if (r < 0)
		return r;
	/* Connections of an earlier run that are not quite over are no hindrance. */
	if (setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (options->share_port &&
		setsockopt(listener->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	return bind(listener->fd, &address->to.any, address->size) < 0 ? -errno : 0;
}

static struct tmgr_address any_address(int family, unsigned port)
{
	struct tmgr_address address;

	memset(&address, 0, sizeof(address));
	if (family == AF_INET6) {
		address.size = sizeof(address.to.in6);
		address.to.in6.sin6_family = AF_INET6;
		address.to.in6.sin6_port = htons((uint16_t)port);
	} else {
		address.size = sizeof(address.to.in);
		address.to.in.sin_family = AF_INET;
		address.to.in.sin_port = htons((uint16_t)port);
	}
	return address;
}

/* All addresses of both families; of the old one alone where there is no other. */
static int bind_any(
	struct tmgr_listener *listener, unsigned port, const struct tmgr_listen_options *options)
{
	struct tmgr_address address = any_address(AF_INET6, port);
	int r = bind_tcp(listener, &address, options);

	if (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
		return r;
	if (listener->fd >= 0)
		close(listener->fd);
	address = any_address(AF_INET, port);
	return bind_tcp(listener, &address, options);
}

static int bind_host(struct tmgr_listener *listener, const struct tmgr_endpoint *endpoint,
	const struct tmgr_listen_options *options)
{
	struct tmgr_address address;
	int r;

	if (!endpoint->host)
		return bind_any(listener, endpoint->port, options);
	r = tmgr__numeric_address(endpoint->host, endpoint->port, &address);
	return r < 0 ? r : bind_tcp(listener, &address, options);
}

/* ---- Unix sockets --------------------------------------------------------------------------- */

/* Whether the file is a socket that nobody listens on any more. */
static bool is_left_over(const char *path, const struct tmgr_address *address)
{
	struct stat status;
	bool refused;
	int fd;

	if (lstat(path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	refused = connect(fd, &address->to.any, address->size) < 0 && errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static void note_file(struct tmgr_listener *listener, const char *path)
{
	struct stat status;

	if (path[0] == '@' || stat(path, &status) < 0)
		return;
	strcpy(listener->path, path);
	listener->device = status.st_dev;
	listener->inode = status.st_ino;
}

static int bind_unix(
	struct tmgr_listener *listener, const char *path, const struct tmgr_listen_options *options)
{
	struct tmgr_address address;
	int r = tmgr__unix_address(path, &address);

	if (r == 0)
		r = open_socket(listener, AF_UNIX);
	if (r < 0)
		return r;
	r = bind(listener->fd, &address.to.any, address.size) < 0 ? -errno : 0;
	if (r == -EADDRINUSE && path[0] != '@' && is_left_over(path, &address)) {
		unlink(path);
		r = bind(listener->fd, &address.to.any, address.size) < 0 ? -errno : 0;
	}
	if (r < 0)
		return r;
	note_file(listener, path);
	if (options->mode != 0 && path[0] != '@' && chmod(path, options->mode) < 0)
		return -errno;
	return 0;
}

/* ---- Public --------------------------------------------------------------------------------- */

int tmgr_listen(const struct tmgr_endpoint *endpoint, const struct tmgr_listen_options *options,
	struct tmgr_listener **ret_listener)
{
	static const struct tmgr_listen_options none;
	struct tmgr_listener *listener;
	int r;

	if (!options)
		options = &none;
	if (!endpoint || !ret_listener || (endpoint->host && endpoint->unix_path) ||
		endpoint->port > 65535 || options->backlog < 0 || options->mode > 0777)
		return -EINVAL;
	listener = allocate(options);
	if (!listener)
		return -ENOMEM;
	if (endpoint->unix_path)
		r = bind_unix(listener, endpoint->unix_path, options);
	else
		r = bind_host(listener, endpoint, options);
	/* The system cuts a backlog that is larger than it allows. */
	if (r == 0 && listen(listener->fd, options->backlog ? options->backlog : INT32_MAX) < 0)
		r = -errno;
	if (r < 0) {
		tmgr_listener_destroy(listener);
		return r;
	}
	*ret_listener = listener;
	return 0;
}

int tmgr_listener_from_fd(
	int fd, const struct tmgr_listen_options *options, struct tmgr_listener **ret_listener)
{
	struct tmgr_address address = { .size = sizeof(address.to) };
	struct tmgr_listener *listener;
	socklen_t size = sizeof(int);
	int listens = 0, status;

	if (!ret_listener)
		return -EINVAL;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 ||
		getsockname(fd, &address.to.any, &address.size) < 0)
		return -errno;
	status = fcntl(fd, F_GETFL);
	if (!listens || status < 0)
		return -EINVAL;
	listener = allocate(options);
	if (!listener)
		return -ENOMEM;
	listener->was_blocking = !(status & O_NONBLOCK);
	if (listener->was_blocking)
		fcntl(fd, F_SETFL, status | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	listener->family = address.to.any.sa_family;
	listener->fd = fd;
	*ret_listener = listener;
	return 0;
}

int tmgr_listener_port(const struct tmgr_listener *listener)
{
	struct tmgr_address address = { .size = sizeof(address.to) };

	if (!listener)
		return -EINVAL;
	if (getsockname(listener->fd, &address.to.any, &address.size) < 0)
		return -errno;
	switch (address.to.any.sa_family) {
	case AF_INET:
		return ntohs(address.to.in.sin_port);
	case AF_INET6:
		return ntohs(address.to.in6.sin6_port);
	default:
		return 0;
	}
}

int tmgr_listener_fd(const struct tmgr_listener *listener)
{
	return listener ? listener->fd : -EINVAL;
}

/* Errors of the one connection that was to be accepted, which is gone. */
static bool concerns_one(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENETDOWN:
	case ENETUNREACH:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case EOPNOTSUPP:
	case EPERM:
		return true;
	default:
		return false;
	}
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* The connection stays in the queue, and so is at once there again: only time helps. */
static int wait_for_means(struct tmgr_context *context, int error, int64_t deadline)
{
	int64_t again = tmgr_after(SHORT_NS);
	int r;

	if (deadline <= tmgr_now())
		return -error;
	r = tmgr_sleep_until(context, again < deadline ? again : deadline);
	/* In an uninterrupted scope that ends. */
	return r == -ETIMEDOUT ? -error : r;
}

static int accept_fd(struct tmgr_context *context, struct tmgr_listener *listener, int64_t deadline)
{
	int r = tmgr_context_interrupted(context);

	while (r >= 0) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), error;

		if (fd >= 0) {
			tmgr_context_count_operation(context);
			return fd;
		}
		error = errno;
		if (error == EAGAIN)
			r = tmgr_wait_fd(context, listener->fd, TMGR_FD_READ, deadline);
		else if (is_shortage(error))
			r = wait_for_means(context, error, deadline);
		else if (!concerns_one(error))
			r = -error;
	}
	return r;
}

int tmgr_accept(struct tmgr_context *context, struct tmgr_listener *listener, int64_t deadline,
	struct tmgr_stream **ret_stream)
{
	struct tmgr_stream *stream;
	int fd;

	if (!listener || !ret_stream)
		return -EINVAL;
	/* Before, so that no connection is accepted and then lost. */
	while (!(stream = tmgr__stream_new(TMGR__STREAM_SOCKET, &listener->stream))) {
		int r = wait_for_means(context, ENOMEM, deadline);

		if (r < 0)
			return r;
	}
	fd = accept_fd(context, listener, deadline);
	if (fd < 0) {
		free(stream);
		return fd;
	}
	if (listener->family != AF_UNIX)
		tmgr__stream_set_delay(fd, &listener->stream);
	tmgr__io_init(&stream->io, fd);
	*ret_stream = stream;
	return 0;
}

/* Only the file that was made: another may have taken the path since. */
static void remove_file(const struct tmgr_listener *listener)
{
	struct stat status;

	if (listener->path[0] && stat(listener->path, &status) == 0 &&
		status.st_dev == listener->device && status.st_ino == listener->inode)
		unlink(listener->path);
}

void tmgr_listener_destroy(struct tmgr_listener *listener)
{
	if (!listener)
		return;
	remove_file(listener);
	if (listener->fd >= 0 && listener->was_blocking)
		fcntl(listener->fd, F_SETFL, fcntl(listener->fd, F_GETFL) & ~O_NONBLOCK);
	if (listener->fd >= 0)
		close(listener->fd);
	free(listener);
}
