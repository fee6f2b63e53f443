/* The tables, and the statements that read and write them. */
#include <errno.h>
#include <string.h>

#include "store_sqlite_rows.h"

#include "taskmgr/base/check.h"

/* The numbers of enums are for ever, and so are these names. */
static const char *const process_status[] = { NULL, "active", "paused", "failed", "finished",
	"cancelled" };
static const char *const goroutine_status[] = { NULL, "ready", "blocked", "paused", "failed" };
static const char *const arrivals[] = { "", "start", "message", "sent", "closed", "timeout",
	"default", "result", "cancel", "goto" };
static const char *const wait_kinds[] = { NULL, "send", "receive", "after", "at", "call" };
static const char *const event_kinds[] = { NULL, "started", "step", "retry", "failed", "stuck",
	"late", "paused", "resumed", "cancel", "finished", "no result", "cancelled", "sent",
	"closed", "changed", "upgraded", "log" };

_Static_assert(TMGR_PROCESS_CANCELLED + 1 == ARRAY_SIZE(process_status), "each has a name");
_Static_assert(TMGR_GOROUTINE_FAILED + 1 == ARRAY_SIZE(goroutine_status), "each has a name");
_Static_assert(TMGR_ARRIVED_GOTO + 1 == ARRAY_SIZE(arrivals), "each has a name");
_Static_assert(TMGR_PROCESS_WAIT_CALL + 1 == ARRAY_SIZE(wait_kinds), "each has a name");
_Static_assert(TMGR_PROCESS_EVENT_LOG + 1 == ARRAY_SIZE(event_kinds), "each has a name");

#define ROW(kind, member) offsetof(struct tmgr_store_##kind, member)
#define PLAIN(name, offset, type)                  \
	{                                          \
		name, offset, type, false, NULL, 0 \
	}
#define KEY(name, offset, type)                   \
	{                                         \
		name, offset, type, true, NULL, 0 \
	}
#define NAMED(name, offset, array)                                         \
	{                                                                  \
		name, offset, COLUMN_NAME, false, array, ARRAY_SIZE(array) \
	}

/* clang-format off */
static const struct column process_columns[] = {
	KEY("id", ROW(process, id), COLUMN_TEXT),
	PLAIN("definition", ROW(process, definition), COLUMN_TEXT),
	NAMED("status", ROW(process, status), process_status),
	PLAIN("version", ROW(process, version), COLUMN_U32),
	PLAIN("cancelled", ROW(process, cancelled), COLUMN_U32),
	PLAIN("has_result", ROW(process, has_result), COLUMN_BOOL),
	PLAIN("error", ROW(process, error), COLUMN_INT),
	PLAIN("text", ROW(process, text), COLUMN_TEXT),
	PLAIN("revision", ROW(process, revision), COLUMN_U64),
	PLAIN("steps", ROW(process, steps), COLUMN_U64),
	PLAIN("created_ms", ROW(process, created_ms), COLUMN_I64),
	PLAIN("changed_ms", ROW(process, changed_ms), COLUMN_I64),
	PLAIN("state", ROW(process, state), COLUMN_JSON),
	PLAIN("result", ROW(process, result), COLUMN_BYTES),
};

static const struct column goroutine_columns[] = {
	KEY("process", ROW(goroutine, process), COLUMN_TEXT),
	KEY("name", ROW(goroutine, name), COLUMN_TEXT),
	PLAIN("method", ROW(goroutine, method), COLUMN_TEXT),
	NAMED("status", ROW(goroutine, status), goroutine_status),
	PLAIN("sequence", ROW(goroutine, sequence), COLUMN_U64),
	PLAIN("since_ms", ROW(goroutine, since_ms), COLUMN_I64),
	PLAIN("attempts", ROW(goroutine, attempts), COLUMN_U32),
	PLAIN("retry_at_ms", ROW(goroutine, retry_at_ms), COLUMN_I64),
	PLAIN("error", ROW(goroutine, error), COLUMN_INT),
	PLAIN("text", ROW(goroutine, text), COLUMN_TEXT),
	NAMED("arrival", ROW(goroutine, arrival), arrivals),
	PLAIN("case_index", ROW(goroutine, case_index), COLUMN_U32),
	PLAIN("arrival_error", ROW(goroutine, arrival_error), COLUMN_INT),
	PLAIN("source", ROW(goroutine, from), COLUMN_TEXT),
	PLAIN("value", ROW(goroutine, value), COLUMN_BYTES),
};

static const struct column wait_columns[] = {
	KEY("sequence", ROW(wait, sequence), COLUMN_U64),
	PLAIN("case_index", ROW(wait, index), COLUMN_U32),
	NAMED("kind", ROW(wait, kind), wait_kinds),
	PLAIN("process", ROW(wait, process), COLUMN_TEXT),
	PLAIN("goroutine", ROW(wait, goroutine), COLUMN_TEXT),
	PLAIN("target", ROW(wait, target), COLUMN_TEXT),
	PLAIN("method", ROW(wait, method), COLUMN_TEXT),
	PLAIN("at_ms", ROW(wait, at_ms), COLUMN_I64),
	PLAIN("value", ROW(wait, value), COLUMN_BYTES),
};

static const struct column channel_columns[] = {
	KEY("id", ROW(channel, id), COLUMN_TEXT),
	PLAIN("capacity", ROW(channel, capacity), COLUMN_U32),
	PLAIN("closed", ROW(channel, closed), COLUMN_BOOL),
	PLAIN("created", ROW(channel, created), COLUMN_BOOL),
};

static const struct column message_columns[] = {
	KEY("channel", ROW(message, channel), COLUMN_TEXT),
	KEY("sequence", ROW(message, sequence), COLUMN_U64),
	PLAIN("value", ROW(message, value), COLUMN_BYTES),
};

static const struct column once_columns[] = {
	KEY("process", ROW(once, process), COLUMN_TEXT),
	KEY("goroutine", ROW(once, goroutine), COLUMN_TEXT),
	KEY("sequence", ROW(once, sequence), COLUMN_U64),
	PLAIN("name", ROW(once, name), COLUMN_TEXT),
	PLAIN("value", ROW(once, value), COLUMN_BYTES),
};

static const struct column key_columns[] = {
	KEY("key", ROW(key, key), COLUMN_TEXT),
	PLAIN("at_ms", ROW(key, at_ms), COLUMN_I64),
};

#define EVENT(member) offsetof(struct tmgr_process_event, member)

static const struct column event_columns[] = {
	KEY("sequence", EVENT(sequence), COLUMN_U64),
	PLAIN("at_ms", EVENT(at_ms), COLUMN_I64),
	NAMED("kind", EVENT(kind), event_kinds),
	PLAIN("error", EVENT(error), COLUMN_INT),
	PLAIN("process", EVENT(process), COLUMN_TEXT),
	PLAIN("goroutine", EVENT(goroutine), COLUMN_TEXT),
	PLAIN("method", EVENT(method), COLUMN_TEXT),
	PLAIN("text", EVENT(text), COLUMN_TEXT),
};

const struct rows tmgr__sqlite_rows[SQLITE_STORE_KINDS] = {
#define COLUMNS(array) array, ARRAY_SIZE(array)
	[TMGR_STORE_PROCESS] = { "tmgr_processes", "id", "PRIMARY KEY (id)) WITHOUT ROWID", COLUMNS(process_columns) },
	[TMGR_STORE_GOROUTINE] = { "tmgr_goroutines", "process, name", "PRIMARY KEY (process, name)) WITHOUT ROWID",
		COLUMNS(goroutine_columns) },
	[TMGR_STORE_WAIT] = { "tmgr_waits", "sequence, case_index",
		"PRIMARY KEY (sequence, case_index)) WITHOUT ROWID", COLUMNS(wait_columns) },
	[TMGR_STORE_CHANNEL] = { "tmgr_channels", "id", "PRIMARY KEY (id)) WITHOUT ROWID",
		COLUMNS(channel_columns) },
	[TMGR_STORE_MESSAGE] = { "tmgr_messages", "channel, sequence", "PRIMARY KEY (channel, sequence)) WITHOUT ROWID",
		COLUMNS(message_columns) },
	[TMGR_STORE_ONCE] = { "tmgr_once", "process, goroutine, sequence, name",
		"PRIMARY KEY (process, goroutine, sequence, name)) WITHOUT ROWID", COLUMNS(once_columns) },
	[TMGR_STORE_KEY] = { "tmgr_keys", "key", "PRIMARY KEY (key)) WITHOUT ROWID",
		COLUMNS(key_columns) },
	[TMGR_STORE_EVENT] = { "tmgr_events", "sequence", "PRIMARY KEY (sequence))",
		COLUMNS(event_columns) },
};
/* clang-format on */

#define rows tmgr__sqlite_rows

const char *tmgr__sqlite_table(enum tmgr_store_kind kind)
{
	return rows[kind].table;
}

/* ---- Values ---- */

bool tmgr__sqlite_is_name(const struct column *column, uint64_t value)
{
	return value < column->names_count && column->names[value];
}

uint64_t tmgr__sqlite_load_column(const void *row, const struct column *column)
{
	const void *from = (const char *)row + column->offset;

	switch (column->type) {
	case COLUMN_U64:
	case COLUMN_I64:
		return *(const uint64_t *)from;
	case COLUMN_U32:
		return *(const uint32_t *)from;
	case COLUMN_BOOL:
		return *(const bool *)from;
	default:
		return (uint64_t)(int64_t) * (const int *)from;
	}
}

bool tmgr__sqlite_store_column(void *row, const struct column *column, uint64_t value)
{
	void *to = (char *)row + column->offset;

	switch (column->type) {
	case COLUMN_U64:
	case COLUMN_I64:
		*(uint64_t *)to = value;
		return true;
	case COLUMN_U32:
		*(uint32_t *)to = (uint32_t)value;
		return value <= UINT32_MAX;
	case COLUMN_BOOL:
		*(bool *)to = value;
		return value <= 1;
	case COLUMN_NAME:
		*(int *)to = (int)value;
		return tmgr__sqlite_is_name(column, value);
	default:
		*(int *)to = (int)(int64_t)value;
		return (int64_t)value == *(int *)to;
	}
}

const char *tmgr__sqlite_text_column(const void *row, const struct column *column)
{
	return *(const char *const *)(const void *)((const char *)row + column->offset);
}

struct tmgr_bytes *tmgr__sqlite_bytes_column(const void *row, const struct column *column)
{
	return (struct tmgr_bytes *)(void *)((char *)(uintptr_t)row + column->offset);
}

/* ---- In the tables ---- */

static char *add_text(char *text, const char *format, const char *name)
{
	char *more = text ? sqlite3_mprintf(format, name) : NULL;
	char *both = more ? sqlite3_mprintf("%s%s", text, more) : NULL;

	sqlite3_free(text);
	sqlite3_free(more);
	return both;
}

/* One that is there is written over where it stands. */
static char *add_update(char *text, enum tmgr_store_kind kind)
{
	const char *between = "";

	text = add_text(text, " ON CONFLICT (%s) DO UPDATE SET ", rows[kind].key);
	for (size_t i = 0; i < rows[kind].count; i++) {
		if (rows[kind].columns[i].key)
			continue;
		text = add_text(text, "%s", between);
		text = add_text(text, "%s = ", rows[kind].columns[i].name);
		text = add_text(text, "excluded.%s", rows[kind].columns[i].name);
		between = ", ";
	}
	return text;
}

char *tmgr__sqlite_put_text(enum tmgr_store_kind kind)
{
	char *text = sqlite3_mprintf("INSERT INTO %s VALUES (?1", rows[kind].table);

	for (size_t i = 1; i < rows[kind].count; i++)
		text = add_text(text, ", ?%s", "");
	return add_update(add_text(text, ")%s", ""), kind);
}

char *tmgr__sqlite_delete_text(enum tmgr_store_kind kind)
{
	char *text = sqlite3_mprintf("DELETE FROM %s WHERE ", rows[kind].table);
	const char *between = "";

	for (size_t i = 0; i < rows[kind].count; i++) {
		if (!rows[kind].columns[i].key)
			continue;
		text = add_text(text, "%s", between);
		text = add_text(text, "%s = ?", rows[kind].columns[i].name);
		between = " AND ";
	}
	return text;
}

char *tmgr__sqlite_select_text(enum tmgr_store_kind kind)
{
	char *text = sqlite3_mprintf("SELECT ");

	for (size_t i = 0; i < rows[kind].count; i++)
		text = add_text(text, i ? ", %s" : "%s", rows[kind].columns[i].name);
	text = add_text(text, " FROM %s", rows[kind].table);
	if (kind == TMGR_STORE_EVENT)
		text = add_text(
			text, " WHERE sequence > ?1 AND (?2 IS NULL OR process = ?2)%s", "");
	/* Where the order is nobody's business, that of the file is the quickest. */
	if (kind == TMGR_STORE_WAIT || kind == TMGR_STORE_EVENT)
		text = add_text(text, " ORDER BY %s", rows[kind].key);
	else if (kind == TMGR_STORE_MESSAGE)
		text = add_text(text, " ORDER BY %s", "sequence");
	return kind == TMGR_STORE_EVENT ? add_text(text, " LIMIT ?3%s", "") : text;
}

char *tmgr__sqlite_create_text(enum tmgr_store_kind kind)
{
	static const char *const types[] = {
		[COLUMN_U64] = "INTEGER NOT NULL",
		[COLUMN_I64] = "INTEGER NOT NULL",
		[COLUMN_U32] = "INTEGER NOT NULL",
		[COLUMN_INT] = "INTEGER NOT NULL",
		[COLUMN_BOOL] = "INTEGER NOT NULL",
		[COLUMN_NAME] = "TEXT NOT NULL",
		[COLUMN_TEXT] = "TEXT NOT NULL",
		[COLUMN_BYTES] = "BLOB",
		[COLUMN_JSON] = "TEXT",
	};
	/* One that a rowid is made of has this type and nothing more. */
	bool is_rowid = kind == TMGR_STORE_EVENT;
	char *text = sqlite3_mprintf("CREATE TABLE %s (", rows[kind].table);

	for (size_t i = 0; i < rows[kind].count; i++) {
		text = add_text(text, "%s ", rows[kind].columns[i].name);
		text = add_text(text, "%s, ",
			is_rowid && i == 0 ? "INTEGER" : types[rows[kind].columns[i].type]);
	}
	return add_text(text, "%s;", rows[kind].form);
}

static int bind_column(
	sqlite3_stmt *statement, int number, const void *row, const struct column *column)
{
	const struct tmgr_bytes *bytes;
	uint64_t value;

	switch (column->type) {
	case COLUMN_TEXT:
		return sqlite3_bind_text(statement, number, tmgr__sqlite_text_column(row, column),
			-1, SQLITE_STATIC);
	case COLUMN_BYTES:
	case COLUMN_JSON:
		bytes = tmgr__sqlite_bytes_column(row, column);
		if (bytes->size == 0)
			return sqlite3_bind_null(statement, number);
		if (column->type == COLUMN_JSON)
			return sqlite3_bind_text64(statement, number, bytes->data, bytes->size,
				SQLITE_STATIC, SQLITE_UTF8);
		return sqlite3_bind_blob64(
			statement, number, bytes->data, bytes->size, SQLITE_STATIC);
	case COLUMN_NAME:
		value = tmgr__sqlite_load_column(row, column);
		if (!tmgr__sqlite_is_name(column, value))
			return SQLITE_MISUSE;
		return sqlite3_bind_text(
			statement, number, column->names[value], -1, SQLITE_STATIC);
	default:
		return sqlite3_bind_int64(
			statement, number, (int64_t)tmgr__sqlite_load_column(row, column));
	}
}

int tmgr__sqlite_bind(sqlite3_stmt *statement, const struct tmgr_store_change *change)
{
	bool only_key = change->op == TMGR_STORE_DELETE;
	int number = 1, code = SQLITE_OK;

	for (size_t i = 0; i < rows[change->kind].count && code == SQLITE_OK; i++)
		if (!only_key || rows[change->kind].columns[i].key)
			code = bind_column(
				statement, number++, &change->row, &rows[change->kind].columns[i]);
	return code;
}

static bool column_name(sqlite3_stmt *statement, int number, void *row, const struct column *column)
{
	const char *text = (const char *)sqlite3_column_text(statement, number);

	for (size_t i = 0; text && i < column->names_count; i++)
		if (column->names[i] && strcmp(column->names[i], text) == 0)
			return tmgr__sqlite_store_column(row, column, i);
	return false;
}

static bool row_column(sqlite3_stmt *statement, int number, void *row, const struct column *column)
{
	const char *text;

	switch (column->type) {
	case COLUMN_TEXT:
		text = (const char *)sqlite3_column_text(statement, number);
		*(const char **)(void *)((char *)row + column->offset) = text;
		return text != NULL &&
		       strlen(text) == (size_t)sqlite3_column_bytes(statement, number);
	case COLUMN_BYTES:
	case COLUMN_JSON:
		*tmgr__sqlite_bytes_column(
			row, column) = (struct tmgr_bytes){ sqlite3_column_blob(statement, number),
			(size_t)sqlite3_column_bytes(statement, number) };
		return true;
	case COLUMN_NAME:
		return column_name(statement, number, row, column);
	default:
		return sqlite3_column_type(statement, number) == SQLITE_INTEGER &&
		       tmgr__sqlite_store_column(
			       row, column, (uint64_t)sqlite3_column_int64(statement, number));
	}
}

/* The first column that cannot be read; NULL: there is none. */
static const struct column *read_row(
	sqlite3_stmt *statement, enum tmgr_store_kind kind, struct tmgr_store_change *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->op = TMGR_STORE_PUT;
	ret->kind = kind;
	for (size_t i = 0; i < rows[kind].count; i++)
		if (!row_column(statement, (int)i, &ret->row, &rows[kind].columns[i]))
			return &rows[kind].columns[i];
	return NULL;
}

int tmgr__sqlite_row(
	sqlite3_stmt *statement, enum tmgr_store_kind kind, struct tmgr_store_change *ret)
{
	return read_row(statement, kind, ret) ? -EBADMSG : 0;
}

const char *tmgr__sqlite_bad_column(sqlite3_stmt *statement, enum tmgr_store_kind kind)
{
	struct tmgr_store_change ignored;
	const struct column *column = read_row(statement, kind, &ignored);

	return column ? column->name : NULL;
}
