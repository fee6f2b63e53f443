/*
 * The files: a tailer for each path, started and ended as the list of paths changes.
 *
 * A path that is taken from the list and put back later must find its offset in the database. So
 * when a tailer is ended all it has read is written before the next list is looked at.
 */
#include "names.h"
#include "pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct files {
	struct pipeline *pipeline;
	struct names names;
	struct tailer **tailers;
	size_t count;
	struct tmgr_group *group;
};

static void destroy_tailer(struct tailer *tailer)
{
	tmgr_handle_release(tailer->handle);
	free(tailer->path);
	free(tailer);
}

/* One that is stuck has not ended, though nobody waits for it any more: it keeps what it has. */
static void give_back(struct files *files, struct tailer *tailer)
{
	int result = 0;

	tmgr_handle_result(tailer->handle, &result);
	if (result == -TMGR_ESTUCK)
		return;
	atomic_fetch_sub(&files->pipeline->counts.files, tailer->found);
	destroy_tailer(tailer);
}

static int check_names(struct files *files, struct tmgr_context *context)
{
	const struct options *options = files->pipeline->options;
	struct stat st;

	if (files->names.count == 0 && files->names.unmatched)
		return tmgr_fail(context, -ENOENT, "no file fits %s", files->names.unmatched);
	if (files->names.count == 0 && !options->list)
		return tmgr_fail(context, -ENOENT, "no log files here: name some");
	for (size_t i = 0; i < files->names.count; i++) {
		const char *path = files->names.paths[i];

		if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
			return tmgr_fail(context, -ENOTSUP, "%s: not a regular file", path);
	}
	return 0;
}

static int files_initialize(void *self, struct tmgr_context *context)
{
	struct files *files = self;
	const struct options *options = files->pipeline->options;
	int r = names_init(&files->names, options);

	if (r < 0 && options->list)
		return tmgr_fail(context, r, "%s", options->list);
	if (r < 0)
		return r;
	r = check_names(files, context);
	if (r == 0 && !options->once)
		tmgr_reload_requested(context); /* from now on HUP does not stop us */
	return r;
}

static int start_tailer(struct files *files, struct tmgr_context *context, const char *path)
{
	struct tailer **grown = reallocarray(
		files->tailers, files->count + 1, sizeof(struct tailer *));
	struct tailer *tailer = calloc(1, sizeof(*tailer));
	int r = -ENOMEM;

	if (grown)
		files->tailers = grown;
	if (!grown || !tailer)
		goto fail;
	tailer->pipeline = files->pipeline;
	tailer->path = strdup(path);
	if (!tailer->path)
		goto fail;
	r = tmgr_spawn(context, files->group, tailer_task(tailer), &tailer->handle);
	if (r < 0)
		goto fail;
	files->tailers[files->count++] = tailer;
	return 0;
fail:
	if (tailer)
		destroy_tailer(tailer);
	return tmgr_fail(context, r, "%s: no tailer could be started", path);
}

static struct tailer *find_tailer(struct files *files, const char *path)
{
	for (size_t i = 0; i < files->count; i++) {
		if (strcmp(files->tailers[i]->path, path) == 0)
			return files->tailers[i];
	}
	return NULL;
}

static int start_new(struct files *files, struct tmgr_context *context)
{
	int r = 0;

	for (size_t i = 0; i < files->names.count && r == 0; i++) {
		if (!find_tailer(files, files->names.paths[i]))
			r = start_tailer(files, context, files->names.paths[i]);
	}
	return r;
}

/* End the tailers whose paths are gone from the list; what they have read is written first. */
static int end_old(struct files *files, struct tmgr_context *context)
{
	size_t kept = 0, ended = 0;
	struct tailer **old = calloc(files->count + 1, sizeof(struct tailer *));
	int r = 0;

	if (!old)
		return -ENOMEM;
	for (size_t i = 0; i < files->count; i++) {
		struct tailer *tailer = files->tailers[i];

		if (names_have(&files->names, tailer->path)) {
			files->tailers[kept++] = tailer;
		} else {
			tmgr_handle_cancel(tailer->handle, 0, "no longer in the list");
			old[ended++] = tailer;
		}
	}
	files->count = kept;
	tmgr_uninterrupted_begin(context, TMGR_NEVER); /* they were cancelled: this is short */
	for (size_t i = 0; i < ended; i++)
		tmgr_handle_wait(context, old[i]->handle, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	for (size_t i = 0; i < ended; i++)
		tmgr_log(context, TMGR_LEVEL_INFO, "%s: no longer in the list", old[i]->path);
	if (ended > 0)
		r = pipeline_flush(files->pipeline, context);
	for (size_t i = 0; i < ended; i++)
		give_back(files, old[i]);
	free(old);
	return r;
}

static int reload(struct files *files, struct tmgr_context *context)
{
	struct names names;
	int r = names_init(&names, files->pipeline->options);

	if (r < 0) {
		tmgr_log(context, TMGR_LEVEL_ERROR, "the list stays as it was: %s",
			tmgr_strerror(r));
		names_fini(&names);
		return 0;
	}
	names_fini(&files->names);
	files->names = names;
	r = end_old(files, context);
	if (r == -EPIPE)
		return pipeline_await_stop(context);
	if (r == 0)
		r = start_new(files, context);
	if (r == 0)
		tmgr_log(context, TMGR_LEVEL_NOTICE, "following %zu files", files->count);
	return r;
}

/* All is shipped. A file that was not there is an error, but does not keep the others back. */
static int finish_once(struct files *files, struct tmgr_context *context)
{
	const char *text = "";
	int r = tmgr_group_wait(context, files->group, TMGR_NEVER);
	int error;
	size_t failed = 0;

	while (tmgr_group_error(files->group, failed, &error, NULL) == 0)
		failed++;
	if (failed == 0)
		return r;
	tmgr_group_error(files->group, 0, &error, &text);
	if (failed == 1)
		return tmgr_fail(context, error, "%s", text);
	return tmgr_fail(context, error, "%s; and %zu more files failed", text, failed - 1);
}

static int keep_up(struct files *files, struct tmgr_context *context)
{
	struct tmgr_select_case hangup = { .op = TMGR_SELECT_RELOAD };
	int r;

	do {
		r = tmgr_select(context, &hangup, 1, TMGR_NEVER);
		if (r >= 0)
			r = reload(files, context);
	} while (r >= 0);
	return r;
}

static int files_execute(void *self, struct tmgr_context *context)
{
	struct files *files = self;
	struct tmgr_group_options options = { .keep_going = true };
	int r = tmgr_group_create(context, &options, &files->group);

	if (r < 0)
		return r;
	r = start_new(files, context);
	if (r == 0) {
		tmgr_ready(context);
		r = files->pipeline->options->once ? finish_once(files, context)
						   : keep_up(files, context);
	}
	tmgr_group_destroy(files->group);
	for (size_t i = 0; i < files->count; i++)
		destroy_tailer(files->tailers[i]);
	files->count = 0;
	return r;
}

static void files_destroy(void *self)
{
	struct files *files = self;

	free(files->tailers);
	names_fini(&files->names);
	free(files);
}

struct tmgr_task files_task(struct pipeline *pipeline)
{
	static const struct tmgr_task_ops ops = {
		.kind = "files",
		.initialize = files_initialize,
		.execute = files_execute,
		.destroy = files_destroy,
	};
	struct files *files = calloc(1, sizeof(*files));

	if (!files)
		return tmgr_task_failed(-ENOMEM);
	files->pipeline = pipeline;
	return (struct tmgr_task){ &ops, files };
}
