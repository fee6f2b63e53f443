#include "telemetry_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <taskmgr/time.h>

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
		size_t length = tmgr__utf8_length((const char *)at, SIZE_MAX);

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
		size_t length = tmgr__utf8_length((const char *)at, SIZE_MAX);

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
