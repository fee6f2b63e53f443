/*
 * Timeouts of states: a heap under the lock, moved after each transition, and looked at by the
 * machine's task, or by who calls tmgr_machine_expire().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

static struct tmgr__timer *timer_of(struct tmgr_machine *machine, unsigned state)
{
	unsigned low = 0, high = machine->schema->timeout_count;

	while (low + 1 < high) {
		unsigned middle = low + (high - low) / 2;

		if (machine->timers[middle].state <= state)
			low = middle;
		else
			high = middle;
	}
	check(machine->timers[low].state == state);
	return &machine->timers[low];
}

/* What stands in the heap is of states that are active. */
static void move(struct tmgr_machine *machine, const struct tmgr__states *states, int64_t now)
{
	const struct tmgr_schema *schema = machine->schema;

	for (size_t i = 0; i < states->count; i++) {
		unsigned state = states->list[i];
		struct tmgr__timer *timer;

		if (!(schema->flags[state] & TMGR__STATE_TIMEOUT))
			continue;
		timer = timer_of(machine, state);
		tmgr__heap_remove(&machine->timer_heap, &timer->node);
		if (machine->ticks[state] & 1 && schema->timeouts[state].ns < TMGR_NEVER - now)
			tmgr__heap_insert(&machine->timer_heap, &timer->node,
				now + schema->timeouts[state].ns);
	}
}

void tmgr__timers_move(struct tmgr_machine *machine)
{
	struct tmgr__heap_node *first = tmgr__heap_first(&machine->timer_heap);
	int64_t before = first ? first->key : TMGR_NEVER, now = tmgr_now();

	move(machine, &machine->exits, now);
	move(machine, &machine->enters, now);
	first = tmgr__heap_first(&machine->timer_heap);
	machine->alarm_due |= first && first->key < before;
}

void tmgr__timers_end(struct tmgr_machine *machine)
{
	struct tmgr__heap_node *node;

	while ((node = tmgr__heap_first(&machine->timer_heap)))
		tmgr__heap_remove(&machine->timer_heap, node);
}

int64_t tmgr_machine_next_timeout(struct tmgr_machine *machine)
{
	struct tmgr__heap_node *first;
	struct tmgr__list *node;
	int64_t next;

	if (!machine)
		return TMGR_NEVER;
	tmgr__lock_acquire(&machine->lock);
	first = tmgr__heap_first(&machine->timer_heap);
	next = first ? first->key : TMGR_NEVER;
	tmgr__list_for (node, &machine->postponed_items) {
		struct tmgr__item *item = container_of(node, struct tmgr__item, node);

		if (item->expires < next)
			next = item->expires;
	}
	tmgr__lock_release(&machine->lock);
	return next;
}

/* The state of a timer that is due, taken out, or TMGR_STATES_END. */
static unsigned take_due(struct tmgr_machine *machine, int64_t now)
{
	struct tmgr__heap_node *first;
	unsigned state = TMGR_STATES_END;

	tmgr__lock_acquire(&machine->lock);
	first = tmgr__heap_first(&machine->timer_heap);
	if (first && first->key <= now) {
		tmgr__heap_remove(&machine->timer_heap, first);
		state = container_of(first, struct tmgr__timer, node)->state;
	}
	tmgr__lock_release(&machine->lock);
	return state;
}

static void fire(struct tmgr_machine *machine, unsigned state)
{
	const struct tmgr_machine_timeout *timeout = &machine->schema->timeouts[state];
	unsigned exception[] = { tmgr__schema_exception(machine->schema), TMGR_STATES_END };
	struct tmgr_mutation mutation = {
		.kind = timeout->states ? timeout->kind : TMGR_MUTATION_ADD,
		.states = timeout->states ? timeout->states : exception,
		.priority = TMGR_PRIORITY_HIGH,
		.no_wait = true,
	};
	struct tmgr_machine_error error = {
		.code = -ETIMEDOUT,
		.handler = TMGR_HANDLER_KINDS,
		.state = state,
	};

	snprintf(error.text, sizeof(error.text), "%s was active for %lld ms",
		machine->schema->names[state], (long long)(timeout->ns / TMGR_MILLISECOND));
	if (timeout->states)
		tmgr__machine_mutate(machine, &mutation, TMGR_ORIGIN_TIMEOUT, NULL, NULL);
	else
		tmgr__machine_mutate(machine, &mutation, TMGR_ORIGIN_EXCEPTION, &error, NULL);
}

/* Postponed mutations beyond their time to live. */
static int cancel_expired(struct tmgr_machine *machine, int64_t now)
{
	struct tmgr__list *node, *following;
	int count = 0;

	tmgr__list_for_safe (node, following, &machine->postponed_items) {
		struct tmgr__item *item = container_of(node, struct tmgr__item, node);

		if (item->expires > now)
			continue;
		tmgr__list_remove(node);
		machine->postponed_count--;
		tmgr__item_cancel(machine, item);
		count++;
	}
	return count;
}

struct expiry {
	int64_t now;
	int count;
};

static void expire_postponed(void *self, struct tmgr_machine *machine)
{
	struct expiry *expiry = self;

	tmgr__lock_acquire(&machine->lock);
	expiry->count = cancel_expired(machine, expiry->now);
	tmgr__lock_release(&machine->lock);
}

int tmgr_machine_expire(struct tmgr_machine *machine)
{
	struct expiry expiry = { .count = 0 };
	bool postponed;
	unsigned state;
	int count = 0;

	if (!machine)
		return -EINVAL;
	expiry.now = tmgr_now();
	for (; (state = take_due(machine, expiry.now)) != TMGR_STATES_END; count++)
		fire(machine, state);
	tmgr__lock_acquire(&machine->lock);
	postponed = machine->postponed_count > 0;
	tmgr__lock_release(&machine->lock);
	/* By the drainer, which also tells those who wait for them. */
	if (postponed && tmgr__machine_inside(machine))
		expire_postponed(&expiry, machine);
	else if (postponed)
		tmgr__machine_call(NULL, machine, expire_postponed, &expiry, TMGR_NEVER);
	return count + expiry.count;
}
