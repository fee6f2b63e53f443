#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void tmgr__text_init(struct tmgr__text *text, char *buffer, size_t size)
{
	*text = (struct tmgr__text){ buffer, buffer ? size : 0, 0 };
	if (buffer && size > 0)
		buffer[0] = '\0';
}

/* As many of the bytes as there is room for, and no half of a character at their end. */
static size_t fitting(const char *bytes, size_t count, size_t room)
{
	if (count <= room)
		return count;
	while (room > 0 && ((unsigned char)bytes[room] & 0xc0) == 0x80)
		room--;
	return room;
}

static void add_bytes(struct tmgr__text *text, const char *bytes, size_t count)
{
	if (text->length + 1 < text->size) {
		size_t n = fitting(bytes, count, text->size - text->length - 1);

		memcpy(text->buffer + text->length, bytes, n);
		text->buffer[text->length + n] = '\0';
	}
	text->length += count;
}

void tmgr__text_add(struct tmgr__text *text, const char *string)
{
	add_bytes(text, string, strlen(string));
}

size_t tmgr__utf8_length(const char *text, size_t left)
{
	const unsigned char *at = (const unsigned char *)text;
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (left == 0)
		return 0;
	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (left < length)
		return 0;
	/* No longer than needed, no halves of pairs, nothing above U+10FFFF. */
	if (at[0] == 0xe0)
		low = 0xa0;
	else if (at[0] == 0xed)
		high = 0x9f;
	else if (at[0] == 0xf0)
		low = 0x90;
	else if (at[0] == 0xf4)
		high = 0x8f;
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

size_t tmgr__text_control(const char *at)
{
	const unsigned char *byte = (const unsigned char *)at;

	if ((byte[0] != '\0' && byte[0] < 0x20) || byte[0] == 0x7f)
		return 1;
	return byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] <= 0x9f ? 2 : 0;
}

void tmgr__text_add_escaped(struct tmgr__text *text, const char *string)
{
	while (*string) {
		size_t control = tmgr__text_control(string), whole;
		char escape[8];

		if (control == 0) {
			whole = tmgr__utf8_length(string, SIZE_MAX);
			add_bytes(text, string, whole > 0 ? whole : 1);
			string += whole > 0 ? whole : 1;
		}
		for (; control > 0; control--, string++) {
			if (*string == '\n')
				strcpy(escape, "\\n");
			else if (*string == '\t')
				strcpy(escape, "\\t");
			else
				snprintf(escape, sizeof(escape), "\\x%02x", (unsigned char)*string);
			tmgr__text_add(text, escape);
		}
	}
}

void tmgr__text_format(struct tmgr__text *text, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	tmgr__text_add(text, line);
}

void tmgr__text_copy(char *buffer, size_t size, const char *string)
{
	size_t length;

	if (!string)
		string = "";
	length = fitting(string, strnlen(string, size), size - 1);
	memcpy(buffer, string, length);
	buffer[length] = '\0';
}

bool tmgr__text_is_valid(const char *string)
{
	size_t length;

	for (; *string; string += length) {
		length = tmgr__utf8_length(string, SIZE_MAX);
		if (length == 0)
			return false;
	}
	return true;
}

void tmgr__text_copy_valid(char *buffer, size_t size, const char *string)
{
	struct tmgr__text text;

	tmgr__text_init(&text, buffer, size);
	while (string && *string && text.length < size) {
		size_t length = tmgr__utf8_length(string, SIZE_MAX);

		if (length > 0)
			add_bytes(&text, string, length);
		else
			tmgr__text_add(&text, "\xef\xbf\xbd");
		string += length > 0 ? length : 1;
	}
}
