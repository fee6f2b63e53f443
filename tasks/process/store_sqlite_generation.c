/*
 * A generation: all that waits at one moment, copied in the order of the tables' keys, so that rows
 * that stand on one page are written together. What is changed again meanwhile is written in its last
 * version; what was written and is changed again waits for the next generation.
 *
 * It is sorted in runs, a piece at a time, and the runs are merged while it is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"

#define RUN_MIN 2048

/* As SQLite compares what a key of this kind consists of: numbers first, or the text. */
static int compare(const struct sqlite_entry *a, const struct sqlite_entry *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	if (a->kind == TMGR_STORE_WAIT)
		return 0;
	return strcmp((const char *)a->key + a->text_at, (const char *)b->key + b->text_at);
}

static int compare_pointers(const void *a, const void *b)
{
	return compare(
		*(const struct sqlite_entry *const *)a, *(const struct sqlite_entry *const *)b);
}

int tmgr__sqlite_generation_begin(struct sqlite_pending *pending, uint64_t until)
{
	struct sqlite_generation *generation = &pending->generation;
	size_t n = 0;

	check(!generation->active);
	if (generation->room < pending->count) {
		struct sqlite_entry **entries = realloc(
			generation->entries, pending->count * sizeof(struct sqlite_entry *));

		if (!entries)
			return -ENOMEM;
		generation->entries = entries;
		generation->room = pending->count;
	}
	for (struct sqlite_entry *entry = pending->oldest; entry; entry = entry->newer) {
		entry->slot = n;
		generation->entries[n++] = entry;
	}
	generation->count = n;
	generation->sorted = generation->runs_count = 0;
	generation->run_size = n / SQLITE_RUNS_MAX + 1 > RUN_MIN ? n / SQLITE_RUNS_MAX + 1
								 : RUN_MIN;
	generation->until = until;
	generation->active = true;
	return 0;
}

bool tmgr__sqlite_generation_sort(struct sqlite_pending *pending)
{
	struct sqlite_generation *generation = &pending->generation;
	size_t begin = generation->sorted, end = begin, n = begin;

	if (begin == generation->count)
		return false;
	for (; end < generation->count && end - begin < generation->run_size; end++)
		if (generation->entries[end]) /* those that are gone go to the run's end */
			generation->entries[n++] = generation->entries[end];
	qsort(generation->entries + begin, n - begin, sizeof(struct sqlite_entry *),
		compare_pointers);
	for (size_t i = begin; i < end; i++) {
		if (i < n)
			generation->entries[i]->slot = i;
		else
			generation->entries[i] = NULL;
	}
	check(generation->runs_count < SQLITE_RUNS_MAX);
	generation->runs[generation->runs_count++] = (struct sqlite_run){ begin, n };
	generation->sorted = end;
	return true;
}

struct sqlite_entry *tmgr__sqlite_generation_next(struct sqlite_pending *pending)
{
	struct sqlite_generation *generation = &pending->generation;
	struct sqlite_run *least = NULL;

	for (size_t i = 0; i < generation->runs_count; i++) {
		struct sqlite_run *run = &generation->runs[i];

		while (run->next < run->end && !generation->entries[run->next])
			run->next++;
		if (run->next < run->end &&
			(!least || compare(generation->entries[run->next],
					   generation->entries[least->next]) < 0))
			least = run;
	}
	return least ? generation->entries[least->next++] : NULL;
}

void tmgr__sqlite_generation_drop(struct sqlite_pending *pending, const struct sqlite_run *from)
{
	struct sqlite_generation *generation = &pending->generation;

	for (size_t i = 0; i < generation->runs_count; i++)
		for (size_t at = from[i].next; at < generation->runs[i].next; at++)
			if (generation->entries[at])
				tmgr__sqlite_drop_entry(pending, generation->entries[at]);
}
