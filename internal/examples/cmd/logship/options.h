/* What logship is asked to do. */
#ifndef LOGSHIP_OPTIONS_H
#define LOGSHIP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
	bool once;
	const char *database;
	const char *list;   /* a file of paths; NULL: none */
	char **files;       /* as given; patterns are expanded each time */
	size_t files_count; /* 0, and no list: what the machine has */
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_HELP, /* asked for and printed: leave with 0 */
	OPTIONS_BAD,  /* said why on standard error: leave with 2 */
};

/* Read the command line; argv stays in use. */
enum options_result options_parse(int argc, char **argv, struct options *ret_options);

#endif
