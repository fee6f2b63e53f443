/* Between the files of this package: reading a line from left to right. */
#ifndef LOGLINE_SCAN_H
#define LOGLINE_SCAN_H

#include "logline.h"

/* What is left of a line. A function that reads takes what it recognises, or leaves all. */
struct scan {
	const char *at;
	const char *end;
};

static inline bool scan_char(struct scan *scan, char c)
{
	if (scan->at >= scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

static inline bool scan_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly `digits` digits. */
bool scan_number(struct scan *scan, int digits, int *ret_number);

/* As many digits as there are, up to 18. */
bool scan_long(struct scan *scan, int64_t *ret_number);

void scan_spaces(struct scan *scan);

/* A time in any of the forms; ns since 1970. */
bool scan_time(struct scan *scan, struct logline_clock *clock, int64_t *ret_ns);

/* A word that names a level, in any case: "err", "WARNING", ...; or LOGLINE_NO_LEVEL. */
enum logline_level scan_level_word(const char *word, size_t length);

#endif
