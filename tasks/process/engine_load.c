/* The engine from the rows of a store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/text.h"

#include "tasks/process/engine_inside.h"

static int load_process(struct tmgr__engine *engine, const struct tmgr_store_process *row)
{
	struct tmgr__edefinition *definition = tmgr__definition_get(engine, row->definition);
	struct tmgr__eprocess *process;
	struct tmgr__ending *ending;

	if (definition == NULL)
		return -ENOMEM;
	if (row->status < TMGR_PROCESS_ACTIVE || row->status > TMGR_PROCESS_CANCELLED ||
		tmgr__engine_process(engine, row->id) != NULL)
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
		tmgr__text_copy(ending->text, sizeof(ending->text), row->text);
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

	if (!tmgr__is_channel(row->id) || tmgr__engine_channel(engine, row->id) != NULL)
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
	message->sequence = row->sequence;
	message->value = tmgr__blob(engine, row->value);
	if (channel->buffer->last != NULL)
		channel->buffer->last->next = message;
	else
		channel->buffer->first = message;
	channel->buffer->last = message;
	channel->buffer->count++;
	return engine->broken;
}

static int load_arrival(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr_store_goroutine *row)
{
	size_t size = strlen(row->from) + 1;
	struct tmgr__arrival *arrival;

	if (row->arrival == TMGR_ARRIVED_START)
		return 0;
	arrival = tmgr__engine_memory(engine, sizeof(*arrival) + size);
	if (arrival == NULL)
		return -ENOMEM;
	memcpy(arrival->from, row->from, size);
	arrival->kind = (uint8_t)row->arrival;
	arrival->case_index = (uint8_t)row->case_index;
	arrival->error = row->arrival_error;
	if (row->value.size > 0 || row->arrival == TMGR_ARRIVED_MESSAGE)
		arrival->value = tmgr__blob(engine, row->value);
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
	tmgr__text_copy(trouble->text, sizeof(trouble->text), row->text);
	return 0;
}

static int load_goroutine(struct tmgr__engine *engine, const struct tmgr_store_goroutine *row)
{
	struct tmgr__eprocess *process = tmgr__engine_process(engine, row->process);
	struct tmgr__goroutine *goroutine;
	int r;

	if (process == NULL || tmgr__process_is_over(process) ||
		row->status < TMGR_GOROUTINE_READY || row->status > TMGR_GOROUTINE_FAILED ||
		tmgr__goroutine_named(process, row->name) != NULL)
		return -EBADMSG;
	goroutine = tmgr__goroutine_add(engine, process, row->name);
	if (goroutine == NULL)
		return -ENOMEM;
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
		if (!tmgr__is_channel(row->target))
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
	struct tmgr__trouble *trouble;
	struct tmgr__once *once;
	size_t size = strlen(row->name) + 1;

	if (goroutine == NULL || goroutine->sequence != row->sequence)
		return -EBADMSG;
	trouble = tmgr__goroutine_trouble(engine, goroutine);
	once = trouble != NULL ? tmgr__engine_memory(engine, sizeof(*once) + size) : NULL;
	if (once == NULL)
		return -ENOMEM;
	memcpy(once->name, row->name, size);
	once->next = trouble->once;
	trouble->once = once;
	once->value = tmgr__blob(engine, row->value);
	return engine->broken;
}

static int load_key(struct tmgr__engine *engine, const struct tmgr_store_key *row)
{
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

/* ---- When all are there ---------------------------------------------------------------------- */

static int compare_waits(const void *a, const void *b)
{
	const struct tmgr__wait *first = *(struct tmgr__wait *const *)a;
	const struct tmgr__wait *second = *(struct tmgr__wait *const *)b;
	uint64_t x = tmgr__wait_sequence(first), y = tmgr__wait_sequence(second);

	return x != y ? (x < y ? -1 : 1) : (int)first->index - (int)second->index;
}

static int compare_goroutines(const void *a, const void *b)
{
	const struct tmgr__goroutine *first = *(struct tmgr__goroutine *const *)a;
	const struct tmgr__goroutine *second = *(struct tmgr__goroutine *const *)b;

	return first->sequence < second->sequence ? -1 : first->sequence > second->sequence;
}

static int compare_ends(const void *a, const void *b)
{
	const struct tmgr__eprocess *first = *(struct tmgr__eprocess *const *)a;
	const struct tmgr__eprocess *second = *(struct tmgr__eprocess *const *)b;

	int64_t x = tmgr__process_changed(first), y = tmgr__process_changed(second);

	return x < y ? -1 : x > y;
}

/* Everything there is, gathered to be put into order. */
struct gathered {
	void **items;
	size_t count, max;
	int error;
};

static void gather(struct gathered *gathered, void *item)
{
	if (gathered->count == gathered->max) {
		size_t max = gathered->max > 0 ? 2 * gathered->max : 256;
		void **more = reallocarray(gathered->items, max, sizeof(*more));

		if (more == NULL) {
			gathered->error = -ENOMEM;
			return;
		}
		gathered->items = more;
		gathered->max = max;
	}
	gathered->items[gathered->count++] = item;
}

static void sort(struct gathered *gathered, int (*compare)(const void *, const void *))
{
	if (gathered->count > 1)
		qsort(gathered->items, gathered->count, sizeof(*gathered->items), compare);
}

static void link_wait(struct tmgr__engine *engine, struct tmgr__wait *wait)
{
	switch (wait->kind) {
	case TMGR_PROCESS_WAIT_SEND:
	case TMGR_PROCESS_WAIT_RECEIVE:
		tmgr__list_append(&wait->on.channel->line, &wait->link);
		break;
	case TMGR_PROCESS_WAIT_CALL:
		tmgr__call_link(engine, wait);
		break;
	default:
		tmgr__timer_arm(engine, wait, wait->on.at);
	}
}

/* Messages from outside stand in the lines already, in their order: all are put there again. */
static void unlink_outside(struct tmgr__engine *engine, struct gathered *waits)
{
	for (size_t i = 0; i < engine->channels.max; i++) {
		for (struct tmgr__channel *channel = engine->channels.heads[i]; channel != NULL;
			channel = channel->hash_next) {
			for (struct tmgr__list *link = channel->line.next; link != &channel->line;
				link = link->next)
				gather(waits, container_of(link, struct tmgr__wait, link));
		}
	}
	for (size_t i = 0; waits->error == 0 && i < waits->count; i++) {
		struct tmgr__wait *wait = waits->items[i];

		tmgr__list_remove(&wait->link);
	}
}

static void gather_all(struct tmgr__engine *engine, struct gathered *waits, struct gathered *ready,
	struct gathered *over)
{
	unlink_outside(engine, waits);
	for (size_t i = 0; i < engine->processes.max; i++) {
		for (struct tmgr__eprocess *process = engine->processes.heads[i]; process != NULL;
			process = process->hash_next) {
			if (tmgr__process_is_over(process))
				gather(over, process);
			for (struct tmgr__goroutine *goroutine = process->goroutines;
				goroutine != NULL; goroutine = goroutine->next) {
				if (goroutine->status != TMGR_GOROUTINE_BLOCKED)
					gather(ready, goroutine);
				else
					for (size_t k = 0; k < goroutine->wait_count; k++)
						gather(waits, &goroutine->what.waits[k]);
			}
		}
	}
}

/* What was ready runs; what this program could not run before, and now can, runs too. */
static void take_up(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	bool known = goroutine->method->entry != NULL;
	struct tmgr__trouble *trouble = goroutine->trouble;

	if (goroutine->status == TMGR_GOROUTINE_FAILED)
		return;
	if (!known) {
		if (goroutine->status == TMGR_GOROUTINE_PAUSED)
			return;
		tmgr__goroutine_pause_for_method(engine, goroutine);
		tmgr__put_goroutine(engine, goroutine);
		return;
	}
	if (goroutine->status == TMGR_GOROUTINE_PAUSED) {
		goroutine->status = TMGR_GOROUTINE_READY;
		if (trouble != NULL)
			trouble->text[0] = '\0';
		tmgr__put_event(
			engine, TMGR_PROCESS_EVENT_RESUMED, goroutine->process, goroutine, "");
		tmgr__put_goroutine(engine, goroutine);
	}
	if (trouble != NULL && trouble->retry_at > engine->now_ms)
		tmgr__timer_arm(engine, &trouble->retry, trouble->retry_at);
	else
		tmgr__goroutine_wait_for_turn(engine, goroutine);
}

static void put_in_order(struct tmgr__engine *engine, struct gathered *waits,
	struct gathered *ready, struct gathered *over)
{
	sort(waits, compare_waits);
	sort(ready, compare_goroutines);
	sort(over, compare_ends);
	for (size_t i = 0; i < waits->count; i++)
		link_wait(engine, waits->items[i]);
	for (size_t i = 0; i < ready->count; i++)
		take_up(engine, ready->items[i]);
	for (size_t i = 0; i < over->count; i++) {
		tmgr__process_remember(engine, over->items[i]);
	}
}

/* Every blocked one has a wait, and cancels that a program without the definition was asked for. */
static int look_over(struct tmgr__engine *engine)
{
	for (size_t i = 0; i < engine->processes.max; i++) {
		struct tmgr__eprocess *process = engine->processes.heads[i], *next;

		for (; process != NULL; process = next) {
			next = process->hash_next;
			for (struct tmgr__goroutine *goroutine = process->goroutines;
				goroutine != NULL; goroutine = goroutine->next) {
				if (goroutine->status == TMGR_GOROUTINE_BLOCKED &&
					goroutine->wait_count == 0)
					return -EBADMSG;
			}
			if (!tmgr__process_is_over(process) && process->goroutines == NULL)
				return -EBADMSG;
		}
	}
	return 0;
}

static void cancel_asked(struct tmgr__engine *engine)
{
	for (size_t i = 0; i < engine->processes.max; i++) {
		for (struct tmgr__eprocess *process = engine->processes.heads[i]; process != NULL;
			process = process->hash_next) {
			if (process->cancelled && !process->cancelling &&
				!tmgr__process_is_over(process))
				tmgr__process_cancel_now(engine, process);
		}
	}
}

/* There was no memory for the order: what the lines had stays theirs, to be freed. */
static void give_back(struct tmgr__engine *engine, const struct gathered *waits)
{
	engine->broken = -ENOMEM;
	for (size_t i = 0; i < waits->count; i++) {
		struct tmgr__wait *wait = waits->items[i];

		if (wait->goroutine == NULL && tmgr__list_empty(&wait->link))
			link_wait(engine, wait);
	}
}

int tmgr__engine_loaded(struct tmgr__engine *engine, struct tmgr__changes *changes,
	const struct tmgr_store_opened *opened, int64_t wall_ms)
{
	struct gathered waits = { 0 }, ready = { 0 }, over = { 0 };
	int r = look_over(engine);

	if (r != 0)
		return r;
	engine->sequence = engine->durable = opened->sequence;
	engine->wall_ms = wall_ms;
	engine->now_ms = opened->now_ms > wall_ms ? opened->now_ms : wall_ms;
	engine->changes = changes;
	gather_all(engine, &waits, &ready, &over);
	if (waits.error != 0 || ready.error != 0 || over.error != 0)
		give_back(engine, &waits);
	else
		put_in_order(engine, &waits, &ready, &over);
	free(waits.items);
	free(ready.items);
	free(over.items);
	if (engine->broken == 0)
		cancel_asked(engine);
	tmgr__channel_drop_unused(engine, NULL);
	if (engine->broken == 0 && changes->error == 0 && changes->count > changes->begun)
		tmgr__changes_end_step(changes, tmgr__engine_number(engine));
	if (changes->error != 0)
		engine->broken = changes->error;
	return engine->broken;
}
