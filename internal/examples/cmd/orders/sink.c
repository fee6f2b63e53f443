#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front.h"

struct sink {
	const struct options *options;
	int fd;
	_Atomic int64_t requests;
};

/* One write, so that lines of requests at the same time do not mix. */
static int write_line(const struct sink *sink, const char *key, json_t *body)
{
	const char *event = json_string_value(json_object_get(body, "event"));
	const char *order = json_string_value(json_object_get(body, "order"));
	char line[512];
	int length = snprintf(line, sizeof(line), "%s %s %s %" JSON_INTEGER_FORMAT "\n", key, event,
		order, json_integer_value(json_object_get(body, "amount")));

	if (length < 0 || (size_t)length >= sizeof(line))
		return -EMSGSIZE;
	return write(sink->fd, line, (size_t)length) == length ? 0 : -EIO;
}

static struct http_answer receive(struct sink *sink, const char *key, json_t *body)
{
	const struct options *options = sink->options;
	const char *event = json_string_value(json_object_get(body, "event"));
	int64_t number = atomic_fetch_add(&sink->requests, 1) + 1;
	int r = write_line(sink, key, body);

	if (r < 0)
		return front_error(500, "%s", tmgr_strerror(r));
	if (options->fail_every > 0 && number % options->fail_every == 0)
		return front_error(503, "this one is answered with an error");
	if (options->decline_over > 0 && strcmp(event, "payment.charged") == 0 &&
		json_integer_value(json_object_get(body, "amount")) > options->decline_over)
		return front_error(402, "declined");
	return front_json(200, json_pack("{s:s}", "status", "received"));
}

static struct http_answer answer(
	void *self, struct tmgr_context *context, const struct http_request *request)
{
	static const char *const names[] = { "event", "order", "amount", NULL };
	struct http_answer result = { 0 };
	json_t *body;

	if (strcmp(request->method, "POST") != 0)
		return front_error(405, "only POST");
	if (!request->key || strchr(request->key, ' '))
		return front_error(400, "Idempotency-Key: is missing");
	body = front_body(request, names, &result);
	if (!body)
		return result;
	if (json_is_string(json_object_get(body, "event")) &&
		json_is_string(json_object_get(body, "order")))
		result = receive(self, request->key, body);
	else
		result = front_error(400, "event or order: is missing");
	json_decref(body);
	return result;
}

int sink_run(const struct options *options)
{
	struct sink sink = { .options = options };
	const struct http_options http = {
		.address = options->address, .port = options->port, .answer = answer, .self = &sink
	};
	struct tmgr_manager *manager;
	int code;

	sink.fd = open(options->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (sink.fd < 0) {
		fprintf(stderr, "orders: %s: %s\n", options->file, strerror(errno));
		return 1;
	}
	manager = tmgr_manager_create(NULL);
	tmgr_manager_add_task(manager, "sink", http_task(&http), TMGR_STRICT);
	code = tmgr_main(manager);
	close(sink.fd);
	return code;
}
