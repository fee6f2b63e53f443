/*
 * Numbers as bytes, little-endian, wherever they stand.
 */
#ifndef TMGR__TELEMETRY_BYTES_H
#define TMGR__TELEMETRY_BYTES_H

#include <stdint.h>

static inline void tmgr__put16(unsigned char *at, uint16_t value)
{
	at[0] = (unsigned char)value;
	at[1] = (unsigned char)(value >> 8);
}

static inline void tmgr__put32(unsigned char *at, uint32_t value)
{
	tmgr__put16(at, (uint16_t)value);
	tmgr__put16(at + 2, (uint16_t)(value >> 16));
}

static inline void tmgr__put64(unsigned char *at, uint64_t value)
{
	tmgr__put32(at, (uint32_t)value);
	tmgr__put32(at + 4, (uint32_t)(value >> 32));
}

static inline uint16_t tmgr__get16(const unsigned char *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t tmgr__get32(const unsigned char *at)
{
	return tmgr__get16(at) | (uint32_t)tmgr__get16(at + 2) << 16;
}

static inline uint64_t tmgr__get64(const unsigned char *at)
{
	return tmgr__get32(at) | (uint64_t)tmgr__get32(at + 4) << 32;
}

#endif
