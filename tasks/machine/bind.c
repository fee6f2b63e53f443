/*
 * Tables of handlers and tracers: bound and unbound by the drainer, so that nobody walks them
 * meanwhile, but for a handler that does it: then what is unbound leaves a hole until all have been
 * called.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

static int add(struct tmgr__bindings *bindings, const void *ops, void *self)
{
	for (uint32_t i = 0; i < bindings->count; i++) {
		if (bindings->items[i].ops == ops && bindings->items[i].self == self)
			return -EEXIST;
	}
	if (bindings->count == bindings->room) {
		uint32_t room = bindings->room ? bindings->room * 2 : 1;
		struct tmgr__binding *items = realloc(
			bindings->items, room * sizeof(*bindings->items));

		if (!items)
			return -ENOMEM;
		bindings->items = items;
		bindings->room = room;
	}
	bindings->items[bindings->count] = (struct tmgr__binding){ ops, self };
	__atomic_store_n(&bindings->count, bindings->count + 1, __ATOMIC_RELAXED);
	return 0;
}

static int take(struct tmgr__bindings *bindings, const void *ops, void *self)
{
	for (uint32_t i = 0; i < bindings->count; i++) {
		if (bindings->items[i].ops == ops && bindings->items[i].self == self) {
			bindings->items[i].ops = NULL;
			bindings->holes = true;
			return 0;
		}
	}
	return -ENOENT;
}

static void close_holes(struct tmgr__bindings *bindings)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < bindings->count; i++) {
		if (bindings->items[i].ops)
			bindings->items[kept++] = bindings->items[i];
	}
	__atomic_store_n(&bindings->count, kept, __ATOMIC_RELAXED);
	bindings->holes = false;
}

static uint8_t kinds_of(const struct tmgr_machine_handlers *table)
{
	unsigned kinds = 0;

	for (size_t i = 0; table->states && i < table->state_count; i++) {
		const struct tmgr_state_handlers *row = &table->states[i];

		kinds |= row->exit ? BIT(TMGR_HANDLER_EXIT) : 0;
		kinds |= row->enter ? BIT(TMGR_HANDLER_ENTER) : 0;
		kinds |= row->self ? BIT(TMGR_HANDLER_SELF) : 0;
		kinds |= row->end ? BIT(TMGR_HANDLER_END) : 0;
		kinds |= row->state ? BIT(TMGR_HANDLER_STATE) : 0;
	}
	kinds |= table->pair_count > 0 ? BIT(TMGR_HANDLER_PAIR) : 0;
	kinds |= table->any_enter ? BIT(TMGR_HANDLER_ANY_ENTER) : 0;
	kinds |= table->any_state ? BIT(TMGR_HANDLER_ANY_STATE) : 0;
	return (uint8_t)kinds;
}

_Static_assert(TMGR_HANDLER_KINDS <= 8, "the kinds fit into a byte");

void tmgr__bindings_settle(struct tmgr_machine *machine)
{
	close_holes(&machine->tracers);
	close_holes(&machine->tables);
	machine->table_kinds = 0;
	for (uint32_t i = 0; i < machine->tables.count; i++)
		machine->table_kinds |= kinds_of(machine->tables.items[i].ops);
}

/* ---- By the drainer -------------------------------------------------------------------------- */

struct change {
	bool tracer, unbind;
	const void *ops;
	void *self;
	int result;
};

static void make_change(void *self, struct tmgr_machine *machine)
{
	struct change *change = self;
	struct tmgr__bindings *bindings = change->tracer ? &machine->tracers : &machine->tables;

	if (change->unbind)
		change->result = take(bindings, change->ops, change->self);
	else
		change->result = add(bindings, change->ops, change->self);
	if (change->result == 0 && !change->unbind && !change->tracer)
		machine->table_kinds |= kinds_of(change->ops);
}

static int change_bindings(struct tmgr_machine *machine, struct change *change)
{
	int r;

	/* Once it is disposed nobody walks them any more, and the lock guards them. */
	if (tmgr__machine_inside(machine) && !tmgr_machine_disposed(machine)) {
		make_change(change, machine);
		return change->result;
	}
	/* What is unbound may be gone as soon as this has returned, whatever becomes of the machine. */
	r = tmgr__machine_change(machine, make_change, change, change->unbind);
	return r < 0 ? r : change->result;
}

static bool are_rows_known(
	const struct tmgr_machine *machine, const struct tmgr_machine_handlers *handlers)
{
	unsigned count = machine->schema->count;

	if (handlers->state_count > count || (handlers->state_count > 0 && !handlers->states) ||
		(handlers->pair_count > 0 && !handlers->pairs))
		return false;
	for (size_t i = 0; i < handlers->pair_count; i++) {
		if (handlers->pairs[i].from >= count || handlers->pairs[i].to >= count)
			return false;
	}
	return true;
}

int tmgr_machine_bind(
	struct tmgr_machine *machine, const struct tmgr_machine_handlers *handlers, void *self)
{
	struct change change = { .ops = handlers, .self = self };

	if (!machine || !handlers || !are_rows_known(machine, handlers))
		return -EINVAL;
	return change_bindings(machine, &change);
}

int tmgr_machine_unbind(
	struct tmgr_machine *machine, const struct tmgr_machine_handlers *handlers, void *self)
{
	struct change change = { .unbind = true, .ops = handlers, .self = self };

	if (!machine || !handlers)
		return -EINVAL;
	return change_bindings(machine, &change);
}

int tmgr_machine_trace(
	struct tmgr_machine *machine, const struct tmgr_machine_tracer *tracer, void *self)
{
	struct change change = { .tracer = true, .ops = tracer, .self = self };

	if (!machine || !tracer)
		return -EINVAL;
	return change_bindings(machine, &change);
}

int tmgr_machine_untrace(
	struct tmgr_machine *machine, const struct tmgr_machine_tracer *tracer, void *self)
{
	struct change change = { .tracer = true, .unbind = true, .ops = tracer, .self = self };

	if (!machine || !tracer)
		return -EINVAL;
	return change_bindings(machine, &change);
}
