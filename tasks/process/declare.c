/* What all declarations share: mistakes, memory, names, cases and actions. */
#include "tasks/process/declare.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/process.h>

#include "taskmgr/base/text.h"

/* Remember the first mistake, with what it was about. */
int tmgr__step_mistake(struct tmgr_process *step, int error, const char *what)
{
	if (step != NULL && step->error == 0) {
		step->error = error;
		if (step->text[0] == '\0')
			tmgr__text_copy(step->text, sizeof(step->text), what);
	}
	return error;
}

int tmgr__step_no_memory(struct tmgr_process *step)
{
	return tmgr__step_mistake(step, -ENOMEM, "out of memory");
}

void *tmgr_process_memory(struct tmgr_process *process, size_t size)
{
	void *memory = process != NULL ? tmgr_state_take(process->memory, size) : NULL;

	if (memory == NULL)
		tmgr__step_no_memory(process);
	return memory;
}

/* All that a step declares is one row of a store and is in memory several times: there is an end to it. */
static bool has_room(struct tmgr_process *step, size_t size)
{
	if (size > TMGR_PROCESS_STEP_MAX - step->declared) {
		tmgr__step_mistake(step, -EMSGSIZE, "the step declares too much");
		return false;
	}
	step->declared += size;
	return true;
}

struct tmgr_bytes tmgr__step_copy_bytes(struct tmgr_process *step, struct tmgr_bytes value)
{
	struct tmgr_bytes copy = { "", 0 };

	if (!has_room(step, value.size))
		return (struct tmgr_bytes){ NULL, 0 };
	if (value.size > 0) {
		copy.data = tmgr_state_copy(step->memory, value.data, value.size);
		copy.size = value.size;
	}
	if (copy.data == NULL)
		tmgr__step_no_memory(step);
	return copy;
}

const char *tmgr__step_copy_text(struct tmgr_process *step, const char *text)
{
	size_t size = strlen(text);
	const char *copy;

	if (!has_room(step, size + 1))
		return NULL;
	copy = tmgr_state_copy(step->memory, text, size);
	if (copy == NULL)
		tmgr__step_no_memory(step);
	return copy;
}

/* A value that may be sent: 0, -EINVAL, -EMSGSIZE. */
int tmgr__step_judge_value(struct tmgr_process *step, struct tmgr_bytes value)
{
	if (value.data == NULL && value.size > 0)
		return tmgr__step_mistake(step, -EINVAL, "a value is missing");
	if (value.size > TMGR_PROCESS_VALUE_MAX)
		return tmgr__step_mistake(step, -EMSGSIZE, "a value is too long");
	return 0;
}

/* The id that a name or an id means, copied; NULL: a mistake, which is remembered. */
const char *tmgr__step_channel_id(struct tmgr_process *step, const char *channel)
{
	char id[TMGR_PROCESS_CHANNEL_MAX + 1];

	if (channel == NULL) {
		tmgr__step_mistake(step, -EINVAL, "a channel is missing");
		return NULL;
	}
	if (strchr(channel, '/') != NULL) {
		if (tmgr__is_channel(channel))
			return tmgr__step_copy_text(step, channel);
		tmgr__step_mistake(step, -EINVAL, "that is no channel");
		return NULL;
	}
	if (!tmgr__is_name(channel, TMGR_PROCESS_NAME_MAX) || channel[0] == '@') {
		tmgr__step_mistake(step, -EINVAL, "that is no channel's name");
		return NULL;
	}
	snprintf(id, sizeof(id), "%s/%s", step->process->id, channel);
	return tmgr__step_copy_text(step, id);
}

const struct tmgr__emethod *tmgr__step_method_of(struct tmgr_process *step, tmgr_method *function)
{
	const struct tmgr__emethod *method = tmgr__engine_method(
		step->process->definition, function);

	if (method == NULL)
		tmgr__step_mistake(step, -EINVAL, "a method is not in the table of its definition");
	return method;
}

struct tmgr__action *tmgr__step_act(struct tmgr_process *step, enum tmgr__action_kind kind)
{
	struct tmgr__action *action;

	if (!has_room(step, sizeof(*action)))
		return NULL;
	action = tmgr_process_memory(step, sizeof(*action));
	if (action == NULL)
		return NULL;
	action->kind = kind;
	*step->last_action = action;
	step->last_action = &action->next;
	return action;
}

int tmgr__step_add_case(struct tmgr_process *step, struct tmgr__case one, tmgr_method *then)
{
	one.method = tmgr__step_method_of(step, then);
	if (one.method == NULL)
		return -EINVAL;
	if (step->deed.case_count == TMGR_PROCESS_CASES_MAX)
		return tmgr__step_mistake(step, -E2BIG, "there are too many cases");
	step->cases[step->deed.case_count++] = one;
	return 0;
}

/* A long id is cut, and told from others by its hash. */
void tmgr__step_make_id(struct tmgr_process *step, unsigned number, char *id, size_t size)
{
	const char *own = step->process->id;
	unsigned long long sequence = step->goroutine->sequence, hash = 14695981039346656037u;

	if ((size_t)snprintf(id, size, "%s.%llu.%u", own, sequence, number) < size)
		return;
	for (const char *at = own; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * 1099511628211u;
	snprintf(id, size, "~%016llx.%llu.%u", hash, sequence, number);
}
