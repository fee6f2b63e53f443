#include "database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define BUSY_MS 5000

/*
 * One process writes. The lock is on a file beside the database: on the database itself it would
 * meddle with the locks of SQLite. The kernel gives it back however the process ends.
 */
static int lock(struct store *store)
{
	size_t size = strlen(store->path) + sizeof("-lock");
	char *path = malloc(size);
	int r = 0;

	if (!path)
		return -ENOMEM;
	snprintf(path, size, "%s-lock", store->path);
	store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (store->lock_fd < 0)
		r = store__fail(store, -errno, "%s: cannot be opened", path);
	else if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK ? store__fail(store, -EBUSY,
						   "%s: another logship writes to it", store->path)
					 : store__fail(store, -errno, "%s: cannot be locked", path);
	free(path);
	return r;
}

int store_open(const struct store_options *options, struct store **ret_store)
{
	struct store *store = calloc(1, sizeof(*store));
	int r;

	*ret_store = store;
	if (!store)
		return -ENOMEM;
	store->options = *options;
	store->lock_fd = -1;
	if (store->options.busy_ms == 0)
		store->options.busy_ms = BUSY_MS;
	store->memory = (struct tail_memory){ .self = store,
		.of_path = store__of_path,
		.newest = store__newest,
		.next_id = store__next_id };
	pthread_mutex_init(&store->reading, NULL);
	store->path = strdup(options->path);
	if (!store->path)
		return -ENOMEM;
	r = lock(store);
	return r < 0 ? r : store__connect(store);
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < READS; i++)
		sqlite3_finalize(store->read[i]);
	sqlite3_close(store->reader);
	for (size_t i = 0; i < WRITES; i++)
		sqlite3_finalize(store->write[i]);
	sqlite3_close(store->writer); /* the last one: brings the log into the database */
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	pthread_mutex_destroy(&store->reading);
	free(store->escaped);
	free(store->path);
	free(store);
}

const struct tail_memory *store_memory(struct store *store)
{
	return &store->memory;
}

const char *store_error(const struct store *store)
{
	return store ? store->error : "out of memory";
}

static int step(sqlite3_stmt *statement)
{
	int result = sqlite3_step(statement);

	sqlite3_reset(statement);
	return result == SQLITE_DONE ? SQLITE_OK : result;
}

static void bind_text(sqlite3_stmt *statement, int index, const struct logline_text *text)
{
	if (text->length > 0)
		sqlite3_bind_text(statement, index, text->at, (int)text->length, SQLITE_STATIC);
	else
		sqlite3_bind_null(statement, index);
}

/* As text if it is text; otherwise escaped, so that everybody can read it. The raw line has all. */
static int bind_message(
	struct store *store, sqlite3_stmt *statement, int index, const struct logline_text *message)
{
	size_t size = LOGLINE_ESCAPED_MAX(message->length);

	if (logline_is_text(message->at, message->length)) {
		sqlite3_bind_text(
			statement, index, message->at, (int)message->length, SQLITE_STATIC);
		return SQLITE_OK;
	}
	if (size > store->escaped_size) {
		free(store->escaped);
		store->escaped_size = 0;
		store->escaped = malloc(size);
		if (!store->escaped)
			return SQLITE_NOMEM;
		store->escaped_size = size;
	}
	sqlite3_bind_text(statement, index, store->escaped,
		(int)logline_escape(message->at, message->length, store->escaped), SQLITE_STATIC);
	return SQLITE_OK;
}

static int write_line(struct store *store, int64_t file, const struct store_line *line,
	struct store_result *counted)
{
	sqlite3_stmt *statement = store->write[WRITE_LINE];
	const struct logline *parsed = &line->parsed;
	int result;

	sqlite3_bind_int64(statement, 1, file);
	sqlite3_bind_int64(statement, 2, line->raw.offset);
	sqlite3_bind_int(statement, 3, line->raw.partial);
	if (parsed->has_time)
		sqlite3_bind_int64(statement, 4, parsed->time_ns);
	else
		sqlite3_bind_null(statement, 4);
	if (parsed->level != LOGLINE_NO_LEVEL)
		sqlite3_bind_int(statement, 5, parsed->level);
	else
		sqlite3_bind_null(statement, 5);
	bind_text(statement, 6, &parsed->host);
	bind_text(statement, 7, &parsed->program);
	if (parsed->pid >= 0)
		sqlite3_bind_int64(statement, 8, parsed->pid);
	else
		sqlite3_bind_null(statement, 8);
	result = bind_message(store, statement, 9, &parsed->message);
	if (result != SQLITE_OK)
		return result;
	if (logline_is_text(line->raw.text, line->raw.length))
		sqlite3_bind_text(
			statement, 10, line->raw.text, (int)line->raw.length, SQLITE_STATIC);
	else
		sqlite3_bind_blob(
			statement, 10, line->raw.text, (int)line->raw.length, SQLITE_STATIC);
	result = step(statement);
	if (result != SQLITE_OK)
		return result;
	if (sqlite3_changes(store->writer) == 0) {
		counted->doubles++;
	} else {
		counted->lines++;
		counted->bytes += (int64_t)line->raw.length;
	}
	return SQLITE_OK;
}

static int write_file(struct store *store, const struct store_part *part)
{
	sqlite3_stmt *statement = store->write[WRITE_FILE];
	const struct tail_record *record = &part->record;

	sqlite3_bind_int64(statement, 1, record->id);
	sqlite3_bind_int64(statement, 2, (int64_t)record->identity.device);
	sqlite3_bind_int64(statement, 3, (int64_t)record->identity.inode);
	sqlite3_bind_int64(statement, 4, record->identity.head_length);
	sqlite3_bind_int64(statement, 5, (int64_t)record->identity.head_hash);
	sqlite3_bind_int64(statement, 6, record->offset);
	sqlite3_bind_int64(statement, 7, record->mtime_ns);
	sqlite3_bind_int(statement, 8, record->done);
	sqlite3_bind_text(statement, 9, part->path, -1, SQLITE_STATIC);
	return step(statement);
}

static int write_parts(struct store *store, const struct store_part *parts, size_t count,
	struct store_result *counted)
{
	for (size_t i = 0; i < count; i++) {
		int result = write_file(store, &parts[i]);

		for (size_t k = 0; k < parts[i].count && result == SQLITE_OK; k++)
			result = write_line(store, parts[i].record.id, &parts[i].lines[k], counted);
		if (result != SQLITE_OK)
			return result;
	}
	return SQLITE_OK;
}

static void mark(struct store *store, unsigned char in_transaction)
{
	if (store->options.in_transaction)
		*store->options.in_transaction = in_transaction;
}

int store_write(struct store *store, const struct store_part *parts, size_t count,
	struct store_result *ret_result)
{
	struct store_result counted = { 0 };
	int r = 0;
	int result = step(store->write[WRITE_BEGIN]);

	if (result != SQLITE_OK)
		return store__fail_sqlite(store, result, "beginning");
	mark(store, 1);
	result = write_parts(store, parts, count, &counted);
	if (result == SQLITE_OK)
		result = step(store->write[WRITE_COMMIT]);
	if (result != SQLITE_OK) {
		r = store__fail_sqlite(store, result, "writing");
		/* Some errors have rolled back already. */
		if (!sqlite3_get_autocommit(store->writer))
			step(store->write[WRITE_ROLLBACK]);
	}
	mark(store, 0);
	if (r == 0 && ret_result)
		*ret_result = counted;
	return r;
}
