/* The store on SQLite: making it, opening it, closing it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <taskmgr/time.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"

#define PATH_MAX_BYTES 4000
#define JOURNAL_MAX 16384
#define LOG_BYTES (UINT64_C(16) << 20)
#define LOG_MAX_BYTES (UINT64_C(1) << 30)
#define LOG_MIN_BYTES (UINT64_C(64) << 10)
#define BUSY_NS (5 * TMGR_SECOND)
#define SQL_NS TMGR_SECOND
#define CLOSING_BUSY_MS 200
/* 0: nothing was written to the file, or by an earlier version. */
#define SQLITE_EPOCH "SELECT coalesce((SELECT value FROM tmgr_store WHERE name = 'epoch'), 0)"
/* The greatest step, in the journal or in the tables. */
#define SQLITE_LAST                                                          \
	("SELECT max((SELECT coalesce(max(sequence), 0) FROM tmgr_journal)," \
	 " (SELECT value FROM tmgr_store WHERE name = 'copied'))")

static struct sqlite_store *of(struct tmgr_store *store)
{
	return container_of(store, struct sqlite_store, store);
}

static const char *const statement_texts[] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_SAVEPOINT] = "SAVEPOINT trial",
	[SQL_RELEASE] = "RELEASE trial",
	[SQL_ROLLBACK_TO] = "ROLLBACK TO trial",
	[SQL_JOURNAL] = "INSERT INTO tmgr_journal VALUES (?1, ?2, ?3, ?4)",
	[SQL_CUT_JOURNAL] = "DELETE FROM tmgr_journal WHERE sequence <= ?1",
	[SQL_COPIED] = "INSERT OR REPLACE INTO tmgr_store VALUES ('copied', ?1), ('now_ms', ?2)",
	[SQL_EPOCH] = SQLITE_EPOCH,
	[SQL_TAKE_EPOCH] = "INSERT OR REPLACE INTO tmgr_store VALUES ('epoch', ?1)",
	[SQL_LAST] = SQLITE_LAST,
	[SQL_DELETE_MESSAGES] = "DELETE FROM tmgr_messages WHERE channel = ?1",
};

_Static_assert(ARRAY_SIZE(statement_texts) == SQL_STATEMENTS, "each has a text");

static int prepare_built(sqlite3 *db, char *text, sqlite3_stmt **ret)
{
	int code = tmgr__sqlite_prepare_kept(db, text, ret);

	sqlite3_free(text);
	return code;
}

int tmgr__sqlite_prepare_statements(struct sqlite_store *self)
{
	int code = SQLITE_OK;

	for (size_t i = 0; i < SQL_STATEMENTS && code == SQLITE_OK; i++)
		code = tmgr__sqlite_prepare_kept(
			self->main, statement_texts[i], &self->statements[i]);
	for (int i = TMGR_STORE_PROCESS; i < SQLITE_STORE_KINDS && code == SQLITE_OK; i++) {
		enum tmgr_store_kind kind = (enum tmgr_store_kind)i;

		code = prepare_built(self->main, tmgr__sqlite_put_text(kind), &self->put[i]);
		if (code == SQLITE_OK)
			code = prepare_built(
				self->main, tmgr__sqlite_delete_text(kind), &self->del[i]);
	}
	return tmgr__sqlite_error(self->main, code);
}

static int note_log_pages(void *user, sqlite3 *db, const char *name, int pages)
{
	struct sqlite_store *self = user;

	(void)db;
	(void)name;
	/* One that is begun anew is shorter. */
	self->log_written += ((uint64_t)pages -
				     ((uint64_t)pages > self->log_pages ? self->log_pages : 0)) *
			     self->page_bytes;
	self->log_pages = (uint64_t)pages;
	return SQLITE_OK;
}

/* A file that is new gets its tables in one transaction: it is empty or complete. */
static int make_tables(struct sqlite_store *self)
{
	char text[128];
	int r = tmgr__sqlite_execute(self->main, "BEGIN IMMEDIATE");

	if (r == 0)
		r = tmgr__sqlite_create_tables(self->main);
	snprintf(text, sizeof(text), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		SQLITE_STORE_APPLICATION, SQLITE_STORE_VERSION);
	if (r == 0)
		r = tmgr__sqlite_execute(self->main, text);
	return r == 0 ? tmgr__sqlite_execute(self->main, "COMMIT") : r;
}

static int open_main(struct sqlite_store *self)
{
	int r = tmgr__sqlite_connect(
		self, self->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &self->main);

	if (r < 0)
		return r;
	/* What is refused stays as it is, its log too. */
	sqlite3_db_config(self->main, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	r = tmgr__sqlite_identify(self->main);
	if (r < 0)
		return r;
	sqlite3_busy_timeout(self->main, (int)(self->options.busy_ns / TMGR_MILLISECOND));
	sqlite3_wal_hook(self->main, note_log_pages, self);
	/* Until all is there: what an opening that is killed leaves is in doubt as well. */
	self->lock_file.doubtful[0] = 1;
	if (tmgr__sqlite_execute(self->main,
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		    "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384") < 0)
		return tmgr__sqlite_error(self->main, sqlite3_extended_errcode(self->main));
	self->relaxed = false;
	return r == 1 ? make_tables(self) : 0;
}

void tmgr__sqlite_finalize_statements(struct sqlite_store *self)
{
	tmgr__sqlite_forget_user_statements(self);
	for (size_t i = 0; i < SQL_STATEMENTS; i++) {
		sqlite3_finalize(self->statements[i]);
		self->statements[i] = NULL;
	}
	for (size_t i = 0; i < SQLITE_STORE_KINDS; i++) {
		sqlite3_finalize(self->put[i]);
		sqlite3_finalize(self->del[i]);
		self->put[i] = self->del[i] = NULL;
	}
}

static void disconnect(struct sqlite_store *self)
{
	tmgr__sqlite_checkpoint_stop(self);
	tmgr__sqlite_finalize_statements(self);
	sqlite3_close(self->reader);
	sqlite3_close(self->main);
	self->reader = self->main = NULL;
	tmgr__sqlite_pending_fini(&self->pending);
	tmgr__sqlite_unlock(&self->lock_file);
}

int tmgr__sqlite_read_position(struct sqlite_store *self)
{
	static const struct {
		enum tmgr_store_kind kind;
		const char *text;
	} sequenced[] = {
		{ TMGR_STORE_WAIT, "SELECT coalesce(max(sequence), 0) FROM tmgr_waits" },
		{ TMGR_STORE_MESSAGE, "SELECT coalesce(max(sequence), 0) FROM tmgr_messages" },
		{ TMGR_STORE_ONCE, "SELECT coalesce(max(sequence), 0) FROM tmgr_once" },
	};
	int64_t copied = 0, now_ms = 0, page = 0, epoch = 0;
	int r = tmgr__sqlite_integer(self->main, SQLITE_EPOCH, &epoch);

	if (r == 0)
		r = tmgr__sqlite_integer(
			self->main, "SELECT value FROM tmgr_store WHERE name = 'copied'", &copied);
	if (r == 0)
		r = tmgr__sqlite_integer(
			self->main, "SELECT value FROM tmgr_store WHERE name = 'now_ms'", &now_ms);
	if (r == 0)
		r = tmgr__sqlite_integer(self->main, "PRAGMA page_size", &page);
	for (size_t i = 0; i < ARRAY_SIZE(sequenced) && r == 0; i++) {
		int64_t highest = 0;

		r = tmgr__sqlite_integer(self->main, sequenced[i].text, &highest);
		self->pending.highest[sequenced[i].kind] = (uint64_t)highest;
	}
	self->sequence = self->copied = self->cut = (uint64_t)copied;
	self->now_ms = now_ms;
	self->epoch = epoch;
	self->has_epoch = false;
	self->page_bytes = (uint64_t)page;
	return r == -ENOENT ? -EBADMSG : r;
}

/* After the replay, which writes events again that the table has. */
static int count_events(struct sqlite_store *self)
{
	int64_t events = 0;
	int r = tmgr__sqlite_integer(self->main, "SELECT count(*) FROM tmgr_events", &events);

	self->events = (uint64_t)events;
	return r;
}

/* What is in doubt is copied to where it is not. */
static int settle_doubts(struct sqlite_store *self, bool *ret_replaced)
{
	int r = tmgr__sqlite_finish_replacement(self->path);
	struct stat about;

	*ret_replaced = r == 1;
	if (r != 0 || (!self->lock_file.doubtful[0] && !self->lock_file.doubtful[1]))
		return r < 0 ? r : 0;
	if (stat(self->path, &about) < 0)
		return errno == ENOENT ? 0 : -errno;
	*ret_replaced = true;
	return tmgr__sqlite_replace(self->path, self->options.vfs);
}

/* Of another user's program, which has looked while no daemon ran: or the first commit would tell. */
static int look_beside(struct sqlite_store *self)
{
	static const char *const suffixes[] = { "-wal", "-shm" };
	char name[PATH_MAX_BYTES + 8];

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(name, sizeof(name), "%s%s", self->path, suffixes[i]);
		if (faccessat(AT_FDCWD, name, R_OK | W_OK, AT_EACCESS) == 0 || errno == ENOENT)
			continue;
		self->health.error = -errno;
		snprintf(self->health.text, sizeof(self->health.text),
			"%.200s%s: cannot be written", self->path, suffixes[i]);
		return self->health.error;
	}
	return 0;
}

static int open_all(struct sqlite_store *self)
{
	int r = open_main(self);

	if (r == 0)
		r = tmgr__sqlite_read_position(self);
	if (r == 0)
		r = tmgr__sqlite_prepare_statements(self);
	if (r == 0)
		r = tmgr__sqlite_connect(self, self->path, SQLITE_OPEN_READWRITE, &self->reader);
	if (r == 0)
		r = tmgr__sqlite_execute(self->reader, "PRAGMA query_only = ON");
	if (r == 0)
		r = tmgr__sqlite_replay(self);
	if (r == 0)
		r = count_events(self);
	if (r == 0)
		r = tmgr__sqlite_checkpoint_start(self);
	/* Our texts are right: the tables are not ours. */
	if (r == -EIO && sqlite3_errcode(self->main) == SQLITE_ERROR)
		r = -EBADMSG;
	return r;
}

/* Say why, unless what failed has said so. */
static int fail_opening(struct sqlite_store *self, int error)
{
	const char *path = self->path, *why = "cannot be opened";
	char *text = self->health.text;

	if (self->health.error != 0)
		return error;
	self->health.error = error;
	if (error == -EPROTO)
		why = "made by a later version of the library";
	else if (error == -EBADMSG)
		why = "not a store, or damaged";
	if (error == -EBUSY)
		snprintf(text, sizeof(self->health.text), "%.110s: another daemon has %.110s.lock",
			path, path);
	else
		snprintf(text, sizeof(self->health.text), "%.200s: %s", path, why);
	return error;
}

int tmgr__sqlite_open(struct tmgr_store *store, struct tmgr_store_opened *ret_opened)
{
	struct sqlite_store *self = of(store);
	bool replaced = false;
	int r;

	self->ended = 0;
	self->full = self->in_transaction = false;
	self->log_pages = self->log_tried = 0;
	self->copied_at = self->looked_at = 0;
	self->health = (struct tmgr_store_health){ .error = 0 };
	r = tmgr__sqlite_follow_links(&self->path);
	if (r == 0)
		r = tmgr__sqlite_look(self->path);
	if (r == 0)
		r = tmgr__sqlite_lock(self->path, &self->lock_file);
	if (r < 0)
		return fail_opening(self, r);
	r = settle_doubts(self, &replaced);
	if (r == 0)
		r = tmgr__sqlite_make_file(self->path);
	if (r == 0)
		r = look_beside(self);
	if (r == 0)
		r = open_all(self);
	if (r < 0) {
		disconnect(self);
		return fail_opening(self, r);
	}
	self->lock_file.doubtful[0] = self->lock_file.doubtful[1] = 0;
	if (replaced)
		snprintf(self->health.text, sizeof(self->health.text),
			"the last daemon ended while it waited for the disk: copied to a new file");
	*ret_opened = (struct tmgr_store_opened){ self->sequence, self->now_ms, replaced };
	return 0;
}

int tmgr__sqlite_close(struct tmgr_store *store)
{
	struct sqlite_store *self = of(store);
	int r;

	tmgr__sqlite_rollback(self);
	r = tmgr__sqlite_checkpoint_stop(self);
	if (self->ended)
		r = self->ended;
	if (r == 0)
		r = tmgr__sqlite_look_for_file(self, true);
	if (r == 0) {
		/* The next opening does what a program is in the way of. */
		sqlite3_busy_timeout(self->main, CLOSING_BUSY_MS);
		r = tmgr__sqlite_checkpoint(store);
		/* What was committed stays so, in the log. */
		if (r == -ENOSPC)
			r = 0;
	}
	if (r == 0)
		sqlite3_db_config(self->main, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	disconnect(self);
	return r;
}

static void destroy(struct tmgr_store *store)
{
	struct sqlite_store *self = of(store);

	check(!self->main);
	pthread_mutex_destroy(&self->lock);
	pthread_mutex_destroy(&self->reader_lock);
	free((char *)(uintptr_t)self->options.vfs);
	free(self->path);
	free(self);
}

static const struct tmgr_store_ops ops = {
	.kind = "sqlite",
	.open = tmgr__sqlite_open,
	.load = tmgr__sqlite_load,
	.try_sql = tmgr__sqlite_try_sql,
	.abandon = tmgr__sqlite_abandon,
	.commit = tmgr__sqlite_commit,
	.maintain = tmgr__sqlite_maintain,
	.trim = tmgr__sqlite_trim,
	.read_events = tmgr__sqlite_read_events,
	.checkpoint = tmgr__sqlite_checkpoint,
	.backup = tmgr__sqlite_backup,
	.health = tmgr__sqlite_health,
	.close = tmgr__sqlite_close,
	.destroy = destroy,
};

static bool good_options(const struct tmgr_store_sqlite_options *options)
{
	return options->journal_max <= 10000000 && options->busy_ns >= 0 &&
	       options->busy_ns <= TMGR_HOUR && options->sql_ns >= 0 &&
	       options->sql_ns <= TMGR_HOUR && options->log_max_bytes <= INT64_MAX &&
	       options->log_bytes <= INT64_MAX &&
	       (options->log_bytes == 0 || options->log_bytes >= LOG_MIN_BYTES);
}

static void set_defaults(struct tmgr_store_sqlite_options *options)
{
	if (options->journal_max == 0)
		options->journal_max = JOURNAL_MAX;
	if (options->log_bytes == 0)
		options->log_bytes = LOG_BYTES;
	if (options->log_max_bytes == 0)
		options->log_max_bytes = LOG_MAX_BYTES;
	if (options->log_max_bytes < 2 * options->log_bytes)
		options->log_max_bytes = 2 * options->log_bytes;
	if (options->busy_ns == 0)
		options->busy_ns = BUSY_NS;
	if (options->sql_ns == 0)
		options->sql_ns = SQL_NS;
}

int tmgr_store_sqlite_create(const char *path, const struct tmgr_store_sqlite_options *options,
	struct tmgr_store **ret_store)
{
	struct sqlite_store *self;

	if (!path || !ret_store || !*path || strlen(path) > PATH_MAX_BYTES)
		return -EINVAL;
	if (options && !good_options(options))
		return -EINVAL;
	self = calloc(1, sizeof(*self));
	if (!self)
		return -ENOMEM;
	self->store.ops = &ops;
	self->lock_file.fd = -1;
	self->path = strdup(path);
	if (options)
		self->options = *options;
	set_defaults(&self->options);
	if (self->options.vfs)
		self->options.vfs = strdup(self->options.vfs);
	if (!self->path || (options && options->vfs && !self->options.vfs)) {
		free((char *)(uintptr_t)self->options.vfs);
		free(self->path);
		free(self);
		return -ENOMEM;
	}
	pthread_mutex_init(&self->lock, NULL);
	pthread_mutex_init(&self->reader_lock, NULL);
	*ret_store = &self->store;
	return 0;
}
