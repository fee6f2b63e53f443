/*
 * Any bytes are a line, and nothing of it is lost: the pieces stand in it in order, the message is
 * its end, and what is in no piece is a time, a number or punctuation that was recognised.
 */
#include "internal/examples/pkg/logline/logline.h"

#include "tests/support/fuzz.h"

static const char *after(const char *at, const struct logline_text *text, const char *end)
{
	if (text->length == 0)
		return at;
	must(text->at >= at && text->length <= (size_t)(end - text->at));
	return text->at + text->length;
}

/* What the notations of a time, a level and a process number are written with. */
static void must_be_notation(const char *at, const char *end)
{
	static const char words[] = "JanFebMarAprMayJunJulAugSepOctNovDec"
				    "MonTueWedThuFriSatSunUTCGMTtZ";

	for (; at < end; at++)
		must(*at != '\0' && (strchr(" \t<>[]:.,/+-0123456789", *at) || strchr(words, *at)));
}

static void must_keep_all(const char *line, size_t length, const struct logline *parsed)
{
	bool has_return = length > 0 && line[length - 1] == '\r';
	const char *end = line + length - has_return, *at = line, *next;

	must(parsed->message.length <= (size_t)(end - line));
	must(parsed->message.at + parsed->message.length == end);
	must(parsed->level >= LOGLINE_NO_LEVEL && parsed->level < LOGLINE_LEVELS);
	must((logline_level_name(parsed->level) == NULL) == (parsed->level == LOGLINE_NO_LEVEL));
	must(parsed->pid >= -1);
	must(parsed->has_time ||
		(parsed->host.length == 0 && parsed->program.length == 0 && parsed->pid == -1));
	/* The host of an access log stands in the message. */
	if (parsed->host.length > 0 && parsed->host.at >= parsed->message.at) {
		after(parsed->message.at, &parsed->host, end);
		must_be_notation(line, parsed->message.at);
		return;
	}
	/* The role of "123:M 21 Nov 2026 03:12:01.123 * ", one letter, is dropped. */
	if (parsed->host.length + parsed->program.length == 0 && parsed->pid >= 0) {
		const char *priority = *at == '<' ? memchr(at, '>', (size_t)(end - at)) : NULL;

		at = priority ? priority + 1 : at;
		while (at < end && *at >= '0' && *at <= '9')
			at++;
		if (end - at > 3 && at[0] == ':' && at[2] == ' ')
			at += 2;
	}
	next = after(at, &parsed->host, parsed->message.at);
	if (next != at)
		must_be_notation(at, parsed->host.at);
	at = next;
	next = after(at, &parsed->program, parsed->message.at);
	if (next != at)
		must_be_notation(at, parsed->program.at);
	must_be_notation(next, parsed->message.at);
}

static void must_escape(const char *line, size_t length)
{
	char *text = malloc(LOGLINE_ESCAPED_MAX(length) + 1);
	size_t written;

	must(text != NULL);
	written = logline_escape(line, length, text);
	must(written >= length && written <= LOGLINE_ESCAPED_MAX(length));
	must(logline_is_text(text, written));
	must(logline_is_text(line, length) ==
		(written == length && memcmp(text, line, length) == 0));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* 2026-11-21; kept from line to line, as a parser keeps it. */
	static struct logline_clock clock = { .now_ns = INT64_C(1795230000000000000) };
	struct logline_clock fresh = { .now_ns = clock.now_ns };
	const char *line = (const char *)data;
	struct logline parsed, again;

	logline_parse(line, size, &clock, &parsed);
	logline_parse(line, size, &fresh, &again);
	must(parsed.has_time == again.has_time && parsed.time_ns == again.time_ns);
	must_keep_all(line, size, &parsed);
	must_escape(line, size);
	return 0;
}
