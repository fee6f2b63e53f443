#include "database.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define APPLICATION 0x6c736870 /* "lshp" */

/* Readers look at `log`; the tables are for logship. */
static const char schema[] =
	"CREATE TABLE files("
	" id INTEGER PRIMARY KEY,"
	" path TEXT NOT NULL," /* where it was first read */
	" device INTEGER NOT NULL,"
	" inode INTEGER NOT NULL,"
	" head_length INTEGER NOT NULL," /* bytes hashed, up to 1024 */
	" head_hash INTEGER NOT NULL,"
	" offset INTEGER NOT NULL," /* bytes shipped */
	" mtime INTEGER NOT NULL,"  /* ns since 1970, when last read */
	" done INTEGER NOT NULL);"  /* rotated away and finished */
	"CREATE INDEX files_path ON files(path, id);"
	"CREATE INDEX files_inode ON files(inode, device, id);"
	"CREATE TABLE lines("
	" id INTEGER PRIMARY KEY,"
	" file INTEGER NOT NULL REFERENCES files(id),"
	" offset INTEGER NOT NULL,"  /* of its first byte in the file */
	" partial INTEGER NOT NULL," /* no newline ended it: the next line continues it */
	" time INTEGER,"             /* ns since 1970, UTC */
	" level INTEGER,"            /* as in syslog, 0 is the worst */
	" host TEXT, program TEXT, pid INTEGER, message TEXT,"
	" raw NOT NULL," /* all of its bytes; a blob if they are no UTF-8 */
	" UNIQUE(file, offset));"
	"CREATE VIEW log AS SELECT lines.id AS id, path, lines.offset AS offset,"
	" strftime('%Y-%m-%dT%H:%M:%fZ', time / 1e9, 'unixepoch') AS time,"
	" CASE level WHEN 0 THEN 'emergency' WHEN 1 THEN 'alert' WHEN 2 THEN 'critical'"
	"  WHEN 3 THEN 'error' WHEN 4 THEN 'warning' WHEN 5 THEN 'notice' WHEN 6 THEN 'info'"
	"  WHEN 7 THEN 'debug' END AS level,"
	" host, program, pid, message FROM lines JOIN files ON files.id = lines.file;";

#define RECORD "id, device, inode, head_length, head_hash, offset, mtime, done"

static const char *const reads[READS] = {
	[READ_OF_PATH] = "SELECT " RECORD " FROM (SELECT * FROM files WHERE path = ?1"
			 " ORDER BY id DESC LIMIT 256) ORDER BY id",
	[READ_NEWEST] = "SELECT " RECORD " FROM files WHERE inode = ?1 AND device = ?2"
			" ORDER BY id DESC LIMIT 1",
};

static const char *const writes[WRITES] = {
	[WRITE_BEGIN] = "BEGIN IMMEDIATE",
	[WRITE_COMMIT] = "COMMIT",
	[WRITE_ROLLBACK] = "ROLLBACK",
	[WRITE_FILE] = "INSERT INTO files(" RECORD
		       ", path) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
		       " ON CONFLICT(id) DO UPDATE SET device = ?2, inode = ?3, head_length = ?4,"
		       " head_hash = ?5, offset = max(offset, ?6), mtime = ?7, done = ?8",
	[WRITE_LINE] =
		"INSERT INTO lines(file, offset, partial, time, level, host, program, pid, message,"
		" raw) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
		" ON CONFLICT(file, offset) DO NOTHING",
};

int store__error_of(int result)
{
	switch (result & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_NOTADB:
		return -EINVAL;
	case SQLITE_TOOBIG:
		return -EMSGSIZE;
	default:
		return -EIO;
	}
}

int store__fail(struct store *store, int r, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(store->error, sizeof(store->error), format, list);
	va_end(list);
	return r;
}

int store__fail_sqlite(struct store *store, int result, const char *what)
{
	int saved = store->writer ? sqlite3_system_errno(store->writer) : 0;
	bool of_system = saved &&
			 ((result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_CANTOPEN);

	return store__fail(store, store__error_of(result), "%s: %s: %s%s%s", store->path, what,
		store->writer ? sqlite3_errmsg(store->writer) : sqlite3_errstr(result),
		of_system ? ": " : "", of_system ? strerror(saved) : "");
}

static int run(struct store *store, const char *sql, const char *what)
{
	int result = sqlite3_exec(store->writer, sql, NULL, NULL, NULL);

	return result == SQLITE_OK ? 0 : store__fail_sqlite(store, result, what);
}

static int number(struct store *store, const char *sql, int64_t *ret_number)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(store->writer, sql, -1, &statement, NULL);

	if (result == SQLITE_OK) {
		result = sqlite3_step(statement);
		if (result == SQLITE_ROW)
			*ret_number = sqlite3_column_int64(statement, 0);
	}
	sqlite3_finalize(statement);
	return result == SQLITE_ROW ? 0 : store__fail_sqlite(store, result, "reading");
}

static int make_tables(struct store *store)
{
	int64_t version = 0, application = 0, tables = 0;
	char end[128];
	int r = number(store, "PRAGMA user_version", &version);

	if (r == 0)
		r = number(store, "PRAGMA application_id", &application);
	if (r == 0)
		r = number(store, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r < 0)
		return r;
	if (tables > 0 && application != APPLICATION)
		return store__fail(
			store, -EINVAL, "%s: a database, but not of logship", store->path);
	if (version > VERSION)
		return store__fail(store, -EINVAL, "%s: of version %lld, this logship knows %d",
			store->path, (long long)version, VERSION);
	if (version == VERSION)
		return 0;
	/* With the version in the same transaction: a kill in between leaves an empty database. */
	snprintf(end, sizeof(end), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
		APPLICATION, VERSION);
	r = run(store, "BEGIN IMMEDIATE", "making tables");
	if (r == 0)
		r = run(store, schema, "making tables");
	return r < 0 ? r : run(store, end, "making tables");
}

static int prepare(struct store *store, sqlite3 *connection, const char *const *texts, size_t count,
	sqlite3_stmt **statements)
{
	for (size_t i = 0; i < count; i++) {
		int result = sqlite3_prepare_v3(
			connection, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL);

		if (result != SQLITE_OK)
			return store__fail(store, store__error_of(result), "%s: %s", store->path,
				sqlite3_errmsg(connection));
	}
	return 0;
}

int store__connect(struct store *store)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE;
	int64_t last = 0;
	int result, r;

	result = sqlite3_open_v2(store->path, &store->writer, flags | SQLITE_OPEN_CREATE, NULL);
	if (result != SQLITE_OK)
		return store__fail_sqlite(store, result, "opening");
	sqlite3_busy_timeout(store->writer, store->options.busy_ms);
	r = run(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", "opening");
	if (r == 0)
		r = make_tables(store);
	if (r == 0)
		r = number(store, "SELECT ifnull(max(id), 0) FROM files", &last);
	if (r == 0)
		r = prepare(store, store->writer, writes, WRITES, store->write);
	if (r < 0)
		return r;
	store->last_id = last;
	result = sqlite3_open_v2(store->path, &store->reader, flags, NULL);
	if (result != SQLITE_OK)
		return store__fail_sqlite(store, result, "opening for reading");
	sqlite3_busy_timeout(store->reader, store->options.busy_ms);
	return prepare(store, store->reader, reads, READS, store->read);
}

static void read_record(sqlite3_stmt *statement, struct tail_record *record)
{
	*record = (struct tail_record){
		.id = sqlite3_column_int64(statement, 0),
		.identity = {
			.device = (uint64_t)sqlite3_column_int64(statement, 1),
			.inode = (uint64_t)sqlite3_column_int64(statement, 2),
			.head_length = (uint32_t)sqlite3_column_int64(statement, 3),
			.head_hash = (uint64_t)sqlite3_column_int64(statement, 4),
		},
		.offset = sqlite3_column_int64(statement, 5),
		.mtime_ns = sqlite3_column_int64(statement, 6),
		.done = sqlite3_column_int(statement, 7) != 0,
	};
}

static int read_records(
	sqlite3_stmt *statement, struct tail_record **ret_records, size_t *ret_count)
{
	struct tail_record *records = NULL;
	size_t count = 0;
	int result;

	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		struct tail_record *grown = reallocarray(records, count + 1, sizeof(*grown));

		if (!grown) {
			result = SQLITE_NOMEM;
			break;
		}
		records = grown;
		read_record(statement, &records[count++]);
	}
	if (result != SQLITE_DONE) {
		free(records);
		return store__error_of(result);
	}
	*ret_records = records;
	*ret_count = count;
	return 0;
}

int store__of_path(
	void *self, const char *path, struct tail_record **ret_records, size_t *ret_count)
{
	struct store *store = self;
	sqlite3_stmt *statement = store->read[READ_OF_PATH];
	int r;

	pthread_mutex_lock(&store->reading);
	sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
	r = read_records(statement, ret_records, ret_count);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	pthread_mutex_unlock(&store->reading);
	return r;
}

int store__newest(void *self, uint64_t device, uint64_t inode, struct tail_record *ret_record)
{
	struct store *store = self;
	sqlite3_stmt *statement = store->read[READ_NEWEST];
	int r;

	pthread_mutex_lock(&store->reading);
	sqlite3_bind_int64(statement, 1, (int64_t)inode);
	sqlite3_bind_int64(statement, 2, (int64_t)device);
	r = sqlite3_step(statement);
	if (r == SQLITE_ROW) {
		read_record(statement, ret_record);
		r = 0;
	} else {
		r = r == SQLITE_DONE ? -ENOENT : store__error_of(r);
	}
	sqlite3_reset(statement);
	pthread_mutex_unlock(&store->reading);
	return r;
}

int64_t store__next_id(void *self)
{
	struct store *store = self;

	return atomic_fetch_add(&store->last_id, 1) + 1;
}
