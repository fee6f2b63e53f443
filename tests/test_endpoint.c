/*
 * Connecting, listening and accepting: by TCP and unix sockets, on threads and on loops.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/crew.h"
#include "tests/support/expect.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"
#include "tests/support/network.h"

#define NEVER TMGR_NEVER

static char path[64], name[64];

struct visit {
	struct tmgr_endpoint to;
	struct tmgr_connect_options options;
	struct tmgr_listener *listener;
	struct tmgr_stream *accepted;
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
			crew_begin(&crew, h);
			crew_add(&crew, visit, &visitor);
			assert_true(crew_waits(&crew, 0, "descriptor"));
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

/* ---- Listening ------------------------------------------------------------------------------ */

/* As by a program that was killed. */
static void leave_socket_behind(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	close(fd);
}

static void a_place_that_is_taken_is_refused_and_one_left_over_is_not(void **state)
{
	struct tmgr_endpoint place = { .unix_path = path }, here;
	struct tmgr_listen_options options = { .mode = 0600 };
	struct tmgr_listener *one, *two;
	struct stat status;
	int fd;

	assert_int_equal(tmgr_listen(&place, &options, &one), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(tmgr_listen(&place, NULL, &two), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	tmgr_listener_destroy(one);
	assert_int_equal(access(path, F_OK), -1);
	leave_socket_behind();
	assert_int_equal(tmgr_listen(&place, NULL, &one), 0);
	/* Its file is removed, but not one that somebody has put there since. */
	assert_int_equal(unlink(path), 0);
	leave_socket_behind();
	tmgr_listener_destroy(one);
	assert_int_equal(unlink(path), 0);
	/* A file that is no socket is left alone. */
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(tmgr_listen(&place, NULL, &two), -EADDRINUSE);
	assert_int_equal(unlink(path), 0);
	one = listen_here(&here);
	assert_int_equal(tmgr_listen(&here, NULL, &two), -EADDRINUSE);
	tmgr_listener_destroy(one);
	options = (struct tmgr_listen_options){ .share_port = true };
	here.port = 0;
	assert_int_equal(tmgr_listen(&here, &options, &one), 0);
	here.port = (unsigned)tmgr_listener_port(one);
	assert_int_equal(tmgr_listen(&here, &options, &two), 0);
	tmgr_listener_destroy(one);
	tmgr_listener_destroy(two);
}

static void bad_places_are_refused(void **state)
{
	struct tmgr_listener *listener;
	struct tmgr_stream *stream;
	struct tmgr_endpoint place = { .host = "localhost" };

	assert_int_equal(tmgr_listen(&place, NULL, &listener), -EINVAL);
	place = (struct tmgr_endpoint){ .host = "127.0.0.1", .port = 65536 };
	assert_int_equal(tmgr_listen(&place, NULL, &listener), -EINVAL);
	assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &stream), -EINVAL);
	place = (struct tmgr_endpoint){ .host = "127.0.0.1", .unix_path = path };
	assert_int_equal(tmgr_listen(&place, NULL, &listener), -EINVAL);
	assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &stream), -EINVAL);
	place = (struct tmgr_endpoint){ .unix_path = "" };
	assert_int_equal(tmgr_listen(&place, NULL, &listener), -EINVAL);
	assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &stream), -EINVAL);
	place = (struct tmgr_endpoint){ .host = "127.0.0.1" };
	assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &stream), -EINVAL);
	place = (struct tmgr_endpoint){ .host = "192.0.2.1", .port = 0 };
	assert_int_equal(tmgr_listen(&place, NULL, &listener), -EADDRNOTAVAIL);
	place = (struct tmgr_endpoint){ .port = 0 };
	assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &stream), -EINVAL);
	assert_int_equal(tmgr_listen(NULL, NULL, &listener), -EINVAL);
	assert_int_equal(tmgr_connect(NULL, NULL, NULL, NEVER, &stream), -EINVAL);
}

static void a_socket_that_listens_already_is_taken(void **state)
{
	struct tmgr_endpoint place;
	struct tmgr_listener *one = listen_here(&place), *two;
	int fd = dup(tmgr_listener_fd(one)), fds[2];
	struct tmgr_stream *stream;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	assert_int_equal(tmgr_listener_from_fd(fd, NULL, &two), 0);
	assert_int_equal(tmgr_listener_port(two), (int)place.port);
	assert_int_equal(tmgr_accept(NULL, two, TMGR_NOW, &stream), -ETIMEDOUT);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	tmgr_listener_destroy(two);
	assert_false(fcntl(tmgr_listener_fd(one), F_GETFL) & O_NONBLOCK);
	tmgr_listener_destroy(one);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(tmgr_listener_from_fd(fds[0], NULL, &two), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(tmgr_listener_from_fd(fds[0], NULL, &two), -EBADF);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(tmgr_listener_from_fd(fds[0], NULL, &two), -EINVAL);
	close(fds[0]);
}

static int accept_one(void *self, struct tmgr_context *context)
{
	struct visit *visit = self;

	visit->r = tmgr_accept(context, visit->listener, visit->deadline, &visit->accepted);
	return 0;
}

static void an_accept_ends_at_its_deadline_or_cancel(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct visit visits[3] = { { .deadline = NEVER }, { .deadline = NEVER } };
		struct tmgr_endpoint place;
		struct tmgr_listener *listener = listen_here(&place);
		struct tmgr_stream *stream;
		struct crew crew;

		for (int i = 0; i < 3; i++)
			visits[i].listener = listener;
		visits[2].deadline = tmgr_after(5 * TMGR_MILLISECOND);
		crew_begin(&crew, h);
		/* Two wait at once, and one is gone when the third comes. */
		for (size_t i = 0; i < 2; i++) {
			crew_add(&crew, accept_one, &visits[i]);
			assert_true(crew_waits(&crew, i, "descriptor"));
		}
		crew_cancel(&crew, 0);
		crew_join(&crew, 0);
		assert_int_equal(visits[0].r, -ECANCELED);
		crew_add(&crew, accept_one, &visits[2]);
		crew_join(&crew, 2);
		assert_int_equal(visits[2].r, -ETIMEDOUT);
		assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &stream), 0);
		assert_int_equal(crew_end(&crew), 0);
		assert_int_equal(visits[1].r, 0);
		tmgr_stream_destroy(visits[1].accepted);
		tmgr_stream_destroy(stream);
		tmgr_listener_destroy(listener);
	}
}

static void descriptors_that_are_used_up_are_waited_for_when_accepting(void **state)
{
	if (!descriptors_used_up(true))
		skip();
	descriptors_used_up(false);
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct visit visitor = { .deadline = NEVER, .r = 77 };
		struct tmgr_endpoint place;
		struct tmgr_stream *stream, *other;
		struct crew crew;

		visitor.listener = listen_here(&place);
		crew_begin(&crew, h);
		crew_add(&crew, accept_one, &visitor);
		assert_true(crew_waits(&crew, 0, "descriptor"));
		assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &stream), 0);
		crew_join(&crew, 0);
		assert_int_equal(visitor.r, 0);
		tmgr_stream_destroy(visitor.accepted);
		tmgr_stream_destroy(stream);
		assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &stream), 0);
		descriptors_used_up(true);
		assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &other), -EMFILE);
		assert_int_equal(tmgr_accept(NULL, visitor.listener, TMGR_NOW, &other), -EMFILE);
		visitor.r = 77;
		crew_add(&crew, accept_one, &visitor);
		assert_true(crew_waits(&crew, 1, "sleep"));
		descriptors_used_up(false);
		assert_int_equal(crew_end(&crew), 0);
		assert_int_equal(visitor.r, 0);
		tmgr_stream_destroy(visitor.accepted);
		tmgr_stream_destroy(stream);
		tmgr_listener_destroy(visitor.listener);
	}
}

static void memory_that_is_used_up_is_waited_for_when_accepting(void **state)
{
	struct tmgr_endpoint place;
	struct tmgr_listener *listener = listen_here(&place);
	struct tmgr_stream *here, *there;

	assert_int_equal(tmgr_connect(NULL, &place, NULL, NEVER, &there), 0);
	fault_fail_allocation(1);
	assert_int_equal(tmgr_accept(NULL, listener, TMGR_NOW, &here), -ENOMEM);
	fault_fail_allocation(1);
	assert_int_equal(tmgr_accept(NULL, listener, NEVER, &here), 0);
	fault_off();
	tmgr_stream_destroy(here);
	tmgr_stream_destroy(there);
	tmgr_listener_destroy(listener);
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
	struct tmgr_endpoint place;
	struct tmgr_listener *listener = listen_here(&place), *other;
	struct tmgr_endpoint any = { .host = "127.0.0.1" };
	struct tmgr_stream *stream;
	int r = -1;

	for (long k = 1; r != 0; k++) {
		assert_true(k < 10);
		fault_fail_allocation(k);
		r = tmgr_connect(NULL, &place, NULL, NEVER, &stream);
		assert_true(r == 0 || r == -ENOMEM);
	}
	fault_off();
	tmgr_stream_destroy(stream);
	fault_fail_allocation(1);
	assert_int_equal(tmgr_listen(&any, NULL, &other), -ENOMEM);
	fault_fail_allocation(1);
	assert_int_equal(tmgr_listener_from_fd(tmgr_listener_fd(listener), NULL, &other), -ENOMEM);
	fault_off();
	tmgr_listener_destroy(listener);
}

static void who_is_at_the_other_end_can_be_asked(void **state)
{
	struct tmgr_address address;
	struct tmgr_stream *streams[2];

	link_make(LINK_TCP, NULL, streams);
	assert_int_equal(tmgr_stream_peer(streams[0], &address), 0);
	assert_int_equal(address.to.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(address.size, sizeof(struct sockaddr_in));
	tmgr_stream_destroy(streams[0]);
	tmgr_stream_destroy(streams[1]);
	link_make(LINK_PIPE, NULL, streams);
	assert_int_equal(tmgr_stream_peer(streams[0], &address), -ENOTSOCK);
	assert_int_equal(tmgr_stream_peer(NULL, &address), -EINVAL);
	tmgr_stream_destroy(streams[0]);
	tmgr_stream_destroy(streams[1]);
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
		leak_test(a_place_that_is_taken_is_refused_and_one_left_over_is_not),
		leak_test(bad_places_are_refused),
		leak_test(a_socket_that_listens_already_is_taken),
		leak_test(an_accept_ends_at_its_deadline_or_cancel),
		leak_test(descriptors_that_are_used_up_are_waited_for_when_accepting),
		leak_test(memory_that_is_used_up_is_waited_for_when_accepting),
		leak_test(a_failing_allocation_leaves_nothing_behind),
		leak_test(who_is_at_the_other_end_can_be_asked),
	};

	snprintf(path, sizeof(path), "/tmp/endpoint.%d", (int)getpid());
	snprintf(name, sizeof(name), "@endpoint.%d", (int)getpid());
	return cmocka_run_group_tests_name("endpoint", tests, crew_warm_up, NULL);
}
