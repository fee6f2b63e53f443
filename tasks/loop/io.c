#include "io.h"

#include <errno.h>

#include "internal.h"

static void ready(struct ev_loop *ev, ev_io *watcher, struct tmgr_waiter *waiter)
{
	/* Nobody has waited since the last event: until somebody does it is not to be told again. */
	if (!waiter)
		ev_io_stop(ev, watcher);
	else if (tmgr_waiter_fire(waiter))
		waiter->ops->wake(waiter);
}

static void ready_to_read(struct ev_loop *ev, ev_io *watcher, int events)
{
	ready(ev, watcher, container_of(watcher, struct tmgr__io, read)->reader);
}

static void ready_to_write(struct ev_loop *ev, ev_io *watcher, int events)
{
	ready(ev, watcher, container_of(watcher, struct tmgr__io, write)->writer);
}

void tmgr__io_init(struct tmgr__io *io, int fd)
{
	io->fd = fd;
	io->loop = NULL;
	io->reader = io->writer = NULL;
	ev_io_init(&io->read, ready_to_read, fd, EV_READ);
	ev_io_init(&io->write, ready_to_write, fd, EV_WRITE);
}

void tmgr__io_fini(struct tmgr__io *io)
{
	if (!io->loop)
		return;
	ev_io_stop(io->loop->ev, &io->read);
	ev_io_stop(io->loop->ev, &io->write);
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
		io->loop = loop;
	}
	if (!ev_is_active(watcher))
		ev_io_start(loop->ev, watcher);
	return tmgr_wait_announced(context, slot, "descriptor", deadline);
}
