/*
 * One descriptor, watched once. A reader and a writer may wait for it at the same time.
 *
 * On a coroutine the watcher stays with the loop between waits, and only goes when the descriptor
 * became ready and nobody was waiting; so a stream that is read again and again costs no system
 * call but the read. On a thread each wait polls.
 */
#ifndef TMGR__LOOP_IO_H
#define TMGR__LOOP_IO_H

#include <ev.h>

#include <taskmgr/tasks/loop.h>

struct tmgr__io {
	int fd;
	struct tmgr_loop *loop; /* that watches it, referenced, or NULL */
	ev_io read, write;      /* active while somebody waits, and until the next event after */
	struct tmgr_waiter *reader, *writer;
};

/* fd stays the caller's, who closes it after fini. */
void tmgr__io_init(struct tmgr__io *io, int fd);
/*
 * Watch it no more. Nobody may be waiting. Elsewhere than on the loop that watches it this waits
 * for a turn of that loop, on a coroutine as such; one that has ended has let go already.
 */
void tmgr__io_fini(struct tmgr__io *io);
/* What the caller can wait with as a coroutine; NULL on a thread, and on a loop's own stack. */
struct tmgr_context *tmgr__io_context_here(void);
/*
 * Wait until it can be read (TMGR_FD_READ) or written (TMGR_FD_WRITE), one of them: 0, -ECANCELED,
 * -ETIMEDOUT, or -EBUSY when another one waits for the same.
 */
int tmgr__io_wait(struct tmgr__io *io, struct tmgr_context *context, int event, int64_t deadline);

#endif
