/*
 * What waits for the drainer. Mutations are copied into one block: the item, its arguments, its error,
 * its states, and the texts.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

/* ---- Items ---------------------------------------------------------------------------------- */

static size_t length_of(const unsigned *states)
{
	size_t length = 0;

	while (states[length] != TMGR_STATES_END)
		length++;
	return length;
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static const char *copy_text(char **at, const char *text)
{
	size_t size = text_size(text);
	char *copy = *at;

	if (!text)
		return NULL;
	memcpy(copy, text, size);
	*at += size;
	return copy;
}

static size_t texts_size(const struct tmgr_arguments *arguments)
{
	size_t size = 0;

	for (size_t i = 0; arguments && i < arguments->count; i++)
		size += text_size(arguments->items[i].name) + text_size(arguments->items[i].text);
	return size;
}

static void copy_arguments(struct tmgr__item *item, const struct tmgr_arguments *arguments,
	struct tmgr_argument *items, char *texts)
{
	for (size_t i = 0; i < arguments->count; i++) {
		items[i] = arguments->items[i];
		items[i].name = copy_text(&texts, items[i].name);
		items[i].text = copy_text(&texts, items[i].text);
	}
	item->arguments = (struct tmgr_arguments){ items, arguments->count };
	item->about.arguments = &item->arguments;
}

struct tmgr__item *tmgr__item_make(
	const struct tmgr_mutation *mutation, const struct tmgr__cause *cause)
{
	const struct tmgr_arguments *arguments = mutation->arguments;
	size_t count = length_of(mutation->states);
	size_t argument_count = arguments ? arguments->count : 0;
	size_t size = sizeof(struct tmgr__item) + sizeof(struct tmgr_machine_error) +
		      argument_count * sizeof(struct tmgr_argument);
	struct tmgr__item *item = malloc(
		size + (count + 1) * sizeof(unsigned) + texts_size(arguments));
	unsigned *states;

	if (!item)
		return NULL;
	states = (unsigned *)(void *)((char *)item + size);
	memcpy(states, mutation->states, (count + 1) * sizeof(*states));
	*item = (struct tmgr__item){
		.about = {
			.kind = mutation->kind,
			.origin = cause->origin,
			.priority = mutation->priority,
			.called = states,
			.called_count = count,
			.queued_at = tmgr_now(),
		},
		.expires = mutation->ttl_ns > 0 ? tmgr_after(mutation->ttl_ns) : TMGR_NEVER,
		.of = cause->of,
	};
	tmgr__list_init(&item->node);
	if (arguments)
		copy_arguments(item, arguments, (struct tmgr_argument *)(void *)(item + 1),
			(char *)(states + count + 1));
	if (cause->error) {
		item->error = (struct tmgr_machine_error *)(void *)states - 1;
		*item->error = *cause->error;
	}
	return item;
}

/* ---- Order ---------------------------------------------------------------------------------- */

bool tmgr__cause_is_counted(const struct tmgr__cause *cause)
{
	return cause->origin != TMGR_ORIGIN_EXCEPTION && cause->of.tick == 0;
}

static bool is_counted(const struct tmgr__item *item)
{
	return !item->function && item->about.origin != TMGR_ORIGIN_EXCEPTION && item->of.tick == 0;
}

void tmgr__queue_append(struct tmgr_machine *machine, struct tmgr__item *item)
{
	struct tmgr__list *list = &machine->normal;

	if (item->function || item->about.origin == TMGR_ORIGIN_EXCEPTION)
		list = &machine->front;
	else if (item->about.priority == TMGR_PRIORITY_HIGH)
		list = &machine->high;
	machine->queued += is_counted(item);
	if (!item->function && item->about.ticket == 0)
		item->about.ticket = ++machine->tickets;
	tmgr__list_append(list, &item->node);
	machine->filled = true;
	/* A change of bindings is nothing that a loop has to come for. */
	machine->used |= !item->anywhere;
}

struct tmgr__item *tmgr__queue_pop(struct tmgr_machine *machine)
{
	struct tmgr__list *node;

	if (!machine->filled)
		return NULL;
	node = tmgr__list_pop(&machine->front);
	if (!node)
		node = tmgr__list_pop(&machine->high);
	if (!node)
		node = tmgr__list_pop(&machine->normal);
	if (!node) {
		machine->filled = false;
		return NULL;
	}
	machine->queued -= is_counted(container_of(node, struct tmgr__item, node));
	return container_of(node, struct tmgr__item, node);
}

void tmgr__queue_take_out(struct tmgr_machine *machine, struct tmgr__item *item)
{
	tmgr__list_remove(&item->node);
	machine->queued -= is_counted(item);
}

static struct tmgr__item *first_counted(const struct tmgr__list *list)
{
	struct tmgr__list *node;

	tmgr__list_for (node, list) {
		struct tmgr__item *item = container_of(node, struct tmgr__item, node);

		if (is_counted(item))
			return item;
	}
	return NULL;
}

struct tmgr__item *tmgr__queue_oldest(struct tmgr_machine *machine)
{
	struct tmgr__item *item = first_counted(&machine->normal);

	return item ? item : first_counted(&machine->high);
}

/* ---- Looking -------------------------------------------------------------------------------- */

static bool is_among(const unsigned *states, size_t count, unsigned state)
{
	size_t i = 0;

	while (i < count && states[i] != state)
		i++;
	return i < count;
}

/* Whether two lists are of the same states; each may have one more than once. */
static bool same_states(const struct tmgr__item *item, const unsigned *states)
{
	const unsigned *called = item->about.called;
	size_t called_count = item->about.called_count, count = length_of(states);

	for (size_t i = 0; i < count; i++) {
		if (!is_among(called, called_count, states[i]))
			return false;
	}
	for (size_t i = 0; i < called_count; i++) {
		if (!is_among(states, count, called[i]))
			return false;
	}
	return true;
}

static bool is_bare(const struct tmgr__item *item)
{
	return !item->about.arguments && item->expires == TMGR_NEVER && item->of.tick == 0;
}

static bool list_has_equal(const struct tmgr__list *list, enum tmgr_mutation_kind kind,
	const unsigned *states, bool bare)
{
	struct tmgr__list *node;

	tmgr__list_for (node, list) {
		struct tmgr__item *item = container_of(node, struct tmgr__item, node);

		if (!item->function && item->about.kind == kind && (!bare || is_bare(item)) &&
			same_states(item, states))
			return true;
	}
	return false;
}

bool tmgr__queue_has_equal(struct tmgr_machine *machine, enum tmgr_mutation_kind kind,
	const unsigned *states, bool bare)
{
	return list_has_equal(&machine->front, kind, states, bare) ||
	       list_has_equal(&machine->high, kind, states, bare) ||
	       list_has_equal(&machine->normal, kind, states, bare);
}

bool tmgr_machine_is_queued(
	struct tmgr_machine *machine, enum tmgr_mutation_kind kind, const unsigned *states)
{
	bool is;

	if (!machine || !tmgr__machine_knows(machine, states))
		return false;
	tmgr__lock_acquire(&machine->lock);
	is = tmgr__queue_has_equal(machine, kind, states, false) ||
	     list_has_equal(&machine->postponed_items, kind, states, false);
	tmgr__lock_release(&machine->lock);
	return is;
}

static struct tmgr__item *find_in(struct tmgr__list *list, uint64_t ticket)
{
	struct tmgr__list *node;

	tmgr__list_for (node, list) {
		struct tmgr__item *item = container_of(node, struct tmgr__item, node);

		if (!item->function && item->about.ticket == ticket)
			return item;
	}
	return NULL;
}

struct tmgr__item *tmgr__queue_find(struct tmgr_machine *machine, uint64_t ticket)
{
	struct tmgr__list *const lists[] = { &machine->front, &machine->high, &machine->normal,
		&machine->postponed_items };
	struct tmgr__item *item = NULL;

	if (machine->running && machine->running->about.ticket == ticket)
		return machine->running;
	for (size_t i = 0; i < ARRAY_SIZE(lists) && !item; i++)
		item = find_in(lists[i], ticket);
	return item;
}

/* What a list of mutations makes of a state's activity. */
static bool after_list(const struct tmgr__list *list, unsigned state, bool active)
{
	struct tmgr__list *node;

	tmgr__list_for (node, list) {
		struct tmgr__item *item = container_of(node, struct tmgr__item, node);
		bool called;

		if (item->function)
			continue;
		called = is_among(item->about.called, item->about.called_count, state);
		if (item->about.kind == TMGR_MUTATION_SET)
			active = called;
		else if (called)
			active = item->about.kind == TMGR_MUTATION_ADD ||
				 (item->about.kind == TMGR_MUTATION_TOGGLE && !active);
	}
	return active;
}

bool tmgr_machine_will_be(struct tmgr_machine *machine, unsigned state)
{
	bool active;

	if (!machine || state >= machine->schema->count)
		return false;
	tmgr__lock_acquire(&machine->lock);
	active = tmgr__machine_tick(machine, state) & 1;
	active = after_list(&machine->front, state, active);
	active = after_list(&machine->high, state, active);
	active = after_list(&machine->normal, state, active);
	tmgr__lock_release(&machine->lock);
	return active;
}

int tmgr_machine_stats(struct tmgr_machine *machine, struct tmgr_machine_stats *ret_stats)
{
	if (!machine || !ret_stats)
		return -EINVAL;
	tmgr__lock_acquire(&machine->lock);
	*ret_stats = (struct tmgr_machine_stats){
		.transitions = __atomic_load_n(&machine->transitions, __ATOMIC_RELAXED),
		.cancelled = __atomic_load_n(&machine->cancelled, __ATOMIC_RELAXED),
		.errors = __atomic_load_n(&machine->errors, __ATOMIC_RELAXED),
		.slow = __atomic_load_n(&machine->slow, __ATOMIC_RELAXED),
		.dropped = machine->dropped,
		.queued = machine->queued + machine->postponed_count,
		.postponed = machine->postponed_count,
		.waits = machine->wait_count,
		.tables = __atomic_load_n(&machine->tables.count, __ATOMIC_RELAXED),
	};
	tmgr__lock_release(&machine->lock);
	return 0;
}
