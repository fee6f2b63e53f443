/**
 * @file
 * Waiting for a machine: until states are active, or not, at one moment; for ticks, arguments,
 * errors, the queue; by a callback, a future, or blocking, in threads and coroutines. And contexts of
 * states, to see whether an activation still lasts.
 *
 *     r = tmgr_machine_wait(context, machine, &TMGR_WHEN(FILE_PROCESSED), tmgr_after(5 * TMGR_SECOND));
 *
 * What is true already is told at once. Waits are told after the final handlers of a transition. They
 * take no memory but the caller's, and there may be any number of them.
 */
#ifndef TMGR_TASKS_MACHINE_WAIT_H
#define TMGR_TASKS_MACHINE_WAIT_H

#include <taskmgr/future.h>
#include <taskmgr/tasks/machine.h>

/** What can be waited for. */
enum tmgr_condition_kind {
	TMGR_CONDITION_ACTIVE,     /**< all states are active */
	TMGR_CONDITION_INACTIVE,   /**< no state is active */
	TMGR_CONDITION_ARGUMENTS,  /**< the state is entered with these arguments, from now on */
	TMGR_CONDITION_TIME,       /**< each state's tick is at least the one given */
	TMGR_CONDITION_TICKS,      /**< the state's tick has moved by so many, from now on */
	TMGR_CONDITION_TICK_EQUAL, /**< the state's tick is the one given */
	TMGR_CONDITION_CHANGED,    /**< the state's tick is not the one given */
	TMGR_CONDITION_DRAINED,    /**< no mutation waits, none is being made */
	TMGR_CONDITION_TICKET,   /**< this mutation does not wait any more, and is not being made */
	TMGR_CONDITION_DISPOSED, /**< the machine is disposed */
};

/** Most states, and most arguments, of a condition that a callback or a future waits for. */
#define TMGR_WHEN_STATES_MAX 8
#define TMGR_WHEN_ARGUMENTS_MAX 4

/** A condition. */
struct tmgr_machine_condition {
	enum tmgr_condition_kind kind;
	const unsigned
		*states;       /**< ended by TMGR_STATES_END; one, where it speaks of "the state" */
	const uint64_t *ticks; /**< for each of states; for TICKS how many */
	const struct tmgr_arguments *arguments; /**< each of them is among those of the mutation */
	uint64_t ticket;
	/** when it fires the wait is dropped; a reference is not taken. NULL: none */
	struct tmgr_token *token;
};

#define TMGR__CONDITION(...) ((const struct tmgr_machine_condition){ __VA_ARGS__ })
#define TMGR__TICKS(...) ((const uint64_t[]){ __VA_ARGS__ })
/** All of these states are active at one moment. */
#define TMGR_WHEN(...) \
	TMGR__CONDITION(.kind = TMGR_CONDITION_ACTIVE, .states = TMGR_STATES(__VA_ARGS__))
/** None of these states is active at one moment. */
#define TMGR_WHEN_NOT(...) \
	TMGR__CONDITION(.kind = TMGR_CONDITION_INACTIVE, .states = TMGR_STATES(__VA_ARGS__))
/** The state is entered with arguments: TMGR_WHEN_ARGUMENTS(CONNECTED, TMGR_ARG_NUMBER("id", 123)). */
#define TMGR_WHEN_ARGUMENTS(state, ...)                                                 \
	TMGR__CONDITION(.kind = TMGR_CONDITION_ARGUMENTS, .states = TMGR_STATES(state), \
		.arguments = TMGR_ARGUMENTS(__VA_ARGS__))
/** Each state's tick is at least this: the two lists are made with TMGR_STATES() and TMGR_TICKS(). */
#define TMGR_WHEN_TIME(list, least) \
	TMGR__CONDITION(.kind = TMGR_CONDITION_TIME, .states = (list), .ticks = (least))
/** Ticks for TMGR_WHEN_TIME(). */
#define TMGR_TICKS(...) TMGR__TICKS(__VA_ARGS__)
/** The state's tick moves by so many from now on. */
#define TMGR_WHEN_TICKS(state, count)                                               \
	TMGR__CONDITION(.kind = TMGR_CONDITION_TICKS, .states = TMGR_STATES(state), \
		.ticks = TMGR__TICKS(count))
/** The state's tick is this. */
#define TMGR_WHEN_TICK_EQUAL(state, tick)                                                \
	TMGR__CONDITION(.kind = TMGR_CONDITION_TICK_EQUAL, .states = TMGR_STATES(state), \
		.ticks = TMGR__TICKS(tick))
/** The state's tick is this no more. */
#define TMGR_WHEN_CHANGED(state, tick)                                                \
	TMGR__CONDITION(.kind = TMGR_CONDITION_CHANGED, .states = TMGR_STATES(state), \
		.ticks = TMGR__TICKS(tick))
/** There is an error: of a machine. */
#define TMGR_WHEN_ERROR(machine) TMGR_WHEN(tmgr_machine_exception(machine))
/** The queue is drained. */
#define TMGR_WHEN_DRAINED TMGR__CONDITION(.kind = TMGR_CONDITION_DRAINED)
/** The mutation that was queued with this ticket is done. */
#define TMGR_WHEN_TICKET(number) TMGR__CONDITION(.kind = TMGR_CONDITION_TICKET, .ticket = (number))
/** The machine is disposed. */
#define TMGR_WHEN_DISPOSED TMGR__CONDITION(.kind = TMGR_CONDITION_DISPOSED)

/** A wait: memory of the caller; all fields are the library's. */
struct tmgr_machine_when {
	struct tmgr_machine_when *next, **link;
	struct tmgr_machine *machine;
	struct tmgr_machine_condition condition;
	void (*function)(void *self, int result);
	void *self;
	struct tmgr_token_callback dropping;
	uint64_t tick;
	int state, result;
	unsigned states[TMGR_WHEN_STATES_MAX + 1];
	uint64_t ticks[TMGR_WHEN_STATES_MAX];
	struct tmgr_argument items[TMGR_WHEN_ARGUMENTS_MAX];
	struct tmgr_arguments arguments;
};

/** The activation of a state: a value, compared with one load. */
struct tmgr_state_context {
	const uint64_t *clock; /**< of the state; borrowed from the machine */
	uint64_t tick;
};

TMGR_BEGIN_DECLS

/**
 * Wait until a condition holds.
 *
 * @param context    the task's, or NULL
 * @param machine    a machine
 * @param condition  what to wait for; borrowed until this returns, like all it refers to
 * @param deadline   absolute, monotonic, nanoseconds; TMGR_NOW looks once
 *
 * @retval 0                        it holds, or did at a moment since; of a ticket: executed, or done
 *                                  before this was called
 * @retval TMGR_MUTATION_CANCELLED  of a ticket: cancelled
 * @retval -ECANCELED               the context's token fired first, or the condition's
 * @retval -ETIMEDOUT               the deadline came first
 * @retval -ESHUTDOWN               the machine was disposed first
 * @retval -EDEADLK                 this is a handler of the machine, and it does not hold
 * @retval -EINVAL                  an argument is NULL, or the condition has unknown parts
 *
 * @thread the task's; may block; cancellation point; not from a handler
 * @source asyncmachine, When
 */
TMGR_API int tmgr_machine_wait(struct tmgr_context *context, struct tmgr_machine *machine,
	const struct tmgr_machine_condition *condition, int64_t deadline);

/**
 * Wait until a condition holds, or Exception is entered: what most want who started something.
 *
 * @param context    the task's, or NULL
 * @param machine    a machine
 * @param condition  what to wait for; borrowed until this returns, like all it refers to
 * @param deadline   absolute, monotonic, nanoseconds
 *
 * @return as tmgr_machine_wait(), or the code of the error that Exception was entered with before it held,
 *         or that it was active with when this was called
 * @retval 0        it holds
 * @retval -EINVAL  an argument is NULL, or the condition has unknown parts
 *
 * @thread the task's; may block; cancellation point; not from a handler
 * @source asyncmachine, WhenErr in a select
 */
TMGR_API int tmgr_machine_wait_or_error(struct tmgr_context *context, struct tmgr_machine *machine,
	const struct tmgr_machine_condition *condition, int64_t deadline);

/**
 * Have a function called when a condition holds; at once, by this thread, if it does.
 *
 * It is called once, unless it is taken back: with 0, with TMGR_MUTATION_CANCELLED for a ticket that
 * was, with -ECANCELED when the condition's token fired, with -ESHUTDOWN when the machine was
 * disposed. Mutations it makes are queued. It is short and does not wait.
 *
 * @param machine    a machine
 * @param condition  copied, but for texts of arguments, which are borrowed until the call or the taking
 *                   back
 * @param when       borrowed likewise
 * @param function   called with self and the result
 * @param self       for function
 *
 * @retval 0        registered, or called
 * @retval -EINVAL  an argument is NULL, or the condition has unknown parts
 * @retval -E2BIG   it has more than TMGR_WHEN_STATES_MAX states, or TMGR_WHEN_ARGUMENTS_MAX arguments
 *
 * @thread any thread; the function is called by who drains the machine, fires the token, or calls this
 * @source asyncmachine, When
 */
TMGR_API int tmgr_machine_when(struct tmgr_machine *machine,
	const struct tmgr_machine_condition *condition, struct tmgr_machine_when *when,
	void (*function)(void *self, int result), void *self);

/**
 * Take a wait back. If its function is being called on another thread, wait for the end of that; from
 * inside of it, do not. Afterwards it will not be called and its memory is the caller's.
 *
 * @param when  one that was registered
 *
 * @retval 0        taken back
 * @retval -ENOENT  it has been called
 * @retval -EINVAL  when is NULL
 *
 * @thread any thread; may block for as long as the function runs
 */
TMGR_API int tmgr_machine_when_cancel(struct tmgr_machine_when *when);

/**
 * Complete a future when a condition holds: with the result that a callback would be called with, above
 * 0 as -ECANCELED. The future's own cancel does not take the wait back; tmgr_machine_when_cancel() does.
 *
 * @param machine    a machine
 * @param condition  as for tmgr_machine_when()
 * @param when       borrowed until the future is done or it is taken back
 * @param future     pending, borrowed likewise
 *
 * @retval 0        registered, or completed
 * @retval -EINVAL  an argument is NULL, or the condition has unknown parts
 * @retval -E2BIG   as for tmgr_machine_when()
 *
 * @thread any thread
 */
TMGR_API int tmgr_machine_when_future(struct tmgr_machine *machine,
	const struct tmgr_machine_condition *condition, struct tmgr_machine_when *when,
	struct tmgr_future *future);

/**
 * The present activation of a state, or its absence: a value that needs no release.
 *
 * @param machine  a machine
 * @param state    its number
 *
 * @return for tmgr_state_lasts(); one that never lasts where there is no such state
 *
 * @thread any thread
 * @source asyncmachine, NewStateCtx
 */
TMGR_API struct tmgr_state_context tmgr_machine_state_context(
	const struct tmgr_machine *machine, unsigned state);

/**
 * Whether an activation still lasts: the state's tick has not moved. One load.
 *
 * @param context  of a machine that is referred to
 *
 * @return false for ever from the moment it moved
 *
 * @thread any thread
 */
static inline bool tmgr_state_lasts(const struct tmgr_state_context *context)
{
	return context->clock != NULL &&
	       __atomic_load_n(context->clock, __ATOMIC_ACQUIRE) == context->tick;
}

/**
 * A token that fires when the present activation of a state ends, or the machine is disposed; fired
 * already where the state is not active.
 *
 * @param machine    a machine
 * @param state      its number
 * @param parent     above it; NULL: none
 * @param ret_token  returned, release with tmgr_token_unref()
 *
 * @retval 0        made
 * @retval -EINVAL  machine or ret_token is NULL, or there is no such state
 * @retval -ELOOP   the parent has too many above it
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 * @source asyncmachine, NewStateCtx
 */
TMGR_API int tmgr_machine_state_token(struct tmgr_machine *machine, unsigned state,
	struct tmgr_token *parent, struct tmgr_token **ret_token);

TMGR_END_DECLS

#endif
