/* Rows of the engine's objects, written into the changes of the command that is applied. */
#include <string.h>

#include "tasks/process/engine_inside.h"

static struct tmgr_bytes bytes_of(struct tmgr__changes *changes, const struct tmgr__blob *blob)
{
	return blob != NULL ? tmgr__changes_bytes(changes, blob->data, blob->size)
			    : (struct tmgr_bytes){ NULL, 0 };
}

void tmgr__put_process(struct tmgr__engine *engine, const struct tmgr__eprocess *process)
{
	struct tmgr__changes *changes = engine->changes;
	struct tmgr_store_process row = {
		.id = tmgr__changes_text(changes, process->id),
		.definition = tmgr__changes_text(changes, process->definition->name),
		.status = process->status,
		.version = process->version,
		.cancelled = process->cancelled + process->cancelling,
		.has_result = process->has_result,
		.text = "",
		.revision = process->revision,
		.steps = process->steps,
		.created_ms = process->created_ms,
		.changed_ms = tmgr__process_changed(process),
		.state = bytes_of(changes, process->state),
	};

	if (process->ending != NULL) {
		row.error = process->ending->error;
		row.text = tmgr__changes_text(changes, process->ending->text);
		row.result = bytes_of(changes, process->ending->result);
	}
	tmgr__changes_add(changes, TMGR_STORE_PUT, TMGR_STORE_PROCESS)->row.process = row;
}

void tmgr__put_goroutine(struct tmgr__engine *engine, const struct tmgr__goroutine *goroutine)
{
	struct tmgr__changes *changes = engine->changes;
	const struct tmgr__trouble *trouble = goroutine->trouble;
	bool blocked = goroutine->status == TMGR_GOROUTINE_BLOCKED;
	const struct tmgr__arrival *arrival = blocked ? NULL : goroutine->what.arrival;
	struct tmgr_store_goroutine row = {
		.process = tmgr__changes_text(changes, goroutine->process->id),
		.name = tmgr__changes_text(changes, goroutine->name),
		.method = blocked ? "" : tmgr__changes_text(changes, goroutine->method->name),
		.status = goroutine->status,
		.sequence = goroutine->sequence,
		.since_ms = goroutine->since_ms,
		.text = "",
		.from = "",
	};

	if (trouble != NULL) {
		row.attempts = trouble->attempts;
		row.retry_at_ms = trouble->retry_at;
		row.error = trouble->error;
		row.text = tmgr__changes_text(changes, trouble->text);
	}
	if (!blocked)
		row.arrival = arrival != NULL ? arrival->kind : TMGR_ARRIVED_START;
	if (arrival != NULL) {
		row.case_index = arrival->case_index;
		row.arrival_error = arrival->error;
		row.from = tmgr__changes_text(changes, arrival->from);
		row.value = bytes_of(changes, arrival->value);
	}
	tmgr__changes_add(changes, TMGR_STORE_PUT, TMGR_STORE_GOROUTINE)->row.goroutine = row;
}

void tmgr__delete_goroutine(struct tmgr__engine *engine, const struct tmgr__goroutine *goroutine)
{
	struct tmgr_store_goroutine row = {
		.process = tmgr__changes_text(engine->changes, goroutine->process->id),
		.name = tmgr__changes_text(engine->changes, goroutine->name),
		.method = "",
		.text = "",
		.from = "",
	};

	tmgr__changes_add(engine->changes, TMGR_STORE_DELETE, TMGR_STORE_GOROUTINE)->row.goroutine =
		row;
}

void tmgr__put_wait(struct tmgr__engine *engine, const struct tmgr__wait *wait)
{
	struct tmgr__changes *changes = engine->changes;
	const struct tmgr__goroutine *goroutine = wait->goroutine;
	struct tmgr_store_wait row = {
		.sequence = tmgr__wait_sequence(wait),
		.index = wait->index,
		.kind = wait->kind,
		.process = "",
		.goroutine = "",
		.target = "",
		.method = "",
		.value = bytes_of(changes, wait->value),
	};

	if (goroutine != NULL) {
		row.process = tmgr__changes_text(changes, goroutine->process->id);
		row.goroutine = tmgr__changes_text(changes, goroutine->name);
		row.method = tmgr__changes_text(changes, wait->then.method->name);
	}
	if (wait->kind == TMGR_PROCESS_WAIT_AFTER || wait->kind == TMGR_PROCESS_WAIT_AT)
		row.at_ms = wait->on.at;
	else if (wait->kind == TMGR_PROCESS_WAIT_CALL)
		row.target = tmgr__changes_text(changes, wait->on.callee->id);
	else
		row.target = tmgr__changes_text(changes, wait->on.channel->id);
	tmgr__changes_add(changes, TMGR_STORE_PUT, TMGR_STORE_WAIT)->row.wait = row;
}

void tmgr__delete_waits(struct tmgr__engine *engine, uint64_t sequence)
{
	tmgr__changes_add(engine->changes, TMGR_STORE_DELETE, TMGR_STORE_WAIT)->row.wait =
		(struct tmgr_store_wait){
			.sequence = sequence,
			.process = "",
			.goroutine = "",
			.target = "",
			.method = "",
		};
}

/* One that nothing is to be remembered of has no row. */
void tmgr__put_channel(struct tmgr__engine *engine, const struct tmgr__channel *channel)
{
	struct tmgr_store_channel row = {
		.id = tmgr__changes_text(engine->changes, channel->id),
		.capacity = channel->buffer != NULL ? channel->buffer->capacity : 0,
		.closed = channel->closed,
		.created = channel->created,
	};

	tmgr__changes_add(engine->changes, TMGR_STORE_PUT, TMGR_STORE_CHANNEL)->row.channel = row;
}

void tmgr__put_message(struct tmgr__engine *engine, const struct tmgr__channel *channel,
	const struct tmgr__emessage *message)
{
	struct tmgr_store_message row = {
		.channel = tmgr__changes_text(engine->changes, channel->id),
		.sequence = message->sequence,
		.value = bytes_of(engine->changes, message->value),
	};

	tmgr__changes_add(engine->changes, TMGR_STORE_PUT, TMGR_STORE_MESSAGE)->row.message = row;
}

void tmgr__delete_message(struct tmgr__engine *engine, const struct tmgr__channel *channel,
	const struct tmgr__emessage *message)
{
	struct tmgr_store_message row = {
		.channel = tmgr__changes_text(engine->changes, channel->id),
		.sequence = message->sequence,
	};

	tmgr__changes_add(engine->changes, TMGR_STORE_DELETE, TMGR_STORE_MESSAGE)->row.message =
		row;
}

void tmgr__put_event(struct tmgr__engine *engine, enum tmgr_process_event_kind kind,
	const struct tmgr__eprocess *process, const struct tmgr__goroutine *goroutine,
	const char *text)
{
	struct tmgr__changes *changes = engine->changes;
	bool failed = kind == TMGR_PROCESS_EVENT_RETRY || kind == TMGR_PROCESS_EVENT_FAILED;
	bool has_method = goroutine != NULL && goroutine->status != TMGR_GOROUTINE_BLOCKED;
	struct tmgr_process_event row = {
		.sequence = tmgr__engine_number(engine),
		.at_ms = engine->wall_ms,
		.kind = kind,
		.error = failed ? goroutine->trouble->error : 0,
		.process = process != NULL ? tmgr__changes_text(changes, process->id) : "",
		.goroutine = goroutine != NULL ? tmgr__changes_text(changes, goroutine->name) : "",
		.method = has_method ? tmgr__changes_text(changes, goroutine->method->name) : "",
		.text = tmgr__changes_text(changes, text),
	};

	tmgr__changes_add(changes, TMGR_STORE_PUT, TMGR_STORE_EVENT)->row.event = row;
	changes->troubles += kind == TMGR_PROCESS_EVENT_FAILED || kind == TMGR_PROCESS_EVENT_STUCK;
}
