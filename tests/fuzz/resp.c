/*
 * Any bytes are requests, or an error: the same as a parser finds that is as literal as the
 * description of the protocol, and the same however the bytes are cut.
 */
#include "internal/examples/pkg/resp/resp.h"

#include "tests/support/fuzz.h"

#define ARGUMENTS_MAX 8
#define FOUND_MAX 2048

static const struct resp_limits limits = {
	.line = 48, .arguments = ARGUMENTS_MAX, .bulk = 64, .request = 160
};

/* What was found, as text that can be compared: each argument as "length:bytes", each request ends
 * with a newline. */
struct found {
	char text[FOUND_MAX * 4];
	size_t size;
};

static void add(struct found *found, const char *bytes, size_t size)
{
	must(size <= sizeof(found->text) - found->size);
	if (size > 0)
		memcpy(found->text + found->size, bytes, size);
	found->size += size;
}

static void add_argument(struct found *found, const char *bytes, size_t size)
{
	char length[24];

	add(found, length, (size_t)snprintf(length, sizeof(length), "%zu:", size));
	add(found, bytes, size);
}

/* ---- The literal parser: one byte after the other, nothing remembered ----------------------- */

struct literal {
	const char *data;
	size_t size, at;
	bool more, bad;
};

/* -1: there is none. */
static int next(struct literal *in)
{
	if (in->more || in->bad)
		return -1;
	if (in->at == in->size) {
		in->more = true;
		return -1;
	}
	return (unsigned char)in->data[in->at++];
}

static void expect(struct literal *in, int wanted)
{
	int c = next(in);

	if (c >= 0 && c != wanted)
		in->bad = true;
}

static long long literal_number(struct literal *in)
{
	long long number = 0;
	bool negative = false;
	int c = next(in), digits;

	if (c == '-') {
		negative = true;
		c = next(in);
	}
	for (digits = 0; c >= '0' && c <= '9'; digits++) {
		if (digits == 10 || (digits == 1 && number == 0)) {
			in->bad = true;
			return 0;
		}
		number = number * 10 + c - '0';
		c = next(in);
	}
	if (c >= 0 && (c != '\r' || digits == 0 || (negative && number == 0)))
		in->bad = true;
	expect(in, '\n');
	return negative ? -number : number;
}

static void literal_array(struct literal *in, struct found *found)
{
	size_t begin = in->at - 1;
	long long count = literal_number(in);

	if (!in->more && count > ARGUMENTS_MAX)
		in->bad = true;
	for (long long i = 0; i < count && !in->more && !in->bad; i++) {
		long long length;
		size_t from;

		expect(in, '$');
		length = literal_number(in);
		if (in->more || in->bad)
			return;
		if (length < 0 || length > (long long)limits.bulk ||
			in->at - begin + (size_t)length + 2 > limits.request) {
			in->bad = true;
			return;
		}
		from = in->at;
		for (long long k = 0; k < length; k++)
			next(in);
		expect(in, '\r');
		expect(in, '\n');
		if (!in->more && !in->bad)
			add_argument(found, in->data + from, (size_t)length);
	}
}

static void literal_word(
	struct literal *in, const char *line, size_t *at, size_t length, struct found *found)
{
	char word[64], quote = '\0';
	size_t size = 0;

	if (line[*at] == '"' || line[*at] == '\'')
		quote = line[(*at)++];
	for (; *at < length; (*at)++) {
		char c = line[*at];

		if (quote ? c == quote : c == ' ' || c == '\t')
			break;
		if (quote ? c == '\\' : c == '"' || c == '\'')
			in->bad = true;
		word[size++] = c;
	}
	if (quote && *at == length)
		in->bad = true;
	if (quote && *at < length) {
		(*at)++;
		if (*at < length && line[*at] != ' ' && line[*at] != '\t')
			in->bad = true;
	}
	add_argument(found, word, size);
}

static void literal_line(struct literal *in, struct found *found)
{
	char line[64];
	size_t length = 0, words = 0;
	int c;

	in->at--;
	while ((c = next(in)) >= 0 && c != '\n') {
		line[length++] = (char)c;
		if (length > limits.line + 1)
			in->bad = true;
	}
	if (in->more || in->bad)
		return;
	if (length > 0 && line[length - 1] == '\r')
		length--;
	if (length > limits.line) {
		in->bad = true;
		return;
	}
	for (size_t at = 0; at < length && !in->bad;) {
		if (line[at] == ' ' || line[at] == '\t')
			at++;
		else if (words++ == ARGUMENTS_MAX)
			in->bad = true;
		else
			literal_word(in, line, &at, length, found);
	}
}

static void literal_parse(const char *data, size_t size, struct found *found)
{
	struct literal in = { .data = data, .size = size };

	while (!in.more && !in.bad) {
		size_t kept = found->size, begin = in.at;
		int c = next(&in);

		if (c == '*')
			literal_array(&in, found);
		else if (c >= 0)
			literal_line(&in, found);
		if (in.more || in.bad)
			found->size = kept;
		else
			add(found, "\n", 1);
		if (in.bad)
			add(found, "bad", 3);
		must(in.more || in.bad || in.at > begin);
	}
}

/* ---- The parser, fed piece by piece ---------------------------------------------------------- */

struct feeding {
	struct resp_parser parser;
	struct found found;
	size_t from; /* begin of the request */
	bool bad;
};

/* So many bytes have come. They stand in memory of just their size, elsewhere each time. */
static void feed(struct feeding *feeding, const uint8_t *data, size_t size)
{
	struct resp_argument arguments[ARGUMENTS_MAX];
	struct resp_request request = { .arguments = arguments };
	size_t left = size - feeding->from;
	char *bytes = malloc(left + (left == 0)), *at = bytes;
	enum resp_result result = RESP_REQUEST;

	must(bytes);
	memcpy(bytes, data + feeding->from, left);
	while (!feeding->bad && result == RESP_REQUEST) {
		result = resp_parse(&feeding->parser, at, left, &request);
		must(result != RESP_REQUEST || (request.used > 0 && request.used <= left));
		must(result != RESP_MORE || resp_needed(&feeding->parser, at, left) > left);
		must((result == RESP_BAD) == (feeding->parser.error != NULL));
		if (result == RESP_BAD)
			add(&feeding->found, "bad", 3);
		feeding->bad = result == RESP_BAD;
		if (result != RESP_REQUEST)
			break;
		for (size_t i = 0; i < request.count; i++)
			add_argument(&feeding->found, arguments[i].at, arguments[i].length);
		add(&feeding->found, "\n", 1);
		at += request.used;
		left -= request.used;
		feeding->from += request.used;
	}
	free(bytes);
}

static void must_be_same(const struct feeding *feeding, const struct found *found)
{
	must(feeding->found.size == found->size);
	must(memcmp(feeding->found.text, found->text, found->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct found expected;
	static struct feeding feeding;

	if (size > FOUND_MAX / 2)
		return 0;
	expected.size = 0;
	literal_parse((const char *)data, size, &expected);

	/* In two pieces, for each cut; the first is all in one. */
	for (size_t cut = size; cut <= size; cut--) {
		feeding.from = feeding.found.size = 0;
		feeding.bad = false;
		feeding.parser = (struct resp_parser){ .limits = &limits };
		feed(&feeding, data, cut);
		feed(&feeding, data, size);
		must_be_same(&feeding, &expected);
	}
	/* Byte by byte. */
	feeding.from = feeding.found.size = 0;
	feeding.bad = false;
	feeding.parser = (struct resp_parser){ .limits = &limits };
	for (size_t i = 0; i <= size; i++)
		feed(&feeding, data, i);
	must_be_same(&feeding, &expected);
	return 0;
}
