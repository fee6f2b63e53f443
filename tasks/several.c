#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/several.h"
#include "tasks/wrapper.h"

static void destroy_all(const struct tmgr_task *tasks, size_t count)
{
	while (count > 0)
		tmgr_task_destroy(tasks[--count]);
}

/* Destroy all but the first one that is refused, and return that; one without functions may still
 * own something. */
static struct tmgr_task refused_of(const struct tmgr_task *tasks, size_t count)
{
	size_t first = 0;

	while (tmgr_task_error(tasks[first]) == 0)
		first++;
	destroy_all(tasks + first + 1, count - first - 1);
	destroy_all(tasks, first);
	return tasks[first];
}

static bool any_refused(const struct tmgr_task *tasks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (tmgr_task_error(tasks[i]) != 0)
			return true;
	return false;
}

struct tmgr_task tmgr__several_create(
	const struct tmgr_task_ops *ops, const struct tmgr_task *tasks, size_t count)
{
	static const struct tmgr_refusal none = { -EINVAL, "there is at least one task" };
	struct tmgr__several *several = NULL;

	if (tasks == NULL || count == 0)
		return tmgr_task_refused(&none);
	if (any_refused(tasks, count))
		return refused_of(tasks, count);
	if (count <= (SIZE_MAX - sizeof(*several)) / sizeof(*tasks))
		several = malloc(sizeof(*several) + count * sizeof(*tasks));
	if (several == NULL) {
		destroy_all(tasks, count);
		return tmgr_task_failed(-ENOMEM);
	}
	memset(several, 0, sizeof(*several));
	several->count = count;
	memcpy(several->tasks, tasks, count * sizeof(*tasks));
	return (struct tmgr_task){ ops, several };
}

int tmgr__several_initialize(void *self, struct tmgr_context *context)
{
	struct tmgr__several *several = self;
	struct tmgr__first_error error = { 0 };
	int r = 0;

	for (several->up = 0; r == 0 && several->up < several->count; several->up += r == 0)
		r = tmgr_task_initialize(several->tasks[several->up], context);
	if (r == 0)
		return 0;
	tmgr__first_error_keep(&error, context, r);
	for (several->failed = several->up; several->up > 0; several->up--)
		tmgr__first_error_keep(&error, context,
			tmgr__cleanup_uninterrupted(several->tasks[several->up - 1], context));
	return tmgr__first_error_give(&error, context);
}

int tmgr__several_cleanup(void *self, struct tmgr_context *context)
{
	struct tmgr__several *several = self;
	struct tmgr__first_error error = { 0 };

	if (tmgr_context_initialize_failed(context))
		return tmgr_task_cleanup(several->tasks[several->failed], context);
	for (size_t i = several->count; i > 0; i--)
		tmgr__first_error_keep(
			&error, context, tmgr_task_cleanup(several->tasks[i - 1], context));
	return tmgr__first_error_give(&error, context);
}

void tmgr__several_destroy(void *self)
{
	struct tmgr__several *several = self;

	destroy_all(several->tasks, several->count);
	free(several);
}

unsigned tmgr__several_phases(const void *self)
{
	const struct tmgr__several *several = self;
	unsigned phases = 0;

	for (size_t i = 0; i < several->count; i++)
		phases |= tmgr_task_phases(several->tasks[i]);
	return phases;
}
