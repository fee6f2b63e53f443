/*
 * The manager from inside. Its lock guards all fields of it and of its records that do not say
 * otherwise.
 *
 * The lock is taken with no other lock held, and inside it only the events' lock is taken. What
 * must not be done under it (waking, firing the token) is noted in `deferred` and done by
 * tmgr__manager_unlock().
 */
#ifndef TMGR__MANAGER_H
#define TMGR__MANAGER_H

#include <limits.h>
#include <signal.h>

#include <taskmgr/manager.h>

#include "clock.h"
#include "events.h"
#include "names.h"
#include "pool.h"
#include "record.h"
#include "reload.h"

struct tmgr__signals;

/* The least a thread's stack may have. */
#define TMGR__STACK_MIN ((size_t)64 * 1024)

/* What to do after unlocking. */
enum {
	TMGR__DEFER_FIRE = 1, /* fire the token with stop_cause */
	TMGR__DEFER_WAKE_RUN = 2,
	TMGR__DEFER_WAKE_WATCHER = 4,
	TMGR__DEFER_WAKE_EVENTS = 8,
	TMGR__DEFER_SETTLE = 32,     /* complete the futures of stuck tasks */
	TMGR__DEFER_FIRE_PHASE = 16, /* fire the token of the task that initializes */
};

/* An add that failed before run: it is remembered for the report. */
struct tmgr__refused {
	struct tmgr__list node;
	struct tmgr_report_entry entry;
	char name[TMGR_NAME_MAX + 1];
};

struct tmgr__handle_slot {
	struct tmgr__record *record; /* referenced; NULL: free */
	uint32_t generation;
};

/* The gate that threads of long-running tasks wait at. */
enum { TMGR__GATE_SHUT, TMGR__GATE_OPEN, TMGR__GATE_ABORT };

struct tmgr_manager {
	struct tmgr__lock lock;
	uint32_t refs; /* atomic */
	unsigned deferred;
	struct tmgr_manager_options options; /* with the defaults filled in */
	enum tmgr_manager_state state;
	unsigned fork_generation; /* of the process it has run in; atomic, 0: it has not */
	struct tmgr_token *token;
	struct tmgr_token_callback token_callback;
	struct tmgr__clock *clock; /* atomic: run sets that of its thread, others may be looking */
	struct tmgr__timers *timers;
	struct tmgr__events *events;
	bool own_events; /* hosted by a task, and yet with observers of its own */

	struct tmgr__arena records; /* of long-running tasks */
	struct tmgr__list tasks;    /* long-running, in order of adding */
	/* How many of these are of a kind that is looked for among all: mostly few, or none. */
	size_t with_thread, with_signal, with_inner, without_execute;
	struct tmgr__names names;   /* of these */
	struct tmgr__list executes; /* not yet ended, or with a handle */
	struct tmgr__list failed;   /* execute-tasks that failed: their entries are in the report */
	struct tmgr__strand *kept;  /* that failed: their entries are in the report */
	struct tmgr__list stuck;    /* whose futures are to be completed, through `queue` */
	struct tmgr__record *stuck_unbegun; /* the same, whose `queue` is their host's */
	struct tmgr__list groups;
	size_t executing; /* executes of tasks that run waits for */
	size_t executed;  /* execute-tasks added so far */
	size_t threads;   /* dedicated ones made for the run, of those with_thread */
	unsigned char *signal_stacks;
	struct tmgr__lock spare_lock; /* guards the next two; taken alone */
	struct tmgr__record *spare;   /* memory of ended execute-tasks, linked by `added_by` */
	size_t spares;

	struct tmgr__handle_slot *handles;
	size_t handle_slots, handle_free;

	struct tmgr__list refused;          /* adds that failed before run */
	struct tmgr__refused first_refused; /* for when even that takes memory that is not there */

	struct tmgr__pool pool;
	uint32_t gate;       /* futex */
	uint32_t run_word;   /* futex of the thread that runs: grows with all it waits for */
	bool hosts_open;     /* no task waits for the run to begin with it a host any more */
	bool hosts_released; /* or none will be given to one, for the run stops before */
	uint32_t
		hosted_ending; /* futex: tasks on other hosts whose ends are being settled; atomic */
	/* Where a coroutine runs it: that waits for `changed` instead, which is armed anew each time. */
	struct tmgr_context *run_context;
	bool run_parked;
	struct tmgr_future run_changed;

	bool stopping; /* the stop has begun: nothing is added any more */
	bool second_signal;
	bool started, waited; /* by tmgr_manager_start() and _wait(), on the run's thread */
	size_t stuck_executes;
	struct tmgr_cause stop_cause;
	int64_t began, stop_began, shutdown_deadline;
	bool stop_warned;
	/* whose initialize or cleanup runs on the run's thread */
	struct tmgr__record *phase_record;

	pthread_t watcher;
	bool watching;       /* the watcher was made */
	bool hung;           /* an initialize or cleanup did not end by the total deadline */
	uint32_t watch_word; /* futex of the watcher; also written by signal handlers */
	bool watch_end;
	int64_t check_at;  /* the earliest deadline of a record */
	int cancel_signal; /* atomic: tmgr_manager_cancel_from_signal(), the signal + 1 */
	struct tmgr__signals *signals; /* when this run takes them */
	struct tmgr__reload reload;
	uint64_t interrupts; /* signals taken for interrupting tasks, as bits; the signals' lock */
	bool interrupts_closed; /* none is taken any more; the signals' lock */
	bool is_main; /* under tmgr_main(): leave by _exit() when it hangs, keep the signals */
	int forced_signal;

	struct tmgr_manager *outer; /* whose task hosts this one, while it does */
	struct tmgr__record *outer_record;
	char *path_prefix; /* "outer/", or NULL */

	struct tmgr_report report;
	struct tmgr_report_entry start_entry; /* a lack of threads or memory at the start */
	const struct tmgr_report_entry **entries_last;
	bool reported;
};

static inline void tmgr__manager_lock(struct tmgr_manager *manager)
{
	tmgr__lock_acquire(&manager->lock);
}

void tmgr__manager_unlock_deferred(struct tmgr_manager *manager);

static inline void tmgr__manager_unlock(struct tmgr_manager *manager)
{
	if (__builtin_expect(manager->deferred != 0, 0))
		tmgr__manager_unlock_deferred(manager);
	else
		tmgr__lock_release(&manager->lock);
}

static inline int64_t tmgr__manager_now(const struct tmgr_manager *manager)
{
	return tmgr__clock_now(__atomic_load_n(&manager->clock, __ATOMIC_ACQUIRE));
}

/* -ECHILD in a child forked from the process it has run in, else 0. */
int tmgr__manager_check_fork(const struct tmgr_manager *manager);

/* All under the lock. */
void tmgr__manager_refuse(
	struct tmgr_manager *manager, const char *name, int error, const char *rule);
void tmgr__manager_begin_stop(struct tmgr_manager *manager, const struct tmgr_cause *cause);
/* Begin the stop that the token's firing means, if nobody has yet. */
void tmgr__manager_heed_token(struct tmgr_manager *manager);
void tmgr__manager_add_entry(struct tmgr_manager *manager, struct tmgr_report_entry *entry);
void tmgr__manager_event(struct tmgr_manager *manager, enum tmgr_event_kind kind,
	const struct tmgr__record *record, int code, const char *text);
/* The same for kinds that only who debugs wants: mostly it is a look. */
static inline void tmgr__manager_debug_event(struct tmgr_manager *manager,
	enum tmgr_event_kind kind, const struct tmgr__record *record, int code)
{
	if (__builtin_expect(tmgr__events_wanted(manager->events, TMGR_LEVEL_DEBUG), 0))
		tmgr__manager_event(manager, kind, record, code, "");
}
static inline void tmgr__manager_set_state(struct tmgr_manager *manager,
	struct tmgr__record *record, enum tmgr_state state, int64_t now)
{
	tmgr__record_set_state(record, state, now);
	tmgr__manager_debug_event(manager, TMGR_EVENT_STATE, record, (int)state);
}
/* An error, and the rule or the text that goes with it. */
struct tmgr__told_error {
	int code;
	const char *text;
};

/*
 * An event of a call that failed (`what`), by a task that may have no record; "" for none. The text
 * is not NULL.
 */
void tmgr__manager_tell_misuse(struct tmgr_manager *manager, const char *name, const char *what,
	struct tmgr__told_error error);
void tmgr__manager_tell_stop(struct tmgr_manager *manager, const struct tmgr_cause *cause);
/* A deadline of a record has moved to `at`: the watcher looks then. */
void tmgr__manager_check_at(struct tmgr_manager *manager, int64_t at);
/* Whether executing is over, and what that means; wakes run. */
void tmgr__manager_look_quiet(struct tmgr_manager *manager);
/* The path of a record, as tmgr_context_path(). */
size_t tmgr__manager_path(
	const struct tmgr_manager *manager, const char *name, char *buffer, size_t size);

/* Ending (end.c). */
/*
 * Under the lock: execute of a record has ended. False: it was stuck, and its late end is thrown
 * away.
 */
bool tmgr__record_end(struct tmgr__record *record, struct tmgr__end end, int64_t now);
/* Under the lock: it never began, since it was cancelled. */
void tmgr__record_skip(struct tmgr__record *record, int64_t now);
/* Under the lock: it leaves its stop group, if it has one. */
void tmgr__record_leave_group(struct tmgr__record *record);
/* Whether tmgr__record_settle() has something to do. */
bool tmgr__record_unsettled(const struct tmgr__record *record);
/*
 * After either, with no lock held: complete its future, destroy an execute-task, give its memory
 * back.
 */
void tmgr__record_settle(struct tmgr__record *record);
/* Give the memory of an ended execute-task back, or keep it for the next. No lock held. */
void tmgr__record_recycle(struct tmgr__record *record);
/* Under the lock: it is stuck. */
void tmgr__record_mark_stuck(struct tmgr__record *record, int64_t now);
/* The same of one that its host was given, and has not begun. */
void tmgr__record_mark_unbegun(struct tmgr__record *record, int64_t now);
/* Under the lock: note an error of a stage; its text is the record's. */
void tmgr__record_fail(struct tmgr__record *record, enum tmgr_report_kind kind,
	enum tmgr_stage stage, int error, int detail);
/* Execute it on this thread; returns how it ended. No lock held. */
struct tmgr__end tmgr__record_execute(struct tmgr__record *record);
struct tmgr__end tmgr__record_exited(struct tmgr__record *record);

/* Memory of execute-tasks, under spare_lock. */
struct tmgr__record *tmgr__manager_take_spare(struct tmgr_manager *manager);
bool tmgr__manager_keep_spare(struct tmgr_manager *manager, struct tmgr__record *record);

/* Threads (thread.c). */
int tmgr__thread_create(
	pthread_t *thread, size_t stack_size, void *(*function)(void *), void *self);
size_t tmgr__signal_stack_size(void);
/* What every thread of ours does first. */
void tmgr__thread_enter(struct tmgr__clock *clock, const char *name, unsigned char *signal_stack);
int tmgr__thread_start(struct tmgr__record *record, unsigned char *signal_stack);

/* The watcher (watcher.c). */
int tmgr__watcher_start(struct tmgr_manager *manager);
/* Leave the program, by a signal that is not to wait any more, naming all that has not ended. */
_Noreturn void tmgr__watcher_give_up(struct tmgr_manager *manager, int signo);
/* Begin the stop that tmgr_manager_cancel_from_signal() noted, if it did. */
void tmgr__watcher_take_cancel(struct tmgr_manager *manager);
void tmgr__watcher_stop(struct tmgr_manager *manager);
/* When an execute is stuck, by its stop timeout and the time of all; TMGR_NEVER before it is told. Lock held. */
int64_t tmgr__watcher_stop_deadline(const struct tmgr__record *record);
/* No lock held; async-signal-safe. */
void tmgr__watcher_wake(struct tmgr_manager *manager);

/* Handles (handle.c), under the lock. */
int tmgr__handle_reserve(struct tmgr_manager *manager);
/* The record's handle, and a reference for it. A slot was reserved. */
struct tmgr_handle tmgr__handle_give(struct tmgr_manager *manager, struct tmgr__record *record);

/* The record was refused after all: its handle is stale. */
void tmgr__handle_take_back(struct tmgr_manager *manager, struct tmgr__record *record);

/* Hosts that are not threads (host.c). No lock held: what `record->on` will need. */
int tmgr__host_hold(struct tmgr__record *record);
/* Give that back, if it has not been started. */
void tmgr__host_release(struct tmgr__record *record);
void tmgr__host_start(struct tmgr__record *record);
/* Whether the host runs, or will, in this manager or one around it. */
bool tmgr__host_is_served(struct tmgr_manager *manager, struct tmgr_executor *host);
/* Start all that waited for the manager to run. */
void tmgr__host_open(struct tmgr_manager *manager);
/* Wait until the end of each task on another host is settled. */
void tmgr__host_join(struct tmgr_manager *manager);
/* Give the memory of strands back that failed. */
void tmgr__strands_destroy(struct tmgr_manager *manager);

/* Signals (signals.c). */
int tmgr__signals_start(struct tmgr_manager *manager);
/* Note the caller's mask, for programs that are started. */
void tmgr__signals_note_mask(void);
void tmgr__signals_stop(struct tmgr_manager *manager);
/*
 * Have a signal that interrupts tasks do nothing else, from now until all that took it have given
 * it back.
 */
void tmgr__interrupt_take(struct tmgr_manager *manager, int signo);
/* All, and take none from now on: once the manager has begun to stop. */
void tmgr__interrupts_give_back(struct tmgr_manager *manager);
/* On the watcher: take signals on this thread. */
void tmgr__signals_unblock(struct tmgr_manager *manager);
/* On the watcher: act on what has arrived; when to look again. */
int64_t tmgr__signals_deliver(struct tmgr_manager *manager, int64_t now);
struct tmgr_manager *tmgr__manager_root(struct tmgr_manager *manager);

/*
 * Children of task groups (group.c). Under the lock: one has ended; and the task that spawned it,
 * or NULL for others.
 */
void tmgr__child_end(struct tmgr__record *record, struct tmgr__end end);
/* Put it, with its error, into its group, in order of recording. */
void tmgr__child_keep_failed(struct tmgr__record *record);
struct tmgr__record *tmgr__child_parent(const struct tmgr__record *record);
/*
 * Under the lock: it is stuck, and so nobody would start those behind it: run drops them, once they
 * are cancelled.
 */
void tmgr__child_give_up(struct tmgr__record *record);
/* No lock held: tell the group, and give the child's memory back. */
void tmgr__child_settle(struct tmgr__record *record, struct tmgr_group *group);
/* As tmgr_spawn(), but a task that is refused is left to the caller. */
int tmgr__spawn(struct tmgr_context *context, struct tmgr_group *group, struct tmgr_task task,
	struct tmgr_handle *ret_handle);
/* End the groups left open below a context. */
void tmgr__groups_close(struct tmgr_context *context);

/*
 * Adding (add.c), for spawn too: under the lock, which is given back. On failure the record is as
 * before.
 */
int tmgr__manager_submit(struct tmgr_manager *manager, struct tmgr__record *record);

/*
 * Under the lock: list all that is left to be cleaned up, and will not be, since the program leaves
 * (run.c).
 */
void tmgr__phase_skip_cleanups(struct tmgr_manager *manager);
/* Leave the program with what stands in the report so far (main.c). */
_Noreturn void tmgr__main_leave(struct tmgr_manager *manager);

/* The report (report.c): filled from what was recorded. */
void tmgr__report_build(struct tmgr_manager *manager);

#endif
