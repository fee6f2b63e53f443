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

static size_t first_refused(const struct tmgr_task *tasks, size_t count)
{
	size_t i = 0;

	while (i < count && tmgr_task_error(tasks[i]) == 0)
		i++;
	return i;
}

struct tmgr_task tmgr__several_create(
	const struct tmgr_task_ops *ops, const struct tmgr_task *tasks, size_t count)
{
	static const struct tmgr_refusal none = { -EINVAL, "there is at least one task" };
	struct tmgr__several *several = NULL;
	size_t refused;

	if (tasks == NULL || count == 0)
		return tmgr_task_refused(&none);
	refused = first_refused(tasks, count);
	if (refused < count) {
		/* It goes to whoever adds this: one without functions may own something. */
		destroy_all(tasks + refused + 1, count - refused - 1);
		destroy_all(tasks, refused);
		return tasks[refused];
	}
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
	size_t up = 0;
	int r = 0;

	while (r == 0 && up < several->count) {
		r = tmgr_task_initialize(several->tasks[up], context);
		if (r == 0)
			up++;
	}
	if (r == 0)
		return 0;
	several->failed = up;
	tmgr__first_error_keep(&error, context, r);
	while (up > 0)
		tmgr__first_error_keep(&error, context,
			tmgr__cleanup_uninterrupted(several->tasks[--up], context));
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
