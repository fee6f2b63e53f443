#include "telemetry_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <taskmgr/time.h>

/* The length of the character at a place, if it is well-formed UTF-8; else 0. */
static size_t utf8_length(const unsigned char *at)
{
	static const struct {
		unsigned char first_min, first_max, second_min, second_max, length;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	if (at[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (at[0] < forms[i].first_min || at[0] > forms[i].first_max)
			continue;
		if (at[1] < forms[i].second_min || at[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].length; k++)
			if ((at[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

static void add_character(struct tmgr__text *text, const unsigned char *at, size_t length)
{
	char bytes[5] = { 0 };

	for (size_t i = 0; i < length; i++)
		bytes[i] = (char)at[i];
	tmgr__text_add(text, bytes);
}

void tmgr__text_add_json(struct tmgr__text *text, const char *string)
{
	const unsigned char *at = (const unsigned char *)string;

	tmgr__text_add(text, "\"");
	while (*at) {
		size_t length = utf8_length(at);

		if (length == 0)
			tmgr__text_add(text, "\xef\xbf\xbd");
		else if (*at == '"' || *at == '\\')
			tmgr__text_format(text, "\\%c", *at);
		else if (*at < 0x20 || *at == 0x7f)
			tmgr__text_format(text, "\\u%04x", *at);
		else
			add_character(text, at, length);
		at += length ? length : 1;
	}
	tmgr__text_add(text, "\"");
}

void tmgr__text_add_label(struct tmgr__text *text, const char *string)
{
	const unsigned char *at = (const unsigned char *)string;

	while (*at) {
		size_t length = utf8_length(at);

		if (length == 0)
			tmgr__text_add(text, "\xef\xbf\xbd");
		else if (*at == '\n')
			tmgr__text_add(text, "\\n");
		else if (*at == '"' || *at == '\\')
			tmgr__text_format(text, "\\%c", *at);
		else
			add_character(text, at, length);
		at += length ? length : 1;
	}
}

void tmgr__text_add_time(struct tmgr__text *text, int64_t time_of_day, int digits)
{
	time_t seconds = time_of_day / TMGR_SECOND;
	char date[64], fraction[16];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(fraction, sizeof(fraction), "%09" PRId64, time_of_day % TMGR_SECOND);
	tmgr__text_format(text, "%s.%.*sZ", date, digits, fraction);
}
