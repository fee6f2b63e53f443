/* The end of goroutines and processes, and their cancel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/process/engine_inside.h"

bool tmgr__process_is_over(const struct tmgr__eprocess *process)
{
	return process->status == TMGR_PROCESS_FINISHED ||
	       process->status == TMGR_PROCESS_CANCELLED;
}

struct tmgr__ending *tmgr__process_ending(
	struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	if (process->ending == NULL) {
		process->ending = tmgr__engine_memory(engine, sizeof(*process->ending));
		if (process->ending == NULL)
			return NULL;
		tmgr__list_init(&process->ending->callers);
		process->ending->changed_ms = process->created_ms;
	}
	return process->ending;
}

/* Its waits, its row and itself. Its method is not running. */
void tmgr__goroutine_end(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	struct tmgr__goroutine **link = &goroutine->process->goroutines;

	tmgr__goroutine_unqueue(engine, goroutine);
	if (goroutine->status == TMGR_GOROUTINE_BLOCKED)
		tmgr__withdraw(engine, goroutine);
	tmgr__trouble_clear(engine, goroutine);
	tmgr__delete_goroutine(engine, goroutine);
	while (*link != goroutine)
		link = &(*link)->next;
	*link = goroutine->next;
	tmgr__goroutine_free(goroutine);
}

static void end_goroutines(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	while (process->goroutines != NULL)
		tmgr__goroutine_end(engine, process->goroutines);
}

static void end_channel(struct tmgr__engine *engine, struct tmgr__channel *channel)
{
	bool has_row = channel->created || channel->closed;

	tmgr__channel_close(engine, channel);
	if (has_row)
		tmgr__changes_add(engine->changes, TMGR_STORE_DELETE, TMGR_STORE_CHANNEL)
			->row.channel = (struct tmgr_store_channel){
			.id = tmgr__changes_text(engine->changes, channel->id),
		};
	tmgr__channel_drop_unused(engine, channel);
	tmgr__channel_free(engine, channel);
}

static void answer_callers(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	struct tmgr__list *link;

	while (engine->broken == 0 && process->ending != NULL &&
		(link = tmgr__list_first(&process->ending->callers)) != NULL) {
		struct tmgr__wait *wait = container_of(link, struct tmgr__wait, link);
		const struct tmgr__blob *result = process->ending != NULL ? process->ending->result
									  : NULL;
		struct tmgr__blob *value = NULL;
		int error = process->has_result ? 0 : -ENODATA;

		if (process->status == TMGR_PROCESS_CANCELLED)
			error = -ECANCELED;
		if (result != NULL)
			value = tmgr__blob(
				engine, (struct tmgr_bytes){ result->data, result->size });
		tmgr__fire(engine, wait, TMGR_ARRIVED_RESULT, value, error);
	}
}

int64_t tmgr__process_changed(const struct tmgr__eprocess *process)
{
	return process->ending != NULL ? process->ending->changed_ms : process->created_ms;
}

void tmgr__process_set_status(struct tmgr__engine *engine, struct tmgr__eprocess *process,
	enum tmgr_process_status status)
{
	process->status = (uint8_t)status;
	if (tmgr__process_ending(engine, process) != NULL)
		process->ending->changed_ms = engine->now_ms;
}

/* It goes on: what it was paused for, or has failed with, is nothing any more. */
void tmgr__process_activate(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	tmgr__process_set_status(engine, process, TMGR_PROCESS_ACTIVE);
	if (process->ending == NULL)
		return;
	process->ending->text[0] = '\0';
	process->ending->error = 0;
}

/* It is over: of those it is the last. */
void tmgr__process_remember(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	process->run_next = NULL;
	if (engine->over_last != NULL)
		engine->over_last->run_next = process;
	else
		engine->over_first = process;
	engine->over_last = process;
}

/* None of its methods is running. Its result is set. */
void tmgr__process_end(struct tmgr__engine *engine, struct tmgr__eprocess *process,
	enum tmgr_process_status status)
{
	bool cancelled = status == TMGR_PROCESS_CANCELLED;

	tmgr__process_set_status(engine, process, status);
	end_goroutines(engine, process);
	tmgr__process_unrun(engine, process);
	while (process->channels != NULL)
		end_channel(engine, process->channels);
	if (process->ending != NULL) {
		process->ending->text[0] = '\0';
		process->ending->error = 0;
	}
	if (!cancelled && !process->has_result)
		tmgr__put_event(engine, TMGR_PROCESS_EVENT_NO_RESULT, process, NULL, "");
	tmgr__put_event(engine,
		cancelled ? TMGR_PROCESS_EVENT_CANCELLED : TMGR_PROCESS_EVENT_FINISHED, process,
		NULL, "");
	tmgr__put_process(engine, process);
	engine->live--;
	process->definition->processes--;
	tmgr__process_remember(engine, process);
	answer_callers(engine, process);
	if (engine->over != NULL)
		engine->over(engine->self, process);
}

/* Asked for, and nothing of it runs. Without its definition it waits for a program that has it. */
void tmgr__process_cancel_now(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	const struct tmgr_process_definition *user = process->definition->user;
	struct tmgr__goroutine *goroutine;
	const struct tmgr__emethod *method;
	struct tmgr__arrival *arrival;
	char name[TMGR_PROCESS_NAME_MAX + 1];

	if (user == NULL)
		return;
	if (user->cancel == NULL) {
		tmgr__process_end(engine, process, TMGR_PROCESS_CANCELLED);
		return;
	}
	end_goroutines(engine, process);
	process->cancelling = true;
	tmgr__process_activate(engine, process);
	method = tmgr__engine_method(process->definition, user->cancel);
	tmgr__method_goroutine(method, name);
	goroutine = tmgr__goroutine_add(engine, process, name);
	arrival = tmgr__engine_memory(engine, sizeof(*arrival) + 1);
	if (goroutine == NULL || arrival == NULL) {
		free(arrival);
		return;
	}
	arrival->kind = TMGR_ARRIVED_CANCEL;
	tmgr__goroutine_ready(engine, goroutine, method, arrival);
	tmgr__put_process(engine, process);
}

int tmgr__process_cancel(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	if (process->cancelled)
		return -EALREADY;
	process->cancelled = true;
	tmgr__put_event(engine, TMGR_PROCESS_EVENT_CANCEL, process, NULL, "");
	tmgr__put_process(engine, process);
	if (process->running == NULL)
		tmgr__process_cancel_now(engine, process);
	return 0;
}

/* It is over, and was remembered long enough. Nobody waits for it. */
void tmgr__process_forget(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	struct tmgr__changes *changes = engine->changes;

	tmgr__changes_add(changes, TMGR_STORE_DELETE, TMGR_STORE_PROCESS)->row.process =
		(struct tmgr_store_process){
			.id = tmgr__changes_text(changes, process->id),
			.definition = "",
			.text = "",
		};
	tmgr__process_free(engine, process);
}
