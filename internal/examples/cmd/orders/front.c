/* Which request is which. */
#include "front.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_answer front_json(int status, json_t *taken)
{
	struct http_answer answer = { .status = status };
	char *text = taken ? json_dumps(taken, JSON_COMPACT) : NULL;

	json_decref(taken);
	if (text && asprintf(&answer.json, "%s\n", text) < 0)
		answer.json = NULL;
	free(text);
	return answer;
}

struct http_answer front_error(int status, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return front_json(status, json_pack("{s:s%}", "error", text, strlen(text)));
}

struct http_answer front_failed(int error)
{
	switch (error) {
	case -ENOENT:
		return front_error(404, "there is no such order");
	case -EPIPE:
		return front_error(409, "the order is over");
	case -EAGAIN:
		return front_error(503, "too much was asked of this order at a time");
	case -ENOSPC:
		return front_error(503, "the disk is full: nothing was done, try again later");
	case -ESHUTDOWN:
	case -ECANCELED:
		return front_error(503, "it is being stopped: try again later");
	case -ETIMEDOUT:
		return front_error(504, "it takes long: ask again with the same Idempotency-Key");
	default:
		return front_error(500, "%s", tmgr_strerror(error));
	}
}

/* ---- Commands ------------------------------------------------------------------------------- */

static struct http_answer add_line(const struct visit *visit)
{
	static const char *const names[] = { "sku", "quantity", "price", NULL };
	struct http_answer answer = { 0 };
	json_t *body = front_body(visit->request, names, &answer);
	int64_t quantity = 0, price = 0;
	const char *sku = NULL;

	if (!body)
		return answer;
	if (!front_text(body, "sku", &sku, &answer) ||
		!front_number(body, "quantity", ORDERS_QUANTITY_MAX, &quantity, &answer) ||
		!front_number(body, "price", ORDERS_PRICE_MAX, &price, &answer))
		;
	else if (!front_is_name(sku, ORDERS_SKU_MAX))
		answer = front_error(400, "sku: is not 1 to 32 of A-Z a-z 0-9 _ -");
	else if (quantity == 0)
		answer = front_error(400, "quantity: is 0; DELETE removes a line");
	else
		answer = front_command(visit,
			json_pack("{s:s, s:s, s:I, s:I}", "kind", "add", "sku", sku, "quantity",
				(json_int_t)quantity, "price", (json_int_t)price));
	json_decref(body);
	return answer;
}

static struct http_answer remove_line(const struct visit *visit)
{
	const char *sku = visit->rest + strlen("lines/");

	if (!front_is_name(sku, ORDERS_SKU_MAX))
		return front_error(400, "sku: is not 1 to 32 of A-Z a-z 0-9 _ -");
	return front_command(visit, json_pack("{s:s, s:s}", "kind", "remove", "sku", sku));
}

static struct http_answer submit(const struct visit *visit)
{
	static const char *const none[] = { NULL };
	struct http_answer answer = { 0 };
	json_t *body = front_body(visit->request, none, &answer);

	if (!body)
		return answer;
	json_decref(body);
	return front_command(visit, json_pack("{s:s}", "kind", "submit"));
}

static struct http_answer decide(const struct visit *visit)
{
	static const char *const names[] = { "approved", "reason", NULL };
	struct http_answer answer = { 0 };
	json_t *body = front_body(visit->request, names, &answer);
	const json_t *approved;
	const char *reason = "";

	if (!body)
		return answer;
	approved = json_object_get(body, "approved");
	if (!json_is_boolean(approved))
		answer = front_error(
			400, "approved: is %s", approved ? "not true or false" : "missing");
	else if (!json_object_get(body, "reason") || front_text(body, "reason", &reason, &answer))
		answer = front_command(visit, json_pack("{s:s, s:b, s:s}", "kind", "decide", "yes",
						      json_is_true(approved), "text", reason));
	json_decref(body);
	return answer;
}

static struct http_answer cancel(const struct visit *visit)
{
	static const char *const names[] = { "reason", NULL };
	struct http_answer answer = { 0 };
	json_t *body = front_body(visit->request, names, &answer);
	const char *reason = "";

	if (!body)
		return answer;
	if (!json_object_get(body, "reason") || front_text(body, "reason", &reason, &answer))
		answer = front_command(
			visit, json_pack("{s:s, s:s}", "kind", "cancel", "text", reason));
	json_decref(body);
	return answer;
}

static struct http_answer health(const struct visit *visit)
{
	struct tmgr_processes_stats stats;
	int r = tmgr_processes_stats(visit->front->processes, &stats);

	if (r < 0)
		return front_failed(r);
	return front_json(stats.store.error ? 503 : 200,
		json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "status",
			stats.store.error ? tmgr_strerror(stats.store.error) : "good", "processes",
			(json_int_t)stats.processes, "live", (json_int_t)stats.live, "runnable",
			(json_int_t)stats.runnable, "stuck", (json_int_t)stats.stuck, "steps",
			(json_int_t)stats.steps));
}

/* ---- Routes --------------------------------------------------------------------------------- */

static const struct {
	const char *method,
		*rest; /* what stands behind the order's id; "/": there is none; * any */
	struct http_answer (*answer)(const struct visit *visit);
} routes[] = {
	{ "POST", "/", front_create },
	{ "GET", "/", front_list },
	{ "GET", "", front_show },
	{ "POST", "lines", add_line },
	{ "DELETE", "lines/*", remove_line },
	{ "POST", "submit", submit },
	{ "POST", "decision", decide },
	{ "POST", "cancel", cancel },
};

static bool fits(const char *pattern, const char *rest)
{
	size_t length = strcspn(pattern, "*");

	return pattern[length] ? strncmp(pattern, rest, length) == 0 : strcmp(pattern, rest) == 0;
}

/* "/orders", "/orders/ID", "/orders/ID/..." */
static bool take_path(struct visit *visit, const char *path)
{
	size_t length;

	if (strncmp(path, "/orders", 7) != 0 || (path[7] && path[7] != '/'))
		return false;
	path += path[7] ? 8 : 7;
	length = strcspn(path, "/");
	if (length > ORDERS_ID_MAX)
		return false;
	memcpy(visit->id, path, length);
	visit->rest = length == 0 ? "/" : path[length] ? path + length + 1 : "";
	return length == 0 ? !*path : front_is_name(visit->id, ORDERS_ID_MAX);
}

struct http_answer front_answer(
	void *self, struct tmgr_context *context, const struct http_request *request)
{
	struct visit visit = { .front = self,
		.context = context,
		.request = request,
		.deadline = tmgr_after(FRONT_WAIT_NS) };
	bool known = false;

	if (strcmp(request->path, "/health") == 0 && strcmp(request->method, "GET") == 0)
		return health(&visit);
	if (!take_path(&visit, request->path))
		return front_error(404, "there is no such address");
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!fits(routes[i].rest, visit.rest))
			continue;
		if (strcmp(routes[i].method, request->method) == 0)
			return routes[i].answer(&visit);
		known = true;
	}
	return known ? front_error(405, "it cannot be asked for with this method")
		     : front_error(404, "there is no such address");
}
