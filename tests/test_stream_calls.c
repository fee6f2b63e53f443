/*
 * What streams cost, counted: on a loop a descriptor is watched once, what was written goes out
 * without being waited for, and a read that got less than it asked for is not made again before
 * there is more. And what need not wait lets others run all the same, now and then.
 */
#include <errno.h>
#include <stdlib.h>
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
#pragma GCC visibility push(default)
int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	watched++;
	return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	received++;
	return recvfrom(fd, buf, n, flags, NULL, NULL);
}

ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	sent++;
	return sendto(fd, buf, n, flags, NULL, 0);
}

#pragma GCC visibility pop

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

/* ---- What needs no wait --------------------------------------------------------------------- */

#define OPERATIONS 600 /* twice 256, and no more than a socket takes of one byte each */

struct busy {
	struct two two;
	struct tmgr_listener *listener;
	struct tmgr_endpoint place;
	bool over;
	int turns; /* of the other one */
};

static int count_turns(void *self, struct tmgr_context *context)
{
	struct busy *busy = self;

	do
		busy->turns++;
	while (tmgr_yield(context) == 0 && !busy->over);
	return 0;
}

static void read_one(struct busy *busy, struct tmgr_context *context)
{
	char byte;

	IS(tmgr_stream_read(context, busy->two.streams[0], &byte, 1, TMGR_NOW), 1);
}

/* Past the buffer. */
static void read_many(struct busy *busy, struct tmgr_context *context)
{
	char bytes[1024];

	IS(tmgr_stream_read(context, busy->two.streams[0], bytes, sizeof(bytes), TMGR_NOW), 1024);
}

static void read_exactly_one(struct busy *busy, struct tmgr_context *context)
{
	char byte;

	IS(tmgr_stream_read_exactly(context, busy->two.streams[0], &byte, 1, TMGR_NOW), 1);
}

static void read_empty_line(struct busy *busy, struct tmgr_context *context)
{
	const char *line;

	IS(tmgr_stream_read_line(context, busy->two.streams[0], 10, TMGR_NOW, &line), 1);
}

static void peek_at_one(struct busy *busy, struct tmgr_context *context)
{
	const char *data;

	IS(tmgr_stream_peek(context, busy->two.streams[0], 1, TMGR_NOW, &data) >= 1, true);
}

static void write_one(struct busy *busy, struct tmgr_context *context)
{
	IS(tmgr_stream_write(context, busy->two.streams[1], "x", 1, TMGR_NOW), 0);
}

static void write_vector(struct busy *busy, struct tmgr_context *context)
{
	struct iovec vector = { much, 1 };

	IS(tmgr_stream_writev(context, busy->two.streams[1], &vector, 1, TMGR_NOW), 0);
}

static void put_one(struct busy *busy, struct tmgr_context *context)
{
	IS(tmgr_stream_put(context, busy->two.streams[1], "x", 1, TMGR_NOW), 0);
}

static void accept_one(struct busy *busy, struct tmgr_context *context)
{
	struct tmgr_stream *there, *here;

	/* That waits for the system, on the spot. */
	IS(tmgr_connect(NULL, &busy->place, NULL, NEVER, &there), 0);
	IS(tmgr_accept(context, busy->listener, TMGR_NOW, &here), 0);
	tmgr_stream_destroy(there);
	tmgr_stream_destroy(here);
}

static const struct {
	const char *name;
	void (*do_one)(struct busy *busy, struct tmgr_context *context);
} operations[] = {
	{ "read", read_one },
	{ "read past the buffer", read_many },
	{ "read_exactly", read_exactly_one },
	{ "read_line", read_empty_line },
	{ "peek", peek_at_one },
	{ "write", write_one },
	{ "writev", write_vector },
	{ "put", put_one },
	{ "accept", accept_one },
};

#define OPERATION_KINDS (sizeof(operations) / sizeof(operations[0]))

/* A socket that always has more, as a file has. */
static void have_much_to_read(struct busy *busy)
{
	char path[] = "/tmp/stream.XXXXXX", lines[4096];
	int fd = mkstemp(path);

	unlink(path);
	memset(lines, '\n', sizeof(lines));
	for (int i = 0; i < OPERATIONS / 4; i++)
		IS(write(fd, lines, sizeof(lines)), sizeof(lines));
	lseek(fd, 0, SEEK_SET);
	tmgr_stream_destroy(busy->two.streams[0]);
	IS(tmgr_stream_from_fd(fd, NULL, &busy->two.streams[0]), 0);
}

static int be_busy(void *self, struct tmgr_context *context)
{
	for (size_t i = 0; i < OPERATION_KINDS; i++) {
		struct busy busy = { .turns = 0 };
		struct tmgr_coroutine *other;

		two_begin(&busy.two, LINK_TCP, NULL);
		busy.listener = listen_here(&busy.place);
		if (i < 5)
			have_much_to_read(&busy);
		other = spawned(context, "other", count_turns, &busy);
		for (int n = 0; n < OPERATIONS; n++)
			operations[i].do_one(&busy, context);
		busy.over = true;
		if (busy.turns < 2 || busy.turns > 10)
			print_error("%s: %d turns\n", operations[i].name, busy.turns);
		IS(busy.turns >= 2 && busy.turns <= 10, true);
		IS(awaited(context, other), 0);
		tmgr_listener_destroy(busy.listener);
		two_end(&busy.two);
	}
	return 0;
}

static void every_256th_operation_that_does_not_wait_lets_others_run(void **state)
{
	assert_int_equal(looped_main(be_busy, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(each_message_costs_one_call_to_write_and_one_to_read),
		recorded_test(every_256th_operation_that_does_not_wait_lets_others_run),
	};

	return cmocka_run_group_tests_name("stream_calls", tests, crew_warm_up, NULL);
}
