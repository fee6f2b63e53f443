/*
 * What streams ask of the system, counted: on a loop a descriptor is watched once, what was written
 * goes out without being waited for, and a read that got less than it asked for is not made again
 * before there is more.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/fault.h"
#include "tests/support/links.h"
#include "tests/support/looped.h"
#include "tests/support/recorded.h"

#define ROUNDS 200
#define NEVER TMGR_NEVER

static int watched, received, sent;

/* In place of the C library's, for ours and for libev. */
__attribute__((visibility("default"))) int epoll_ctl(
	int epoll, int operation, int fd, struct epoll_event *event)
{
	watched++;
	return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *to, size_t size, int flags)
{
	received++;
	return recvfrom(fd, to, size, flags, NULL, NULL);
}

__attribute__((visibility("default"))) ssize_t send(
	int fd, const void *from, size_t size, int flags)
{
	sent++;
	return sendto(fd, from, size, flags, NULL, 0);
}

struct talk {
	struct tmgr_stream *streams[2];
	bool lines;
	int heard;
};

static ssize_t hear(struct talk *talk, struct tmgr_context *context)
{
	const char *line;
	char text[64];

	if (talk->lines)
		return tmgr_stream_read_line(context, talk->streams[0], 100, NEVER, &line);
	return tmgr_stream_read(context, talk->streams[0], text, sizeof(text), NEVER);
}

static int listen_to(void *self, struct tmgr_context *context)
{
	struct talk *talk = self;

	while (hear(talk, context) == 5)
		talk->heard++;
	return 0;
}

static int talk_to(void *self, struct tmgr_context *context)
{
	struct talk *talk = self;
	struct tmgr_coroutine *listener = spawned(context, "listener", listen_to, talk);

	settle(context);
	watched = received = sent = 0;
	for (int i = 0; i < ROUNDS; i++) {
		IS(tmgr_stream_write(context, talk->streams[1], "word\n", 5, NEVER), 0);
		while (talk->heard <= i && tmgr_yield(context) == 0)
			;
	}
	IS(talk->heard, ROUNDS);
	IS(received, ROUNDS);
	IS(sent, ROUNDS);
	/* None for each wait, and none for writing. */
	IS(watched, 0);
	tmgr_stream_destroy(talk->streams[1]);
	IS(awaited(context, listener), 0);
	tmgr_stream_destroy(talk->streams[0]);
	return 0;
}

static void each_message_costs_one_call_to_write_and_one_to_read(void **state)
{
	/* It knows descriptors by the calls that it sees. */
	if (FAULT_TSAN)
		skip();
	for (int kind = LINK_UNIX; kind < LINKS; kind++)
		for (int lines = 0; lines < 2; lines++) {
			struct talk talk = { .lines = lines };

			link_make((enum link_kind)kind, NULL, talk.streams);
			assert_int_equal(looped_main(talk_to, &talk), 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(each_message_costs_one_call_to_write_and_one_to_read),
	};

	return cmocka_run_group_tests_name("stream_calls", tests, crew_warm_up, NULL);
}
