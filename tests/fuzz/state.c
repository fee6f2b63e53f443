/*
 * Any bytes are a document or are refused with a reason; what was read is written as a document that
 * is read as the same, and is written again byte for byte.
 */
#include <errno.h>

#include <taskmgr/tasks/state.h>

#include "tests/support/fuzz.h"

struct thing {
	bool b;
	int8_t i;
	uint64_t u;
	double d;
	char *t;
	struct tmgr_state_bytes y;
	int16_t *o;
	char **a;
	uint32_t a_count;
	struct thing *s;
	struct thing *l;
	size_t l_count;
};

static int migrate(struct tmgr_state_old *old, const char *name, void *object)
{
	struct thing *thing = object;
	int64_t integer;

	/* Some of what did not fit fits here. */
	if (strcmp(name, "i") == 0 && tmgr_state_old_integer(old, "u", &integer) == 0)
		thing->i = (int8_t)integer;
	if (strcmp(name, "t") == 0)
		return tmgr_state_old_text(old, "a[1]", &thing->t);
	return tmgr_state_old_count(old, "") > 5 ? -ENOTSUP : 0;
}

static const struct tmgr_state_table state;
static const struct tmgr_state_field fields[] = {
	TMGR_FIELD_MISSING(struct thing, b, "true"),
	TMGR_FIELD(struct thing, i),
	TMGR_FIELD(struct thing, u),
	TMGR_FIELD(struct thing, d),
	TMGR_FIELD(struct thing, t),
	TMGR_FIELD(struct thing, y),
	TMGR_FIELD_OPTIONAL(struct thing, o),
	TMGR_FIELD_ARRAY(struct thing, a, a_count),
	TMGR_FIELD_OPTIONAL_STRUCT(struct thing, s, &state),
	TMGR_FIELD_STRUCTS(struct thing, l, l_count, &state),
};
static const struct tmgr_state_table state = TMGR_STATE_MIGRATED(struct thing, fields, migrate);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tmgr_state_memory *memory, *again;
	const char *json, *second;
	size_t length;
	void *object;
	int r;

	must(tmgr_state_memory_create(&memory) == 0 && tmgr_state_memory_create(&again) == 0);
	must(tmgr_state_check(memory, &state) == 0);
	r = tmgr_state_decode(memory, &state, (const char *)data, size, &object);
	must(r <= 0 && (r < 0) == (tmgr_state_error(memory)[0] != '\0'));
	if (r == 0) {
		r = tmgr_state_encode(memory, &state, object, &json, &length);
		/* A level more for what was missing. */
		must(r == 0 || r == -EMSGSIZE);
	}
	if (r == 0) {
		must(tmgr_state_decode(again, &state, json, length, &object) == 0);
		must(tmgr_state_encode(again, &state, object, &second, NULL) == 0);
		must(strcmp(json, second) == 0);
	}
	tmgr_state_memory_destroy(memory);
	tmgr_state_memory_destroy(again);
	return 0;
}
