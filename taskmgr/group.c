/*
 * Task groups. A group's counts and lists are guarded by the manager's lock. Its memory is the
 * parent's: a child touches it last when it counts itself off, and, if the parent waits then,
 * completes the future it waits for.
 */
#include <taskmgr/group.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "future.h"
#include "manager.h"

struct tmgr_group {
	struct tmgr_group *next; /* of the context's */
	struct tmgr_context *context;
	struct tmgr__record *record; /* of the parent */
	struct tmgr_token *token;
	struct tmgr_group_options options;
	size_t live;    /* children that have not ended, queued ones too */
	size_t running; /* of these, those given to the pool */
	unsigned spawned;
	int error;    /* of the first child that failed */
	bool awaited; /* the parent waits for `idle` */
	struct tmgr_future idle;
	struct tmgr__list queued; /* behind running_max */
	struct tmgr__list failed; /* ended with an error */
};

int tmgr_group_create(struct tmgr_context *context, const struct tmgr_group_options *options,
	struct tmgr_group **ret_group)
{
	struct tmgr_group *group;
	int r;

	/* Of one whose function has returned nobody would close it. */
	if (!context || !ret_group || !context->open)
		return -EINVAL;
	group = calloc(1, sizeof(*group));
	if (!group)
		return -ENOMEM;
	r = tmgr_token_create(tmgr_context_token(context), &group->token);
	if (r < 0) {
		free(group);
		return r;
	}
	if (options)
		group->options = *options;
	group->context = context;
	group->record = context->record;
	tmgr__list_init(&group->queued);
	tmgr__list_init(&group->failed);
	group->next = context->groups;
	context->groups = group;
	*ret_group = group;
	return 0;
}

/*
 * The group meant, which may have to be made; -EINVAL when it is another task's, or another
 * coroutine's: two must not wait for it.
 */
static int find_group(struct tmgr_context *context, struct tmgr_group **group)
{
	if (!context)
		return -EINVAL;
	if (*group)
		return (*group)->context->base == context->base ? 0 : -EINVAL;
	if (!context->default_group) {
		int r = tmgr_group_create(context, NULL, &context->default_group);

		if (r < 0)
			return r;
	}
	*group = context->default_group;
	return 0;
}

static int check_child(struct tmgr_task task)
{
	unsigned phases = tmgr_task_phases(task);
	int r = tmgr_task_error(task);

	if (r < 0)
		return r;
	return phases == TMGR_EXECUTE ? 0 : -EINVAL;
}

static struct tmgr__record *make_child(struct tmgr_group *group, struct tmgr_task task)
{
	struct tmgr_manager *manager = group->record->manager;
	char name[TMGR_NAME_MAX + 1];
	struct tmgr__record *record;

	snprintf(name, sizeof(name), "%.48s#%u", group->record->name, ++group->spawned);
	tmgr__lock_acquire(&manager->spare_lock);
	record = tmgr__manager_take_spare(manager);
	tmgr__lock_release(&manager->spare_lock);
	if (record)
		tmgr__record_init(record, name, task);
	else
		record = tmgr__record_create(NULL, name, task, TMGR__RECORD_EXECUTE);
	if (!record)
		return NULL;
	record->manager = manager;
	record->policy = TMGR_ERROR;
	record->phases = TMGR_EXECUTE;
	record->on = group->options.on_pool ? NULL : group->context->host;
	record->host = record->on ? TMGR_HOST_LOOP : TMGR_HOST_POOL;
	record->task_group = group;
	record->added_by = group->record->long_running ? group->record : group->record->added_by;
	record->context.parent_token = group->token;
	record->context.token = &record->token;
	record->context.text = record->text;
	return record;
}

/* Under the lock: put it behind those that run. */
static void queue_child(struct tmgr_group *group, struct tmgr__record *record)
{
	struct tmgr_manager *manager = record->manager;

	tmgr__list_append(&manager->executes, &record->node);
	tmgr__record_set_state(record, TMGR_STATE_QUEUED, 0);
	record->executing = true;
	manager->executing++;
	manager->executed++;
	record->behind = true;
	tmgr__list_append(&group->queued, &record->queue);
	tmgr__manager_unlock(manager);
}

static int start_child(
	struct tmgr_group *group, struct tmgr__record *record, struct tmgr_handle *ret_handle)
{
	struct tmgr_manager *manager = record->manager;
	struct tmgr_handle handle = { NULL, 0 };
	size_t max = group->options.running_max;
	int r;

	tmgr__manager_lock(manager);
	r = ret_handle ? tmgr__handle_reserve(manager) : 0;
	if (r < 0) {
		tmgr__manager_unlock(manager);
		return r;
	}
	if (ret_handle)
		handle = tmgr__handle_give(manager, record);
	group->live++;
	if (max > 0 && group->running >= max) {
		queue_child(group, record);
	} else {
		group->running++;
		r = tmgr__manager_submit(manager, record);
		if (r < 0) {
			tmgr__manager_lock(manager);
			group->live--;
			group->running--;
			tmgr__manager_unlock(manager);
		}
	}
	if (r == 0 && ret_handle)
		*ret_handle = handle;
	return r;
}

int tmgr__spawn(struct tmgr_context *context, struct tmgr_group *group, struct tmgr_task task,
	struct tmgr_handle *ret_handle)
{
	struct tmgr__record *record = NULL;
	int r = check_child(task);

	/* The threads, and whoever holds the locks, are not in a forked child. */
	if (r == 0 && context)
		r = tmgr__manager_check_fork(context->record->manager);
	if (r == 0)
		r = find_group(context, &group);
	if (r == 0 && tmgr_token_fired(group->token))
		r = -ECANCELED;
	if (r == 0) {
		record = make_child(group, task);
		r = record ? tmgr__host_hold(record) : -ENOMEM;
	}
	if (r == 0)
		r = start_child(group, record, ret_handle);
	if (r < 0 && record) {
		tmgr__host_release(record);
		tmgr__record_unref(record);
	}
	return r;
}

int tmgr_spawn(struct tmgr_context *context, struct tmgr_group *group, struct tmgr_task task,
	struct tmgr_handle *ret_handle)
{
	int r = tmgr__spawn(context, group, task, ret_handle);

	if (r < 0)
		tmgr_task_destroy(task);
	return r;
}

int tmgr_group_cancel(struct tmgr_group *group)
{
	return group ? tmgr_token_cancel(group->token, 0, "task group cancelled") : -EINVAL;
}

struct tmgr__record *tmgr__child_parent(const struct tmgr__record *record)
{
	return record->task_group ? record->task_group->record : NULL;
}

void tmgr__child_end(struct tmgr__record *record, struct tmgr__end end)
{
	struct tmgr_group *group = record->task_group;
	struct tmgr__verdict verdict;

	tmgr__policy_judge(TMGR_ERROR, end, &verdict);
	if (verdict.error == 0)
		return;
	record->failed = true;
	record->last_error = verdict.error;
	if (group->error == 0)
		group->error = verdict.error;
	tmgr__manager_event(
		record->manager, TMGR_EVENT_FAILED, record, verdict.error, record->text);
}

void tmgr__child_keep_failed(struct tmgr__record *record)
{
	tmgr__list_append(&record->task_group->failed, &record->node);
}

void tmgr__child_give_up(struct tmgr__record *record)
{
	struct tmgr_group *group = record->task_group;
	struct tmgr_manager *manager = record->manager;
	struct tmgr__list *node;

	while ((node = tmgr__list_pop(&group->queued))) {
		struct tmgr__record *next = container_of(node, struct tmgr__record, queue);

		group->running++;
		if (next->on)
			tmgr__list_append(&manager->pool.hosted, node);
		else
			tmgr__pool_push(&manager->pool, next);
		manager->deferred |= TMGR__DEFER_WAKE_RUN;
	}
}

void tmgr__child_settle(struct tmgr__record *record, struct tmgr_group *group)
{
	struct tmgr_manager *manager = record->manager;
	struct tmgr__record *next = NULL;
	struct tmgr__list *node;
	bool last;

	if (record->failed && !group->options.keep_going)
		tmgr_token_cancel(group->token, record->last_error, record->name);
	tmgr__manager_lock(manager);
	group->running--;
	/* This thread looks at the pool's queue next. */
	node = tmgr__list_pop(&group->queued);
	if (node) {
		group->running++;
		next = container_of(node, struct tmgr__record, queue);
		next->behind = false;
	}
	if (next && !next->on)
		tmgr__pool_push(&manager->pool, next);
	last = --group->live == 0 && group->awaited;
	if (last)
		group->awaited = false;
	tmgr__manager_unlock(manager);
	if (next && next->on)
		tmgr__host_start(next);
	if (last)
		tmgr_future_complete(&group->idle, 0, NULL);
}

/* Wait until no child is left; -ETIMEDOUT when some are. */
static int wait_idle(struct tmgr_context *context, struct tmgr_group *group, int64_t deadline)
{
	struct tmgr_manager *manager = group->record->manager;
	bool awaited;
	int r;

	tmgr__manager_lock(manager);
	awaited = group->live > 0;
	if (awaited) {
		tmgr_future_init(&group->idle);
		group->awaited = true;
	}
	tmgr__manager_unlock(manager);
	if (!awaited)
		return 0;
	r = tmgr__future_wait_shielded(context, &group->idle, deadline, "group");
	if (r == 0)
		return 0;
	tmgr__manager_lock(manager);
	awaited = group->awaited;
	group->awaited = false;
	tmgr__manager_unlock(manager);
	if (awaited)
		return r;
	/* The last child is just about to complete it. */
	return tmgr__future_wait_shielded(context, &group->idle, TMGR_NEVER, "group");
}

int tmgr_group_wait(struct tmgr_context *context, struct tmgr_group *group, int64_t deadline)
{
	int r;

	if (!context)
		return -EINVAL;
	r = tmgr__manager_check_fork(context->record->manager);
	if (r < 0)
		return r;
	if (!group && !context->default_group)
		return 0;
	r = find_group(context, &group);
	if (r == 0)
		r = wait_idle(context, group, deadline);
	return r < 0 ? r : group->error;
}

int tmgr_group_error(struct tmgr_group *group, size_t index, int *ret_error, const char **ret_text)
{
	struct tmgr__record *found = NULL;
	struct tmgr__list *node;

	if (!group || !ret_error)
		return -EINVAL;
	tmgr__manager_lock(group->record->manager);
	tmgr__list_for (node, &group->failed) {
		if (index-- > 0)
			continue;
		found = container_of(node, struct tmgr__record, node);
		*ret_error = found->last_error;
		if (ret_text)
			*ret_text = found->text;
		break;
	}
	tmgr__manager_unlock(group->record->manager);
	return found ? 0 : -ENOENT;
}

static void destroy(struct tmgr_context *context, struct tmgr_group *group)
{
	struct tmgr_group **link;
	struct tmgr__list *node;

	tmgr_token_cancel(group->token, 0, "task group destroyed");
	wait_idle(context, group, TMGR_NEVER);
	for (link = &context->groups; *link != group; link = &(*link)->next)
		check(*link != NULL);
	*link = group->next;
	if (context->default_group == group)
		context->default_group = NULL;
	if (context->call_group == group)
		context->call_group = NULL;
	while ((node = tmgr__list_pop(&group->failed)))
		tmgr__record_unref(container_of(node, struct tmgr__record, node));
	tmgr_token_unref(group->token);
	free(group);
}

/* It waits with the context that the group was opened with: for others to use, a child for one, it is not. */
static bool is_here(const struct tmgr_context *context)
{
	return tmgr__context_here && tmgr__context_here->base == context->base;
}

void tmgr_group_destroy(struct tmgr_group *group)
{
	if (!group)
		return;
	if (!is_here(group->context))
		tmgr__misuse_context(tmgr_context_name(group->context));
	destroy(group->context, group);
}

void tmgr__groups_close(struct tmgr_context *context)
{
	while (context->groups)
		destroy(context, context->groups);
}
