/**
 * @file
 * What the headers of durable processes share: limits, bytes, ids, and how things stand.
 *
 * A channel is named by a process and a name, written "process/name"; a runtime-wide one belongs to
 * no process: "/name". That text is its id: a value that may be kept in state and sent.
 *
 * Names that are not UTF-8 are refused where they would be new. A file may have some all the same, of a
 * program that did not look: what has one goes on, can be asked about, cancelled and deleted, and is
 * shown with U+FFFD for each byte that is of no character.
 */
#ifndef TMGR_TASKS_PROCESS_TYPES_H
#define TMGR_TASKS_PROCESS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/version.h>

/** Most bytes of a process's id; at least 1, valid UTF-8, no control characters, no '/'. */
#define TMGR_PROCESS_ID_MAX 127
/** Most bytes of the name of a definition, a goroutine or a channel; the same rules. */
#define TMGR_PROCESS_NAME_MAX 63
/** Most bytes of a method's name: {Goroutine}_{Status}. */
#define TMGR_PROCESS_METHOD_MAX 127
/** Most bytes of a channel's id: process, '/', name. */
#define TMGR_PROCESS_CHANNEL_MAX (TMGR_PROCESS_ID_MAX + 1 + TMGR_PROCESS_NAME_MAX)
/** Most bytes of an idempotency key, valid UTF-8, and of the name of an effect; for it the same rules. */
#define TMGR_PROCESS_KEY_MAX 255
/** Most bytes of a message, and of a result. */
#define TMGR_PROCESS_VALUE_MAX 1048576
/** Most bytes of a process's state as JSON. */
#define TMGR_PROCESS_STATE_MAX 16777216
/** Most bytes of all that one step declares: values, names, rows of the user's, states of children. */
#define TMGR_PROCESS_STEP_MAX 67108864
/** Most bytes of a result times the processes that wait for it: each gets a copy, in one commit. */
#define TMGR_PROCESS_RESULTS_MAX 536870912
/** Most messages a channel buffers. */
#define TMGR_PROCESS_CAPACITY_MAX 1000000
/** Most cases of one select. */
#define TMGR_PROCESS_CASES_MAX 64
/** Bytes kept of an error's text or a reason, with NUL. */
#define TMGR_PROCESS_TEXT_SIZE 256

/** Bytes somewhere else. */
struct tmgr_bytes {
	const void *data; /**< may be NULL when size is 0 */
	size_t size;
};

/** What a method is called with: why its goroutine goes on. */
enum tmgr_arrival {
	TMGR_ARRIVED_START = 1, /**< the goroutine begins */
	TMGR_ARRIVED_MESSAGE,   /**< a receive: value is the message */
	TMGR_ARRIVED_SENT,      /**< a send: a receiver or the buffer has it */
	TMGR_ARRIVED_CLOSED,    /**< a send or receive: its channel is closed */
	TMGR_ARRIVED_TIMEOUT,   /**< an after or at: its time has come */
	TMGR_ARRIVED_DEFAULT,   /**< nothing else could happen at once */
	TMGR_ARRIVED_RESULT, /**< a call: value is the result of the process, error how it ended */
	TMGR_ARRIVED_CANCEL, /**< the process is cancelled; the cancel method runs */
	TMGR_ARRIVED_GOTO,   /**< somebody sent the goroutine here, from outside */
};

/** How a process stands. */
enum tmgr_process_status {
	TMGR_PROCESS_ACTIVE = 1, /**< runnable, or blocked on causes that have names */
	TMGR_PROCESS_PAUSED,     /**< by somebody, with a reason; goes on when it is resumed */
	TMGR_PROCESS_FAILED,     /**< a goroutine's method failed too often; can be retried */
	TMGR_PROCESS_FINISHED,   /**< over, with the result it gave, or none */
	TMGR_PROCESS_CANCELLED,  /**< over, cancelled; may have a result all the same */
};

/** How a goroutine stands. */
enum tmgr_goroutine_status {
	TMGR_GOROUTINE_READY = 1, /**< its method runs, is to run, or is to be tried again later */
	TMGR_GOROUTINE_BLOCKED,   /**< waits for one of its cases */
	TMGR_GOROUTINE_PAUSED,    /**< this program lacks its method, or cannot read the state */
	TMGR_GOROUTINE_FAILED,    /**< its method failed as often as it may */
};

/** What a goroutine can wait for. */
enum tmgr_process_wait_kind {
	TMGR_PROCESS_WAIT_SEND = 1,
	TMGR_PROCESS_WAIT_RECEIVE,
	TMGR_PROCESS_WAIT_AFTER, /**< for the runtime's own time, which never runs back */
	TMGR_PROCESS_WAIT_AT,    /**< for the wall clock */
	TMGR_PROCESS_WAIT_CALL,  /**< for the end of another process */
};

/** What has happened: the kind of an event of the history. */
enum tmgr_process_event_kind {
	TMGR_PROCESS_EVENT_STARTED = 1, /**< a process; text: its definition */
	TMGR_PROCESS_EVENT_STEP,        /**< a method took effect */
	TMGR_PROCESS_EVENT_RETRY,       /**< a method failed and is tried again */
	TMGR_PROCESS_EVENT_FAILED,      /**< and is not */
	TMGR_PROCESS_EVENT_STUCK,       /**< a method did not return by its deadline */
	TMGR_PROCESS_EVENT_LATE,        /**< one that was stuck has returned; refused */
	TMGR_PROCESS_EVENT_PAUSED,      /**< text: the reason */
	TMGR_PROCESS_EVENT_RESUMED,
	TMGR_PROCESS_EVENT_CANCEL, /**< was asked for */
	TMGR_PROCESS_EVENT_FINISHED,
	TMGR_PROCESS_EVENT_NO_RESULT, /**< a warning: finished, nobody gave a result */
	TMGR_PROCESS_EVENT_CANCELLED, /**< over */
	TMGR_PROCESS_EVENT_SENT,      /**< a message from outside; text: the channel's name */
	TMGR_PROCESS_EVENT_CLOSED,    /**< a channel, from outside; text: its name */
	TMGR_PROCESS_EVENT_CHANGED,   /**< state or method, from outside; text: what */
	TMGR_PROCESS_EVENT_UPGRADED,  /**< the state is of another version now; text: which */
	TMGR_PROCESS_EVENT_LOG,       /**< tmgr_process_log(); text: the line */
};

/** An event of the history. */
struct tmgr_process_event {
	uint64_t sequence; /**< above 0, grows; the order in which things happened */
	int64_t at_ms;     /**< the wall clock's, since 1970 */
	enum tmgr_process_event_kind kind;
	int error;             /**< 0 or a negative errno */
	const char *process;   /**< "" where it is about none */
	const char *goroutine; /**< "" likewise */
	const char *method;    /**< likewise */
	const char *text;      /**< likewise */
};

/** What kind a value of a statement is. */
enum tmgr_sql_kind {
	TMGR_SQL_NULL,
	TMGR_SQL_INTEGER,
	TMGR_SQL_DOUBLE,
	TMGR_SQL_TEXT, /**< NUL-terminated UTF-8 */
	TMGR_SQL_BYTES,
};

/** A value for a parameter of a statement. */
struct tmgr_sql_value {
	enum tmgr_sql_kind kind;
	int64_t integer;
	double real;
	const char *text;
	struct tmgr_bytes bytes;
};

/** A statement of SQL with its values. */
struct tmgr_sql_statement {
	const char *text; /**< one statement; parameters are ?1, ?2, ... */
	const struct tmgr_sql_value *values;
	size_t count; /**< of values */
};

#endif
