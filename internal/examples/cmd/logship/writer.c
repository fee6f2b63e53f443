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
/* With a try that is under way then, this and the tailers' time fit into that of a whole stop. */
#define DRAIN_NS (10 * TMGR_SECOND)

struct batch {
	struct chunk *chunks[BATCH_CHUNKS];
	struct store_part parts[BATCH_CHUNKS];
	size_t count; /* of chunks */
	size_t parts_count;
	size_t lines;
};

struct writer {
	struct pipeline *pipeline;
	struct batch batch;
	bool draining; /* told to stop: what is in `ordered` is all there will be */
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
	struct writer *writer = self;
	struct pipeline *pipeline = writer->pipeline;
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

/* Its chunks are on the disk, or left. */
static void settle_batch(struct writer *writer, int result)
{
	struct batch *batch = &writer->batch;

	for (size_t i = 0; i < batch->count; i++)
		pipeline_settle(writer->pipeline, batch->chunks[i], result);
	*batch = (struct batch){ 0 };
}

/* A cancel has ended a wait: all others have ended. From now on only the time to drain does. */
static bool begin_drain(struct writer *writer, struct tmgr_context *context, int r)
{
	if (r != -ECANCELED || writer->draining)
		return false;
	tmgr_uninterrupted_begin(context, tmgr_after(DRAIN_NS));
	writer->draining = true;
	return true;
}

/* -ETIMEDOUT when it drains and there are no more. */
static int receive(struct writer *writer, struct tmgr_context *context, struct chunk **ret_chunk)
{
	struct tmgr_channel *ordered = writer->pipeline->ordered;
	int r = -ECANCELED;

	if (!writer->draining)
		r = tmgr_channel_receive(context, ordered, ret_chunk, TMGR_NEVER);
	if (writer->draining || begin_drain(writer, context, r))
		r = tmgr_channel_receive(context, ordered, ret_chunk, TMGR_NOW);
	return r;
}

/* Wait until a chunk is parsed, which its parser does without waiting for anybody. */
static int await_parsed(struct writer *writer, struct tmgr_context *context, struct chunk *chunk)
{
	int r = tmgr_future_wait(context, &chunk->parsed, TMGR_NEVER);
	int result = 0;

	if (begin_drain(writer, context, r))
		r = tmgr_future_wait(context, &chunk->parsed, TMGR_NEVER);
	if (r == 0)
		tmgr_future_result(&chunk->parsed, &result, NULL);
	if (result == -EPIPE) /* handed back: the parsers say why */
		return result;
	if (r < 0 || result < 0)
		return tmgr_fail(context, r < 0 ? r : result, "a chunk of %s could not be parsed",
			chunk->path);
	return 0;
}

static int add_chunk(struct writer *writer, struct tmgr_context *context, struct chunk *chunk)
{
	struct batch *batch = &writer->batch;
	int r;

	batch->chunks[batch->count++] = chunk;
	r = await_parsed(writer, context, chunk);
	if (r < 0)
		return r;
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

/* Whether a batch is to be tried again, now: once more after a stop, or until the time is up. */
static bool may_retry(struct tmgr_context *context, bool *stopped)
{
	int r;

	if (*stopped)
		return false;
	r = tmgr_sleep(context, RETRY_NS);
	*stopped = r == -ECANCELED;
	return r != -ETIMEDOUT;
}

/* Until it is written, or until told to stop: then what is not is read again by the next run. */
static int write_batch(struct writer *writer, struct tmgr_context *context)
{
	struct pipeline *pipeline = writer->pipeline;
	const struct batch *batch = &writer->batch;
	struct store_result result;
	bool stopped = false;
	int r, last = 0;

	if (batch->parts_count == 0)
		return 0;
	while ((r = store_write(pipeline->store, batch->parts, batch->parts_count, &result)) < 0) {
		atomic_fetch_add(&pipeline->counts.failures, 1);
		if (r != last && !stopped)
			tmgr_log(context, TMGR_LEVEL_ERROR, "%s; trying again",
				store_error(pipeline->store));
		last = r;
		if (!may_retry(context, &stopped))
			return tmgr_fail(context, r, "%s; %zu lines are left to the next run",
				store_error(pipeline->store), batch->lines);
	}
	if (last < 0)
		tmgr_log(context, TMGR_LEVEL_NOTICE, "writing again");
	count_batch(pipeline, batch, &result);
	return 0;
}

/* Fill a batch with what is there, and write it. */
static int ship(struct writer *writer, struct tmgr_context *context, struct chunk *first)
{
	struct batch *batch = &writer->batch;
	struct chunk *chunk = first;
	int r;

	do {
		r = add_chunk(writer, context, chunk);
	} while (r == 0 && batch->count < BATCH_CHUNKS && batch->lines < BATCH_LINES &&
		 tmgr_channel_receive(context, writer->pipeline->ordered, &chunk, TMGR_NOW) == 0);
	if (r == 0)
		r = write_batch(writer, context);
	settle_batch(writer, r);
	return r;
}

/* From now on senders get -EPIPE. Nothing is left in it but by a failure. */
static void close_ordered(struct pipeline *pipeline, int r)
{
	struct chunk *chunk;

	tmgr_channel_close(pipeline->ordered);
	while (tmgr_channel_receive(NULL, pipeline->ordered, &chunk, TMGR_NOW) == 0)
		pipeline_settle(pipeline, chunk, r < 0 ? r : -EPIPE);
}

/* Write what comes, until all is written that ever will. */
static int write_all(struct writer *writer, struct tmgr_context *context)
{
	struct chunk *chunk;
	int r;

	do {
		r = receive(writer, context, &chunk);
		if (r == -ETIMEDOUT)
			return 0;
		if (r == 0)
			r = ship(writer, context, chunk);
	} while (r == 0);
	return r;
}

static int writer_execute(void *self, struct tmgr_context *context)
{
	struct writer *writer = self;
	int r;

	tmgr_ready(context);
	r = write_all(writer, context);
	if (writer->draining)
		tmgr_uninterrupted_end(context);
	close_ordered(writer->pipeline, r);
	return r == -EPIPE ? pipeline_await_stop(context) : r;
}

static int writer_cleanup(void *self, struct tmgr_context *context)
{
	struct writer *writer = self;
	struct pipeline *pipeline = writer->pipeline;

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
		.destroy = free,
	};
	struct writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return tmgr_task_failed(-ENOMEM);
	writer->pipeline = pipeline;
	return (struct tmgr_task){ &ops, writer };
}
