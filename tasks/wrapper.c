#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/wrapper.h"

const struct tmgr_refusal tmgr__refusal_no_execute = { -EINVAL,
	"a task that is wrapped here has an execute" };

void *tmgr__wrapper_create(size_t size, struct tmgr_task *task, const struct tmgr_refusal *refusal)
{
	struct tmgr__wrapper *wrapper = NULL;
	struct tmgr_task refused;

	if (tmgr_task_error(*task) != 0)
		return NULL;
	if (refusal == NULL)
		wrapper = calloc(1, size);
	if (wrapper != NULL) {
		wrapper->task = *task;
		return wrapper;
	}
	refused = refusal != NULL ? tmgr_task_refused(refusal) : tmgr_task_failed(-ENOMEM);
	tmgr_task_destroy(*task);
	*task = refused;
	return NULL;
}

int tmgr__wrapper_initialize(void *self, struct tmgr_context *context)
{
	struct tmgr__wrapper *wrapper = self;
	int r = tmgr_task_initialize(wrapper->task, context);

	if (r == 0)
		wrapper->down = false;
	return r;
}

int tmgr__wrapper_cleanup(void *self, struct tmgr_context *context)
{
	struct tmgr__wrapper *wrapper = self;

	if (wrapper->down)
		return 0;
	return tmgr_task_cleanup(wrapper->task, context);
}

void tmgr__wrapper_destroy(void *self)
{
	struct tmgr__wrapper *wrapper = self;

	tmgr_task_destroy(wrapper->task);
	free(wrapper);
}

unsigned tmgr__wrapper_phases(const void *self)
{
	const struct tmgr__wrapper *wrapper = self;

	return tmgr_task_phases(wrapper->task);
}

bool tmgr__wrapper_runs(const void *self, const struct tmgr_executor *host)
{
	const struct tmgr__wrapper *wrapper = self;

	return tmgr_task_runs(wrapper->task, host);
}

int tmgr__wrapper_take_down(struct tmgr__wrapper *wrapper, struct tmgr_context *context)
{
	if (wrapper->down)
		return 0;
	wrapper->down = true;
	return tmgr__cleanup_uninterrupted(wrapper->task, context);
}

int tmgr__wrapper_set_up(struct tmgr__wrapper *wrapper, struct tmgr_context *context)
{
	if (!wrapper->down)
		return 0;
	return tmgr__wrapper_initialize(wrapper, context);
}

int tmgr__cleanup_uninterrupted(struct tmgr_task task, struct tmgr_context *context)
{
	int r;

	if ((tmgr_task_phases(task) & TMGR_CLEANUP) == 0)
		return 0;
	tmgr_uninterrupted_begin(context, tmgr_after(TMGR__CLEANUP_NS));
	r = tmgr_task_cleanup(task, context);
	tmgr_uninterrupted_end(context);
	return r;
}

int tmgr__result_error(int result)
{
	return result > 0 ? -TMGR_EFAILED : result;
}

void tmgr__go_on(struct tmgr_context *context, const char *what, int result)
{
	int error = tmgr__result_error(result);
	const char *text = tmgr_context_error_text(context);

	tmgr_context_note_error(context, error);
	tmgr_log(context, TMGR_LEVEL_WARNING, "%s failed: %s", what,
		text[0] != '\0' ? text : tmgr_strerror(error));
	tmgr__forget_text(context);
}

void tmgr__forget_text(struct tmgr_context *context)
{
	tmgr_fail(context, 0, "%s", "");
}

void tmgr__first_error_keep(
	struct tmgr__first_error *first, struct tmgr_context *context, int result)
{
	if (result != 0 && first->result == 0) {
		first->result = result;
		strncpy(first->text, tmgr_context_error_text(context), sizeof(first->text) - 1);
	}
	/* The next error may come without a text. */
	tmgr__forget_text(context);
}

int tmgr__first_error_give(const struct tmgr__first_error *first, struct tmgr_context *context)
{
	if (first->result == 0)
		return 0;
	return tmgr_fail(context, first->result, "%s", first->text);
}

uint64_t tmgr__random_begin(struct tmgr_context *context)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	char path[256];

	tmgr_context_path(context, path, sizeof(path));
	for (const char *c = path; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	return hash ^ (uint64_t)tmgr_now();
}
