/*
 * From a states file to the table that a schema is compiled from.
 */
#include <errno.h>
#include <stdlib.h>

#include "taskctl_states.h"

static size_t size_of(const struct states_list *list)
{
	return list->targets.count > 0 ? list->targets.count + 1 : 0;
}

/* The list's states at `*at`, which is moved behind them; NULL: it is empty. */
static const unsigned *copy(unsigned **at, const struct states_list *list)
{
	const unsigned *begin = *at;

	if (list->targets.count == 0)
		return NULL;
	for (size_t i = 0; i < list->targets.count; i++)
		*(*at)++ = (unsigned)list->targets.at[i].state;
	*(*at)++ = TMGR_STATES_END;
	return begin;
}

static struct tmgr_machine_state row(unsigned **at, const struct states_state *state)
{
	return (struct tmgr_machine_state){
		.name = state->name.text,
		.add = copy(at, &state->lists[TMGR_RELATION_ADD]),
		.remove = copy(at, &state->lists[TMGR_RELATION_REMOVE]),
		.require = copy(at, &state->lists[TMGR_RELATION_REQUIRE]),
		.after = copy(at, &state->lists[TMGR_RELATION_AFTER]),
		.automatic = state->is_auto,
		.multi = state->is_multi,
		.timeout = { state->timeout_ns, state->timeout_kind, copy(at, &state->timeout) },
	};
}

int states_table_init(struct states_table *table, const struct states_file *file)
{
	size_t size = 1;
	unsigned *at;

	for (size_t i = 0; i < file->state_count; i++) {
		for (unsigned k = 0; k < STATES_RELATIONS; k++)
			size += size_of(&file->states[i].lists[k]);
		size += size_of(&file->states[i].timeout);
	}
	table->count = file->state_count;
	table->rows = calloc(file->state_count + 1, sizeof(*table->rows));
	table->lists = at = calloc(size, sizeof(*table->lists));
	if (!table->rows || !at)
		return -ENOMEM;
	for (size_t i = 0; i < file->state_count; i++)
		table->rows[i] = row(&at, &file->states[i]);
	return 0;
}

void states_table_fini(struct states_table *table)
{
	free(table->rows);
	free(table->lists);
}
