/*
 * taskctl, the command. Each of its commands is a row of a table and stands in a file of its own,
 * taskctl_NAME.c; a command may have a table of commands below it.
 *
 * What is asked for goes to standard output, what went wrong to standard error.
 */
#ifndef TASKCTL_H
#define TASKCTL_H

#include <getopt.h>

/* What a command gives, and so does the program: its exit code. */
enum taskctl_exit {
	TASKCTL_DONE,
	TASKCTL_FAILED, /* it could not be done, or what was looked at is not in order */
	TASKCTL_USAGE,  /* it was asked for in a wrong way */
};

/* A row; the one without a name ends the table. */
struct taskctl_command {
	const char *name;
	const char *help;                  /* one line */
	int (*run)(int argc, char **argv); /* argv[0] is the name */
};

/* Run what argv[1] names; argv[0] is called `path`, which is how it is typed: "taskctl machine". */
int taskctl_dispatch(const char *path, const struct taskctl_command *rows, int argc, char **argv);

/* One line to standard error, with "taskctl: " before it. */
void taskctl_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How a command is used: to standard error, and gives TASKCTL_USAGE. */
int taskctl_bad_usage(const char *usage);
/* The same because it was asked for: to standard output, and gives TASKCTL_DONE. */
int taskctl_usage(const char *usage);

/* The next option of a command, as getopt_long() gives it; of an unknown one it says so. */
int taskctl_option(int argc, char **argv, const char *letters, const struct option *names);

/* ---- Commands --------------------------------------------------------------------------------
 */

int taskctl_machine(int argc, char **argv);
int taskctl_process(int argc, char **argv);

#endif
