/*
 * The loop: its turns, its beginning and its end.
 *
 * A turn makes the calls that were posted, lets coroutines run up to its budget, does what is due,
 * and looks at descriptors; it sleeps there only when nothing can run. Everything happens on the
 * thread of the loop's task; other threads post.
 *
 * The loop ends when its main function, or, without one, the wait for the stop is over, nothing is
 * alive and nobody holds it. Who holds it and its end agree by one word: the end closes it by a
 * compare-and-swap from 0, and nobody can hold what is closed.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "taskmgr/base/check.h"

/* ---- Making --------------------------------------------------------------------------------- */

static bool options_valid(const struct tmgr_loop_options *options)
{
	return tmgr__stack_class(options->stack_size) >= 0 &&
	       (unsigned)options->stack_guard <= TMGR_STACK_GUARD_CANARY && options->slow_ns >= 0;
}

int tmgr_loop_create(const struct tmgr_loop_options *options, struct tmgr_loop **ret_loop)
{
	static const struct tmgr_loop_options defaults;
	struct tmgr_loop *loop;
	int r;

	if (!options)
		options = &defaults;
	if (!ret_loop || !options_valid(options))
		return -EINVAL;
	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	r = tmgr__loop_open(loop);
	if (r < 0) {
		free(loop);
		return r;
	}
	loop->host.ops = &tmgr__loop_executor_ops;
	loop->refs = loop->weak_refs = 1;
	loop->options = *options;
	if (loop->options.slow_ns == 0)
		loop->options.slow_ns = 100 * TMGR_MILLISECOND;
	loop->size_class = tmgr__stack_class(options->stack_size);
	loop->stack_kind = tmgr__stack_kind_of(
		loop->size_class, options->stack_guard == TMGR_STACK_GUARD_CANARY);
	loop->calls_last = &loop->calls;
	loop->trim_at = TMGR_NEVER;
	loop->due_to = INT64_MIN;
	tmgr__list_init(&loop->all);
	tmgr__list_init(&loop->idlers);
	*ret_loop = loop;
	return 0;
}

struct tmgr_loop *tmgr_loop_ref(struct tmgr_loop *loop)
{
	if (loop)
		check(__atomic_fetch_add(&loop->refs, 1, __ATOMIC_RELAXED) > 0);
	return loop;
}

/* No task has run it, and none will: nobody can make one any more. */
static void end_unrun(struct tmgr_loop *loop)
{
	__atomic_store_n(&loop->state, TMGR__LOOP_ENDED, __ATOMIC_RELEASE);
	__atomic_fetch_or(&loop->holds, TMGR__LOOP_CLOSED, __ATOMIC_SEQ_CST);
	tmgr__loop_await_posters(loop);
	tmgr__loop_drop_posts(loop);
	tmgr__loop_drop_calls(loop);
}

void tmgr_loop_unref(struct tmgr_loop *loop)
{
	uint32_t refs;

	if (!loop)
		return;
	refs = __atomic_fetch_sub(&loop->refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs > 1)
		return;
	if (loop->state == TMGR__LOOP_NEW)
		end_unrun(loop);
	tmgr_loop_weak_unref(loop);
}

struct tmgr_loop *tmgr_loop_weak_ref(struct tmgr_loop *loop)
{
	if (loop)
		check(__atomic_fetch_add(&loop->weak_refs, 1, __ATOMIC_RELAXED) > 0);
	return loop;
}

void tmgr_loop_weak_unref(struct tmgr_loop *loop)
{
	uint32_t refs;

	if (!loop)
		return;
	refs = __atomic_fetch_sub(&loop->weak_refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs > 1)
		return;
	/* Somebody may be about to leave tmgr__loop_post(). */
	tmgr__loop_await_posters(loop);
	tmgr__loop_close(loop);
	free(loop);
}

bool tmgr__loop_hold(struct tmgr_loop *loop)
{
	uint64_t holds = __atomic_load_n(&loop->holds, __ATOMIC_RELAXED);

	do {
		if (holds & TMGR__LOOP_CLOSED)
			return false;
	} while (!__atomic_compare_exchange_n(
		&loop->holds, &holds, holds + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	/* All of them have one reference: who holds may let go of his. */
	if (holds == 0)
		tmgr_loop_ref(loop);
	return true;
}

void tmgr__loop_release(struct tmgr_loop *loop)
{
	/* It may have been waiting for this. */
	if (__atomic_sub_fetch(&loop->holds, 1, __ATOMIC_SEQ_CST) > 0)
		return;
	if (loop != tmgr__loop_here)
		tmgr__loop_wake(loop);
	tmgr_loop_unref(loop);
}

bool tmgr_loop_ended(const struct tmgr_loop *loop)
{
	return !loop || __atomic_load_n(&loop->holds, __ATOMIC_SEQ_CST) & TMGR__LOOP_CLOSED;
}

/* ---- Turns ---------------------------------------------------------------------------------- */

static bool is_over(struct tmgr_loop *loop)
{
	uint64_t holds = 0;

	if (loop->coroutines > 0 || tmgr__loop_has_posts(loop))
		return false;
	/* Main, which may never come to its first turn, is one of the coroutines. */
	if (!loop->options.main && loop->state != TMGR__LOOP_STOPPING)
		return false;
	return __atomic_compare_exchange_n(
		&loop->holds, &holds, TMGR__LOOP_CLOSED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* As is_over() has found it. */
static bool is_closed(const struct tmgr_loop *loop)
{
	return __atomic_load_n(&loop->holds, __ATOMIC_RELAXED) & TMGR__LOOP_CLOSED;
}

/* What is left, for the report, in case this sleep is the last thing it does in time. */
static void note_left(struct tmgr_loop *loop)
{
	struct tmgr__list *node = tmgr__list_first(&loop->all);
	struct tmgr_coroutine *first;

	tmgr__lock_acquire(&loop->left_lock);
	loop->left[0] = '\0';
	if (node) {
		first = container_of(node, struct tmgr_coroutine, all);
		snprintf(loop->left, sizeof(loop->left), "'%s' waits for %s", first->own_name,
			tmgr_context_waiting(first->context));
	} else {
		/* Where there are none, it is over. */
		snprintf(loop->left, sizeof(loop->left),
			"tasks that were to run on it and have not begun: %" PRIu64,
			__atomic_load_n(&loop->holds, __ATOMIC_RELAXED));
	}
	if (loop->coroutines > 1) {
		size_t length = strlen(loop->left);

		snprintf(loop->left + length, sizeof(loop->left) - length, ", and %zu more",
			loop->coroutines - 1);
	}
	tmgr__lock_release(&loop->left_lock);
}

/* Its memory stays, though it may be another's by now, who is being named. */
static void copy_name(const struct tmgr_coroutine *coroutine, char *name)
{
	for (size_t i = 0; i < TMGR_COROUTINE_NAME_MAX; i++)
		name[i] = __atomic_load_n(&coroutine->own_name[i], __ATOMIC_RELAXED);
	name[TMGR_COROUTINE_NAME_MAX] = '\0';
}

void tmgr__loop_describe(struct tmgr_executor *host, char *buffer, size_t size)
{
	struct tmgr_loop *loop = container_of(host, struct tmgr_loop, host);
	struct tmgr_coroutine *running = __atomic_load_n(&loop->running, __ATOMIC_ACQUIRE);
	char name[TMGR_COROUTINE_NAME_MAX + 1];

	if (running) {
		copy_name(running, name);
		snprintf(buffer, size, "'%s' does not give the loop back", name);
		return;
	}
	tmgr__lock_acquire(&loop->left_lock);
	snprintf(buffer, size, "%s", loop->left);
	tmgr__lock_release(&loop->left_lock);
}

static int64_t next_time(struct tmgr_loop *loop)
{
	struct tmgr__heap_node *first = tmgr__heap_first(&loop->timers);
	int64_t at = first ? first->key : TMGR_NEVER;

	return loop->trim_at < at ? loop->trim_at : at;
}

/* Nothing has come meanwhile, and the loop is not over. */
static bool may_sleep(struct tmgr_loop *loop)
{
	if (tmgr__loop_has_posts(loop) || is_over(loop))
		return false;
	if (loop->state == TMGR__LOOP_STOPPING)
		note_left(loop);
	return true;
}

/* False: the loop is over. */
static bool look_at_descriptors(struct tmgr_loop *loop)
{
	if (loop->runnable == 0 && !tmgr__loop_has_posts(loop))
		tmgr__loop_wake_idlers(loop);
	if (loop->runnable > 0 || tmgr__loop_has_posts(loop)) {
		tmgr__loop_look(loop);
		return true;
	}
	return tmgr__loop_sleep(loop, next_time(loop), may_sleep) || !is_closed(loop);
}

static void trim(struct tmgr_loop *loop)
{
	if (loop->now >= loop->trim_at || loop->turns % 1024 == 0)
		loop->trim_at = tmgr__stacks_trim(loop->now);
}

static bool turn(struct tmgr_loop *loop)
{
	loop->turns++;
	tmgr__loop_take_posts(loop);
	loop->budget = TMGR__LOOP_BUDGET;
	tmgr__coroutines_run(loop);
	loop->now = tmgr_now();
	tmgr__timers_due(loop, loop->now);
	trim(loop);
	return look_at_descriptors(loop);
}

/* The names of those that ran, each once; memory of one that has ended may have another's. */
static void name_recent(const struct tmgr_loop *loop, char *buffer, size_t size)
{
	char name[TMGR_COROUTINE_NAME_MAX + 1], before[sizeof(name)] = "";
	size_t length = 0;

	buffer[0] = '\0';
	for (unsigned i = 0; i < loop->recent_count && length < size; i++) {
		copy_name(loop->recent[i], name);
		if (i > 0 && strcmp(name, before) == 0)
			continue;
		memcpy(before, name, sizeof(name));
		length += (size_t)snprintf(
			buffer + length, size - length, "%s'%s'", i > 0 ? " or " : "", name);
	}
}

/* Both clocks at one moment: a thread that is held up between the two does not count. */
static int64_t read_clocks(uint64_t *ret_ticks)
{
	uint64_t shortest = UINT64_MAX;
	int64_t now = 0;

	for (int i = 0; i < 3; i++) {
		uint64_t began = tmgr__ticks();
		int64_t between = tmgr_now();
		uint64_t took = tmgr__ticks() - began;

		if (took >= shortest)
			continue;
		shortest = took;
		now = between;
		*ret_ticks = began + took / 2;
	}
	return now;
}

/*
 * How many ticks are too long is known better the longer the loop runs. The clock is looked at only
 * now and then; once something was slow, at each switch.
 */
void tmgr__loop_note_slow(struct tmgr_loop *loop, uint64_t ticks)
{
	uint64_t now_ticks = loop->ticks_began;
	int64_t elapsed = read_clocks(&now_ticks) - loop->clock_began, ns;
	char names[128];
	double per_ns;

	if (elapsed < TMGR_MILLISECOND)
		return;
	per_ns = (double)(now_ticks - loop->ticks_began) / (double)elapsed;
	if (per_ns <= 0)
		return;
	loop->slow_ticks = (uint64_t)((double)loop->options.slow_ns * per_ns);
	ns = (int64_t)((double)ticks / per_ns);
	if (ns <= loop->options.slow_ns)
		return;
	loop->watch_each = true;
	loop->slow++;
	if (ns > loop->slowest_ns)
		loop->slowest_ns = ns;
	name_recent(loop, names, sizeof(names));
	tmgr_log(loop->context, TMGR_LEVEL_WARNING, "%s kept the loop for %lld ms", names,
		(long long)(ns / TMGR_MILLISECOND));
}

/* ---- The task ------------------------------------------------------------------------------- */

/* Nothing more comes from outside; what is on its way starts cancelled. */
static void end_with_main(struct tmgr_loop *loop, int result)
{
	loop->main_result = result;
	loop->main_failed = true;
	__atomic_store_n(&loop->state, TMGR__LOOP_STOPPING, __ATOMIC_RELEASE);
	tmgr__family_cancel(loop, &loop->family, TMGR__MAIN_FAILED);
}

static int run_main(void *self, struct tmgr_context *context)
{
	struct tmgr_loop *loop = self;
	int r = loop->options.main(loop->options.self, context);

	loop->main_result = r;
	if (r != 0) {
		if (tmgr_context_error_text(context)[0])
			tmgr_fail(loop->context, r, "%s", tmgr_context_error_text(context));
		end_with_main(loop, r);
	}
	/* It is the task's result; as a coroutine's it would stand in the report once more. */
	return 0;
}

static void told_to_stop(void *self)
{
	struct tmgr_loop *loop = self;

	if (loop->state != TMGR__LOOP_ENDED)
		__atomic_store_n(&loop->state, TMGR__LOOP_STOPPING, __ATOMIC_RELEASE);
}

static void token_fired(void *self)
{
	struct tmgr_loop *loop = self;

	loop->token_call.function = told_to_stop;
	loop->token_call.self = loop;
	tmgr__loop_post(loop, &loop->token_call);
}

static int spawn_main(struct tmgr_loop *loop)
{
	if (!loop->options.main)
		return 0;
	/* Unless it comes to run. */
	loop->main_result = -ECANCELED;
	return tmgr__coroutine_spawn_main(loop, run_main, loop);
}

static void enter(struct tmgr_loop *loop, struct tmgr_context *context)
{
	loop->context = context;
	loop->current = tmgr_context_place();
	loop->now = loop->clock_began = read_clocks(&loop->ticks_began);
	loop->ticks = loop->ticks_began;
	/* Ten ticks a microsecond is less than any clock has. */
	loop->slow_ticks = (uint64_t)loop->options.slow_ns / 100;
	tmgr__fiber_init_thread(&loop->fiber);
	tmgr__overflow_watch();
	tmgr__loop_here = loop;
}

/* From here on others spawn on it: main has its place, and the token, which they are below, is there. */
static void open_up(struct tmgr_loop *loop)
{
	struct tmgr_token *token = tmgr_context_token(loop->context);

	__atomic_store_n(&loop->state, TMGR__LOOP_RUNNING, __ATOMIC_RELEASE);
	tmgr_token_register(token, &loop->token_callback, token_fired, loop);
}

static void give_stacks_back(struct tmgr_loop *loop)
{
	struct tmgr__stack *last = loop->stacks;

	if (!last)
		return;
	while (last->next)
		last = last->next;
	tmgr__stacks_give(loop->stacks, last, loop->stack_count);
	loop->stacks = NULL;
	loop->stack_count = 0;
}

static void leave(struct tmgr_loop *loop)
{
	__atomic_store_n(&loop->state, TMGR__LOOP_ENDED, __ATOMIC_RELEASE);
	/* From here on nobody posts because of the token. */
	tmgr_token_unregister(&loop->token_callback);
	tmgr__loop_await_posters(loop);
	while (tmgr__loop_has_posts(loop))
		tmgr__loop_take_posts(loop);
	tmgr__loop_drop_calls(loop);
	tmgr_executor_leave(&loop->host);
	tmgr__loop_here = NULL;
	tmgr__overflow_unwatch();
	give_stacks_back(loop);
}

static int loop_execute(void *self, struct tmgr_context *context)
{
	struct tmgr_loop *loop = self;
	struct tmgr_context *current;
	int r;

	if (tmgr__loop_here || tmgr_context_executor(context))
		return tmgr_fail(context, -EINVAL, "a loop cannot run on a loop");
	if (loop->state != TMGR__LOOP_NEW)
		return tmgr_fail(context, -EALREADY, "a loop runs once");
	r = tmgr_executor_enter(&loop->host, context);
	if (r < 0)
		return r;
	enter(loop, context);
	current = tmgr_context_switch(NULL);
	r = spawn_main(loop);
	open_up(loop);
	if (r < 0)
		end_with_main(loop, r);
	tmgr_ready(context);
	/* Here, for what a coroutine registers is on another stack, and would mix with others'. */
	pthread_cleanup_push(tmgr__loop_exited, loop);
	while (turn(loop))
		;
	tmgr_context_switch(current);
	leave(loop);
	pthread_cleanup_pop(0);
	if (loop->options.main)
		return loop->main_result;
	return tmgr_context_cancelled(context) ? -ECANCELED : 0;
}

static void loop_destroy(void *self)
{
	tmgr_loop_unref(self);
}

static bool loop_runs(const void *self, const struct tmgr_executor *host)
{
	const struct tmgr_loop *loop = self;

	return host == &loop->host;
}

static const struct tmgr_task_ops loop_ops = {
	.kind = "loop",
	.execute = loop_execute,
	.destroy = loop_destroy,
	.runs = loop_runs,
};

struct tmgr_task tmgr_loop_task(struct tmgr_loop *loop)
{
	static const struct tmgr_refusal missing = { -EINVAL, "a loop is missing" };

	if (!loop)
		return tmgr_task_refused(&missing);
	return (struct tmgr_task){ &loop_ops, tmgr_loop_ref(loop) };
}
