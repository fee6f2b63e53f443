#include "io.h"

#include <errno.h>

#include <taskmgr/context.h>

void tmgr__io_init(struct tmgr__io *io, int fd)
{
	io->fd = fd;
	io->loop = NULL;
	io->reader = io->writer = NULL;
}

void tmgr__io_fini(struct tmgr__io *io)
{
	io->fd = -1;
}

int tmgr__io_wait(struct tmgr__io *io, struct tmgr_context *context, int event, int64_t deadline)
{
	int r = tmgr_wait_fd(context, io->fd, event, deadline);

	return r < 0 ? r : 0;
}
