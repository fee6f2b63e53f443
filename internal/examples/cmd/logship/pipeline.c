#include "pipeline.h"

#include <errno.h>

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

static bool take(struct tmgr_channel *channel, struct chunk **ret_chunk)
{
	return channel && tmgr_channel_receive(NULL, channel, ret_chunk, TMGR_NOW) == 0;
}

void pipeline_fini(struct pipeline *pipeline)
{
	struct chunk *chunk;

	/* Only where a task was not there to take it is something left. */
	while (take(pipeline->jobs, &chunk))
		chunk_unref(chunk);
	while (take(pipeline->ordered, &chunk))
		chunk_unref(chunk);
	tmgr_channel_unref(pipeline->ordered);
	tmgr_channel_unref(pipeline->jobs);
}

void pipeline_settle(struct pipeline *pipeline, struct chunk *chunk, int result)
{
	if (result < 0)
		atomic_fetch_add(&pipeline->counts.left, (long long)chunk->block.length);
	tmgr_future_complete(&chunk->written, result, NULL);
	chunk_unref(chunk);
}

/* The wait that bounds the pipeline. */
static int send_ordered(
	struct pipeline *pipeline, struct tmgr_context *context, struct chunk *chunk)
{
	int r = tmgr_channel_send(context, pipeline->ordered, &chunk, TMGR_NEVER);

	if (r != -ECANCELED || !chunk->path)
		return r;
	/* Told to stop with lines in hand: the writer goes on until all tailers have ended. */
	tmgr_uninterrupted_begin(context, tmgr_after(SEND_ON_STOP_NS));
	r = tmgr_channel_send(context, pipeline->ordered, &chunk, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	return r == -ETIMEDOUT ? -ECANCELED : r;
}

static int send_job(struct pipeline *pipeline, struct tmgr_context *context, struct chunk *chunk)
{
	int r;

	if (chunk->block.length == 0) {
		chunk_parsed(chunk, 0);
		return 0;
	}
	/* There is room for all that `ordered` and the writer hold. */
	tmgr_uninterrupted_begin(context, tmgr_after(SEND_ON_STOP_NS));
	r = tmgr_channel_send(context, pipeline->jobs, &chunk, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	if (r < 0)
		chunk_parsed(chunk, r); /* the writer has it, and is told */
	return r < 0 ? -EPIPE : 0;
}

int pipeline_send(struct pipeline *pipeline, struct tmgr_context *context, struct chunk *chunk)
{
	int r = send_ordered(pipeline, context, chunk_ref(chunk));

	if (r < 0) {
		pipeline_settle(pipeline, chunk, r);
		chunk_unref(chunk);
		return r;
	}
	return send_job(pipeline, context, chunk); /* which takes our reference to the parser */
}

int pipeline_flush(struct pipeline *pipeline, struct tmgr_context *context)
{
	struct chunk *chunk = chunk_create(NULL);
	int result = 0, r;

	if (!chunk)
		return -ENOMEM;
	r = pipeline_send(pipeline, context, chunk_ref(chunk));
	/* A stop ends this wait: the writer can be stopped only after us, and may be at it for ever.
	 */
	if (r == 0)
		r = tmgr_future_wait(context, &chunk->written, TMGR_NEVER);
	if (r == 0)
		tmgr_future_result(&chunk->written, &result, NULL);
	chunk_unref(chunk);
	return result < 0 ? -EPIPE : r;
}

int pipeline_await_stop(struct tmgr_context *context)
{
	tmgr_sleep_until(context, TMGR_NEVER);
	return -ECANCELED;
}
