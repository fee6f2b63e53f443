/* Which file is this? A path says where it stands, not what it is. */
#ifndef TAIL_IDENTITY_H
#define TAIL_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define TAIL_HEAD_MAX 1024

/**
 * A file: device, inode, and a hash of its first bytes, up to 1 KiB of them.
 *
 * A file shorter than that is hashed as far as it goes and the length is remembered, so that it is
 * still the same file after it has grown: same device, same inode, and the first `head_length`
 * bytes hash alike.
 */
struct tail_identity {
	uint64_t device;
	uint64_t inode;
	uint64_t head_hash;
	uint32_t head_length; /* bytes hashed; 0: nothing was there yet */
};

/** What is remembered of a file between two runs. */
struct tail_record {
	int64_t id; /* of its row; given by tail_memory.next_id */
	struct tail_identity identity;
	int64_t offset;   /* bytes shipped */
	int64_t mtime_ns; /* last modification when it was last read */
	bool done;        /* rotated away and finished: never looked for again */
};

/** Hash bytes together with their count, so that "a" and "a\0" differ. */
uint64_t tail_head_hash(const void *bytes, size_t length);

/**
 * Read the identity of an open file.
 *
 * @retval -errno  of fstat or pread
 */
int tail_identity_read(int fd, struct tail_identity *ret_identity, struct stat *ret_stat);

/**
 * Does the file still begin with the bytes that were hashed?
 *
 * Only the head is compared, not the inode, since a copy made by copytruncate has the head alone.
 *
 * @retval 1       yes
 * @retval 0       no, or it is shorter now
 * @retval -errno  of pread
 */
int tail_head_matches(int fd, const struct tail_identity *identity);

/**
 * Compare the head as tail_head_matches() does and, if it is the same, hash more of a file that has
 * grown since. One read serves both, so nothing can change in between.
 *
 * @retval 1       the same file; `identity` covers what is there now, up to 1 KiB
 * @retval 0       another file, or shorter; `identity` is as before
 * @retval -errno  of pread
 */
int tail_identity_extend(int fd, struct tail_identity *identity);

static inline bool tail_same_inode(const struct tail_identity *a, const struct tail_identity *b)
{
	return a->device == b->device && a->inode == b->inode;
}

static inline int64_t tail_mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

#endif
