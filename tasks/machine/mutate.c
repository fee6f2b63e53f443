/*
 * Mutations: made at once where nobody drains the machine, else queued.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

/* One that is being asked for. */
struct mutating {
	struct tmgr_machine *machine;
	const struct tmgr_mutation *mutation;
	const struct tmgr__cause *cause;
	struct tmgr__item *item; /* made for the queue, or NULL */
	uint64_t ticket;
};

/* What is found under the lock, beside an enum tmgr_mutation_result. */
enum { AGAIN = 100, MAKE_ITEM, MAKE_ROOM, DIRECT, DRAIN_FIRST, APPENDED };

/* ---- Directly ------------------------------------------------------------------------------- */

/* Under the lock: it waits from now on. */
static void tell_of_its_end(struct mutating *mutating, struct tmgr__item *item)
{
	mutating->ticket = item->about.ticket;
	if (mutating->cause->when)
		tmgr__when_link(mutating->machine, &item->whens, mutating->cause->when);
}

/* By the drainer: it is to have its turn again, behind what changes the machine. */
static int keep_postponed(struct mutating *mutating)
{
	struct tmgr_machine *machine = mutating->machine;
	struct tmgr__item *item = tmgr__item_make(mutating->mutation, mutating->cause);

	if (!item)
		return -ENOMEM;
	item->told = true;
	tmgr__lock_acquire(&machine->lock);
	item->about.ticket = ++machine->tickets;
	tmgr__item_postpone(machine, item);
	tell_of_its_end(mutating, item);
	tmgr__lock_release(&machine->lock);
	return TMGR_MUTATION_QUEUED;
}

/* By the drainer. */
static int make_transition(struct mutating *mutating)
{
	struct tmgr_machine *machine = mutating->machine;
	const struct tmgr__cause *cause = mutating->cause;
	struct tmgr__asked asked = {
		.kind = mutating->mutation->kind,
		.origin = cause->origin,
		.states = mutating->mutation->states,
		.arguments = mutating->mutation->arguments,
	};
	int result;

	if (tmgr__activation_has_ended(machine, &cause->of))
		return tmgr__mutation_drop(machine);
	if (cause->error) {
		tmgr__lock_acquire(&machine->lock);
		machine->error = *cause->error;
		tmgr__lock_release(&machine->lock);
		asked.error = &machine->error;
	}
	result = tmgr__transition(machine, &asked);
	if (__builtin_expect(result == TMGR_MUTATION_QUEUED, 0))
		result = keep_postponed(mutating);
	return result;
}

/* Likewise; then it is the drainer no more. */
static int make_directly(struct mutating *mutating)
{
	int result = make_transition(mutating);

	tmgr__drain(mutating->machine);
	return result;
}

/* ---- Queueing ------------------------------------------------------------------------------- */

static bool is_of_multi(const struct tmgr_schema *schema, const unsigned *states)
{
	while (*states != TMGR_STATES_END && !(schema->flags[*states] & TMGR__STATE_MULTI))
		states++;
	return *states != TMGR_STATES_END;
}

static bool queue_is_empty(const struct tmgr_machine *machine)
{
	return tmgr__list_empty(&machine->front) && tmgr__list_empty(&machine->high) &&
	       tmgr__list_empty(&machine->normal);
}

/* Inside of a handler: what waits already, and what would change nothing, is dropped. */
static bool is_needless(struct mutating *mutating)
{
	const struct tmgr_mutation *mutation = mutating->mutation;
	struct tmgr_machine *machine = mutating->machine;
	const unsigned *states = mutation->states;

	if (mutation->arguments || mutating->cause->origin == TMGR_ORIGIN_EXCEPTION)
		return false;
	if (!is_of_multi(machine->schema, states) &&
		tmgr__queue_has_equal(machine, mutation->kind, states, true))
		return true;
	if (mutation->kind != TMGR_MUTATION_REMOVE || !queue_is_empty(machine))
		return false;
	while (*states != TMGR_STATES_END && !tmgr__bits_has(machine->active.set, *states))
		states++;
	return *states == TMGR_STATES_END;
}

static void drop_oldest(struct tmgr_machine *machine)
{
	struct tmgr__item *item = tmgr__queue_oldest(machine);

	if (item) {
		tmgr__queue_take_out(machine, item);
	} else {
		struct tmgr__list *node = tmgr__list_pop(&machine->postponed_items);

		check(node != NULL);
		item = container_of(node, struct tmgr__item, node);
		machine->postponed_count--;
	}
	tmgr__item_cancel(machine, item);
}

/* What is postponed makes no room by itself: it does not keep anybody from a machine that is idle. */
static bool has_room(const struct tmgr_machine *machine)
{
	return machine->queued + machine->postponed_count < machine->queue_max ||
	       (!machine->draining && !machine->scheduled && queue_is_empty(machine));
}

/* The queue is full. */
static int find_room(struct tmgr_machine *machine)
{
	if (machine->queue_full == TMGR_QUEUE_DROP_OLDEST) {
		drop_oldest(machine);
		return AGAIN;
	}
	if (machine->queue_full == TMGR_QUEUE_BLOCK && !tmgr__machine_inside(machine) &&
		!tmgr_loop_current())
		return MAKE_ROOM;
	machine->dropped++;
	return TMGR_MUTATION_CANCELLED;
}

/* Under the lock: what is to be done. */
static int look(struct mutating *mutating)
{
	struct tmgr_machine *machine = mutating->machine;

	if (machine->disposing)
		return TMGR_MUTATION_CANCELLED;
	if (!machine->draining && !tmgr__machine_elsewhere(machine)) {
		tmgr__drain_begin(machine);
		return queue_is_empty(machine) ? DIRECT : DRAIN_FIRST;
	}
	if (machine->draining && tmgr__machine_inside(machine) && is_needless(mutating))
		return TMGR_MUTATION_EXECUTED;
	if (tmgr__cause_is_counted(mutating->cause) && !has_room(machine)) {
		int r = find_room(machine);

		if (r != AGAIN)
			return r;
	}
	if (!mutating->item)
		return MAKE_ITEM;
	tmgr__queue_append(machine, mutating->item);
	tell_of_its_end(mutating, mutating->item);
	return APPENDED;
}

/* Under the lock, which it gives back: wait until there is room, or the caller is cancelled. */
static int wait_for_room(struct tmgr_machine *machine)
{
	struct tmgr__blocked blocked = { TMGR_FUTURE_INIT, 0 };
	struct tmgr_machine_when when;

	tmgr__when_init(&when, machine, tmgr__blocked_end, &blocked);
	tmgr__when_link(machine, &machine->waits[TMGR__WAITS_ROOM], &when);
	tmgr__lock_release(&machine->lock);
	if (tmgr_future_wait(tmgr_context_current(), &blocked.done, TMGR_NEVER) < 0 &&
		tmgr_machine_when_cancel(&when) == 0)
		return -ECANCELED;
	return blocked.result;
}

/* On a loop, from elsewhere, under the lock, which it gives back: see that it is drained, and wait. */
static int append_elsewhere(struct mutating *mutating)
{
	struct tmgr__blocked blocked = { TMGR_FUTURE_INIT, 0 };
	struct tmgr_machine *machine = mutating->machine;
	bool waits = !mutating->mutation->no_wait;
	struct tmgr_machine_when when;
	int r;

	if (waits) {
		tmgr__when_init(&when, machine, tmgr__blocked_end, &blocked);
		tmgr__when_link(machine, &mutating->item->whens, &when);
	}
	r = tmgr__drain_schedule(machine);
	if (r < 0)
		tmgr__machine_end_here(machine);
	if (!waits)
		return r < 0 ? TMGR_MUTATION_CANCELLED : TMGR_MUTATION_QUEUED;
	r = tmgr_future_wait(tmgr_context_current(), &blocked.done, TMGR_NEVER);
	if (r < 0 && tmgr_machine_when_cancel(&when) == 0)
		return TMGR_MUTATION_QUEUED;
	mutating->ticket = 0;
	return blocked.result == TMGR_MUTATION_EXECUTED ? TMGR_MUTATION_EXECUTED
							: TMGR_MUTATION_CANCELLED;
}

/* With no lock held: what look() has found; AGAIN where it is to look again. */
static int act(struct mutating *mutating, int found)
{
	struct tmgr_machine *machine = mutating->machine;

	switch (found) {
	case MAKE_ITEM:
		mutating->item = tmgr__item_make(mutating->mutation, mutating->cause);
		return mutating->item ? AGAIN : -ENOMEM;
	case DRAIN_FIRST:
		tmgr__drain(machine);
		return AGAIN;
	case DIRECT:
		return make_directly(mutating);
	default:
		return found;
	}
}

static int mutate_queued(struct mutating *mutating)
{
	struct tmgr_machine *machine = mutating->machine;
	int r;

	do {
		tmgr__lock_acquire(&machine->lock);
		r = look(mutating);
		if (r == APPENDED) {
			if (tmgr__machine_elsewhere(machine))
				return append_elsewhere(mutating);
			tmgr__lock_release(&machine->lock);
			return TMGR_MUTATION_QUEUED;
		}
		if (r == MAKE_ROOM) {
			r = wait_for_room(machine) < 0 ? TMGR_MUTATION_CANCELLED : AGAIN;
			continue;
		}
		tmgr__lock_release(&machine->lock);
		r = act(mutating, r);
	} while (r == AGAIN);
	free(mutating->item);
	return r;
}

int tmgr__machine_mutate(struct tmgr_machine *machine, const struct tmgr_mutation *mutation,
	const struct tmgr__cause *cause, uint64_t *ret_ticket)
{
	struct mutating mutating = {
		.machine = machine,
		.mutation = mutation,
		.cause = cause,
	};
	int r = mutate_queued(&mutating);

	if (ret_ticket && r >= 0)
		*ret_ticket = r == TMGR_MUTATION_QUEUED ? mutating.ticket : 0;
	return r;
}

/* ---- Public --------------------------------------------------------------------------------- */

static bool is_valid(const struct tmgr_machine *machine, const struct tmgr_mutation *mutation)
{
	const struct tmgr_arguments *arguments = mutation->arguments;

	return machine && tmgr__machine_knows(machine, mutation->states) &&
	       (unsigned)mutation->kind <= TMGR_MUTATION_TOGGLE &&
	       (unsigned)mutation->priority <= TMGR_PRIORITY_HIGH && mutation->ttl_ns >= 0 &&
	       (!arguments || arguments->count == 0 || arguments->items);
}

int tmgr_machine_mutate(
	struct tmgr_machine *machine, const struct tmgr_mutation *mutation, uint64_t *ret_ticket)
{
	static const struct tmgr__cause call = { .origin = TMGR_ORIGIN_CALL };

	if (!mutation || !is_valid(machine, mutation))
		return -EINVAL;
	return tmgr__machine_mutate(machine, mutation, &call, ret_ticket);
}

int tmgr_machine_change(struct tmgr_machine *machine, enum tmgr_mutation_kind kind,
	const unsigned *states, const struct tmgr_arguments *arguments)
{
	return tmgr_machine_mutate(machine,
		&(struct tmgr_mutation){
			.kind = kind,
			.states = states,
			.arguments = arguments,
		},
		NULL);
}

static int change_one(struct tmgr_machine *machine, enum tmgr_mutation_kind kind, unsigned state,
	const struct tmgr_arguments *arguments)
{
	unsigned states[] = { state, TMGR_STATES_END };

	/* The number that ends a list is none of a state. */
	return state == TMGR_STATES_END ? -EINVAL
					: tmgr_machine_change(machine, kind, states, arguments);
}

int tmgr_machine_add(
	struct tmgr_machine *machine, unsigned state, const struct tmgr_arguments *arguments)
{
	return change_one(machine, TMGR_MUTATION_ADD, state, arguments);
}

int tmgr_machine_remove(
	struct tmgr_machine *machine, unsigned state, const struct tmgr_arguments *arguments)
{
	return change_one(machine, TMGR_MUTATION_REMOVE, state, arguments);
}

int tmgr_machine_set(
	struct tmgr_machine *machine, unsigned state, const struct tmgr_arguments *arguments)
{
	return change_one(machine, TMGR_MUTATION_SET, state, arguments);
}

int tmgr_machine_toggle(
	struct tmgr_machine *machine, unsigned state, const struct tmgr_arguments *arguments)
{
	return change_one(machine, TMGR_MUTATION_TOGGLE, state, arguments);
}

int tmgr_machine_add_error(struct tmgr_machine *machine, int code, const char *format, ...)
{
	struct tmgr_machine_error error = {
		.code = code,
		.handler = TMGR_HANDLER_KINDS,
		.state = TMGR_STATES_END,
	};
	unsigned states[] = { tmgr_machine_exception(machine), TMGR_STATES_END };
	struct tmgr_mutation mutation = { .states = states };
	struct tmgr__cause cause = { .origin = TMGR_ORIGIN_EXCEPTION, .error = &error };
	va_list arguments;

	if (!machine || code >= 0 || !format)
		return -EINVAL;
	va_start(arguments, format);
	vsnprintf(error.text, sizeof(error.text), format, arguments);
	va_end(arguments);
	return tmgr__machine_mutate(machine, &mutation, &cause, NULL);
}
