/*
 * How a loop looks at descriptors, sleeps, and is woken.
 *
 * While it watches no descriptor, and nobody has asked for libev's loop, it needs no event loop: it
 * sleeps as a thread does, on a word, which costs who wakes it and itself a system call each, where an
 * eventfd below epoll costs three. Else libev sleeps, and is woken by its own means.
 *
 * Who wakes has changed something before, and the loop looks at all that once more after it has said
 * that it sleeps: so one of the two sees what the other did.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "internal.h"

static void posted(struct ev_loop *ev, ev_async *watcher, int events)
{
	/* Waking was all. */
}

static void alarm_rang(struct ev_loop *ev, ev_timer *watcher, int events)
{
	/* Likewise. */
}

/* Whether there is a descriptor for the wakes: where libev gets none it ends the program. */
static int try_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int tmgr__loop_open(struct tmgr_loop *loop)
{
	int r;

	errno = 0;
	loop->ev = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (!loop->ev)
		return errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
	r = try_eventfd();
	if (r < 0) {
		ev_loop_destroy(loop->ev);
		return r;
	}
	ev_timer_init(&loop->alarm, alarm_rang, 0, 0);
	ev_async_init(&loop->async, posted);
	ev_async_start(loop->ev, &loop->async);
	return 0;
}

void tmgr__loop_close(struct tmgr_loop *loop)
{
	ev_async_stop(loop->ev, &loop->async);
	ev_loop_destroy(loop->ev);
}

struct ev_loop *tmgr_loop_ev(struct tmgr_loop *loop)
{
	if (!loop)
		return NULL;
	__atomic_store_n(&loop->ev_lent, true, __ATOMIC_SEQ_CST);
	return loop->ev;
}

void tmgr__loop_watch(struct tmgr_loop *loop, ev_io *watcher)
{
	if (ev_is_active(watcher))
		return;
	loop->watched++;
	ev_io_start(loop->ev, watcher);
}

void tmgr__loop_unwatch(struct tmgr_loop *loop, ev_io *watcher)
{
	if (!ev_is_active(watcher))
		return;
	loop->watched--;
	ev_io_stop(loop->ev, watcher);
}

static bool needs_ev(const struct tmgr_loop *loop)
{
	return loop->watched > 0 || __atomic_load_n(&loop->ev_lent, __ATOMIC_RELAXED);
}

void tmgr__loop_look(struct tmgr_loop *loop)
{
	if (needs_ev(loop))
		ev_run(loop->ev, EVRUN_NOWAIT);
}

static void sleep_in_ev(struct tmgr_loop *loop, int64_t at)
{
	if (at != TMGR_NEVER) {
		int64_t ns = at - tmgr_now();

		/* The least that libev sleeps may be a millisecond. */
		if (ns <= 0) {
			ev_run(loop->ev, EVRUN_NOWAIT);
			return;
		}
		ev_now_update(loop->ev);
		ev_timer_set(&loop->alarm, (double)ns / (double)TMGR_SECOND, 0);
		ev_timer_start(loop->ev, &loop->alarm);
	}
	ev_run(loop->ev, EVRUN_ONCE);
	if (at != TMGR_NEVER)
		ev_timer_stop(loop->ev, &loop->alarm);
}

bool tmgr__loop_sleep(struct tmgr_loop *loop, int64_t at, bool (*may_sleep)(struct tmgr_loop *loop))
{
	bool may;

	if (needs_ev(loop)) {
		may = may_sleep(loop);
		if (may)
			sleep_in_ev(loop, at);
		return may;
	}
	__atomic_store_n(&loop->asleep, 1, __ATOMIC_SEQ_CST);
	may = may_sleep(loop);
	if (may)
		tmgr__futex_wait(&loop->asleep, 1, at);
	__atomic_store_n(&loop->asleep, 0, __ATOMIC_RELAXED);
	return may;
}

void tmgr__loop_wake(struct tmgr_loop *loop)
{
	if (__atomic_load_n(&loop->asleep, __ATOMIC_SEQ_CST) &&
		__atomic_exchange_n(&loop->asleep, 0, __ATOMIC_SEQ_CST))
		tmgr__futex_wake(&loop->asleep, 1);
	else
		/* While it does not sleep this is only a look at a flag. */
		ev_async_send(loop->ev, &loop->async);
}
