#include "logline.h"

/* The length of the UTF-8 sequence at `byte`, or 0 if there is no well-formed one, or NUL. */
static size_t sequence(const unsigned char *byte, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (byte[0] != 0 && byte[0] < 0x80)
		return 1;
	if (byte[0] >= 0xc2 && byte[0] <= 0xdf)
		length = 2;
	else if (byte[0] >= 0xe0 && byte[0] <= 0xef)
		length = 3;
	else if (byte[0] >= 0xf0 && byte[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (length > left)
		return 0;
	/* Overlong forms, surrogates, and what is beyond Unicode. */
	if (byte[0] == 0xe0)
		low = 0xa0;
	else if (byte[0] == 0xed)
		high = 0x9f;
	else if (byte[0] == 0xf0)
		low = 0x90;
	else if (byte[0] == 0xf4)
		high = 0x8f;
	if (byte[1] < low || byte[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
	}
	return length;
}

bool logline_is_text(const char *bytes, size_t length)
{
	const unsigned char *byte = (const unsigned char *)bytes;

	for (size_t i = 0, n; i < length; i += n) {
		n = sequence(byte + i, length - i);
		if (n == 0)
			return false;
	}
	return true;
}

size_t logline_escape(const char *bytes, size_t length, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *byte = (const unsigned char *)bytes;
	size_t written = 0;

	for (size_t i = 0; i < length;) {
		size_t n = sequence(byte + i, length - i);

		for (size_t k = 0; k < n; k++)
			ret_text[written++] = bytes[i + k];
		if (n == 0) {
			ret_text[written++] = '\\';
			ret_text[written++] = 'x';
			ret_text[written++] = digits[byte[i] >> 4];
			ret_text[written++] = digits[byte[i] & 15];
			n = 1;
		}
		i += n;
	}
	return written;
}
