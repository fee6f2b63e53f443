/**
 * @file
 * Durable processes: what a program defines, and what a method may do.
 *
 * A process is a struct of state and some goroutines, each a state machine of methods. A method is
 * called, changes the state, and declares what its goroutine waits for; the state and the wait are
 * made durable, together with all else it declared, and the next method may be called after a
 * restart, days later.
 *
 *     static int main_count(struct tmgr_process *process, void *state, const struct tmgr_message *message)
 *     {
 *         struct counter *self = state;
 *
 *         self->count++;
 *         tmgr_process_receive(process, "count", main_count);
 *         tmgr_process_after(process, TMGR_HOUR, main_done);
 *         return 0;
 *     }
 *
 * A call of a method that took effect is a step. Each takes effect once, all of it or nothing. A method
 * may be called more than once for one step: when it returned an error, when the program was killed.
 * For what it does outside of the process there is process_effects.h, which comes with this.
 *
 * Steps of one process never overlap, so a method needs no locks for its state. Nothing in the state is
 * freed by it: memory taken with tmgr_process_text() and its like goes with the step.
 *
 * The functions that declare return 0 or a negative errno, and remember the first error: the method then
 * fails with it whatever it returns, so results need not be looked at. Besides what each of them says, all
 * give -EMSGSIZE where the step would declare more than TMGR_PROCESS_STEP_MAX, and may give again the error
 * of one before.
 *
 * Whether a channel is there is found out when the method has returned. The step fails with -ENOENT where
 * its process is unknown, or forgotten; or where it is one with an id of its own (of
 * tmgr_process_channel(), or of no process) and is gone. One of a process that is over is closed.
 *
 * All functions here but the definitions are called by a method, on its thread, while it runs.
 */
#ifndef TMGR_TASKS_PROCESS_H
#define TMGR_TASKS_PROCESS_H

#include <taskmgr/context.h>
#include <taskmgr/tasks/process_effects.h>
#include <taskmgr/tasks/process_types.h>
#include <taskmgr/tasks/state.h>

/** A step while its method runs. */
struct tmgr_process;

/** What a method is called with: why it is called. Borrowed until the method returns. */
struct tmgr_message {
	enum tmgr_arrival arrival;
	uint32_t case_index; /**< of the case that fired, in the order declared, from 0 */
	/**
	 * Of a RESULT: 0, -ECANCELED for a process that was cancelled, -ENODATA for one that gave
	 * none, -ENOENT for one that was forgotten.
	 */
	int error;
	const char *from;        /**< the channel's id, or the id of the process called; "" */
	struct tmgr_bytes value; /**< the message, or the result; a NUL follows it */
};

/** A method: returns 0, or a negative errno, which drops all it did and has it tried again. */
typedef int tmgr_method(
	struct tmgr_process *process, void *state, const struct tmgr_message *message);

/** How often a method is tried; all zero is the default. */
struct tmgr_process_retry {
	unsigned attempts_max; /**< 10; then the process is FAILED */
	int64_t first_ns;      /**< until the second attempt: 100 ms; it doubles each time */
	int64_t longest_ns;    /**< 30 s */
};

/** A method in the table of a definition. */
struct tmgr_process_method {
	/** "{Goroutine}_{Status}"; what stands before the first '_' is the goroutine's name */
	const char *name;
	/** in one row only: one that stands in several is the first of them wherever it is declared */
	tmgr_method *function;
	/** names it had before, which processes may still have stored; NULL at the end; may be NULL */
	const char *const *aliases;
	/** all zero: the definition's */
	struct tmgr_process_retry retry;
	/** how long one call may take, nanoseconds; 0: the definition's */
	int64_t deadline_ns;
};

/** What a kind of process is. Static: borrowed as long as the runtime. */
struct tmgr_process_definition {
	const char *name; /**< 1 to TMGR_PROCESS_NAME_MAX bytes */
	uint32_t version; /**< of the state's table, 1 or above; grows when the table changes */
	struct tmgr_state_table state;
	tmgr_method *start;  /**< the first goroutine's first method; in methods */
	tmgr_method *cancel; /**< called when it is cancelled, last; in methods; may be NULL */
	/** all methods; at the end one whose name is NULL */
	const struct tmgr_process_method *methods;
	struct tmgr_process_retry retry;
	/** how long a call of a method may take, nanoseconds: 1 minute */
	int64_t deadline_ns;
};

TMGR_BEGIN_DECLS

/**
 * The id of the process.
 *
 * @param process  the step
 *
 * @return borrowed until the method returns; "" for NULL
 *
 * @thread the method's
 */
TMGR_API const char *tmgr_process_id(const struct tmgr_process *process);

/**
 * The name of the goroutine.
 *
 * @param process  the step
 *
 * @return borrowed until the method returns; "" for NULL
 *
 * @thread the method's
 */
TMGR_API const char *tmgr_process_goroutine(const struct tmgr_process *process);

/**
 * How many times this step's method was called before and failed, since it was last resumed.
 *
 * @param process  the step
 *
 * @return 0 the first time
 *
 * @thread the method's
 */
TMGR_API unsigned tmgr_process_attempts(const struct tmgr_process *process);

/**
 * The wall clock, as it was when the method was called.
 *
 * @param process  the step
 *
 * @return milliseconds since 1970; 0 for NULL
 *
 * @thread the method's
 */
TMGR_API int64_t tmgr_process_now(const struct tmgr_process *process);

/**
 * The context of the worker that calls the method, for waits of the library. They end with -ECANCELED
 * when the worker is to stop; a method that then returns that is called again after the restart.
 *
 * @param process  the step
 *
 * @return borrowed until the method returns; NULL where no task runs it (tmgr_processes_drive())
 *
 * @thread the method's
 */
TMGR_API struct tmgr_context *tmgr_process_context(const struct tmgr_process *process);

/**
 * When the method must have returned; past it the process is stuck, and what the method returns is
 * refused.
 *
 * @param process  the step
 *
 * @return absolute, monotonic, nanoseconds: a deadline for the waits of the library
 *
 * @thread the method's
 */
TMGR_API int64_t tmgr_process_deadline(const struct tmgr_process *process);

/**
 * Declare a case: receive from a channel.
 *
 * Cases are looked at in the order declared; the first that can fire does. If none can, the goroutine
 * waits for all at once. A method that declares none ends its goroutine.
 *
 * @param process  the step
 * @param channel  a name: the process's own channel, unbuffered, made when it is first used; or an id
 * @param then     the method to go on with, of this process's definition
 *
 * @retval 0        declared
 * @retval -EINVAL  an argument is NULL, channel is no name or id, or then is not in the table
 * @retval -E2BIG   there are TMGR_PROCESS_CASES_MAX cases already
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 * @source async, Recv
 */
TMGR_API int tmgr_process_receive(
	struct tmgr_process *process, const char *channel, tmgr_method *then);

/**
 * Declare a case: send on a channel. It fires when a receiver or the buffer has the message, or with
 * CLOSED.
 *
 * @param process  the step
 * @param channel  as for tmgr_process_receive()
 * @param value    copied
 * @param then     the method to go on with
 *
 * @retval 0          declared
 * @retval -EINVAL    as for tmgr_process_receive()
 * @retval -EMSGSIZE  value is longer than TMGR_PROCESS_VALUE_MAX
 * @retval -E2BIG     too many cases
 * @retval -ENOMEM    out of memory
 *
 * @thread the method's
 * @source async, Send
 */
TMGR_API int tmgr_process_send(struct tmgr_process *process, const char *channel,
	struct tmgr_bytes value, tmgr_method *then);

/**
 * Declare a case: a time has passed, on a clock that never runs back. It is kept in milliseconds, and
 * runs on while the program is down, as far as the wall clock tells.
 *
 * @param process  the step
 * @param ns       nanoseconds from this call, rounded up to a millisecond; 0 or below: at once
 * @param then     the method to go on with
 *
 * @retval 0        declared
 * @retval -EINVAL  process or then is NULL, or then is not in the table
 * @retval -E2BIG   too many cases
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 * @source async, After
 */
TMGR_API int tmgr_process_after(struct tmgr_process *process, int64_t ns, tmgr_method *then);

/**
 * Declare a case: the wall clock says so. It follows that clock when it is set.
 *
 * @param process  the step
 * @param at_ms    milliseconds since 1970
 * @param then     the method to go on with
 *
 * @retval 0        declared
 * @retval -EINVAL  process or then is NULL, or then is not in the table
 * @retval -E2BIG   too many cases
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_at(struct tmgr_process *process, int64_t at_ms, tmgr_method *then);

/**
 * Declare a case that fires when no other can at once, wherever it stands. Alone it goes on with
 * another method, in a step of its own.
 *
 * @param process  the step
 * @param then     the method to go on with
 *
 * @retval 0        declared
 * @retval -EINVAL  process or then is NULL, or then is not in the table
 * @retval -E2BIG   too many cases
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 * @source async, Default
 */
TMGR_API int tmgr_process_default(struct tmgr_process *process, tmgr_method *then);

/** A process to be started by another. */
struct tmgr_process_child {
	const struct tmgr_process_definition *definition;
	/** NULL: made of the caller's id and step, the same whenever this step is called */
	const char *id;
	/** the struct of its first state, only read; NULL: all fields as if missing */
	const void *state;
};

/**
 * Start a process with this step, and declare a case: its end, with its result. Where the id is in use
 * already nothing is started, and the case is the end of that one, over or not.
 *
 * The process is started whichever case fires.
 *
 * @param process  the step
 * @param child    what to start
 * @param then     the method to go on with
 *
 * @retval 0        declared
 * @retval -EINVAL  an argument is NULL, the id is none, or then is not in the table
 * @retval -ENOENT  the definition is not defined in this runtime
 * @retval -E2BIG   too many cases
 * @retval -ENOMEM  out of memory
 * @retval other    what tmgr_state_encode() says of the state
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_call(
	struct tmgr_process *process, const struct tmgr_process_child *child, tmgr_method *then);

/**
 * Start a process with this step, and do not wait for it. Where the id is in use already nothing
 * happens. Its channels, "id/name", can be sent to and waited on in this step already, after this.
 *
 * @param process  the step
 * @param child    what to start
 * @param ret_id   written, TMGR_PROCESS_ID_MAX + 1 bytes: its id; may be NULL
 *
 * @retval 0        declared
 * @retval -EINVAL  an argument is NULL, or the id is none
 * @retval -ENOENT  the definition is not defined in this runtime
 * @retval -ENOMEM  out of memory
 * @retval other    what tmgr_state_encode() says of the state
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_spawn(
	struct tmgr_process *process, const struct tmgr_process_child *child, char *ret_id);

/**
 * Start a goroutine with this step: its first method is a step of its own. Its name is what stands
 * before the first '_' of the method's.
 *
 * @param process  the step
 * @param method   of this process's definition
 *
 * @retval 0        declared
 * @retval -EEXIST  one of that name lives
 * @retval -EINVAL  process or method is NULL, or the method is not in the table
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 * @source async, Go
 */
TMGR_API int tmgr_process_go(struct tmgr_process *process, tmgr_method *method);

/**
 * Start a goroutine with a name of its own, for several of one kind.
 *
 * @param process  the step
 * @param name     1 to TMGR_PROCESS_NAME_MAX bytes; copied
 * @param method   of this process's definition
 *
 * @retval 0        declared
 * @retval -EEXIST  one of that name lives
 * @retval -EINVAL  an argument is NULL, the name is none, or the method is not in the table
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_go_named(
	struct tmgr_process *process, const char *name, tmgr_method *method);

/**
 * Send without waiting: the message stands in the channel's line until it is received. It is lost when
 * the channel is closed before that. A line has no limit for these; messages from outside are refused
 * while it is longer than theirs.
 *
 * @param process  the step
 * @param channel  as for tmgr_process_receive()
 * @param value    copied
 *
 * @retval 0          declared
 * @retval -EINVAL    an argument is NULL, or channel is no name or id
 * @retval -EMSGSIZE  value is longer than TMGR_PROCESS_VALUE_MAX
 * @retval -ENOMEM    out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_post(
	struct tmgr_process *process, const char *channel, struct tmgr_bytes value);

/**
 * Create a channel with a buffer, or one whose id can be given away. It belongs to the process and is
 * gone with it.
 *
 * @param process   the step
 * @param capacity  messages it buffers, 0 to TMGR_PROCESS_CAPACITY_MAX
 * @param ret_id    written, TMGR_PROCESS_CHANNEL_MAX + 1 bytes: its id, the same whenever this step
 *                  is called
 *
 * @retval 0        declared
 * @retval -EINVAL  an argument is NULL or capacity is out of range
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_channel(struct tmgr_process *process, uint32_t capacity, char *ret_id);

/**
 * Close a channel: who waits on it goes on with CLOSED, a message that waits to be sent is not
 * delivered, the buffer can still be received. Closing a closed one does nothing.
 *
 * @param process  the step
 * @param channel  as for tmgr_process_receive()
 *
 * @retval 0        declared
 * @retval -EINVAL  an argument is NULL, or channel is no name or id
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_close(struct tmgr_process *process, const char *channel);

/**
 * End the process with this step: its other goroutines, their waits and its channels go, and who waits
 * for its result goes on. Cases declared in the step are ignored. The step fails with -EMSGSIZE where the
 * result and the number of processes that wait for it make more than TMGR_PROCESS_RESULTS_MAX.
 *
 * @param process  the step
 * @param result   copied
 *
 * @retval 0          declared
 * @retval -EINVAL    process is NULL
 * @retval -EMSGSIZE  result is longer than TMGR_PROCESS_VALUE_MAX
 * @retval -ENOMEM    out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_finish(struct tmgr_process *process, struct tmgr_bytes result);

/**
 * Cancel another process with this step, as the command TMGR_PROCESS_CANCEL does. One that is over, or unknown,
 * stays so.
 *
 * @param process  the step
 * @param id       of the other; its own is allowed
 *
 * @retval 0        declared
 * @retval -EINVAL  an argument is NULL, or id is none
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_cancel(struct tmgr_process *process, const char *id);

/**
 * Put text into the state.
 *
 * @param process    the step
 * @param ret_field  written: a copy that lives as long as the state does; a text it had is let go
 * @param format     as printf
 *
 * @retval 0        written
 * @retval -EINVAL  an argument is NULL
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_text(
	struct tmgr_process *process, char **ret_field, const char *format, ...) TMGR_PRINTF(3, 4);

/**
 * Put bytes into the state.
 *
 * @param process    the step
 * @param ret_field  written: a copy that lives as long as the state does
 * @param value      copied
 *
 * @retval 0        written
 * @retval -EINVAL  an argument is NULL
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_bytes(
	struct tmgr_process *process, struct tmgr_state_bytes *ret_field, struct tmgr_bytes value);

/**
 * Memory for arrays and structs that the state points to.
 *
 * @param process  the step
 * @param size     bytes; 0 gives an address too
 *
 * @return all zero, borrowed until the method returns, and in the state as long as that; NULL: out of
 * memory, which fails the step
 *
 * @thread the method's
 */
TMGR_API void *tmgr_process_memory(struct tmgr_process *process, size_t size);

/**
 * Put a line into the history, with this step.
 *
 * @param process  the step
 * @param format   as printf; cut to TMGR_PROCESS_TEXT_SIZE - 1 bytes, at a whole character; U+FFFD for
 *                 what is not UTF-8
 *
 * @retval 0        declared
 * @retval -EINVAL  an argument is NULL
 * @retval -ENOMEM  out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_log(struct tmgr_process *process, const char *format, ...)
	TMGR_PRINTF(2, 3);

/**
 * Say why the method fails, and return the code: `return tmgr_process_fail(process, -EIO, "...");`
 *
 * @param process  the step; NULL keeps nothing
 * @param code     a negative errno
 * @param format   as printf; cut to TMGR_PROCESS_TEXT_SIZE - 1 bytes, at a whole character; U+FFFD for
 *                 what is not UTF-8
 *
 * @return code
 * @retval code  always
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_fail(struct tmgr_process *process, int code, const char *format, ...)
	TMGR_PRINTF(3, 4);

TMGR_END_DECLS

#endif
