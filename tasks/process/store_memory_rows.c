/*
 * Rows in chains by their groups, which a DELETE names, so that a change looks at one chain only. Growing
 * comes first and may fail; then nothing can.
 */
#include "tasks/process/store_memory_rows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/check.h"

#include "tasks/process/places.h"
#include "tasks/process/row.h"

#define GROUP_SIZE (2 * TMGR_PROCESS_CHANNEL_MAX + TMGR_PROCESS_KEY_MAX)

_Static_assert(sizeof(struct tmgr__memory_row) ==
		       offsetof(struct tmgr__memory_row, change) + sizeof(struct tmgr_store_change),
	"what a row refers to follows it");

struct tmgr__memory_row *tmgr__memory_row_copy(const struct tmgr_store_change *change)
{
	return tmgr__row_copy(change, offsetof(struct tmgr__memory_row, change));
}

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

/* How much of a group is meant. */
enum extent {
	SAME_KEY, /* what a PUT stands in place of */
	NAMED,    /* what a DELETE names: all waits of a select, all effects of a step */
	ALL,      /* all messages of a channel */
};

static bool is_meant(const struct tmgr_store_change *row, const struct tmgr_store_change *change,
	enum extent extent)
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
		       (extent != SAME_KEY || row->row.wait.index == change->row.wait.index);
	case TMGR_STORE_CHANNEL:
		return strcmp(row->row.channel.id, change->row.channel.id) == 0;
	case TMGR_STORE_MESSAGE:
		return strcmp(row->row.message.channel, change->row.message.channel) == 0 &&
		       (extent == ALL || row->row.message.sequence == change->row.message.sequence);
	case TMGR_STORE_ONCE:
		return strcmp(row->row.once.process, change->row.once.process) == 0 &&
		       strcmp(row->row.once.goroutine, change->row.once.goroutine) == 0 &&
		       row->row.once.sequence == change->row.once.sequence &&
		       (extent != SAME_KEY ||
			       strcmp(row->row.once.name, change->row.once.name) == 0);
	default:
		return strcmp(row->row.key.key, change->row.key.key) == 0;
	}
}

static void delete_rows(
	struct tmgr__memory_rows *rows, const struct tmgr_store_change *change, enum extent extent)
{
	uint64_t hash = group_hash(change);
	struct tmgr__memory_row **link = &rows->heads[hash & (rows->max - 1)];

	while (*link != NULL) {
		struct tmgr__memory_row *row = *link;

		if (row->hash == hash && is_meant(&row->change, change, extent)) {
			*link = row->next;
			rows->count--;
			free(row);
		} else {
			link = &row->next;
		}
	}
}

void tmgr__memory_rows_delete(
	struct tmgr__memory_rows *rows, const struct tmgr_store_change *change)
{
	delete_rows(rows, change, NAMED);
	if (change->kind == TMGR_STORE_CHANNEL) {
		struct tmgr_store_change messages = { .kind = TMGR_STORE_MESSAGE,
			.row.message.channel = change->row.channel.id };

		delete_rows(rows, &messages, ALL);
	}
}

static void link_row(struct tmgr__memory_row **heads, size_t max, struct tmgr__memory_row *row)
{
	struct tmgr__memory_row **head = &heads[row->hash & (max - 1)];

	row->next = *head;
	*head = row;
}

void tmgr__memory_rows_put(struct tmgr__memory_rows *rows, struct tmgr__memory_row *row)
{
	delete_rows(rows, &row->change, SAME_KEY);
	row->hash = group_hash(&row->change);
	link_row(rows->heads, rows->max, row);
	rows->count++;
}

int tmgr__memory_rows_grow(struct tmgr__memory_rows *rows, size_t more)
{
	size_t max = rows->max > 0 ? rows->max : 64;
	struct tmgr__memory_row **heads;

	while (max < rows->count + more)
		max *= 2;
	if (max == rows->max)
		return 0;
	heads = calloc(max, sizeof(struct tmgr__memory_row *));
	if (heads == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < rows->max; i++) {
		struct tmgr__memory_row *row = rows->heads[i];

		while (row != NULL) {
			struct tmgr__memory_row *next = row->next;

			link_row(heads, max, row);
			row = next;
		}
	}
	free(rows->heads);
	rows->heads = heads;
	rows->max = max;
	return 0;
}

int tmgr__memory_rows_copy(struct tmgr__memory_rows *rows, const struct tmgr__memory_rows *from)
{
	int r = tmgr__memory_rows_grow(rows, from->count);

	for (size_t i = 0; r == 0 && i < from->max; i++) {
		for (const struct tmgr__memory_row *at = from->heads[i]; at != NULL;
			at = at->next) {
			struct tmgr__memory_row *row = tmgr__memory_row_copy(&at->change);

			if (row == NULL)
				return -ENOMEM;
			tmgr__memory_rows_put(rows, row);
		}
	}
	return r;
}

void tmgr__memory_rows_fini(struct tmgr__memory_rows *rows)
{
	for (size_t i = 0; i < rows->max; i++) {
		while (rows->heads[i] != NULL) {
			struct tmgr__memory_row *row = rows->heads[i];

			rows->heads[i] = row->next;
			free(row);
		}
	}
	free(rows->heads);
}

/* ---- In the order of loading ----------------------------------------------------------------- */

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

static void select_kind(const struct tmgr__memory_rows *rows, enum tmgr_store_kind kind,
	struct tmgr__places *places)
{
	places->count = 0;
	for (size_t i = 0; i < rows->max; i++) {
		for (struct tmgr__memory_row *row = rows->heads[i]; row != NULL; row = row->next) {
			if (row->change.kind == kind)
				tmgr__places_add(places, order_of(&row->change), row);
		}
	}
	tmgr__places_sort(places);
}

int tmgr__memory_rows_visit(const struct tmgr__memory_rows *rows,
	int (*visit)(void *self, const struct tmgr_store_change *row), void *self)
{
	struct tmgr__places places = { 0 };
	int r = 0;

	for (size_t kind = 0; r == 0 && kind < ARRAY_SIZE(load_order); kind++) {
		select_kind(rows, load_order[kind], &places);
		r = places.error;
		for (size_t i = 0; r == 0 && i < places.count; i++) {
			const struct tmgr__memory_row *row = places.places[i].item;

			r = visit(self, &row->change);
		}
	}
	free(places.places);
	return r;
}
