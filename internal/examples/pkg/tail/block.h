/* A piece of a file that holds whole lines, and how it falls into them. */
#ifndef TAIL_BLOCK_H
#define TAIL_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAIL_LINE_MAX 65536         /* bytes without the newline; longer lines are split */
#define TAIL_BLOCK_MAX (256 * 1024) /* bytes read at once */

struct tail_line {
	int64_t offset;   /* of its first byte in the file */
	const char *text; /* points into the block; not terminated */
	size_t length;    /* without the newline */
	bool partial;     /* no newline ended it: the next line of this file continues it */
};

/**
 * How many of the bytes read are ready to be shipped.
 *
 * Up to the last newline. Without one, pieces of TAIL_LINE_MAX bytes as far as the line is known to
 * be longer than that; where they are cut depends only on where the line began, never on how
 * much was there to read. Without that either, nothing, or all of it when nothing more will come.
 *
 * @param final  nothing more will come: an unterminated rest is shipped too
 */
size_t tail_block_cut(const char *bytes, size_t length, bool final);

/**
 * The next line of a block.
 *
 * @param bytes   what was read
 * @param length  as tail_block_cut() said
 * @param start   where the block begins in the file
 * @param cursor  in and out, 0 at first
 *
 * @return false when there is none
 */
bool tail_block_next(const char *bytes, size_t length, int64_t start, size_t *cursor,
	struct tail_line *ret_line);

#endif
