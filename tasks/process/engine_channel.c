/*
 * Channels. Who waits stands in the channel's line, in the order of sequence and, of one select, of its
 * cases; so does a message from outside that nobody has received.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/process/engine_inside.h"

struct tmgr__buffer *tmgr__channel_buffer(
	struct tmgr__engine *engine, struct tmgr__channel *channel)
{
	if (channel->buffer == NULL)
		channel->buffer = tmgr__engine_memory(engine, sizeof(*channel->buffer));
	return channel->buffer;
}

/* ---- Channels that only their waits keep ----------------------------------------------------- */

void tmgr__channel_suspect(struct tmgr__engine *engine, struct tmgr__channel *channel)
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

int tmgr__channel_look(const struct tmgr__engine *engine, const char *id)
{
	const struct tmgr__eprocess *process;
	char owner[TMGR_PROCESS_ID_MAX + 1];
	size_t size = strcspn(id, "/");

	if (tmgr__engine_channel(engine, id) != NULL)
		return 0;
	if (size == 0)
		return -ENOENT;
	memcpy(owner, id, size);
	owner[size] = '\0';
	process = tmgr__engine_process(engine, owner);
	if (process == NULL)
		return -ENOENT;
	if (tmgr__process_is_over(process))
		return -EPIPE;
	return id[size + 1] == '@' ? -ENOENT : 0;
}

int tmgr__channel_resolve(
	struct tmgr__engine *engine, const char *id, struct tmgr__channel **ret_channel)
{
	struct tmgr__channel *channel = tmgr__engine_channel(engine, id);
	int r;

	if (channel == NULL) {
		r = tmgr__channel_look(engine, id);
		if (r != 0)
			return r;
		channel = tmgr__channel_add(engine, id);
		if (channel == NULL)
			return -ENOMEM;
		tmgr__channel_suspect(engine, channel);
	}
	*ret_channel = channel;
	return 0;
}

/* ---- Lines and buffers ----------------------------------------------------------------------- */

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
	tmgr__channel_suspect(engine, sender->on.channel);
	free(sender);
	return value;
}

void tmgr__buffer_append(struct tmgr__buffer *buffer, struct tmgr__emessage *message)
{
	if (buffer->last != NULL)
		buffer->last->next = message;
	else
		buffer->first = message;
	buffer->last = message;
	buffer->count++;
}

/* Takes the value. */
static void keep(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr__blob *value)
{
	struct tmgr__emessage *message = tmgr__engine_memory(engine, sizeof(*message));

	if (message == NULL) {
		free(value);
		return;
	}
	message->sequence = tmgr__engine_number(engine);
	message->value = value;
	tmgr__buffer_append(channel->buffer, message);
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
		keep(engine, channel, take_from(engine, sender));
	return value;
}

/* ---- Receiving, sending ---------------------------------------------------------------------- */

static bool has_room(const struct tmgr__channel *channel)
{
	return channel->buffer != NULL && channel->buffer->count < channel->buffer->capacity;
}

enum tmgr_arrival tmgr__channel_receive(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr__blob **ret_value)
{
	struct tmgr__wait *sender;

	if (channel->buffer != NULL && channel->buffer->count > 0) {
		*ret_value = unbuffer(engine, channel);
		return TMGR_ARRIVED_MESSAGE;
	}
	sender = first_of(channel, TMGR_PROCESS_WAIT_SEND);
	if (sender != NULL) {
		*ret_value = take_from(engine, sender);
		return TMGR_ARRIVED_MESSAGE;
	}
	return channel->closed ? TMGR_ARRIVED_CLOSED : 0;
}

enum tmgr_arrival tmgr__channel_send(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr_bytes bytes)
{
	struct tmgr__wait *receiver;
	struct tmgr__blob *value;

	if (channel->closed)
		return TMGR_ARRIVED_CLOSED;
	receiver = first_of(channel, TMGR_PROCESS_WAIT_RECEIVE);
	if (receiver == NULL && !has_room(channel))
		return 0;
	value = tmgr__blob(engine, bytes);
	if (value != NULL && receiver != NULL)
		tmgr__fire(engine, receiver, TMGR_ARRIVED_MESSAGE, value, 0);
	else if (value != NULL)
		keep(engine, channel, value);
	return TMGR_ARRIVED_SENT;
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
		keep(engine, channel, value);
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
