#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "daytime.h"

#define BACKLOG 64
/* A client that takes longer to take 26 bytes is given up. */
#define CLIENT_NS (5 * TMGR_SECOND)

static int open_socket(uint16_t port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int one = 1;
	int r, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int listener_initialize(void *self, struct tmgr_context *context)
{
	struct daytime *daytime = self;
	int r = open_socket(daytime->port);

	if (r < 0)
		return tmgr_fail(context, r, "listening on port %u", (unsigned)daytime->port);
	daytime->fd = r;
	return 0;
}

static int listener_cleanup(void *self, struct tmgr_context *context)
{
	struct daytime *daytime = self;

	(void)context;
	close(daytime->fd);
	daytime->fd = -1;
	return 0;
}

/* Sends the date. What goes wrong with one client is no failure of the daemon. */
static int client_execute(void *self, struct tmgr_context *context)
{
	const int fd = *(const int *)self;
	const int64_t deadline = tmgr_after(CLIENT_NS);
	char text[64];
	struct tm tm;
	time_t now = time(NULL);
	size_t length, sent = 0;
	ssize_t n;

	if (localtime_r(&now, &tm) == NULL)
		return 0;
	length = strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y\r\n", &tm);
	while (sent < length) {
		n = send(fd, text + sent, length - sent, MSG_NOSIGNAL);
		if (n >= 0)
			sent += (size_t)n;
		else if (errno != EAGAIN || tmgr_wait_fd(context, fd, TMGR_FD_WRITE, deadline) < 0)
			break;
	}
	return 0;
}

static void client_destroy(void *self)
{
	close(*(int *)self);
	free(self);
}

/* Takes fd; destroying the task closes it, executed or not. */
static struct tmgr_task client_task(int fd)
{
	static const struct tmgr_task_ops ops = {
		.kind = "client",
		.execute = client_execute,
		.destroy = client_destroy,
	};
	int *self = malloc(sizeof(*self));

	if (self == NULL) {
		close(fd);
		return tmgr_task_failed(-ENOMEM);
	}
	*self = fd;
	return (struct tmgr_task){ &ops, self };
}

/* Whether accept failed for this client only, or for want of something that comes back. */
static bool accept_may_go_on(int error)
{
	switch (error) {
	case EAGAIN:
	case EINTR:
	case ECONNABORTED:
	case EPERM:
	case EPROTO:
		return true;
	default:
		return false;
	}
}

static int server_execute(void *self, struct tmgr_context *context)
{
	struct daytime *daytime = self;
	int r, fd;

	tmgr_ready(context);
	tmgr_log(context, TMGR_LEVEL_NOTICE, "serving port %u", (unsigned)daytime->port);
	while ((r = tmgr_wait_fd(context, daytime->fd, TMGR_FD_READ, TMGR_NEVER)) >= 0) {
		fd = accept4(daytime->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			tmgr_manager_add_execute_task(tmgr_context_manager(context), "client",
				client_task(fd), TMGR_ERROR);
		else if (errno == EMFILE || errno == ENFILE)
			tmgr_sleep(context, 100 * TMGR_MILLISECOND);
		else if (!accept_may_go_on(errno))
			return tmgr_fail(context, -errno, "accept");
	}
	return r;
}

struct tmgr_task daytime_listener_task(struct daytime *daytime)
{
	static const struct tmgr_task_ops ops = {
		.kind = "listener",
		.initialize = listener_initialize,
		.cleanup = listener_cleanup,
	};

	return (struct tmgr_task){ &ops, daytime };
}

struct tmgr_task daytime_server_task(struct daytime *daytime)
{
	return tmgr_task_function(server_execute, daytime);
}
