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
	int64_t limit_ns;         /* for cleanup; 0: only the total deadline */
	int64_t took_ns;
	struct tmgr_report_entry entry;
	char text[TMGR__ERROR_TEXT_SIZE];
};

/*
 * A run passes over all its tasks several times, and many tasks are more than a near cache holds.
 * So what every pass looks at is the first line of it; what the host of a task touches comes next,
 * and last what most never need.
 */
struct tmgr__record {
	struct tmgr__list node;   /* of the manager's tasks, executes or failed */
	struct tmgr__list queue;  /* of the pool, or of a task group */
	struct tmgr_executor *on; /* that runs it, with TMGR_HOST_LOOP, or NULL */
	union {
		void *place; /* with `on`: it is held for it, until it is started or given back */
		struct tmgr__pool_thread *pool_thread; /* without: that runs it, or NULL */
	};
	unsigned char state; /* enum tmgr_state */
	/* The next four do not change once it was admitted, and are read without the lock. */
	bool long_running;
	unsigned char phases; /* that do something: bits of enum tmgr_phase */
	unsigned char policy; /* enum tmgr_policy */
	unsigned char interrupt_signal;
	unsigned char host; /* enum tmgr_host; the pool changes that of an execute-task */
	bool executing;     /* counted among those that run waits for */
	bool behind;        /* of a task group, behind running_max: nobody was given it yet */
	bool left_out; /* told to stop while it initialized: it will not execute. The run's thread */
	bool thread_made; /* it has a thread of its own, to be joined */
	bool leaked;      /* stuck, or a stuck task may still use it: never destroyed */
	bool failed;      /* entry is in the report, or in its group */
	bool inner_stuck; /* a manager in it left a task behind */
	bool came_back;   /* and its thread is over all the same */
	bool by_handle;   /* cancelled by its handle */
	/* atomic; long-running: its result stands, though who waits may not be told yet */
	bool settled;
	bool settle_ref; /* who settles it holds a reference */
	bool ready;

	struct tmgr_manager *manager;
	struct tmgr_task task;
	uint32_t refs; /* atomic; the memory also stays for the token's references */
	int result;    /* of execute, as the handle tells it */
	int64_t since;
	int64_t began; /* the running phase, or 0 */
	int64_t execute_ns;
	bool warned; /* a third of its stop deadline has passed */
	bool late_heartbeat;
	bool late_ready; /* it failed so, while it may be writing its own text */
	bool cleanup_after_failed_initialize;
	bool cleanup_beside_users;

	struct tmgr_waiter waiter;
	int64_t ready_ns, heartbeat_ns;
	int64_t heartbeat; /* the last; atomic */
	const char *kind;  /* static */

	struct tmgr_context context;
	struct tmgr__cleanup *cleanup; /* behind the record, or NULL */
	struct tmgr_token token;       /* its own lock */
	struct tmgr__stop_group *group;
	struct tmgr_group *task_group; /* of a spawned child */
	struct tmgr__record *added_by; /* the long-running task below which it was added, or NULL */
	struct tmgr_executor *runs;    /* the host that this task runs, while it does */
	struct tmgr_manager *inner;    /* that runs in it: its report is part of ours */
	struct tmgr_future done;       /* execute has ended; its own lock */
	struct tmgr__arena_block *block; /* of its memory, or NULL */

	union {
		size_t stack_size;               /* of its thread to be; 0: the default */
		pthread_t thread;                /* thread_made */
		struct tmgr__record *next_stuck; /* of the manager's stuck_unbegun */
	};
	int64_t stop_ns;
	int64_t stop_since;   /* told to stop then, or 0 */
	int64_t end_deadline; /* set by the task, or TMGR_NEVER */
	int64_t initialize_ns;
	int64_t next_attempt;
	uint64_t reload_seen; /* guarded by the reload's lock */
	int last_error;
	uint32_t restarts;
	uint32_t handles;     /* given and not yet released */
	uint32_t handle_slot; /* of the last, + 1 */
	struct tmgr_report_entry entry;
	char text[TMGR__ERROR_TEXT_SIZE];
	char name[];
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
