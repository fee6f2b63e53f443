/*
 * Commits: the steps of a batch as rows of the journal, in one transaction with the user's statements.
 * All memory that the batch needs afterwards is there before the transaction ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <taskmgr/time.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"
#include "taskmgr/base/text.h"

/* Of SQLite's virtual machine, between two looks at the clock while a user's statement runs. */
#define LATE_INSTRUCTIONS 4096

static struct sqlite_store *of(struct tmgr_store *store)
{
	return container_of(store, struct sqlite_store, store);
}

/* 0, or the errno that a commit gives while the log cannot be begun anew. */
static int log_too_long(struct sqlite_store *self)
{
	if (self->log_pages * self->page_bytes < self->options.log_max_bytes)
		return 0;
	if (tmgr__sqlite_begin_log(self) == 0)
		return 0;
	if (self->ended)
		return tmgr__sqlite_ended(self);
	self->full = true;
	pthread_mutex_lock(&self->lock);
	self->health.error = -ENOSPC;
	snprintf(self->health.text, sizeof(self->health.text),
		"the log has reached its limit: another program has been reading for long");
	pthread_mutex_unlock(&self->lock);
	return -ENOSPC;
}

/* Before something is written, in a transaction that has begun or one that is to. */
static int may_write(struct sqlite_store *self)
{
	if (self->ended)
		return tmgr__sqlite_ended(self);
	if (!self->in_transaction && tmgr__sqlite_look_for_file(self, false) < 0)
		return -EIO;
	return self->in_transaction ? 0 : log_too_long(self);
}

static void undo(struct sqlite_store *self)
{
	tmgr__sqlite_rollback(self);
	if (!self->ended)
		*self->lock_file.doubtful = 0;
}

/* ---- The user's statements ---- */

static int unless_ours(const char *name)
{
	return name && strncasecmp(name, "tmgr_", 5) == 0 ? SQLITE_DENY : SQLITE_OK;
}

/* What a user's statement may not do: end our transaction, change or hide our tables, open other files. */
/* NOLINTNEXTLINE(readability-function-size): the parameters are SQLite's */
static int authorize(void *user, int action, const char *one, const char *two, const char *database,
	const char *trigger)
{
	(void)user;
	(void)trigger;
	switch (action) {
	case SQLITE_TRANSACTION:
	case SQLITE_SAVEPOINT:
	case SQLITE_ATTACH:
	case SQLITE_DETACH:
	case SQLITE_PRAGMA:
		return SQLITE_DENY;
	case SQLITE_INSERT:
		/* What is temporary is noted there: it is found before ours, or is a trigger on it. */
		if (database && strcmp(database, "temp") == 0)
			return SQLITE_DENY;
		return unless_ours(one);
	case SQLITE_UPDATE:
	case SQLITE_DELETE:
	case SQLITE_DROP_TABLE:
	case SQLITE_CREATE_TABLE:
	case SQLITE_CREATE_VIEW:
	case SQLITE_CREATE_VTABLE:
		return unless_ours(one);
	case SQLITE_CREATE_INDEX:
	case SQLITE_CREATE_TRIGGER:
	case SQLITE_ALTER_TABLE:
		return unless_ours(two);
	default:
		return SQLITE_OK;
	}
}

void tmgr__sqlite_forget_user_statements(struct sqlite_store *self)
{
	for (size_t i = 0; i < SQLITE_USER_STATEMENTS; i++) {
		sqlite3_finalize(self->user[i].statement);
		free(self->user[i].text);
		self->user[i].statement = NULL;
		self->user[i].text = NULL;
	}
}

/* One that is kept, or is prepared in the place of the one that was not used for longest. */
static int user_statement(struct sqlite_store *self, const char *text, sqlite3_stmt **ret)
{
	sqlite3_stmt *statement = NULL;
	const char *rest = NULL;
	size_t oldest = 0;
	char *copy;
	int code;

	for (size_t i = 0; i < SQLITE_USER_STATEMENTS; i++) {
		if (self->user[i].text && strcmp(self->user[i].text, text) == 0) {
			self->user[i].used = ++self->user_clock;
			*ret = self->user[i].statement;
			return SQLITE_OK;
		}
		if (self->user[i].used < self->user[oldest].used)
			oldest = i;
	}
	code = sqlite3_prepare_v3(
		self->main, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, &rest);
	if (code != SQLITE_OK)
		return code;
	copy = strdup(text);
	if (!statement || rest[strspn(rest, " \t\r\n;")] || !copy) {
		sqlite3_finalize(statement);
		code = copy ? SQLITE_MISUSE : SQLITE_NOMEM;
		free(copy);
		return code;
	}
	sqlite3_finalize(self->user[oldest].statement);
	free(self->user[oldest].text);
	self->user[oldest].text = copy;
	self->user[oldest].statement = *ret = statement;
	self->user[oldest].used = ++self->user_clock;
	return SQLITE_OK;
}

static int bind_value(sqlite3_stmt *statement, int number, const struct tmgr_sql_value *value)
{
	switch (value->kind) {
	case TMGR_SQL_INTEGER:
		return sqlite3_bind_int64(statement, number, value->integer);
	case TMGR_SQL_DOUBLE:
		return sqlite3_bind_double(statement, number, value->real);
	case TMGR_SQL_TEXT:
		return sqlite3_bind_text(statement, number, value->text, -1, SQLITE_STATIC);
	case TMGR_SQL_BYTES:
		if (value->bytes.size == 0)
			return sqlite3_bind_zeroblob(statement, number, 0);
		return sqlite3_bind_blob64(
			statement, number, value->bytes.data, value->bytes.size, SQLITE_STATIC);
	case TMGR_SQL_NULL:
		return sqlite3_bind_null(statement, number);
	}
	return SQLITE_MISUSE;
}

static int run_user_statement(struct sqlite_store *self, const struct tmgr_sql_statement *wanted)
{
	sqlite3_stmt *statement = NULL;
	int code = user_statement(self, wanted->text, &statement);

	if (code != SQLITE_OK)
		return code;
	for (size_t i = 0; i < wanted->count && code == SQLITE_OK; i++)
		code = bind_value(statement, (int)i + 1, &wanted->values[i]);
	while (code == SQLITE_OK || code == SQLITE_ROW)
		code = sqlite3_step(statement);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* SQLite asks while a statement runs: whether to interrupt it. */
static int looks_late(void *user)
{
	struct sqlite_store *self = user;

	self->user_late = tmgr_now() > self->user_until;
	return self->user_late;
}

static void let_users_in(struct sqlite_store *self)
{
	self->user_until = tmgr_now() + self->options.sql_ns;
	self->user_late = false;
	sqlite3_set_authorizer(self->main, authorize, NULL);
	sqlite3_progress_handler(self->main, LATE_INSTRUCTIONS, looks_late, self);
}

static void let_users_out(struct sqlite_store *self)
{
	sqlite3_progress_handler(self->main, 0, NULL, NULL);
	sqlite3_set_authorizer(self->main, NULL, NULL);
}

/* What a statement's failure means for its step; 1: it is the store's failure. */
static int trial_result(struct sqlite_store *self, int code)
{
	if (self->user_late)
		return -ETIMEDOUT;
	switch (code & 0xff) {
	case SQLITE_OK:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
	case SQLITE_INTERRUPT:
		return -EAGAIN;
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return 1;
	default:
		return sqlite3_get_autocommit(self->main) ? 1 : -EINVAL;
	}
}

static void tell_failure(const struct sqlite_store *self, struct tmgr_store_trial *trial, int code)
{
	if (trial->result == -ETIMEDOUT)
		snprintf(trial->text, sizeof(trial->text),
			"the step's statements took longer than %g s",
			(double)self->options.sql_ns / (double)TMGR_SECOND);
	else
		tmgr__text_copy_valid(trial->text, sizeof(trial->text),
			code == SQLITE_MISUSE ? "not one statement with its values"
					      : sqlite3_errmsg(self->main));
}

/* SQLite's code of the first that failed; SQLITE_INTERRUPT: the transaction is gone with it. */
static int try_one(struct sqlite_store *self, struct tmgr_store_trial *trial)
{
	int code = tmgr__sqlite_run(self->statements[SQL_SAVEPOINT]), undone;

	if (code != SQLITE_OK)
		return code;
	trial->text[0] = '\0';
	let_users_in(self);
	for (size_t i = 0; i < trial->count && code == SQLITE_OK; i++)
		code = run_user_statement(self, &trial->statements[i]);
	let_users_out(self);
	trial->result = trial_result(self, code);
	if (trial->result == 1)
		return code;
	if (trial->result < 0)
		tell_failure(self, trial, code);
	/* It was interrupted, or a conflict of its own rolled back more than it. */
	if (trial->result < 0 && sqlite3_get_autocommit(self->main))
		return SQLITE_INTERRUPT;
	undone = trial->result < 0 ? tmgr__sqlite_run(self->statements[SQL_ROLLBACK_TO])
				   : SQLITE_OK;
	if (undone == SQLITE_OK)
		undone = tmgr__sqlite_run(self->statements[SQL_RELEASE]);
	return undone;
}

/* All but those that have failed before, and left nothing. */
static int try_all(struct sqlite_store *self, struct tmgr_store_trial *trials, size_t count)
{
	int code = self->in_transaction ? SQLITE_OK : tmgr__sqlite_begin(self, false);

	if (code == SQLITE_OK)
		self->in_transaction = true;
	for (size_t i = 0; i < count && code == SQLITE_OK; i++)
		if (trials[i].result == 0)
			code = try_one(self, &trials[i]);
	return code;
}

int tmgr__sqlite_try_sql(struct tmgr_store *store, struct tmgr_store_trial *trials, size_t count)
{
	struct sqlite_store *self = of(store);
	bool first = !self->in_transaction;
	int code, r = may_write(self);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		trials[i].result = 0;
	/* One that writes takes the transaction with it when it is interrupted, and so the others. */
	while ((code = try_all(self, trials, count)) == SQLITE_INTERRUPT) {
		tmgr__sqlite_abandon(store);
		/* Those of a call before are not known here. */
		if (!first)
			return -EAGAIN;
	}
	if (code == SQLITE_OK)
		return 0;
	r = tmgr__sqlite_failed(self, code);
	tmgr__sqlite_abandon(store);
	return r;
}

void tmgr__sqlite_abandon(struct tmgr_store *store)
{
	struct sqlite_store *self = of(store);

	/* One that failed at its beginning may be there and not be known as such. */
	if (self->in_transaction || !sqlite3_get_autocommit(self->main))
		undo(self);
}

/* ---- Commit ---- */

struct commit {
	struct sqlite_store *self;
	const struct tmgr_store_batch *batch;
	struct sqlite_block *block;
	struct sqlite_prepared *first, **last;
	size_t *begins; /* of each step's changes in the block, and the end */
	size_t skipped; /* steps at the beginning that are here already */
	uint64_t changes;
};

static int write_change(
	struct commit *commit, const struct tmgr_store_change *change, uint64_t sequence)
{
	struct sqlite_bytes *bytes = &commit->block->bytes;
	struct sqlite_prepared *prepared = NULL;
	size_t begin = bytes->length;
	int r = tmgr__sqlite_put_change(bytes, change);

	if (r == 0)
		r = tmgr__sqlite_prepare(&commit->self->pending, change, &prepared);
	if (r < 0)
		return r;
	check(prepared);
	/* The block may still move: offsets. */
	prepared->change->begin = begin;
	prepared->change->size = bytes->length - begin;
	prepared->change->step = sequence;
	*commit->last = prepared;
	commit->last = &prepared->next;
	commit->changes++;
	return 0;
}

static int write_changes(struct commit *commit)
{
	const struct tmgr_store_batch *batch = commit->batch;
	uint64_t last = commit->self->sequence;
	int r = 0;

	for (size_t i = 0; i < batch->count && r == 0; i++) {
		const struct tmgr_store_step *step = &batch->steps[i];

		commit->begins[i] = commit->block->bytes.length;
		if (step->sequence <= last) {
			commit->skipped++;
			continue;
		}
		last = step->sequence;
		for (size_t j = 0; j < step->count && r == 0; j++)
			r = write_change(commit, &step->changes[j], step->sequence);
	}
	commit->begins[batch->count] = commit->block->bytes.length;
	return r;
}

static int insert_step(struct commit *commit, size_t i)
{
	const struct tmgr_store_batch *batch = commit->batch;
	sqlite3_stmt *statement = commit->self->statements[SQL_JOURNAL];
	const unsigned char *data = commit->block->bytes.data + commit->begins[i];
	size_t size = commit->begins[i + 1] - commit->begins[i];
	uint64_t sequence = batch->steps[i].sequence;
	int code = sqlite3_bind_int64(statement, 1, (int64_t)sequence);

	if (size == 0)
		return SQLITE_OK; /* it was skipped */
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(statement, 2, batch->now_ms);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(statement, 3,
			tmgr__sqlite_step_checksum(sequence, batch->now_ms, data, size));
	if (code == SQLITE_OK)
		code = sqlite3_bind_blob64(statement, 4, data, size, SQLITE_STATIC);
	return code == SQLITE_OK ? tmgr__sqlite_run(statement) : code;
}

static int transact(struct commit *commit)
{
	struct sqlite_store *self = commit->self;
	int code = SQLITE_OK;

	if (!self->in_transaction)
		code = tmgr__sqlite_begin(self, false);
	for (size_t i = 0; i < commit->batch->count && code == SQLITE_OK; i++)
		code = insert_step(commit, i);
	if (code == SQLITE_OK)
		code = tmgr__sqlite_commit_transaction(self);
	if (code == SQLITE_OK)
		self->in_transaction = false;
	return code;
}

/* It is on the disk: nothing here can fail. */
static void keep_all(struct commit *commit)
{
	struct sqlite_store *self = commit->self;

	while (commit->first) {
		struct sqlite_prepared *prepared = commit->first;

		commit->first = prepared->next;
		prepared->change->block = commit->block;
		commit->block->refs++;
		tmgr__sqlite_keep(&self->pending, prepared);
	}
}

static void count(struct commit *commit, int64_t began)
{
	struct sqlite_store *self = commit->self;
	struct tmgr_store_health *health = &self->health;
	int64_t took = tmgr_now() - began;

	if (self->full) {
		health->error = 0;
		health->text[0] = '\0';
		self->full = false;
	}
	health->batches++;
	health->steps += commit->batch->count - commit->skipped;
	health->changes += commit->changes;
	health->journal_steps += commit->batch->count - commit->skipped;
	health->bytes += self->log_written;
	self->log_written = 0;
	health->commit_last_ns = took;
	if (took > health->commit_max_ns)
		health->commit_max_ns = took;
}

static int commit_prepared(struct commit *commit, int64_t began)
{
	struct sqlite_store *self = commit->self;
	int code = transact(commit), r;

	if (code != SQLITE_OK) {
		r = tmgr__sqlite_failed(self, code);
		undo(self);
		return r;
	}
	if (commit->skipped < commit->batch->count)
		self->sequence = commit->batch->steps[commit->batch->count - 1].sequence;
	if (commit->batch->now_ms > self->now_ms)
		self->now_ms = commit->batch->now_ms;
	pthread_mutex_lock(&self->lock);
	keep_all(commit);
	count(commit, began);
	pthread_mutex_unlock(&self->lock);
	return 0;
}

int tmgr__sqlite_commit(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	struct commit commit = { .self = of(store), .batch = batch };
	struct sqlite_store *self = commit.self;
	int64_t began = tmgr_now();
	int r = may_write(self);

	if (r < 0)
		return r;
	commit.last = &commit.first;
	commit.block = tmgr__sqlite_block_create();
	commit.begins = malloc((batch->count + 1) * sizeof(*commit.begins));
	r = commit.block && commit.begins ? write_changes(&commit) : -ENOMEM;
	if (r < 0) {
		tmgr__sqlite_abandon(store);
		tmgr__sqlite_end(self, r, r == -ENOMEM ? "out of memory" : "a change is not valid");
	} else if (commit.skipped < batch->count || self->in_transaction) {
		r = commit_prepared(&commit, began);
	}
	tmgr__sqlite_unprepare(commit.first);
	tmgr__sqlite_block_unref(commit.block);
	free(commit.begins);
	return r;
}
