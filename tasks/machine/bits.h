/*
 * Sets of states, one bit each.
 */
#ifndef TMGR__MACHINE_BITS_H
#define TMGR__MACHINE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TMGR__BITS 64u

static inline size_t tmgr__bits_words(size_t count)
{
	return (count + TMGR__BITS - 1) / TMGR__BITS;
}

static inline bool tmgr__bits_has(const uint64_t *bits, unsigned state)
{
	return bits[state / TMGR__BITS] >> (state % TMGR__BITS) & 1;
}

static inline void tmgr__bits_add(uint64_t *bits, unsigned state)
{
	bits[state / TMGR__BITS] |= UINT64_C(1) << (state % TMGR__BITS);
}

static inline void tmgr__bits_remove(uint64_t *bits, unsigned state)
{
	bits[state / TMGR__BITS] &= ~(UINT64_C(1) << (state % TMGR__BITS));
}

static inline void tmgr__bits_clear(uint64_t *bits, size_t words)
{
	for (size_t i = 0; i < words; i++)
		bits[i] = 0;
}

static inline void tmgr__bits_copy(uint64_t *bits, const uint64_t *from, size_t words)
{
	for (size_t i = 0; i < words; i++)
		bits[i] = from[i];
}

static inline void tmgr__bits_join(uint64_t *bits, const uint64_t *with, size_t words)
{
	for (size_t i = 0; i < words; i++)
		bits[i] |= with[i];
}

/* Whether they have one in common. */
static inline bool tmgr__bits_meet(const uint64_t *one, const uint64_t *other, size_t words)
{
	uint64_t common = 0;

	for (size_t i = 0; i < words; i++)
		common |= one[i] & other[i];
	return common != 0;
}

/* Whether all of `part` are in `whole`. */
static inline bool tmgr__bits_within(const uint64_t *part, const uint64_t *whole, size_t words)
{
	uint64_t outside = 0;

	for (size_t i = 0; i < words; i++)
		outside |= part[i] & ~whole[i];
	return outside == 0;
}

#endif
