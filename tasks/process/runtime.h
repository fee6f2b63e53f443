/*
 * The runtime: who owns what.
 *
 * The engine belongs to one thread, that of the runtime's task: it takes what came in, applies it, gives
 * the store batches, and gives workers processes whose methods are to be called. The store is called by
 * one more thread, which gets one order at a time. Workers read of the engine only what belongs to the
 * process that they run (see step.h).
 *
 * Everything comes in through the inbox: requests from outside, methods that have returned. `lock` guards the inbox,
 * the jobs, the steps that are free or run, the order, and the state; it is held for a few instructions
 * and over no call. `closing` is held for reading by who reads events, for writing by who closes the store.
 *
 * Backups are made beside all that, by one more thread while there is one.
 *
 * Nobody is answered before the store has what the answer tells of: an answer carries the sequence it
 * waits for.
 *
 * Stopping: requests are refused, workers finish what they run, all is stored, the store is closed. A
 * method that has not returned when the time is nearly up is left behind: what it returns later is
 * dropped, and the engine's memory, which it may read, goes with the last reference, which its worker
 * has.
 */
#ifndef TMGR__PROCESS_RUNTIME_H
#define TMGR__PROCESS_RUNTIME_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <taskmgr/sync.h>
#include <taskmgr/tasks/process_runtime.h>
#include <taskmgr/thread_call.h>

#include "taskmgr/base/list.h"
#include "taskmgr/base/sync.h"

#include "tasks/process/engine.h"
#include "tasks/process/step.h"

/* Kinds of requests that only we make. */
enum { TMGR__REQUEST_ONCE = 100, TMGR__REQUEST_FOLLOW };

struct tmgr_process_request {
	struct tmgr__list link; /* inbox, or those who wait */
	atomic_int refs;        /* the asker's and the runtime's */
	struct tmgr_future future;
	unsigned kind; /* enum tmgr_process_command_kind, or above */
	struct tmgr__apply apply;
	struct tmgr_process_filter filter;
	struct tmgr__edefinition *definition;
	uint64_t sequence; /* that must be durable before the answer; of a FOLLOW: above which */
	int error;         /* the answer */
	struct tmgr__blob *value;
	struct tmgr_process_info *infos;
	struct tmgr_process_channel_info *channels;
	size_t count;
	struct tmgr_state_memory *memory; /* of infos and channels */
	char texts[];                     /* what was asked, copied */
};

/* A step with its place: free, running, or with its outcome in the inbox. */
struct tmgr__job {
	struct tmgr_process step;
	struct tmgr__list link;
	struct tmgr_processes *processes;
	bool late; /* the engine's: it was called stuck */
};

/* Workers of one kind: what is to be run, in order, and how many may come for it. */
struct tmgr__crew {
	struct tmgr__crew *next;
	char definition[TMGR_PROCESS_NAME_MAX + 1]; /* "": all others */
	struct tmgr__eprocess *first, *last;        /* by run_next */
	struct tmgr_semaphore jobs;
};

enum tmgr__order {
	TMGR__ORDER_NONE,
	TMGR__ORDER_TRY,
	TMGR__ORDER_ABANDON,
	TMGR__ORDER_COMMIT,
	TMGR__ORDER_CHECKPOINT,
};

enum tmgr__runtime_state {
	TMGR__RUNTIME_MADE,
	TMGR__RUNTIME_OPEN,
	TMGR__RUNTIME_STOPPING,
	TMGR__RUNTIME_CLOSED,
};

struct tmgr_processes {
	atomic_int refs;
	struct tmgr_processes_options options;
	struct tmgr_store *store;
	struct tmgr__engine *engine;

	struct tmgr__lock lock;
	enum tmgr__runtime_state state;
	int define_error; /* of the first definition that was refused, and why */
	char define_text[TMGR_PROCESS_TEXT_SIZE];
	struct tmgr__list inbox;    /* requests */
	struct tmgr__list returned; /* jobs whose methods have returned */
	struct tmgr__list running;  /* jobs */
	struct tmgr__list spare;    /* jobs */
	struct tmgr__crew *crews;   /* the last is for all others */
	struct tmgr__crew general;
	struct tmgr_flag work; /* for the engine's thread */
	size_t queued;         /* processes in crews */

	/* The engine's thread only: */
	struct tmgr__changes batches[2];
	int building;                  /* which */
	bool in_flight;                /* the other one is with the store, or waits for room */
	struct tmgr__list unanswered;  /* by sequence */
	struct tmgr__list waiting;     /* for the ends of processes, and followers */
	struct tmgr__list trials;      /* jobs whose statements are to be tried */
	struct tmgr__list trying;      /* those that the store was given */
	struct tmgr__list tried;       /* jobs whose statements are in the transaction */
	struct tmgr__list store_asked; /* requests for a checkpoint */
	bool asked_next;               /* those before another batch */
	int64_t retry_at;              /* of a batch that found no room; monotonic, ns; 0: none */
	bool no_room, told_no_room;    /* since then, until one was committed; the log says so */
	int64_t check_at;              /* when a method may be late; monotonic, ns */
	int64_t memory_at; /* of what found no memory, and is held; likewise; 0: nothing is */
	int64_t trim_at;
	bool stopping;                /* no more methods are called */
	bool recovered;               /* the store had something to do at its opening */
	int failed;                   /* what has ended it */
	struct tmgr_context *context; /* of its task, while that executes */
	int64_t lines_until;  /* of the second in which so many lines were logged; monotonic, ns */
	size_t lines, untold; /* and so many were too many */

	/* The order: given by the engine's thread, done by the store's. */
	enum tmgr__order order;
	bool done; /* and not yet looked at */
	bool quit; /* the thread ends when it has done it; set before it began: it does nothing */
	bool store_begun;
	int result;
	struct tmgr_store_batch batch;
	struct tmgr_store_trial *orders_trials;
	size_t trial_count;
	struct tmgr_flag store_work;

	/* The backup that is being made, by a thread of its own. */
	struct tmgr__list backups_asked;     /* requests; the engine's thread */
	struct tmgr_process_request *backup; /* NULL: none; the engine's thread */
	struct tmgr_thread_call backup_call;
	bool backup_done; /* under lock */

	/* Time. */
	int64_t base_now_ms, base_ns; /* our time, and the monotonic clock's, at the opening */
	int64_t virtual_ns, virtual_wall_ms; /* single-threaded */
	uint64_t random, trace;
	bool in_method; /* single-threaded: a method runs */

	pthread_rwlock_t closing;
	_Atomic uint64_t durable;
	_Atomic size_t unsaved;
	struct tmgr_processes_stats stats; /* counts, under lock */
};

/* What who asked is told of what ended the store: -ESTALE is something else to him. */
static inline int tmgr__runtime_told(int error)
{
	return error == -ESTALE ? -EIO : error;
}

/* runtime.c */
int64_t tmgr__runtime_now_ms(const struct tmgr_processes *processes);
int64_t tmgr__runtime_wall_ms(const struct tmgr_processes *processes);
/* When, by our time, that many ns from now have passed; 0 or below: now. */
int64_t tmgr__runtime_due_ms(const struct tmgr_processes *processes, int64_t ns);
int64_t tmgr__runtime_ns(const struct tmgr_processes *processes);
int tmgr__runtime_open(struct tmgr_processes *processes);
int tmgr__runtime_close(struct tmgr_processes *processes, bool checkpoint);

/* runtime_request.c */
struct tmgr_process_request *tmgr__request_create(unsigned kind, size_t texts);
void tmgr__request_unref(struct tmgr_process_request *request);
int tmgr__request_put(struct tmgr_processes *processes, struct tmgr_process_request *request);
/* The answer, and the runtime's reference. */
void tmgr__request_answer(struct tmgr_process_request *request, int error);

/* runtime_turn.c */
/* There was no memory for something that can wait: it is tried again soon. When: monotonic, ns. */
int64_t tmgr__runtime_hold(struct tmgr_processes *processes);
void tmgr__runtime_tell_over(void *self, struct tmgr__eprocess *process);
/* Take what came in. */
void tmgr__runtime_take(struct tmgr_processes *processes);
/* Fire what is due. */
void tmgr__runtime_tick(struct tmgr_processes *processes);
/* Give workers what can run. */
void tmgr__runtime_dispatch(struct tmgr_processes *processes);
/* Call those stuck that are late. */
void tmgr__runtime_look_for_late(struct tmgr_processes *processes);
/* Answer who waits for what is durable now. */
void tmgr__runtime_answer(struct tmgr_processes *processes);
/* End all who wait, for it has failed or stops. */
void tmgr__runtime_refuse_all(struct tmgr_processes *processes, int error);
void tmgr__runtime_count(struct tmgr_processes *processes);

/* runtime_store.c */
/* Give the store its next order where it has none; whether there is one now. */
bool tmgr__runtime_order(struct tmgr_processes *processes);
/* Do the order that was given. The store's thread. */
void tmgr__runtime_obey(struct tmgr_processes *processes);
/* Look at an order that was done. */
void tmgr__runtime_order_done(struct tmgr_processes *processes);
bool tmgr__runtime_store_idle(const struct tmgr_processes *processes);
int tmgr__runtime_store_main(void *self, struct tmgr_context *context, void **ret_value);

/* runtime_trouble.c: the log. */
/* Of a batch that is durable. */
void tmgr__runtime_tell_troubles(
	struct tmgr_processes *processes, const struct tmgr__changes *changes);
/* How many there were no lines for, when their second is over; or now. */
void tmgr__runtime_tell_untold(struct tmgr_processes *processes, bool now);

/* runtime_backup.c */
/* Begin backups that were asked for, one at a time, and answer for what was made. No context: make them here. */
void tmgr__runtime_back_up(struct tmgr_processes *processes, struct tmgr_context *context);
/* Give up the one that is being made; and wait for its end, when the store's thread has ended. */
void tmgr__runtime_cancel_backup(struct tmgr_processes *processes);
void tmgr__runtime_end_backup(struct tmgr_processes *processes, struct tmgr_context *context);

/* workers.c */
struct tmgr__job *tmgr__job_begin(
	struct tmgr_processes *processes, struct tmgr__crew *crew, struct tmgr_context *context);
void tmgr__job_end(struct tmgr__job *job);
void tmgr__job_recycle(struct tmgr_processes *processes, struct tmgr__job *job);
void tmgr__jobs_free(struct tmgr__list *jobs);

/* info.c */
int tmgr__info_answer(struct tmgr_processes *processes, struct tmgr_process_request *request);

#endif
