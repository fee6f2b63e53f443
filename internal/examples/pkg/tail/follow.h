/*
 * Following one path through growth, rotation, truncation and restarts.
 *
 * tail_next() is called again and again; each call gives one block of whole lines, or a change of
 * what is to be remembered, and the caller makes both durable together. What was remembered comes
 * back through struct tail_memory after a restart. Nothing here waits: when there is nothing new,
 * tail_next() says so, and when to ask again is the caller's business.
 *
 * Files are given in order: what a path was rotated to is finished before the file that took its
 * place is begun, and a rotated file is watched on for what its writer still adds to it.
 */
#ifndef TAIL_FOLLOW_H
#define TAIL_FOLLOW_H

#include "block.h"
#include "identity.h"

#define TAIL_LINGER_NS INT64_C(30000000000)

/** What earlier runs made durable. Called from tail_open() and tail_next(). */
struct tail_memory {
	void *self;
	/** The records of a path, oldest first; freed by the caller with free(). */
	int (*of_path)(
		void *self, const char *path, struct tail_record **ret_records, size_t *ret_count);
	/** The newest record with this device and inode, of any path; -ENOENT if there is none. */
	int (*newest)(void *self, uint64_t device, uint64_t inode, struct tail_record *ret_record);
	/** A number that no record has or had, larger than all. */
	int64_t (*next_id)(void *self);
};

enum tail_note {
	TAIL_NOTE_BEGUN,     /* a new file is read from its start */
	TAIL_NOTE_ROTATED,   /* the path is another file now */
	TAIL_NOTE_TRUNCATED, /* the file was cut; read again from its start */
	TAIL_NOTE_RECOVERED, /* a rotated file or a copy was found beside the path */
	TAIL_NOTE_LOST,      /* the rest of a file cannot be found: lines may be missing */
};

struct tail_options {
	bool once;         /* the end of a file is its end: an unterminated line is given too */
	int64_t linger_ns; /* how long a rotated file must be quiet to be done; 0: 30 s */
	void (*note)(void *self, enum tail_note note, const char *text); /* may be NULL */
	void *note_self;
};

/** What tail_next() gives. */
struct tail_block {
	struct tail_record record; /* to be remembered together with the lines; covers them */
	int64_t offset;            /* of the first byte in the file */
	size_t length;             /* whole lines; 0: only the record has changed */
	char *bytes;               /* the caller's, TAIL_BLOCK_MAX of them */
};

struct tail;

/**
 * Begin to follow a path. It need not exist.
 *
 * @param path     copied
 * @param memory   borrowed until tail_close()
 * @param options  copied; NULL for none
 *
 * @retval 0        release with tail_close()
 * @retval -ENOMEM  out of memory
 * @retval -errno   of the memory, or of reading the path's directory or its files
 */
int tail_open(const char *path, const struct tail_memory *memory,
	const struct tail_options *options, struct tail **ret_tail);

/**
 * The next block of lines.
 *
 * @param now_ns  the system's time (CLOCK_REALTIME), to be compared with files' times
 * @param block   `bytes` set by the caller, the rest is written
 *
 * @retval 1        a block
 * @retval 0        nothing new
 * @retval -ENOTSUP  the path is not a regular file
 * @retval -errno   of the memory or of reading; the next call tries again
 */
int tail_next(struct tail *tail, int64_t now_ns, struct tail_block *block);

/** Does the path exist, or has something of it been found beside it? As of the last tail_next(). */
bool tail_found(const struct tail *tail);

/** Bytes that were there at the last tail_next() and have not been given yet. */
int64_t tail_behind(const struct tail *tail);

/** tail may be NULL. */
void tail_close(struct tail *tail);

#endif
