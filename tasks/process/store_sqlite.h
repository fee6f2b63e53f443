/*
 * The store on SQLite, inside.
 *
 * A commit writes one row a step into the journal and nothing else: that, with the sync it waits for,
 * is what a step costs. The rows that the steps change wait in memory (struct pending), each in its
 * last version only, and are copied into the tables in short transactions that need no sync of their
 * own, since the journal has it all until then. The journal is deleted up to the oldest change that
 * was not copied.
 *
 * Who owns what: main, pending and everything without a note belongs to the one thread that calls
 * the store at a time. The lock guards health, the events that wait, and the reader's connection is
 * used under reader_lock. The checkpoint thread has a connection of its own and talks through
 * struct checkpointer. Order of locks: reader_lock, lock; the checkpointer's stands alone.
 */
#ifndef TMGR__PROCESS_STORE_SQLITE_H
#define TMGR__PROCESS_STORE_SQLITE_H

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>

#include <taskmgr/tasks/process_sqlite.h>

#define SQLITE_STORE_APPLICATION 0x544d4752 /* "TMGR" */
#define SQLITE_STORE_VERSION 1
#define SQLITE_STORE_KINDS 9 /* kinds of rows, and none as 0 */

/* ---- Rows: in the journal (store_sqlite_journal.c), in tables (store_sqlite_rows.c) ---- */

/* A buffer that grows. */
struct sqlite_bytes {
	unsigned char *data;
	size_t length, size;
};

/* Append a change as the journal has it; -ENOMEM; -EINVAL: an enum has no such value. */
int tmgr__sqlite_put_change(struct sqlite_bytes *to, const struct tmgr_store_change *change);
/* Append what names all that a DELETE of this change's key deletes, as a DELETE has it. */
int tmgr__sqlite_put_key(struct sqlite_bytes *to, const struct tmgr_store_change *change);
/* Read the change at *at, which is moved past it; it points into the bytes. -EBADMSG. */
int tmgr__sqlite_get_change(
	const unsigned char **at, const unsigned char *end, struct tmgr_store_change *ret);
/* Read a key as tmgr__sqlite_put_key() has written it, as a DELETE. */
int tmgr__sqlite_get_key(const unsigned char *key, size_t length, enum tmgr_store_kind kind,
	struct tmgr_store_change *ret);

const char *tmgr__sqlite_table(enum tmgr_store_kind kind);
/* Statements of a kind of rows: the text, to be freed with sqlite3_free(), or NULL. */
char *tmgr__sqlite_put_text(enum tmgr_store_kind kind);
char *tmgr__sqlite_delete_text(enum tmgr_store_kind kind);
char *tmgr__sqlite_select_text(enum tmgr_store_kind kind);
char *tmgr__sqlite_create_text(enum tmgr_store_kind kind);
/* Give a statement the values of a row. */
int tmgr__sqlite_bind(sqlite3_stmt *statement, const struct tmgr_store_change *change);
/* The row a statement of tmgr__sqlite_select_text() is at; -EBADMSG. */
int tmgr__sqlite_row(
	sqlite3_stmt *statement, enum tmgr_store_kind kind, struct tmgr_store_change *ret);
/* The name of the first column of that row that cannot be read; NULL: there is none. */
const char *tmgr__sqlite_bad_column(sqlite3_stmt *statement, enum tmgr_store_kind kind);

/* CRC-32C. */
uint32_t tmgr__sqlite_checksum(uint32_t checksum, const void *data, size_t size);
/* Of a row of the journal. */
uint32_t tmgr__sqlite_step_checksum(
	uint64_t sequence, int64_t now_ms, const void *changes, size_t size);

/* ---- What waits to be copied (store_sqlite_pending.c) ---- */

/* The changes of a batch, in the memory that the journal's rows were written from. */
struct sqlite_block {
	size_t refs;
	struct sqlite_bytes bytes;
};

/* A change, in the last version of a row. */
struct sqlite_change {
	struct sqlite_change *next;
	struct sqlite_block *block;
	size_t begin, size; /* in the block */
	uint64_t sequence;  /* of the message or event */
	uint64_t step;
	bool fresh; /* no table has it */
	enum tmgr_store_op op;
	enum tmgr_store_kind kind;
};

/* The rows that one DELETE can delete. */
struct sqlite_entry {
	struct sqlite_entry *same_hash;
	struct sqlite_entry *older, *newer;
	struct sqlite_change *first, *last;
	uint64_t step; /* the first that touched it since it was copied */
	uint32_t hash;
	bool deleted; /* the table's rows go before these come */
	bool fresh;   /* the table has none of it */
	enum tmgr_store_kind kind;
	uint64_t order; /* of a key that has one: its number, or how its text begins */
	size_t text_at; /* the text in the key */
	size_t slot;    /* in the generation; SQLITE_NO_SLOT: in none */
	size_t key_length;
	unsigned char key[];
};

#define SQLITE_NO_SLOT SIZE_MAX
#define SQLITE_RUNS_MAX 32

/* What is being copied (store_sqlite_generation.c). */
struct sqlite_run {
	size_t next, end;
};

struct sqlite_generation {
	bool active;
	uint64_t until;                /* the last step that it has whole */
	struct sqlite_entry **entries; /* NULL where one is gone */
	size_t count, room;
	size_t sorted, run_size;
	struct sqlite_run runs[SQLITE_RUNS_MAX];
	size_t runs_count;
};

/* What a change needs to be kept, allocated before the commit so that nothing fails after it. */
struct sqlite_prepared {
	struct sqlite_prepared *next;
	struct sqlite_entry *entry; /* NULL: an event */
	struct sqlite_change *change;
};

struct sqlite_pending {
	struct sqlite_entry **table;
	size_t buckets, count;
	struct sqlite_entry *oldest, *newest;
	struct sqlite_change *first_event, *last_event;
	struct sqlite_generation generation;
	struct sqlite_bytes key; /* for looking one up */
	/* Sequences of rows, by kind: above it none was seen. */
	uint64_t highest[SQLITE_STORE_KINDS];
};

/* Prepare to keep a change; where it stands in a block is the caller's to fill in. */
int tmgr__sqlite_prepare(struct sqlite_pending *pending, const struct tmgr_store_change *change,
	struct sqlite_prepared **ret);
void tmgr__sqlite_unprepare(struct sqlite_prepared *list);
/* Keep it; takes prepared. An event: the caller has the store's lock. */
void tmgr__sqlite_keep(struct sqlite_pending *pending, struct sqlite_prepared *prepared);
void tmgr__sqlite_drop_entry(struct sqlite_pending *pending, struct sqlite_entry *entry);
struct sqlite_change *tmgr__sqlite_drop_change(struct sqlite_change *change);
void tmgr__sqlite_pending_fini(struct sqlite_pending *pending);
/* All that waits, up to this step, is a generation. -ENOMEM. */
int tmgr__sqlite_generation_begin(struct sqlite_pending *pending, uint64_t until);
/* Sort a piece of it; false: all is sorted. */
bool tmgr__sqlite_generation_sort(struct sqlite_pending *pending);
/* The next to be written, or NULL. */
struct sqlite_entry *tmgr__sqlite_generation_next(struct sqlite_pending *pending);
/* What was written since the runs stood so is in the tables. */
void tmgr__sqlite_generation_drop(struct sqlite_pending *pending, const struct sqlite_run *from);
struct sqlite_block *tmgr__sqlite_block_create(void);
void tmgr__sqlite_block_unref(struct sqlite_block *block);

/* ---- The files beside (store_sqlite_file.c) ---- */

struct sqlite_lock_file {
	int fd;
	/* Shared with whoever opens it next while this kernel lives: 1 while the disk was waited for,
	 * by commits and by the checkpoint thread. */
	volatile unsigned char *doubtful;
};

/*
 * Write over a path with the absolute one, and where that is a symbolic link with what it points to: who
 * comes by a link and who does not find the same lock, and a new file takes the place of the old one and
 * not of the link.
 */
int tmgr__sqlite_follow_links(char **path);
/* Whether there is a file of this name with something behind it. */
bool tmgr__sqlite_stands_beside(const char *path, const char *suffix);
/* Before anything is made beside a file: 0: it may be a store, or become one; -EBADMSG: it is none. */
int tmgr__sqlite_look(const char *path);
/* 0; -EBUSY; -ENOSPC; -EIO; or what open() says. */
int tmgr__sqlite_lock(const char *path, struct sqlite_lock_file *ret);
void tmgr__sqlite_unlock(struct sqlite_lock_file *lock);
/* Make the file, empty and for its owner only, unless it is there. What SQLite puts beside it takes its
 * mode. */
int tmgr__sqlite_make_file(const char *path);
/* The same, and a new one also if it is there. */
int tmgr__sqlite_make_empty(const char *path);
/* End a replacement that was begun: 1 if there was one. */
int tmgr__sqlite_finish_replacement(const char *path);
/* Copy the file and its log into a new file, and put that in its place. */
int tmgr__sqlite_replace(const char *path, const char *vfs);
/* Asked between pieces of a copy: whether to end it with -ECANCELED. A function of NULL: never. */
struct sqlite_cancel {
	bool (*cancelled)(void *self);
	void *self;
};

/* Copy all that one connection sees, page by page, in the place of what the other has. */
int tmgr__sqlite_copy_pages(sqlite3 *from, sqlite3 *to, struct sqlite_cancel cancel);
/* Copy what a connection sees into a file that is there and empty, and sync it. */
int tmgr__sqlite_copy(
	sqlite3 *from, const char *path, const char *vfs, struct sqlite_cancel cancel);
/* Whether a path names what a store's file is, or what stands beside it or may. */
bool tmgr__sqlite_is_own(const char *own, const char *path);
/* Sync the directory that a path is in. */
int tmgr__sqlite_sync_directory(const char *path);

/* How large the file with its log is, and the log. */
void tmgr__sqlite_sizes(const char *path, uint64_t *ret_all, uint64_t *ret_log);

/* ---- The store ---- */

enum sqlite_statement {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_SAVEPOINT,
	SQL_RELEASE,
	SQL_ROLLBACK_TO,
	SQL_JOURNAL,
	SQL_CUT_JOURNAL,
	SQL_COPIED,
	SQL_EPOCH,
	SQL_TAKE_EPOCH,
	SQL_LAST,
	SQL_DELETE_MESSAGES,
	SQL_STATEMENTS,
};

/* A code beside SQLite's: another daemon writes to the file. */
#define SQLITE_STORE_STALE (SQLITE_PROTOCOL | (255 << 8))

#define SQLITE_USER_STATEMENTS 16

struct sqlite_checkpointer {
	sqlite3 *db; /* the thread's */
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t asked;
	bool wanted, ready, stop;
	int error; /* an errno, of the last */
};

struct sqlite_store {
	struct tmgr_store store;
	struct tmgr_store_sqlite_options options;
	char *path;
	struct sqlite_lock_file lock_file;
	sqlite3 *main;
	sqlite3_stmt *statements[SQL_STATEMENTS];
	sqlite3_stmt *put[SQLITE_STORE_KINDS], *del[SQLITE_STORE_KINDS];
	struct {
		char *text;
		sqlite3_stmt *statement;
		uint64_t used;
	} user[SQLITE_USER_STATEMENTS];
	uint64_t user_clock;
	int64_t user_until;  /* the statements of a step may run */
	bool user_late;      /* and have run for longer */
	bool in_transaction; /* of trials */
	bool relaxed;        /* synchronous is NORMAL on main */
	bool full;           /* the last commit() gave -ENOSPC */
	int ended;           /* what ended the store, or 0 */
	uint64_t sequence;   /* of the last step */
	uint64_t copied;     /* the tables have all up to here */
	int64_t copied_at;   /* when; 0: not since the opening */
	uint64_t cut;        /* the journal was deleted up to here */
	int64_t now_ms;
	int64_t epoch;  /* of the daemon that writes to the file: one more than that before it */
	bool has_epoch; /* it is this store's own, written with its first transaction */
	uint64_t log_pages;   /* of the write-ahead log after the last transaction */
	uint64_t log_tried;   /* when a checkpoint was tried last */
	uint64_t log_written; /* bytes, by transactions that were not counted yet */
	uint64_t page_bytes;
	int64_t looked_at; /* when the file was last seen to have its name */
	struct sqlite_pending pending;
	struct sqlite_checkpointer checkpointer;

	pthread_mutex_t reader_lock;
	sqlite3 *reader;

	pthread_mutex_t lock; /* health, and the list of pending.first_event to last_event */
	struct tmgr_store_health health;
	uint64_t events; /* in the table */
};

/* Whether an error of SQLite, for which the system gave this errno, is gone when there is room. */
bool tmgr__sqlite_no_room(int code, int system);
/* The errno for an error of SQLite, with what the system said. */
int tmgr__sqlite_error(sqlite3 *db, int code);
/* Prepare a statement that is kept. SQLite's code. */
int tmgr__sqlite_prepare_kept(sqlite3 *db, const char *text, sqlite3_stmt **ret);
/* Open a connection, set up as all of them are. */
int tmgr__sqlite_connect(
	const struct sqlite_store *self, const char *path, int flags, sqlite3 **ret);
/* Execute a statement to its end. SQLite's code. */
int tmgr__sqlite_run(sqlite3_stmt *statement);
/* Execute texts that give no rows. */
int tmgr__sqlite_execute(sqlite3 *db, const char *text);
/* The value of a statement that gives one integer. */
int tmgr__sqlite_integer(sqlite3 *db, const char *text, int64_t *ret);
/* Make the tables. */
int tmgr__sqlite_create_tables(sqlite3 *db);
/* Version and ownership of a file: 0; 1: it is empty; -EPROTO; -EBADMSG. */
int tmgr__sqlite_identify(sqlite3 *db);

/* Transactions, and what their failures mean (store_sqlite_transaction.c). */
/* The store has ended: error, and why. Returns error. */
int tmgr__sqlite_end(struct sqlite_store *self, int error, const char *text);
/* What failed with this code of SQLite: ends the store but for -ENOSPC. */
int tmgr__sqlite_failed(struct sqlite_store *self, int code);
/* 0, or what is given once it has ended: -EIO, or -ESTALE where the file is another daemon's now. */
static inline int tmgr__sqlite_ended(const struct sqlite_store *self)
{
	if (!self->ended)
		return 0;
	return self->ended == -ESTALE ? -ESTALE : -EIO;
}
/* SQLite's codes; SQLITE_STORE_STALE too. */
int tmgr__sqlite_begin(struct sqlite_store *self, bool relaxed);
int tmgr__sqlite_commit_transaction(struct sqlite_store *self);
void tmgr__sqlite_rollback(struct sqlite_store *self);

/* Copy into the tables for about so long (INT64_MAX: all): 1 if there is more. */
int tmgr__sqlite_copy_pending(struct sqlite_store *self, int64_t budget_ns);
int tmgr__sqlite_prepare_statements(struct sqlite_store *self);
void tmgr__sqlite_finalize_statements(struct sqlite_store *self);
/* Up to where the tables are. */
int tmgr__sqlite_read_position(struct sqlite_store *self);
/* Replay the journal into what waits, and that into the tables. 0 or an errno. */
int tmgr__sqlite_replay(struct sqlite_store *self);
int tmgr__sqlite_checkpoint_start(struct sqlite_store *self);
/* What it met and did not tell yet ends the store and is returned. */
int tmgr__sqlite_checkpoint_stop(struct sqlite_store *self);
/* Copy the whole log into the file and begin it anew, now or not at all: -EBUSY: somebody reads it. */
int tmgr__sqlite_begin_log(struct sqlite_store *self);

int tmgr__sqlite_open(struct tmgr_store *store, struct tmgr_store_opened *ret_opened);
int tmgr__sqlite_close(struct tmgr_store *store);
int tmgr__sqlite_load(struct tmgr_store *store, uint32_t partition,
	int (*visit)(void *self, const struct tmgr_store_change *row), void *user);
int tmgr__sqlite_try_sql(struct tmgr_store *store, struct tmgr_store_trial *trials, size_t count);
void tmgr__sqlite_abandon(struct tmgr_store *store);
void tmgr__sqlite_forget_user_statements(struct sqlite_store *self);
int tmgr__sqlite_commit(struct tmgr_store *store, const struct tmgr_store_batch *batch);
int tmgr__sqlite_maintain(struct tmgr_store *store, int64_t budget_ns, bool idle);
int tmgr__sqlite_trim(struct tmgr_store *store, const struct tmgr_store_trim *trim);
int tmgr__sqlite_read_events(struct tmgr_store *store, const struct tmgr_store_query *query,
	int (*visit)(void *self, const struct tmgr_process_event *event), void *user);
int tmgr__sqlite_checkpoint(struct tmgr_store *store);
int tmgr__sqlite_backup(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *user);
/*
 * Whether the file still has its name: if not the store ends, and what it had is copied beside it, since
 * what has no name is gone when it is closed. Not more often than once a second, unless `now`.
 */
int tmgr__sqlite_look_for_file(struct sqlite_store *self, bool now);
void tmgr__sqlite_health(struct tmgr_store *store, struct tmgr_store_health *ret_health);

#endif
