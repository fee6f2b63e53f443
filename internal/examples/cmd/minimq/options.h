/* What minimq is asked to do. */
#ifndef MINIMQ_OPTIONS_H
#define MINIMQ_OPTIONS_H

#include <stddef.h>

#define LOOPS_MAX 64

struct options {
	const char *address; /* to listen on, numeric */
	unsigned port;       /* 0: any that is free */
	size_t loops;
	size_t clients_max;
	unsigned idle_s; /* 0: for ever */
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_HELP, /* asked for and printed: leave with 0 */
	OPTIONS_BAD,  /* said why on standard error: leave with 2 */
};

/* Read the command line; argv stays in use. */
enum options_result options_parse(int argc, char **argv, struct options *ret_options);

#endif
