/*
 * The log is copied into the file in two rounds. The first, on a thread of its own with commits going
 * on, does nearly all of it; the second, between two commits, is short, and lets the log begin anew.
 */
#include <errno.h>
#include <stdlib.h>

#include <taskmgr/time.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"

#define ROUNDS_MAX 6
#define LITTLE_PAGES 100
#define LINGER_STEPS 256
#define READERS_MS 200
#define LINGER_NS TMGR_SECOND

static struct sqlite_store *of(struct tmgr_store *store)
{
	return container_of(store, struct sqlite_store, store);
}

static int checkpoint(sqlite3 *db, int mode, int *ret_log, int *ret_done)
{
	int code = sqlite3_wal_checkpoint_v2(db, "main", mode, ret_log, ret_done);

	/* A program that reads, or writes, is in the way of a part of it; another time. */
	return (code & 0xff) == SQLITE_BUSY ? SQLITE_OK : code;
}

/* Until what commits add meanwhile is little: each time has less to do than the one before. */
static int first_round(sqlite3 *db)
{
	int log = 0, done = 0, before, code;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		before = done;
		code = checkpoint(db, SQLITE_CHECKPOINT_PASSIVE, &log, &done);
		if (code != SQLITE_OK || done - before < LITTLE_PAGES)
			break;
	}
	return code;
}

static void *checkpoint_thread(void *user)
{
	struct sqlite_store *self = user;
	struct sqlite_checkpointer *checkpointer = &self->checkpointer;
	int code;

	pthread_mutex_lock(&checkpointer->lock);
	while (!checkpointer->stop) {
		if (!checkpointer->wanted) {
			pthread_cond_wait(&checkpointer->asked, &checkpointer->lock);
			continue;
		}
		pthread_mutex_unlock(&checkpointer->lock);
		self->lock_file.doubtful[1] = 1;
		code = first_round(checkpointer->db);
		if (code == SQLITE_OK)
			self->lock_file.doubtful[1] = 0;
		pthread_mutex_lock(&checkpointer->lock);
		checkpointer->wanted = false;
		checkpointer->ready = true;
		checkpointer->error = tmgr__sqlite_error(checkpointer->db, code);
	}
	pthread_mutex_unlock(&checkpointer->lock);
	return NULL;
}

static int checkpoint_failed(struct sqlite_store *self, int error)
{
	/* The log has it all; when there is room it is tried again. */
	if (error == -ENOSPC || error == -ENOMEM)
		return 0;
	return tmgr__sqlite_end(
		self, error, "the write-ahead log could not be copied into the file");
}

int tmgr__sqlite_checkpoint_start(struct sqlite_store *self)
{
	struct sqlite_checkpointer *checkpointer = &self->checkpointer;
	int r = tmgr__sqlite_connect(self, self->path, SQLITE_OPEN_READWRITE, &checkpointer->db);

	if (r < 0)
		return r;
	sqlite3_db_config(checkpointer->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	/* What it syncs is what commits rely on. */
	r = tmgr__sqlite_execute(checkpointer->db, "PRAGMA synchronous = FULL");
	if (r < 0) {
		sqlite3_close(checkpointer->db);
		checkpointer->db = NULL;
		return r;
	}
	checkpointer->wanted = checkpointer->ready = checkpointer->stop = false;
	checkpointer->error = 0;
	pthread_mutex_init(&checkpointer->lock, NULL);
	pthread_cond_init(&checkpointer->asked, NULL);
	r = -pthread_create(&checkpointer->thread, NULL, checkpoint_thread, self);
	if (r == 0)
		checkpointer->started = true;
	else
		tmgr__sqlite_checkpoint_stop(self);
	return r;
}

int tmgr__sqlite_checkpoint_stop(struct sqlite_store *self)
{
	struct sqlite_checkpointer *checkpointer = &self->checkpointer;

	if (!checkpointer->db)
		return 0;
	if (checkpointer->started) {
		pthread_mutex_lock(&checkpointer->lock);
		checkpointer->stop = true;
		pthread_cond_signal(&checkpointer->asked);
		pthread_mutex_unlock(&checkpointer->lock);
		pthread_join(checkpointer->thread, NULL);
	}
	pthread_cond_destroy(&checkpointer->asked);
	pthread_mutex_destroy(&checkpointer->lock);
	sqlite3_close(checkpointer->db);
	checkpointer->db = NULL;
	checkpointer->started = false;
	return checkpointer->error ? checkpoint_failed(self, checkpointer->error) : 0;
}

/* An error that the thread met; 1: the first round is over; 0: there is nothing to do now. */
static int ask_for_first_round(struct sqlite_store *self)
{
	struct sqlite_checkpointer *checkpointer = &self->checkpointer;
	int r = 0;

	pthread_mutex_lock(&checkpointer->lock);
	if (checkpointer->ready) {
		r = checkpointer->error ? checkpointer->error : 1;
		checkpointer->ready = false;
		checkpointer->error = 0;
	} else if (!checkpointer->wanted) {
		checkpointer->wanted = true;
		pthread_cond_signal(&checkpointer->asked);
	}
	pthread_mutex_unlock(&checkpointer->lock);
	return r;
}

static int second_round(struct sqlite_store *self)
{
	int log = 0, done = 0, code;

	*self->lock_file.doubtful = 1;
	code = checkpoint(self->main, SQLITE_CHECKPOINT_PASSIVE, &log, &done);
	if (code != SQLITE_OK)
		return checkpoint_failed(self, tmgr__sqlite_error(self->main, code));
	*self->lock_file.doubtful = 0;
	/* One that is copied whole is begun anew by the next transaction, unless somebody reads it. */
	self->log_tried = (uint64_t)log;
	return 0;
}

/* 1: a round was made here, which takes as long as a piece of copying. */
static int bound_log(struct sqlite_store *self)
{
	uint64_t limit = self->options.log_bytes / self->page_bytes;
	int r;

	if (self->log_pages < self->log_tried)
		self->log_tried = 0; /* it has begun anew */
	if (self->log_pages < self->log_tried + limit)
		return 0;
	r = ask_for_first_round(self);
	if (r < 0)
		return checkpoint_failed(self, r);
	if (r == 0)
		return 0;
	r = second_round(self);
	return r < 0 ? r : 1;
}

int tmgr__sqlite_begin_log(struct sqlite_store *self)
{
	int log = 0, done = 0, code, r;

	*self->lock_file.doubtful = 1;
	sqlite3_busy_timeout(self->main, 0);
	code = sqlite3_wal_checkpoint_v2(
		self->main, "main", SQLITE_CHECKPOINT_TRUNCATE, &log, &done);
	sqlite3_busy_timeout(self->main, (int)(self->options.busy_ns / TMGR_MILLISECOND));
	r = tmgr__sqlite_error(self->main, code);
	if (r < 0 && r != -EBUSY && r != -ENOSPC && r != -ENOMEM)
		return checkpoint_failed(self, r);
	*self->lock_file.doubtful = 0;
	if (r == 0)
		self->log_pages = self->log_tried = 0;
	return r;
}

/* A few steps are left in the journal for a while: each page that is written for one is then written
 * for those that follow. */
static bool may_linger(const struct sqlite_store *self)
{
	return !self->pending.generation.active && self->cut == self->copied &&
	       self->sequence - self->copied < LINGER_STEPS &&
	       tmgr_now() - self->copied_at < LINGER_NS;
}

int tmgr__sqlite_maintain(struct tmgr_store *store, int64_t budget_ns, bool idle)
{
	struct sqlite_store *self = of(store);
	int r = 0;

	if (self->ended)
		return tmgr__sqlite_ended(self);
	if (self->in_transaction)
		return 0;
	/* A commit is never behind both. */
	if (!idle && bound_log(self) != 0)
		return self->ended ? self->ended : 1;
	if (idle && may_linger(self))
		r = self->copied < self->sequence ? TMGR_STORE_LATER : 0;
	/* A slice between two commits is enough to keep up, but for a journal that is far behind. */
	else if (idle || self->sequence - self->cut > 2 * self->options.journal_max)
		r = tmgr__sqlite_copy_pending(self, budget_ns);
	else if (self->pending.generation.active || self->cut < self->copied ||
		 self->sequence - self->copied > self->options.journal_max)
		r = tmgr__sqlite_copy_pending(self, 0);
	if (r == -ENOSPC)
		r = 0;
	if (r >= 0 && idle && bound_log(self) < 0)
		r = self->ended;
	return r;
}

int tmgr__sqlite_checkpoint(struct tmgr_store *store)
{
	struct sqlite_store *self = of(store);
	int log = 0, done = 0, code, r;

	if (self->ended)
		return tmgr__sqlite_ended(self);
	r = tmgr__sqlite_copy_pending(self, INT64_MAX);
	if (r < 0)
		return r;
	*self->lock_file.doubtful = 1;
	/* Whoever reads the log keeps its file, and not this one. */
	sqlite3_busy_timeout(self->main, READERS_MS);
	code = checkpoint(self->main, SQLITE_CHECKPOINT_TRUNCATE, &log, &done);
	sqlite3_busy_timeout(self->main, (int)(self->options.busy_ns / TMGR_MILLISECOND));
	if (code != SQLITE_OK) {
		r = tmgr__sqlite_error(self->main, code);
		return r == -ENOSPC ? r : checkpoint_failed(self, r);
	}
	*self->lock_file.doubtful = 0;
	self->log_pages = log > 0 ? (uint64_t)log : 0;
	return 0;
}
