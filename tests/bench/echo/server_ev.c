/* Callbacks on libev, as one would write them: read, try to write, else watch for room. */
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/echo/echo.h"
#include "tests/bench/measure.h"

#define BUFFER_SIZE 65536

struct connection {
	ev_io readable, writable;
	/* What there was no room for. */
	char *left;
	size_t left_size;
};

static char buffer[BUFFER_SIZE];

static void hang_up(struct ev_loop *loop, struct connection *connection)
{
	ev_io_stop(loop, &connection->readable);
	ev_io_stop(loop, &connection->writable);
	close(connection->readable.fd);
	free(connection->left);
	free(connection);
}

static void keep(struct ev_loop *loop, struct connection *connection, const char *data, size_t size)
{
	connection->left = malloc(size);
	measure_check("malloc", connection->left ? 0 : -ENOMEM);
	memcpy(connection->left, data, size);
	connection->left_size = size;
	ev_io_stop(loop, &connection->readable);
	ev_io_start(loop, &connection->writable);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct connection *connection = watcher->data;
	ssize_t n = send(watcher->fd, connection->left, connection->left_size, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN)
			hang_up(loop, connection);
		return;
	}
	connection->left_size -= (size_t)n;
	memmove(connection->left, connection->left + n, connection->left_size);
	if (connection->left_size > 0)
		return;
	free(connection->left);
	connection->left = NULL;
	ev_io_stop(loop, &connection->writable);
	ev_io_start(loop, &connection->readable);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct connection *connection = watcher->data;
	ssize_t got = recv(watcher->fd, buffer, sizeof(buffer), 0), sent;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		hang_up(loop, connection);
		return;
	}
	sent = send(watcher->fd, buffer, (size_t)got, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		hang_up(loop, connection);
	else if (sent < got)
		keep(loop, connection, buffer + (sent > 0 ? sent : 0),
			(size_t)(got - (sent > 0 ? sent : 0)));
}

static void on_connection(struct ev_loop *loop, ev_io *watcher, int events)
{
	int fd = accept4(watcher->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct connection *connection;

	if (fd < 0)
		return;
	connection = calloc(1, sizeof(*connection));
	measure_check("calloc", connection ? 0 : -ENOMEM);
	ev_io_init(&connection->readable, on_readable, fd, EV_READ);
	ev_io_init(&connection->writable, on_writable, fd, EV_WRITE);
	connection->readable.data = connection->writable.data = connection;
	ev_io_start(loop, &connection->readable);
}

void echo_serve_ev(int listening)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	ev_io watcher;

	measure_check("ev_loop_new", loop ? 0 : -ENOMEM);
	ev_io_init(&watcher, on_connection, listening, EV_READ);
	ev_io_start(loop, &watcher);
	ev_run(loop, 0);
}
