/*
 * Who runs next. A goroutine that became ready is fresh until the store has it: a method must not do
 * anything outside that follows from what could still be lost. Then it is in its process's line, and
 * the process in the line of those to run, where it stands once. One whose state the store does not have
 * yet, as another of its goroutines or somebody outside has left it, is held until then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/text.h"

#include "tasks/process/engine_inside.h"

struct tmgr__trouble *tmgr__goroutine_trouble(
	struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	if (goroutine->trouble == NULL) {
		goroutine->trouble = tmgr__engine_memory(engine, sizeof(*goroutine->trouble));
		if (goroutine->trouble != NULL)
			goroutine->trouble->retry.goroutine = goroutine;
	}
	return goroutine->trouble;
}

int tmgr__once_add(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine, const char *name,
	struct tmgr_bytes value)
{
	struct tmgr__trouble *trouble = tmgr__goroutine_trouble(engine, goroutine);
	size_t size = strlen(name) + 1;
	struct tmgr__once *once = trouble != NULL
					  ? tmgr__engine_memory(engine, sizeof(*once) + size)
					  : NULL;

	if (once == NULL)
		return -ENOMEM;
	memcpy(once->name, name, size);
	once->value = tmgr__blob(engine, value);
	once->next = trouble->once;
	trouble->once = once;
	return engine->broken;
}

void tmgr__trouble_clear(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	struct tmgr__trouble *trouble = goroutine->trouble;

	if (trouble == NULL)
		return;
	tmgr__timer_disarm(engine, &trouble->retry);
	if (trouble->once != NULL)
		tmgr__changes_add(engine->changes, TMGR_STORE_DELETE, TMGR_STORE_ONCE)
			->row.once = (struct tmgr_store_once){
			.process = tmgr__changes_text(engine->changes, goroutine->process->id),
			.goroutine = tmgr__changes_text(engine->changes, goroutine->name),
			.sequence = goroutine->sequence,
			.name = "",
		};
	while (trouble->once != NULL) {
		struct tmgr__once *once = trouble->once;

		trouble->once = once->next;
		free(once->value);
		free(once);
	}
	free(trouble);
	goroutine->trouble = NULL;
}

static void append(
	struct tmgr__eprocess **first, struct tmgr__eprocess **last, struct tmgr__eprocess *process)
{
	process->run_next = NULL;
	if (*last != NULL)
		(*last)->run_next = process;
	else
		*first = process;
	*last = process;
}

static struct tmgr__eprocess *pop(struct tmgr__eprocess **first, struct tmgr__eprocess **last)
{
	struct tmgr__eprocess *process = *first;

	*first = process->run_next;
	if (*first == NULL)
		*last = NULL;
	return process;
}

static void take_out(
	struct tmgr__eprocess **first, struct tmgr__eprocess **last, struct tmgr__eprocess *process)
{
	struct tmgr__eprocess *before = NULL, *at = *first;

	for (; at != process; at = at->run_next)
		before = at;
	if (before != NULL)
		before->run_next = process->run_next;
	else
		*first = process->run_next;
	if (*last == process)
		*last = before;
}

void tmgr__process_to_run(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	if (process->in_run || process->held || process->ready == NULL ||
		process->running != NULL || process->status != TMGR_PROCESS_ACTIVE)
		return;
	if (process->changed > engine->durable) {
		process->held = true;
		append(&engine->held_first, &engine->held_last, process);
	} else {
		process->in_run = true;
		append(&engine->run_first, &engine->run_last, process);
	}
}

static void to_ready(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	struct tmgr__eprocess *process = goroutine->process;
	struct tmgr__goroutine **link = &process->ready;

	/* Few of one process are ready at once. */
	while (*link != NULL)
		link = &(*link)->queue_next;
	*link = goroutine;
	goroutine->queue_next = NULL;
	tmgr__process_to_run(engine, process);
}

void tmgr__goroutine_wait_for_turn(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	if (goroutine->queued)
		return;
	goroutine->queued = true;
	if (goroutine->sequence <= engine->durable) {
		to_ready(engine, goroutine);
		return;
	}
	goroutine->queue_next = NULL;
	if (engine->fresh_last != NULL)
		engine->fresh_last->queue_next = goroutine;
	else
		engine->fresh_first = goroutine;
	engine->fresh_last = goroutine;
}

/* Take it back from those to run. */
void tmgr__process_unrun(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	if (process->in_run)
		take_out(&engine->run_first, &engine->run_last, process);
	if (process->held)
		take_out(&engine->held_first, &engine->held_last, process);
	process->in_run = process->held = false;
}

static bool unlink_from(struct tmgr__goroutine **first, struct tmgr__goroutine **last,
	struct tmgr__goroutine *goroutine)
{
	struct tmgr__goroutine *before = NULL, *at = *first;

	while (at != NULL && at != goroutine) {
		before = at;
		at = at->queue_next;
	}
	if (at == NULL)
		return false;
	if (before != NULL)
		before->queue_next = at->queue_next;
	else
		*first = at->queue_next;
	if (*last == at)
		*last = before;
	return true;
}

void tmgr__goroutine_unqueue(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	struct tmgr__goroutine *last = NULL;

	if (!goroutine->queued)
		return;
	goroutine->queued = false;
	if (!unlink_from(&goroutine->process->ready, &last, goroutine))
		unlink_from(&engine->fresh_first, &engine->fresh_last, goroutine);
}

void tmgr__goroutine_pause(
	struct tmgr__engine *engine, struct tmgr__goroutine *goroutine, const char *reason)
{
	struct tmgr__trouble *trouble = tmgr__goroutine_trouble(engine, goroutine);

	if (trouble == NULL)
		return;
	goroutine->status = TMGR_GOROUTINE_PAUSED;
	tmgr__text_copy_valid(trouble->text, sizeof(trouble->text), reason);
	tmgr__put_event(
		engine, TMGR_PROCESS_EVENT_PAUSED, goroutine->process, goroutine, trouble->text);
}

/* This program lacks its method. */
void tmgr__goroutine_pause_for_method(
	struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	const struct tmgr__emethod *method = goroutine->method;
	char reason[TMGR_PROCESS_TEXT_SIZE];

	if (method->definition->user == NULL)
		snprintf(reason, sizeof(reason), "this program lacks the definition %s",
			method->definition->name);
	else
		snprintf(reason, sizeof(reason), "this program lacks the method %s of %s",
			method->name, method->definition->name);
	tmgr__goroutine_pause(engine, goroutine, reason);
}

/* It has no waits any more. Takes the arrival. */
void tmgr__goroutine_ready(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__emethod *method, struct tmgr__arrival *arrival)
{
	goroutine->method = method;
	goroutine->what.arrival = arrival;
	goroutine->status = TMGR_GOROUTINE_READY;
	goroutine->sequence = tmgr__engine_number(engine);
	goroutine->since_ms = engine->wall_ms;
	if (method->entry == NULL)
		tmgr__goroutine_pause_for_method(engine, goroutine);
	else
		tmgr__goroutine_wait_for_turn(engine, goroutine);
	tmgr__put_goroutine(engine, goroutine);
}

void tmgr__engine_committed(struct tmgr__engine *engine, uint64_t sequence)
{
	engine->durable = sequence;
	/* One whose state was set meanwhile has those behind it wait for the next batch with it. */
	while (engine->held_first != NULL && engine->held_first->changed <= sequence) {
		struct tmgr__eprocess *process = pop(&engine->held_first, &engine->held_last);

		process->held = false;
		tmgr__process_to_run(engine, process);
	}
	while (engine->fresh_first != NULL && engine->fresh_first->sequence <= sequence) {
		struct tmgr__goroutine *goroutine = engine->fresh_first;

		engine->fresh_first = goroutine->queue_next;
		if (engine->fresh_first == NULL)
			engine->fresh_last = NULL;
		to_ready(engine, goroutine);
	}
}

struct tmgr__eprocess *tmgr__engine_next(struct tmgr__engine *engine)
{
	while (engine->run_first != NULL) {
		struct tmgr__eprocess *process = pop(&engine->run_first, &engine->run_last);
		struct tmgr__goroutine *goroutine = process->ready;

		process->in_run = false;
		if (goroutine == NULL || process->running != NULL ||
			process->status != TMGR_PROCESS_ACTIVE)
			continue;
		if (process->changed > engine->durable) {
			tmgr__process_to_run(engine, process);
			continue;
		}
		process->ready = goroutine->queue_next;
		goroutine->queued = false;
		process->running = goroutine;
		engine->running++;
		return process;
	}
	return NULL;
}

bool tmgr__engine_runnable(const struct tmgr__engine *engine)
{
	return engine->run_first != NULL;
}
