/* Between the files of this package: which files a path is made of at present. */
#ifndef TAIL_TRACK_H
#define TAIL_TRACK_H

#include "beside.h"
#include "decide.h"
#include "follow.h"

#define TAIL_HISTORY_MAX 64
#define TAIL_SEEKS_MAX 20 /* names may be shifted on while they are looked at */

struct tail_file {
	int fd; /* -1: nothing is left to be read, only to be remembered as done */
	struct tail_record record;
	bool changed;    /* the record differs from what was last given out */
	bool unverified; /* what was read did not belong to this file: look at the path again */
	int64_t size;    /* when last read */
};

/*
 * files[0..count) in the order they are read. The last one is what the path names when `current`
 * is set; all others have been rotated away.
 */
struct tail {
	char *path;
	const struct tail_memory *memory;
	struct tail_options options;
	struct tail_file *files;
	size_t count;
	bool current;
	int64_t last_mtime_ns; /* of the last file that was current, when it was last read */
	bool had_file;         /* and whether there has been one */
	/* Done in this run: they may not have reached the memory yet. */
	struct tail_record history[TAIL_HISTORY_MAX];
	size_t history_count;
};

static inline size_t tail__history_count(const struct tail *tail)
{
	return tail->history_count < TAIL_HISTORY_MAX ? tail->history_count : TAIL_HISTORY_MAX;
}

/* Bring `files` in line with what the path names now; 0 or -errno. */
int tail__look(struct tail *tail);

/* Bring back what earlier runs had not finished; 0 or -errno. */
int tail__restore(struct tail *tail);

/* Open the path: a descriptor, -ENOENT, -ENOTSUP if it is not a regular file, or -errno. */
int tail__open_path(const struct tail *tail);

/*
 * Make what `fd` (taken, always) refers to the path's current file; 1 if it was open already. `cut`:
 * it was truncated, so no record tells where to go on, however much its beginning looks like one.
 */
int tail__begin(struct tail *tail, int fd, bool cut);

/* Append or insert a file; fd is taken, always. */
int tail__insert(struct tail *tail, size_t index, const struct tail_file *file);

void tail__remove(struct tail *tail, size_t index);

/*
 * Seek the file of a record beside the path: by its inode, or a copy of it by its head. Gives the
 * descriptor and, for a copy, changes the record's inode. -ENOENT when it is not there.
 */
int tail__seek(struct tail *tail, struct tail_record *record, bool by_inode);

/*
 * Files that came and went between two looks: rotated names beside the path which nobody has read
 * and which were modified after `since_ns`. They are inserted at `index`, oldest first.
 */
int tail__adopt(struct tail *tail, size_t index, int64_t since_ns);

void tail__note(const struct tail *tail, enum tail_note note, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
