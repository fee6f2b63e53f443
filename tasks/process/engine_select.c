/*
 * Channels and select. Who waits stands in the channel's line, in the order of sequence and, of one
 * select, of its cases; so does a message from outside that nobody has received. A select enrols only
 * after it has tried all its cases, so it is never paired with itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/process/engine_inside.h"

uint64_t tmgr__wait_sequence(const struct tmgr__wait *wait)
{
	return wait->goroutine != NULL ? wait->goroutine->sequence : wait->then.sequence;
}

/* Who waits longest to do this. In a line are senders or receivers, and of the others only one select. */
static struct tmgr__wait *first_of(
	const struct tmgr__channel *channel, enum tmgr_process_wait_kind kind)
{
	for (struct tmgr__list *link = channel->line.next; link != &channel->line;
		link = link->next) {
		struct tmgr__wait *wait = container_of(link, struct tmgr__wait, link);

		if (wait->kind == kind)
			return wait;
	}
	return NULL;
}

struct tmgr__buffer *tmgr__channel_buffer(
	struct tmgr__engine *engine, struct tmgr__channel *channel)
{
	if (channel->buffer == NULL)
		channel->buffer = tmgr__engine_memory(engine, sizeof(*channel->buffer));
	return channel->buffer;
}

/* ---- Channels that only their waits keep ----------------------------------------------------- */

static void suspect(struct tmgr__engine *engine, struct tmgr__channel *channel)
{
	if (channel->suspect || channel->created || channel->closed)
		return;
	if (engine->unused_count == engine->unused_max) {
		size_t max = engine->unused_max > 0 ? 2 * engine->unused_max : 64;
		struct tmgr__channel **more = reallocarray(
			engine->unused, max, sizeof(struct tmgr__channel *));

		/* It then stays until its process is over. */
		if (more == NULL)
			return;
		engine->unused = more;
		engine->unused_max = max;
	}
	channel->suspect = true;
	engine->unused[engine->unused_count++] = channel;
}

/* Looked at when a command is over: until then somebody may hold its address. */
void tmgr__channel_drop_unused(struct tmgr__engine *engine, struct tmgr__channel *but)
{
	for (size_t i = 0; i < engine->unused_count; i++) {
		struct tmgr__channel *channel = engine->unused[i];

		channel->suspect = false;
		if (channel != but && !channel->created && !channel->closed &&
			tmgr__list_empty(&channel->line))
			tmgr__channel_free(engine, channel);
	}
	engine->unused_count = 0;
}

int tmgr__channel_resolve(
	struct tmgr__engine *engine, const char *id, struct tmgr__channel **ret_channel)
{
	struct tmgr__channel *channel = tmgr__engine_channel(engine, id);
	char owner[TMGR_PROCESS_ID_MAX + 1];
	size_t size = strcspn(id, "/");
	struct tmgr__eprocess *process;

	if (channel == NULL) {
		if (size == 0)
			return -ENOENT;
		memcpy(owner, id, size);
		owner[size] = '\0';
		process = tmgr__engine_process(engine, owner);
		if (process == NULL)
			return -ENOENT;
		if (tmgr__process_is_over(process))
			return -EPIPE;
		if (id[size + 1] == '@')
			return -ENOENT;
		channel = tmgr__channel_add(engine, id);
		if (channel == NULL)
			return -ENOMEM;
		suspect(engine, channel);
	}
	*ret_channel = channel;
	return 0;
}

void tmgr__call_link(struct tmgr__engine *engine, struct tmgr__wait *wait)
{
	struct tmgr__eprocess *callee = wait->on.callee;

	if (tmgr__process_ending(engine, callee) == NULL)
		tmgr__list_init(&wait->link);
	else
		tmgr__list_append(&callee->ending->callers, &wait->link);
}

/* ---- Waits that end -------------------------------------------------------------------------- */

void tmgr__wait_unlink(struct tmgr__engine *engine, struct tmgr__wait *wait)
{
	switch (wait->kind) {
	case TMGR_PROCESS_WAIT_SEND:
	case TMGR_PROCESS_WAIT_RECEIVE:
		tmgr__list_remove(&wait->link);
		suspect(engine, wait->on.channel);
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

static struct tmgr__arrival *arrive(struct tmgr__engine *engine, enum tmgr_arrival kind,
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
	struct tmgr__arrival *arrival = arrive(engine, kind, wait->index, from_of(wait), value);

	if (arrival == NULL)
		return;
	arrival->error = error;
	tmgr__withdraw(engine, goroutine);
	tmgr__goroutine_ready(engine, goroutine, method, arrival);
}

/* What a sender in the line gives away; it goes on. */
static struct tmgr__blob *take_from(struct tmgr__engine *engine, struct tmgr__wait *sender)
{
	struct tmgr__blob *value = sender->value;

	sender->value = NULL;
	if (sender->goroutine != NULL) {
		tmgr__fire(engine, sender, TMGR_ARRIVED_SENT, NULL, 0);
		return value;
	}
	tmgr__delete_waits(engine, sender->then.sequence);
	sender->on.channel->buffer->outside--;
	tmgr__list_remove(&sender->link);
	suspect(engine, sender->on.channel);
	free(sender);
	return value;
}

/* ---- The buffer ------------------------------------------------------------------------------ */

/* Takes the value. */
static void buffer(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr__blob *value)
{
	struct tmgr__buffer *into = channel->buffer;
	struct tmgr__emessage *message = tmgr__engine_memory(engine, sizeof(*message));

	if (message == NULL) {
		free(value);
		return;
	}
	message->sequence = tmgr__engine_number(engine);
	message->value = value;
	if (into->last != NULL)
		into->last->next = message;
	else
		into->first = message;
	into->last = message;
	into->count++;
	tmgr__put_message(engine, channel, message);
}

/* The oldest; who waits longest to send refills. */
static struct tmgr__blob *unbuffer(struct tmgr__engine *engine, struct tmgr__channel *channel)
{
	struct tmgr__buffer *from = channel->buffer;
	struct tmgr__emessage *message = from->first;
	struct tmgr__blob *value = message->value;
	struct tmgr__wait *sender = first_of(channel, TMGR_PROCESS_WAIT_SEND);

	tmgr__delete_message(engine, channel, message);
	from->first = message->next;
	if (from->first == NULL)
		from->last = NULL;
	from->count--;
	free(message);
	if (sender != NULL)
		buffer(engine, channel, take_from(engine, sender));
	return value;
}

/* ---- Select ---------------------------------------------------------------------------------- */

/* What a case gives that can fire at once. */
struct outcome {
	enum tmgr_arrival kind; /* 0: it cannot */
	struct tmgr__blob *value;
	int error;
};

static bool has_room(const struct tmgr__channel *channel)
{
	return channel->buffer != NULL && channel->buffer->count < channel->buffer->capacity;
}

static struct outcome try_receive(struct tmgr__engine *engine, struct tmgr__channel *channel)
{
	struct outcome outcome = { TMGR_ARRIVED_MESSAGE, NULL, 0 };
	struct tmgr__wait *sender;

	if (channel == NULL)
		outcome.kind = TMGR_ARRIVED_CLOSED;
	else if (channel->buffer != NULL && channel->buffer->count > 0)
		outcome.value = unbuffer(engine, channel);
	else if ((sender = first_of(channel, TMGR_PROCESS_WAIT_SEND)) != NULL)
		outcome.value = take_from(engine, sender);
	else if (channel->closed)
		outcome.kind = TMGR_ARRIVED_CLOSED;
	else
		outcome.kind = 0;
	return outcome;
}

static struct outcome try_send(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr_bytes bytes)
{
	struct outcome outcome = { TMGR_ARRIVED_SENT, NULL, 0 };
	struct tmgr__wait *receiver;
	struct tmgr__blob *value;

	if (channel == NULL || channel->closed) {
		outcome.kind = TMGR_ARRIVED_CLOSED;
		return outcome;
	}
	receiver = first_of(channel, TMGR_PROCESS_WAIT_RECEIVE);
	if (receiver == NULL && !has_room(channel)) {
		outcome.kind = 0;
		return outcome;
	}
	value = tmgr__blob(engine, bytes);
	if (value != NULL && receiver != NULL)
		tmgr__fire(engine, receiver, TMGR_ARRIVED_MESSAGE, value, 0);
	else if (value != NULL)
		buffer(engine, channel, value);
	return outcome;
}

static int result_error(const struct tmgr__eprocess *callee)
{
	if (callee->status == TMGR_PROCESS_CANCELLED)
		return -ECANCELED;
	return callee->has_result ? 0 : -ENODATA;
}

static struct tmgr__blob *result_of(
	struct tmgr__engine *engine, const struct tmgr__eprocess *process)
{
	const struct tmgr__blob *result = process->ending != NULL ? process->ending->result : NULL;

	if (result == NULL)
		return NULL;
	return tmgr__blob(engine, (struct tmgr_bytes){ result->data, result->size });
}

static struct outcome try_call(struct tmgr__engine *engine, const struct tmgr__eprocess *callee)
{
	struct outcome outcome = { TMGR_ARRIVED_RESULT, NULL, 0 };

	if (callee == NULL) {
		outcome.error = -ENOENT;
	} else if (tmgr__process_is_over(callee)) {
		outcome.value = result_of(engine, callee);
		outcome.error = result_error(callee);
	} else {
		outcome.kind = 0;
	}
	return outcome;
}

/* What a case is about: a channel, NULL for one that is gone; or a process, NULL likewise. */
union subject {
	struct tmgr__channel *channel;
	struct tmgr__eprocess *callee;
};

static union subject subject_of(struct tmgr__engine *engine, const struct tmgr__case *one)
{
	union subject subject = { NULL };

	if (one->kind == TMGR_PROCESS_WAIT_CALL)
		subject.callee = tmgr__engine_process(engine, one->target);
	else if (one->kind == TMGR_PROCESS_WAIT_SEND || one->kind == TMGR_PROCESS_WAIT_RECEIVE)
		tmgr__channel_resolve(engine, one->target, &subject.channel);
	return subject;
}

static struct outcome try_case(
	struct tmgr__engine *engine, const struct tmgr__case *one, union subject subject)
{
	struct outcome outcome = { 0, NULL, 0 };
	int64_t now = one->kind == TMGR_PROCESS_WAIT_AT ? engine->wall_ms : engine->now_ms;

	switch (one->kind) {
	case TMGR_PROCESS_WAIT_RECEIVE:
		return try_receive(engine, subject.channel);
	case TMGR_PROCESS_WAIT_SEND:
		return try_send(engine, subject.channel, one->value);
	case TMGR_PROCESS_WAIT_CALL:
		return try_call(engine, subject.callee);
	case TMGR_PROCESS_WAIT_AFTER:
	case TMGR_PROCESS_WAIT_AT:
		if (one->at_ms <= now)
			outcome.kind = TMGR_ARRIVED_TIMEOUT;
		return outcome;
	default:
		return outcome;
	}
}

static void enrol(struct tmgr__engine *engine, struct tmgr__wait *wait,
	const struct tmgr__case *one, union subject subject)
{
	wait->kind = (uint8_t)one->kind;
	wait->then.method = one->method;
	switch (one->kind) {
	case TMGR_PROCESS_WAIT_SEND:
		wait->value = tmgr__blob(engine, one->value);
		wait->on.channel = subject.channel;
		tmgr__list_append(&subject.channel->line, &wait->link);
		break;
	case TMGR_PROCESS_WAIT_RECEIVE:
		wait->on.channel = subject.channel;
		tmgr__list_append(&subject.channel->line, &wait->link);
		break;
	case TMGR_PROCESS_WAIT_CALL:
		wait->on.callee = subject.callee;
		tmgr__call_link(engine, wait);
		break;
	default:
		wait->on.at = one->at_ms;
		tmgr__timer_arm(engine, wait, one->at_ms);
	}
	tmgr__put_wait(engine, wait);
}

static void block(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__case *cases, const union subject *subjects, size_t count)
{
	struct tmgr__wait *waits = tmgr__engine_memory(engine, count * sizeof(*waits));

	if (waits == NULL)
		return;
	goroutine->what.waits = waits;
	goroutine->wait_count = (uint8_t)count;
	goroutine->status = TMGR_GOROUTINE_BLOCKED;
	goroutine->sequence = tmgr__engine_number(engine);
	goroutine->since_ms = engine->wall_ms;
	for (size_t i = 0; i < count; i++) {
		waits[i].goroutine = goroutine;
		waits[i].index = (uint8_t)i;
		enrol(engine, &waits[i], &cases[i], subjects[i]);
	}
	tmgr__put_goroutine(engine, goroutine);
}

/* The goroutine is neither blocked nor ready. */
void tmgr__select(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__case *cases, size_t count)
{
	union subject subjects[TMGR_PROCESS_CASES_MAX];
	struct outcome outcome = { 0, NULL, 0 };
	struct tmgr__arrival *arrival;
	size_t fired = 0, fallback = count;
	const char *from;

	for (; fired < count && engine->broken == 0; fired++) {
		if (cases[fired].kind == TMGR__CASE_DEFAULT && fallback == count)
			fallback = fired;
		subjects[fired] = subject_of(engine, &cases[fired]);
		outcome = try_case(engine, &cases[fired], subjects[fired]);
		if (outcome.kind != 0)
			break;
	}
	if (outcome.kind == 0 && fallback == count) {
		block(engine, goroutine, cases, subjects, count);
		return;
	}
	if (outcome.kind == 0) {
		fired = fallback;
		outcome.kind = TMGR_ARRIVED_DEFAULT;
	}
	from = cases[fired].target != NULL ? cases[fired].target : "";
	arrival = arrive(engine, outcome.kind, fired, from, outcome.value);
	if (arrival == NULL)
		return;
	arrival->error = outcome.error;
	tmgr__goroutine_ready(engine, goroutine, cases[fired].method, arrival);
}

/* ---- From outside, and the end of channels --------------------------------------------------- */

/* Takes the value; the channel is not closed. */
void tmgr__channel_post(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr__blob *value)
{
	struct tmgr__wait *receiver = first_of(channel, TMGR_PROCESS_WAIT_RECEIVE), *wait;

	if (receiver != NULL) {
		tmgr__fire(engine, receiver, TMGR_ARRIVED_MESSAGE, value, 0);
		return;
	}
	if (has_room(channel)) {
		buffer(engine, channel, value);
		return;
	}
	wait = tmgr__engine_memory(engine, sizeof(*wait));
	if (wait == NULL || tmgr__channel_buffer(engine, channel) == NULL) {
		free(wait);
		free(value);
		return;
	}
	wait->kind = TMGR_PROCESS_WAIT_SEND;
	wait->value = value;
	wait->on.channel = channel;
	wait->then.sequence = tmgr__engine_number(engine);
	tmgr__list_append(&channel->line, &wait->link);
	channel->buffer->outside++;
	tmgr__put_wait(engine, wait);
}

/* Messages from outside that nobody will receive. */
static void drop_all(struct tmgr__list *messages)
{
	struct tmgr__list *link = messages->next;

	while (link != messages) {
		struct tmgr__wait *wait = container_of(link, struct tmgr__wait, link);

		link = link->next;
		free(wait->value);
		free(wait);
	}
}

void tmgr__channel_close(struct tmgr__engine *engine, struct tmgr__channel *channel)
{
	struct tmgr__list *link, dropped;

	tmgr__list_init(&dropped);
	channel->closed = true;
	while (engine->broken == 0 && (link = tmgr__list_first(&channel->line)) != NULL) {
		struct tmgr__wait *wait = container_of(link, struct tmgr__wait, link);

		if (wait->goroutine != NULL) {
			tmgr__fire(engine, wait, TMGR_ARRIVED_CLOSED, NULL, 0);
			continue;
		}
		tmgr__delete_waits(engine, wait->then.sequence);
		channel->buffer->outside--;
		tmgr__list_remove(link);
		tmgr__list_append(&dropped, link);
	}
	drop_all(&dropped);
}
