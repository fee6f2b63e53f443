/*
 * Where lines are kept: a SQLite database that one writer owns.
 *
 * A batch is one transaction: its lines, and for each of their files how far it has been read.
 * Either both are on the disk or neither is, so a run that is killed at any moment goes on exactly
 * behind the last line that is there. UNIQUE(file, offset) keeps a line from being there twice.
 */
#ifndef STORE_H
#define STORE_H

#include "internal/examples/pkg/logline/logline.h"
#include "internal/examples/pkg/tail/follow.h"

struct store;

struct store_options {
	const char *path;
	int busy_ms; /* how long to wait for readers that lock the database; 0: 5000 */
	/* A byte that is 1 while a transaction is open and else 0; for tests that kill. May be
	 * NULL. */
	volatile unsigned char *in_transaction;
};

/** A line as it is written. The texts stay the caller's. */
struct store_line {
	struct tail_line raw;
	struct logline parsed;
};

/** Lines of one file, and what is to be remembered of it with them. */
struct store_part {
	const char *path;
	struct tail_record record;
	const struct store_line *lines;
	size_t count;
};

struct store_result {
	size_t lines;   /* written */
	size_t doubles; /* were there already */
	int64_t bytes;  /* of the lines written, without newlines */
};

/**
 * Open a database, or make one.
 *
 * @param ret_store  written also on failure, so that store_error() can say why; NULL only for
 *                   -ENOMEM. Release with store_close() in any case
 *
 * @retval 0        opened
 * @retval -EBUSY   another process writes to it
 * @retval -EINVAL  it is not a database, or not one of ours, or of a later version
 * @retval -errno   of opening or reading it
 * @retval -ENOMEM  out of memory
 */
int store_open(const struct store_options *options, struct store **ret_store);

/**
 * Write a batch, in the order given, as one transaction.
 *
 * @param ret_result  may be NULL
 *
 * @retval 0        it is on the disk
 * @retval -ENOSPC  the disk is full; nothing was written, and the same batch can be tried again
 * @retval -EBUSY   readers locked the database for longer than busy_ms; likewise
 * @retval -EIO     of the disk; likewise
 * @retval -errno   otherwise; likewise
 */
int store_write(struct store *store, const struct store_part *parts, size_t count,
	struct store_result *ret_result);

/** What earlier runs have written, for the tailers; any thread. Valid until store_close(). */
const struct tail_memory *store_memory(struct store *store);

/** Why the last call failed; "" if none did. Of the thread that writes. */
const char *store_error(const struct store *store);

/** store may be NULL. */
void store_close(struct store *store);

#endif
