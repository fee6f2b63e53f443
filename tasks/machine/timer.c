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

		if (machine->timers[middle].of.state <= state)
			low = middle;
		else
			high = middle;
	}
	check(machine->timers[low].of.state == state);
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
		timer->of.tick = machine->ticks[state];
		if (timer->of.tick & 1 && schema->timeouts[state].ns < TMGR_NEVER - now)
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

/* What a timer that is due was set for; it is taken out. False: none is. */
static bool take_due(struct tmgr_machine *machine, int64_t now, struct tmgr__activation *ret_of)
{
	struct tmgr__heap_node *first;
	bool is_due;

	tmgr__lock_acquire(&machine->lock);
	first = tmgr__heap_first(&machine->timer_heap);
	is_due = first && first->key <= now;
	if (is_due) {
		tmgr__heap_remove(&machine->timer_heap, first);
		*ret_of = container_of(first, struct tmgr__timer, node)->of;
	}
	tmgr__lock_release(&machine->lock);
	return is_due;
}

/* Its state may be left, and entered again, before the drainer comes to it: then it is dropped. */
static void fire(struct tmgr_machine *machine, struct tmgr__activation of)
{
	const struct tmgr_machine_timeout *timeout = &machine->schema->timeouts[of.state];
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
		.state = of.state,
	};
	struct tmgr__cause cause = { .origin = TMGR_ORIGIN_TIMEOUT, .of = of };

	snprintf(error.text, sizeof(error.text), "%s was active for %lld ms",
		machine->schema->names[of.state], (long long)(timeout->ns / TMGR_MILLISECOND));
	if (!timeout->states) {
		cause.origin = TMGR_ORIGIN_EXCEPTION;
		cause.error = &error;
	}
	tmgr__machine_mutate(machine, &mutation, &cause, NULL);
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
	struct tmgr__activation of;
	bool postponed;
	int count = 0;

	if (!machine)
		return -EINVAL;
	expiry.now = tmgr_now();
	for (; take_due(machine, expiry.now, &of); count++)
		fire(machine, of);
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
