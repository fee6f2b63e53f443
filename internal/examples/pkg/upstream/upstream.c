#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../keeper/keeper.h"
#include "upstream.h"

#define ANSWER_NS TMGR_SECOND
#define PERIOD_NS (200 * TMGR_MILLISECOND)
#define LINE_MAX_BYTES 64

struct upstream {
	struct tmgr_endpoint endpoint;
	struct tmgr_stream *stream; /* of the step that is being made */
	struct keeper *keeper;
};

/* ---- The steps ------------------------------------------------------------------------------- */

static int connect_step(void *self, struct tmgr_context *context)
{
	struct upstream *upstream = self;
	int r;

	tmgr_stream_destroy(upstream->stream);
	upstream->stream = NULL;
	r = tmgr_connect(
		context, &upstream->endpoint, NULL, tmgr_after(ANSWER_NS), &upstream->stream);
	return r == 0 ? 0 : tmgr_fail(context, r, "connecting");
}

/* Say something, and want something back. */
static int ask(struct upstream *upstream, struct tmgr_context *context, const char *question,
	const char *answer)
{
	int64_t deadline = tmgr_after(ANSWER_NS);
	const char *line;
	ssize_t n;
	int r;

	r = tmgr_stream_write(context, upstream->stream, question, strlen(question), deadline);
	if (r < 0)
		return tmgr_fail(context, r, "writing");
	n = tmgr_stream_read_line(context, upstream->stream, LINE_MAX_BYTES, deadline, &line);
	if (n <= 0)
		return tmgr_fail(context, n == 0 ? -EPIPE : (int)n, "no answer");
	if ((size_t)n != strlen(answer) || memcmp(line, answer, (size_t)n) != 0)
		return tmgr_fail(context, -EPROTO, "another answer");
	return 0;
}

static int authenticate_step(void *self, struct tmgr_context *context)
{
	return ask(self, context, "HELLO\n", "WELCOME\n");
}

static int watch_step(void *self, struct tmgr_context *context)
{
	int r;

	do {
		r = ask(self, context, "PING\n", "PONG\n");
		if (r == 0)
			r = tmgr_sleep(context, PERIOD_NS);
	} while (r == 0);
	return r;
}

static const struct keeper_ops ops = {
	.connect = connect_step,
	.authenticate = authenticate_step,
	.watch = watch_step,
};

/* ---- Making it ------------------------------------------------------------------------------- */

static void print(void *self, const char *line)
{
	puts(line);
}

int upstream_create(const char *host, unsigned port, struct upstream **ret_upstream)
{
	const struct keeper_options options = {
		.name = "upstream",
		.delay_ns = 50 * TMGR_MILLISECOND,
		.log = print,
	};
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	int r;

	if (upstream == NULL)
		return -ENOMEM;
	upstream->endpoint = (struct tmgr_endpoint){ .host = host, .port = port };
	r = keeper_create(&ops, upstream, &options, &upstream->keeper);
	if (r < 0)
		free(upstream);
	else
		*ret_upstream = upstream;
	return r;
}

void upstream_destroy(struct upstream *upstream)
{
	if (upstream == NULL)
		return;
	keeper_destroy(upstream->keeper);
	tmgr_stream_destroy(upstream->stream);
	free(upstream);
}

struct tmgr_task upstream_task(struct upstream *upstream)
{
	return keeper_task(upstream->keeper);
}

struct keeper *upstream_keeper(struct upstream *upstream)
{
	return upstream->keeper;
}
