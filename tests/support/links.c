#include <stdlib.h>

#include "tests/support/links.h"

struct tmgr_listener *listen_here(struct tmgr_endpoint *ret_endpoint)
{
	struct tmgr_listener *listener;

	*ret_endpoint = (struct tmgr_endpoint){ .host = "127.0.0.1" };
	if (tmgr_listen(ret_endpoint, NULL, &listener) < 0)
		abort();
	ret_endpoint->port = (unsigned)tmgr_listener_port(listener);
	return listener;
}

static int make_tcp(const struct tmgr_stream_options *options, struct tmgr_stream *ret_streams[2])
{
	struct tmgr_connect_options connecting = { .stagger_ns = 0 };
	struct tmgr_listen_options listening = { .backlog = 0 };
	struct tmgr_endpoint endpoint = { .host = "127.0.0.1" };
	struct tmgr_listener *listener;
	int r;

	if (options)
		connecting.stream = listening.stream = *options;
	r = tmgr_listen(&endpoint, &listening, &listener);
	if (r < 0)
		return r;
	endpoint.port = (unsigned)tmgr_listener_port(listener);
	r = tmgr_connect(NULL, &endpoint, &connecting, TMGR_NEVER, &ret_streams[1]);
	if (r == 0)
		r = tmgr_accept(NULL, listener, TMGR_NEVER, &ret_streams[0]);
	tmgr_listener_destroy(listener);
	return r;
}

void link_make(enum link_kind kind, const struct tmgr_stream_options *options,
	struct tmgr_stream *ret_streams[2])
{
	int r;

	if (kind == LINK_PIPE)
		r = tmgr_stream_pipe(options, &ret_streams[0], &ret_streams[1]);
	else if (kind == LINK_UNIX)
		r = tmgr_stream_pair(options, ret_streams);
	else
		r = make_tcp(options, ret_streams);
	if (r < 0)
		abort();
}
