/**
 * @file
 * State machines: many states active at once, relations between them, mutations that can be refused,
 * errors as a state, and a count of each state's activations.
 *
 *     r = tmgr_machine_create(schema, NULL, &machine);
 *     tmgr_machine_bind(machine, &handlers, self);
 *     if (tmgr_machine_add(machine, PROCESSING_FILE, NULL) == TMGR_MUTATION_EXECUTED)
 *             ...
 *
 * A machine has one queue. Who mutates while nobody does makes the transition itself, and those that
 * are queued meanwhile; everybody else gets TMGR_MUTATION_QUEUED. A machine that was given a loop
 * makes all of them there, and who mutates from elsewhere waits for the result.
 *
 * How it stands is read with the functions of machine_read.h, which comes with this.
 */
#ifndef TMGR_TASKS_MACHINE_H
#define TMGR_TASKS_MACHINE_H

#include <taskmgr/context.h>
#include <taskmgr/tasks/machine_handlers.h>
#include <taskmgr/tasks/machine_read.h>

struct tmgr_loop;

/** What happens to a mutation when the queue is full. */
enum tmgr_queue_full {
	TMGR_QUEUE_REJECT,      /**< it is cancelled */
	TMGR_QUEUE_DROP_OLDEST, /**< the one that waits longest is cancelled in its place */
	/** its caller waits; inside of a handler or a callback, or on a loop, it is cancelled */
	TMGR_QUEUE_BLOCK,
};

/** How a machine behaves; all zero is the default. */
struct tmgr_machine_options {
	const char *name; /**< copied, cut to 63 bytes; NULL: the schema's */
	size_t queue_max; /**< mutations that may wait, without timeouts and errors; 0: 1000 */
	enum tmgr_queue_full queue_full;
	/**
	 * Where all transitions are made; a weak reference is taken. Where it goes without having run the
	 * machine is disposed, once it was asked for something. NULL: where they are asked for.
	 */
	struct tmgr_loop *loop;
	/** A handler that takes longer is reported, nanoseconds; 0: 100 ms, TMGR_NEVER: none is. */
	int64_t slow_ns;
	/** What such a handler does is cancelled (negotiation), or adds Exception (final). */
	bool slow_fails;
	/** Transitions that are remembered for tmgr_machine_was_active(); 0: none. */
	size_t history_max;
};

/** A mutation in full. */
struct tmgr_mutation {
	enum tmgr_mutation_kind kind;
	const unsigned *states; /**< ended by TMGR_STATES_END; copied where it waits */
	const struct tmgr_arguments *arguments; /**< likewise; may be NULL */
	enum tmgr_mutation_priority priority;
	int64_t ttl_ns; /**< cancelled if it has not begun by then, nanoseconds; 0: never */
	bool no_wait;   /**< of a machine on a loop, from elsewhere: do not wait for the result */
};

TMGR_BEGIN_DECLS

/**
 * Make a machine: no state is active, all ticks are 0.
 *
 * @param schema       a reference is taken
 * @param options      copied; NULL for the default
 * @param ret_machine  returned, release with tmgr_machine_unref()
 *
 * @retval 0        made
 * @retval -EINVAL  schema or ret_machine is NULL, or an option is out of range
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 * @source asyncmachine, New
 */
TMGR_API int tmgr_machine_create(struct tmgr_schema *schema,
	const struct tmgr_machine_options *options, struct tmgr_machine **ret_machine);

/**
 * Take a reference.
 *
 * @param machine  NULL is allowed
 *
 * @return machine
 *
 * @thread any thread
 */
TMGR_API struct tmgr_machine *tmgr_machine_ref(struct tmgr_machine *machine);

/**
 * Give a reference back. With the last it is disposed, if it was not, and gone.
 *
 * @param machine  NULL is allowed
 *
 * @thread any thread, not from a handler if it may be the last
 */
TMGR_API void tmgr_machine_unref(struct tmgr_machine *machine);

/**
 * End a machine: what is queued is cancelled, waits end, handlers of disposal are called; from now on
 * all mutations are cancelled. States and ticks stay as they are. If a transition is being made, this
 * happens right after it, and this call does not wait for that.
 *
 * @param machine  a machine
 *
 * @retval 0          disposed, or about to be
 * @retval -EALREADY  it was before
 * @retval -EINVAL    machine is NULL
 *
 * @thread any thread
 * @source asyncmachine, Dispose
 */
TMGR_API int tmgr_machine_dispose(struct tmgr_machine *machine);

/**
 * Whether a machine is disposed.
 *
 * @param machine  NULL is
 *
 * @return true for ever from then on
 *
 * @thread any thread
 */
TMGR_API bool tmgr_machine_disposed(const struct tmgr_machine *machine);

/**
 * The name of a machine.
 *
 * @param machine  NULL gives ""
 *
 * @return borrowed as long as the machine
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_machine_name(const struct tmgr_machine *machine);

/**
 * The schema of a machine.
 *
 * @param machine  NULL gives NULL
 *
 * @return borrowed as long as the machine
 *
 * @thread any thread
 */
TMGR_API struct tmgr_schema *tmgr_machine_schema(const struct tmgr_machine *machine);

/**
 * The number of a machine's state Exception.
 *
 * @param machine  NULL gives TMGR_STATES_END
 *
 * @return the last one's
 *
 * @thread any thread
 */
TMGR_API unsigned tmgr_machine_exception(const struct tmgr_machine *machine);

/**
 * Add a state.
 *
 * @param machine    a machine
 * @param state      its number
 * @param arguments  copied where it waits; may be NULL
 *
 * @retval TMGR_MUTATION_EXECUTED   done
 * @retval TMGR_MUTATION_QUEUED     somebody else makes a transition, or this is a handler: it waits
 * @retval TMGR_MUTATION_CANCELLED  refused; or the machine is disposed, or its queue full
 * @retval -EINVAL                  machine is NULL, or there is no such state; nothing has changed
 * @retval -ENOMEM                  no memory to keep it while it waits
 *
 * @thread any thread; may block where the machine has a loop, or blocks when its queue is full
 * @source asyncmachine, Add1
 */
TMGR_API int tmgr_machine_add(
	struct tmgr_machine *machine, unsigned state, const struct tmgr_arguments *arguments);

/**
 * Remove a state.
 *
 * @param machine    a machine
 * @param state      its number
 * @param arguments  copied where it waits; may be NULL
 *
 * @return as tmgr_machine_add()
 * @retval TMGR_MUTATION_EXECUTED  done
 * @retval -EINVAL                 machine is NULL, or there is no such state; nothing has changed
 *
 * @thread any thread; may block as tmgr_machine_add()
 * @source asyncmachine, Remove1
 */
TMGR_API int tmgr_machine_remove(
	struct tmgr_machine *machine, unsigned state, const struct tmgr_arguments *arguments);

/**
 * Set a state: others leave, but for what it implies.
 *
 * @param machine    a machine
 * @param state      its number
 * @param arguments  copied where it waits; may be NULL
 *
 * @return as tmgr_machine_add()
 * @retval TMGR_MUTATION_EXECUTED  done
 * @retval -EINVAL                 machine is NULL, or there is no such state; nothing has changed
 *
 * @thread any thread; may block as tmgr_machine_add()
 * @source asyncmachine, Set
 */
TMGR_API int tmgr_machine_set(
	struct tmgr_machine *machine, unsigned state, const struct tmgr_arguments *arguments);

/**
 * Remove a state if it is active when its turn has come, else add it.
 *
 * @param machine    a machine
 * @param state      its number
 * @param arguments  copied where it waits; may be NULL
 *
 * @return as tmgr_machine_add()
 * @retval TMGR_MUTATION_EXECUTED  done
 * @retval -EINVAL                 machine is NULL, or there is no such state; nothing has changed
 *
 * @thread any thread; may block as tmgr_machine_add()
 * @source asyncmachine, Toggle1
 */
TMGR_API int tmgr_machine_toggle(
	struct tmgr_machine *machine, unsigned state, const struct tmgr_arguments *arguments);

/**
 * Mutate several states at once.
 *
 * @param machine    a machine
 * @param kind       what to do
 * @param states     ended by TMGR_STATES_END, each counts once; copied where it waits
 * @param arguments  copied where it waits; may be NULL
 *
 * @return as tmgr_machine_add()
 * @retval TMGR_MUTATION_EXECUTED  done
 * @retval -EINVAL                 an argument is NULL or unknown; nothing has changed
 *
 * @thread any thread; may block as tmgr_machine_add()
 * @source asyncmachine, Add, Remove, Set
 */
TMGR_API int tmgr_machine_change(struct tmgr_machine *machine, enum tmgr_mutation_kind kind,
	const unsigned *states, const struct tmgr_arguments *arguments);

/**
 * Mutate, with everything that can be said.
 *
 * @param machine     a machine
 * @param mutation    copied where it waits
 * @param ret_ticket  written when it is queued: to wait for it with TMGR_WHEN_TICKET(); 0 when it was
 *                    executed or cancelled at once; may be NULL
 *
 * @return as tmgr_machine_add()
 * @retval TMGR_MUTATION_EXECUTED  done
 * @retval TMGR_MUTATION_QUEUED    it waits; also where the caller was cancelled while it waited for
 *                                 the result
 * @retval -EINVAL                 an argument is NULL or unknown, or ttl_ns is negative; nothing has
 *                                 changed
 *
 * @thread any thread; may block as tmgr_machine_add()
 */
TMGR_API int tmgr_machine_mutate(
	struct tmgr_machine *machine, const struct tmgr_mutation *mutation, uint64_t *ret_ticket);

/**
 * Add the state Exception, with an error: before all that waits.
 *
 * @param machine  a machine
 * @param code     negative errno
 * @param format   as printf; cut to TMGR_MACHINE_TEXT_SIZE
 *
 * @return as tmgr_machine_add()
 * @retval TMGR_MUTATION_EXECUTED  done
 * @retval -EINVAL                 machine or format is NULL, or code is not below 0
 *
 * @thread any thread; may block where the machine has a loop
 * @source asyncmachine, AddErr
 */
TMGR_API int tmgr_machine_add_error(struct tmgr_machine *machine, int code, const char *format, ...)
	TMGR_PRINTF(3, 4);

/**
 * The error that added Exception last; it stays when that state leaves.
 *
 * @param machine    a machine
 * @param ret_error  written; its code is 0 where there was none; may be NULL
 *
 * @return its code
 * @retval 0        there was none
 * @retval -EINVAL  machine is NULL
 *
 * @thread any thread
 * @source asyncmachine, Err
 */
TMGR_API int tmgr_machine_error(
	const struct tmgr_machine *machine, struct tmgr_machine_error *ret_error);

/**
 * Whether a mutation would be executed: resolved, and negotiated with all handlers, whose
 * transition is marked dry; then nothing is changed. Waits for what is being made.
 *
 * @param context    the task's, or NULL
 * @param machine    a machine
 * @param kind       what would be done
 * @param states     ended by TMGR_STATES_END
 * @param arguments  for the handlers; may be NULL
 *
 * @retval TMGR_MUTATION_EXECUTED   it would be
 * @retval TMGR_MUTATION_CANCELLED  it would not
 * @retval -EINVAL                  an argument is NULL or unknown
 * @retval -EDEADLK                 this is a handler of the machine, or a callback
 * @retval -ECANCELED               the token fired first
 * @retval -ESHUTDOWN               the machine is disposed, or its loop does not run
 *
 * @thread any thread; may block; cancellation point
 * @source asyncmachine, CanAdd, CanRemove
 */
TMGR_API int tmgr_machine_can(struct tmgr_context *context, struct tmgr_machine *machine,
	enum tmgr_mutation_kind kind, const unsigned *states,
	const struct tmgr_arguments *arguments);

/**
 * Whether a mutation of this kind and exactly these states waits.
 *
 * @param machine  a machine
 * @param kind     its kind
 * @param states   ended by TMGR_STATES_END
 *
 * @return false also where an argument is NULL or unknown
 *
 * @thread any thread
 * @source asyncmachine, IsQueued
 */
TMGR_API bool tmgr_machine_is_queued(
	struct tmgr_machine *machine, enum tmgr_mutation_kind kind, const unsigned *states);

/**
 * Whether a state will be active if all that waits is executed as it is called, relations left
 * aside.
 *
 * @param machine  a machine
 * @param state    its number
 *
 * @return false also where there is no such state
 *
 * @thread any thread
 * @source asyncmachine, WillBe
 */
TMGR_API bool tmgr_machine_will_be(struct tmgr_machine *machine, unsigned state);

/**
 * Call a function between two transitions, with nobody else at the machine.
 *
 * @param context   the task's, or NULL
 * @param machine   a machine
 * @param function  called with self, as handlers are: it must not block
 * @param self      for function
 * @param deadline  absolute, monotonic, nanoseconds; once it has begun its end is waited for
 *
 * @retval 0           it was called
 * @retval -EDEADLK    this is a handler of the machine, or a callback
 * @retval -EINVAL     machine or function is NULL
 * @retval -ESHUTDOWN  the machine is disposed, or its loop does not run
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 *
 * @thread any thread; may block; cancellation point
 * @source asyncmachine, Eval
 */
TMGR_API int tmgr_machine_evaluate(struct tmgr_context *context, struct tmgr_machine *machine,
	void (*function)(void *self, struct tmgr_machine *machine), void *self, int64_t deadline);

/**
 * Write the machine's states and ticks as text, for tmgr_machine_import().
 *
 * @param machine  a machine
 * @param buffer   written, NUL-terminated, cut where it is too short; may be NULL when size is 0
 * @param size     of buffer, bytes
 *
 * @return the length of the whole text in bytes, without NUL; 0 for NULL
 *
 * @thread any thread
 * @source asyncmachine, Export
 */
TMGR_API size_t tmgr_machine_export(const struct tmgr_machine *machine, char *buffer, size_t size);

/**
 * Take over states and ticks that were exported from a machine of the same states, by name. No
 * handler is called; waits are told.
 *
 * @param machine  a machine
 * @param text     as tmgr_machine_export() wrote it
 *
 * @retval 0           taken over
 * @retval -EINVAL     an argument is NULL, or the text is not one of a machine
 * @retval -ENOENT     it names a state that is not there, or leaves one out
 * @retval -EDEADLK    this is a handler of the machine, or a callback
 * @retval -ESHUTDOWN  the machine is disposed, or its loop does not run
 * @retval -ENOMEM     out of memory
 *
 * @thread any thread; may block
 * @source asyncmachine, Import
 */
TMGR_API int tmgr_machine_import(struct tmgr_machine *machine, const char *text);

TMGR_END_DECLS

#endif
