/*
 * Handles of coroutines: their ends, as futures, and cancelling them. From any thread.
 */
#include <errno.h>

#include "internal.h"
#include "taskmgr/base/check.h"

void tmgr__coroutine_settle(struct tmgr_coroutine *coroutine, int error)
{
	tmgr_future_complete(&coroutine->settled, error, error == 0 ? coroutine->value : NULL);
}

struct tmgr_coroutine *tmgr_coroutine_ref(struct tmgr_coroutine *coroutine)
{
	if (coroutine)
		check(__atomic_fetch_add(&coroutine->refs, 1, __ATOMIC_RELAXED) > 0);
	return coroutine;
}

void tmgr_coroutine_unref(struct tmgr_coroutine *coroutine)
{
	if (coroutine)
		tmgr__coroutine_unref(coroutine);
}

struct tmgr_future *tmgr_coroutine_future(struct tmgr_coroutine *coroutine)
{
	return coroutine ? &coroutine->future : NULL;
}

static void token_fired(void *self)
{
	tmgr__coroutine_settle(self, -ECANCELED);
}

/* On the loop's thread: a cancel of what is above it settles its result, too. */
static void watch_token(struct tmgr_coroutine *coroutine)
{
	if (tmgr_future_done(&coroutine->future))
		return;
	coroutine->watched = true;
	tmgr_strand_link(coroutine->context);
	tmgr_token_register(tmgr_strand_token(coroutine->context), &coroutine->settling,
		token_fired, coroutine);
}

static void watch_posted(void *self)
{
	watch_token(self);
	tmgr__coroutine_unref(self);
}

/* Once it has ended its loop may be gone; and it does not end while its future is locked. */
static bool hold_its_loop(struct tmgr_coroutine *coroutine)
{
	struct tmgr__lock *lock = (struct tmgr__lock *)(void *)&coroutine->future.lock;
	bool held;

	tmgr__lock_acquire(lock);
	held = !tmgr_future_done(&coroutine->future) && tmgr__loop_hold(coroutine->loop);
	tmgr__lock_release(lock);
	return held;
}

static void have_watched(struct tmgr_coroutine *coroutine)
{
	struct tmgr_loop *loop = coroutine->loop;

	if (loop == tmgr__loop_here) {
		watch_token(coroutine);
	} else if (hold_its_loop(coroutine)) {
		coroutine->settle_call.function = watch_posted;
		coroutine->settle_call.self = tmgr_coroutine_ref(coroutine);
		tmgr__loop_post(loop, &coroutine->settle_call);
		tmgr__loop_release(loop);
	}
}

struct tmgr_future *tmgr_coroutine_result(struct tmgr_coroutine *coroutine)
{
	int error;
	void *value;

	if (!coroutine)
		return NULL;
	if (!__atomic_exchange_n(&coroutine->settled_wanted, true, __ATOMIC_SEQ_CST))
		have_watched(coroutine);
	/* It may have ended, or have been cancelled, just before. */
	if (tmgr_future_result(&coroutine->future, &error, &value) == 0)
		tmgr_future_complete(&coroutine->settled, error, value);
	else if (tmgr_token_fired(tmgr_strand_token(coroutine->context)))
		tmgr__coroutine_settle(coroutine, -ECANCELED);
	return &coroutine->settled;
}

/* Its own end would never come, and no cancel would end the wait for it. */
static int check_other(const struct tmgr_coroutine *coroutine)
{
	if (!coroutine)
		return -EINVAL;
	return coroutine == tmgr__coroutine_here() ? -EDEADLK : 0;
}

int tmgr_coroutine_await(struct tmgr_context *context, struct tmgr_coroutine *coroutine,
	int64_t deadline, void **ret_value)
{
	int r = check_other(coroutine);

	return r < 0 ? r : tmgr_await(context, &coroutine->future, deadline, ret_value);
}

int tmgr_coroutine_join(
	struct tmgr_context *context, struct tmgr_coroutine *coroutine, int64_t deadline)
{
	int r = check_other(coroutine), error;

	if (r < 0)
		return r;
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	r = tmgr_future_wait(context, &coroutine->future, deadline);
	tmgr_uninterrupted_end(context);
	return r == 0 && tmgr_future_result(&coroutine->future, &error, NULL) == 0 ? error : r;
}

int tmgr_coroutine_cancel(struct tmgr_coroutine *coroutine, int code, const char *text)
{
	int r;

	if (!coroutine)
		return -EINVAL;
	if (tmgr_future_done(&coroutine->future))
		return -EALREADY;
	r = tmgr_token_cancel(tmgr_strand_token(coroutine->context), code, text);
	if (r == 0 && __atomic_load_n(&coroutine->settled_wanted, __ATOMIC_SEQ_CST))
		tmgr__coroutine_settle(coroutine, -ECANCELED);
	return r;
}

int tmgr_coroutine_set_value(struct tmgr_context *context, void *value)
{
	struct tmgr_coroutine *coroutine = tmgr__coroutine_of(context);

	if (!coroutine || coroutine->hosted)
		return -EINVAL;
	coroutine->value = value;
	return 0;
}
