/*
 * The parsers: a worker pool that makes lines of chunks. What it leaves when it ends, for it could
 * not go on, is handed back, so that nobody waits for it.
 */
#include "pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <taskmgr/tasks/worker_pool.h>

static size_t count_lines(const struct tail_block *block)
{
	struct tail_line line;
	size_t cursor = 0, count = 0;

	while (tail_block_next(block->bytes, block->length, block->offset, &cursor, &line))
		count++;
	return count;
}

static int64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * TMGR_SECOND + now.tv_nsec;
}

static int parse_chunk(struct chunk *chunk)
{
	const struct tail_block *block = &chunk->block;
	struct logline_clock clock = { .now_ns = realtime_ns() };
	size_t count = count_lines(block), cursor = 0;
	struct store_line *lines = count ? calloc(count, sizeof(*lines)) : NULL;

	if (!lines)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		tail_block_next(block->bytes, block->length, block->offset, &cursor, &lines[i].raw);
		logline_parse(lines[i].raw.text, lines[i].raw.length, &clock, &lines[i].parsed);
	}
	chunk->lines = lines;
	chunk->count = count;
	return 0;
}

static int parse(void *self, struct tmgr_context *context, void *job)
{
	struct chunk *chunk;

	memcpy(&chunk, job, sizeof(struct chunk *));
	chunk_parsed(chunk, parse_chunk(chunk));
	return 0;
}

struct parsers {
	struct pipeline *pipeline;
	struct tmgr_task pool;
};

static int parsers_execute(void *self, struct tmgr_context *context)
{
	struct parsers *parsers = self;
	struct tmgr_channel *jobs = parsers->pipeline->jobs;
	int r = tmgr_task_execute(parsers->pool, context);
	struct chunk *chunk;

	tmgr_channel_close(jobs); /* senders hand theirs back themselves */
	while (tmgr_channel_receive(NULL, jobs, &chunk, TMGR_NOW) == 0)
		chunk_parsed(chunk, -EPIPE);
	return r;
}

static void parsers_destroy(void *self)
{
	struct parsers *parsers = self;

	tmgr_task_destroy(parsers->pool);
	free(parsers);
}

struct tmgr_task parsers_task(struct pipeline *pipeline)
{
	static const struct tmgr_task_ops ops = {
		.kind = "parsers",
		.execute = parsers_execute,
		.destroy = parsers_destroy,
	};
	struct tmgr_worker_pool_options options = {
		.workers = PARSERS,
		.on_stop = TMGR_WORKER_POOL_DRAIN,
	};
	struct tmgr_task pool = tmgr_worker_pool(pipeline->jobs, parse, pipeline, &options);
	struct parsers *parsers;

	if (tmgr_task_error(pool) < 0)
		return pool;
	parsers = calloc(1, sizeof(*parsers));
	if (!parsers) {
		tmgr_task_destroy(pool);
		return tmgr_task_failed(-ENOMEM);
	}
	parsers->pipeline = pipeline;
	parsers->pool = pool;
	return (struct tmgr_task){ &ops, parsers };
}
