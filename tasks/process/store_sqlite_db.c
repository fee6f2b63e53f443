/* What all connections share: errors, statements, the tables, whose file it is. */
#include <errno.h>
#include <string.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"

#define CONNECTION_BUSY_MS 5000

/* A full disk, a quota, a limit of this process; a sync that fails so is one that failed. */
bool tmgr__sqlite_no_room(int code, int system)
{
	return (code & 0xff) == SQLITE_IOERR && code != SQLITE_IOERR_FSYNC &&
	       code != SQLITE_IOERR_DIR_FSYNC &&
	       (system == ENOSPC || system == EDQUOT || system == EFBIG);
}

int tmgr__sqlite_error(sqlite3 *db, int code)
{
	int system = db ? sqlite3_system_errno(db) : 0;

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_NOMEM)
			return -ENOMEM;
		return tmgr__sqlite_no_room(code, system) ? -ENOSPC : -EIO;
	case SQLITE_CANTOPEN:
		return system ? -system : -EIO;
	case SQLITE_PERM:
	case SQLITE_READONLY:
		return -EACCES;
	default:
		return -EIO;
	}
}

int tmgr__sqlite_prepare_kept(sqlite3 *db, const char *text, sqlite3_stmt **ret)
{
	return text ? sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL)
		    : SQLITE_NOMEM;
}

int tmgr__sqlite_connect(
	const struct sqlite_store *self, const char *path, int flags, sqlite3 **ret)
{
	sqlite3 *db = NULL;
	int code = sqlite3_open_v2(
		path, &db, flags | SQLITE_OPEN_NOMUTEX, self ? self->options.vfs : NULL);
	int r = tmgr__sqlite_error(db, code);

	if (r < 0) {
		sqlite3_close(db);
		return r;
	}
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, CONNECTION_BUSY_MS);
	*ret = db;
	return 0;
}

int tmgr__sqlite_run(sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	sqlite3_reset(statement);
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

int tmgr__sqlite_execute(sqlite3 *db, const char *text)
{
	return tmgr__sqlite_error(db, sqlite3_exec(db, text, NULL, NULL, NULL));
}

int tmgr__sqlite_integer(sqlite3 *db, const char *text, int64_t *ret)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db, text, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_DONE ? -ENOENT : tmgr__sqlite_error(db, code);
}

int tmgr__sqlite_create_tables(sqlite3 *db)
{
	int r = tmgr__sqlite_execute(db,
		"CREATE TABLE tmgr_journal (sequence INTEGER PRIMARY KEY, now_ms INTEGER NOT NULL,"
		" checksum INTEGER NOT NULL, changes BLOB NOT NULL);"
		"CREATE TABLE tmgr_store (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT "
		"ROWID;"
		"INSERT INTO tmgr_store VALUES ('copied', 0), ('now_ms', 0);");

	for (int kind = TMGR_STORE_PROCESS; kind < SQLITE_STORE_KINDS && r == 0; kind++) {
		char *text = tmgr__sqlite_create_text((enum tmgr_store_kind)kind);

		r = text ? tmgr__sqlite_execute(db, text) : -ENOMEM;
		sqlite3_free(text);
	}
	return r;
}

int tmgr__sqlite_identify(sqlite3 *db)
{
	int64_t application = 0, version = 0, tables = 0;
	int r = tmgr__sqlite_integer(db, "PRAGMA application_id", &application);

	if (r == 0)
		r = tmgr__sqlite_integer(db, "PRAGMA user_version", &version);
	if (r == 0)
		r = tmgr__sqlite_integer(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r < 0)
		return r;
	if (application == 0 && version == 0 && tables == 0)
		return 1;
	if (application != SQLITE_STORE_APPLICATION || version < 1)
		return -EBADMSG;
	return version > SQLITE_STORE_VERSION ? -EPROTO : 0;
}
