/*
 * Streams from inside.
 *
 * The input belongs to the one reader: `reading` says that there is one. The output belongs to the
 * writer whose turn it is: `turn` is free, taken, or taken while others wait in `writers`, in
 * order; these are under `lock`, which is only taken when somebody waits, and with nothing inside
 * it.
 */
#ifndef TMGR__LOOP_STREAM_H
#define TMGR__LOOP_STREAM_H

#include <stdbool.h>

#include <taskmgr/tasks/stream.h>

#include "io.h"
#include "taskmgr/base/list.h"
#include "taskmgr/base/sync.h"

/* What a descriptor is made with, or was. */
enum tmgr__stream_kind {
	TMGR__STREAM_OTHER,  /* a terminal, a file */
	TMGR__STREAM_PIPE,   /* a short read has emptied it */
	TMGR__STREAM_SOCKET, /* likewise, and writing needs no care about SIGPIPE */
};

struct tmgr_stream {
	struct tmgr__io io;
	struct tmgr_stream_options options;
	enum tmgr__stream_kind kind;
	bool was_blocking, was_inherited; /* to be given back so */
	bool stopping;                    /* atomic: of tmgr_stream_stopping() */

	/* The input. */
	bool reading;    /* atomic */
	bool drained;    /* nothing is there before the next event */
	bool ended;      /* its end was read */
	int input_error; /* that the connection ended with */
	char *buffer;    /* capacity bytes, or NULL; what was read and not taken is start to end */
	size_t start, end, capacity;

	/* The output. */
	uint32_t turn; /* atomic */
	struct tmgr__lock lock;
	struct tmgr__list writers;
	char *kept; /* of put: options.write_buffer bytes, or NULL; unwritten from start to end */
	size_t kept_start, kept_end;
	bool cut;       /* a write was cut short */
	size_t written; /* of it; or of the present one, before it goes on */
};

/* A stream that has no descriptor yet: NULL, or tmgr__io_init() gives it one; free() ends it. */
struct tmgr_stream *tmgr__stream_new(
	enum tmgr__stream_kind kind, const struct tmgr_stream_options *options);
/* fd is non-blocking and close-on-exec. It is taken, always: closed if this fails. */
int tmgr__stream_create(int fd, enum tmgr__stream_kind kind,
	const struct tmgr_stream_options *options, struct tmgr_stream **ret_stream);
/*
 * Where somebody writes, end the socket for him, and wait, uninterrupted, until all writers have left.
 * What is no socket stays as it is, and so does what is ended on a loop's own stack, which cannot wait.
 */
void tmgr__stream_end_writers(struct tmgr_stream *stream, struct tmgr_context *context);
/* Give a stream of TCP the options that a new connection gets. */
void tmgr__stream_set_delay(int fd, const struct tmgr_stream_options *options);

#endif
