/**
 * @file
 * Streams: bytes from and to a socket or a pipe, on a thread and on a coroutine alike.
 *
 * A stream has at most one reader at a time and any number of writers, which take their turns; a
 * reader and a writer do not disturb each other. It is used by threads, or by the coroutines of one
 * loop: from its first wait on a loop on by no other loop (-EXDEV). It may be ended on any thread;
 * elsewhere than on its loop that takes a turn of the loop's.
 *
 * Reading gives the number of bytes, above 0; 0 at the end of the input; or a negative errno. What
 * has come and was not given is kept: a read that was cancelled, was late or found too much loses
 * nothing. What had come is given before an error of the connection is.
 *
 * Writing gives 0 when all was written. It is whole: the bytes of two writers do not mix.
 *
 * An option of 0 is the default. SIGPIPE is never raised. Connecting, listening and serving are in
 * endpoint.h.
 */
#ifndef TMGR_TASKS_STREAM_H
#define TMGR_TASKS_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <taskmgr/context.h>

struct tmgr_stream;

/** How a stream behaves; all zero is the default. */
struct tmgr_stream_options {
	/**
	 * First size of the buffer that is read into, bytes: 4096. It is allocated when it is first
	 * needed, which tmgr_stream_read() of at least 1024 bytes does not, and grows with what is
	 * asked for; once it is empty again it is given back if it is larger than 64 KiB.
	 */
	size_t read_buffer;
	/** Bytes that tmgr_stream_put() keeps before it writes: 16384. Allocated at the first. */
	size_t write_buffer;
	/** Give the read buffer back whenever a read has to wait with nothing in it: for very many
	 * streams that are seldom read from. */
	bool release_idle;
	/** Let the system wait for more to send in one packet (Nagle's algorithm); only TCP. */
	bool coalesce;
};

/** What a piece of the input ends with, for tmgr_stream_read_until(). */
struct tmgr_delimiter {
	const void *bytes; /**< any bytes */
	size_t size;       /**< how many, above 0 */
	size_t max;        /**< longest piece, bytes, with the delimiter; above 0 */
};

/** The sides of a stream, as bits. */
enum tmgr_stream_side {
	TMGR_STREAM_INPUT = 1,
	TMGR_STREAM_OUTPUT = 2,
};

TMGR_BEGIN_DECLS

/**
 * Make a stream of a descriptor: a socket, a pipe, a terminal.
 *
 * It is made non-blocking and close-on-exec. If it was blocking it is made so again before it is
 * closed or given back, since other programs may share it (standard input, say).
 *
 * @param fd          taken on success
 * @param options     copied; NULL for the default
 * @param ret_stream  returned, release with tmgr_stream_destroy() or tmgr_stream_close()
 *
 * @retval 0        made
 * @retval -EBADF   fd is not open
 * @retval -EINVAL  ret_stream is NULL
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_stream_from_fd(
	int fd, const struct tmgr_stream_options *options, struct tmgr_stream **ret_stream);

/**
 * Make two streams that are connected with each other: a pair of unix sockets.
 *
 * @param options      of both; copied; NULL for the default
 * @param ret_streams  two returned, release with tmgr_stream_destroy() or tmgr_stream_close()
 *
 * @retval 0        made
 * @retval -EINVAL  ret_streams is NULL
 * @retval -EMFILE  no descriptor was left (also -ENFILE)
 * @retval -ENOMEM  out of memory (also -ENOBUFS)
 *
 * @thread any thread
 */
TMGR_API int tmgr_stream_pair(
	const struct tmgr_stream_options *options, struct tmgr_stream *ret_streams[2]);

/**
 * Make a pipe: one stream to read from, one to write to.
 *
 * @param options     of both; copied; NULL for the default
 * @param ret_input   returned, release with tmgr_stream_destroy() or tmgr_stream_close()
 * @param ret_output  likewise
 *
 * @retval 0        made
 * @retval -EINVAL  ret_input or ret_output is NULL
 * @retval -EMFILE  no descriptor was left (also -ENFILE)
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_stream_pipe(const struct tmgr_stream_options *options,
	struct tmgr_stream **ret_input, struct tmgr_stream **ret_output);

/**
 * End a stream and close its descriptor, at once: what tmgr_stream_put() has kept is dropped.
 * Nobody may be waiting in it (else the program is stopped, with a message).
 *
 * @param stream  taken; NULL does nothing
 *
 * @thread the task's; may block for a turn of its loop on another thread
 */
TMGR_API void tmgr_stream_destroy(struct tmgr_stream *stream);

/**
 * End a stream in order: write what is kept, after the writers that wait, shut the output down, and
 * close. When that fails or takes too long it is closed all the same: who still writes to a socket
 * gets -EPIPE. To what is no socket nobody may be writing any more then.
 *
 * It does not wait for the other side to have read, nor for the end of the input.
 *
 * @param context   the task's, or NULL
 * @param stream    taken, always; nobody may be reading. NULL does nothing
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @return what tmgr_stream_flush() returns
 * @retval 0           all was written
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_stream_close(
	struct tmgr_context *context, struct tmgr_stream *stream, int64_t deadline);

/**
 * End a stream but keep its descriptor, with the flags it had.
 *
 * @param stream  taken on success; nobody may be waiting in it
 *
 * @return the descriptor, the caller's again, or
 * @retval -EBUSY   something was read and not given, or kept and not written
 * @retval -EINVAL  stream is NULL
 *
 * @thread as tmgr_stream_destroy()
 */
TMGR_API int tmgr_stream_detach(struct tmgr_stream *stream);

/**
 * The descriptor of a stream.
 *
 * @param stream  a stream
 *
 * @return the descriptor, borrowed, or
 * @retval -EINVAL  stream is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_stream_fd(const struct tmgr_stream *stream);

/**
 * Whether the server that accepted this connection has been told to stop, for handlers that end
 * after the present request (tmgr_serve()).
 *
 * @param stream  NULL gives false
 *
 * @return true from then on
 *
 * @thread any thread
 */
TMGR_API bool tmgr_stream_stopping(const struct tmgr_stream *stream);

/**
 * Read some: what is there, at least one byte.
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param buffer    written
 * @param size      of buffer, bytes, above 0
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @return bytes read, 1 to size, or
 * @retval 0            the end of the input
 * @retval -ECANCELED   the token fired first
 * @retval -ETIMEDOUT   the deadline came first
 * @retval -EBUSY       another one reads
 * @retval -EXDEV       it would wait, and belongs to another loop
 * @retval -EINVAL      stream or buffer is NULL, or size is 0
 * @retval -ECONNRESET  of the connection; every other error of read(2) likewise
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API ssize_t tmgr_stream_read(struct tmgr_context *context, struct tmgr_stream *stream,
	void *buffer, size_t size, int64_t deadline);

/**
 * Read exactly so many bytes. Until they are there they stay in the stream.
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param buffer    written only on success
 * @param size      bytes, above 0
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @return size, or
 * @retval 0         the end of the input, and nothing before it
 * @retval -ENODATA  the input ends before; what there is stays readable
 * @retval -ENOMEM   out of memory; nothing is lost
 * @retval -EINVAL   stream or buffer is NULL, or size is 0
 *
 * Other errors are those of tmgr_stream_read().
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API ssize_t tmgr_stream_read_exactly(struct tmgr_context *context, struct tmgr_stream *stream,
	void *buffer, size_t size, int64_t deadline);

/**
 * Read a piece up to its delimiter, without copying it. The last piece of the input may have none.
 *
 * @param context    the task's, or NULL
 * @param stream     a stream
 * @param delimiter  what it ends with and how long it may be
 * @param deadline   absolute, monotonic, nanoseconds
 * @param ret_data   the piece with its delimiter, not terminated; borrowed until the stream is read
 *                   from again or ended
 *
 * @return bytes of the piece, above 0, or
 * @retval 0          the end of the input
 * @retval -EMSGSIZE  it is longer than delimiter->max; all of it stays readable
 * @retval -ENOMEM    out of memory; nothing is lost
 * @retval -EINVAL    an argument is NULL, or a size is 0
 *
 * Other errors are those of tmgr_stream_read().
 *
 * @thread the task's; may block; cancellation point
 * @source asyncio, StreamReader.readuntil
 */
TMGR_API ssize_t tmgr_stream_read_until(struct tmgr_context *context, struct tmgr_stream *stream,
	const struct tmgr_delimiter *delimiter, int64_t deadline, const char **ret_data);

/**
 * Read a line: tmgr_stream_read_until() a newline. The newline is part of it; the last line of the
 * input may have none.
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param max       longest line, bytes, with its newline; above 0
 * @param deadline  absolute, monotonic, nanoseconds
 * @param ret_line  the line, not terminated; borrowed until the stream is read from again or ended
 *
 * @return bytes of the line, above 0, or
 * @retval 0          the end of the input
 * @retval -EMSGSIZE  it is longer than max; all of it stays readable
 * @retval -ENOMEM    out of memory; nothing is lost
 * @retval -EINVAL    stream or ret_line is NULL, or max is 0
 *
 * Other errors are those of tmgr_stream_read().
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API ssize_t tmgr_stream_read_line(struct tmgr_context *context, struct tmgr_stream *stream,
	size_t max, int64_t deadline, const char **ret_line);

/**
 * Read all to the end of the input, without copying it.
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param max       most bytes, above 0
 * @param deadline  absolute, monotonic, nanoseconds
 * @param ret_data  borrowed until the stream is read from again or ended
 *
 * @return bytes, above 0, or
 * @retval 0          the end of the input, and nothing before it
 * @retval -EMSGSIZE  there is more than max; all of it stays readable
 * @retval -ENOMEM    out of memory; nothing is lost
 * @retval -EINVAL    stream or ret_data is NULL, or max is 0
 *
 * Other errors are those of tmgr_stream_read().
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API ssize_t tmgr_stream_read_all(struct tmgr_context *context, struct tmgr_stream *stream,
	size_t max, int64_t deadline, const char **ret_data);

/**
 * Look at the input: wait until at least so many bytes are there, and take none. They are taken
 * with tmgr_stream_consume().
 *
 *     while ((there = tmgr_stream_peek(context, stream, there + 1, TMGR_NEVER, &data)) > 0)
 *             if ((used = parse(data, there)) > 0)
 *                     ...
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param min       bytes; 0: what is there, without waiting or reading
 * @param deadline  absolute, monotonic, nanoseconds
 * @param ret_data  borrowed until the stream is read from again or ended
 *
 * @return bytes that are there: min or more, or fewer where the input ends before; or
 * @retval 0         the end of the input; or min is 0 and there is nothing
 * @retval -ENOMEM   out of memory; nothing is lost
 * @retval -EINVAL   stream or ret_data is NULL
 *
 * Other errors are those of tmgr_stream_read().
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API ssize_t tmgr_stream_peek(struct tmgr_context *context, struct tmgr_stream *stream,
	size_t min, int64_t deadline, const char **ret_data);

/**
 * Take bytes that tmgr_stream_peek() has shown. What it gave stays in place.
 *
 * @param stream  a stream
 * @param size    bytes
 *
 * @retval 0        taken
 * @retval -EINVAL  stream is NULL, or fewer are there
 *
 * @thread the reader's; never blocks
 */
TMGR_API int tmgr_stream_consume(struct tmgr_stream *stream, size_t size);

/**
 * Write all of a buffer, after those who began to write before, and after what was put.
 *
 * When cancel, the deadline or an error cut it short after a part of it was written, the other side
 * has that part. The stream then takes no more: writing gives -ECONNABORTED until
 * tmgr_stream_resume() says how much it was. Cut short before, nothing has happened. Reading is not
 * affected.
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param data      borrowed until this returns
 * @param size      bytes; 0 only waits for its turn and writes what was put
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @retval 0              written
 * @retval -ECANCELED     the token fired first
 * @retval -ETIMEDOUT     the deadline came first
 * @retval -EPIPE         nobody reads any more, or the output was shut down
 * @retval -ECONNRESET    of the connection; every other error of write(2) likewise
 * @retval -EXDEV         it would wait, and the stream belongs to another loop
 * @retval -ECONNABORTED  a write before was cut short
 * @retval -EINVAL        stream is NULL, or data is and size is not 0
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_stream_write(struct tmgr_context *context, struct tmgr_stream *stream,
	const void *data, size_t size, int64_t deadline);

/**
 * Write several buffers as one: as tmgr_stream_write().
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param vectors   count of them; borrowed until this returns, and as before then
 * @param count     any number; 0 as a size of 0
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @retval 0        written
 * @retval -EINVAL  stream is NULL, or vectors is and count is not 0, or the sizes are too large
 *
 * Other errors are those of tmgr_stream_write().
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_stream_writev(struct tmgr_context *context, struct tmgr_stream *stream,
	const struct iovec *vectors, size_t count, int64_t deadline);

/**
 * Write later: keep a copy of the bytes, and write when more than options.write_buffer are kept, at
 * the next tmgr_stream_write() or at tmgr_stream_flush(). Those who answer many small requests
 * flush when no request is left in the input.
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param data      copied
 * @param size      bytes
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @retval 0        kept, or written
 * @retval -ENOMEM  out of memory; nothing of it is kept
 * @retval -EINVAL  stream is NULL, or data is and size is not 0
 *
 * Other errors are those of tmgr_stream_write(), which holds for data too large to keep.
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_stream_put(struct tmgr_context *context, struct tmgr_stream *stream,
	const void *data, size_t size, int64_t deadline);

/**
 * Write what was put, after those who began to write before. What is not written when this is cut
 * short stays kept.
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @retval 0        all is with the system
 * @retval -EINVAL  stream is NULL
 *
 * Other errors are those of tmgr_stream_write().
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_stream_flush(
	struct tmgr_context *context, struct tmgr_stream *stream, int64_t deadline);

/**
 * Take writes again after one was cut short.
 *
 * @param stream  a stream
 *
 * @return bytes of that write that were written, so that the caller can write the rest; 0: none was
 * cut short
 *
 * @thread the writer's
 */
TMGR_API size_t tmgr_stream_resume(struct tmgr_stream *stream);

/**
 * Bytes that were put and are not written yet.
 *
 * @param stream  NULL gives 0
 *
 * @return bytes
 *
 * @thread the writer's
 */
TMGR_API size_t tmgr_stream_unwritten(const struct tmgr_stream *stream);

/**
 * Shut one side down, or both. The output: what was put is written first, after the writers that
 * wait; the other side then reads the end of the input, and writing gives -EPIPE. The input: a
 * reader gets what has come and then the end.
 *
 * A pipe has no sides: its output is closed with the stream.
 *
 * @param context   the task's, or NULL
 * @param stream    a stream
 * @param sides     bits of enum tmgr_stream_side
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @retval 0            shut down
 * @retval -EOPNOTSUPP  it is not a socket
 * @retval -ENOTCONN    the other side has ended the connection
 * @retval -EINVAL      stream is NULL, or sides is 0 or unknown
 *
 * Other errors are those of tmgr_stream_flush(); the side is then not shut down.
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_stream_shutdown(
	struct tmgr_context *context, struct tmgr_stream *stream, unsigned sides, int64_t deadline);

TMGR_END_DECLS

#endif
