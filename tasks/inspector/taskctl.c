#include "taskctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/version.h>

static const struct taskctl_command commands[] = {
	{ "machine", "state machines: check, generate, graph, replay", taskctl_machine },
	{ "process", "durable processes: how they stand, why they wait, repairs", taskctl_process },
	{ 0 },
};

void taskctl_error(const char *format, ...)
{
	va_list arguments;

	fputs("taskctl: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	putc('\n', stderr);
}

int taskctl_bad_usage(const char *usage)
{
	fprintf(stderr, "usage: %s\n", usage);
	return TASKCTL_USAGE;
}

int taskctl_usage(const char *usage)
{
	printf("usage: %s\n", usage);
	return TASKCTL_DONE;
}

int taskctl_option(int argc, char **argv, const char *letters, const struct option *names)
{
	int option;

	/* Its own messages name the command as if it were the program. */
	opterr = 0;
	option = getopt_long(argc, argv, letters, names, NULL);
	if (option == '?' && optopt > 0)
		taskctl_error("-%c is no option, or is in want of a value", optopt);
	else if (option == '?')
		taskctl_error("%s is no option, or is in want of a value", argv[optind - 1]);
	return option;
}

static void print_help(FILE *file, const char *path, const struct taskctl_command *rows)
{
	int width = 0;

	fprintf(file, "usage: %s COMMAND [ARGUMENT...]\n", path);
	for (const struct taskctl_command *row = rows; row->name; row++)
		if ((int)strlen(row->name) > width)
			width = (int)strlen(row->name);
	if (width > 0)
		putc('\n', file);
	for (const struct taskctl_command *row = rows; row->name; row++)
		fprintf(file, "  %-*s  %s\n", width, row->name, row->help);
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int taskctl_dispatch(const char *path, const struct taskctl_command *rows, int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr, path, rows);
		return TASKCTL_USAGE;
	}
	if (is_help(argv[1])) {
		print_help(stdout, path, rows);
		return TASKCTL_DONE;
	}
	for (const struct taskctl_command *row = rows; row->name; row++)
		if (strcmp(row->name, argv[1]) == 0)
			return row->run(argc - 1, argv + 1);
	taskctl_error(
		"there is no command \"%s %s\"; \"%s --help\" lists them", path, argv[1], path);
	return TASKCTL_USAGE;
}

/* What could not be written has not been done: a full disk, say. */
static int written(int result)
{
	bool failed = ferror(stdout) != 0;

	if (fclose(stdout) == 0 && !failed)
		return result;
	taskctl_error("standard output: %s", strerror(errno));
	return TASKCTL_FAILED;
}

int main(int argc, char **argv)
{
	int result = TASKCTL_DONE;

	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		puts("taskctl " TMGR_VERSION_STRING);
	else
		result = taskctl_dispatch("taskctl", commands, argc, argv);
	return written(result);
}
