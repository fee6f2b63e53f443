#include "pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEND_ON_STOP_NS (5 * TMGR_SECOND)

int pipeline_init(struct pipeline *pipeline, const struct options *options)
{
	int r;

	*pipeline = (struct pipeline){ .options = options, .begun_ns = tmgr_now() };
	r = tmgr_channel_create(sizeof(struct chunk *), JOBS_MAX, &pipeline->jobs);
	if (r == 0)
		r = tmgr_channel_create(sizeof(struct chunk *), ORDERED_MAX, &pipeline->ordered);
	return r;
}

void pipeline_fini(struct pipeline *pipeline)
{
	struct chunk *chunk;

	/* Only when a task has failed is something left. */
	while (pipeline->ordered &&
		tmgr_channel_receive(NULL, pipeline->ordered, &chunk, TMGR_NOW) == 0)
		chunk_destroy(chunk);
	tmgr_channel_unref(pipeline->ordered);
	tmgr_channel_unref(pipeline->jobs);
}

struct chunk *chunk_create(const char *path)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk));

	if (!chunk)
		return NULL;
	tmgr_future_init(&chunk->parsed);
	chunk->path = path ? strdup(path) : NULL;
	chunk->block.bytes = malloc(TAIL_BLOCK_MAX);
	if (!chunk->block.bytes || (path && !chunk->path)) {
		chunk_destroy(chunk);
		return NULL;
	}
	return chunk;
}

void chunk_destroy(struct chunk *chunk)
{
	if (!chunk)
		return;
	tmgr_future_fini(&chunk->parsed);
	free(chunk->lines);
	free(chunk->path);
	free(chunk->block.bytes);
	free(chunk);
}

/* The wait that bounds the pipeline. */
static int send_ordered(
	struct pipeline *pipeline, struct tmgr_context *context, struct chunk *chunk)
{
	int r = tmgr_channel_send(context, pipeline->ordered, &chunk, TMGR_NEVER);

	if (r != -ECANCELED)
		return r;
	/* Told to stop with lines in hand: the writer goes on until all tailers have ended. */
	tmgr_uninterrupted_begin(context, tmgr_after(SEND_ON_STOP_NS));
	r = tmgr_channel_send(context, pipeline->ordered, &chunk, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	return r;
}

int pipeline_send(struct pipeline *pipeline, struct tmgr_context *context, struct chunk *chunk)
{
	int r = send_ordered(pipeline, context, chunk);

	if (r < 0) {
		chunk_destroy(chunk);
		return r == -ETIMEDOUT ? -ECANCELED : r;
	}
	if (chunk->block.length == 0) {
		tmgr_future_complete(&chunk->parsed, 0, NULL);
		return 0;
	}
	/* There is room for all that `ordered` and the writer hold. */
	tmgr_uninterrupted_begin(context, tmgr_after(SEND_ON_STOP_NS));
	r = tmgr_channel_send(context, pipeline->jobs, &chunk, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	if (r < 0)
		tmgr_future_complete(&chunk->parsed, r, NULL);
	return r;
}

int pipeline_flush(struct pipeline *pipeline, struct tmgr_context *context)
{
	struct tmgr_future written = TMGR_FUTURE_INIT;
	struct chunk *chunk = chunk_create(NULL);
	int r;

	if (!chunk)
		return -ENOMEM;
	chunk->written = &written;
	r = pipeline_send(pipeline, context, chunk);
	if (r < 0)
		return r;
	/* The writer completes it, also when it gives up: so this ends, and must not before that.
	 */
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	tmgr_future_wait(context, &written, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	tmgr_future_result(&written, &r, NULL);
	tmgr_future_fini(&written);
	return r;
}
