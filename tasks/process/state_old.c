#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

static const struct tmgr__json *element(const struct tmgr__json *array, size_t index)
{
	const struct tmgr__json *value = array->type == TMGR__JSON_ARRAY ? array->child : NULL;

	while (value && index-- > 0)
		value = value->next;
	return value;
}

/* The value at a path, or NULL. */
static const struct tmgr__json *find(const struct tmgr_state_old *old, const char *path)
{
	const struct tmgr__json *value = old && path ? old->object : NULL;
	char *end;

	while (value && *path) {
		if (*path == '[') {
			if (path[1] < '0' || path[1] > '9')
				return NULL;
			value = element(value, strtoul(path + 1, &end, 10));
			if (*end != ']')
				return NULL;
			path = end + 1;
		} else {
			size_t length = strcspn(path, ".[");

			value = tmgr__json_get(value, path, length);
			path += length;
		}
		if (*path == '.')
			path++;
		else if (*path && *path != '[')
			return NULL;
	}
	return value;
}

enum tmgr_state_old_type tmgr_state_old_type(const struct tmgr_state_old *old, const char *path)
{
	static const enum tmgr_state_old_type types[] = {
		[TMGR__JSON_NULL] = TMGR_STATE_OLD_NULL,
		[TMGR__JSON_BOOL] = TMGR_STATE_OLD_BOOL,
		[TMGR__JSON_NUMBER] = TMGR_STATE_OLD_NUMBER,
		[TMGR__JSON_TEXT] = TMGR_STATE_OLD_TEXT,
		[TMGR__JSON_ARRAY] = TMGR_STATE_OLD_ARRAY,
		[TMGR__JSON_OBJECT] = TMGR_STATE_OLD_OBJECT,
	};
	const struct tmgr__json *value = find(old, path);

	return value ? types[value->type] : TMGR_STATE_OLD_ABSENT;
}

int tmgr_state_old_integer(const struct tmgr_state_old *old, const char *path, int64_t *ret)
{
	const struct tmgr__json *value = find(old, path);
	struct tmgr__integer integer;
	int r;

	if (!old || !path || !ret)
		return -EINVAL;
	if (!value)
		return -ENOENT;
	r = tmgr__json_integer(value, &integer);
	if (r < 0)
		return r;
	if (integer.magnitude > (uint64_t)INT64_MAX + integer.negative)
		return -ERANGE;
	*ret = (int64_t)(integer.negative ? 0 - integer.magnitude : integer.magnitude);
	return 0;
}

int tmgr_state_old_double(const struct tmgr_state_old *old, const char *path, double *ret)
{
	const struct tmgr__json *value = find(old, path);

	if (!old || !path || !ret)
		return -EINVAL;
	return value ? tmgr__json_double(value, ret) : -ENOENT;
}

int tmgr_state_old_bool(const struct tmgr_state_old *old, const char *path, bool *ret)
{
	const struct tmgr__json *value = find(old, path);

	if (!old || !path || !ret)
		return -EINVAL;
	if (!value)
		return -ENOENT;
	if (value->type != TMGR__JSON_BOOL)
		return -EPROTO;
	*ret = value->raw[0] == 't';
	return 0;
}

int tmgr_state_old_text(const struct tmgr_state_old *old, const char *path, char **ret)
{
	const struct tmgr__json *value = find(old, path);
	size_t length;
	char *text;
	int r;

	if (!old || !path || !ret)
		return -EINVAL;
	if (!value)
		return -ENOENT;
	if (value->type != TMGR__JSON_TEXT)
		return -EPROTO;
	r = tmgr__json_text(old->memory, value, &text, &length);
	if (r < 0)
		return r;
	if (strlen(text) != length)
		return -EILSEQ;
	*ret = text;
	return 0;
}

size_t tmgr_state_old_count(const struct tmgr_state_old *old, const char *path)
{
	const struct tmgr__json *value = find(old, path);

	return value ? value->count : 0;
}

struct tmgr_state_memory *tmgr_state_old_memory(const struct tmgr_state_old *old)
{
	return old ? old->memory : NULL;
}
