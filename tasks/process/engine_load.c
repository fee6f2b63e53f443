/* The engine from the rows of a store: one after another. engine_loaded.c puts them in order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/text.h"

#include "tasks/process/engine_inside.h"

/* While rows come the engine's sequence is the greatest of theirs. */
static void see_sequence(struct tmgr__engine *engine, uint64_t sequence)
{
	if (sequence > engine->sequence)
		engine->sequence = sequence;
}

static int load_process(struct tmgr__engine *engine, const struct tmgr_store_process *row)
{
	struct tmgr__edefinition *definition = tmgr__definition_get(engine, row->definition);
	struct tmgr__eprocess *process;
	struct tmgr__ending *ending;

	if (definition == NULL)
		return -ENOMEM;
	if (row->status < TMGR_PROCESS_ACTIVE || row->status > TMGR_PROCESS_CANCELLED ||
		!tmgr__is_time(row->changed_ms) || tmgr__engine_process(engine, row->id) != NULL)
		return -EBADMSG;
	process = tmgr__process_add(engine, row->id, definition);
	if (process == NULL)
		return -ENOMEM;
	process->status = (uint8_t)row->status;
	process->version = row->version;
	process->cancelled = row->cancelled > 0;
	process->cancelling = row->cancelled > 1;
	process->has_result = row->has_result;
	process->revision = row->revision;
	process->steps = row->steps;
	process->created_ms = row->created_ms;
	process->state = tmgr__blob(engine, row->state);
	if (row->has_result || row->error != 0 || row->text[0] != '\0' ||
		row->status != TMGR_PROCESS_ACTIVE || row->changed_ms != row->created_ms) {
		ending = tmgr__process_ending(engine, process);
		if (ending == NULL)
			return -ENOMEM;
		ending->changed_ms = row->changed_ms;
		ending->error = row->error;
		tmgr__text_copy_valid(ending->text, sizeof(ending->text), row->text);
		if (row->has_result)
			ending->result = tmgr__blob(engine, row->result);
	}
	if (tmgr__process_is_over(process)) {
		engine->live--;
		definition->processes--;
	}
	return engine->broken;
}

static int load_channel(struct tmgr__engine *engine, const struct tmgr_store_channel *row)
{
	struct tmgr__channel *channel;

	if (!tmgr__was_channel(row->id) || tmgr__engine_channel(engine, row->id) != NULL)
		return -EBADMSG;
	channel = tmgr__channel_add(engine, row->id);
	if (channel == NULL)
		return -ENOMEM;
	if (row->id[0] != '/' && channel->process == NULL)
		return -EBADMSG;
	if (tmgr__channel_buffer(engine, channel) == NULL)
		return -ENOMEM;
	channel->buffer->capacity = row->capacity;
	channel->closed = row->closed;
	channel->created = row->created;
	return 0;
}

static int load_message(struct tmgr__engine *engine, const struct tmgr_store_message *row)
{
	struct tmgr__channel *channel = tmgr__engine_channel(engine, row->channel);
	struct tmgr__emessage *message;

	if (channel == NULL || channel->buffer == NULL)
		return -EBADMSG;
	message = tmgr__engine_memory(engine, sizeof(*message));
	if (message == NULL)
		return -ENOMEM;
	see_sequence(engine, row->sequence);
	message->sequence = row->sequence;
	message->value = tmgr__blob(engine, row->value);
	tmgr__buffer_append(channel->buffer, message);
	return engine->broken;
}

static int load_arrival(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr_store_goroutine *row)
{
	struct tmgr__blob *value = NULL;
	struct tmgr__arrival *arrival;

	if (row->arrival == TMGR_ARRIVED_START)
		return 0;
	if (row->value.size > 0 || row->arrival == TMGR_ARRIVED_MESSAGE)
		value = tmgr__blob(engine, row->value);
	arrival = tmgr__arrive(engine, row->arrival, row->case_index, row->from, value);
	if (arrival == NULL)
		return -ENOMEM;
	arrival->error = row->arrival_error;
	goroutine->what.arrival = arrival;
	return engine->broken;
}

static int load_trouble(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr_store_goroutine *row)
{
	struct tmgr__trouble *trouble;

	if (row->attempts == 0 && row->text[0] == '\0')
		return 0;
	trouble = tmgr__goroutine_trouble(engine, goroutine);
	if (trouble == NULL)
		return -ENOMEM;
	trouble->attempts = row->attempts;
	trouble->error = row->error;
	trouble->retry_at = row->retry_at_ms;
	tmgr__text_copy_valid(trouble->text, sizeof(trouble->text), row->text);
	return 0;
}

static int load_goroutine(struct tmgr__engine *engine, const struct tmgr_store_goroutine *row)
{
	struct tmgr__eprocess *process = tmgr__engine_process(engine, row->process);
	struct tmgr__goroutine *goroutine;
	int r;

	if (process == NULL || tmgr__process_is_over(process) ||
		row->status < TMGR_GOROUTINE_READY || row->status > TMGR_GOROUTINE_FAILED ||
		!tmgr__is_time(row->retry_at_ms) ||
		tmgr__goroutine_named(process, row->name) != NULL)
		return -EBADMSG;
	goroutine = tmgr__goroutine_add(engine, process, row->name);
	if (goroutine == NULL)
		return -ENOMEM;
	see_sequence(engine, row->sequence);
	goroutine->sequence = row->sequence;
	goroutine->since_ms = row->since_ms;
	if (row->status != TMGR_GOROUTINE_BLOCKED) {
		goroutine->method = tmgr__definition_method(
			engine, process->definition, row->method);
		r = goroutine->method != NULL ? load_arrival(engine, goroutine, row) : -ENOMEM;
		if (r == 0)
			r = load_trouble(engine, goroutine, row);
		if (r != 0)
			return r;
	}
	goroutine->status = (uint8_t)row->status;
	return 0;
}

/* ---- Waits ----------------------------------------------------------------------------------- */

/* Of the same select they come one after another, and what it has is moved once to its full size. */
static struct tmgr__wait *place_for(
	struct tmgr__engine *engine, const struct tmgr_store_wait *row, int *ret_error)
{
	struct tmgr__eprocess *process = tmgr__engine_process(engine, row->process);
	struct tmgr__goroutine *goroutine;
	struct tmgr__wait *wait;

	*ret_error = -EBADMSG;
	goroutine = process != NULL ? tmgr__goroutine_named(process, row->goroutine) : NULL;
	if (goroutine == NULL || goroutine->status != TMGR_GOROUTINE_BLOCKED ||
		goroutine->sequence != row->sequence || row->index != goroutine->wait_count ||
		row->index >= TMGR_PROCESS_CASES_MAX)
		return NULL;
	*ret_error = -ENOMEM;
	wait = reallocarray(goroutine->what.waits, goroutine->wait_count + 1u, sizeof(*wait));
	if (wait == NULL) {
		engine->broken = -ENOMEM;
		return NULL;
	}
	goroutine->what.waits = wait;
	wait += goroutine->wait_count++;
	memset(wait, 0, sizeof(*wait));
	wait->goroutine = goroutine;
	wait->index = (uint8_t)row->index;
	wait->then.method = tmgr__definition_method(engine, process->definition, row->method);
	return wait->then.method != NULL ? wait : NULL;
}

/* Only what it is about; it is linked when all are there, since they may still move. */
static int load_subject(
	struct tmgr__engine *engine, struct tmgr__wait *wait, const struct tmgr_store_wait *row)
{
	struct tmgr__channel *channel;
	int r;

	wait->kind = (uint8_t)row->kind;
	switch (row->kind) {
	case TMGR_PROCESS_WAIT_SEND:
	case TMGR_PROCESS_WAIT_RECEIVE:
		if (!tmgr__was_channel(row->target))
			return -EBADMSG;
		r = tmgr__channel_resolve(engine, row->target, &channel);
		if (r != 0)
			return r == -ENOMEM ? r : -EBADMSG;
		wait->on.channel = channel;
		if (row->kind == TMGR_PROCESS_WAIT_SEND)
			wait->value = tmgr__blob(engine, row->value);
		return engine->broken;
	case TMGR_PROCESS_WAIT_CALL:
		wait->on.callee = tmgr__engine_process(engine, row->target);
		return wait->on.callee != NULL ? 0 : -EBADMSG;
	case TMGR_PROCESS_WAIT_AFTER:
	case TMGR_PROCESS_WAIT_AT:
		wait->on.at = row->at_ms;
		return 0;
	default:
		return -EBADMSG;
	}
}

static int load_outside(struct tmgr__engine *engine, const struct tmgr_store_wait *row)
{
	struct tmgr__wait *wait = tmgr__engine_memory(engine, sizeof(*wait));
	int r;

	if (wait == NULL)
		return -ENOMEM;
	see_sequence(engine, row->sequence);
	wait->then.sequence = row->sequence;
	r = row->kind == TMGR_PROCESS_WAIT_SEND ? load_subject(engine, wait, row) : -EBADMSG;
	if (r != 0) {
		free(wait->value);
		free(wait);
		return r;
	}
	tmgr__list_append(&wait->on.channel->line, &wait->link);
	if (tmgr__channel_buffer(engine, wait->on.channel) == NULL)
		return -ENOMEM;
	wait->on.channel->buffer->outside++;
	return 0;
}

static int load_wait(struct tmgr__engine *engine, const struct tmgr_store_wait *row)
{
	struct tmgr__wait *wait;
	int r;

	if (row->process[0] == '\0')
		return load_outside(engine, row);
	wait = place_for(engine, row, &r);
	if (wait == NULL)
		return r;
	r = load_subject(engine, wait, row);
	if (r != 0)
		wait->goroutine->wait_count--;
	return r;
}

static int load_once(struct tmgr__engine *engine, const struct tmgr_store_once *row)
{
	struct tmgr__eprocess *process = tmgr__engine_process(engine, row->process);
	struct tmgr__goroutine *goroutine = process != NULL
						    ? tmgr__goroutine_named(process, row->goroutine)
						    : NULL;

	if (goroutine == NULL || goroutine->sequence != row->sequence)
		return -EBADMSG;
	return tmgr__once_add(engine, goroutine, row->name, row->value);
}

static int load_key(struct tmgr__engine *engine, const struct tmgr_store_key *row)
{
	if (!tmgr__is_time(row->at_ms))
		return -EBADMSG;
	return tmgr__key_add(engine, row->key, row->at_ms) != NULL ? 0 : -ENOMEM;
}

int tmgr__engine_load(struct tmgr__engine *engine, const struct tmgr_store_change *row)
{
	switch (row->kind) {
	case TMGR_STORE_PROCESS:
		return load_process(engine, &row->row.process);
	case TMGR_STORE_GOROUTINE:
		return load_goroutine(engine, &row->row.goroutine);
	case TMGR_STORE_WAIT:
		return load_wait(engine, &row->row.wait);
	case TMGR_STORE_CHANNEL:
		return load_channel(engine, &row->row.channel);
	case TMGR_STORE_MESSAGE:
		return load_message(engine, &row->row.message);
	case TMGR_STORE_ONCE:
		return load_once(engine, &row->row.once);
	case TMGR_STORE_KEY:
		return load_key(engine, &row->row.key);
	default:
		return -EBADMSG;
	}
}
