/*
 * Reading from streams: byte for byte on pipes and sockets, on threads and on loops, and nothing
 * lost when a read ends early.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/crew.h"
#include "tests/support/expect.h"
#include "tests/support/fault.h"
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

struct two {
	struct tmgr_stream *streams[2];
	ssize_t seen;
};

static void two_end(struct two *two)
{
	tmgr_stream_destroy(two->streams[0]);
	tmgr_stream_destroy(two->streams[1]);
}

/* Run a function that is given two streams, on every host and link but the first `from`. */
static void on_all(int from, crew_function *function)
{
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = from; kind < LINKS; kind++) {
			struct two two;

			link_make((enum link_kind)kind, NULL, two.streams);
			assert_int_equal(crew_run(h, function, &two, NULL, NULL), 0);
		}
	assert_int_equal(wrong, 0);
}

static int put_text(struct tmgr_context *context, struct two *two, const char *text)
{
	return tmgr_stream_write(context, two->streams[1], text, strlen(text), NEVER);
}

static int delimiters(void *self, struct tmgr_context *context)
{
	struct tmgr_delimiter crlf = { "\r\n", 2, 8 };
	struct two *two = self;
	const char *data;

	put_text(context, two, "ab\r\n\r\ncdefgh\r\ntoo long\r\n");
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
	put_text(context, two, "x\r");
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, TMGR_NOW, &data), -ETIMEDOUT);
	put_text(context, two, "\n");
	IS(tmgr_stream_read_until(context, two->streams[0], &crlf, NEVER, &data), 3);
	two_end(two);
	return 0;
}

static void a_piece_ends_with_its_delimiter_and_one_too_long_stays_readable(void **state)
{
	on_all(0, delimiters);
}

static int limits(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char buffer[16];
	const char *data;

	/* Exactly as long as allowed, the limit counts the newline; only more is too much. */
	put_text(context, two, "123\n12345");
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
	on_all(0, limits);
}

/* ---- Ending early --------------------------------------------------------------------------- */

static ssize_t late_read(int way, struct two *two, struct tmgr_context *context, int64_t deadline)
{
	struct tmgr_delimiter end = { "END", 3, 100 };
	char buffer[100];
	const char *data;

	switch (way) {
	case 0:
		return tmgr_stream_read_exactly(context, two->streams[0], buffer, 10, deadline);
	case 1:
		return tmgr_stream_read_line(context, two->streams[0], 100, deadline, &data);
	case 2:
		return tmgr_stream_read_until(context, two->streams[0], &end, deadline, &data);
	case 3:
		return tmgr_stream_read_all(context, two->streams[0], 100, deadline, &data);
	default:
		return tmgr_stream_peek(context, two->streams[0], 10, deadline, &data);
	}
}

static int be_late(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char buffer[100];

	for (int way = 0; way < 5; way++) {
		int64_t soon = tmgr_after(TMGR_MILLISECOND);

		IS(late_read(way, two, context, TMGR_NOW), -ETIMEDOUT);
		put_text(context, two, "ab");
		IS(late_read(way, two, context, TMGR_NOW), -ETIMEDOUT);
		put_text(context, two, "cd");
		IS(late_read(way, two, context, soon), -ETIMEDOUT);
		IS(tmgr_now() >= soon, true);
		IS(tmgr_stream_read(context, two->streams[0], buffer, 100, TMGR_NOW), 4);
		IS(memcmp(buffer, "abcd", 4), 0);
		IS(tmgr_stream_read(context, two->streams[0], buffer, 100, TMGR_NOW), -ETIMEDOUT);
		/* What has come is there even for one that is late already. */
		put_text(context, two, "ef");
		IS(tmgr_stream_read(context, two->streams[0], buffer, 100, TMGR_NOW), 2);
	}
	two_end(two);
	return 0;
}

static void a_read_that_is_late_loses_nothing(void **state)
{
	on_all(0, be_late);
}

struct cut {
	struct two two;
	int way;
	ssize_t r, again;
	char rest[100];
	ssize_t left;
};

static int read_until_cancelled(void *self, struct tmgr_context *context)
{
	struct cut *cut = self;

	cut->r = late_read(cut->way, &cut->two, context, NEVER);
	cut->again = late_read(cut->way, &cut->two, context, NEVER);
	tmgr_uninterrupted_begin(context, NEVER);
	cut->left = tmgr_stream_read(context, cut->two.streams[0], cut->rest, 100, NEVER);
	tmgr_uninterrupted_end(context);
	two_end(&cut->two);
	return 0;
}

static void a_read_that_is_cancelled_loses_nothing(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = 0; kind < LINKS; kind++)
			for (int way = 0; way < 5; way++) {
				struct cut cut = { .way = way };
				struct crew crew;

				link_make((enum link_kind)kind, NULL, cut.two.streams);
				assert_int_equal(
					write(tmgr_stream_fd(cut.two.streams[1]), "abcd", 4), 4);
				crew_begin(&crew, h);
				crew_add(&crew, read_until_cancelled, &cut);
				assert_true(crew_waits(&crew, 0, "descriptor"));
				crew_cancel(&crew, 0);
				assert_int_equal(crew_end(&crew), 0);
				assert_int_equal(cut.r, -ECANCELED);
				assert_int_equal(cut.again, -ECANCELED);
				assert_int_equal(cut.left, 4);
				assert_memory_equal(cut.rest, "abcd", 4);
			}
}

/* ---- Ends and errors ------------------------------------------------------------------------ */

static int read_byte(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char byte;

	two->seen = tmgr_stream_read(context, two->streams[0], &byte, 1, NEVER);
	return 0;
}

static int read_busy(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	const char *data;
	char byte;

	IS(tmgr_stream_read(context, two->streams[0], &byte, 1, NEVER), -EBUSY);
	IS(tmgr_stream_peek(context, two->streams[0], 1, NEVER, &data), -EBUSY);
	IS(tmgr_stream_read_line(context, two->streams[0], 1, NEVER, &data), -EBUSY);
	return 0;
}

static void a_second_reader_is_refused_and_does_not_disturb_the_first(void **state)
{
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct crew crew;
		struct two two = { .seen = 77 };

		link_make(LINK_UNIX, NULL, two.streams);
		crew_begin(&crew, h);
		crew_add(&crew, read_byte, &two);
		assert_true(crew_waits(&crew, 0, "descriptor"));
		crew_add(&crew, read_busy, &two);
		crew_join(&crew, 1);
		assert_int_equal(write(tmgr_stream_fd(two.streams[1]), "x", 1), 1);
		assert_int_equal(crew_end(&crew), 0);
		assert_int_equal(two.seen, 1);
		two_end(&two);
	}
	assert_int_equal(wrong, 0);
}

static int read_from_half_open(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char buffer[16];

	put_text(context, two, "last words");
	IS(tmgr_stream_shutdown(context, two->streams[1], TMGR_STREAM_OUTPUT, NEVER), 0);
	IS(put_text(context, two, "more"), -EPIPE);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), 10);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), 0);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), 0);
	/* The other way is open. */
	IS(tmgr_stream_write(context, two->streams[0], "answer", 6, NEVER), 0);
	IS(tmgr_stream_read_exactly(context, two->streams[1], buffer, 6, NEVER), 6);
	IS(tmgr_stream_shutdown(context, two->streams[1], TMGR_STREAM_INPUT, NEVER), 0);
	IS(tmgr_stream_read(context, two->streams[1], buffer, 6, NEVER), 0);
	IS(tmgr_stream_shutdown(context, two->streams[1], 0, NEVER), -EINVAL);
	IS(tmgr_stream_shutdown(context, two->streams[1], 4, NEVER), -EINVAL);
	two_end(two);
	return 0;
}

static void one_side_can_be_shut_down(void **state)
{
	on_all(1, read_from_half_open);
}

static int read_after_reset(void *self, struct tmgr_context *context)
{
	struct linger at_once = { .l_onoff = 1 };
	struct two *two = self;
	char buffer[16];

	put_text(context, two, "abc");
	IS(tmgr_stream_peek(context, two->streams[0], 3, NEVER, &(const char *){ NULL }), 3);
	setsockopt(
		tmgr_stream_fd(two->streams[1]), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	tmgr_stream_destroy(two->streams[1]);
	/* What had come is given first; then the error, again and again. */
	IS(tmgr_stream_read_exactly(context, two->streams[0], buffer, 4, NEVER), -ECONNRESET);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), 3);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), -ECONNRESET);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 2000, NEVER), -ECONNRESET);
	IS(tmgr_stream_write(context, two->streams[0], "x", 1, NEVER), -EPIPE);
	IS(tmgr_stream_write(context, two->streams[0], "x", 1, NEVER), -EPIPE);
	tmgr_stream_destroy(two->streams[0]);
	return 0;
}

static void a_reset_is_told_after_what_had_come(void **state)
{
	on_all(LINK_TCP, read_after_reset);
}

static void a_stream_may_be_ended_on_any_thread_and_belongs_to_one_loop(void **state)
{
	struct crew crew, other;
	struct two two = { .seen = 77 };

	link_make(LINK_TCP, NULL, two.streams);
	crew_begin(&crew, 1);
	crew_add(&crew, read_byte, &two);
	assert_true(crew_waits(&crew, 0, "descriptor"));
	assert_int_equal(write(tmgr_stream_fd(two.streams[1]), "x", 1), 1);
	crew_join(&crew, 0);
	assert_int_equal(two.seen, 1);
	crew_begin(&other, 1);
	crew_add(&other, read_byte, &two);
	assert_int_equal(crew_end(&other), 0);
	assert_int_equal(two.seen, -EXDEV);
	/* Its loop runs, and looks at it. */
	tmgr_stream_destroy(two.streams[0]);
	tmgr_stream_destroy(two.streams[1]);
	assert_int_equal(crew_end(&crew), 0);
}

static int shut_down_input(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	return tmgr_stream_shutdown(context, two->streams[0], TMGR_STREAM_INPUT, NEVER);
}

static void shutting_the_input_down_ends_a_read(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = LINK_UNIX; kind < LINKS; kind++) {
			struct crew crew;
			struct two two = { .seen = 77 };

			link_make((enum link_kind)kind, NULL, two.streams);
			crew_begin(&crew, h);
			crew_add(&crew, read_byte, &two);
			assert_true(crew_waits(&crew, 0, "descriptor"));
			crew_add(&crew, shut_down_input, &two);
			assert_int_equal(crew_end(&crew), 0);
			assert_int_equal(two.seen, 0);
			assert_int_equal(crew.results[1], 0);
			two_end(&two);
		}
}

/* ---- Memory --------------------------------------------------------------------------------- */

static int read_without_memory(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	const char *data;
	char buffer[1024];

	put_text(context, two, "abc");
	fault_fail_all_allocations(true);
	IS(tmgr_stream_read_line(context, two->streams[0], 100, NEVER, &data), -ENOMEM);
	IS(tmgr_stream_peek(context, two->streams[0], 1, NEVER, &data), -ENOMEM);
	/* Less than a buffer's worth, and more: both need none. */
	IS(tmgr_stream_read(context, two->streams[0], buffer, 2, NEVER), 2);
	IS(tmgr_stream_read(context, two->streams[0], buffer, sizeof(buffer), NEVER), 1);
	fault_off();
	IS(buffer[0], 'c');
	two_end(two);
	return 0;
}

static void a_read_without_memory_for_its_buffer_loses_nothing(void **state)
{
	on_all(0, read_without_memory);
}

static int read_idle(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	const char *data;
	long live;

	live = fault_live();
	put_text(context, two, "abc\n");
	IS(tmgr_stream_read_line(context, two->streams[0], 100, NEVER, &data), 4);
	IS(tmgr_stream_read_line(context, two->streams[0], 100, TMGR_NOW, &data), -ETIMEDOUT);
	IS(fault_live(), live);
	put_text(context, two, "ab");
	IS(tmgr_stream_read_line(context, two->streams[0], 100, TMGR_NOW, &data), -ETIMEDOUT);
	put_text(context, two, "c\n");
	IS(tmgr_stream_read_line(context, two->streams[0], 100, TMGR_NOW, &data), 4);
	IS(memcmp(data, "abc\n", 4), 0);
	two_end(two);
	return 0;
}

static void an_idle_stream_gives_its_buffer_back(void **state)
{
	struct tmgr_stream_options options = { .release_idle = true, .read_buffer = 3 };

	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct two two;

		link_make(LINK_TCP, &options, two.streams);
		assert_int_equal(crew_run(h, read_idle, &two, NULL, NULL), 0);
	}
	assert_int_equal(wrong, 0);
}

static int read_without_allocating(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char buffer[1024];
	const char *line;
	long before = 0;

	for (int i = 0; i < 20; i++) {
		if (i == 10)
			before = fault_allocations();
		put_text(context, two, "abc\n");
		IS(tmgr_stream_read_line(context, two->streams[0], 100, NEVER, &line), 4);
		put_text(context, two, "abc\n");
		IS(tmgr_stream_read(context, two->streams[0], buffer, sizeof(buffer), NEVER), 4);
		IS(tmgr_stream_read(context, two->streams[0], buffer, 10, TMGR_NOW), -ETIMEDOUT);
	}
	IS(fault_allocations(), before);
	two_end(two);
	return 0;
}

static void reading_and_writing_allocate_nothing(void **state)
{
	on_all(0, read_without_allocating);
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
		leak_test(a_read_that_is_late_loses_nothing),
		leak_test(a_read_that_is_cancelled_loses_nothing),
		leak_test(a_second_reader_is_refused_and_does_not_disturb_the_first),
		leak_test(one_side_can_be_shut_down),
		leak_test(a_reset_is_told_after_what_had_come),
		leak_test(a_stream_may_be_ended_on_any_thread_and_belongs_to_one_loop),
		leak_test(shutting_the_input_down_ends_a_read),
		leak_test(a_read_without_memory_for_its_buffer_loses_nothing),
		leak_test(an_idle_stream_gives_its_buffer_back),
		leak_test(reading_and_writing_allocate_nothing),
	};

	return cmocka_run_group_tests_name("stream_read", tests, crew_warm_up, NULL);
}
