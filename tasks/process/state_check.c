#include <errno.h>
#include <string.h>

#include "state.h"

#include "taskmgr/base/text.h"

/* The states on the way to one that is checked, to see where a table leads to itself. */
struct way {
	const struct way *above;
	const struct tmgr_state_table *state;
	bool inside; /* the struct stands in the one above, and is not pointed to */
};

static int check_struct(
	struct tmgr_state_memory *memory, const struct way *way, const struct tmgr__path *above);

static bool good_name(const char *name)
{
	size_t length = name ? strnlen(name, TMGR_STATE_KEY_MAX + 1) : 0;

	if (length == 0 || length > TMGR_STATE_KEY_MAX)
		return false;
	/* Written as it is. */
	for (size_t i = 0, n; i < length; i += n) {
		n = tmgr__utf8_length(name + i, length - i);
		if (n == 0 || (unsigned char)name[i] < 0x20 || name[i] == '"' || name[i] == '\\')
			return false;
	}
	return true;
}

static bool good_size(const struct tmgr_state_field *field)
{
	switch (field->kind) {
	case TMGR_STATE_BOOL:
		return field->size == sizeof(bool);
	case TMGR_STATE_SIGNED:
	case TMGR_STATE_UNSIGNED:
		return field->size == 1 || field->size == 2 || field->size == 4 || field->size == 8;
	case TMGR_STATE_DOUBLE:
		return field->size == sizeof(double);
	case TMGR_STATE_TEXT:
		return field->size == sizeof(char *);
	case TMGR_STATE_BYTES:
		return field->size == sizeof(struct tmgr_state_bytes);
	case TMGR_STATE_STRUCT:
		return field->state && field->size == field->state->size;
	}
	return false;
}

static bool inside(const struct tmgr_state_table *state, size_t offset, size_t size)
{
	return size <= state->size && offset <= state->size - size;
}

static const char *what_is_wrong(
	const struct tmgr_state_table *state, const struct tmgr_state_field *field)
{
	size_t size = field->shape == TMGR_STATE_ONE ? field->size : sizeof(void *);

	if (tmgr__state_find(state, field->name, strlen(field->name), 0) != field)
		return "two fields have this name";
	if (!good_size(field))
		return "its kind and its size do not fit, or it has no state";
	if (field->shape < TMGR_STATE_ONE || field->shape > TMGR_STATE_ARRAY)
		return "has no known shape";
	if (!inside(state, field->offset, size))
		return "is not inside the struct";
	if (field->shape != TMGR_STATE_ARRAY)
		return NULL;
	if (field->count_size != 4 && field->count_size != 8)
		return "its count has not 4 or 8 bytes";
	return inside(state, field->count_offset, field->count_size)
		       ? NULL
		       : "its count is not inside the struct";
}

static int check_missing(struct tmgr_state_memory *memory, const struct tmgr_state_table *state,
	const struct tmgr_state_field *field, const struct tmgr__path *path)
{
	void *object = tmgr_state_take(memory, state->size);
	struct tmgr__json_wrong wrong;
	struct tmgr__json *value;
	int r;

	if (!object)
		return -ENOMEM;
	r = tmgr__json_read(memory, field->missing, strlen(field->missing), &value, &wrong);
	if (r < 0)
		return tmgr__state_fail(memory, path, r, wrong.why);
	return tmgr__state_decode_field(memory, field, value, object, path);
}

static int check_nested(struct tmgr_state_memory *memory, const struct way *way,
	const struct tmgr_state_field *field, const struct tmgr__path *path)
{
	struct way next = { way, field->state, field->shape == TMGR_STATE_ONE };
	bool all_inside = next.inside;

	for (const struct way *seen = way; seen; seen = seen->above) {
		if (seen->state == field->state && all_inside)
			return tmgr__state_fail(memory, path, -EINVAL, "has itself inside");
		if (seen->state == field->state)
			return 0;
		all_inside = all_inside && seen->inside;
	}
	return check_struct(memory, &next, path);
}

static int check_struct(
	struct tmgr_state_memory *memory, const struct way *way, const struct tmgr__path *above)
{
	const struct tmgr_state_table *state = way->state;

	if (state->size == 0 || (state->count > 0 && !state->fields) ||
		state->count > TMGR_STATE_FIELDS_MAX)
		return tmgr__state_fail(memory, above, -EINVAL, "has no size, or too many fields");
	for (size_t i = 0; i < state->count; i++)
		if (!good_name(state->fields[i].name))
			return tmgr__state_fail(memory, above, -EINVAL,
				"a field has no name, or one that is too long or not plain");
	for (size_t i = 0; i < state->count; i++) {
		const struct tmgr_state_field *field = &state->fields[i];
		struct tmgr__path path = { above, field->name, 0 };
		const char *why = what_is_wrong(state, field);
		int r = 0;

		if (why)
			return tmgr__state_fail(memory, &path, -EINVAL, why);
		if (field->state)
			r = check_nested(memory, way, field, &path);
		if (r == 0 && field->missing)
			r = check_missing(memory, state, field, &path);
		if (r < 0)
			return r == -ENOMEM ? r : -EINVAL;
	}
	return 0;
}

int tmgr_state_check(struct tmgr_state_memory *memory, const struct tmgr_state_table *state)
{
	if (!memory || !state)
		return -EINVAL;
	memory->decoded = NULL;
	memory->error[0] = '\0';
	return check_struct(memory, &(struct way){ NULL, state, false }, NULL);
}
