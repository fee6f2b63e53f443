/*
 * Writing to streams: whole, in the order of the calls, as fast as the other side reads; and what
 * becomes of a write that ends early. Their beginning and end, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/crew.h"
#include "tests/support/expect.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"

#define NEVER TMGR_NEVER
/* More than any socket takes at once. */
#define MUCH 8000000

static char much[MUCH], got[MUCH + 1000];

struct two {
	struct tmgr_stream *streams[2];
	ssize_t seen[4];
	size_t length;
	bool is_pipe;
};

static void make(struct two *two, int kind, const struct tmgr_stream_options *options)
{
	*two = (struct two){ .seen = { 77, 77, 77, 77 }, .is_pipe = kind == LINK_PIPE };
	for (size_t i = 0; i < MUCH; i++)
		much[i] = (char)(i * 7 + i / 251);
	link_make((enum link_kind)kind, options, two->streams);
}

static void two_end(struct two *two)
{
	tmgr_stream_destroy(two->streams[0]);
	tmgr_stream_destroy(two->streams[1]);
}

static void on_all(int from, const struct tmgr_stream_options *options, crew_function *function)
{
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = from; kind < LINKS; kind++) {
			struct two two;

			make(&two, kind, options);
			assert_int_equal(crew_run(h, function, &two, NULL, NULL), 0);
		}
	assert_int_equal(wrong, 0);
}

/* Read all that is written, up to its end, into `got`. */
static int read_to_the_end(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	ssize_t n;

	do {
		size_t room = sizeof(got) - two->length;

		n = tmgr_stream_read(context, two->streams[0], got + two->length,
			room < 50000 ? room : 50000, NEVER);
		if (n > 0)
			two->length += (size_t)n;
	} while (n > 0);
	return (int)n;
}

/* What is there now, without waiting for more. */
static size_t read_what_is_there(struct tmgr_context *context, struct two *two)
{
	ssize_t n;

	while ((n = tmgr_stream_read(context, two->streams[0], got + two->length, 50000,
			tmgr_after(100 * TMGR_MILLISECOND))) > 0)
		two->length += (size_t)n;
	IS(n, -ETIMEDOUT);
	return two->length;
}

/* ---- Whole and in order --------------------------------------------------------------------- */

static int write_much(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	two->seen[0] = tmgr_stream_write(context, two->streams[1], much, MUCH, NEVER);
	tmgr_stream_close(context, two->streams[1], NEVER);
	return 0;
}

static void a_large_write_goes_as_fast_as_the_other_side_reads(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = 0; kind < LINKS; kind++) {
			struct crew crew;
			struct two two;

			make(&two, kind, NULL);
			crew_begin(&crew, h);
			crew_add(&crew, write_much, &two);
			assert_true(crew_waits(&crew, 0, "descriptor"));
			crew_add(&crew, read_to_the_end, &two);
			assert_int_equal(crew_end(&crew), 0);
			assert_int_equal(two.seen[0], 0);
			assert_int_equal(two.length, MUCH);
			assert_memory_equal(got, much, MUCH);
			tmgr_stream_destroy(two.streams[0]);
		}
}

#define WRITERS 6
#define MESSAGE 300000

struct writer {
	struct two *two;
	char name;
	int r;
};

static int write_message(void *self, struct tmgr_context *context)
{
	struct writer *writer = self;
	char *message = malloc(MESSAGE);

	memset(message, writer->name, MESSAGE);
	writer->r = tmgr_stream_write(context, writer->two->streams[1], message, MESSAGE, NEVER);
	free(message);
	return 0;
}

static int shut_down(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	two->seen[0] = tmgr_stream_shutdown(context, two->streams[1], TMGR_STREAM_OUTPUT, NEVER);
	return 0;
}

static void writers_take_turns_in_the_order_of_their_calls(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = LINK_UNIX; kind < LINKS; kind++) {
			struct writer writers[WRITERS];
			struct crew crew;
			struct two two;

			make(&two, kind, NULL);
			crew_begin(&crew, h);
			for (int i = 0; i < WRITERS; i++) {
				writers[i] = (struct writer){ &two, (char)('a' + i), 77 };
				/* The first fills the socket, for there nobody reads yet. */
				if (i == 0)
					setsockopt(tmgr_stream_fd(two.streams[1]), SOL_SOCKET,
						SO_SNDBUF, &(int){ 10000 }, sizeof(int));
				crew_add(&crew, write_message, &writers[i]);
				assert_true(crew_waits(
					&crew, (size_t)i, i == 0 ? "descriptor" : "future"));
			}
			crew_add(&crew, shut_down, &two);
			assert_true(crew_waits(&crew, WRITERS, "future"));
			/* One in the middle goes; nobody else is touched. */
			crew_cancel(&crew, 2);
			crew_join(&crew, 2);
			crew_add(&crew, read_to_the_end, &two);
			assert_int_equal(crew_end(&crew), 0);
			assert_int_equal(two.seen[0], 0);
			assert_int_equal(two.length, (WRITERS - 1) * MESSAGE);
			for (int i = 0, at = 0; i < WRITERS; i++) {
				assert_int_equal(writers[i].r, i == 2 ? -ECANCELED : 0);
				for (int j = 0; i != 2 && j < MESSAGE; j++)
					if (got[at++] != 'a' + i)
						fail_msg("%c at %d", got[at - 1], at - 1);
			}
			two_end(&two);
		}
}

struct pump {
	struct two *two;
	char name;
};

/* Lines of all lengths, by several at a time. */
static int write_lines(void *self, struct tmgr_context *context)
{
	struct pump *pump = self;
	char line[3000];

	memset(line, pump->name, sizeof(line));
	for (size_t i = 0; i < 300; i++) {
		size_t size = 1 + i * 37 % 2900;

		line[size] = '\n';
		IS(tmgr_stream_write(context, pump->two->streams[1], line, size + 1, NEVER), 0);
		line[size] = pump->name;
	}
	return 0;
}

static int read_whole_lines(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	size_t next[4] = { 0, 0, 0, 0 };
	const char *line;

	for (int i = 0; i < 4 * 300; i++) {
		ssize_t n = tmgr_stream_read_line(context, two->streams[0], 3000, NEVER, &line);
		size_t who = n > 0 ? (size_t)(line[0] - 'a') : 0;

		/* Each writer's lines are whole and in its order. */
		IS(n, 2 + next[who]++ * 37 % 2900);
		for (ssize_t j = 0; j < n - 1; j++)
			if (line[j] != line[0])
				IS(line[j], line[0]);
	}
	return 0;
}

static void lines_of_several_writers_do_not_mix(void **state)
{
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = 0; kind < LINKS; kind++) {
			struct pump pumps[4];
			struct crew crew;
			struct two two;

			make(&two, kind, NULL);
			crew_begin(&crew, h);
			crew_add(&crew, read_whole_lines, &two);
			for (int i = 0; i < 4; i++) {
				pumps[i] = (struct pump){ &two, (char)('a' + i) };
				crew_add(&crew, write_lines, &pumps[i]);
			}
			assert_int_equal(crew_end(&crew), 0);
			two_end(&two);
		}
	assert_int_equal(wrong, 0);
}

static int write_vectors(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	struct iovec vectors[50], before[50];
	size_t size = 0;

	for (size_t i = 0; i < 50; i++) {
		size_t length = i % 3 == 0 ? 0 : i * 10;

		vectors[i] = (struct iovec){ much + size, length };
		size += length;
	}
	memcpy(before, vectors, sizeof(vectors));
	IS(tmgr_stream_put(context, two->streams[1], "first", 5, NEVER), 0);
	IS(tmgr_stream_writev(context, two->streams[1], vectors, 50, NEVER), 0);
	IS(memcmp(before, vectors, sizeof(vectors)), 0);
	IS(tmgr_stream_writev(context, two->streams[1], vectors, 0, NEVER), 0);
	IS(tmgr_stream_writev(context, two->streams[1], NULL, 0, NEVER), 0);
	IS(tmgr_stream_writev(context, two->streams[1], vectors, 1, NEVER), 0);
	IS(tmgr_stream_write(context, two->streams[1], "", 0, NEVER), 0);
	IS(tmgr_stream_read_exactly(context, two->streams[0], got, 5 + size, NEVER), 5 + size);
	IS(memcmp(got, "first", 5), 0);
	IS(memcmp(got + 5, much, size), 0);
	vectors[0].iov_len = SSIZE_MAX;
	IS(tmgr_stream_writev(context, two->streams[1], vectors, 50, NEVER), -EINVAL);
	two_end(two);
	return 0;
}

static void vectors_are_written_as_one(void **state)
{
	on_all(0, NULL, write_vectors);
}

static int write_much_in_vectors(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	struct iovec vectors[40];

	for (size_t i = 0; i < 40; i++)
		vectors[i] = (struct iovec){ much + i * (MUCH / 40), MUCH / 40 };
	two->seen[0] = tmgr_stream_writev(context, two->streams[1], vectors, 40, NEVER);
	tmgr_stream_destroy(two->streams[1]);
	return 0;
}

static void large_vectors_are_gone_on_with_where_they_stopped(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = 0; kind < LINKS; kind++) {
			struct two two;

			make(&two, kind, NULL);
			crew_run(h, write_much_in_vectors, &two, read_to_the_end, &two);
			assert_int_equal(two.seen[0], 0);
			assert_int_equal(two.length, MUCH);
			assert_memory_equal(got, much, MUCH);
			tmgr_stream_destroy(two.streams[0]);
		}
}

/* ---- A reader and a writer ------------------------------------------------------------------ */

static int echo(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	static char buffer[100000];
	ssize_t n;

	while ((n = tmgr_stream_read(context, two->streams[0], buffer, sizeof(buffer), NEVER)) > 0)
		IS(tmgr_stream_write(context, two->streams[0], buffer, (size_t)n, NEVER), 0);
	return tmgr_stream_shutdown(context, two->streams[0], TMGR_STREAM_OUTPUT, NEVER);
}

static int send_much(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	two->seen[0] = tmgr_stream_write(context, two->streams[1], much, MUCH, NEVER);
	return tmgr_stream_shutdown(context, two->streams[1], TMGR_STREAM_OUTPUT, NEVER);
}

static int receive_much(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	ssize_t n;

	while ((n = tmgr_stream_read(context, two->streams[1], got + two->length, 50000, NEVER)) >
		0)
		two->length += (size_t)n;
	return (int)n;
}

static void a_reader_and_a_writer_do_not_disturb_each_other(void **state)
{
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = LINK_UNIX; kind < LINKS; kind++) {
			struct crew crew;
			struct two two;

			make(&two, kind, NULL);
			crew_begin(&crew, h);
			crew_add(&crew, echo, &two);
			crew_add(&crew, receive_much, &two);
			crew_add(&crew, send_much, &two);
			assert_int_equal(crew_end(&crew), 0);
			for (int i = 0; i < 3; i++)
				assert_int_equal(crew.results[i], 0);
			assert_int_equal(two.seen[0], 0);
			assert_int_equal(two.length, MUCH);
			assert_memory_equal(got, much, MUCH);
			two_end(&two);
		}
	assert_int_equal(wrong, 0);
}

/* ---- Cut short ------------------------------------------------------------------------------ */

static int write_late(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	size_t written;

	IS(tmgr_stream_resume(two->streams[1]), 0);
	IS(tmgr_stream_write(
		   context, two->streams[1], much, MUCH, tmgr_after(5 * TMGR_MILLISECOND)),
		-ETIMEDOUT);
	IS(tmgr_stream_write(context, two->streams[1], "x", 1, NEVER), -ECONNABORTED);
	IS(tmgr_stream_put(context, two->streams[1], "x", 1, NEVER), -ECONNABORTED);
	IS(tmgr_stream_flush(context, two->streams[1], NEVER), -ECONNABORTED);
	IS(tmgr_stream_writev(context, two->streams[1], NULL, 0, NEVER), -ECONNABORTED);
	if (!two->is_pipe)
		IS(tmgr_stream_shutdown(context, two->streams[1], TMGR_STREAM_OUTPUT, NEVER),
			-ECONNABORTED);
	written = tmgr_stream_resume(two->streams[1]);
	IS(written > 0 && written < MUCH, true);
	IS(tmgr_stream_resume(two->streams[1]), 0);
	/* Full: nothing of the next is written, and so nothing is cut. */
	IS(tmgr_stream_write(context, two->streams[1], "x", 1, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_stream_resume(two->streams[1]), 0);
	IS(read_what_is_there(context, two), written);
	IS(memcmp(got, much, written), 0);
	/* The rest can be sent. */
	IS(tmgr_stream_write(context, two->streams[1], much + written, 1000, NEVER), 0);
	IS(read_what_is_there(context, two), written + 1000);
	IS(memcmp(got, much, written + 1000), 0);
	two_end(two);
	return 0;
}

static void a_write_that_is_late_says_how_much_was_written(void **state)
{
	on_all(0, NULL, write_late);
}

static int write_until_cancelled(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	two->seen[0] = tmgr_stream_write(context, two->streams[1], much, MUCH, NEVER);
	two->seen[1] = tmgr_stream_write(context, two->streams[1], "x", 1, NEVER);
	two->seen[2] = (ssize_t)tmgr_stream_resume(two->streams[1]);
	two->seen[3] = tmgr_stream_write(context, two->streams[1], "x", 1, NEVER);
	tmgr_stream_destroy(two->streams[1]);
	return 0;
}

static void a_write_that_is_cancelled_says_how_much_was_written(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = 0; kind < LINKS; kind++) {
			struct crew crew;
			struct two two;

			make(&two, kind, NULL);
			crew_begin(&crew, h);
			crew_add(&crew, write_until_cancelled, &two);
			assert_true(crew_waits(&crew, 0, "descriptor"));
			crew_cancel(&crew, 0);
			crew_join(&crew, 0);
			crew_add(&crew, read_to_the_end, &two);
			assert_int_equal(crew_end(&crew), 0);
			assert_int_equal(two.seen[0], -ECANCELED);
			assert_int_equal(two.seen[1], -ECANCELED);
			assert_int_equal(two.seen[3], -ECANCELED);
			assert_true(two.seen[2] > 0 && two.seen[2] < MUCH);
			assert_int_equal(two.length, two.seen[2]);
			assert_memory_equal(got, much, two.length);
			tmgr_stream_destroy(two.streams[0]);
		}
}

/* ---- Later ---------------------------------------------------------------------------------- */

static int put_and_flush(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	struct tmgr_stream *in = two->streams[0], *out = two->streams[1];
	char buffer[200];

	IS(tmgr_stream_put(context, out, "abc", 3, NEVER), 0);
	IS(tmgr_stream_put(context, out, "def", 3, NEVER), 0);
	IS(tmgr_stream_put(context, out, NULL, 0, NEVER), 0);
	IS(tmgr_stream_unwritten(out), 6);
	IS(tmgr_stream_detach(out), -EBUSY);
	IS(tmgr_stream_read(context, in, buffer, 200, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_stream_flush(context, out, NEVER), 0);
	IS(tmgr_stream_unwritten(out), 0);
	IS(tmgr_stream_read(context, in, buffer, 200, NEVER), 6);
	/* A write sends what was put before it, and so does what does not fit any more. */
	IS(tmgr_stream_put(context, out, "123", 3, NEVER), 0);
	IS(tmgr_stream_write(context, out, "456", 3, NEVER), 0);
	IS(tmgr_stream_put(context, out, "789", 3, NEVER), 0);
	IS(tmgr_stream_put(context, out, "abcdefgh", 8, NEVER), 0);
	IS(tmgr_stream_unwritten(out), 0);
	IS(tmgr_stream_read_exactly(context, in, buffer, 17, NEVER), 17);
	IS(memcmp(buffer, "123456789abcdefgh", 17), 0);
	IS(tmgr_stream_put(context, out, "1234567890", 10, NEVER), 0);
	IS(tmgr_stream_unwritten(out), 10);
	IS(tmgr_stream_close(context, out, NEVER), 0);
	IS(tmgr_stream_read(context, in, buffer, 200, NEVER), 10);
	IS(tmgr_stream_read(context, in, buffer, 200, NEVER), 0);
	tmgr_stream_destroy(in);
	return 0;
}

static void what_is_put_is_written_when_it_is_flushed_or_too_much(void **state)
{
	struct tmgr_stream_options options = { .write_buffer = 10 };

	on_all(0, &options, put_and_flush);
	options.release_idle = true;
	on_all(0, &options, put_and_flush);
}

static int flush_late(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	size_t written = 0, kept;

	/* Fill the way, a little at a time, so that nothing is cut. */
	while (tmgr_stream_write(context, two->streams[1], much + written, 1, TMGR_NOW) == 0)
		written++;
	while (tmgr_stream_put(context, two->streams[1], much + written, 1000, TMGR_NOW) == 0)
		written += 1000;
	kept = tmgr_stream_unwritten(two->streams[1]);
	IS(kept > 9000, true);
	IS(tmgr_stream_flush(context, two->streams[1], TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_stream_unwritten(two->streams[1]), kept);
	IS(read_what_is_there(context, two), written - kept);
	IS(tmgr_stream_flush(context, two->streams[1], NEVER), 0);
	IS(read_what_is_there(context, two), written);
	IS(memcmp(got, much, written), 0);
	two_end(two);
	return 0;
}

static void a_flush_that_is_late_keeps_the_rest(void **state)
{
	struct tmgr_stream_options options = { .write_buffer = 10000 };

	/* A TCP connection takes bytes one by one for long. */
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = LINK_PIPE; kind <= LINK_UNIX; kind++) {
			struct two two;

			make(&two, kind, &options);
			assert_int_equal(crew_run(h, flush_late, &two, NULL, NULL), 0);
		}
	assert_int_equal(wrong, 0);
}

static int close_late(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	IS(tmgr_stream_put(context, two->streams[1], "x", 1, NEVER), 0);
	IS(tmgr_stream_put(context, two->streams[1], much, MUCH, tmgr_after(5 * TMGR_MILLISECOND)),
		-ETIMEDOUT);
	tmgr_stream_resume(two->streams[1]);
	IS(tmgr_stream_put(context, two->streams[1], "x", 1, NEVER), 0);
	IS(tmgr_stream_close(context, two->streams[1], tmgr_after(5 * TMGR_MILLISECOND)),
		-ETIMEDOUT);
	tmgr_stream_destroy(two->streams[0]);
	return 0;
}

static void a_close_that_is_late_closes_all_the_same(void **state)
{
	on_all(0, NULL, close_late);
}

/* ---- Nobody reads --------------------------------------------------------------------------- */

static int write_to_nobody(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	int r = 0;

	tmgr_stream_destroy(two->streams[0]);
	/* TCP learns it from the answer to the first. */
	for (int i = 0; i < 1000 && r == 0; i++) {
		r = tmgr_stream_write(context, two->streams[1], much, 1000, NEVER);
		if (r == 0)
			tmgr_sleep(context, TMGR_MILLISECOND);
	}
	IS(r == -EPIPE || r == -ECONNRESET, true);
	IS(tmgr_stream_write(context, two->streams[1], much, 1, NEVER), -EPIPE);
	IS(tmgr_stream_close(context, two->streams[1], NEVER), 0);
	return 0;
}

static void nobody_reading_is_an_error_and_no_signal(void **state)
{
	struct sigaction by_default = { .sa_handler = SIG_DFL }, old;
	struct two two;
	sigset_t pending;

	sigaction(SIGPIPE, &by_default, &old);
	on_all(0, NULL, write_to_nobody);
	/* Nor where nobody has blocked it, and it does not come later. */
	for (int kind = 0; kind < LINKS; kind++) {
		make(&two, kind, NULL);
		write_to_nobody(&two, NULL);
	}
	assert_int_equal(wrong, 0);
	sigpending(&pending);
	assert_int_equal(sigismember(&pending, SIGPIPE), 0);
	sigaction(SIGPIPE, &old, NULL);
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

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
	struct rlimit old, none;

	getrlimit(RLIMIT_NOFILE, &old);
	none = (struct rlimit){ 0, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	assert_int_equal(tmgr_stream_pair(NULL, streams), -EMFILE);
	assert_int_equal(tmgr_stream_pipe(NULL, &streams[0], &streams[1]), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_large_write_goes_as_fast_as_the_other_side_reads),
		leak_test(writers_take_turns_in_the_order_of_their_calls),
		leak_test(lines_of_several_writers_do_not_mix),
		leak_test(vectors_are_written_as_one),
		leak_test(large_vectors_are_gone_on_with_where_they_stopped),
		leak_test(a_reader_and_a_writer_do_not_disturb_each_other),
		leak_test(a_write_that_is_late_says_how_much_was_written),
		leak_test(a_write_that_is_cancelled_says_how_much_was_written),
		leak_test(what_is_put_is_written_when_it_is_flushed_or_too_much),
		leak_test(a_flush_that_is_late_keeps_the_rest),
		leak_test(a_close_that_is_late_closes_all_the_same),
		leak_test(nobody_reading_is_an_error_and_no_signal),
		leak_test(a_descriptor_gets_its_flags_back),
		leak_test(a_regular_file_is_a_stream_too),
		leak_test(a_failing_allocation_leaves_nothing_behind),
		leak_test(too_many_descriptors_come_back_as_that_error),
	};

	return cmocka_run_group_tests_name("stream_write", tests, crew_warm_up, NULL);
}
