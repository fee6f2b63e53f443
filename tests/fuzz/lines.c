/*
 * Reading from a stream, whatever comes in whatever pieces, against a model: all that was sent and
 * not taken, in one buffer. Deadlines have passed, so that nothing waits.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/tasks/stream.h>

#include "tests/support/fuzz.h"

#define SENT_MAX 20000

struct model {
	struct tmgr_stream *stream;
	int other; /* end, or -1: closed */
	char sent[SENT_MAX];
	size_t start, end;
};

/* So few different bytes that delimiters are met by chance. */
static void send_some(struct model *model, struct input *input)
{
	size_t size = input_byte(input);
	uint8_t seed = input_byte(input);
	char *at = model->sent + model->end;

	/* Now and then more than a buffer's worth. */
	if (size > 250)
		size = 1 + (size - 250) * 997;
	if (size > SENT_MAX - model->end)
		size = SENT_MAX - model->end;
	for (size_t i = 0; i < size; i++) {
		seed = (uint8_t)(seed * 5 + 3);
		at[i] = "ab\n\r"[(seed >> 4) % 4];
	}
	if (model->other < 0 || size == 0)
		return;
	must(write(model->other, at, size) == (ssize_t)size);
	model->end += size;
}

static size_t there(const struct model *model)
{
	return model->end - model->start;
}

/* What was given out is what was sent. */
static void take(struct model *model, const char *data, ssize_t n)
{
	must(n > 0 && (size_t)n <= there(model));
	must(memcmp(data, model->sent + model->start, (size_t)n) == 0);
	model->start += (size_t)n;
}

/* What is to come of a read that needs more than there is. */
static ssize_t without_more(const struct model *model, ssize_t at_the_end)
{
	return model->other < 0 ? at_the_end : -ETIMEDOUT;
}

static ssize_t expected_piece(const struct model *model, const struct tmgr_delimiter *delimiter)
{
	const char *data = model->sent + model->start;

	for (size_t i = delimiter->size; i <= there(model); i++) {
		if (memcmp(data + i - delimiter->size, delimiter->bytes, delimiter->size) != 0)
			continue;
		return i <= delimiter->max ? (ssize_t)i : -EMSGSIZE;
	}
	if (there(model) > delimiter->max)
		return -EMSGSIZE;
	return without_more(model, (ssize_t)there(model));
}

static void read_piece(struct model *model, struct input *input)
{
	static const char *const delimiters[] = { "\n", "\r\n", "aa", "\n\n\n", "abab" };
	const char *bytes = delimiters[input_byte(input) % 5];
	struct tmgr_delimiter delimiter = { bytes, strlen(bytes), 1 + input_byte(input) * 3u };
	ssize_t expected = expected_piece(model, &delimiter), n;
	const char *data;

	if (delimiter.size == 1)
		n = tmgr_stream_read_line(NULL, model->stream, delimiter.max, TMGR_NOW, &data);
	else
		n = tmgr_stream_read_until(NULL, model->stream, &delimiter, TMGR_NOW, &data);
	must(n == expected);
	if (n > 0)
		take(model, data, n);
}

static void read_exactly(struct model *model, struct input *input)
{
	static char buffer[256 * 30];
	size_t size = 1 + input_byte(input) * 29u;
	ssize_t n = tmgr_stream_read_exactly(NULL, model->stream, buffer, size, TMGR_NOW);

	if (size <= there(model)) {
		must(n == (ssize_t)size);
		take(model, buffer, n);
	} else {
		must(n == without_more(model, there(model) > 0 ? -ENODATA : 0));
	}
}

static void read_some(struct model *model, struct input *input)
{
	static char buffer[256 * 8];
	size_t size = 1 + input_byte(input) * 7u;
	ssize_t n = tmgr_stream_read(NULL, model->stream, buffer, size, TMGR_NOW);

	if (there(model) == 0) {
		must(n == without_more(model, 0));
	} else {
		must(n > 0 && (size_t)n <= size);
		take(model, buffer, n);
	}
}

static void read_all(struct model *model, struct input *input)
{
	size_t max = 1 + input_byte(input) * 100u;
	const char *data;
	ssize_t n = tmgr_stream_read_all(NULL, model->stream, max, TMGR_NOW, &data);

	if (there(model) > max)
		must(n == -EMSGSIZE);
	else
		must(n == without_more(model, (ssize_t)there(model)));
	if (n > 0)
		take(model, data, n);
}

static void peek(struct model *model, struct input *input)
{
	size_t min = input_byte(input) * 11u, size = input_byte(input) * 11u;
	const char *data;
	ssize_t n = tmgr_stream_peek(NULL, model->stream, min, TMGR_NOW, &data);

	if (min > there(model))
		must(n == without_more(model, (ssize_t)there(model)));
	else
		must(n >= (ssize_t)min);
	if (n < 0)
		return;
	must((size_t)n <= there(model));
	must(memcmp(data, model->sent + model->start, (size_t)n) == 0);
	must(tmgr_stream_consume(model->stream, size) == (size <= (size_t)n ? 0 : -EINVAL));
	if (size <= (size_t)n)
		model->start += size;
}

static void close_other(struct model *model)
{
	if (model->other >= 0)
		close(model->other);
	model->other = -1;
}

static void step(struct model *model, struct input *input)
{
	switch (input_byte(input) % 10) {
	case 0:
	case 1:
	case 2:
		send_some(model, input);
		break;
	case 3:
	case 4:
		read_piece(model, input);
		break;
	case 5:
		read_exactly(model, input);
		break;
	case 6:
		read_some(model, input);
		break;
	case 7:
		read_all(model, input);
		break;
	case 8:
		peek(model, input);
		break;
	default:
		/* Not at every tenth: then little would be sent. */
		if (input_byte(input) % 8 == 0)
			close_other(model);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;
	struct input input = { data, size };
	struct tmgr_stream_options options = { 0 };
	int fds[2];

	model.start = model.end = 0;
	options.read_buffer = input_byte(&input);
	options.release_idle = input_byte(&input) & 1;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	must(tmgr_stream_from_fd(fds[0], &options, &model.stream) == 0);
	model.other = fds[1];
	while (input.left > 0)
		step(&model, &input);
	/* All that is left comes, and then the end. */
	close_other(&model);
	while (there(&model) > 0)
		read_some(&model, &input);
	read_some(&model, &input);
	tmgr_stream_destroy(model.stream);
	return 0;
}
