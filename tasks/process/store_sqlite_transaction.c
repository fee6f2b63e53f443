/*
 * Transactions of the one connection that writes: their beginning, which is this daemon's only while the
 * file is, their end, and what a failure of one means for the store.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store_sqlite.h"

int tmgr__sqlite_end(struct sqlite_store *self, int error, const char *text)
{
	self->ended = error;
	*self->lock_file.doubtful = 1;
	pthread_mutex_lock(&self->lock);
	self->health.error = error;
	snprintf(self->health.text, sizeof(self->health.text), "%s", text);
	pthread_mutex_unlock(&self->lock);
	return error;
}

int tmgr__sqlite_failed(struct sqlite_store *self, int code)
{
	int r = tmgr__sqlite_error(self->main, code);
	char text[TMGR_PROCESS_TEXT_SIZE];

	if (code == SQLITE_STORE_STALE)
		return tmgr__sqlite_end(
			self, -ESTALE, "another daemon has opened the file, and writes to it");
	snprintf(text, sizeof(text), "%s (%d)",
		r == -ENOSPC ? sqlite3_errstr(SQLITE_FULL) : sqlite3_errmsg(self->main), code);
	if (r == -EBUSY) {
		/* Held as when there is no room: it goes on when the other one is done. */
		snprintf(text, sizeof(text), "another program is writing to the file");
		r = -ENOSPC;
	}
	if (r != -ENOSPC)
		return tmgr__sqlite_end(self, r, text);
	self->full = true;
	pthread_mutex_lock(&self->lock);
	self->health.error = r;
	memcpy(self->health.text, text, sizeof(text));
	pthread_mutex_unlock(&self->lock);
	return r;
}

static int read_integer(sqlite3_stmt *statement, int64_t *ret)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return code == SQLITE_ROW ? SQLITE_OK : code;
}

/*
 * In a transaction: whether the file is still this store's. The lock may have been removed while it was
 * held, and another daemon have opened the file. Who opened it last writes: with its first transaction it
 * takes an epoch of its own, provided that nothing was written since it looked.
 */
static int check_epoch(struct sqlite_store *self)
{
	int64_t epoch = 0, last = 0;
	int code = read_integer(self->statements[SQL_EPOCH], &epoch);

	if (code == SQLITE_OK && epoch != self->epoch)
		return SQLITE_STORE_STALE;
	if (code != SQLITE_OK || self->has_epoch)
		return code;
	code = read_integer(self->statements[SQL_LAST], &last);
	if (code == SQLITE_OK && (uint64_t)last != self->sequence)
		return SQLITE_STORE_STALE;
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(self->statements[SQL_TAKE_EPOCH], 1, epoch + 1);
	return code == SQLITE_OK ? tmgr__sqlite_run(self->statements[SQL_TAKE_EPOCH]) : code;
}

/* A transaction that is relaxed waits for no sync: the journal has all that it changes. */
int tmgr__sqlite_begin(struct sqlite_store *self, bool relaxed)
{
	int code = SQLITE_OK;

	if (relaxed != self->relaxed) {
		code = sqlite3_exec(self->main,
			relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL", NULL,
			NULL, NULL);
		if (code == SQLITE_OK)
			self->relaxed = relaxed;
	}
	*self->lock_file.doubtful = 1;
	if (code == SQLITE_OK)
		code = tmgr__sqlite_run(self->statements[SQL_BEGIN]);
	return code == SQLITE_OK ? check_epoch(self) : code;
}

int tmgr__sqlite_commit_transaction(struct sqlite_store *self)
{
	int before = errno, system, code;

	/* What fails in a COMMIT is not in sqlite3_system_errno(), which keeps what was there. */
	errno = 0;
	code = tmgr__sqlite_run(self->statements[SQL_COMMIT]);
	system = errno;
	errno = before;
	if (tmgr__sqlite_no_room(code, system))
		code = SQLITE_FULL;
	if (code != SQLITE_OK)
		return code;
	self->epoch += !self->has_epoch;
	self->has_epoch = true;
	*self->lock_file.doubtful = 0;
	return SQLITE_OK;
}

void tmgr__sqlite_rollback(struct sqlite_store *self)
{
	if (!sqlite3_get_autocommit(self->main))
		tmgr__sqlite_run(self->statements[SQL_ROLLBACK]);
	self->in_transaction = false;
}
