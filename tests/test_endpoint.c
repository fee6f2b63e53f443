/*
 * Connecting by TCP and unix sockets, on threads and on loops. Listening has test_listen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/crew.h"
#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"
#include "tests/support/network.h"

#define NEVER TMGR_NEVER

static char path[64], name[64];

struct visit {
	struct tmgr_endpoint to;
	struct tmgr_connect_options options;
	struct tmgr_listener *listener;
	int64_t deadline;
	int r;
};

static int visit(void *self, struct tmgr_context *context)
{
	struct visit *visit = self;
	struct tmgr_stream *stream;
	char buffer[8];

	visit->r = tmgr_connect(context, &visit->to, &visit->options, visit->deadline, &stream);
	if (visit->r < 0)
		return 0;
	IS(tmgr_stream_write(context, stream, "hello", 5, NEVER), 0);
	IS(tmgr_stream_read(context, stream, buffer, sizeof(buffer), NEVER), 5);
	IS(memcmp(buffer, "HELLO", 5), 0);
	IS(tmgr_stream_read(context, stream, buffer, sizeof(buffer), NEVER), 0);
	IS(fcntl(tmgr_stream_fd(stream), F_GETFD), FD_CLOEXEC);
	tmgr_stream_destroy(stream);
	return 0;
}

static int receive(void *self, struct tmgr_context *context)
{
	struct visit *visit = self;
	struct tmgr_stream *stream;
	char buffer[8];

	IS(tmgr_accept(context, visit->listener, NEVER, &stream), 0);
	IS(fcntl(tmgr_stream_fd(stream), F_GETFD), FD_CLOEXEC);
	IS(tmgr_stream_read_exactly(context, stream, buffer, 5, NEVER), 5);
	IS(tmgr_stream_write(context, stream, "HELLO", 5, NEVER), 0);
	return tmgr_stream_close(context, stream, NEVER);
}

/* Listen at a place, and visit it. */
static void visit_at(const struct tmgr_endpoint *place)
{
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct visit visitor = { .to = *place, .deadline = NEVER, .r = 77 };
		int port;

		assert_int_equal(tmgr_listen(place, NULL, &visitor.listener), 0);
		port = tmgr_listener_port(visitor.listener);
		assert_true(place->unix_path ? port == 0 : port > 0);
		assert_int_equal(fcntl(tmgr_listener_fd(visitor.listener), F_GETFD), FD_CLOEXEC);
		if (!place->unix_path) {
			visitor.to.port = (unsigned)port;
			visitor.to.host = place->host ? place->host : "127.0.0.1";
		}
		assert_int_equal(crew_run(h, receive, &visitor, visit, &visitor), 0);
		assert_int_equal(visitor.r, 0);
		tmgr_listener_destroy(visitor.listener);
	}
	assert_int_equal(wrong, 0);
}

static void connections_by_tcp_are_made_both_ways(void **state)
{
	visit_at(&(struct tmgr_endpoint){ .host = "127.0.0.1" });
	visit_at(&(struct tmgr_endpoint){ .host = NULL });
}

static void connections_by_tcp_of_version_six_are_made_both_ways(void **state)
{
	struct tmgr_endpoint loopback = { .host = "::1" };
	struct tmgr_listener *listener;

	/* A machine may have none. */
	if (tmgr_listen(&loopback, NULL, &listener) != 0)
		skip();
	tmgr_listener_destroy(listener);
	visit_at(&loopback);
}

static void connections_by_unix_sockets_are_made_both_ways(void **state)
{
	visit_at(&(struct tmgr_endpoint){ .unix_path = path });
	assert_int_equal(access(path, F_OK), -1);
	visit_at(&(struct tmgr_endpoint){ .unix_path = name });
}

static void a_connection_by_name_tries_all_addresses(void **state)
{
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct visit visitor = { .deadline = NEVER, .r = 77 };

		visitor.listener = listen_here(&visitor.to);
		visitor.to.host = "somewhere";
		/* Nobody listens on the others: refused, at once. */
		network_answer("127.0.0.2 127.0.0.3 127.0.0.1 127.0.0.4", 0, NULL);
		assert_int_equal(crew_run(h, receive, &visitor, visit, &visitor), 0);
		assert_int_equal(visitor.r, 0);
		assert_int_equal(network_connected(), 3);
		/* One that does not answer: the next is tried beside it. */
		network_answer("127.0.0.2 127.0.0.1", 0, NULL);
		network_hang("127.0.0.2");
		visitor.options.stagger_ns = 5 * TMGR_MILLISECOND;
		visitor.r = 77;
		assert_int_equal(crew_run(h, receive, &visitor, visit, &visitor), 0);
		assert_int_equal(visitor.r, 0);
		assert_int_equal(network_connected(), 2);
		tmgr_listener_destroy(visitor.listener);
	}
	network_off();
	assert_int_equal(wrong, 0);
}

static int visit_only(int host, struct visit *visitor)
{
	visitor->r = 77;
	assert_int_equal(crew_run(host, visit, visitor, NULL, NULL), 0);
	return visitor->r;
}

static void what_cannot_be_connected_to_is_that_error(void **state)
{
	static const int errors[] = { ENETUNREACH, EHOSTUNREACH, EACCES, ETIMEDOUT };
	struct visit visitor = { .deadline = NEVER };
	struct tmgr_listener *listener;
	char longer[200];

	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	for (int h = 0; h < CREW_HOSTS; h++) {
		listener = listen_here(&visitor.to);
		tmgr_listener_destroy(listener);
		assert_int_equal(visit_only(h, &visitor), -ECONNREFUSED);
		network_answer("127.0.0.2 127.0.0.3", 0, NULL);
		visitor.to.host = "somewhere";
		assert_int_equal(visit_only(h, &visitor), -ECONNREFUSED);
		assert_int_equal(network_connected(), 2);
		network_answer(NULL, -2, NULL);
		assert_int_equal(visit_only(h, &visitor), -ENOENT);
		network_off();
		for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
			network_fail(errors[i]);
			visitor.to = (struct tmgr_endpoint){ .host = "127.0.0.1", .port = 1 };
			assert_int_equal(visit_only(h, &visitor), -errors[i]);
		}
		network_off();
		visitor.to = (struct tmgr_endpoint){ .host = "255.255.255.255", .port = 1 };
		assert_int_not_equal(visit_only(h, &visitor), 0);
		visitor.to = (struct tmgr_endpoint){ .unix_path = path };
		assert_int_equal(visit_only(h, &visitor), -ENOENT);
		visitor.to = (struct tmgr_endpoint){ .unix_path = name };
		assert_int_equal(visit_only(h, &visitor), -ECONNREFUSED);
		visitor.to = (struct tmgr_endpoint){ .unix_path = longer };
		assert_int_equal(visit_only(h, &visitor), -ENAMETOOLONG);
	}
}

/* The system may choose the port that nobody listens on as the one to come from. */
static void a_connection_to_itself_is_refused(void **state)
{
	struct visit visitor = { .deadline = NEVER };

	for (int h = 0; h < CREW_HOSTS; h++)
		for (int tries = 0; tries < 2; tries++) {
			tmgr_listener_destroy(listen_here(&visitor.to));
			network_echo();
			assert_int_equal(visit_only(h, &visitor), -ECONNREFUSED);
			network_off();
		}
}

static void a_connect_ends_at_its_deadline_or_cancel(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int addresses = 1; addresses <= 2; addresses++) {
			struct visit visitor = { .r = 77,
				.to = { .host = "somewhere", .port = 1 },
				.options = { .stagger_ns = TMGR_HOUR } };
			struct crew crew;
			int inherited = leak_inherited();

			network_answer(
				addresses == 1 ? "127.0.0.2" : "127.0.0.2 127.0.0.3", 0, NULL);
			network_hang("127.0.0.2");
			visitor.deadline = tmgr_after(10 * TMGR_MILLISECOND);
			assert_int_equal(visit_only(h, &visitor), -ETIMEDOUT);
			visitor.deadline = NEVER;
			assert_true(crew_begin_waiting(&crew, h, visit, &visitor));
			/* Whatever it has open now a program that is started does not get. */
			assert_int_equal(leak_inherited(), inherited);
			crew_cancel(&crew, 0);
			assert_int_equal(crew_end(&crew), 0);
			assert_int_equal(visitor.r, -ECANCELED);
		}
	network_off();
}

static void a_full_unix_socket_is_waited_for(void **state)
{
	struct tmgr_endpoint place = { .unix_path = name };
	struct tmgr_listen_options options = { .backlog = 1 };
	struct tmgr_stream *streams[10];
	struct tmgr_listener *listener;
	int64_t soon;
	int n = 0, r;

	assert_int_equal(tmgr_listen(&place, &options, &listener), 0);
	do
		r = tmgr_connect(NULL, &place, NULL, TMGR_NOW, &streams[n]);
	while (r == 0 && ++n < 10);
	assert_int_equal(r, -ETIMEDOUT);
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct visit visitor = { .to = place };

		soon = visitor.deadline = tmgr_after(30 * TMGR_MILLISECOND);
		assert_int_equal(visit_only(h, &visitor), -ETIMEDOUT);
		assert_true(tmgr_now() >= soon);
	}
	while (n > 0)
		tmgr_stream_destroy(streams[--n]);
	tmgr_listener_destroy(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(connections_by_tcp_are_made_both_ways),
		leak_test(connections_by_tcp_of_version_six_are_made_both_ways),
		leak_test(connections_by_unix_sockets_are_made_both_ways),
		leak_test(a_connection_by_name_tries_all_addresses),
		leak_test(what_cannot_be_connected_to_is_that_error),
		leak_test(a_connection_to_itself_is_refused),
		leak_test(a_connect_ends_at_its_deadline_or_cancel),
		leak_test(a_full_unix_socket_is_waited_for),
	};

	snprintf(path, sizeof(path), "/tmp/endpoint.%d", (int)getpid());
	snprintf(name, sizeof(name), "@endpoint.%d", (int)getpid());
	return cmocka_run_group_tests_name("endpoint", tests, crew_warm_up, NULL);
}
