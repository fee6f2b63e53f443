/*
 * A disk for tests: what it has of the files of one directory, and what it would have if its power were
 * cut now. What was written since the last sync of a file may be there then, or not, or in part; names
 * that were made, changed or taken since the last sync of the directory likewise.
 *
 * SQLite's files tell it what is done by power.c; open(), rename(), renameat2(), unlink() and fsync() of
 * the library are told by stand-ins, see the Makefile. All functions but those are called under
 * disk_lock(), where nothing else is said.
 */
#ifndef TESTS_SUPPORT_DISK_H
#define TESTS_SUPPORT_DISK_H

#include <stdbool.h>
#include <stddef.h>

enum power_loss {
	POWER_LOSES_NOTHING, /* what was not synced is there all the same */
	POWER_LOSES_ALL,     /* nothing of it is */
	POWER_LOSES_SOME, /* some sectors, the others in the order they were written; names up to some point */
	POWER_LOSES_ORDER, /* some sectors, and what overlaps in any order; some names */
	POWER_LOSSES,
};

struct disk_file;

void disk_lock(void);
void disk_unlock(void);

/* Nothing is known, nothing is cut. */
void disk_forget(void);

/* The file of this name; a new one where there is none. Its directory is the disk's from the first on. */
struct disk_file *disk_open(const char *path);
void disk_note_write(struct disk_file *file, size_t offset, const void *data, size_t size);
void disk_note_truncation(struct disk_file *file, size_t size);
void disk_note_sync(struct disk_file *file);
void disk_note_unlink(const char *path);
/* Of another directory than the disk's: nothing. */
void disk_note_directory_sync(const char *path);

/* Count one more operation: whether the power is there for it. */
bool disk_powered(void);
/* The n-th operation from the last disk_forget() on, and all that follow, have no power; or end the program with
 * SIGKILL. 0: never. */
void disk_cut_at(long n);
void disk_kill_at(long n);
long disk_operations(void);
bool disk_is_cut(void);

/* Have syncs of files by fsync() do nothing and say that all is well; or the n-th sync of the
 * directory from now on, and the power be cut so many operations later. */
void disk_leave_out_file_syncs(bool on);
/* The n-th fsync() of a file or the directory from now on is an I/O error, once; 0: none. */
void disk_fail_file_sync(long n);
void disk_leave_out_directory_sync(long n, long cut_after);

/* Have renameat2() know no flags, as on some file systems. Without disk_lock(). */
void disk_knows_no_flags(bool on);

/* Write into a directory what would be there. seed is changed. */
void disk_write_survivors(const char *directory, enum power_loss loss, unsigned *seed);

#endif
