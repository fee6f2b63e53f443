/*
 * The waits that need no object: sleeping, yielding, descriptors. And the scope in which cancel
 * does not end them.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>

#include "clock.h"
#include "context.h"
#include "fork.h"
#include "waiter.h"

static int sleep_until(struct tmgr_context *context, int64_t deadline)
{
	struct tmgr__wait wait;
	int r;

	r = tmgr__wait_begin(&wait, context, deadline);
	if (r == 0)
		r = tmgr__wait_late(&wait);
	if (r == 0) {
		tmgr__wait_arm(&wait);
		r = tmgr__wait_park(&wait, "sleep");
	}
	/* In an uninterrupted scope that ends earlier the sleep was cut short. */
	return r == -ETIMEDOUT && wait.deadline == deadline ? 0 : r;
}

int tmgr_sleep(struct tmgr_context *context, int64_t ns)
{
	return sleep_until(context, ns <= 0 ? TMGR_NOW : tmgr_after(ns));
}

int tmgr_sleep_until(struct tmgr_context *context, int64_t deadline)
{
	if (!context && deadline == TMGR_NEVER)
		return -EINVAL;
	return sleep_until(context, deadline);
}

int tmgr_context_interrupted(const struct tmgr_context *context)
{
	if (context && context->shield_depth == 0 && tmgr_context_cancelled(context))
		return -ECANCELED;
	return 0;
}

int tmgr_yield(struct tmgr_context *context)
{
	if (tmgr_context_interrupted(context) < 0)
		return -ECANCELED;
	if (context && context->waiter->ops->yield)
		context->waiter->ops->yield(context->waiter);
	else
		sched_yield();
	return 0;
}

/* What is ready now: a mask of poll(2), or a negative errno. A regular file is, always. */
static int poll_now(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int r = poll(&poll_fd, 1, 0);

	return r < 0 && errno != EINTR ? -errno : r > 0 ? poll_fd.revents : 0;
}

static int events_of(int revents, int asked)
{
	int ready = 0;

	if (revents < 0)
		return revents;
	if (revents & POLLNVAL)
		return -EBADF;
	if (revents & (POLLIN | POLLHUP | POLLERR))
		ready |= TMGR_FD_READ;
	if (revents & (POLLOUT | POLLHUP | POLLERR))
		ready |= TMGR_FD_WRITE;
	return ready & asked;
}

int tmgr_wait_fd(struct tmgr_context *context, int fd, int events, int64_t deadline)
{
	struct tmgr__wait wait;
	short poll_events = 0;
	int r;

	if (events == 0 || (events & ~(TMGR_FD_READ | TMGR_FD_WRITE)))
		return -EINVAL;
	if (fd < 0)
		return -EBADF;
	if (events & TMGR_FD_READ)
		poll_events |= POLLIN;
	if (events & TMGR_FD_WRITE)
		poll_events |= POLLOUT;
	r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	r = events_of(poll_now(fd, poll_events), events);
	if (r == 0)
		r = tmgr__wait_late(&wait);
	if (r != 0)
		return r;
	if (context)
		__atomic_store_n(&context->base->waiting_fd, fd, __ATOMIC_RELAXED);
	return events_of(tmgr__wait_park_fd(&wait, fd, poll_events), events);
}

int tmgr_uninterrupted_begin(struct tmgr_context *context, int64_t deadline)
{
	if (!context)
		return -EINVAL;
	if (context->shield_depth++ == 0)
		context->shield_deadline = deadline;
	return 0;
}

int tmgr_uninterrupted_end(struct tmgr_context *context)
{
	if (!context || context->shield_depth == 0)
		return -EINVAL;
	context->shield_depth--;
	return 0;
}
