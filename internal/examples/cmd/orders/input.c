/* What comes in a body: read strictly, so that a mistake is told and not guessed at. */
#include <inttypes.h>
#include <string.h>

#include "front.h"

bool front_is_name(const char *text, size_t max)
{
	size_t length = strlen(text);

	return length > 0 && length <= max &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
		       length;
}

static bool is_among(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

json_t *front_body(const struct http_request *request, const char *const *names,
	struct http_answer *ret_answer)
{
	json_error_t error;
	json_t *body, *value;
	const char *name;

	if (request->body_size == 0)
		return json_object();
	body = json_loadb(request->body, request->body_size, JSON_REJECT_DUPLICATES, &error);
	if (!body) {
		*ret_answer = front_error(400, "the body is no JSON: line %d, column %d: %s",
			error.line, error.column, error.text);
		return NULL;
	}
	if (!json_is_object(body)) {
		*ret_answer = front_error(400, "the body is no JSON object");
		json_decref(body);
		return NULL;
	}
	json_object_foreach(body, name, value)
	{
		if (is_among(name, names))
			continue;
		*ret_answer = front_error(400, "there is no field \"%.64s\"", name);
		json_decref(body);
		return NULL;
	}
	return body;
}

bool front_text(
	const json_t *body, const char *name, const char **ret_text, struct http_answer *ret_answer)
{
	const json_t *value = json_object_get(body, name);

	if (json_is_string(value) && json_string_length(value) > 0 &&
		json_string_length(value) <= ORDERS_TEXT_MAX) {
		*ret_text = json_string_value(value);
		return true;
	}
	*ret_answer = front_error(
		400, "%s: %s", name, !value ? "is missing" : "is not a text of 1 to 80 bytes");
	return false;
}

bool front_number(const json_t *body, const char *name, int64_t max, int64_t *ret_number,
	struct http_answer *ret_answer)
{
	const json_t *value = json_object_get(body, name);

	if (json_is_integer(value) && json_integer_value(value) >= 0 &&
		json_integer_value(value) <= max) {
		*ret_number = json_integer_value(value);
		return true;
	}
	if (!value)
		*ret_answer = front_error(400, "%s: is missing", name);
	else
		*ret_answer = front_error(400, "%s: is no integer from 0 to %" PRId64, name, max);
	return false;
}
