#include "onfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/tasks/process_sqlite.h>

/* What SQLite and the store keep beside the file. */
static const char *const beside[] = { "", "-wal", "-shm", "-journal", ".lock" };

static int make_directory(struct onfile *onfile)
{
	const char *top = getenv("TMPDIR");
	int length = snprintf(onfile->directory, sizeof(onfile->directory), "%s/taskmgr.XXXXXX",
		top && *top ? top : "/tmp");

	if (length < 0 || (size_t)length + sizeof("/processes.db") > sizeof(onfile->directory))
		return -ENAMETOOLONG;
	if (!mkdtemp(onfile->directory))
		return -errno;
	memcpy(onfile->path, onfile->directory, (size_t)length);
	strcpy(onfile->path + length, "/processes.db");
	return 0;
}

static int name_file(struct onfile *onfile, const char *path)
{
	if (!path)
		return make_directory(onfile);
	if (strlen(path) >= sizeof(onfile->path))
		return -ENAMETOOLONG;
	strcpy(onfile->path, path);
	return 0;
}

static void remove_directory(struct onfile *onfile)
{
	char path[PATH_MAX + 16];

	if (!onfile->directory[0])
		return;
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", onfile->path, beside[i]);
		unlink(path);
	}
	rmdir(onfile->directory);
}

int onfile_init(struct onfile *onfile, const char *path)
{
	struct tmgr_store *store = NULL;
	int r;

	*onfile = (struct onfile){ 0 };
	r = name_file(onfile, path);
	if (r == 0)
		r = tmgr_store_sqlite_create(onfile->path, NULL, &store);
	if (r == 0)
		r = tmgr_processes_create(store, NULL, &onfile->processes);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path ? path : "a temporary file", tmgr_strerror(r));
		onfile_fini(onfile);
	}
	return r;
}

void onfile_fini(struct onfile *onfile)
{
	tmgr_processes_unref(onfile->processes);
	remove_directory(onfile);
	*onfile = (struct onfile){ 0 };
}

void onfile_add_tasks(struct onfile *onfile, struct tmgr_manager *manager)
{
	/* Of the 25 s of a whole stop: a method that hangs leaves the store time to be closed. */
	const struct tmgr_task_options workers = { .stop_ns = 15 * TMGR_SECOND };

	tmgr_manager_add_task(
		manager, "processes", tmgr_processes_task(onfile->processes), TMGR_STRICT);
	tmgr_manager_add_task_with(manager, "workers",
		tmgr_processes_workers(onfile->processes, NULL), TMGR_STRICT, &workers);
}

struct tmgr_bytes onfile_text(const char *text)
{
	return (struct tmgr_bytes){ text, strlen(text) };
}

int onfile_send(struct tmgr_context *context, struct tmgr_processes *processes, const char *channel,
	const char *text)
{
	const struct tmgr_process_outside message = { .channel = channel,
		.value = onfile_text(text) };

	return tmgr_processes_send(context, processes, &message, TMGR_NEVER);
}

int onfile_start(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_child *child)
{
	int r = tmgr_processes_start(context, processes, child, TMGR_NEVER);

	return r == -EEXIST ? 0 : r;
}

static int steps_of(struct tmgr_context *context, struct tmgr_processes *processes, const char *id,
	uint64_t *ret_steps)
{
	const struct tmgr_process_command get = { .kind = TMGR_PROCESS_GET, .id = id };
	struct tmgr_process_request *request = NULL;
	int r = tmgr_processes_do(context, processes, &get, TMGR_NEVER, &request);

	if (r == 0)
		*ret_steps = tmgr_process_request_infos(request, NULL)->steps;
	tmgr_process_request_release(request);
	return r;
}

/* What has happened is asked for before the process is looked at, so that nothing is missed. */
int onfile_wait_steps(struct tmgr_context *context, struct tmgr_processes *processes,
	const char *id, uint64_t steps)
{
	struct tmgr_processes_stats stats;
	uint64_t made = 0;
	int r;

	for (;;) {
		r = tmgr_processes_stats(processes, &stats);
		if (r == 0)
			r = steps_of(context, processes, id, &made);
		if (r < 0 || made >= steps)
			return r;
		r = tmgr_processes_follow(context, processes, stats.sequence, TMGR_NEVER);
		if (r < 0)
			return r;
	}
}
