/*
 * Draining the queue.
 *
 * The drainer looks again under the lock after each step. What a transition leaves behind it
 * (waits to be told, a failure, automatic states) comes before what waits in the queue.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

/* While it drains its loop does not end, unless its thread exits: then it has gone. */
static bool is_by_coroutine(const struct tmgr_machine *machine)
{
	return machine->loop && tmgr_loop_current() == machine->loop && tmgr_context_current();
}

bool tmgr__drain_begin(struct tmgr_machine *machine)
{
	if (machine->draining) {
		if (!machine->by_coroutine || !tmgr_loop_ended(machine->loop))
			return false;
		tmgr__drain_give_up(machine);
	}
	machine->draining = true;
	machine->by_coroutine = is_by_coroutine(machine);
	__atomic_store_n(&machine->drainer, tmgr__machine_here(), __ATOMIC_RELAXED);
	return true;
}

static void drain_end(struct tmgr_machine *machine)
{
	machine->draining = false;
	__atomic_store_n(&machine->drainer, NULL, __ATOMIC_RELAXED);
}

/* ---- Items ---------------------------------------------------------------------------------- */

/* Under the lock: nobody can wait for it any more. */
static void tell_waits(struct tmgr_machine *machine, struct tmgr__item *item, int result)
{
	if (item->whens)
		tmgr__waits_fire_all(machine, &item->whens, result);
}

void tmgr__item_cancel(struct tmgr_machine *machine, struct tmgr__item *item)
{
	struct tmgr_future *done = item->done;

	if (item->function) {
		if (done)
			tmgr_future_complete(done, -ESHUTDOWN, NULL);
		return;
	}
	tell_waits(machine, item, TMGR_MUTATION_CANCELLED);
	machine->dropped++;
	free(item);
}

static void tell_queued(struct tmgr_machine *machine, struct tmgr__item *item)
{
	if (machine->tracers.count > 0 && !item->told)
		TMGR__TRACE(machine, mutation_queued, machine, &item->about);
	item->told = true;
}

int tmgr__mutation_drop(struct tmgr_machine *machine)
{
	tmgr__lock_acquire(&machine->lock);
	machine->dropped++;
	tmgr__lock_release(&machine->lock);
	return TMGR_MUTATION_CANCELLED;
}

static int run_mutation(struct tmgr_machine *machine, struct tmgr__item *item)
{
	if ((item->expires != TMGR_NEVER && tmgr_now() >= item->expires) ||
		tmgr__activation_has_ended(machine, &item->of))
		return tmgr__mutation_drop(machine);
	if (item->error) {
		tmgr__lock_acquire(&machine->lock);
		machine->error = *item->error;
		tmgr__lock_release(&machine->lock);
	}
	return tmgr__transition(machine, &(struct tmgr__asked){
						 .kind = item->about.kind,
						 .origin = item->about.origin,
						 .states = item->about.called,
						 .arguments = item->about.arguments,
						 .error = item->error ? &machine->error : NULL,
						 .ticket = item->about.ticket,
					 });
}

void tmgr__item_postpone(struct tmgr_machine *machine, struct tmgr__item *item)
{
	tmgr__list_append(&machine->postponed_items, &item->node);
	machine->postponed_count++;
	machine->alarm_due |= item->expires != TMGR_NEVER;
}

static void run_item(struct tmgr_machine *machine, struct tmgr__item *item)
{
	struct tmgr_future *done = item->done;

	if (item->function) {
		machine->evaluating = item;
		item->function(item->self, machine);
		machine->evaluating = NULL;
		/* Completed, it is gone with its caller. */
		if (done)
			tmgr_future_complete(done, 0, NULL);
		return;
	}
	tell_queued(machine, item);
	machine->result = run_mutation(machine, item);
}

/* ---- Between two steps ----------------------------------------------------------------------- */

/* Postponed mutations have their turn again, behind those that wait. */
static void put_back(struct tmgr_machine *machine)
{
	struct tmgr__list *node;

	while ((node = tmgr__list_pop(&machine->postponed_items))) {
		machine->postponed_count--;
		tmgr__queue_append(machine, container_of(node, struct tmgr__item, node));
	}
}

static void finish_running(struct tmgr_machine *machine)
{
	struct tmgr__item *item = machine->running;

	if (!item)
		return;
	machine->running = NULL;
	if (machine->result == TMGR_MUTATION_QUEUED) {
		tmgr__item_postpone(machine, item);
		return;
	}
	tell_waits(machine, item, machine->result);
	free(item);
}

/* Under the lock. */
static void settle(struct tmgr_machine *machine)
{
	if (machine->has_changed) {
		machine->has_changed = false;
		if (machine->schema->timeout_count > 0)
			tmgr__timers_move(machine);
		if (machine->history)
			tmgr__history_add(machine);
		if (machine->wait_count > 0)
			tmgr__waits_look(machine);
		if (machine->postponed_count > 0)
			put_back(machine);
	}
	finish_running(machine);
	if (machine->waits[TMGR__WAITS_ROOM] && machine->queued < machine->queue_max)
		tmgr__waits_fire_all(machine, &machine->waits[TMGR__WAITS_ROOM], 0);
}

/* Under the lock, given back meanwhile: its task is to look at the timers. */
static void sound_alarm(struct tmgr_machine *machine)
{
	machine->alarm_due = false;
	if (!machine->alarm)
		return;
	tmgr__lock_release(&machine->lock);
	tmgr_flag_set(machine->alarm);
	tmgr__lock_acquire(&machine->lock);
}

/* Under the lock, given back meanwhile: cancel what waits, but for what is made always. */
static void empty_queue(struct tmgr_machine *machine)
{
	struct tmgr__item *item;

	while ((item = tmgr__queue_pop(machine))) {
		if (!item->always) {
			tmgr__item_cancel(machine, item);
			continue;
		}
		tmgr__lock_release(&machine->lock);
		run_item(machine, item);
		tmgr__lock_acquire(&machine->lock);
	}
}

/* Under the lock, given back meanwhile: the end of the machine. */
static void end(struct tmgr_machine *machine)
{
	put_back(machine);
	empty_queue(machine);
	machine->automatic_due = machine->failure_due = false;
	tmgr__timers_end(machine);
	if (!machine->ending)
		machine->undisposed = machine->tables.count;
	machine->ending = true;
	tmgr__lock_release(&machine->lock);
	/* Where one exits its thread, this goes on behind it. */
	while (machine->undisposed > 0) {
		struct tmgr__binding binding = machine->tables.items[--machine->undisposed];
		const struct tmgr_machine_handlers *table = binding.ops;

		if (table && table->dispose)
			table->dispose(binding.self, machine);
	}
	if (!machine->told_end) {
		machine->told_end = true;
		TMGR__TRACE(machine, disposed, machine);
	}
	tmgr__lock_acquire(&machine->lock);
	/* Until here; from now on nobody queues. */
	empty_queue(machine);
	__atomic_store_n(&machine->disposed, true, __ATOMIC_RELEASE);
	tmgr__waits_end(machine);
}

/* What is disposed keeps its holes: there they are no longer the drainer's. */
static inline void close_holes(struct tmgr_machine *machine)
{
	/* Only drainers write it. */
	if (!__atomic_load_n(&machine->disposed, __ATOMIC_RELAXED) &&
		(machine->tables.holes || machine->tracers.holes))
		tmgr__bindings_settle(machine);
}

/* Under the lock, given back meanwhile: whoever waits for an empty queue. False: nobody. */
static bool tell_drained(struct tmgr_machine *machine)
{
	bool traced = machine->used && !machine->disposed && machine->tracers.count > 0;

	machine->used = false;
	if (machine->waits[TMGR__WAITS_DRAINED])
		tmgr__waits_fire_all(machine, &machine->waits[TMGR__WAITS_DRAINED], 0);
	/* Nobody may come after this drainer: they look again, and drain it themselves. */
	if (machine->waits[TMGR__WAITS_ROOM])
		tmgr__waits_fire_all(machine, &machine->waits[TMGR__WAITS_ROOM], 0);
	if (traced) {
		tmgr__lock_release(&machine->lock);
		TMGR__TRACE(machine, queue_drained, machine);
		tmgr__lock_acquire(&machine->lock);
	}
	return traced || machine->fired;
}

/* Under the lock, given back meanwhile. False: there is nothing left to do. */
static bool step(struct tmgr_machine *machine)
{
	struct tmgr__item *item;
	bool failure = machine->failure_due, automatic = machine->automatic_due;

	if (machine->disposing && !machine->disposed) {
		end(machine);
		return true;
	}
	item = failure || automatic ? NULL : tmgr__queue_pop(machine);
	if (!failure && !automatic && !item)
		return tell_drained(machine);
	machine->running = item && !item->function ? item : NULL;
	tmgr__lock_release(&machine->lock);
	if (failure)
		tmgr__transition_failure(machine);
	else if (automatic)
		tmgr__transition_automatic(machine);
	else
		run_item(machine, item);
	close_holes(machine);
	tmgr__lock_acquire(&machine->lock);
	return true;
}

void tmgr__drain(struct tmgr_machine *machine)
{
	close_holes(machine);
	tmgr__lock_acquire(&machine->lock);
	do {
		settle(machine);
		if (__builtin_expect(machine->alarm_due, 0))
			sound_alarm(machine);
		while (machine->fired && tmgr__waits_call(machine))
			;
	} while (step(machine));
	drain_end(machine);
	tmgr__lock_release(&machine->lock);
}

/* ---- Calls ---------------------------------------------------------------------------------- */

/* Wait for the end of a call; r is why its caller goes, if it can. */
static int give_up(
	struct tmgr_context *context, struct tmgr_machine *machine, struct tmgr__item *item, int r)
{
	bool waits;

	tmgr__lock_acquire(&machine->lock);
	waits = !tmgr__list_empty(&item->node);
	if (waits)
		tmgr__queue_take_out(machine, item);
	tmgr__lock_release(&machine->lock);
	if (waits)
		return r;
	/* It is being called, with memory of the caller's. */
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	r = tmgr_future_wait(context, item->done, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	/* It does not block, so this is short, too. */
	if (r < 0)
		tmgr_future_wait(NULL, item->done, TMGR_NEVER);
	return item->done->error;
}

static int call_queued(struct tmgr_context *context, struct tmgr_machine *machine,
	struct tmgr__item *item, int64_t deadline)
{
	struct tmgr_future done = TMGR_FUTURE_INIT;
	int r = 0;

	item->done = &done;
	tmgr__list_init(&item->node);
	tmgr__queue_append(machine, item);
	if (tmgr__machine_elsewhere(machine))
		r = tmgr__drain_schedule(machine);
	else
		tmgr__lock_release(&machine->lock);
	if (r == 0)
		r = tmgr_future_wait(context, &done, deadline);
	else
		/* Others may have queued meanwhile, and rely on this one having scheduled it. */
		tmgr__machine_end_here(machine);
	r = r < 0 ? give_up(context, machine, item, r) : done.error;
	tmgr_future_fini(&done);
	return r;
}

static void pass_by(void *self, struct tmgr_machine *machine)
{
	(void)self;
	(void)machine;
}

/* Under the lock, given back meanwhile. A drainer that is not the loop leaves calls to the loop, which must
 * not wait for it then: have one made that is not left, until that drainer has gone. */
static void wait_for_others(struct tmgr_machine *machine)
{
	while (machine->loop && machine->draining && !machine->disposing &&
		!tmgr__machine_elsewhere(machine)) {
		struct tmgr__item item = { .function = pass_by, .anywhere = true };

		call_queued(NULL, machine, &item, TMGR_NEVER);
		tmgr__lock_acquire(&machine->lock);
	}
}

int tmgr__machine_call(struct tmgr_context *context, struct tmgr_machine *machine,
	void (*function)(void *self, struct tmgr_machine *machine), void *self, int64_t deadline)
{
	struct tmgr__item item = { .function = function, .self = self };

	if (tmgr__machine_inside(machine))
		return -EDEADLK;
	tmgr__lock_acquire(&machine->lock);
	wait_for_others(machine);
	if (machine->disposing) {
		tmgr__lock_release(&machine->lock);
		return -ESHUTDOWN;
	}
	if (tmgr__machine_elsewhere(machine) || !tmgr__drain_begin(machine))
		return call_queued(context, machine, &item, deadline);
	tmgr__lock_release(&machine->lock);
	function(self, machine);
	tmgr__drain(machine);
	return 0;
}

/* Under the lock: a change that waits for this drainer, which need not be the loop. */
static struct tmgr__item *pop_change(struct tmgr_machine *machine)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &machine->front) {
		struct tmgr__item *item = container_of(node, struct tmgr__item, node);

		if (item->anywhere) {
			tmgr__queue_take_out(machine, item);
			return item;
		}
	}
	return NULL;
}

/* By a drainer that is not the loop: make the changes that have come meanwhile, and leave all else to it. */
static void leave_to_loop(struct tmgr_machine *machine)
{
	struct tmgr__item *item;
	bool left;

	close_holes(machine);
	tmgr__lock_acquire(&machine->lock);
	while ((item = pop_change(machine))) {
		tmgr__lock_release(&machine->lock);
		run_item(machine, item);
		close_holes(machine);
		tmgr__lock_acquire(&machine->lock);
	}
	drain_end(machine);
	left = machine->used || (machine->disposing && !machine->disposed) || machine->fired ||
	       machine->waits[TMGR__WAITS_DRAINED] || machine->waits[TMGR__WAITS_ROOM];
	if (!left)
		tmgr__lock_release(&machine->lock);
	else if (tmgr__drain_schedule(machine) < 0)
		tmgr__machine_end_here(machine);
}

int tmgr__machine_change(struct tmgr_machine *machine,
	void (*function)(void *self, struct tmgr_machine *machine), void *self, bool always)
{
	struct tmgr__item item = {
		.function = function,
		.self = self,
		.anywhere = true,
		.always = always,
	};

	tmgr__lock_acquire(&machine->lock);
	if (machine->disposing && (machine->disposed || !always)) {
		if (always)
			function(self, machine);
		tmgr__lock_release(&machine->lock);
		return always ? 0 : -ESHUTDOWN;
	}
	if (!tmgr__drain_begin(machine))
		return call_queued(NULL, machine, &item, TMGR_NEVER);
	tmgr__lock_release(&machine->lock);
	function(self, machine);
	if (tmgr__machine_elsewhere(machine))
		leave_to_loop(machine);
	else
		tmgr__drain(machine);
	return 0;
}

int tmgr_machine_evaluate(struct tmgr_context *context, struct tmgr_machine *machine,
	void (*function)(void *self, struct tmgr_machine *machine), void *self, int64_t deadline)
{
	if (!machine || !function)
		return -EINVAL;
	return tmgr__machine_call(context, machine, function, self, deadline);
}

struct dry_run {
	struct tmgr__asked asked;
	int result;
};

static void run_dry(void *self, struct tmgr_machine *machine)
{
	struct dry_run *run = self;

	run->result = tmgr__transition(machine, &run->asked);
}

int tmgr_machine_can(struct tmgr_context *context, struct tmgr_machine *machine,
	enum tmgr_mutation_kind kind, const unsigned *states,
	const struct tmgr_arguments *arguments)
{
	struct dry_run run = { .asked = { .kind = kind, .arguments = arguments, .dry = true } };
	int r;

	if (!machine || (unsigned)kind > TMGR_MUTATION_TOGGLE ||
		!tmgr__machine_knows(machine, states))
		return -EINVAL;
	run.asked.states = states;
	r = tmgr__machine_call(context, machine, run_dry, &run, TMGR_NEVER);
	return r < 0 ? r : run.result;
}
