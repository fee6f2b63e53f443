/* A coroutine for each connection, waiting for its descriptor. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/echo/echo.h"
#include "tests/bench/in_loop.h"
#include "tests/bench/measure.h"

#define BUFFER_SIZE 65536

static int write_all(struct tmgr_context *context, int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
		int r = 0;

		if (n < 0 && errno == EAGAIN)
			r = tmgr_wait_fd(context, fd, TMGR_FD_WRITE, TMGR_NEVER);
		else if (n < 0)
			r = -errno;
		if (r < 0)
			return r;
		data += n > 0 ? n : 0;
		size -= (size_t)(n > 0 ? n : 0);
	}
	return 0;
}

/* One for all: what is read is written before anybody else reads, but for a socket that is full. */
static char shared[BUFFER_SIZE];

static int echo_one(void *self, struct tmgr_context *context)
{
	int fd = (int)(intptr_t)self, r;

	for (;;) {
		ssize_t n;

		r = tmgr_wait_fd(context, fd, TMGR_FD_READ, TMGR_NEVER);
		if (r < 0)
			break;
		n = recv(fd, shared, sizeof(shared), 0);
		if (n <= 0 && !(n < 0 && errno == EAGAIN))
			break;
		r = n > 0 ? write_all(context, fd, shared, (size_t)n) : 0;
		if (r < 0)
			break;
	}
	close(fd);
	return 0;
}

static int accept_all(void *self, struct tmgr_context *context)
{
	int listening = *(const int *)self, r;

	while ((r = tmgr_wait_fd(context, listening, TMGR_FD_READ, TMGR_NEVER)) >= 0) {
		int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		r = tmgr_coroutine_spawn(context, echo_one, (void *)(intptr_t)fd, NULL, NULL);
		if (r < 0)
			return r;
	}
	return r;
}

void echo_serve_waits(int listening)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	add_loop(manager, "echo", accept_all, &listening);
	measure_check("run", tmgr_manager_run(manager, NULL));
}
