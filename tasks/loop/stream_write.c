/*
 * Writing to streams.
 *
 * Writers take turns, in the order in which they came: `turn` is free, taken, or taken while others
 * wait. Only the first move and the last are made without the lock. A turn is handed over by
 * completing the future of the next in line, after it was marked, so that one that is cancelled
 * meanwhile knows that it has the turn to pass on.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/future.h>

#include "stream.h"
#include "taskmgr/base/check.h"

/* Buffers given to the system at once. */
#define VECTORS_MAX 16

enum {
	TURN_FREE,
	TURN_TAKEN,
	TURN_WANTED,
};

struct writer {
	struct tmgr__list node;
	struct tmgr_future turn;
	bool next; /* under the lock: it has, or is about to get, the turn */
};

/* What one write has still to do. */
struct work {
	const struct iovec *vectors;
	size_t count;
	size_t offset; /* in the first */
	size_t written;
};

static bool turn_move(struct tmgr_stream *stream, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(
		&stream->turn, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) void turn_pass(struct tmgr_stream *stream)
{
	struct tmgr__list *node;
	struct writer *writer = NULL;

	tmgr__lock_acquire(&stream->lock);
	node = tmgr__list_pop(&stream->writers);
	if (node) {
		writer = container_of(node, struct writer, node);
		writer->next = true;
	} else {
		__atomic_store_n(&stream->turn, TURN_FREE, __ATOMIC_RELEASE);
	}
	tmgr__lock_release(&stream->lock);
	if (writer)
		tmgr_future_complete(&writer->turn, 0, NULL);
}

static void turn_end(struct tmgr_stream *stream)
{
	if (!turn_move(stream, TURN_TAKEN, TURN_FREE))
		turn_pass(stream);
}

/* The wait has ended before the turn came, or just as it did: then it is passed on. */
static void turn_give_up(struct tmgr_stream *stream, struct writer *writer)
{
	bool next;

	tmgr__lock_acquire(&stream->lock);
	next = writer->next;
	if (!next)
		tmgr__list_remove(&writer->node);
	tmgr__lock_release(&stream->lock);
	if (!next)
		return;
	/* Whoever hands it over is at it: on a loop it has done so. */
	tmgr_future_wait(NULL, &writer->turn, TMGR_NEVER);
	turn_pass(stream);
}

static __attribute__((noinline)) int turn_wait(
	struct tmgr_context *context, struct tmgr_stream *stream, int64_t deadline)
{
	struct writer writer = { .turn = TMGR_FUTURE_INIT };
	int r;

	tmgr__lock_acquire(&stream->lock);
	while (!turn_move(stream, TURN_TAKEN, TURN_WANTED) &&
		__atomic_load_n(&stream->turn, __ATOMIC_ACQUIRE) != TURN_WANTED) {
		if (turn_move(stream, TURN_FREE, TURN_TAKEN)) {
			tmgr__lock_release(&stream->lock);
			return 0;
		}
	}
	tmgr__list_append(&stream->writers, &writer.node);
	tmgr__lock_release(&stream->lock);
	r = tmgr_future_wait(context, &writer.turn, deadline);
	if (r < 0)
		turn_give_up(stream, &writer);
	tmgr_future_fini(&writer.turn);
	return r;
}

static int turn_begin(struct tmgr_context *context, struct tmgr_stream *stream, int64_t deadline)
{
	if (tmgr_context_interrupted(context) < 0)
		return -ECANCELED;
	if (turn_move(stream, TURN_FREE, TURN_TAKEN))
		return 0;
	return turn_wait(context, stream, deadline);
}

/* Where it is not, who was the last has left the lock, too. */
static bool turn_is_taken(struct tmgr_stream *stream)
{
	bool taken;

	tmgr__lock_acquire(&stream->lock);
	taken = __atomic_load_n(&stream->turn, __ATOMIC_ACQUIRE) != TURN_FREE;
	tmgr__lock_release(&stream->lock);
	return taken;
}

void tmgr__stream_end_writers(struct tmgr_stream *stream, struct tmgr_context *context)
{
	if (!context)
		context = tmgr__io_context_here();
	if (!turn_is_taken(stream) || stream->kind != TMGR__STREAM_SOCKET)
		return;
	/* On a loop's own stack none of its coroutines could leave. */
	if (!context && tmgr_loop_current())
		return;
	shutdown(stream->io.fd, SHUT_RDWR);
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	/* Behind them all. The scope of somebody further out may end: that does not end this. */
	while (turn_begin(context, stream, TMGR_NEVER) < 0)
		tmgr_yield(context);
	turn_end(stream);
	turn_is_taken(stream);
	tmgr_uninterrupted_end(context);
}

/*
 * For what is not a socket: SIGPIPE is held back on this thread, and what of it came is taken,
 * unless it was there before.
 */
static ssize_t write_quietly(int fd, const struct iovec *vectors, int count)
{
	static const struct timespec at_once;
	sigset_t pipe_signal, pending, old;
	ssize_t n;
	int error;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &old);
	n = writev(fd, vectors, count);
	error = errno;
	if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe_signal, NULL, &at_once) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = error;
	return n;
}

static ssize_t write_some(struct tmgr_stream *stream, const struct iovec *vectors, size_t count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)vectors, .msg_iovlen = count };

	if (stream->kind == TMGR__STREAM_SOCKET)
		return sendmsg(stream->io.fd, &message, MSG_NOSIGNAL);
	return write_quietly(stream->io.fd, vectors, (int)count);
}

static size_t kept(const struct tmgr_stream *stream)
{
	return stream->kept_end - stream->kept_start;
}

/* The next buffers for the system: what was put, then what the work has left. */
static size_t collect(const struct tmgr_stream *stream, const struct work *work,
	struct iovec vectors[VECTORS_MAX])
{
	size_t count = 0, offset = work->offset;

	if (kept(stream) > 0)
		vectors[count++] = (struct iovec){ stream->kept + stream->kept_start,
			kept(stream) };
	for (size_t i = 0; i < work->count && count < VECTORS_MAX; i++) {
		const struct iovec *vector = &work->vectors[i];

		if (vector->iov_len > offset)
			vectors[count++] = (struct iovec){ (char *)vector->iov_base + offset,
				vector->iov_len - offset };
		offset = 0;
	}
	return count;
}

static void release_kept(struct tmgr_stream *stream)
{
	stream->kept_start = stream->kept_end = 0;
	if (!stream->options.release_idle)
		return;
	free(stream->kept);
	stream->kept = NULL;
}

/* So many bytes are with the system. */
static void advance(struct tmgr_stream *stream, struct work *work, size_t n)
{
	size_t before = kept(stream) < n ? kept(stream) : n;

	stream->kept_start += before;
	n -= before;
	work->written += n;
	while (n > 0) {
		size_t left;

		check(work->count > 0);
		left = work->vectors[0].iov_len - work->offset;
		if (n < left) {
			work->offset += n;
			return;
		}
		n -= left;
		work->offset = 0;
		work->vectors++;
		work->count--;
	}
	if (before > 0 && kept(stream) == 0)
		release_kept(stream);
}

/* In its turn: write what was put, and all of the work. */
static int write_all(struct tmgr_context *context, struct tmgr_stream *stream, struct work *work,
	int64_t deadline)
{
	struct iovec vectors[VECTORS_MAX];
	size_t count;
	int r = 0;

	while ((count = collect(stream, work, vectors)) > 0) {
		ssize_t n = write_some(stream, vectors, count);

		if (n >= 0) {
			advance(stream, work, (size_t)n);
			tmgr_context_count_operation(context);
			continue;
		}
		if (errno == EINTR)
			continue;
		r = errno == EAGAIN ? tmgr__io_wait(&stream->io, context, TMGR_FD_WRITE, deadline)
				    : -errno;
		if (r < 0)
			break;
	}
	/* Of a connection that has ended nothing is left to be gone on with. */
	if (r < 0 && work->written > 0 && r != -EPIPE && r != -ECONNRESET) {
		stream->cut = true;
		stream->written = work->written;
	}
	return r;
}

/* In its turn: what is left of a buffer. Apart, to keep the usual way through a write short. */
static __attribute__((noinline)) int write_rest(struct tmgr_context *context,
	struct tmgr_stream *stream, const void *data, size_t size, int64_t deadline)
{
	struct iovec vector = { (void *)data, size };
	struct work work = {
		.vectors = &vector,
		.count = 1,
		.offset = stream->written,
		.written = stream->written,
	};

	return stream->cut ? -ECONNABORTED : write_all(context, stream, &work, deadline);
}

int tmgr_stream_write(struct tmgr_context *context, struct tmgr_stream *stream, const void *data,
	size_t size, int64_t deadline)
{
	ssize_t n = 0;
	int r;

	if (!stream || (!data && size > 0))
		return -EINVAL;
	r = turn_begin(context, stream, deadline);
	if (r < 0)
		return r;
	/* The usual case: the system takes it all. */
	if (stream->kind == TMGR__STREAM_SOCKET && kept(stream) == 0 && !stream->cut && size > 0)
		n = send(stream->io.fd, data, size, MSG_NOSIGNAL);
	if (n > 0 && n == (ssize_t)size) {
		tmgr_context_count_operation(context);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		r = -errno;
	} else {
		if (!stream->cut)
			stream->written = n > 0 ? (size_t)n : 0;
		r = write_rest(context, stream, data, size, deadline);
	}
	turn_end(stream);
	return r;
}

int tmgr_stream_writev(struct tmgr_context *context, struct tmgr_stream *stream,
	const struct iovec *vectors, size_t count, int64_t deadline)
{
	struct work work = { .vectors = vectors, .count = count };
	size_t size = 0;
	int r;

	if (!stream || (!vectors && count > 0))
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (vectors[i].iov_len > SSIZE_MAX - size)
			return -EINVAL;
		size += vectors[i].iov_len;
	}
	r = turn_begin(context, stream, deadline);
	if (r < 0)
		return r;
	r = stream->cut ? -ECONNABORTED : write_all(context, stream, &work, deadline);
	turn_end(stream);
	return r;
}

/* Whether it was possible to keep it; -ENOMEM. */
static int keep(
	struct tmgr_context *context, struct tmgr_stream *stream, const void *data, size_t size)
{
	if (!stream->kept)
		stream->kept = malloc(stream->options.write_buffer);
	if (!stream->kept)
		return -ENOMEM;
	if (stream->kept_end + size > stream->options.write_buffer) {
		memmove(stream->kept, stream->kept + stream->kept_start, kept(stream));
		stream->kept_end -= stream->kept_start;
		stream->kept_start = 0;
	}
	memcpy(stream->kept + stream->kept_end, data, size);
	stream->kept_end += size;
	tmgr_context_count_operation(context);
	return 0;
}

int tmgr_stream_put(struct tmgr_context *context, struct tmgr_stream *stream, const void *data,
	size_t size, int64_t deadline)
{
	struct iovec vector = { (void *)data, size };
	struct work work = { .vectors = &vector, .count = 1 };
	int r;

	if (!stream || (!data && size > 0))
		return -EINVAL;
	r = turn_begin(context, stream, deadline);
	if (r < 0)
		return r;
	if (stream->cut)
		r = -ECONNABORTED;
	else if (size > stream->options.write_buffer - kept(stream))
		r = write_all(context, stream, &work, deadline);
	else if (size > 0)
		r = keep(context, stream, data, size);
	turn_end(stream);
	return r;
}

int tmgr_stream_flush(struct tmgr_context *context, struct tmgr_stream *stream, int64_t deadline)
{
	return tmgr_stream_write(context, stream, NULL, 0, deadline);
}

size_t tmgr_stream_resume(struct tmgr_stream *stream)
{
	size_t written;

	if (!stream || !stream->cut)
		return 0;
	written = stream->written;
	stream->cut = false;
	return written;
}

size_t tmgr_stream_unwritten(const struct tmgr_stream *stream)
{
	return stream ? kept(stream) : 0;
}

static int shut_down_output(
	struct tmgr_context *context, struct tmgr_stream *stream, int64_t deadline)
{
	struct work work = { .vectors = NULL };
	int r = turn_begin(context, stream, deadline);

	if (r < 0)
		return r;
	r = stream->cut ? -ECONNABORTED : write_all(context, stream, &work, deadline);
	if (r == 0 && shutdown(stream->io.fd, SHUT_WR) < 0)
		r = -errno;
	turn_end(stream);
	return r;
}

int tmgr_stream_shutdown(
	struct tmgr_context *context, struct tmgr_stream *stream, unsigned sides, int64_t deadline)
{
	int r = 0;

	if (!stream || sides == 0 || (sides & ~(unsigned)(TMGR_STREAM_INPUT | TMGR_STREAM_OUTPUT)))
		return -EINVAL;
	if (stream->kind != TMGR__STREAM_SOCKET)
		return -EOPNOTSUPP;
	if (sides & TMGR_STREAM_OUTPUT)
		r = shut_down_output(context, stream, deadline);
	if (r == 0 && (sides & TMGR_STREAM_INPUT) && shutdown(stream->io.fd, SHUT_RD) < 0)
		r = -errno;
	return r;
}
