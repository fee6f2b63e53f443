/*
 * What a line of a log says: when, where, who, how bad, what.
 *
 * Nothing is an error here: what is not recognised stays in the message. All texts point into the
 * line that was given; nothing is copied and nothing is lost.
 */
#ifndef LOGLINE_H
#define LOGLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct logline_text {
	const char *at; /* into the line; not terminated */
	size_t length;  /* 0: there is none */
};

/** As in syslog, so that smaller is worse. */
enum logline_level {
	LOGLINE_EMERGENCY,
	LOGLINE_ALERT,
	LOGLINE_CRITICAL,
	LOGLINE_ERROR,
	LOGLINE_WARNING,
	LOGLINE_NOTICE,
	LOGLINE_INFO,
	LOGLINE_DEBUG,
	LOGLINE_LEVELS,
	LOGLINE_NO_LEVEL = -1,
};

struct logline {
	bool has_time;
	int64_t time_ns; /* since 1970, UTC */
	enum logline_level level;
	int64_t pid; /* -1: none */
	struct logline_text host;
	struct logline_text program;
	struct logline_text message; /* what is left; the whole line if nothing was recognised */
};

/**
 * What a parser keeps from line to line: the last hour of local time it has worked out, since
 * asking the system for each line costs more than all the rest. All zero but `now_ns` to begin
 * with.
 */
struct logline_clock {
	int64_t now_ns; /* for times that do not name a year: the latest that is not after tomorrow
			 */
	int64_t hour;   /* which local hour `utc_seconds` is of */
	int64_t utc_seconds;
	bool known;
};

/**
 * Parse a line.
 *
 * Times: `2026-11-21 03:12:01`, `2026/11/21 03:12:01`, with fractions and a zone or without (then
 * local), RFC 3339, `Nov 21 03:12:01`, `[21/Nov/2026:03:12:01 +0000]`, `[Fri Nov 21 03:12:01
 * 2026]`, RFC 5424. Host, program and process number follow the time as in syslog; where there is a
 * level it is one of the first words.
 *
 * @param clock  one for each thread
 */
void logline_parse(
	const char *line, size_t length, struct logline_clock *clock, struct logline *ret_line);

/** "error", "warning", ...; NULL for none. */
const char *logline_level_name(enum logline_level level);

/** Is it well-formed UTF-8 without NUL, so that it can be stored as text? */
bool logline_is_text(const char *bytes, size_t length);

/**
 * Make text of any bytes: what is not well-formed UTF-8, and NUL, becomes `\xNN`.
 *
 * @param ret_text  at least LOGLINE_ESCAPED_MAX(length) bytes
 *
 * @return how many were written
 */
size_t logline_escape(const char *bytes, size_t length, char *ret_text);

#define LOGLINE_ESCAPED_MAX(length) ((length)*4)

#endif
