#include "tests/support/headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_READ (1 << 20)

char *headers_read(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = file != NULL ? calloc(1, SIZE_MAX_READ) : NULL;

	if (text == NULL || fread(text, 1, SIZE_MAX_READ - 1, file) == 0) {
		perror(path);
		abort();
	}
	fclose(file);
	return text;
}

int headers_left_out(const char *path, const char *programs)
{
	char *header = headers_read(path);
	int left_out = 0;

	for (const char *at = header; (at = strstr(at, "\nTMGR_API ")) != NULL;) {
		const char *end, *begin;
		char call[128];

		at += strlen("\nTMGR_API ");
		begin = strstr(at, "tmgr_");
		end = strchr(at, '(');
		/* The last name before the parenthesis: what is before it is its type. */
		while (begin != NULL && strstr(begin + 1, "tmgr_") != NULL &&
			strstr(begin + 1, "tmgr_") < end)
			begin = strstr(begin + 1, "tmgr_");
		if (begin == NULL || end == NULL || begin > end)
			continue;
		snprintf(call, sizeof(call), "%.*s(", (int)(end - begin), begin);
		if (strstr(programs, call) == NULL) {
			fprintf(stderr, "left out: %s)\n", call);
			left_out++;
		}
	}
	free(header);
	return left_out;
}
