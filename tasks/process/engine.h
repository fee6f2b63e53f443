/*
 * The engine: all processes, channels, waits and timers, in memory, and what happens when something is
 * applied to them. A pure function of the state and the command: it takes no lock, reads no clock, does
 * no I/O and calls no user code; the time comes with the command. What changed is written into
 * changes, for a store; loading these rows gives the same state.
 *
 * Order comes from one sequence. Whatever becomes ready or waits takes the next number.
 *
 * Memory for all that a command may do is there before it does anything (engine_reserve.c): where there is
 * none it is refused with -ENOMEM, and nothing has happened. Were it short all the same, out of memory in the
 * middle of a command leaves the engine broken: it applies nothing more. What the store has is whole, since
 * a step that was begun and not ended is not given to it.
 */
#ifndef TMGR__PROCESS_ENGINE_H
#define TMGR__PROCESS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/tasks/process.h>
#include <taskmgr/tasks/process_store.h>

#include "taskmgr/base/list.h"

#include "tasks/process/changes.h"

/* Bytes that are handed on without being copied. */
struct tmgr__blob {
	uint32_t size;
	char data[]; /* a NUL follows */
};

struct tmgr__edefinition;

/* A method by name; one that this program lacks has no entry. */
struct tmgr__emethod {
	struct tmgr__edefinition *definition;
	const struct tmgr_process_method *entry;
	const char *name;
	struct tmgr__emethod *next; /* of those that are missing */
};

struct tmgr__edefinition {
	struct tmgr__edefinition *next;
	const struct tmgr_process_definition *user; /* NULL: missing */
	struct tmgr__emethod *methods;              /* as in the user's table */
	size_t method_count;
	struct tmgr__emethod *missing;
	size_t processes; /* that are not over */
	char name[];
};

/* A case that waits, a message from outside in a channel's line, or a goroutine that is tried again. */
struct tmgr__wait {
	struct tmgr__goroutine *goroutine; /* NULL: from outside */
	union {
		struct tmgr__channel *channel;
		struct tmgr__eprocess *callee;
		int64_t at;
	} on;
	struct tmgr__list link;   /* in the channel's line, or among the callee's callers */
	struct tmgr__blob *value; /* to be sent */
	union {
		const struct tmgr__emethod *method;
		uint64_t sequence; /* of one from outside */
	} then;
	uint32_t heap_index; /* of a time: its place, from 1 */
	uint8_t kind;        /* enum tmgr_process_wait_kind; 0: of a retry */
	uint8_t index;
};

/* What a goroutine goes on with. */
struct tmgr__arrival {
	struct tmgr__blob *value; /* NULL: none */
	int error;
	uint8_t kind, case_index;
	char from[];
};

struct tmgr__once {
	struct tmgr__once *next;
	struct tmgr__blob *value;
	char name[];
};

/* What few goroutines have: one that failed, that is paused, or that has done effects. */
struct tmgr__trouble {
	struct tmgr__wait retry;
	int64_t retry_at;
	struct tmgr__once *once;
	uint32_t attempts;
	int error;
	char text[TMGR_PROCESS_TEXT_SIZE];
};

struct tmgr__goroutine {
	struct tmgr__goroutine *next; /* of its process */
	struct tmgr__eprocess *process;
	struct tmgr__goroutine *queue_next; /* fresh, or ready */
	uint64_t sequence;                  /* when it became ready or blocked */
	const struct tmgr__emethod *method; /* of one that is not blocked */
	union {
		struct tmgr__wait *waits;      /* of a blocked one */
		struct tmgr__arrival *arrival; /* of another; NULL: START */
	} what;
	struct tmgr__trouble *trouble;
	int64_t since_ms;
	uint8_t status; /* enum tmgr_goroutine_status */
	uint8_t wait_count;
	bool queued; /* fresh or ready */
	char name[];
};

/* How a process ended, or why it does not go on, or who waits for it. */
struct tmgr__ending {
	struct tmgr__list callers; /* waits of others for its end */
	struct tmgr__blob *result;
	int64_t changed_ms;
	int error;
	char text[TMGR_PROCESS_TEXT_SIZE];
};

struct tmgr__eprocess {
	struct tmgr__eprocess *hash_next;
	struct tmgr__edefinition *definition;
	struct tmgr__blob *state;
	struct tmgr__goroutine *goroutines;
	struct tmgr__goroutine *ready;   /* the first of its line */
	struct tmgr__goroutine *running; /* whose method is being called */
	struct tmgr__channel *channels;
	struct tmgr__eprocess
		*run_next;           /* among those to run, those held, or those that are over */
	struct tmgr__ending *ending; /* NULL: nobody waits for it, and it stands as it began */
	uint64_t revision, steps;
	uint64_t changed; /* when its state last was: a number of that step */
	int64_t created_ms;
	uint32_t hash, version;
	uint8_t status;  /* enum tmgr_process_status */
	bool in_run : 1; /* among those to run */
	bool held : 1;   /* among those that run when their last step is durable */
	bool stuck : 1;
	bool cancelled : 1;  /* was asked for */
	bool cancelling : 1; /* its cancel method has begun */
	bool has_result : 1;
	char id[];
};

struct tmgr__emessage {
	struct tmgr__emessage *next;
	uint64_t sequence;
	struct tmgr__blob *value;
};

/* What a channel that is only waited on does not have. */
struct tmgr__buffer {
	struct tmgr__emessage *first, *last;
	uint32_t capacity, count;
	uint32_t outside; /* messages from outside in the line */
};

struct tmgr__channel {
	struct tmgr__channel *hash_next;
	struct tmgr__eprocess *process; /* NULL: runtime-wide */
	struct tmgr__channel *next;     /* of the process */
	struct tmgr__list
		line; /* all who wait, by sequence and case: senders, or receivers, or one who is both */
	struct tmgr__buffer *buffer; /* NULL: none */
	uint32_t hash;
	bool closed : 1, created : 1;
	bool suspect : 1; /* among those that may be unused */
	char id[];
};

struct tmgr__timer {
	int64_t at;
	uint64_t order;
	struct tmgr__wait *wait;
};

struct tmgr__heap_of_timers {
	struct tmgr__timer *timers;
	size_t count, max;
};

struct tmgr__ekey {
	struct tmgr__ekey *hash_next, *next; /* next: in order of age */
	int64_t at_ms;
	uint32_t hash;
	char key[];
};

/* A block that is kept for when it is needed. */
struct tmgr__spare {
	struct tmgr__spare *next;
	size_t size;
};

/* Rows found by their texts: chains in an array that grows. */
struct tmgr__table {
	void **heads;
	size_t count, max;
};

struct tmgr__engine {
	struct tmgr__edefinition *definitions;
	struct tmgr__table processes, channels, keys;
	struct tmgr__ekey *key_first, *key_last;
	struct tmgr__heap_of_timers after, at;            /* by our time, by the wall clock */
	struct tmgr__goroutine *fresh_first, *fresh_last; /* ready, and not yet durable */
	struct tmgr__eprocess *run_first, *run_last;
	struct tmgr__eprocess *held_first, *held_last;
	struct tmgr__eprocess *over_first, *over_last; /* in the order they ended */
	struct tmgr__channel **unused;                 /* of which the last wait may have gone */
	size_t unused_count, unused_max;
	uint64_t sequence; /* the last number given */
	uint64_t durable;  /* what the store has */
	int64_t now_ms;    /* our time, which never runs back */
	int64_t wall_ms;
	size_t live, running, stuck;
	uint64_t steps;
	int64_t keep_finished_ms, keep_keys_ms;
	uint32_t line_max;
	size_t results_max;        /* bytes of one result for all its callers */
	int broken;                /* 0, or -ENOMEM: nothing more is applied */
	struct tmgr__spare *spare; /* memory for what is small, where there is none otherwise */
	size_t spare_count;
	struct tmgr__spare *prepared, **prepared_last; /* for what the command has of the user's */
	struct tmgr__changes *changes;                 /* of the command that is being applied */
	void (*over)(
		void *self, struct tmgr__eprocess *process); /* told of each end; may be NULL */
	void *self;
};

/* ---- What a method has declared -------------------------------------------------------------- */

enum tmgr__action_kind {
	TMGR__GO = 1,  /* name, method */
	TMGR__SPAWN,   /* child, definition, value: its state */
	TMGR__POST,    /* name: a channel's id; value */
	TMGR__CHANNEL, /* name: its id; capacity */
	TMGR__CLOSE,   /* name: a channel's id */
	TMGR__KILL,    /* name: a process to be cancelled */
	TMGR__LOG,     /* name: a line */
};

struct tmgr__action {
	struct tmgr__action *next;
	enum tmgr__action_kind kind;
	const char *name;
	const struct tmgr__emethod *method;
	struct tmgr__edefinition *definition;
	struct tmgr_bytes value;
	uint32_t capacity;
};

enum { TMGR__CASE_DEFAULT = 100 };

struct tmgr__case {
	unsigned kind;      /* enum tmgr_process_wait_kind, or TMGR__CASE_DEFAULT */
	const char *target; /* a channel's or a process's id */
	const struct tmgr__emethod *method;
	int64_t at_ms; /* after: our time; at: the wall clock */
	struct tmgr_bytes value;
};

/* How a call of a method ended. */
struct tmgr__deed {
	int result;       /* 0, or why it failed */
	const char *text; /* for that; "" */
	bool late;        /* it was stuck: refused */
	bool given_up;    /* it was told to stop: to be called again, and nothing has happened */
	bool unreadable;  /* the state could not be read: the goroutine is paused */
	bool judged;      /* and its statements are in the transaction: it can be taken */
	uint32_t version; /* of the state that was written */
	struct tmgr_bytes state;
	struct tmgr__action *actions;
	const struct tmgr__case *cases;
	size_t case_count;
	bool finish;
	struct tmgr_bytes value; /* the result */
};

enum tmgr__apply_kind {
	TMGR__APPLY_START = 1,
	TMGR__APPLY_STEP,  /* process's running goroutine: deed */
	TMGR__APPLY_STUCK, /* likewise */
	TMGR__APPLY_ONCE,  /* likewise: name, value */
	TMGR__APPLY_SEND,
	TMGR__APPLY_CLOSE,
	TMGR__APPLY_CHANNEL_CREATE,
	TMGR__APPLY_CHANNEL_DELETE,
	TMGR__APPLY_CANCEL,
	TMGR__APPLY_PAUSE,
	TMGR__APPLY_RESUME,
	TMGR__APPLY_GOTO,
	TMGR__APPLY_SET,
	TMGR__APPLY_TICK,
};

/* What is applied. */
struct tmgr__apply {
	enum tmgr__apply_kind kind;
	int64_t now_ms, wall_ms;
	const char *id; /* of a process, or a channel */
	struct tmgr__edefinition *definition;
	struct tmgr__eprocess *process;
	const struct tmgr__deed *deed;
	const char *name; /* key, goroutine, effect, reason */
	const char *method;
	struct tmgr_bytes value;
	uint64_t revision;
	uint32_t capacity;
	enum tmgr_process_status status; /* of a RESUME: only one that stands so; 0: any */
};

/* ---- Using it -------------------------------------------------------------------------------- */

struct tmgr__engine *tmgr__engine_create(void);
void tmgr__engine_destroy(struct tmgr__engine *engine);

/* Know a definition; -EEXIST, -ENOMEM. Before loading. */
int tmgr__engine_define(struct tmgr__engine *engine, const struct tmgr_process_definition *user);
struct tmgr__edefinition *tmgr__engine_definition(struct tmgr__engine *engine, const char *name);
const struct tmgr__emethod *tmgr__engine_method(
	const struct tmgr__edefinition *definition, tmgr_method *function);

void tmgr__method_goroutine(const struct tmgr__emethod *method, char *name);

/* Take a row of the store; -EBADMSG for one that cannot be. */
int tmgr__engine_load(struct tmgr__engine *engine, const struct tmgr_store_change *row);
/* All rows were taken: look whether they fit, and have what was ready run. */
int tmgr__engine_loaded(struct tmgr__engine *engine, struct tmgr__changes *changes,
	const struct tmgr_store_opened *opened, int64_t wall_ms);

/*
 * Apply a command. An error is what the command is refused with, and nothing has happened, except for
 * -ENOMEM with engine->broken. Of a TICK -ENOMEM says that some of what is due is left for another one.
 */
int tmgr__engine_apply(struct tmgr__engine *engine, const struct tmgr__apply *command,
	struct tmgr__changes *changes);

/*
 * Whether the running goroutine's deed can be taken; else why not, with a text of
 * TMGR_PROCESS_TEXT_SIZE bytes. Changes nothing.
 */
int tmgr__engine_judge(const struct tmgr__engine *engine, const struct tmgr__eprocess *process,
	const struct tmgr__deed *deed, char *text);

/* The store has all up to this: what it made ready can run. */
void tmgr__engine_committed(struct tmgr__engine *engine, uint64_t sequence);
/* The process whose first ready goroutine is to run next; it runs from now on. NULL: none. */
struct tmgr__eprocess *tmgr__engine_next(struct tmgr__engine *engine);
bool tmgr__engine_runnable(const struct tmgr__engine *engine);
/* Whether there are timers for TICK to fire: it fires so many in one step, and the others in the next. */
bool tmgr__engine_is_due(const struct tmgr__engine *engine, int64_t now_ms, int64_t wall_ms);
/* When TICK has something to do: ms from now, 0 for at once; -1: never. */
int64_t tmgr__engine_timeout(const struct tmgr__engine *engine, int64_t now_ms, int64_t wall_ms);

struct tmgr__eprocess *tmgr__engine_process(const struct tmgr__engine *engine, const char *id);
struct tmgr__channel *tmgr__engine_channel(const struct tmgr__engine *engine, const char *id);
bool tmgr__process_is_over(const struct tmgr__eprocess *process);
int64_t tmgr__process_changed(const struct tmgr__eprocess *process);

/* Whether this is an id of a process, a name, and an id of a channel. */
bool tmgr__is_name(const char *text, size_t size_max);
bool tmgr__is_channel(const char *id);
/* Whether it may be one that is stored, though it is not UTF-8. */
bool tmgr__was_name(const char *text, size_t size_max);
bool tmgr__was_channel(const char *id);

#endif
