/*
 * Handles: a slot of the manager's table and the generation it had. A slot that was released has
 * another one, so old copies find nothing. A task may have several; each refers to its record.
 */
#include <taskmgr/handle.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "manager.h"

int tmgr__handle_reserve(struct tmgr_manager *manager)
{
	size_t slots = manager->handle_slots ? manager->handle_slots * 2 : 16;
	struct tmgr__handle_slot *handles;
	size_t i;

	for (i = manager->handle_free; i < manager->handle_slots; i++) {
		if (!manager->handles[i].record) {
			manager->handle_free = i;
			return 0;
		}
	}
	if (slots > UINT32_MAX / 2)
		return -ENOMEM;
	handles = realloc(manager->handles, slots * sizeof(*handles));
	if (!handles)
		return -ENOMEM;
	memset(handles + manager->handle_slots, 0,
		(slots - manager->handle_slots) * sizeof(*handles));
	manager->handle_free = manager->handle_slots;
	manager->handles = handles;
	manager->handle_slots = slots;
	return 0;
}

struct tmgr_handle tmgr__handle_give(struct tmgr_manager *manager, struct tmgr__record *record)
{
	struct tmgr__handle_slot *slot = &manager->handles[manager->handle_free];
	struct tmgr_handle handle = { .manager = manager };

	check(!slot->record);
	slot->record = tmgr__record_ref(record);
	record->handles++;
	record->handle_slot = (uint32_t)manager->handle_free + 1;
	handle.id = (uint64_t)slot->generation << 32 | record->handle_slot;
	manager->handle_free++;
	return handle;
}

static void free_slot(struct tmgr_manager *manager, struct tmgr__handle_slot *slot)
{
	size_t index = (size_t)(slot - manager->handles);

	slot->record = NULL;
	slot->generation++;
	if (index < manager->handle_free)
		manager->handle_free = index;
}

void tmgr__handle_take_back(struct tmgr_manager *manager, struct tmgr__record *record)
{
	if (record->handles == 0)
		return;
	free_slot(manager, &manager->handles[record->handle_slot - 1]);
	record->handles--;
	tmgr__record_unref(record);
}

/* Under the lock: the slot a handle means, or NULL. */
static struct tmgr__handle_slot *find_slot(struct tmgr_handle handle)
{
	size_t index = (uint32_t)handle.id;
	struct tmgr__handle_slot *slot;

	if (index == 0 || index > handle.manager->handle_slots)
		return NULL;
	slot = &handle.manager->handles[index - 1];
	return slot->record && slot->generation == (uint32_t)(handle.id >> 32) ? slot : NULL;
}

static int check_handle(struct tmgr_handle handle)
{
	return handle.manager ? tmgr__manager_check_fork(handle.manager) : -ENOENT;
}

/* The record a handle means, referenced. */
static int take_record(struct tmgr_handle handle, struct tmgr__record **ret_record)
{
	struct tmgr__handle_slot *slot;
	int r = check_handle(handle);

	if (r < 0)
		return r;
	tmgr__manager_lock(handle.manager);
	slot = find_slot(handle);
	if (slot)
		*ret_record = tmgr__record_ref(slot->record);
	tmgr__manager_unlock(handle.manager);
	return slot ? 0 : -ENOENT;
}

static bool has_ended(enum tmgr_state state)
{
	return state == TMGR_STATE_ENDED || state == TMGR_STATE_CLEANING ||
	       state == TMGR_STATE_DONE || state == TMGR_STATE_STUCK;
}

int tmgr_handle_cancel(struct tmgr_handle handle, int code, const char *text)
{
	struct tmgr__handle_slot *slot;
	struct tmgr__record *record;
	int r = check_handle(handle);

	if (r < 0)
		return r;
	tmgr__manager_lock(handle.manager);
	slot = find_slot(handle);
	record = slot ? slot->record : NULL;
	if (!record) {
		r = -ENOENT;
	} else if (record->by_handle || has_ended(record->state)) {
		r = -EALREADY;
	} else {
		record->by_handle = true;
		record->stop_since = tmgr__manager_now(handle.manager);
		tmgr__record_ref(record);
		tmgr__manager_check_at(handle.manager, TMGR_NOW);
	}
	tmgr__manager_unlock(handle.manager);
	if (r < 0)
		return r;
	/* That it had fired for another reason changes nothing: it was asked to stop then. */
	tmgr_token_cancel(&record->token, code, text);
	tmgr__record_unref(record);
	return 0;
}

int tmgr_handle_wait(struct tmgr_context *context, struct tmgr_handle handle, int64_t deadline)
{
	struct tmgr__record *record;
	int r = take_record(handle, &record);

	if (r < 0)
		return r;
	/* Cleanups may begin before the thread that ended has told its future. */
	if (__atomic_load_n(&record->settled, __ATOMIC_ACQUIRE))
		r = tmgr_yield(context);
	else
		r = tmgr_future_wait(context, &record->done, deadline);
	tmgr__record_unref(record);
	return r;
}

int tmgr_handle_result(struct tmgr_handle handle, int *ret_result)
{
	struct tmgr__record *record;
	int r;

	if (!ret_result)
		return -EINVAL;
	r = take_record(handle, &record);
	if (r < 0)
		return r;
	/*
	 * A positive value that a task returned is no error of a future; so it is read from the
	 * record.
	 */
	if (!__atomic_load_n(&record->settled, __ATOMIC_ACQUIRE))
		r = tmgr_future_result(&record->done, NULL, NULL);
	if (r == 0)
		*ret_result = record->result;
	tmgr__record_unref(record);
	return r;
}

int tmgr_handle_release(struct tmgr_handle handle)
{
	struct tmgr__handle_slot *slot;
	struct tmgr__record *record = NULL;
	bool listed = false;
	int r = check_handle(handle);

	if (r < 0)
		return r;
	tmgr__manager_lock(handle.manager);
	slot = find_slot(handle);
	if (slot) {
		record = slot->record;
		free_slot(handle.manager, slot);
		record->handles--;
		/* Only its handles kept an ended execute-task in the list. */
		listed = record->handles == 0 && !record->long_running &&
			 !tmgr__list_empty(&record->node) && record->state == TMGR_STATE_DONE &&
			 !record->failed;
		if (listed)
			tmgr__list_remove(&record->node);
	}
	tmgr__manager_unlock(handle.manager);
	if (!record)
		return -ENOENT;
	if (listed)
		tmgr__record_unref(record);
	tmgr__record_unref(record);
	return 0;
}

/* Under the lock: the oldest task of a name that is `length` bytes long. */
static struct tmgr__record *find_name(
	const struct tmgr_manager *manager, const char *name, size_t length)
{
	const struct tmgr__list *lists[] = { &manager->tasks, &manager->executes };
	struct tmgr__list *node;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		tmgr__list_for (node, lists[i]) {
			struct tmgr__record *record = container_of(node, struct tmgr__record, node);

			if (strncmp(record->name, name, length) == 0 &&
				record->name[length] == '\0')
				return record;
		}
	}
	return NULL;
}

/*
 * Under the lock: the manager inside the first task whose name is a part of the path up to a slash.
 */
static struct tmgr_manager *find_inner(
	const struct tmgr_manager *manager, const char *path, const char **ret_rest)
{
	const char *slash;

	for (slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		struct tmgr__record *record = find_name(manager, path, (size_t)(slash - path));

		if (record && record->inner) {
			*ret_rest = slash + 1;
			return tmgr_manager_ref(record->inner);
		}
	}
	return NULL;
}

int tmgr_manager_find(
	struct tmgr_manager *manager, const char *path, struct tmgr_handle *ret_handle)
{
	struct tmgr_manager *inner = NULL;
	struct tmgr__record *record;
	const char *rest = NULL;
	int r;

	if (!manager || !path || !ret_handle)
		return -EINVAL;
	r = tmgr__manager_check_fork(manager);
	if (r < 0)
		return r;
	tmgr__manager_lock(manager);
	record = find_name(manager, path, strlen(path));
	r = record ? tmgr__handle_reserve(manager) : 0;
	if (record && r == 0)
		*ret_handle = tmgr__handle_give(manager, record);
	else if (!record)
		inner = find_inner(manager, path, &rest);
	tmgr__manager_unlock(manager);
	if (record)
		return r;
	if (!inner)
		return -ENOENT;
	r = tmgr_manager_find(inner, rest, ret_handle);
	tmgr_manager_unref(inner);
	return r;
}
