/* A server's process: its listening socket, its processor, its end. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/echo/echo.h"

/* Bound to a port that is free, on this machine only; -1: it could not. */
static int bind_anywhere(int *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
		close(fd);
		return -1;
	}
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* In the child. A server shares its processor with no other that works: each is loaded in turn. */
static void settle(pid_t parent)
{
	cpu_set_t processors;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	CPU_ZERO(&processors);
	CPU_SET(0, &processors);
	sched_setaffinity(0, sizeof(processors), &processors);
}

int echo_listen(int *ret_port)
{
	int listening = bind_anywhere(ret_port);

	if (listening >= 0 && listen(listening, 128) < 0) {
		close(listening);
		return -1;
	}
	return listening;
}

bool echo_start(struct echo_server *server, void (*serve)(int listening))
{
	int listening = echo_listen(&server->port);
	pid_t parent = getpid();

	if (listening < 0)
		return false;
	server->pid = fork();
	if (server->pid == 0) {
		settle(parent);
		serve(listening);
		_exit(EXIT_FAILURE);
	}
	close(listening);
	return server->pid > 0;
}

bool echo_start_program(struct echo_server *server, void (*become)(int port))
{
	int reserved = bind_anywhere(&server->port);
	pid_t parent = getpid();

	if (reserved < 0)
		return false;
	close(reserved);
	server->pid = fork();
	if (server->pid == 0) {
		settle(parent);
		become(server->port);
		_exit(EXIT_FAILURE);
	}
	return server->pid > 0;
}

void echo_stop(struct echo_server *server)
{
	if (server->pid <= 0)
		return;
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}
