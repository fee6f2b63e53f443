/*
 * A scenario in a process of its own: what it prints, how it ends, signals sent to it. All waits
 * are bounded; a child that does not end is killed.
 */
#ifndef TESTS_SUPPORT_CHILD_H
#define TESTS_SUPPORT_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/types.h>

#define CHILD_LIMIT_S 60
/* What a child leaves with when one of its checks fails. */
#define CHILD_CHECK_FAILED 99
/* Or returns where the machine was too slow to show what it should. */
#define CHILD_HELD_UP 98

struct child {
	pid_t pid;
	int output; /* its standard error and output */
	int status; /* of waitpid() */
	bool ended;
	size_t length;
	char text[65536]; /* what it has printed, with a NUL */
};

/* Start a child that calls body and leaves, by _exit(), with what it returned. */
void child_start(struct child *child, int (*body)(void *argument), void *argument);

/* Read until the child has printed this text; false when it ended or took too long. */
bool child_prints(struct child *child, const char *text);

/* How often a text stands in what was read. */
int child_count(const struct child *child, const char *text);

void child_signal(struct child *child, int signo);

/* Read all, wait for its end: its exit code, 1000 + the signal that killed it, or -1 when it had to
 * be killed. */
int child_wait(struct child *child);

/* All of it at once: start, wait. */
int child_run(struct child *child, int (*body)(void *argument), void *argument);

/* The same, up to 20 times as long as it was held up. */
int child_run_unless_held_up(struct child *child, int (*body)(void *argument), void *argument);

/* In the child: a line for the parent to wait for. */
void child_say(const char *line);

/* In the child: like an assertion, since cmocka's work only in the parent. */
#define child_check(condition) child_check_at((condition), #condition, __FILE__, __LINE__)
/* The same for two numbers, which it prints. */
#define child_check_equal(a, b) \
	child_check_equal_at((long)(a), (long)(b), #a " == " #b, __FILE__, __LINE__)

void child_check_at(bool holds, const char *condition, const char *file, int line);
void child_check_equal_at(long a, long b, const char *condition, const char *file, int line);

#endif
