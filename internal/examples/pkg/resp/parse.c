/*
 * Requests. The number behind a type byte is read again when its argument was not complete, all
 * else once. The result is a function of the bytes seen one by one, so it cannot depend on the cuts.
 */
#include "resp.h"

#include <string.h>

/* Digits of a length: no limit is above 9,999,999,999. */
#define DIGITS_MAX 10

static enum resp_result bad(struct resp_parser *parser, const char *error)
{
	parser->error = error;
	return RESP_BAD;
}

/* A type byte, a number as it is usually written, and the end of the line. */
static enum resp_result read_number(const char *data, size_t size, size_t *at, int64_t *ret_number)
{
	size_t i = *at + 1, first;
	bool negative = i < size && data[i] == '-';
	int64_t number = 0;

	i += negative;
	for (first = i; i < size && data[i] >= '0' && data[i] <= '9'; i++) {
		if (i - first == DIGITS_MAX || (i > first && number == 0))
			return RESP_BAD;
		number = number * 10 + (data[i] - '0');
	}
	if (i == size)
		return RESP_MORE;
	if (i == first || data[i] != '\r' || (negative && number == 0))
		return RESP_BAD;
	if (i + 1 == size)
		return RESP_MORE;
	if (data[i + 1] != '\n')
		return RESP_BAD;
	*at = i + 2;
	*ret_number = negative ? -number : number;
	return RESP_REQUEST;
}

static enum resp_result read_count(struct resp_parser *parser, const char *data, size_t size)
{
	enum resp_result result;
	int64_t count;

	result = read_number(data, size, &parser->at, &count);
	if (result == RESP_MORE)
		return RESP_MORE;
	if (result == RESP_BAD || (count > 0 && (uint64_t)count > parser->limits->arguments))
		return bad(parser, "Protocol error: invalid multibulk length");
	parser->count = count > 0 ? (size_t)count : 0;
	parser->begun = true;
	return RESP_REQUEST;
}

/* The length of an argument; `at` is moved behind it. */
static enum resp_result read_length(
	struct resp_parser *parser, const char *data, size_t size, size_t *at, size_t *ret_length)
{
	enum resp_result result;
	int64_t length;

	if (*at == size)
		return RESP_MORE;
	if (data[*at] != '$')
		return bad(parser, "Protocol error: expected '$'");
	result = read_number(data, size, at, &length);
	if (result == RESP_MORE)
		return RESP_MORE;
	if (result == RESP_BAD || length < 0 || (uint64_t)length > parser->limits->bulk)
		return bad(parser, "Protocol error: invalid bulk length");
	if (*at + (uint64_t)length + 2 > parser->limits->request)
		return bad(parser, "Protocol error: too big request");
	*ret_length = (size_t)length;
	return RESP_REQUEST;
}

static enum resp_result read_argument(struct resp_parser *parser, const char *data, size_t size,
	struct resp_argument *ret_argument)
{
	size_t at = parser->at, length = 0;
	enum resp_result result;

	result = read_length(parser, data, size, &at, &length);
	if (result != RESP_REQUEST)
		return result;
	if (size - at > length && data[at + length] != '\r')
		return bad(parser, "Protocol error: an argument is longer than its length");
	if (size - at < length + 2)
		return RESP_MORE;
	if (data[at + length + 1] != '\n')
		return bad(parser, "Protocol error: an argument is longer than its length");
	ret_argument->at = data + at;
	ret_argument->length = length;
	parser->at = at + length + 2;
	return RESP_REQUEST;
}

static enum resp_result read_array(
	struct resp_parser *parser, const char *data, size_t size, struct resp_argument *arguments)
{
	enum resp_result result = RESP_REQUEST;

	if (!parser->begun)
		result = read_count(parser, data, size);
	while (result == RESP_REQUEST && parser->got < parser->count) {
		result = read_argument(parser, data, size, &arguments[parser->got]);
		parser->got += result == RESP_REQUEST;
	}
	return result;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* A word, or what stands between quotes; a quote inside a word has no meaning here. */
static const char *read_word(
	const char *at, const char *end, struct resp_argument *ret_argument, const char **ret_error)
{
	const char *begin = at;

	if (*at == '"' || *at == '\'') {
		begin = at + 1;
		at = memchr(begin, *at, (size_t)(end - begin));
		*ret_argument = (struct resp_argument){ begin, at ? (size_t)(at - begin) : 0 };
		if (!at || (at + 1 < end && !is_space(at[1])))
			*ret_error = "Protocol error: unbalanced quotes in request";
		else if (memchr(begin, '\\', ret_argument->length))
			*ret_error = "Protocol error: no escapes in an inline request";
		return at ? at + 1 : end;
	}
	while (at < end && !is_space(*at)) {
		if (*at == '"' || *at == '\'')
			*ret_error = "Protocol error: unbalanced quotes in request";
		at++;
	}
	*ret_argument = (struct resp_argument){ begin, (size_t)(at - begin) };
	return at;
}

static enum resp_result read_words(
	struct resp_parser *parser, const char *at, const char *end, struct resp_request *request)
{
	const char *error = NULL;

	for (;;) {
		while (at < end && is_space(*at))
			at++;
		if (at == end)
			return RESP_REQUEST;
		if (request->count == parser->limits->arguments)
			return bad(parser, "Protocol error: too many arguments");
		at = read_word(at, end, &request->arguments[request->count++], &error);
		if (error)
			return bad(parser, error);
	}
}

/* The end of a line is a newline, with a return before it or not. */
static enum resp_result read_line(
	struct resp_parser *parser, const char *data, size_t size, struct resp_request *request)
{
	size_t most = parser->limits->line + 2;
	size_t known = size < most ? size : most;
	const char *end = memchr(data + parser->at, '\n', known - parser->at);

	parser->at = known;
	if (!end && size < most)
		return RESP_MORE;
	if (!end)
		return bad(parser, "Protocol error: too big inline request");
	request->used = (size_t)(end - data) + 1;
	if (end > data && end[-1] == '\r')
		end--;
	if ((size_t)(end - data) > parser->limits->line)
		return bad(parser, "Protocol error: too big inline request");
	return read_words(parser, data, end, request);
}

enum resp_result resp_parse(
	struct resp_parser *parser, const char *data, size_t size, struct resp_request *request)
{
	bool resumed = parser->begun;
	enum resp_result result;

	request->count = request->used = 0;
	if (parser->error)
		return RESP_BAD;
	if (size == 0)
		return RESP_MORE;
	if (data[0] != '*') {
		result = read_line(parser, data, size, request);
	} else {
		result = read_array(parser, data, size, request->arguments);
		/* The first arguments stood where the bytes were then: they are found again. */
		if (result == RESP_REQUEST && resumed) {
			*parser = (struct resp_parser){ .limits = parser->limits };
			result = read_array(parser, data, size, request->arguments);
		}
		request->count = parser->count;
		request->used = parser->at;
	}
	if (result == RESP_REQUEST)
		*parser = (struct resp_parser){ .limits = parser->limits };
	return result;
}

size_t resp_needed(const struct resp_parser *parser, const char *data, size_t size)
{
	size_t at = parser->at, length;
	int64_t number;

	if (!parser->begun || parser->got == parser->count || at >= size || data[at] != '$')
		return size + 1;
	if (read_number(data, size, &at, &number) != RESP_REQUEST || number < 0)
		return size + 1;
	length = at + (size_t)number + 2;
	return length > size ? length : size + 1;
}
