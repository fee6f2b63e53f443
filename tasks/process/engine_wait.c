/*
 * Waits: how they begin and end, and what arrives with their end.
 */
#include <stdlib.h>
#include <string.h>

#include "tasks/process/engine_inside.h"

uint64_t tmgr__wait_sequence(const struct tmgr__wait *wait)
{
	return wait->goroutine != NULL ? wait->goroutine->sequence : wait->then.sequence;
}

static void link_call(struct tmgr__engine *engine, struct tmgr__wait *wait)
{
	struct tmgr__eprocess *callee = wait->on.callee;

	if (tmgr__process_ending(engine, callee) == NULL)
		tmgr__list_init(&wait->link);
	else
		tmgr__list_append(&callee->ending->callers, &wait->link);
}

void tmgr__wait_link(struct tmgr__engine *engine, struct tmgr__wait *wait)
{
	switch (wait->kind) {
	case TMGR_PROCESS_WAIT_SEND:
	case TMGR_PROCESS_WAIT_RECEIVE:
		tmgr__list_append(&wait->on.channel->line, &wait->link);
		break;
	case TMGR_PROCESS_WAIT_CALL:
		link_call(engine, wait);
		break;
	default:
		tmgr__timer_arm(engine, wait, wait->on.at);
	}
}

void tmgr__wait_unlink(struct tmgr__engine *engine, struct tmgr__wait *wait)
{
	switch (wait->kind) {
	case TMGR_PROCESS_WAIT_SEND:
	case TMGR_PROCESS_WAIT_RECEIVE:
		tmgr__list_remove(&wait->link);
		tmgr__channel_suspect(engine, wait->on.channel);
		break;
	case TMGR_PROCESS_WAIT_CALL:
		tmgr__list_remove(&wait->link);
		break;
	default:
		tmgr__timer_disarm(engine, wait);
	}
}

/* Take all its waits back: it is blocked no more, and has no arrival. */
void tmgr__withdraw(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	for (size_t i = 0; i < goroutine->wait_count; i++) {
		tmgr__wait_unlink(engine, &goroutine->what.waits[i]);
		free(goroutine->what.waits[i].value);
	}
	free(goroutine->what.waits);
	goroutine->wait_count = 0;
	goroutine->what.arrival = NULL;
	goroutine->status = TMGR_GOROUTINE_READY;
	tmgr__delete_waits(engine, goroutine->sequence);
}

struct tmgr__arrival *tmgr__arrive(struct tmgr__engine *engine, enum tmgr_arrival kind,
	size_t index, const char *from, struct tmgr__blob *value)
{
	size_t size = strlen(from) + 1;
	struct tmgr__arrival *arrival = tmgr__engine_memory(engine, sizeof(*arrival) + size);

	if (arrival == NULL) {
		free(value);
		return NULL;
	}
	memcpy(arrival->from, from, size);
	arrival->kind = (uint8_t)kind;
	arrival->case_index = (uint8_t)index;
	arrival->value = value;
	return arrival;
}

static const char *from_of(const struct tmgr__wait *wait)
{
	if (wait->kind == TMGR_PROCESS_WAIT_CALL)
		return wait->on.callee->id;
	if (wait->kind == TMGR_PROCESS_WAIT_SEND || wait->kind == TMGR_PROCESS_WAIT_RECEIVE)
		return wait->on.channel->id;
	return "";
}

/* End a wait with what came: its goroutine is ready, and its other waits are gone. Takes the value. */
void tmgr__fire(struct tmgr__engine *engine, struct tmgr__wait *wait, enum tmgr_arrival kind,
	struct tmgr__blob *value, int error)
{
	struct tmgr__goroutine *goroutine = wait->goroutine;
	const struct tmgr__emethod *method = wait->then.method;
	struct tmgr__arrival *arrival = tmgr__arrive(
		engine, kind, wait->index, from_of(wait), value);

	if (arrival == NULL)
		return;
	arrival->error = error;
	tmgr__withdraw(engine, goroutine);
	tmgr__goroutine_ready(engine, goroutine, method, arrival);
}
