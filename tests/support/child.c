#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#include "tests/support/child.h"
#include "tests/support/fault.h"

/* What a coverage build has counted would be lost by _exit(). */
extern void __gcov_dump(void) __attribute__((weak));

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void leave(int code)
{
	if (__gcov_dump != NULL)
		__gcov_dump();
	_exit(code);
}

/* What a stuck task may still use is left behind on purpose: to valgrind that is a leak. */
static void ignore_leaks(void)
{
#ifdef VALGRIND_CLO_CHANGE
	VALGRIND_CLO_CHANGE("--leak-check=no");
#endif
}

void child_start(struct child *child, int (*body)(void *argument), void *argument)
{
	int ends[2];

	memset(child, 0, sizeof(*child));
	if (pipe2(ends, O_CLOEXEC) != 0)
		abort();
	fflush(NULL);
	child->pid = fork();
	if (child->pid < 0)
		abort();
	if (child->pid == 0) {
		/* It does not outlive a test program that fails. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDERR_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		fault_count_end();
		ignore_leaks();
		leave(body(argument));
	}
	close(ends[1]);
	child->output = ends[0];
}

/* Read what has come, waiting for at most so long; false at the end or when nothing came. */
static bool read_more(struct child *child, int64_t end_ms)
{
	struct pollfd ready = { .fd = child->output, .events = POLLIN };
	int64_t left = end_ms - now_ms();
	ssize_t n;

	if (left <= 0 || poll(&ready, 1, (int)left) <= 0)
		return false;
	if (child->length == sizeof(child->text) - 1)
		child->length = 0;
	n = read(child->output, child->text + child->length,
		sizeof(child->text) - 1 - child->length);
	if (n <= 0)
		return false;
	child->length += (size_t)n;
	child->text[child->length] = '\0';
	return true;
}

bool child_prints(struct child *child, const char *text)
{
	int64_t end_ms = now_ms() + CHILD_LIMIT_S * INT64_C(1000);

	while (strstr(child->text, text) == NULL) {
		if (!read_more(child, end_ms))
			return false;
	}
	return true;
}

int child_count(const struct child *child, const char *text)
{
	int n = 0;

	for (const char *at = child->text; (at = strstr(at, text)) != NULL; at += strlen(text))
		n++;
	return n;
}

void child_signal(struct child *child, int signo)
{
	kill(child->pid, signo);
}

int child_wait(struct child *child)
{
	int64_t end_ms = now_ms() + CHILD_LIMIT_S * INT64_C(1000);
	bool killed = false;

	while (read_more(child, end_ms))
		;
	/* Its output is closed when it ends; one that is still there now is late, unless it closed
	 * that itself. */
	while (waitpid(child->pid, &child->status, WNOHANG) == 0) {
		struct timespec moment = { 0, 1000000 };

		if (now_ms() >= end_ms && !killed) {
			kill(child->pid, SIGKILL);
			killed = true;
		}
		nanosleep(&moment, NULL);
	}
	close(child->output);
	child->ended = true;
	if (killed)
		return -1;
	if (WIFSIGNALED(child->status))
		return 1000 + WTERMSIG(child->status);
	if (WEXITSTATUS(child->status) == CHILD_CHECK_FAILED ||
		strstr(child->text, "Sanitizer") != NULL)
		fprintf(stderr, "%s", child->text);
	return WEXITSTATUS(child->status);
}

int child_run(struct child *child, int (*body)(void *argument), void *argument)
{
	child_start(child, body, argument);
	return child_wait(child);
}

int child_run_unless_held_up(struct child *child, int (*body)(void *argument), void *argument)
{
	int r, tries = 0;

	do
		r = child_run(child, body, argument);
	while (r == CHILD_HELD_UP && ++tries < 20);
	return r;
}

void child_say(const char *line)
{
	char text[256];
	int length = snprintf(text, sizeof(text), "%s\n", line);

	if (write(STDERR_FILENO, text, (size_t)length) != length)
		_exit(CHILD_CHECK_FAILED);
}

void child_check_at(bool holds, const char *condition, const char *file, int line)
{
	if (holds)
		return;
	dprintf(STDERR_FILENO, "%s:%d: in the child: %s\n", file, line, condition);
	leave(CHILD_CHECK_FAILED);
}

void child_check_equal_at(long a, long b, const char *condition, const char *file, int line)
{
	if (a == b)
		return;
	dprintf(STDERR_FILENO, "%s:%d: in the child: %s: %ld, %ld\n", file, line, condition, a, b);
	leave(CHILD_CHECK_FAILED);
}
