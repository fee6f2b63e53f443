/**
 * @file
 * Tracers: what sees all that a machine does, for logs, metrics and recordings; and its history.
 *
 * All functions of a tracer are called by the thread that drains the machine, one at a time, in
 * order. They must not block, and may read; a mutation they make is queued.
 */
#ifndef TMGR_TASKS_MACHINE_TRACER_H
#define TMGR_TASKS_MACHINE_TRACER_H

#include <taskmgr/tasks/machine.h>

/** A mutation that waits, or waited. */
struct tmgr_machine_queued {
	uint64_t ticket;
	enum tmgr_mutation_kind kind;
	enum tmgr_mutation_origin origin;
	enum tmgr_mutation_priority priority;
	const unsigned *called;
	size_t called_count;
	const struct tmgr_arguments *arguments; /**< may be NULL */
	int64_t queued_at;                      /**< monotonic, nanoseconds */
};

/** What a tracer does; any may be NULL. Static: borrowed as long as it is bound. */
struct tmgr_machine_tracer {
	/** Resolved, before the first handler: target, exits and enters are known. */
	void (*transition_start)(void *self, const struct tmgr_machine_transition *transition);
	/** Executed: ticks have moved, final handlers were called. */
	void (*transition_end)(void *self, const struct tmgr_machine_transition *transition);
	/**
	 * In place of the end. Where it is committed, a final handler has failed: what is active is
	 * what tmgr_machine_active() says.
	 */
	void (*transition_cancelled)(void *self, const struct tmgr_machine_transition *transition);
	/** A mutation was queued: told when the draining thread next looks, before it begins. */
	void (*mutation_queued)(
		void *self, struct tmgr_machine *machine, const struct tmgr_machine_queued *queued);
	/** Before a handler is called. */
	void (*handler_start)(void *self, const struct tmgr_machine_event *event);
	/** After it: false where it refused or failed. It took ns; slow: longer than the option. */
	void (*handler_end)(void *self, const struct tmgr_machine_event *event, bool accepted,
		int64_t ns, bool slow);
	/** No mutation waits any more. */
	void (*queue_drained)(void *self, struct tmgr_machine *machine);
	/** The last call. */
	void (*disposed)(void *self, struct tmgr_machine *machine);
};

/** How much tmgr_machine_log() tells; each includes those before it. */
enum tmgr_machine_log_level {
	TMGR_MACHINE_LOG_CHANGES,   /**< what was entered and left; errors */
	TMGR_MACHINE_LOG_MUTATIONS, /**< what was asked for, queued, cancelled */
	TMGR_MACHINE_LOG_HANDLERS,  /**< each handler */
};

/** A log of a machine: memory of the caller; all fields are the library's. */
struct tmgr_machine_log {
	enum tmgr_machine_log_level level;
	void (*write)(void *self, const char *line);
	void *self;
};

TMGR_BEGIN_DECLS

/**
 * Bind a tracer, behind those that are bound.
 *
 * @param machine  a machine
 * @param tracer   borrowed until it is unbound or the machine is gone
 * @param self     for its functions
 *
 * @retval 0           bound
 * @retval -EINVAL     machine or tracer is NULL
 * @retval -EEXIST     it is bound with this self
 * @retval -ESHUTDOWN  the machine is disposed
 * @retval -ENOMEM     out of memory
 *
 * @thread any thread; may block as long as a transition is being made
 * @source asyncmachine, BindTracer
 */
TMGR_API int tmgr_machine_trace(
	struct tmgr_machine *machine, const struct tmgr_machine_tracer *tracer, void *self);

/**
 * Unbind a tracer: none of its functions is called any more once this returned.
 *
 * @param machine  a machine
 * @param tracer   as it was bound
 * @param self     likewise
 *
 * @retval 0           unbound
 * @retval -ENOENT     it is not bound
 * @retval -EINVAL     machine or tracer is NULL
 *
 * @thread any thread; may block as long as a transition is being made
 */
TMGR_API int tmgr_machine_untrace(
	struct tmgr_machine *machine, const struct tmgr_machine_tracer *tracer, void *self);

/**
 * Have what a machine does written as lines: a tracer, unbound with tmgr_machine_log_end().
 *
 * @param machine  a machine
 * @param log      borrowed until its end, or the machine is gone
 * @param level    how much
 * @param write    called with self and a line without its end; must not block
 * @param self     for write
 *
 * @retval 0           begun
 * @retval -EINVAL     an argument is NULL, or the level is unknown
 * @retval -ESHUTDOWN  the machine is disposed
 * @retval -ENOMEM     out of memory
 *
 * @thread any thread; may block as long as a transition is being made
 * @source asyncmachine, SetLogger, SetLogLevel
 */
TMGR_API int tmgr_machine_log(struct tmgr_machine *machine, struct tmgr_machine_log *log,
	enum tmgr_machine_log_level level, void (*write)(void *self, const char *line), void *self);

/**
 * End a log.
 *
 * @param machine  a machine
 * @param log      as it was given to tmgr_machine_log()
 *
 * @retval 0           ended: nothing is written any more
 * @retval -ENOENT     it had not begun
 * @retval -EINVAL     an argument is NULL
 *
 * @thread any thread; may block as long as a transition is being made
 */
TMGR_API int tmgr_machine_log_end(struct tmgr_machine *machine, struct tmgr_machine_log *log);

/**
 * Whether a state was active at any moment of a time, as far as the history goes.
 *
 * @param machine  a machine with history_max above 0
 * @param state    its number
 * @param from     absolute, monotonic, nanoseconds
 * @param to       likewise, not before from
 *
 * @retval 1           it was
 * @retval 0           it was not
 * @retval -ENODATA    it was not as far as is known, but the history does not go back to from
 * @retval -EINVAL     machine is NULL, has no history, there is no such state, or to is before from
 *
 * @thread any thread
 * @source asyncmachine, History, ActivatedBetween
 */
TMGR_API int tmgr_machine_was_active(
	struct tmgr_machine *machine, unsigned state, int64_t from, int64_t to);

/**
 * Whether a state was active at any moment of the time until now.
 *
 * @param machine  a machine with history_max above 0
 * @param state    its number
 * @param ns       how far back, nanoseconds
 *
 * @return as tmgr_machine_was_active()
 * @retval 1        it was
 * @retval 0        it was not
 * @retval -EINVAL  as tmgr_machine_was_active(), or ns is negative
 *
 * @thread any thread
 * @source asyncmachine, History, ActivatedRecently
 */
TMGR_API int tmgr_machine_recently_active(struct tmgr_machine *machine, unsigned state, int64_t ns);

TMGR_END_DECLS

#endif
