#include "io.h"

#include <errno.h>

#include <taskmgr/future.h>

#include "internal.h"

static void ready(struct tmgr_loop *loop, ev_io *watcher, struct tmgr_waiter *waiter)
{
	/*
	 * Nobody has waited since the last event: until somebody does it is not to be told again.
	 */
	if (!waiter)
		tmgr__loop_unwatch(loop, watcher);
	else if (tmgr_waiter_fire(waiter))
		waiter->ops->wake(waiter);
}

static void ready_to_read(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct tmgr__io *io = container_of(watcher, struct tmgr__io, read);

	ready(io->loop, watcher, io->reader);
}

static void ready_to_write(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct tmgr__io *io = container_of(watcher, struct tmgr__io, write);

	ready(io->loop, watcher, io->writer);
}

void tmgr__io_init(struct tmgr__io *io, int fd)
{
	io->fd = fd;
	io->loop = NULL;
	io->reader = io->writer = NULL;
	ev_io_init(&io->read, ready_to_read, fd, EV_READ);
	ev_io_init(&io->write, ready_to_write, fd, EV_WRITE);
}

static void stop(struct tmgr__io *io)
{
	tmgr__loop_unwatch(io->loop, &io->read);
	tmgr__loop_unwatch(io->loop, &io->write);
}

/* Somebody on another thread waits until its descriptor is not watched any more. */
struct leaver {
	struct tmgr_loop_call call;
	struct tmgr_future done;
	struct tmgr__io *io;
};

static void stop_for(void *self)
{
	struct leaver *leaver = self;

	stop(leaver->io);
	tmgr_future_complete(&leaver->done, 0, NULL);
}

struct tmgr_context *tmgr__io_context_here(void)
{
	struct tmgr_coroutine *coroutine = tmgr__coroutine_here();
	struct tmgr_context *context = coroutine ? tmgr_context_current() : NULL;

	return tmgr__coroutine_of(context) == coroutine ? context : NULL;
}

/*
 * A loop that has ended looks at no watcher any more. A coroutine lets its own loop go on meanwhile:
 * the other one may be waiting for that in the same way.
 */
static void stop_elsewhere(struct tmgr__io *io)
{
	struct leaver leaver = { .done = TMGR_FUTURE_INIT, .io = io };
	struct tmgr_context *context = tmgr__io_context_here();

	if (tmgr_loop_post(io->loop, &leaver.call, stop_for, &leaver) < 0)
		return;
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	/* The scope of somebody further out may end: that does not end this. */
	while (tmgr_future_wait(context, &leaver.done, TMGR_NEVER) < 0)
		tmgr_yield(context);
	tmgr_uninterrupted_end(context);
	tmgr_future_fini(&leaver.done);
}

void tmgr__io_fini(struct tmgr__io *io)
{
	if (!io->loop)
		return;
	if (io->loop == tmgr__loop_here)
		stop(io);
	else
		stop_elsewhere(io);
	tmgr_loop_unref(io->loop);
	io->loop = NULL;
}

int tmgr__io_wait(struct tmgr__io *io, struct tmgr_context *context, int event, int64_t deadline)
{
	struct tmgr_loop *loop = tmgr_context_executor(context) ? tmgr__loop_here : NULL;
	struct tmgr_waiter **slot = event == TMGR_FD_READ ? &io->reader : &io->writer;
	ev_io *watcher = event == TMGR_FD_READ ? &io->read : &io->write;
	int r;

	if (*slot)
		return -EBUSY;
	if (!loop) {
		r = tmgr_wait_fd(context, io->fd, event, deadline);
		return r > 0 ? 0 : r;
	}
	if (io->loop != loop) {
		/* The other loop's thread may be at its watchers. */
		if (io->loop)
			return -EXDEV;
		io->loop = tmgr_loop_ref(loop);
	}
	tmgr__loop_watch(loop, watcher);
	return tmgr_wait_announced(context, slot, "descriptor", deadline);
}
