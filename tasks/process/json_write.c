#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#include "taskmgr/base/text.h"

#define EXACT_MAX (UINT64_C(1) << 53)
#define SIZE_FIRST ((size_t)256)

static bool make_room(struct tmgr__json_out *out, size_t more)
{
	size_t size = out->size ? out->size : SIZE_FIRST;
	char *text;

	if (out->error)
		return false;
	if (more > TMGR_STATE_SIZE_MAX || out->length + more > TMGR_STATE_SIZE_MAX) {
		out->error = -EMSGSIZE;
		return false;
	}
	if (out->length + more <= out->size)
		return true;
	while (size < out->length + more)
		size *= 2;
	text = realloc(out->text, size);
	if (!text) {
		out->error = -ENOMEM;
		return false;
	}
	out->text = text;
	out->size = size;
	return true;
}

void tmgr__json_put(struct tmgr__json_out *out, const char *text, size_t length)
{
	if (length == 0 || !make_room(out, length))
		return;
	memcpy(out->text + out->length, text, length);
	out->length += length;
}

static void put_escaped(struct tmgr__json_out *out, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *found = c ? strchr(from, c) : NULL;
	char escape[8];

	if (found)
		snprintf(escape, sizeof(escape), "\\%c", to[found - from]);
	else
		snprintf(escape, sizeof(escape), "\\u%04x", c);
	tmgr__json_put(out, escape, strlen(escape));
}

bool tmgr__json_put_text(struct tmgr__json_out *out, const char *text, size_t length)
{
	size_t plain = 0; /* begins what has to be copied */

	tmgr__json_put(out, "\"", 1);
	for (size_t i = 0, n; i < length; i += n) {
		unsigned char c = (unsigned char)text[i];

		n = c < 0x80 ? 1 : tmgr__utf8_length(text + i, length - i);
		if (n == 0)
			return false;
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		tmgr__json_put(out, text + plain, i - plain);
		put_escaped(out, c);
		plain = i + 1;
	}
	tmgr__json_put(out, text + plain, length - plain);
	tmgr__json_put(out, "\"", 1);
	return true;
}

void tmgr__json_put_integer(struct tmgr__json_out *out, struct tmgr__integer value)
{
	char text[32], *at = text + sizeof(text);
	bool quoted = value.magnitude > EXACT_MAX;

	if (quoted)
		*--at = '"';
	do {
		*--at = (char)('0' + value.magnitude % 10);
		value.magnitude /= 10;
	} while (value.magnitude > 0);
	if (value.negative)
		*--at = '-';
	if (quoted)
		*--at = '"';
	tmgr__json_put(out, at, (size_t)(text + sizeof(text) - at));
}

void tmgr__json_put_double(struct tmgr__json_out *out, double value)
{
	char text[64];
	size_t n = 0;

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	/* The point is what the program's locale has for it. */
	for (size_t i = 0; text[i];) {
		if (strchr("0123456789+-e", text[i])) {
			text[n++] = text[i++];
			continue;
		}
		while (text[i] && !strchr("0123456789+-e", text[i]))
			i++;
		text[n++] = '.';
	}
	tmgr__json_put(out, text, n);
}

void tmgr__json_put_base64(struct tmgr__json_out *out, const unsigned char *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	tmgr__json_put(out, "\"", 1);
	for (size_t i = 0; i < size; i += 3) {
		size_t n = size - i < 3 ? size - i : 3;
		uint32_t bits = 0;
		char text[4];

		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (j < n ? data[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			text[j] = j <= n ? digits[bits >> (18 - 6 * j) & 63] : '=';
		tmgr__json_put(out, text, 4);
	}
	tmgr__json_put(out, "\"", 1);
}
