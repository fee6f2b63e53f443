/*
 * The first success of several functions, on a task group of its own. The children tell what became
 * of them under a lock; the one that succeeds first cancels the group, which it is still part of.
 */
#include <taskmgr/first_success.h>

#include <errno.h>

#include <taskmgr/group.h>

#include "base/text.h"
#include "context.h"

struct tmgr__attempts {
	struct tmgr_first_success *first;
	struct tmgr_group *group;
	struct tmgr__lock
		lock; /* guards the rest, and the index of the first, while children run */
	int error;    /* of the one that failed last */
	char text[TMGR__ERROR_TEXT_SIZE];
};

/* A failure is no failure of the caller. */
static int execute(void *self, struct tmgr_context *context)
{
	struct tmgr_attempt *attempt = self;
	struct tmgr__attempts *of = attempt->of;
	size_t none = of->first->count;
	bool is_first = false;
	int r;

	/* For a function that does not return. */
	attempt->result = -TMGR_EUNEXPECTED;
	r = attempt->function(attempt->self, context);
	if (r > 0)
		r = -TMGR_EFAILED;
	attempt->result = r;
	tmgr__lock_acquire(&of->lock);
	if (r < 0) {
		of->error = r;
		tmgr__text_copy(of->text, sizeof(of->text), tmgr_context_error_text(context));
	} else if (of->first->index == none) {
		of->first->index = (size_t)(attempt - of->first->attempts);
		is_first = true;
	}
	tmgr__lock_release(&of->lock);
	if (is_first)
		tmgr_group_cancel(of->group);
	return 0;
}

static int begin_all(struct tmgr__attempts *self, struct tmgr_context *context)
{
	static const struct tmgr_task_ops ops = { .kind = "attempt", .execute = execute };
	struct tmgr_first_success *first = self->first;
	int r = 0;

	for (size_t i = 0; i < first->count && r == 0; i++)
		r = tmgr_spawn(context, self->group,
			(struct tmgr_task){ &ops, &first->attempts[i] }, NULL);
	if (r < 0)
		tmgr_group_cancel(self->group);
	return r;
}

/* Until all have ended; -ETIMEDOUT when they had to be cancelled for the deadline. */
static int end_all(struct tmgr__attempts *self, struct tmgr_context *context, int64_t deadline)
{
	int r = tmgr_group_wait(context, self->group, deadline);

	if (r == -ETIMEDOUT) {
		tmgr_group_cancel(self->group);
		tmgr_group_wait(context, self->group, TMGR_NEVER);
	}
	tmgr_group_destroy(self->group);
	return r == -ETIMEDOUT ? r : 0;
}

static bool is_valid(const struct tmgr_first_success *first)
{
	if (!first || first->count == 0 || !first->attempts)
		return false;
	for (size_t i = 0; i < first->count; i++)
		if (!first->attempts[i].function)
			return false;
	return true;
}

int tmgr_first_success(
	struct tmgr_context *context, struct tmgr_first_success *first, int64_t deadline)
{
	struct tmgr__attempts self = { .first = first, .error = -TMGR_EUNEXPECTED };
	struct tmgr_group_options options = { .keep_going = true };
	int r, late;

	if (!context || !is_valid(first))
		return -EINVAL;
	options.running_max = first->running_max;
	first->index = first->count;
	for (size_t i = 0; i < first->count; i++) {
		first->attempts[i].result = -ECANCELED;
		first->attempts[i].of = &self;
	}
	r = tmgr_group_create(context, &options, &self.group);
	if (r < 0)
		return r;
	r = begin_all(&self, context);
	late = end_all(&self, context, deadline);
	if (first->index < first->count)
		return 0;
	if (tmgr_context_cancelled(context))
		return -ECANCELED;
	if (r < 0 || late < 0)
		return r < 0 ? r : late;
	return tmgr_fail(context, self.error, "%s", self.text);
}
