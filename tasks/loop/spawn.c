/*
 * Spawning: from a coroutine onto its own loop, which shares nothing with anybody, and from any
 * thread. A coroutine is counted in a family, that of the hosted task, or of the loop's own, which it
 * was spawned below; a task ends after its family.
 *
 * Where there is a maximum who spawns takes a place first, so that those count that are on their way.
 * It is given back before the end is told: who has awaited one may spawn another.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

/* Nobody refers to its strand any more. */
static void release_strand(void *owner)
{
	tmgr__coroutine_unref(owner);
}

static void *strand_memory(struct tmgr_coroutine *coroutine)
{
	return coroutine + 1;
}

void tmgr__coroutine_write_name(struct tmgr_coroutine *coroutine, const char *name)
{
	size_t length;

	coroutine->named = name != NULL;
	if (!name)
		name = "coroutine";
	length = strnlen(name, TMGR_COROUTINE_NAME_MAX);
	/* Who was here before may be looked at still, by the name. */
	for (size_t i = 0; i < length; i++)
		__atomic_store_n(&coroutine->own_name[i], name[i], __ATOMIC_RELAXED);
	__atomic_store_n(&coroutine->own_name[length], '\0', __ATOMIC_RELAXED);
}

/* What is spawned by a coroutine, or, with NULL, from elsewhere is counted in this. */
static inline struct tmgr__family *family_below(
	struct tmgr_coroutine *spawner, struct tmgr_loop *loop)
{
	if (!spawner)
		return &loop->family;
	return spawner->hosted ? &spawner->own : spawner->family;
}

static __attribute__((noinline)) bool take_place(struct tmgr_loop *loop)
{
	size_t taken = __atomic_load_n(&loop->places, __ATOMIC_RELAXED);

	do {
		if (taken >= loop->options.coroutines_max)
			return false;
	} while (!__atomic_compare_exchange_n(
		&loop->places, &taken, taken + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

/* Tasks are not refused, and so there may be more of them than places. */
static void take_place_for_task(struct tmgr_loop *loop)
{
	if (loop->options.coroutines_max > 0)
		__atomic_fetch_add(&loop->places, 1, __ATOMIC_RELAXED);
}

/* A coroutine below `parent`, which is of the spawner, if there is one; to be started or unmade. */
static inline __attribute__((always_inline)) int make(struct tmgr_context *parent,
	struct tmgr_coroutine *spawner, struct tmgr_loop *loop,
	const struct tmgr_coroutine_options *options, struct tmgr_coroutine **ret_coroutine)
{
	bool alike = spawner && spawner->context == parent && !spawner->hosted;
	bool here = loop == tmgr__loop_here;
	struct tmgr_coroutine *coroutine;

	if (__builtin_expect(loop->options.coroutines_max > 0, 0) && !take_place(loop))
		return -EAGAIN;
	coroutine = here ? tmgr__coroutine_make_warm(loop) : NULL;
	if (__builtin_expect(!coroutine, 0)) {
		coroutine = tmgr__coroutine_make(loop);
		if (!coroutine) {
			tmgr__loop_give_place(loop);
			return -ENOMEM;
		}
	}
	tmgr__coroutine_set_name(coroutine, options ? options->name : NULL);
	coroutine->family = family_below(spawner, loop);
	if (__builtin_expect(coroutine->strand != NULL, 1)) {
		coroutine->context = coroutine->strand;
		tmgr_strand_init_again(coroutine->strand, parent, alike);
		*ret_coroutine = coroutine;
		return 0;
	}
	coroutine->context = coroutine->strand = tmgr_strand_init(
		strand_memory(coroutine), &(struct tmgr_strand_setup){
						  .parent = parent,
						  .waiter = &coroutine->waiter,
						  .host = &loop->host,
						  .name = coroutine->own_name,
						  .release = release_strand,
						  .owner = coroutine,
						  .same_thread = alike,
					  });
	*ret_coroutine = coroutine;
	return 0;
}

static void give_handle(struct tmgr_coroutine *coroutine, struct tmgr_coroutine **ret_coroutine)
{
	if (!ret_coroutine)
		return;
	coroutine->refs++;
	coroutine->wanted = true;
	*ret_coroutine = coroutine;
}

int tmgr_coroutine_spawn(struct tmgr_context *context,
	int (*function)(void *self, struct tmgr_context *context), void *self,
	const struct tmgr_coroutine_options *options, struct tmgr_coroutine **ret_coroutine)
{
	struct tmgr_loop *loop = tmgr__loop_here;
	struct tmgr_coroutine *spawner = tmgr__coroutine_here(), *coroutine;
	int r;

	/* Mostly it spawns with its own context. What has ended has no family that would be waited for. */
	if (!spawner || spawner->context != context) {
		spawner = tmgr__coroutine_of(context);
		if (spawner && spawner->state == TMGR__COROUTINE_ENDED)
			return -EINVAL;
	}
	if (!spawner || spawner->loop != loop || !function)
		return -EINVAL;
	/* A call that the loop makes waits for nobody. */
	if (options && options->at_once && !loop->running)
		return -EINVAL;
	if (tmgr_context_cancelled(context))
		return -ECANCELED;
	r = make(context, spawner, loop, options, &coroutine);
	if (r < 0)
		return r;
	coroutine->function = function;
	coroutine->self = self;
	coroutine->family->alive++;
	give_handle(coroutine, ret_coroutine);
	if (options && options->at_once)
		tmgr__coroutine_run_at_once(coroutine);
	else
		tmgr__coroutine_start(coroutine);
	return 0;
}

/*
 * From here on they keep the loop by being on it, and its task, which runs now, keeps its memory. So
 * the holds of all are given back at once.
 */
static void give_holds_back(struct tmgr_loop *loop, uint32_t count)
{
	if (__atomic_sub_fetch(&loop->holds, count, __ATOMIC_ACQ_REL) == 0)
		tmgr_loop_unref(loop);
}

void tmgr__coroutine_start_posted(void *self)
{
	struct tmgr_coroutine *coroutine = self;
	struct tmgr_hosted *others = coroutine->others;
	struct tmgr_loop *loop = coroutine->loop;
	uint32_t count = 0;

	if (__builtin_expect(__atomic_load_n(&loop->exited, __ATOMIC_RELAXED), 0)) {
		tmgr__loop_bury_started(coroutine);
		return;
	}
	if (!coroutine->hosted) {
		coroutine->family->alive++;
		/* Those that had started were cancelled before. */
		if (loop->main_failed)
			tmgr_token_cancel(
				tmgr_strand_token(coroutine->context), 0, TMGR__MAIN_FAILED);
	}
	do {
		if (coroutine->hosted)
			take_place_for_task(loop);
		tmgr__coroutine_start(coroutine);
		count++;
	} while ((coroutine = tmgr__hosted_make_next(loop, &others)));
	give_holds_back(loop, count);
}

void tmgr__coroutine_start_anywhere(struct tmgr_coroutine *coroutine)
{
	if (coroutine->loop == tmgr__loop_here) {
		tmgr__coroutine_start_posted(coroutine);
		return;
	}
	coroutine->call.function = tmgr__coroutine_start_posted;
	coroutine->call.self = coroutine;
	tmgr__loop_post(coroutine->loop, &coroutine->call);
}

/* The loop is held, until this fails or the coroutine has started. */
static int spawn_held(struct tmgr_loop *loop,
	int (*function)(void *self, struct tmgr_context *context), void *self,
	const struct tmgr_coroutine_options *options, struct tmgr_coroutine **ret_coroutine)
{
	struct tmgr_coroutine *coroutine;
	int r = make(loop->context, NULL, loop, options, &coroutine);

	if (r < 0) {
		tmgr__loop_release(loop);
		return r;
	}
	coroutine->function = function;
	coroutine->self = self;
	give_handle(coroutine, ret_coroutine);
	tmgr__coroutine_start_anywhere(coroutine);
	return 0;
}

int tmgr__coroutine_spawn_main(struct tmgr_loop *loop,
	int (*function)(void *self, struct tmgr_context *context), void *self)
{
	static const struct tmgr_coroutine_options options = { .name = "main" };
	struct tmgr_coroutine *coroutine;
	int r;

	if (!tmgr__loop_hold(loop))
		return -ESHUTDOWN;
	r = spawn_held(loop, function, self, &options, &coroutine);
	if (r == 0)
		tmgr_coroutine_unref(coroutine);
	return r;
}

int tmgr_loop_spawn(struct tmgr_loop *loop,
	int (*function)(void *self, struct tmgr_context *context), void *self,
	const struct tmgr_coroutine_options *options, struct tmgr_coroutine **ret_coroutine)
{
	if (!loop || !function || (options && options->at_once))
		return -EINVAL;
	if (!tmgr__loop_hold(loop))
		return -ESHUTDOWN;
	if (__atomic_load_n(&loop->state, __ATOMIC_ACQUIRE) == TMGR__LOOP_RUNNING)
		return spawn_held(loop, function, self, options, ret_coroutine);
	tmgr__loop_release(loop);
	return -ESHUTDOWN;
}

void tmgr__family_cancel(
	struct tmgr_loop *loop, const struct tmgr__family *family, const char *text)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &loop->all) {
		struct tmgr_coroutine *coroutine = container_of(node, struct tmgr_coroutine, all);

		if (!coroutine->hosted && coroutine->family == family)
			tmgr_token_cancel(tmgr_strand_token(coroutine->context), 0, text);
	}
}

void tmgr__family_join(struct tmgr_loop *loop, struct tmgr__family *family,
	struct tmgr_context *context, int result)
{
	if (family->alive == 0)
		return;
	if (result != 0)
		tmgr__family_cancel(loop, family, "the task that spawned it failed");
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	while (family->alive > 0)
		tmgr_wait_announced(context, &family->joiner, "coroutines", TMGR_NEVER);
	tmgr_uninterrupted_end(context);
}
