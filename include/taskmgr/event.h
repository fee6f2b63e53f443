/**
 * @file
 * Events: what happened, in order, for observers on a thread of their own.
 */
#ifndef TMGR_EVENT_H
#define TMGR_EVENT_H

#include <taskmgr/context.h>
#include <taskmgr/report.h>

/** Bytes of an event's path and text, NUL included; longer ones are cut. */
#define TMGR_EVENT_PATH_SIZE 128
#define TMGR_EVENT_TEXT_SIZE 192

/** What happened. */
enum tmgr_event_kind {
	TMGR_EVENT_ADDED,          /**< a task was added */
	TMGR_EVENT_STATE,          /**< a task's state changed; code is the new enum tmgr_state */
	TMGR_EVENT_FAILED,         /**< a task failed; code is the error */
	TMGR_EVENT_RESTARTING,     /**< a task is run again; code is the error that it ended with */
	TMGR_EVENT_STUCK,          /**< a task passed its deadline and is left behind */
	TMGR_EVENT_WAITING,        /**< a stop waits for this task for a third of its deadline */
	TMGR_EVENT_READY,          /**< a task said that it is ready */
	TMGR_EVENT_LATE_HEARTBEAT, /**< a task's heartbeat is late */
	TMGR_EVENT_LOG,            /**< tmgr_log() */
	TMGR_EVENT_STOP_BEGUN,     /**< the manager's token fired; text says why */
	TMGR_EVENT_RUN_ENDED,      /**< the last event of a run; code is its result */
};

/** One event. */
struct tmgr_event {
	enum tmgr_event_kind kind;
	enum tmgr_level level;
	uint64_t sequence; /**< counts from 1; a gap is what the full ring dropped */
	int64_t time;      /**< monotonic, nanoseconds */
	int code;
	/** of the task; for a manager that of the task it runs in, empty for the outermost */
	char path[TMGR_EVENT_PATH_SIZE];
	char text[TMGR_EVENT_TEXT_SIZE]; /**< may be empty */
};

TMGR_BEGIN_DECLS

/**
 * Format an event as one line of text, without newline, control characters escaped.
 *
 * @param event   an event
 * @param buffer  written, NUL-terminated, cut where it is too short; may be NULL when size is 0
 * @param size    of buffer, bytes
 *
 * @return the length of the whole line in bytes, without NUL; 0 for NULL
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_event_format(const struct tmgr_event *event, char *buffer, size_t size);

/**
 * An observer that writes each event as a line to standard error: give it to
 * tmgr_manager_observe(), with the name of the program (borrowed) or NULL as self.
 *
 * @param self   const char *, put before each line with ": "; may be NULL
 * @param event  an event
 *
 * @thread the observers'
 */
TMGR_API void tmgr_event_print(void *self, const struct tmgr_event *event);

TMGR_END_DECLS

#endif
