/*
 * A value in a JSON document is replaced by another, and all else stays byte by byte. The document is
 * only looked at as far as that needs; whoever takes the new one checks it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskctl_process.h"

#define DEPTH_MAX TMGR_STATE_DEPTH_MAX

static const char *blanks(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* Behind a string that begins here; NULL: it does not end. */
static const char *behind_string(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && at[1])
			at++;
	return *at ? at + 1 : NULL;
}

/* Behind a value that begins here; NULL: it is none. */
static const char *behind_value(const char *at)
{
	char open[DEPTH_MAX];
	size_t depth = 0, length;

	do {
		at = blanks(at);
		if (*at == '{' || *at == '[') {
			if (depth == DEPTH_MAX)
				return NULL;
			open[depth++] = *at++ == '{' ? '}' : ']';
		} else if (*at == '}' || *at == ']') {
			if (depth == 0 || open[depth - 1] != *at++)
				return NULL;
			depth--;
		} else if ((*at == ',' || *at == ':') && depth > 0) {
			at++;
		} else if (*at == '"') {
			at = behind_string(at);
			if (!at)
				return NULL;
		} else {
			length = strcspn(at, ",:]}[{\" \t\r\n");
			if (length == 0)
				return NULL;
			at += length;
		}
	} while (depth > 0);
	return at;
}

/* A place in a document: a value, or where one would be added to an object. */
struct place {
	const char *begin, *end;
	bool missing; /* the object has no such key, and ends at `end` */
	bool first;   /* and is empty */
};

static int find_key(const char *at, const char *key, size_t length, struct place *ret_place)
{
	bool first = true;

	if (*at != '{')
		return -ENOENT;
	for (at = blanks(at + 1); *at && *at != '}'; first = false) {
		const char *name = at, *value, *end = *at == '"' ? behind_string(at) : NULL;

		value = end ? blanks(end) : NULL;
		if (!value || *value != ':')
			return -ENOENT;
		value = blanks(value + 1);
		at = behind_value(value);
		if (!at)
			return -ENOENT;
		if ((size_t)(end - name) == length + 2 && memcmp(name + 1, key, length) == 0) {
			*ret_place = (struct place){ .begin = value, .end = at };
			return 0;
		}
		at = blanks(at);
		if (*at == ',')
			at = blanks(at + 1);
	}
	*ret_place = (struct place){ .begin = at, .end = at, .missing = true, .first = first };
	return *at ? 0 : -ENOENT;
}

static int find_element(const char *at, size_t index, struct place *ret_place)
{
	if (*at != '[')
		return -ENOENT;
	for (at = blanks(at + 1); *at && *at != ']';) {
		const char *value = at;

		at = behind_value(value);
		if (!at)
			return -ENOENT;
		if (index-- == 0) {
			*ret_place = (struct place){ .begin = value, .end = at };
			return 0;
		}
		at = blanks(at);
		if (*at == ',')
			at = blanks(at + 1);
	}
	return -ENOENT;
}

/* A step of a path; *path is moved behind it. */
static int find_step(const char **path, struct place *place, bool first)
{
	const char *at = *path;
	size_t length;

	if (*at == '[') {
		char *end = NULL;
		unsigned long index = isdigit((unsigned char)at[1]) ? strtoul(at + 1, &end, 10) : 0;

		if (!end || *end != ']')
			return -EINVAL;
		*path = end + 1;
		return find_element(place->begin, index, place);
	}
	if (!first && *at++ != '.')
		return -EINVAL;
	length = strcspn(at, ".[\"\\");
	if (length == 0 || at[length] == '"' || at[length] == '\\')
		return -EINVAL;
	*path = at + length;
	return find_key(place->begin, at, length, place);
}

/* One value and no more, as the library reads it. */
static int check_value(const char *value)
{
	static const struct tmgr_state_table any = { .size = 1 };
	const char *end = behind_value(value);
	struct tmgr_state_memory *memory = NULL;
	void *ignored = NULL;
	char *json = NULL;
	int r, length;

	if (!end || *blanks(end))
		return -EPROTO;
	length = asprintf(&json, "{\"value\":%s}", value);
	if (length < 0)
		return -ENOMEM;
	r = tmgr_state_memory_create(&memory);
	if (r == 0)
		r = tmgr_state_decode(memory, &any, json, (size_t)length, &ignored);
	tmgr_state_memory_destroy(memory);
	free(json);
	return r < 0 && r != -ENOMEM ? -EPROTO : r;
}

/* The key of a place that is missing is the last step of the path. */
static int splice_key(const char *json, const char *path, const char *value,
	const struct place *place, char **ret_json)
{
	const char *dot = strrchr(path, '.');
	char *key = NULL;
	int r = asprintf(&key, "\"%s\"", dot ? dot + 1 : path) < 0 ? -ENOMEM : check_value(key);

	if (r == 0 && asprintf(ret_json, "%.*s%s%s:%s%s", (int)(place->begin - json), json,
			      place->first ? "" : ",", key, value, place->end) < 0)
		r = -ENOMEM;
	free(key);
	return r == -EPROTO ? -EINVAL : r;
}

static int splice(const char *json, const char *path, const char *value, const struct place *place,
	char **ret_json)
{
	if (place->missing)
		return splice_key(json, path, value, place, ret_json);
	return asprintf(ret_json, "%.*s%s%s", (int)(place->begin - json), json, value, place->end) <
			       0
		       ? -ENOMEM
		       : 0;
}

static int set_at(const char *json, const char *path, const char *value, char **ret_json)
{
	struct place place = { .begin = blanks(json) };
	const char *rest = path;
	int r = *path ? 0 : -EINVAL;

	while (r == 0 && *rest) {
		if (place.missing)
			return -ENOENT;
		r = find_step(&rest, &place, rest == path);
	}
	return r < 0 ? r : splice(json, path, value, &place, ret_json);
}

int taskctl_json_set(const char *json, const char *path, const char *value, char **ret_json)
{
	const char *begin = blanks(value);
	char *bare;
	int r = check_value(value);

	if (r < 0)
		return r;
	/* Blanks around it would be more each time. */
	bare = strndup(begin, (size_t)(behind_value(begin) - begin));
	if (!bare)
		return -ENOMEM;
	r = set_at(json, path, bare, ret_json);
	free(bare);
	return r;
}
