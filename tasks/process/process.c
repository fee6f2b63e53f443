/* What a method may ask, and the cases it may declare. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/process.h>

#include "taskmgr/base/text.h"

#include "tasks/process/declare.h"

/* ---- What it can know ------------------------------------------------------------------------ */

const char *tmgr_process_id(const struct tmgr_process *process)
{
	return process != NULL ? process->process->id : "";
}

const char *tmgr_process_goroutine(const struct tmgr_process *process)
{
	return process != NULL ? process->goroutine->name : "";
}

unsigned tmgr_process_attempts(const struct tmgr_process *process)
{
	return process != NULL ? process->attempts : 0;
}

int64_t tmgr_process_now(const struct tmgr_process *process)
{
	return process != NULL ? process->wall_ms : 0;
}

struct tmgr_context *tmgr_process_context(const struct tmgr_process *process)
{
	return process != NULL ? process->context : NULL;
}

int64_t tmgr_process_deadline(const struct tmgr_process *process)
{
	return process != NULL ? process->deadline : TMGR_NEVER;
}

/* ---- What is sent ---------------------------------------------------------------------------- */

/* 0, and the channel's id, copied; or the mistake. */
static int judge_message(struct tmgr_process *process, const char *channel, struct tmgr_bytes value,
	const char **ret_id)
{
	int r;

	if (process == NULL)
		return -EINVAL;
	r = tmgr__step_judge_value(process, value);
	if (r != 0)
		return r;
	*ret_id = tmgr__step_channel_id(process, channel);
	return *ret_id != NULL ? 0 : process->error;
}

/* ---- Cases ----------------------------------------------------------------------------------- */

int tmgr_process_receive(struct tmgr_process *process, const char *channel, tmgr_method *then)
{
	struct tmgr__case one = { .kind = TMGR_PROCESS_WAIT_RECEIVE };

	if (process == NULL)
		return -EINVAL;
	one.target = tmgr__step_channel_id(process, channel);
	return one.target != NULL ? tmgr__step_add_case(process, one, then) : process->error;
}

int tmgr_process_send(struct tmgr_process *process, const char *channel, struct tmgr_bytes value,
	tmgr_method *then)
{
	struct tmgr__case one = { .kind = TMGR_PROCESS_WAIT_SEND };
	int r = judge_message(process, channel, value, &one.target);

	if (r != 0)
		return r;
	one.value = tmgr__step_copy_bytes(process, value);
	return one.value.data != NULL ? tmgr__step_add_case(process, one, then) : process->error;
}

int tmgr_process_after(struct tmgr_process *process, int64_t ns, tmgr_method *then)
{
	if (process == NULL)
		return -EINVAL;
	return tmgr__step_add_case(process,
		(struct tmgr__case){
			.kind = TMGR_PROCESS_WAIT_AFTER,
			.at_ms = process->due(process, ns),
		},
		then);
}

int tmgr_process_at(struct tmgr_process *process, int64_t at_ms, tmgr_method *then)
{
	if (process == NULL)
		return -EINVAL;
	return tmgr__step_add_case(
		process, (struct tmgr__case){ .kind = TMGR_PROCESS_WAIT_AT, .at_ms = at_ms }, then);
}

int tmgr_process_default(struct tmgr_process *process, tmgr_method *then)
{
	if (process == NULL)
		return -EINVAL;
	return tmgr__step_add_case(
		process, (struct tmgr__case){ .kind = TMGR__CASE_DEFAULT }, then);
}

/* ---- Channels -------------------------------------------------------------------------------- */

int tmgr_process_post(struct tmgr_process *process, const char *channel, struct tmgr_bytes value)
{
	struct tmgr__action *action;
	const char *id;
	int r = judge_message(process, channel, value, &id);

	if (r != 0)
		return r;
	action = tmgr__step_act(process, TMGR__POST);
	if (action == NULL)
		return process->error;
	action->name = id;
	action->value = tmgr__step_copy_bytes(process, value);
	return process->error;
}

int tmgr_process_channel(struct tmgr_process *process, uint32_t capacity, char *ret_id)
{
	struct tmgr__action *action;
	char id[TMGR_PROCESS_CHANNEL_MAX + 1];

	if (process == NULL || ret_id == NULL)
		return tmgr__step_mistake(process, -EINVAL, "a channel has a place for its id");
	if (capacity > TMGR_PROCESS_CAPACITY_MAX)
		return tmgr__step_mistake(
			process, -EINVAL, "the capacity of a channel is too large");
	snprintf(id, sizeof(id), "%s/@%llu.%u", process->process->id,
		(unsigned long long)process->goroutine->sequence, ++process->next_id);
	action = tmgr__step_act(process, TMGR__CHANNEL);
	if (action == NULL)
		return process->error;
	action->name = tmgr__step_copy_text(process, id);
	action->capacity = capacity;
	if (process->error == 0)
		memcpy(ret_id, id, strlen(id) + 1);
	return process->error;
}

int tmgr_process_close(struct tmgr_process *process, const char *channel)
{
	struct tmgr__action *action;
	const char *id;

	if (process == NULL)
		return -EINVAL;
	id = tmgr__step_channel_id(process, channel);
	if (id == NULL)
		return process->error;
	action = tmgr__step_act(process, TMGR__CLOSE);
	if (action == NULL)
		return process->error;
	action->name = id;
	return 0;
}

int tmgr_process_finish(struct tmgr_process *process, struct tmgr_bytes result)
{
	int r;

	if (process == NULL)
		return -EINVAL;
	r = tmgr__step_judge_value(process, result);
	if (r != 0)
		return r;
	process->deed.value = tmgr__step_copy_bytes(process, result);
	process->deed.finish = true;
	return process->error;
}
