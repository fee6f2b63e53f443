/*
 * Reading from streams: byte for byte on pipes and sockets, on threads and on loops.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"

#define NEVER TMGR_NEVER
#define HUGE_SIZE 300000

/* ---- Byte for byte -------------------------------------------------------------------------- */

struct input {
	const char *name;
	const char *data;
	size_t size;
};

static char huge_line[HUGE_SIZE], lines[5000], zeros[3000];

static struct input inputs[] = {
	{ "nothing", "", 0 },
	{ "one newline", "\n", 1 },
	{ "no newline", "abc", 3 },
	{ "none at the end", "one\ntwo\nthree", 13 },
	{ "empty lines", "\n\na\n\n\nb\n", 8 },
	{ "text of several bytes", "gr\xc3\xbc\xc3\x9f\n\xe2\x82\xac\n\xf0\x9f\x8c\x8d", 14 },
	{ "lines", lines, sizeof(lines) },
	{ "zeros", zeros, sizeof(zeros) },
	{ "one huge line", huge_line, sizeof(huge_line) },
};

static void make_inputs(void)
{
	memset(huge_line, 'x', sizeof(huge_line));
	memset(zeros, 0, sizeof(zeros));
	for (size_t i = 0; i < sizeof(lines); i++)
		lines[i] = i * i % 41 == 0 ? '\n' : (char)('a' + i % 26);
}

struct play {
	struct tmgr_stream *streams[2];
	const struct input *input;
	size_t chunk;
	char *got; /* one more than the input */
	size_t length;
	size_t pieces;
};

static int write_in_chunks(void *self, struct tmgr_context *context)
{
	struct play *play = self;
	size_t at = 0;

	while (at < play->input->size) {
		size_t n = play->input->size - at;

		if (n > play->chunk)
			n = play->chunk;
		IS(tmgr_stream_write(context, play->streams[1], play->input->data + at, n, NEVER),
			0);
		at += n;
		/* So that the reader sees each chunk alone, where it runs on the same loop. */
		if (play->chunk < 10)
			tmgr_yield(context);
	}
	return tmgr_stream_close(context, play->streams[1], NEVER);
}

static void keep(struct play *play, const char *data, ssize_t n)
{
	if (play->length + (size_t)n <= play->input->size)
		memcpy(play->got + play->length, data, (size_t)n);
	play->length += (size_t)n;
	play->pieces++;
}

static int end_of(struct play *play, ssize_t n)
{
	tmgr_stream_destroy(play->streams[0]);
	return (int)n;
}

static int read_lines(void *self, struct tmgr_context *context)
{
	struct play *play = self;
	const char *line;
	ssize_t n;

	while ((n = tmgr_stream_read_line(context, play->streams[0], HUGE_SIZE, NEVER, &line)) >
		0) {
		/* A line ends with its newline and has no other; the last may have none. */
		const char *newline = memchr(line, '\n', (size_t)n);

		keep(play, line, n);
		IS(newline ? newline == line + n - 1 : play->length == play->input->size, true);
	}
	IS(tmgr_stream_read_line(context, play->streams[0], HUGE_SIZE, NEVER, &line), 0);
	return end_of(play, n);
}

static int read_some(void *self, struct tmgr_context *context)
{
	static const size_t sizes[] = { 1, 3, 100, 1024, 2000, 5 };
	struct play *play = self;
	char buffer[2000];
	ssize_t n;

	for (size_t i = 0;; i++) {
		size_t size = sizes[i % 6];

		n = tmgr_stream_read(context, play->streams[0], buffer, size, NEVER);
		if (n <= 0)
			break;
		IS(n <= (ssize_t)size, true);
		keep(play, buffer, n);
	}
	return end_of(play, n);
}

static int read_exactly(void *self, struct tmgr_context *context)
{
	struct play *play = self;
	char buffer[700];
	ssize_t n;

	for (size_t size = 1;; size = size * 3 % 700 + 1) {
		n = tmgr_stream_read_exactly(context, play->streams[0], buffer, size, NEVER);
		if (n == -ENODATA)
			n = tmgr_stream_read(context, play->streams[0], buffer, size, NEVER);
		else if (n > 0)
			IS(n, size);
		if (n <= 0)
			break;
		keep(play, buffer, n);
	}
	return end_of(play, n);
}

static int read_all(void *self, struct tmgr_context *context)
{
	struct play *play = self;
	const char *data;
	ssize_t n = tmgr_stream_read_all(
		context, play->streams[0], play->input->size + 1, NEVER, &data);

	if (n > 0)
		keep(play, data, n);
	IS(tmgr_stream_read_all(context, play->streams[0], 1, NEVER, &data), 0);
	return end_of(play, n < 0 ? n : 0);
}

static int peek_and_consume(void *self, struct tmgr_context *context)
{
	struct play *play = self;
	const char *data;
	ssize_t n;

	while ((n = tmgr_stream_peek(context, play->streams[0], 10, NEVER, &data)) > 0) {
		ssize_t used = n > 7 ? 7 : n;

		keep(play, data, used);
		IS(tmgr_stream_consume(play->streams[0], (size_t)n + 1), -EINVAL);
		IS(tmgr_stream_consume(play->streams[0], (size_t)used), 0);
	}
	return end_of(play, n);
}

static void play_all(crew_function *reader)
{
	static const size_t chunks[] = { 1, 7, 4096, 1000000 };

	make_inputs();
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = 0; kind < LINKS; kind++)
			for (size_t i = 0; i < 9; i++)
				for (size_t c = inputs[i].size > 5000 ? 2 : 0; c < 4; c++) {
					struct play play = { .input = &inputs[i],
						.chunk = chunks[c] };
					int r;

					play.got = calloc(1, inputs[i].size + 1);
					link_make((enum link_kind)kind, NULL, play.streams);
					r = crew_run(h, reader, &play, write_in_chunks, &play);
					if (r != 0 || play.length != inputs[i].size ||
						memcmp(play.got, inputs[i].data, play.length) != 0)
						fail_msg("host %d, link %d, %s by %zu: %d, %zu "
							 "bytes",
							h, kind, inputs[i].name, chunks[c], r,
							play.length);
					free(play.got);
				}
	assert_int_equal(wrong, 0);
}

static void lines_come_as_they_were_written(void **state)
{
	play_all(read_lines);
}

static void pieces_come_as_they_were_written(void **state)
{
	play_all(read_some);
}

static void exact_sizes_come_as_they_were_written(void **state)
{
	play_all(read_exactly);
}

static void all_comes_at_once_as_it_was_written(void **state)
{
	play_all(read_all);
}

static void what_is_peeked_at_and_consumed_is_what_was_written(void **state)
{
	play_all(peek_and_consume);
}

/* ---- Delimiters and limits ------------------------------------------------------------------ */

static int delimiters(void *self, struct tmgr_context *context)
{
	struct tmgr_delimiter crlf = { "\r\n", 2, 8 };
	struct two *two = self;
	const char *data;

	two_write(context, two, "ab\r\n\r\ncdefgh\r\ntoo long\r\n");
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, NEVER, &data), 4);
	IS(memcmp(data, "ab\r\n", 4), 0);
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, NEVER, &data), 2);
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, NEVER, &data), 8);
	IS(memcmp(data, "cdefgh\r\n", 8), 0);
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, NEVER, &data), -EMSGSIZE);
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, NEVER, &data), -EMSGSIZE);
	crlf.max = 10;
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, NEVER, &data), 10);
	IS(memcmp(data, "too long\r\n", 10), 0);
	/* One that comes in two parts. */
	two_write(context, two, "x\r");
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, TMGR_NOW, &data), -ETIMEDOUT);
	two_write(context, two, "\n");
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, NEVER, &data), 3);
	two_end(two);
	return 0;
}

static void a_piece_ends_with_its_delimiter_and_one_too_long_stays_readable(void **state)
{
	assert_true(on_all_links(LINK_PIPE, NULL, delimiters));
}

static int limits(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char buffer[16];
	const char *data;

	/* Exactly as long as allowed, the limit counts the newline; only more is too much. */
	two_write(context, two, "123\n12345");
	IS(tmgr_stream_read_line(context, two->streams[0], 4, NEVER, &data), 4);
	IS(tmgr_stream_read_line(context, two->streams[0], 4, NEVER, &data), -EMSGSIZE);
	IS(tmgr_stream_read_all(context, two->streams[0], 4, NEVER, &data), -EMSGSIZE);
	IS(tmgr_stream_read_line(context, two->streams[0], 5, TMGR_NOW, &data), -ETIMEDOUT);
	tmgr_stream_destroy(two->streams[1]);
	IS(tmgr_stream_read_exactly(context, two->streams[0], buffer, 6, NEVER), -ENODATA);
	IS(tmgr_stream_peek(context, two->streams[0], 6, NEVER, &data), 5);
	IS(tmgr_stream_peek(context, two->streams[0], 0, NEVER, &data), 5);
	IS(tmgr_stream_detach(two->streams[0]), -EBUSY);
	IS(tmgr_stream_read_line(context, two->streams[0], 5, NEVER, &data), 5);
	IS(memcmp(data, "12345", 5), 0);
	IS(tmgr_stream_peek(context, two->streams[0], 0, NEVER, &data), 0);
	IS(tmgr_stream_peek(context, two->streams[0], 1, NEVER, &data), 0);
	IS(tmgr_stream_read_exactly(context, two->streams[0], buffer, 6, NEVER), 0);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), 0);
	tmgr_stream_destroy(two->streams[0]);
	return 0;
}

static void what_is_too_much_or_too_little_stays_readable(void **state)
{
	assert_true(on_all_links(LINK_PIPE, NULL, limits));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(lines_come_as_they_were_written),
		leak_test(pieces_come_as_they_were_written),
		leak_test(exact_sizes_come_as_they_were_written),
		leak_test(all_comes_at_once_as_it_was_written),
		leak_test(what_is_peeked_at_and_consumed_is_what_was_written),
		leak_test(a_piece_ends_with_its_delimiter_and_one_too_long_stays_readable),
		leak_test(what_is_too_much_or_too_little_stays_readable),
	};

	return cmocka_run_group_tests_name("stream_read", tests, crew_warm_up, NULL);
}
