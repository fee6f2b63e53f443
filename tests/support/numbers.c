#include "tests/support/numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 128
#define BURST_MAX 64
#define ANSWER_MS 10000

/* ---- The writer's process: what goes wrong here is told by its exit code -------------------- */

static volatile sig_atomic_t reopen_wanted;

static void want_reopen(int signo)
{
	(void)signo;
	reopen_wanted = 1;
}

struct writer {
	const char *path;
	int log, commands, answers;
	unsigned written, lines, up_to;
	bool paced;
	unsigned seed;
};

static void open_log(struct writer *writer)
{
	reopen_wanted = 0;
	if (writer->log >= 0)
		close(writer->log);
	writer->log = open(writer->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (writer->log < 0)
		_exit(10);
}

static void answer(struct writer *writer)
{
	if (write(writer->answers, "k", 1) != 1)
		_exit(11);
}

static void read_exactly(int fd, void *bytes, size_t length)
{
	ssize_t n;

	do
		n = read(fd, bytes, length);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)length)
		_exit(12);
}

/* 'p' and 'b' for more lines, paced or in a burst; 'h' to hold still until the next byte. */
static void obey(struct writer *writer, bool wait)
{
	struct pollfd ready = { .fd = writer->commands, .events = POLLIN };
	char command;

	if (poll(&ready, 1, wait ? -1 : 0) <= 0) /* or a signal */
		return;
	read_exactly(writer->commands, &command, 1);
	if (command == 'h') {
		if (reopen_wanted)
			open_log(writer);
		answer(writer);
		read_exactly(writer->commands, &command, 1);
		return;
	}
	writer->paced = command == 'p';
	read_exactly(writer->commands, &writer->up_to, sizeof(writer->up_to));
}

static void write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(13);
		bytes += n;
		length -= (size_t)n;
	}
}

/* Some lines, cut into two writes anywhere: a reader sees half lines. */
static void write_lines(struct writer *writer)
{
	char bytes[BURST_MAX * LINE_MAX_BYTES];
	unsigned count = 1 + (unsigned)rand_r(&writer->seed) % BURST_MAX;
	size_t length = 0, first;

	for (; count > 0 && writer->written < writer->up_to; count--) {
		unsigned n = ++writer->written;

		length += (size_t)snprintf(bytes + length, LINE_MAX_BYTES, NUMBERS_LINE, n,
			(int)(n % (sizeof(NUMBERS_PADDING) - 1)), NUMBERS_PADDING);
	}
	if (length == 0)
		return;
	first = (size_t)rand_r(&writer->seed) % length;
	write_all(writer->log, bytes, first);
	write_all(writer->log, bytes + first, length - first);
	if (writer->paced) {
		struct timespec pause = { .tv_nsec = rand_r(&writer->seed) % 1000000 };

		nanosleep(&pause, NULL);
	}
}

static void write_log(const struct numbers *numbers, int commands, int answers)
{
	struct writer writer = {
		.path = numbers->path,
		.log = -1,
		.commands = commands,
		.answers = answers,
		.lines = numbers->lines,
		.seed = numbers->seed,
	};
	struct sigaction action = { .sa_handler = want_reopen };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGHUP, &action, NULL);
	open_log(&writer);
	answer(&writer);
	while (writer.written < writer.lines) {
		if (reopen_wanted)
			open_log(&writer);
		obey(&writer, writer.written >= writer.up_to);
		write_lines(&writer);
	}
	_exit(0);
}

/* ---- Whoever started it --------------------------------------------------------------------- */

static bool answered(struct numbers *numbers)
{
	struct pollfd ready = { .fd = numbers->answer, .events = POLLIN };
	char byte;

	return poll(&ready, 1, ANSWER_MS) == 1 && read(numbers->answer, &byte, 1) == 1;
}

bool numbers_start(struct numbers *numbers)
{
	int commands[2], answers[2];

	numbers->command = numbers->answer = -1;
	snprintf(numbers->path, sizeof(numbers->path), "%s/numbers.log", numbers->directory);
	if (pipe2(commands, O_CLOEXEC) < 0)
		return false;
	if (pipe2(answers, O_CLOEXEC) < 0) {
		close(commands[0]);
		close(commands[1]);
		return false;
	}
	numbers->writer = fork();
	if (numbers->writer == 0)
		write_log(numbers, commands[0], answers[1]);
	close(commands[0]);
	close(answers[1]);
	numbers->command = commands[1];
	numbers->answer = answers[0];
	return numbers->writer > 0 && answered(numbers);
}

void numbers_fini(struct numbers *numbers)
{
	if (numbers->writer > 0) {
		kill(numbers->writer, SIGKILL);
		waitpid(numbers->writer, NULL, 0);
		numbers->writer = 0;
	}
	close(numbers->command);
	close(numbers->answer);
}

bool numbers_grant(struct numbers *numbers, unsigned up_to, bool paced)
{
	char command[1 + sizeof(up_to)] = { paced ? 'p' : 'b' };
	unsigned char *number = (unsigned char *)&up_to;

	if (up_to > numbers->lines)
		up_to = numbers->lines;
	for (size_t i = 0; i < sizeof(up_to); i++)
		command[1 + i] = (char)number[i];
	return write(numbers->command, command, sizeof(command)) == sizeof(command);
}

static bool logrotate(struct numbers *numbers, const char *how)
{
	char configuration[192], state[192];
	int status = -1;
	FILE *file;
	pid_t pid;

	snprintf(configuration, sizeof(configuration), "%s/rotate.conf", numbers->directory);
	snprintf(state, sizeof(state), "%s/rotate.state", numbers->directory);
	file = fopen(configuration, "we");
	if (!file)
		return false;
	fprintf(file, "%s {\n rotate 100\n nocompress\n %s\n}\n", numbers->path, how);
	if (fclose(file) != 0 || chmod(configuration, 0644) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		execl(NUMBERS_LOGROTATE, NUMBERS_LOGROTATE, "-f", "-s", state, configuration, NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool rename_and_create(struct numbers *numbers)
{
	char from[192], to[192];
	int fd;

	for (int i = 99; i >= 0; i--) {
		snprintf(from, sizeof(from), i > 0 ? "%s.%d" : "%s", numbers->path, i);
		snprintf(to, sizeof(to), "%s.%d", numbers->path, i + 1);
		if (rename(from, to) < 0 && errno != ENOENT)
			return false;
	}
	fd = open(numbers->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	close(fd);
	return kill(numbers->writer, SIGHUP) == 0; /* until it comes to it: the old file */
}

bool numbers_rotate(struct numbers *numbers, enum numbers_rotation rotation)
{
	char how[128];
	bool done;

	switch (rotation) {
	case NUMBERS_LOGROTATE_CREATE:
		snprintf(how, sizeof(how), "create\n postrotate\n  kill -HUP %d\n endscript",
			(int)numbers->writer);
		return logrotate(numbers, how);
	case NUMBERS_LOGROTATE_COPYTRUNCATE:
		if (write(numbers->command, "h", 1) != 1 || !answered(numbers))
			return false;
		done = logrotate(numbers, "copytruncate");
		return write(numbers->command, "g", 1) == 1 && done;
	default:
		return rename_and_create(numbers);
	}
}
