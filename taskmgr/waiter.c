/*
 * Waiters. No locks: the state word is all. Arming is an exchange, a full barrier, and then the
 * token is looked at, so that of a cancel and a wait that begin together one sees the other.
 */
#include "waiter.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "clock.h"
#include "context.h"
#include "token.h"

const struct tmgr_waiter_ops tmgr__thread_waiter_ops = {
	.park = tmgr__thread_park,
	.wake = tmgr__thread_wake,
	.park_fd = tmgr__thread_park_fd,
};

void tmgr_waiter_init(struct tmgr_waiter *waiter, const struct tmgr_waiter_ops *ops, void *owner)
{
	*waiter = (struct tmgr_waiter){ .wake_fd = -1, .ops = ops, .owner = owner };
}

void tmgr__waiter_fini(struct tmgr_waiter *waiter)
{
	check(__atomic_load_n(&waiter->state, __ATOMIC_RELAXED) == TMGR__WAITER_IDLE);
	if (waiter->wake_fd >= 0)
		close(waiter->wake_fd);
	waiter->wake_fd = -1;
}

void tmgr__thread_park(struct tmgr_waiter *waiter, uint32_t state, int64_t deadline)
{
	tmgr__clock_sleep(tmgr__clock_current(), &waiter->state, state, deadline);
}

void tmgr__thread_wake(struct tmgr_waiter *waiter)
{
	tmgr__futex_wake(&waiter->state, 1);
}

/*
 * Without a waiting owner's eventfd nothing could end the poll but the descriptor and the deadline.
 */
static int make_wake_fd(struct tmgr_waiter *waiter)
{
	if (waiter->wake_fd >= 0)
		return 0;
	waiter->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return waiter->wake_fd < 0 ? -errno : 0;
}

static int poll_until(struct pollfd *fds, int64_t deadline)
{
	struct timespec rest, *timeout = NULL;
	int r;

	if (deadline != TMGR_NEVER) {
		int64_t ns = deadline - tmgr_now();

		if (ns < 0)
			ns = 0;
		rest.tv_sec = (time_t)(ns / TMGR_SECOND);
		rest.tv_nsec = (long)(ns % TMGR_SECOND);
		timeout = &rest;
	}
	r = ppoll(fds, 2, timeout, NULL);
	return r < 0 ? (errno == EINTR ? 0 : -errno) : r;
}

int tmgr__thread_park_fd(struct tmgr_waiter *waiter, int fd, short events, int64_t deadline)
{
	struct pollfd fds[2] = { { .fd = fd, .events = events },
		{ .fd = waiter->wake_fd, .events = POLLIN } };
	uint64_t count;
	int r = poll_until(fds, deadline);

	if (r < 0)
		return r;
	if (fds[1].revents) {
		ssize_t taken = read(waiter->wake_fd, &count, sizeof(count));

		(void)taken;
	}
	return fds[0].revents;
}

void tmgr__waiter_cancel(struct tmgr_waiter *waiter)
{
	uint32_t state = TMGR__WAITER_WAITING;

	/* Sequentially consistent, as the token's flag and the arming: see the top of this file. */
	if (!__atomic_compare_exchange_n(&waiter->state, &state, TMGR__WAITER_CANCELLED, false,
		    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	if (__atomic_load_n(&waiter->polling, __ATOMIC_ACQUIRE)) {
		uint64_t one = 1;
		ssize_t written = write(waiter->wake_fd, &one, sizeof(one));

		/* A counter that is full is readable, too. */
		(void)written;
	} else {
		waiter->ops->wake(waiter);
	}
}

/* Win a waiter that is parked, and say what became of its wait. */
static bool end_wait(struct tmgr_waiter *waiter, uint32_t to)
{
	uint32_t state = TMGR__WAITER_WAITING;

	if (__atomic_compare_exchange_n(
		    &waiter->state, &state, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return true;
	return state == TMGR__WAITER_SHIELDED &&
	       __atomic_compare_exchange_n(
		       &waiter->state, &state, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool tmgr_waiter_expire(struct tmgr_waiter *waiter)
{
	return end_wait(waiter, TMGR__WAITER_LATE);
}

bool tmgr_waiter_fire(struct tmgr_waiter *waiter)
{
	return end_wait(waiter, TMGR__WAITER_FIRED);
}

struct tmgr_waiter *tmgr__waiter_own(void)
{
	static __thread struct tmgr_waiter waiter;

	if (!waiter.ops)
		tmgr_waiter_init(&waiter, &tmgr__thread_waiter_ops, NULL);
	return &waiter;
}

struct tmgr_waiter *tmgr__waiter_of(struct tmgr_context *context)
{
	return context ? context->waiter : tmgr__waiter_own();
}

void tmgr__wait_misused(const struct tmgr__wait *wait)
{
	tmgr__misuse_context(tmgr_context_name(wait->context));
}

static void set_shielded(struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline)
{
	wait->context = context;
	wait->waiter = tmgr__waiter_of(context);
	wait->token = NULL;
	wait->deadline = wait->limit = deadline;
	wait->shielded = true;
	tmgr__wait_look(wait);
}

void tmgr__wait_begin_shielded(
	struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline)
{
	set_shielded(wait, context, deadline);
	tmgr__waiter_count(wait->waiter);
}

int tmgr__wait_may_begin_slowly(struct tmgr_context *context)
{
	tmgr__waiter_count(tmgr__waiter_of(context));
	if (!context || context->shield_depth > 0)
		return 0;
	return tmgr_token_fired(tmgr__context_attach(context)) ? -ECANCELED : 0;
}

void tmgr__wait_set_slowly(struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline)
{
	int64_t limit;

	set_shielded(wait, context, deadline);
	if (!context)
		return;
	if (context->shield_depth > 0) {
		if (context->shield_deadline < deadline)
			wait->deadline = wait->limit = context->shield_deadline;
		return;
	}
	wait->shielded = false;
	wait->token = context->token;
	limit = tmgr_token_deadline(wait->token);
	if (limit < deadline)
		wait->limit = limit;
}

int tmgr__wait_late(struct tmgr__wait *wait)
{
	int64_t now;

	if (wait->limit == TMGR_NEVER)
		return 0;
	now = wait->limit <= 0 ? 0 : tmgr_now();
	if (wait->limit > now)
		return 0;
	/*
	 * Of a token's deadline and the caller's own the earlier counts, and of equal ones the
	 * caller's.
	 */
	if (wait->token && wait->limit < wait->deadline &&
		tmgr__token_expire(wait->token, tmgr_now()))
		return -ECANCELED;
	return -ETIMEDOUT;
}

static bool leave(struct tmgr_waiter *waiter, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(
		&waiter->state, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* The state once the wait is over, and the waiter idle again. */
static int finish(struct tmgr__wait *wait, uint32_t state)
{
	__atomic_store_n(&wait->waiter->state, TMGR__WAITER_IDLE, __ATOMIC_RELAXED);
	if (state == TMGR__WAITER_FIRED)
		return 0;
	switch (state) {
	case TMGR__WAITER_LATE:
		/*
		 * The waiter's own look at the clock decides; the token's deadline makes it a
		 * cancel.
		 */
		if (wait->token && wait->limit < wait->deadline) {
			tmgr__token_expire(wait->token, wait->limit);
			return -ECANCELED;
		}
		return -ETIMEDOUT;
	default:
		check(state == TMGR__WAITER_CANCELLED);
		return -ECANCELED;
	}
}

static uint32_t current_state(const struct tmgr_waiter *waiter)
{
	return __atomic_load_n(&waiter->state, __ATOMIC_ACQUIRE);
}

static void enter_wait(struct tmgr__wait *wait, const char *what)
{
	if (wait->context)
		tmgr__context_set_waiting(wait->context, what);
	if (wait->waiter->ops->before)
		wait->waiter->ops->before(wait->waiter);
}

static void leave_wait(struct tmgr__wait *wait)
{
	if (wait->waiter->ops->after)
		wait->waiter->ops->after(wait->waiter);
	if (wait->context)
		tmgr__context_set_waiting(wait->context, NULL);
}

static bool is_parked(uint32_t state)
{
	return state == TMGR__WAITER_WAITING || state == TMGR__WAITER_SHIELDED;
}

/* Whether the wait has ended before it parked, by its own look at the token. */
static bool cancel_own(struct tmgr__wait *wait)
{
	return wait->token &&
	       __builtin_expect(__atomic_load_n(&wait->token->fired, __ATOMIC_SEQ_CST), 0) &&
	       leave(wait->waiter, TMGR__WAITER_WAITING, TMGR__WAITER_CANCELLED);
}

/* On a host that counts wakes: whoever else ends the wait wakes it, once, and that is taken. */
static int park_counted(struct tmgr__wait *wait, const char *what)
{
	struct tmgr_waiter *waiter = wait->waiter;

	if (cancel_own(wait))
		return finish(wait, TMGR__WAITER_CANCELLED);
	waiter->unwaited = 0;
	if (wait->context)
		tmgr__context_set_waiting(wait->context, what);
	waiter->ops->park(waiter, 0, wait->limit);
	if (wait->context)
		tmgr__context_set_waiting(wait->context, NULL);
	return finish(wait, current_state(waiter));
}

int tmgr__wait_park(struct tmgr__wait *wait, const char *what)
{
	struct tmgr_waiter *waiter = wait->waiter;
	uint32_t state;

	if (waiter->ops->counted)
		return park_counted(wait, what);
	cancel_own(wait);
	state = current_state(waiter);
	if (is_parked(state)) {
		enter_wait(wait, what);
		while (is_parked(state = current_state(waiter))) {
			if (wait->limit != TMGR_NEVER && tmgr_now() >= wait->limit) {
				leave(waiter, state, TMGR__WAITER_LATE);
				continue;
			}
			waiter->ops->park(waiter, state, wait->limit);
		}
		leave_wait(wait);
	}
	/* A partner is copying: neither cancel nor the deadline can cut that short. */
	while ((state = current_state(waiter)) == TMGR__WAITER_BUSY)
		waiter->ops->park(waiter, state, TMGR_NEVER);
	return finish(wait, state);
}

static int park_fd_counted(struct tmgr__wait *wait, int fd, short events)
{
	struct tmgr_waiter *waiter = wait->waiter;
	int ready = 0, r = 0;

	tmgr__wait_arm(wait);
	if (cancel_own(wait))
		return finish(wait, TMGR__WAITER_CANCELLED);
	enter_wait(wait, "descriptor");
	ready = waiter->ops->park_fd(waiter, fd, events, wait->limit);
	leave_wait(wait);
	/* The host could not watch it, and so nobody else ended the wait. */
	if (ready < 0 && leave(waiter, current_state(waiter), TMGR__WAITER_IDLE))
		return ready;
	r = finish(wait, current_state(waiter));
	return r < 0 ? r : ready;
}

int tmgr__wait_park_fd(struct tmgr__wait *wait, int fd, short events)
{
	struct tmgr_waiter *waiter = wait->waiter;
	uint32_t state;
	int ready;

	if (waiter->ops->counted)
		return park_fd_counted(wait, fd, events);
	/* Without a context nobody can cancel it, nor close the eventfd when its thread ends. */
	ready = wait->context ? make_wake_fd(waiter) : 0;
	if (ready < 0)
		return ready;
	__atomic_store_n(&waiter->polling, true, __ATOMIC_RELEASE);
	tmgr__wait_arm(wait);
	cancel_own(wait);
	enter_wait(wait, "descriptor");
	while (is_parked(state = current_state(waiter))) {
		if (wait->limit != TMGR_NEVER && tmgr_now() >= wait->limit) {
			leave(waiter, state, TMGR__WAITER_LATE);
			continue;
		}
		ready = waiter->ops->park_fd(waiter, fd, events, wait->limit);
		if (ready != 0)
			leave(waiter, state, TMGR__WAITER_FIRED);
	}
	leave_wait(wait);
	__atomic_store_n(&waiter->polling, false, __ATOMIC_RELEASE);
	state = (uint32_t)finish(wait, state);
	return (int)state < 0 ? (int)state : ready;
}

/*
 * As tmgr__wait_begin() and tmgr__wait_late(), but nobody else runs meanwhile: the caller has
 * looked, and what is announced before the wait is armed would be lost.
 */
static int begin_announced(struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline)
{
	struct tmgr_token *token = NULL;

	if (context->shield_depth == 0)
		token = tmgr__context_attach(context);
	tmgr__wait_set(wait, context, deadline);
	if (token && tmgr_token_fired(token))
		return -ECANCELED;
	return tmgr__wait_late(wait);
}

int tmgr_wait_announced(struct tmgr_context *context, struct tmgr_waiter **ret_waiter,
	const char *what, int64_t deadline)
{
	struct tmgr__wait wait;
	int r;

	if (!context || !ret_waiter || !what)
		return -EINVAL;
	r = begin_announced(&wait, context, deadline);
	if (r < 0) {
		/* One that parks lets others run anyway. */
		tmgr__waiter_count(context->waiter);
		return r;
	}
	*ret_waiter = wait.waiter;
	tmgr__wait_arm(&wait);
	r = tmgr__wait_park(&wait, what);
	*ret_waiter = NULL;
	return r;
}

void tmgr_context_count_operation(struct tmgr_context *context)
{
	if (context)
		tmgr__waiter_count(context->waiter);
}
