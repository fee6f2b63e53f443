#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#include "tests/support/expect.h"
#include "tests/support/links.h"

char much[MUCH], got[MUCH + 1000];

bool descriptors_used_up(bool on)
{
	static rlim_t before;
	struct rlimit limit;

#ifdef RUNNING_ON_VALGRIND
	if (RUNNING_ON_VALGRIND)
		return false;
#endif
	getrlimit(RLIMIT_NOFILE, &limit);
	if (on)
		before = limit.rlim_cur;
	limit.rlim_cur = on ? 0 : before;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

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

void two_begin(struct two *two, enum link_kind kind, const struct tmgr_stream_options *options)
{
	*two = (struct two){ .seen = { 77, 77, 77, 77 }, .is_pipe = kind == LINK_PIPE };
	for (size_t i = 0; i < MUCH && much[MUCH - 1] == 0; i++)
		much[i] = (char)(i * 7 + i / 251 + (i == MUCH - 1));
	link_make(kind, options, two->streams);
}

void two_end(struct two *two)
{
	tmgr_stream_destroy(two->streams[0]);
	tmgr_stream_destroy(two->streams[1]);
}

int two_write(struct tmgr_context *context, struct two *two, const char *text)
{
	return tmgr_stream_write(context, two->streams[1], text, strlen(text), TMGR_NEVER);
}

int read_to_the_end(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	ssize_t n;

	do {
		size_t room = sizeof(got) - two->length;

		n = tmgr_stream_read(context, two->streams[0], got + two->length,
			room < 50000 ? room : 50000, TMGR_NEVER);
		if (n > 0)
			two->length += (size_t)n;
	} while (n > 0);
	return (int)n;
}

bool on_all_links(
	enum link_kind from, const struct tmgr_stream_options *options, crew_function *function)
{
	int r = 0;

	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = (int)from; kind < LINKS && r == 0; kind++) {
			struct two two;

			two_begin(&two, (enum link_kind)kind, options);
			r = crew_run(h, function, &two, NULL, NULL);
		}
	return r == 0 && wrong == 0;
}
