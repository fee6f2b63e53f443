#include <errno.h>

#include <taskmgr/group.h>

#include "tasks/children.h"

/* Returns -ECANCELED also when a child has failed already, and cancelled the group. */
static int spawn_all(struct tmgr_context *context, struct tmgr_group *group,
	const struct tmgr__children *children)
{
	char *element = children->elements;
	int r = 0;

	for (size_t i = 0; r == 0 && i < children->count; i++, element += children->size)
		r = tmgr_spawn(context, group, (struct tmgr_task){ children->ops, element }, NULL);
	if (r != 0 && r != -ECANCELED && children->failed)
		atomic_store(children->failed, true);
	if (r != 0)
		tmgr_group_cancel(group);
	return r;
}

int tmgr__children_run(struct tmgr_context *context, const struct tmgr__children *children)
{
	struct tmgr_group *group;
	const char *text;
	int failed, spawned, r;

	r = tmgr_group_create(context, NULL, &group);
	if (r != 0)
		return r;
	spawned = spawn_all(context, group, children);
	r = tmgr_group_wait(context, group, TMGR_NEVER);
	if (spawned != 0 && (spawned != -ECANCELED || r == 0))
		r = spawned;
	else if (r != 0 && tmgr_group_error(group, 0, &failed, &text) == 0)
		r = tmgr_fail(context, failed, "%s", text);
	tmgr_group_destroy(group);
	return r;
}
