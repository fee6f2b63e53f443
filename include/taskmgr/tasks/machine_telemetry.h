/**
 * @file
 * Telemetry of machines: the last transitions in memory, as lines of JSON; metrics for Prometheus; a
 * recording to a file, and reading it.
 *
 * All of these are tracers (tmgr_machine_trace()): they cost the machine a copy of what has changed,
 * take no memory while it runs, and wait for nothing.
 */
#ifndef TMGR_TASKS_MACHINE_TELEMETRY_H
#define TMGR_TASKS_MACHINE_TELEMETRY_H

#include <taskmgr/task.h>
#include <taskmgr/tasks/machine.h>

/** How a transition ended. */
enum tmgr_step_result {
	TMGR_STEP_EXECUTED,  /**< what it targeted is active */
	TMGR_STEP_CANCELLED, /**< refused: nothing has changed */
	TMGR_STEP_FAILED,    /**< a final handler failed: not all has changed that was to */
	TMGR_STEP_RESULTS,
};

/** States, by their numbers. */
struct tmgr_step_states {
	const unsigned *items;
	size_t count;
};

/** What machine steps are of. */
struct tmgr_step_machine {
	const char *name;
	const char *schema;       /**< its name */
	const char *const *names; /**< of its states */
	size_t count;             /**< of names */
};

/** A transition as it was recorded. All it points to is borrowed from where it was read. */
struct tmgr_machine_step {
	const struct tmgr_step_machine *machine;
	uint64_t sequence;   /**< counts the steps there were, from 1: a gap is what was lost */
	uint64_t lost;       /**< of a file: steps before this one that were dropped */
	uint64_t number;     /**< of the transition */
	uint64_t ticket;     /**< of its mutation; 0: it did not wait */
	int64_t time;        /**< when it ended: monotonic, nanoseconds */
	int64_t time_of_day; /**< the same, nanoseconds since 1970; 0: not known */
	int64_t duration_ns; /**< from its begin; 0: not known */
	enum tmgr_mutation_kind kind;
	enum tmgr_mutation_origin origin;
	enum tmgr_step_result result;
	struct tmgr_step_states called;
	struct tmgr_step_states exits;   /**< what left, or would have */
	struct tmgr_step_states enters;  /**< what was entered, or would have been */
	struct tmgr_step_states active;  /**< afterwards, in stored order */
	const uint64_t *exit_ticks;      /**< afterwards, of each of exits */
	const uint64_t *enter_ticks;     /**< likewise */
	struct tmgr_machine_error error; /**< that it added Exception with; its code is 0: none */
};

/** The last transitions of a machine, in memory. */
struct tmgr_machine_ring;

/** Counts of a machine, for Prometheus. */
struct tmgr_machine_metrics;

/** Records a machine to a file. */
struct tmgr_machine_recorder;

/** A recording that is read. */
struct tmgr_recording;

/** How a machine is recorded; all zero is the default. */
struct tmgr_machine_recorder_options {
	/** What can wait to be written, bytes; 0: 256 KiB. One transition always fits. */
	size_t buffer_max;
	/** How often its task writes, nanoseconds; 0: 100 ms. */
	int64_t write_ns;
	/** The time of day now, nanoseconds since 1970; 0: that of the system. */
	int64_t time_of_day;
};

/** Counts of a recorder. */
struct tmgr_machine_recorder_stats {
	uint64_t steps;   /**< there were */
	uint64_t dropped; /**< of these: there was no room for them */
	uint64_t written; /**< bytes */
	size_t waiting;   /**< bytes that are to be written */
	int error;        /**< of the last write, negative errno; 0: it went well */
};

/** Where a recording begins, or was continued by another run: what holds until its first step. */
struct tmgr_recording_session {
	struct tmgr_step_machine machine;
	int64_t time;        /**< monotonic, nanoseconds */
	int64_t time_of_day; /**< nanoseconds since 1970 */
	struct tmgr_step_states active;
	const uint64_t *ticks; /**< of all states */
};

/** What tmgr_recording_next() has read. */
enum tmgr_recording_item {
	TMGR_RECORDING_END,
	TMGR_RECORDING_SESSION,
	TMGR_RECORDING_STEP,
};

TMGR_BEGIN_DECLS

/**
 * Write a step as one line of JSON, without its end.
 *
 * @param step    a step
 * @param buffer  written, NUL-terminated, cut where it is too short; may be NULL when size is 0
 * @param size    of buffer, bytes
 *
 * @return the length of the whole line in bytes, without NUL; 0 for NULL
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_step_json(const struct tmgr_machine_step *step, char *buffer, size_t size);

/**
 * Write a step as one line of text for people, without its end.
 *
 * @param step    a step
 * @param buffer  written, NUL-terminated, cut where it is too short; may be NULL when size is 0
 * @param size    of buffer, bytes
 *
 * @return the length of the whole line in bytes, without NUL; 0 for NULL
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_step_format(const struct tmgr_machine_step *step, char *buffer, size_t size);

/**
 * Write a session as one line of JSON, without its end.
 *
 * @param session  a session
 * @param buffer   written, NUL-terminated, cut where it is too short; may be NULL when size is 0
 * @param size     of buffer, bytes
 *
 * @return the length of the whole line in bytes, without NUL; 0 for NULL
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_session_json(
	const struct tmgr_recording_session *session, char *buffer, size_t size);

/**
 * Write a session as one line of text for people, without its end.
 *
 * @param session  a session
 * @param buffer   written, NUL-terminated, cut where it is too short; may be NULL when size is 0
 * @param size     of buffer, bytes
 *
 * @return the length of the whole line in bytes, without NUL; 0 for NULL
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_session_format(
	const struct tmgr_recording_session *session, char *buffer, size_t size);

/**
 * Keep the last transitions of a machine from now on.
 *
 * @param machine   a reference is taken
 * @param size      memory for them, bytes; 0: 64 KiB. Where less than two of the largest transitions
 *                  would fit, room is made for two
 * @param ret_ring  returned, release with tmgr_machine_ring_destroy()
 *
 * @retval 0           made
 * @retval -EINVAL     machine or ret_ring is NULL, or size is above 1 GiB
 * @retval -ENOMEM     out of memory
 * @retval -ESHUTDOWN  the machine is disposed
 *
 * @thread any thread; may block as tmgr_machine_trace()
 */
TMGR_API int tmgr_machine_ring_create(
	struct tmgr_machine *machine, size_t size, struct tmgr_machine_ring **ret_ring);

/**
 * Release a ring.
 *
 * @param ring  NULL does nothing
 *
 * @thread any thread; may block as tmgr_machine_untrace(); not from a handler or a tracer
 */
TMGR_API void tmgr_machine_ring_destroy(struct tmgr_machine_ring *ring);

/**
 * Read transitions from a ring as lines of JSON, each with its end: as many as fit, the oldest first.
 *
 * @param ring      a ring
 * @param position  where to read on: 0 for the oldest that is there; moved behind what was written
 * @param buffer    written, not NUL-terminated
 * @param size      of buffer, bytes
 *
 * @return bytes that were written, 0 where there is nothing new; or
 * @retval -EINVAL   an argument is NULL, or position is not one that this gave
 * @retval -ENOBUFS  the next line alone is longer than the buffer
 *
 * @thread any thread
 */
TMGR_API int64_t tmgr_machine_ring_json(
	struct tmgr_machine_ring *ring, uint64_t *position, char *buffer, size_t size);

/**
 * Count a machine's transitions from now on.
 *
 * @param machine      a reference is taken
 * @param ret_metrics  returned, release with tmgr_machine_metrics_destroy()
 *
 * @retval 0           made
 * @retval -EINVAL     an argument is NULL
 * @retval -ENOMEM     out of memory
 * @retval -ESHUTDOWN  the machine is disposed
 *
 * @thread any thread; may block as tmgr_machine_trace()
 * @source asyncmachine, telemetry/prometheus
 */
TMGR_API int tmgr_machine_metrics_create(
	struct tmgr_machine *machine, struct tmgr_machine_metrics **ret_metrics);

/**
 * Release metrics.
 *
 * @param metrics  NULL does nothing
 *
 * @thread any thread; may block as tmgr_machine_untrace(); not from a handler or a tracer
 */
TMGR_API void tmgr_machine_metrics_destroy(struct tmgr_machine_metrics *metrics);

/**
 * Write metrics of machines in the text format of Prometheus, in seconds and bytes, with the machine's
 * name as label.
 *
 * @param metrics  count of them, of machines with different names; NULL among them are left out
 * @param count    how many
 * @param buffer   written, NUL-terminated, cut where it is too short; may be NULL when size is 0
 * @param size     of buffer, bytes
 *
 * @return the length of the whole text in bytes, without NUL; 0 for NULL
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_machine_metrics_format(
	struct tmgr_machine_metrics *const *metrics, size_t count, char *buffer, size_t size);

/**
 * Record a machine to a file from now on.
 *
 * Transitions are copied into a buffer, which tmgr_machine_recorder_write() or the recorder's task
 * writes to the file. Where that does not keep up, for the disk is slow or full, steps are dropped and
 * counted, and the recording says where; the machine goes on. What was written is readable at any
 * moment, also when the program was killed amid a write.
 *
 * @param machine       a reference is taken
 * @param path          of the file; it is created with mode 0640, or continued
 * @param options       copied; NULL for the default
 * @param ret_recorder  returned, release with tmgr_machine_recorder_destroy()
 *
 * @retval 0           recording
 * @retval -EINVAL     an argument is NULL, an option is out of range, or the file is no recording
 * @retval -EBUSY      another recorder has the file
 * @retval -ESHUTDOWN  the machine is disposed
 * @retval -ENOMEM     out of memory
 * @retval -ENOSPC     and others: the file cannot be opened or written
 *
 * @thread any thread; may block; not from a handler
 */
TMGR_API int tmgr_machine_recorder_create(struct tmgr_machine *machine, const char *path,
	const struct tmgr_machine_recorder_options *options,
	struct tmgr_machine_recorder **ret_recorder);

/**
 * End a recording: what waits is written, the file closed.
 *
 * @param recorder  NULL does nothing
 *
 * @thread any thread; may block; not from a handler or a tracer
 */
TMGR_API void tmgr_machine_recorder_destroy(struct tmgr_machine_recorder *recorder);

/**
 * Write what waits. After an error it is kept, and written by the next call that can.
 *
 * @param recorder  a recorder
 *
 * @retval 0        written
 * @retval -EINVAL  recorder is NULL
 * @retval -ENOSPC  and others: it could not be written
 *
 * @thread any thread; may block
 */
TMGR_API int tmgr_machine_recorder_write(struct tmgr_machine_recorder *recorder);

/**
 * Counts of a recorder.
 *
 * @param recorder   a recorder
 * @param ret_stats  written
 *
 * @retval 0        written
 * @retval -EINVAL  an argument is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_machine_recorder_stats(
	struct tmgr_machine_recorder *recorder, struct tmgr_machine_recorder_stats *ret_stats);

/**
 * A task that writes for a recorder, at its times and when half of the buffer is full; the rest in its
 * cleanup. Added before the machine's task it sees all of its end. An error of writing is logged, not
 * returned. It writes to a disk, which blocks: leave it a thread.
 *
 * @param recorder  taken: destroyed with the task
 *
 * @return the task; one that is refused with -EINVAL (recorder is NULL) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_machine_recorder_task(struct tmgr_machine_recorder *recorder);

/**
 * Open a recording to read it; it may be being written.
 *
 * @param path           of the file
 * @param ret_recording  returned, release with tmgr_recording_close()
 *
 * @retval 0        open
 * @retval -EINVAL  an argument is NULL
 * @retval -ENOMEM  out of memory
 * @retval -ENOENT  and others: it cannot be opened
 *
 * @thread any thread; may block
 */
TMGR_API int tmgr_recording_open(const char *path, struct tmgr_recording **ret_recording);

/**
 * Close a recording.
 *
 * @param recording  NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_recording_close(struct tmgr_recording *recording);

/**
 * Read the next item of a recording.
 *
 * After -EBADMSG reading can go on: at the next session, which is where another run continued the file.
 *
 * @param recording  a recording
 *
 * @retval TMGR_RECORDING_SESSION  tmgr_recording_session() has it
 * @retval TMGR_RECORDING_STEP     tmgr_recording_step() has it
 * @retval TMGR_RECORDING_END      there is nothing more, yet
 * @retval -EBADMSG                the file is damaged, or ends within an item, or is no recording:
 *                                 tmgr_recording_problem() says what is wrong
 * @retval -EINVAL                 recording is NULL
 * @retval -ENOMEM                 out of memory
 * @retval -EIO                    and others: it cannot be read
 *
 * @thread one thread at a time; may block
 */
TMGR_API int tmgr_recording_next(struct tmgr_recording *recording);

/**
 * The session that was read last.
 *
 * @param recording  a recording
 *
 * @return borrowed until the next session is read; NULL: none was
 *
 * @thread one thread at a time
 */
TMGR_API const struct tmgr_recording_session *tmgr_recording_session(
	const struct tmgr_recording *recording);

/**
 * The step that was read last.
 *
 * @param recording  a recording
 *
 * @return borrowed until the next item is read; NULL: the last one was none
 *
 * @thread one thread at a time
 */
TMGR_API const struct tmgr_machine_step *tmgr_recording_step(
	const struct tmgr_recording *recording);

/**
 * Where the item that was read last begins, or is wrong.
 *
 * @param recording  a recording
 *
 * @return bytes from the file's begin; 0 also for NULL
 *
 * @thread one thread at a time
 */
TMGR_API uint64_t tmgr_recording_offset(const struct tmgr_recording *recording);

/**
 * What was wrong with the file when tmgr_recording_next() gave -EBADMSG.
 *
 * @param recording  a recording
 *
 * @return a static text; "" where nothing was
 *
 * @thread one thread at a time
 */
TMGR_API const char *tmgr_recording_problem(const struct tmgr_recording *recording);

TMGR_END_DECLS

#endif
