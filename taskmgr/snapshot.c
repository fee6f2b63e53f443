#include <taskmgr/snapshot.h>

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "manager.h"

/* The header and its tasks are one piece of memory. */
struct room {
	struct tmgr_snapshot snapshot;
	struct tmgr_snapshot_task tasks[];
};

static size_t count_list(const struct tmgr__list *list)
{
	struct tmgr__list *node;
	size_t count = 0;

	tmgr__list_for (node, list)
		count++;
	return count;
}

static void fill_durations(
	struct tmgr_snapshot_task *task, const struct tmgr__record *record, int64_t now)
{
	task->initialize_ns = record->initialize_ns;
	task->execute_ns = record->execute_ns;
	task->cleanup_ns = record->cleanup ? record->cleanup->took_ns : 0;
	if (record->began == 0)
		return;
	if (record->state == TMGR_STATE_INITIALIZING)
		task->initialize_ns = now - record->began;
	else if (record->state == TMGR_STATE_RUNNING || record->state == TMGR_STATE_STUCK)
		task->execute_ns = now - record->began;
	else if (record->state == TMGR_STATE_CLEANING)
		task->cleanup_ns = now - record->began;
}

static void fill(struct tmgr_snapshot_task *task, const struct tmgr__record *record, int64_t now)
{
	const char *waiting = __atomic_load_n(&record->context.waiting, __ATOMIC_ACQUIRE);

	tmgr__manager_path(record->manager, record->name, task->path, sizeof(task->path));
	task->kind = record->kind;
	task->waiting = waiting ? waiting : "";
	task->waiting_fd = -1;
	if (waiting && waiting[0] == 'd')
		task->waiting_fd = __atomic_load_n(&record->context.waiting_fd, __ATOMIC_RELAXED);
	task->group = record->group ? record->group->name : "";
	task->host = record->host;
	task->policy = record->policy;
	task->state = record->state;
	task->long_running = record->long_running;
	task->ready = record->ready;
	task->cancelled = tmgr_context_cancelled(&record->context);
	task->last_error = record->last_error;
	task->restarts = record->restarts;
	task->since = record->since;
	task->next_attempt = record->next_attempt > now ? record->next_attempt : 0;
	fill_durations(task, record, now);
}

static size_t fill_list(
	struct tmgr_snapshot_task *tasks, const struct tmgr__list *list, int64_t now)
{
	struct tmgr__list *node;
	size_t count = 0;

	tmgr__list_for (node, list)
		fill(&tasks[count++], container_of(node, struct tmgr__record, node), now);
	return count;
}

static void fill_all(struct tmgr_manager *manager, struct room *room)
{
	struct tmgr_snapshot *snapshot = &room->snapshot;
	int64_t now = tmgr__manager_now(manager);

	snapshot->state = manager->state;
	snapshot->time = now;
	snapshot->pool_threads = manager->pool.threads;
	snapshot->pool_blocked = count_list(&manager->pool.blocked);
	snapshot->pool_queued = manager->pool.queued;
	snapshot->events_dropped = __atomic_load_n(&manager->events->dropped, __ATOMIC_RELAXED);
	snapshot->tasks = room->tasks;
	snapshot->count = fill_list(room->tasks, &manager->tasks, now);
	snapshot->count += fill_list(room->tasks + snapshot->count, &manager->executes, now);
	snapshot->count += fill_list(room->tasks + snapshot->count, &manager->failed, now);
}

int tmgr_manager_snapshot(struct tmgr_manager *manager, struct tmgr_snapshot **ret_snapshot)
{
	struct room *room = NULL;
	size_t fits = 0, count;
	int r;

	if (!manager || !ret_snapshot)
		return -EINVAL;
	r = tmgr__manager_check_fork(manager);
	if (r < 0)
		return r;
	for (;;) {
		tmgr__manager_lock(manager);
		count = count_list(&manager->tasks) + count_list(&manager->executes) +
			count_list(&manager->failed);
		if (room && count <= fits)
			break;
		tmgr__manager_unlock(manager);
		/* A few more, for those that are added until the lock is taken again. */
		free(room);
		fits = count + count / 8 + 16;
		room = malloc(sizeof(*room) + fits * sizeof(room->tasks[0]));
		if (!room)
			return -ENOMEM;
	}
	fill_all(manager, room);
	tmgr__manager_unlock(manager);
	*ret_snapshot = &room->snapshot;
	return 0;
}

void tmgr_snapshot_destroy(struct tmgr_snapshot *snapshot)
{
	if (snapshot)
		free(container_of(snapshot, struct room, snapshot));
}
