/*
 * Listening and accepting: places that can be had, what is waited for, what is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/crew.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"

#define NEVER TMGR_NEVER

static char path[64], name[64];

struct visit {
	struct tmgr_listener *listener;
	struct tmgr_stream *accepted;
	int64_t deadline;
	int r;
};

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
		assert_true(crew_begin_waiting(&crew, h, accept_one, &visitor));
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

static int delays(const struct tmgr_stream *stream)
{
	socklen_t size = sizeof(int);
	int at_once = 77;

	getsockopt(tmgr_stream_fd(stream), IPPROTO_TCP, TCP_NODELAY, &at_once, &size);
	return !at_once;
}

static void what_is_written_goes_at_once_unless_it_is_to_be_coalesced(void **state)
{
	struct tmgr_endpoint place = { .host = "127.0.0.1" };

	for (int coalesce = 0; coalesce < 2; coalesce++) {
		struct tmgr_listen_options listening = { .stream.coalesce = coalesce };
		struct tmgr_connect_options connecting = { .stream.coalesce = coalesce };
		struct tmgr_stream *here, *there;
		struct tmgr_listener *listener;

		place.port = 0;
		assert_int_equal(tmgr_listen(&place, &listening, &listener), 0);
		place.port = (unsigned)tmgr_listener_port(listener);
		assert_int_equal(tmgr_connect(NULL, &place, &connecting, NEVER, &there), 0);
		assert_int_equal(tmgr_accept(NULL, listener, NEVER, &here), 0);
		assert_int_equal(delays(there), coalesce);
		assert_int_equal(delays(here), coalesce);
		tmgr_stream_destroy(here);
		tmgr_stream_destroy(there);
		tmgr_listener_destroy(listener);
	}
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
		leak_test(a_place_that_is_taken_is_refused_and_one_left_over_is_not),
		leak_test(bad_places_are_refused),
		leak_test(a_socket_that_listens_already_is_taken),
		leak_test(an_accept_ends_at_its_deadline_or_cancel),
		leak_test(descriptors_that_are_used_up_are_waited_for_when_accepting),
		leak_test(memory_that_is_used_up_is_waited_for_when_accepting),
		leak_test(what_is_written_goes_at_once_unless_it_is_to_be_coalesced),
		leak_test(a_failing_allocation_leaves_nothing_behind),
		leak_test(who_is_at_the_other_end_can_be_asked),
	};

	snprintf(path, sizeof(path), "/tmp/listen.%d", (int)getpid());
	snprintf(name, sizeof(name), "@listen.%d", (int)getpid());
	return cmocka_run_group_tests_name("listening", tests, crew_warm_up, NULL);
}
