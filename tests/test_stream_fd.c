/*
 * The beginning and the end of streams: descriptors, their flags, and memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/expect.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"

#define NEVER TMGR_NEVER

static void a_descriptor_gets_its_flags_back(void **state)
{
	struct tmgr_stream *stream;
	int fds[2], shared;

	assert_int_equal(pipe(fds), 0);
	shared = dup(fds[0]);
	assert_int_equal(tmgr_stream_from_fd(fds[0], NULL, &stream), 0);
	assert_int_equal(tmgr_stream_fd(stream), fds[0]);
	assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(tmgr_stream_detach(stream), fds[0]);
	assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(fds[0], F_GETFD), 0);
	assert_int_equal(tmgr_stream_from_fd(fds[0], NULL, &stream), 0);
	assert_true(fcntl(shared, F_GETFL) & O_NONBLOCK);
	tmgr_stream_destroy(stream);
	assert_false(fcntl(shared, F_GETFL) & O_NONBLOCK);
	/* One that was so stays so. */
	assert_int_equal(fcntl(shared, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(shared, F_SETFD, FD_CLOEXEC), 0);
	assert_int_equal(tmgr_stream_from_fd(shared, NULL, &stream), 0);
	assert_int_equal(tmgr_stream_detach(stream), shared);
	assert_true(fcntl(shared, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(shared, F_GETFD), FD_CLOEXEC);
	close(shared);
	close(fds[1]);
	assert_int_equal(tmgr_stream_from_fd(fds[1], NULL, &stream), -EBADF);
	assert_int_equal(tmgr_stream_from_fd(-1, NULL, &stream), -EBADF);
}

static void no_descriptor_is_inherited(void **state)
{
	struct tmgr_stream *streams[4];
	int inherited = leak_inherited();

	assert_int_equal(tmgr_stream_pair(NULL, streams), 0);
	assert_int_equal(tmgr_stream_pipe(NULL, &streams[2], &streams[3]), 0);
	assert_int_equal(leak_inherited(), inherited);
	for (int i = 0; i < 4; i++)
		tmgr_stream_destroy(streams[i]);
}

static int read_file(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	const char *line;
	ssize_t n;

	while ((n = tmgr_stream_read_line(context, two->streams[0], 100, NEVER, &line)) > 0)
		two->length += (size_t)n;
	IS(n, 0);
	return 0;
}

static void a_regular_file_is_a_stream_too(void **state)
{
	char path[] = "/tmp/stream.XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	assert_int_equal(write(fd, "one\ntwo\nthree", 13), 13);
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct two two = { .length = 0 };

		lseek(fd, 0, SEEK_SET);
		assert_int_equal(tmgr_stream_from_fd(fd, NULL, &two.streams[0]), 0);
		assert_int_equal(crew_run(h, read_file, &two, NULL, NULL), 0);
		assert_int_equal(two.length, 13);
		assert_int_equal(tmgr_stream_detach(two.streams[0]), fd);
	}
	assert_int_equal(wrong, 0);
	close(fd);
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
	struct tmgr_stream *streams[2];
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	fault_fail_allocation(1);
	assert_int_equal(tmgr_stream_from_fd(fds[0], NULL, &streams[0]), -ENOMEM);
	assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	close(fds[0]);
	close(fds[1]);
	for (int k = 1; k <= 2; k++) {
		fault_fail_allocation(k);
		assert_int_equal(tmgr_stream_pair(NULL, streams), -ENOMEM);
		fault_fail_allocation(k);
		assert_int_equal(tmgr_stream_pipe(NULL, &streams[0], &streams[1]), -ENOMEM);
	}
	fault_off();
	assert_int_equal(tmgr_stream_pair(NULL, streams), 0);
	fault_fail_allocation(1);
	assert_int_equal(tmgr_stream_put(NULL, streams[0], "x", 1, NEVER), -ENOMEM);
	assert_int_equal(tmgr_stream_unwritten(streams[0]), 0);
	fault_off();
	tmgr_stream_destroy(streams[0]);
	tmgr_stream_destroy(streams[1]);
}

static void too_many_descriptors_come_back_as_that_error(void **state)
{
	struct tmgr_stream *streams[2];

	if (!descriptors_used_up(true))
		skip();
	assert_int_equal(tmgr_stream_pair(NULL, streams), -EMFILE);
	assert_int_equal(tmgr_stream_pipe(NULL, &streams[0], &streams[1]), -EMFILE);
	descriptors_used_up(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_descriptor_gets_its_flags_back),
		leak_test(no_descriptor_is_inherited),
		leak_test(a_regular_file_is_a_stream_too),
		leak_test(a_failing_allocation_leaves_nothing_behind),
		leak_test(too_many_descriptors_come_back_as_that_error),
	};

	return cmocka_run_group_tests_name("stream_fd", tests, crew_warm_up, NULL);
}
