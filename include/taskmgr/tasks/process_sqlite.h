/**
 * @file
 * Durable processes in a file: the store on SQLite, in a library of its own (libtaskmgr-sqlite).
 *
 * Beside the file PATH stand PATH-wal and PATH-shm, which are SQLite's, and PATH.lock, which one
 * daemon holds for as long as the store is open. Other programs may read the file meanwhile; what
 * stands in it is described in docs/process-file.md.
 */
#ifndef TMGR_TASKS_PROCESS_SQLITE_H
#define TMGR_TASKS_PROCESS_SQLITE_H

#include <taskmgr/tasks/process_store.h>

/** How a file is kept; all zero is the default. */
struct tmgr_store_sqlite_options {
	/** Steps that gather in the journal before they are copied into the tables: 16384. */
	size_t journal_max;
	/** Size of the write-ahead log above which it is copied into the file, bytes: 16 MiB. */
	uint64_t log_bytes;
	/**
	 * Size of the write-ahead log, which a program that reads for long keeps from being begun
	 * anew, above which commit() gives -ENOSPC, bytes: 1 GiB.
	 */
	uint64_t log_max_bytes;
	/** For how long commit() waits for a program that writes to the file, ns: 5 s. */
	int64_t busy_ns;
	/** For how long the statements of one step may run, ns: 1 s. Meanwhile nothing is committed. */
	int64_t sql_ns;
	/** Name of the file layer of SQLite to use; NULL: its default. */
	const char *vfs;
};

TMGR_BEGIN_DECLS

/**
 * A store in a file.
 *
 * open() makes the file if there is none, with mode 0600 and the umask; it copies the journal into
 * the tables. Where the last daemon ended while it waited for the disk, or the disk reported an
 * error then, what the kernel shows may not be what the disk has: open() then copies all into a new
 * file, syncs it and its directory, and puts it in the place of the old one.
 *
 * Of its errors, beside those that all stores have: -EBUSY: another daemon has PATH.lock; -EPROTO:
 * the file is of a later version; -EBADMSG: it is another program's, or damaged; -EACCES: it, or what
 * stands beside it, may not be written.
 *
 * commit() gives -ENOSPC, with the reason in the health's text, also when another program holds the
 * file's write lock for longer than busy_ns, or the write-ahead log cannot be begun anew. It gives
 * -ESTALE where another daemon has opened the file since, which may be when PATH.lock was removed.
 *
 * backup() gives -EINVAL for a path that the store uses itself: PATH with one of the endings of what stands
 * beside it.
 *
 * @param path           of the file, 1 to 4000 bytes; its directory exists; copied
 * @param options        copied; NULL for the default
 * @param[out] ret_store returned, closed; release with tmgr_store_destroy()
 *
 * @retval 0        made; no file was touched
 * @retval -EINVAL  a pointer is missing, the path is empty or too long, or an option is out of range
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_store_sqlite_create(const char *path,
	const struct tmgr_store_sqlite_options *options, struct tmgr_store **ret_store);

/**
 * Look for what should not be in a file: pages and steps that are damaged, values that cannot be read,
 * waits that belong to no blocked goroutine, blocked goroutines that wait for nothing, receivers beside
 * a filled buffer or a sender, waits on a channel that is closed or not there, timers that were due, and
 * what belongs to no process.
 *
 * The file is only read, as it is at one moment, also while a daemon has it open; PATH.lock is not
 * taken. It needs room for a temporary copy. Beside a file without a log (PATH-wal) nothing is made, so
 * it can be checked also where nothing can be written.
 *
 * @param path     of the file
 * @param finding  called for each finding with a line of text, borrowed until it returns; an error of
 *                 it ends the check and is returned. NULL: only count
 * @param self     passed to it
 *
 * @return how many findings there were, at most INT_MAX; or
 * @retval -EINVAL   path is NULL
 * @retval -ENOENT   there is no such file
 * @retval -EPROTO   it is of a later version
 * @retval -EBADMSG  it is no store
 * @retval -EACCES   it may not be read, or it has a log, and its directory may not be written to
 * @retval -EROFS    it has a log, and its file system is read-only
 * @retval -EIO      it cannot be read
 * @retval -EBUSY    it is locked by another program for more than 5 s, or a daemon that began
 *                   meanwhile has it
 * @retval -ENOMEM   out of memory
 *
 * @thread any thread; may block on the disk
 */
TMGR_API int tmgr_store_sqlite_check(
	const char *path, int (*finding)(void *self, const char *line), void *self);

TMGR_END_DECLS

#endif
