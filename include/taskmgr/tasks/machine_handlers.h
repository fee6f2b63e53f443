/**
 * @file
 * Handlers: what a machine calls when its states change, and what they are told.
 *
 * A transition first negotiates: exit of what would leave, enter of what would be entered, self of
 * what stays, pair of what was active and what is to be, any_enter. These only read, and may refuse:
 * then nothing has changed. Then the set switches, and final handlers are called, which cannot
 * refuse: end of what left, state of what was entered, any_state.
 *
 * Handlers run one at a time, on the thread that drains the machine's queue, or on its loop. They
 * must neither block nor wait; they may mutate, which is queued.
 */
#ifndef TMGR_TASKS_MACHINE_HANDLERS_H
#define TMGR_TASKS_MACHINE_HANDLERS_H

#include <taskmgr/tasks/machine_schema.h>

struct tmgr_machine;
struct tmgr_machine_event;
struct tmgr_task;

/** Most bytes of an error's text that a machine keeps, NUL included. */
#define TMGR_MACHINE_TEXT_SIZE 96

/** What became of a mutation. */
enum tmgr_mutation_result {
	TMGR_MUTATION_EXECUTED, /**< done; or, inside of a handler, it waits already */
	TMGR_MUTATION_QUEUED,   /**< it waits its turn */
	TMGR_MUTATION_CANCELLED, /**< refused, by relations or a handler; or disposed, or the queue full */
};

/** Which of two kinds of mutations goes first. */
enum tmgr_mutation_priority {
	TMGR_PRIORITY_NORMAL,
	TMGR_PRIORITY_HIGH, /**< before all normal ones that wait */
};

/** What an argument is. */
enum tmgr_argument_kind {
	TMGR_ARGUMENT_NUMBER,
	TMGR_ARGUMENT_TEXT,
	TMGR_ARGUMENT_POINTER,
};

/** An argument of a mutation: a name and a value. Copied with texts, pointers as they are. */
struct tmgr_argument {
	const char *name;
	enum tmgr_argument_kind kind;
	int64_t number;
	const char *text;
	void *pointer;
};

/** Arguments, for handlers to read and for waits to compare. */
struct tmgr_arguments {
	const struct tmgr_argument *items;
	size_t count;
};

/** An argument that is a number. */
#define TMGR_ARG_NUMBER(argument_name, value)                              \
	{                                                                  \
		(argument_name), TMGR_ARGUMENT_NUMBER, (value), NULL, NULL \
	}
/** An argument that is a text. */
#define TMGR_ARG_TEXT(argument_name, value)                           \
	{                                                             \
		(argument_name), TMGR_ARGUMENT_TEXT, 0, (value), NULL \
	}
/** An argument that is a pointer. */
#define TMGR_ARG_POINTER(argument_name, value)                           \
	{                                                                \
		(argument_name), TMGR_ARGUMENT_POINTER, 0, NULL, (value) \
	}
/** Arguments for a call: TMGR_ARGUMENTS(TMGR_ARG_NUMBER("id", 123), TMGR_ARG_TEXT("name", name)). */
#define TMGR_ARGUMENTS(...)                                                             \
	(&(const struct tmgr_arguments){ (const struct tmgr_argument[]){ __VA_ARGS__ }, \
		sizeof((const struct tmgr_argument[]){ __VA_ARGS__ }) /                 \
			sizeof(struct tmgr_argument) })

/** Why a mutation was made that nobody called for. */
enum tmgr_mutation_origin {
	TMGR_ORIGIN_CALL,      /**< somebody did */
	TMGR_ORIGIN_AUTOMATIC, /**< automatic states, after a transition */
	TMGR_ORIGIN_EXCEPTION, /**< a handler failed or was slow, or tmgr_machine_add_error() */
	TMGR_ORIGIN_TIMEOUT,   /**< a state was active for too long */
};

/** Which handlers a failure or an event is of. */
enum tmgr_handler_kind {
	TMGR_HANDLER_EXIT,
	TMGR_HANDLER_ENTER,
	TMGR_HANDLER_SELF,
	TMGR_HANDLER_PAIR,
	TMGR_HANDLER_ANY_ENTER,
	TMGR_HANDLER_END,
	TMGR_HANDLER_STATE,
	TMGR_HANDLER_ANY_STATE,
	TMGR_HANDLER_KINDS,
};

/** A failure that added Exception. */
struct tmgr_machine_error {
	int code; /**< negative errno; 0: there was none */
	/** where: the kind of handler; TMGR_HANDLER_KINDS: none, but tmgr_machine_add_error() */
	enum tmgr_handler_kind handler;
	unsigned state; /**< whose handler, or whose timeout; else TMGR_STATES_END */
	char text[TMGR_MACHINE_TEXT_SIZE];
};

/**
 * A transition while it is made: to be read, by handlers and tracers, and gone when they return.
 *
 * Lists have the given counts and are not ended by TMGR_STATES_END.
 */
struct tmgr_machine_transition {
	struct tmgr_machine *machine;
	const struct tmgr_schema *schema;
	uint64_t number;              /**< counts the machine's transitions, from 1 */
	uint64_t ticket;              /**< of the mutation; 0: it did not wait */
	enum tmgr_mutation_kind kind; /**< a toggle has become an add or a remove */
	enum tmgr_mutation_origin origin;
	bool dry;       /**< it is only asked whether it could be made */
	bool accepted;  /**< it has not been refused so far */
	bool committed; /**< the set has switched */
	const unsigned *called;
	size_t called_count;
	const struct tmgr_arguments *arguments; /**< may be NULL */
	const struct tmgr_machine_error *error; /**< of an exception; else NULL */
	const unsigned *before;                 /**< active when it began, in stored order */
	size_t before_count;
	const unsigned *target; /**< active when it has succeeded, in stored order */
	size_t target_count;
	const unsigned *exits; /**< what leaves */
	size_t exit_count;
	const unsigned *enters; /**< what is entered, or entered again */
	size_t enter_count;
	/** of each state, as they stand: moved once it is committed */
	const uint64_t *ticks;
	int64_t began; /**< monotonic, nanoseconds; 0 where nobody needs it */
};

/** What a handler is told. */
struct tmgr_machine_event {
	struct tmgr_machine *machine;
	const struct tmgr_machine_transition *transition;
	enum tmgr_handler_kind kind;
	unsigned
		state; /**< whose handler it is; of a pair, the first; of any_...: TMGR_STATES_END */
	unsigned other; /**< of a pair, the second; else TMGR_STATES_END */
};

/** Functions of one state; any may be NULL. Those that return bool refuse with false. */
struct tmgr_state_handlers {
	bool (*enter)(void *self, struct tmgr_machine_event *event);
	bool (*exit)(void *self, struct tmgr_machine_event *event);
	/** it was active and stays so; not called in a remove */
	bool (*self)(void *self, struct tmgr_machine_event *event);
	void (*state)(void *self, struct tmgr_machine_event *event);
	void (*end)(void *self, struct tmgr_machine_event *event);
};

/** A function for a state that was active and another that is to be. */
struct tmgr_pair_handler {
	unsigned from, to;
	bool (*function)(void *self, struct tmgr_machine_event *event);
};

/** A table of handlers. Static: borrowed as long as it is bound. */
struct tmgr_machine_handlers {
	/** indexed by the user's enum; the row behind it is Exception's. May be NULL */
	const struct tmgr_state_handlers *states;
	size_t state_count; /**< rows there are */
	const struct tmgr_pair_handler *pairs;
	size_t pair_count;
	bool (*any_enter)(void *self, struct tmgr_machine_event *event);
	void (*any_state)(void *self, struct tmgr_machine_event *event);
	/** the machine is disposed; once, of the tables bound, last bound first */
	void (*dispose)(void *self, struct tmgr_machine *machine);
};

TMGR_BEGIN_DECLS

/**
 * Bind a table of handlers: called behind those that are bound before.
 *
 * From outside of handlers this waits for the transition that is being made. Inside of one it holds
 * from the next handler on.
 *
 * @param machine   a machine
 * @param handlers  borrowed until it is unbound or the machine is gone
 * @param self      for them
 *
 * @retval 0           bound
 * @retval -EINVAL     machine or handlers is NULL, or it has rows for states that are not there
 * @retval -EEXIST     it is bound with this self
 * @retval -ESHUTDOWN  the machine is disposed
 * @retval -ENOMEM     out of memory
 *
 * @thread any thread; may block
 * @source asyncmachine, BindHandlers
 */
TMGR_API int tmgr_machine_bind(
	struct tmgr_machine *machine, const struct tmgr_machine_handlers *handlers, void *self);

/**
 * Unbind a table of handlers: none of them is called any more once this returned.
 *
 * @param machine   a machine
 * @param handlers  as it was bound
 * @param self      likewise
 *
 * @retval 0           unbound
 * @retval -ENOENT     it is not bound
 * @retval -EINVAL     machine or handlers is NULL
 *
 * @thread any thread; may block
 * @source asyncmachine, DetachHandlers
 */
TMGR_API int tmgr_machine_unbind(
	struct tmgr_machine *machine, const struct tmgr_machine_handlers *handlers, void *self);

/**
 * A handler fails: `return tmgr_machine_fail(event, -EIO, "reading %s", path);`
 *
 * In a negotiation the transition is cancelled. In a state handler that state and those entered
 * after it leave again; in an end handler nothing is taken back; other finals are not called. Either
 * way Exception is added next, with this error.
 *
 * @param event   as given to the handler
 * @param code    negative errno
 * @param format  as printf; cut to TMGR_MACHINE_TEXT_SIZE
 *
 * @return false, for negotiation handlers to return
 *
 * @thread the handler's
 * @source asyncmachine, panics in handlers
 */
TMGR_API bool tmgr_machine_fail(struct tmgr_machine_event *event, int code, const char *format, ...)
	TMGR_PRINTF(3, 4);

/**
 * Refuse a transition for now: `return tmgr_machine_postpone(event);`
 *
 * Its mutation waits until another one has changed which states are active, and then has its turn
 * again, behind those that wait.
 *
 * @param event  as given to a negotiation handler of a mutation that was called for
 *
 * @return false, for the handler to return
 *
 * @thread the handler's
 */
TMGR_API bool tmgr_machine_postpone(struct tmgr_machine_event *event);

/**
 * An argument of the mutation, by its name.
 *
 * @param event  as given to the handler
 * @param name   the argument's
 *
 * @return borrowed until the handler returns; NULL: there is none of this name
 *
 * @thread the handler's
 */
TMGR_API const struct tmgr_argument *tmgr_machine_argument(
	const struct tmgr_machine_event *event, const char *name);

/**
 * The number of an argument.
 *
 * @param event      as given to the handler
 * @param name       the argument's
 * @param otherwise  where there is no number of this name
 *
 * @return the number
 *
 * @thread the handler's
 */
TMGR_API int64_t tmgr_machine_number(
	const struct tmgr_machine_event *event, const char *name, int64_t otherwise);

/**
 * The text of an argument.
 *
 * @param event  as given to the handler
 * @param name   the argument's
 *
 * @return borrowed until the handler returns; NULL: there is no text of this name
 *
 * @thread the handler's
 */
TMGR_API const char *tmgr_machine_text(const struct tmgr_machine_event *event, const char *name);

/**
 * The pointer of an argument.
 *
 * @param event  as given to the handler
 * @param name   the argument's
 *
 * @return as it was given; NULL: there is no pointer of this name
 *
 * @thread the handler's
 */
TMGR_API void *tmgr_machine_pointer(const struct tmgr_machine_event *event, const char *name);

/**
 * The word for a kind of handler, as "any-enter".
 *
 * @param kind  below TMGR_HANDLER_KINDS
 *
 * @return static; "" for others
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_handler_name(enum tmgr_handler_kind kind);

TMGR_END_DECLS

#endif
