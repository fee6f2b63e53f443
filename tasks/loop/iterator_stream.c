/*
 * Iterators over streams. Items are looked at and taken in the stream's own buffer, so what is not
 * given out stays there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/endpoint.h>

#include "iterator.h"

struct reading {
	struct tmgr_stream *stream;
	struct tmgr_delimiter delimiter;
	size_t size;
};

/* What a read returned, as next returns it. */
static int give(ssize_t size, const char *data, struct tmgr_item *ret_item)
{
	if (size <= 0)
		return (int)size;
	*ret_item = tmgr_item_of(data, (size_t)size);
	return 1;
}

static int delimited_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct reading *reading = self;
	const char *data = NULL;
	ssize_t size = tmgr_stream_read_until(
		context, reading->stream, &reading->delimiter, TMGR_NEVER, &data);

	return give(size, data, ret_item);
}

/* At least `min` bytes where the input has them, at most `max`. */
static int take(struct reading *reading, struct tmgr_context *context, size_t min, size_t max,
	struct tmgr_item *ret_item)
{
	const char *data = NULL;
	ssize_t size = tmgr_stream_peek(context, reading->stream, min, TMGR_NEVER, &data);

	if (size > 0 && (size_t)size > max)
		size = (ssize_t)max;
	if (size > 0)
		tmgr_stream_consume(reading->stream, (size_t)size);
	return give(size, data, ret_item);
}

static int chunks_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct reading *reading = self;

	return take(reading, context, reading->size, reading->size, ret_item);
}

static int pieces_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	return take(self, context, 1, SIZE_MAX, ret_item);
}

static void release(void *self, struct tmgr_context *context)
{
	free(self);
}

static struct tmgr_iterator read_from(
	struct reading reading, const struct tmgr_iterator_ops *ops, bool arguments_valid)
{
	struct reading *self;

	if (!reading.stream || !arguments_valid)
		return tmgr_iterator_failed(-EINVAL);
	self = malloc(sizeof(*self));
	if (!self)
		return tmgr_iterator_failed(-ENOMEM);
	*self = reading;
	return (struct tmgr_iterator){ .ops = ops, .self = self };
}

static const struct tmgr_delimiter newline = { .bytes = "\n", .size = 1, .max = TMGR_LINE_MAX };

struct tmgr_iterator tmgr_lines(struct tmgr_stream *stream)
{
	return tmgr_delimited(stream, &newline);
}

struct tmgr_iterator tmgr_delimited(
	struct tmgr_stream *stream, const struct tmgr_delimiter *delimiter)
{
	static const struct tmgr_iterator_ops ops = { .next = delimited_next, .close = release };
	struct reading reading = { .stream = stream };

	if (delimiter)
		reading.delimiter = *delimiter;
	return read_from(reading, &ops, delimiter != NULL);
}

struct tmgr_iterator tmgr_chunks(struct tmgr_stream *stream, size_t size)
{
	static const struct tmgr_iterator_ops ops = { .next = chunks_next, .close = release };
	struct reading reading = { .stream = stream, .size = size };

	return read_from(reading, &ops, size > 0);
}

struct tmgr_iterator tmgr_pieces(struct tmgr_stream *stream)
{
	static const struct tmgr_iterator_ops ops = { .next = pieces_next, .close = release };
	struct reading reading = { .stream = stream };

	return read_from(reading, &ops, true);
}

/* ---- Dialling -------------------------------------------------------------------------------- */

struct dialled {
	struct reading reading; /* without a stream before the first item */
	struct tmgr_endpoint endpoint;
	char names[]; /* of the endpoint */
};

static int dialled_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct dialled *dialled = self;
	int r = 0;

	if (!dialled->reading.stream)
		r = tmgr_connect(
			context, &dialled->endpoint, NULL, TMGR_NEVER, &dialled->reading.stream);
	return r < 0 ? r : delimited_next(&dialled->reading, context, ret_item);
}

static void dialled_close(void *self, struct tmgr_context *context)
{
	struct dialled *dialled = self;

	tmgr_stream_destroy(dialled->reading.stream);
	free(dialled);
}

static size_t length_of(const char *name)
{
	return name ? strlen(name) + 1 : 0;
}

static const char *copy_name(const char *name, char *to)
{
	return name ? memcpy(to, name, length_of(name)) : NULL;
}

struct tmgr_iterator tmgr_dial_lines(const struct tmgr_endpoint *endpoint)
{
	static const struct tmgr_iterator_ops ops = { .next = dialled_next,
		.close = dialled_close };
	struct dialled *dialled;
	size_t host;

	if (!endpoint)
		return tmgr_iterator_failed(-EINVAL);
	host = length_of(endpoint->host);
	dialled = malloc(sizeof(*dialled) + host + length_of(endpoint->unix_path));
	if (!dialled)
		return tmgr_iterator_failed(-ENOMEM);
	*dialled = (struct dialled){ .reading = { .delimiter = newline }, .endpoint = *endpoint };
	dialled->endpoint.host = copy_name(endpoint->host, dialled->names);
	dialled->endpoint.unix_path = copy_name(endpoint->unix_path, dialled->names + host);
	return (struct tmgr_iterator){ .ops = &ops, .self = dialled };
}
