/*
 * The writer: makes batches of the chunks that are there, and each batch one transaction.
 *
 * While a batch is being written more chunks come, so batches grow with the load by themselves. A
 * batch that cannot be written is kept and tried again; meanwhile the tailers wait, and the logs
 * keep what they would have read.
 */
#include "pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RETRY_NS TMGR_SECOND
#define DRAIN_NS (15 * TMGR_SECOND)
#define PARSE_NS (10 * TMGR_SECOND)

struct batch {
	struct chunk *chunks[BATCH_CHUNKS];
	struct store_part parts[BATCH_CHUNKS];
	size_t count; /* of chunks */
	size_t parts_count;
	size_t lines;
};

/*
 * A hook for tests: the file named here gets a byte that is 1 while a transaction is open, so that
 * who kills us can tell what was hit. The kernel keeps the byte of a killed process.
 */
static volatile unsigned char *test_flag(void)
{
	const char *path = getenv("LOGSHIP_TEST_FLAG");
	unsigned char *byte;
	int fd;

	if (!path)
		return NULL;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return NULL;
	byte = ftruncate(fd, 1) < 0 ? MAP_FAILED
				    : mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return byte == MAP_FAILED ? NULL : byte;
}

static int writer_initialize(void *self, struct tmgr_context *context)
{
	struct pipeline *pipeline = self;
	struct store_options options = {
		.path = pipeline->options->database,
		.in_transaction = test_flag(),
	};
	int r = store_open(&options, &pipeline->store);

	if (r < 0) {
		r = tmgr_fail(context, r, "%s", store_error(pipeline->store));
		store_close(pipeline->store);
		pipeline->store = NULL;
	}
	return r;
}

static void drop_batch(struct batch *batch, int result)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->chunks[i]->written)
			tmgr_future_complete(batch->chunks[i]->written, result, NULL);
		chunk_destroy(batch->chunks[i]);
	}
	*batch = (struct batch){ 0 };
}

/* Wait until a chunk is parsed, which its parser does without waiting for anybody. */
static int add_chunk(struct batch *batch, struct tmgr_context *context, struct chunk *chunk)
{
	int r, result = 0;

	batch->chunks[batch->count++] = chunk;
	tmgr_uninterrupted_begin(context, tmgr_after(PARSE_NS));
	r = tmgr_future_wait(context, &chunk->parsed, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	if (r == 0)
		tmgr_future_result(&chunk->parsed, &result, NULL);
	if (r < 0 || result < 0)
		return tmgr_fail(context, r < 0 ? r : result, "a chunk of %s could not be parsed",
			chunk->path);
	if (!chunk->path) /* only to be told when it is written */
		return 0;
	batch->parts[batch->parts_count++] = (struct store_part){
		.path = chunk->path,
		.record = chunk->block.record,
		.lines = chunk->lines,
		.count = chunk->count,
	};
	batch->lines += chunk->count;
	return 0;
}

static void count_batch(
	struct pipeline *pipeline, const struct batch *batch, const struct store_result *result)
{
	struct counts *counts = &pipeline->counts;

	for (size_t i = 0; i < batch->count; i++)
		atomic_fetch_add(&counts->bytes, (long long)batch->chunks[i]->block.length);
	atomic_fetch_add(&counts->lines, (long long)result->lines);
	atomic_fetch_add(&counts->doubles, (long long)result->doubles);
	atomic_fetch_add(&counts->batches, 1);
}

/* Until it is written, or until told to stop: then what is not is read again by the next run. */
static int write_batch(
	struct pipeline *pipeline, struct tmgr_context *context, const struct batch *batch)
{
	struct store_result result;
	int r = 0, last = 0;

	if (batch->parts_count == 0)
		return 0;
	for (bool stopped = false;;) {
		r = store_write(pipeline->store, batch->parts, batch->parts_count, &result);
		if (r == 0)
			break;
		atomic_fetch_add(&pipeline->counts.failures, 1);
		if (stopped)
			return tmgr_fail(context, r, "%s; %zu lines are left to the next run",
				store_error(pipeline->store), batch->lines);
		if (r != last)
			tmgr_log(context, TMGR_LEVEL_ERROR, "%s; trying again",
				store_error(pipeline->store));
		last = r;
		stopped = tmgr_sleep(context, RETRY_NS) < 0;
	}
	if (last < 0)
		tmgr_log(context, TMGR_LEVEL_NOTICE, "writing again");
	count_batch(pipeline, batch, &result);
	return 0;
}

/* Fill a batch with what is there, and write it. */
static int ship(struct pipeline *pipeline, struct tmgr_context *context, struct batch *batch,
	struct chunk *first)
{
	struct chunk *chunk = first;
	int r;

	do {
		r = add_chunk(batch, context, chunk);
	} while (r == 0 && batch->count < BATCH_CHUNKS && batch->lines < BATCH_LINES &&
		 tmgr_channel_receive(context, pipeline->ordered, &chunk, TMGR_NOW) == 0);
	if (r == 0)
		r = write_batch(pipeline, context, batch);
	drop_batch(batch, r);
	return r;
}

static void give_up(struct pipeline *pipeline, struct batch *batch, int r)
{
	struct chunk *chunk;

	tmgr_channel_close(pipeline->ordered); /* the tailers get -EPIPE */
	while (tmgr_channel_receive(NULL, pipeline->ordered, &chunk, TMGR_NOW) == 0) {
		/* Its parser may still be at it. */
		tmgr_future_wait(NULL, &chunk->parsed, tmgr_after(PARSE_NS));
		batch->chunks[batch->count++] = chunk;
		drop_batch(batch, r);
	}
}

static int writer_execute(void *self, struct tmgr_context *context)
{
	struct pipeline *pipeline = self;
	struct batch *batch = calloc(1, sizeof(*batch));
	struct chunk *chunk;
	int r = batch ? 0 : -ENOMEM;

	tmgr_ready(context);
	while (r == 0) {
		r = tmgr_channel_receive(context, pipeline->ordered, &chunk, TMGR_NEVER);
		if (r == 0)
			r = ship(pipeline, context, batch, chunk);
	}
	if (r == -ECANCELED && tmgr_context_cancelled(context)) {
		/* All others have ended: what is in the channel is all there will be. */
		tmgr_uninterrupted_begin(context, tmgr_after(DRAIN_NS));
		r = 0;
		while (r == 0 &&
			tmgr_channel_receive(context, pipeline->ordered, &chunk, TMGR_NOW) == 0)
			r = ship(pipeline, context, batch, chunk);
		tmgr_uninterrupted_end(context);
	}
	if (r < 0 && batch)
		give_up(pipeline, batch, r);
	free(batch);
	return r;
}

static int writer_cleanup(void *self, struct tmgr_context *context)
{
	struct pipeline *pipeline = self;

	store_close(pipeline->store);
	pipeline->store = NULL;
	pipeline->ended_ns = tmgr_now();
	return 0;
}

struct tmgr_task writer_task(struct pipeline *pipeline)
{
	static const struct tmgr_task_ops ops = {
		.kind = "writer",
		.initialize = writer_initialize,
		.execute = writer_execute,
		.cleanup = writer_cleanup,
	};

	return (struct tmgr_task){ &ops, pipeline };
}
