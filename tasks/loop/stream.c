/*
 * Streams: their beginning and end.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "taskmgr/base/check.h"

#define READ_BUFFER 4096
#define WRITE_BUFFER 16384

struct tmgr_stream *tmgr__stream_new(
	enum tmgr__stream_kind kind, const struct tmgr_stream_options *options)
{
	struct tmgr_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	if (options)
		stream->options = *options;
	if (stream->options.read_buffer == 0)
		stream->options.read_buffer = READ_BUFFER;
	if (stream->options.write_buffer == 0)
		stream->options.write_buffer = WRITE_BUFFER;
	stream->kind = kind;
	tmgr__list_init(&stream->writers);
	return stream;
}

int tmgr__stream_create(int fd, enum tmgr__stream_kind kind,
	const struct tmgr_stream_options *options, struct tmgr_stream **ret_stream)
{
	struct tmgr_stream *stream = tmgr__stream_new(kind, options);

	if (!stream) {
		close(fd);
		return -ENOMEM;
	}
	tmgr__io_init(&stream->io, fd);
	*ret_stream = stream;
	return 0;
}

void tmgr__stream_set_delay(int fd, const struct tmgr_stream_options *options)
{
	int on = 1;

	/* Where it is not TCP after all nothing happens. */
	if (!options || !options->coalesce)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static enum tmgr__stream_kind kind_of(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return TMGR__STREAM_OTHER;
	if (S_ISSOCK(status.st_mode))
		return TMGR__STREAM_SOCKET;
	return S_ISFIFO(status.st_mode) ? TMGR__STREAM_PIPE : TMGR__STREAM_OTHER;
}

int tmgr_stream_from_fd(
	int fd, const struct tmgr_stream_options *options, struct tmgr_stream **ret_stream)
{
	struct tmgr_stream *stream;
	int status, flags;

	if (!ret_stream)
		return -EINVAL;
	status = fcntl(fd, F_GETFL);
	flags = fcntl(fd, F_GETFD);
	if (status < 0 || flags < 0)
		return -errno;
	stream = tmgr__stream_new(kind_of(fd), options);
	if (!stream)
		return -ENOMEM;
	if (!(status & O_NONBLOCK))
		fcntl(fd, F_SETFL, status | O_NONBLOCK);
	if (!(flags & FD_CLOEXEC))
		fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
	stream->was_blocking = !(status & O_NONBLOCK);
	stream->was_inherited = !(flags & FD_CLOEXEC);
	tmgr__io_init(&stream->io, fd);
	*ret_stream = stream;
	return 0;
}

static int make_two(const int fds[2], enum tmgr__stream_kind kind,
	const struct tmgr_stream_options *options, struct tmgr_stream *ret_streams[2])
{
	struct tmgr_stream *first;
	int r = tmgr__stream_create(fds[0], kind, options, &first);

	if (r < 0) {
		close(fds[1]);
		return r;
	}
	r = tmgr__stream_create(fds[1], kind, options, &ret_streams[1]);
	if (r < 0) {
		tmgr_stream_destroy(first);
		return r;
	}
	ret_streams[0] = first;
	return 0;
}

int tmgr_stream_pair(const struct tmgr_stream_options *options, struct tmgr_stream *ret_streams[2])
{
	int fds[2];

	if (!ret_streams)
		return -EINVAL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	return make_two(fds, TMGR__STREAM_SOCKET, options, ret_streams);
}

int tmgr_stream_pipe(const struct tmgr_stream_options *options, struct tmgr_stream **ret_input,
	struct tmgr_stream **ret_output)
{
	struct tmgr_stream *streams[2];
	int fds[2], r;

	if (!ret_input || !ret_output)
		return -EINVAL;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	r = make_two(fds, TMGR__STREAM_PIPE, options, streams);
	if (r < 0)
		return r;
	*ret_input = streams[0];
	*ret_output = streams[1];
	return 0;
}

/* All but the descriptor, which gets the flags back that it had. */
static int release(struct tmgr_stream *stream)
{
	int fd = stream->io.fd;

	if (__atomic_load_n(&stream->reading, __ATOMIC_ACQUIRE) ||
		__atomic_load_n(&stream->turn, __ATOMIC_ACQUIRE) != 0)
		tmgr__misuse("a stream is ended when nobody reads or writes any more", "stream");
	tmgr__io_fini(&stream->io);
	if (stream->was_blocking)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	free(stream->buffer);
	free(stream->kept);
	free(stream);
	return fd;
}

void tmgr_stream_destroy(struct tmgr_stream *stream)
{
	if (stream)
		close(release(stream));
}

int tmgr_stream_close(struct tmgr_context *context, struct tmgr_stream *stream, int64_t deadline)
{
	int r;

	if (!stream)
		return 0;
	r = tmgr_stream_flush(context, stream, deadline);
	if (r == 0 && stream->kind == TMGR__STREAM_SOCKET)
		shutdown(stream->io.fd, SHUT_WR);
	if (r < 0)
		tmgr__stream_end_writers(stream, context);
	tmgr_stream_destroy(stream);
	return r;
}

int tmgr_stream_detach(struct tmgr_stream *stream)
{
	bool inherited;
	int fd;

	if (!stream)
		return -EINVAL;
	if (stream->end > stream->start || stream->kept_end > stream->kept_start)
		return -EBUSY;
	inherited = stream->was_inherited;
	fd = release(stream);
	if (inherited)
		fcntl(fd, F_SETFD, 0);
	return fd;
}

int tmgr_stream_fd(const struct tmgr_stream *stream)
{
	return stream ? stream->io.fd : -EINVAL;
}

bool tmgr_stream_stopping(const struct tmgr_stream *stream)
{
	return stream && __atomic_load_n(&stream->stopping, __ATOMIC_ACQUIRE);
}
