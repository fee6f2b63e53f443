/**
 * @file
 * Tasks: up to three functions and the data they work on. A task is a value.
 *
 * Whoever is given a task owns it and calls its destroy once, also when it refuses it. Wrappers
 * take a task and give a task, so they nest without checks: one that cannot be built destroys what
 * it was given and returns a task that every manager refuses with the right error
 * (tmgr_task_failed()).
 */
#ifndef TMGR_TASK_H
#define TMGR_TASK_H

#include <taskmgr/error.h>
#include <taskmgr/token.h>

struct tmgr_context;
struct tmgr_executor;

/** The functions a task has, as bits. */
enum tmgr_phase {
	TMGR_INITIALIZE = 1,
	TMGR_EXECUTE = 2,
	TMGR_CLEANUP = 4,
};

/**
 * What a task can do. Static; any function may be NULL, but not all of the first three.
 *
 * The first three return 0 or a negative errno (tmgr_fail() adds a text). A positive value is an
 * error too.
 */
struct tmgr_task_ops {
	/** What kind of task this is, for snapshots and reports: "interval"; may be NULL. */
	const char *kind;
	/** Set up; on the thread that runs the manager, in order of adding. */
	int (*initialize)(void *self, struct tmgr_context *context);
	/** Work until the context is cancelled; in parallel with all others. */
	int (*execute)(void *self, struct tmgr_context *context);
	/** Undo initialize; on the thread that runs the manager, in reverse order. */
	int (*cleanup)(void *self, struct tmgr_context *context);
	/** Release self. Called exactly once, never under a thread that is stuck in the task. */
	void (*destroy)(void *self);
	/**
	 * The phases that do something, for wrappers that pass them on; NULL: those not NULL above.
	 */
	unsigned (*phases)(const void *self);
	/**
	 * Whether executing this task, or what it wraps, runs this host; NULL: it runs none. For
	 * wrappers that pass it on.
	 */
	bool (*runs)(const void *self, const struct tmgr_executor *host);
};

/** A task: pass it by value. */
struct tmgr_task {
	const struct tmgr_task_ops *ops;
	void *self;
};

/** Why a wrapper could not be built: static, so that saying it takes no memory. */
struct tmgr_refusal {
	int error; /**< negative errno */
	/** the rule that was broken, a sentence without full stop; may be NULL */
	const char *rule;
};

TMGR_BEGIN_DECLS

/**
 * A task with only execute, which calls a function.
 *
 * @param function  called as execute
 * @param self      given to it; stays the caller's, borrowed until the task ends
 *
 * @return the task; one that is refused with -EINVAL (function is NULL) or -ENOMEM
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_task_function(
	int (*function)(void *self, struct tmgr_context *context), void *self);

/**
 * A task that no manager accepts: adding it gives the error.
 *
 * @param error  negative errno; 0 or above counts as -EINVAL
 *
 * @return the task; it has no memory
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_task_failed(int error);

/**
 * A task that no manager accepts, with the rule that was broken for the message.
 *
 * @param refusal  static, borrowed for ever
 *
 * @return the task; it has no memory. NULL gives tmgr_task_failed(-EINVAL)
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_task_refused(const struct tmgr_refusal *refusal);

/**
 * The error a task is refused with.
 *
 * @param task  a task
 *
 * @retval 0        it can be added
 * @retval -EINVAL  it has no functions, or was built from bad arguments
 * @retval -ENOMEM  out of memory while it was built
 *
 * @thread any thread
 */
TMGR_API int tmgr_task_error(struct tmgr_task task);

/**
 * The rule that was broken by a task that is refused.
 *
 * @param task  a task
 *
 * @return a static text, or NULL where the error says all
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_task_rule(struct tmgr_task task);

/**
 * What kind of task this is.
 *
 * @param task  a task
 *
 * @return a static text, "task" where it gives none
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_task_kind(struct tmgr_task task);

/**
 * The phases in which a task, or what it wraps, does something.
 *
 * @param task  a task
 *
 * @return bits of enum tmgr_phase
 *
 * @thread any thread
 */
TMGR_API unsigned tmgr_task_phases(struct tmgr_task task);

/**
 * Whether executing a task, or what it wraps, runs a host, such as a loop.
 *
 * @param task  a task
 * @param host  a host
 *
 * @return true when it does
 *
 * @thread any thread
 */
TMGR_API bool tmgr_task_runs(struct tmgr_task task, const struct tmgr_executor *host);

/**
 * Call a task's initialize; nothing where it has none.
 *
 * @param task     a task
 * @param context  given to it
 *
 * @return what it returned; 0 where it has none; -EINVAL for a task that is refused
 * @retval -EINVAL  the task is one that is refused
 *
 * @thread the caller's, which runs a task
 */
TMGR_API int tmgr_task_initialize(struct tmgr_task task, struct tmgr_context *context);

/**
 * Call a task's execute; nothing where it has none.
 *
 * @param task     a task
 * @param context  given to it
 *
 * @return what it returned; 0 where it has none
 * @retval -EINVAL  the task is one that is refused
 *
 * @thread the caller's, which runs a task
 */
TMGR_API int tmgr_task_execute(struct tmgr_task task, struct tmgr_context *context);

/**
 * Call a task's execute under another token: every wait in it ends when that token fires.
 *
 * For wrappers that end what they wrap and go on themselves. The task is given a context that is
 * the caller's in everything but its token; it is gone when this returns.
 *
 * @param task     a task
 * @param context  the caller's
 * @param token    made below tmgr_context_token(context), borrowed until this returns
 *
 * @return what execute returned; 0 where it has none
 * @retval -EINVAL  the task is one that is refused, or context or token is NULL
 *
 * @thread the caller's, which runs a task
 */
TMGR_API int tmgr_task_execute_under(
	struct tmgr_task task, struct tmgr_context *context, struct tmgr_token *token);

/**
 * Call a task's cleanup; nothing where it has none.
 *
 * @param task     a task
 * @param context  given to it
 *
 * @return what it returned; 0 where it has none
 * @retval -EINVAL  the task is one that is refused
 *
 * @thread the caller's, which runs a task
 */
TMGR_API int tmgr_task_cleanup(struct tmgr_task task, struct tmgr_context *context);

/**
 * Release a task that nobody else will: call its destroy.
 *
 * @param task  taken; one without destroy, or refused, is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_task_destroy(struct tmgr_task task);

TMGR_END_DECLS

#endif
