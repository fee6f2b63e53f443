/*
 * Instructions of a server where the machine counts none: the same program again under valgrind,
 * which counts those of the program itself, not the kernel's. Twice, with more requests the second
 * time, so that the difference is free of beginning and end.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/echo/echo.h"

#define FEW 1000
#define MANY 11000

static const char option[] = "--serve";

static const struct {
	const char *name;
	void (*serve)(int listening);
} servers[] = {
	{ "streams", echo_serve_streams },
	{ "waits", echo_serve_waits },
	{ "ev", echo_serve_ev },
#if BENCH_UV
	{ "uv_try", echo_serve_uv_try },
#endif
};

void echo_serve_if_asked(int argc, char **argv)
{
	if (argc != 4 || strcmp(argv[1], option) != 0)
		return;
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		if (strcmp(argv[2], servers[i].name) == 0)
			servers[i].serve(atoi(argv[3]));
	exit(EXIT_FAILURE);
}

/* What a program becomes that serves and counts; what it counted comes out of `output`. */
static void become_counted(const char *name, int listening, int output)
{
	char log[32], fd[16], program[512];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (length < 0)
		_exit(EXIT_FAILURE);
	program[length] = '\0';
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(log, sizeof(log), "--log-fd=%d", output);
	snprintf(fd, sizeof(fd), "%d", listening);
	execlp("valgrind", "valgrind", "--tool=exp-bbv", "--instr-count-only=yes",
		"--bb-out-file=/dev/null", "--pc-out-file=/dev/null", log, program, option, name,
		fd, (char *)NULL);
	_exit(EXIT_FAILURE);
}

/* The sum over its threads; below 0: it says nothing. */
static double read_count(int output)
{
	static const char title[] = "Total instructions:";
	FILE *file = fdopen(output, "r");
	char line[512];
	double sum = -1;

	while (file && fgets(line, sizeof(line), file)) {
		const char *found = strstr(line, title);

		if (found)
			sum = (sum < 0 ? 0 : sum) + strtod(found + strlen(title), NULL);
	}
	if (file)
		fclose(file);
	return sum;
}

static double count_with(const char *name, struct echo_load load, size_t requests)
{
	struct echo_server server = { .pid = -1 };
	struct echo_result result;
	int ends[2], listening = echo_listen(&server.port);
	bool answered;

	if (listening < 0 || pipe(ends) < 0)
		return -1;
	server.pid = fork();
	if (server.pid == 0) {
		close(ends[0]);
		become_counted(name, dup(listening), ends[1]);
	}
	close(listening);
	close(ends[1]);
	load.server = &server;
	load.requests = requests;
	answered = server.pid > 0 && echo_measure(&load, &result);
	kill(server.pid, answered ? SIGTERM : SIGKILL);
	result.instructions = read_count(ends[0]);
	waitpid(server.pid, NULL, 0);
	return answered ? result.instructions : -1;
}

double echo_count_instructions(const char *name, const struct echo_load *load)
{
	double few = count_with(name, *load, FEW);
	double many = few >= 0 ? count_with(name, *load, MANY) : -1;

	return many >= 0 ? (many - few) / (MANY - FEW) : -1;
}
