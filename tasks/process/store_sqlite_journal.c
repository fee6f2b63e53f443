/*
 * Changes as the journal has them: what is done, to what kind of row, and its columns one after the
 * other. Numbers have seven bits a byte, the lowest first, and those with a sign are folded so that
 * small ones are short; texts and bytes have their length before them, texts a NUL after them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_sqlite_rows.h"

#include "taskmgr/base/check.h"

#define rows tmgr__sqlite_rows

static int reserve(struct sqlite_bytes *to, size_t more)
{
	size_t size = to->size ? to->size : 1024;
	unsigned char *data;

	if (more <= to->size - to->length)
		return 0;
	while (size - to->length < more)
		size *= 2;
	data = realloc(to->data, size);
	if (!data)
		return -ENOMEM;
	to->data = data;
	to->size = size;
	return 0;
}

/* Seven bits a byte, the lowest first; there is room. */
static void put_number(struct sqlite_bytes *to, uint64_t value)
{
	while (value > 127) {
		to->data[to->length++] = (unsigned char)(value | 128);
		value >>= 7;
	}
	to->data[to->length++] = (unsigned char)value;
}

static void put_raw(struct sqlite_bytes *to, const void *data, size_t size)
{
	if (size > 0)
		memcpy(to->data + to->length, data, size);
	to->length += size;
}

static bool is_signed(const struct column *column)
{
	return column->type == COLUMN_I64 || column->type == COLUMN_INT;
}

static int put_column(struct sqlite_bytes *to, const void *row, const struct column *column)
{
	struct tmgr_bytes bytes;
	uint64_t value;

	switch (column->type) {
	case COLUMN_TEXT:
		/* With its NUL, so that it can be used where it stands. */
		bytes.data = tmgr__sqlite_text_column(row, column);
		bytes.size = strlen(bytes.data) + 1;
		break;
	case COLUMN_BYTES:
	case COLUMN_JSON:
		bytes = *tmgr__sqlite_bytes_column(row, column);
		break;
	default:
		if (reserve(to, 10) < 0)
			return -ENOMEM;
		value = tmgr__sqlite_load_column(row, column);
		if (column->type == COLUMN_NAME && !tmgr__sqlite_is_name(column, value))
			return -EINVAL;
		/* Small ones below zero are short too. */
		if (is_signed(column))
			value = value << 1 ^ (0 - (value >> 63));
		put_number(to, value);
		return 0;
	}
	if (reserve(to, bytes.size + 10) < 0)
		return -ENOMEM;
	put_number(to, bytes.size);
	put_raw(to, bytes.data, bytes.size);
	return 0;
}

static int put_columns(
	struct sqlite_bytes *to, const struct tmgr_store_change *change, bool only_key)
{
	int r = 0;

	for (size_t i = 0; i < rows[change->kind].count && r == 0; i++)
		if (!only_key || rows[change->kind].columns[i].key)
			r = put_column(to, &change->row, &rows[change->kind].columns[i]);
	return r;
}

int tmgr__sqlite_put_change(struct sqlite_bytes *to, const struct tmgr_store_change *change)
{
	if (reserve(to, 2) < 0)
		return -ENOMEM;
	to->data[to->length++] = (unsigned char)change->op;
	to->data[to->length++] = (unsigned char)change->kind;
	return put_columns(to, change, change->op == TMGR_STORE_DELETE);
}

int tmgr__sqlite_put_key(struct sqlite_bytes *to, const struct tmgr_store_change *change)
{
	/* Messages go with their channel. */
	if (change->kind == TMGR_STORE_MESSAGE)
		return put_column(to, &change->row, &rows[TMGR_STORE_MESSAGE].columns[0]);
	return put_columns(to, change, true);
}

static bool get_number(const unsigned char **at, const unsigned char *end, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		unsigned char byte = *(*at)++;

		value |= (uint64_t)(byte & 127) << shift;
		if (!(byte & 128)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool get_column(
	const unsigned char **at, const unsigned char *end, void *row, const struct column *column)
{
	const unsigned char *data;
	uint64_t value;

	if (!get_number(at, end, &value))
		return false;
	switch (column->type) {
	case COLUMN_TEXT:
	case COLUMN_BYTES:
	case COLUMN_JSON:
		break;
	default:
		if (is_signed(column))
			value = value >> 1 ^ (0 - (value & 1));
		return tmgr__sqlite_store_column(row, column, value);
	}
	if (value > (size_t)(end - *at))
		return false;
	data = *at;
	*at += value;
	if (column->type != COLUMN_TEXT) {
		*tmgr__sqlite_bytes_column(row, column) = (struct tmgr_bytes){ data, value };
		return true;
	}
	*(const char **)(void *)((char *)row + column->offset) = (const char *)data;
	return value > 0 && !data[value - 1] && strlen((const char *)data) == value - 1;
}

static int get_columns(const unsigned char **at, const unsigned char *end,
	struct tmgr_store_change *ret, bool only_key)
{
	for (size_t i = 0; i < rows[ret->kind].count; i++)
		if ((!only_key || rows[ret->kind].columns[i].key) &&
			!get_column(at, end, &ret->row, &rows[ret->kind].columns[i]))
			return -EBADMSG;
	return 0;
}

int tmgr__sqlite_get_change(
	const unsigned char **at, const unsigned char *end, struct tmgr_store_change *ret)
{
	if (end - *at < 2)
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->op = (enum tmgr_store_op)(*at)[0];
	ret->kind = (enum tmgr_store_kind)(*at)[1];
	*at += 2;
	if (ret->op != TMGR_STORE_PUT && ret->op != TMGR_STORE_DELETE)
		return -EBADMSG;
	if (ret->kind < TMGR_STORE_PROCESS || ret->kind >= SQLITE_STORE_KINDS)
		return -EBADMSG;
	return get_columns(at, end, ret, ret->op == TMGR_STORE_DELETE);
}

int tmgr__sqlite_get_key(const unsigned char *key, size_t length, enum tmgr_store_kind kind,
	struct tmgr_store_change *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->op = TMGR_STORE_DELETE;
	ret->kind = kind;
	return get_columns(&key, key + length, ret, true);
}
