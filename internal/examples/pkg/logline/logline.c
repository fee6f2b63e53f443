#include "scan.h"

#include <string.h>
#include <strings.h>

#define WORD_MAX 255  /* of a host's or program's name */
#define TIME_LOOK 128 /* how far into a line a bracketed time is looked for */
#define LEVEL_WORDS 4 /* how many words of a message may be its level */

static const char *const level_names[LOGLINE_LEVELS] = {
	[LOGLINE_EMERGENCY] = "emergency",
	[LOGLINE_ALERT] = "alert",
	[LOGLINE_CRITICAL] = "critical",
	[LOGLINE_ERROR] = "error",
	[LOGLINE_WARNING] = "warning",
	[LOGLINE_NOTICE] = "notice",
	[LOGLINE_INFO] = "info",
	[LOGLINE_DEBUG] = "debug",
};

const char *logline_level_name(enum logline_level level)
{
	return level >= 0 && level < LOGLINE_LEVELS ? level_names[level] : NULL;
}

enum logline_level scan_level_word(const char *word, size_t length)
{
	static const struct {
		const char *word;
		enum logline_level level;
	} words[] = {
		{ "emerg", LOGLINE_EMERGENCY },
		{ "emergency", LOGLINE_EMERGENCY },
		{ "panic", LOGLINE_EMERGENCY },
		{ "alert", LOGLINE_ALERT },
		{ "crit", LOGLINE_CRITICAL },
		{ "critical", LOGLINE_CRITICAL },
		{ "fatal", LOGLINE_CRITICAL },
		{ "err", LOGLINE_ERROR },
		{ "error", LOGLINE_ERROR },
		{ "warn", LOGLINE_WARNING },
		{ "warning", LOGLINE_WARNING },
		{ "notice", LOGLINE_NOTICE },
		{ "info", LOGLINE_INFO },
		{ "log", LOGLINE_INFO },
		{ "debug", LOGLINE_DEBUG },
		{ "trace", LOGLINE_DEBUG },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].word) == length &&
			strncasecmp(words[i].word, word, length) == 0)
			return words[i].level;
	}
	return LOGLINE_NO_LEVEL;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * A level is meant where the word stands out: in brackets, in capitals, or before a colon. In
 * "installed error-handler" it is not.
 */
static enum logline_level level_of_token(const char *at, size_t length)
{
	bool marked = false, capitals = true;
	const char *colon;
	enum logline_level level;

	while (length > 0 && (at[0] == '[' || at[0] == '<' || at[0] == '(' || at[0] == '*')) {
		marked = true;
		at++;
		length--;
	}
	while (length > 0 && !is_letter(at[length - 1])) {
		marked = true;
		length--;
	}
	colon = memrchr(at, ':', length); /* [core:error] */
	if (marked && colon) {
		length -= (size_t)(colon + 1 - at);
		at = colon + 1;
	}
	for (size_t i = 0; i < length; i++) {
		if (!is_letter(at[i]))
			return LOGLINE_NO_LEVEL;
		capitals = capitals && at[i] <= 'Z';
	}
	level = scan_level_word(at, length);
	return marked || capitals ? level : LOGLINE_NO_LEVEL;
}

static enum logline_level find_level(struct scan scan)
{
	for (int word = 0; word < LEVEL_WORDS && scan.at < scan.end; word++) {
		const char *start;
		enum logline_level level;

		scan_spaces(&scan);
		start = scan.at;
		while (scan.at < scan.end && *scan.at != ' ' && *scan.at != '\t')
			scan.at++;
		level = level_of_token(start, (size_t)(scan.at - start));
		if (level != LOGLINE_NO_LEVEL)
			return level;
	}
	return LOGLINE_NO_LEVEL;
}

static bool is_name(char c)
{
	return (unsigned char)c > ' ' && (unsigned char)c < 0x7f && c != ':' && c != '[' &&
	       c != ']' && c != '"' && c != '<' && c != '>';
}

static bool word(struct scan *scan, struct logline_text *ret_text)
{
	const char *start = scan->at;

	while (scan->at < scan->end && is_name(*scan->at) && scan->at - start < WORD_MAX)
		scan->at++;
	*ret_text = (struct logline_text){ start, (size_t)(scan->at - start) };
	return ret_text->length > 0;
}

/* "program[123]: ", "program: ", or after a time without host "program[123] ". */
static bool tag(struct scan *scan, struct logline *line, bool needs_colon)
{
	struct scan ahead = *scan;
	struct logline_text program;
	int64_t pid = -1;

	if (!word(&ahead, &program))
		return false;
	if (scan_char(&ahead, '[') && (!scan_long(&ahead, &pid) || !scan_char(&ahead, ']')))
		return false;
	if (!scan_char(&ahead, ':') && (needs_colon || pid < 0))
		return false;
	if (ahead.at < ahead.end && *ahead.at != ' ')
		return false;
	scan_char(&ahead, ' ');
	line->program = program;
	line->pid = pid;
	*scan = ahead;
	return true;
}

/* "host program[123]: " as syslog writes behind the time. A level before a colon is no program. */
static void host_and_tag(struct scan *scan, struct logline *line)
{
	struct scan ahead = *scan;
	struct logline_text host;

	if (word(&ahead, &host) && scan_char(&ahead, ' ')) {
		struct logline with_host = *line;

		with_host.host = host;
		if (tag(&ahead, &with_host, true) &&
			scan_level_word(with_host.program.at, with_host.program.length) ==
				LOGLINE_NO_LEVEL) {
			*line = with_host;
			*scan = ahead;
			return;
		}
	}
	ahead = *scan;
	if (tag(&ahead, line, false)) {
		if (scan_level_word(line->program.at, line->program.length) == LOGLINE_NO_LEVEL) {
			*scan = ahead;
			return;
		}
		line->program.length = 0;
		line->pid = -1;
	}
}

/* "- ", which RFC 5424 writes for what is not there. */
static bool none(struct scan *scan)
{
	struct scan ahead = *scan;

	if (!scan_char(&ahead, '-') || !scan_char(&ahead, ' '))
		return false;
	*scan = ahead;
	return true;
}

/* "<34>1 2026-11-21T03:12:01Z host program pid id " of RFC 5424, or "<34>" alone of RFC 3164. */
static void priority(struct scan *scan, struct logline *line, struct logline_clock *clock)
{
	struct scan ahead = *scan;
	struct logline_text host, program;
	int64_t number, pid;

	if (!scan_char(&ahead, '<') || !scan_long(&ahead, &number) || number > 191 ||
		!scan_char(&ahead, '>'))
		return;
	line->level = (enum logline_level)(number % 8);
	*scan = ahead;
	if (!scan_char(&ahead, '1') || !scan_char(&ahead, ' ') ||
		!scan_time(&ahead, clock, &line->time_ns))
		return;
	line->has_time = true;
	*scan = ahead;
	if (!scan_char(&ahead, ' ') || !word(&ahead, &host) || !scan_char(&ahead, ' ') ||
		!word(&ahead, &program) || !scan_char(&ahead, ' '))
		return;
	line->host = host;
	line->program = program;
	/* The message begins with the first that there is no place for. */
	*scan = ahead;
	if (scan_long(&ahead, &pid) && scan_char(&ahead, ' ')) {
		line->pid = pid;
		*scan = ahead;
	} else if (!none(scan)) {
		return;
	}
	none(scan); /* the message's identifier */
}

/* A time at the start, plain or in brackets; the separator behind it goes, too. */
static bool leading_time(struct scan *scan, struct logline *line, struct logline_clock *clock)
{
	struct scan ahead = *scan;
	bool bracket = scan_char(&ahead, '[');

	if (!scan_time(&ahead, clock, &line->time_ns) || (bracket && !scan_char(&ahead, ']')))
		return false;
	if (ahead.at < ahead.end && *ahead.at != ' ' && *ahead.at != '\t' && *ahead.at != ':')
		return false;
	scan_char(&ahead, ':');
	scan_spaces(&ahead);
	line->has_time = true;
	*scan = ahead;
	return true;
}

/* "update-alternatives 2026-10-15 21:36:00: " and "123:M 21 Nov 2026 03:12:01.123 * " */
static bool time_after_word(struct scan *scan, struct logline *line, struct logline_clock *clock)
{
	struct scan ahead = *scan;
	struct logline_text program, role;
	int64_t pid;

	if (scan_long(&ahead, &pid) && scan_char(&ahead, ':') && word(&ahead, &role) &&
		role.length == 1 && scan_char(&ahead, ' ') && leading_time(&ahead, line, clock)) {
		line->pid = pid;
		*scan = ahead;
		return true;
	}
	ahead = *scan;
	if (word(&ahead, &program) && scan_char(&ahead, ' ') && leading_time(&ahead, line, clock)) {
		line->program = program;
		*scan = ahead;
		return true;
	}
	return false;
}

/* An access log: "host - user [21/Nov/2026:03:12:01 +0000] "GET / ..."; the message is all of it.
 */
static bool access_time(struct scan *scan, struct logline *line, struct logline_clock *clock)
{
	size_t left = (size_t)(scan->end - scan->at);
	const char *bracket = memchr(scan->at, '[', left < TIME_LOOK ? left : TIME_LOOK);
	struct scan ahead;

	if (!bracket)
		return false;
	ahead = (struct scan){ bracket + 1, scan->end };
	if (!scan_time(&ahead, clock, &line->time_ns) || !scan_char(&ahead, ']'))
		return false;
	line->has_time = true;
	ahead.at = scan->at;
	word(&ahead, &line->host);
	return true;
}

void logline_parse(
	const char *line, size_t length, struct logline_clock *clock, struct logline *ret_line)
{
	struct scan scan = { line, line + length };

	*ret_line = (struct logline){ .level = LOGLINE_NO_LEVEL, .pid = -1 };
	if (length > 0 && line[length - 1] == '\r')
		scan.end--;
	priority(&scan, ret_line, clock);
	if (!ret_line->has_time) {
		if (leading_time(&scan, ret_line, clock))
			host_and_tag(&scan, ret_line);
		else if (!time_after_word(&scan, ret_line, clock))
			access_time(&scan, ret_line, clock);
	}
	if (ret_line->level == LOGLINE_NO_LEVEL)
		ret_line->level = find_level(scan);
	ret_line->message = (struct logline_text){ scan.at, (size_t)(scan.end - scan.at) };
}
