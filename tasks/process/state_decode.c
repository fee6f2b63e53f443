#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/error.h>

#include "state.h"

#include "taskmgr/base/check.h"

/* One level of decoding: a struct, and where it is. */
struct level {
	struct tmgr_state_memory *memory;
	const struct tmgr_state_table *state;
	const struct tmgr__json *value; /* an object, or NULL: all is missing */
	unsigned char *object;
	const struct tmgr__path *path;
};

static int decode_struct(const struct level *level);

static int type_error(struct tmgr_state_memory *memory, const struct tmgr__path *path, int error,
	const char *what)
{
	char text[64];

	if (error == -ERANGE)
		snprintf(text, sizeof(text), "is out of range");
	else
		snprintf(text, sizeof(text), "is not %s", what);
	return tmgr__state_fail(memory, path, error, text);
}

static bool fits(struct tmgr__integer integer, bool is_signed, size_t size)
{
	uint64_t max = UINT64_MAX >> (64 - 8 * size);

	if (is_signed)
		return integer.magnitude <= max / 2 + integer.negative;
	return integer.magnitude <= max && (!integer.negative || integer.magnitude == 0);
}

static void store_integer(void *to, size_t size, struct tmgr__integer integer)
{
	uint64_t value = integer.negative ? 0 - integer.magnitude : integer.magnitude;
	uint8_t one = (uint8_t)value;
	uint16_t two = (uint16_t)value;
	uint32_t four = (uint32_t)value;

	switch (size) {
	case 1:
		memcpy(to, &one, size);
		break;
	case 2:
		memcpy(to, &two, size);
		break;
	case 4:
		memcpy(to, &four, size);
		break;
	default:
		check(size == sizeof(value));
		memcpy(to, &value, size);
		break;
	}
}

static int decode_integer(struct tmgr_state_memory *memory, const struct tmgr_state_field *field,
	const struct tmgr__json *value, void *to, const struct tmgr__path *path)
{
	struct tmgr__integer integer;
	int r = tmgr__json_integer(value, &integer);

	if (r == 0 && !fits(integer, field->kind == TMGR_STATE_SIGNED, field->size))
		r = -ERANGE;
	if (r < 0)
		return type_error(memory, path, r, "an integer");
	store_integer(to, field->size, integer);
	return 0;
}

static int decode_double(struct tmgr_state_memory *memory, const struct tmgr__json *value, void *to,
	const struct tmgr__path *path)
{
	double number;
	int r = tmgr__json_double(value, &number);

	if (r < 0)
		return type_error(memory, path, r, "a number");
	memcpy(to, &number, sizeof(number));
	return 0;
}

static int decode_bool(struct tmgr_state_memory *memory, const struct tmgr__json *value, void *to,
	const struct tmgr__path *path)
{
	if (value->type != TMGR__JSON_BOOL)
		return type_error(memory, path, -EPROTO, "a bool");
	*(bool *)to = value->raw[0] == 't';
	return 0;
}

static int decode_text(struct tmgr_state_memory *memory, const struct tmgr__json *value, void *to,
	const struct tmgr__path *path)
{
	char *text = NULL;
	size_t length;
	int r;

	if (value->type != TMGR__JSON_NULL) {
		if (value->type != TMGR__JSON_TEXT)
			return type_error(memory, path, -EPROTO, "text");
		r = tmgr__json_text(memory, value, &text, &length);
		if (r < 0)
			return r;
		if (strlen(text) != length)
			return tmgr__state_fail(memory, path, -EILSEQ, "has a zero byte");
	}
	memcpy(to, &text, sizeof(text));
	return 0;
}

static int decode_bytes(struct tmgr_state_memory *memory, const struct tmgr__json *value, void *to,
	const struct tmgr__path *path)
{
	struct tmgr_state_bytes bytes = { NULL, 0 };
	size_t length;
	char *text;
	int r;

	if (value->type != TMGR__JSON_NULL) {
		if (value->type != TMGR__JSON_TEXT)
			return type_error(memory, path, -EPROTO, "bytes in base64");
		r = tmgr__json_text(memory, value, &text, &length);
		if (r < 0)
			return r;
		/* In place: three bytes never stand before the four letters that they come from. */
		bytes.data = (unsigned char *)text;
		r = tmgr__base64_read(text, length, bytes.data, &bytes.size);
		if (r < 0)
			return type_error(memory, path, r, "bytes in base64");
	}
	memcpy(to, &bytes, sizeof(bytes));
	return 0;
}

static int decode_nested(struct tmgr_state_memory *memory, const struct tmgr_state_field *field,
	const struct tmgr__json *value, void *to, const struct tmgr__path *path)
{
	if (value->type != TMGR__JSON_OBJECT)
		return type_error(memory, path, -EPROTO, "an object");
	return decode_struct(&(struct level){ memory, field->state, value, to, path });
}

static int decode_value(struct tmgr_state_memory *memory, const struct tmgr_state_field *field,
	const struct tmgr__json *value, void *to, const struct tmgr__path *path)
{
	switch (field->kind) {
	case TMGR_STATE_BOOL:
		return decode_bool(memory, value, to, path);
	case TMGR_STATE_SIGNED:
	case TMGR_STATE_UNSIGNED:
		return decode_integer(memory, field, value, to, path);
	case TMGR_STATE_DOUBLE:
		return decode_double(memory, value, to, path);
	case TMGR_STATE_TEXT:
		return decode_text(memory, value, to, path);
	case TMGR_STATE_BYTES:
		return decode_bytes(memory, value, to, path);
	case TMGR_STATE_STRUCT:
		return decode_nested(memory, field, value, to, path);
	}
	check(!"a kind of state");
	return -EINVAL;
}

static int decode_optional(struct tmgr_state_memory *memory, const struct tmgr_state_field *field,
	const struct tmgr__json *value, void *to, const struct tmgr__path *path)
{
	void *one = NULL;
	int r;

	if (value->type != TMGR__JSON_NULL) {
		one = tmgr_state_take(memory, field->size);
		if (!one)
			return -ENOMEM;
		r = decode_value(memory, field, value, one, path);
		if (r < 0)
			return r;
	}
	memcpy(to, &one, sizeof(one));
	return 0;
}

static int decode_array(struct tmgr_state_memory *memory, const struct tmgr_state_field *field,
	const struct tmgr__json *value, unsigned char *object, const struct tmgr__path *path)
{
	struct tmgr__path element = { path, NULL, 0 };
	unsigned char *array = NULL;
	int r;

	if (value->type != TMGR__JSON_ARRAY)
		return type_error(memory, path, -EPROTO, "an array");
	if (value->count > 0) {
		array = tmgr_state_take(memory, value->count * field->size);
		if (!array)
			return -ENOMEM;
	}
	for (const struct tmgr__json *one = value->child; one; one = one->next, element.index++) {
		r = decode_value(memory, field, one, array + element.index * field->size, &element);
		if (r < 0)
			return r;
	}
	memcpy(object + field->offset, &array, sizeof(array));
	store_integer(object + field->count_offset, field->count_size,
		(struct tmgr__integer){ value->count, false });
	return 0;
}

int tmgr__state_decode_field(struct tmgr_state_memory *memory, const struct tmgr_state_field *field,
	const struct tmgr__json *value, void *object, const struct tmgr__path *path)
{
	unsigned char *to = (unsigned char *)object + field->offset;
	int r;

	switch (field->shape) {
	case TMGR_STATE_OPTIONAL:
		return decode_optional(memory, field, value, to, path);
	case TMGR_STATE_ARRAY:
		return decode_array(memory, field, value, object, path);
	case TMGR_STATE_ONE:
		break;
	}
	r = decode_value(memory, field, value, to, path);
	if (r < 0)
		memset(to, 0, field->size);
	return r;
}

static int decode_missing(const struct level *level, const struct tmgr_state_field *field)
{
	struct tmgr__path path = { level->path, field->name, 0 };
	struct tmgr__json_wrong wrong;
	struct tmgr__json *value;
	int r;

	if (field->missing) {
		r = tmgr__json_read(
			level->memory, field->missing, strlen(field->missing), &value, &wrong);
		if (r < 0)
			return tmgr__state_fail(level->memory, &path, r, wrong.why);
		return tmgr__state_decode_field(level->memory, field, value, level->object, &path);
	}
	if (field->kind == TMGR_STATE_STRUCT && field->shape == TMGR_STATE_ONE)
		return decode_struct(&(struct level){
			level->memory, field->state, NULL, level->object + field->offset, &path });
	return 0;
}

static int migrate(const struct level *level, const struct tmgr_state_field *field)
{
	struct tmgr__path path = { level->path, field->name, 0 };
	struct tmgr_state_old old = { level->memory, level->value };
	int r = level->state->migrate(&old, field->name, level->object);
	char why[128];

	if (r == 0)
		return 0;
	if (r > 0)
		r = -EPROTO;
	snprintf(why, sizeof(why), "the migrate function failed: %s", tmgr_strerror(r));
	return tmgr__state_fail(level->memory, &path, r, why);
}

/* Read what is there; note which fields were, and which do not fit. */
static int decode_present(const struct level *level, struct tmgr__state_marks *present,
	struct tmgr__state_marks *misfits)
{
	const struct tmgr_state_table *state = level->state;
	const struct tmgr__json *value = level->value ? level->value->child : NULL;
	size_t hint = 0;

	for (; value; value = value->next) {
		const struct tmgr_state_field *field = tmgr__state_find(
			state, value->key, value->key_length, hint);
		struct tmgr__path path = { level->path, field ? field->name : NULL, 0 };
		size_t i;
		int r;

		if (!field)
			continue;
		i = (size_t)(field - state->fields);
		hint = i + 1;
		if (tmgr__state_marked(present, i))
			return tmgr__state_fail(level->memory, &path, -EBADMSG, "is there twice");
		tmgr__state_mark(present, i);
		r = tmgr__state_decode_field(level->memory, field, value, level->object, &path);
		if ((r == -EPROTO || r == -ERANGE) && state->migrate) {
			level->memory->error[0] = '\0';
			tmgr__state_mark(misfits, i);
		} else if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int decode_struct(const struct level *level)
{
	struct tmgr__state_marks present = { { 0 } }, misfits = { { 0 } };
	int r = decode_present(level, &present, &misfits);

	for (size_t i = 0; i < level->state->count && r == 0; i++)
		if (!tmgr__state_marked(&present, i))
			r = decode_missing(level, &level->state->fields[i]);
	for (size_t i = 0; i < level->state->count && r == 0; i++)
		if (tmgr__state_marked(&misfits, i))
			r = migrate(level, &level->state->fields[i]);
	return r;
}

/* The document as a tree, on a copy that stays; or none. */
static int read_document(struct tmgr_state_memory *memory, const char *json, size_t length,
	const struct tmgr__json **ret)
{
	struct tmgr__json_wrong wrong;
	struct tmgr__json *document;
	char *copy, text[128];
	int r;

	*ret = NULL;
	if (length == 0)
		return 0;
	if (length > TMGR_STATE_SIZE_MAX)
		return tmgr__state_fail(memory, NULL, -EMSGSIZE, "too long");
	copy = tmgr_state_copy(memory, json, length);
	if (!copy)
		return -ENOMEM;
	r = tmgr__json_read(memory, copy, length, &document, &wrong);
	if (r < 0) {
		snprintf(text, sizeof(text), "byte %zu: %s", wrong.at, wrong.why);
		return tmgr__state_fail(memory, NULL, r, text);
	}
	if (document->type != TMGR__JSON_OBJECT)
		return tmgr__state_fail(memory, NULL, -EBADMSG, "is not an object");
	*ret = document;
	return 0;
}

int tmgr_state_decode(struct tmgr_state_memory *memory, const struct tmgr_state_table *state,
	const char *json, size_t length, void **ret)
{
	struct level level = { .memory = memory, .state = state };
	int r;

	if (!memory || !state || !ret || (!json && length > 0))
		return -EINVAL;
	memory->decoded = NULL;
	memory->error[0] = '\0';
	r = read_document(memory, json, length, &level.value);
	if (r < 0)
		return r;
	level.object = tmgr_state_take(memory, state->size);
	if (!level.object)
		return -ENOMEM;
	r = decode_struct(&level);
	if (r < 0)
		return r;
	memory->decoded_state = state;
	memory->decoded = level.object;
	memory->document = level.value;
	*ret = level.object;
	return 0;
}
