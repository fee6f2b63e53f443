/**
 * @file
 * Worker loops: one thread that runs any number of coroutines, on libev.
 *
 * A loop is a task. Added to a manager it has a thread, and hosts what names it in its options:
 * tasks of that or another manager, each as a coroutine. It may have a main function of its own, its
 * first coroutine. What a coroutine may call is in coroutine.h; every wait of the library parks it
 * and lets the others run.
 *
 *     tmgr_loop_create(NULL, &loop);
 *     tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_STRICT);
 *     options.loop = loop;
 *     tmgr_manager_add_task_with(manager, "server", server, TMGR_STRICT, &options);
 *
 * Code on a loop must not block the thread, nor hold a mutex of the system over a wait. `errno` does
 * not survive a wait.
 */
#ifndef TMGR_TASKS_LOOP_H
#define TMGR_TASKS_LOOP_H

#include <taskmgr/host.h>
#include <taskmgr/manager.h>

struct tmgr_loop;
struct ev_loop;

/** How the stacks of coroutines are guarded against running over. */
enum tmgr_stack_guard {
	/**
	 * By pages that cannot be touched: a coroutine that runs over ends the program with a message
	 * that names it. For the message SIGSEGV is taken while a loop runs or a generator stands; then
	 * whoever had taken it before is called. Who takes it meanwhile keeps it, and may pass it on.
	 */
	TMGR_STACK_GUARD_PAGE,
	/**
	 * By looking, when it parks or ends, whether something was written below: later, and not
	 * surely. For more stacks than a kernel before 6.13 can guard (about 32,000).
	 */
	TMGR_STACK_GUARD_CANARY,
};

/** How a loop behaves; all zero is the default. */
struct tmgr_loop_options {
	/** The first coroutine; NULL: the loop serves as a host until it is told to stop. */
	int (*main)(void *self, struct tmgr_context *context);
	/** For main; borrowed until the loop's task has ended. */
	void *self;
	/** Address space of each stack, bytes: 64 KiB; 16 KiB, 64 KiB or 256 KiB. A page at least. */
	size_t stack_size;
	enum tmgr_stack_guard stack_guard;
	/**
	 * Coroutines at once: no limit but memory. Each counts from its spawn, on whatever thread, until
	 * its function has returned, main too. Tasks on the loop count, and are never refused.
	 */
	size_t coroutines_max;
	/** Keeping the loop for longer than this without a wait is an event: 100 ms. */
	int64_t slow_ns;
};

/** A callback in a loop: memory of the caller; all fields are the library's. */
struct tmgr_loop_call {
	struct tmgr_executor_call call;
	struct tmgr_loop *loop;
	void (*function)(void *self);
	void (*instead)(void *self);
	void *self;
	void *timer[6];
	int scheduled;
};

/** Counts of a loop. */
struct tmgr_loop_stats {
	size_t coroutines;  /**< alive */
	size_t runnable;    /**< of these, waiting for their turn */
	size_t timers;      /**< deadlines that are pending */
	size_t stacks;      /**< made and not given back to the system, of all loops */
	uint64_t turns;     /**< of the loop */
	uint64_t resumes;   /**< of coroutines */
	uint64_t slow;      /**< resumes that kept the loop longer than slow_ns */
	int64_t slowest_ns; /**< the longest of these */
};

TMGR_BEGIN_DECLS

/**
 * Make a loop.
 *
 * @param options   copied; NULL for the default
 * @param ret_loop  returned, release with tmgr_loop_unref()
 *
 * @retval 0        made
 * @retval -EINVAL  ret_loop is NULL, or an option is out of range
 * @retval -ENOMEM  out of memory
 * @retval -EMFILE  no descriptor was left for it (also -ENFILE)
 *
 * @thread any thread
 * @source asyncigo, NewEventLoop
 */
TMGR_API int tmgr_loop_create(const struct tmgr_loop_options *options, struct tmgr_loop **ret_loop);

/**
 * Take a reference.
 *
 * @param loop  NULL is allowed
 *
 * @return loop
 *
 * @thread any thread
 */
TMGR_API struct tmgr_loop *tmgr_loop_ref(struct tmgr_loop *loop);

/**
 * Give a reference back. With the last the loop is gone; one that has not run has ended then, and what
 * tmgr_loop_post_or() says is called.
 *
 * @param loop  NULL is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_loop_unref(struct tmgr_loop *loop);

/**
 * Take a weak reference, which keeps the memory of a loop, but not what has not run from ending: for
 * those whom the loop refers to in turn, because of a call that they have posted. With it one may post,
 * and compare.
 *
 * @param loop  NULL is allowed
 *
 * @return loop
 *
 * @thread any thread that has a reference, weak or not
 */
TMGR_API struct tmgr_loop *tmgr_loop_weak_ref(struct tmgr_loop *loop);

/**
 * Give a weak reference back.
 *
 * @param loop  NULL is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_loop_weak_unref(struct tmgr_loop *loop);

/**
 * Whether a loop has ended, and takes nothing more: no coroutine of it will go on.
 *
 * @param loop  NULL has
 *
 * @return true for ever from then on
 *
 * @thread any thread
 */
TMGR_API bool tmgr_loop_ended(const struct tmgr_loop *loop);

/**
 * The task that runs a loop, on a thread. It can run once.
 *
 * With a main function it ends when main has returned 0 and all coroutines and hosted tasks have
 * ended; an error of main cancels all coroutines and is the task's, once they have ended. Without
 * one it ends after it was told to stop. In both cases the coroutines are cancelled when the task
 * is, and the task does not end before the last of them and of the tasks it hosts. What is left at
 * the stop deadline is named in the report, with what it waits for.
 *
 * @param loop  a reference is taken, and given back with the task
 *
 * @return the task; one that is refused with -EINVAL (loop is NULL)
 *
 * @thread any thread
 */
TMGR_API struct tmgr_task tmgr_loop_task(struct tmgr_loop *loop);

/**
 * The loop that the caller's coroutine is on.
 *
 * @return borrowed until the coroutine ends; NULL outside of loops
 *
 * @thread any thread
 * @source asyncigo, RunningLoopMaybe
 */
TMGR_API struct tmgr_loop *tmgr_loop_current(void);

/**
 * The loop of libev below, for watchers of the user's own; never the default one. They are started,
 * called and stopped on the loop's thread, and stopped before the loop's task ends; they do not keep
 * it from ending. From the first call on each turn looks at them, which costs a system call, where one
 * without descriptors makes none.
 *
 * @param loop  a loop
 *
 * @return borrowed as long as the loop; NULL gives NULL
 *
 * @thread the loop's thread
 */
TMGR_API struct ev_loop *tmgr_loop_ev(struct tmgr_loop *loop);

/**
 * Have a function called by the loop, in its turn. What was posted is made, also where the loop ends
 * meanwhile, or a coroutine or call of it ends its thread by pthread_exit().
 *
 * @param loop      a loop, running or not yet
 * @param call      borrowed until it was made; one to a loop that goes without having run is not made
 * @param function  called once with self, outside of coroutines: it may post, spawn and complete, but
 *                  not wait
 * @param self      for function
 *
 * @retval 0           posted
 * @retval -EINVAL     an argument is NULL
 * @retval -ESHUTDOWN  the loop has ended
 *
 * @thread any thread; never blocks
 */
TMGR_API int tmgr_loop_post(struct tmgr_loop *loop, struct tmgr_loop_call *call,
	void (*function)(void *self), void *self);

/**
 * The same, for a call that somebody waits for: where the loop goes without having run, another function
 * is called instead.
 *
 * @param loop      a loop, running or not yet
 * @param call      borrowed until one of the two is called
 * @param function  as for tmgr_loop_post()
 * @param instead   called once with self by who gives the last reference back, outside of the loop, which
 *                  has ended
 * @param self      for both
 *
 * @retval 0           posted
 * @retval -EINVAL     an argument is NULL
 * @retval -ESHUTDOWN  the loop has ended
 *
 * @thread any thread; never blocks
 */
TMGR_API int tmgr_loop_post_or(struct tmgr_loop *loop, struct tmgr_loop_call *call,
	void (*function)(void *self), void (*instead)(void *self), void *self);

/**
 * Have a function called by the loop at a moment. This does not keep the loop from ending: what is
 * still scheduled then is not made.
 *
 * @param loop      a loop
 * @param call      borrowed until it was made or taken back, or the loop's task has ended
 * @param at        absolute, monotonic, nanoseconds
 * @param function  as for tmgr_loop_post()
 * @param self      for function
 *
 * @retval 0           scheduled
 * @retval -EINVAL     an argument is NULL
 * @retval -ESHUTDOWN  the loop has ended
 *
 * @thread the loop's thread
 * @source asyncio, call_at
 */
TMGR_API int tmgr_loop_call_at(struct tmgr_loop *loop, struct tmgr_loop_call *call, int64_t at,
	void (*function)(void *self), void *self);

/**
 * Take a scheduled call back.
 *
 * @param call  as given to tmgr_loop_call_at()
 *
 * @retval 0        taken back: it will not be made
 * @retval -ENOENT  it was made, or is not scheduled, or its loop has ended
 * @retval -EINVAL  call is NULL
 *
 * @thread the loop's thread
 */
TMGR_API int tmgr_loop_call_cancel(struct tmgr_loop_call *call);

/**
 * Wait until the loop has nothing to do: no call posted or scheduled, no deadline pending, no other
 * coroutine that could run. Those that wait for others or for descriptors do not count.
 *
 * @param context   of a coroutine of this loop
 * @param deadline  absolute, monotonic, nanoseconds; does not count as pending itself, nor does
 *                  that of the caller's token
 *
 * @retval 0           it is idle
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     context is not of a coroutine
 *
 * @thread the loop's thread; may block; cancellation point
 * @source asyncigo, WaitForCallbacks
 */
TMGR_API int tmgr_loop_wait_idle(struct tmgr_context *context, int64_t deadline);

/**
 * Counts of a loop.
 *
 * @param loop       a loop
 * @param ret_stats  written
 *
 * @retval 0        written
 * @retval -EINVAL  an argument is NULL
 *
 * @thread the loop's thread
 */
TMGR_API int tmgr_loop_stats(struct tmgr_loop *loop, struct tmgr_loop_stats *ret_stats);

/**
 * Write a line for each coroutine: name, state, what it waits for and since when.
 *
 * @param loop       a loop
 * @param backtrace  write where each stands, too, a line a frame
 * @param write      called with self and a line without its end; must not wait
 * @param self       for write
 *
 * @retval 0        written
 * @retval -EINVAL  loop or write is NULL
 *
 * @thread the loop's thread
 */
TMGR_API int tmgr_loop_dump(struct tmgr_loop *loop, bool backtrace,
	void (*write)(void *self, const char *line), void *self);

TMGR_END_DECLS

#endif
