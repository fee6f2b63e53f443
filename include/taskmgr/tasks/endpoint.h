/**
 * @file
 * Connecting, listening and serving: streams from and to other programs, by TCP and unix sockets.
 *
 *     static int echo(void *self, struct tmgr_context *context, struct tmgr_stream *stream)
 *     {
 *             char buffer[4096];
 *             ssize_t n;
 *             int r = 0;
 *
 *             do {
 *                     n = tmgr_stream_read(context, stream, buffer, sizeof(buffer), TMGR_NEVER);
 *                     if (n > 0)
 *                             r = tmgr_stream_write(context, stream, buffer, n, TMGR_NEVER);
 *             } while (n > 0 && r == 0);
 *             return n < 0 ? (int)n : r;
 *     }
 *
 *     struct tmgr_serve_options options = { .handler = echo };
 *     struct tmgr_endpoint endpoint = { .host = "127.0.0.1", .port = 7 };
 *
 *     r = tmgr_listen(&endpoint, NULL, &listener);
 *     if (r == 0)
 *             r = tmgr_serve(context, listener, &options);
 */
#ifndef TMGR_TASKS_ENDPOINT_H
#define TMGR_TASKS_ENDPOINT_H

#include <taskmgr/tasks/resolve.h>
#include <taskmgr/tasks/stream.h>

struct tmgr_listener;

/** Where to connect to or to listen: a host and a port, or a unix socket. */
struct tmgr_endpoint {
	/** TCP: a name or a numeric address. To listen: a numeric one, or NULL for all. */
	const char *host;
	/** 1 to 65535. To listen 0 is any that is free. */
	unsigned port;
	/** Instead of both a unix socket's path; one that begins with '@' stands in the abstract
	 * namespace, which has no file. */
	const char *unix_path;
};

/** How to connect; all zero is the default. */
struct tmgr_connect_options {
	struct tmgr_stream_options stream;
	/** How long an address is tried alone before the next is tried beside it, nanoseconds: 250
	 * ms. */
	int64_t stagger_ns;
};

/** How to listen; all zero is the default. */
struct tmgr_listen_options {
	/** Of what is accepted. */
	struct tmgr_stream_options stream;
	/** Connections that may wait to be accepted: what the system allows. */
	int backlog;
	/** Several listeners, also of other processes, may share the port (SO_REUSEPORT). */
	bool share_port;
	/** Rights of a unix socket's file: as the process's umask leaves them. */
	mode_t mode;
};

/** How to serve. */
struct tmgr_serve_options {
	/**
	 * Called for each connection, on a coroutine where the context is on a loop, else on a pool
	 * thread. The stream is borrowed until it returns, and then closed; what was put is written
	 * before. An error it returns, other than -ECANCELED, is counted, logged and concerns
	 * nobody else.
	 */
	int (*handler)(void *self, struct tmgr_context *context, struct tmgr_stream *stream);
	/** For handler; borrowed until tmgr_serve() returns. */
	void *self;
	/** Connections at once; while there are so many none is accepted. 0: no limit. */
	size_t connections_max;
	/**
	 * After the cancel: handlers have so long to end before they are cancelled, too,
	 * nanoseconds. 0: they are cancelled at once. To be below the task's stop deadline.
	 */
	int64_t drain_ns;
	/** With drain_ns: handlers read the end of the input, once they have read what has come. */
	bool drain_ends_input;
	/** Of coroutines, for dumps: "connection"; borrowed until tmgr_serve() returns. */
	const char *name;
};

TMGR_BEGIN_DECLS

/**
 * Connect. A name is resolved (tmgr_resolve()) and its addresses are tried, of the two families in
 * turn, each beside those before it when these have not answered for a while; the first that
 * answers is taken and the others are dropped.
 *
 * @param context     the task's, or NULL
 * @param endpoint    where to
 * @param options     NULL for the default
 * @param deadline    absolute, monotonic, nanoseconds; of all together
 * @param ret_stream  returned, release with tmgr_stream_destroy() or tmgr_stream_close()
 *
 * @return 0, the error of the last address that was tried, or what tmgr_resolve() returns
 * @retval 0              connected
 * @retval -ECONNREFUSED  nobody listens there
 * @retval -ENOENT        there is no such host, or no such file
 * @retval -EHOSTUNREACH  there is no way to it (also -ENETUNREACH)
 * @retval -ETIMEDOUT     the deadline came first, or the other side never answered
 * @retval -ECANCELED     the token fired first
 * @retval -EMFILE        no descriptor was left (also -ENFILE)
 * @retval -ENAMETOOLONG  a path of more than 107 bytes
 * @retval -ENOMEM        out of memory (also -ENOBUFS)
 * @retval -EINVAL        endpoint or ret_stream is NULL, or endpoint has no host and no path, or
 *                        both, or no port, or an option is out of range
 *
 * @thread the task's; may block; cancellation point
 * @source RFC 8305, Happy Eyeballs
 */
TMGR_API int tmgr_connect(struct tmgr_context *context, const struct tmgr_endpoint *endpoint,
	const struct tmgr_connect_options *options, int64_t deadline,
	struct tmgr_stream **ret_stream);

/**
 * Listen.
 *
 * A unix socket's file that is left from a program that has ended is replaced; the file is removed
 * when the listener is destroyed.
 *
 * @param endpoint      where
 * @param options       copied; NULL for the default
 * @param ret_listener  returned, release with tmgr_listener_destroy()
 *
 * @retval 0               listening
 * @retval -EADDRINUSE     somebody listens there
 * @retval -EADDRNOTAVAIL  the address is not this machine's
 * @retval -EACCES         not allowed (also -EPERM, -EROFS)
 * @retval -EMFILE         no descriptor was left (also -ENFILE)
 * @retval -ENAMETOOLONG   a path of more than 107 bytes
 * @retval -ENOMEM         out of memory (also -ENOBUFS)
 * @retval -EINVAL         endpoint or ret_listener is NULL, the host is not numeric, or there is a
 *                         path beside it, or an option is out of range
 *
 * Every other error of bind(2) comes back likewise.
 *
 * @thread any thread
 */
TMGR_API int tmgr_listen(const struct tmgr_endpoint *endpoint,
	const struct tmgr_listen_options *options, struct tmgr_listener **ret_listener);

/**
 * Make a listener of a socket that listens, as one that a service manager passes.
 *
 * @param fd            taken on success; made non-blocking and close-on-exec
 * @param options       copied; NULL for the default; only stream counts
 * @param ret_listener  returned, release with tmgr_listener_destroy()
 *
 * @retval 0          made
 * @retval -EBADF     fd is not open
 * @retval -EINVAL    ret_listener is NULL, or fd does not listen
 * @retval -ENOTSOCK  fd is not a socket
 * @retval -ENOMEM    out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_listener_from_fd(
	int fd, const struct tmgr_listen_options *options, struct tmgr_listener **ret_listener);

/**
 * The port a listener got.
 *
 * @param listener  a listener
 *
 * @return 1 to 65535; 0 for a unix socket; or
 * @retval -EINVAL  listener is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_listener_port(const struct tmgr_listener *listener);

/**
 * The descriptor of a listener.
 *
 * @param listener  a listener
 *
 * @return the descriptor, borrowed, or
 * @retval -EINVAL  listener is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_listener_fd(const struct tmgr_listener *listener);

/**
 * Accept a connection.
 *
 * Connections that were given up before they were accepted are passed over. While no descriptor or
 * memory is left this waits, trying ten times a second.
 *
 * @param context     the task's, or NULL
 * @param listener    a listener; several threads, or coroutines of one loop, may accept
 * @param deadline    absolute, monotonic, nanoseconds
 * @param ret_stream  returned, release with tmgr_stream_destroy() or tmgr_stream_close()
 *
 * @retval 0           accepted
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -EMFILE     likewise, and no descriptor was left (also -ENFILE, -ENOMEM, -ENOBUFS)
 * @retval -EINVAL     listener or ret_stream is NULL
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_accept(struct tmgr_context *context, struct tmgr_listener *listener,
	int64_t deadline, struct tmgr_stream **ret_stream);

/**
 * Serve: accept connections and call a handler for each, beside each other, until cancelled.
 *
 * Handlers are children of the caller: all have ended when this returns. At the cancel no more is
 * accepted, and the handlers are cancelled; with options.drain_ns only when that has passed, and
 * tmgr_stream_stopping() tells them before. A connection whose handler has not begun by then, or
 * for which there is no memory or thread, is closed.
 *
 * @param context   the task's
 * @param listener  a listener; stays open
 * @param options   borrowed until this returns
 *
 * @return never 0
 * @retval -ECANCELED  the token fired, and all handlers have ended
 * @retval -ETIMEDOUT  likewise, but some had to be cancelled after drain_ns; or the deadline of an
 *                     uninterrupted scope came
 * @retval -EINVAL     context, listener, options or handler is NULL, or drain_ns is below 0
 * @retval -ENOMEM     out of memory at the beginning
 *
 * Every other error is one of accept(2); the handlers are cancelled then.
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_serve(struct tmgr_context *context, struct tmgr_listener *listener,
	const struct tmgr_serve_options *options);

/**
 * Listen no more. Nobody may be accepting. What was accepted is not affected.
 *
 * @param listener  taken; NULL does nothing
 *
 * @thread any thread
 */
TMGR_API void tmgr_listener_destroy(struct tmgr_listener *listener);

/**
 * Who is at the other end of a stream.
 *
 * @param stream       a stream
 * @param ret_address  written; of a unix socket without a name only the family
 *
 * @retval 0          written
 * @retval -ENOTSOCK  it is not a socket
 * @retval -ENOTCONN  the connection has ended
 * @retval -EINVAL    an argument is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_stream_peer(const struct tmgr_stream *stream, struct tmgr_address *ret_address);

TMGR_END_DECLS

#endif
