/*
 * Copying what waits into the tables, and cutting the history.
 *
 * A transaction that copies takes about SLICE_NS and waits for no sync, so that a commit is never
 * behind it for long: should it be lost, the journal still has all of it. A table may so be ahead of
 * what the journal was cut to; replaying is writing the same rows again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/time.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"

#define SLICE_NS (2 * TMGR_MILLISECOND)
#define ROWS_BETWEEN_LOOKS 16
#define CUT_MAX 2048 /* rows of the journal that one transaction deletes */

static struct sqlite_store *of(struct tmgr_store *store)
{
	return container_of(store, struct sqlite_store, store);
}

static int run_bound(sqlite3_stmt *statement, const struct tmgr_store_change *change)
{
	int code = tmgr__sqlite_bind(statement, change);

	return code == SQLITE_OK ? tmgr__sqlite_run(statement) : code;
}

static int write_one(struct sqlite_store *self, const struct sqlite_change *change)
{
	const unsigned char *at = change->block->bytes.data + change->begin;
	struct tmgr_store_change row;

	if (tmgr__sqlite_get_change(&at, at + change->size, &row) < 0)
		return SQLITE_CORRUPT;
	return run_bound(
		row.op == TMGR_STORE_PUT ? self->put[row.kind] : self->del[row.kind], &row);
}

static int delete_rows(struct sqlite_store *self, const struct sqlite_entry *entry)
{
	struct tmgr_store_change key;
	sqlite3_stmt *messages = self->statements[SQL_DELETE_MESSAGES];
	int code;

	if (tmgr__sqlite_get_key(entry->key, entry->key_length, entry->kind, &key) < 0)
		return SQLITE_CORRUPT;
	code = run_bound(self->del[entry->kind], &key);
	if (code != SQLITE_OK || entry->kind != TMGR_STORE_CHANNEL)
		return code;
	code = sqlite3_bind_text(messages, 1, key.row.channel.id, -1, SQLITE_STATIC);
	return code == SQLITE_OK ? tmgr__sqlite_run(messages) : code;
}

static int write_entry(struct sqlite_store *self, const struct sqlite_entry *entry)
{
	int code = entry->deleted ? delete_rows(self, entry) : SQLITE_OK;

	for (const struct sqlite_change *at = entry->first; at && code == SQLITE_OK; at = at->next)
		code = write_one(self, at);
	return code;
}

/* How far a transaction has come. */
struct slice {
	struct sqlite_store *self;
	int64_t until;
	bool all;
	struct sqlite_run before[SQLITE_RUNS_MAX]; /* where the runs stood */
	struct sqlite_change *event;               /* what stands before it was written */
	uint64_t events;
	bool complete; /* the generation is */
};

static bool has_time(const struct slice *slice, unsigned n)
{
	return slice->all || n % ROWS_BETWEEN_LOOKS != 0 || tmgr_now() < slice->until;
}

static int write_slice(struct slice *slice)
{
	struct sqlite_store *self = slice->self;
	struct sqlite_generation *generation = &self->pending.generation;
	struct sqlite_entry *entry = NULL;
	int code = SQLITE_OK;
	unsigned n = 1;

	for (; code == SQLITE_OK && has_time(slice, n); n++) {
		entry = tmgr__sqlite_generation_next(&self->pending);
		if (!entry)
			break;
		code = write_entry(self, entry);
	}
	if (code != SQLITE_OK || entry)
		return code;
	for (; code == SQLITE_OK && has_time(slice, n); n++) {
		if (!slice->event || slice->event->step > generation->until) {
			slice->complete = true;
			break;
		}
		code = write_one(self, slice->event);
		slice->event = slice->event->next;
		slice->events++;
	}
	return code;
}

static int cut_journal(struct slice *slice, uint64_t copied, uint64_t *ret_cut)
{
	struct sqlite_store *self = slice->self;
	sqlite3_stmt *cut = self->statements[SQL_CUT_JOURNAL];
	sqlite3_stmt *note = self->statements[SQL_COPIED];
	int code = sqlite3_bind_int64(note, 1, (int64_t)copied);

	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(note, 2, self->now_ms);
	if (code == SQLITE_OK)
		code = tmgr__sqlite_run(note);
	*ret_cut = copied;
	if (!slice->all && copied > self->cut + CUT_MAX)
		*ret_cut = self->cut + CUT_MAX;
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(cut, 1, (int64_t)*ret_cut);
	return code == SQLITE_OK ? tmgr__sqlite_run(cut) : code;
}

static void drop_written(struct slice *slice, uint64_t copied, uint64_t cut)
{
	struct sqlite_store *self = slice->self;
	struct sqlite_pending *pending = &self->pending;

	tmgr__sqlite_generation_drop(pending, slice->before);
	if (slice->complete) {
		pending->generation.active = false;
		self->copied_at = tmgr_now();
	}
	self->copied = copied;
	self->cut = cut;
	pthread_mutex_lock(&self->lock);
	while (pending->first_event != slice->event)
		pending->first_event = tmgr__sqlite_drop_change(pending->first_event);
	if (!pending->first_event)
		pending->last_event = NULL;
	self->events += slice->events;
	self->health.journal_steps = self->sequence - copied;
	self->health.bytes += self->log_written;
	self->log_written = 0;
	pthread_mutex_unlock(&self->lock);
}

/* What could not be copied now is copied later, while there is a disk: the journal has it. */
static int slice_failed(struct sqlite_store *self, int code)
{
	int r = tmgr__sqlite_failed(self, code);

	tmgr__sqlite_rollback(self);
	if (!self->ended)
		*self->lock_file.doubtful = 0;
	return r;
}

/* A transaction: some of the generation, and the journal up to where the tables have all. */
static int write_some(struct sqlite_store *self, int64_t until, bool all)
{
	struct slice slice = {
		.self = self, .until = until, .all = all, .event = self->pending.first_event
	};
	struct sqlite_generation *generation = &self->pending.generation;
	int code = tmgr__sqlite_begin(self, true);
	uint64_t copied, cut = 0;

	memcpy(slice.before, generation->runs, sizeof(slice.before));
	if (code == SQLITE_OK && generation->active)
		code = write_slice(&slice);
	copied = slice.complete ? generation->until : self->copied;
	if (code == SQLITE_OK)
		code = cut_journal(&slice, copied, &cut);
	if (code == SQLITE_OK)
		code = tmgr__sqlite_commit_transaction(self);
	if (code != SQLITE_OK) {
		memcpy(generation->runs, slice.before, sizeof(slice.before));
		return slice_failed(self, code);
	}
	drop_written(&slice, copied, cut);
	return 0;
}

static bool waits(const struct sqlite_store *self)
{
	return self->pending.generation.active || self->copied < self->sequence ||
	       self->cut < self->copied;
}

/* A piece of work that takes about SLICE_NS, or all of it. */
static int copy_slice(struct sqlite_store *self, bool all)
{
	struct sqlite_pending *pending = &self->pending;
	int64_t until = tmgr_now() + SLICE_NS;

	if (!pending->generation.active && self->cut == self->copied &&
		tmgr__sqlite_generation_begin(pending, self->sequence) < 0)
		return tmgr__sqlite_end(self, -ENOMEM, "out of memory");
	while (pending->generation.active && tmgr__sqlite_generation_sort(pending))
		if (!all && tmgr_now() >= until)
			return 0;
	return write_some(self, until, all);
}

int tmgr__sqlite_copy_pending(struct sqlite_store *self, int64_t budget_ns)
{
	int64_t until = budget_ns == INT64_MAX ? INT64_MAX : tmgr_now() + budget_ns;
	int r = 0;

	while (r == 0 && waits(self)) {
		r = copy_slice(self, budget_ns == INT64_MAX);
		if (tmgr_now() >= until)
			break;
	}
	return r < 0 ? r : waits(self);
}

/* ---- The journal of the last daemon ---- */

static int replay_step(struct sqlite_store *self, sqlite3_stmt *row)
{
	uint64_t sequence = (uint64_t)sqlite3_column_int64(row, 0);
	int64_t now_ms = sqlite3_column_int64(row, 1);
	const void *data = sqlite3_column_blob(row, 3);
	size_t size = (size_t)sqlite3_column_bytes(row, 3);
	struct sqlite_block *block;
	int r = 0;

	if (tmgr__sqlite_step_checksum(sequence, now_ms, data, size) !=
		(uint32_t)sqlite3_column_int64(row, 2))
		return -EBADMSG;
	block = tmgr__sqlite_block_create();
	if (!block || !(block->bytes.data = malloc(size + 1))) {
		tmgr__sqlite_block_unref(block);
		return -ENOMEM;
	}
	memcpy(block->bytes.data, data, size);
	for (const unsigned char *at = block->bytes.data, *end = at + size; at < end && r == 0;) {
		const unsigned char *begin = at;
		struct sqlite_prepared *prepared = NULL;
		struct tmgr_store_change change;

		r = tmgr__sqlite_get_change(&at, end, &change);
		if (r == 0)
			r = tmgr__sqlite_prepare(&self->pending, &change, &prepared);
		if (r < 0)
			break;
		check(prepared);
		prepared->change->block = block;
		block->refs++;
		prepared->change->begin = (size_t)(begin - block->bytes.data);
		prepared->change->size = (size_t)(at - begin);
		prepared->change->step = sequence;
		tmgr__sqlite_keep(&self->pending, prepared);
	}
	tmgr__sqlite_block_unref(block);
	self->sequence = sequence;
	if (now_ms > self->now_ms)
		self->now_ms = now_ms;
	return r;
}

int tmgr__sqlite_replay(struct sqlite_store *self)
{
	sqlite3_stmt *row = NULL;
	int code = sqlite3_prepare_v2(self->main,
		"SELECT sequence, now_ms, checksum, changes FROM tmgr_journal ORDER BY sequence",
		-1, &row, NULL);
	int r = tmgr__sqlite_error(self->main, code);

	while (r == 0 && (code = sqlite3_step(row)) == SQLITE_ROW)
		r = replay_step(self, row);
	sqlite3_finalize(row);
	if (r == 0)
		r = tmgr__sqlite_error(self->main, code);
	if (r == 0)
		r = tmgr__sqlite_copy_pending(self, INT64_MAX);
	return r;
}

/* ---- The history ---- */

/* Delete up to the last of the oldest rows_max that may go. */
static int trim_older(struct sqlite_store *self, const struct tmgr_store_trim *trim, bool by_count)
{
	static const char *const texts[] = {
		"DELETE FROM tmgr_events WHERE sequence IN (SELECT sequence FROM"
		" (SELECT sequence, at_ms FROM tmgr_events ORDER BY sequence LIMIT ?1)"
		" WHERE at_ms < ?2)",
		"DELETE FROM tmgr_events WHERE sequence IN"
		" (SELECT sequence FROM tmgr_events ORDER BY sequence LIMIT ?1)",
	};
	sqlite3_stmt *statement = NULL;
	uint64_t rows = trim->rows_max;
	int code = tmgr__sqlite_prepare_kept(self->main, texts[by_count], &statement);

	if (by_count && rows > self->events - trim->events_max)
		rows = self->events - trim->events_max;
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(statement, 1, (int64_t)rows);
	if (code == SQLITE_OK && !by_count)
		code = sqlite3_bind_int64(statement, 2, trim->before_ms);
	if (code == SQLITE_OK)
		code = tmgr__sqlite_run(statement);
	sqlite3_finalize(statement);
	return code;
}

int tmgr__sqlite_trim(struct tmgr_store *store, const struct tmgr_store_trim *trim)
{
	struct sqlite_store *self = of(store);
	bool by_count = trim->events_max > 0 && self->events > trim->events_max;
	uint64_t gone = 0;
	int code;

	if (self->ended)
		return tmgr__sqlite_ended(self);
	if (!self->in_transaction && tmgr__sqlite_look_for_file(self, false) < 0)
		return -EIO;
	if (self->in_transaction || trim->rows_max == 0 || (!by_count && trim->before_ms == 0))
		return 0;
	code = tmgr__sqlite_begin(self, true);
	if (code == SQLITE_OK)
		code = trim_older(self, trim, by_count);
	if (code == SQLITE_OK)
		gone = (uint64_t)sqlite3_changes(self->main);
	if (code == SQLITE_OK)
		code = tmgr__sqlite_commit_transaction(self);
	if (code != SQLITE_OK)
		return slice_failed(self, code);
	self->events -= gone;
	if (by_count)
		return self->events > trim->events_max || trim->before_ms > 0;
	return gone == trim->rows_max;
}
