/*
 * Reading from streams.
 *
 * A read that got less than it asked for has emptied the socket, so the next one waits first: one
 * read(2) for each event. The end of the input and errors are events too.
 *
 * What is read into the buffer stays there until it is taken, so that nothing is lost when a wait
 * ends early; what was given out without copying stays in place until the next call that reads.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/host.h>

#include "stream.h"

/* Reads of less than this go through the buffer. */
#define DIRECT_MIN 1024
/* A larger buffer is given back once it is empty. */
#define KEEP_MAX 65536

static size_t buffered(const struct tmgr_stream *stream)
{
	return stream->end - stream->start;
}

static void release_buffer(struct tmgr_stream *stream)
{
	free(stream->buffer);
	stream->buffer = NULL;
	stream->start = stream->end = stream->capacity = 0;
}

/* Make room for at least one more byte behind what is buffered. */
static int make_room(struct tmgr_stream *stream)
{
	size_t capacity = stream->capacity;
	char *larger;

	if (stream->start == stream->end)
		stream->start = stream->end = 0;
	if (capacity - stream->end > capacity / 2)
		return 0;
	if (stream->start > 0) {
		memmove(stream->buffer, stream->buffer + stream->start, buffered(stream));
		stream->end -= stream->start;
		stream->start = 0;
	}
	if (stream->end < capacity)
		return 0;
	if (capacity > SIZE_MAX / 4)
		return -ENOMEM;
	capacity = capacity ? capacity * 2 : stream->options.read_buffer;
	larger = realloc(stream->buffer, capacity);
	if (!larger)
		return -ENOMEM;
	stream->buffer = larger;
	stream->capacity = capacity;
	return 0;
}

/* Nothing is there; it may take long until something comes. */
static void be_idle(struct tmgr_stream *stream)
{
	if (stream->start == stream->end && stream->buffer &&
		(stream->options.release_idle || stream->capacity > KEEP_MAX))
		release_buffer(stream);
}

/* A socket's own call goes a shorter way than read(2). */
static ssize_t read_some(const struct tmgr_stream *stream, void *to, size_t size)
{
	if (stream->kind == TMGR__STREAM_SOCKET)
		return recv(stream->io.fd, to, size, 0);
	return read(stream->io.fd, to, size);
}

/* What that gave: bytes, 0 at the end, or the error that the connection ended with. */
static ssize_t judge(struct tmgr_stream *stream, ssize_t n, size_t size)
{
	if (n > 0) {
		stream->drained = (size_t)n < size && stream->kind != TMGR__STREAM_OTHER;
		return n;
	}
	if (n == 0)
		stream->ended = true;
	else
		stream->input_error = -errno;
	return stream->input_error;
}

/*
 * Read once: into memory of the caller, or, where that is NULL, behind what is buffered. A deadline
 * that has passed still tries, once.
 */
static ssize_t receive(struct tmgr_context *context, struct tmgr_stream *stream, void *to,
	size_t size, int64_t deadline)
{
	bool tried = false, buffers = !to;
	int waited = 1;
	ssize_t n;

	if (stream->ended || stream->input_error)
		return stream->input_error;
	for (;;) {
		if (stream->drained) {
			be_idle(stream);
			if (waited < 0)
				return waited;
			waited = tmgr__io_wait(&stream->io, context, TMGR_FD_READ, deadline);
			if (waited < 0 && (waited != -ETIMEDOUT || tried))
				return waited;
		}
		if (buffers) {
			if (make_room(stream) < 0)
				return -ENOMEM;
			to = stream->buffer + stream->end;
			size = stream->capacity - stream->end;
		}
		n = read_some(stream, to, size);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
		tried = true;
		stream->drained = errno == EAGAIN;
	}
	/* Before others may run: errno is theirs, too. */
	n = judge(stream, n, size);
	if (buffers && n > 0)
		stream->end += (size_t)n;
	if (waited > 0)
		tmgr_context_count_operation(context);
	return n;
}

static ssize_t fill(struct tmgr_context *context, struct tmgr_stream *stream, int64_t deadline)
{
	return receive(context, stream, NULL, 0, deadline);
}

/* Become the reader, unless cancelled: what waits first is told so by its wait. */
static int begin(struct tmgr_context *context, struct tmgr_stream *stream)
{
	if (__atomic_exchange_n(&stream->reading, true, __ATOMIC_ACQUIRE))
		return -EBUSY;
	if ((stream->drained && stream->start == stream->end) ||
		tmgr_context_interrupted(context) == 0)
		return 0;
	__atomic_store_n(&stream->reading, false, __ATOMIC_RELEASE);
	return -ECANCELED;
}

static ssize_t end(struct tmgr_stream *stream, ssize_t n)
{
	__atomic_store_n(&stream->reading, false, __ATOMIC_RELEASE);
	return n;
}

static const char *take(struct tmgr_stream *stream, size_t size)
{
	const char *data = stream->buffer + stream->start;

	stream->start += size;
	return data;
}

/* Through the buffer; without memory for it directly. */
static ssize_t read_buffered(struct tmgr_context *context, struct tmgr_stream *stream, void *to,
	size_t size, int64_t deadline)
{
	size_t there = buffered(stream);

	if (there == 0) {
		ssize_t n = fill(context, stream, deadline);

		if (n == -ENOMEM)
			return receive(context, stream, to, size, deadline);
		if (n <= 0)
			return n;
		there = (size_t)n;
	} else {
		tmgr_context_count_operation(context);
	}
	if (size > there)
		size = there;
	memcpy(to, take(stream, size), size);
	return (ssize_t)size;
}

ssize_t tmgr_stream_read(struct tmgr_context *context, struct tmgr_stream *stream, void *buffer,
	size_t size, int64_t deadline)
{
	ssize_t n;

	if (!stream || !buffer || size == 0)
		return -EINVAL;
	n = begin(context, stream);
	if (n < 0)
		return n;
	if (size >= DIRECT_MIN && stream->start == stream->end)
		n = receive(context, stream, buffer, size, deadline);
	else
		n = read_buffered(context, stream, buffer, size, deadline);
	return end(stream, n);
}

/*
 * Buffer at least min bytes: how many are there, fewer only where the input ends; or a negative
 * errno.
 */
static ssize_t gather(
	struct tmgr_context *context, struct tmgr_stream *stream, size_t min, int64_t deadline)
{
	if (buffered(stream) >= min)
		tmgr_context_count_operation(context);
	while (buffered(stream) < min) {
		ssize_t n = fill(context, stream, deadline);

		if (n < 0)
			return n;
		if (n == 0)
			break;
	}
	return (ssize_t)buffered(stream);
}

ssize_t tmgr_stream_read_exactly(struct tmgr_context *context, struct tmgr_stream *stream,
	void *buffer, size_t size, int64_t deadline)
{
	ssize_t n;

	if (!stream || !buffer || size == 0 || size > SSIZE_MAX)
		return -EINVAL;
	n = begin(context, stream);
	if (n < 0)
		return n;
	n = gather(context, stream, size, deadline);
	if (n > 0 && (size_t)n < size)
		n = -ENODATA;
	if (n > 0) {
		memcpy(buffer, take(stream, size), size);
		n = (ssize_t)size;
	}
	return end(stream, n);
}

ssize_t tmgr_stream_peek(struct tmgr_context *context, struct tmgr_stream *stream, size_t min,
	int64_t deadline, const char **ret_data)
{
	ssize_t n;

	if (!stream || !ret_data)
		return -EINVAL;
	n = begin(context, stream);
	if (n < 0)
		return n;
	n = gather(context, stream, min, deadline);
	if (n >= 0)
		*ret_data = n > 0 ? stream->buffer + stream->start : "";
	return end(stream, n);
}

int tmgr_stream_consume(struct tmgr_stream *stream, size_t size)
{
	if (!stream || size > buffered(stream))
		return -EINVAL;
	stream->start += size;
	return 0;
}

/*
 * How long the piece is that ends with the delimiter, looked for from an offset on; 0: not there.
 */
static size_t find(
	const struct tmgr_stream *stream, const struct tmgr_delimiter *delimiter, size_t from)
{
	size_t there = buffered(stream);
	const char *data, *found;

	if (there < from + delimiter->size)
		return 0;
	data = stream->buffer + stream->start;
	if (delimiter->size == 1)
		found = memchr(data + from, *(const char *)delimiter->bytes, there - from);
	else
		found = memmem(data + from, there - from, delimiter->bytes, delimiter->size);
	return found ? (size_t)(found - data) + delimiter->size : 0;
}

/* The length of the next piece; 0 at the end. */
static ssize_t look_for(struct tmgr_context *context, struct tmgr_stream *stream,
	const struct tmgr_delimiter *delimiter, int64_t deadline)
{
	size_t searched = 0, there;

	for (;;) {
		size_t length = find(stream, delimiter, searched);
		ssize_t n;

		there = buffered(stream);
		if (length > delimiter->max || (length == 0 && there > delimiter->max))
			return -EMSGSIZE;
		if (length > 0)
			return (ssize_t)length;
		/* A delimiter may have begun, but not ended, at the end of what is there. */
		if (there >= delimiter->size)
			searched = there - delimiter->size + 1;
		n = fill(context, stream, deadline);
		if (n < 0)
			return n;
		if (n == 0)
			return (ssize_t)there;
	}
}

ssize_t tmgr_stream_read_until(struct tmgr_context *context, struct tmgr_stream *stream,
	const struct tmgr_delimiter *delimiter, int64_t deadline, const char **ret_data)
{
	size_t before;
	ssize_t n;

	if (!stream || !delimiter || !delimiter->bytes || delimiter->size == 0 ||
		delimiter->max == 0 || !ret_data)
		return -EINVAL;
	n = begin(context, stream);
	if (n < 0)
		return n;
	before = buffered(stream);
	n = look_for(context, stream, delimiter, deadline);
	if (n > 0) {
		if ((size_t)n <= before)
			tmgr_context_count_operation(context);
		*ret_data = take(stream, (size_t)n);
	}
	return end(stream, n);
}

ssize_t tmgr_stream_read_line(struct tmgr_context *context, struct tmgr_stream *stream, size_t max,
	int64_t deadline, const char **ret_line)
{
	struct tmgr_delimiter newline = { .bytes = "\n", .size = 1, .max = max };

	return tmgr_stream_read_until(context, stream, &newline, deadline, ret_line);
}

ssize_t tmgr_stream_read_all(struct tmgr_context *context, struct tmgr_stream *stream, size_t max,
	int64_t deadline, const char **ret_data)
{
	ssize_t n;

	if (!stream || max == 0 || !ret_data)
		return -EINVAL;
	n = begin(context, stream);
	if (n < 0)
		return n;
	n = gather(context, stream, max < SSIZE_MAX ? max + 1 : SSIZE_MAX, deadline);
	if (n > 0 && (size_t)n > max)
		n = -EMSGSIZE;
	if (n > 0)
		*ret_data = take(stream, (size_t)n);
	return end(stream, n);
}
