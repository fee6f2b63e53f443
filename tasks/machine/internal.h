/*
 * A machine: who may touch what.
 *
 * One thread at a time is the drainer. It alone makes transitions, calls handlers, tracers and
 * callbacks, and writes what is active, the ticks, the tables and the members marked "drainer". It
 * becomes so under the lock, while nobody is, and stops being it under the lock, once nothing is left
 * to do: so who queues under the lock, and finds a drainer, knows that it will look again.
 *
 * The lock guards the queue, the waits, timers, history and errors. It is never held over a call to
 * the user's code, nor while memory is taken. It stands alone, with no other lock inside.
 *
 * Ticks and the list of what is active are read without it: each alone, or several between two looks
 * at `sequence`, which is odd while they are being written.
 */
#ifndef TMGR__MACHINE_INTERNAL_H
#define TMGR__MACHINE_INTERNAL_H

#include <taskmgr/sync.h>
#include <taskmgr/tasks/loop.h>
#include <taskmgr/tasks/machine.h>
#include <taskmgr/tasks/machine_task.h>
#include <taskmgr/tasks/machine_tracer.h>
#include <taskmgr/tasks/machine_wait.h>

#include "resolve.h"

#include "taskmgr/base/check.h"
#include "taskmgr/base/heap.h"
#include "taskmgr/base/list.h"
#include "taskmgr/base/sync.h"

#define TMGR__QUEUE_MAX 1000
#define TMGR__SLOW_NS (100 * TMGR_MILLISECOND)

/* One activation of a state, by its tick, which is odd; 0: any, of any state. */
struct tmgr__activation {
	unsigned state;
	uint64_t tick;
};

/* Something for the drainer to do that waits its turn. */
struct tmgr__item {
	struct tmgr__list node;
	/* NULL: a mutation, in memory of its own. Else a call, in its caller's. */
	void (*function)(void *self, struct tmgr_machine *machine);
	void *self;
	struct tmgr_future *done; /* of a call: completed behind it */
	bool anywhere; /* a call that any drainer may make, on the machine's loop or not */
	bool always;   /* a call that is made even when the machine ends meanwhile */

	/* Of a mutation: */
	struct tmgr_machine_queued about; /* lists stand behind this */
	struct tmgr_arguments arguments;
	struct tmgr_machine_error *error; /* of an exception, or NULL */
	int64_t expires;                  /* TMGR_NEVER: never */
	struct tmgr__activation of;       /* it is for that one only */
	bool told;                        /* to the tracers */
	struct tmgr_machine_when *whens;  /* who waits for it */
};

/* Tables of handlers and tracers, in order of binding. Of the drainer. */
struct tmgr__binding {
	const void *ops; /* NULL: unbound while they are walked */
	void *self;
};

struct tmgr__bindings {
	struct tmgr__binding *items;
	uint32_t count, room;
	bool holes;
};

struct tmgr__timer {
	struct tmgr__heap_node node;
	struct tmgr__activation of;
};

struct tmgr__history {
	size_t max, count, next;
	int64_t *times; /* of each record: when what its set says began */
	uint64_t *sets;
};

/* Lists of waits for other things than states. */
enum {
	TMGR__WAITS_DRAINED,
	TMGR__WAITS_DISPOSED,
	TMGR__WAITS_ROOM, /* in the queue */
	TMGR__WAITS,
};

struct tmgr_machine {
	uint32_t refs; /* atomic */
	struct tmgr__lock lock;
	struct tmgr_schema *schema;
	struct tmgr_loop *loop;
	struct tmgr_manager *manager; /* of its task, while that executes; lock */
	char *name;                   /* its own, or NULL */

	/* What others read. Written by the drainer. */
	uint32_t sequence;
	uint32_t active_count;
	struct tmgr__states active;
	uint64_t *ticks;

	/* Of the drainer. */
	struct tmgr__states target, called, exits;
	struct tmgr__states enters; /* without a set */
	unsigned *before;
	struct tmgr__scratch scratch;
	struct tmgr__bindings tables, tracers;
	struct tmgr_machine_transition *transition;
	struct tmgr__item *running;    /* a mutation that was queued; lock */
	int result;                    /* of it */
	struct tmgr__item *evaluating; /* whose function is being called */
	uint32_t undisposed;           /* tables that are to be told, while it ends */
	uint64_t transitions;
	uint8_t table_kinds; /* what the tables have: bits of enum tmgr_handler_kind */
	bool failed, postponed, automatic_due, failure_due, failure_of_automatic, has_changed;
	bool ending, told_end;
	const struct tmgr_arguments *arguments; /* of what has changed it */

	/* Under the lock. */
	bool draining, scheduled, disposing, disposed;
	bool by_coroutine;   /* of its loop: it is drained */
	bool filled;         /* something may be in the queue */
	bool used;           /* by what its loop has to come for, since the queue was drained */
	const void *drainer; /* a thread */
	uint8_t queue_full;
	uint32_t queue_max;
	struct tmgr__list front, high, normal, postponed_items;
	uint32_t queued, postponed_count;
	uint64_t tickets;
	struct tmgr_machine_when **state_waits;
	struct tmgr_machine_when *waits[TMGR__WAITS];
	struct tmgr_machine_when *fired, **fired_last;
	struct tmgr_machine_when *calling;
	const void *caller; /* the thread that calls it */
	uint32_t calls, call_waiters;
	uint32_t wait_count;
	/* The last; the one to add Exception with next while failure_due. Written by the drainer. */
	struct tmgr_machine_error error;
	struct tmgr__timer *timers;
	struct tmgr__heap timer_heap;
	struct tmgr__history *history;
	struct tmgr_flag *alarm; /* for its task, or NULL */
	bool alarm_due;          /* it is to look at the timers */
	struct tmgr_loop_call *call;
	int64_t slow_ns;
	bool slow_fails;
	uint64_t cancelled, errors, slow, dropped; /* atomic */
};

/* ---- machine.c ------------------------------------------------------------------------------ */

static inline uint64_t tmgr__machine_tick(const struct tmgr_machine *machine, unsigned state)
{
	return __atomic_load_n(&machine->ticks[state], __ATOMIC_ACQUIRE);
}

/* What is for one activation comes too late. By the drainer it is so for good. */
static inline bool tmgr__activation_has_ended(
	const struct tmgr_machine *machine, const struct tmgr__activation *of)
{
	return of->tick != 0 && tmgr__machine_tick(machine, of->state) != of->tick;
}

/* A list of states that are there, ended. */
bool tmgr__machine_knows(const struct tmgr_machine *machine, const unsigned *states);
/* This thread, as an address. */
const void *tmgr__machine_here(void);
/* Whether this is a handler, tracer or callback of the machine. Any thread. */
bool tmgr__machine_inside(struct tmgr_machine *machine);

/* Several reads of one moment: begin, read, and again while it says so. */
static inline uint32_t tmgr__machine_read_begin(const struct tmgr_machine *machine)
{
	uint32_t sequence;

	do {
		sequence = __atomic_load_n(&machine->sequence, __ATOMIC_ACQUIRE);
	} while (sequence & 1);
	return sequence;
}

static inline bool tmgr__machine_read_again(const struct tmgr_machine *machine, uint32_t sequence)
{
	/* What was read are acquire loads: this one comes after them. */
	return __atomic_load_n(&machine->sequence, __ATOMIC_RELAXED) != sequence;
}

/* ---- queue.c -------------------------------------------------------------------------------- */

/* Why a mutation is asked for, and who is to be told of it. */
struct tmgr__cause {
	enum tmgr_mutation_origin origin;
	const struct tmgr_machine_error *error; /* of an exception, or NULL */
	struct tmgr__activation of;             /* of a timeout */
	/* Initialized: called with the result of what is queued; NULL: nobody is. */
	struct tmgr_machine_when *when;
};

/* Whether it needs room in the queue: timeouts, of which each state has one, and errors are not to be
 * lost. */
bool tmgr__cause_is_counted(const struct tmgr__cause *cause);
/* A mutation in memory of its own; NULL: out of memory. */
struct tmgr__item *tmgr__item_make(
	const struct tmgr_mutation *mutation, const struct tmgr__cause *cause);
/* Under the lock. */
void tmgr__queue_append(struct tmgr_machine *machine, struct tmgr__item *item);
struct tmgr__item *tmgr__queue_pop(struct tmgr_machine *machine);
void tmgr__queue_take_out(struct tmgr_machine *machine, struct tmgr__item *item);
/* Of those that are counted; NULL: none waits, but for postponed ones. */
struct tmgr__item *tmgr__queue_oldest(struct tmgr_machine *machine);
/* bare: one without arguments, that is made whenever its turn comes. */
bool tmgr__queue_has_equal(struct tmgr_machine *machine, enum tmgr_mutation_kind kind,
	const unsigned *states, bool bare);
struct tmgr__item *tmgr__queue_find(struct tmgr_machine *machine, uint64_t ticket);

/* ---- drain.c -------------------------------------------------------------------------------- */

/* Under the lock: become the drainer, if nobody is. */
bool tmgr__drain_begin(struct tmgr_machine *machine);
/* By the drainer: do all there is to do, and stop being it. */
void tmgr__drain(struct tmgr_machine *machine);
/* With no lock held: have a function called between two transitions. As tmgr_machine_evaluate(). */
int tmgr__machine_call(struct tmgr_context *context, struct tmgr_machine *machine,
	void (*function)(void *self, struct tmgr_machine *machine), void *self, int64_t deadline);
/* The same for what changes the machine's bindings: on this thread where nobody drains, be it the loop's
 * or not, so that a machine can be set up before its loop runs. 0 or -ESHUTDOWN; always: while the
 * machine is being disposed, too, and behind that, when it is called under the lock. */
int tmgr__machine_change(struct tmgr_machine *machine,
	void (*function)(void *self, struct tmgr_machine *machine), void *self, bool always);
/* By the drainer: the result of a mutation that comes too late to be made. */
int tmgr__mutation_drop(struct tmgr_machine *machine);
/* Under the lock: cancel what waited. Its memory is released. */
void tmgr__item_cancel(struct tmgr_machine *machine, struct tmgr__item *item);
/* Under the lock: keep a mutation that a handler has postponed. */
void tmgr__item_postpone(struct tmgr_machine *machine, struct tmgr__item *item);

/* ---- drain_loop.c --------------------------------------------------------------------------- */

/* Under the lock: who drained it has gone, and what was begun will not come to its end. */
void tmgr__drain_give_up(struct tmgr_machine *machine);
/* Under the lock, which it gives back: see that somebody drains. 0 or -ESHUTDOWN. */
int tmgr__drain_schedule(struct tmgr_machine *machine);
/* With no lock held: its loop has gone. Dispose it here, so that nobody waits for ever. */
void tmgr__machine_end_here(struct tmgr_machine *machine);
/* The machine has a loop, and this is not its thread. */
bool tmgr__machine_elsewhere(const struct tmgr_machine *machine);

/* ---- mutate.c ------------------------------------------------------------------------------- */

/* Any mutation with a cause. */
int tmgr__machine_mutate(struct tmgr_machine *machine, const struct tmgr_mutation *mutation,
	const struct tmgr__cause *cause, uint64_t *ret_ticket);

/* ---- transition.c --------------------------------------------------------------------------- */

/* What is asked of a transition. */
struct tmgr__asked {
	enum tmgr_mutation_kind kind;
	enum tmgr_mutation_origin origin;
	const unsigned *states; /* ended; NULL: they are in machine->called */
	const struct tmgr_arguments *arguments;
	const struct tmgr_machine_error *error;
	uint64_t ticket;
	bool dry;
};

/* By the drainer: an enum tmgr_mutation_result; QUEUED: a handler has postponed it. */
int tmgr__transition(struct tmgr_machine *machine, const struct tmgr__asked *asked);
/* By the drainer, in a final handler: those entered from this index on leave again. */
void tmgr__transition_take_back(struct tmgr_machine *machine, size_t first);
/* By the drainer: take over what is active, in its order, and all ticks. */
void tmgr__transition_import(
	struct tmgr_machine *machine, const uint64_t *ticks, const unsigned *active, size_t count);
/* By the drainer: add the automatic states there are to add. */
void tmgr__transition_automatic(struct tmgr_machine *machine);
/* By the drainer: add Exception with machine->error. */
void tmgr__transition_failure(struct tmgr_machine *machine);

/* ---- handlers.c ----------------------------------------------------------------------------- */

/* Call the handlers of a negotiation. False: one has refused or failed. */
bool tmgr__negotiate(struct tmgr_machine *machine, struct tmgr_machine_transition *transition);
/* Call the final handlers. False: one has failed. */
bool tmgr__finalize(struct tmgr_machine *machine, struct tmgr_machine_transition *transition);

/* Of each tracer that has it, by the drainer. */
#define TMGR__TRACE(machine, member, ...)                                                    \
	do {                                                                                 \
		struct tmgr__bindings *tracers_ = &(machine)->tracers;                       \
		for (uint32_t i_ = 0; i_ < tracers_->count; i_++) {                          \
			const struct tmgr_machine_tracer *tracer_ = tracers_->items[i_].ops; \
			if (tracer_ && tracer_->member)                                      \
				tracer_->member(tracers_->items[i_].self, __VA_ARGS__);      \
		}                                                                            \
	} while (0)

/* ---- when.c --------------------------------------------------------------------------------- */

/* Under the lock, by the drainer: after a transition, collect the waits whose condition holds now. */
void tmgr__waits_look(struct tmgr_machine *machine);
/* Under the lock: collect all of a list. */
void tmgr__waits_fire_all(
	struct tmgr_machine *machine, struct tmgr_machine_when **list, int result);
/* Under the lock, given back meanwhile: call those that were collected. False: there were none. */
bool tmgr__waits_call(struct tmgr_machine *machine);
/* Under the lock: the one that was being called has returned, or never will. */
void tmgr__waits_called(struct tmgr_machine *machine);
/* Under the lock: take one back that waits, or is to be called. False: it is neither. */
bool tmgr__when_withdraw(struct tmgr_machine_when *when);
/* The machine is disposed: collect all. Under the lock. */
void tmgr__waits_end(struct tmgr_machine *machine);
/* Register with a list of its own, such as an item's. Under the lock. */
void tmgr__when_link(struct tmgr_machine *machine, struct tmgr_machine_when **list,
	struct tmgr_machine_when *when);
void tmgr__when_init(struct tmgr_machine_when *when, struct tmgr_machine *machine,
	void (*function)(void *self, int result), void *self);

bool tmgr__condition_is_valid(
	const struct tmgr_machine *machine, const struct tmgr_machine_condition *condition);
/* Register one whose condition is set: 0 where it waits now; else 1, and the result: nothing is called. */
int tmgr__when_begin(struct tmgr_machine *machine, struct tmgr_machine_when *when, int *ret_result);
/* Register, without a copy of what the condition refers to. It is a valid one. */
void tmgr__when_register(struct tmgr_machine *machine,
	const struct tmgr_machine_condition *condition, struct tmgr_machine_when *when,
	void (*function)(void *self, int result), void *self);

/* ---- wait.c --------------------------------------------------------------------------------- */

/* A wait that blocks, on its owner's stack. */
struct tmgr__blocked {
	struct tmgr_future done;
	int result;
};

/* The function of its wait. */
void tmgr__blocked_end(void *self, int result);

/* ---- bind.c --------------------------------------------------------------------------------- */

/* By the drainer, between transitions: close the holes that unbinding has left. */
void tmgr__bindings_settle(struct tmgr_machine *machine);

/* ---- timer.c, history.c --------------------------------------------------------------------- */

/* Under the lock, by the drainer: timers of what left and of what was entered. */
void tmgr__timers_move(struct tmgr_machine *machine);
void tmgr__timers_end(struct tmgr_machine *machine);
int tmgr__history_create(struct tmgr_machine *machine, size_t max);
void tmgr__history_destroy(struct tmgr_machine *machine);
/* Under the lock. */
void tmgr__history_add(struct tmgr_machine *machine);

#endif
