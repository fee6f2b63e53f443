/*
 * Clearing more than a few lines of the cache: by the C library, which knows the processor. For a
 * size that is known a compiler may write it out as an instruction that takes long to begin.
 */
#ifndef TMGR__CLEAR_H
#define TMGR__CLEAR_H

#include <string.h>

static inline void tmgr__clear(void *memory, size_t size)
{
	__asm__("" : "+r"(size));
	memset(memory, 0, size);
}

#endif
