/*
 * A log of numbered lines, written by a process that knows nothing of who reads it, and rotated as
 * logs are: by renaming and creating, and by the real logrotate.
 */
#ifndef TESTS_SUPPORT_NUMBERS_H
#define TESTS_SUPPORT_NUMBERS_H

#include <stdbool.h>
#include <sys/types.h>

#define NUMBERS_LOGROTATE "/usr/sbin/logrotate"

/* Line n; the padding is the first n % its length bytes of NUMBERS_PADDING. */
#define NUMBERS_LINE "2026-11-21 03:12:01 box numbers[7]: line %09u %.*s\n"
#define NUMBERS_LINE_MIN 52 /* bytes, with newline and without padding */
#define NUMBERS_PADDING "the quick brown fox jumps over the lazy dog"

enum numbers_rotation {
	NUMBERS_RENAME,                 /* renamed and created; the writer is told afterwards */
	NUMBERS_LOGROTATE_CREATE,       /* the same by logrotate */
	NUMBERS_LOGROTATE_COPYTRUNCATE, /* the writer holds still: what it wrote would be lost */
	NUMBERS_ROTATIONS,
};

struct numbers {
	const char *directory; /* of the log and of logrotate's files; borrowed */
	char path[128];
	unsigned lines; /* in all */
	unsigned seed;
	pid_t writer;
	int command, answer; /* pipes to and from it */
};

/* Start the writer; the log exists when this returns. False when it did not come. */
bool numbers_start(struct numbers *numbers);

/* Let it write up to this line, in bursts or with pauses between; it ends after the last. */
bool numbers_grant(struct numbers *numbers, unsigned up_to, bool paced);

/* Rotate the log, at once. */
bool numbers_rotate(struct numbers *numbers, enum numbers_rotation rotation);

/* Kill the writer if it is there, release all but the files. */
void numbers_fini(struct numbers *numbers);

#endif
