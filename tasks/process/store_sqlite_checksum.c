/* CRC-32C (Castagnoli), eight bytes at a time from eight tables. */
#include <string.h>

#include "store_sqlite.h"

#define POLYNOMIAL UINT32_C(0x82f63b78)

static uint32_t tables[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
		tables[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 255];
}

uint32_t tmgr__sqlite_checksum(uint32_t checksum, const void *data, size_t size)
{
	const unsigned char *at = data;
	uint32_t c = ~checksum;

	pthread_once(&once, make_tables);
	for (; size >= 8; size -= 8, at += 8) {
		c ^= at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
		c = tables[7][c & 255] ^ tables[6][c >> 8 & 255] ^ tables[5][c >> 16 & 255] ^
		    tables[4][c >> 24] ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
		    tables[0][at[7]];
	}
	for (; size > 0; size--)
		c = c >> 8 ^ tables[0][(c ^ *at++) & 255];
	return ~c;
}

uint32_t tmgr__sqlite_step_checksum(
	uint64_t sequence, int64_t now_ms, const void *changes, size_t size)
{
	unsigned char head[16];

	for (int i = 0; i < 8; i++) {
		head[i] = (unsigned char)(sequence >> 8 * i);
		head[8 + i] = (unsigned char)((uint64_t)now_ms >> 8 * i);
	}
	return tmgr__sqlite_checksum(tmgr__sqlite_checksum(0, head, sizeof(head)), changes, size);
}
