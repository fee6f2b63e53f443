/*
 * A file without its daemon: it is opened by the library's store, with PATH.lock, and by a runtime with
 * one thread that knows no definition, so it calls no method. To look at it, what that runtime would
 * write (that timers have fired, that methods are missing) is dropped.
 */
#include "taskctl_process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <taskmgr/tasks/process_sqlite.h>

static int say(int error, const char *path)
{
	if (error == -EBUSY)
		taskctl_error("%s: a daemon has this file; --socket names where it is asked", path);
	else if (error == -EBADMSG)
		taskctl_error("%s: not a store, or damaged", path);
	else if (error == -EPROTO)
		taskctl_error("%s: made by a later version of the library", path);
	else
		taskctl_error("%s: %s", path, tmgr_strerror(error));
	return error;
}

#if __has_include(<sqlite3.h>)

/* ---- A store that keeps what is committed to itself ----------------------------------------- */

struct looking {
	struct tmgr_store store;
	struct tmgr_store *real;
};

static struct tmgr_store *real(struct tmgr_store *store)
{
	return ((struct looking *)store)->real;
}

static int look_open(struct tmgr_store *store, struct tmgr_store_opened *ret_opened)
{
	return real(store)->ops->open(real(store), ret_opened);
}

static int look_load(struct tmgr_store *store, uint32_t partition,
	int (*visit)(void *self, const struct tmgr_store_change *row), void *self)
{
	return real(store)->ops->load(real(store), partition, visit, self);
}

static int look_commit(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	return 0;
}

static int look_trim(struct tmgr_store *store, const struct tmgr_store_trim *trim)
{
	return 0;
}

static int look_read_events(struct tmgr_store *store, const struct tmgr_store_query *query,
	int (*visit)(void *self, const struct tmgr_process_event *event), void *self)
{
	return real(store)->ops->read_events(real(store), query, visit, self);
}

static void look_health(struct tmgr_store *store, struct tmgr_store_health *ret_health)
{
	real(store)->ops->health(real(store), ret_health);
}

static int look_close(struct tmgr_store *store)
{
	return real(store)->ops->close(real(store));
}

static void look_destroy(struct tmgr_store *store)
{
	tmgr_store_destroy(real(store));
	free(store);
}

static const struct tmgr_store_ops look_ops = {
	.kind = "looking",
	.open = look_open,
	.load = look_load,
	.commit = look_commit,
	.trim = look_trim,
	.read_events = look_read_events,
	.health = look_health,
	.close = look_close,
	.destroy = look_destroy,
};

/* Takes the store, always. */
static struct tmgr_store *only_look(struct tmgr_store *taken)
{
	struct looking *looking = calloc(1, sizeof(*looking));

	if (!looking) {
		tmgr_store_destroy(taken);
		return NULL;
	}
	looking->store.ops = &look_ops;
	looking->real = taken;
	return &looking->store;
}

/* ---- The runtime ---------------------------------------------------------------------------- */

static int64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int open_runtime(struct tmgr_store *taken, struct tmgr_processes **ret_processes)
{
	const struct tmgr_processes_options options = { .single_threaded = true,
		.wall_ms = wall_ms() };
	struct tmgr_processes *processes = NULL;
	int r = tmgr_processes_create(taken, &options, &processes);

	if (r == 0)
		r = tmgr_processes_open(processes);
	if (r == 0)
		*ret_processes = processes;
	else
		tmgr_processes_unref(processes);
	return r;
}

/* Opening would make one of what is not there, and of what is empty. */
static int look_first(const char *path)
{
	struct stat about;

	if (stat(path, &about) < 0)
		return -errno;
	return S_ISREG(about.st_mode) && about.st_size == 0 ? -EBADMSG : 0;
}

int taskctl_file_open(const char *path, bool changes, struct tmgr_processes **ret_processes)
{
	struct tmgr_store *store = NULL;
	int r = look_first(path);

	if (r == 0)
		r = tmgr_store_sqlite_create(path, NULL, &store);
	if (r == 0 && !changes) {
		store = only_look(store);
		r = store ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = open_runtime(store, ret_processes);
	return r < 0 ? say(r, path) : 0;
}

/* Without room a store also is while another program writes to the file. */
static int say_no_room(const struct tmgr_store_health *store)
{
	taskctl_error("it is not done: %s", store->text[0] ? store->text : tmgr_strerror(-ENOSPC));
	return -ENOSPC;
}

int taskctl_file_close(struct tmgr_processes *processes)
{
	int r = tmgr_processes_settle(processes);
	struct tmgr_processes_stats stats = { 0 };
	int closed;

	tmgr_processes_stats(processes, &stats);
	closed = tmgr_processes_close(processes);
	tmgr_processes_unref(processes);
	if (r == -ENOSPC)
		return say_no_room(&stats.store);
	if (r == 0)
		r = closed;
	return r < 0 ? say(r, "closing the file") : 0;
}

/* ---- Check, backup -------------------------------------------------------------------------- */

static int print_finding(void *self, const char *line)
{
	puts(line);
	return 0;
}

int taskctl_file_check(const char *path)
{
	int r = tmgr_store_sqlite_check(path, print_finding, NULL);

	if (r < 0)
		return say(r, path);
	printf("%s: %d finding%s\n", path, r, r == 1 ? "" : "s");
	return r > 0 ? -EBADMSG : 0;
}

static int open_store(const char *path, struct tmgr_store **ret_store)
{
	struct tmgr_store_opened opened;
	int r = look_first(path);

	if (r < 0)
		return r;
	r = tmgr_store_sqlite_create(path, NULL, ret_store);
	if (r < 0)
		return r;
	r = (*ret_store)->ops->open(*ret_store, &opened);
	if (r < 0)
		tmgr_store_destroy(*ret_store);
	return r;
}

int taskctl_file_backup(const char *path, const char *copy)
{
	struct tmgr_store *store;
	int r = open_store(path, &store);

	if (r < 0)
		return say(r, path);
	r = store->ops->backup(store, copy, NULL, NULL);
	store->ops->close(store);
	tmgr_store_destroy(store);
	return r < 0 ? say(r, copy) : 0;
}

#else /* what was built where SQLite is missing knows sockets only */

int taskctl_file_open(const char *path, bool changes, struct tmgr_processes **ret_processes)
{
	return say(-ENOTSUP, path);
}

int taskctl_file_close(struct tmgr_processes *processes)
{
	return 0;
}

int taskctl_file_check(const char *path)
{
	return say(-ENOTSUP, path);
}

int taskctl_file_backup(const char *path, const char *copy)
{
	return say(-ENOTSUP, path);
}

#endif
