/*
 * A file layer of SQLite for tests, over its own: it fails when it is told to, and tells the disk
 * (disk.h) what is done, which knows what would be there if the power were cut.
 */
#ifndef TESTS_SUPPORT_POWER_H
#define TESTS_SUPPORT_POWER_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/support/disk.h"

/* Of struct tmgr_store_sqlite_options, vfs. */
#define POWER_VFS "power"

/* Register it, with nothing known and nothing failing. Call it before a store is opened. */
void power_reset(void);
/* Forget all files; none is open. */
void power_fini(void);

/* How many writes, truncations, syncs and changes of names there were since the reset. */
long power_operations(void);
/* Let the power fail at the n-th of these from the reset on, 1 being the first: it and all that
 * follow are errors and leave nothing. 0: never. */
void power_cut_at(long n);
bool power_is_cut(void);
/* Let SIGKILL end this program at the n-th of these from the reset on, before it is done. 0: never. */
void power_kill_at(long n);

/* Have syncs of the write-ahead log, or of the database, do nothing and say that all is well: what
 * a program does that leaves them out. */
void power_leave_out_syncs(bool of_log, bool of_database);

/* Likewise the library's own syncs of files; or the n-th sync of the directory from now on, and the power
 * is cut so many operations later. */
void power_leave_out_file_syncs(bool on);
void power_leave_out_directory_sync(long n, long cut_after);

/* Have the n-th write from now on, and all that follow, find no room; 0: there is room. */
void power_no_room(long n);
/* Have the n-th read, write or sync from now on be an I/O error, once; 0: none. */
void power_fail_read(long n);
void power_fail_write(long n);
void power_fail_sync(long n);
/* The same for the library's own syncs, of files and of the directory. */
void power_fail_file_sync(long n);

/* Write into a directory what a disk would have that lost its power now. seed is changed. */
void power_survivors(const char *directory, enum power_loss loss, unsigned *seed);

#endif
