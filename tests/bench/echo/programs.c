/* Servers that are programs of their own: uvloop's streams, and redis-server with its PING. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/echo/echo.h"

static const char uvloop_program[] = "import asyncio, socket, sys, uvloop\n"
				     "async def serve(reader, writer):\n"
				     "    while data := await reader.read(65536):\n"
				     "        writer.write(data)\n"
				     "        await writer.drain()\n"
				     "    writer.close()\n"
				     "async def main():\n"
				     "    server = await asyncio.start_server(serve, "
				     "sock=socket.socket(fileno=int(sys.argv[1])))\n"
				     "    await server.serve_forever()\n"
				     "uvloop.install()\n"
				     "asyncio.run(main())\n";

/* BENCH_PYTHON names another Python. */
static const char *python(void)
{
	const char *named = getenv("BENCH_PYTHON");

	return named ? named : "python3";
}

static void be_silent(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
}

static bool succeeds(const char *program, const char *argument, const char *next)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		be_silent();
		execlp(program, program, argument, next, (char *)NULL);
		_exit(EXIT_FAILURE);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == EXIT_SUCCESS;
}

bool echo_has_uvloop(void)
{
	return succeeds(python(), "-c", "import uvloop");
}

void echo_exec_uvloop(int listening)
{
	char fd[16];

	snprintf(fd, sizeof(fd), "%d", dup(listening));
	execlp(python(), python(), "-c", uvloop_program, fd, (char *)NULL);
}

bool echo_has_redis(void)
{
	return succeeds("redis-server", "--version", NULL);
}

void echo_exec_redis(int port)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", port);
	be_silent();
	execlp("redis-server", "redis-server", "--port", text, "--bind", "127.0.0.1", "--save", "",
		"--appendonly", "no", "--daemonize", "no", (char *)NULL);
}
