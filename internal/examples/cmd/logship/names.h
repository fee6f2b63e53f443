/* The paths that are to be followed: from the command line, a list, or this machine's. */
#ifndef LOGSHIP_NAMES_H
#define LOGSHIP_NAMES_H

#include "options.h"

struct names {
	size_t count;
	char **paths;          /* absolute, each once */
	const char *unmatched; /* of the options: a pattern that nothing fits; NULL: none */
};

/*
 * Work out the paths; patterns are expanded now.
 *
 * -ENOMEM, or the error of reading the list. Release with names_fini() in any case.
 */
int names_init(struct names *names, const struct options *options);

bool names_have(const struct names *names, const char *path);

void names_fini(struct names *names);

#endif
