/**
 * @file
 * Schemas: the states of a machine and how they relate, as a table that is compiled once and shared.
 *
 * A table is indexed by the user's enum; lists of states are made with TMGR_STATES():
 *
 *     enum { OPENING, OPEN, CLOSED, DOOR_STATES };
 *
 *     static const struct tmgr_machine_state door[DOOR_STATES] = {
 *             [OPENING] = { .name = "Opening", .remove = TMGR_STATES(OPEN, CLOSED) },
 *             [OPEN] = { .name = "Open", .remove = TMGR_STATES(OPENING, CLOSED) },
 *             [CLOSED] = { .name = "Closed", .remove = TMGR_STATES(OPENING, OPEN) },
 *     };
 *
 *     r = tmgr_schema_compile(door, DOOR_STATES, NULL, &schema);
 *
 * The state Exception is always there, behind the others: its number is the count of the table, here
 * DOOR_STATES. A table that gives it relations has it as its last row, by that name.
 */
#ifndef TMGR_TASKS_MACHINE_SCHEMA_H
#define TMGR_TASKS_MACHINE_SCHEMA_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/time.h>

/** Most states of a schema, Exception included. */
#define TMGR_MACHINE_STATES_MAX 4096
/** Most bytes of a state's name. */
#define TMGR_MACHINE_NAME_MAX 63
/** Ends a list of states. */
#define TMGR_STATES_END UINT_MAX
/**
 * A list of states, in order, as tables and calls take it. It lasts as long as the block it stands in;
 * outside of functions, for ever: static tables stand there. A statement behind if, without braces, is a
 * block of its own.
 */
#define TMGR_STATES(...) ((const unsigned[]){ __VA_ARGS__, TMGR_STATES_END })
/** The name of the state that is in every schema. */
#define TMGR_EXCEPTION "Exception"

struct tmgr_schema;

/** What a mutation does with the states it calls. */
enum tmgr_mutation_kind {
	TMGR_MUTATION_ADD,    /**< they become active, beside what is */
	TMGR_MUTATION_REMOVE, /**< they become inactive */
	TMGR_MUTATION_SET,    /**< they become active, what is not called or implied inactive */
	TMGR_MUTATION_TOGGLE, /**< a remove if all are active when it is executed, else an add */
};

/** How one state relates to others. */
enum tmgr_relation {
	TMGR_RELATION_ADD,     /**< entering it also calls these, if nothing is against them */
	TMGR_RELATION_REMOVE,  /**< while it is in the target these are not */
	TMGR_RELATION_REQUIRE, /**< it is only active while all of these are */
	TMGR_RELATION_AFTER,   /**< its handlers are called after those of these */
};

/** What happens when a state stays active for long; all zero: nothing. */
struct tmgr_machine_timeout {
	int64_t ns; /**< from its entering, nanoseconds; 0: none */
	enum tmgr_mutation_kind kind;
	const unsigned *states; /**< NULL: Exception is added, with -ETIMEDOUT */
};

/** A row of the table. All lists may be NULL. */
struct tmgr_machine_state {
	/** 1 to 63 bytes: letters, digits, _ and -, not beginning with a digit or - */
	const char *name;
	const unsigned *add;
	const unsigned *remove;
	const unsigned *require;
	const unsigned *after;
	bool automatic; /**< added by itself whenever nothing is against it */
	bool multi;     /**< entered again when it is called while active */
	struct tmgr_machine_timeout timeout;
};

/** What can be wrong with a table. */
enum tmgr_fault_code {
	/* These are errors: there is no schema. */
	TMGR_FAULT_NAME,        /**< a name is missing or has other characters than it may */
	TMGR_FAULT_DUPLICATE,   /**< two states have one name, or Exception is not the last */
	TMGR_FAULT_UNKNOWN,     /**< a list names a state that is not there */
	TMGR_FAULT_TIMEOUT,     /**< a negative time, or a kind that is none */
	TMGR_FAULT_LIMIT,       /**< no states, or more than TMGR_MACHINE_STATES_MAX */
	TMGR_FAULT_AFTER_CYCLE, /**< states that are each after the other */
	/* These are warnings, unless tmgr_schema_options.strict is set. */
	TMGR_FAULT_NEVER,       /**< can never be entered: it, or what it requires, removes that */
	TMGR_FAULT_ADDS_ITSELF, /**< without effect */
	TMGR_FAULT_REQUIRES_ITSELF,   /**< without effect */
	TMGR_FAULT_ADDED_AND_REMOVED, /**< by one state: adding wins */
	TMGR_FAULT_REQUIRE_CYCLE,     /**< can only be entered together */
	/** implied, but loses to an active one that excludes it and that its owner does not remove */
	TMGR_FAULT_IMPLIED_LOSES,
	TMGR_FAULT_AUTOMATIC_EXCLUDE, /**< two automatic states remove each other */
	TMGR_FAULT_ADD_CHAIN,         /**< implied by three steps or more: only two are made */
	TMGR_FAULTS,
};

/** A fault: where it is, and a sentence. */
struct tmgr_fault {
	enum tmgr_fault_code code;
	bool is_error; /**< there is no schema because of it, strict or not */
	/** number of the row it stands in; TMGR_STATES_END where it is none's */
	unsigned state;
	enum tmgr_relation relation; /**< in which of its lists, where it is in one */
	unsigned other; /**< what that list names, or who is in conflict; or TMGR_STATES_END */
	char text[192]; /**< with names: "A: adds B, which ..." */
};

/** How a table is compiled; all zero is the default. */
struct tmgr_schema_options {
	const char *name; /**< of the schema, for texts; copied; NULL: "machine" */
	bool strict;      /**< warnings are errors */
	/** Called with each fault, in order of code and state; may be NULL. */
	void (*fault)(void *self, const struct tmgr_fault *fault);
	void *self; /**< for fault */
};

TMGR_BEGIN_DECLS

/**
 * Compile a table.
 *
 * Every fault is found and given to options.fault, not only the first. Without errors there is a
 * schema, in which a state's remove list has lost the state itself and whatever it adds.
 *
 * @param states      the table; copied
 * @param count       its rows
 * @param options     NULL for the default
 * @param ret_schema  returned, release with tmgr_schema_unref()
 *
 * @retval 0        compiled; there may be warnings
 * @retval -EINVAL  an argument is NULL, or the table has an error (or, if strict, a warning)
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 * @source asyncmachine, New, ParseStruct
 */
TMGR_API int tmgr_schema_compile(const struct tmgr_machine_state *states, size_t count,
	const struct tmgr_schema_options *options, struct tmgr_schema **ret_schema);

/**
 * Take a reference.
 *
 * @param schema  NULL is allowed
 *
 * @return schema
 *
 * @thread any thread
 */
TMGR_API struct tmgr_schema *tmgr_schema_ref(struct tmgr_schema *schema);

/**
 * Give a reference back. Machines hold one each.
 *
 * @param schema  NULL is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_schema_unref(struct tmgr_schema *schema);

/**
 * The name of a schema.
 *
 * @param schema  NULL gives ""
 *
 * @return borrowed as long as the schema
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_schema_name(const struct tmgr_schema *schema);

/**
 * How many states there are, Exception included: they have the numbers below this.
 *
 * @param schema  NULL has none
 *
 * @return a number; that of Exception is one less
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_schema_count(const struct tmgr_schema *schema);

/**
 * The name of a state.
 *
 * @param schema  a schema
 * @param state   its number
 *
 * @return borrowed as long as the schema; "" where there is no such state
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_schema_state_name(const struct tmgr_schema *schema, unsigned state);

/**
 * A state by its name.
 *
 * @param schema     a schema
 * @param name       as in the table
 * @param ret_state  written: its number
 *
 * @retval 0        found
 * @retval -ENOENT  there is none
 * @retval -EINVAL  an argument is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_schema_find(
	const struct tmgr_schema *schema, const char *name, unsigned *ret_state);

/**
 * A list of a state, as compiled.
 *
 * @param schema    a schema
 * @param state     a state's number
 * @param relation  which list
 *
 * @return ended by TMGR_STATES_END, never NULL; borrowed as long as the schema
 *
 * @thread any thread
 */
TMGR_API const unsigned *tmgr_schema_relation(
	const struct tmgr_schema *schema, unsigned state, enum tmgr_relation relation);

/**
 * Whether a state is added by itself.
 *
 * @param schema  a schema
 * @param state   a state's number
 *
 * @return false also where there is no such state
 *
 * @thread any thread
 */
TMGR_API bool tmgr_schema_is_automatic(const struct tmgr_schema *schema, unsigned state);

/**
 * Whether a state is entered again when it is called while active.
 *
 * @param schema  a schema
 * @param state   a state's number
 *
 * @return false also where there is no such state
 *
 * @thread any thread
 */
TMGR_API bool tmgr_schema_is_multi(const struct tmgr_schema *schema, unsigned state);

/**
 * The timeout of a state.
 *
 * @param schema  a schema
 * @param state   a state's number
 *
 * @return borrowed as long as the schema; NULL where it has none
 *
 * @thread any thread
 */
TMGR_API const struct tmgr_machine_timeout *tmgr_schema_timeout(
	const struct tmgr_schema *schema, unsigned state);

/**
 * The word for a kind of fault, as "require-cycle".
 *
 * @param code  below TMGR_FAULTS
 *
 * @return static; "" for others
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_fault_name(enum tmgr_fault_code code);

/**
 * The word for a relation: "add", "remove", "require" or "after".
 *
 * @param relation  a relation
 *
 * @return static; "" for others
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_relation_name(enum tmgr_relation relation);

/**
 * The word for a kind of mutation: "add", "remove", "set" or "toggle".
 *
 * @param kind  a kind
 *
 * @return static; "" for others
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_mutation_name(enum tmgr_mutation_kind kind);

TMGR_END_DECLS

#endif
