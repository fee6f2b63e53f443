/* Replies. */
#include "resp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A type byte, a number of 64 bits, the end of a line. */
#define NUMBER_MAX 24

#define FIRST_CAPACITY 512

static const char line_end[2] = { '\r', '\n' };

void resp_reply_fini(struct resp_reply *reply)
{
	free(reply->data);
	*reply = (struct resp_reply){ .max = reply->max };
}

void resp_reply_clear(struct resp_reply *reply, size_t keep)
{
	if (reply->capacity > keep)
		resp_reply_fini(reply);
	reply->size = 0;
	reply->error = 0;
}

static int grow(struct resp_reply *reply, size_t size)
{
	size_t capacity = reply->capacity ? reply->capacity : FIRST_CAPACITY;
	char *data;

	if (size > reply->max || reply->size > reply->max - size)
		return -ENOBUFS;
	while (capacity < reply->size + size)
		capacity *= 2;
	if (capacity > reply->max)
		capacity = reply->max;
	data = realloc(reply->data, capacity);
	if (!data)
		return -ENOMEM;
	reply->data = data;
	reply->capacity = capacity;
	return 0;
}

char *resp_reserve(struct resp_reply *reply, size_t size)
{
	char *at;

	if (reply->error)
		return NULL;
	if (!reply->data || reply->capacity - reply->size < size) {
		reply->error = grow(reply, size);
		if (reply->error)
			return NULL;
	}
	at = reply->data + reply->size;
	reply->size += size;
	return at;
}

void resp_add_bytes(struct resp_reply *reply, const char *bytes, size_t size)
{
	char *at = resp_reserve(reply, size);

	if (at && size > 0)
		memcpy(at, bytes, size);
}

/* Writes "$123\r\n"; gives its length. */
static size_t format_number(char type, int64_t value, char text[static NUMBER_MAX])
{
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char digits[NUMBER_MAX];
	size_t count = 0, size = 0;

	do {
		digits[count++] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	text[size++] = type;
	if (value < 0)
		text[size++] = '-';
	while (count > 0)
		text[size++] = digits[--count];
	text[size++] = '\r';
	text[size++] = '\n';
	return size;
}

static void add_number(struct resp_reply *reply, char type, int64_t value)
{
	char text[NUMBER_MAX];

	resp_add_bytes(reply, text, format_number(type, value, text));
}

static void add_line(struct resp_reply *reply, char type, const char *text, size_t length)
{
	char *at = resp_reserve(reply, length + 3);

	if (!at)
		return;
	*at++ = type;
	memcpy(at, text, length);
	memcpy(at + length, line_end, sizeof(line_end));
}

void resp_add_simple(struct resp_reply *reply, const char *text)
{
	add_line(reply, '+', text, strlen(text));
}

void resp_add_error(struct resp_reply *reply, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (char *at = text; *at; at++) {
		if (*at == '\r' || *at == '\n')
			*at = ' ';
	}
	add_line(reply, '-', text, strlen(text));
}

void resp_add_integer(struct resp_reply *reply, int64_t value)
{
	add_number(reply, ':', value);
}

void resp_add_bulk(struct resp_reply *reply, const char *bytes, size_t size)
{
	char text[NUMBER_MAX];
	size_t head = format_number('$', (int64_t)size, text);
	char *at = resp_reserve(reply, head + size + 2);

	if (!at)
		return;
	memcpy(at, text, head);
	if (size > 0)
		memcpy(at + head, bytes, size);
	memcpy(at + head + size, line_end, sizeof(line_end));
}

void resp_add_text(struct resp_reply *reply, const char *text)
{
	resp_add_bulk(reply, text, strlen(text));
}

void resp_add_null(struct resp_reply *reply)
{
	add_number(reply, '$', -1);
}

void resp_add_array(struct resp_reply *reply, size_t count)
{
	add_number(reply, '*', (int64_t)count);
}
