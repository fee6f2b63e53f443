/*
 * Waits. One stands in one list, under the lock: of a state that keeps its condition from holding, so
 * that a transition looks only at those whose state has moved; of what else it waits for; or of those
 * whose function is to be called. The drainer calls them one after another, each marked as being
 * called, so that who takes it back can wait for the end of that.
 *
 * A token that is to drop a wait is registered before the wait is linked, and unregistered, with no
 * lock held, before its function is called: whoever takes the wait off its list, the drainer or the
 * token's callback, makes the call.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

enum { NEW, LINKED, FIRED, DROPPED, DONE };

/* ---- Lists ---------------------------------------------------------------------------------- */

void tmgr__when_init(struct tmgr_machine_when *when, struct tmgr_machine *machine,
	void (*function)(void *self, int result), void *self)
{
	when->next = NULL;
	when->link = NULL;
	when->machine = machine;
	when->condition.token = NULL;
	when->function = function;
	when->self = self;
	when->dropping = (struct tmgr_token_callback){ .token = NULL };
	when->state = NEW;
}

static void link_into(struct tmgr_machine_when **list, struct tmgr_machine_when *when)
{
	when->next = *list;
	when->link = list;
	if (when->next)
		when->next->link = &when->next;
	*list = when;
}

static void take_out(struct tmgr_machine_when *when)
{
	*when->link = when->next;
	if (when->next)
		when->next->link = when->link;
	when->next = NULL;
	when->link = NULL;
}

void tmgr__when_link(struct tmgr_machine *machine, struct tmgr_machine_when **list,
	struct tmgr_machine_when *when)
{
	link_into(list, when);
	when->state = LINKED;
	machine->wait_count++;
}

/* One that is linked is to be called, behind the others. */
static void fire(struct tmgr_machine *machine, struct tmgr_machine_when *when, int result)
{
	take_out(when);
	when->state = FIRED;
	when->result = result;
	when->link = machine->fired_last;
	*machine->fired_last = when;
	machine->fired_last = &when->next;
}

void tmgr__waits_fire_all(struct tmgr_machine *machine, struct tmgr_machine_when **list, int result)
{
	struct tmgr_machine_when *first = NULL, *when;

	/* The newest is first: turned round, they are called in order of coming. */
	while ((when = *list)) {
		take_out(when);
		link_into(&first, when);
	}
	while (first)
		fire(machine, first, result);
}

static void forget(struct tmgr_machine *machine, struct tmgr_machine_when *when)
{
	if (when->state == FIRED && machine->fired_last == &when->next)
		machine->fired_last = when->link;
	take_out(when);
	when->state = DONE;
	machine->wait_count--;
}

bool tmgr__when_withdraw(struct tmgr_machine_when *when)
{
	if (when->state != LINKED && when->state != FIRED)
		return false;
	forget(when->machine, when);
	return true;
}

void tmgr__waits_called(struct tmgr_machine *machine)
{
	machine->calling = NULL;
	machine->calls++;
	if (machine->call_waiters > 0)
		tmgr__futex_wake(&machine->calls, INT32_MAX);
}

bool tmgr__waits_call(struct tmgr_machine *machine)
{
	struct tmgr_machine_when *when = machine->fired;
	void (*function)(void *self, int result);
	void *self;
	int result;

	if (!when)
		return false;
	forget(machine, when);
	function = when->function;
	self = when->self;
	result = when->result;
	machine->calling = when;
	machine->caller = tmgr__machine_here();
	tmgr__lock_release(&machine->lock);
	if (when->condition.token)
		tmgr_token_unregister(&when->dropping);
	function(self, result);
	tmgr__lock_acquire(&machine->lock);
	tmgr__waits_called(machine);
	return true;
}

/* ---- Conditions ----------------------------------------------------------------------------- */

/* Whether a mutation's arguments contain all of these. */
static bool has_argument(const struct tmgr_arguments *given, const struct tmgr_argument *wanted)
{
	for (size_t i = 0; given && i < given->count; i++) {
		const struct tmgr_argument *one = &given->items[i];

		if (!one->name || strcmp(one->name, wanted->name) != 0 || one->kind != wanted->kind)
			continue;
		if (one->kind == TMGR_ARGUMENT_NUMBER)
			return one->number == wanted->number;
		if (one->kind == TMGR_ARGUMENT_POINTER)
			return one->pointer == wanted->pointer;
		return one->text && wanted->text && strcmp(one->text, wanted->text) == 0;
	}
	return false;
}

static bool has_arguments(const struct tmgr_arguments *given, const struct tmgr_arguments *wanted)
{
	for (size_t i = 0; wanted && i < wanted->count; i++) {
		if (!has_argument(given, &wanted->items[i]))
			return false;
	}
	return true;
}

/* Whether the i-th of its states lets the condition hold. */
static bool allows(
	const struct tmgr_machine *machine, const struct tmgr_machine_when *when, size_t i)
{
	const struct tmgr_machine_condition *condition = &when->condition;
	uint64_t tick = tmgr__machine_tick(machine, condition->states[i]);

	switch (condition->kind) {
	case TMGR_CONDITION_ACTIVE:
		return tick & 1;
	case TMGR_CONDITION_INACTIVE:
		return !(tick & 1);
	case TMGR_CONDITION_TIME:
		return tick >= condition->ticks[i];
	case TMGR_CONDITION_TICKS:
		return tick >= when->tick;
	case TMGR_CONDITION_TICK_EQUAL:
		return tick == condition->ticks[0];
	case TMGR_CONDITION_CHANGED:
		return tick != condition->ticks[0];
	default:
		return false;
	}
}

/* A state that keeps it from holding, or TMGR_STATES_END. Under the lock, at one moment. */
static unsigned find_against(
	const struct tmgr_machine *machine, const struct tmgr_machine_when *when)
{
	const unsigned *states = when->condition.states;
	uint32_t sequence;
	size_t i;

	do {
		sequence = tmgr__machine_read_begin(machine);
		for (i = 0; states[i] != TMGR_STATES_END && allows(machine, when, i); i++)
			;
	} while (tmgr__machine_read_again(machine, sequence));
	return states[i];
}

static bool is_entered(const struct tmgr_machine *machine, unsigned state)
{
	for (size_t i = 0; i < machine->enters.count; i++) {
		if (machine->enters.list[i] == state)
			return true;
	}
	return false;
}

/* Look at those who wait for one state. */
static void look_at(struct tmgr_machine *machine, unsigned state)
{
	struct tmgr_machine_when *when = machine->state_waits[state], *left = NULL;

	machine->state_waits[state] = NULL;
	if (when)
		when->link = &left;
	left = when;
	/* From the oldest to the newest. */
	while (when && when->next)
		when = when->next;
	while (when) {
		struct tmgr_machine_when *before = when == left ? NULL
								: container_of(when->link,
									  struct tmgr_machine_when,
									  next);
		unsigned against = state;

		if (when->condition.kind != TMGR_CONDITION_ARGUMENTS)
			against = find_against(machine, when);
		else if (is_entered(machine, state) &&
			 has_arguments(machine->arguments, when->condition.arguments))
			against = TMGR_STATES_END;
		if (against == TMGR_STATES_END) {
			fire(machine, when, 0);
		} else {
			take_out(when);
			link_into(&machine->state_waits[against], when);
		}
		when = before;
	}
}

void tmgr__waits_look(struct tmgr_machine *machine)
{
	for (size_t i = 0; i < machine->exits.count; i++) {
		if (machine->state_waits[machine->exits.list[i]])
			look_at(machine, machine->exits.list[i]);
	}
	for (size_t i = 0; i < machine->enters.count; i++) {
		if (machine->state_waits[machine->enters.list[i]])
			look_at(machine, machine->enters.list[i]);
	}
}

void tmgr__waits_end(struct tmgr_machine *machine)
{
	tmgr__waits_fire_all(machine, &machine->waits[TMGR__WAITS_DISPOSED], 0);
	tmgr__waits_fire_all(machine, &machine->waits[TMGR__WAITS_DRAINED], -ESHUTDOWN);
	tmgr__waits_fire_all(machine, &machine->waits[TMGR__WAITS_ROOM], -ESHUTDOWN);
	for (unsigned state = 0; state < machine->schema->count; state++)
		tmgr__waits_fire_all(machine, &machine->state_waits[state], -ESHUTDOWN);
}

/* ---- Registering ---------------------------------------------------------------------------- */

bool tmgr__condition_is_valid(
	const struct tmgr_machine *machine, const struct tmgr_machine_condition *condition)
{
	if (!machine || !condition)
		return false;
	switch (condition->kind) {
	case TMGR_CONDITION_ACTIVE:
	case TMGR_CONDITION_INACTIVE:
		return tmgr__machine_knows(machine, condition->states);
	case TMGR_CONDITION_TIME:
		return tmgr__machine_knows(machine, condition->states) && condition->ticks;
	case TMGR_CONDITION_ARGUMENTS:
	case TMGR_CONDITION_TICKS:
	case TMGR_CONDITION_TICK_EQUAL:
	case TMGR_CONDITION_CHANGED:
		return tmgr__machine_knows(machine, condition->states) &&
		       condition->states[0] != TMGR_STATES_END &&
		       condition->states[1] == TMGR_STATES_END &&
		       (condition->ticks || condition->kind == TMGR_CONDITION_ARGUMENTS);
	case TMGR_CONDITION_DRAINED:
	case TMGR_CONDITION_TICKET:
	case TMGR_CONDITION_DISPOSED:
		return true;
	}
	return false;
}

static bool is_drained(const struct tmgr_machine *machine)
{
	return !machine->draining && !machine->scheduled && tmgr__list_empty(&machine->front) &&
	       tmgr__list_empty(&machine->high) && tmgr__list_empty(&machine->normal);
}

/* Under the lock: the list it is to wait in, or NULL where it holds. */
static struct tmgr_machine_when **list_for(
	struct tmgr_machine *machine, struct tmgr_machine_when *when)
{
	struct tmgr__item *item;
	unsigned against;

	switch (when->condition.kind) {
	case TMGR_CONDITION_DRAINED:
		return is_drained(machine) ? NULL : &machine->waits[TMGR__WAITS_DRAINED];
	case TMGR_CONDITION_DISPOSED:
		return machine->disposed ? NULL : &machine->waits[TMGR__WAITS_DISPOSED];
	case TMGR_CONDITION_TICKET:
		item = tmgr__queue_find(machine, when->condition.ticket);
		return item ? &item->whens : NULL;
	case TMGR_CONDITION_ARGUMENTS:
		return &machine->state_waits[when->condition.states[0]];
	default:
		against = find_against(machine, when);
		return against == TMGR_STATES_END ? NULL : &machine->state_waits[against];
	}
}

/* The condition's token has fired. */
static void drop(void *self)
{
	struct tmgr_machine_when *when = self;
	struct tmgr_machine *machine = when->machine;
	bool dropped;

	tmgr__lock_acquire(&machine->lock);
	/* One that is not linked yet is told by who registers it. */
	dropped = when->state == LINKED;
	if (dropped)
		forget(machine, when);
	else if (when->state == NEW)
		when->state = DROPPED;
	tmgr__lock_release(&machine->lock);
	if (dropped)
		when->function(when->self, -ECANCELED);
}

int tmgr__when_begin(struct tmgr_machine *machine, struct tmgr_machine_when *when, int *ret_result)
{
	struct tmgr_machine_when **list = NULL;
	bool waits = false;

	if (when->condition.token)
		tmgr_token_register(when->condition.token, &when->dropping, drop, when);
	tmgr__lock_acquire(&machine->lock);
	if (when->condition.kind == TMGR_CONDITION_TICKS)
		when->tick = tmgr__machine_tick(machine, when->condition.states[0]) +
			     when->condition.ticks[0];
	*ret_result = -ECANCELED;
	if (when->state == NEW) {
		list = list_for(machine, when);
		*ret_result = list && machine->disposed ? -ESHUTDOWN : 0;
		waits = list && !machine->disposed;
	}
	if (waits)
		tmgr__when_link(machine, list, when);
	else
		when->state = DONE;
	tmgr__lock_release(&machine->lock);
	if (!waits && when->condition.token)
		tmgr_token_unregister(&when->dropping);
	return waits ? 0 : 1;
}

void tmgr__when_register(struct tmgr_machine *machine,
	const struct tmgr_machine_condition *condition, struct tmgr_machine_when *when,
	void (*function)(void *self, int result), void *self)
{
	int result;

	tmgr__when_init(when, machine, function, self);
	when->condition = *condition;
	if (tmgr__when_begin(machine, when, &result) > 0)
		function(self, result);
}

/* Copy what the condition refers to. False: it is too much. */
static bool copy_condition(
	struct tmgr_machine_when *when, const struct tmgr_machine_condition *condition)
{
	const struct tmgr_arguments *arguments = condition->arguments;
	size_t count = 0;

	when->condition = *condition;
	while (condition->states && condition->states[count] != TMGR_STATES_END)
		count++;
	if (count > TMGR_WHEN_STATES_MAX ||
		(arguments && arguments->count > TMGR_WHEN_ARGUMENTS_MAX))
		return false;
	for (size_t i = 0; i < count; i++) {
		when->states[i] = condition->states[i];
		when->ticks[i] = condition->ticks ? condition->ticks[i] : 0;
	}
	when->states[count] = TMGR_STATES_END;
	when->condition.states = when->states;
	when->condition.ticks = when->ticks;
	for (size_t i = 0; arguments && i < arguments->count; i++)
		when->items[i] = arguments->items[i];
	when->arguments = (struct tmgr_arguments){ when->items, arguments ? arguments->count : 0 };
	when->condition.arguments = &when->arguments;
	return true;
}

int tmgr_machine_when(struct tmgr_machine *machine, const struct tmgr_machine_condition *condition,
	struct tmgr_machine_when *when, void (*function)(void *self, int result), void *self)
{
	int result;

	if (!tmgr__condition_is_valid(machine, condition) || !when || !function)
		return -EINVAL;
	tmgr__when_init(when, machine, function, self);
	if (!copy_condition(when, condition))
		return -E2BIG;
	if (tmgr__when_begin(machine, when, &result) > 0)
		function(self, result);
	return 0;
}

/* Under the lock, given back meanwhile: another thread is calling its function. */
static void wait_for_call(struct tmgr_machine *machine, const struct tmgr_machine_when *when)
{
	while (machine->calling == when && machine->caller != tmgr__machine_here()) {
		uint32_t calls = machine->calls;

		machine->call_waiters++;
		tmgr__lock_release(&machine->lock);
		tmgr__futex_wait(&machine->calls, calls, INT64_MAX);
		tmgr__lock_acquire(&machine->lock);
		machine->call_waiters--;
	}
}

int tmgr_machine_when_cancel(struct tmgr_machine_when *when)
{
	struct tmgr_machine *machine;
	bool withdrawn;

	if (!when || !when->machine)
		return -EINVAL;
	machine = when->machine;
	tmgr__lock_acquire(&machine->lock);
	withdrawn = tmgr__when_withdraw(when);
	if (!withdrawn)
		wait_for_call(machine, when);
	tmgr__lock_release(&machine->lock);
	/* Waits for a drop that is being told. */
	if (when->condition.token)
		tmgr_token_unregister(&when->dropping);
	return withdrawn ? 0 : -ENOENT;
}
