#include "options.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] = "usage: logship [--once] [--database PATH] [--list FILE] [FILE...]\n";

static const char help[] =
	"Ships the lines of log files into a SQLite database, each line once.\n"
	"\n"
	"  FILE             a log file, or a pattern such as '/var/log/*.log'; it need not exist\n"
	"                   yet. Without any: those this machine has in /var/log.\n"
	"  --once           end when all lines that are there now are shipped; a FILE that does\n"
	"                   not exist is then an error\n"
	"  --database PATH  where to ship to (logship.db); a file PATH-lock is made beside it\n"
	"  --list FILE      more files and patterns, one a line, # begins a comment\n"
	"\n"
	"On HUP the list is read and patterns are expanded again. INT and TERM end it, after what\n"
	"was read has been written. Exit code: 0 clean, 1 a task failed, 2 bad usage, 3 a task "
	"got\n"
	"stuck.\n";

static enum options_result bad(void)
{
	fputs(usage, stderr);
	return OPTIONS_BAD;
}

static bool empty_file(const struct options *options)
{
	for (size_t i = 0; i < options->files_count; i++) {
		if (options->files[i][0] == '\0')
			return true;
	}
	return false;
}

enum options_result options_parse(int argc, char **argv, struct options *ret_options)
{
	static const struct option names[] = {
		{ "once", no_argument, NULL, 'o' },
		{ "database", required_argument, NULL, 'd' },
		{ "list", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	*ret_options = (struct options){ .database = "logship.db" };
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'o':
			ret_options->once = true;
			break;
		case 'd':
			ret_options->database = optarg;
			break;
		case 'l':
			ret_options->list = optarg;
			break;
		case 'h':
			printf("%s%s", usage, help);
			return OPTIONS_HELP;
		default: /* getopt has said what is wrong */
			return bad();
		}
	}
	ret_options->files = argv + optind;
	ret_options->files_count = (size_t)(argc - optind);
	if (ret_options->database[0] == '\0' ||
		(ret_options->list && ret_options->list[0] == '\0') || empty_file(ret_options)) {
		fputs("logship: an empty name is no file\n", stderr);
		return bad();
	}
	return OPTIONS_RUN;
}
