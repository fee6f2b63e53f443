/*
 * Records: the manager's book-keeping for one task. All fields are guarded by the manager's lock,
 * unless they say otherwise.
 */
#ifndef TMGR__RECORD_H
#define TMGR__RECORD_H

#include <pthread.h>

#include <taskmgr/future.h>
#include <taskmgr/manager.h>

#include "base/arena.h"
#include "base/list.h"
#include "context.h"
#include "policy.h"

struct tmgr__pool_thread;

/* Members of one name, in a manager. */
struct tmgr__stop_group {
	struct tmgr__list node;
	struct tmgr__stop_group_count count;
	char name[TMGR_NAME_MAX + 1];
};

/* What only a task with a cleanup needs. */
struct tmgr__cleanup {
	struct tmgr_token *token; /* fresh, made when the task is added */
	struct tmgr_report_entry entry;
	char text[TMGR__ERROR_TEXT_SIZE];
};

struct tmgr__record {
	struct tmgr__list node;  /* of the manager's tasks, executes or failed */
	struct tmgr__list queue; /* of the pool, or of a task group */
	struct tmgr_manager *manager;
	struct tmgr_task task;
	uint32_t refs; /* atomic; the memory also stays for the token's references */
	/* These do not change once it was admitted, and are read without the lock. */
	bool long_running;
	unsigned char phases; /* that do something: bits of enum tmgr_phase */
	bool cleanup_after_failed_initialize;
	bool cleanup_beside_users;
	enum tmgr_policy policy;
	enum tmgr_host host;
	enum tmgr_state state;
	bool executing; /* counted among those that run waits for */
	bool by_handle; /* cancelled by its handle */
	bool left_out; /* told to stop while it initialized: it will not execute. The run's thread */
	bool ready;
	bool warned; /* a third of its stop deadline has passed */
	bool late_heartbeat;
	bool late_ready;  /* it failed so, while it may be writing its own text */
	bool inner_stuck; /* a manager in it left a task behind */
	bool thread_made; /* it has a thread of its own, to be joined */
	bool failed;      /* entry is in the report, or in its group */
	/* atomic; long-running: its result stands, though who waits may not be told yet */
	bool settled;
	bool settle_ref; /* who settles it holds a reference */
	bool leaked;     /* stuck, or a stuck task may still use it: never destroyed */
	uint32_t restarts;
	int interrupt_signal;
	int result; /* of execute, as the handle tells it */
	int last_error;
	const char *kind; /* static */
	struct tmgr__stop_group *group;
	struct tmgr_group *task_group; /* of a spawned child */
	struct tmgr__record *added_by; /* the long-running task below which it was added, or NULL */
	struct tmgr__pool_thread *pool_thread;
	struct tmgr_executor
		*on; /* that runs it, with TMGR_HOST_LOOP; it is held for it with `place` */
	void *place;
	struct tmgr_executor *runs; /* the host that this task runs, while it does */
	struct tmgr_manager *inner; /* that runs in it: its report is part of ours */
	uint32_t handles;           /* given and not yet released */
	uint32_t handle_slot;       /* of the last, + 1 */
	pthread_t thread;
	unsigned char *signal_stack; /* of its thread */
	size_t stack_size;
	int64_t since;
	int64_t next_attempt;
	int64_t ready_ns, stop_ns, cleanup_ns, heartbeat_ns;
	int64_t heartbeat;    /* the last; atomic */
	int64_t stop_since;   /* told to stop then, or 0 */
	int64_t end_deadline; /* set by the task, or TMGR_NEVER */
	int64_t began;        /* the running phase, or 0 */
	int64_t initialize_ns, execute_ns, cleanup_took_ns;
	uint64_t reload_seen;            /* guarded by the reload's lock */
	struct tmgr__cleanup *cleanup;   /* behind the record, or NULL */
	struct tmgr__arena_block *block; /* of its memory, or NULL */
	struct tmgr_future done;         /* execute has ended; its own lock */
	struct tmgr_waiter waiter;
	struct tmgr_token token; /* its own lock */
	struct tmgr_context context;
	struct tmgr_report_entry entry;
	char *name; /* behind the record */
	char text[TMGR__ERROR_TEXT_SIZE];
};

/* What a record is made for, and so what stands behind it. */
enum tmgr__record_kind {
	TMGR__RECORD_EXECUTE, /* room for any name: its memory is used again */
	TMGR__RECORD_TASK,
	TMGR__RECORD_TASK_WITH_CLEANUP,
};

/* The states a state may be followed by, as bits; 0 for unknown ones. */
unsigned tmgr__record_moves(enum tmgr_state from);
/* The only writer of a state; an illegal move is a bug of ours. */
void tmgr__record_set_state(struct tmgr__record *record, enum tmgr_state to, int64_t now);

/* A record with one reference, or NULL. Of a long-running task it is a piece of an arena. */
struct tmgr__record *tmgr__record_create(struct tmgr__arena *arena, const char *name,
	struct tmgr_task task, enum tmgr__record_kind kind);
struct tmgr__record *tmgr__record_ref(struct tmgr__record *record);
void tmgr__record_unref(struct tmgr__record *record);
/* Whether nothing but the caller's reference is left, so that its memory may be used again. */
bool tmgr__record_alone(const struct tmgr__record *record);
void tmgr__record_init(struct tmgr__record *record, const char *name, struct tmgr_task task);

#endif
