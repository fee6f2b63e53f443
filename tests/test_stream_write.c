/*
 * Writing to streams: whole, in the order of the calls, as fast as the other side reads.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"

#define NEVER TMGR_NEVER

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

			two_begin(&two, (enum link_kind)kind, NULL);
			assert_true(crew_begin_waiting(&crew, h, write_much, &two));
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

			two_begin(&two, (enum link_kind)kind, NULL);
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

			two_begin(&two, (enum link_kind)kind, NULL);
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
	assert_true(on_all_links(LINK_PIPE, NULL, write_vectors));
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

			two_begin(&two, (enum link_kind)kind, NULL);
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

			two_begin(&two, (enum link_kind)kind, NULL);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_large_write_goes_as_fast_as_the_other_side_reads),
		leak_test(writers_take_turns_in_the_order_of_their_calls),
		leak_test(lines_of_several_writers_do_not_mix),
		leak_test(vectors_are_written_as_one),
		leak_test(large_vectors_are_gone_on_with_where_they_stopped),
		leak_test(a_reader_and_a_writer_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests_name("stream_write", tests, crew_warm_up, NULL);
}
