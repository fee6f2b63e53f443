#include <errno.h>
#include <math.h>
#include <string.h>

#include "state.h"

#include "taskmgr/base/check.h"

/* What is written, and where. */
struct place {
	struct tmgr_state_memory *memory;
	const struct tmgr_state_field *field;
	const struct tmgr__json *before; /* what stood here in the document, or NULL */
	const struct tmgr__path *path;
	int depth;
};

static int encode_struct(const struct place *place, const struct tmgr_state_table *state,
	const unsigned char *object);

static void put(const struct place *place, const char *text)
{
	tmgr__json_put(&place->memory->out, text, strlen(text));
}

static int fail(const struct place *place, int error, const char *why)
{
	return tmgr__state_fail(place->memory, place->path, error, why);
}

static uint64_t load_unsigned(const void *from, size_t size)
{
	uint8_t one;
	uint16_t two;
	uint32_t four;
	uint64_t eight;

	switch (size) {
	case 1:
		memcpy(&one, from, size);
		return one;
	case 2:
		memcpy(&two, from, size);
		return two;
	case 4:
		memcpy(&four, from, size);
		return four;
	default:
		check(size == sizeof(eight));
		memcpy(&eight, from, size);
		return eight;
	}
}

static struct tmgr__integer load_integer(const void *from, bool is_signed, size_t size)
{
	uint64_t value = load_unsigned(from, size), max = UINT64_MAX >> (64 - 8 * size);

	if (is_signed && value > max / 2)
		return (struct tmgr__integer){ max - value + 1, true };
	return (struct tmgr__integer){ value, false };
}

static int encode_double(const struct place *place, const void *from)
{
	double number;

	memcpy(&number, from, sizeof(number));
	if (!isfinite(number))
		return fail(place, -EDOM, isnan(number) ? "is NaN" : "is infinite");
	tmgr__json_put_double(&place->memory->out, number);
	return 0;
}

static int encode_text(const struct place *place, const void *from)
{
	const char *text;

	memcpy(&text, from, sizeof(text));
	if (!text)
		put(place, "null");
	else if (!tmgr__json_put_text(&place->memory->out, text, strlen(text)))
		return fail(place, -EILSEQ, "is not UTF-8");
	return 0;
}

static int encode_bytes(const struct place *place, const void *from)
{
	struct tmgr_state_bytes bytes;

	memcpy(&bytes, from, sizeof(bytes));
	if (!bytes.data && bytes.size > 0)
		return fail(place, -EINVAL, "has a size and no bytes");
	if (!bytes.data)
		put(place, "null");
	else
		tmgr__json_put_base64(&place->memory->out, bytes.data, bytes.size);
	return 0;
}

static int encode_value(const struct place *place, const void *from)
{
	const struct tmgr_state_field *field = place->field;

	switch (field->kind) {
	case TMGR_STATE_BOOL:
		put(place, *(const bool *)from ? "true" : "false");
		return 0;
	case TMGR_STATE_SIGNED:
	case TMGR_STATE_UNSIGNED:
		tmgr__json_put_integer(&place->memory->out,
			load_integer(from, field->kind == TMGR_STATE_SIGNED, field->size));
		return 0;
	case TMGR_STATE_DOUBLE:
		return encode_double(place, from);
	case TMGR_STATE_TEXT:
		return encode_text(place, from);
	case TMGR_STATE_BYTES:
		return encode_bytes(place, from);
	case TMGR_STATE_STRUCT:
		return encode_struct(place, field->state, from);
	}
	check(!"a kind of state");
	return -EINVAL;
}

static int encode_array(const struct place *place, const unsigned char *object)
{
	const struct tmgr_state_field *field = place->field;
	uint64_t count = load_unsigned(object + field->count_offset, field->count_size);
	struct tmgr__path path = { place->path, NULL, 0 };
	struct place element = { place->memory, field, NULL, &path, place->depth + 1 };
	const unsigned char *array;
	int r;

	memcpy(&array, object + field->offset, sizeof(array));
	if (!array && count > 0)
		return fail(place, -EINVAL, "has a count and no elements");
	if (place->depth >= TMGR_STATE_DEPTH_MAX)
		return fail(place, -EMSGSIZE, "is too deep");
	if (place->before && place->before->type == TMGR__JSON_ARRAY &&
		place->before->count == count)
		element.before = place->before->child;
	put(place, "[");
	for (; path.index < count && !place->memory->out.error; path.index++) {
		if (path.index > 0)
			put(place, ",");
		r = encode_value(&element, array + path.index * field->size);
		if (r < 0)
			return r;
		if (element.before)
			element.before = element.before->next;
	}
	put(place, "]");
	return 0;
}

static int encode_field(const struct place *place, const unsigned char *object)
{
	const struct tmgr_state_field *field = place->field;
	const void *one;

	put(place, "\"");
	put(place, field->name);
	put(place, "\":");
	switch (field->shape) {
	case TMGR_STATE_ARRAY:
		return encode_array(place, object);
	case TMGR_STATE_OPTIONAL:
		memcpy(&one, object + field->offset, sizeof(one));
		if (one)
			return encode_value(place, one);
		put(place, "null");
		return 0;
	case TMGR_STATE_ONE:
		break;
	}
	return encode_value(place, object + field->offset);
}

static void encode_unknown(const struct place *place, const struct tmgr__json *value)
{
	struct tmgr__json_out *out = &place->memory->out;

	tmgr__json_put_text(out, value->key, value->key_length);
	tmgr__json_put(out, ":", 1);
	tmgr__json_put(out, value->raw, value->length);
}

static int encode_known(const struct place *place, const struct tmgr_state_field *field,
	const struct tmgr__json *before, const unsigned char *object)
{
	struct tmgr__path path = { place->path, field->name, 0 };
	struct place inner = { place->memory, field, before, &path, place->depth };

	return encode_field(&inner, object);
}

/* What stood in the document, in its order: values as they are now, keys that are unknown as then. */
static int encode_as_before(const struct place *place, const struct tmgr_state_table *state,
	const unsigned char *object, struct tmgr__state_marks *written)
{
	const struct tmgr__json *value = place->before->child;
	size_t hint = 0;
	int r;

	for (; value; value = value->next) {
		const struct tmgr_state_field *field = tmgr__state_find(
			state, value->key, value->key_length, hint);

		/* Twice in a struct that did not fit, and could not be read again. */
		if (field && tmgr__state_marked(written, (size_t)(field - state->fields)))
			continue;
		if (value != place->before->child)
			put(place, ",");
		if (!field) {
			encode_unknown(place, value);
			continue;
		}
		hint = (size_t)(field - state->fields);
		tmgr__state_mark(written, hint++);
		r = encode_known(place, field, value, object);
		if (r < 0)
			return r;
	}
	return 0;
}

static int encode_struct(const struct place *place, const struct tmgr_state_table *state,
	const unsigned char *object)
{
	bool before = place->before && place->before->type == TMGR__JSON_OBJECT;
	struct tmgr__state_marks written = { { 0 } };
	struct place inner = *place;
	bool first = !before || !place->before->child;
	int r = 0;

	if (place->depth >= TMGR_STATE_DEPTH_MAX)
		return fail(place, -EMSGSIZE, "is too deep");
	inner.depth++;
	put(place, "{");
	if (before)
		r = encode_as_before(&inner, state, object, &written);
	for (size_t i = 0; i < state->count && r == 0; i++) {
		if (tmgr__state_marked(&written, i))
			continue;
		if (!first)
			put(place, ",");
		first = false;
		r = encode_known(&inner, &state->fields[i], NULL, object);
	}
	put(place, "}");
	return r;
}

int tmgr_state_encode(struct tmgr_state_memory *memory, const struct tmgr_state_table *state,
	const void *object, const char **ret, size_t *ret_length)
{
	struct place place = { .memory = memory };
	const char *text;
	int r;

	if (!memory || !state || !object || !ret)
		return -EINVAL;
	memory->error[0] = '\0';
	memory->out.length = 0;
	memory->out.error = 0;
	if (memory->decoded == object && memory->decoded_state == state)
		place.before = memory->document;
	r = encode_struct(&place, state, object);
	if (r == 0 && memory->out.error)
		r = tmgr__state_fail(memory, NULL, memory->out.error,
			memory->out.error == -ENOMEM ? "out of memory" : "too long");
	if (r < 0)
		return r;
	text = tmgr_state_copy(memory, memory->out.text, memory->out.length);
	if (!text)
		return -ENOMEM;
	*ret = text;
	if (ret_length)
		*ret_length = memory->out.length;
	return 0;
}
