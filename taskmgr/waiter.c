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

const struct tmgr__waiter_ops tmgr__thread_waiter_ops = {
	.park = tmgr__thread_park,
	.wake = tmgr__thread_wake,
	.park_fd = tmgr__thread_park_fd,
};

void tmgr__waiter_init(struct tmgr__waiter *waiter, const struct tmgr__waiter_ops *ops)
{
	*waiter = (struct tmgr__waiter){ .wake_fd = -1, .ops = ops };
}

void tmgr__waiter_fini(struct tmgr__waiter *waiter)
{
	check(__atomic_load_n(&waiter->state, __ATOMIC_RELAXED) == TMGR__WAITER_IDLE);
	if (waiter->wake_fd >= 0)
		close(waiter->wake_fd);
	waiter->wake_fd = -1;
}

void tmgr__thread_park(struct tmgr__waiter *waiter, uint32_t state, int64_t deadline)
{
	tmgr__clock_sleep(tmgr__clock_current(), &waiter->state, state, deadline);
}

void tmgr__thread_wake(struct tmgr__waiter *waiter)
{
	tmgr__futex_wake(&waiter->state, 1);
}

/*
 * Without a waiting owner's eventfd nothing could end the poll but the descriptor and the deadline.
 */
static int make_wake_fd(struct tmgr__waiter *waiter)
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

int tmgr__thread_park_fd(struct tmgr__waiter *waiter, int fd, short events, int64_t deadline)
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

bool tmgr__waiter_claim(struct tmgr__waiter *waiter)
{
	uint32_t state = TMGR__WAITER_WAITING;

	if (__atomic_compare_exchange_n(&waiter->state, &state, TMGR__WAITER_BUSY, false,
		    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return true;
	return state == TMGR__WAITER_SHIELDED &&
	       __atomic_compare_exchange_n(&waiter->state, &state, TMGR__WAITER_BUSY, false,
		       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void tmgr__waiter_cancel(struct tmgr__waiter *waiter)
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

/* The waiter of a thread that waits without a context. */
static struct tmgr__waiter *own_waiter(void)
{
	static __thread struct tmgr__waiter waiter;

	if (!waiter.ops)
		tmgr__waiter_init(&waiter, &tmgr__thread_waiter_ops);
	return &waiter;
}

void tmgr__wait_begin_shielded(
	struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline)
{
	wait->context = context;
	wait->waiter = context ? context->waiter : own_waiter();
	wait->token = NULL;
	wait->deadline = wait->limit = deadline;
	wait->shielded = true;
	check(__atomic_load_n(&wait->waiter->state, __ATOMIC_RELAXED) == TMGR__WAITER_IDLE);
}

int tmgr__wait_begin(struct tmgr__wait *wait, struct tmgr_context *context, int64_t deadline)
{
	int64_t limit;

	tmgr__wait_begin_shielded(wait, context, deadline);
	if (!context)
		return 0;
	if (context->shield_depth > 0) {
		if (context->shield_deadline < deadline)
			wait->deadline = wait->limit = context->shield_deadline;
		return 0;
	}
	wait->shielded = false;
	wait->token = tmgr__context_attach(context);
	if (tmgr_token_fired(wait->token))
		return -ECANCELED;
	limit = tmgr_token_deadline(wait->token);
	if (limit < deadline)
		wait->limit = limit;
	return 0;
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

void tmgr__wait_arm(struct tmgr__wait *wait)
{
	uint32_t state = wait->shielded ? TMGR__WAITER_SHIELDED : TMGR__WAITER_WAITING;

	__atomic_exchange_n(&wait->waiter->state, state, __ATOMIC_SEQ_CST);
}

static bool leave(struct tmgr__waiter *waiter, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(
		&waiter->state, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* The state once the wait is over, and the waiter idle again. */
static int finish(struct tmgr__wait *wait, uint32_t state)
{
	__atomic_store_n(&wait->waiter->state, TMGR__WAITER_IDLE, __ATOMIC_RELAXED);
	switch (state) {
	case TMGR__WAITER_FIRED:
		return 0;
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

static uint32_t current_state(const struct tmgr__waiter *waiter)
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

int tmgr__wait_park(struct tmgr__wait *wait, const char *what)
{
	struct tmgr__waiter *waiter = wait->waiter;
	uint32_t state;

	if (wait->token && __atomic_load_n(&wait->token->fired, __ATOMIC_SEQ_CST))
		leave(waiter, TMGR__WAITER_WAITING, TMGR__WAITER_CANCELLED);
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

int tmgr__wait_park_fd(struct tmgr__wait *wait, int fd, short events)
{
	struct tmgr__waiter *waiter = wait->waiter;
	uint32_t state;
	int ready = make_wake_fd(waiter);

	if (ready < 0)
		return ready;
	__atomic_store_n(&waiter->polling, true, __ATOMIC_RELEASE);
	tmgr__wait_arm(wait);
	if (wait->token && __atomic_load_n(&wait->token->fired, __ATOMIC_SEQ_CST))
		leave(waiter, TMGR__WAITER_WAITING, TMGR__WAITER_CANCELLED);
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
