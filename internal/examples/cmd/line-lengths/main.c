/*
 * A generator: it reads lines from a server and yields how many characters each has.
 */
#include <ctype.h>
#include <stdio.h>

#include "internal/examples/pkg/onloop/onloop.h"
#include "internal/examples/pkg/textserver/textserver.h"

static const char text[] = "生麦生米生卵\n"
			   "すもももももももものうち\n"
			   "東京特許許可局長今日急遽休暇許可却下\n"
			   "斜め77度の並びで泣く泣く嘶くナナハン7台難なく並べて長眺め\n";

/* Characters, not bytes: in UTF-8 all but the first byte of one begin with the bits 10. */
static size_t characters(const char *line, size_t size)
{
	size_t count = 0;

	while (size > 0 && isspace((unsigned char)line[size - 1]))
		size--;
	for (size_t i = 0; i < size; i++)
		count += (line[i] & 0xc0) != 0x80;
	return count;
}

static int line_lengths(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	const struct tmgr_endpoint *endpoint = self;
	struct tmgr_stream *stream;
	int r = tmgr_connect(context, endpoint, NULL, TMGR_NEVER, &stream);

	if (r < 0)
		return r;
	for (;;) {
		const char *line;
		ssize_t size = tmgr_stream_read_line(context, stream, 1000, TMGR_NEVER, &line);
		size_t length;

		r = (int)size;
		if (size <= 0)
			break;
		length = characters(line, (size_t)size);
		r = tmgr_yield_item(generator, &length, sizeof(length));
		if (r < 0)
			break;
	}
	tmgr_stream_destroy(stream);
	return r;
}

static int run(void *self, struct tmgr_context *context)
{
	struct textserver server;
	int r = textserver_start(&server, context, text);

	if (r < 0)
		return r;
	TMGR_FOR_EACH (length, context, tmgr_generator(line_lengths, &server.endpoint), &r)
		printf("%zu\n", TMGR_VALUE(size_t, length));
	textserver_stop(&server, context);
	return r;
}

int main(void)
{
	return onloop_main(run);
}
