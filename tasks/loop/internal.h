/*
 * Loops and coroutines from inside.
 *
 * All of a loop belongs to the thread that runs it, but for what is marked atomic. Other threads
 * reach it through its inbox only.
 */
#ifndef TMGR__LOOP_INTERNAL_H
#define TMGR__LOOP_INTERNAL_H

#include <ev.h>

#include <taskmgr/tasks/coroutine.h>

#include "stack.h"
#include "taskmgr/base/heap.h"
#include "taskmgr/base/list.h"
#include "taskmgr/base/sync.h"

/* Resumes between two looks at timers and descriptors. */
#define TMGR__LOOP_BUDGET 128
/* Resumes between two looks at the processor's clock, which is slow to read. */
#define TMGR__LOOP_RECENT 16
/* Stacks that a loop keeps for itself, and how many it takes or gives at a time. */
#define TMGR__LOOP_STACKS_MAX 512
#define TMGR__LOOP_STACKS_STEP 64

/* Something to be done when its time comes. */
struct tmgr__timer {
	struct tmgr__heap_node node;
	void (*due)(struct tmgr__timer *timer, int64_t now);
};

/* Coroutines that end before the task they were spawned below: a hosted one, or the loop's own. */
struct tmgr__family {
	size_t alive;
	struct tmgr_waiter *joiner; /* the task that waits for the last */
};

/* How far a coroutine is. */
enum tmgr__coroutine_state {
	TMGR__COROUTINE_NEW,
	TMGR__COROUTINE_RUNNABLE,
	TMGR__COROUTINE_RUNNING,
	TMGR__COROUTINE_PARKED,
	TMGR__COROUTINE_ENDED,
};

/* Below its stack's struct; the memory of its strand comes behind it. */
struct tmgr_coroutine {
	/* What a switch touches is one line of the cache, for there are many coroutines. */
	struct tmgr__fiber fiber;
	struct tmgr_coroutine *next; /* in the run queue */
	struct tmgr_loop *loop;      /* only to be compared once it has ended */
	struct tmgr_waiter waiter;
	unsigned char state; /* enum tmgr__coroutine_state */
	bool canary;         /* at the end of its stack */
	bool begun;          /* it has been on its stack */
	struct tmgr_future future;
	int64_t deadline; /* of the present wait, or TMGR_NEVER; the timer may stand earlier */
	int64_t since;    /* in its state */
	struct tmgr__stack *stack;
	struct tmgr__stack *inner;    /* of the generator it stands on, or NULL */
	struct tmgr_context *context; /* its own: of its strand, or of the task that it runs */
	struct tmgr_context *strand;  /* made once; NULL: not yet */
	bool settled_wanted;          /* atomic */
	bool wanted;                  /* somebody took a handle */
	bool kept;                    /* its error stands in the report, and with it its memory */
	bool named;                   /* by who spawned it */

	int revents;                 /* of the descriptor it waits for */
	int result;                  /* of its future */
	uint32_t refs;               /* atomic: one for its strand or task, and handles */
	struct tmgr__family *family; /* that it is counted in */
	struct tmgr__family own;     /* of what it spawns, where it runs a task */
	struct tmgr_hosted *hosted;  /* that task, or NULL */
	struct tmgr_hosted *others;  /* tasks that are started with it, after it */
	int (*function)(void *self, struct tmgr_context *context);
	void *self;
	void *value;
	struct tmgr__timer timer;
	struct tmgr__list all;
	struct tmgr_executor_call call; /* to be woken or started by another thread */
	struct tmgr_future settled;
	bool watched; /* `settling` is on its token */
	char own_name[TMGR_COROUTINE_NAME_MAX + 1];
	/* Written when they are needed. */
	struct tmgr_token_callback settling;
	struct tmgr_executor_call settle_call;
};

/* Waits until a loop has nothing to do. */
struct tmgr__idler {
	struct tmgr__list node;
	struct tmgr_waiter *waiter;
};

/* Why coroutines are cancelled then. */
#define TMGR__MAIN_FAILED "the loop's main function failed"

/* How far a loop is. */
enum tmgr__loop_state {
	TMGR__LOOP_NEW,
	TMGR__LOOP_RUNNING,
	TMGR__LOOP_STOPPING,
	TMGR__LOOP_ENDED,
};

struct tmgr_loop {
	struct tmgr_executor host; /* first */
	uint32_t refs;             /* atomic */
	uint32_t weak_refs;        /* likewise; all of refs have one */
	struct tmgr_loop_options options;
	const void *stack_kind;
	int size_class;
	enum tmgr__loop_state state;  /* atomic, written by its thread */
	struct tmgr_context *context; /* of its task */
	struct tmgr__family family;   /* of its task */
	int main_result;
	bool main_failed;
	struct tmgr_executor_call token_call; /* the task's token fired */
	struct tmgr_token_callback token_callback;

	/* Running. */
	struct tmgr_coroutine *running;
	struct tmgr_context **current; /* which context is, on the loop's thread */
	struct tmgr_coroutine *run_first, *run_last;
	size_t runnable;
	unsigned budget;
	struct tmgr_coroutine *ended; /* stands on its stack until somebody else runs */
	struct tmgr__fiber fiber;     /* the thread's own stack */
	struct tmgr__stack *stacks;   /* free ones, linked by next */
	size_t stack_count;
	struct tmgr__list all;
	size_t coroutines;
	uint64_t turns, resumes;

	/* Time. */
	struct tmgr__heap timers;
	size_t timer_count; /* deadlines that are pending */
	int64_t now;        /* as of this turn */
	int64_t due_to;     /* up to when timers are being handled; INT64_MIN: they are not */
	/* Since when, and for which of the last, the processor's clock was not looked at. */
	uint64_t ticks;
	uint64_t slow_ticks;
	const struct tmgr_coroutine *recent[TMGR__LOOP_RECENT];
	unsigned recent_count;
	bool watch_each; /* one was slow: look at the clock at each switch from now on */
	int64_t clock_began;
	uint64_t ticks_began;
	uint64_t slow;
	int64_t slowest_ns;
	int64_t trim_at;

	/* Calls to be made in this turn. */
	struct tmgr_executor_call *calls, **calls_last;
	struct tmgr_executor_call *making; /* those that are being made */
	struct tmgr__list idlers;          /* that wait until nothing is left to do */
	struct tmgr__probe *probe;         /* somebody asks a parked one where it stands */

	/* The event loop. */
	struct ev_loop *ev;
	ev_timer alarm; /* armed before a poll that sleeps */
	ev_async async;
	size_t watched; /* descriptors of ours */
	bool ev_lent;   /* the user may have watchers of his own; atomic */

	/* From other threads: atomic, and a line of the cache away from what the loop uses itself. */
	char apart[64];
	struct tmgr_executor_call *inbox;
	uint32_t asleep;  /* 1: it waits for this to be 0 */
	uint32_t posters; /* that are just at it */
	bool exited;      /* by pthread_exit() */
	uint64_t holds;   /* tasks and coroutines to come, and TMGR__LOOP_CLOSED */
	size_t places;    /* taken of options.coroutines_max, where there is one */
	char apart_too[64];
	struct tmgr__lock left_lock;
	char left[128]; /* what it waits for when it is to stop; under the lock */
};

#define TMGR__LOOP_CLOSED (UINT64_C(1) << 63)

/* The loop that this thread runs, or NULL. */
extern __thread struct tmgr_loop *tmgr__loop_here __attribute__((tls_model("initial-exec")));

/* Their memory (coroutine_memory.c). */
/* All that a coroutine will need. NULL: no memory. Any thread. */
struct tmgr__stack *tmgr__coroutine_reserve(struct tmgr_loop *loop);
/* A coroutine on that stack, not started. Any thread. */
struct tmgr_coroutine *tmgr__coroutine_make_on(struct tmgr_loop *loop, struct tmgr__stack *stack);
/* Both in one. */
struct tmgr_coroutine *tmgr__coroutine_make(struct tmgr_loop *loop);
/* Of the memory of one that has ended: its stack is where the next begins. */
static inline void tmgr__coroutine_make_again(struct tmgr_coroutine *coroutine)
{
	coroutine->stack->warm = NULL;
	coroutine->refs = 1;
	coroutine->future.done = 0;
	coroutine->value = NULL;
	coroutine->hosted = coroutine->others = NULL;
	coroutine->begun = coroutine->wanted = coroutine->kept = false;
	if (coroutine->settled_wanted) {
		coroutine->settled_wanted = coroutine->watched = false;
		tmgr_future_init(&coroutine->settled);
	}
}
/* The same where one has ended on this loop. NULL: none is left. The loop's thread. */
static inline struct tmgr_coroutine *tmgr__coroutine_make_warm(struct tmgr_loop *loop)
{
	struct tmgr__stack *stack = loop->stacks;
	struct tmgr_coroutine *coroutine = stack ? stack->warm : NULL;

	if (!coroutine)
		return NULL;
	loop->stacks = stack->next;
	loop->stack_count--;
	tmgr__coroutine_make_again(coroutine);
	return coroutine;
}
void tmgr__coroutine_release(struct tmgr_coroutine *coroutine);
/* A reference less; the memory of one that was not started goes so too. Any thread. */
static inline void tmgr__coroutine_unref(struct tmgr_coroutine *coroutine)
{
	uint32_t refs = __atomic_load_n(&coroutine->refs, __ATOMIC_ACQUIRE);

	/* Alone with it nobody can take another. */
	if (refs > 1)
		refs = __atomic_fetch_sub(&coroutine->refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs == 1)
		tmgr__coroutine_release(coroutine);
}

/* Coroutines (coroutine.c). */
extern const struct tmgr_waiter_ops tmgr__coroutine_waiter_ops;
/* What a stack runs: one coroutine after another, as long as a loop keeps it. */
_Noreturn void tmgr__coroutine_main(void *self);
/* The timer of one that waits. */
void tmgr__coroutine_come_due(struct tmgr__timer *timer, int64_t now);
/* It runs before the caller, which goes on when it waits or has ended. */
void tmgr__coroutine_run_at_once(struct tmgr_coroutine *coroutine);
/* On the loop's stack: run what is runnable, as far as the budget goes. */
void tmgr__coroutines_run(struct tmgr_loop *loop);
/* Put one whose wait has ended behind the others. The loop's thread. */
static inline void tmgr__coroutine_push(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = coroutine->loop;

	coroutine->state = TMGR__COROUTINE_RUNNABLE;
	coroutine->next = NULL;
	if (loop->run_last)
		loop->run_last->next = coroutine;
	else
		loop->run_first = coroutine;
	loop->run_last = coroutine;
	loop->runnable++;
}
/* It is one of the loop's from now on. Likewise. */
static inline void tmgr__coroutine_enlist(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = coroutine->loop;

	tmgr__list_append(&loop->all, &coroutine->all);
	__atomic_store_n(&loop->coroutines, loop->coroutines + 1, __ATOMIC_RELAXED);
	coroutine->since = loop->now;
}
/* It waits for its first turn. Likewise. */
static inline void tmgr__coroutine_start(struct tmgr_coroutine *coroutine)
{
	tmgr__coroutine_enlist(coroutine);
	tmgr__coroutine_push(coroutine);
}
/* A call that was posted to start one. */
void tmgr__coroutine_start_posted(void *self);
/* It will never go on: its loop's thread has exited. */
void tmgr__coroutine_bury(struct tmgr_coroutine *coroutine);
/* Its coroutine, on whose stack the caller is, or NULL on the loop's. */
static inline struct tmgr_coroutine *tmgr__coroutine_here(void)
{
	return tmgr__loop_here ? tmgr__loop_here->running : NULL;
}
/* Spawning (spawn.c). */
/* The first coroutine of the loop's own, before any other thread can spawn. */
int tmgr__coroutine_spawn_main(struct tmgr_loop *loop,
	int (*function)(void *self, struct tmgr_context *context), void *self);
/* One less of those that may be at once. The loop's thread, or who could not make one. */
static inline void tmgr__loop_give_place(struct tmgr_loop *loop)
{
	if (__builtin_expect(loop->options.coroutines_max > 0, 0))
		__atomic_fetch_sub(&loop->places, 1, __ATOMIC_RELAXED);
}
void tmgr__coroutine_write_name(struct tmgr_coroutine *coroutine, const char *name);
/* NULL: the default name. Most have none, and so has who was here before. */
static inline void tmgr__coroutine_set_name(struct tmgr_coroutine *coroutine, const char *name)
{
	if (name || coroutine->named || !coroutine->own_name[0])
		tmgr__coroutine_write_name(coroutine, name);
}
/* Start one, and the others with it, from any thread; its loop is held for each until then. */
void tmgr__coroutine_start_anywhere(struct tmgr_coroutine *coroutine);
/* Complete what tmgr_coroutine_result() gave (coroutine_handle.c). */
void tmgr__coroutine_settle(struct tmgr_coroutine *coroutine, int error);
/* The coroutine that a context is of, or NULL. */
static inline struct tmgr_coroutine *tmgr__coroutine_of(const struct tmgr_context *context)
{
	struct tmgr_waiter *waiter = tmgr_context_waiter(context);

	return waiter && waiter->ops == &tmgr__coroutine_waiter_ops ? waiter->owner : NULL;
}
/* Cancel all of a family that are alive. */
void tmgr__family_cancel(
	struct tmgr_loop *loop, const struct tmgr__family *family, const char *text);
/* Wait, uninterrupted, for the last of a family; one that failed cancels it first. */
void tmgr__family_join(struct tmgr_loop *loop, struct tmgr__family *family,
	struct tmgr_context *context, int result);

/* Where a parked coroutine stands: it is asked on its own stack. */
struct tmgr__probe {
	struct tmgr__fiber *asker;
	void **addresses;
	int max, count;
};
/* The number of addresses written. Not for the one that runs. */
int tmgr__coroutine_backtrace(struct tmgr_coroutine *coroutine, void **addresses, int max);

/* Timers (timer.c). */
void tmgr__timer_set(struct tmgr_loop *loop, struct tmgr__timer *timer, int64_t at);
void tmgr__timer_remove(struct tmgr_loop *loop, struct tmgr__timer *timer);
/* Do what is due; what that sets comes in the next turn at the earliest. */
void tmgr__timers_due(struct tmgr_loop *loop, int64_t now);

/* Nothing can run, and nothing will by itself: those who wait for that go on (loop_calls.c). */
void tmgr__loop_wake_idlers(struct tmgr_loop *loop);

/* The loop ends: calls that are scheduled will not be made, and need not be taken back. */
void tmgr__loop_drop_calls(struct tmgr_loop *loop);

/* As a host (hosted.c). */
extern const struct tmgr_executor_ops tmgr__loop_executor_ops;
/* A coroutine for the next of those that are started together, or NULL. */
struct tmgr_coroutine *tmgr__hosted_make_next(struct tmgr_loop *loop, struct tmgr_hosted **others);
/* The loop (loop.c). */
void tmgr__loop_describe(struct tmgr_executor *host, char *buffer, size_t size);
/* Though it may sleep from now on it wakes to give pages of stacks back. */
static inline void tmgr__loop_trim_later(struct tmgr_loop *loop)
{
	if (loop->trim_at == TMGR_NEVER)
		loop->trim_at = loop->now + TMGR__STACKS_TRIM_NS;
}
/* It does not end before this is released. False: it has ended. Any thread. */
bool tmgr__loop_hold(struct tmgr_loop *loop);
void tmgr__loop_release(struct tmgr_loop *loop);

/* Its thread leaves by pthread_exit() (exited.c): all on it has ended. */
void tmgr__loop_exited(void *self);
/* A coroutine that was to be started by a loop that exited, with the others. */
void tmgr__loop_bury_started(struct tmgr_coroutine *coroutine);
/* What was posted to a loop that exited. Any thread. */
void tmgr__loop_bury_posts(struct tmgr_loop *loop);

/* Posting (post.c). Any thread. */
void tmgr__loop_post(struct tmgr_loop *loop, struct tmgr_executor_call *call);
/* Make all calls that have been posted. */
void tmgr__loop_take_posts(struct tmgr_loop *loop);
/* Put what came from other threads behind its own. The loop's thread. */
void tmgr__loop_gather_posts(struct tmgr_loop *loop);
/* By who ends a loop that has not run: none of them is made. */
void tmgr__loop_drop_posts(struct tmgr_loop *loop);
/* By a loop that has closed itself: who saw it open is about to have pushed. */
void tmgr__loop_await_posters(const struct tmgr_loop *loop);
bool tmgr__loop_has_posts(const struct tmgr_loop *loop);

/* Descriptors, sleeping and being woken (sleep.c). */
int tmgr__loop_open(struct tmgr_loop *loop);
void tmgr__loop_close(struct tmgr_loop *loop);
/* Start a watcher, if it is not, and stop it, if it is. The loop's thread. */
void tmgr__loop_watch(struct tmgr_loop *loop, ev_io *watcher);
void tmgr__loop_unwatch(struct tmgr_loop *loop, ev_io *watcher);
/* Call the watchers of what is ready now. */
void tmgr__loop_look(struct tmgr_loop *loop);
/*
 * The same, once something is ready, or at a moment, or when it is woken; or sooner. False: it did
 * not sleep, for may_sleep, asked when whoever comes later wakes it, said so.
 */
bool tmgr__loop_sleep(
	struct tmgr_loop *loop, int64_t at, bool (*may_sleep)(struct tmgr_loop *loop));
/* It is to look again at what has been changed before. Any thread, which keeps it from going. */
void tmgr__loop_wake(struct tmgr_loop *loop);

/* Watching for stacks that run over (overflow.c): while any loop runs, or generator stands. */
void tmgr__overflow_watch(void);
void tmgr__overflow_unwatch(void);
/* The canary of the stack that the caller stands on, or has just left, is not whole. */
_Noreturn void tmgr__overflow_broken(const struct tmgr_coroutine *coroutine);
/* Where it stands whose stack the generator has on which the caller stands. */
struct tmgr__stack **tmgr__overflow_inner(void);

/* Ticks of the processor's clock; how many a nanosecond is not known. */
static inline uint64_t tmgr__ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	return (uint64_t)tmgr_now();
#endif
}

/* Those that ran recently have taken this long, all together. */
void tmgr__loop_note_slow(struct tmgr_loop *loop, uint64_t ticks);

#endif
