/* Between the files of this package: the connection to SQLite and its errors. */
#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include "store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

enum { READ_OF_PATH, READ_NEWEST, READS };
enum { WRITE_BEGIN, WRITE_COMMIT, WRITE_ROLLBACK, WRITE_FILE, WRITE_LINE, WRITES };

struct store {
	struct store_options options;
	char *path;
	int lock_fd;
	struct tail_memory memory;
	_Atomic int64_t last_id;
	/* The writer's, one thread. */
	sqlite3 *writer;
	sqlite3_stmt *write[WRITES];
	char *escaped; /* for messages that are no text */
	size_t escaped_size;
	char error[512];
	/* The tailers', under the lock. */
	pthread_mutex_t reading;
	sqlite3 *reader;
	sqlite3_stmt *read[READS];
};

/* A negative errno for a result of SQLite. */
int store__error_of(int result);

/* Keep the text of what went wrong; returns r. */
int store__fail(struct store *store, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for a result of SQLite on the writer's connection. */
int store__fail_sqlite(struct store *store, int result, const char *what);

/* Open both connections, make the tables, prepare the statements. */
int store__connect(struct store *store);

/* What tail_memory asks. */
int store__of_path(
	void *self, const char *path, struct tail_record **ret_records, size_t *ret_count);
int store__newest(void *self, uint64_t device, uint64_t inode, struct tail_record *ret_record);
int64_t store__next_id(void *self);

#endif
