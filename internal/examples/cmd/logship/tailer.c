/* One tailer: reads what is new under its path and sends it on. */
#include "pipeline.h"

#include <errno.h>
#include <time.h>

#define POLL_NS (100 * TMGR_MILLISECOND)
#define RETRY_NS TMGR_SECOND
#define RETRIES_ONCE 5

static int64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * TMGR_SECOND + now.tv_nsec;
}

static void note(void *self, enum tail_note what, const char *text)
{
	static const enum tmgr_level levels[] = {
		[TAIL_NOTE_BEGUN] = TMGR_LEVEL_DEBUG,
		[TAIL_NOTE_ROTATED] = TMGR_LEVEL_INFO,
		[TAIL_NOTE_TRUNCATED] = TMGR_LEVEL_INFO,
		[TAIL_NOTE_RECOVERED] = TMGR_LEVEL_INFO,
		[TAIL_NOTE_LOST] = TMGR_LEVEL_WARNING,
	};
	struct tailer *tailer = self;

	tmgr_log(tailer->context, levels[what], "%s: %s", tailer->path, text);
}

static void tell(struct tailer *tailer, const struct tail *tail)
{
	struct counts *counts = &tailer->pipeline->counts;
	int64_t behind = tail ? tail_behind(tail) : 0;
	bool found = tail ? tail_found(tail) : tailer->found; /* what was followed stays counted */

	atomic_fetch_add(&counts->behind, behind - tailer->behind);
	atomic_fetch_add(&counts->files, found - tailer->found);
	tailer->behind = behind;
	tailer->found = found;
}

/* One block, if there is one: 1, 0 or -errno as tail_next(). */
static int step(struct tailer *tailer, struct tmgr_context *context, struct tail *tail)
{
	struct chunk *chunk;
	int r;

	if (!tailer->spare)
		tailer->spare = chunk_create(tailer->path);
	if (!tailer->spare)
		return -ENOMEM;
	r = tail_next(tail, realtime_ns(), &tailer->spare->block);
	tell(tailer, tail);
	if (r <= 0)
		return r;
	chunk = tailer->spare;
	tailer->spare = NULL;
	r = pipeline_send(tailer->pipeline, context, chunk);
	return r < 0 ? r : 1;
}

static int fail_path(struct tailer *tailer, struct tmgr_context *context, int r)
{
	return tmgr_fail(context, r, r == -ENOTSUP ? "%s: not a regular file" : "%s", tailer->path);
}

static int follow(struct tailer *tailer, struct tmgr_context *context, struct tail *tail)
{
	bool once = tailer->pipeline->options->once;
	int last = 0, failed = 0, r;

	do {
		r = step(tailer, context, tail);
		if (r == -EPIPE)
			return pipeline_await_stop(context);
		if (r == -ECANCELED)
			return r;
		failed = r < 0 ? failed + 1 : 0;
		if (once && r < 0 && failed > RETRIES_ONCE)
			return fail_path(tailer, context, r);
		if (once && r == 0)
			return 0;
		if (r < 0 && r != last)
			tmgr_log(context, TMGR_LEVEL_WARNING, "%s: %s; trying again", tailer->path,
				tmgr_strerror(r));
		last = r < 0 ? r : 0;
		if (r <= 0)
			r = tmgr_sleep(context, r < 0 && !once ? RETRY_NS : POLL_NS);
	} while (r >= 0 && !tmgr_context_cancelled(context));
	return 0;
}

/* Open the path's files: 0, or an error with which the task ends. */
static int open_path(struct tailer *tailer, struct tmgr_context *context, struct tail **ret_tail)
{
	struct tail_options options = {
		.once = tailer->pipeline->options->once,
		.note = note,
		.note_self = tailer,
	};
	const struct tail_memory *memory = store_memory(tailer->pipeline->store);
	int r, last = 0;

	while ((r = tail_open(tailer->path, memory, &options, ret_tail)) < 0) {
		if (options.once)
			return fail_path(tailer, context, r);
		if (r != last)
			tmgr_log(context, TMGR_LEVEL_WARNING, "%s: %s; trying again", tailer->path,
				r == -ENOTSUP ? "not a regular file" : tmgr_strerror(r));
		last = r;
		r = tmgr_sleep(context, RETRY_NS);
		if (r < 0)
			return r;
	}
	return 0;
}

static int tailer_execute(void *self, struct tmgr_context *context)
{
	struct tailer *tailer = self;
	struct tail *tail = NULL;
	int r;

	tailer->context = context;
	r = open_path(tailer, context, &tail);
	if (r < 0)
		return r;
	r = follow(tailer, context, tail);
	if (r == 0 && tailer->pipeline->options->once && !tail_found(tail) &&
		!tmgr_context_cancelled(context))
		r = fail_path(tailer, context, -ENOENT);
	tell(tailer, NULL);
	tail_close(tail);
	chunk_unref(tailer->spare);
	tailer->spare = NULL;
	return r;
}

struct tmgr_task tailer_task(struct tailer *tailer)
{
	static const struct tmgr_task_ops ops = {
		.kind = "tailer",
		.execute = tailer_execute,
	};

	return (struct tmgr_task){ &ops, tailer };
}
