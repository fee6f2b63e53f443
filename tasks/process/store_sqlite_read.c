/* Reading: all rows at the start, events at any time, and a copy of all. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/error.h>
#include <taskmgr/time.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"

#define RESCUES_MAX 100

static struct sqlite_store *of(struct tmgr_store *store)
{
	return container_of(store, struct sqlite_store, store);
}

/* ---- All rows ---- */

static int load_kind(struct sqlite_store *self, enum tmgr_store_kind kind,
	int (*visit)(void *user, const struct tmgr_store_change *row), void *user)
{
	char *text = tmgr__sqlite_select_text(kind);
	sqlite3_stmt *statement = NULL;
	struct tmgr_store_change row;
	int code = tmgr__sqlite_prepare_kept(self->main, text, &statement), r = 0;

	sqlite3_free(text);
	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(statement);
		if (code != SQLITE_ROW)
			break;
		r = tmgr__sqlite_row(statement, kind, &row);
		if (r == 0)
			r = visit(user, &row);
		if (r != 0)
			break;
	}
	if (r == 0)
		r = tmgr__sqlite_error(self->main, code);
	sqlite3_finalize(statement);
	return r;
}

int tmgr__sqlite_load(struct tmgr_store *store, uint32_t partition,
	int (*visit)(void *self, const struct tmgr_store_change *row), void *user)
{
	static const enum tmgr_store_kind order[] = { TMGR_STORE_PROCESS, TMGR_STORE_CHANNEL,
		TMGR_STORE_MESSAGE, TMGR_STORE_GOROUTINE, TMGR_STORE_WAIT, TMGR_STORE_ONCE,
		TMGR_STORE_KEY };
	struct sqlite_store *self = of(store);
	int r = 0;

	if (self->ended)
		return tmgr__sqlite_ended(self);
	if (partition != 0)
		return -EINVAL;
	if (!self->in_transaction)
		r = tmgr__sqlite_copy_pending(self, INT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(order) && r == 0; i++)
		r = load_kind(self, order[i], visit, user);
	return r;
}

/* ---- Events ---- */

/* Events as the journal has them, and how many. */
struct events {
	struct sqlite_bytes bytes;
	size_t count;
	uint64_t first; /* sequence of the first; 0: none */
};

static int add_event(struct events *events, const struct tmgr_process_event *event)
{
	struct tmgr_store_change change = { TMGR_STORE_PUT, TMGR_STORE_EVENT, .row.event = *event };

	if (events->count++ == 0)
		events->first = event->sequence;
	return tmgr__sqlite_put_change(&events->bytes, &change);
}

/* Those that no table has yet. */
static int copy_waiting(
	struct sqlite_store *self, const struct tmgr_store_query *query, struct events *ret)
{
	struct sqlite_change *change = self->pending.first_event;
	int r = 0;

	for (; change && ret->count < query->count_max && r == 0; change = change->next) {
		const unsigned char *at = change->block->bytes.data + change->begin;
		struct tmgr_store_change row;

		if (change->sequence <= query->after)
			continue;
		r = tmgr__sqlite_get_change(&at, at + change->size, &row);
		if (r < 0 || (query->process && strcmp(row.row.event.process, query->process) != 0))
			continue;
		r = add_event(ret, &row.row.event);
	}
	return r;
}

static int copy_from_table(
	struct sqlite_store *self, const struct tmgr_store_query *query, struct events *ret)
{
	char *text = tmgr__sqlite_select_text(TMGR_STORE_EVENT);
	sqlite3_stmt *statement = NULL;
	struct tmgr_store_change row;
	int code = tmgr__sqlite_prepare_kept(self->reader, text, &statement), r = 0;

	sqlite3_free(text);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(
			statement, 1, query->after > INT64_MAX ? INT64_MAX : (int64_t)query->after);
	if (code == SQLITE_OK && query->process)
		code = sqlite3_bind_text(statement, 2, query->process, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(statement, 3,
			query->count_max > INT64_MAX ? -1 : (int64_t)query->count_max);
	while (code == SQLITE_OK && r == 0) {
		int step = sqlite3_step(statement);

		if (step != SQLITE_ROW) {
			code = step;
			break;
		}
		r = tmgr__sqlite_row(statement, TMGR_STORE_EVENT, &row);
		if (r == 0)
			r = add_event(ret, &row.row.event);
	}
	if (r == 0)
		r = tmgr__sqlite_error(self->reader, code);
	sqlite3_finalize(statement);
	return r;
}

/* Those with a sequence below a limit (0: all), at most so many. */
static int visit_events(const struct events *events, uint64_t below, size_t *left,
	int (*visit)(void *user, const struct tmgr_process_event *event), void *user)
{
	const unsigned char *at = events->bytes.data;
	const unsigned char *end = at + events->bytes.length;
	struct tmgr_store_change row;
	int r = 0;

	while (at<end && * left> 0 && r == 0) {
		r = tmgr__sqlite_get_change(&at, end, &row);
		if (r < 0 || (below > 0 && row.row.event.sequence >= below))
			break;
		(*left)--;
		r = visit(user, &row.row.event);
	}
	return r;
}

/*
 * What waits is copied first: what a transaction puts into the table meanwhile is then seen twice and
 * not never. User code runs with no lock held.
 */
int tmgr__sqlite_read_events(struct tmgr_store *store, const struct tmgr_store_query *query,
	int (*visit)(void *self, const struct tmgr_process_event *event), void *user)
{
	struct events waiting = { .count = 0 }, table = { .count = 0 };
	struct sqlite_store *self = of(store);
	size_t left = query->count_max;
	int r;

	pthread_mutex_lock(&self->lock);
	r = copy_waiting(self, query, &waiting);
	pthread_mutex_unlock(&self->lock);
	if (r == 0) {
		pthread_mutex_lock(&self->reader_lock);
		r = copy_from_table(self, query, &table);
		pthread_mutex_unlock(&self->reader_lock);
	}
	if (r == 0)
		r = visit_events(&table, waiting.first, &left, visit, user);
	if (r == 0)
		r = visit_events(&waiting, 0, &left, visit, user);
	free(waiting.bytes.data);
	free(table.bytes.data);
	return r;
}

/* ---- All of it ---- */

/* A connection of its own, on which all stays as it is now: commits go on, and the log with them. */
static int open_snapshot(struct sqlite_store *self, sqlite3 **ret)
{
	int64_t version;
	int r = tmgr__sqlite_connect(self, self->path, SQLITE_OPEN_READWRITE, ret);

	if (r == 0)
		r = tmgr__sqlite_execute(*ret, "PRAGMA query_only = ON; BEGIN");
	/* The transaction begins with the first page that is read. */
	if (r == 0)
		r = tmgr__sqlite_integer(*ret, "PRAGMA schema_version", &version);
	return r;
}

static bool has_ended(struct sqlite_store *self)
{
	bool ended;

	pthread_mutex_lock(&self->lock);
	ended = self->health.error != 0 && self->health.error != -ENOSPC;
	pthread_mutex_unlock(&self->lock);
	return ended;
}

/* Give it its name, unless something has that by now. */
static int publish(const char *part, const char *path)
{
	if (renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	/* Not all file systems know it. */
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (access(path, F_OK) == 0)
		return -EEXIST;
	return rename(part, path) < 0 ? -errno : 0;
}

/* It has another name until all of it is on the disk: what has this name is whole. */
static int write_copy(
	struct sqlite_store *self, sqlite3 *from, const char *path, struct sqlite_cancel cancel)
{
	char part[PATH_MAX];
	int r;

	if (access(path, F_OK) == 0)
		return -EEXIST;
	if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part))
		return -ENAMETOOLONG;
	/* The next opening would take it for its own, and this one's may be gone. */
	if (tmgr__sqlite_is_own(self->path, path) || tmgr__sqlite_is_own(self->path, part))
		return -EINVAL;
	r = tmgr__sqlite_make_empty(part);
	if (r < 0)
		return r;
	r = tmgr__sqlite_copy(from, part, self->options.vfs, cancel);
	if (r == 0)
		r = publish(part, path);
	if (r == 0)
		return tmgr__sqlite_sync_directory(path);
	unlink(part);
	return r;
}

int tmgr__sqlite_backup(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *user)
{
	struct sqlite_store *self = of(store);
	sqlite3 *from = NULL;
	int r;

	if (has_ended(self))
		return -EIO;
	r = open_snapshot(self, &from);
	if (r == 0)
		r = write_copy(self, from, path, (struct sqlite_cancel){ cancelled, user });
	sqlite3_close(from);
	return r;
}

/* ---- A file that has lost its name ---- */

/*
 * By the connection that has the log open, which may have lost its name too. One that was rescued
 * before, and not yet taken away, stays.
 */
static int rescue(struct sqlite_store *self, char *path, size_t size)
{
	int r = -EEXIST;

	for (int i = 0; i < RESCUES_MAX && r == -EEXIST; i++) {
		int length = i == 0 ? snprintf(path, size, "%s.rescued", self->path)
				    : snprintf(path, size, "%s.rescued.%d", self->path, i);

		if (length >= (int)size)
			return -ENAMETOOLONG;
		r = write_copy(self, self->main, path, (struct sqlite_cancel){ NULL, NULL });
	}
	return r;
}

int tmgr__sqlite_look_for_file(struct sqlite_store *self, bool now)
{
	char path[PATH_MAX], text[TMGR_PROCESS_TEXT_SIZE];
	int64_t at = tmgr_now();
	int moved = 0, r;

	if (!now && at - self->looked_at < TMGR_SECOND)
		return 0;
	self->looked_at = at;
	sqlite3_file_control(self->main, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	if (!moved)
		return 0;
	r = rescue(self, path, sizeof(path));
	if (r == 0)
		snprintf(text, sizeof(text),
			"the file was removed or replaced while it was open; all it had is in "
			"%.150s",
			path);
	else
		snprintf(text, sizeof(text),
			"the file was removed or replaced while it was open, and could not be "
			"rescued: %s",
			tmgr_strerror(r));
	return tmgr__sqlite_end(self, -EIO, text);
}

void tmgr__sqlite_health(struct tmgr_store *store, struct tmgr_store_health *ret_health)
{
	struct sqlite_store *self = of(store);

	pthread_mutex_lock(&self->lock);
	*ret_health = self->health;
	pthread_mutex_unlock(&self->lock);
	tmgr__sqlite_sizes(self->path, &ret_health->file_bytes, &ret_health->log_bytes);
}
