/**
 * @file
 * Machines as tasks: how a manager hosts one, when it ends, and tasks that belong to a state.
 *
 *     tmgr_manager_add_task(manager, "upstream", tmgr_machine_task(machine, &options), TMGR_STRICT);
 *
 * The task sees to the timeouts of states. Where a machine was given a loop, that is in the same
 * manager, added before.
 */
#ifndef TMGR_TASKS_MACHINE_TASK_H
#define TMGR_TASKS_MACHINE_TASK_H

#include <taskmgr/task.h>
#include <taskmgr/tasks/machine.h>

/** When a machine's task begins and ends; all zero is the default. Lists are copied. */
struct tmgr_machine_task_options {
	/**
	 * Added when execute begins; the task fails with -EPERM when that is refused, be it at once, or
	 * later where it has to wait for its turn or is postponed.
	 */
	const unsigned *start;
	/** The task ends with 0 once all of these are active at one moment; NULL: never by itself. */
	const unsigned *done;
	/** The task ends with the error when Exception is entered. */
	bool fail_on_error;
	/** Added when the task is told to stop. */
	const unsigned *stop;
	/**
	 * The task then ends once all of these are active, or with -ETIMEDOUT after three quarters of
	 * the time it has to stop; NULL: at once.
	 */
	const unsigned *stopped;
};

/** A task of a state; all zero but the task. */
struct tmgr_state_task_options {
	const char *name; /**< for reports, up to 63 bytes; NULL: the state's */
	/** Where it runs; NULL: on the pool, or the machine's loop, if it has one */
	struct tmgr_loop *loop;
	/** On the pool even if the machine has a loop. */
	bool on_pool;
};

TMGR_BEGIN_DECLS

/**
 * The task of a machine. It runs until it is told to stop, or what its options say has come; then the
 * machine is disposed. It can run once.
 *
 * @param machine  taken: the caller's reference is the task's from now on. Take one more to keep it
 * @param options  copied; NULL for the default
 *
 * @return the task; one that is refused with -EINVAL (machine is NULL, or a list names a state that is
 *         not there) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_machine_task(
	struct tmgr_machine *machine, const struct tmgr_machine_task_options *options);

/**
 * Start a task that belongs to the activation a handler is called for: it is cancelled when the
 * state's tick moves. It is an execute-task of the manager that runs the machine's task.
 *
 * What it returns is of the machine, not of the manager: an error adds Exception, unless the activation
 * had ended and it is -ECANCELED.
 *
 * @param event    of a state handler
 * @param task     taken, always; only its execute is called, so one with initialize or cleanup is
 *                 refused
 * @param options  copied; NULL for the default
 *
 * @retval 0           started, or about to be
 * @retval -EINVAL     event is NULL or of another kind of handler, or the task is refused
 * @retval -ESHUTDOWN  the machine's task does not run, or its manager stops
 * @retval -EAGAIN     no thread could be made
 * @retval -ENOMEM     out of memory
 *
 * @thread the handler's
 */
TMGR_API int tmgr_state_task(struct tmgr_machine_event *event, struct tmgr_task task,
	const struct tmgr_state_task_options *options);

/**
 * When the next timeout of a state is due: for machines that are no tasks.
 *
 * @param machine  a machine
 *
 * @return absolute, monotonic, nanoseconds; TMGR_NEVER: none
 *
 * @thread any thread
 */
TMGR_API int64_t tmgr_machine_next_timeout(struct tmgr_machine *machine);

/**
 * Make the mutations of timeouts that are due, and cancel what is postponed beyond its time to live.
 * A timeout is of one activation of its state: where that has ended before the mutation has its turn, it
 * is cancelled, also when the state has been entered again.
 *
 * @param machine  a machine
 *
 * @return how many there were, 0 or above, or
 * @retval -EINVAL  machine is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_machine_expire(struct tmgr_machine *machine);

TMGR_END_DECLS

#endif
