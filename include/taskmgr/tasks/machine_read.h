/**
 * @file
 * How a state machine stands: which states are active, how often they were, as numbers and as text.
 *
 * A state's tick counts up when it is entered and when it leaves: odd is active. Reading takes no
 * lock. Functions that take several states look at one moment.
 */
#ifndef TMGR_TASKS_MACHINE_READ_H
#define TMGR_TASKS_MACHINE_READ_H

#include <taskmgr/tasks/machine_schema.h>

struct tmgr_machine;

/** How much tmgr_machine_format() writes. */
enum tmgr_machine_format {
	TMGR_MACHINE_SHORT, /**< what is active: (Connected:3 Ready:1) */
	TMGR_MACHINE_FULL,  /**< and what is not: (Connected:3 Ready:1) [Stopping:0 Exception:2] */
	TMGR_MACHINE_INSPECT, /**< a line for each state, with its flags and relations */
};

/** Counts of a machine. */
struct tmgr_machine_stats {
	uint64_t transitions; /**< made, cancelled ones too */
	uint64_t cancelled;   /**< of these */
	uint64_t errors;      /**< Exception was added */
	uint64_t slow;        /**< handlers that took longer than slow_ns */
	uint64_t dropped;     /**< mutations that found no room, or came too late to be made */
	size_t queued;        /**< mutations that wait, postponed ones too */
	size_t postponed;     /**< of these */
	size_t waits;         /**< conditions that are waited for */
	size_t tables;        /**< of handlers that are bound */
};

TMGR_BEGIN_DECLS

/**
 * Whether a state is active: one load.
 *
 * @param machine  a machine
 * @param state    its number
 *
 * @return false also where there is no such state
 *
 * @thread any thread
 * @source asyncmachine, Is1
 */
TMGR_API bool tmgr_machine_is(const struct tmgr_machine *machine, unsigned state);

/**
 * Whether all of some states are active, at one moment.
 *
 * @param machine  a machine
 * @param states   ended by TMGR_STATES_END
 *
 * @return false also where one of them is not there
 *
 * @thread any thread
 * @source asyncmachine, Is
 */
TMGR_API bool tmgr_machine_all(const struct tmgr_machine *machine, const unsigned *states);

/**
 * Whether any of some states is active, at one moment.
 *
 * @param machine  a machine
 * @param states   ended by TMGR_STATES_END
 *
 * @return false where none is
 *
 * @thread any thread
 * @source asyncmachine, Any1
 */
TMGR_API bool tmgr_machine_any(const struct tmgr_machine *machine, const unsigned *states);

/**
 * Whether none of some states is active, at one moment.
 *
 * @param machine  a machine
 * @param states   ended by TMGR_STATES_END
 *
 * @return false where one is
 *
 * @thread any thread
 * @source asyncmachine, Not
 */
TMGR_API bool tmgr_machine_not(const struct tmgr_machine *machine, const unsigned *states);

/**
 * Whether all of some states are in the machine's schema.
 *
 * @param machine  a machine
 * @param states   ended by TMGR_STATES_END
 *
 * @return false where one is not
 *
 * @thread any thread
 * @source asyncmachine, Has
 */
TMGR_API bool tmgr_machine_has(const struct tmgr_machine *machine, const unsigned *states);

/**
 * The first of some states that is active, at one moment: `switch (tmgr_machine_switch(m, group))`.
 *
 * @param machine  a machine
 * @param states   ended by TMGR_STATES_END
 *
 * @return its number; TMGR_STATES_END where none is
 *
 * @thread any thread
 * @source asyncmachine, Switch
 */
TMGR_API unsigned tmgr_machine_switch(const struct tmgr_machine *machine, const unsigned *states);

/**
 * The active states, in the order in which they are stored.
 *
 * @param machine  a machine
 * @param buffer   written: up to count numbers; may be NULL when count is 0
 * @param count    of buffer
 *
 * @return how many are active, which may be more than were written
 *
 * @thread any thread
 * @source asyncmachine, ActiveStates
 */
TMGR_API size_t tmgr_machine_active(
	const struct tmgr_machine *machine, unsigned *buffer, size_t count);

/**
 * The tick of a state: counts up when it is entered and when it leaves; odd while it is active.
 *
 * @param machine  a machine
 * @param state    its number
 *
 * @return 0 also where there is no such state
 *
 * @thread any thread
 * @source asyncmachine, Tick
 */
TMGR_API uint64_t tmgr_machine_tick(const struct tmgr_machine *machine, unsigned state);

/**
 * The ticks of some states, of one moment.
 *
 * @param machine    a machine
 * @param states     ended by TMGR_STATES_END; NULL: all, in order
 * @param ret_ticks  written: one for each
 *
 * @return their sum; 0, with nothing written, where an argument is NULL or a state not there
 *
 * @thread any thread
 * @source asyncmachine, Time, TimeSum
 */
TMGR_API uint64_t tmgr_machine_ticks(
	const struct tmgr_machine *machine, const unsigned *states, uint64_t *ret_ticks);

/**
 * The sum of the ticks of some states, of one moment.
 *
 * @param machine  a machine
 * @param states   ended by TMGR_STATES_END; NULL: all
 *
 * @return 0 also where machine is NULL or a state not there
 *
 * @thread any thread
 * @source asyncmachine, TimeSum
 */
TMGR_API uint64_t tmgr_machine_tick_sum(const struct tmgr_machine *machine, const unsigned *states);

/**
 * Whether two vectors of ticks are equal.
 *
 * @param one    ticks
 * @param other  ticks of the same states
 * @param count  of each
 *
 * @return true where they are
 *
 * @thread any thread
 */
TMGR_API bool tmgr_ticks_equal(const uint64_t *one, const uint64_t *other, size_t count);

/**
 * Whether a vector of ticks is later than another: each at least the other's, one more.
 *
 * @param one    ticks
 * @param other  ticks of the same states
 * @param count  of each
 *
 * @return true where one is later
 *
 * @thread any thread
 * @source asyncmachine, IsTimeAfter
 */
TMGR_API bool tmgr_ticks_after(const uint64_t *one, const uint64_t *other, size_t count);

/**
 * Write a machine as text.
 *
 * @param machine  a machine
 * @param format   how much
 * @param buffer   written, NUL-terminated, cut where it is too short; may be NULL when size is 0
 * @param size     of buffer, bytes
 *
 * @return the length of the whole text in bytes, without NUL; 0 for NULL
 *
 * @thread any thread
 * @source asyncmachine, String, StringAll, Inspect
 */
TMGR_API size_t tmgr_machine_format(const struct tmgr_machine *machine,
	enum tmgr_machine_format format, char *buffer, size_t size);

/**
 * Counts of a machine.
 *
 * @param machine    a machine
 * @param ret_stats  written
 *
 * @retval 0        written
 * @retval -EINVAL  an argument is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_machine_stats(struct tmgr_machine *machine, struct tmgr_machine_stats *ret_stats);

TMGR_END_DECLS

#endif
