/*
 * How lines flow: from a tailer for each path, through the parsers, to the writer.
 *
 *     tailer --+--> jobs --> parsers (a worker pool)
 *              |                |  complete chunk->parsed
 *              +--> ordered ----+--> writer --> SQLite
 *
 * A chunk goes both ways: to the parsers, of which several work at a time, and in the order of
 * reading to the writer, which waits until it is parsed. So the database has each file's lines in
 * the file's order. Both channels are bounded: when the disk is slow, tailers wait.
 *
 * The tasks are stopped in reverse order of their adding, so each finds all that will ever come to
 * it when it is told to stop: tailers read no more, the parsers finish what is in `jobs`, and the
 * writer what is in `ordered`.
 *
 * Whoever has a chunk holds a reference: its tailer until it has sent it, `jobs` and then the parser
 * until that has completed `parsed`, `ordered` and then the writer until that has settled it, and
 * who waits for `written`. So nobody has to wait for another before he gives one up.
 *
 * Each chunk that is in `jobs` is completed: by a parser, or with -EPIPE when the parsers end
 * without it. Each that is in `ordered` is settled: written, or left to the next run and counted as
 * that. What is left is still in its log, for the offset in the database is not behind it.
 *
 * Only the parsers write to a chunk that was sent, and nobody reads `lines` before `parsed` is
 * done without error.
 *
 * How a stop ends, whatever is stuck: a tailer waits SEND_ON_STOP_NS for room in `ordered`, the
 * flush of a reload not at all, and the writer DRAIN_NS for parsers and for a disk. A task that
 * finds `ordered` closed waits for its own stop, which comes of the one that has failed.
 */
#ifndef LOGSHIP_PIPELINE_H
#define LOGSHIP_PIPELINE_H

#include <stdatomic.h>

#include <taskmgr/taskmgr.h>

#include "internal/examples/pkg/store/store.h"
#include "options.h"

#define ORDERED_MAX 16 /* chunks between tailers and writer */
#define JOBS_MAX 256   /* more than there can be chunks: sending to `ordered` waits first */
#define PARSERS 2
#define BATCH_LINES 20000 /* a batch is ended when it has this many */
#define BATCH_CHUNKS 64   /* or has come of this many */

struct chunk {
	atomic_int refs;
	char *path; /* NULL: nothing is to be written */
	struct tail_block block;
	struct tmgr_future parsed;
	/* Done when this and all before it are on the disk, or with an error when they are left. */
	struct tmgr_future written;
	struct store_line *lines;
	size_t count;
};

/* What the status line and the last words tell. */
struct counts {
	atomic_llong files; /* paths that are followed and exist */
	atomic_llong lines, doubles, bytes, batches, failures;
	atomic_llong behind; /* bytes seen and not read yet */
	atomic_llong left;   /* bytes that were read and are left to the next run */
};

struct pipeline {
	const struct options *options;
	struct tmgr_channel *jobs;    /* of struct chunk * */
	struct tmgr_channel *ordered; /* of struct chunk * */
	struct store *store;          /* from the writer's initialize to its cleanup */
	struct counts counts;
	int64_t begun_ns, ended_ns;
};

int pipeline_init(struct pipeline *pipeline, const struct options *options);
void pipeline_fini(struct pipeline *pipeline);

/* A chunk with memory for a block; path may be NULL, copied. NULL when out of memory. The caller
 * has its only reference. */
struct chunk *chunk_create(const char *path);
struct chunk *chunk_ref(struct chunk *chunk);
/* NULL is allowed. */
void chunk_unref(struct chunk *chunk);

/* A job is done, or will not be; the parser's reference is taken. */
void chunk_parsed(struct chunk *chunk, int result);

/* A chunk's way is over: it is on the disk, or with an error left; the writer's reference is taken.
 */
void pipeline_settle(struct pipeline *pipeline, struct chunk *chunk, int result);

/*
 * Send a chunk on its way; taken, always. Once it has been read it is sent although the task is
 * told to stop, unless the writer does not take it: then it is read again by the next run.
 *
 * 0, -ECANCELED, or -EPIPE when the writer has given up or the parsers have.
 */
int pipeline_send(struct pipeline *pipeline, struct tmgr_context *context, struct chunk *chunk);

/*
 * Wait until all that was sent so far is on the disk; 0, -ECANCELED, -ENOMEM, or -EPIPE when it
 * will never be.
 */
int pipeline_flush(struct pipeline *pipeline, struct tmgr_context *context);

/*
 * After -EPIPE: whoever has given up says why when it ends, and that stops the others. Always
 * -ECANCELED.
 */
int pipeline_await_stop(struct tmgr_context *context);

/* The tasks. `pipeline` is borrowed until they have ended. */
struct tmgr_task writer_task(struct pipeline *pipeline);
struct tmgr_task parsers_task(struct pipeline *pipeline);
struct tmgr_task status_task(struct pipeline *pipeline);
struct tmgr_task files_task(struct pipeline *pipeline);

/* Print what was done. */
void print_summary(const struct pipeline *pipeline);

/* One path, followed until it is told to stop, or with --once until its end. A child of the files
 * task. */
struct tailer {
	struct pipeline *pipeline;
	char *path;
	struct tmgr_handle handle;
	struct tmgr_context *context; /* while it runs, for notes */
	bool found;
	int64_t behind;
	struct chunk *spare; /* for the next block */
};

struct tmgr_task tailer_task(struct tailer *tailer);

#endif
