/*
 * The store in memory: rows in chains by their groups, which a DELETE names. What a commit takes is
 * copied first; then nothing can fail any more.
 *
 * The lock is held over whole calls, so that events and health can be read beside the others.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/error.h>
#include <taskmgr/tasks/process_store.h>
#include <taskmgr/time.h>

#include "taskmgr/base/check.h"
#include "taskmgr/base/text.h"

#include "tasks/process/row.h"

#define GROUP_SIZE (2 * TMGR_PROCESS_CHANNEL_MAX + TMGR_PROCESS_KEY_MAX)

struct row {
	struct row *next;
	uint64_t hash;
	struct tmgr_store_change change;
};

_Static_assert(
	sizeof(struct row) == offsetof(struct row, change) + sizeof(struct tmgr_store_change),
	"what a row refers to follows it");

struct memory {
	struct tmgr_store store;
	pthread_mutex_t lock;
	struct row **heads;
	size_t count, max;
	struct row **events; /* by sequence */
	size_t event_first, event_count, event_max;
	uint64_t sequence;
	int64_t now_ms;
	bool open;
	int fails; /* what commits are answered with */
	bool ended;
	struct tmgr_store_health health;
};

static const struct tmgr_store_ops memory_ops;

/* ---- Rows ------------------------------------------------------------------------------------ */

/* What a DELETE of its kind names, or nearly so: of messages the channel's own one. */
static uint64_t group_hash(const struct tmgr_store_change *change)
{
	char group[GROUP_SIZE];
	uint64_t hash = 14695981039346656037u;

	switch (change->kind) {
	case TMGR_STORE_PROCESS:
		snprintf(group, sizeof(group), "p%s", change->row.process.id);
		break;
	case TMGR_STORE_GOROUTINE:
		snprintf(group, sizeof(group), "g%s/%s", change->row.goroutine.process,
			change->row.goroutine.name);
		break;
	case TMGR_STORE_WAIT:
		snprintf(group, sizeof(group), "w%llu",
			(unsigned long long)change->row.wait.sequence);
		break;
	case TMGR_STORE_CHANNEL:
		snprintf(group, sizeof(group), "c%s", change->row.channel.id);
		break;
	case TMGR_STORE_MESSAGE:
		snprintf(group, sizeof(group), "m%s", change->row.message.channel);
		break;
	case TMGR_STORE_ONCE:
		snprintf(group, sizeof(group), "o%s/%s", change->row.once.process,
			change->row.once.goroutine);
		break;
	default:
		snprintf(group, sizeof(group), "k%s", change->row.key.key);
	}
	for (const char *at = group; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * 1099511628211u;
	return hash;
}

/* Whether a row is one that this DELETE, or with all of its key this PUT, is about. */
static bool is_meant(
	const struct tmgr_store_change *row, const struct tmgr_store_change *change, bool whole)
{
	if (row->kind != change->kind)
		return false;
	switch (row->kind) {
	case TMGR_STORE_PROCESS:
		return strcmp(row->row.process.id, change->row.process.id) == 0;
	case TMGR_STORE_GOROUTINE:
		return strcmp(row->row.goroutine.process, change->row.goroutine.process) == 0 &&
		       strcmp(row->row.goroutine.name, change->row.goroutine.name) == 0;
	case TMGR_STORE_WAIT:
		return row->row.wait.sequence == change->row.wait.sequence &&
		       (!whole || row->row.wait.index == change->row.wait.index);
	case TMGR_STORE_CHANNEL:
		return strcmp(row->row.channel.id, change->row.channel.id) == 0;
	case TMGR_STORE_MESSAGE:
		return strcmp(row->row.message.channel, change->row.message.channel) == 0 &&
		       row->row.message.sequence == change->row.message.sequence;
	case TMGR_STORE_ONCE:
		return strcmp(row->row.once.process, change->row.once.process) == 0 &&
		       strcmp(row->row.once.goroutine, change->row.once.goroutine) == 0 &&
		       row->row.once.sequence == change->row.once.sequence &&
		       (!whole || strcmp(row->row.once.name, change->row.once.name) == 0);
	default:
		return strcmp(row->row.key.key, change->row.key.key) == 0;
	}
}

static void delete_rows(struct memory *memory, const struct tmgr_store_change *change, bool whole)
{
	struct row **link;
	uint64_t hash = group_hash(change);

	if (memory->max == 0)
		return;
	link = &memory->heads[hash & (memory->max - 1)];
	while (*link != NULL) {
		struct row *row = *link;

		if (row->hash == hash && is_meant(&row->change, change, whole)) {
			*link = row->next;
			memory->count--;
			free(row);
		} else {
			link = &row->next;
		}
	}
}

static void delete_messages(struct memory *memory, const char *channel)
{
	struct tmgr_store_change any = { .kind = TMGR_STORE_MESSAGE,
		.row.message.channel = channel };
	uint64_t hash = group_hash(&any);
	struct row **link = &memory->heads[hash & (memory->max - 1)];

	while (*link != NULL) {
		struct row *row = *link;

		if (row->change.kind == TMGR_STORE_MESSAGE && row->hash == hash &&
			strcmp(row->change.row.message.channel, channel) == 0) {
			*link = row->next;
			memory->count--;
			free(row);
		} else {
			link = &row->next;
		}
	}
}

static int grow(struct memory *memory, size_t more)
{
	size_t max = memory->max > 0 ? memory->max : 64;
	struct row **heads;

	while (max < memory->count + more)
		max *= 2;
	if (max == memory->max)
		return 0;
	heads = calloc(max, sizeof(struct row *));
	if (heads == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < memory->max; i++) {
		struct row *row = memory->heads[i];

		while (row != NULL) {
			struct row *next = row->next;

			row->next = heads[row->hash & (max - 1)];
			heads[row->hash & (max - 1)] = row;
			row = next;
		}
	}
	free(memory->heads);
	memory->heads = heads;
	memory->max = max;
	return 0;
}

static int grow_events(struct memory *memory, size_t more)
{
	size_t max = memory->event_max > 0 ? memory->event_max : 64;
	struct row **events;

	if (memory->event_first > 0) {
		memmove(memory->events, memory->events + memory->event_first,
			memory->event_count * sizeof(struct row *));
		memory->event_first = 0;
	}
	while (max < memory->event_count + more)
		max *= 2;
	if (max == memory->event_max)
		return 0;
	events = reallocarray(memory->events, max, sizeof(struct row *));
	if (events == NULL)
		return -ENOMEM;
	memory->events = events;
	memory->event_max = max;
	return 0;
}

static void take(struct memory *memory, struct row *row)
{
	struct row **head;

	if (row->change.kind == TMGR_STORE_EVENT) {
		memory->events[memory->event_first + memory->event_count++] = row;
		return;
	}
	delete_rows(memory, &row->change, true);
	row->hash = group_hash(&row->change);
	head = &memory->heads[row->hash & (memory->max - 1)];
	row->next = *head;
	*head = row;
	memory->count++;
}

static struct row *copy_row(const struct tmgr_store_change *change)
{
	return tmgr__row_copy(change, offsetof(struct row, change));
}

/* ---- Opening, closing ------------------------------------------------------------------------ */

static struct memory *memory_of(struct tmgr_store *store)
{
	return container_of(store, struct memory, store);
}

static int memory_open(struct tmgr_store *store, struct tmgr_store_opened *ret_opened)
{
	struct memory *memory = memory_of(store);
	int r = 0;

	pthread_mutex_lock(&memory->lock);
	if (memory->open) {
		r = -EBUSY;
	} else {
		memory->open = true;
		memory->ended = false;
		memory->health = (struct tmgr_store_health){ 0 };
		*ret_opened = (struct tmgr_store_opened){
			.sequence = memory->sequence,
			.now_ms = memory->now_ms,
		};
	}
	pthread_mutex_unlock(&memory->lock);
	return r;
}

static int memory_close(struct tmgr_store *store)
{
	struct memory *memory = memory_of(store);

	pthread_mutex_lock(&memory->lock);
	memory->open = false;
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static void memory_destroy(struct tmgr_store *store)
{
	struct memory *memory = memory_of(store);

	for (size_t i = 0; i < memory->max; i++) {
		while (memory->heads[i] != NULL) {
			struct row *row = memory->heads[i];

			memory->heads[i] = row->next;
			free(row);
		}
	}
	for (size_t i = 0; i < memory->event_count; i++)
		free(memory->events[memory->event_first + i]);
	free(memory->heads);
	free(memory->events);
	pthread_mutex_destroy(&memory->lock);
	free(memory);
}

/* ---- Loading --------------------------------------------------------------------------------- */

static const enum tmgr_store_kind load_order[] = {
	TMGR_STORE_PROCESS,
	TMGR_STORE_CHANNEL,
	TMGR_STORE_MESSAGE,
	TMGR_STORE_GOROUTINE,
	TMGR_STORE_WAIT,
	TMGR_STORE_ONCE,
	TMGR_STORE_KEY,
};

static uint64_t order_of(const struct tmgr_store_change *change)
{
	switch (change->kind) {
	case TMGR_STORE_WAIT:
		return change->row.wait.sequence << 7 | change->row.wait.index;
	case TMGR_STORE_MESSAGE:
		return change->row.message.sequence;
	case TMGR_STORE_KEY:
		return (uint64_t)change->row.key.at_ms;
	default:
		return 0;
	}
}

/* A row with its order beside it: looking into each for every comparison takes long. */
struct place {
	uint64_t order;
	struct row *row;
};

static int compare(const void *a, const void *b)
{
	const struct place *first = a, *second = b;

	return first->order < second->order ? -1 : first->order > second->order;
}

static size_t select_kind(
	const struct memory *memory, enum tmgr_store_kind kind, struct place *places)
{
	size_t count = 0;

	for (size_t i = 0; i < memory->max; i++) {
		for (struct row *row = memory->heads[i]; row != NULL; row = row->next) {
			if (row->change.kind == kind)
				places[count++] = (struct place){ order_of(&row->change), row };
		}
	}
	if (count > 1)
		qsort(places, count, sizeof(*places), compare);
	return count;
}

static int memory_load(struct tmgr_store *store, uint32_t partition,
	int (*visit)(void *self, const struct tmgr_store_change *row), void *self)
{
	struct memory *memory = memory_of(store);
	struct place *places;
	int r = 0;

	if (memory->count == 0)
		return 0;
	places = calloc(memory->count, sizeof(*places));
	if (places == NULL)
		return -ENOMEM;
	for (size_t kind = 0; r == 0 && kind < ARRAY_SIZE(load_order); kind++) {
		size_t count = select_kind(memory, load_order[kind], places);

		for (size_t i = 0; r == 0 && i < count; i++)
			r = visit(self, &places[i].row->change);
	}
	free(places);
	return r;
}

/* ---- Committing ------------------------------------------------------------------------------ */

/* Copies of all that is put, in order; NULL and 0 where nothing is. */
static int copy_puts(const struct tmgr_store_batch *batch, struct row **ret_first,
	size_t *ret_count, size_t *ret_events)
{
	struct row **link = ret_first;

	*ret_first = NULL;
	for (size_t i = 0; i < batch->count; i++) {
		for (size_t k = 0; k < batch->steps[i].count; k++) {
			const struct tmgr_store_change *change = &batch->steps[i].changes[k];
			struct row *row;

			if (change->op != TMGR_STORE_PUT)
				continue;
			row = copy_row(change);
			if (row == NULL)
				return -ENOMEM;
			row->next = NULL;
			*link = row;
			link = &row->next;
			*ret_count += 1;
			*ret_events += change->kind == TMGR_STORE_EVENT;
		}
	}
	return 0;
}

static void free_rows(struct row *row)
{
	while (row != NULL) {
		struct row *next = row->next;

		free(row);
		row = next;
	}
}

static void make_changes(
	struct memory *memory, const struct tmgr_store_step *step, struct row **puts)
{
	bool had = step->sequence <= memory->sequence;

	for (size_t i = 0; i < step->count; i++) {
		const struct tmgr_store_change *change = &step->changes[i];

		if (change->op == TMGR_STORE_PUT) {
			struct row *row = *puts;

			*puts = row->next;
			if (had)
				free(row);
			else
				take(memory, row);
		} else if (!had) {
			delete_rows(memory, change, false);
			if (change->kind == TMGR_STORE_CHANNEL)
				delete_messages(memory, change->row.channel.id);
		}
	}
	if (had)
		return;
	memory->sequence = step->sequence;
	memory->health.steps++;
	memory->health.changes += step->count;
}

static int commit(struct memory *memory, const struct tmgr_store_batch *batch)
{
	size_t count = 0, events = 0;
	struct row *puts;
	int r;

	if (memory->ended)
		return -EIO;
	if (memory->fails != 0) {
		memory->ended = memory->fails != -ENOSPC;
		return memory->fails;
	}
	r = copy_puts(batch, &puts, &count, &events);
	if (r == 0)
		r = grow(memory, count);
	if (r == 0)
		r = grow_events(memory, events);
	if (r != 0) {
		free_rows(puts);
		memory->ended = true;
		return r;
	}
	for (size_t i = 0; i < batch->count; i++)
		make_changes(memory, &batch->steps[i], &puts);
	if (batch->now_ms > memory->now_ms)
		memory->now_ms = batch->now_ms;
	memory->health.batches++;
	return 0;
}

static int memory_commit(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	struct memory *memory = memory_of(store);
	int64_t began = tmgr_now(), took;
	int r;

	pthread_mutex_lock(&memory->lock);
	r = commit(memory, batch);
	took = tmgr_now() - began;
	memory->health.error = r;
	memory->health.commit_last_ns = took;
	if (took > memory->health.commit_max_ns)
		memory->health.commit_max_ns = took;
	tmgr__text_copy(
		memory->health.text, sizeof(memory->health.text), r != 0 ? tmgr_strerror(r) : "");
	pthread_mutex_unlock(&memory->lock);
	return r;
}

/* ---- Events, health -------------------------------------------------------------------------- */

static int memory_trim(struct tmgr_store *store, const struct tmgr_store_trim *trim)
{
	struct memory *memory = memory_of(store);
	size_t deleted = 0;

	pthread_mutex_lock(&memory->lock);
	while (memory->event_count > 0 && deleted < trim->rows_max) {
		struct row *oldest = memory->events[memory->event_first];

		if ((trim->events_max == 0 || memory->event_count <= trim->events_max) &&
			oldest->change.row.event.at_ms >= trim->before_ms)
			break;
		free(oldest);
		memory->event_first++;
		memory->event_count--;
		deleted++;
	}
	pthread_mutex_unlock(&memory->lock);
	return deleted == trim->rows_max;
}

/* The first event above a sequence. */
static size_t first_after(const struct memory *memory, uint64_t sequence)
{
	size_t low = 0, high = memory->event_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memory->events[memory->event_first + middle]->change.row.event.sequence <=
			sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int memory_read_events(struct tmgr_store *store, const struct tmgr_store_query *query,
	int (*visit)(void *self, const struct tmgr_process_event *event), void *self)
{
	struct memory *memory = memory_of(store);
	size_t visited = 0;
	int r = 0;

	pthread_mutex_lock(&memory->lock);
	for (size_t i = first_after(memory, query->after);
		r == 0 && i < memory->event_count && visited < query->count_max; i++) {
		const struct tmgr_process_event *event =
			&memory->events[memory->event_first + i]->change.row.event;

		if (query->process != NULL && strcmp(event->process, query->process) != 0)
			continue;
		visited++;
		r = visit(self, event);
	}
	pthread_mutex_unlock(&memory->lock);
	return r;
}

static void memory_health(struct tmgr_store *store, struct tmgr_store_health *ret_health)
{
	struct memory *memory = memory_of(store);

	pthread_mutex_lock(&memory->lock);
	*ret_health = memory->health;
	pthread_mutex_unlock(&memory->lock);
}

static const struct tmgr_store_ops memory_ops = {
	.kind = "memory",
	.open = memory_open,
	.load = memory_load,
	.commit = memory_commit,
	.trim = memory_trim,
	.read_events = memory_read_events,
	.health = memory_health,
	.close = memory_close,
	.destroy = memory_destroy,
};

/* ---- Public ---------------------------------------------------------------------------------- */

int tmgr_store_memory_create(struct tmgr_store **ret_store)
{
	struct memory *memory;

	if (ret_store == NULL)
		return -EINVAL;
	memory = calloc(1, sizeof(*memory));
	if (memory == NULL)
		return -ENOMEM;
	memory->store.ops = &memory_ops;
	pthread_mutex_init(&memory->lock, NULL);
	*ret_store = &memory->store;
	return 0;
}

int tmgr_store_memory_fail(struct tmgr_store *store, int error)
{
	struct memory *memory;

	if (store == NULL || store->ops != &memory_ops || error > 0)
		return -EINVAL;
	memory = memory_of(store);
	pthread_mutex_lock(&memory->lock);
	memory->fails = error;
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static int copy_all(const struct memory *from, struct memory *to)
{
	int r = grow(to, from->count + 1);

	if (r == 0)
		r = grow_events(to, from->event_count);
	for (size_t i = 0; r == 0 && i < from->max; i++) {
		for (const struct row *at = from->heads[i]; at != NULL; at = at->next) {
			struct row *row = copy_row(&at->change);

			if (row == NULL)
				return -ENOMEM;
			take(to, row);
		}
	}
	for (size_t i = 0; r == 0 && i < from->event_count; i++) {
		struct row *row = copy_row(&from->events[from->event_first + i]->change);

		if (row == NULL)
			return -ENOMEM;
		take(to, row);
	}
	to->sequence = from->sequence;
	to->now_ms = from->now_ms;
	return r;
}

int tmgr_store_memory_copy(struct tmgr_store *store, struct tmgr_store **ret_store)
{
	struct tmgr_store *copy;
	struct memory *memory;
	int r;

	if (store == NULL || store->ops != &memory_ops || ret_store == NULL)
		return -EINVAL;
	r = tmgr_store_memory_create(&copy);
	if (r != 0)
		return r;
	memory = memory_of(store);
	pthread_mutex_lock(&memory->lock);
	r = copy_all(memory, memory_of(copy));
	pthread_mutex_unlock(&memory->lock);
	if (r != 0) {
		tmgr_store_destroy(copy);
		return r;
	}
	*ret_store = copy;
	return 0;
}

void tmgr_store_destroy(struct tmgr_store *store)
{
	if (store != NULL)
		store->ops->destroy(store);
}
