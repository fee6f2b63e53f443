#include "internal/examples/pkg/textserver/textserver.h"

#include <errno.h>
#include <string.h>

static int send_text(void *self, struct tmgr_context *context, struct tmgr_stream *stream)
{
	const struct textserver *textserver = self;
	const char *text = textserver->text;

	return tmgr_stream_write(context, stream, text, strlen(text), TMGR_NEVER);
}

static int serve(void *self, struct tmgr_context *context)
{
	struct textserver *textserver = self;
	const struct tmgr_serve_options options = { .handler = send_text, .self = textserver };

	return tmgr_serve(context, textserver->listener, &options);
}

int textserver_start(struct textserver *textserver, struct tmgr_context *context, const char *text)
{
	int r;

	*textserver = (struct textserver){ .text = text, .endpoint = { .host = "127.0.0.1" } };
	r = tmgr_listen(&textserver->endpoint, NULL, &textserver->listener);
	if (r < 0)
		return r;
	textserver->endpoint.port = (unsigned)tmgr_listener_port(textserver->listener);
	r = tmgr_coroutine_spawn(context, serve, textserver, NULL, &textserver->server);
	if (r < 0)
		tmgr_listener_destroy(textserver->listener);
	return r;
}

void textserver_stop(struct textserver *textserver, struct tmgr_context *context)
{
	tmgr_coroutine_cancel(textserver->server, 0, "not needed any more");
	tmgr_coroutine_await(context, textserver->server, TMGR_NEVER, NULL);
	tmgr_coroutine_unref(textserver->server);
	tmgr_listener_destroy(textserver->listener);
}
