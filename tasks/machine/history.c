/*
 * What was active since when: a ring, under the lock.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

int tmgr__history_create(struct tmgr_machine *machine, size_t max)
{
	struct tmgr__history *history = calloc(1, sizeof(*history));

	machine->history = history;
	if (!history)
		return -ENOMEM;
	/* One more, for what was active before the oldest transition. */
	history->max = max + 1;
	history->times = calloc(history->max, sizeof(*history->times));
	history->sets = calloc(history->max * machine->schema->words, sizeof(uint64_t));
	if (!history->times || !history->sets)
		return -ENOMEM;
	tmgr__history_add(machine);
	return 0;
}

void tmgr__history_destroy(struct tmgr_machine *machine)
{
	if (!machine->history)
		return;
	free(machine->history->times);
	free(machine->history->sets);
	free(machine->history);
}

void tmgr__history_add(struct tmgr_machine *machine)
{
	struct tmgr__history *history = machine->history;
	size_t words = machine->schema->words;

	history->times[history->next] = tmgr_now();
	tmgr__bits_copy(history->sets + history->next * words, machine->active.set, words);
	history->next = (history->next + 1) % history->max;
	if (history->count < history->max)
		history->count++;
}

/* Under the lock. */
static int was_active(const struct tmgr_machine *machine, unsigned state, int64_t from, int64_t to)
{
	const struct tmgr__history *history = machine->history;
	int64_t until = TMGR_NEVER;
	size_t at = history->next;

	/* From the newest; each lasted until the one after it began. */
	for (size_t i = 0; i < history->count; i++) {
		at = (at + history->max - 1) % history->max;
		if (until < from)
			break;
		if (history->times[at] <= to &&
			tmgr__bits_has(history->sets + at * machine->schema->words, state))
			return 1;
		until = history->times[at];
	}
	return history->count == history->max && until > from ? -ENODATA : 0;
}

int tmgr_machine_was_active(struct tmgr_machine *machine, unsigned state, int64_t from, int64_t to)
{
	int r;

	if (!machine || !machine->history || state >= machine->schema->count || to < from)
		return -EINVAL;
	tmgr__lock_acquire(&machine->lock);
	r = was_active(machine, state, from, to);
	tmgr__lock_release(&machine->lock);
	return r;
}

int tmgr_machine_recently_active(struct tmgr_machine *machine, unsigned state, int64_t ns)
{
	int64_t now = tmgr_now();

	if (ns < 0)
		return -EINVAL;
	return tmgr_machine_was_active(machine, state, ns < now ? now - ns : 0, now);
}
