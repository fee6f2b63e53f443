/**
 * @file
 * For those who write hosts: what runs a task's execute, and parks it when it waits.
 *
 * The library's threads, its pool and its loops are hosts; a simulator can be another. Whoever only
 * writes tasks needs nothing of this.
 *
 * A thread of control has one waiter. A wait arms it; whoever ends the wait (a partner, a cancel,
 * the host at the deadline) wins it by one compare-and-swap and then, exactly once, calls `wake`.
 * Threads may look at the state instead and go on before that call; a host that says `counted` may
 * not: its `park` returns for that wake and for nothing else, so nobody touches a waiter that has
 * gone on.
 */
#ifndef TMGR_HOST_H
#define TMGR_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/context.h>

struct tmgr_waiter;
struct tmgr__record;

/** How a host parks. */
struct tmgr_waiter_ops {
	/**
	 * Return when the state has left `state`, or at the deadline, or, unless counted, for no
	 * reason. A counted host returns when it was woken, and at the deadline calls
	 * tmgr_waiter_expire() to know whether it may wake the waiter itself.
	 */
	void (*park)(struct tmgr_waiter *waiter, unsigned state, int64_t deadline);
	/** Any thread. After it the waiter may be gone. */
	void (*wake)(struct tmgr_waiter *waiter);
	/**
	 * Like park, and also return when fd is ready: a mask of poll(2), 0, or a negative errno. A
	 * counted host wins the waiter with tmgr_waiter_fire() first.
	 */
	int (*park_fd)(struct tmgr_waiter *waiter, int fd, short events, int64_t deadline);
	/** Around a wait that really parks; may be NULL. */
	void (*before)(struct tmgr_waiter *waiter);
	/** Likewise. */
	void (*after)(struct tmgr_waiter *waiter);
	/** Let others of the same host run; NULL: sched_yield(). */
	void (*yield)(struct tmgr_waiter *waiter);
	/** Each end of a wait is told by exactly one wake. */
	bool counted;
};

/** A thread of control that waits: memory of its host; all fields but owner are the library's. */
struct tmgr_waiter {
	unsigned state; /**< first: a thread's futex */
	int wake_fd;    /**< of a thread that has waited for a descriptor, else -1 */
	bool polling;   /**< the wake goes to wake_fd */
	/** operations that completed without waiting since it last let others run */
	unsigned char unwaited;
	const struct tmgr_waiter_ops *ops; /**< of its host */
	void *owner;                       /**< the host's */
};

/** A task's execute that a host is given to run; opaque. */
struct tmgr_hosted;

struct tmgr_executor;
struct tmgr_executor_call;

/** What a host does for the managers whose tasks it runs. */
struct tmgr_executor_ops {
	/**
	 * Get ready for one more task: allocate all that it will ever need. The host does not end
	 * before it was run or released. Any thread; 0, -ENOMEM, -EAGAIN, or -ESHUTDOWN when the
	 * host has ended.
	 */
	int (*hold)(struct tmgr_executor *host, void **ret_place);
	/** Run it in that place: call tmgr_hosted_run(). Any thread, cannot fail, never blocks. */
	void (*start)(struct tmgr_executor *host, void *place, struct tmgr_hosted *hosted);
	/**
	 * The function of a task it runs has returned this: cancel, where it failed, and wait for what
	 * the task has spawned on this host. owner is that of the waiter. In the task.
	 */
	void (*join)(struct tmgr_executor *host, void *owner, int result);
	/** It will not be run after all. Any thread. */
	void (*release)(struct tmgr_executor *host, void *place);
	/** Have a call made by the host, after those that were posted before. Any thread. */
	void (*post)(struct tmgr_executor *host, struct tmgr_executor_call *call);
	/**
	 * For the report of a host that is stuck: what it still runs, as text. Called by another
	 * thread, under a lock: short, waits for nothing.
	 */
	void (*describe)(struct tmgr_executor *host, char *buffer, size_t size);
	/**
	 * As start, of many that were held: of all that tmgr_hosted_take() gives, in this order. A run
	 * begins with them. NULL: each is started by itself.
	 */
	void (*start_all)(struct tmgr_executor *host, struct tmgr_hosted *first);
};

/** A host that is not one of the library's threads: tasks name it in their options. struct tmgr_loop
 * begins with one. */
struct tmgr_executor {
	const struct tmgr_executor_ops *ops; /**< static */
	/** the record of the task that runs it, while it does; the library's, atomic */
	struct tmgr__record *runner;
	char left[128]; /**< what it still ran when it got stuck */
};

/** A call to be made by a host: memory of who posts it; all fields are the library's. */
struct tmgr_executor_call {
	struct tmgr_executor_call *next;
	void (*function)(void *self);
	void *self;
};

/** A thread of control below a task, that is no task of its own: a coroutine. */
struct tmgr_strand_setup {
	struct tmgr_context *parent; /**< below whose token it is, and whose record it uses */
	struct tmgr_waiter *waiter;  /**< its own, initialized */
	struct tmgr_executor *host;  /**< where its children run */
	const char *name;            /**< borrowed until it has ended */
	/** its token is of no use any more: whoever referred to it has let go */
	void (*release)(void *owner);
	void *owner; /**< for release */
	/** parent is a strand too, and whatever this host does with both it does on one thread, to
	 * tmgr_strand_unref(); this costs less */
	bool same_thread;
};

TMGR_BEGIN_DECLS

/**
 * Make a waiter of any memory, idle.
 *
 * @param waiter  written
 * @param ops     static
 * @param owner   the host's
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_waiter_init(
	struct tmgr_waiter *waiter, const struct tmgr_waiter_ops *ops, void *owner);

/**
 * End a wait because its deadline has come. For counted hosts.
 *
 * @param waiter  one that is parked, or was
 *
 * @return true: it was waiting, and the caller is the one to wake it; false: somebody else is
 *
 * @thread any thread
 */
TMGR_API bool tmgr_waiter_expire(struct tmgr_waiter *waiter);

/**
 * End a wait because what it waits for has come. For hosts.
 *
 * @param waiter  one that is parked, or was
 *
 * @return true: it was waiting, and the caller is the one to wake it; false: somebody else is
 *
 * @thread any thread
 */
TMGR_API bool tmgr_waiter_fire(struct tmgr_waiter *waiter);

/**
 * Wait for something that only this host's own thread announces, with tmgr_waiter_fire() and a wake:
 * a descriptor of its own, a queue of its own. Nobody else of the host runs between the call and the
 * parking: who looks, and then calls this, misses nothing.
 *
 * @param context      the task's or coroutine's
 * @param ret_waiter   written before it parks, and NULL again when it goes on
 * @param what         static, for snapshots
 * @param deadline     absolute, monotonic, nanoseconds
 *
 * @retval 0           it was announced
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EINVAL     an argument is NULL
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_wait_announced(struct tmgr_context *context, struct tmgr_waiter **ret_waiter,
	const char *what, int64_t deadline);

/**
 * Count an operation that completed without waiting: every 256th lets others of the host run. What
 * completes inside the library's own waits is counted already.
 *
 * @param context  NULL does nothing
 *
 * @thread the task's
 */
TMGR_API void tmgr_context_count_operation(struct tmgr_context *context);

/**
 * Whether a wait begun now would return -ECANCELED at once: for what tries before it waits, and is to
 * take nothing then. Unlike tmgr_context_cancelled() it heeds uninterrupted scopes.
 *
 * @param context  NULL is never cancelled
 *
 * @retval 0           it would wait
 * @retval -ECANCELED  the token has fired
 *
 * @thread the task's
 */
TMGR_API int tmgr_context_interrupted(const struct tmgr_context *context);

/**
 * The waiter of a context.
 *
 * @param context  a context
 *
 * @return borrowed; NULL gives NULL
 *
 * @thread the task's
 */
TMGR_API struct tmgr_waiter *tmgr_context_waiter(const struct tmgr_context *context);

/**
 * The host a context's task runs on.
 *
 * @param context  a context
 *
 * @return borrowed; NULL on a thread
 *
 * @thread the task's
 */
TMGR_API struct tmgr_executor *tmgr_context_executor(const struct tmgr_context *context);

/**
 * What a context waits for, as in snapshots.
 *
 * @param context  a context; may be another thread's, as long as it is there
 *
 * @return static, "" when it is not in a wait
 *
 * @thread any thread
 */
TMGR_API const char *tmgr_context_waiting(const struct tmgr_context *context);

/**
 * Change which context tmgr_context_current() gives on this thread: a host does so whenever another
 * thread of control goes on.
 *
 * @param context  may be NULL
 *
 * @return the one that was current
 *
 * @thread any thread
 */
TMGR_API struct tmgr_context *tmgr_context_switch(struct tmgr_context *context);

/**
 * Where this thread keeps which context is current: for hosts that switch often, and then do so
 * themselves, by reading and writing it.
 *
 * @return borrowed as long as the thread
 *
 * @thread any thread; what it points to is this thread's alone
 */
TMGR_API struct tmgr_context **tmgr_context_place(void);

/**
 * Bytes of memory a strand needs: its context, token and error text; aligned as malloc() does.
 *
 * @return bytes
 *
 * @thread any thread
 */
TMGR_API size_t tmgr_strand_size(void);

/**
 * Make a strand, before it begins.
 *
 * @param memory  tmgr_strand_size() bytes; borrowed until release is called
 * @param setup   copied
 *
 * @return its context, in that memory
 *
 * @thread any thread, while the parent's function runs
 */
TMGR_API struct tmgr_context *tmgr_strand_init(void *memory, const struct tmgr_strand_setup *setup);

/**
 * Make a strand again of memory that was one's before and was released since, with the same waiter,
 * host, name, release and owner. This costs less.
 *
 * @param context      as tmgr_strand_init() returned it
 * @param parent       below whose token it is now
 * @param same_thread  as in the setup
 *
 * @thread any thread, while the parent's function runs
 */
TMGR_API void tmgr_strand_init_again(
	struct tmgr_context *context, struct tmgr_context *parent, bool same_thread);

/**
 * It begins: its context becomes current.
 *
 * @param context  of a strand
 *
 * @retval 0           begun
 * @retval -ECANCELED  its token has fired before; it is not to run
 *
 * @thread the strand's
 */
TMGR_API int tmgr_strand_begin(struct tmgr_context *context);

/**
 * Its function has returned: groups left open are cancelled and waited for.
 *
 * @param context  of a strand that has begun
 *
 * @return whether its token had fired when this was called: read first, for so a task's end is judged
 *
 * @thread the strand's; may block
 */
TMGR_API bool tmgr_strand_end(struct tmgr_context *context);

/**
 * Give its memory back: release is called, now, or by whoever refers to its token last.
 *
 * @param context  of a strand that has ended, or never began
 *
 * @thread any thread
 */
TMGR_API void tmgr_strand_unref(struct tmgr_context *context);

/**
 * Go on with a strand inside of another thread of control, whose waiter it then uses: a generator,
 * between two of its items. Its context becomes current. Waits of the other one that cancel does not
 * cut short are so in the strand too; snapshots show what it waits for as what the other one does.
 *
 * @param context  of a strand that has begun, suspended
 * @param above    of the thread of control that it goes on in; NULL: of a thread outside of tasks
 *
 * @retval 0        it goes on; leave it with tmgr_strand_suspend() or tmgr_strand_end()
 * @retval -EINVAL  context is NULL; or it was made below another token than that of above, with which
 *                  it would not be cancelled, and has not been cancelled itself
 *
 * @thread the thread of control it goes on in
 */
TMGR_API int tmgr_strand_resume(struct tmgr_context *context, struct tmgr_context *above);

/**
 * Leave a strand inside of another thread of control, to go on with it later. The context that was
 * current before it is so again.
 *
 * @param context  of a strand, current
 *
 * @thread the strand's
 */
TMGR_API void tmgr_strand_suspend(struct tmgr_context *context);

/**
 * The strand's own token, whether anything is below it yet or not: firing it cancels the strand.
 *
 * @param context  of a strand
 *
 * @return borrowed as long as the memory is
 *
 * @thread any thread
 */
TMGR_API struct tmgr_token *tmgr_strand_token(struct tmgr_context *context);

/**
 * Have the strand's own token fire with what is above it, as it does anyway once the strand waits:
 * for callbacks on it.
 *
 * @param context  of a strand that has not ended
 *
 * @thread the host's
 */
TMGR_API void tmgr_strand_link(struct tmgr_context *context);

/**
 * Put an error of a strand that has ended into the report of its manager, with its text. Its memory
 * stays until the manager is destroyed; then release is called.
 *
 * @param context  of a strand that has ended, taken
 * @param error    a negative errno
 *
 * @thread the host's
 */
TMGR_API void tmgr_strand_keep_error(struct tmgr_context *context, int error);

/**
 * A task now runs this host; tasks that name it may be started.
 *
 * @param host     a host
 * @param context  of the task, in execute
 *
 * @retval 0        begun
 * @retval -EBUSY   another task runs it
 * @retval -EINVAL  an argument is NULL
 *
 * @thread the task's
 */
TMGR_API int tmgr_executor_enter(struct tmgr_executor *host, struct tmgr_context *context);

/**
 * The task that runs this host is about to return.
 *
 * @param host  a host that was entered
 *
 * @thread the task's
 */
TMGR_API void tmgr_executor_leave(struct tmgr_executor *host);

/**
 * The context of a task that a host was given, to become current where it runs.
 *
 * @param hosted  as given to start
 *
 * @return borrowed until tmgr_hosted_run() returns
 *
 * @thread any thread
 */
TMGR_API struct tmgr_context *tmgr_hosted_context(struct tmgr_hosted *hosted);

/**
 * The next of those that a host is to start, with the place that hold gave for it.
 *
 * @param first      as given to start_all; on return the one after it, NULL when it was the last
 * @param ret_place  written when there was one
 *
 * @return as start is given it; NULL: there is none left
 *
 * @thread any thread; one at a time
 */
TMGR_API struct tmgr_hosted *tmgr_hosted_take(struct tmgr_hosted **first, void **ret_place);

/**
 * Run a task that a host was given, and record its end.
 *
 * @param hosted  as given to start; gone afterwards
 * @param ops     of the waiter the task gets
 * @param owner   of that waiter
 *
 * @thread the host's; may block
 */
TMGR_API void tmgr_hosted_run(
	struct tmgr_hosted *hosted, const struct tmgr_waiter_ops *ops, void *owner);

/**
 * A task that a host was running will never go on, for its thread was ended by pthread_exit(): its
 * end is recorded as unexpected.
 *
 * @param hosted  as given to start, begun or not; gone afterwards
 *
 * @thread any thread
 */
TMGR_API void tmgr_hosted_exited(struct tmgr_hosted *hosted);

TMGR_END_DECLS

#endif
