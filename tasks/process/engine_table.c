/* The engine's objects: found by their texts, made, freed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/process/engine_inside.h"

/* The text of an object begins where its fields end, in the padding. */
static size_t with_text(size_t whole, size_t used)
{
	return used > whole ? used : whole;
}

/* FNV-1a */
uint32_t tmgr__hash(const char *text, size_t size)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)text[i]) * 16777619u;
	return hash;
}

/* What the three kinds of objects in tables have in common, each at its own place. */
struct kind {
	size_t next, hash, text;
};

static const struct kind process_kind = {
	offsetof(struct tmgr__eprocess, hash_next),
	offsetof(struct tmgr__eprocess, hash),
	offsetof(struct tmgr__eprocess, id),
};
static const struct kind channel_kind = {
	offsetof(struct tmgr__channel, hash_next),
	offsetof(struct tmgr__channel, hash),
	offsetof(struct tmgr__channel, id),
};
static const struct kind key_kind = {
	offsetof(struct tmgr__ekey, hash_next),
	offsetof(struct tmgr__ekey, hash),
	offsetof(struct tmgr__ekey, key),
};

static void **next_of(const struct kind *kind, void *object)
{
	return (void **)(void *)((char *)object + kind->next);
}

static uint32_t *hash_of(const struct kind *kind, void *object)
{
	return (uint32_t *)(void *)((char *)object + kind->hash);
}

static void *find(
	const struct tmgr__table *table, const struct kind *kind, const char *text, size_t size)
{
	uint32_t hash = tmgr__hash(text, size);
	void *object;

	if (table->max == 0)
		return NULL;
	for (object = table->heads[hash & (table->max - 1)]; object != NULL;
		object = *next_of(kind, object)) {
		const char *own = (const char *)object + kind->text;

		if (*hash_of(kind, object) == hash && strncmp(own, text, size) == 0 &&
			own[size] == '\0')
			return object;
	}
	return NULL;
}

static int grow(struct tmgr__table *table, const struct kind *kind)
{
	size_t max = table->max > 0 ? 2 * table->max : 64;
	void **heads = calloc(max, sizeof(*heads));

	if (heads == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < table->max; i++) {
		void *object = table->heads[i];

		while (object != NULL) {
			void *next = *next_of(kind, object);
			void **head = &heads[*hash_of(kind, object) & (max - 1)];

			*next_of(kind, object) = *head;
			*head = object;
			object = next;
		}
	}
	free(table->heads);
	table->heads = heads;
	table->max = max;
	return 0;
}

int tmgr__tables_make(struct tmgr__engine *engine)
{
	int r = grow(&engine->processes, &process_kind);

	if (r == 0)
		r = grow(&engine->channels, &channel_kind);
	return r != 0 ? r : grow(&engine->keys, &key_kind);
}

/* A table that cannot grow has longer chains. */
static void add(struct tmgr__table *table, const struct kind *kind, void *object)
{
	const char *text = (const char *)object + kind->text;
	void **head;

	if (table->count >= 2 * table->max)
		grow(table, kind);
	*hash_of(kind, object) = tmgr__hash(text, strlen(text));
	head = &table->heads[*hash_of(kind, object) & (table->max - 1)];
	*next_of(kind, object) = *head;
	*head = object;
	table->count++;
}

static void drop(struct tmgr__table *table, const struct kind *kind, void *object)
{
	void **link = &table->heads[*hash_of(kind, object) & (table->max - 1)];

	while (*link != object)
		link = next_of(kind, *link);
	*link = *next_of(kind, object);
	table->count--;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

struct tmgr__ekey *tmgr__engine_key(const struct tmgr__engine *engine, const char *key)
{
	return find(&engine->keys, &key_kind, key, strlen(key));
}

struct tmgr__ekey *tmgr__key_add(struct tmgr__engine *engine, const char *key, int64_t at_ms)
{
	size_t size = strlen(key) + 1;
	struct tmgr__ekey *added = tmgr__engine_memory(engine, sizeof(*added) + size);

	if (added == NULL)
		return NULL;
	memcpy(added->key, key, size);
	added->at_ms = at_ms;
	add(&engine->keys, &key_kind, added);
	if (engine->key_last != NULL)
		engine->key_last->next = added;
	else
		engine->key_first = added;
	engine->key_last = added;
	return added;
}

void tmgr__key_forget_first(struct tmgr__engine *engine)
{
	struct tmgr__ekey *key = engine->key_first;

	engine->key_first = key->next;
	if (engine->key_first == NULL)
		engine->key_last = NULL;
	drop(&engine->keys, &key_kind, key);
	free(key);
}

/* ---- Processes ------------------------------------------------------------------------------- */

struct tmgr__eprocess *tmgr__engine_process(const struct tmgr__engine *engine, const char *id)
{
	return find(&engine->processes, &process_kind, id, strlen(id));
}

struct tmgr__eprocess *tmgr__process_add(
	struct tmgr__engine *engine, const char *id, struct tmgr__edefinition *definition)
{
	size_t size = strlen(id) + 1;
	struct tmgr__eprocess *process = tmgr__engine_memory(
		engine, with_text(sizeof(*process), offsetof(struct tmgr__eprocess, id) + size));

	if (process == NULL)
		return NULL;
	memcpy(process->id, id, size);
	process->definition = definition;
	process->status = TMGR_PROCESS_ACTIVE;
	add(&engine->processes, &process_kind, process);
	engine->live++;
	definition->processes++;
	return process;
}

static void free_process(struct tmgr__eprocess *process)
{
	while (process->goroutines != NULL) {
		struct tmgr__goroutine *goroutine = process->goroutines;

		process->goroutines = goroutine->next;
		tmgr__goroutine_free(goroutine);
	}
	if (process->ending != NULL)
		free(process->ending->result);
	free(process->ending);
	free(process->state);
	free(process);
}

void tmgr__process_free(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	drop(&engine->processes, &process_kind, process);
	free_process(process);
}

/* ---- Goroutines ------------------------------------------------------------------------------ */

struct tmgr__goroutine *tmgr__goroutine_add(
	struct tmgr__engine *engine, struct tmgr__eprocess *process, const char *name)
{
	size_t size = strlen(name) + 1;
	struct tmgr__goroutine *goroutine = tmgr__engine_memory(engine,
		with_text(sizeof(*goroutine), offsetof(struct tmgr__goroutine, name) + size));
	struct tmgr__goroutine **link = &process->goroutines;

	if (goroutine == NULL)
		return NULL;
	memcpy(goroutine->name, name, size);
	goroutine->process = process;
	while (*link != NULL)
		link = &(*link)->next;
	*link = goroutine;
	return goroutine;
}

struct tmgr__goroutine *tmgr__goroutine_named(
	const struct tmgr__eprocess *process, const char *name)
{
	struct tmgr__goroutine *goroutine = process->goroutines;

	while (goroutine != NULL && strcmp(goroutine->name, name) != 0)
		goroutine = goroutine->next;
	return goroutine;
}

void tmgr__arrival_free(struct tmgr__arrival *arrival)
{
	if (arrival != NULL)
		free(arrival->value);
	free(arrival);
}

static void free_waits(struct tmgr__goroutine *goroutine)
{
	for (size_t i = 0; i < goroutine->wait_count; i++)
		free(goroutine->what.waits[i].value);
	free(goroutine->what.waits);
}

void tmgr__goroutine_free(struct tmgr__goroutine *goroutine)
{
	struct tmgr__trouble *trouble = goroutine->trouble;

	if (goroutine->status == TMGR_GOROUTINE_BLOCKED)
		free_waits(goroutine);
	else
		tmgr__arrival_free(goroutine->what.arrival);
	while (trouble != NULL && trouble->once != NULL) {
		struct tmgr__once *once = trouble->once;

		trouble->once = once->next;
		free(once->value);
		free(once);
	}
	free(trouble);
	free(goroutine);
}

/* ---- Channels -------------------------------------------------------------------------------- */

struct tmgr__channel *tmgr__engine_channel(const struct tmgr__engine *engine, const char *id)
{
	return find(&engine->channels, &channel_kind, id, strlen(id));
}

/* Its process, which is alive, is the one in the id. */
struct tmgr__channel *tmgr__channel_add(struct tmgr__engine *engine, const char *id)
{
	size_t size = strlen(id) + 1, owner = strcspn(id, "/");
	struct tmgr__channel *channel = tmgr__engine_memory(
		engine, with_text(sizeof(*channel), offsetof(struct tmgr__channel, id) + size));

	if (channel == NULL)
		return NULL;
	memcpy(channel->id, id, size);
	tmgr__list_init(&channel->line);
	add(&engine->channels, &channel_kind, channel);
	if (owner == 0)
		return channel;
	channel->process = find(&engine->processes, &process_kind, id, owner);
	if (channel->process != NULL) {
		channel->next = channel->process->channels;
		channel->process->channels = channel;
	}
	return channel;
}

/* The waits of goroutines are theirs. */
static void free_line(struct tmgr__list *line)
{
	struct tmgr__list *link = line->next;

	while (link != line) {
		struct tmgr__wait *wait = container_of(link, struct tmgr__wait, link);

		link = link->next;
		if (wait->goroutine != NULL)
			continue;
		free(wait->value);
		free(wait);
	}
}

static void free_channel(struct tmgr__channel *channel)
{
	while (channel->buffer != NULL && channel->buffer->first != NULL) {
		struct tmgr__emessage *message = channel->buffer->first;

		channel->buffer->first = message->next;
		free(message->value);
		free(message);
	}
	free_line(&channel->line);
	free(channel->buffer);
	free(channel);
}

void tmgr__channel_free(struct tmgr__engine *engine, struct tmgr__channel *channel)
{
	if (channel->process != NULL) {
		struct tmgr__channel **link = &channel->process->channels;

		while (*link != channel)
			link = &(*link)->next;
		*link = channel->next;
	}
	drop(&engine->channels, &channel_kind, channel);
	free_channel(channel);
}

/* ---- All ------------------------------------------------------------------------------------- */

static void free_definition(struct tmgr__edefinition *definition)
{
	while (definition->missing != NULL) {
		struct tmgr__emethod *method = definition->missing;

		definition->missing = method->next;
		free(method);
	}
	free(definition->methods);
	free(definition);
}

/* Channels first: their lines go through the waits of goroutines. */
void tmgr__engine_destroy(struct tmgr__engine *engine)
{
	if (engine == NULL)
		return;
	for (size_t i = 0; i < engine->channels.max; i++) {
		for (struct tmgr__channel *channel = engine->channels.heads[i], *next;
			channel != NULL; channel = next) {
			next = channel->hash_next;
			free_channel(channel);
		}
	}
	for (size_t i = 0; i < engine->processes.max; i++) {
		for (struct tmgr__eprocess *process = engine->processes.heads[i], *next;
			process != NULL; process = next) {
			next = process->hash_next;
			free_process(process);
		}
	}
	while (engine->key_first != NULL)
		tmgr__key_forget_first(engine);
	while (engine->definitions != NULL) {
		struct tmgr__edefinition *definition = engine->definitions;

		engine->definitions = definition->next;
		free_definition(definition);
	}
	free(engine->channels.heads);
	free(engine->processes.heads);
	free(engine->keys.heads);
	free(engine->after.timers);
	free(engine->at.timers);
	free(engine->unused);
	tmgr__spare_release(engine, true);
	free(engine);
}
