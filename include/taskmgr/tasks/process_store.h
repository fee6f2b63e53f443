/**
 * @file
 * For those who write stores: where durable processes are kept. Whoever only writes processes needs
 * nothing of this.
 *
 * A store keeps rows. The engine has all of them in memory: it reads them once, when it starts, and
 * from then on only tells the store what has changed. It gives each thing that happened (a step of a
 * process, a message from outside, a timer that fired) as a step: a list of changes that belong
 * together. A batch is the steps that queued up while the last batch was being made durable.
 *
 * The rules a store keeps:
 *
 * 1. A batch is all or nothing, and so is each step in it. Steps take effect in the order given.
 * 2. When commit() returns 0 the batch survives a power cut. Nobody is told of a step before.
 * 3. Each step's sequence is greater than that of the one before. A store remembers the greatest it
 *    has; a step at or below it is one it has already (commit() was repeated): it is skipped, which
 *    is success.
 * 4. Changes are self-contained: a PUT has the whole row and writes over what is there, a DELETE of
 *    what is not there does nothing. So a journal of them can be replayed from any point that is not
 *    later than what the tables have.
 * 5. Errors of commit(): -ENOSPC (also for a quota): nothing of the batch has happened; the runtime
 *    gives the same batch again later, with what has queued up meanwhile in a batch of its own.
 *    Any other error ends the store: after -EIO what the disk has is not known, after -ESTALE another
 *    program writes to it; all further calls but close(), destroy() and health() give -EIO, or -ESTALE
 *    again, and the runtime ends. The next open() finds out.
 *
 * Threads: open, load, lease, try_sql, abandon, commit, maintain, trim, checkpoint and close are called
 * by one thread at a time, not always the same. read_events, backup and health are called by any
 * thread, beside these and each other, between open and close.
 *
 * What is given to a store is borrowed until the function returns, what it gives to visit until that
 * returns. Texts are NUL-terminated UTF-8 and never NULL, "" where there is none.
 */
#ifndef TMGR_TASKS_PROCESS_STORE_H
#define TMGR_TASKS_PROCESS_STORE_H

#include <taskmgr/tasks/process_types.h>

/** What kind of row a change is about. The numbers are for ever: they are in files. */
enum tmgr_store_kind {
	TMGR_STORE_PROCESS = 1,
	TMGR_STORE_GOROUTINE = 2,
	TMGR_STORE_WAIT = 3,
	TMGR_STORE_CHANNEL = 4,
	TMGR_STORE_MESSAGE = 5,
	TMGR_STORE_ONCE = 6,
	TMGR_STORE_KEY = 7,
	TMGR_STORE_EVENT = 8,
};

/** What maintain() returns when there is more that is better done a second later. */
#define TMGR_STORE_LATER 2

/** What a change does. */
enum tmgr_store_op {
	TMGR_STORE_PUT = 1,
	TMGR_STORE_DELETE = 2,
};

/** A process. Key: id. */
struct tmgr_store_process {
	const char *id;
	const char *definition;
	enum tmgr_process_status status;
	uint32_t version;   /**< the highest of the definitions that have written the state */
	uint32_t cancelled; /**< 1: cancel was asked for; 2: and its method has begun */
	bool has_result;
	int error;               /**< of a failed one, or a paused one's failed goroutine */
	const char *text;        /**< why it is paused, or what failed; "" */
	uint64_t revision;       /**< counts changes of the state; for "if the version matches" */
	uint64_t steps;          /**< methods that took effect */
	int64_t created_ms;      /**< wall clock */
	int64_t changed_ms;      /**< the runtime's time: when its status became what it is */
	struct tmgr_bytes state; /**< JSON */
	struct tmgr_bytes result;
};

/** A goroutine of a process. Key: process, name. */
struct tmgr_store_goroutine {
	const char *process;
	const char *name;
	const char *method; /**< to be called next; of a blocked one, "" */
	enum tmgr_goroutine_status status;
	/**
	 * When it became ready, or blocked: order, and the identity of the step. That of a blocked
	 * one is the sequence of its waits.
	 */
	uint64_t sequence;
	int64_t since_ms;    /**< wall clock */
	uint32_t attempts;   /**< that failed */
	int64_t retry_at_ms; /**< the runtime's time; 0: at once */
	int error;           /**< of the last attempt */
	const char *text;    /**< of that error, or why it is paused */
	/* What the method is to be called with: */
	enum tmgr_arrival arrival; /**< 0 for a blocked one */
	uint32_t case_index;       /**< that fired, from 0 */
	int arrival_error;         /**< of a call's process */
	const char *from;          /**< the channel's id, or the process called */
	struct tmgr_bytes value;   /**< message or result */
};

/**
 * A case that waits, of a goroutine, or a message from outside that nobody has received.
 * Key: sequence, index. A DELETE names the sequence only and deletes all cases with it.
 */
struct tmgr_store_wait {
	uint64_t sequence; /**< the goroutine's; those of one channel are served in this order */
	uint32_t index;    /**< of the case, from 0 */
	enum tmgr_process_wait_kind kind;
	const char *process;     /**< who waits; "" for a message from outside */
	const char *goroutine;   /**< "" likewise */
	const char *target;      /**< the channel's id; the process called; "" for times */
	const char *method;      /**< to go on with; "" for a message from outside */
	int64_t at_ms;           /**< after: the runtime's time; at: the wall clock */
	struct tmgr_bytes value; /**< to be sent */
};

/**
 * A channel that was created, or closed. Key: id. One that was never created nor closed has no row: it
 * is open and unbuffered, and exists while something waits on it. A DELETE deletes its messages too.
 */
struct tmgr_store_channel {
	const char *id; /**< "process/name", or "/name" */
	uint32_t capacity;
	bool closed;
	bool created; /**< by name only: false */
};

/** A message in a buffer. Key: channel, sequence; the order is that of sequence. */
struct tmgr_store_message {
	const char *channel;
	uint64_t sequence;
	struct tmgr_bytes value;
};

/**
 * The result of an effect in a step that has not taken effect yet. Key: process, goroutine, sequence,
 * name. A DELETE names the first three and deletes all names with them.
 */
struct tmgr_store_once {
	const char *process;
	const char *goroutine;
	uint64_t sequence; /**< the goroutine's, when it became ready */
	const char *name;
	struct tmgr_bytes value;
};

/** That a key was used: what came with it is done. Key: key. */
struct tmgr_store_key {
	const char *key; /**< the channel's id, a slash, and what the sender gave */
	int64_t at_ms;   /**< the runtime's time, for forgetting it */
};

/** One change of one row. A DELETE has the fields of the key. */
struct tmgr_store_change {
	enum tmgr_store_op op;
	enum tmgr_store_kind kind;
	union {
		struct tmgr_store_process process;
		struct tmgr_store_goroutine goroutine;
		struct tmgr_store_wait wait;
		struct tmgr_store_channel channel;
		struct tmgr_store_message message;
		struct tmgr_store_once once;
		struct tmgr_store_key key;
		struct tmgr_process_event event; /**< only PUT; key: sequence */
	} row;
};

/** Changes that belong together. */
struct tmgr_store_step {
	uint64_t sequence;                       /**< greater than the one before */
	const struct tmgr_store_change *changes; /**< in the order to be made */
	size_t count;                            /**< of changes, above 0 */
};

/** Steps that are made durable together. */
struct tmgr_store_batch {
	uint32_t partition; /**< 0 where there is one */
	uint64_t epoch;     /**< of the lease; 0 where there is none */
	int64_t now_ms;     /**< the runtime's time: kept with the batch */
	const struct tmgr_store_step *steps;
	size_t count; /**< of steps, above 0 */
};

/** The user's own statements of one step, to be made with the next batch. */
struct tmgr_store_trial {
	const struct tmgr_sql_statement *statements;
	size_t count;
	int result;                        /**< written: 0, or why none of them has happened */
	char text[TMGR_PROCESS_TEXT_SIZE]; /**< written: the message for that, UTF-8, or "" */
};

/** What a store has found when it was opened. */
struct tmgr_store_opened {
	uint64_t sequence; /**< the greatest of a step; 0: none */
	int64_t now_ms;    /**< the greatest of a batch; 0: none */
	bool recovered;    /**< something had to be done before: what, is in the health's text */
};

/** The hold of a daemon on a partition, for stores that several share. */
struct tmgr_store_lease {
	uint32_t partition;
	char owner[64]; /**< who asks */
	int64_t ttl_ms; /**< for how long from now */
	uint64_t epoch; /**< written: grows with each owner; goes with each batch */
};

/** How a store stands. Counts are since it was opened. */
struct tmgr_store_health {
	int error;                         /**< 0, -ENOSPC while it is full, or what ended it */
	char text[TMGR_PROCESS_TEXT_SIZE]; /**< of that, or what recovery did; "" */
	uint64_t batches, steps, changes;  /**< committed */
	uint64_t bytes;                    /**< written, as far as it knows */
	uint64_t journal_steps;            /**< committed and not yet in the tables */
	uint64_t file_bytes;               /**< the size of what it has on disk */
	uint64_t log_bytes;                /**< of these, of the write-ahead log */
	int64_t commit_last_ns, commit_max_ns;
};

struct tmgr_store;

/** What the history is cut to. */
struct tmgr_store_trim {
	int64_t before_ms;   /**< wall clock: older ones go; 0: none for their age */
	uint64_t events_max; /**< only so many, the newest, stay; 0: no limit */
	size_t rows_max;     /**< delete at most so many in this call */
};

/** Which events are read. */
struct tmgr_store_query {
	uint64_t after;      /**< with a sequence above this */
	const char *process; /**< of this one only; NULL: of all */
	size_t count_max;    /**< at most so many */
};

/** The functions of a store. Static; those that may be NULL say so. */
struct tmgr_store_ops {
	/** "memory", "sqlite" */
	const char *kind;
	/**
	 * Begin: take the lock, recover. 0; -EBUSY: another program has it; -EIO; -ENOSPC; -EBADMSG:
	 * what is there is not a store, or damaged; -EPROTO: it is of a later version; -ENOMEM.
	 */
	int (*open)(struct tmgr_store *store, struct tmgr_store_opened *ret_opened);
	/**
	 * Take a partition, or extend the lease of it. 0; -EBUSY: another has it. Then commit() with an
	 * older epoch gives -ESTALE, which ends the runtime there. NULL: one daemon owns the store.
	 */
	int (*lease)(struct tmgr_store *store, struct tmgr_store_lease *lease);
	/**
	 * Visit each row of a partition but events, as a PUT: processes, then channels, messages,
	 * goroutines, waits (by sequence and index), once, keys; messages by sequence. An error of visit ends it and is
	 * returned. -EBADMSG: damaged.
	 */
	int (*load)(struct tmgr_store *store, uint32_t partition,
		int (*visit)(void *self, const struct tmgr_store_change *row), void *self);
	/**
	 * Execute each trial's statements in the transaction that the next commit() ends; all or none of
	 * each. Its result: 0; -EEXIST for a constraint; -EINVAL for a mistake in it; -ETIMEDOUT where
	 * it ran for too long; -EAGAIN where it may succeed later. All of one transaction are given at
	 * once. Returns 0, or an error as commit() does; or, where they were given in several calls all
	 * the same, -EAGAIN: a statement has undone those of all, as abandon() does. NULL: no SQL.
	 */
	int (*try_sql)(struct tmgr_store *store, struct tmgr_store_trial *trials, size_t count);
	/** Undo all trials since the last commit. NULL where try_sql is. */
	void (*abandon)(struct tmgr_store *store);
	/** Make a batch durable, with the trials since the last one: rules 1 to 5. */
	int (*commit)(struct tmgr_store *store, const struct tmgr_store_batch *batch);
	/**
	 * Work that can wait, such as copying the journal into the tables: called after each commit, and
	 * while there is nothing else to do. Return after about budget_ns; with idle false only
	 * what keeps the journal bounded. 1: there is more; TMGR_STORE_LATER: there is, and what
	 * follows within a second may make it less; 0: none; an error as of commit(). May be NULL.
	 */
	int (*maintain)(struct tmgr_store *store, int64_t budget_ns, bool idle);
	/** Delete old events. 1: there are more; 0: none; an error as of commit(). */
	int (*trim)(struct tmgr_store *store, const struct tmgr_store_trim *trim);
	/**
	 * Visit events that were committed, in order of sequence. An error of visit ends it and is
	 * returned. Any thread.
	 */
	int (*read_events)(struct tmgr_store *store, const struct tmgr_store_query *query,
		int (*visit)(void *self, const struct tmgr_process_event *event), void *self);
	/** All work that can wait, and the log truncated: at the end, or when asked for. May be NULL. */
	int (*checkpoint)(struct tmgr_store *store);
	/**
	 * Copy all that was committed, as it is at one moment, into a new file, and wait until the disk
	 * has it. cancelled is asked between pieces: true, and nothing is left. 0; -EEXIST; -ECANCELED;
	 * what opening or writing the file gives; -EIO: the store has ended. No error of it ends the
	 * store, whose commits go on meanwhile. Any thread. NULL: it cannot.
	 */
	int (*backup)(struct tmgr_store *store, const char *path, bool (*cancelled)(void *self),
		void *self);
	/** How it stands. Any thread. */
	void (*health)(struct tmgr_store *store, struct tmgr_store_health *ret_health);
	/** Give up the lock. What was committed stays so. Also after an error. */
	int (*close)(struct tmgr_store *store);
	/** Release it; it is closed. */
	void (*destroy)(struct tmgr_store *store);
};

/** A store: the first member of what each kind has. */
struct tmgr_store {
	const struct tmgr_store_ops *ops;
};

TMGR_BEGIN_DECLS

/**
 * A store in memory, for tests: nothing is left when the program ends. It can be opened again after
 * it was closed.
 *
 * @param ret_store  returned, release with tmgr_store_destroy()
 *
 * @retval 0        made
 * @retval -EINVAL  ret_store is NULL
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_store_memory_create(struct tmgr_store **ret_store);

/**
 * Have the commits of a store in memory fail, for tests of what a full or broken disk does.
 *
 * @param store  one made by tmgr_store_memory_create()
 * @param error  -ENOSPC: until it is set to 0; another one: the store has ended, as after a failed
 *               sync; 0: none
 *
 * @retval 0        set
 * @retval -EINVAL  store is NULL or of another kind, or error is above 0
 *
 * @thread any thread
 */
TMGR_API int tmgr_store_memory_fail(struct tmgr_store *store, int error);

/**
 * A copy of a store in memory as a program would find it that starts after this one was killed now:
 * what was committed.
 *
 * @param store      one made by tmgr_store_memory_create(), open or not
 * @param ret_store  returned, closed; release with tmgr_store_destroy()
 *
 * @retval 0        made
 * @retval -EINVAL  an argument is NULL, or the store is of another kind
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_store_memory_copy(struct tmgr_store *store, struct tmgr_store **ret_store);

/**
 * Release a store that is closed.
 *
 * @param store  taken; NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_store_destroy(struct tmgr_store *store);

TMGR_END_DECLS

#endif
