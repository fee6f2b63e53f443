/*
 * Writes that end early, that are put off, and that nobody reads.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"

#define NEVER TMGR_NEVER

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

/* ---- Cut short ------------------------------------------------------------------------------ */

static int write_late(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	size_t written;
	int r;

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
	/* Once it is full nothing of the next is written, and so nothing is cut. */
	while ((r = tmgr_stream_write(context, two->streams[1], much + written, 1, TMGR_NOW)) == 0)
		written++;
	IS(r, -ETIMEDOUT);
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
	assert_true(on_all_links(LINK_PIPE, NULL, write_late));
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

			two_begin(&two, (enum link_kind)kind, NULL);
			assert_true(crew_begin_waiting(&crew, h, write_until_cancelled, &two));
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

	assert_true(on_all_links(LINK_PIPE, &options, put_and_flush));
	options.release_idle = true;
	assert_true(on_all_links(LINK_PIPE, &options, put_and_flush));
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

			two_begin(&two, (enum link_kind)kind, &options);
			assert_int_equal(crew_run(h, flush_late, &two, NULL, NULL), 0);
		}
	assert_int_equal(wrong, 0);
}

static int close_late(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	/* More than is taken by any moment: of the first there is a rest. */
	IS(tmgr_stream_put(context, two->streams[1], much, MUCH, NEVER), 0);
	IS(tmgr_stream_put(context, two->streams[1], "x", 1, tmgr_after(5 * TMGR_MILLISECOND)),
		-ETIMEDOUT);
	tmgr_stream_resume(two->streams[1]);
	IS(tmgr_stream_unwritten(two->streams[1]) > 0, true);
	IS(tmgr_stream_close(context, two->streams[1], tmgr_after(5 * TMGR_MILLISECOND)),
		-ETIMEDOUT);
	tmgr_stream_destroy(two->streams[0]);
	return 0;
}

static void a_close_that_is_late_closes_all_the_same(void **state)
{
	struct tmgr_stream_options options = { .write_buffer = MUCH };

	assert_true(on_all_links(LINK_PIPE, &options, close_late));
}

static int write_first(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	two->seen[0] = tmgr_stream_write(context, two->streams[1], much, MUCH, NEVER);
	return 0;
}

static int write_second(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	two->seen[1] = tmgr_stream_write(context, two->streams[1], "x", 1, NEVER);
	return 0;
}

static int close_behind_writers(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	two->seen[2] = tmgr_stream_close(
		context, two->streams[1], tmgr_after(5 * TMGR_MILLISECOND));
	return 0;
}

static int close_behind_writers_in_a_scope(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	tmgr_uninterrupted_begin(context, tmgr_after(5 * TMGR_MILLISECOND));
	two->seen[2] = tmgr_stream_close(context, two->streams[1], NEVER);
	tmgr_uninterrupted_end(context);
	return 0;
}

/* As who has no context at hand does it. */
static int close_without_waiting(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	two->seen[2] = tmgr_stream_close(NULL, two->streams[1], TMGR_NOW);
	return 0;
}

static void a_close_that_is_late_ends_the_writers_of_a_socket(void **state)
{
	static crew_function *const ways[] = { close_behind_writers,
		close_behind_writers_in_a_scope, close_without_waiting };

	for (int way = 0; way < 3; way++)
		for (int h = 0; h < CREW_HOSTS; h++)
			for (int kind = LINK_UNIX; kind < LINKS; kind++) {
				struct crew crew;
				struct two two;

				two_begin(&two, (enum link_kind)kind, NULL);
				assert_true(crew_begin_waiting(&crew, h, write_first, &two));
				crew_add(&crew, write_second, &two);
				assert_true(crew_waits(&crew, 1, "future"));
				crew_add(&crew, ways[way], &two);
				assert_int_equal(crew_end(&crew), 0);
				assert_int_equal(two.seen[0], -EPIPE);
				assert_int_equal(two.seen[1], -EPIPE);
				assert_int_equal(two.seen[2], -ETIMEDOUT);
				tmgr_stream_destroy(two.streams[0]);
			}
}

/* ---- Nobody reads --------------------------------------------------------------------------- */

static int write_to_nobody(void *self, struct tmgr_context *context)
{
	struct iovec vector = { much, 1 };
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
	IS(tmgr_stream_writev(context, two->streams[1], &vector, 1, NEVER), -EPIPE);
	IS(tmgr_stream_put(context, two->streams[1], much, 1, NEVER), 0);
	IS(tmgr_stream_flush(context, two->streams[1], NEVER), -EPIPE);
	IS(tmgr_stream_close(context, two->streams[1], NEVER), -EPIPE);
	return 0;
}

static void nobody_reading_is_an_error_and_no_signal(void **state)
{
	struct sigaction by_default = { .sa_handler = SIG_DFL }, old;
	struct two two;
	sigset_t pending;

	sigaction(SIGPIPE, &by_default, &old);
	assert_true(on_all_links(LINK_PIPE, NULL, write_to_nobody));
	/* Nor where nobody has blocked it, and it does not come later. */
	for (int kind = 0; kind < LINKS; kind++) {
		two_begin(&two, (enum link_kind)kind, NULL);
		write_to_nobody(&two, NULL);
	}
	assert_int_equal(wrong, 0);
	sigpending(&pending);
	assert_int_equal(sigismember(&pending, SIGPIPE), 0);
	sigaction(SIGPIPE, &old, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_write_that_is_late_says_how_much_was_written),
		leak_test(a_write_that_is_cancelled_says_how_much_was_written),
		leak_test(what_is_put_is_written_when_it_is_flushed_or_too_much),
		leak_test(a_flush_that_is_late_keeps_the_rest),
		leak_test(a_close_that_is_late_closes_all_the_same),
		leak_test(a_close_that_is_late_ends_the_writers_of_a_socket),
		leak_test(nobody_reading_is_an_error_and_no_signal),
	};

	return cmocka_run_group_tests_name("stream_cut", tests, crew_warm_up, NULL);
}
