#include "block.h"

#include <string.h>

size_t tail_block_cut(const char *bytes, size_t length, bool final)
{
	const char *newline;

	if (length == 0)
		return 0;
	newline = memrchr(bytes, '\n', length);
	if (newline)
		return (size_t)(newline - bytes) + 1;
	if (final)
		return length;
	/* One byte more than fits, so that a line of exactly the maximum is never cut before its
	 * newline is seen. */
	return (length - 1) / TAIL_LINE_MAX * TAIL_LINE_MAX;
}

bool tail_block_next(
	const char *bytes, size_t length, int64_t start, size_t *cursor, struct tail_line *ret_line)
{
	const char *text = bytes + *cursor;
	size_t left = length - *cursor;
	size_t look = left > TAIL_LINE_MAX + 1 ? TAIL_LINE_MAX + 1 : left;
	const char *newline;

	if (left == 0)
		return false;
	newline = memchr(text, '\n', look);
	*ret_line = (struct tail_line){
		.offset = start + (int64_t)*cursor,
		.text = text,
		.length = newline                ? (size_t)(newline - text)
			  : look > TAIL_LINE_MAX ? TAIL_LINE_MAX
						 : look,
		.partial = !newline,
	};
	*cursor += ret_line->length + (newline ? 1 : 0);
	return true;
}
