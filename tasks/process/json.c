#include "json.h"

#include <errno.h>
#include <string.h>

#include "taskmgr/base/text.h"

struct reader {
	struct tmgr_state_memory *memory;
	const char *begin, *at, *end;
	const char *why;
	int error;
};

static void *fail(struct reader *reader, int error, const char *why)
{
	reader->error = error;
	reader->why = why;
	return NULL;
}

static void skip_space(struct reader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
						   *reader->at == '\t' || *reader->at == '\r'))
		reader->at++;
}

static bool take(struct reader *reader, char c)
{
	if (reader->at == reader->end || *reader->at != c)
		return false;
	reader->at++;
	return true;
}

static bool take_digits(struct reader *reader)
{
	const char *begin = reader->at;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
		reader->at++;
	return reader->at > begin;
}

static bool read_number(struct reader *reader)
{
	take(reader, '-');
	if (!take(reader, '0') && !take_digits(reader))
		return fail(reader, -EBADMSG, "not a value");
	if (take(reader, '.') && !take_digits(reader))
		return fail(reader, -EBADMSG, "not a number");
	if (take(reader, 'e') || take(reader, 'E')) {
		if (!take(reader, '+'))
			take(reader, '-');
		if (!take_digits(reader))
			return fail(reader, -EBADMSG, "not a number");
	}
	return true;
}

/* Past the closing quote; the opening one was taken. Whether there were escapes. */
static bool read_text(struct reader *reader, bool *ret_escaped)
{
	size_t left, n, unescaped;
	char character[4];

	*ret_escaped = false;
	while (reader->at < reader->end) {
		left = (size_t)(reader->end - reader->at);
		if (*reader->at == '"') {
			reader->at++;
			return true;
		}
		if (*reader->at == '\\') {
			n = tmgr__json_unescape(reader->at + 1, left - 1, character, &unescaped);
			if (n == 0)
				return fail(reader, -EBADMSG, "not an escape sequence");
			*ret_escaped = true;
			reader->at += n + 1;
			continue;
		}
		if ((unsigned char)*reader->at < 0x20)
			return fail(reader, -EBADMSG, "a control character in text");
		n = tmgr__utf8_length(reader->at, left);
		if (n == 0)
			return fail(reader, -EILSEQ, "not UTF-8");
		reader->at += n;
	}
	return fail(reader, -EBADMSG, "text without end");
}

static bool read_word(struct reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
		return fail(reader, -EBADMSG, "not a value");
	reader->at += length;
	return true;
}

static struct tmgr__json *read_value(struct reader *reader, int depth);

static bool read_key(struct reader *reader, struct tmgr__json *ret)
{
	struct tmgr__json key = { .type = TMGR__JSON_TEXT, .raw = reader->at };
	bool escaped;
	char *text;

	if (!take(reader, '"'))
		return fail(reader, -EBADMSG, "not a key");
	if (!read_text(reader, &escaped))
		return false;
	key.length = (size_t)(reader->at - key.raw);
	ret->key = key.raw + 1;
	ret->key_length = key.length - 2;
	if (escaped) {
		if (tmgr__json_text(reader->memory, &key, &text, &ret->key_length) < 0)
			return fail(reader, -ENOMEM, "out of memory");
		ret->key = text;
	}
	skip_space(reader);
	return take(reader, ':') || fail(reader, -EBADMSG, "no colon after a key");
}

static bool read_child(
	struct reader *reader, struct tmgr__json *parent, struct tmgr__json ***last, int depth)
{
	struct tmgr__json key = { .key = NULL }, *child;

	skip_space(reader);
	if (parent->type == TMGR__JSON_OBJECT && !read_key(reader, &key))
		return false;
	child = read_value(reader, depth + 1);
	if (!child)
		return false;
	child->key = key.key;
	child->key_length = key.key_length;
	**last = child;
	*last = &child->next;
	parent->count++;
	return true;
}

/* Elements of an array or members of an object, past its end. */
static bool read_children(struct reader *reader, struct tmgr__json *parent, char end, int depth)
{
	struct tmgr__json **last = &parent->child;

	if (depth > TMGR_STATE_DEPTH_MAX)
		return fail(reader, -EMSGSIZE, "too deep");
	reader->at++;
	skip_space(reader);
	if (take(reader, end))
		return true;
	do {
		if (!read_child(reader, parent, &last, depth))
			return false;
		skip_space(reader);
	} while (take(reader, ','));
	return take(reader, end) || fail(reader, -EBADMSG, "no end of an array or object");
}

static bool read_typed(struct reader *reader, struct tmgr__json *value, int depth)
{
	bool escaped;

	switch (*reader->at) {
	case '{':
		value->type = TMGR__JSON_OBJECT;
		return read_children(reader, value, '}', depth);
	case '[':
		value->type = TMGR__JSON_ARRAY;
		return read_children(reader, value, ']', depth);
	case '"':
		value->type = TMGR__JSON_TEXT;
		reader->at++;
		return read_text(reader, &escaped);
	case 't':
		value->type = TMGR__JSON_BOOL;
		return read_word(reader, "true");
	case 'f':
		value->type = TMGR__JSON_BOOL;
		return read_word(reader, "false");
	case 'n':
		value->type = TMGR__JSON_NULL;
		return read_word(reader, "null");
	default:
		value->type = TMGR__JSON_NUMBER;
		return read_number(reader);
	}
}

static struct tmgr__json *read_value(struct reader *reader, int depth)
{
	struct tmgr__json *value = tmgr_state_take(reader->memory, sizeof(*value));

	if (!value)
		return fail(reader, -ENOMEM, "out of memory");
	skip_space(reader);
	if (reader->at == reader->end)
		return fail(reader, -EBADMSG, "not a value");
	value->raw = reader->at;
	if (!read_typed(reader, value, depth))
		return NULL;
	value->length = (size_t)(reader->at - value->raw);
	return value;
}

int tmgr__json_read(struct tmgr_state_memory *memory, const char *json, size_t length,
	struct tmgr__json **ret, struct tmgr__json_wrong *ret_wrong)
{
	struct reader reader = { memory, json, json, json + length, "", 0 };
	struct tmgr__json *value = NULL;

	if (length > TMGR_STATE_SIZE_MAX)
		fail(&reader, -EMSGSIZE, "too long");
	else
		value = read_value(&reader, 1);
	if (value) {
		skip_space(&reader);
		if (reader.at != reader.end)
			value = fail(&reader, -EBADMSG, "something after the value");
	}
	if (!value) {
		*ret_wrong = (struct tmgr__json_wrong){ (size_t)(reader.at - json), reader.why };
		return reader.error;
	}
	*ret = value;
	return 0;
}

const struct tmgr__json *tmgr__json_get(const struct tmgr__json *object, const char *key, size_t n)
{
	if (object->type != TMGR__JSON_OBJECT)
		return NULL;
	for (const struct tmgr__json *child = object->child; child; child = child->next)
		if (child->key_length == n && memcmp(child->key, key, n) == 0)
			return child;
	return NULL;
}
