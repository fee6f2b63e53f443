/*
 * The store in memory. What a commit takes is copied first; then nothing can fail any more.
 *
 * The lock is held over whole calls, so that events and health can be read beside the others.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/error.h>
#include <taskmgr/tasks/process_store.h>
#include <taskmgr/time.h>

#include "taskmgr/base/check.h"
#include "taskmgr/base/text.h"

#include "tasks/process/store_memory_rows.h"

struct memory {
	struct tmgr_store store;
	pthread_mutex_t lock;
	struct tmgr__memory_rows rows;
	struct tmgr__memory_row **events; /* by sequence */
	size_t event_first, event_count, event_max;
	uint64_t sequence;
	int64_t now_ms;
	bool open;
	int fails; /* what commits are answered with */
	bool ended;
	struct tmgr_store_health health;
};

static const struct tmgr_store_ops memory_ops;

static int grow_events(struct memory *memory, size_t more)
{
	size_t max = memory->event_max > 0 ? memory->event_max : 64;
	struct tmgr__memory_row **events;

	if (memory->event_first > 0) {
		memmove(memory->events, memory->events + memory->event_first,
			memory->event_count * sizeof(struct tmgr__memory_row *));
		memory->event_first = 0;
	}
	while (max < memory->event_count + more)
		max *= 2;
	if (max == memory->event_max)
		return 0;
	events = reallocarray(memory->events, max, sizeof(struct tmgr__memory_row *));
	if (events == NULL)
		return -ENOMEM;
	memory->events = events;
	memory->event_max = max;
	return 0;
}

static void take(struct memory *memory, struct tmgr__memory_row *row)
{
	if (row->change.kind == TMGR_STORE_EVENT)
		memory->events[memory->event_first + memory->event_count++] = row;
	else
		tmgr__memory_rows_put(&memory->rows, row);
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

	for (size_t i = 0; i < memory->event_count; i++)
		free(memory->events[memory->event_first + i]);
	free(memory->events);
	tmgr__memory_rows_fini(&memory->rows);
	pthread_mutex_destroy(&memory->lock);
	free(memory);
}

static int memory_load(struct tmgr_store *store, uint32_t partition,
	int (*visit)(void *self, const struct tmgr_store_change *row), void *self)
{
	return tmgr__memory_rows_visit(&memory_of(store)->rows, visit, self);
}

/* ---- Committing ------------------------------------------------------------------------------ */

/* Copies of all that is put, in order; NULL and 0 where nothing is. */
static int copy_puts(const struct tmgr_store_batch *batch, struct tmgr__memory_row **ret_first,
	size_t *ret_count, size_t *ret_events)
{
	struct tmgr__memory_row **link = ret_first;

	*ret_first = NULL;
	for (size_t i = 0; i < batch->count; i++) {
		for (size_t k = 0; k < batch->steps[i].count; k++) {
			const struct tmgr_store_change *change = &batch->steps[i].changes[k];
			struct tmgr__memory_row *row;

			if (change->op != TMGR_STORE_PUT)
				continue;
			row = tmgr__memory_row_copy(change);
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

static void free_rows(struct tmgr__memory_row *row)
{
	while (row != NULL) {
		struct tmgr__memory_row *next = row->next;

		free(row);
		row = next;
	}
}

static void make_changes(
	struct memory *memory, const struct tmgr_store_step *step, struct tmgr__memory_row **puts)
{
	bool had = step->sequence <= memory->sequence;

	for (size_t i = 0; i < step->count; i++) {
		const struct tmgr_store_change *change = &step->changes[i];

		if (change->op == TMGR_STORE_PUT) {
			struct tmgr__memory_row *row = *puts;

			*puts = row->next;
			if (had)
				free(row);
			else
				take(memory, row);
		} else if (!had) {
			tmgr__memory_rows_delete(&memory->rows, change);
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
	struct tmgr__memory_row *puts;
	int r;

	if (memory->ended)
		return -EIO;
	if (memory->fails != 0) {
		memory->ended = memory->fails != -ENOSPC;
		return memory->fails;
	}
	r = copy_puts(batch, &puts, &count, &events);
	if (r == 0)
		r = tmgr__memory_rows_grow(&memory->rows, count);
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
		struct tmgr__memory_row *oldest = memory->events[memory->event_first];

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
	int r = tmgr__memory_rows_copy(&to->rows, &from->rows);

	if (r == 0)
		r = grow_events(to, from->event_count);
	for (size_t i = 0; r == 0 && i < from->event_count; i++) {
		struct tmgr__memory_row *row = tmgr__memory_row_copy(
			&from->events[from->event_first + i]->change);

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
