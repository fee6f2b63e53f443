#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define NUMBER_MAX 1100 /* bytes: more digits than any double needs */

static bool read_hex(const char *at, size_t left, unsigned *ret)
{
	unsigned value = 0;

	if (left < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		static const char digits[] = "0123456789abcdefABCDEF";
		const char *digit = at[i] ? strchr(digits, at[i]) : NULL;
		unsigned n;

		if (!digit)
			return false;
		n = (unsigned)(digit - digits);
		value = value * 16 + (n < 16 ? n : n - 6);
	}
	*ret = value;
	return true;
}

static size_t put_utf8(unsigned c, char *ret)
{
	if (c < 0x80) {
		ret[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		ret[0] = (char)(0xc0 | (c >> 6));
		ret[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		ret[0] = (char)(0xe0 | (c >> 12));
		ret[1] = (char)(0x80 | ((c >> 6) & 0x3f));
		ret[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	ret[0] = (char)(0xf0 | (c >> 18));
	ret[1] = (char)(0x80 | ((c >> 12) & 0x3f));
	ret[2] = (char)(0x80 | ((c >> 6) & 0x3f));
	ret[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static size_t unescape_unicode(const char *at, size_t left, char *ret, size_t *ret_length)
{
	unsigned high, low;

	if (!read_hex(at + 1, left - 1, &high) || (high >= 0xdc00 && high <= 0xdfff))
		return 0;
	if (high < 0xd800 || high > 0xdbff) {
		*ret_length = put_utf8(high, ret);
		return 5;
	}
	if (left < 11 || at[5] != '\\' || at[6] != 'u' || !read_hex(at + 7, left - 7, &low))
		return 0;
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	*ret_length = put_utf8(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), ret);
	return 11;
}

size_t tmgr__json_unescape(const char *at, size_t left, char *ret, size_t *ret_length)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (left == 0 || !*at)
		return 0;
	if (*at == 'u')
		return unescape_unicode(at, left, ret, ret_length);
	found = strchr(from, *at);
	if (!found)
		return 0;
	ret[0] = to[found - from];
	*ret_length = 1;
	return 1;
}

int tmgr__json_text(struct tmgr_state_memory *memory, const struct tmgr__json *value, char **ret,
	size_t *ret_length)
{
	const char *at = value->raw + 1, *end = value->raw + value->length - 1;
	char *text = tmgr_state_take(memory, value->length), *to = text;
	size_t n = 0;

	if (!text)
		return -ENOMEM;
	while (at < end) {
		const char *escape = memchr(at, '\\', (size_t)(end - at));
		size_t plain = (size_t)((escape ? escape : end) - at);

		memcpy(to, at, plain);
		to += plain;
		at += plain;
		if (escape) {
			/* Never longer than its sequence. */
			at += 1 + tmgr__json_unescape(at + 1, (size_t)(end - at) - 1, to, &n);
			to += n;
		}
	}
	*to = '\0';
	*ret = text;
	*ret_length = (size_t)(to - text);
	return 0;
}

/* The letters with which the program's locale writes a decimal point. */
static size_t decimal_point(char *ret, size_t size)
{
	char half[32];
	size_t length;

	snprintf(half, sizeof(half), "%.1f", 0.5);
	length = strlen(half) - 2;
	if (length >= size)
		return 0;
	memcpy(ret, half + 1, length);
	return length;
}

/* A number of JSON, in whatever locale. */
static int read_double(const char *raw, size_t length, double *ret)
{
	char text[NUMBER_MAX + 16], point[8];
	size_t point_length = decimal_point(point, sizeof(point)), n = 0;
	double value;
	char *end;

	if (length > NUMBER_MAX)
		return -ERANGE;
	for (size_t i = 0; i < length; i++) {
		if (raw[i] == '.') {
			memcpy(text + n, point, point_length);
			n += point_length;
		} else {
			text[n++] = raw[i];
		}
	}
	text[n] = '\0';
	value = strtod(text, &end);
	if (end != text + n)
		return -EPROTO;
	if (isinf(value))
		return -ERANGE;
	*ret = value;
	return 0;
}

int tmgr__json_double(const struct tmgr__json *value, double *ret)
{
	if (value->type != TMGR__JSON_NUMBER)
		return -EPROTO;
	return read_double(value->raw, value->length, ret);
}

static int read_digits(const char *at, size_t length, struct tmgr__integer *ret)
{
	struct tmgr__integer integer = { 0, false };
	size_t i = 0;

	if (length > 0 && at[0] == '-') {
		integer.negative = true;
		i++;
	}
	if (i == length || (at[i] == '0' && length > i + 1))
		return -EPROTO;
	for (size_t first = i; i < length; i++)
		if (at[i] < '0' || at[i] > '9')
			return i > first ? -EDOM : -EPROTO;
	for (i = integer.negative; i < length; i++) {
		if (__builtin_mul_overflow(integer.magnitude, 10, &integer.magnitude) ||
			__builtin_add_overflow(
				integer.magnitude, (uint64_t)(at[i] - '0'), &integer.magnitude))
			return -ERANGE;
	}
	*ret = integer;
	return 0;
}

/* False: it is not of 64 bits any more. */
static bool add_digit(uint64_t *magnitude, unsigned digit)
{
	return !__builtin_mul_overflow(*magnitude, 10, magnitude) &&
	       !__builtin_add_overflow(*magnitude, digit, magnitude);
}

/* The number after an 'e', or about so many where that is more than any digits make up for. */
static int64_t read_exponent(const char *at, const char *end)
{
	bool negative = at < end && *at == '-';
	int64_t value = 0;

	for (at += at < end && (*at == '-' || *at == '+'); at < end; at++)
		if (value < (int64_t)1 << 32)
			value = value * 10 + (*at - '0');
	return negative ? -value : value;
}

/*
 * A number with a point or an exponent, as other programs may write 1000. Zeros are only counted until a digit
 * follows, so that at the end shift says where the point is behind the last digit that is none.
 */
static int read_decimal(const char *raw, size_t length, struct tmgr__integer *ret)
{
	const char *at = raw, *end = raw + length;
	bool fits = true, fraction = false;
	uint64_t magnitude = 0;
	int64_t shift = 0;
	int zeros = 0;

	for (at += *raw == '-'; at < end && *at != 'e' && *at != 'E'; at++) {
		if (*at == '.') {
			fraction = true;
			continue;
		}
		shift -= fraction;
		zeros++;
		if (*at == '0')
			continue;
		for (; zeros > 1 && fits && magnitude > 0; zeros--)
			fits = add_digit(&magnitude, 0);
		fits = fits && add_digit(&magnitude, (unsigned)(*at - '0'));
		zeros = 0;
	}
	shift += zeros + read_exponent(at + (at < end), end);
	*ret = (struct tmgr__integer){ 0, *raw == '-' };
	if (fits && magnitude == 0)
		return 0;
	if (shift < 0)
		return -EPROTO;
	for (; shift > 0 && fits; shift--)
		fits = add_digit(&magnitude, 0);
	ret->magnitude = magnitude;
	return fits ? 0 : -ERANGE;
}

int tmgr__json_integer(const struct tmgr__json *value, struct tmgr__integer *ret)
{
	int r;

	if (value->type == TMGR__JSON_TEXT) {
		r = read_digits(value->raw + 1, value->length - 2, ret);
		return r == -EDOM ? -EPROTO : r;
	}
	if (value->type != TMGR__JSON_NUMBER)
		return -EPROTO;
	r = read_digits(value->raw, value->length, ret);
	if (r != -EDOM && r != -EPROTO)
		return r;
	return read_decimal(value->raw, value->length, ret);
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int tmgr__base64_read(const char *text, size_t length, unsigned char *data, size_t *ret_size)
{
	size_t size = 0, padding = 0;

	if (length % 4 != 0)
		return -EPROTO;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < length; i += 4) {
		size_t digits = i + 4 == length ? 4 - padding : 4;
		uint32_t bits = 0;

		for (size_t j = 0; j < 4; j++) {
			int digit = j < digits ? base64_digit(text[i + j]) : 0;

			if (digit < 0)
				return -EPROTO;
			bits = bits << 6 | (uint32_t)digit;
		}
		/* One way to write each sequence of bytes. */
		if ((digits == 3 && (bits & 0xff)) || (digits == 2 && (bits & 0xffff)))
			return -EPROTO;
		for (size_t j = 0; j + 1 < digits; j++)
			data[size++] = (unsigned char)(bits >> (16 - 8 * j));
	}
	*ret_size = size;
	return 0;
}
