/*
 * Two streams that are connected: by a pipe, by unix sockets, by TCP. What is written to the second
 * is read from the first; but for the pipe also the other way.
 */
#ifndef TESTS_SUPPORT_LINKS_H
#define TESTS_SUPPORT_LINKS_H

#include <taskmgr/tasks/endpoint.h>

enum link_kind {
	LINK_PIPE,
	LINK_UNIX,
	LINK_TCP,
	LINKS,
};

/* Make one; stops the program when that fails. */
void link_make(enum link_kind kind, const struct tmgr_stream_options *options,
	struct tmgr_stream *ret_streams[2]);

/* A listener on a free port of this machine, and where it is. */
struct tmgr_listener *listen_here(struct tmgr_endpoint *ret_endpoint);

#endif
